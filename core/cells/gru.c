/* gru.c -- gated recurrent unit (Cho 2014).
 *
 *   r  = gate(W_ir x + b_ir + W_hr h + b_hr)
 *   z  = gate(W_iz x + b_iz + W_hz h + b_hz)
 *   n  = cell(W_in x + b_in + r (W_hn h + b_hn))      reset after (cuDNN, PyTorch, Keras 2)
 *   n  = cell(W_in x + b_in + W_hn (r h) + b_hn)      reset before (the paper)
 *   h' = (1 - z) n + z h                              or z n + (1 - z) h (z_takes_new)
 * Arguments of gate and cell are limited to -clip .. clip. */
#include "core/cells/cell.h"

#include <assert.h>
#include <string.h>

#include "core/cells/cell_private.h"

/* With reset after, b_hn stays out of the folded bias, because r multiplies it. */
static rnnd_code prepare(const struct cell_spec *spec, struct cell *cell, rnnd_error *err)
{
    struct cell_private *own = cell->own;
    size_t hidden = cell->hidden, gates = spec->reset_before ? 2 : 3;
    size_t w_hh = pack_gates_floats(hidden, gates, hidden), w_hn = pack_gates_floats(hidden, 1, hidden);
    size_t extra = w_hh + (spec->reset_before ? w_hn : cell_padded(cell));
    rnnd_code code = cell_start(cell, spec, extra, 2, err);

    if (code || (code = cell_fold_bias(cell, spec, spec->reset_before ? 3 : 2, err))) return code;
    pack_gates(&own->w_hh, cell_take(cell, w_hh), spec->w_hh, hidden, hidden, gates, hidden);
    if (spec->reset_before) {
        pack_gates(&own->w_hn, cell_take(cell, w_hn), spec->w_hh + 2 * hidden * hidden, hidden, hidden, 1, hidden);
    } else {
        float *b_hn = cell_take(cell, cell_padded(cell));
        pack_gates_row(b_hn, spec->b_hh ? spec->b_hh + 2 * hidden : NULL, 1, hidden);
        own->b_hn = b_hn;
    }
    own->reset_before = spec->reset_before;
    own->gru = (struct gru_epilogue){hidden, spec->gate, spec->cell, spec->z_takes_new, spec->clip};
    return RNND_OK;
}

/* Up to CELL_CHUNK rows. The x part of n moves to scratch and b_hn takes its place, on which W_hn h is summed. */
static void step_after(const struct cell *cell, size_t rows, float *const *projected, const float *const *h,
                       float *const *h_next, float *scratch)
{
    const struct cell_private *own = cell->own;
    size_t padded = cell_padded(cell);
    float *xn[CELL_CHUNK];

    for (size_t r = 0; r < rows; r++) {
        xn[r] = scratch + r * 3 * padded;
        for (size_t at = 0; at < padded; at += LANES) {
            size_t n = 3 * at + 2 * LANES;
            memcpy(xn[r] + n, projected[r] + n, LANES * sizeof(float));
            memcpy(projected[r] + n, own->b_hn + at, LANES * sizeof(float));
        }
    }
    cell->kernels->matmul(&own->w_hh, rows, h, projected);
    cell->kernels->gru_after(&own->gru, rows, projected, xn, h, h_next);
}

/* Up to CELL_CHUNK rows. r and z are summed apart from n, whose recurrent part has to wait for r. */
static void step_before(const struct cell *cell, size_t rows, float *const *projected, const float *const *h,
                        float *const *h_next, float *scratch)
{
    const struct cell_private *own = cell->own;
    size_t padded = cell_padded(cell), pair = 2 * LANES * sizeof(float);
    float *rz[CELL_CHUNK], *rh[CELL_CHUNK], *n[CELL_CHUNK];

    assert(rows >= 1 && rows <= CELL_CHUNK);
    for (size_t r = 0; r < rows; r++) {
        rz[r] = scratch + r * 4 * padded;
        rh[r] = rz[r] + 2 * padded;
        n[r] = rh[r] + padded;
        memset(n[r], 0, padded * sizeof(float));
        for (size_t at = 0; at < padded; at += LANES) memcpy(rz[r] + 2 * at, projected[r] + 3 * at, pair);
    }
    cell->kernels->matmul(&own->w_hh, rows, h, rz);
    for (size_t r = 0; r < rows; r++)
        for (size_t at = 0; at < padded; at += LANES) memcpy(projected[r] + 3 * at, rz[r] + 2 * at, pair);
    cell->kernels->gru_reset(&own->gru, rows, projected, h, rh);
    cell->kernels->matmul(&own->w_hn, rows, (const float *const *)rh, n);
    cell->kernels->gru_before(&own->gru, rows, projected, n, h, h_next);
}

static void step(const struct cell *cell, size_t rows, float *const *projected, const float *const *h,
                 const float *const *c, float *const *h_next, float *const *c_next, float *scratch)
{
    (void)c, (void)c_next;
    for (size_t r = 0; r < rows; r += CELL_CHUNK) {
        size_t n = rows - r < CELL_CHUNK ? rows - r : CELL_CHUNK;
        (cell->own->reset_before ? step_before : step_after)(cell, n, projected + r, h + r, h_next + r, scratch);
    }
}

const struct cell_type cell_gru = {"gru", 3, prepare, step};
