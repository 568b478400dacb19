/* test_convert_reduced.c -- files that keep weights in bf16 or int8: opened, they are what their sources become under
 * that precision, bit for bit; what such a file may not say; memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "tests/lib/build_model.h"
#include "tests/lib/folder.h"
#include "tests/lib/same_model.h"

static char folder[] = "/tmp/rnnd-test-XXXXXX", out[64];
static const char *const precisions[] = {"bf16", "int8"};

static size_t file_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

static rnnd_model *open_model(const char *path, const rnnd_options *options)
{
    rnnd_model *m = NULL;
    rnnd_error err;
    if (rnnd_model_open(path, options, &m, &err)) fail_msg("%s", err.message);
    return m;
}

static rnnd_code refused(const char *path, const rnnd_options *options, rnnd_error *err)
{
    rnnd_model *m;
    rnnd_code code = rnnd_model_open(path, options, &m, err);
    if (code == RNND_OK) fail_msg("%s was opened", path);
    return code;
}

/* Converted and opened again; false where the network stays a tensor graph. */
static bool same(const char *path, const char *precision)
{
    rnnd_options options = {.accept_guesses = true, .precision = precision, .force_precision = true};
    rnnd_error err;
    size_t runs;
    rnnd_model *m = open_model(path, &options);
    const rnnd_info *a = rnnd_model_info(m);
    bool reduced = strcmp(a->precision, "fp32") != 0;
    rnnd_code code = rnnd_convert(path, &options, out, &err);
    if (!reduced) {
        assert_int_equal(code, RNND_UNSUPPORTED);
        assert_non_null(strstr(err.message, "stays in fp32"));
        assert_int_equal(file_bytes(out), 0);
        rnnd_model_close(m);
        return false;
    }
    if (code) fail_msg("%s: %s", path, err.message);
    rnnd_model *n = open_model(out, &(rnnd_options){.force_precision = true});
    const rnnd_info *b = rnnd_model_info(n);
    assert_string_equal(a->precision, b->precision);
    assert_string_equal(b->format, "rnnd-1");
    assert_string_not_equal(a->digest, b->digest);
    assert_true(b->precision_error > 0.999999 * a->precision_error - 1e-12);
    assert_true(b->precision_error < 1.000001 * a->precision_error + 1e-12);
    const char *why = model_difference(m, n, 11, &runs);
    if (why) fail_msg("%s in %s: %s", path, precision, why);
    if (!runs) fail_msg("%s: nothing was run", path);
    rnnd_model_close(n);
    rnnd_model_close(m);
    unlink(out);
    return true;
}

static void same_file(const char *file, void *context)
{
    size_t *reduced = context;
    *reduced += same(file, precisions[*reduced % 2]);
}

static void of_folder(const char *path, const char *const *endings, size_t least)
{
    size_t count = 0;
    folder_each(path, endings, same_file, &count);
    if (count < least) fail_msg("%s: %zu were reduced", path, count);
}

static void of_every_format(void **unused)
{
    (void)unused;
    of_folder("tests/vectors/keras", (const char *const[]){".h5", ".keras", NULL}, 6);
    of_folder("tests/vectors/onnx_files", (const char *const[]){".onnx", NULL}, 4);
    of_folder("tests/vectors/rtjson", (const char *const[]){".json", ".nam", NULL}, 6);
    of_folder("tests/vectors/onnx", (const char *const[]){".safetensors", NULL}, 6);
    of_folder("tests/vectors/torch", (const char *const[]){".safetensors", NULL}, 12);
    of_folder("models/tiny", (const char *const[]){".safetensors", NULL}, 6);
}

/* ---- a file of its own, large enough for its weights to be most of it ---- */

static const char config[] =
    "{\"format\":1,\"inputs\":[{\"ids\":30}],\"layers\":[{\"type\":\"embedding\",\"name\":\"e\"},{\"type\":\"lstm\","
    "\"name\":\"n\",\"hidden\":61},{\"type\":\"dense\",\"name\":\"d\"}]}";

static char source[64];

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
}

/* Unit 8 does what unit 7 does. */
static void repeat_unit(struct model_builder *b)
{
    static const char *const names[] = {"n.weight_ih_l0", "n.weight_hh_l0", "n.bias_ih_l0", "n.bias_hh_l0"};
    static const size_t widths[] = {23, 61, 1, 1};
    for (int i = 0; i < 4; i++)
        for (size_t gate = 0; gate < 4; gate++) {
            float *row = (float *)(uintptr_t)builder_find(b, names[i]) + (gate * 61 + 7) * widths[i];
            memcpy(row + widths[i], row, widths[i] * sizeof *row);
        }
}

/* hard: an output takes the difference of two equal units, so many times that 8 bits have nothing left for the others.
 */
static void write_source(bool hard)
{
    struct model_builder b;
    size_t bytes;
    builder_init(&b, 3);
    builder_tensor(&b, "e.weight", NULL, 1, 2, 30, 23, 0);
    builder_torch(&b, "n", 4, 23, 61, 1, false, 0);
    float *w = builder_tensor(&b, "d.weight", NULL, 1, 2, 5, 61, 0);
    repeat_unit(&b);
    if (hard) w[7] = 3000, w[8] = -3000;
    builder_tensor(&b, "d.bias", NULL, 1, 1, 5, 0, 0);
    void *image = builder_image(&b, config, &bytes);
    write_file(source, image, bytes);
    mem_free(image);
    builder_free(&b);
}

static void smaller_and_of_one_precision(void **unused)
{
    (void)unused;
    rnnd_error err;
    write_source(false);
    for (int i = 0; i < 2; i++) {
        rnnd_options options = {.precision = precisions[i]}, other = {.precision = precisions[1 - i]};
        assert_true(same(source, precisions[i]));
        assert_int_equal(rnnd_convert(source, &options, out, &err), RNND_OK);
        assert_true(file_bytes(out) < file_bytes(source) * (i ? 9 : 13) / 20);
        rnnd_model *a = open_model(source, &options), *b = open_model(out, &options), *c = open_model(out, NULL);
        assert_string_equal(rnnd_model_info(b)->digest, rnnd_model_info(c)->digest);
        /* the digest is the file's: so are states */
        void *state = malloc(rnnd_state_bytes(a)), *blob = malloc(rnnd_state_blob_bytes(a));
        rnnd_state_reset(a, state);
        rnnd_state_save(a, state, blob);
        assert_int_equal(rnnd_state_load(b, blob, rnnd_state_blob_bytes(a), state, &err), RNND_CONFLICT);
        rnnd_state_save(b, state, blob);
        assert_int_equal(rnnd_state_load(c, blob, rnnd_state_blob_bytes(c), state, &err), RNND_OK);
        free(state);
        free(blob);
        assert_int_equal(refused(out, &other, &err), RNND_UNSUPPORTED);
        assert_non_null(strstr(err.message, precisions[i]));
        assert_int_equal(rnnd_convert(out, NULL, "/nowhere/x.safetensors", &err), RNND_UNSUPPORTED);
        assert_non_null(strstr(err.message, "holds reduced weights already"));
        rnnd_model_close(a);
        rnnd_model_close(b);
        rnnd_model_close(c);
        unlink(out);
    }
    unlink(source);
}

/* The network said anew on top of the file: its tensors are still what the file says. */
static void configured_anew(void **unused)
{
    (void)unused;
    rnnd_error err;
    size_t runs;
    write_source(false);
    rnnd_options options = {.precision = "int8"}, anew = {.config = config};
    assert_int_equal(rnnd_convert(source, &options, out, &err), RNND_OK);
    rnnd_model *a = open_model(source, &options), *b = open_model(out, &anew);
    const char *why = model_difference(a, b, 5, &runs);
    if (why) fail_msg("%s", why);
    rnnd_model_close(a);
    rnnd_model_close(b);
    unlink(out);
    unlink(source);
}

static void what_costs_too_much(void **unused)
{
    (void)unused;
    rnnd_error err;
    rnnd_options options = {.precision = "int8"};
    write_source(true);
    assert_int_equal(rnnd_convert(source, &options, out, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "in int8 the model's outputs differ"));
    assert_int_equal(file_bytes(out), 0);
    options.force_precision = true;
    assert_int_equal(rnnd_convert(source, &options, out, &err), RNND_OK);
    assert_int_equal(refused(out, NULL, &err), RNND_MISMATCH); /* as it would be under --precision */
    assert_non_null(strstr(err.message, "in int8 the model's outputs differ"));
    rnnd_model_close(open_model(out, &options));
    options.precision = "fp16";
    assert_int_equal(rnnd_convert(source, &options, "/nowhere/x", &err), RNND_UNSUPPORTED);
    unlink(out);
    unlink(source);
}

/* ---- files that say otherwise ---- */

#define REDUCED(text)                                                                                                  \
    "{\"format\":1,\"inputs\":[{\"width\":2}],\"layers\":[{\"type\":\"gru\",\"name\":\"n\","                           \
    "\"hidden\":2,\"initial\":{\"h\":\"h0\"}}],\"reduced\":" text "}"

static void hostile_files(void **unused)
{
    (void)unused;
    static const struct {
        const char *config, *words;
    } cases[] = {
        {REDUCED("7"), "reduced"},
        {REDUCED("{\"precision\":\"fp32\",\"error\":0,\"along\":{}}"), "needs a \"precision\" of bf16 or int8"},
        {REDUCED("{\"precision\":\"bf16\",\"along\":{}}"), "an \"error\""},
        {REDUCED("{\"precision\":\"bf16\",\"error\":0}"), "an object \"along\""},
        {REDUCED("{\"precision\":\"bf16\",\"error\":0,\"along\":{},\"more\":1}"), "more"},
        {REDUCED("{\"precision\":\"bf16\",\"error\":0,\"along\":{\"none\":0}}"), "no such tensor"},
        {REDUCED("{\"precision\":\"bf16\",\"error\":0,\"along\":{\"q\":0}}"), "wanted one of BF16"},
        {REDUCED("{\"precision\":\"int8\",\"error\":0,\"along\":{\"q\":2}}"), "an axis of it"},
        {REDUCED("{\"precision\":\"int8\",\"error\":0,\"along\":{\"q\":-1}}"), "an axis of it"},
        {REDUCED("{\"precision\":\"int8\",\"error\":0,\"along\":{\"q\":0.5}}"), "an axis of it"},
        {REDUCED("{\"precision\":\"int8\",\"error\":0,\"along\":{\"n.weight_hh_l0\":1}}"), "wanted one of I8"},
        {REDUCED("{\"precision\":\"int8\",\"error\":0,\"along\":{\"q\":0}}"), "wanted 2 F32 in \"q.largest\""},
        {REDUCED("{\"precision\":\"int8\",\"error\":0,\"along\":{\"p\":0}}"), "found none"},
        {REDUCED("{\"precision\":\"int8\",\"error\":0.5,\"along\":{}}"), "differ from those in fp32 by 50 %"},
        {REDUCED("{\"precision\":\"int8\",\"error\":0,\"along\":{\"h0\":0}}"), "no weights that could be reduced"},
    };
    float w[12], largest[3] = {1, 1, 1};
    int8_t q[6] = {-128, 127, 0, 1, 2, 3};
    for (int i = 0; i < 12; i++)
        w[i] = 0.1f * (float)i;
    const struct safetensors_item items[] = {
        {.name = "n.weight_ih_l0", .stored = STORED_F32, .rank = 2, .dim = {6, 2}, .data = w},
        {.name = "n.weight_hh_l0", .stored = STORED_F32, .rank = 2, .dim = {6, 2}, .data = w},
        {.name = "n.bias_ih_l0", .stored = STORED_F32, .rank = 1, .dim = {6}, .data = w},
        {.name = "n.bias_hh_l0", .stored = STORED_F32, .rank = 1, .dim = {6}, .data = w},
        {.name = "q.largest", .stored = STORED_F32, .rank = 2, .dim = {3, 1}, .data = largest},
        {.name = "h0.largest", .stored = STORED_F32, .rank = 1, .dim = {1}, .data = largest},
        {.name = "h0", .stored = STORED_I8, .rank = 1, .dim = {2}, .data = q},
        {.name = "p", .stored = STORED_I8, .rank = 2, .dim = {3, 2}, .data = q},
        {.name = "q", .stored = STORED_I8, .rank = 2, .dim = {3, 2}, .data = q},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct safetensors_meta meta = {"rnnd", cases[i].config};
        rnnd_error err = {0};
        rnnd_model *m;
        void *image;
        size_t bytes;
        assert_int_equal(safetensors_image(items, 9, &meta, 1, &image, &bytes, &err), RNND_OK);
        rnnd_code code = rnnd_model_open_memory(image, bytes, "m", NULL, &m, &err);
        mem_free(image);
        if (!code || !strstr(err.message, cases[i].words)) fail_msg("case %zu, %d: %s", i, code, err.message);
    }
}

static void every_allocation_fails(void **unused)
{
    (void)unused;
    static const char *const files[] = {"tests/vectors/rtjson/gru.json", "models/tiny/lstm.safetensors"};
    unlink(out);
    for (int i = 0; i < 2; i++) {
        rnnd_options options = {.precision = precisions[i]};
        rnnd_error err;
        rnnd_model *m;
        rnnd_code code = RNND_NO_MEMORY;
        for (size_t n = 1; code; n++) {
            mem_fail_at(n);
            code = rnnd_convert(files[i], &options, out, &err);
            mem_fail_at(0);
            if (code && code != RNND_NO_MEMORY) fail_msg("%s, allocation %zu: %s", files[i], n, err.message);
            if (code && file_bytes(out)) fail_msg("%s, allocation %zu: half a file", files[i], n);
        }
        code = RNND_NO_MEMORY;
        for (size_t n = 1; code; n++) {
            mem_fail_at(n);
            code = rnnd_model_open(out, NULL, &m, &err);
            mem_fail_at(0);
            if (code && code != RNND_NO_MEMORY) fail_msg("%s opened, allocation %zu: %s", out, n, err.message);
        }
        rnnd_model_close(m);
        unlink(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_every_format), cmocka_unit_test(smaller_and_of_one_precision),
        cmocka_unit_test(configured_anew), cmocka_unit_test(what_costs_too_much),
        cmocka_unit_test(hostile_files),   cmocka_unit_test(every_allocation_fails),
    };
    if (!mkdtemp(folder)) return 1;
    snprintf(out, sizeof out, "%s/out.safetensors", folder);
    snprintf(source, sizeof source, "%s/source.safetensors", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
