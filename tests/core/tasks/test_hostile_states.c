/* test_hostile_states.c -- state blobs of strangers who know how checksums work: refused, or harmless in every use. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <xxhash.h>

#include "core/base/mem.h"
#include "tests/lib/build_model.h"

enum { ROUNDS = 3000, HEAD = 64, STEPS_AT = 32 };

#define CHARS "\"task\":\"text\",\"text\":{\"tokenizer\":\"chars\",\"symbols\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}"
#define SERIES(rest)                                                                                                   \
    "{\"format\":1,\"task\":\"series\",\"inputs\":[{\"width\":16}],\"layers\":[{\"type\":\"gru\",\"name\":\"g\","      \
    "\"hidden\":4},{\"type\":\"dense\",\"name\":\"d\"}]," rest "}"
#define FEATURES                                                                                                       \
    "\"features\":[{\"type\":\"value\"},{\"type\":\"baseline\"},{\"type\":\"residual\",\"lag\":2},"                  \
    "{\"type\":\"level\",\"lag\":3},{\"type\":\"spread\",\"lag\":5},{\"type\":\"next_baseline\"},"                    \
    "{\"type\":\"lag\",\"lag\":4},{\"type\":\"missing\"}]"
#define CHANNELS                                                                                                       \
    "\"channels\":[{\"name\":\"a\",\"scaler\":{\"type\":\"asinh\",\"shift\":1,\"scale\":2}},{\"name\":\"b\","          \
    "\"scaler\":{\"type\":\"standard\",\"mean\":3,\"std\":2}}]"

static const char *const configs[] = {
    "{\"format\":1,\"inputs\":[{\"ids\":5}],\"layers\":[{\"type\":\"embedding\",\"name\":\"e\"},{\"type\":\"lstm\","
    "\"name\":\"l\",\"hidden\":4},{\"type\":\"dense\",\"name\":\"o\"}]," CHARS "}",
    "{\"format\":1,\"mode\":\"sliding\",\"window\":3,\"inputs\":[{\"ids\":5}],\"layers\":[{\"type\":\"embedding\","
    "\"name\":\"e\"},{\"type\":\"lstm\",\"name\":\"l\",\"hidden\":4},{\"type\":\"dense\",\"name\":\"o\"}]," CHARS "}",
    SERIES("\"series\":{" CHANNELS "," FEATURES ",\"baseline\":{\"type\":\"seasonal\",\"period\":3,\"smoothing\":0.5},"
           "\"running\":{\"decay\":0.9},\"horizon\":2,\"quantiles\":[0.1,0.5,0.9],\"residual\":true,\"missing\":{"
           "\"limit\":4}}"),
    SERIES("\"series\":{" CHANNELS "," FEATURES ",\"baseline\":{\"type\":\"last\"},\"horizon\":6},\"mode\":\"sliding\","
           "\"window\":4"),
    "{\"format\":1,\"mode\":\"sliding\",\"window\":3,\"inputs\":[{\"ids\":5}],\"layers\":[{\"type\":\"embedding\","
    "\"name\":\"e\"},{\"type\":\"lstm\",\"name\":\"l\",\"hidden\":4,\"direction\":\"bidirectional\",\"tensors\":{"
    "\"weight_ih_l0_reverse\":\"l.weight_ih_l0\",\"weight_hh_l0_reverse\":\"l.weight_hh_l0\",\"bias_ih_l0_reverse\":"
    "\"l.bias_ih_l0\",\"bias_hh_l0_reverse\":\"l.bias_hh_l0\"}}]}",
};

static uint64_t seed;
static struct rng rng;

static void weights(struct model_builder *b)
{
    builder_init(b, 21);
    builder_tensor(b, "e.weight", NULL, 1, 2, 5, 4, 0);
    builder_torch(b, "l", 4, 4, 4, 1, false, 0);
    builder_tensor(b, "o.weight", NULL, 1, 2, 5, 4, 0);
    builder_tensor(b, "o.bias", NULL, 1, 1, 5, 0, 0);
    builder_torch(b, "g", 3, 16, 4, 1, false, 0);
    builder_tensor(b, "d.weight", NULL, 1, 2, 12, 4, 0);
    builder_tensor(b, "d.bias", NULL, 1, 1, 12, 0, 0);
}

/* An input row of the model: an id, or values of which some are missing. */
static void next_input(const rnnd_info *info, float *row)
{
    for (size_t i = 0; i < info->input_width; i++)
        row[i] = info->task != RNND_SERIES && info->inputs[0].is_ids ? (float)(rng_u32(&rng) % 5)
                 : info->task == RNND_SERIES && rng_u32(&rng) % 5 == 0 ? NAN
                                                                       : rng_between(&rng, -9, 9);
}

static void all_finite(const float *y, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(y[i])) fail_msg("%s: number %zu is %g", what, i, (double)y[i]);
}

static void step_some(const rnnd_model *m, rnnd_workspace *ws, void *state, int steps)
{
    const rnnd_info *info = rnnd_model_info(m);
    float in[4], out[64];
    void *kept = malloc(rnnd_state_bytes(m));
    assert_true(info->input_width <= 4 && info->output_width <= 64);
    for (int t = 0; t < steps; t++) {
        rnnd_error err = {0};
        rnnd_step_row row = {.state = state, .input = in, .output = out};
        next_input(info, in);
        memcpy(kept, state, rnnd_state_bytes(m));
        rnnd_code code = rnnd_step(ws, &row, 1, &err);
        if (!code) all_finite(out, info->output_width, "a step");
        if (code && code != RNND_NOT_FINITE && code != RNND_MISMATCH) fail_msg("%d %s", code, err.message);
        if (code) memcpy(state, kept, rnnd_state_bytes(m));
    }
    free(kept);
}

static void forecast(const rnnd_model *m, rnnd_workspace *ws, const void *state)
{
    const rnnd_info *info = rnnd_model_info(m);
    const float levels[] = {0.05f, 0.5f, 0.99f};
    bool paths = info->quantile_count > 0, done = false;
    const rnnd_forecast_params p = {.horizon = 9, .quantiles = levels, .quantile_count = paths ? 3 : 0,
                                    .samples = paths ? 2 : 0, .seed = 1};
    float mean[9 * 2], quantiles[3 * 9 * 2], samples[2 * 9 * 2];
    const rnnd_forecast_out out = {mean, paths ? quantiles : NULL, paths ? samples : NULL};
    rnnd_forecast *f;
    rnnd_error err = {0};
    rnnd_code code = rnnd_forecast_open(m, state, &p, &f, &err);
    if (code == RNND_NOT_FINITE || code == RNND_MISMATCH) return;
    if (code) fail_msg("%s", err.message);
    for (int slice = 0; !code && !done; slice++) {
        assert_true(slice < 100);
        code = rnnd_forecast_work(f, ws, 5, &done, &err);
    }
    if (!code) code = rnnd_forecast_read(f, &out, &err);
    if (!code) {
        all_finite(mean, 9 * 2, "the mean");
        if (paths) all_finite(quantiles, 3 * 9 * 2, "quantiles");
        if (paths) all_finite(samples, 2 * 9 * 2, "samples");
        for (size_t i = 0; paths && i < 2 * 9 * 2; i++)
            assert_true(quantiles[i] <= quantiles[i + 18]);
    } else if (code != RNND_NOT_FINITE) {
        fail_msg("%s", err.message);
    }
    rnnd_forecast_close(f);
}

static void generate(const rnnd_model *m, rnnd_workspace *ws, void *state)
{
    const int32_t prompt[] = {1, 2};
    rnnd_generate_params p = {.prompt = prompt, .prompt_count = rng_u32(&rng) % 2 ? 2 : 0, .max_tokens = 6,
                              .sampling = RNND_SAMPLING_DEFAULTS};
    rnnd_generation *g;
    rnnd_error err = {0};
    rnnd_token token;
    float in, logits[5];
    size_t bytes;
    p.sampling.logprobs = 2;
    p.sampling.repetition_penalty = 1.5f;
    p.sampling.top_p = 0.9f;
    p.sampling.temperature = rng_u32(&rng) % 2 ? 1e-3f : 0.7f;
    rnnd_code code = rnnd_generation_open(m, &p, state, &g, &err);
    if (code == RNND_INVALID && p.prompt_count == 0) return; /* the state holds no last output */
    if (code) fail_msg("%s", err.message);
    while (rnnd_generation_input(g, &in)) {
        rnnd_step_row row = {.state = state, .input = &in, .output = logits};
        assert_true(in >= 0 && in < 5);
        if (rnnd_step(ws, &row, 1, NULL)) break;
        rnnd_generation_output(g, logits);
        rnnd_generation_text(g, &bytes);
        while (rnnd_generation_token(g, &token)) {
            assert_in_range(token.id, 0, 4);
            if (token.has_logprob) assert_true(token.logprob <= 0);
        }
    }
    rnnd_generation_close(g);
}

/* One to three places of the state become something else; the counters of head and state agree, mostly. */
static void mutate(uint8_t *blob, size_t bytes)
{
    static const float floats[] = {0, -0.0f, 1, -1, 5, 1e30f, -3e30f, 5e30f, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-45f,
                                   INFINITY, -INFINITY, NAN};
    static const uint64_t counts[] = {0, 1, 2, 3, 7, (uint64_t)1 << 53, ((uint64_t)1 << 53) + 1, (uint64_t)1 << 63,
                                      UINT64_MAX, UINT64_MAX - 1};
    size_t payload = bytes - HEAD - 8;
    for (uint32_t k = 1 + rng_u32(&rng) % 3; k > 0; k--) {
        uint64_t any = (uint64_t)rng_u32(&rng) << 32 | rng_u32(&rng);
        uint8_t *word = blob + HEAD + rng_u32(&rng) % (payload / 8) * 8;
        switch (rng_u32(&rng) % 5) {
        case 0: word[any % 8] ^= (uint8_t)(1u << any / 8 % 8); break;
        case 1: memcpy(word + any % 2 * 4, &floats[any / 2 % (sizeof floats / sizeof *floats)], 4); break;
        case 2: memcpy(word, &counts[any % (sizeof counts / sizeof *counts)], 8); break;
        case 3: memcpy(word, &any, 8); break;
        case 4: memcpy(blob + HEAD, &counts[any % (sizeof counts / sizeof *counts)], 8); break;
        }
    }
    if (rng_u32(&rng) % 8) memcpy(blob + STEPS_AT, blob + HEAD, 8);
    uint64_t sum = XXH64(blob, bytes - 8, 0);
    memcpy(blob + bytes - 8, &sum, 8);
}

static void strangers_states(void **unused)
{
    (void)unused;
    struct model_builder b;
    weights(&b);
    for (size_t k = 0; k < sizeof configs / sizeof *configs; k++) {
        rnnd_model *m = builder_open(&b, configs[k], NULL);
        const rnnd_info *info = rnnd_model_info(m);
        size_t bytes = rnnd_state_blob_bytes(m), taken = 0;
        uint8_t *blob = malloc(bytes), *bad = malloc(bytes);
        void *state = malloc(rnnd_state_bytes(m)), *kept = malloc(rnnd_state_bytes(m));
        rnnd_workspace *ws;
        assert_int_equal(rnnd_workspace_open(m, 2, &ws, NULL), RNND_OK);
        for (int round = 0; round < ROUNDS; round++) {
            rnnd_error err = {0};
            if (round % 50 == 0) { /* a state of our own is taken, and goes on where it was */
                rnnd_state_reset(m, state);
                step_some(m, ws, state, round / 50 % 9);
                rnnd_state_save(m, state, blob);
                if (rnnd_state_load(m, blob, bytes, kept, &err)) fail_msg("%s", err.message);
                assert_memory_equal(state, kept, rnnd_state_bytes(m));
            }
            memcpy(bad, blob, bytes);
            mutate(bad, bytes);
            memcpy(kept, state, rnnd_state_bytes(m));
            if (rnnd_state_load(m, bad, bytes, state, &err)) {
                assert_true(err.code == RNND_CORRUPT && err.message[0]);
                assert_memory_equal(state, kept, rnnd_state_bytes(m));
                continue;
            }
            taken++;
            if (info->task == RNND_SERIES) forecast(m, ws, state);
            if (info->task == RNND_TEXT) generate(m, ws, state);
            step_some(m, ws, state, 8);
            memcpy(state, kept, rnnd_state_bytes(m));
        }
        if (taken < 20 || taken > ROUNDS - 100) fail_msg("model %zu: %zu of %d were taken", k, taken, ROUNDS);
        rnnd_workspace_close(ws);
        rnnd_model_close(m);
        free(blob);
        free(bad);
        free(state);
        free(kept);
    }
    builder_free(&b);
}

/* Loading finds no memory: an error, and the state stays what it was. */
static void every_allocation_fails(void **unused)
{
    (void)unused;
    struct model_builder b;
    weights(&b);
    for (size_t k = 0; k < sizeof configs / sizeof *configs; k++) {
        rnnd_model *m = builder_open(&b, configs[k], NULL);
        size_t bytes = rnnd_state_blob_bytes(m), n = 1;
        uint8_t *blob = malloc(bytes);
        void *state = malloc(rnnd_state_bytes(m)), *fresh = malloc(rnnd_state_bytes(m));
        rnnd_workspace *ws;
        assert_int_equal(rnnd_workspace_open(m, 1, &ws, NULL), RNND_OK);
        rnnd_state_reset(m, fresh);
        rnnd_state_reset(m, state);
        step_some(m, ws, state, 5);
        mem_fail_at(1); /* saving takes none */
        rnnd_state_save(m, state, blob);
        assert_int_equal(mem_fail_at(0), 0);
        rnnd_state_reset(m, state);
        for (; n < 20; n++) {
            rnnd_error err = {0};
            mem_fail_at(n);
            rnnd_code code = rnnd_state_load(m, blob, bytes, state, &err);
            mem_fail_at(0);
            if (!code) break;
            assert_int_equal(code, RNND_NO_MEMORY);
            assert_int_equal(err.code, RNND_NO_MEMORY);
            assert_memory_equal(state, fresh, rnnd_state_bytes(m));
        }
        assert_in_range(n, 2, 10);
        assert_int_equal(rnnd_state_step(m, state), 5);
        rnnd_workspace_close(ws);
        rnnd_model_close(m);
        free(blob);
        free(state);
        free(fresh);
    }
    builder_free(&b);
}

int main(void)
{
    const char *given = getenv("RNND_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed, 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(strangers_states), cmocka_unit_test(every_allocation_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
