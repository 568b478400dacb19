/* test_run_tensors.c -- `rnnd run` on whole tensors: names, a batch of one put on and taken off again, what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/cli/run.h"

enum { CHANNELS = 3, STEPS = 9 };

static rnnd_model *model; /* takes [n][3][t], answers [n][5] */

static int open_model(void **state)
{
    (void)state;
    rnnd_error err;
    return rnnd_model_open("tests/vectors/onnx_files/torch_conv.onnx", NULL, &model, &err) ? -1 : 0;
}

static int close_model(void **state)
{
    (void)state;
    rnnd_model_close(model);
    return 0;
}

static struct run_job job(const char *in, const char *out, size_t rank, const size_t *dim)
{
    struct run_job j = {.model = model, .in_count = 1, .out_count = 1};
    j.in[0].name = in ? strdup(in) : NULL;
    j.out[0].name = out ? strdup(out) : NULL;
    j.in[0].array.rank = rank;
    memcpy(j.in[0].array.dim, dim, rank * sizeof *dim);
    size_t count = array_count(&j.in[0].array);
    j.in[0].array.data = calloc(count + 1, sizeof(float));
    for (size_t i = 0; i < count; i++)
        j.in[0].array.data[i] = (float)(i * i % 11) / 8 - 0.5f;
    return j;
}

/* Without its batch axis the input is a batch of one, and the answer loses it again. */
static void batch_of_one(void **unused)
{
    (void)unused;
    struct run_job with = job("x", "y", 3, (const size_t[]){1, CHANNELS, STEPS});
    struct run_job without = job(NULL, NULL, 2, (const size_t[]){CHANNELS, STEPS});
    rnnd_error err;
    if (run_tensors(&with, &err) || run_tensors(&without, &err)) fail_msg("%s", err.message);
    const struct array *a = &with.out[0].array, *b = &without.out[0].array;
    assert_true(a->rank == 2 && a->dim[0] == 1 && a->dim[1] == 5);
    assert_true(b->rank == 1 && b->dim[0] == 5);
    assert_memory_equal(a->data, b->data, 5 * sizeof(float));
    run_close(&with);
    run_close(&without);
}

static void refused(struct run_job j, rnnd_code code, const char *part)
{
    rnnd_error err;
    assert_int_equal(run_tensors(&j, &err), code);
    if (!strstr(err.message, part)) fail_msg("no \"%s\" in %s", part, err.message);
    run_close(&j);
}

/* The sentence is that of the arrays as they were given. */
static void refusals(void **unused)
{
    (void)unused;
    static const size_t good[] = {1, CHANNELS, STEPS}, four[] = {1, 1, CHANNELS, STEPS}, few[] = {1, 2, STEPS};
    refused(job("z", NULL, 3, good), RNND_MISMATCH, "no input \"z\"");
    refused(job("x", NULL, 4, four), RNND_MISMATCH, "wanted rank 3, found 4");
    refused(job("x", NULL, 3, few), RNND_MISMATCH, "Conv");
    refused(job("x", "z", 3, good), RNND_NOT_FOUND, "nothing is called \"z\"; there is y");
}

/* Models of ours given one input and one output without names run as rows, others as tensors. */
static void which_way(void **unused)
{
    (void)unused;
    struct run_job j = job(NULL, NULL, 3, (const size_t[]){2, CHANNELS, STEPS});
    rnnd_error err;
    if (run_network(&j, &err)) fail_msg("%s", err.message);
    assert_true(j.out[0].array.rank == 2 && j.out[0].array.dim[0] == 2);
    run_close(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(batch_of_one), cmocka_unit_test(refusals),
                                       cmocka_unit_test(which_way)};
    return cmocka_run_group_tests_name("run_tensors", tests, open_model, close_model);
}
