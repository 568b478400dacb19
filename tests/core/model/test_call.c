/* test_call.c -- whole tensors by name: what is refused and how, what can be read, that a run's memory has a bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/arrays.h"
#include "core/rnnd.h"

#define VECTORS "tests/vectors/onnx_files/"

static rnnd_model *model;
static rnnd_call *call;

static void open_file(const char *path)
{
    rnnd_error err;
    if (rnnd_model_open(path, NULL, &model, &err) || rnnd_call_open(model, &call, &err)) fail_msg("%s", err.message);
}

static void close_file(void)
{
    rnnd_call_close(call);
    rnnd_model_close(model);
}

static void refused(const rnnd_tensor *in, size_t count, rnnd_code code, const char *part)
{
    rnnd_error err = {.message = ""};
    rnnd_tensor out;
    assert_int_equal(rnnd_call_run(call, in, count, &err), code);
    if (!strstr(err.message, part)) fail_msg("no \"%s\" in: %s", part, err.message);
    assert_int_equal(rnnd_call_output(call, NULL, &out, &err), RNND_INVALID); /* nothing has been run */
}

static void inputs_that_do_not_fit(void **unused)
{
    (void)unused;
    float x[27] = {0};
    int64_t whole[2] = {1, 2};
    rnnd_tensor good = {.name = "x", .rank = 3, .dim = {1, 3, 9}, .data = x}, t;
    rnnd_error err;
    open_file(VECTORS "torch_conv.onnx");
    refused(NULL, 0, RNND_MISMATCH, "\"x\" is missing");
    t = good, t.name = "nobody";
    refused(&t, 1, RNND_MISMATCH, "no input \"nobody\"; its first is \"x\"");
    t = good, t.rank = 2;
    refused(&t, 1, RNND_MISMATCH, "wanted rank 3, found 2");
    t = good, t.rank = RNND_MAX_RANK + 1;
    refused(&t, 1, RNND_INVALID, "rank 9");
    t = good, t.dim[0] = t.dim[1] = t.dim[2] = (size_t)1 << 40;
    t.dtype = RNND_INT64, t.data = whole;
    refused(&t, 1, RNND_NO_MEMORY, "");
    t = good, t.dim[1] = 2;
    refused(&t, 1, RNND_MISMATCH, "Conv");
    t = good, t.name = NULL; /* a single one needs no name */
    if (rnnd_call_run(call, &t, 1, &err)) fail_msg("%s", err.message);
    assert_int_equal(rnnd_call_output(call, "nothing", &t, &err), RNND_NOT_FOUND);
    assert_non_null(strstr(err.message, "there is y"));
    close_file();
}

static void runs_are_bounded(void **unused)
{
    (void)unused;
    struct array x;
    rnnd_error err;
    rnnd_tensor out;
    assert_true(arrays_safetensors(VECTORS "torch_conv.safetensors", "in.x", &x));
    rnnd_tensor t = {.name = "x", .rank = 3, .dim = {x.dim[0], x.dim[1], x.dim[2]}, .data = x.data};
    open_file(VECTORS "torch_conv.onnx");
    rnnd_call_limit(call, 64);
    refused(&t, 1, RNND_TOO_LARGE, "beyond the memory of a run");
    rnnd_call_limit(call, 1 << 20);
    if (rnnd_call_run(call, &t, 1, &err)) fail_msg("%s", err.message);
    assert_int_equal(rnnd_call_output(call, "y", &out, &err), RNND_OK);
    assert_int_equal(out.rank, 2);
    close_file();
    arrays_free(&x);
}

/* Ids given as floats are whole numbers below the limit, or refused. */
static void whole_numbers(void **unused)
{
    (void)unused;
    float ids[4] = {0, 1, 2, 1};
    rnnd_error err;
    rnnd_tensor t = {.rank = 2, .dim = {1, 4}, .data = ids};
    open_file(VECTORS "torch_embedding_lstm.onnx");
    if (rnnd_call_run(call, &t, 1, &err)) fail_msg("%s", err.message);
    ids[1] = 99;
    refused(&t, 1, RNND_MISMATCH, "found 99");
    ids[1] = 1.5f;
    refused(&t, 1, RNND_MISMATCH, "found 1.5");
    close_file();
}

/* Of a model without rows: its shapes as the file has them, and every output by name. */
static void without_rows(void **unused)
{
    (void)unused;
    struct array x;
    rnnd_error err;
    rnnd_tensor out;
    const char *const *names;
    open_file(VECTORS "loop_weights.onnx");
    const rnnd_info *info = rnnd_model_info(model);
    assert_true(info->no_rows[0] && !info->streamable);
    assert_int_equal(info->inputs[0].rank, 3);
    assert_int_equal(info->inputs[0].dim[0], 0);
    assert_int_equal(info->inputs[0].dim[2], 4);
    assert_int_equal(info->outputs[0].rank, -1);
    assert_int_equal(rnnd_call_inputs(call, &names), 1);
    assert_int_equal(rnnd_call_outputs(call, &names), 3);
    assert_string_equal(names[1], "wlast");
    assert_true(arrays_safetensors(VECTORS "loop_weights.safetensors", "in.x", &x));
    rnnd_tensor t = {.rank = 3, .dim = {x.dim[0], x.dim[1], x.dim[2]}, .data = x.data};
    if (rnnd_call_run(call, &t, 1, &err)) fail_msg("%s", err.message);
    assert_int_equal(rnnd_call_output(call, "rall", &out, &err), RNND_OK);
    assert_true(out.rank == 3 && out.dim[0] == 4 && out.dim[1] == 3 && out.dim[2] == 3);
    close_file();
    arrays_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(inputs_that_do_not_fit), cmocka_unit_test(runs_are_bounded),
                                       cmocka_unit_test(whole_numbers), cmocka_unit_test(without_rows)};
    return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
