/* test_convert.c -- converted files open as the same network, bit for bit; whatever fails, no half a file is left. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/formats/checkpoint.h"
#include "tests/lib/build_model.h"
#include "tests/lib/folder.h"
#include "tests/lib/same_model.h"

static char folder[] = "/tmp/rnnd-test-XXXXXX", out[64], again[64];

static size_t file_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

static void copy(const char *from, const char *to)
{
    static char data[1 << 16];
    FILE *in = fopen(from, "rb"), *copied = fopen(to, "wb");
    assert_true(in && copied);
    fwrite(data, 1, fread(data, 1, sizeof data, in), copied);
    fclose(in);
    fclose(copied);
}

static rnnd_model *open_model(const char *path, const rnnd_options *options)
{
    rnnd_model *m = NULL;
    rnnd_error err;
    if (rnnd_model_open(path, options, &m, &err)) fail_msg("%s", err.message);
    return m;
}

/* Converts, and what came of that once more; both are the same as the source. */
static void same(const char *path, const rnnd_options *options)
{
    rnnd_error err;
    size_t runs;
    rnnd_model *m = open_model(path, options), *n;
    if (rnnd_convert(path, options, out, &err)) fail_msg("%s", err.message);
    n = open_model(out, NULL);
    assert_string_equal(rnnd_model_info(n)->format, "rnnd-1");
    const char *why = model_difference(m, n, 11, &runs);
    if (why) fail_msg("%s: %s", path, why);
    if (!runs) fail_msg("%s: nothing was run", path);
    rnnd_model_close(n);
    if (rnnd_convert(out, NULL, again, &err)) fail_msg("%s", err.message);
    n = open_model(again, NULL);
    why = model_difference(m, n, 12, &runs);
    if (why) fail_msg("%s, converted twice: %s", path, why);
    rnnd_model_close(n);
    rnnd_model_close(m);
    unlink(out);
    unlink(again);
}

static void same_file(const char *file, void *unused)
{
    (void)unused;
    same(file, &(rnnd_options){.accept_guesses = true});
}

/* Every file of these endings in a folder; how many. */
static size_t same_folder(const char *path, const char *const *endings)
{
    return folder_each(path, endings, same_file, NULL);
}

static void of_keras(void **unused)
{
    (void)unused;
    assert_true(same_folder("tests/vectors/keras", (const char *const[]){".h5", ".keras", NULL}) >= 13);
}

static void of_onnx(void **unused)
{
    (void)unused;
    assert_true(same_folder("tests/vectors/onnx_files", (const char *const[]){".onnx", NULL}) >= 26);
    assert_true(same_folder("tests/vectors/onnx_loops", (const char *const[]){".onnx", NULL}) >= 1);
    assert_true(same_folder("tests/vectors/guess", (const char *const[]){".onnx", NULL}) >= 2);
}

static void of_layers(void **unused)
{
    (void)unused;
    assert_true(same_folder("tests/vectors/rtjson", (const char *const[]){".json", ".nam", NULL}) >= 9);
    assert_true(same_folder("tests/vectors/onnx", (const char *const[]){".safetensors", NULL}) >= 9);
    assert_true(same_folder("tests/vectors/torch", (const char *const[]){".safetensors", NULL}) >= 20);
    same("tests/vectors/rtjson/ml5/manifest.json", NULL); /* its vocabulary lies beside it */
    same("tests/vectors/torch_files/tagger.pt", &(rnnd_options){.accept_guesses = true});
}

/* What a configuration says of a file's inputs is in the graph then; mode, window and the task stay said. */
static void with_configurations(void **unused)
{
    (void)unused;
    static const char *const cases[][2] = {
        {"tests/vectors/onnx_files/torch_lstm.onnx", "{\"format\":1,\"mode\":\"sliding\",\"window\":6,\"name\":\"n\"}"},
        {"tests/vectors/onnx_files/torch_state.onnx",
         "{\"format\":1,\"x_note\":1,\"states\":[{\"in\":\"h0\",\"out\":\"cn\"},{\"in\":\"c0\",\"out\":\"hn\"}]}"},
        {"tests/vectors/onnx_files/loop.onnx", "{\"format\":1,\"metrics\":{\"mae\":0.25},\"description\":\"d\"}"},
        {"tests/vectors/keras/text.h5",
         "{\"format\":1,\"task\":\"text\",\"text\":{\"tokenizer\":\"words\",\"outputs\":\"probabilities\","
         "\"vocabulary\":[null,\"a\",\"b\",\"c\",\"d\",\"e\"]}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rnnd_model *m = NULL;
        rnnd_error err;
        rnnd_options options = {.config = cases[i][1]};
        if (rnnd_model_open(cases[i][0], &options, &m, &err)) fail_msg("%s", err.message);
        rnnd_model_close(m);
        same(cases[i][0], &options);
    }
}

/* A configuration can be put on top of a converted file as on top of its source. */
static void configured_afterwards(void **unused)
{
    (void)unused;
    const char *path = "tests/vectors/onnx_files/torch_lstm.onnx";
    rnnd_options options = {.config = "{\"format\":1,\"mode\":\"sliding\",\"window\":5}"};
    rnnd_error err;
    size_t runs;
    if (rnnd_convert(path, NULL, out, &err)) fail_msg("%s", err.message);
    rnnd_model *m = open_model(path, &options), *n = open_model(out, &options);
    const char *why = model_difference(m, n, 13, &runs);
    if (why) fail_msg("%s", why);
    assert_int_equal(rnnd_model_info(n)->window, 5);
    rnnd_model_close(m);
    rnnd_model_close(n);
    unlink(out);
}

/* Files that `rnnd convert` wrote once open for ever. */
static void kept(void **unused)
{
    (void)unused;
    assert_true(same_folder("tests/vectors/graph", (const char *const[]){".safetensors", NULL}) >= 7);
}

/* ---- golden vectors in the file ---- */

struct proto {
    uint8_t data[2048];
    size_t size;
};

static void put_span(struct proto *p, unsigned field, const void *data, size_t bytes)
{
    assert_true(p->size + bytes + 3 < sizeof p->data && bytes < 1 << 14);
    p->data[p->size++] = (uint8_t)(field << 3 | 2);
    p->data[p->size++] = (uint8_t)((bytes & 0x7f) | 0x80);
    p->data[p->size++] = (uint8_t)(bytes >> 7);
    memcpy(p->data + p->size, data, bytes);
    p->size += bytes;
}

static void put_number(struct proto *p, unsigned field, unsigned v)
{
    p->data[p->size++] = (uint8_t)(field << 3);
    p->data[p->size++] = (uint8_t)v;
}

static void put_tensor(struct proto *graph, const char *name, const float *data, size_t steps)
{
    struct proto t = {.size = 0};
    size_t dim[] = {1, steps, 2};
    for (int i = 0; i < 3; i++)
        put_number(&t, 1, (unsigned)dim[i]);
    put_number(&t, 2, 1);
    put_span(&t, 8, name, strlen(name));
    put_span(&t, 9, data, steps * 2 * sizeof *data);
    put_span(graph, 5, t.data, t.size);
}

/* x of [batch][any][2] */
static void put_port(struct proto *graph, unsigned field, const char *name)
{
    struct proto value = {.size = 0}, type = {.size = 0}, tensor = {.size = 0}, shape = {.size = 0};
    struct proto sized[3] = {{.size = 0}, {.size = 0}, {.size = 0}};
    put_number(&sized[0], 1, 1);
    put_span(&sized[1], 2, "T", 1);
    put_number(&sized[2], 1, 2);
    for (int i = 0; i < 3; i++)
        put_span(&shape, 1, sized[i].data, sized[i].size);
    put_number(&tensor, 1, 1);
    put_span(&tensor, 2, shape.data, shape.size);
    put_span(&type, 1, tensor.data, tensor.size);
    put_span(&value, 1, name, strlen(name));
    put_span(&value, 2, type.data, type.size);
    put_span(graph, field, value.data, value.size);
}

/* y = |x|, with an input and its answer among the initializers. */
static void write_golden(const char *path, float answer)
{
    static const float in[] = {1, -2, 3, -4};
    const float wanted[] = {1, 2, 3, answer};
    struct proto model = {.size = 0}, graph = {.size = 0}, node = {.size = 0}, opset = {.size = 0};
    put_span(&node, 1, "x", 1);
    put_span(&node, 2, "y", 1);
    put_span(&node, 4, "Abs", 3);
    put_span(&graph, 1, node.data, node.size);
    put_tensor(&graph, "in", in, 2);
    put_tensor(&graph, "y:1", wanted, 2);
    put_port(&graph, 11, "x");
    put_port(&graph, 12, "y");
    put_number(&opset, 2, 18);
    put_number(&model, 1, 8);
    put_span(&model, 7, graph.data, graph.size);
    put_span(&model, 8, opset.data, opset.size);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(model.data, 1, model.size, f), model.size);
    fclose(f);
}

static void golden(void **unused)
{
    (void)unused;
    char path[80];
    rnnd_model *m;
    rnnd_error err;
    rnnd_options options = {.config = "{\"format\":1,\"golden\":{\"inputs\":\"in\",\"outputs\":\"y:1\"}}"};
    snprintf(path, sizeof path, "%s/golden.onnx", folder);
    write_golden(path, 4);
    same(path, &options);
    if (rnnd_convert(path, &options, out, &err)) fail_msg("%s", err.message);
    assert_int_equal(rnnd_model_open(out, NULL, &m, &err), RNND_OK);
    assert_non_null(strstr(rnnd_model_info(m)->config, "golden"));
    rnnd_model_close(m);
    write_golden(path, 4.5f);
    assert_int_equal(rnnd_model_open(path, &options, &m, &err), RNND_MISMATCH);
    assert_int_equal(rnnd_convert(path, &options, out, &err), RNND_MISMATCH);
    unlink(out);
    unlink(path);
}

/* ---- a vocabulary beside the model ---- */

static void vocabulary(void **unused)
{
    (void)unused;
    static const char *const contents[] = {"{\"a\": 1, \"b\": 2, \"\\n\": 0}", "[\"\\n\", \"a\", \"b\"]\n",
                                           "\"{\\\"0\\\": \\\"x\\\", \\\"2\\\": \\\"z\\\"}\""};
    static const char config[] =
        "{\"format\":1,\"task\":\"text\",\"inputs\":[{\"ids\":3}],\"layers\":[{\"type\":\"embedding\",\"name\":\"e\"},"
        "{\"type\":\"gru\",\"name\":\"n\",\"hidden\":3}],\"text\":{\"tokenizer\":\"chars\",\"vocabulary\":\"v.json\","
        "\"chat\":{\"opening\":\"a\"}}}";
    struct model_builder b;
    size_t bytes;
    char path[80], beside[80];
    builder_init(&b, 3);
    builder_tensor(&b, "e.weight", NULL, 1, 2, 3, 2, 0);
    builder_torch(&b, "n", 3, 2, 3, 1, false, 0);
    void *image = builder_image(&b, config, &bytes);
    snprintf(path, sizeof path, "%s/in", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/in/text.safetensors", folder);
    snprintf(beside, sizeof beside, "%s/in/v.json", folder);
    FILE *f = fopen(path, "wb");
    assert_int_equal(fwrite(image, 1, bytes, f), bytes);
    fclose(f);
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        f = fopen(beside, "wb");
        fputs(contents[i], f);
        fclose(f);
        same(path, NULL);
    }
    unlink(path), unlink(beside);
    snprintf(path, sizeof path, "%s/in", folder);
    rmdir(path);
    mem_free(image);
    builder_free(&b);
}

/* ---- what is not done ---- */

static void guesses(void **unused)
{
    (void)unused;
    rnnd_error err;
    char path[80];
    snprintf(path, sizeof path, "%s/last.pt", folder); /* away from its side file */
    copy("tests/vectors/conformance/table/last.pt", path);
    assert_int_equal(rnnd_convert(path, NULL, out, &err), RNND_CONFLICT);
    unlink(path);
    assert_non_null(strstr(err.message, "not confirmed"));
    assert_int_equal(rnnd_convert("tests/vectors/none.h5", NULL, out, &err), RNND_NOT_FOUND);
    assert_int_equal(file_bytes(out), 0);
    assert_int_equal(rnnd_convert("tests/vectors/keras/text.h5", NULL, "/nowhere/x.safetensors", &err), RNND_IO);
    assert_non_null(strstr(err.message, "/nowhere/x.safetensors"));
}

static bool nothing_left(void)
{
    DIR *dir = opendir(folder);
    size_t count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count == 2; /* . and .. */
}

/* Converting, and opening what was converted. */
static void memory(const char *path)
{
    rnnd_error err;
    rnnd_model *m = NULL;
    rnnd_code code = RNND_NO_MEMORY;
    mem_fail_at(0);
    assert_int_equal(rnnd_convert(path, NULL, out, &err), RNND_OK);
    size_t all = mem_fail_at(0);
    unlink(out);
    for (size_t n = 1; n <= all; n++) {
        mem_fail_at(n);
        code = rnnd_convert(path, NULL, out, &err);
        mem_fail_at(0);
        if (code && code != RNND_NO_MEMORY) fail_msg("%s, allocation %zu: %s", path, n, err.message);
        if (code && (err.code != code || !err.message[0])) fail_msg("%s, allocation %zu: no sentence", path, n);
        if (code && !nothing_left()) fail_msg("%s, allocation %zu: half a file", path, n);
        unlink(out);
    }
    assert_int_equal(rnnd_convert(path, NULL, out, &err), RNND_OK);
    mem_fail_at(0);
    m = open_model(out, NULL);
    all = mem_fail_at(0);
    rnnd_model_close(m);
    for (size_t n = 1; n <= all; n++) {
        mem_fail_at(n);
        code = rnnd_model_open(out, NULL, &m, &err);
        mem_fail_at(0);
        if (code && code != RNND_NO_MEMORY) fail_msg("%s converted, allocation %zu: %s", path, n, err.message);
        if (!code) rnnd_model_close(m);
    }
    unlink(out);
}

static void every_allocation_fails(void **unused)
{
    (void)unused;
    memory("tests/vectors/keras/text.keras");
    memory("tests/vectors/onnx_files/if_else.onnx");
    memory("tests/vectors/onnx_files/loop_weights.onnx");
    memory("tests/vectors/onnx_files/torch_state.onnx");
    memory("tests/vectors/rtjson/ml5/manifest.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_keras),
        cmocka_unit_test(of_onnx),
        cmocka_unit_test(of_layers),
        cmocka_unit_test(with_configurations),
        cmocka_unit_test(configured_afterwards),
        cmocka_unit_test(kept),
        cmocka_unit_test(golden),
        cmocka_unit_test(vocabulary),
        cmocka_unit_test(guesses),
        cmocka_unit_test(every_allocation_fails),
    };
    if (!mkdtemp(folder)) return 1;
    snprintf(out, sizeof out, "%s/out.safetensors", folder);
    snprintf(again, sizeof again, "%s/again.safetensors", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
