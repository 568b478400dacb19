/* rnn.c -- the simple recurrent network (Elman 1990).
 *
 *   a  = W_ih x + b_ih + W_hh h + b_hh        limited to -clip .. clip
 *   h' = act(a) */
#include "core/cells/cell.h"
#include "core/cells/cell_private.h"

static rnnd_code prepare(const struct cell_spec *spec, struct cell *cell, rnnd_error *err)
{
    struct cell_private *own = cell->own;
    size_t w_hh = pack_gates_floats(cell->hidden, 1, cell->hidden);
    rnnd_code code = cell_start(cell, spec, w_hh, 1, err);

    if (code || (code = cell_fold_bias(cell, spec, 1, err))) return code;
    pack_gates(&own->w_hh, cell_take(cell, w_hh), spec->w_hh, cell->hidden, cell->hidden, 1, cell->hidden);
    own->act = spec->cell;
    own->clip = spec->clip;
    return RNND_OK;
}

static void step(const struct cell *cell, size_t rows, float *const *projected, const float *const *h,
                 const float *const *c, float *const *h_next, float *const *c_next, float *scratch)
{
    (void)c, (void)c_next, (void)scratch;
    cell->kernels->matmul(&cell->own->w_hh, rows, h, projected);
    for (size_t r = 0; r < rows; r++) {
        cell_limit(projected[r], cell->hidden, cell->own->clip);
        cell->kernels->activate(cell->own->act, cell->hidden, projected[r], h_next[r]);
    }
}

const struct cell_type cell_rnn = {"rnn", 1, prepare, step};
