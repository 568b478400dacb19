/* test_run_rows.c -- `rnnd run` over rows: which axes are batch and steps, several inputs, steps against windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/cli/run.h"
#include "tests/lib/build_model.h"

static rnnd_model *lstm(const char *more)
{
    struct model_builder b;
    char config[400];
    builder_init(&b, 3);
    builder_torch(&b, "n", 4, 3, 2, 1, false, 0);
    snprintf(config, sizeof config,
             "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":3}],\"layers\":[{\"type\":\"lstm\",\"name\":\"n\","
             "\"hidden\":2}]%s}",
             more);
    rnnd_model *m = builder_open(&b, config, NULL);
    builder_free(&b);
    return m;
}

static struct array numbers(size_t rank, size_t d0, size_t d1, size_t d2)
{
    struct array a = {.rank = rank, .dim = {d0, d1, d2}};
    size_t count = array_count(&a);
    a.data = calloc(count + 1, sizeof *a.data);
    for (size_t i = 0; i < count; i++)
        a.data[i] = (float)(i % 7) / 4 - 0.5f;
    return a;
}

static void begin(struct run_job *j, const rnnd_model *m, struct array in)
{
    memset(j, 0, sizeof *j);
    j->model = m;
    j->in_count = j->out_count = 1;
    j->in[0].array = in;
    j->in[0].path = "x.npy";
    j->out[0].path = "y.npy";
}

static void refused(const rnnd_model *m, struct array in, const char *part)
{
    rnnd_code (*const ways[])(struct run_job *, rnnd_error *) = {run_windows, run_steps};
    for (size_t i = 0; i < 2; i++) {
        struct run_job j;
        rnnd_error err;
        struct array copy = in;
        size_t bytes = array_count(&in) * sizeof(float);
        copy.data = memcpy(malloc(bytes + 1), in.data, bytes);
        begin(&j, m, copy);
        assert_int_equal(ways[i](&j, &err), RNND_MISMATCH);
        if (!strstr(err.message, part)) fail_msg("no \"%s\" in %s", part, err.message);
        run_close(&j);
    }
    free(in.data);
}

/* [steps][3], [batch][steps][3]; the answer has the same axes, steps and windows the same bits. */
static void steps_are_windows(void **unused)
{
    (void)unused;
    rnnd_model *m = lstm("");
    static const size_t shapes[][4] = {{2, 5, 3, 1}, {3, 4, 6, 3}, {3, 70, 2, 3}, {2, 1, 3, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t *d = shapes[i];
        struct run_job w, s;
        rnnd_error err;
        begin(&w, m, numbers(d[0], d[1], d[2], d[3]));
        begin(&s, m, numbers(d[0], d[1], d[2], d[3]));
        if (run_windows(&w, &err) || run_steps(&s, &err)) fail_msg("%s", err.message);
        const struct array *a = &w.out[0].array, *b = &s.out[0].array;
        assert_true(a->rank == d[0] && b->rank == d[0]);
        for (size_t k = 0; k + 1 < a->rank; k++)
            assert_true(a->dim[k] == d[k + 1] && b->dim[k] == d[k + 1]);
        assert_true(a->dim[a->rank - 1] == 2);
        assert_memory_equal(a->data, b->data, array_count(a) * sizeof *a->data);
        run_close(&w);
        run_close(&s);
    }
    rnnd_model_close(m);
}

/* A window that answers its end: one answer a sequence, a step each step. */
static void last_answers(void **unused)
{
    (void)unused;
    rnnd_model *m = lstm(",\"output\":\"last\"");
    struct run_job w, s;
    rnnd_error err;
    begin(&w, m, numbers(3, 4, 6, 3));
    begin(&s, m, numbers(3, 4, 6, 3));
    if (run_windows(&w, &err) || run_steps(&s, &err)) fail_msg("%s", err.message);
    assert_true(w.out[0].array.rank == 2 && w.out[0].array.dim[0] == 4 && s.out[0].array.dim[1] == 6);
    for (size_t b = 0; b < 4; b++)
        assert_memory_equal(w.out[0].array.data + b * 2, s.out[0].array.data + (b * 6 + 5) * 2, 2 * sizeof(float));
    run_close(&w);
    run_close(&s);
    rnnd_model_close(m);
}

static void shapes_that_do_not_fit(void **unused)
{
    (void)unused;
    rnnd_model *m = lstm("");
    refused(m, numbers(2, 5, 4, 1), "[5][4]; wanted [steps][3] or [batch][steps][3]");
    refused(m, numbers(1, 3, 1, 1), "the input has shape [3]");
    refused(m, numbers(3, 2, 5, 4), "[2][5][4]");
    refused(m, numbers(2, 0, 3, 1), "the input is empty: 1 sequences of 0 steps");
    rnnd_model_close(m);
}

/* Two inputs by name; one that is a single row is the same at each step. */
static void several_inputs(void **unused)
{
    (void)unused;
    struct model_builder b;
    struct run_job j;
    rnnd_error err;
    builder_init(&b, 4);
    builder_torch(&b, "n", 4, 3, 2, 1, false, 0);
    rnnd_model *m = builder_open(&b,
                                 "{\"format\":1,\"inputs\":[{\"name\":\"a\",\"width\":1},{\"name\":\"k\",\"width\":2}],"
                                 "\"layers\":[{\"type\":\"concat\",\"name\":\"x\",\"inputs\":[\"a\",\"k\"]},"
                                 "{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":2}]}",
                                 NULL);
    begin(&j, m, numbers(2, 4, 1, 1));
    j.in_count = 2;
    j.in[0].name = strdup("a");
    j.in[1] = (struct run_end){.name = strdup("k"), .path = "k.npy", .array = numbers(1, 2, 1, 1)};
    if (run_steps(&j, &err)) fail_msg("%s", err.message);
    float *whole = j.out[0].array.data;
    assert_true(j.out[0].array.rank == 2 && j.out[0].array.dim[0] == 4);
    /* the same as rows of three side by side */
    struct run_job rows;
    struct array x = numbers(2, 4, 3, 1);
    for (size_t t = 0; t < 4; t++) {
        x.data[t * 3] = j.in[0].array.data[t];
        memcpy(x.data + t * 3 + 1, j.in[1].array.data, 2 * sizeof(float));
    }
    begin(&rows, m, x);
    if (run_steps(&rows, &err)) fail_msg("%s", err.message);
    assert_memory_equal(whole, rows.out[0].array.data, 8 * sizeof(float));
    run_close(&rows);
    run_close(&j);
    begin(&j, m, numbers(2, 4, 1, 1));
    j.in[0].name = strdup("a");
    assert_int_equal(run_steps(&j, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "needs its input k too"));
    run_close(&j);
    begin(&j, m, numbers(2, 4, 1, 1));
    j.in[0].name = strdup("z");
    assert_int_equal(run_steps(&j, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "has no input z"));
    run_close(&j);
    rnnd_model_close(m);
    builder_free(&b);
}

static void outputs_by_name(void **unused)
{
    (void)unused;
    rnnd_model *m = lstm("");
    struct run_job j;
    rnnd_error err;
    begin(&j, m, numbers(2, 4, 3, 1));
    j.out[0].name = strdup("nothing");
    assert_int_equal(run_steps(&j, &err), RNND_NOT_FOUND);
    assert_non_null(strstr(err.message, "no output nothing step by step"));
    run_close(&j);
    begin(&j, m, numbers(2, 4, 3, 1));
    j.out_count = 2;
    j.out[1].path = "z.npy";
    assert_int_equal(run_steps(&j, &err), RNND_INVALID);
    run_close(&j);
    rnnd_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_are_windows), cmocka_unit_test(last_answers),
                                       cmocka_unit_test(shapes_that_do_not_fit), cmocka_unit_test(several_inputs),
                                       cmocka_unit_test(outputs_by_name)};
    return cmocka_run_group_tests_name("run_rows", tests, NULL, NULL);
}
