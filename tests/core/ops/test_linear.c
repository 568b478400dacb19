/* test_linear.c -- MatMul, Gemm, Einsum against ONNX Runtime; bits of batches and of packed weights; refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/op.h"
#include "tests/lib/one_op.h"
#include "tests/lib/op_vectors.h"

static void vectors(void **unused)
{
    (void)unused;
    static const char *const ops[] = {"MatMul", "Gemm", "Einsum", NULL};
    assert_true(op_vectors_check("tests/vectors/ops_linear.txt", ops) >= 60);
}

/* [rows][k] x [k][outputs] on one row of kernels */
static float *product(const struct kernels *kernels, float *x, size_t rows, size_t k, float *w, size_t outputs,
                      bool constant)
{
    struct one_op_input in[2] = {{.t = float_tensor(x, 2, (const size_t[]){rows, k})},
                                 {.constant = constant, .t = float_tensor(w, 2, (const size_t[]){k, outputs})}};
    void *y = in;
    one_op_run("MatMul", kernels, NULL, in, 2, &y, NULL, 1);
    return y;
}

/* A row's bits do not know which rows are beside it, who packed the weights, or which kernels multiply. */
static void one_answer(void **unused)
{
    (void)unused;
    static const size_t sizes[][2] = {{1, 1}, {7, 3}, {33, 17}, {64, 70}, {5, 131}};
    const struct kernels *const *rows;
    size_t count = kernels_list(&rows), batch = 200;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t k = sizes[s][0], outputs = sizes[s][1];
        float *x = random_floats(batch * k, 1), *w = random_floats(k * outputs, 2);
        float *all = product(rows[0], x, batch, k, w, outputs, true);
        for (size_t i = 0; i < count; i++)
            for (int constant = 0; constant < 2; constant++) {
                float *again = product(rows[i], x, batch, k, w, outputs, constant);
                assert_memory_equal(all, again, batch * outputs * sizeof *all);
                free(again);
            }
        for (size_t r = 0; r < batch; r += 37) {
            float *alone = product(rows[count - 1], x + r * k, 1, k, w, outputs, r % 2);
            assert_memory_equal(all + r * outputs, alone, outputs * sizeof *all);
            free(alone);
        }
        free(all);
        free(x);
        free(w);
    }
}

static void refusals(void **unused)
{
    (void)unused;
    op_text_fails("case m MatMul\nin f 2,3 1\nin f 4,5 1\n", RNND_MISMATCH);
    op_text_fails("case m MatMul\nin f 2,2,3 1\nin f 3,3,5 1\n", RNND_MISMATCH);
    op_text_fails("case m MatMul\nin f . 1\nin f 3 1\n", RNND_MISMATCH);
    op_text_fails("case m MatMul\nin f 3 1\nconst f . 1\n", RNND_MISMATCH);
    op_text_fails("case m MatMul\nin i 2,3 1\nin f 3,2 1\n", RNND_MISMATCH);
    op_text_fails("case m MatMul\nin f 2,3 1\nin i 3,2 1\n", RNND_MISMATCH);
    op_text_fails("case m MatMul\nin f 100000,1 1\nin f 1,100000 1\n", RNND_TOO_LARGE);
    op_text_fails("case g Gemm\nin f 2,3 1\nin f 4,5 1\n", RNND_MISMATCH);
    op_text_fails("case g Gemm\nint transB 1\nin f 2,3 1\nconst f 3,5 1\n", RNND_MISMATCH);
    op_text_fails("case g Gemm\nin f 2,3,1 1\nin f 3,5 1\n", RNND_MISMATCH);
    op_text_fails("case g Gemm\nin f 2,3 1\nin f 3,5 1\nin f 4 1\n", RNND_MISMATCH);
    op_text_fails("case g Gemm\nin f 2,3 1\nin f 3,5 1\nin f 1,2,5 1\n", RNND_MISMATCH);
    op_text_fails("case g Gemm\nin f 2,3 1\nin f 3,5 1\nin i 5 1\n", RNND_MISMATCH);
    static const char *const equations[] = {"ii,ij->j",  "ij,jk,kl->il", "ij->ji", "ij,k->jk",   "...i,ij->...j",
                                            "ij,jk->iz", "ij,jk->i",     "",       "ij,jk->ik,", "abcdefghi,i->a",
                                            "ij,jk>ik",  "ij,jk->iik"};
    for (size_t i = 0; i < sizeof equations / sizeof *equations; i++) {
        char text[160];
        snprintf(text, sizeof text, "case e Einsum\nstring equation %s\nin f 2,2 1\nin f 2,2 1\n", equations[i]);
        op_text_fails(text, RNND_UNSUPPORTED);
    }
    op_text_fails("case e Einsum\nstring equation ij,jk->ik\nin f 2,2 1\n", RNND_UNSUPPORTED);
    op_text_fails("case e Einsum\nstring equation ij,jk->ik\nin f 2,2 1\nin f 3,2 1\n", RNND_MISMATCH);
    op_text_fails("case e Einsum\nstring equation ij,jk->ik\nin f 2,2 1\nconst f 2,2,2 1\n", RNND_MISMATCH);
}

static void memory(void **unused)
{
    (void)unused;
    op_text_torture("case m MatMul\nin f 2,3 1\nconst f 3,2 1\nout f 2,2 3\n");
    op_text_torture("case m MatMul\nin f 2,3 1\nin f 2,3,2 1\nout f 2,2,2 3\n");
    op_text_torture("case g Gemm\nint transA 1\nin f 3,2 1\nconst f 3,2 1\nin f 2 1\nout f 2,2 4\n");
    op_text_torture("case e Einsum\nstring equation ij,jk->ki\nin f 2,3 1\nconst f 3,2 1\nout f 2,2 3\n");
    op_text_torture("case e Einsum\nstring equation ji,jk->ki\nin f 3,2 1\nin f 3,2 1\nout f 2,2 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(one_answer),
        cmocka_unit_test(refusals),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
