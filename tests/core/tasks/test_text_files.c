/* test_text_files.c -- text models with vocabularies beside them, and networks that answer probabilities. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "tests/lib/build_model.h"

#define ML5 "tests/vectors/rtjson/ml5/"

/* Draws n tokens after a prompt; their ids. */
static void draw(const rnnd_model *m, const char *prompt, size_t n, float temperature, int32_t *ids)
{
    rnnd_workspace *ws;
    rnnd_generation *g;
    rnnd_error err;
    rnnd_token token;
    int32_t given[32];
    size_t count, bytes, at = 0;
    float input, *out = malloc(rnnd_model_info(m)->output_width * sizeof *out);
    void *state = malloc(rnnd_state_bytes(m));
    rnnd_state_reset(m, state);
    if (rnnd_tokenize(m, prompt, strlen(prompt), given, 32, &count, &err)) fail_msg("%s", err.message);
    rnnd_generate_params p = {
        .prompt = given, .prompt_count = count, .max_tokens = (int64_t)n, .sampling = RNND_SAMPLING_DEFAULTS};
    p.sampling.temperature = temperature;
    p.sampling.seeded = true;
    p.sampling.seed = 5;
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    if (rnnd_generation_open(m, &p, state, &g, &err)) fail_msg("%s", err.message);
    for (bool more = true; more;) {
        more = rnnd_generation_input(g, &input);
        rnnd_step_row row = {.state = state, .input = &input, .output = out};
        if (more && rnnd_step(ws, &row, 1, &err)) fail_msg("%s", err.message);
        if (more) rnnd_generation_output(g, out);
        rnnd_generation_text(g, &bytes); /* tokens come out behind their text */
        while (at < n && rnnd_generation_token(g, &token))
            ids[at++] = token.id;
    }
    assert_int_equal(at, n);
    rnnd_generation_close(g);
    rnnd_workspace_close(ws);
    free(state);
    free(out);
}

static void of_ml5(void **unused)
{
    (void)unused;
    rnnd_model *m;
    rnnd_error err;
    int32_t ids[20];
    size_t n;
    if (rnnd_model_open(ML5 "manifest.json", NULL, &m, &err)) fail_msg("%s", err.message);
    const rnnd_info *info = rnnd_model_info(m);
    assert_int_equal(info->task, RNND_TEXT);
    assert_string_equal(info->tokenizer, "chars");
    assert_int_equal(info->vocabulary, 5);
    assert_string_equal(rnnd_token_bytes(m, 4, &n), "\xC3\xA9");
    draw(m, "ab \xC3\xA9", 20, 1, ids);
    rnnd_model_close(m);
}

static void copy(const char *from, const char *folder, const char *name)
{
    char path[400];
    static char data[1 << 16];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *in = fopen(from, "rb"), *out = fopen(path, "wb");
    assert_true(in && out);
    fwrite(data, 1, fread(data, 1, sizeof data, in), out);
    fclose(in);
    fclose(out);
}

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    fputs(text, f);
    fclose(f);
}

/* The same symbols in another order of lines are the same model; another symbol makes another one. */
static void digests(void **unused)
{
    (void)unused;
    static const char *const vocabularies[] = {"{\"a\":0,\"b\":1,\"c\":2}", "{\"c\":2,\n \"b\":1, \"a\":0}",
                                               "{\"a\":0,\"b\":1,\"d\":2}"};
    char folder[] = "/tmp/rnnd-test-XXXXXX", path[400], side[400], vocabulary[400], digest[3][33];
    struct model_builder b;
    size_t bytes;
    rnnd_error err;
    assert_non_null(mkdtemp(folder));
    builder_init(&b, 4);
    builder_tensor(&b, "e.weight", NULL, 1, 2, 3, 2, 0);
    builder_torch(&b, "n", 3, 2, 3, 1, false, 0);
    void *image = builder_image(&b, NULL, &bytes);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    snprintf(side, sizeof side, "%s/m.rnnd.json", folder);
    snprintf(vocabulary, sizeof vocabulary, "%s/v.json", folder);
    FILE *f = fopen(path, "wb");
    fwrite(image, 1, bytes, f);
    fclose(f);
    write_text(folder, "m.rnnd.json",
               "{\"format\":1,\"task\":\"text\",\"inputs\":[{\"ids\":3}],\"layers\":[{\"type\":\"embedding\",\"name\":"
               "\"e\"},{\"type\":\"gru\",\"name\":\"n\",\"hidden\":3}],\"text\":{\"tokenizer\":\"chars\","
               "\"vocabulary\":\"v.json\"}}");
    for (size_t i = 0; i < 3; i++) {
        rnnd_model *m;
        write_text(folder, "v.json", vocabularies[i]);
        if (rnnd_model_open(path, NULL, &m, &err)) fail_msg("%s", err.message);
        snprintf(digest[i], sizeof digest[i], "%s", rnnd_model_info(m)->digest);
        rnnd_model_close(m);
    }
    assert_string_equal(digest[0], digest[1]);
    assert_string_not_equal(digest[0], digest[2]);
    rnnd_model *m;
    unlink(vocabulary);
    assert_int_equal(rnnd_model_open(path, NULL, &m, &err), RNND_NOT_FOUND);
    assert_non_null(strstr(err.message, "v.json"));
    copy(side, folder, "v.json"); /* a file of another kind */
    assert_int_equal(rnnd_model_open(path, NULL, &m, &err), RNND_CORRUPT);
    unlink(path), unlink(side), unlink(vocabulary), rmdir(folder);
    mem_free(image);
    builder_free(&b);
}

#define PROBABLE(more)                                                                                                 \
    "{\"format\":1,\"task\":\"text\",\"mode\":\"sliding\",\"window\":4,\"pad\":\"zeros\",\"output\":\"last\","         \
    "\"inputs\":[{\"ids\":4}],\"layers\":[{\"type\":\"embedding\",\"name\":\"e\"},{\"type\":\"lstm\",\"name\":\"n\","  \
    "\"hidden\":5},{\"type\":\"dense\",\"name\":\"d\"},{\"type\":\"softmax\",\"name\":\"s\"}],"                        \
    "\"text\":{\"tokenizer\":\"words\",\"vocabulary\":{\"x\":1,\"y\":2},\"outputs\":\"probabilities\"" more "}}"

/* A network of Keras' kind: ids from 1, 0 is padding, one output more than there are words, probabilities. */
static void probabilities(void **unused)
{
    (void)unused;
    struct model_builder b;
    rnnd_workspace *ws;
    rnnd_error err;
    float in = 1, out[4], window[4] = {0, 0, 0, 1}, wanted[4], sums[4];
    int32_t ids[50];
    size_t n;
    builder_init(&b, 8);
    builder_tensor(&b, "e.weight", NULL, 1, 2, 4, 3, 0);
    builder_torch(&b, "n", 4, 3, 5, 1, false, 0);
    builder_tensor(&b, "d.weight", NULL, 1, 2, 4, 5, 0);
    float *bias = builder_tensor(&b, "d.bias", NULL, 1, 1, 4, 0, 0);
    memcpy(bias, (const float[]){5, 0, 0, 5}, 4 * sizeof *bias); /* what must not be drawn is the most likely */
    rnnd_model *m = builder_open(&b, PROBABLE(""), NULL);
    assert_int_equal(rnnd_model_info(m)->vocabulary, 4);
    assert_string_equal(rnnd_model_info(m)->tokenizer, "words");
    assert_string_equal(rnnd_token_bytes(m, 3, &n), "");
    void *state = malloc(rnnd_state_bytes(m));
    rnnd_state_reset(m, state);
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    rnnd_step_row row = {.state = state, .input = &in, .output = out};
    assert_int_equal(rnnd_step(ws, &row, 1, &err), RNND_OK);
    assert_int_equal(
        rnnd_run_window(ws, &(rnnd_window){.batch = 1, .steps = 4, .inputs = window, .outputs = wanted}, &err),
        RNND_OK);
    rnnd_log_softmax(m, out, sums);
    for (size_t i = 0; i < 4; i++) { /* the logits are logarithms of what the window says, and softmax keeps them */
        assert_true(fabsf(out[i] - logf(wanted[i])) < 1e-5f);
        assert_true(fabsf(out[i] - sums[i]) < 1e-5f);
    }
    for (int greedy = 0; greedy < 2; greedy++) {
        draw(m, "x y", 50, greedy ? 0 : 2, ids);
        for (size_t i = 0; i < 50; i++)
            assert_true(ids[i] == 1 || ids[i] == 2);
    }
    rnnd_model_close(m);
    m = builder_open(&b, PROBABLE(",\"padding\":2"), NULL);
    draw(m, "x y", 50, 1, ids);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(ids[i], 1);
    rnnd_workspace_close(ws);
    free(state);
    rnnd_model_close(m);
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_ml5), cmocka_unit_test(digests),
                                       cmocka_unit_test(probabilities)};
    return cmocka_run_group_tests_name("core/tasks/text_files", tests, NULL, NULL);
}
