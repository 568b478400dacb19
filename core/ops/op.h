/* op.h -- one operation of a graph: how it is checked, prepared and run; and the one table of all. */
#ifndef RNND_OP_H
#define RNND_OP_H

#include "core/graph/graph.h"

struct run_context { /* what an op sees while it runs */
    const struct graph *graph;
    struct tensor *values;     /* by value number */
    const struct kernels *kernels;
    void *(*scratch)(struct run_context *rc, size_t bytes); /* 64-byte aligned, until the run ends; NULL: no memory */
    /* shapes and gives memory to output i of the node */
    rnnd_code (*output)(struct run_context *rc, const struct graph_node *n, int i, enum dtype dtype, int rank,
                        const size_t *dim, rnnd_error *err);
};

struct op {
    const char *name;          /* "lstm", "dense", ... */
    int min_inputs, max_inputs, outputs;
    bool causal;               /* a step at a time gives what a window gives */
    /* infers output ranks and dims from the inputs', verifies parameters; the sentence names node, wanted, found */
    rnnd_code (*check)(struct graph *g, struct graph_node *n, rnnd_error *err);
    rnnd_code (*prepare)(struct graph *g, struct graph_node *n, rnnd_error *err); /* optional: pack weights */
    void (*release)(struct graph_node *n);                                        /* optional */
    rnnd_code (*run)(struct run_context *rc, const struct graph_node *n, rnnd_error *err);
};

const struct op *op_find(const char *name);

#endif
