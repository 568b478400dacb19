/* lstm.c -- long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers 2000; peepholes p: Gers 2002;
 * projection: Sak 2014; coupled gates: Greff 2017).
 *
 *   a_i, a_f, a_g, a_o = W_ih x + b_ih + W_hh h + b_hh
 *   i  = gate(a_i + p_i c)      or 1 - f (coupled_input)
 *   f  = gate(a_f + p_f c)      or 1 - i (coupled_forget)
 *   g  = cell(a_g)              arguments of gate and cell are limited to -clip .. clip
 *   c' = f c + i g              limited to -cell_clip .. cell_clip
 *   o  = gate(a_o + p_o c')
 *   h' = o out(c')              or W_hr (o out(c')), limited to -projection_clip .. projection_clip */
#include "core/cells/cell.h"

#include <string.h>

#include "core/cells/cell_private.h"

static void prepare_epilogue(const struct cell_spec *spec, struct cell *cell)
{
    cell->own->lstm = (struct lstm_epilogue){
        .hidden = cell->hidden,
        .gate = spec->gate,
        .cell = spec->cell,
        .out = spec->out,
        .coupled_forget = spec->coupled_forget,
        .coupled_input = spec->coupled_input,
        .clip = spec->clip,
        .cell_clip = spec->cell_clip,
    };
    if (spec->peephole) {
        size_t count = 3 * cell->hidden;
        cell->own->lstm.peephole = memcpy(cell_take(cell, count), spec->peephole, count * sizeof(float));
    }
}

static rnnd_code prepare(const struct cell_spec *spec, struct cell *cell, rnnd_error *err)
{
    struct cell_private *own = cell->own;
    size_t width = cell->recurrent, hidden = cell->hidden;
    size_t w_hh = pack_gates_floats(width, 4, hidden);
    size_t w_hr = spec->projection ? pack_dense_floats(hidden, spec->projection) : 0;
    size_t peephole = spec->peephole ? 3 * hidden : 0;
    rnnd_code code = cell_start(cell, spec, w_hh + w_hr + peephole, 3, err);

    if (code || (code = cell_fold_bias(cell, spec, 4, err))) return code;
    pack_gates(&own->w_hh, cell_take(cell, w_hh), spec->w_hh, width, width, 4, hidden);
    if (w_hr) pack_dense(&own->w_hr, cell_take(cell, w_hr), spec->w_hr, hidden, hidden, spec->projection);
    own->projection_clip = spec->projection_clip;
    prepare_epilogue(spec, cell);
    return RNND_OK;
}

/* Up to CELL_CHUNK rows of a cell with projection: gates and c', then h' = W_hr of what came out. */
static void step_projected(const struct cell *cell, size_t rows, float *const *projected, const float *const *c,
                           float *const *h_next, float *const *c_next, float *scratch)
{
    const struct cell_private *own = cell->own;
    size_t padded = cell_padded(cell), width = packed_width(&own->w_hr);
    float *inner[CELL_CHUNK], *acc[CELL_CHUNK];

    for (size_t r = 0; r < rows; r++) {
        inner[r] = scratch + r * (padded + width);
        acc[r] = inner[r] + padded;
        memset(acc[r], 0, width * sizeof(float));
    }
    cell->kernels->lstm(&own->lstm, rows, projected, c, c_next, inner);
    cell->kernels->matmul(&own->w_hr, rows, (const float *const *)inner, acc);
    for (size_t r = 0; r < rows; r++) {
        memcpy(h_next[r], acc[r], cell->recurrent * sizeof(float));
        cell_limit(h_next[r], cell->recurrent, own->projection_clip);
    }
}

static void step(const struct cell *cell, size_t rows, float *const *projected, const float *const *h,
                 const float *const *c, float *const *h_next, float *const *c_next, float *scratch)
{
    const struct cell_private *own = cell->own;

    cell->kernels->matmul(&own->w_hh, rows, h, projected);
    if (!own->w_hr.w) {
        cell->kernels->lstm(&own->lstm, rows, projected, c, c_next, h_next);
        return;
    }
    for (size_t r = 0; r < rows; r += CELL_CHUNK) {
        size_t n = rows - r < CELL_CHUNK ? rows - r : CELL_CHUNK;
        step_projected(cell, n, projected + r, c + r, h_next + r, c_next + r, scratch);
    }
}

const struct cell_type cell_lstm = {"lstm", 4, prepare, step};
