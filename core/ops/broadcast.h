/* broadcast.h -- one shape for several tensors, as numpy has it, and the walk over their elements side by side. */
#ifndef RNND_BROADCAST_H
#define RNND_BROADCAST_H

#include "core/ops/op.h"

#define BROADCAST_OPERANDS 3

struct broadcast {
    int rank; /* of the joint shape */
    size_t dim[MAX_RANK];
    size_t count;
    /* The walk: axes that run on without a break for every operand are one, so that the last (the row) is long. */
    int axes;
    size_t extent[MAX_RANK], step[BROADCAST_OPERANDS][MAX_RANK], row[BROADCAST_OPERANDS]; /* row: step within, 0 or 1 */
    size_t width;                                                                         /* elements of a row */
    size_t index[MAX_RANK], at[BROADCAST_OPERANDS];                                       /* where the walk stands */
};

/* The joint shape of count tensors: axes counted from the last, each as long as the others or 1. MISMATCH names the
 * node. */
rnnd_code broadcast_join(struct broadcast *b, const struct graph_node *n, const struct tensor *const *t, int count,
                         rnnd_error *err);
/* Begins the walk over at most BROADCAST_OPERANDS of them in the joint shape; the output is written row after row:
 *     broadcast_begin(&b, t, 2);
 *     for (size_t done = 0; done < b.count; done += b.width, broadcast_next(&b, 2))
 *         ... element i of operand k stands at b.at[k] + i * b.row[k] ... */
void broadcast_begin(struct broadcast *b, const struct tensor *const *t, int operands);
void broadcast_next(struct broadcast *b, int operands);

/* One row of a function of two: a[i * sa] and b[i * sb] give y[i] (y may be a, where sa is 1); false: a division by
 * zero. */
typedef bool (*row_function)(const struct kernels *kernels, size_t n, const void *a, size_t sa, const void *b,
                             size_t sb, void *y);
/* y[joint shape] = f(a, b); b is begun here. False as the row function says. */
bool broadcast_apply(const struct kernels *kernels, struct broadcast *b, row_function f, const struct tensor *x,
                     const struct tensor *y, struct tensor *out);

/* Defines a row_function of two typed elements a and b. */
#define ROW_FUNCTION(name, A, B, Y, expression)                                                                       \
    static bool name(const struct kernels *kernels, size_t n, const void *as, size_t sa, const void *bs, size_t sb,   \
                     void *ys)                                                                                        \
    {                                                                                                                 \
        const A *pa = as;                                                                                             \
        const B *pb = bs;                                                                                             \
        Y *y = ys;                                                                                                    \
        (void)kernels;                                                                                                \
        for (size_t i = 0; i < n; i++) {                                                                              \
            A a = pa[i * sa];                                                                                         \
            B b = pb[i * sb];                                                                                         \
            y[i] = (Y)(expression);                                                                                   \
        }                                                                                                             \
        return true;                                                                                                  \
    }

#endif
