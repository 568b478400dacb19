/* window.h -- where the windows of convolutions and pooling lie: strides, pads, dilations, auto_pad; and what the files
 * of ops_convolution give one another. */
#ifndef RNND_OPS_WINDOW_H
#define RNND_OPS_WINDOW_H

#include "core/ops/op.h"

struct window { /* two spatial axes; one is [1] alone, [0] then has size and kernel 1 */
    int rank;   /* spatial axes: 1 or 2 */
    bool transposed;
    size_t in[2], out[2], kernel[2];
    int64_t stride[2], dilation[2], begin[2], end[2]; /* begin, end: padding */
};

/* x is [N][C][in...]; kernel has one number for each spatial axis. MISMATCH, UNSUPPORTED (three spatial axes). */
rnnd_code window_find(const struct graph_node *n, const struct tensor *x, const size_t *kernel, bool transposed,
                      struct window *w, rnnd_error *err);
/* Output 0 as [N][C][out...]. */
rnnd_code window_output(struct run_context *rc, const struct graph_node *n, const struct window *w, size_t N, size_t C,
                        rnnd_error *err);

/* The place in x along an axis that kernel element k sees from output o; negative or beyond in[axis]: padding. */
static inline int64_t window_place(const struct window *w, int axis, size_t o, size_t k)
{
    int64_t at = (int64_t)k * w->dilation[axis];
    if (!w->transposed) return (int64_t)o * w->stride[axis] + at - w->begin[axis];
    at = (int64_t)o + w->begin[axis] - at;
    return at >= 0 && at % w->stride[axis] == 0 ? at / w->stride[axis] : -1;
}

extern const struct op op_max_pool, op_average_pool, op_global_max_pool, op_global_average_pool; /* pool.c */
extern const struct op op_resize, op_upsample;                                                   /* resize.c */

#endif
