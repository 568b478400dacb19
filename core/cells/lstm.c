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
    size_t hidden = cell->hidden, peephole = spec->peephole ? 3 * hidden : 0;
    const struct cell_matrix w_hh = {spec->w_hh, cell->recurrent, 4, hidden};
    const struct cell_matrix w_hr = {spec->w_hr, hidden, 0, spec->projection};
    size_t floats = cell_matrix_floats(spec, w_hh) + (spec->projection ? cell_matrix_floats(spec, w_hr) : 0);
    rnnd_code code = cell_start(cell, spec, floats + peephole, 3, err);

    if (!code) code = cell_fold_bias(cell, spec, 4, err);
    if (!code) code = cell_take_matrix(cell, spec, &own->w_hh, w_hh, err);
    if (!code && spec->projection) code = cell_take_matrix(cell, spec, &own->w_hr, w_hr, err);
    if (code) return code;
    own->sums = (struct cell_sums){.w_ih = &own->w_ih, .w_hh = &own->w_hh, .bias = own->bias};
    own->projection_clip = spec->projection_clip;
    prepare_epilogue(spec, cell);
    return RNND_OK;
}

/* With a projection, what comes out of the gates [rows][padded hidden] and the sums of its product
 * [rows][packed_width(w_hr)] | the products' */
static size_t scratch(const struct cell *cell, size_t rows)
{
    const struct cell_private *own = cell->own;
    size_t gates = packed_scratch(&own->w_ih, rows) + packed_scratch(&own->w_hh, rows);
    size_t projection = own->w_hr.w ? packed_scratch(&own->w_hr, rows) : 0;
    size_t width = own->w_hr.w ? cell_padded(cell) + packed_width(&own->w_hr) : 0;
    return rows * width + (gates > projection ? gates : projection);
}

static void panels(const struct cell *cell, size_t rows, const struct cell_rows *r, size_t first, size_t end,
                   const float *scratch)
{
    cell->kernels->lstm_step(&cell->own->lstm, &cell->own->sums, rows, r, first, end, scratch);
}

static void step(const struct cell *cell, size_t rows, const struct cell_rows *r, struct team *team, float *memory)
{
    const struct cell_private *own = cell->own;
    size_t padded = cell_padded(cell), width = packed_width(&own->w_hr);
    float *inner[CELL_CHUNK], *acc[CELL_CHUNK], *rest = memory + rows * (padded + width);
    struct cell_rows unprojected = *r;

    if (!own->w_hr.w) {
        cell_share_panels(cell, rows, r, team, memory, panels);
        return;
    }
    assert(rows >= 1 && rows <= CELL_CHUNK);
    for (size_t i = 0; i < rows; i++) {
        inner[i] = memory + i * (padded + width);
        acc[i] = inner[i] + padded;
        memset(acc[i], 0, width * sizeof(float));
    }
    unprojected.h_next = inner;
    cell_share_panels(cell, rows, &unprojected, team, rest, panels);
    cell->kernels->matmul(&own->w_hr, rows, (const float *const *)inner, acc, rest);
    for (size_t i = 0; i < rows; i++) {
        memcpy(r->h_next[i], acc[i], cell->recurrent * sizeof(float));
        cell_limit(r->h_next[i], cell->recurrent, own->projection_clip);
    }
}

const struct cell_type cell_lstm = {"lstm", 4, scratch, prepare, step};
