/* control.h -- what Loop and Scan share: values collected over iterations. */
#ifndef RNND_OPS_CONTROL_H
#define RNND_OPS_CONTROL_H

#include "core/ops/op.h"

#define MAX_ITERATIONS ((int64_t)1000000)
#define CONTROL_ENDS 1024 /* inputs and outputs of a node */

struct collected { /* one output's tensors, one an iteration */
    struct tensor *parts;
    size_t count, cap;
};

/* Adds a tensor; its data is not copied. MISMATCH where its shape is not that of the others. */
rnnd_code collect(struct run_context *rc, const struct graph_node *n, struct collected *c, const struct tensor *t,
                  rnnd_error *err);
/* Output i: all parts side by side along a new axis, in order or, with `backward`, last first. like: the value that
 * says what a part is, where there is none. */
rnnd_code collected_output(struct run_context *rc, const struct graph_node *n, int i, const struct collected *c,
                           int64_t axis, bool backward, int like, rnnd_error *err);

extern const struct op op_scan; /* scan.c */

#endif
