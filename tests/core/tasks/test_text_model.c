/* test_text_model.c -- the tiny text models through the public header: sessions cut, saved, restored, side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rnnd.h"

enum { TOKENS = 120 };

struct voice { /* one generation and the state it speaks from */
    void *state;
    rnnd_generation *g;
    char text[4 * TOKENS + 64];
    size_t length;
};

static rnnd_model *load(const char *path)
{
    rnnd_model *m;
    rnnd_error err;
    if (rnnd_model_open(path, NULL, &m, &err) != RNND_OK)
        fail_msg("%s", err.message);
    return m;
}

static void say(const rnnd_model *m, struct voice *v, const char *prompt, int64_t tokens, uint64_t seed)
{
    int32_t ids[64];
    size_t n = 0;
    rnnd_generate_params p = {.prompt = ids, .max_tokens = tokens, .sampling = RNND_SAMPLING_DEFAULTS};
    if (prompt)
        assert_int_equal(rnnd_tokenize(m, prompt, strlen(prompt), ids, 64, &n, NULL), RNND_OK);
    p.prompt_count = n;
    p.sampling.seeded = seed != 0;
    p.sampling.seed = seed;
    assert_int_equal(rnnd_generation_open(m, &p, v->state, &v->g, NULL), RNND_OK);
}

/* Steps all voices together until all are silent. */
static void run(const rnnd_model *m, struct voice *voices, size_t n)
{
    rnnd_workspace *ws;
    size_t width = rnnd_model_info(m)->output_width, bytes;
    float *inputs = calloc(n, sizeof *inputs), *logits = calloc(n, width * sizeof *logits);
    rnnd_step_row *rows = calloc(n, sizeof *rows);
    size_t *who = calloc(n, sizeof *who);
    assert_int_equal(rnnd_workspace_open(m, n, &ws, NULL), RNND_OK);
    for (;;) {
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            if (rnnd_generation_input(voices[i].g, &inputs[count])) {
                rows[count] = (rnnd_step_row){voices[i].state, &inputs[count], logits + count * width, RNND_OK};
                who[count++] = i;
            }
        if (count == 0)
            break;
        assert_int_equal(rnnd_step(ws, rows, count, NULL), RNND_OK);
        for (size_t k = 0; k < count; k++)
            rnnd_generation_output(voices[who[k]].g, rows[k].output);
    }
    for (size_t i = 0; i < n; i++) {
        const char *text = rnnd_generation_text(voices[i].g, &bytes);
        if (text)
            memcpy(voices[i].text + voices[i].length, text, bytes);
        voices[i].length += bytes;
        rnnd_generation_close(voices[i].g);
    }
    rnnd_workspace_close(ws);
    free(inputs);
    free(logits);
    free(rows);
    free(who);
}

static void open_voice(const rnnd_model *m, struct voice *v)
{
    memset(v, 0, sizeof *v);
    v->state = malloc(rnnd_state_bytes(m));
    rnnd_state_reset(m, v->state);
}

static void cut_and_moved_sessions_say_the_same(const char *path)
{
    rnnd_model *m = load(path);
    size_t bytes = rnnd_state_bytes(m), blob_bytes = rnnd_state_blob_bytes(m);
    void *blob = malloc(blob_bytes);
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct voice whole, parts;
        open_voice(m, &whole);
        open_voice(m, &parts);
        say(m, &whole, "hello, ", TOKENS, seed);
        run(m, &whole, 1);
        for (size_t at = 0; at < TOKENS; at += TOKENS / 4) { /* saved and loaded between four requests */
            say(m, &parts, at ? NULL : "hello, ", TOKENS / 4, at ? 0 : seed);
            run(m, &parts, 1);
            rnnd_state_save(m, parts.state, blob);
            memset(parts.state, 0xEE, bytes);
            assert_int_equal(rnnd_state_load(m, blob, blob_bytes, parts.state, NULL), RNND_OK);
        }
        assert_int_equal(rnnd_state_step(m, whole.state), 7 + TOKENS);
        assert_memory_equal(whole.state, parts.state, bytes);
        if (rnnd_model_info(m)->vocabulary != 256) { /* bytes cut inside a character read otherwise */
            assert_int_equal(whole.length, parts.length);
            assert_memory_equal(whole.text, parts.text, whole.length);
        }
        free(whole.state);
        free(parts.state);
    }
    free(blob);
    rnnd_model_close(m);
}

static void neighbours_change_nothing(const char *path)
{
    enum { VOICES = 7 };
    rnnd_model *m = load(path);
    struct voice alone[VOICES], together[VOICES];
    for (size_t i = 0; i < VOICES; i++) {
        open_voice(m, &alone[i]);
        open_voice(m, &together[i]);
        say(m, &alone[i], "abc", TOKENS - 11 * (int64_t)i, i + 1);
        run(m, &alone[i], 1);
        say(m, &together[i], "abc", TOKENS - 11 * (int64_t)i, i + 1);
    }
    run(m, together, VOICES);
    for (size_t i = 0; i < VOICES; i++) {
        assert_int_equal(alone[i].length, together[i].length);
        assert_memory_equal(alone[i].text, together[i].text, alone[i].length);
        assert_memory_equal(alone[i].state, together[i].state, rnnd_state_bytes(m));
        assert_true(i == 0 || memcmp(alone[i].text, alone[0].text, 20) != 0);
        free(alone[i].state);
        free(together[i].state);
    }
    rnnd_model_close(m);
}

static void sessions(void **unused)
{
    (void)unused;
    cut_and_moved_sessions_say_the_same("models/tiny/text.safetensors");
    cut_and_moved_sessions_say_the_same("models/tiny/chars.safetensors");
}

static void batches(void **unused)
{
    (void)unused;
    neighbours_change_nothing("models/tiny/text.safetensors");
    neighbours_change_nothing("models/tiny/chars.safetensors");
}

static void ids_outside_are_refused_and_change_nothing(void **unused)
{
    (void)unused;
    rnnd_model *m = load("models/tiny/chars.safetensors");
    rnnd_workspace *ws;
    rnnd_error err;
    float bad[] = {43, -1, 0.5f}, logits[43];
    size_t bytes = rnnd_state_bytes(m);
    void *state = malloc(bytes), *copy = malloc(bytes);
    rnnd_state_reset(m, state);
    memcpy(copy, state, bytes);
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, NULL), RNND_OK);
    for (size_t i = 0; i < 3; i++) {
        rnnd_step_row row = {state, &bad[i], logits, RNND_OK};
        assert_int_equal(rnnd_step(ws, &row, 1, &err), RNND_MISMATCH);
        assert_int_equal(row.code, RNND_MISMATCH);
        assert_memory_equal(state, copy, bytes);
    }
    rnnd_workspace_close(ws);
    free(state);
    free(copy);
    rnnd_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sessions), cmocka_unit_test(batches),
                                       cmocka_unit_test(ids_outside_are_refused_and_change_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
