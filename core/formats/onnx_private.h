/* onnx_private.h -- what the parts of the ONNX reader share. Inside core/formats/onnx*.c only. */
#ifndef RNND_ONNX_PRIVATE_H
#define RNND_ONNX_PRIVATE_H

#include "core/base/bytes.h"
#include "core/formats/names.h"
#include "core/formats/onnx.h"
#include "core/formats/proto.h"

#define ONNX_MAX_LIST ((size_t)1 << 16) /* numbers in one attribute */
#define ONNX_MAX_PORTS 4096             /* inputs or outputs of one node */
#define ONNX_MAX_ATTRIBUTES 64
#define ONNX_MAX_FUNCTIONS 1024
#define ONNX_MAX_DEPTH 8                /* bodies within bodies, functions within functions */

/* ModelProto: ir_version 1, producer_name 2, producer_version 3, graph 7, opset_import 8, functions 25. */
struct onnx_function { struct bytes name, domain, span; };
struct onnx_model {
    struct bytes whole, graph;
    struct onnx_function *functions;
    size_t function_count;
    int64_t ir_version, opset; /* opset: of the default domain */
    const char *producer, *producer_version;
};
/* Its default domain's version in the opset_import fields (number `field`) of a message, 0 if there is none. */
rnnd_code onnx_opset(struct bytes message, uint32_t field, int64_t *out, rnnd_error *err);

/* Steps to a message's next field; *code is CORRUPT, saying where in `what`, when there is none but should be. */
bool onnx_next(struct bytes *message, struct proto_field *f, const char *what, rnnd_code *code, rnnd_error *err);
/* Text into the arena, terminated. CORRUPT where it is no UTF-8 or has a zero inside. */
rnnd_code onnx_text(const struct proto_field *f, const char *what, struct arena *arena, const char **out,
                    rnnd_error *err);
bool onnx_same(struct bytes a, struct bytes b);
bool onnx_is(struct bytes a, const char *text);

/* ---- TensorProto: dims 1, data_type 2, float_data 4, int32_data 5, int64_data 7, name 8, raw_data 9, double_data 10,
 * uint64_data 11, external_data 13, data_location 14 ---- */
struct onnx_external { struct bytes location; uint64_t offset, length; bool has_length; };
struct onnx_tensor {
    struct checkpoint_tensor t; /* t.name is "" where it has none */
    struct bytes span, raw;
    int64_t type;
    bool has_raw, is_external;
    struct onnx_external external;
};
/* All but the data. *supported tells whether the element type is one of ours. */
rnnd_code onnx_tensor_head(struct bytes span, struct arena *arena, struct onnx_tensor *out, bool *supported,
                           rnnd_error *err);
/* The data, which must not be external; fills out->t.raw. */
rnnd_code onnx_tensor_data(struct onnx_tensor *out, struct arena *arena, rnnd_error *err);
/* A type of TensorProto as ours; false where there is none. */
bool onnx_stored(int64_t type, enum stored *out);
const char *onnx_type_name(int64_t type);

/* Reads the data of external tensors, whose `t` stands in the checkpoint at index[i]; files lie beside `path`. */
rnnd_code onnx_read_external(struct checkpoint *ck, const struct onnx_tensor *list, const size_t *index, size_t count,
                             const char *path, rnnd_error *err);

/* ---- NodeProto: input 1, output 2, name 3, op_type 4, attribute 5, domain 7. Lives in a scratch arena. ---- */
enum onnx_kind { ONNX_FLOAT = 1, ONNX_INT, ONNX_STRING, ONNX_TENSOR, ONNX_GRAPH, ONNX_FLOATS, ONNX_INTS, ONNX_STRINGS };
struct onnx_attribute {
    const char *name;
    int64_t kind;              /* enum onnx_kind, or another number of the file's */
    int64_t i; float f;
    const char *s;
    struct bytes span;         /* a tensor or graph */
    const int64_t *ints; const float *floats; const char *const *strings;
    size_t count;
};
struct onnx_node {
    const char *op, *domain, *name;
    struct bytes *inputs, *outputs;
    size_t input_count, output_count;
    struct onnx_attribute *attributes;
    size_t attribute_count;
};
/* `caller`: the node that calls the function this one stands in, whose attributes it may name; or NULL. */
rnnd_code onnx_node_read(struct bytes span, const struct onnx_node *caller, struct arena *scratch,
                         struct onnx_node *out, rnnd_error *err);
struct onnx_attribute *onnx_attribute(const struct onnx_node *n, const char *name);

/* ValueInfoProto: name 1, type 2 (tensor_type 1: elem_type 1, shape 2) */
struct onnx_port {
    struct bytes name;
    int64_t type;       /* of TensorProto; 0: not declared */
    bool no_tensor;     /* a sequence, map or optional */
    struct graph_port port;
};
rnnd_code onnx_port_read(struct bytes span, struct onnx_port *out, rnnd_error *err);

/* The order in which the nodes of a graph can run, as numbers into `nodes`; CORRUPT where they need each other. */
rnnd_code onnx_order(const struct bytes *nodes, size_t count, size_t *order, rnnd_error *err);

/* ---- lowering ---- */
struct onnx_scope {
    const struct onnx_scope *parent; /* NULL: the main graph, or a function */
    uint32_t id;
    struct graph_body *body;         /* where nodes go; NULL: the graph itself */
    const struct onnx_node *caller;  /* in a function */
    int64_t opset;
    int depth;
};
struct lowering {
    struct checkpoint *ck;
    const struct onnx_model *model;
    struct graph *g;
    struct names names, ranks; /* ranks: declared ones, for opsets below 13 */
    uint32_t scopes;
    size_t constant_bytes, constant_limit, node_count;
    size_t work; /* bytes of graphs and functions walked through: functions that call functions unfold */
    rnnd_error *err;
};
struct draft { /* a node on its way into the graph: upgrades work on this */
    const char *op;
    struct onnx_node *node;  /* its attributes; inputs and outputs by name */
    int *inputs;             /* value numbers; room for 8 more than input_count */
    int input_count;
    struct arena *scratch;
};
/* The value of a name as seen from a scope; CORRUPT where there is none. */
rnnd_code lower_value(struct lowering *l, const struct onnx_scope *s, struct bytes name, const char *reader, int *out);
/* Constants; the value number, or -1 with the error filled. */
int lower_tensor(struct lowering *l, const struct checkpoint_tensor *t);
int lower_ints(struct lowering *l, const char *name, const int64_t *v, size_t count, int rank);
int lower_float(struct lowering *l, const char *name, float v);
/* A node with one output, beside the one being lowered; "NODE:what" names it. attr NULL: none. */
int lower_extra(struct lowering *l, const struct onnx_scope *s, const char *op, const char *node, const char *what,
                const int *inputs, int input_count, const char *attr, int64_t attr_value);
rnnd_code lower_graph(struct lowering *l, struct bytes graph, struct onnx_scope *s);
rnnd_code lower_node(struct lowering *l, const struct onnx_scope *s, struct bytes span);
/* Puts a name into a scope; CORRUPT where it is there. */
rnnd_code lower_name(struct lowering *l, const struct onnx_scope *s, struct bytes name, int value);
/* The nodes of a graph or function (its fields of that number), in the order in which they can run. */
rnnd_code lower_nodes(struct lowering *l, const struct onnx_scope *s, struct bytes graph, uint32_t field);
/* The function of the file that a node calls, or NULL. */
const struct onnx_function *onnx_function(const struct onnx_model *m, const struct onnx_node *n);
rnnd_code onnx_read_functions(struct onnx_model *m, struct arena *arena, rnnd_error *err);
rnnd_code lower_call(struct lowering *l, const struct onnx_scope *s, const struct onnx_node *n, struct bytes function);
/* Raises it to opset 18. */
rnnd_code onnx_upgrade(struct lowering *l, const struct onnx_scope *s, struct draft *d);
/* Attributes that say nothing new where an op does not know them. */
bool onnx_harmless(const char *op, const struct onnx_attribute *a);

/* What people see of it: framework, layers, ports, taps. */
rnnd_code onnx_network(struct lowering *l, struct arena *arena, struct network *net);

#endif
