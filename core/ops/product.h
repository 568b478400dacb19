/* product.h -- rows times a matrix, as MatMul, Gemm, Einsum and the convolutions need it.
 *
 * y[r][o] = start[o] + sum over k of x[r][k] w[o][k], one chain of fused multiply-adds in ascending k, whoever packs w
 * and when: the same bits for a constant and for a computed w, for one row and for many. */
#ifndef RNND_OPS_PRODUCT_H
#define RNND_OPS_PRODUCT_H

#include "core/ops/op.h"

struct matrix { /* element (i, j) = data[i*row + j*col]; one of the two steps is 1 */
    const float *data;
    size_t row, col;
};

struct product_set { /* constant right operands, packed; owned by a node, freed with product_set_free() */
    struct packed *w; /* [count], all of one shape */
    size_t count;
    float *memory;
};

/* Packs `count` matrices w(o, k) of one shape, each k*outputs floats behind the last. k or outputs of 0: *out has
 * memory NULL. Adds to g->weight_bytes. */
rnnd_code product_set_pack(struct graph *g, struct matrix first, size_t count, size_t k, size_t outputs,
                           struct product_set **out, rnnd_error *err);
void product_set_free(struct product_set *set);

struct product { /* one node's product while it runs; all memory is the run's */
    const struct kernels *kernels;
    size_t k, outputs;
    size_t block;     /* rows at a time */
    size_t width;     /* floats of an accumulator row */
    float *acc, *x;   /* [block][width], [block][k] or NULL */
    float **acc_rows; /* [block] */
    const float **x_rows;
    float *packed;    /* room for one w, or NULL */
};

/* Takes scratch for products of at most `rows` rows: with `pack`, for packing w at run time; with `gather`, for rows of
 * x that do not lie in one piece. */
rnnd_code product_start(struct product *p, struct run_context *rc, size_t rows, size_t k, size_t outputs, bool pack,
                        bool gather, rnnd_error *err);
/* w(o, k) packed into the product's own room, until the next one. */
struct packed product_pack(const struct product *p, struct matrix w);
/* y(r, o), any steps; start is an accumulator row [width], NULL = zeros. */
void product_run(const struct product *p, const struct packed *w, size_t rows, struct matrix x, const float *start,
                 float *y, size_t y_row, size_t y_col);

#endif
