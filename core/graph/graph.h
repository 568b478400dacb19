/* graph.h -- a model's network: values, nodes, constants, states; how it is built, compiled and run.
 *
 * A value is a float32, int64 or bool tensor. There are two kinds of graph, told apart by `tensors`:
 *   a sequence graph   values are [T][B][features]: time first, so that a step is T = 1 and the recurrent ops read rows
 *                      directly. Batched, stepped, carried. formats/stack makes these from layer lists.
 *   a tensor graph     values have any rank and the axes the file gave them; the nodes are ONNX operators (opset 18; op
 *                      names begin with a capital), If, Loop and Scan included. Keras, ONNX and the like lower to
 *                      this. Sequences run one at a time (B = 1). Where it is nothing but a sequence graph written in
 *                      another way, graph/sequence turns it into one. */
#ifndef RNND_GRAPH_H
#define RNND_GRAPH_H

#include "core/base/mem.h"
#include "core/kernels/kernels.h"
#include "core/rnnd.h"

#define MAX_RANK 8
enum dtype { DTYPE_F32, DTYPE_I64, DTYPE_BOOL };

struct tensor { /* run-time value; data is borrowed from an arena, a constant or the caller */
    enum dtype dtype;
    int rank;
    size_t dim[MAX_RANK];
    void *data;
};

struct graph_value {
    const char *name;
    bool is_constant;
    struct tensor constant;
    /* what is known at load: -1 = free (T or B). rank -1 = not known before the run */
    int rank;
    int64_t dim[MAX_RANK];
    enum dtype dtype;
    int folded; /* graph_folded(): 0 = it is itself, v + 1 = value v holds the same, -1 = it is gone */
};

enum attr_kind { ATTR_INT, ATTR_FLOAT, ATTR_STRING, ATTR_INTS, ATTR_FLOATS, ATTR_STRINGS, ATTR_POINTER };
struct attr { const char *name; enum attr_kind kind; int64_t i; float f; const char *s; const void *p; size_t count; };

struct op;
struct graph_node;
struct graph_body { /* what an If, Loop or Scan runs: its values stand in the graph's table, outer ones are in reach */
    struct graph_node *nodes; size_t node_count, node_cap;
    int *inputs;  int input_count;  /* value numbers that the owner sets before the body runs */
    int *outputs; int output_count;
};
struct graph_node {
    const struct op *op;
    const char *name;
    int input_count, output_count;
    int *inputs, *outputs;      /* value numbers; -1 = an optional input that is absent */
    struct attr *attrs; size_t attr_count;
    struct graph_body **bodies; int body_count; /* If: then, else; Loop, Scan: body */
    void *prepared;             /* the op's own: packed weights, a cell */
    uint32_t packed;            /* tensor graphs: bit i says that prepare has taken in input i, a constant, and run will
                                   not read it: its plain form is dropped where no one else does */
};

/* An end of a tensor graph, as the file declares it. */
struct graph_port {
    enum dtype dtype;
    int rank;                    /* -1: not declared */
    int64_t dim[MAX_RANK];       /* -1 = free */
    int batch_axis, time_axis;   /* -1 = there is none */
};

/* A state: a value fed in at the start of a run and its successor read at the end, with width floats per sequence. */
struct graph_state {
    const char *name;
    char kind;                  /* 'h', 'c', or 'x' for anything else */
    int in, out;                /* value numbers, [B][width] */
    size_t width;
    const float *initial;       /* [width] or NULL = zeros */
    bool direct;                /* one cell alone reads it and makes its successor: it works on the caller's rows */
};

struct graph {
    struct arena arena;         /* names, attributes; a constant's data is a block of its own, freed once packed */
    const struct kernels *kernels;
    enum precision precision;   /* sequence graphs: of the weights of cells and dense layers; set before compiling */
    struct graph_value *values; size_t value_count, value_cap;
    struct graph_node *nodes;   size_t node_count, node_cap;
    struct graph_state *states; size_t state_count, state_cap;
    int *inputs;  size_t input_count;   /* [T][B][width] */
    int *outputs; size_t output_count;  /* [T][B][width], or [1][B][width] for output last */
    bool tensors;               /* a tensor graph: */
    struct graph_port *input_ports, *output_ports; /* one for each input and output, in the arena */
    bool output_last;           /* runs answer their last step only */
    bool stepwise;              /* a state is read or made outside a cell: the graph is the function of one step */
    bool causal;                /* steps say what a window says: sessions may carry the state */
    const char *not_causal;     /* which node forbids it, */
    const char *not_causal_why; /* and what it does: "reads whole sequences" */
    uint64_t parameters; size_t weight_bytes;
};

/* Building. Each returns a value or node number, or -1 when out of memory. */
void graph_init(struct graph *g, const struct kernels *kernels);
void graph_free(struct graph *g);
int graph_value(struct graph *g, const char *name);
/* Copies the data; NULL: zeros, for the caller to fill. */
int graph_constant(struct graph *g, const char *name, enum dtype dtype, int rank, const size_t *dim, const void *data);
/* The same without a copy: `data` is from mem_aligned() and becomes the graph's. On failure it stays the caller's. */
int graph_constant_take(struct graph *g, const char *name, enum dtype dtype, int rank, const size_t *dim, void *data);
struct graph_node *graph_node(struct graph *g, const struct op *op, const char *name, int input_count,
                              int output_count);
rnnd_code graph_add_input(struct graph *g, int value);
rnnd_code graph_add_output(struct graph *g, int value);
rnnd_code graph_add_state(struct graph *g, const char *name, char kind, int in, int out, size_t width,
                          const float *initial);
rnnd_code graph_attr_int(struct graph *g, struct graph_node *n, const char *name, int64_t v);
rnnd_code graph_attr_float(struct graph *g, struct graph_node *n, const char *name, float v);
rnnd_code graph_attr_pointer(struct graph *g, struct graph_node *n, const char *name, const void *p);
rnnd_code graph_attr_string(struct graph *g, struct graph_node *n, const char *name, const char *s);
/* Lists: copied; read back through attr.p (int64_t or float) and attr.count. */
rnnd_code graph_attr_ints(struct graph *g, struct graph_node *n, const char *name, const int64_t *v, size_t count);
rnnd_code graph_attr_floats(struct graph *g, struct graph_node *n, const char *name, const float *v, size_t count);
/* ATTR_STRINGS: attr.p is const char *const *, copied */
rnnd_code graph_attr_strings(struct graph *g, struct graph_node *n, const char *name, const char *const *v,
                             size_t count);
/* A new empty body of the node (pointer stays good while nodes are added), NULL when out of memory. */
struct graph_body *graph_add_body(struct graph *g, struct graph_node *n);
/* As graph_node(), but in a body (NULL: the graph itself). Adding a node moves the others: keep no pointers. */
struct graph_node *graph_node_in(struct graph *g, struct graph_body *body, const struct op *op, const char *name,
                                 int input_count, int output_count);
const struct attr *graph_find_attr(const struct graph_node *n, const char *name);
/* Shapes a value, as ops do while they are checked. */
void graph_shape(struct graph *g, int value, int rank, const int64_t *dim);
/* How many node inputs, outputs and states of the graph read this value. */
size_t graph_readers(const struct graph *g, int value);

/* Tells the states that belong to one cell each from those that make the graph a function of one step, whose inputs it
 * then shapes so. MISMATCH where two cells share a state or nobody reads one. Needs all nodes, states and inputs, and
 * comes before any node is checked. */
rnnd_code graph_sort_states(struct graph *g, rnnd_error *err);
/* Checks every node, infers shapes, prepares weights; after this the graph is immutable. */
rnnd_code graph_compile(struct graph *g, rnnd_error *err);

/* Running. A run owns the scratch of one thread: sized once for max_rows sequences of max_steps steps. */
struct graph_run;
struct team;
rnnd_code graph_run_open(const struct graph *g, size_t max_rows, size_t max_steps, struct graph_run **out,
                         rnnd_error *err);
void graph_run_close(struct graph_run *run);
/* Makes room for passes of this size, as graph_run() does by itself where it must. */
rnnd_code graph_run_reserve(struct graph_run *run, size_t rows, size_t steps, rnnd_error *err);
/* Tensor graphs: one pass over whole tensors, one for each of g->inputs, then one for each state's `in`, of any shapes
 * the nodes accept; data is borrowed until the next pass. Afterwards every value of the graph (but those of bodies) can
 * be read, until the next pass. MISMATCH, TOO_LARGE name the node. */
rnnd_code graph_run_tensors(struct graph_run *run, const struct tensor *inputs, rnnd_error *err);
const struct tensor *graph_run_value(const struct graph_run *run, int value);
/* Who shares the work of cells from here on; borrowed, NULL: nobody. */
void graph_run_team(struct graph_run *run, struct team *team);
/* Bytes that passes of a tensor graph may take at most, 4 GiB if never said; beyond, TOO_LARGE. */
void graph_run_limit(struct graph_run *run, size_t bytes);
/* T steps of B sequences: one pass, or, where the graph is stepwise, one for each step. Row pointers:
 * inputs[t*B + b] -> the network input row (all inputs side by side); outputs[t*B + b] likewise, NULL = not wanted
 * (output last: outputs[b] alone); state_in/out[b] -> all states of sequence b side by side, in state order (in place
 * allowed). Grows its scratch only where T or B exceed what it was opened for. */
rnnd_code graph_run(struct graph_run *run, size_t T, size_t B, const float *const *inputs, float *const *outputs,
                    const float *const *state_in, float *const *state_out, rnnd_error *err);

#endif
