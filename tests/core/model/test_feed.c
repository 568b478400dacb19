/* test_feed.c -- many steps at once beside as many single ones: states, errors, prompts; what cannot be run together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "tests/lib/build_model.h"
#include "tests/lib/tiny_model.h"

static rnnd_model *open_model(const char *path, rnnd_workspace **ws)
{
    rnnd_model *m;
    rnnd_error err;
    if (rnnd_model_open(path, NULL, &m, &err)) fail_msg("%s", err.message);
    assert_int_equal(rnnd_workspace_open(m, 2, ws, &err), RNND_OK);
    return m;
}

static rnnd_code by_steps(rnnd_workspace *ws, size_t width, void *state, const float *x, size_t steps, float *y,
                          rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    for (size_t t = 0; t < steps && !code; t++) {
        rnnd_step_row row = {state, x + t * width, y, RNND_OK};
        code = rnnd_step(ws, &row, 1, err);
    }
    return code;
}

/* Rows after which a network overflows, numbers that are none, ids out of range: the same answer, word for word. */
static void the_same_errors(void **unused)
{
    (void)unused;
    static char grown[] = "/tmp/rnnd-test-XXXXXX";
    const char *const files[] = {grown,
                                 "models/tiny/lstm.safetensors",
                                 "models/tiny/text.safetensors",
                                 "models/tiny/overflow.safetensors",
                                 "models/tiny/daily.safetensors",
                                 "models/tiny/bigru.safetensors"};
    close(mkstemp(grown));
    assert_true(tiny_model_write(grown, 0)); /* its head overflows once h has grown */
    size_t failed = 0;
    for (size_t f = 0; f < 6; f++) {
        rnnd_workspace *ws;
        rnnd_model *m = open_model(files[f], &ws);
        const rnnd_info *info = rnnd_model_info(m);
        size_t steps = 90, width = info->input_width;
        assert_int_equal(info->feeds_together, f < 3);
        float *x = malloc(steps * width * sizeof *x), *y[2];
        void *state[2];
        for (int i = 0; i < 2; i++) {
            y[i] = malloc(info->output_width * sizeof **y);
            state[i] = malloc(rnnd_state_bytes(m));
        }
        for (size_t bad = 0; bad < 2 * steps; bad += 7) {
            rnnd_error err[2] = {{0}, {0}};
            for (size_t i = 0; i < steps * width; i++) {
                x[i] = info->inputs[0].is_ids ? (float)(i * 5 % info->inputs[0].limit) : (float)(i % 11) / 11;
                if (i / width == bad) x[i] = info->inputs[0].is_ids ? -1.0f : 3e38f * 10;
            }
            for (int i = 0; i < 2; i++)
                rnnd_state_reset(m, state[i]);
            rnnd_code a = by_steps(ws, width, state[0], x, steps, y[0], &err[0]);
            rnnd_code b = rnnd_feed(ws, state[1], x, steps, y[1], &err[1]);
            failed += a != RNND_OK;
            assert_int_equal(a, b);
            assert_string_equal(err[0].message, err[1].message);
            if (a) continue;
            assert_memory_equal(y[0], y[1], info->output_width * sizeof **y);
            assert_int_equal(rnnd_state_digest(m, state[0]), rnnd_state_digest(m, state[1]));
        }
        for (int i = 0; i < 2; i++)
            free(y[i]), free(state[i]);
        free(x);
        rnnd_workspace_close(ws);
        rnnd_model_close(m);
    }
    unlink(grown);
    assert_true(failed > 20);
}

/* All text of a generation; together: its prompt is fed in pieces. */
static size_t generate(const rnnd_model *m, rnnd_workspace *ws, void *state, const rnnd_generate_params *p,
                       bool together, char *text, char *tokens)
{
    float rows[40], logits[512];
    rnnd_generation *g;
    rnnd_error err;
    size_t bytes, n, used = 0, told = 0, calls = 0;
    if (rnnd_generation_open(m, p, state, &g, &err)) fail_msg("%s", err.message);
    while ((n = together ? rnnd_generation_prompt(g, rows, 40) : rnnd_generation_input(g, rows))) {
        rnnd_token token;
        calls++;
        assert_int_equal(rnnd_feed(ws, state, rows, n, logits, &err), RNND_OK);
        rnnd_generation_output(g, logits);
        const char *piece = rnnd_generation_text(g, &bytes);
        memcpy(text + used, piece ? piece : "", bytes);
        used += bytes;
        while (rnnd_generation_token(g, &token))
            told += (size_t)sprintf(tokens + told, "<%d %.9g>", (int)token.id, (double)token.logprob);
    }
    assert_int_equal(rnnd_generation_finish(g), RNND_LENGTH);
    rnnd_generation_close(g);
    text[used] = tokens[told] = 0;
    return calls;
}

static void prompts(void **unused)
{
    (void)unused;
    static char text[2][1 << 14], tokens[2][1 << 16];
    rnnd_workspace *ws;
    rnnd_model *m = open_model("models/tiny/text.safetensors", &ws);
    int32_t ids[130];
    void *state[2] = {malloc(rnnd_state_bytes(m)), malloc(rnnd_state_bytes(m))};
    for (int i = 0; i < 130; i++)
        ids[i] = 32 + i * 7 % 90;
    for (int k = 0; k < 24; k++) {
        rnnd_generate_params p = {.prompt = ids,
                                  .prompt_count = (size_t[]){1, 39, 40, 41, 81, 130}[k % 6],
                                  .max_tokens = k % 5 * 3,
                                  .echo = k & 1,
                                  .score_prompt = k % 8 == 3,
                                  .sampling = RNND_SAMPLING_DEFAULTS};
        p.sampling.seeded = true;
        p.sampling.seed = (uint64_t)k;
        if (k % 3 == 0) p.sampling.logprobs = 2;
        size_t calls[2];
        for (int i = 0; i < 2; i++) {
            rnnd_state_reset(m, state[i]);
            calls[i] = generate(m, ws, state[i], &p, i, text[i], tokens[i]);
        }
        assert_string_equal(text[0], text[1]);
        assert_string_equal(tokens[0], tokens[1]);
        assert_int_equal(rnnd_state_digest(m, state[0]), rnnd_state_digest(m, state[1]));
        assert_int_equal(calls[0], p.prompt_count + (size_t)p.max_tokens);
        if (!p.score_prompt) assert_int_equal(calls[1], (p.prompt_count + 39) / 40 + (size_t)p.max_tokens);
    }
    free(state[0]), free(state[1]);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
}

static void every_allocation_fails(void **unused)
{
    (void)unused;
    rnnd_workspace *ws;
    rnnd_model *m = open_model("models/tiny/lstm.safetensors", &ws);
    float x[3 * 70] = {0}, y[2];
    void *state = malloc(rnnd_state_bytes(m));
    rnnd_error err;
    rnnd_code code = RNND_NO_MEMORY;
    size_t n = 1;
    for (; code; n++) {
        rnnd_state_reset(m, state);
        mem_fail_at(n);
        code = rnnd_feed(ws, state, x, 70, y, &err);
        mem_fail_at(0);
        assert_true(code == RNND_OK || code == RNND_NO_MEMORY);
    }
    assert_true(n > 3);
    mem_fail_at(0);
    assert_int_equal(rnnd_feed(ws, state, x, 70, y, &err), RNND_OK);
    assert_int_equal(mem_fail_at(0), 0); /* and none is asked for again */
    free(state);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_errors), cmocka_unit_test(prompts),
                                       cmocka_unit_test(every_allocation_fails)};
    return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
