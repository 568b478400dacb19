/* one_op.h -- a tensor graph of one node, for tests that want its bits. */
#ifndef RNND_TESTS_ONE_OP_H
#define RNND_TESTS_ONE_OP_H

#include "core/graph/graph.h"

struct one_op_input { /* an input of the node */
    bool absent, constant;
    struct tensor t; /* data borrowed */
};

/* A float tensor of this rank over borrowed data. */
struct tensor float_tensor(float *data, int rank, const size_t *dim);
/* [count] floats between -1 and 1, the same for the same seed; freed with free(). */
float *random_floats(size_t count, unsigned seed);

/* Runs the operator once on this row of kernels; add_attrs may be NULL. Output i is copied to y[i], freed with free();
 * one whose y[i] is NULL at the call is not asked for. Fails the test where it does not run. shapes may be NULL. */
void one_op_run(const char *op, const struct kernels *kernels, void (*add_attrs)(struct graph *g, struct graph_node *n),
                const struct one_op_input *inputs, int input_count, void **y, struct tensor *shapes, int output_count);

#endif
