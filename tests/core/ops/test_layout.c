/* test_layout.c -- moving, cutting, filling, picking and ordering against ONNX Runtime; what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/ops/op.h"
#include "tests/lib/op_vectors.h"

#define LEAST "-9223372036854775808"
#define MOST "9223372036854775807"

static void as_onnx_runtime(void **unused)
{
    static const char *const ops[] = {
        "Transpose", "Reshape",         "Flatten",         "Squeeze",        "Unsqueeze", "Concat",    "Split",
        "Slice",     "Shape",           "Size",            "Expand",         "Tile",      "Range",     "OneHot",
        "Pad",       "ConstantOfShape", "Gather",          "GatherElements", "GatherND",  "ScatterND", "NonZero",
        "Compress",  "ScatterElements", "ReverseSequence", "CumSum",         "TopK",      "Trilu",     NULL,
    };
    (void)unused;
    print_message("%zu cases\n", op_vectors_check("tests/vectors/ops_a.txt", ops));
}

/* What ONNX Runtime does not do, or leaves open. */
static void beyond_onnx_runtime(void **unused)
{
    (void)unused;
    op_text_check("case number ConstantOfShape\nfloat value 2.5\nin i 1 2\nout f 2 2.5 2.5\n"
                  "case whole ConstantOfShape\nint value 3\nin i 1 2\nout i 2 3 3\n"
                  "case equal_parts Split\nint axis 0\nin f 4 1 2 3 4\nout f 2 1 2\nout f 2 3 4\n"
                  "case nan TopK\nin f 3 1 nan 2\nin i . 2\nout f 2 nan 2\nout i 2 1 2\n"
                  "case far Range\nin i . " LEAST "\nin i . " MOST "\nin i . " MOST "\n"
                  "out i 3 " LEAST " -1 9223372036854775806\n"
                  "case rank_8 Transpose\nin f 1,2,1,1,1,1,1,2 1 2 3 4\nout f 2,1,1,1,1,1,2,1 1 3 2 4\n"
                  "case rank_8 Tile\nin f 1,1,1,1,1,1,1,2 1 2\nin i 8 1 1 1 1 1 1 2 2\nout f 1,1,1,1,1,1,2,4 "
                  "1 2 1 2 1 2 1 2\n"
                  "case scalar_gather Gather\nin f 3 5 6 7\nin i . -1\nout f . 7\n");
}

static void refused_views(void **unused)
{
    (void)unused;
    op_text_fails("case count Reshape\nin f 2,3 0\nin i 1 5\n", RNND_MISMATCH);
    op_text_fails("case rest Reshape\nin f 2,3 0\nin i 2 4 -1\n", RNND_MISMATCH);
    op_text_fails("case twice Reshape\nin f 2,3 0\nin i 2 -1 -1\n", RNND_MISMATCH);
    op_text_fails("case negative Reshape\nin f 2,3 0\nin i 2 -2 -3\n", RNND_MISMATCH);
    op_text_fails("case kept Reshape\nin f 2,3 0\nin i 3 2 3 0\n", RNND_MISMATCH);
    op_text_fails("case huge Reshape\nin f 2,3 0\nin i 3 4294967296 4294967296 6\n", RNND_MISMATCH);
    op_text_fails("case empty Reshape\nin f 0,3\nin i 2 0 -1\n", RNND_MISMATCH);
    op_text_fails("case floats Reshape\nin f 2,3 0\nin f 1 6\n", RNND_MISMATCH);
    op_text_fails("case rank Reshape\nin f 1 0\nin i 9 1\n", RNND_MISMATCH);
    op_text_fails("case axis Flatten\nint axis 3\nin f 2,3 0\n", RNND_MISMATCH);
    op_text_fails("case axis Flatten\nint axis -3\nin f 2,3 0\n", RNND_MISMATCH);
    op_text_fails("case longer Squeeze\nin f 2,3 0\nin i 1 0\n", RNND_MISMATCH);
    op_text_fails("case axis Squeeze\nin f 1 0\nin i 1 1\n", RNND_MISMATCH);
    op_text_fails("case twice Unsqueeze\nin f 2 0\nin i 2 0 -3\n", RNND_MISMATCH);
    op_text_fails("case axis Unsqueeze\nin f 2 0\nin i 1 2\n", RNND_MISMATCH);
    op_text_fails("case rank Unsqueeze\nin f 1,1,1,1,1,1,1,1 0\nin i 1 0\n", RNND_UNSUPPORTED);
}

static void refused_parts(void **unused)
{
    (void)unused;
    op_text_fails("case few Transpose\nints perm 0\nin f 2,3 0\n", RNND_MISMATCH);
    op_text_fails("case twice Transpose\nints perm 0 0\nin f 2,3 0\n", RNND_MISMATCH);
    op_text_fails("case axis Transpose\nints perm 0 2\nin f 2,3 0\n", RNND_MISMATCH);
    op_text_fails("case no_axis Concat\nin f 2,3 0\n", RNND_MISMATCH);
    op_text_fails("case axis Concat\nint axis 5\nin f 2,3 0\nin f 2,3 0\n", RNND_MISMATCH);
    op_text_fails("case scalar Concat\nint axis 0\nin f . 0\nin f . 0\n", RNND_MISMATCH);
    op_text_fails("case shapes Concat\nint axis 0\nin f 2,3 0\nin f 2,4 0\n", RNND_MISMATCH);
    op_text_fails("case ranks Concat\nint axis 0\nin f 2,3 0\nin f 2 0\n", RNND_MISMATCH);
    op_text_fails("case types Concat\nint axis 0\nin f 2 0\nin i 2 0\n", RNND_MISMATCH);
    op_text_fails("case absent Concat\nint axis 0\nin f 2 0\nnone\nin f 2 0\n", RNND_MISMATCH);
    op_text_fails("case short Split\nin f 4 0\nin i 2 1 2\nskip\nskip\n", RNND_MISMATCH);
    op_text_fails("case long Split\nin f 4 0\nin i 2 3 2\nskip\nskip\n", RNND_MISMATCH);
    op_text_fails("case negative Split\nin f 4 0\nin i 2 5 -1\nany\nany\n", RNND_MISMATCH);
    op_text_fails("case huge Split\nin f 4 0\nin i 2 " MOST " " MOST "\nany\nany\n", RNND_MISMATCH);
    op_text_fails("case lengths Split\nin f 4 0\nin i 3 1 1 2\nany\nany\n", RNND_MISMATCH);
    op_text_fails("case odd Split\nin f 5 0\nnone\nany\nany\n", RNND_MISMATCH);
    op_text_fails("case number Split\nint num_outputs 3\nin f 5 0\nnone\nany\nany\n", RNND_MISMATCH);
    op_text_fails("case number Split\nint num_outputs 0\nin f 5 0\n", RNND_MISMATCH);
    op_text_fails("case many Split\nint num_outputs 4\nin f 5 0\nnone\nany\nany\nany\nany\n", RNND_MISMATCH);
    op_text_fails("case axis Split\nint axis 1\nin f 5 0\nnone\nany\nany\n", RNND_MISMATCH);
    op_text_fails("case step Slice\nin f 4 0\nin i 1 0\nin i 1 2\nin i 1 0\nin i 1 0\n", RNND_MISMATCH);
    op_text_fails("case lists Slice\nin f 4 0\nin i 1 0\nin i 2 2 2\n", RNND_MISMATCH);
    op_text_fails("case axis Slice\nin f 4 0\nin i 1 0\nin i 1 2\nin i 1 1\n", RNND_MISMATCH);
    op_text_fails("case twice Slice\nin f 4,4 0\nin i 2 0 0\nin i 2 2 2\nin i 2 1 -1\n", RNND_MISMATCH);
    op_text_fails("case more Slice\nin f 4 0\nin i 2 0 0\nin i 2 2 2\n", RNND_MISMATCH);
}

static void refused_fills(void **unused)
{
    (void)unused;
    op_text_fails("case negative ConstantOfShape\nin i 1 -1\n", RNND_MISMATCH);
    op_text_fails("case value ConstantOfShape\nin i 1 2\nin f 2 1 2\n", RNND_MISMATCH);
    op_text_fails("case floats ConstantOfShape\nin f 1 2\n", RNND_MISMATCH);
    op_text_fails("case large ConstantOfShape\nin i 1 1000000000000\n", RNND_TOO_LARGE);
    op_text_fails("case huge ConstantOfShape\nin i 3 " MOST " " MOST " " MOST "\n", RNND_TOO_LARGE);
    op_text_fails("case shapes Expand\nin f 3 0\nin i 1 2\n", RNND_MISMATCH);
    op_text_fails("case negative Expand\nin f 1 0\nin i 1 -1\n", RNND_MISMATCH);
    op_text_fails("case huge Expand\nin f 1 0\nin i 2 " MOST " " MOST "\n", RNND_TOO_LARGE);
    op_text_fails("case few Tile\nin f 2,3 0\nin i 1 2\n", RNND_MISMATCH);
    op_text_fails("case negative Tile\nin f 2 0\nin i 1 -2\n", RNND_MISMATCH);
    op_text_fails("case huge Tile\nin f 2 0\nin i 1 100000000000\n", RNND_TOO_LARGE);
    op_text_fails("case overflow Tile\nin f 4 0\nin i 1 " MOST "\n", RNND_MISMATCH);
    op_text_fails("case step Range\nin i . 0\nin i . 5\nin i . 0\n", RNND_MISMATCH);
    op_text_fails("case huge Range\nin i . " LEAST "\nin i . " MOST "\nin i . 1\n", RNND_TOO_LARGE);
    op_text_fails("case step Range\nin f . 0\nin f . 5\nin f . 0\n", RNND_MISMATCH);
    op_text_fails("case nan Range\nin f . 0\nin f . nan\nin f . 1\n", RNND_MISMATCH);
    op_text_fails("case endless Range\nin f . 0\nin f . inf\nin f . 1\n", RNND_MISMATCH);
    op_text_fails("case huge Range\nin f . 0\nin f . 1e30\nin f . 1e-30\n", RNND_TOO_LARGE);
    op_text_fails("case types Range\nin f . 0\nin i . 5\nin i . 1\n", RNND_MISMATCH);
    op_text_fails("case list Range\nin i 2 0\nin i . 5\nin i . 1\n", RNND_MISMATCH);
    op_text_fails("case depth OneHot\nin i 2 0\nin i . -1\nin f 2 0 1\n", RNND_MISMATCH);
    op_text_fails("case depth OneHot\nin i 2 0\nin i . 10000000000\nin f 2 0 1\n", RNND_TOO_LARGE);
    op_text_fails("case values OneHot\nin i 2 0\nin i . 2\nin f 3 0\n", RNND_MISMATCH);
    op_text_fails("case axis OneHot\nint axis 2\nin i 2 0\nin i . 2\nin f 2 0 1\n", RNND_MISMATCH);
    op_text_fails("case rank OneHot\nin i 1,1,1,1,1,1,1,1 0\nin i . 2\nin f 2 0 1\n", RNND_UNSUPPORTED);
    op_text_fails("case mode Pad\nstring mode mirror\nin f 2 0\nin i 2 1\n", RNND_UNSUPPORTED);
    op_text_fails("case few Pad\nin f 2,2 0\nin i 2 1\n", RNND_MISMATCH);
    op_text_fails("case cut Pad\nin f 2 0\nin i 2 -1 -2\n", RNND_MISMATCH);
    op_text_fails("case cut Pad\nin f 2 0\nin i 2 " LEAST " " MOST "\n", RNND_MISMATCH);
    op_text_fails("case overflow Pad\nin f 2 0\nin i 2 " MOST " " MOST "\n", RNND_MISMATCH);
    op_text_fails("case huge Pad\nin f 2 0\nin i 2 100000000000 0\n", RNND_TOO_LARGE);
    op_text_fails("case reflect Pad\nstring mode reflect\nin f 3 0\nin i 2 3 0\n", RNND_MISMATCH);
    op_text_fails("case edge Pad\nstring mode edge\nin f 0\nin i 2 1 0\n", RNND_MISMATCH);
    op_text_fails("case type Pad\nin f 3 0\nin i 2 1 0\nin i . 1\n", RNND_MISMATCH);
    op_text_fails("case axes Pad\nin f 3 0\nin i 2 1 0\nnone\nin i 1 1\n", RNND_MISMATCH);
}

static void refused_indices(void **unused)
{
    (void)unused;
    op_text_fails("case index Gather\nin f 3 0\nin i 1 3\n", RNND_MISMATCH);
    op_text_fails("case index Gather\nin f 3 0\nin i 1 -4\n", RNND_MISMATCH);
    op_text_fails("case index Gather\nin f 3 0\nin i 1 " LEAST "\n", RNND_MISMATCH);
    op_text_fails("case none Gather\nin f 0,2\nin i 1 0\n", RNND_MISMATCH);
    op_text_fails("case scalar Gather\nin f . 0\nin i 1 0\n", RNND_MISMATCH);
    op_text_fails("case floats Gather\nin f 3 0\nin f 1 0\n", RNND_MISMATCH);
    op_text_fails("case rank Gather\nin f 1,1,1,1,1 0\nin i 1,1,1,1,1 0\n", RNND_UNSUPPORTED);
    op_text_fails("case large Gather\nin f 1,20000 0\nin i 20000 0\n", RNND_TOO_LARGE);
    op_text_fails("case ranks GatherElements\nin f 3,3 0\nin i 3 0\n", RNND_MISMATCH);
    op_text_fails("case wider GatherElements\nin f 3,3 0\nin i 3,4 0\n", RNND_MISMATCH);
    op_text_fails("case index GatherElements\nin f 3,3 0\nin i 1,3 0 1 3\n", RNND_MISMATCH);
    op_text_fails("case deep GatherND\nin f 3,3 0\nin i 1,3 0\n", RNND_MISMATCH);
    op_text_fails("case depth GatherND\nin f 3,3 0\nin i 1,0\n", RNND_MISMATCH);
    op_text_fails("case index GatherND\nin f 3,3 0\nin i 1,2 0 3\n", RNND_MISMATCH);
    op_text_fails("case batch GatherND\nint batch_dims 1\nin f 3,3 0\nin i 2,1 0\n", RNND_MISMATCH);
    op_text_fails("case batch GatherND\nint batch_dims -1\nin f 3,3 0\nin i 2,1 0\n", RNND_MISMATCH);
    op_text_fails("case scalar GatherND\nin f 3 0\nin i . 0\n", RNND_MISMATCH);
    op_text_fails("case index ScatterND\nin f 3 0\nin i 1,1 3\nin f 1 0\n", RNND_MISMATCH);
    op_text_fails("case updates ScatterND\nin f 3,2 0\nin i 1,1 0\nin f 1 0\n", RNND_MISMATCH);
    op_text_fails("case types ScatterND\nin f 3 0\nin i 1,1 0\nin i 1 0\n", RNND_MISMATCH);
    op_text_fails("case how ScatterND\nstring reduction xor\nin f 3 0\nin i 1,1 0\nin f 1 0\n", RNND_UNSUPPORTED);
    op_text_fails("case bools ScatterND\nstring reduction add\nin b 3 0\nin i 1,1 0\nin b 1 0\n", RNND_MISMATCH);
    op_text_fails("case index ScatterElements\nin f 3 0\nin i 1 -4\nin f 1 0\n", RNND_MISMATCH);
    op_text_fails("case updates ScatterElements\nin f 3 0\nin i 2 0\nin f 1 0\n", RNND_MISMATCH);
    op_text_fails("case wider ScatterElements\nin f 3,1 0\nin i 1,2 0\nin f 1,2 0\n", RNND_MISMATCH);
    op_text_fails("case long Compress\nin f 3 0\nin b 4 0\n", RNND_MISMATCH);
    op_text_fails("case rank Compress\nin f 3 0\nin b 1,3 0\n", RNND_MISMATCH);
}

static void refused_orders(void **unused)
{
    (void)unused;
    op_text_fails("case axis CumSum\nin f 3 0\nin i . 1\n", RNND_MISMATCH);
    op_text_fails("case bools CumSum\nin b 3 0\nin i . 0\n", RNND_MISMATCH);
    op_text_fails("case many TopK\nin f 3 0\nin i . 4\nany\nany\n", RNND_MISMATCH);
    op_text_fails("case negative TopK\nin f 3 0\nin i . -1\nany\nany\n", RNND_MISMATCH);
    op_text_fails("case scalar TopK\nin f . 0\nin i . 1\nany\nany\n", RNND_MISMATCH);
    op_text_fails("case lengths ReverseSequence\nin f 3,2 0\nin i 2 4 1\n", RNND_MISMATCH);
    op_text_fails("case lengths ReverseSequence\nin f 3,2 0\nin i 2 -1 1\n", RNND_MISMATCH);
    op_text_fails("case batch ReverseSequence\nin f 3,2 0\nin i 3 1\n", RNND_MISMATCH);
    op_text_fails("case axes ReverseSequence\nint batch_axis 0\nin f 3,2 0\nin i 3 1\n", RNND_MISMATCH);
    op_text_fails("case rank Trilu\nin f 3 0\n", RNND_MISMATCH);
}

static void no_memory(void **unused)
{
    (void)unused;
    op_text_torture("case concat Concat\nint axis 0\nin f 1 1\nin f 1 2\nout f 2 1 2\n");
    op_text_torture("case pad Pad\nin f 1 1\nin i 2 1 0\nout f 2 0 1\n");
    op_text_torture("case top TopK\nin f 3 1 2 3\nin i . 1\nout f 1 3\nout i 1 2\n");
    op_text_torture("case split Split\nin f 2 1 2\nin i 2 1 1\nout f 1 1\nout f 1 2\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_onnx_runtime), cmocka_unit_test(beyond_onnx_runtime), cmocka_unit_test(refused_views),
        cmocka_unit_test(refused_parts),   cmocka_unit_test(refused_fills),       cmocka_unit_test(refused_indices),
        cmocka_unit_test(refused_orders),  cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
