/* test_graph_builder.c -- nodes and constants of a tensor graph: the forms compute what they say, the first failure
 * sticks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/formats/graph_builder.h"
#include "core/graph/fold.h"

static struct graph g;
static struct graph_builder b;
static rnnd_error err;

static void begin(size_t limit)
{
    graph_init(&g, kernels_pick(NULL));
    g.tensors = true;
    memset(&err, 0, sizeof err);
    build_start(&b, &g, limit, &err);
    b.layer = "here";
}

/* A value of constants alone, computed: its numbers. */
static void expect(int value, int rank, const size_t *dim, const float *numbers)
{
    assert_int_equal(b.code, RNND_OK);
    assert_int_equal(graph_add_output(&g, value), RNND_OK);
    if (graph_fold(&g, 1 << 20, &err)) fail_msg("%s", err.message);
    const struct graph_value *v = &g.values[g.outputs[0]];
    assert_true(v->is_constant);
    assert_int_equal(v->constant.rank, rank);
    size_t count = 1;
    for (int k = 0; k < rank; k++) {
        assert_int_equal(v->constant.dim[k], dim[k]);
        count *= dim[k];
    }
    for (size_t i = 0; i < count; i++)
        if (((const float *)v->constant.data)[i] != numbers[i])
            fail_msg("number %zu is %g, wanted %g", i, (double)((const float *)v->constant.data)[i],
                     (double)numbers[i]);
    graph_free(&g);
}

static int square(void) /* [[1, 2, 3], [4, 5, 6]] */
{
    begin(1 << 16);
    return build_floats(&b, 2, (const size_t[]){2, 3}, (const float[]){1, 2, 3, 4, 5, 6});
}

static void forms(void **unused)
{
    (void)unused;
    static const int64_t turned[] = {1, 0}, flat[] = {-1}, kept[] = {0, 1, -1};
    int x = square();
    expect(build_transpose(&b, x, 2, turned), 2, (const size_t[]){3, 2}, (const float[]){1, 4, 2, 5, 3, 6});
    x = square();
    expect(build_slice(&b, x, 1, 1, 3, 1), 2, (const size_t[]){2, 2}, (const float[]){2, 3, 5, 6});
    x = square();
    expect(build_reverse(&b, x, 1), 2, (const size_t[]){2, 3}, (const float[]){3, 2, 1, 6, 5, 4});
    x = square();
    expect(build_concat(&b, (const int[]){x, x}, 2, 0), 2, (const size_t[]){4, 3},
           (const float[]){1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6});
    x = square();
    expect(build_reshape(&b, x, 1, flat), 1, (const size_t[]){6}, (const float[]){1, 2, 3, 4, 5, 6});
    x = square();
    expect(build_reshape(&b, x, 3, kept), 3, (const size_t[]){2, 1, 3}, (const float[]){1, 2, 3, 4, 5, 6});
    x = square();
    expect(build_squeeze(&b, build_unsqueeze(&b, x, 1), 1), 2, (const size_t[]){2, 3},
           (const float[]){1, 2, 3, 4, 5, 6});
    x = square();
    expect(build_reduce(&b, "ReduceSum", x, 1, true), 2, (const size_t[]){2, 1}, (const float[]){6, 15});
    x = square();
    expect(build_reduce(&b, "ReduceMax", x, 0, false), 1, (const size_t[]){3}, (const float[]){4, 5, 6});
    x = square();
    expect(build3(&b, "Where", build_cast(&b, build_int(&b, 1), DTYPE_BOOL), x, build_float(&b, 9)), 2,
           (const size_t[]){2, 3}, (const float[]){1, 2, 3, 4, 5, 6});
    x = square();
    expect(build2(&b, "Gather", x, build_axis(&b, 1)), 2, (const size_t[]){1, 3}, (const float[]){4, 5, 6});
}

static void attributes(void **unused)
{
    (void)unused;
    int x = square(), y = build(&b, "LeakyRelu", build(&b, "Neg", x));
    build_attr_float(&b, "alpha", 0.5f);
    expect(y, 2, (const size_t[]){2, 3}, (const float[]){-0.5f, -1, -1.5f, -2, -2.5f, -3});
}

/* What comes after the first failure does nothing, and its sentence stays. */
static void the_first_failure_sticks(void **unused)
{
    (void)unused;
    int x = square(), out[1] = {0};
    assert_int_equal(build(&b, "NoSuchOperator", x), -1);
    assert_int_equal(b.code, RNND_UNSUPPORTED);
    assert_non_null(strstr(err.message, "NoSuchOperator"));
    size_t nodes = g.node_count, values = g.value_count;
    assert_int_equal(build(&b, "Neg", x), -1);
    assert_int_equal(build_float(&b, 1), -1);
    assert_false(build_node(&b, "Neg", 1, &x, 1, out));
    build_attr_int(&b, "axis", 1);
    build_keep(&b, RNND_CORRUPT);
    assert_true(g.node_count == nodes && g.value_count == values);
    assert_int_equal(b.code, RNND_UNSUPPORTED);
    graph_free(&g);
}

static void constants_are_bounded(void **unused)
{
    (void)unused;
    begin(40);
    assert_true(build_floats(&b, 1, (const size_t[]){8}, (const float[8]){0}) >= 0);
    assert_int_equal(build_floats(&b, 1, (const size_t[]){3}, (const float[3]){0}), -1);
    assert_int_equal(b.code, RNND_TOO_LARGE);
    assert_non_null(strstr(err.message, "layer \"here\""));
    graph_free(&g);
    begin(40); /* sizes that overflow are too large, and nothing is read */
    assert_int_equal(build_floats(&b, 2, (const size_t[]){(size_t)1 << 40, (size_t)1 << 40}, NULL), -1);
    assert_int_equal(b.code, RNND_TOO_LARGE);
    graph_free(&g);
    begin(40); /* what was to be taken is freed: AddressSanitizer would tell */
    assert_int_equal(build_take(&b, 1, (const size_t[]){100}, mem_aligned(400)), -1);
    graph_free(&g);
    begin(400);
    int v = build_take(&b, 1, (const size_t[]){100}, mem_aligned(400));
    assert_true(v >= 0 && g.values[v].constant.dim[0] == 100);
    graph_free(&g);
}

static void no_memory(void **unused)
{
    (void)unused;
    bool done = false;
    for (size_t n = 1; !done && n < 200; n++) {
        begin(1 << 16);
        mem_fail_at(n);
        int x = build_take(&b, 1, (const size_t[]){4}, mem_aligned(16));
        x = build_concat(&b, (const int[]){x, build_float(&b, 2)}, 2, 0);
        build_attr_ints(&b, "axes", (const int64_t[]){1, 2}, 2);
        mem_fail_at(0);
        done = b.code == RNND_OK;
        if (!done) assert_int_equal(b.code, RNND_NO_MEMORY);
        graph_free(&g);
    }
    assert_true(done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms), cmocka_unit_test(attributes),
                                       cmocka_unit_test(the_first_failure_sticks),
                                       cmocka_unit_test(constants_are_bounded), cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests_name("graph_builder", tests, NULL, NULL);
}
