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

/* What a processor does at least, operations a second: it only says whether others are worth asking. */
#define MEMBER_FLOPS 5e10
/* Pieces for each member of a team, so that one who comes late leaves little to the others. */
#define PIECES_EACH ((size_t)2)
/* Rows of a piece, so that tiles are not cut; weights that the second cache of any processor holds. */
#define PIECE_ROWS ((size_t)8)
#define PIECE_WEIGHTS ((size_t)3 << 19)

static double seconds_of(const struct packed *w, size_t rows)
{
    return 2.0 * (double)rows * (double)w->k * (double)packed_width(w) / MEMBER_FLOPS;
}

struct project { /* one product, shared by rows */
    const struct cell *cell;
    size_t rows, pieces;
    const float *const *x;
    float *const *projected;
    float *scratch;
};

static void project_piece(void *context, size_t piece)
{
    const struct project *p = context;
    const struct packed *w = &p->cell->own->w_ih;
    size_t first = p->rows * piece / p->pieces, end = p->rows * (piece + 1) / p->pieces;

    for (size_t r = first; r < end; r++)
        memcpy(p->projected[r], p->cell->own->bias, cell_projected_width(p->cell) * sizeof(float));
    for (size_t r = first, n; r < end; r += n) {
        n = end - r < CELL_CHUNK ? end - r : CELL_CHUNK;
        p->cell->kernels->matmul(w, n, p->x + r, p->projected + r, p->scratch);
    }
}

void cell_project(const struct cell *cell, size_t rows, const float *const *x, float *const *projected,
                  struct team *team, float *scratch)
{
    struct project p = {cell, rows, 1, x, projected, scratch};

    double seconds = seconds_of(&cell->own->w_ih, rows);
    bool shares = packed_scratch(&cell->own->w_ih, 1) == 0; /* there is no scratch, or enough for one alone */

    if (team && shares && rows > 1 && seconds > TEAM_SHORTEST) {
        p.pieces = PIECES_EACH * team_threads(team) < rows ? PIECES_EACH * team_threads(team) : rows;
        team_run(team, project_piece, &p, p.pieces, seconds);
    } else {
        project_piece(&p, 0);
    }
}

/* The rows from `first` on. */
static struct cell_rows rows_from(const struct cell *cell, const struct cell_rows *r, size_t first)
{
    bool has_c = cell->c_width != 0;
    return (struct cell_rows){.x = r->x ? r->x + first : NULL, .projected = r->x ? NULL : r->projected + first,
                              .h = r->h + first, .c = has_c ? r->c + first : NULL,
                              .h_next = r->h_next + first, .c_next = has_c ? r->c_next + first : NULL,
                              .backwards = r->backwards};
}

/* A fused step shared by rows, where there are enough of them and each processor has room for all weights: states stay
 * where they are; else by panels: weights stay where they are, and new states go round. */
struct shared_step {
    const struct cell *cell;
    size_t rows, pieces;
    bool by_rows;
    const struct cell_rows *r;
    const float *scratch;
    cell_panels *panels;
};

static void step_piece(void *context, size_t piece)
{
    const struct shared_step *s = context;
    size_t panels = s->cell->own->w_hh.panels, all = s->by_rows ? s->rows : panels;
    size_t first = all * piece / s->pieces, end = all * (piece + 1) / s->pieces;
    if (s->by_rows) {
        struct cell_rows some = rows_from(s->cell, s->r, first);
        s->panels(s->cell, end - first, &some, 0, panels, s->scratch);
    } else {
        s->panels(s->cell, s->rows, s->r, first, end, s->scratch);
    }
}

void cell_share_panels(const struct cell *cell, size_t rows, const struct cell_rows *r, struct team *team,
                       float *scratch, cell_panels *panels)
{
    const struct cell_private *own = cell->own;
    struct shared_step s = {cell, rows, 1, false, r, scratch, panels};
    double seconds = seconds_of(&own->w_hh, rows) + (r->x ? seconds_of(&own->w_ih, rows) : 0);

    cell->kernels->step_inputs(&own->sums, rows, r, scratch);
    if (team && own->w_hh.panels > 1 && seconds > TEAM_SHORTEST) {
        s.pieces = PIECES_EACH * team_threads(team);
        s.by_rows = rows >= s.pieces * PIECE_ROWS && cell->weight_bytes < PIECE_WEIGHTS &&
                    packed_scratch(&own->w_ih, 1) + packed_scratch(&own->w_hh, 1) == 0;
        if (!s.by_rows && s.pieces > own->w_hh.panels) s.pieces = own->w_hh.panels;
        team_run(team, step_piece, &s, s.pieces, seconds);
    } else {
        step_piece(&s, 0);
    }
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

void cell_step(const struct cell *cell, size_t rows, const struct cell_rows *r, struct team *team, float *scratch)
{
    for (size_t i = 0; i < rows; i += CELL_CHUNK) {
        struct cell_rows some = rows_from(cell, r, i);
        some.backwards = r->backwards != (i / CELL_CHUNK % 2 != 0);
        cell->own->type->step(cell, rows - i < CELL_CHUNK ? rows - i : CELL_CHUNK, &some, team, scratch);
    }
}
