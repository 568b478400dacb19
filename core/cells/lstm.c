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

#include <assert.h>
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
    own->sums = (struct cell_sums){.w_ih = &own->w_ih, .w_hh = &own->w_hh, .bias = own->bias};
    own->projection_clip = spec->projection_clip;
    prepare_epilogue(spec, cell);
    return RNND_OK;
}

/* With a projection: what comes out of the gates [padded hidden] | accumulator of its product [packed_width(w_hr)] */
static size_t scratch(const struct cell *cell)
{
    return cell->own->w_hr.w ? cell_padded(cell) + packed_width(&cell->own->w_hr) : 0;
}

static void step(const struct cell *cell, size_t rows, const struct cell_rows *r, float *memory)
{
    const struct cell_private *own = cell->own;
    size_t padded = cell_padded(cell), width = scratch(cell);
    float *inner[CELL_CHUNK], *acc[CELL_CHUNK];

    if (!own->w_hr.w) {
        cell->kernels->lstm_step(&own->lstm, &own->sums, rows, r->x, r->projected, r->h, r->c, r->c_next, r->h_next);
        return;
    }
    assert(rows >= 1 && rows <= CELL_CHUNK);
    for (size_t i = 0; i < rows; i++) {
        inner[i] = memory + i * width;
        acc[i] = inner[i] + padded;
        memset(acc[i], 0, (width - padded) * sizeof(float));
    }
    cell->kernels->lstm_step(&own->lstm, &own->sums, rows, r->x, r->projected, r->h, r->c, r->c_next, inner);
    cell->kernels->matmul(&own->w_hr, rows, (const float *const *)inner, acc);
    for (size_t i = 0; i < rows; i++) {
        memcpy(r->h_next[i], acc[i], cell->recurrent * sizeof(float));
        cell_limit(r->h_next[i], cell->recurrent, own->projection_clip);
    }
}

const struct cell_type cell_lstm = {"lstm", 4, scratch, prepare, step};
