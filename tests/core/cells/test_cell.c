/* test_cell.c -- every variant of every cell against its equations in double precision, written down independently of
 * core/cells; batches against single sequences; what a specification may not say; memory that runs out. */
#include "core/cells/cell.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"

enum { STEPS = 6 };

static struct rng rng;
static struct team *team; /* who shares the steps of batch_run(), or NULL */

static size_t draw(size_t low, size_t high)
{
    return low + rng_u32(&rng) % (high - low + 1);
}

static bool coin(void)
{
    return rng_u32(&rng) & 1;
}

static float *floats(size_t n, float scale)
{
    float *p = mem_alloc(n, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = (float)(rng_unit(&rng) * 2 - 1) * scale;
    return p;
}

static struct act draw_act(bool is_gate)
{
    static const struct act some[] = {{ACT_SIGMOID, 0, 0}, {ACT_HARD_SIGMOID, 0.2f, 0.5f}, {ACT_TANH, 0, 0},
                                      {ACT_SOFTSIGN, 0, 0}, {ACT_RELU, 0, 0}};
    return some[rng_u32(&rng) % (is_gate ? 2 : 5)];
}

static void draw_specials(struct cell_spec *s)
{
    size_t H = s->hidden;
    if (coin()) s->clip = 0.8f;
    s->gate = coin() ? (struct act){ACT_SIGMOID, 0, 0} : draw_act(true);
    s->cell = coin() ? (struct act){ACT_TANH, 0, 0} : draw_act(false);
    s->out = coin() ? s->cell : draw_act(false);
    if (s->kind == CELL_GRU) {
        s->reset_before = coin();
        s->z_takes_new = coin();
    }
    if (s->kind != CELL_LSTM) return;
    if (coin()) s->peephole = floats(3 * H, 0.7f);
    if (coin()) s->cell_clip = 0.6f;
    unsigned which = rng_u32(&rng) % 3;
    s->coupled_input = which == 1;
    s->coupled_forget = which == 2;
    if (s->projection && coin()) s->projection_clip = 0.3f;
}

static struct cell_spec spec_make(enum cell_kind kind)
{
    static const size_t gates[] = {1, 4, 3};
    struct cell_spec s = {.kind = kind, .inputs = draw(1, 40), .hidden = draw(1, 50)};
    size_t G = gates[kind], H = s.hidden;
    if (kind == CELL_LSTM && coin()) s.projection = draw(1, 40);
    size_t R = s.projection ? s.projection : H;
    s.w_ih = floats(G * H * s.inputs, 0.5f);
    s.w_hh = floats(G * H * R, 0.5f);
    if (coin()) s.b_ih = floats(G * H, 0.5f);
    if (coin()) s.b_hh = floats(G * H, 0.5f);
    if (s.projection) s.w_hr = floats(s.projection * H, 0.5f);
    if (coin()) s.h0 = floats(R, 0.5f);
    if (coin() && kind == CELL_LSTM) s.c0 = floats(H, 0.5f);
    draw_specials(&s);
    return s;
}

static void spec_free(struct cell_spec *s)
{
    const float *const all[] = {s->w_ih, s->w_hh, s->b_ih, s->b_hh, s->w_hr, s->h0, s->c0, s->peephole};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free((void *)all[i]);
}

/* ---- the equations again, in double, one unit at a time --------------------------------------------------------- */

static double act_of(struct act a, double x)
{
    switch (a.kind) {
    case ACT_SIGMOID: return 1 / (1 + exp(-x));
    case ACT_TANH: return tanh(x);
    case ACT_HARD_SIGMOID: return fmin(1, fmax(0, (double)a.alpha * x + (double)a.beta));
    case ACT_RELU: return x > 0 ? x : 0;
    case ACT_SOFTSIGN: return x / (1 + fabs(x));
    default: return NAN;
    }
}

static double limited(float clip, double x)
{
    return clip > 0 ? fmin((double)clip, fmax(-(double)clip, x)) : x;
}

static double dot(const float *w, const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)w[i] * v[i];
    return sum;
}

static double input_part(const struct cell_spec *s, size_t row, const double *x)
{
    return dot(s->w_ih + row * s->inputs, x, s->inputs) + (s->b_ih ? (double)s->b_ih[row] : 0);
}

static double hidden_part(const struct cell_spec *s, size_t row, const double *h)
{
    size_t R = s->projection ? s->projection : s->hidden;
    return dot(s->w_hh + row * R, h, R) + (s->b_hh ? (double)s->b_hh[row] : 0);
}

static void lstm_reference(const struct cell_spec *s, const double *x, double *h, double *c)
{
    size_t H = s->hidden;
    double out[64], next[64];
    for (size_t u = 0; u < H; u++) {
        double a[4], p[3] = {0};
        for (size_t g = 0; g < 4; g++) a[g] = input_part(s, g * H + u, x) + hidden_part(s, g * H + u, h);
        for (size_t g = 0; g < 3 && s->peephole; g++) p[g] = (double)s->peephole[g * H + u];
        double i = act_of(s->gate, limited(s->clip, a[0] + p[0] * c[u]));
        double f = act_of(s->gate, limited(s->clip, a[1] + p[1] * c[u]));
        double g = act_of(s->cell, limited(s->clip, a[2]));
        if (s->coupled_forget) f = 1 - i;
        if (s->coupled_input) i = 1 - f;
        next[u] = limited(s->cell_clip, f * c[u] + i * g);
        out[u] = act_of(s->gate, limited(s->clip, a[3] + p[2] * next[u])) * act_of(s->out, next[u]);
    }
    memcpy(c, next, H * sizeof *c);
    if (!s->projection) memcpy(h, out, H * sizeof *h);
    for (size_t u = 0; u < s->projection; u++) h[u] = limited(s->projection_clip, dot(s->w_hr + u * H, out, H));
}

static void gru_reference(const struct cell_spec *s, const double *x, double *h)
{
    size_t H = s->hidden;
    double r[64], z[64], rh[64], next[64];
    for (size_t u = 0; u < H; u++) {
        r[u] = act_of(s->gate, limited(s->clip, input_part(s, u, x) + hidden_part(s, u, h)));
        z[u] = act_of(s->gate, limited(s->clip, input_part(s, H + u, x) + hidden_part(s, H + u, h)));
        rh[u] = r[u] * h[u];
    }
    for (size_t u = 0; u < H; u++) {
        size_t row = 2 * H + u;
        double recurrent = s->reset_before ? hidden_part(s, row, rh) : r[u] * hidden_part(s, row, h);
        double n = act_of(s->cell, limited(s->clip, input_part(s, row, x) + recurrent));
        next[u] = s->z_takes_new ? z[u] * n + (1 - z[u]) * h[u] : (1 - z[u]) * n + z[u] * h[u];
    }
    memcpy(h, next, H * sizeof *h);
}

static void rnn_reference(const struct cell_spec *s, const double *x, double *h)
{
    double next[64];
    for (size_t u = 0; u < s->hidden; u++)
        next[u] = act_of(s->cell, limited(s->clip, input_part(s, u, x) + hidden_part(s, u, h)));
    memcpy(h, next, s->hidden * sizeof *h);
}

/* ---- running the real thing ------------------------------------------------------------------------------------- */

enum { MOST = 200 };

struct batch { /* sequences, each array allocated exactly */
    size_t rows;
    float *x[STEPS][MOST], *h[MOST], *h_next[MOST], *c[MOST], *projected[MOST];
};

static struct batch *batch_make(const struct cell *cell, size_t rows)
{
    struct batch *b = mem_alloc(1, sizeof *b);
    assert_non_null(b);
    b->rows = rows;
    for (size_t r = 0; r < rows; r++) {
        for (size_t t = 0; t < STEPS; t++) b->x[t][r] = floats(cell->inputs, 1);
        b->h[r] = floats(cell->recurrent, 0.5f);
        b->h_next[r] = floats(cell->recurrent, 0.5f);
        b->c[r] = cell->c_width ? floats(cell->c_width, 0.5f) : NULL;
        b->projected[r] = floats(cell_projected_width(cell), 1);
        if (cell->h0) memcpy(b->h[r], cell->h0, cell->recurrent * sizeof(float));
        if (cell->c0) memcpy(b->c[r], cell->c0, cell->c_width * sizeof(float));
    }
    return b;
}

static void batch_free(struct batch *b)
{
    for (size_t r = 0; r < b->rows; r++) {
        for (size_t t = 0; t < STEPS; t++) mem_free(b->x[t][r]);
        mem_free(b->h[r]), mem_free(b->h_next[r]), mem_free(b->c[r]), mem_free(b->projected[r]);
    }
    mem_free(b);
}

/* One step of rows from..from+n-1 from x, or from their projections where x is NULL; c in place. */
static void batch_step(const struct cell *cell, struct batch *b, float *const *x, float *const *projected, size_t from,
                       size_t n, float *scratch)
{
    const struct cell_rows rows = {.x = (const float *const *)x, .projected = (const float *const *)projected,
                                   .h = (const float *const *)b->h + from, .c = (const float *const *)b->c + from,
                                   .h_next = b->h_next + from, .c_next = b->c + from};
    cell_step(cell, n, &rows, team, scratch);
    for (size_t r = from; r < from + n; r++) {
        float *old = b->h[r];
        b->h[r] = b->h_next[r];
        b->h_next[r] = old;
    }
}

/* Steps rows from..from+n-1 through the inputs of steps first..end-1, every other step by way of a projection. */
static void batch_run(const struct cell *cell, struct batch *b, size_t first, size_t end, size_t from, size_t n)
{
    float *scratch = mem_aligned(cell_scratch_floats(cell, n) * sizeof(float));
    assert_non_null(scratch);
    mem_fail_at(0);
    for (size_t t = first; t < end; t++) {
        bool project = (t + from) % 2;
        if (project) cell_project(cell, n, (const float *const *)b->x[t] + from, b->projected + from, team, scratch);
        batch_step(cell, b, project ? NULL : b->x[t] + from, b->projected + from, from, n, scratch);
    }
    assert_int_equal(mem_fail_at(0), 0); /* a step never allocates */
    mem_free(scratch);
}

static struct cell *prepared(const struct cell_spec *s, const struct kernels *kernels)
{
    struct cell *cell;
    rnnd_error err = {0};
    if (cell_prepare(s, kernels, &cell, &err)) print_message("%s\n", err.message);
    assert_non_null(cell);
    return cell;
}

static void compare(const struct cell_spec *s, const struct cell *cell, const struct batch *b, size_t r,
                    const double *h, const double *c)
{
    double h_most = 1, c_most = 1;
    for (size_t u = 0; u < cell->recurrent; u++) h_most = fmax(h_most, fabs(h[u]));
    for (size_t u = 0; u < cell->c_width; u++) c_most = fmax(c_most, fabs(c[u]));
    for (size_t u = 0; u < cell->recurrent; u++)
        if (!(fabs((double)b->h[r][u] - h[u]) <= 1e-5 * h_most)) {
            print_message("kind %d inputs %zu hidden %zu row %zu: h[%zu] = %.9g, not %.9g\n", s->kind, s->inputs,
                          s->hidden, r, u, (double)b->h[r][u], h[u]);
            assert_true(false);
        }
    for (size_t u = 0; u < cell->c_width; u++) assert_true(fabs((double)b->c[r][u] - c[u]) <= 1e-5 * c_most);
}

/* Every step starts both sides from the same state: a difference may grow from step to step. */
static void cells_follow_their_equations(void **unused)
{
    (void)unused;
    for (int round = 0; round < 600; round++) {
        struct cell_spec s = spec_make((enum cell_kind)(round % 3));
        struct cell *cell = prepared(&s, kernels_pick(NULL));
        struct batch *b = batch_make(cell, draw(1, 9));
        for (size_t t = 0; t < STEPS; t++) {
            double h[9][64], c[9][64], x[64];
            for (size_t r = 0; r < b->rows; r++) {
                for (size_t u = 0; u < cell->recurrent; u++) h[r][u] = (double)b->h[r][u];
                for (size_t u = 0; u < cell->c_width; u++) c[r][u] = (double)b->c[r][u];
                for (size_t i = 0; i < s.inputs; i++) x[i] = (double)b->x[t][r][i];
                if (s.kind == CELL_LSTM) lstm_reference(&s, x, h[r], c[r]);
                if (s.kind == CELL_GRU) gru_reference(&s, x, h[r]);
                if (s.kind == CELL_RNN) rnn_reference(&s, x, h[r]);
            }
            batch_run(cell, b, t, t + 1, 0, b->rows);
            for (size_t r = 0; r < b->rows; r++) compare(&s, cell, b, r, h[r], c[r]);
        }
        batch_free(b);
        cell_free(cell);
        spec_free(&s);
    }
}

static struct batch *batch_copy(const struct cell *cell, const struct batch *from)
{
    struct batch *b = batch_make(cell, from->rows);
    for (size_t r = 0; r < b->rows; r++) {
        for (size_t t = 0; t < STEPS; t++) memcpy(b->x[t][r], from->x[t][r], cell->inputs * sizeof(float));
        memcpy(b->h[r], from->h[r], cell->recurrent * sizeof(float));
        if (b->c[r]) memcpy(b->c[r], from->c[r], cell->c_width * sizeof(float));
    }
    return b;
}

static void batch_same(const struct cell *cell, const struct batch *a, const struct batch *b)
{
    for (size_t r = 0; r < a->rows; r++) {
        assert_memory_equal(a->h[r], b->h[r], cell->recurrent * sizeof(float));
        if (cell->c_width) assert_memory_equal(a->c[r], b->c[r], cell->c_width * sizeof(float));
    }
}

/* Whole batch, two parts by a team and single rows; every row of kernels; more rows than a chunk. */
static void one_answer(void **unused)
{
    (void)unused;
    struct team *helpers;
    rnnd_error err;
    assert_int_equal(team_open(3, &helpers, &err), RNND_OK);
    const struct kernels *const *all;
    size_t count = kernels_list(&all);
    for (int round = 0; round < 54; round++) {
        struct cell_spec s = spec_make((enum cell_kind)(round % 3));
        s.precision = (enum precision)(round / 3 % 3);
        struct cell *cell = prepared(&s, all[0]);
        struct batch *start = batch_make(cell, round < 48 ? draw(1, 14) : draw(97, MOST));
        struct batch *want = batch_copy(cell, start);
        batch_run(cell, want, 0, STEPS, 0, want->rows);
        for (size_t k = 0; k < count; k++) {
            struct cell *other = prepared(&s, all[k]);
            struct batch *split = batch_copy(cell, start), *single = batch_copy(cell, start);
            size_t cut = draw(0, start->rows);
            team = helpers;
            batch_run(other, split, 0, STEPS, 0, cut);
            batch_run(other, split, 0, STEPS, cut, start->rows - cut);
            team = NULL;
            batch_same(cell, split, want);
            for (size_t r = 0; r < start->rows; r++) batch_run(other, single, 0, STEPS, r, 1);
            batch_same(cell, single, want);
            batch_free(split);
            batch_free(single);
            cell_free(other);
        }
        batch_free(want);
        batch_free(start);
        cell_free(cell);
        spec_free(&s);
    }
    team_close(helpers);
}

/* Inputs of all steps projected at once, as a window does, give what step by step gives. */
static void a_window_is_its_steps(void **unused)
{
    (void)unused;
    for (int round = 0; round < 60; round++) {
        struct cell_spec s = spec_make((enum cell_kind)(round % 3));
        s.precision = (enum precision)(round / 3 % 3);
        struct cell *cell = prepared(&s, kernels_pick(NULL));
        struct batch *want = batch_make(cell, 1), *got = batch_copy(cell, want);
        float *scratch = mem_aligned(cell_scratch_floats(cell, STEPS) * sizeof(float)), *projected[STEPS];
        const float *x[STEPS];
        batch_run(cell, want, 0, STEPS, 0, 1);
        for (size_t t = 0; t < STEPS; t++) {
            projected[t] = floats(cell_projected_width(cell), 1);
            x[t] = got->x[t][0];
        }
        cell_project(cell, STEPS, x, projected, team, scratch);
        for (size_t t = 0; t < STEPS; t++)
            batch_step(cell, got, NULL, projected + t, 0, 1, scratch);
        batch_same(cell, got, want);
        for (size_t t = 0; t < STEPS; t++) mem_free(projected[t]);
        mem_free(scratch);
        batch_free(want);
        batch_free(got);
        cell_free(cell);
        spec_free(&s);
    }
}

/* Fewer bits change the answer a little, and only a little. */
static void reduced_cells_are_near(void **unused)
{
    (void)unused;
    for (int kind = 0; kind < 3; kind++)
        for (int precision = PRECISION_BF16; precision <= PRECISION_INT8; precision++) {
            size_t hidden = 100, inputs = 30, gates = kind == CELL_RNN ? 1 : kind == CELL_LSTM ? 4 : 3;
            float *w_ih = floats(gates * hidden * inputs, 0.1f), *w_hh = floats(gates * hidden * hidden, 0.1f);
            struct cell_spec s = {.kind = (enum cell_kind)kind, .inputs = inputs, .hidden = hidden, .w_ih = w_ih,
                                  .w_hh = w_hh, .gate = {ACT_SIGMOID, 0, 0}, .cell = {ACT_TANH, 0, 0},
                                  .out = {ACT_TANH, 0, 0}};
            struct cell *exact = prepared(&s, kernels_pick(NULL));
            s.precision = (enum precision)precision;
            struct cell *reduced = prepared(&s, kernels_pick(NULL));
            struct batch *want = batch_make(exact, 3), *got = batch_copy(exact, want);
            double off = 0, all = 0;
            batch_run(exact, want, 0, STEPS, 0, 3);
            batch_run(reduced, got, 0, STEPS, 0, 3);
            for (size_t r = 0; r < 3; r++)
                for (size_t u = 0; u < hidden; u++) {
                    off += pow((double)(got->h[r][u] - want->h[r][u]), 2);
                    all += pow((double)want->h[r][u], 2);
                }
            assert_true(off > 0);
            assert_true(sqrt(off / all) < (precision == PRECISION_BF16 ? 0.004 : 0.02));
            assert_true(reduced->weight_bytes < exact->weight_bytes * (precision == PRECISION_BF16 ? 0.6 : 0.4));
            batch_free(want);
            batch_free(got);
            cell_free(exact);
            cell_free(reduced);
            mem_free(w_ih);
            mem_free(w_hh);
        }
}

/* Inputs too many for sums of 8-bit products stay in full precision beside an h that is not. */
static void wide_inputs_stay_exact(void **unused)
{
    (void)unused;
    size_t inputs = PACK_INT8_MOST + 1, hidden = 5;
    float *w_ih = floats(4 * hidden * inputs, 0.001f), *w_hh = floats(4 * hidden * hidden, 1);
    struct cell_spec s = {.kind = CELL_LSTM, .inputs = inputs, .hidden = hidden, .w_ih = w_ih, .w_hh = w_hh,
                          .gate = {ACT_SIGMOID, 0, 0}, .cell = {ACT_TANH, 0, 0}, .out = {ACT_TANH, 0, 0},
                          .precision = PRECISION_INT8};
    struct cell *cell = prepared(&s, kernels_pick(NULL));
    struct batch *whole = batch_make(cell, 7), *single = batch_copy(cell, whole);
    assert_true(cell->weight_bytes > 4 * 4 * 16 * inputs);
    batch_run(cell, whole, 0, 2, 0, 7);
    for (size_t r = 0; r < 7; r++) batch_run(cell, single, 0, 2, r, 1);
    batch_same(cell, single, whole);
    batch_free(whole);
    batch_free(single);
    cell_free(cell);
    mem_free(w_ih);
    mem_free(w_hh);
}

/* ---- preparing -------------------------------------------------------------------------------------------------- */

static void shape_and_parameters(void **unused)
{
    (void)unused;
    struct cell_spec s = {.kind = CELL_LSTM, .inputs = 5, .hidden = 17, .projection = 3};
    float *w = floats(4 * 17 * 40, 1);
    s.w_ih = s.w_hh = s.w_hr = s.b_ih = s.peephole = s.h0 = w;
    struct cell *cell = prepared(&s, kernels_pick(NULL));
    assert_int_equal(cell->recurrent, 3);
    assert_int_equal(cell->c_width, 17);
    assert_int_equal(cell->gates, 4);
    assert_int_equal(cell->parameters, 4 * 17 * (5 + 3) + 4 * 17 + 3 * 17 + 3 * 17 + 3);
    assert_true(cell->weight_bytes >= 4 * cell->parameters);
    assert_int_equal(cell_projected_width(cell), 4 * 32);
    assert_non_null(cell->h0);
    assert_ptr_not_equal(cell->h0, w);
    assert_null(cell->c0);
    cell_free(cell);
    cell_free(NULL);
    mem_free(w);
}

static void refused(struct cell_spec s, rnnd_code want)
{
    struct cell *cell = (struct cell *)&s;
    rnnd_error err = {0};
    assert_int_equal(cell_prepare(&s, kernels_pick(NULL), &cell, &err), want);
    assert_null(cell);
    assert_int_equal(err.code, want);
    assert_true(strlen(err.message) > 20);
}

static void specifications_are_checked(void **unused)
{
    (void)unused;
    float w[64] = {0};
    struct cell_spec good = {.kind = CELL_LSTM, .inputs = 2, .hidden = 2, .w_ih = w, .w_hh = w}, s;
    refused((s = good, s.inputs = 0, s), RNND_MISMATCH);
    refused((s = good, s.hidden = 0, s), RNND_MISMATCH);
    refused((s = good, s.hidden = SIZE_MAX / 4, s), RNND_MISMATCH);
    refused((s = good, s.projection = SIZE_MAX, s), RNND_MISMATCH);
    refused((s = good, s.w_hh = NULL, s), RNND_INVALID);
    refused((s = good, s.projection = 1, s), RNND_INVALID);
    refused((s = good, s.clip = -1, s), RNND_INVALID);
    refused((s = good, s.cell_clip = NAN, s), RNND_INVALID);
    refused((s = good, s.coupled_input = s.coupled_forget = true, s), RNND_INVALID);
    refused((s = good, s.kind = CELL_GRU, s.projection = 1, s.w_hr = w, s), RNND_UNSUPPORTED);
    refused((s = good, s.kind = CELL_RNN, s.peephole = w, s), RNND_UNSUPPORTED);
}

static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    for (int kind = 0; kind < 3; kind++) {
        struct cell_spec s = spec_make((enum cell_kind)kind);
        struct cell *cell;
        size_t n = 1;
        for (;; n++) {
            rnnd_error err = {0};
            mem_fail_at(n);
            rnnd_code code = cell_prepare(&s, kernels_pick(NULL), &cell, &err);
            mem_fail_at(0);
            if (!code) break;
            assert_int_equal(code, RNND_NO_MEMORY);
            assert_null(cell);
        }
        assert_true(n > 3);
        cell_free(cell);
        spec_free(&s);
    }
}

int main(void)
{
    const char *seed = getenv("SEED");
    uint64_t number = seed ? strtoull(seed, NULL, 0) : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_follow_their_equations),
        cmocka_unit_test(one_answer),
        cmocka_unit_test(a_window_is_its_steps),
        cmocka_unit_test(reduced_cells_are_near),
        cmocka_unit_test(wide_inputs_stay_exact),
        cmocka_unit_test(shape_and_parameters),
        cmocka_unit_test(specifications_are_checked),
        cmocka_unit_test(every_allocation_may_fail),
    };
    rng_seed(&rng, number, 2);
    print_message("SEED=%llu\n", (unsigned long long)number);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
