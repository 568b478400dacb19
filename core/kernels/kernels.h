/* kernels.h -- the arithmetic: one table of functions per instruction set, all with the same bits.
 *
 * Rules that make them agree (core/README.md, "numerics"): every sum is one chain of fused multiply-adds in ascending
 * k, starting from the value already in the accumulator; vectors run across units, never across k; activations are one
 * fixed polynomial with explicit FMA; nothing calls libm. kernels_body.h is compiled once per row. Only the sign and
 * payload of a NaN may differ between rows. */
#ifndef RNND_KERNELS_H
#define RNND_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LANES 16 /* units per block, in every row */

/* f(x), with alpha and beta as in the ONNX operators of the same name. They are read by HARD_SIGMOID, LEAKY_RELU
 * (alpha), ELU (alpha), THRESHOLDED_RELU (alpha), SCALED_TANH alpha tanh(beta x) and AFFINE alpha x + beta; the others
 * have none: SELU has its usual constants, HARD_TANH limits -1 and 1, SWISH is x sigmoid(x), GELU x Phi(x). */
enum act_kind {
    ACT_LINEAR, ACT_SIGMOID, ACT_TANH, ACT_RELU,
    ACT_HARD_SIGMOID,     /* clip(alpha x + beta, 0, 1): 0.2/0.5 Keras 2 and ONNX, 1/6 and 0.5 Keras 3 and PyTorch */
    ACT_LEAKY_RELU, ACT_ELU, ACT_SELU, ACT_SOFTPLUS, ACT_SOFTSIGN, ACT_THRESHOLDED_RELU, ACT_SCALED_TANH,
    ACT_AFFINE, ACT_EXP, ACT_RELU6, ACT_HARD_TANH, ACT_SWISH, ACT_GELU, ACT_HARD_SWISH, ACT_MISH, ACT_ABS, ACT_COUNT
};
struct act { enum act_kind kind; float alpha, beta; };

/* How weights are kept. Sums and everything else are float32 in each; each has one answer, whatever the row.
 *   BF16   weights rounded to 8 significant bits, half the memory
 *   INT8   weights and, row by row as they come, inputs in 8 bits, each output and each row of inputs with a scale:
 *          whole-number sums, a quarter of the memory */
enum precision { PRECISION_FP32, PRECISION_BF16, PRECISION_INT8 };

/* A weight matrix y = W x as the kernels read it: panels of nv*16 columns (outputs), [panel][group of k][nv][16], where
 * a group is what fits four bytes: one k, two or four (pack.c says how).
 * Gates packing: panel p holds units 16p..16p+15 of each of nv = G gates. Dense packing: 16*nv consecutive outputs. */
struct packed {
    size_t k;       /* inputs */
    size_t nv;      /* vectors per panel, 1..4 */
    size_t panels;
    const void *w;  /* 64-byte aligned, panels*groups*nv*16 times four bytes */
    enum precision precision;
    const float *scale;    /* INT8: [panels][nv][16] */
    const int32_t *offset; /* INT8: likewise, what a sum starts from: -128 times the sum of a column */
};
/* floats of an accumulator row for this matrix: panels*nv*16 */
static inline size_t packed_width(const struct packed *p) { return p->panels * p->nv * LANES; }
static inline size_t packed_groups(enum precision precision, size_t k)
{
    size_t in_group = precision == PRECISION_INT8 ? 4 : precision == PRECISION_BF16 ? 2 : 1;
    return k / in_group + (k % in_group != 0);
}
/* Floats of scratch (64-byte aligned) that a product of so many rows needs: INT8 keeps the rows' own 8 bits there. */
static inline size_t packed_scratch(const struct packed *p, size_t rows)
{
    size_t line = (packed_groups(PRECISION_INT8, p->k) + LANES - 1) / LANES * LANES;
    return p->precision == PRECISION_INT8 ? rows * line + (rows + LANES - 1) / LANES * LANES : 0;
}

/* Floats needed by pack_*; 0 if it overflows. */
size_t pack_gates_floats(size_t k, size_t gates, size_t units);
size_t pack_dense_floats(size_t k, size_t outputs);
/* w is row-major [gates*units][k], gate after gate (row stride `stride` floats); memory is the caller's, 64-byte
 * aligned. */
void pack_gates(struct packed *p, float *memory, const float *w, size_t stride, size_t k, size_t gates, size_t units);
void pack_dense(struct packed *p, float *memory, const float *w, size_t stride, size_t k, size_t outputs);
/* pack_dense of a matrix that lies the other way round, row-major [k][outputs]: y = x w. */
void pack_dense_columns(struct packed *p, float *memory, const float *w, size_t stride, size_t k, size_t outputs);
/* A packed FP32 matrix in another precision: floats of memory needed (at most its own and two lines of outputs), and
 * the conversion. INT8 takes at most PACK_INT8_MOST inputs, so that no sum overflows. */
#define PACK_INT8_MOST ((size_t)1 << 15)
size_t pack_reduced_floats(const struct packed *from, enum precision precision);
void pack_reduced(struct packed *to, float *memory, const struct packed *from, enum precision precision);
/* The same of one output's k weights, `step` apart, for files: BF16 the upper halves (the lower one of an odd place is
 * the half before it), INT8 the multiples of *largest / 127. weights_restore() makes floats of them, of which
 * pack_reduced() makes what it would have made of the weights: the same bits. */
void weights_reduce(enum precision precision, const float *w, size_t step, size_t k, void *reduced, size_t reduced_step,
                    float *largest);
/* `step` is that of both. */
void weights_restore(enum precision precision, const void *reduced, float largest, size_t step, size_t k, float *w);
/* Spreads a bias [gates*units] (NULL = zeros) to the layout of an accumulator row, padding with 0. */
void pack_gates_row(float *row, const float *bias, size_t gates, size_t units);

/* Epilogues. All row arrays are [rows] pointers; accumulators in gates layout: [panel][gate][16]. Output rows are exact
 * (hidden floats); inputs and outputs of the same row may be the same memory, different rows never overlap. */
struct lstm_epilogue { /* gates i f g o; c' = f c + i g, h = o act_h(c') */
    size_t hidden;
    struct act gate, cell, out;  /* usually sigmoid, tanh, tanh */
    const float *peephole;       /* [3][hidden] i f o, or NULL: i, f see c, o sees c' */
    bool coupled_forget;         /* ONNX input_forget: f = 1 - i */
    bool coupled_input;          /* CIFG: i = 1 - f */
    float clip;                  /* of gate pre-activations, peephole term included; 0 = off */
    float cell_clip;             /* of c' after the update; 0 = off */
};
struct gru_epilogue { /* gates r z n */
    size_t hidden;
    struct act gate, cell;
    bool z_takes_new;            /* false: h = (1-z) n + z h.  true: h = (1-z) h + z n */
    float clip;
};

struct cell_sums { /* what the gates of a cell are summed from; gates layout, panel by panel */
    const struct packed *w_ih, *w_hh;
    const float *bias; /* an accumulator row */
    const float *b_hn; /* GRU: [panels][16], what the h part of n starts from */
};

/* One step of a cell, sequence by sequence: its inputs x, or, where x is NULL, projected rows, which hold the bias and
 * the x part already. c_next[r] may be c[r], h_next[r] must not overlap any h; c, c_next are NULL for cells without
 * c. */
struct cell_rows {
    const float *const *x, *const *projected, *const *h, *const *c;
    float *const *h_next, *const *c_next;
    /* Steps that take turns in it find the weights that the one before left in the cache, where not all fit there. */
    bool backwards;
};

struct kernels {
    const char *name;
    /* acc[r][*] = fma chain over k of w and x[r][0..k) on top of what acc[r] holds. x rows are exact: never read past
     * k. scratch: packed_scratch() floats. */
    void (*matmul)(const struct packed *w, size_t rows, const float *const *x, float *const *acc, float *scratch);
    /* y = act(x), n floats; in place allowed. */
    void (*activate)(struct act act, size_t n, const float *x, float *y);
    /* One step of `rows` sequences, fused panel by panel, of which first .. end - 1 are done here, from the last to the
     * first if the rows are to go backwards. scratch: packed_scratch() floats of w_ih, then of w_hh, which
     * step_inputs() has filled for all panels. */
    void (*step_inputs)(const struct cell_sums *s, size_t rows, const struct cell_rows *r, float *scratch);
    void (*lstm_step)(const struct lstm_epilogue *e, const struct cell_sums *s, size_t rows, const struct cell_rows *r,
                      size_t first, size_t end, const float *scratch);
    /* GRU, reset after the product: n = act(x part + r * h part). */
    void (*gru_step)(const struct gru_epilogue *e, const struct cell_sums *s, size_t rows, const struct cell_rows *r,
                     size_t first, size_t end, const float *scratch);
    /* GRU, reset before: first rh = act(acc.r) * h_prev from acc [panel][gate][16] with gates r z n (n holds the x
     * part); then, after a matmul of rh with the n weights into nacc [panel][16], which started at 0, the update with
     * n = act(acc.n + nacc). */
    void (*gru_reset)(const struct gru_epilogue *e, size_t rows, float *const *acc, const float *const *h_prev,
                      float *const *rh);
    void (*gru_before)(const struct gru_epilogue *e, size_t rows, float *const *acc, float *const *nacc,
                       const float *const *h_prev, float *const *h);
    /* over one row of n floats, one fixed order: lane sums of 16, then a fixed tree; in place allowed; gain and bias
     * may be NULL */
    void (*softmax)(size_t n, const float *x, float *y);
    void (*log_softmax)(size_t n, const float *x, float *y);
    void (*layer_norm)(size_t n, const float *x, const float *gain, const float *bias, float epsilon, float *y);
    /* y = a op b, n floats; scale_shift: y = fma(x, scale, shift) */
    void (*add)(size_t n, const float *a, const float *b, float *y);
    void (*sub)(size_t n, const float *a, const float *b, float *y);
    void (*mul)(size_t n, const float *a, const float *b, float *y);
    void (*scale_shift)(size_t n, const float *x, const float *scale, const float *shift, float *y);
    bool (*finite)(size_t n, const float *x); /* none is NaN or infinite */
};

/* The best row for this processor, or the named one ("baseline", "avx2", "avx512", or "fast": OpenBLAS inside, other
 * bits); NULL if it cannot run here. */
const struct kernels *kernels_pick(const char *name);
/* All rows with the one answer that can run here, best first. */
size_t kernels_list(const struct kernels *const **rows);

/* Scalar functions with the same bits on every machine (libm's differ between processors). */
double fixed_exp(double x);
double fixed_log(double x);
double fixed_normal_quantile(double p); /* inverse of the standard normal distribution, 0 < p < 1 */
double fixed_pow(double x, double y);   /* special cases as C's pow; relative error 1e-15 |y log x| */
/* For floats: x must be one widened. Correct to about one unit in the last place of a float. */
double fixed_erf(double x);
double fixed_sin(double x);
double fixed_cos(double x);

#endif
