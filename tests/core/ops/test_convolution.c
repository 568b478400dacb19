/* test_convolution.c -- convolutions, pooling, Resize against ONNX Runtime; bits of batches and kernels; refusals. */
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
    static const char *const ops[] = {"Conv",          "ConvTranspose",     "MaxPool", "AveragePool",
                                      "GlobalMaxPool", "GlobalAveragePool", "Resize",  "Upsample", NULL};
    assert_true(op_vectors_check("tests/vectors/ops_convolution.txt", ops) >= 100);
}

static void add_attrs(struct graph *g, struct graph_node *n)
{
    assert_int_equal(graph_attr_ints(g, n, "strides", (const int64_t[]){2}, 1), RNND_OK);
    assert_int_equal(graph_attr_ints(g, n, "pads", (const int64_t[]){3, 1}, 2), RNND_OK);
}

enum { C = 5, M = 21, K = 4 };

static float *convolve(const char *op, const struct kernels *kernels, float *x, size_t batch, size_t length, float *w,
                       float *b, bool constant, size_t *each)
{
    bool back = strcmp(op, "ConvTranspose") == 0;
    const size_t shape[] = {back ? C : M, back ? M : C, K};
    struct one_op_input in[3] = {{.t = float_tensor(x, 3, (const size_t[]){batch, C, length})},
                                 {.constant = constant, .t = float_tensor(w, 3, shape)},
                                 {.constant = constant, .t = float_tensor(b, 1, (const size_t[]){M})}};
    struct tensor y_shape;
    void *y = in;
    one_op_run(op, kernels, add_attrs, in, 3, &y, &y_shape, 1);
    assert_int_equal(y_shape.dim[0], batch);
    assert_int_equal(y_shape.dim[1], M);
    *each = M * y_shape.dim[2];
    return y;
}

/* A sequence's bits do not know which others are beside it, who packed the weights, or which kernels multiply; nor does
 * an output know how many stand before it. */
static void one_answer(void **unused)
{
    (void)unused;
    static const char *const ops[] = {"Conv", "ConvTranspose"};
    enum { B = 3, T = 230 };
    const struct kernels *const *rows;
    size_t count = kernels_list(&rows), each, again;
    float *x = random_floats(B * C * T, 1), *w = random_floats(M * C * K, 2), *b = random_floats(M, 3);
    for (size_t o = 0; o < 2; o++) {
        float *all = convolve(ops[o], rows[0], x, B, T, w, b, true, &each);
        for (size_t i = 0; i < count; i++) {
            float *other = convolve(ops[o], rows[i], x, B, T, w, b, i % 2, &again);
            assert_memory_equal(all, other, B * each * sizeof *all);
            free(other);
        }
        for (size_t i = 0; i < B; i++) {
            float *alone = convolve(ops[o], rows[count - 1], x + i * C * T, 1, T, w, b, i % 2, &again);
            assert_int_equal(again, each);
            assert_memory_equal(all + i * each, alone, each * sizeof *all);
            free(alone);
        }
        free(all);
    }
    free(x);
    free(w);
    free(b);
}

static void empty(void **unused)
{
    (void)unused;
    op_text_check("case none Conv\nin f 0,1,4\nconst f 1,1,2 1\nout f 0,1,3\n"
                  "case back ConvTranspose\nin f 0,1,4\nin f 1,1,2 1\nout f 0,1,5\n"
                  "case pool MaxPool\nints kernel_shape 2\nin f 1,0,4\nout f 1,0,3\n"
                  "case nan MaxPool\nints kernel_shape 2\nin f 1,1,3 1 nan 2\nout f 1,1,2 nan\n");
}

#define CONV "in f 1,2,4 1\nconst f 3,2,2 1\n"
#define X "in f 1,2,4 1\n"

static void refusals(void **unused)
{
    (void)unused;
    op_text_fails("case a Conv\nin f 1,2,2,2,2 1\nconst f 3,2,1,1,1 1\n", RNND_UNSUPPORTED);
    op_text_fails("case a Conv\nin f 1,2 1\nconst f 3,2 1\n", RNND_MISMATCH);
    op_text_fails("case a Conv\nin f 1,3,4 1\nconst f 3,2,2 1\n", RNND_MISMATCH);
    op_text_fails("case a Conv\nin f 1,2,4 1\nconst f 3,0,2\n", RNND_MISMATCH);
    op_text_fails("case a Conv\nin f 1,2,4 1\nconst f 3,2,0\n", RNND_MISMATCH);
    op_text_fails("case a Conv\nint group 2\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nint group 0\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nint group -1\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\n" CONV "in f 2 1\n", RNND_MISMATCH);
    op_text_fails("case a Conv\n" CONV "in i 3 1\n", RNND_MISMATCH);
    op_text_fails("case a Conv\nints kernel_shape 3\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nints kernel_shape 2 2\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nints strides 0\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nints strides 1 1\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nints dilations 4\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nints dilations 9223372036854775807\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nints pads -1 1\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nints pads 1\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nints pads 16777216 16777216\n" CONV, RNND_TOO_LARGE);
    op_text_fails("case a Conv\nints pads 16777217 0\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nstring auto_pad SAME\n" CONV, RNND_MISMATCH);
    op_text_fails("case a Conv\nin i 1,2,4 1\nconst f 3,2,2 1\n", RNND_MISMATCH);
    op_text_fails("case a ConvTranspose\nin f 1,3,4 1\nconst f 2,3,2 1\n", RNND_MISMATCH);
    op_text_fails("case a ConvTranspose\nints pads 4 4\nin f 1,2,4 1\nconst f 2,3,2 1\n", RNND_MISMATCH);
    op_text_fails("case a ConvTranspose\nints strides 2147483648\nin f 1,2,4 1\nconst f 2,3,2 1\n", RNND_TOO_LARGE);
    op_text_fails("case a ConvTranspose\nin f 1,2,0\nconst f 2,3,2 1\n", RNND_MISMATCH);
    op_text_fails("case a MaxPool\n" X, RNND_MISMATCH);
    op_text_fails("case a MaxPool\nints kernel_shape 5\n" X, RNND_MISMATCH);
    op_text_fails("case a MaxPool\nints kernel_shape 0\n" X, RNND_MISMATCH);
    op_text_fails("case a MaxPool\nints kernel_shape 2 2\n" X, RNND_MISMATCH);
    op_text_fails("case a MaxPool\nints kernel_shape 2\n" X "any\nany\n", RNND_UNSUPPORTED);
    op_text_fails("case a MaxPool\nints kernel_shape 2\nin i 1,2,4 1\n", RNND_MISMATCH);
    op_text_fails("case a GlobalAveragePool\nin f 1,2,0\n", RNND_MISMATCH);
    op_text_fails("case a GlobalMaxPool\nin f 3 1\n", RNND_MISMATCH);
    op_text_fails("case a Resize\nstring mode linear\n" X "none\nin f 3 1 1 2\n", RNND_UNSUPPORTED);
    op_text_fails("case a Resize\nstring coordinate_transformation_mode tf_crop_and_resize\n" X "none\nin f 3 1 1 2\n",
                  RNND_UNSUPPORTED);
    op_text_fails("case a Resize\nstring keep_aspect_ratio_policy not_larger\n" X "none\nnone\nin i 3 1 2 2\n",
                  RNND_UNSUPPORTED);
    op_text_fails("case a Resize\n" X "none\nin f 2 1 2\n", RNND_MISMATCH);
    op_text_fails("case a Resize\n" X "none\nnone\nin i 2 1 2\n", RNND_MISMATCH);
    op_text_fails("case a Resize\n" X "none\nin f 3 1 1 -2\n", RNND_MISMATCH);
    op_text_fails("case a Resize\n" X "none\nin f 3 1 1 nan\n", RNND_MISMATCH);
    op_text_fails("case a Resize\n" X "none\nin f 3 1 1 1e30\n", RNND_MISMATCH);
    op_text_fails("case a Resize\n" X "none\nin f 3 1 1 1e9\n", RNND_TOO_LARGE);
    op_text_fails("case a Resize\n" X "none\nnone\nin i 3 1 2 -4\n", RNND_MISMATCH);
    op_text_fails("case a Resize\n" X, RNND_MISMATCH);
    op_text_fails("case a Resize\nin f 1,2,0\nnone\nnone\nin i 3 1 2 4\n", RNND_MISMATCH);
}

/* A huge window over a small input is no long answer. */
static void huge_windows(void **unused)
{
    (void)unused;
    op_text_check("case a MaxPool\nints kernel_shape 16777216\nints pads 16777212 16777212\nints strides 16000\n"
                  "in f 1,1,4 1 5 2 3\nany\ncase b AveragePool\nints kernel_shape 16777216\n"
                  "ints pads 8388606 8388606\nin f 1,1,4 1 5 2 4\nout f 1,1,1 3\n");
}

static void memory(void **unused)
{
    (void)unused;
    op_text_torture("case a Conv\nin f 1,1,3 1\nconst f 1,1,2 1\nin f 1 1\nout f 1,1,2 3\n");
    op_text_torture("case a ConvTranspose\nin f 1,1,2 1\nconst f 1,1,2 1\nout f 1,1,3 1 2 1\n");
    op_text_torture("case a ConvTranspose\nin f 1,1,2 1\nin f 1,1,2 1\nin f 1 1\nout f 1,1,3 2 3 2\n");
    op_text_torture("case a Resize\nin f 1,1,2 1\nnone\nin f 3 1 1 2\nout f 1,1,4 1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),  cmocka_unit_test(one_answer),   cmocka_unit_test(empty),
        cmocka_unit_test(refusals), cmocka_unit_test(huge_windows), cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
