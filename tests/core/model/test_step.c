/* test_step.c -- one answer: streamed, batched, windowed and restored give the same bits, on every kernel row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/kernels/kernels.h"
#include "tests/lib/build_model.h"

static struct rng rng;
static size_t below(size_t n)
{
    return rng_u32(&rng) % n;
}
static bool coin(void)
{
    return rng_u32(&rng) & 1;
}

/* gates within [0, 1], then bounded ones, then all: a network must not run away by itself */
enum { GATES = 3, BOUNDED = 5, FUNCTIONS = 7 };
static const char *const functions[FUNCTIONS] = {"sigmoid", "hard_sigmoid", "hard_sigmoid_keras2", "tanh", "softsign",
                                                 "relu",    "elu"};

struct shape {
    size_t inputs, outputs;
};

/* A random recurrent layer as JSON behind `text`, its tensors into the builder; returns its output width. */
static size_t add_recurrent(struct model_builder *b, char *text, const char *name, size_t inputs, bool both)
{
    size_t kind = below(3), hidden = 1 + below(41), layers = 1 + below(3);
    size_t projection = kind == 0 && below(4) == 0 ? 1 + below(hidden) : 0;
    static const char *const kinds[] = {"lstm", "gru", "rnn"};
    static const size_t gates[] = {4, 3, 1};
    text_add(text, "{\"type\":\"%s\",\"name\":\"%s\",\"hidden\":%zu,\"layers\":%zu", kinds[kind], name, hidden, layers);
    builder_torch(b, name, gates[kind], inputs, hidden, layers, both, projection);
    size_t width = projection ? projection : hidden;
    if (both) text_add(text, ",\"direction\":\"bidirectional\"");
    bool clipped = coin();
    if (clipped) text_add(text, ",\"clip\":1.5");
    if (kind == 2) {
        text_add(text, ",\"nonlinearity\":\"%s\"", clipped ? "relu" : "tanh");
    } else if (coin()) {
        text_add(text, ",\"activations\":{\"gate\":\"%s\",\"cell\":\"%s\"}", functions[below(GATES)],
                 functions[below(BOUNDED)]);
    }
    if (kind == 1)
        text_add(text, ",\"reset\":\"%s\",\"update\":\"%s\"", coin() ? "after" : "before", coin() ? "keep" : "new");
    if (kind == 0) {
        static const char *const coupled[] = {"none", "input", "forget"};
        text_add(text, ",\"coupled\":\"%s\"", coupled[below(3)]);
        if (coin()) text_add(text, ",\"cell_clip\":0.7");
        if (projection) text_add(text, ",\"projection_clip\":0.4,\"projection\":%zu", projection);
        if (coin()) {
            text_add(text, ",\"peephole\":true");
            for (size_t k = 0; k < layers; k++)
                for (int d = 0; d <= both; d++) {
                    char full[64];
                    snprintf(full, sizeof full, "%s.peephole_l%zu%s", name, k, d ? "_reverse" : "");
                    builder_tensor(b, full, NULL, 0.5f, 2, 3, hidden, 0);
                }
        }
    }
    if (coin()) {
        char full[64];
        snprintf(full, sizeof full, "%s.h0", name);
        builder_tensor(b, full, NULL, 0.9f, 3, layers * (both ? 2 : 1), 1, width);
        text_add(text, ",\"initial\":{\"h\":\"%s\"}", full);
    }
    text_add(text, "}");
    return width * (both ? 2 : 1);
}

/* A random network; the configuration into `config`. */
static struct shape random_model(struct model_builder *b, char *config, bool both, const char *mode)
{
    struct shape s = {1 + below(20), 1 + below(40)};
    char first[TEXT] = "", second[TEXT] = "", head[TEXT] = "";
    size_t width = add_recurrent(b, first, "a", s.inputs, both);
    bool two = coin(), skip = false;
    if (two) {
        size_t inner = add_recurrent(b, second, "b", width, false);
        skip = inner == width;
        width = inner;
    }
    builder_tensor(b, "head.weight", NULL, 0.5f, 2, s.outputs, width, 0);
    builder_tensor(b, "head.bias", NULL, 0.5f, 1, s.outputs, 0, 0);
    builder_tensor(b, "norm.weight", NULL, 1.0f, 1, width, 0, 0);
    builder_tensor(b, "norm.bias", NULL, 1.0f, 1, width, 0, 0);
    text_add(
        head,
        "%s{\"type\":\"layer_norm\",\"name\":\"norm\"},{\"type\":\"dense\",\"name\":\"head\",\"activation\":\"%s\"}",
        skip ? "{\"type\":\"add\",\"inputs\":[\"a\",\"b\"]}," : "", functions[below(FUNCTIONS)]);
    *config = 0;
    text_add(config,
             "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":%zu}],\"layers\":[%s%s%s,%s],\"output\":\"%s\"%s}",
             s.inputs, first, two ? "," : "", second, head, coin() ? "all" : "last", mode);
    return s;
}

static float *random_rows(size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = rng_between(&rng, -2, 2);
    return x;
}

static rnnd_workspace *workspace(const rnnd_model *m, size_t rows)
{
    rnnd_workspace *ws;
    rnnd_error err = {0};
    if (rnnd_workspace_open(m, rows, &ws, &err)) fail_msg("%s", err.message);
    return ws;
}

static void *new_state(const rnnd_model *m)
{
    void *s = malloc(rnnd_state_bytes(m));
    rnnd_state_reset(m, s);
    return s;
}

/* B streams of T steps, stepped in random subsets, some saved and loaded on the way: outputs [B][T][out]. */
static void stream(const rnnd_model *m, size_t B, size_t T, const float *x, struct shape s, float *y, float *h,
                   float *c)
{
    rnnd_workspace *ws = workspace(m, 1 + below(B));
    void **states = malloc(B * sizeof *states);
    size_t *at = calloc(B, sizeof *at), left = B * T;
    rnnd_step_row *rows = malloc(B * sizeof *rows);
    void *blob = malloc(rnnd_state_blob_bytes(m));
    const rnnd_info *info = rnnd_model_info(m);
    rnnd_error err = {0};
    for (size_t b = 0; b < B; b++)
        states[b] = new_state(m);
    while (left) {
        size_t n = 0;
        for (size_t b = 0; b < B; b++) {
            if (at[b] == T || coin()) continue;
            rows[n++] =
                (rnnd_step_row){states[b], x + (b * T + at[b]) * s.inputs, y + (b * T + at[b]) * s.outputs, RNND_OK};
            at[b]++;
        }
        if (n == 0) continue;
        mem_fail_at(0);
        if (rnnd_step(ws, rows, n, &err)) fail_msg("%s", err.message);
        assert_int_equal(mem_fail_at(0), 0); /* stepping never allocates */
        left -= n;
        if (below(16) == 0) { /* another place, another address */
            size_t b = below(B);
            rnnd_state_save(m, states[b], blob);
            free(states[b]);
            states[b] = new_state(m);
            if (rnnd_state_load(m, blob, rnnd_state_blob_bytes(m), states[b], &err)) fail_msg("%s", err.message);
            assert_int_equal(rnnd_state_step(m, states[b]), at[b]);
        }
    }
    for (size_t b = 0; b < B; b++) {
        if (h)
            assert_int_equal(rnnd_state_get_hc(m, states[b], h + b * info->h_width, c + b * info->c_width, &err),
                             RNND_OK);
        free(states[b]);
    }
    free(states);
    free(at);
    free(rows);
    free(blob);
    rnnd_workspace_close(ws);
}

static void same(const float *a, const float *b, size_t n, const char *what, const char *config)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0)
            fail_msg("%s: %zu of %zu: %.9g, %.9g\n%s", what, i, n, (double)a[i], (double)b[i], config);
}

/* Outputs of whole windows, [B][T or 1][out], and hn, cn regrouped to [B][width]. */
static void windows(const rnnd_model *m, size_t B, size_t T, const float *x, float *y, float *h, float *c)
{
    const rnnd_info *info = rnnd_model_info(m);
    float *hn = malloc((B * info->h_width + 1) * sizeof *hn), *cn = malloc((B * info->c_width + 1) * sizeof *cn);
    rnnd_workspace *ws = workspace(m, 1 + below(4));
    rnnd_window w = {.batch = B, .steps = T, .inputs = x, .outputs = y, .hn = hn, .cn = cn};
    rnnd_error err = {0};
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
    if (h && info->state_hidden) { /* [layers][B][H] */
        size_t H = info->state_hidden;
        for (size_t l = 0; l < info->state_layers; l++)
            for (size_t b = 0; b < B; b++)
                memcpy(h + b * info->h_width + l * H, hn + (l * B + b) * H, H * sizeof *h);
        if (c && info->c_width == info->h_width)
            for (size_t l = 0; l < info->state_layers; l++)
                for (size_t b = 0; b < B; b++)
                    memcpy(c + b * info->c_width + l * H, cn + (l * B + b) * H, H * sizeof *c);
    }
    free(hn);
    free(cn);
    rnnd_workspace_close(ws);
}

static void carry_is_one_answer(void **unused)
{
    (void)unused;
    const struct kernels *const *rows;
    size_t row_count = kernels_list(&rows);
    char *config = malloc(TEXT);
    for (int round = 0; round < 20; round++) {
        struct model_builder b;
        builder_init(&b, rng_u32(&rng));
        struct shape s = random_model(&b, config, false, "");
        size_t B = 1 + below(9), T = round % 8 == 0 ? 200 : 1 + below(40);
        float *x = random_rows(B * T * s.inputs), *first = NULL;
        for (size_t r = 0; r < row_count; r++) {
            rnnd_model *m = builder_open(&b, config, rows[r]->name);
            const rnnd_info *info = rnnd_model_info(m);
            bool last = info->output_last;
            float *y = malloc(B * T * s.outputs * sizeof *y), *z = malloc(B * T * s.outputs * sizeof *z);
            float *h[2], *c[2];
            for (int i = 0; i < 2; i++) {
                h[i] = calloc(B * info->h_width + 1, sizeof **h);
                c[i] = calloc(B * info->c_width + 1, sizeof **c);
            }
            assert_true(info->streamable);
            stream(m, B, T, x, s, y, h[0], c[0]);
            windows(m, B, T, x, z, h[1], c[1]);
            for (size_t i = 0; i < B; i++)
                same(last ? y + (i * T + T - 1) * s.outputs : y + i * T * s.outputs,
                     last ? z + i * s.outputs : z + i * T * s.outputs, (last ? 1 : T) * s.outputs, "streamed, windowed",
                     config);
            if (info->state_hidden) same(h[0], h[1], B * info->h_width, "h", config);
            if (info->state_hidden && info->c_width == info->h_width) same(c[0], c[1], B * info->c_width, "c", config);
            if (first)
                same(first, y, B * T * s.outputs, rows[r]->name, config);
            else
                first = y;
            if (first != y) free(y);
            free(z);
            for (int i = 0; i < 2; i++) {
                free(h[i]);
                free(c[i]);
            }
            rnnd_model_close(m);
        }
        free(first);
        free(x);
        builder_free(&b);
    }
    free(config);
}

static void sliding_is_the_window(void **unused)
{
    (void)unused;
    char *config = malloc(TEXT), mode[64];
    for (int round = 0; round < 13; round++) {
        struct model_builder b;
        builder_init(&b, rng_u32(&rng));
        size_t W = 1 + below(13), B = 1 + below(5), T = 1 + below(30);
        snprintf(mode, sizeof mode, ",\"mode\":\"sliding\",\"window\":%zu", W);
        struct shape s = random_model(&b, config, coin(), mode);
        rnnd_model *m = builder_open(&b, config, NULL);
        float *x = random_rows(B * T * s.inputs), *y = malloc(B * T * s.outputs * sizeof *y),
              *z = malloc(W * s.outputs * sizeof *z);
        stream(m, B, T, x, s, y, NULL, NULL);
        for (size_t i = 0; i < B; i++)
            for (size_t t = 0; t < T; t++) {
                size_t n = t + 1 < W ? t + 1 : W;
                windows(m, 1, n, x + (i * T + t + 1 - n) * s.inputs, z, NULL, NULL);
                same(rnnd_model_info(m)->output_last ? z : z + (n - 1) * s.outputs, y + (i * T + t) * s.outputs,
                     s.outputs, "sliding", config);
            }
        free(x);
        free(y);
        free(z);
        rnnd_model_close(m);
        builder_free(&b);
    }
    free(config);
}

/* pad zeros: a young session answers what a whole window says whose first rows are zeros, of numbers and of ids. */
static void padded_windows(void **unused)
{
    (void)unused;
    enum { W = 5, T = 12, B = 3 };
    static const char *const configs[] = {
        "{\"format\":1,\"mode\":\"sliding\",\"window\":5,\"pad\":\"zeros\",\"output\":\"last\","
        "\"inputs\":[{\"width\":1}],\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":6,"
        "\"direction\":\"bidirectional\"}]}",
        "{\"format\":1,\"mode\":\"sliding\",\"window\":5,\"pad\":\"zeros\",\"inputs\":[{\"ids\":4}],"
        "\"layers\":[{\"type\":\"embedding\",\"name\":\"e\"},{\"type\":\"lstm\",\"name\":\"m\",\"hidden\":12}]}"};
    struct model_builder b;
    builder_init(&b, rng_u32(&rng));
    builder_torch(&b, "n", 4, 1, 6, 1, true, 0);
    builder_tensor(&b, "e.weight", NULL, 1, 2, 4, 3, 0);
    builder_torch(&b, "m", 4, 3, 12, 1, false, 0);
    for (size_t k = 0; k < 2; k++) {
        rnnd_model *m = builder_open(&b, configs[k], NULL);
        bool last = rnnd_model_info(m)->output_last;
        void *states[B] = {new_state(m), new_state(m), new_state(m)};
        float x[B][T], y[B][12], window[W], wanted[W * 12];
        rnnd_workspace *ws;
        rnnd_error err;
        assert_int_equal(rnnd_workspace_open(m, B, &ws, &err), RNND_OK);
        for (size_t t = 0; t < T; t++) {
            rnnd_step_row rows[B];
            size_t n = t < 2 ? 1 : B; /* sessions of different ages share a pass */
            for (size_t i = 0; i < n; i++) {
                size_t age = rnnd_state_step(m, states[i]);
                x[i][age] = k ? (float)below(4) : rng_between(&rng, -1, 1);
                rows[i] = (rnnd_step_row){.state = states[i], .input = &x[i][age], .output = y[i]};
            }
            if (rnnd_step(ws, rows, n, &err)) fail_msg("%s", err.message);
            for (size_t i = 0; i < n; i++) {
                size_t age = rnnd_state_step(m, states[i]);
                for (size_t j = 0; j < W; j++)
                    window[j] = age + j < W ? 0 : x[i][age + j - W];
                rnnd_window w = {.batch = 1, .steps = W, .inputs = window, .outputs = wanted};
                if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
                same(y[i], wanted + (last ? 0 : (W - 1) * 12), 12, "padded", configs[k]);
            }
        }
        rnnd_workspace_close(ws);
        for (size_t i = 0; i < B; i++)
            free(states[i]);
        rnnd_model_close(m);
    }
    builder_free(&b);
}

/* A blob whose window holds rows beyond the steps taken was made by nobody. */
static void unfilled_rows_are_zeros(void **unused)
{
    (void)unused;
    struct model_builder b;
    rnnd_error err;
    builder_init(&b, 1);
    builder_torch(&b, "n", 4, 1, 2, 1, false, 0);
    rnnd_model *m = builder_open(&b,
                                 "{\"format\":1,\"mode\":\"sliding\",\"window\":3,\"pad\":\"zeros\","
                                 "\"inputs\":[{\"width\":1}],\"layers\":[{\"type\":\"lstm\",\"name\":\"n\","
                                 "\"hidden\":2}]}",
                                 NULL);
    float *state = new_state(m);
    void *blob = malloc(rnnd_state_blob_bytes(m));
    rnnd_state_save(m, state, blob);
    assert_int_equal(rnnd_state_load(m, blob, rnnd_state_blob_bytes(m), state, &err), RNND_OK);
    state[3] = 5; /* the head has 8 bytes, then three rows of one float */
    rnnd_state_save(m, state, blob);
    assert_int_equal(rnnd_state_load(m, blob, rnnd_state_blob_bytes(m), state, &err), RNND_CORRUPT);
    assert_non_null(strstr(err.message, "row 1 of the state's window was never filled"));
    free(blob);
    free(state);
    rnnd_model_close(m);
    builder_free(&b);
}

static void windows_of_pieces_are_one(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, 5);
    builder_torch(&b, "a", 4, 3, 11, 2, false, 0);
    rnnd_model *m =
        builder_open(&b,
                     "{\"format\":1,\"inputs\":[{\"width\":3}],\"layers\":[{\"type\":\"lstm\",\"name\":\"a\","
                     "\"hidden\":11,\"layers\":2}]}",
                     NULL);
    enum { B = 3, T = 700, CUT = 333 };
    float *x = random_rows(B * T * 3), *y = malloc(B * T * 11 * sizeof *y), *z = malloc(T * 11 * sizeof *z);
    float hc[4][2 * 11];
    rnnd_workspace *ws = workspace(m, 2);
    rnnd_error err = {0};
    rnnd_window whole = {.batch = B, .steps = T, .inputs = x, .outputs = y};
    assert_int_equal(rnnd_run_window(ws, &whole, &err), RNND_OK);
    for (size_t i = 0; i < B; i++) {
        rnnd_window one = {.batch = 1, .steps = CUT, .inputs = x + i * T * 3, .outputs = z, .hn = hc[0], .cn = hc[1]};
        rnnd_window two = {.batch = 1,
                           .steps = T - CUT,
                           .inputs = x + (i * T + CUT) * 3,
                           .h0 = hc[0],
                           .c0 = hc[1],
                           .outputs = z + CUT * 11};
        assert_int_equal(rnnd_run_window(ws, &one, &err), RNND_OK);
        assert_int_equal(rnnd_run_window(ws, &two, &err), RNND_OK);
        same(y + i * T * 11, z, T * 11, "pieces", "");
    }
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
    free(x);
    free(y);
    free(z);
}

static void bad_rows_leave_the_others_alone(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, 7);
    builder_tensor(&b, "e.weight", NULL, 1, 2, 10, 4, 0);
    builder_torch(&b, "g", 3, 4, 6, 1, false, 0);
    rnnd_model *m =
        builder_open(&b,
                     "{\"format\":1,\"inputs\":[{\"name\":\"id\",\"ids\":10}],\"layers\":[{\"type\":\"embedding\","
                     "\"name\":\"e\"},{\"type\":\"gru\",\"name\":\"g\",\"hidden\":6}]}",
                     NULL);
    static const float ids[] = {3, 10, -1, 2.5f, 9, (float)(0.0 / 1e300)};
    rnnd_workspace *ws = workspace(m, 4);
    rnnd_step_row rows[6];
    float y[6][6], alone[6];
    for (size_t i = 0; i < 6; i++)
        rows[i] = (rnnd_step_row){new_state(m), &ids[i], y[i], RNND_INTERNAL};
    rnnd_error err = {0};
    void *fresh = new_state(m);
    assert_int_equal(rnnd_step(ws, rows, 6, &err), RNND_MISMATCH);
    assert_string_equal(err.param, "id");
    static const rnnd_code wanted[] = {RNND_OK, RNND_MISMATCH, RNND_MISMATCH, RNND_MISMATCH, RNND_OK, RNND_OK};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(rows[i].code, wanted[i]);
        assert_int_equal(rnnd_state_step(m, rows[i].state), wanted[i] ? 0 : 1);
        if (wanted[i]) {
            assert_memory_equal(rows[i].state, fresh, rnnd_state_bytes(m));
        } else {
            void *again = new_state(m);
            rnnd_step_row one = {again, &ids[i], alone, RNND_OK};
            assert_int_equal(rnnd_step(ws, &one, 1, &err), RNND_OK);
            same(alone, y[i], 6, "alone", "");
            assert_memory_equal(again, rows[i].state, rnnd_state_bytes(m));
            assert_int_equal(rnnd_state_digest(m, again), rnnd_state_digest(m, rows[i].state));
            free(again);
        }
        free(rows[i].state);
    }
    free(fresh);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
}

static void infinity_is_told(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, 7);
    float huge[] = {3e38f, 3e38f};
    builder_tensor(&b, "d.weight", huge, 1, 2, 1, 2, 0);
    rnnd_model *m = builder_open(
        &b, "{\"format\":1,\"inputs\":[{\"width\":2}],\"layers\":[{\"type\":\"dense\",\"name\":\"d\",\"bias\":false}]}",
        NULL);
    float in[2][2] = {{1, 1}, {1, -1}}, out[2];
    rnnd_workspace *ws = workspace(m, 2);
    rnnd_step_row rows[2] = {{new_state(m), in[0], &out[0], RNND_OK}, {new_state(m), in[1], &out[1], RNND_OK}};
    rnnd_error err = {0};
    assert_int_equal(rnnd_step(ws, rows, 2, &err), RNND_NOT_FINITE);
    assert_int_equal(rows[0].code, RNND_NOT_FINITE);
    assert_int_equal(rows[1].code, RNND_OK);
    rnnd_window w = {.batch = 2, .steps = 1, .inputs = in[0], .outputs = out};
    assert_int_equal(rnnd_run_window(ws, &w, &err), RNND_NOT_FINITE);
    free(rows[0].state);
    free(rows[1].state);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
}

int main(void)
{
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed, 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carry_is_one_answer),       cmocka_unit_test(sliding_is_the_window),
        cmocka_unit_test(windows_of_pieces_are_one),
        cmocka_unit_test(padded_windows),
        cmocka_unit_test(unfilled_rows_are_zeros), cmocka_unit_test(bad_rows_leave_the_others_alone),
        cmocka_unit_test(infinity_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
