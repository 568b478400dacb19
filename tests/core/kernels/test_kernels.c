/* test_kernels.c -- products, epilogues and row functions: against double precision, row against row, batch against
 * single. Every buffer is exact, so that AddressSanitizer sees one float too many. */
#include "core/kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/rnnd.h"

static struct rng rng;

static size_t draw(size_t low, size_t high)
{
    return low + rng_u32(&rng) % (high - low + 1);
}

static float draw_float(void)
{
    return (float)(rng_unit(&rng) * 2 - 1);
}

/* Mostly ordinary, sometimes NaN, infinite, subnormal, huge. */
static float draw_odd(void)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 1e-42f, -1e-45f, 3e38f, -0.0f, 1e-20f};
    return rng_u32(&rng) % 40 == 0 ? odd[rng_u32(&rng) % 8] : 4 * draw_float();
}

static float *floats(size_t n, bool odd)
{
    float *p = mem_alloc(n, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = odd ? draw_odd() : draw_float();
    return p;
}

enum { MOST_ROWS = 13 };

struct rows { /* exact allocations of their own */
    float *at[MOST_ROWS];
};

static struct rows rows_of(size_t rows, size_t width, bool odd)
{
    struct rows m = {{NULL}};
    for (size_t r = 0; r < rows; r++)
        m.at[r] = floats(width, odd);
    return m;
}

static struct rows rows_copy(const struct rows *from, size_t rows, size_t width)
{
    struct rows m = rows_of(rows, width, false);
    for (size_t r = 0; r < rows; r++)
        memcpy(m.at[r], from->at[r], width * sizeof(float));
    return m;
}

static void rows_free(struct rows *m)
{
    for (size_t r = 0; r < MOST_ROWS; r++)
        mem_free(m->at[r]);
}

static const float *const *in(const struct rows *m)
{
    return (const float *const *)m->at;
}

/* Equal bits, where two NaNs count as equal. */
static void same(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) {
            print_message("float %zu of %zu: %a and %a\n", i, n, (double)a[i], (double)b[i]);
            assert_true(false);
        }
}

static void rows_same(const struct rows *a, const struct rows *b, size_t rows, size_t width)
{
    for (size_t r = 0; r < rows; r++)
        same(a->at[r], b->at[r], width);
}

/* The matrix in another precision, in memory of its own, which replaces *memory. */
static void reduce(struct packed *p, float **memory, enum precision precision)
{
    if (precision == PRECISION_FP32) return;
    struct packed from = *p;
    float *reduced = mem_aligned(pack_reduced_floats(&from, precision) * sizeof *reduced);
    assert_non_null(reduced);
    pack_reduced(p, reduced, &from, precision);
    mem_free(*memory);
    *memory = reduced;
}

static float *scratch_of(const struct packed *p, size_t rows)
{
    float *scratch = mem_aligned(packed_scratch(p, rows) * sizeof *scratch + 1);
    assert_non_null(scratch);
    return scratch;
}

struct product { /* one random packed matrix and its source */
    struct packed packed;
    float *w, *memory;
    size_t gates, units, stride; /* gates 0: dense */
};

static struct product product_make(bool odd)
{
    struct product p = {0};
    size_t k = draw(1, 70), count;
    p.gates = draw(0, 4);
    p.units = draw(1, p.gates ? 70 : 280);
    p.stride = k + draw(0, 3);
    count = (p.gates ? p.gates : 1) * p.units;
    p.w = floats((count - 1) * p.stride + k, odd);
    size_t need = p.gates ? pack_gates_floats(k, p.gates, p.units) : pack_dense_floats(k, p.units);
    p.memory = mem_aligned(need * sizeof(float));
    if (p.gates)
        pack_gates(&p.packed, p.memory, p.w, p.stride, k, p.gates, p.units);
    else
        pack_dense(&p.packed, p.memory, p.w, p.stride, k, p.units);
    assert_int_equal(need, p.packed.panels * p.packed.k * p.packed.nv * LANES);
    return p;
}

static void product_free(struct product *p)
{
    mem_free(p->w);
    mem_free(p->memory);
}

/* Where output `unit` of `gate` stands in an accumulator row. */
static size_t place(const struct product *p, size_t gate, size_t unit)
{
    return p->gates ? (unit / LANES * p->gates + gate) * LANES + unit % LANES : unit;
}

static void matmul_is_the_chain(void **unused)
{
    (void)unused;
    const struct kernels *k = kernels_pick(NULL);
    for (int round = 0; round < 100; round++) {
        struct product p = product_make(false);
        size_t rows = draw(1, MOST_ROWS), width = packed_width(&p.packed);
        struct rows x = rows_of(rows, p.packed.k, false), acc = rows_of(rows, width, false);
        struct rows before = rows_copy(&acc, rows, width);
        k->matmul(&p.packed, rows, in(&x), acc.at, NULL);
        for (size_t r = 0; r < rows; r++)
            for (size_t g = 0; g < (p.gates ? p.gates : 1); g++)
                for (size_t u = 0; u < p.units; u++) {
                    const float *w = p.w + (g * p.units + u) * p.stride;
                    size_t at = place(&p, g, u);
                    float chain = before.at[r][at];
                    double exact = (double)chain, size = 1;
                    for (size_t i = 0; i < p.packed.k; i++) {
                        chain = fmaf(w[i], x.at[r][i], chain);
                        exact += (double)w[i] * (double)x.at[r][i];
                        size += fabs((double)w[i] * (double)x.at[r][i]);
                    }
                    same(&acc.at[r][at], &chain, 1);
                    assert_true(fabs((double)acc.at[r][at] - exact) < 1e-6 * size);
                }
        rows_free(&x);
        rows_free(&acc);
        rows_free(&before);
        product_free(&p);
    }
}

static void matmul_rows_agree_and_batches_split(void **unused)
{
    (void)unused;
    const struct kernels *const *all;
    size_t count = kernels_list(&all);
    for (int round = 0; round < 150; round++) {
        struct product p = product_make(round % 2);
        size_t rows = draw(1, MOST_ROWS), width = packed_width(&p.packed), cut = draw(0, rows);
        reduce(&p.packed, &p.memory, (enum precision)(round / 2 % 3));
        float *scratch = scratch_of(&p.packed, rows);
        struct rows x = rows_of(rows, p.packed.k, round % 2), start = rows_of(rows, width, false);
        struct rows want = rows_copy(&start, rows, width);
        all[0]->matmul(&p.packed, rows, in(&x), want.at, scratch);
        for (size_t i = 0; i < count; i++) {
            struct rows whole = rows_copy(&start, rows, width), split = rows_copy(&start, rows, width);
            struct rows single = rows_copy(&start, rows, width);
            all[i]->matmul(&p.packed, rows, in(&x), whole.at, scratch);
            rows_same(&whole, &want, rows, width);
            all[i]->matmul(&p.packed, cut, in(&x), split.at, scratch);
            all[i]->matmul(&p.packed, rows - cut, in(&x) + cut, split.at + cut, scratch);
            rows_same(&split, &want, rows, width);
            for (size_t r = 0; r < rows; r++)
                all[i]->matmul(&p.packed, 1, in(&x) + r, single.at + r, scratch);
            rows_same(&single, &want, rows, width);
            rows_free(&whole);
            rows_free(&split);
            rows_free(&single);
        }
        rows_free(&x);
        rows_free(&start);
        rows_free(&want);
        mem_free(scratch);
        product_free(&p);
    }
}

/* Inputs that are 1 in one place and 0 elsewhere read the weights out: bfloat16 is off by 2^-8 of a weight at most, 8
 * bits by half a step of their column. */
static void reduced_weights_are_near(void **unused)
{
    (void)unused;
    const struct kernels *k = kernels_pick(NULL);
    for (int round = 0; round < 60; round++) {
        struct product p = product_make(false);
        enum precision precision = round % 2 ? PRECISION_BF16 : PRECISION_INT8;
        size_t width = packed_width(&p.packed);
        if (round % 3 == 0) p.w[0] = 0;
        struct packed whole = p.packed;
        float *memory = p.memory;
        p.memory = NULL;
        reduce(&p.packed, &p.memory, precision);
        float *scratch = scratch_of(&p.packed, 1), *x = floats(whole.k, false);
        for (size_t at = 0; at < whole.k; at++) {
            struct rows got = rows_of(1, width, false), want = rows_of(1, width, false);
            for (size_t i = 0; i < whole.k; i++)
                x[i] = i == at;
            memset(got.at[0], 0, width * sizeof(float));
            memset(want.at[0], 0, width * sizeof(float));
            k->matmul(&p.packed, 1, (const float *const *)&x, got.at, scratch);
            k->matmul(&whole, 1, (const float *const *)&x, want.at, NULL);
            for (size_t i = 0; i < width; i++) {
                float off = fabsf(got.at[0][i] - want.at[0][i]), step = precision == PRECISION_INT8
                                                                            ? p.packed.scale[i] * 0.5f * 1.00001f
                                                                            : fabsf(want.at[0][i]) * 0x1p-8f + 2e-38f;
                assert_true(off <= step);
            }
            rows_free(&got);
            rows_free(&want);
        }
        mem_free(x);
        mem_free(scratch);
        mem_free(memory);
        product_free(&p);
    }
}

/* Whole-number sums of whole numbers: 8-bit inputs and weights that 8 bits hold exactly give the exact product. */
static void int8_sums_are_exact(void **unused)
{
    (void)unused;
    const struct kernels *const *all;
    size_t count = kernels_list(&all);
    enum { K = 513, OUT = 20 };
    float *w = mem_alloc(K * OUT, sizeof *w), *x = mem_alloc(K, sizeof *x);
    double want[OUT] = {0};
    for (size_t o = 0; o < OUT; o++)
        for (size_t i = 0; i < K; i++)
            w[o * K + i] = i == 0 ? 127 : (float)draw(0, 254) - 127;
    for (size_t i = 0; i < K; i++)
        x[i] = i == 5 ? -127 : (float)draw(0, 254) - 127;
    for (size_t o = 0; o < OUT; o++)
        for (size_t i = 0; i < K; i++)
            want[o] += (double)w[o * K + i] * (double)x[i];
    float *memory = mem_aligned(pack_dense_floats(K, OUT) * sizeof *memory);
    struct packed p;
    pack_dense(&p, memory, w, K, K, OUT);
    reduce(&p, &memory, PRECISION_INT8);
    float *scratch = scratch_of(&p, 1), acc[32], *row = acc;
    for (size_t i = 0; i < count; i++) {
        float whole = x[7];
        memset(acc, 0, sizeof acc);
        all[i]->matmul(&p, 1, (const float *const *)&x, &row, scratch);
        for (size_t o = 0; o < OUT; o++)
            assert_true(fabs((double)acc[o] - want[o]) <= fabs(want[o]) * 1e-6);
        x[7] = NAN;
        all[i]->matmul(&p, 1, (const float *const *)&x, &row, scratch);
        for (size_t o = 0; o < OUT; o++)
            assert_true(isnan(acc[o])); /* an input that is no number is never lost */
        x[7] = whole;
    }
    mem_free(w);
    mem_free(x);
    mem_free(memory);
    mem_free(scratch);
}

static struct act draw_act(void)
{
    static const struct act some[] = {{ACT_SIGMOID, 0, 0}, {ACT_TANH, 0, 0},     {ACT_HARD_SIGMOID, 0.2f, 0.5f},
                                      {ACT_RELU, 0, 0},    {ACT_SOFTSIGN, 0, 0}, {ACT_LINEAR, 0, 0}};
    return some[rng_u32(&rng) % 6];
}

/* What any epilogue or step needs; case_run() calls the one under test. */
struct epilogue_case {
    size_t hidden, rows, wide, inputs; /* wide: floats of one gate of an accumulator row */
    struct lstm_epilogue lstm;
    struct gru_epilogue gru;
    struct rows acc, other, state, c, x;
    float *peephole, *bias, *b_hn, *weights[4]; /* of a step with 3 gates, of one with 4: W_ih, W_hh */
    struct packed packed[4];
    enum precision precision;
};

static void case_weights(struct epilogue_case *e, bool odd)
{
    for (size_t i = 0; i < 4; i++) {
        size_t gates = 3 + i / 2, k = i % 2 ? e->hidden : e->inputs;
        float *w = floats(gates * e->hidden * k, odd);
        e->weights[i] = mem_aligned(pack_gates_floats(k, gates, e->hidden) * sizeof(float));
        pack_gates(&e->packed[i], e->weights[i], w, k, k, gates, e->hidden);
        reduce(&e->packed[i], &e->weights[i], e->precision);
        mem_free(w);
    }
    e->bias = floats(4 * e->wide, odd);
    e->b_hn = floats(e->wide, odd);
}

static struct epilogue_case case_make(bool odd)
{
    struct epilogue_case e = {0};
    bool usual = rng_u32(&rng) % 2;
    struct act gate = usual ? (struct act){ACT_SIGMOID, 0, 0} : draw_act();
    struct act cell = usual ? (struct act){ACT_TANH, 0, 0} : draw_act();
    e.hidden = draw(1, 150);
    e.inputs = draw(1, 20);
    e.rows = draw(1, MOST_ROWS);
    e.wide = (e.hidden + LANES - 1) / LANES * LANES;
    e.peephole = floats(3 * e.hidden, odd);
    unsigned coin = rng_u32(&rng);
    e.lstm = (struct lstm_epilogue){e.hidden,
                                    gate,
                                    cell,
                                    cell,
                                    coin & 1 ? e.peephole : NULL,
                                    (coin & 6) == 2,
                                    (coin & 6) == 4,
                                    coin & 8 ? 0.7f : 0,
                                    coin & 16 ? 0.9f : 0};
    e.gru = (struct gru_epilogue){e.hidden, gate, cell, coin & 1, coin & 8 ? 0.7f : 0};
    e.acc = rows_of(e.rows, 4 * e.wide, odd);
    e.other = rows_of(e.rows, e.wide, odd);
    e.state = rows_of(e.rows, e.hidden, odd);
    e.c = rows_of(e.rows, e.hidden, odd);
    e.x = rows_of(e.rows, e.inputs, odd);
    e.precision = (enum precision)draw(0, 2);
    case_weights(&e, odd);
    return e;
}

static void case_free(struct epilogue_case *e)
{
    mem_free(e->peephole);
    mem_free(e->bias);
    mem_free(e->b_hn);
    for (size_t i = 0; i < 4; i++)
        mem_free(e->weights[i]);
    rows_free(&e->acc);
    rows_free(&e->other);
    rows_free(&e->state);
    rows_free(&e->c);
    rows_free(&e->x);
}

enum epilogue_kind { LSTM_STEP, GRU_STEP, GRU_BEFORE, GRU_RESET, EPILOGUES };

struct epilogue_result {
    struct rows h, c;
};

static struct cell_sums case_sums(const struct epilogue_case *e, enum epilogue_kind kind)
{
    const struct packed *w = e->packed + (kind == LSTM_STEP ? 2 : 0);
    return (struct cell_sums){&w[0], &w[1], e->bias, kind == LSTM_STEP ? NULL : e->b_hn};
}

/* Runs one epilogue or step in pieces of at most `piece` rows. `other_way`: c in place, and the x part projected. */
static struct epilogue_result case_run(const struct epilogue_case *e, enum epilogue_kind kind, const struct kernels *k,
                                       size_t piece, bool other_way)
{
    struct rows acc = rows_copy(&e->acc, e->rows, 4 * e->wide), nacc = rows_copy(&e->other, e->rows, e->wide);
    struct rows projected = rows_of(e->rows, 4 * e->wide, false);
    struct epilogue_result out = {rows_of(e->rows, e->hidden, true), rows_copy(&e->c, e->rows, e->hidden)};
    struct cell_sums sums = case_sums(e, kind);
    size_t floats_x = packed_scratch(sums.w_ih, e->rows), floats_h = packed_scratch(sums.w_hh, e->rows);
    float *scratch = mem_aligned((floats_x + floats_h) * sizeof *scratch + 1);

    if (kind <= GRU_STEP && other_way) {
        for (size_t r = 0; r < e->rows; r++)
            memcpy(projected.at[r], e->bias, packed_width(sums.w_ih) * sizeof(float));
        k->matmul(sums.w_ih, e->rows, in(&e->x), projected.at, scratch);
    }
    for (size_t r = 0; r < e->rows; r += piece) {
        size_t n = e->rows - r < piece ? e->rows - r : piece;
        const float *const *x = other_way ? NULL : in(&e->x) + r, *const *p = other_way ? in(&projected) + r : NULL;
        const float *const *h = in(&e->state) + r, *const *c = other_way ? in(&out.c) + r : in(&e->c) + r;
        size_t panels = sums.w_hh->panels, cut = r % (panels + 1); /* in two parts, either maybe empty */
        struct cell_rows step = {x, p, h, c, out.h.at + r, out.c.at + r, r % 2 != 0};
        if (kind == LSTM_STEP || kind == GRU_STEP) k->step_inputs(&sums, n, &step, scratch);
        for (size_t part = 0; part < 2; part++) {
            size_t first = part ? cut : 0, end = part ? panels : cut;
            if (kind == LSTM_STEP) k->lstm_step(&e->lstm, &sums, n, &step, first, end, scratch);
            if (kind == GRU_STEP) k->gru_step(&e->gru, &sums, n, &step, first, end, scratch);
        }
        if (kind == GRU_BEFORE) k->gru_before(&e->gru, n, acc.at + r, nacc.at + r, h, out.h.at + r);
        if (kind == GRU_RESET) k->gru_reset(&e->gru, n, acc.at + r, h, out.h.at + r);
    }
    rows_free(&acc);
    rows_free(&nacc);
    rows_free(&projected);
    mem_free(scratch);
    return out;
}

static void epilogues_agree(void **unused)
{
    (void)unused;
    const struct kernels *const *all;
    size_t count = kernels_list(&all);
    for (int round = 0; round < 100; round++) {
        struct epilogue_case e = case_make(round % 2);
        enum epilogue_kind kind = (enum epilogue_kind)(round / 2 % EPILOGUES);
        struct epilogue_result want = case_run(&e, kind, all[0], MOST_ROWS, false);
        for (size_t i = 0; i < count; i++)
            for (size_t piece = 1; piece <= MOST_ROWS; piece += 4) {
                struct epilogue_result got = case_run(&e, kind, all[i], piece, piece % 8 == 1);
                rows_same(&got.h, &want.h, e.rows, e.hidden);
                rows_same(&got.c, &want.c, e.rows, e.hidden);
                rows_free(&got.h);
                rows_free(&got.c);
            }
        rows_free(&want.h);
        rows_free(&want.c);
        case_free(&e);
    }
}

/* Two ways of rounding one function: a few units in the last place of the largest term. */
static void rows_near(const struct rows *a, const struct rows *b, size_t rows, size_t width)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i++) {
            float x = a->at[r][i], y = b->at[r][i];
            if (fabsf(x - y) <= 1e-6f * fmaxf(1, fabsf(y)) || (isnan(x) && isnan(y)) || x == y) continue;
            print_message("row %zu, float %zu: %a and %a\n", r, i, (double)x, (double)y);
            assert_true(false);
        }
}

/* tanh as scaled tanh is another path through the epilogue (the general one) to the same function; the usual one takes
 * two fractions in one division. */
static void the_usual_path_is_the_general_one(void **unused)
{
    (void)unused;
    const struct kernels *const *all;
    size_t count = kernels_list(&all);
    for (int round = 0; round < 60; round++) {
        struct epilogue_case e = case_make(false);
        e.lstm.gate = e.gru.gate = (struct act){ACT_SIGMOID, 0, 0};
        for (size_t i = 0; i < count; i++)
            for (int kind = 0; kind < GRU_RESET; kind++) {
                e.lstm.cell = e.lstm.out = e.gru.cell = (struct act){ACT_TANH, 0, 0};
                struct epilogue_result fast = case_run(&e, (enum epilogue_kind)kind, all[i], 13, false);
                e.lstm.cell = e.lstm.out = e.gru.cell = (struct act){ACT_SCALED_TANH, 1, 1};
                struct epilogue_result slow = case_run(&e, (enum epilogue_kind)kind, all[i], 13, false);
                rows_near(&fast.h, &slow.h, e.rows, e.hidden);
                rows_near(&fast.c, &slow.c, e.rows, e.hidden);
                rows_free(&fast.h);
                rows_free(&fast.c);
                rows_free(&slow.h);
                rows_free(&slow.c);
            }
        case_free(&e);
    }
}

/* z = 1 holds the state for ever, to the bit. */
static void a_closed_gru_keeps_its_state(void **unused)
{
    (void)unused;
    const struct kernels *k = kernels_pick(NULL);
    struct epilogue_case e = case_make(false);
    struct rows next = rows_copy(&e.state, e.rows, e.hidden), now = rows_copy(&e.state, e.rows, e.hidden);
    struct cell_sums sums = case_sums(&e, GRU_STEP);
    float *scratch = mem_aligned((packed_scratch(sums.w_ih, e.rows) + packed_scratch(sums.w_hh, e.rows)) * 4 + 1);
    e.gru = (struct gru_epilogue){e.hidden, {ACT_SIGMOID, 0, 0}, {ACT_TANH, 0, 0}, false, 0};
    for (size_t i = 0; i < 3 * e.wide; i++)
        if (i / LANES % 3 == 1) e.bias[i] = 400; /* beyond what the weights can say */
    for (int step = 0; step < 50; step++) {
        struct rows last = now;
        struct cell_rows r = {.x = in(&e.x), .h = in(&now), .h_next = next.at};
        k->step_inputs(&sums, e.rows, &r, scratch);
        k->gru_step(&e.gru, &sums, e.rows, &r, 0, sums.w_hh->panels, scratch);
        now = next;
        next = last;
    }
    rows_same(&now, &e.state, e.rows, e.hidden);
    mem_free(scratch);
    rows_free(&now);
    rows_free(&next);
    case_free(&e);
}

/* f = 1 and i = 0 hold a cell for ever, to the bit. */
static void a_closed_lstm_keeps_its_cell(void **unused)
{
    (void)unused;
    const struct kernels *k = kernels_pick(NULL);
    struct epilogue_case e = case_make(false);
    struct rows c = rows_copy(&e.c, e.rows, e.hidden);
    struct cell_sums sums = case_sums(&e, LSTM_STEP);
    float *scratch = mem_aligned((packed_scratch(sums.w_ih, e.rows) + packed_scratch(sums.w_hh, e.rows)) * 4 + 1);
    const struct act gate = {ACT_SIGMOID, 0, 0}, tanh = {ACT_TANH, 0, 0};
    e.lstm = (struct lstm_epilogue){.hidden = e.hidden, .gate = gate, .cell = tanh, .out = tanh};
    for (size_t i = 0; i < 4 * e.wide; i++)
        if (i / LANES % 4 < 2) e.bias[i] = i / LANES % 4 == 0 ? -400 : 400; /* beyond what the weights can say */
    for (int step = 0; step < 50; step++) {
        struct rows next = rows_copy(&e.state, e.rows, e.hidden);
        struct cell_rows r = {.x = in(&e.x), .h = in(&e.state), .c = in(&c), .h_next = next.at, .c_next = c.at};
        k->step_inputs(&sums, e.rows, &r, scratch);
        k->lstm_step(&e.lstm, &sums, e.rows, &r, 0, sums.w_hh->panels, scratch);
        rows_free(&next);
    }
    rows_same(&c, &e.c, e.rows, e.hidden);
    mem_free(scratch);
    rows_free(&c);
    case_free(&e);
}

static void row_functions_against_double(void **unused)
{
    (void)unused;
    const struct kernels *k = kernels_pick(NULL);
    for (int round = 0; round < 100; round++) {
        size_t n = draw(1, 300);
        float *x = floats(n, false), *a = floats(n, false), *b = floats(n, false), *y = floats(n, false);
        float *z = floats(n, false), scale = (float)draw(1, 60);
        double max = -INFINITY, sum = 0, mean = 0, variance = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] *= scale;
            max = fmax(max, (double)x[i]);
            mean += (double)x[i] / (double)n;
        }
        for (size_t i = 0; i < n; i++) {
            sum += exp((double)x[i] - max);
            variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
        }
        k->softmax(n, x, y);
        k->log_softmax(n, x, z);
        for (size_t i = 0; i < n; i++) {
            double p = exp((double)x[i] - max) / sum;
            /* x - max is rounded to float before the exponential sees it */
            assert_true(fabs((double)y[i] - p) <= (1e-6 + 6e-8 * (max - (double)x[i])) * p + 3e-45);
            assert_true(fabs((double)z[i] - log(p)) <= 5e-7 * fabs(log(p)) + 1e-6);
        }
        bool affine = n % 2;
        k->layer_norm(n, x, affine ? a : NULL, affine ? b : NULL, 1e-5f, y);
        for (size_t i = 0; i < n; i++) {
            double want = ((double)x[i] - mean) / sqrt(variance + 1e-5);
            if (affine) want = want * (double)a[i] + (double)b[i];
            assert_true(fabs((double)y[i] - want) < 3e-6 * (1 + fabs(want)));
        }
        k->scale_shift(n, x, a, b, y);
        for (size_t i = 0; i < n; i++)
            assert_true(y[i] == fmaf(x[i], a[i], b[i]));
        k->add(n, x, a, y);
        for (size_t i = 0; i < n; i++)
            assert_true(y[i] == x[i] + a[i]);
        k->sub(n, x, a, y);
        for (size_t i = 0; i < n; i++)
            assert_true(y[i] == x[i] - a[i]);
        k->mul(n, x, a, y);
        for (size_t i = 0; i < n; i++)
            assert_true(y[i] == x[i] * a[i]);
        mem_free(x), mem_free(a), mem_free(b), mem_free(y), mem_free(z);
    }
}

/* Runs function `which` of a row out of place or in place. */
static void run_row(const struct kernels *k, int which, size_t n, const float *x, const float *a, const float *b,
                    float *y)
{
    switch (which) {
    case 0:
        k->softmax(n, x, y);
        break;
    case 1:
        k->log_softmax(n, x, y);
        break;
    case 2:
        k->layer_norm(n, x, a, b, 1e-3f, y);
        break;
    case 3:
        k->add(n, x, a, y);
        break;
    case 4:
        k->sub(n, x, a, y);
        break;
    case 5:
        k->mul(n, x, a, y);
        break;
    default:
        k->scale_shift(n, x, a, b, y);
        break;
    }
}

static void row_functions_agree(void **unused)
{
    (void)unused;
    const struct kernels *const *all;
    size_t count = kernels_list(&all);
    for (int round = 0; round < 700; round++) {
        size_t n = draw(1, 100);
        bool odd = round % 2;
        float *x = floats(n, odd), *a = floats(n, odd), *b = floats(n, odd), *want = floats(n, false);
        run_row(all[0], round / 2 % 7, n, x, a, b, want);
        for (size_t i = 0; i < count; i++) {
            float *y = floats(n, false);
            run_row(all[i], round / 2 % 7, n, x, a, b, y);
            same(y, want, n);
            memcpy(y, x, n * sizeof *y);
            run_row(all[i], round / 2 % 7, n, y, a, b, y);
            same(y, want, n);
            mem_free(y);
        }
        mem_free(x), mem_free(a), mem_free(b), mem_free(want);
    }
}

static void softmax_of_odd_rows(void **unused)
{
    (void)unused;
    const struct kernels *k = kernels_pick(NULL);
    float x[20], y[20];
    for (int i = 0; i < 20; i++)
        x[i] = i == 7 ? 3.0f : -INFINITY; /* forbidden tokens */
    k->softmax(20, x, y);
    for (int i = 0; i < 20; i++)
        assert_true(y[i] == (i == 7 ? 1.0f : 0.0f));
    k->log_softmax(20, x, y);
    assert_true(y[7] == 0 && y[3] == -INFINITY);
    x[3] = NAN;
    k->softmax(20, x, y);
    for (int i = 0; i < 20; i++)
        assert_true(isnan(y[i]));
    k->log_softmax(20, x, y);
    for (int i = 0; i < 20; i++)
        assert_true(isnan(y[i]));
}

static void finite_finds_the_one(void **unused)
{
    (void)unused;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const struct kernels *const *all;
    size_t count = kernels_list(&all);
    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < 70; n++) {
            float *x = floats(n, false);
            if (n > 2) x[0] = 3.4e38f, x[1] = -3.4e38f, x[2] = 1e-45f;
            assert_true(all[i]->finite(n, x));
            for (size_t at = 0; at < n; at++) {
                float kept = x[at];
                x[at] = bad[(at + n) % 3];
                assert_false(all[i]->finite(n, x));
                x[at] = kept;
            }
            mem_free(x);
        }
}

static void picking(void **unused)
{
    (void)unused;
    const struct kernels *const *all;
    size_t count = kernels_list(&all);
    assert_true(count >= 1);
    assert_ptr_equal(kernels_pick(NULL), all[0]);
    assert_string_equal(rnnd_kernel_row(), all[0]->name);
    assert_string_equal(all[count - 1]->name, "baseline");
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(kernels_pick(all[i]->name), all[i]);
    assert_null(kernels_pick("sse9"));
    for (size_t i = 0; i < count; i++)
        print_message("row %s\n", all[i]->name);
}

int main(void)
{
    const char *seed = getenv("SEED");
    uint64_t number = seed ? strtoull(seed, NULL, 0) : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picking),
        cmocka_unit_test(matmul_is_the_chain),
        cmocka_unit_test(matmul_rows_agree_and_batches_split),
        cmocka_unit_test(reduced_weights_are_near),
        cmocka_unit_test(int8_sums_are_exact),
        cmocka_unit_test(epilogues_agree),
        cmocka_unit_test(the_usual_path_is_the_general_one),
        cmocka_unit_test(a_closed_gru_keeps_its_state),
        cmocka_unit_test(a_closed_lstm_keeps_its_cell),
        cmocka_unit_test(row_functions_against_double),
        cmocka_unit_test(row_functions_agree),
        cmocka_unit_test(softmax_of_odd_rows),
        cmocka_unit_test(finite_finds_the_one),
    };
    rng_seed(&rng, number, 1);
    print_message("SEED=%llu\n", (unsigned long long)number);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
