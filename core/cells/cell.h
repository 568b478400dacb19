/* cell.h -- recurrent cells: what an RNN, LSTM or GRU layer of one direction is, and stepping a batch of it.
 *
 * Canonical form, to which every file format is lowered: weights row-major [gates*hidden][inputs], gate order
 *   RNN  h                 h' = act(W_ih x + b_ih + W_hh h + b_hh)                        (Elman 1990)
 *   LSTM i f g o           c' = f c + i g,  h' = o tanh(c')                               (Hochreiter 1997, Gers 2000)
 *   GRU  r z n             h' = (1-z) n + z h  (or z n + (1-z) h)                         (Cho 2014)
 *        reset after       n = tanh(W_in x + b_in + r (W_hn h + b_hn))                    (cuDNN, PyTorch, Keras 2+)
 *        reset before      n = tanh(W_in x + b_in + W_hn (r h) + b_hn)                    (the paper's form) */
#ifndef RNND_CELL_H
#define RNND_CELL_H

#include "core/base/mem.h"
#include "core/base/team.h"
#include "core/kernels/kernels.h"
#include "core/rnnd.h"

enum cell_kind { CELL_RNN, CELL_LSTM, CELL_GRU };

struct cell_spec { /* borrowed pointers, needed only during cell_prepare */
    enum cell_kind kind;
    size_t inputs, hidden;
    size_t projection;          /* LSTM: width P of h' = W_hr (o tanh(c')), 0 = none */
    const float *w_ih;          /* [G*H][inputs] */
    const float *w_hh;          /* [G*H][R], R = projection ? projection : hidden */
    const float *b_ih, *b_hh;   /* [G*H] or NULL; the GRU's b_hn stays inside the reset */
    const float *w_hr;          /* [P][H] or NULL */
    const float *peephole;      /* [3][H] i f o, or NULL */
    const float *h0, *c0;       /* trained initial state [R], [H], or NULL for zeros */
    struct act gate, cell, out; /* sigmoid tanh tanh; RNN uses `cell` alone */
    bool reset_before, z_takes_new;
    bool coupled_input, coupled_forget;
    float clip, cell_clip, projection_clip;
    enum precision precision;   /* of the weights; a matrix too wide for INT8 (PACK_INT8_MOST) stays FP32 */
};

/* A cell ready to run: packed weights, immutable. */
struct cell {
    enum cell_kind kind;
    size_t inputs, hidden, recurrent; /* recurrent = width of h */
    size_t gates;                     /* 1, 4, 3 */
    size_t c_width;                   /* hidden for LSTM, else 0 */
    size_t weight_bytes;
    uint64_t parameters;
    const float *h0, *c0;             /* owned copies or NULL */
    const struct kernels *kernels;
    struct cell_private *own;
};

rnnd_code cell_prepare(const struct cell_spec *spec, const struct kernels *kernels, struct cell **out, rnnd_error *err);
void cell_free(struct cell *cell);
/* Whether two prepared from specifications that differ in numbers alone have the same weights, to the bit. */
bool cell_same(const struct cell *a, const struct cell *b);

/* Floats of a projected row, and of scratch that a step or a projection of so many rows needs (64-byte aligned). */
size_t cell_projected_width(const struct cell *cell);
size_t cell_scratch_floats(const struct cell *cell, size_t rows);

/* The input part of any number of rows: projected[r] = bias + W_ih x[r], cell_projected_width floats each. */
void cell_project(const struct cell *cell, size_t rows, const float *const *x, float *const *projected,
                  struct team *team, float *scratch);
/* One step of `rows` sequences: the same bits from x or from projected rows, in any batch, any split of it, by any team
 * (NULL: by the caller alone). */
void cell_step(const struct cell *cell, size_t rows, const struct cell_rows *r, struct team *team, float *scratch);

/* One struct per kind, one table (cell.c). */
struct cell_type {
    const char *name;
    size_t gates;
    size_t (*scratch)(const struct cell *cell, size_t rows); /* floats, for a step of rows <= CELL_CHUNK */
    rnnd_code (*prepare)(const struct cell_spec *spec, struct cell *cell, rnnd_error *err);
    /* rows <= CELL_CHUNK */
    void (*step)(const struct cell *cell, size_t rows, const struct cell_rows *r, struct team *team, float *scratch);
};

#endif
