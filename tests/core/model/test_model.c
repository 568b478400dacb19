/* test_model.c -- opening models: what info says, side files, golden vectors, digests, and every allocation failing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/formats/format.h"
#include "core/model/save.h"
#include "tests/lib/build_model.h"

static const char small[] = "{\"format\":1,\"name\":\"small\",\"description\":\"d\",\"inputs\":[{\"name\":\"id\","
                            "\"ids\":5},{\"name\":\"x\",\"width\":2}],"
                            "\"layers\":[{\"type\":\"embedding\",\"name\":\"e\",\"input\":\"id\"},{\"type\":\"concat\","
                            "\"name\":\"both\",\"inputs\":[\"e\",\"x\"]},"
                            "{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"layers\":2,\"initial\":{\"h\":\"h0\"}},{"
                            "\"type\":\"dropout\",\"rate\":0.5},"
                            "{\"type\":\"batch_norm\",\"name\":\"bn\"},{\"type\":\"add\",\"inputs\":[\"bn\",\"n\"]},"
                            "{\"type\":\"dense\",\"name\":\"d\",\"activation\":\"relu\"},{\"type\":\"softmax\"}],"
                            "\"output\":\"last\",\"metrics\":{\"mae\":1.5}}";

static void builder(struct model_builder *b)
{
    builder_init(b, 3);
    builder_tensor(b, "e.weight", NULL, 1, 2, 5, 3, 0);
    builder_torch(b, "n", 4, 5, 4, 2, false, 0);
    builder_tensor(b, "h0", NULL, 1, 3, 2, 1, 4);
    builder_tensor(b, "bn.weight", NULL, 1, 1, 4, 0, 0);
    builder_tensor(b, "bn.bias", NULL, 1, 1, 4, 0, 0);
    builder_tensor(b, "bn.running_mean", NULL, 1, 1, 4, 0, 0);
    float *var = builder_tensor(b, "bn.running_var", NULL, 1, 1, 4, 0, 0);
    for (int i = 0; i < 4; i++)
        var[i] = fabsf(var[i]) + 0.1f;
    builder_tensor(b, "d.weight", NULL, 1, 2, 3, 4, 0);
    builder_tensor(b, "d.bias", NULL, 1, 1, 3, 0, 0);
}

static void what_info_says(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder(&b);
    rnnd_model *m = builder_open(&b, small, NULL);
    const rnnd_info *i = rnnd_model_info(m);
    assert_string_equal(i->name, "small");
    assert_string_equal(i->format, "rnnd-1");
    assert_string_equal(i->metrics, "{\"mae\":1.5}");
    assert_string_equal(i->config, small);
    assert_string_equal(i->license, "");
    assert_int_equal(strlen(i->digest), 32);
    assert_int_equal(i->input_count, 2);
    assert_true(i->inputs[0].is_ids && i->inputs[0].limit == 5 && i->inputs[0].width == 1);
    assert_true(!i->inputs[1].is_ids && i->inputs[1].width == 2);
    assert_int_equal(i->input_width, 3);
    assert_int_equal(i->output_width, 3);
    assert_string_equal(i->outputs[0].name, "softmax");
    assert_int_equal(i->layer_count, 8);
    assert_string_equal(i->layers[2].type, "lstm");
    assert_string_equal(i->layers[2].detail, "hidden 4, 2 layers");
    assert_int_equal(i->layers[2].parameters, 16 * 5 + 16 * 4 * 3 + 4 * 16);
    assert_int_equal(i->layers[2].inputs, 5);
    assert_int_equal(i->parameters, 15 + 16 * 5 + 16 * 4 * 3 + 4 * 16 + 8 + 12 + 3);
    assert_true(i->state_layers == 2 && i->state_hidden == 4 && i->h_width == 8 && i->c_width == 8);
    assert_true(i->streamable && i->output_last && i->mode == RNND_CARRY && i->task == RNND_RAW);
    assert_int_equal(i->state_bytes, 8 + 16 * 4);
    assert_int_equal(rnnd_state_bytes(m), i->state_bytes);
    char digest[33];
    snprintf(digest, sizeof digest, "%s", i->digest);
    rnnd_model_close(m);

    /* other spaces and another order of keys: the same model; another number: another one */
    char text[TEXT] = "";
    text_add(text, "{ \"name\" : \"small\" ,%s", small + 1);
    char *second = strstr(text + 20, "\"name\":\"small\",");
    memmove(second, second + 15, strlen(second + 15) + 1);
    m = builder_open(&b, text, NULL);
    assert_string_equal(rnnd_model_info(m)->digest, digest);
    rnnd_model_close(m);
    ((float *)(uintptr_t)b.items[0].data)[0] += 1;
    m = builder_open(&b, small, NULL);
    assert_string_not_equal(rnnd_model_info(m)->digest, digest);
    rnnd_model_close(m);
    builder_free(&b);
}

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
}

/* "NAME: sentence", and the name but once */
static void begins(const rnnd_error *err, const char *name, const char *sentence)
{
    size_t n = strlen(name);
    if (strncmp(err->message, name, n) != 0 || strncmp(err->message + n, ": ", 2) != 0 ||
        strncmp(err->message + n + 2, sentence, strlen(sentence)) != 0 || strstr(err->message + n, name))
        fail_msg("%s", err->message);
}

static void files(void **unused)
{
    (void)unused;
    char dir[] = "/tmp/rnnd-test-XXXXXX", path[64], side[64], again[64];
    struct model_builder b;
    rnnd_model *m;
    rnnd_error err = {0};
    size_t bytes;
    builder(&b);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/net.v2.safetensors", dir);
    snprintf(side, sizeof side, "%s/net.v2.rnnd.json", dir);
    snprintf(again, sizeof again, "%s/again.safetensors", dir);
    assert_int_equal(rnnd_model_open(path, NULL, &m, &err), RNND_NOT_FOUND);
    begins(&err, path, "cannot be opened");
    assert_int_equal(rnnd_model_open(dir, NULL, &m, &err), RNND_IO);
    begins(&err, dir, "wanted an ordinary file");
    void *image = builder_image(&b, NULL, &bytes);
    write_file(path, image, bytes);
    assert_int_equal(rnnd_model_open(path, NULL, &m, &err), RNND_UNSUPPORTED);
    begins(&err, "net.v2.safetensors", "there is no configuration");
    assert_non_null(strstr(err.message, "net.v2.rnnd.json"));
    assert_int_equal(mkdir(side, 0700), 0);
    assert_int_equal(rnnd_model_open(path, NULL, &m, &err), RNND_IO);
    begins(&err, side, "wanted an ordinary file");
    assert_int_equal(rmdir(side), 0);
    write_file(side, small, sizeof small - 1);
    if (rnnd_model_open(path, NULL, &m, &err)) fail_msg("%s", err.message);
    char digest[33];
    snprintf(digest, sizeof digest, "%s", rnnd_model_info(m)->digest);
    rnnd_model_close(m);
    rnnd_options over = {
        .config = "{\"format\":1,\"inputs\":[{\"width\":4}],\"layers\":[{\"type\":\"dense\",\"name\":\"d\"}]}"};
    if (rnnd_model_open(path, &over, &m, &err)) fail_msg("%s", err.message);
    assert_string_equal(rnnd_model_info(m)->name, "net.v2");
    assert_int_equal(rnnd_model_info(m)->layer_count, 1);
    rnnd_model_close(m);
    struct checkpoint ck; /* tensors and configuration written as one file are the same model */
    checkpoint_init(&ck);
    assert_int_equal(format_read(image, bytes, NULL, &ck, &err), RNND_OK);
    if (save_native(again, path, &ck, bytes, small, &(struct save_how){NULL}, &err)) fail_msg("%s", err.message);
    checkpoint_free(&ck);
    if (rnnd_model_open(again, NULL, &m, &err)) fail_msg("%s", err.message);
    assert_string_equal(rnnd_model_info(m)->digest, digest);
    rnnd_model_close(m);
    rnnd_options row = {.kernel_row = "abacus", .config = small};
    assert_int_equal(rnnd_model_open(path, &row, &m, &err), RNND_UNSUPPORTED);
    begins(&err, "net.v2.safetensors", "wanted a kernel row that this machine has (");
    assert_non_null(strstr(err.message, "baseline"));
    assert_string_equal(err.param, "kernel_row");
    write_file(path, image, bytes - 4);
    assert_int_equal(rnnd_model_open(path, NULL, &m, &err), RNND_CORRUPT);
    begins(&err, "net.v2.safetensors", "");
    mem_free(image);
    unlink(path);
    unlink(side);
    unlink(again);
    rmdir(dir);
    builder_free(&b);
}

static void golden_vectors(void **unused)
{
    (void)unused;
    struct model_builder b;
    float x[2][3][3], y[2][3], (*rows)[3] = x[0];
    char config[TEXT] = "";
    rnnd_workspace *ws;
    rnnd_error err;
    builder(&b);
    for (int i = 0; i < 2 * 3; i++) {
        rows[i][0] = (float)(i % 5);
        rows[i][1] = rng_between(&b.rng, -1, 1);
        rows[i][2] = rng_between(&b.rng, -1, 1);
    }
    rnnd_model *m = builder_open(&b, small, NULL);
    assert_int_equal(rnnd_workspace_open(m, 2, &ws, &err), RNND_OK);
    rnnd_window w = {.batch = 2, .steps = 3, .inputs = x[0][0], .outputs = y[0]};
    assert_int_equal(rnnd_run_window(ws, &w, &err), RNND_OK);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    text_add(config, "%.*s,\"golden\":{\"inputs\":\"gx\",\"outputs\":\"gy\"}}", (int)sizeof small - 2, small);
    builder_tensor(&b, "gx", x[0][0], 0, 3, 2, 3, 3);
    float *gy = builder_tensor(&b, "gy", y[0], 0, 3, 2, 1, 3);
    gy[4] += 0.9e-5f;
    rnnd_model_close(builder_open(&b, config, NULL));
    gy[4] += 3e-5f;
    assert_int_equal(builder_refused(&b, config, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "sequence 1, step 0, output 1"));
    gy[4] = NAN;
    assert_int_equal(builder_refused(&b, config, &err), RNND_MISMATCH);
    b.items[b.count - 1].dim[1] = 3;
    b.items[b.count - 1].dim[0] = 1;
    b.items[b.count - 1].dim[2] = 2;
    assert_int_equal(builder_refused(&b, config, &err), RNND_MISMATCH);
    assert_string_equal(err.param, "gy");
    builder_free(&b);
}

/* Whichever allocation fails, the answer is an error, nothing leaks (under ASan) and nothing crashes. */
static void every_allocation_fails(void **unused)
{
    (void)unused;
    struct model_builder b;
    size_t bytes, n;
    builder(&b);
    void *image = builder_image(&b, small, &bytes);
    for (n = 1; n < 100000; n++) {
        rnnd_model *m;
        rnnd_error err = {0};
        mem_fail_at(n);
        rnnd_code code = rnnd_model_open_memory(image, bytes, "small", NULL, &m, &err);
        mem_fail_at(0);
        if (!code) {
            rnnd_model_close(m);
            break;
        }
        if (code != RNND_NO_MEMORY) fail_msg("allocation %zu: %d %s", n, code, err.message);
        assert_int_equal(err.code, code);
        assert_null(m);
    }
    assert_true(n > 50);
    rnnd_model *m = builder_open(&b, small, NULL);
    for (n = 1; n < 1000; n++) {
        rnnd_workspace *ws;
        rnnd_error err = {0};
        mem_fail_at(n);
        rnnd_code code = rnnd_workspace_open(m, 3, &ws, &err);
        mem_fail_at(0);
        if (!code) {
            rnnd_workspace_close(ws);
            break;
        }
        assert_int_equal(code, RNND_NO_MEMORY);
        assert_null(ws);
    }
    assert_true(n > 5);
    rnnd_model_close(m);
    mem_free(image);
    builder_free(&b);
}

/* A damaged file opens or is refused; it is never read beyond its end. */
static void damaged_files(void **unused)
{
    (void)unused;
    struct model_builder b;
    struct rng rng;
    size_t bytes, refused = 0;
    builder(&b);
    rng_seed(&rng, 11, 1);
    uint8_t *image = builder_image(&b, small, &bytes), *copy = malloc(bytes);
    size_t head = 8 + (size_t)image[0] + 256 * (size_t)image[1];
    for (int round = 0; round < 4000; round++) {
        rnnd_model *m;
        rnnd_error err = {0};
        memcpy(copy, image, bytes);
        for (uint32_t k = 1 + rng_u32(&rng) % 2; k > 0; k--)
            copy[rng_u32(&rng) % head] = (uint8_t)(32 + rng_u32(&rng) % 95);
        if (rnnd_model_open_memory(copy, bytes, "x", NULL, &m, &err)) {
            refused++;
            assert_true(err.message[0] != 0);
        }
        rnnd_model_close(m);
    }
    assert_true(refused > 2000);
    free(copy);
    mem_free(image);
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_info_says),         cmocka_unit_test(files),         cmocka_unit_test(golden_vectors),
        cmocka_unit_test(every_allocation_fails), cmocka_unit_test(damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
