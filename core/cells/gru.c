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
    size_t hidden = cell->hidden;
    const struct cell_matrix w_hh = {spec->w_hh, hidden, spec->reset_before ? 2 : 3, hidden};
    const struct cell_matrix w_hn = {spec->w_hh + 2 * hidden * hidden, hidden, 1, hidden};
    size_t extra = spec->reset_before ? cell_matrix_floats(spec, w_hn) : cell_padded(cell);
    rnnd_code code = cell_start(cell, spec, cell_matrix_floats(spec, w_hh) + extra, 2, err);

    if (!code) code = cell_fold_bias(cell, spec, spec->reset_before ? 3 : 2, err);
    if (!code) code = cell_take_matrix(cell, spec, &own->w_hh, w_hh, err);
    if (!code && spec->reset_before) code = cell_take_matrix(cell, spec, &own->w_hn, w_hn, err);
    if (code) return code;
    if (!spec->reset_before) {
        float *b_hn = cell_take(cell, cell_padded(cell));
        pack_gates_row(b_hn, spec->b_hh ? spec->b_hh + 2 * hidden : NULL, 1, hidden);
        own->b_hn = b_hn;
    }
    own->sums = (struct cell_sums){&own->w_ih, &own->w_hh, own->bias, own->b_hn};
    own->reset_before = spec->reset_before;
    own->gru = (struct gru_epilogue){hidden, spec->gate, spec->cell, spec->z_takes_new, spec->clip};
    return RNND_OK;
}

/* With reset before, for each row: gates [3 * padded] | r and z [2 * padded] | r h [padded] | h part of n [padded];
 * then the products' */
static size_t scratch(const struct cell *cell, size_t rows)
{
    size_t products = packed_scratch(&cell->own->w_ih, rows) + packed_scratch(&cell->own->w_hh, rows);
    return (cell->own->reset_before ? 7 * rows * cell_padded(cell) : 0) + products;
}

/* r and z are summed apart from n, whose recurrent part has to wait for r. */
static void step_before(const struct cell *cell, size_t rows, const struct cell_rows *r, float *memory)
{
    const struct cell_private *own = cell->own;
    size_t padded = cell_padded(cell), pair = 2 * LANES * sizeof(float);
    float *gates[CELL_CHUNK], *rz[CELL_CHUNK], *rh[CELL_CHUNK], *n[CELL_CHUNK];
    float *rest = memory + 7 * rows * padded;

    assert(rows >= 1 && rows <= CELL_CHUNK);
    for (size_t i = 0; i < rows; i++) {
        gates[i] = memory + i * 7 * padded;
        rz[i] = gates[i] + 3 * padded;
        rh[i] = rz[i] + 2 * padded;
        n[i] = rh[i] + padded;
    }
    cell_start_rows(cell, rows, r, gates, rest);
    for (size_t i = 0; i < rows; i++) {
        memset(n[i], 0, padded * sizeof(float));
        for (size_t at = 0; at < padded; at += LANES) memcpy(rz[i] + 2 * at, gates[i] + 3 * at, pair);
    }
    cell->kernels->matmul(&own->w_hh, rows, r->h, rz, rest);
    for (size_t i = 0; i < rows; i++)
        for (size_t at = 0; at < padded; at += LANES) memcpy(gates[i] + 3 * at, rz[i] + 2 * at, pair);
    cell->kernels->gru_reset(&own->gru, rows, gates, r->h, rh);
    cell->kernels->matmul(&own->w_hn, rows, (const float *const *)rh, n, rest);
    cell->kernels->gru_before(&own->gru, rows, gates, n, r->h, r->h_next);
}

static void panels(const struct cell *cell, size_t rows, const struct cell_rows *r, size_t first, size_t end,
                   const float *scratch)
{
    cell->kernels->gru_step(&cell->own->gru, &cell->own->sums, rows, r, first, end, scratch);
}

static void step(const struct cell *cell, size_t rows, const struct cell_rows *r, struct team *team, float *memory)
{
    if (cell->own->reset_before)
        step_before(cell, rows, r, memory);
    else
        cell_share_panels(cell, rows, r, team, memory, panels);
}

const struct cell_type cell_gru = {"gru", 3, scratch, prepare, step};
