/* cell.c -- the table of cells, and what they have in common: checks, the weight block, the input part. */
#include "core/cells/cell.h"

#include <string.h>

#include "core/base/error.h"
#include "core/cells/cell_private.h"

#define WIDEST ((size_t)1 << 24) /* of inputs, hidden and projection: no product of two of them can overflow */

static const struct cell_type *const types[] = {
    [CELL_RNN] = &cell_rnn,
    [CELL_LSTM] = &cell_lstm,
    [CELL_GRU] = &cell_gru,
};

static rnnd_code check_width(const char *cell, const char *what, size_t width, rnnd_error *err)
{
    if (width >= 1 && width <= WIDEST) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, what, "%s wants %s of 1 to %zu, found %zu", cell, what, WIDEST, width);
}

static rnnd_code check_limit(const char *cell, const char *what, float limit, rnnd_error *err)
{
    if (limit >= 0) return RNND_OK;
    return fail_at(err, RNND_INVALID, what, "%s wants a %s of 0 (off) or above, found %g", cell, what, (double)limit);
}

static rnnd_code check_spec(const struct cell_spec *spec, rnnd_error *err)
{
    const char *name = types[spec->kind]->name;
    bool lstm = spec->kind == CELL_LSTM;
    rnnd_code code;

    if ((code = check_width(name, "inputs", spec->inputs, err)) ||
        (code = check_width(name, "hidden", spec->hidden, err)))
        return code;
    if (spec->projection && (code = check_width(name, "projection", spec->projection, err))) return code;
    if ((code = check_limit(name, "clip", spec->clip, err)) ||
        (code = check_limit(name, "cell_clip", spec->cell_clip, err)) ||
        (code = check_limit(name, "projection_clip", spec->projection_clip, err)))
        return code;
    if (!spec->w_ih || !spec->w_hh)
        return fail(err, RNND_INVALID, "%s wants input and recurrent weights, found none", name);
    if (!lstm && (spec->projection || spec->peephole || spec->coupled_input || spec->coupled_forget || spec->c0))
        return fail(err, RNND_UNSUPPORTED,
                    "%s has no projection, peepholes, coupled gates or cell state, found one of them", name);
    if (spec->projection && !spec->w_hr)
        return fail(err, RNND_INVALID, "%s with a projection of %zu wants its weights, found none", name,
                    spec->projection);
    if (spec->coupled_input && spec->coupled_forget)
        return fail(err, RNND_INVALID, "%s couples input and forget gate either way, found both ways at once", name);
    return RNND_OK;
}

static uint64_t count_parameters(const struct cell_spec *spec, const struct cell *cell)
{
    uint64_t rows = (uint64_t)cell->gates * cell->hidden;
    uint64_t count = rows * (cell->inputs + cell->recurrent);

    count += rows * ((spec->b_ih != NULL) + (spec->b_hh != NULL));
    if (spec->projection) count += (uint64_t)spec->projection * cell->hidden;
    if (spec->peephole) count += 3 * (uint64_t)cell->hidden;
    if (spec->h0) count += cell->recurrent;
    if (spec->c0) count += cell->c_width;
    return count;
}

rnnd_code cell_prepare(const struct cell_spec *spec, const struct kernels *kernels, struct cell **out, rnnd_error *err)
{
    struct cell *cell = NULL;
    rnnd_code code = check_spec(spec, err);

    *out = NULL;
    if (code) return code;
    if (!(cell = mem_alloc(1, sizeof *cell)) || !(cell->own = mem_alloc(1, sizeof *cell->own))) {
        code = fail_memory(err, sizeof *cell + sizeof *cell->own);
        goto out;
    }
    cell->own->type = types[spec->kind];
    cell->kind = spec->kind;
    cell->inputs = spec->inputs;
    cell->hidden = spec->hidden;
    cell->recurrent = spec->projection ? spec->projection : spec->hidden;
    cell->gates = cell->own->type->gates;
    cell->c_width = spec->kind == CELL_LSTM ? spec->hidden : 0;
    cell->kernels = kernels;
    cell->parameters = count_parameters(spec, cell);
    code = cell->own->type->prepare(spec, cell, err);
out:
    if (code)
        cell_free(cell);
    else
        *out = cell;
    return code;
}

void cell_free(struct cell *cell)
{
    if (!cell) return;
    if (cell->own) mem_free(cell->own->block);
    mem_free(cell->own);
    mem_free(cell);
}

bool cell_same(const struct cell *a, const struct cell *b)
{
    return a->weight_bytes == b->weight_bytes && memcmp(a->own->block, b->own->block, a->weight_bytes) == 0;
}

static size_t whole_lines(size_t floats)
{
    return (floats + LANES - 1) / LANES * LANES;
}

float *cell_take(struct cell *cell, size_t floats)
{
    float *piece = cell->own->block + cell->own->used;
    cell->own->used += whole_lines(floats);
    return piece;
}

static const float *take_copy(struct cell *cell, const float *from, size_t floats)
{
    if (!from) return NULL;
    return memcpy(cell_take(cell, floats), from, floats * sizeof *from);
}

static enum precision precision_of(const struct cell_spec *spec, size_t k)
{
    return spec->precision == PRECISION_INT8 && k > PACK_INT8_MOST ? PRECISION_FP32 : spec->precision;
}

static size_t matrix_floats(struct cell_matrix m)
{
    return m.gates ? pack_gates_floats(m.k, m.gates, m.units) : pack_dense_floats(m.k, m.units);
}

static void pack_matrix(struct packed *p, float *memory, struct cell_matrix m)
{
    if (m.gates)
        pack_gates(p, memory, m.w, m.k, m.k, m.gates, m.units);
    else
        pack_dense(p, memory, m.w, m.k, m.k, m.units);
}

size_t cell_matrix_floats(const struct cell_spec *spec, struct cell_matrix m)
{
    size_t full = matrix_floats(m);
    enum precision precision = precision_of(spec, m.k);

    if (full == 0 || precision == PRECISION_FP32) return full;
    return pack_reduced_floats(&(struct packed){.k = m.k, .nv = 1, .panels = full / m.k / LANES}, precision);
}

rnnd_code cell_take_matrix(struct cell *cell, const struct cell_spec *spec, struct packed *p, struct cell_matrix m,
                           rnnd_error *err)
{
    float *to = cell_take(cell, cell_matrix_floats(spec, m)), *full;
    size_t floats = matrix_floats(m);
    struct packed packed;

    if (precision_of(spec, m.k) == PRECISION_FP32) {
        pack_matrix(p, to, m);
        return RNND_OK;
    }
    if (!(full = mem_aligned(floats * sizeof *full))) return fail_memory(err, floats * sizeof *full);
    pack_matrix(&packed, full, m);
    pack_reduced(p, to, &packed, spec->precision);
    mem_free(full);
    return RNND_OK;
}

rnnd_code cell_start(struct cell *cell, const struct cell_spec *spec, size_t extra, size_t pieces, rnnd_error *err)
{
    const struct cell_matrix m = {spec->w_ih, cell->inputs, cell->gates, cell->hidden};
    size_t floats = cell_matrix_floats(spec, m) + cell->gates * cell_padded(cell) + extra + (pieces + 1) * LANES;
    rnnd_code code;

    if (spec->h0) floats += whole_lines(cell->recurrent);
    if (spec->c0) floats += whole_lines(cell->c_width);
    cell->weight_bytes = floats * sizeof(float);
    cell->own->block = mem_aligned(cell->weight_bytes);
    if (!cell->own->block) return fail_memory(err, cell->weight_bytes);
    code = cell_take_matrix(cell, spec, &cell->own->w_ih, m, err);
    cell->h0 = take_copy(cell, spec->h0, cell->recurrent);
    cell->c0 = take_copy(cell, spec->c0, cell->c_width);
    return code;
}

rnnd_code cell_fold_bias(struct cell *cell, const struct cell_spec *spec, size_t folded, rnnd_error *err)
{
    size_t count = cell->gates * cell->hidden;
    float *sum = mem_alloc(count, sizeof *sum), *row;

    if (!sum) return fail_memory(err, count * sizeof *sum);
    for (size_t i = 0; i < count; i++) {
        if (spec->b_ih) sum[i] = spec->b_ih[i];
        if (spec->b_hh && i < folded * cell->hidden) sum[i] += spec->b_hh[i];
    }
    row = cell_take(cell, cell->gates * cell_padded(cell));
    pack_gates_row(row, sum, cell->gates, cell->hidden);
    cell->own->bias = row;
    mem_free(sum);
    return RNND_OK;
}

void cell_limit(float *x, size_t n, float limit)
{
    if (!(limit > 0)) return;
    for (size_t i = 0; i < n; i++) x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}

size_t cell_projected_width(const struct cell *cell)
{
    return packed_width(&cell->own->w_ih);
}

void cell_project(const struct cell *cell, size_t rows, const float *const *x, float *const *projected,
                  float *scratch)
{
    size_t bytes = cell_projected_width(cell) * sizeof(float);

    for (size_t r = 0; r < rows; r++) memcpy(projected[r], cell->own->bias, bytes);
    for (size_t r = 0; r < rows; r += CELL_CHUNK)
        cell->kernels->matmul(&cell->own->w_ih, rows - r < CELL_CHUNK ? rows - r : CELL_CHUNK, x + r, projected + r,
                              scratch);
}

void cell_start_rows(const struct cell *cell, size_t rows, const struct cell_rows *r, float *const *acc,
                     float *scratch)
{
    size_t bytes = cell_projected_width(cell) * sizeof(float);

    for (size_t i = 0; i < rows; i++) memcpy(acc[i], r->x ? cell->own->bias : r->projected[i], bytes);
    if (r->x) cell->kernels->matmul(&cell->own->w_ih, rows, r->x, acc, scratch);
}

size_t cell_scratch_floats(const struct cell *cell, size_t rows)
{
    size_t some = rows < CELL_CHUNK ? rows : CELL_CHUNK;
    size_t step = cell->own->type->scratch(cell, some), project = packed_scratch(&cell->own->w_ih, some);
    return step > project ? step : project;
}

void cell_step(const struct cell *cell, size_t rows, const struct cell_rows *r, float *scratch)
{
    bool has_c = cell->c_width != 0;

    for (size_t i = 0; i < rows; i += CELL_CHUNK) {
        struct cell_rows some = {.x = r->x ? r->x + i : NULL, .projected = r->x ? NULL : r->projected + i,
                                 .h = r->h + i, .c = has_c ? r->c + i : NULL,
                                 .h_next = r->h_next + i, .c_next = has_c ? r->c_next + i : NULL,
                                 .backwards = r->backwards != (i / CELL_CHUNK % 2 != 0)};
        cell->own->type->step(cell, rows - i < CELL_CHUNK ? rows - i : CELL_CHUNK, &some, scratch);
    }
}
