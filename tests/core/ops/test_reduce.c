/* test_reduce.c -- sums, means, extremes along axes against ONNX Runtime; one order of adding; what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/ops/op.h"
#include "tests/lib/op_vectors.h"

static void as_onnx_runtime(void **unused)
{
    static const char *const ops[] = {
        "ReduceSum", "ReduceMean",      "ReduceMax",    "ReduceMin",       "ReduceProd", "ReduceL1",
        "ReduceL2",  "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp", "ArgMax",     "ArgMin",   NULL,
    };
    (void)unused;
    print_message("%zu cases\n", op_vectors_check("tests/vectors/ops_a.txt", ops));
}

static void beyond_onnx_runtime(void **unused)
{
    (void)unused;
    op_text_check("case mean_int ReduceMean\nin i 2,2 1 2 -3 -4\nin i 1 1\nout i 2,1 1 -3\n"
                  "case nan ReduceMax\nin f 3 1 nan 2\nout f 1 nan\n"
                  "case nan_first ReduceMin\nin f 3 nan 0 2\nout f 1 nan\n"
                  "case product_of_none ReduceProd\nint keepdims 0\nin f 0,2\nin i 1 0\nout f 2 1\n"
                  "case infinite ReduceLogSumExp\nin f 2 -inf -inf\nout f 1 -inf\n"
                  "case wraps ReduceSum\nin i 2 9223372036854775807 1\nout i 1 -9223372036854775808\n"
                  "case l1_int ReduceL1\nin i 3 -1 2 -3\nout i 1 6\n"
                  "case squares_int ReduceSumSquare\nin i 3 -1 2 -3\nout i 1 14\n"
                  "case rank_8 ReduceSum\nin f 2,1,1,2,1,1,1,2 1 2 3 4 5 6 7 8\nin i 2 0 -1\n"
                  "out f 1,1,1,2,1,1,1,1 14 22\n");
}

/* Adding goes in row-major order over the reduced axes: 1e8 swallows what comes while it stands. */
static void adds_in_order(void **unused)
{
    (void)unused;
    op_text_check("case all ReduceSum\nint keepdims 0\nin f 2,2 1e8 1 -1e8 1\nout f . 1\n"
                  "case rows ReduceSum\nin f 4,1 1 1e8 -1e8 1\nin i 1 0\nout f 1,1 1\n"
                  "case outer_first ReduceSum\nint keepdims 0\nin f 2,1,2 1e8 -1e8 1 1\nin i 2 2 0\nout f 1 2\n");
}

static void refused(void **unused)
{
    (void)unused;
    op_text_fails("case axis ReduceSum\nin f 2,3 0\nin i 1 2\n", RNND_MISMATCH);
    op_text_fails("case axis ReduceSum\nin f 2,3 0\nin i 1 -3\n", RNND_MISMATCH);
    op_text_fails("case twice ReduceMean\nin f 2,3 0\nin i 2 1 -1\n", RNND_MISMATCH);
    op_text_fails("case floats ReduceSum\nin f 2,3 0\nin f 1 1\n", RNND_MISMATCH);
    op_text_fails("case bools ReduceMax\nin b 2,3 0\nin i 1 1\n", RNND_MISMATCH);
    op_text_fails("case ints ReduceL2\nin i 2,3 0\nin i 1 1\n", RNND_MISMATCH);
    op_text_fails("case ints ReduceLogSumExp\nin i 2,3 0\n", RNND_MISMATCH);
    op_text_fails("case none ReduceMax\nin f 2,0\nin i 1 1\n", RNND_MISMATCH);
    op_text_fails("case none ReduceMean\nin f 0\n", RNND_MISMATCH);
    op_text_fails("case huge ReduceSum\nin f 0,1099511627776\nin i 1 0\n", RNND_TOO_LARGE);
    op_text_fails("case axis ArgMax\nint axis 2\nin f 2,3 0\n", RNND_MISMATCH);
    op_text_fails("case scalar ArgMax\nin f . 0\n", RNND_MISMATCH);
    op_text_fails("case bools ArgMin\nin b 2 0\n", RNND_MISMATCH);
    op_text_fails("case none ArgMin\nin f 0,2\n", RNND_MISMATCH);
}

static void no_memory(void **unused)
{
    (void)unused;
    op_text_torture("case mean ReduceMean\nin f 2,2 1 2 3 4\nin i 1 0\nout f 1,2 2 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_onnx_runtime), cmocka_unit_test(beyond_onnx_runtime), cmocka_unit_test(adds_in_order),
        cmocka_unit_test(refused),         cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
