/* op.h -- one operation of a graph: how it is checked, prepared and run; and the one table of all. */
#ifndef RNND_OP_H
#define RNND_OP_H

#include "core/graph/graph.h"

struct run_context { /* what an op sees while it runs */
    const struct graph *graph;
    struct tensor *values;     /* by value number */
    const struct kernels *kernels;
    bool planning;             /* only sizes are wanted: take outputs and scratch, compute nothing, touch no data */
    const float *const *state_in; /* [B] -> all states of a sequence; for nodes that own a direct state */
    float *const *state_out;
    const size_t *state_offset;   /* floats before state i in such a row */
    struct team *team;            /* who shares the work of cells, or NULL */
    size_t turn;                  /* steps run before: cells go through their weights forwards, then backwards */
    /* Where the caller wants the rows of a value, the graph's only output, if they are evenly spaced: step t of
     * sequence b at data + t * by_t + b * by_b. Whoever makes it may put them there, and the tensor's data too; else it
     * is copied. value < 0: nowhere. */
    struct { int value; float *data; size_t by_t, by_b; } place;
    void *(*scratch)(struct run_context *rc, size_t bytes); /* 64-byte aligned, until the run ends; NULL: no memory */
    /* shapes and gives memory to output i of the node */
    rnnd_code (*output)(struct run_context *rc, const struct graph_node *n, int i, enum dtype dtype, int rank,
                        const size_t *dim, rnnd_error *err);
    /* tensor graphs: runs the nodes of a body, whose input values the caller has set; then reads its output values */
    rnnd_code (*run_body)(struct run_context *rc, const struct graph_body *body, rnnd_error *err);
};

struct op {
    const char *name;          /* "lstm", "dense", ... */
    int min_inputs, max_inputs, outputs;
    const char *const *attributes; /* the names it knows, NULL at the end; NULL = none */
    bool causal;               /* a step at a time gives what a window gives */
    bool owns_states;          /* may read and write direct states at inputs and outputs 1 and 2 */
    /* infers output ranks and dims from the inputs', verifies parameters; the sentence names node, wanted, found */
    rnnd_code (*check)(struct graph *g, struct graph_node *n, rnnd_error *err);
    rnnd_code (*prepare)(struct graph *g, struct graph_node *n, rnnd_error *err); /* optional: pack weights */
    void (*release)(struct graph_node *n);                                        /* optional */
    rnnd_code (*run)(struct run_context *rc, const struct graph_node *n, rnnd_error *err);
};

const struct op *op_find(const char *name);

/* Attributes with a default where absent, and widths: what the ops share (op.c). */
int64_t op_int(const struct graph_node *n, const char *name, int64_t absent);
float op_float(const struct graph_node *n, const char *name, float absent);
struct act op_act(const struct graph_node *n, const char *name, struct act absent);
int64_t op_width(const struct graph *g, const struct graph_node *n, int input); /* last dimension, or -1 */
/* The constant behind an input, of this shape (any where rank is 0), or NULL with the error filled; an absent optional
 * one is NULL with *code RNND_OK. */
const float *op_constant(const struct graph *g, const struct graph_node *n, int input, const char *what, int rank,
                         const size_t *dim, rnnd_code *code, rnnd_error *err);
size_t tensor_rows(const struct tensor *t);  /* product of all dimensions but the last */
size_t tensor_width(const struct tensor *t); /* the last one */
size_t tensor_count(const struct tensor *t); /* elements: product of all dimensions, 1 for rank 0 */
size_t dtype_bytes(enum dtype dtype);
/* An input's tensor at run time; NULL where an optional one is absent. */
const struct tensor *op_input(const struct run_context *rc, const struct graph_node *n, int i);

/* The functions that configurations name: "tanh", "hard_sigmoid_keras2", ... with their usual alpha and beta. */
bool act_find(const char *name, struct act *out);
const char *act_name(struct act act);

#endif
