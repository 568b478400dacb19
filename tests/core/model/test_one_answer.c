/* test_one_answer.c -- one answer over random odd shapes: every kernel row, every batch size, steps alone and in
 * changing company, windows in pieces of any length, in fp32, bf16 and int8. Bits, never tolerances. SEED=n repeats a
 * run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "core/kernels/kernels.h"
#include "tests/lib/build_model.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ROUNDS = 16, SWEEPS = 3, SANITIZED = 1 };
#else
enum { ROUNDS = 60, SWEEPS = 9, SANITIZED = 0 };
#endif
enum { MOST_BATCH = 130, MOST_WIDTH = 130, MOST_ROWS = 800 };

static const char *const precisions[] = {"fp32", "bf16", "int8"};
static struct rng rng;
static uint64_t seed;
static size_t together; /* models that fed many steps at once */

static size_t draw(size_t low, size_t high)
{
    return low + rng_u32(&rng) % (high - low + 1);
}

static bool one_in(size_t n)
{
    return rng_u32(&rng) % n == 0;
}

/* ---- random networks -------------------------------------------------------------------------------------------- */

enum cell { RNN, LSTM, GRU_AFTER, GRU_BEFORE, CELLS };

struct net {
    struct model_builder b;
    char config[TEXT];
    size_t width;  /* of an input row */
    size_t ids;    /* that is an id below this, or 0 */
    size_t values; /* of an output row */
};

static void add_lstm_options(struct net *n, size_t layers, size_t hidden, size_t projection)
{
    static const char *const coupled[] = {"none", "input", "forget"};
    text_add(n->config, ",\"coupled\":\"%s\"", coupled[one_in(2) ? 0 : draw(0, 2)]);
    if (projection) text_add(n->config, ",\"projection\":%zu", projection);
    if (one_in(4)) text_add(n->config, ",\"cell_clip\":0.7");
    if (!one_in(3)) return;
    text_add(n->config, ",\"peephole\":true");
    for (size_t k = 0; k < layers; k++) {
        char full[48];
        snprintf(full, sizeof full, "r.peephole_l%zu", k);
        builder_tensor(&n->b, full, NULL, 0.5f, 2, 3, hidden, 0);
    }
}

static void net_make(struct net *n, enum cell cell, size_t inputs, size_t hidden, size_t layers, bool plain)
{
    static const char *const types[] = {"rnn", "lstm", "gru", "gru"};
    static const size_t gates[] = {1, 4, 3, 3};
    size_t projection = cell == LSTM && !plain && one_in(3) ? draw(1, hidden) : 0;
    bool embedding = !plain && one_in(3), head = plain || !one_in(3);
    builder_init(&n->b, rng_u32(&rng));
    n->config[0] = 0;
    n->ids = embedding ? draw(2, 40) : 0;
    n->width = embedding ? 1 : inputs;
    n->values = head ? draw(1, 90) : projection ? projection : hidden;
    text_add(n->config, "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"%s\":%zu}],\"layers\":[",
             embedding ? "ids" : "width", embedding ? n->ids : inputs);
    if (embedding) {
        text_add(n->config, "{\"type\":\"embedding\",\"name\":\"e\"},");
        builder_tensor(&n->b, "e.weight", NULL, 1, 2, n->ids, inputs, 0);
    }
    text_add(n->config, "{\"type\":\"%s\",\"name\":\"r\",\"hidden\":%zu,\"layers\":%zu", types[cell], hidden, layers);
    builder_torch(&n->b, "r", gates[cell], inputs, hidden, layers, false, projection);
    if (cell == LSTM && !plain) add_lstm_options(n, layers, hidden, projection);
    if (cell == GRU_AFTER || cell == GRU_BEFORE)
        text_add(n->config, ",\"reset\":\"%s\",\"update\":\"%s\"", cell == GRU_BEFORE ? "before" : "after",
                 one_in(2) ? "keep" : "new");
    if (!plain && one_in(4)) text_add(n->config, ",\"clip\":1.5");
    text_add(n->config, "}");
    if (head) {
        text_add(n->config, ",{\"type\":\"dense\",\"name\":\"d\"}%s", one_in(2) ? ",{\"type\":\"softmax\"}" : "");
        builder_tensor(&n->b, "d.weight", NULL, 0.5f, 2, n->values, projection ? projection : hidden, 0);
        builder_tensor(&n->b, "d.bias", NULL, 0.5f, 1, n->values, 0, 0);
    }
    text_add(n->config, "]}");
}

static rnnd_model *net_open(const struct net *n, const char *row, const char *precision)
{
    rnnd_options options = {.kernel_row = row, .precision = precision, .force_precision = true};
    rnnd_model *m;
    rnnd_error err = {0};
    size_t bytes;
    void *image = builder_image(&n->b, n->config, &bytes);
    rnnd_code code = rnnd_model_open_memory(image, bytes, "test", &options, &m, &err);
    if (code) fail_msg("%s\n%s", err.message, n->config);
    mem_free(image);
    return m;
}

/* ---- sequences, and what is answered to them -------------------------------------------------------------------- */

struct answers { /* [batch][steps][values]; [batch][h], [batch][c] after the last step */
    float *y, *h, *c;
};

struct sequences {
    const struct net *net;
    size_t batch, steps, h, c;
    bool large; /* for the plain row */
    float *x;   /* [batch][steps][width] */
};

static struct answers answers_make(const struct sequences *s)
{
    struct answers a = {malloc(s->batch * s->steps * s->net->values * sizeof(float)),
                        malloc(s->batch * s->h * sizeof(float)), malloc((s->batch * s->c + 1) * sizeof(float))};
    assert_true(a.y && a.h && a.c);
    return a;
}

static void answers_free(struct answers *a)
{
    free(a->y);
    free(a->h);
    free(a->c);
}

static struct sequences sequences_make(const struct net *n, const rnnd_model *m, size_t batch, size_t steps)
{
    const rnnd_info *info = rnnd_model_info(m);
    struct sequences s = {n, batch, steps, info->h_width, info->c_width, false, NULL};
    s.large = (batch * steps + 256) * info->parameters > 3000000;
    size_t count = batch * steps * n->width;
    s.x = malloc(count * sizeof *s.x);
    assert_non_null(s.x);
    for (size_t i = 0; i < count; i++)
        s.x[i] = n->ids ? (float)draw(0, n->ids - 1) : rng_between(&rng, -2, 2);
    return s;
}

static rnnd_workspace *workspace(const rnnd_model *m, size_t rows)
{
    rnnd_workspace *ws;
    rnnd_error err;
    if (rnnd_workspace_open(m, rows, &ws, &err)) fail_msg("%s", err.message);
    return ws;
}

/* The first `batch` sequences, stepped: alone = each by itself, else in batches of `size` (0: any) of changing order.
 */
static struct answers by_steps(const rnnd_model *m, const struct sequences *s, size_t batch, size_t size)
{
    struct answers a = answers_make(s);
    rnnd_workspace *ws = workspace(m, batch);
    rnnd_step_row *rows = calloc(batch, sizeof *rows);
    size_t bytes = rnnd_state_bytes(m), *order = calloc(batch, sizeof *order);
    char *states = malloc(batch * bytes);
    rnnd_error err;
    for (size_t b = 0; b < batch; b++) {
        rnnd_state_reset(m, states + b * bytes);
        order[b] = b;
    }
    for (size_t t = 0; t < s->steps; t++) {
        for (size_t b = batch; b-- > 1;) {
            size_t other = draw(0, b), kept = order[b];
            order[b] = order[other];
            order[other] = kept;
        }
        for (size_t at = 0, n; at < batch; at += n) {
            n = size ? size : draw(1, batch);
            if (n > batch - at) n = batch - at;
            for (size_t i = 0; i < n; i++) {
                size_t place = order[at + i] * s->steps + t;
                rows[i] = (rnnd_step_row){.state = states + order[at + i] * bytes,
                                          .input = s->x + place * s->net->width,
                                          .output = a.y + place * s->net->values};
            }
            if (rnnd_step(ws, rows, n, &err)) fail_msg("%s\n%s", err.message, s->net->config);
        }
    }
    for (size_t b = 0; b < batch; b++)
        assert_int_equal(rnnd_state_get_hc(m, states + b * bytes, a.h + b * s->h, a.c + b * s->c, &err), RNND_OK);
    free(states);
    free(order);
    free(rows);
    rnnd_workspace_close(ws);
    return a;
}

/* [layers][batch][width / layers] to [batch][width]. */
static void regroup(const float *from, float *to, size_t layers, size_t batch, size_t width)
{
    size_t each = width / layers;
    for (size_t l = 0; l < layers; l++)
        for (size_t b = 0; b < batch; b++)
            memcpy(to + b * width + l * each, from + (l * batch + b) * each, each * sizeof *to);
}

/* Sequences first .. first+n-1 as windows of random lengths, each from the states that the one before left. */
static void window_pieces(rnnd_workspace *ws, const struct sequences *s, size_t layers, size_t first, size_t n,
                          struct answers *a)
{
    size_t width = s->net->width, values = s->net->values, T = s->steps;
    float *x = malloc(n * T * width * sizeof *x), *y = malloc(n * T * values * sizeof *y);
    float *h = malloc(n * s->h * sizeof *h), *c = malloc((n * s->c + 1) * sizeof *c);
    rnnd_error err;
    for (size_t at = 0, t; at < T; at += t) {
        t = one_in(3) ? T - at : draw(1, T - at);
        for (size_t b = 0; b < n; b++)
            memcpy(x + b * t * width, s->x + ((first + b) * T + at) * width, t * width * sizeof *x);
        rnnd_window w = {.batch = n,
                         .steps = t,
                         .inputs = x,
                         .h0 = at ? h : NULL,
                         .c0 = at && s->c ? c : NULL,
                         .outputs = y,
                         .hn = h,
                         .cn = s->c ? c : NULL};
        if (rnnd_run_window(ws, &w, &err)) fail_msg("%s\n%s", err.message, s->net->config);
        for (size_t b = 0; b < n; b++)
            memcpy(a->y + ((first + b) * T + at) * values, y + b * t * values, t * values * sizeof *y);
    }
    regroup(h, a->h + first * s->h, layers, n, s->h);
    if (s->c) regroup(c, a->c + first * s->c, layers, n, s->c);
    free(x);
    free(y);
    free(h);
    free(c);
}

static struct answers by_windows(const rnnd_model *m, const struct sequences *s)
{
    struct answers a = answers_make(s);
    rnnd_workspace *ws = workspace(m, draw(1, 8));
    for (size_t at = 0, n; at < s->batch; at += n) {
        n = one_in(2) ? s->batch - at : draw(1, s->batch - at);
        window_pieces(ws, s, rnnd_model_info(m)->state_layers, at, n, &a);
    }
    rnnd_workspace_close(ws);
    return a;
}

/* Each alone, many steps at a time; only the last answer of each piece is there: the others are taken as `wanted`. */
static struct answers by_feeding(const rnnd_model *m, const struct sequences *s, const struct answers *wanted)
{
    struct answers a = answers_make(s);
    rnnd_workspace *ws = workspace(m, 1);
    size_t values = s->net->values;
    void *state = malloc(rnnd_state_bytes(m));
    rnnd_error err;
    memcpy(a.y, wanted->y, s->batch * s->steps * values * sizeof *a.y);
    for (size_t b = 0; b < s->batch; b++) {
        rnnd_state_reset(m, state);
        for (size_t at = b * s->steps, t; at < (b + 1) * s->steps; at += t) {
            size_t left = (b + 1) * s->steps - at;
            t = one_in(3) ? left : draw(1, left);
            if (rnnd_feed(ws, state, s->x + at * s->net->width, t, a.y + (at + t - 1) * values, &err))
                fail_msg("%s\n%s", err.message, s->net->config);
        }
        assert_int_equal(rnnd_state_step(m, state), s->steps);
        assert_int_equal(rnnd_state_get_hc(m, state, a.h + b * s->h, a.c + b * s->c, &err), RNND_OK);
    }
    together += rnnd_model_info(m)->feeds_together;
    free(state);
    rnnd_workspace_close(ws);
    return a;
}

static void same(const char *what, const float *wanted, const float *found, size_t count, size_t each,
                 const struct sequences *s, const char *how)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(wanted + i, found + i, sizeof *found) != 0)
            fail_msg("SEED=%llu: %s, %s %zu of sequence %zu is %.9g, alone it is %.9g\n%s", (unsigned long long)seed,
                     how, what, i % each, i / each, (double)found[i], (double)wanted[i], s->net->config);
}

static void compare(const struct sequences *s, size_t batch, const struct answers *wanted, struct answers found,
                    const char *row, const char *precision, const char *way)
{
    char how[160];
    snprintf(how, sizeof how, "%s, %s, %s of %zu x %zu", row, precision, way, batch, s->steps);
    same("output", wanted->y, found.y, batch * s->steps * s->net->values, s->steps * s->net->values, s, how);
    same("h", wanted->h, found.h, batch * s->h, s->h, s, how);
    same("c", wanted->c, found.c, batch * s->c, s->c ? s->c : 1, s, how);
    answers_free(&found);
}

/* ---- the tests -------------------------------------------------------------------------------------------------- */

/* Small sizes more often than large ones: tails are where rows differ, and the plain row is slow. */
static size_t draw_width(void)
{
    return one_in(3) ? draw(1, MOST_WIDTH) : draw(1, 40);
}

static void rows_batches_and_paths(void **unused)
{
    (void)unused;
    const struct kernels *const *rows;
    size_t row_count = kernels_list(&rows);
    for (int round = 0; round < ROUNDS; round++) {
        static struct net net;
        const char *precision = precisions[round / CELLS % 3];
        net_make(&net, (enum cell)(round % CELLS), draw_width(), draw_width(), draw(1, 2), false);
        struct answers wanted = {0};
        struct sequences s = {0};
        for (size_t r = 0; r < row_count; r++) {
            if (SANITIZED && s.large && strcmp(rows[r]->name, "baseline") == 0) continue; /* minutes */
            rnnd_model *m = net_open(&net, rows[r]->name, precision);
            if (r == 0) {
                size_t batch = draw(1, one_in(4) ? MOST_BATCH : 14), steps = one_in(4) ? MOST_ROWS / batch : 9;
                s = sequences_make(&net, m, batch, draw(1, steps > 90 ? 90 : steps));
                wanted = by_steps(m, &s, s.batch, 1);
            }
            compare(&s, s.batch, &wanted, by_steps(m, &s, s.batch, 0), rows[r]->name, precision, "batches");
            compare(&s, s.batch, &wanted, by_windows(m, &s), rows[r]->name, precision, "windows");
            compare(&s, s.batch, &wanted, by_feeding(m, &s, &wanted), rows[r]->name, precision, "feeding");
            rnnd_model_close(m);
        }
        answers_free(&wanted);
        free(s.x);
        builder_free(&net.b);
    }
    assert_true(together > ROUNDS / 2);
}

/* Kernels go through a batch in tiles: each count of rows is another mixture of them. */
static void every_batch_size(void **unused)
{
    (void)unused;
    const struct kernels *const *rows;
    size_t row_count = kernels_list(&rows);
    for (int round = 0; round < SWEEPS; round++) {
        static struct net net;
        const char *precision = precisions[round % 3];
        bool large = round / 3 == 1;
        net_make(&net, (enum cell[]){LSTM, GRU_AFTER, RNN, GRU_BEFORE}[(round + round / 3) % CELLS],
                 draw(1, large ? MOST_WIDTH : 20), draw(large ? 33 : 1, large ? MOST_WIDTH : 32), 1, true);
        struct answers wanted = {0};
        struct sequences s = {0};
        for (size_t r = 0; r < row_count; r++) {
            rnnd_model *m = net_open(&net, rows[r]->name, precision);
            if (r == 0) {
                s = sequences_make(&net, m, MOST_BATCH, 2);
                wanted = by_steps(m, &s, s.batch, 1);
            }
            bool slow = (large || SANITIZED) && strcmp(rows[r]->name, "baseline") == 0;
            for (size_t n = 1; n <= MOST_BATCH; n += slow ? draw(1, 40) : 1)
                compare(&s, n, &wanted, by_steps(m, &s, n, n), rows[r]->name, precision, "a batch");
            rnnd_model_close(m);
        }
        answers_free(&wanted);
        free(s.x);
        builder_free(&net.b);
    }
}

int main(void)
{
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    rng_seed(&rng, seed, 1);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_batches_and_paths), cmocka_unit_test(every_batch_size)};
    return cmocka_run_group_tests_name("one answer", tests, NULL, NULL);
}
