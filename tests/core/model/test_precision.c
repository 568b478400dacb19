/* test_precision.c -- models in fewer bits: measured when they are opened, refused where it costs too much, and their
 * states their own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/formats/safetensors.h"
#include "tests/lib/build_model.h"

static const char config[] =
    "{\"format\":1,\"inputs\":[{\"width\":3}],\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":20},"
    "{\"type\":\"dense\",\"name\":\"d\"}]}";

static void build(struct model_builder *b)
{
    builder_init(b, 3);
    builder_torch(b, "n", 4, 3, 20, 1, false, 0);
    builder_tensor(b, "d.weight", NULL, 1, 2, 5, 20, 0);
    builder_tensor(b, "d.bias", NULL, 1, 1, 5, 0, 0);
}

static rnnd_model *open_as(const char *precision)
{
    struct model_builder b;
    rnnd_options options = {.precision = precision};
    rnnd_model *m;
    rnnd_error err;
    size_t bytes;
    build(&b);
    void *image = builder_image(&b, config, &bytes);
    assert_int_equal(rnnd_model_open_memory(image, bytes, "m", &options, &m, &err), RNND_OK);
    mem_free(image);
    builder_free(&b);
    return m;
}

static void run(const rnnd_model *m, size_t steps, float *outputs)
{
    float *x = malloc(steps * 3 * sizeof *x);
    rnnd_workspace *ws;
    rnnd_error err;
    for (size_t i = 0; i < steps * 3; i++)
        x[i] = sinf((float)i);
    rnnd_window w = {.batch = 1, .steps = steps, .inputs = x, .outputs = outputs};
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    assert_int_equal(rnnd_run_window(ws, &w, &err), RNND_OK);
    rnnd_workspace_close(ws);
    free(x);
}

static void measured_at_load(void **unused)
{
    (void)unused;
    rnnd_model *m[] = {open_as(NULL), open_as("bf16"), open_as("int8")};
    float y[3][50];
    for (int i = 0; i < 3; i++)
        run(m[i], 10, y[i]);
    assert_string_equal(rnnd_model_info(m[0])->precision, "fp32");
    assert_true(rnnd_model_info(m[0])->precision_error == 0);
    for (int i = 1; i < 3; i++) {
        const rnnd_info *info = rnnd_model_info(m[i]);
        double off = 0, all = 0;
        for (int k = 0; k < 50; k++) {
            off += pow((double)(y[i][k] - y[0][k]), 2);
            all += pow((double)y[0][k], 2);
        }
        double here = sqrt(off / all);
        assert_string_equal(info->precision, i == 1 ? "bf16" : "int8");
        assert_string_equal(info->digest, rnnd_model_info(m[0])->digest); /* of the file */
        assert_true(info->precision_error > 0 && info->precision_error < (i == 1 ? 0.01 : 0.05));
        assert_true(here > info->precision_error / 5 && here < info->precision_error * 5); /* on other inputs */
        assert_true(info->weight_bytes < rnnd_model_info(m[0])->weight_bytes);
    }
    for (int i = 0; i < 3; i++)
        rnnd_model_close(m[i]);
}

static void states_are_of_one_precision(void **unused)
{
    (void)unused;
    rnnd_model *exact = open_as("fp32"), *reduced = open_as("int8");
    void *state = malloc(rnnd_state_bytes(exact)), *blob = malloc(rnnd_state_blob_bytes(exact));
    rnnd_error err;
    rnnd_state_reset(exact, state);
    rnnd_state_save(exact, state, blob);
    assert_int_equal(rnnd_state_load(exact, blob, rnnd_state_blob_bytes(exact), state, &err), RNND_OK);
    assert_int_equal(rnnd_state_load(reduced, blob, rnnd_state_blob_bytes(exact), state, &err), RNND_CONFLICT);
    assert_non_null(strstr(err.message, "wanted int8"));
    assert_non_null(strstr(err.message, "is of precision fp32"));
    rnnd_state_save(reduced, state, blob);
    assert_int_equal(rnnd_state_load(reduced, blob, rnnd_state_blob_bytes(exact), state, &err), RNND_OK);
    free(state);
    free(blob);
    rnnd_model_close(exact);
    rnnd_model_close(reduced);
}

/* One weight a thousand times the others leaves 8 bits nothing for those. */
static void refused_where_it_costs_too_much(void **unused)
{
    (void)unused;
    struct model_builder b;
    rnnd_options options = {.precision = "int8"};
    rnnd_error err;
    rnnd_model *m;
    float w[5 * 20];
    for (size_t i = 0; i < 100; i++)
        w[i] = i % 20 == 3 ? 1000 : 0.1f * (float)(i % 7) - 0.3f;
    builder_init(&b, 3);
    float w_ih[80 * 3] = {0}, w_hh[80 * 20] = {0}, bias[80] = {0};
    for (size_t i = 0; i < 80 * 3; i++)
        w_ih[i] = i / 3 % 20 == 3 ? 0 : 0.3f * (float)(i % 5) - 0.5f; /* unit 3: 0 */
    builder_tensor(&b, "n.weight_ih_l0", w_ih, 0, 2, 80, 3, 0);
    builder_tensor(&b, "n.weight_hh_l0", w_hh, 0, 2, 80, 20, 0);
    builder_tensor(&b, "n.bias_ih_l0", bias, 0, 1, 80, 0, 0);
    builder_tensor(&b, "n.bias_hh_l0", bias, 0, 1, 80, 0, 0);
    builder_tensor(&b, "d.weight", w, 0, 2, 5, 20, 0);
    builder_tensor(&b, "d.bias", bias, 0, 1, 5, 0, 0);
    size_t bytes;
    void *image = builder_image(&b, config, &bytes);
    assert_int_equal(rnnd_model_open_memory(image, bytes, "m", &options, &m, &err), RNND_MISMATCH);
    assert_string_equal(err.param, "precision");
    assert_non_null(strstr(err.message, "in int8"));
    options.force_precision = true;
    assert_int_equal(rnnd_model_open_memory(image, bytes, "m", &options, &m, &err), RNND_OK);
    assert_true(rnnd_model_info(m)->precision_error > 0.1);
    rnnd_model_close(m);
    options.precision = "fp16";
    assert_int_equal(rnnd_model_open_memory(image, bytes, "m", &options, &m, &err), RNND_UNSUPPORTED);
    assert_non_null(strstr(err.message, "fp16"));
    mem_free(image);
    builder_free(&b);
}

/* A file may say any length: a sequence network is measured on some of it. */
static void windows_without_end(void **unused)
{
    (void)unused;
    static const char graph[] =
        "{\"format\":1,\"graph\":{\"inputs\":[{\"name\":\"x\",\"shape\":[null,null,3],"
        "\"axes\":[\"time\",\"batch\",\"feature\"]}],\"nodes\":[{\"op\":\"LSTM\",\"inputs\":[\"x\",\"w\",\"r\"],"
        "\"outputs\":[\"\",\"h\"]}],\"outputs\":[\"h\"],\"window\":1000000000000000,\"stateful\":true}}";
    static const size_t dim[][3] = {{1, 80, 3}, {1, 80, 20}};
    float w[80 * 3], r[80 * 20];
    for (size_t i = 0; i < 80 * 20; i++)
        r[i] = w[i % (80 * 3)] = 0.01f * (float)(i * 7 % 31) - 0.15f;
    struct safetensors_item items[] = {{.name = "w", .stored = STORED_F32, .rank = 3, .data = w},
                                       {.name = "r", .stored = STORED_F32, .rank = 3, .data = r}};
    const struct safetensors_meta meta = {"rnnd", graph};
    rnnd_options options = {.precision = "bf16"};
    rnnd_error err;
    rnnd_model *m;
    void *image;
    size_t bytes;
    for (int i = 0; i < 2; i++)
        memcpy(items[i].dim, dim[i], sizeof dim[i]);
    assert_int_equal(safetensors_image(items, 2, &meta, 1, &image, &bytes, &err), RNND_OK);
    if (rnnd_model_open_memory(image, bytes, "m", &options, &m, &err)) fail_msg("%s", err.message);
    const rnnd_info *info = rnnd_model_info(m);
    assert_int_equal(info->mode, RNND_CARRY);
    assert_true(info->precision_error > 0 && info->precision_error < 0.01);
    rnnd_model_close(m);
    mem_free(image);
}

static void what_is_not_measured(void **unused)
{
    (void)unused;
    rnnd_options options = {.precision = "int8"};
    rnnd_error err;
    rnnd_model *m;
    if (rnnd_model_open("tests/vectors/torch_files/net.pt", &options, &m, &err)) fail_msg("%s", err.message);
    assert_true(rnnd_model_info(m)->unconfirmed && rnnd_model_info(m)->precision_error < 0);
    rnnd_model_close(m);
    if (rnnd_model_open("tests/vectors/onnx_files/loop_weights.onnx", &options, &m, &err)) fail_msg("%s", err.message);
    assert_true(rnnd_model_info(m)->no_rows[0] != 0);
    assert_string_equal(rnnd_model_info(m)->precision, "fp32");
    rnnd_model_close(m);
}

static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    struct model_builder b;
    rnnd_options options = {.precision = "int8"};
    rnnd_error err;
    rnnd_model *m;
    size_t bytes;
    build(&b);
    void *image = builder_image(&b, config, &bytes);
    for (size_t at = 1;; at++) {
        mem_fail_at(at);
        rnnd_code code = rnnd_model_open_memory(image, bytes, "m", &options, &m, &err);
        mem_fail_at(0);
        if (code == RNND_OK) break;
        assert_int_equal(code, RNND_NO_MEMORY);
        assert_null(m);
    }
    rnnd_model_close(m);
    mem_free(image);
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured_at_load),
        cmocka_unit_test(states_are_of_one_precision),
        cmocka_unit_test(refused_where_it_costs_too_much),
        cmocka_unit_test(windows_without_end),
        cmocka_unit_test(what_is_not_measured),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
