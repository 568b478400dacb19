/* test_tensor_util.c -- axes, lists, sizes and indices that tensor operators are given, the wrong ones too. */
#include "core/ops/tensor_util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct op an_op = {.name = "An", .min_inputs = 0, .max_inputs = 1, .outputs = 1};
static struct graph_node a_node(void)
{
    return (struct graph_node){.op = &an_op, .name = "node"};
}

static void axes(void **unused)
{
    (void)unused;
    struct graph_node n = a_node();
    rnnd_error err;
    int axis;
    bool mask[MAX_RANK];
    assert_int_equal(op_axis(&n, -1, 3, &axis, &err), RNND_OK);
    assert_int_equal(axis, 2);
    assert_int_equal(op_axis(&n, 3, 3, &axis, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "axis 3"));
    assert_int_equal(op_axis(&n, -4, 3, &axis, &err), RNND_MISMATCH);
    assert_int_equal(op_axis(&n, 0, 0, &axis, &err), RNND_MISMATCH);
    assert_int_equal(op_axis(&n, INT64_MIN, 3, &axis, &err), RNND_MISMATCH);
    assert_int_equal(op_axes(&n, (const int64_t[]){0, -1}, 2, 3, mask, &err), RNND_OK);
    assert_true(mask[0] && !mask[1] && mask[2]);
    assert_int_equal(op_axes(&n, (const int64_t[]){2, -1}, 2, 3, mask, &err), RNND_MISMATCH);
}

static void sizes(void **unused)
{
    (void)unused;
    struct graph_node n = a_node();
    rnnd_error err;
    size_t v;
    assert_int_equal(op_dim(&n, -1, &v, &err), RNND_MISMATCH);
    assert_int_equal(op_dim(&n, 5, &v, &err), RNND_OK);
    assert_int_equal(v, 5);
    assert_int_equal(op_index(&n, -2, 5, &v, &err), RNND_OK);
    assert_int_equal(v, 3);
    assert_int_equal(op_index(&n, 5, 5, &v, &err), RNND_MISMATCH);
    assert_int_equal(op_index(&n, INT64_MIN, 5, &v, &err), RNND_MISMATCH);
    assert_int_equal(op_rank(&n, MAX_RANK, &err), RNND_OK);
    assert_int_equal(op_rank(&n, MAX_RANK + 1, &err), RNND_UNSUPPORTED);
}

static void lists(void **unused)
{
    (void)unused;
    int64_t data[] = {3, 4, 5}, out[3];
    struct tensor values[] = {{.dtype = DTYPE_I64, .rank = 1, .dim = {3}, .data = data}};
    struct run_context rc = {.values = values};
    struct graph_node n = a_node();
    int inputs[] = {0};
    rnnd_error err;
    size_t count;
    int64_t one;
    assert_int_equal(op_ints(&rc, &n, 0, out, 3, &count, &err), RNND_OK);
    assert_int_equal(count, 0); /* absent */
    n.input_count = 1;
    n.inputs = inputs;
    assert_int_equal(op_ints(&rc, &n, 0, out, 3, &count, &err), RNND_OK);
    assert_int_equal(count, 3);
    assert_memory_equal(out, data, sizeof data);
    assert_int_equal(op_ints(&rc, &n, 0, out, 2, &count, &err), RNND_MISMATCH);
    assert_int_equal(op_one_int(&rc, &n, 0, 7, &one, &err), RNND_MISMATCH);
    inputs[0] = -1;
    assert_int_equal(op_one_int(&rc, &n, 0, 7, &one, &err), RNND_OK);
    assert_int_equal(one, 7);
    inputs[0] = 0;
    values[0].dtype = DTYPE_F32;
    assert_int_equal(op_ints(&rc, &n, 0, out, 3, &count, &err), RNND_MISMATCH);
    values[0].dtype = DTYPE_I64;
    values[0].rank = 2;
    values[0].dim[1] = 1;
    assert_int_equal(op_ints(&rc, &n, 0, out, 3, &count, &err), RNND_MISMATCH);
}

static void walking(void **unused)
{
    (void)unused;
    size_t dim[] = {2, 3}, stride[MAX_RANK], index[MAX_RANK] = {0}, steps = 0;
    char text[32];
    dims_strides(2, dim, stride);
    assert_int_equal(stride[0], 3);
    assert_int_equal(stride[1], 1);
    do assert_int_equal(index[0] * stride[0] + index[1] * stride[1], steps++);
    while (dims_next(2, dim, index));
    assert_int_equal(steps, 6);
    assert_false(dims_next(0, dim, index));
    assert_int_equal(dims_product(dim, 0, 2), 6);
    assert_int_equal(dims_product(dim, 1, 1), 1);
    assert_string_equal(dims_text(2, dim, text, sizeof text), "[2, 3]");
    assert_int_equal(strlen(dims_text(2, dim, text, 4)), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes),
        cmocka_unit_test(sizes),
        cmocka_unit_test(lists),
        cmocka_unit_test(walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
