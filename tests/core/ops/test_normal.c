/* test_normal.c -- softmax to group norm against ONNX Runtime; bits along axes; refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/op.h"
#include "tests/lib/one_op.h"
#include "tests/lib/op_vectors.h"

static void vectors(void **unused)
{
    (void)unused;
    static const char *const ops[] = {"Softmax",            "LogSoftmax",         "Hardmax",
                                      "LpNormalization",    "LayerNormalization", "BatchNormalization",
                                      "InstanceNormalization", "GroupNormalization", NULL};
    assert_true(op_vectors_check("tests/vectors/ops_normal.txt", ops) >= 50);
}

static void first_axis(struct graph *g, struct graph_node *n)
{
    assert_int_equal(graph_attr_int(g, n, "axis", 0), RNND_OK);
}

/* A column answers the bits that it answers as a row. */
static void axes_agree(void **unused)
{
    (void)unused;
    static const char *const ops[] = {"Softmax", "LogSoftmax", "LpNormalization"};
    enum { N = 37, M = 3 };
    float *rows = random_floats(N * M, 5), columns[N * M];
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < M; k++)
            columns[i * M + k] = rows[k * N + i];
    const struct kernels *const *list;
    size_t count = kernels_list(&list);
    for (size_t o = 0; o < 3; o++)
        for (size_t r = 0; r < count; r++) {
            struct one_op_input a = {.t = float_tensor(rows, 2, (const size_t[]){M, N})};
            struct one_op_input b = {.t = float_tensor(columns, 2, (const size_t[]){N, M})};
            void *y = &a, *z = &b;
            one_op_run(ops[o], list[0], NULL, &a, 1, &y, NULL, 1);
            one_op_run(ops[o], list[r], first_axis, &b, 1, &z, NULL, 1);
            for (size_t i = 0; i < N; i++)
                for (size_t k = 0; k < M; k++)
                    assert_memory_equal((float *)y + k * N + i, (float *)z + i * M + k, sizeof(float));
            free(y);
            free(z);
        }
    free(rows);
}

static void special_rows(void **unused)
{
    (void)unused;
    op_text_check("case zeros LpNormalization\nin f 2,2 0 0 3 4\nout f 2,2 0 0 0.6 0.8\n"
                  "case p1 LpNormalization\nint p 1\nin f 1,2 -1 3\nout f 1,2 -0.25 0.75\n"
                  "case scalar_gain LayerNormalization\ntol 1e-5\nfloat epsilon 0\nin f 2,2 1 3 5 9\nin f 1 2\n"
                  "in f . 1\nout f 2,2 -1 3 -1 3\n"
                  "case empty LayerNormalization\nin f 0,2\nin f 2 1\nout f 0,2\n"
                  "case empty InstanceNormalization\nin f 2,0,3\nin f 0\nin f 0\nout f 2,0,3\n"
                  "case empty BatchNormalization\nin f 0,2\nin f 2 1\nin f 2 1\nin f 2 1\nin f 2 1\nout f 0,2\n");
}

#define TWO "in f 2 1\n"

static void refusals(void **unused)
{
    (void)unused;
    op_text_fails("case a Softmax\nint axis 2\nin f 2,2 1\n", RNND_MISMATCH);
    op_text_fails("case a Softmax\nin f . 1\n", RNND_MISMATCH);
    op_text_fails("case a Softmax\nin i 2,2 1\n", RNND_MISMATCH);
    op_text_fails("case a LpNormalization\nint p 3\nin f 2,2 1\n", RNND_UNSUPPORTED);
    op_text_fails("case a LayerNormalization\nint axis -3\nin f 2,2 1\n" TWO, RNND_MISMATCH);
    op_text_fails("case a LayerNormalization\nin f 2,3 1\n" TWO, RNND_MISMATCH);
    op_text_fails("case a LayerNormalization\nin f 2,2 1\n" TWO "in f 3 1\n", RNND_MISMATCH);
    op_text_fails("case a LayerNormalization\nin f 2,2 1\nin i 2 1\n", RNND_MISMATCH);
    op_text_fails("case a BatchNormalization\nint training_mode 1\nin f 1,2 1\n" TWO TWO TWO TWO, RNND_UNSUPPORTED);
    op_text_fails("case a BatchNormalization\nin f 2 1\n" TWO TWO TWO TWO, RNND_MISMATCH);
    op_text_fails("case a BatchNormalization\nin f 1,2 1\n" TWO TWO "in f 3 1\n" TWO, RNND_MISMATCH);
    op_text_fails("case a InstanceNormalization\nin f 1,3,2 1\n" TWO TWO, RNND_MISMATCH);
    op_text_fails("case a GroupNormalization\nin f 1,4,2 1\n" TWO TWO, RNND_MISMATCH);
    op_text_fails("case a GroupNormalization\nint num_groups 3\nin f 1,4,2 1\nin f 3 1\nin f 3 1\n", RNND_MISMATCH);
    op_text_fails("case a GroupNormalization\nint num_groups -2\nin f 1,4,2 1\n" TWO TWO, RNND_MISMATCH);
    op_text_fails("case a GroupNormalization\nint num_groups 2\nin f 1,4,2 1\nin f 3 1\nin f 3 1\n", RNND_MISMATCH);
}

static void memory(void **unused)
{
    (void)unused;
    op_text_torture("case a Softmax\nint axis 0\nin f 2,2 1\nout f 2,2 0.5\n");
    op_text_torture("case a LayerNormalization\nin f 1,2 1\nin f 1 2\nin f 1 3\nout f 1,2 3\nany\nany\n");
    op_text_torture("case a BatchNormalization\nfloat epsilon 0\nin f 1,2,2 1\n" TWO TWO TWO TWO "out f 1,2,2 1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),  cmocka_unit_test(axes_agree), cmocka_unit_test(special_rows),
        cmocka_unit_test(refusals), cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
