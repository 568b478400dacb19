/* rnn.c -- the simple recurrent network (Elman 1990).
 *
 *   a  = W_ih x + b_ih + W_hh h + b_hh        limited to -clip .. clip
 *   h' = act(a) */
#include "core/cells/cell.h"

#include <assert.h>
#include "core/cells/cell_private.h"

static rnnd_code prepare(const struct cell_spec *spec, struct cell *cell, rnnd_error *err)
{
    struct cell_private *own = cell->own;
    const struct cell_matrix w_hh = {spec->w_hh, cell->hidden, 1, cell->hidden};
    rnnd_code code = cell_start(cell, spec, cell_matrix_floats(spec, w_hh), 1, err);

    if (!code) code = cell_fold_bias(cell, spec, 1, err);
    if (!code) code = cell_take_matrix(cell, spec, &own->w_hh, w_hh, err);
    own->act = spec->cell;
    own->clip = spec->clip;
    return code;
}

/* sums [rows][padded] | the products' */
static size_t scratch(const struct cell *cell, size_t rows)
{
    size_t x = packed_scratch(&cell->own->w_ih, rows), h = packed_scratch(&cell->own->w_hh, rows);
    return rows * cell_padded(cell) + (x > h ? x : h);
}

static void step(const struct cell *cell, size_t rows, const struct cell_rows *r, struct team *team, float *memory)
{
    float *acc[CELL_CHUNK] = {NULL}, *rest = memory + rows * cell_padded(cell);

    (void)team; /* one gate is little to share */
    assert(rows >= 1 && rows <= CELL_CHUNK);
    for (size_t i = 0; i < rows; i++) acc[i] = memory + i * cell_padded(cell);
    cell_start_rows(cell, rows, r, acc, rest);
    cell->kernels->matmul(&cell->own->w_hh, rows, r->h, acc, rest);
    for (size_t i = 0; i < rows; i++) {
        cell_limit(acc[i], cell->hidden, cell->own->clip);
        cell->kernels->activate(cell->own->act, cell->hidden, acc[i], r->h_next[i]);
    }
}

const struct cell_type cell_rnn = {"rnn", 1, scratch, prepare, step};
