/* test_elementwise.c -- arithmetic, functions, comparisons and casts against ONNX Runtime; what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/ops/op.h"
#include "tests/lib/op_vectors.h"

static void as_onnx_runtime(void **unused)
{
    static const char *const ops[] = {
        "Add",       "Sub",      "Mul",   "Div",      "Mod",       "Pow",         "PRelu",      "Max",
        "Min",       "Sum",      "Mean",  "Sigmoid",  "Tanh",      "Relu",        "LeakyRelu",  "Elu",
        "Selu",      "Celu",     "Exp",   "Softplus", "Softsign",  "HardSigmoid", "HardSwish",  "ThresholdedRelu",
        "Mish",      "Gelu",     "Neg",   "Abs",      "Sign",      "Sqrt",        "Reciprocal", "Log",
        "Floor",     "Ceil",     "Round", "Erf",      "Sin",       "Cos",         "Clip",       "Identity",
        "Dropout",   "Equal",    "Less",  "Greater",  "And",       "LessOrEqual", "Or",         "GreaterOrEqual",
        "Xor",       "Not",      "IsNaN", "IsInf",    "Where",     "Cast",        "CastLike",   NULL,
    };
    (void)unused;
    print_message("%zu cases\n", op_vectors_check("tests/vectors/ops_a.txt", ops));
}

/* What ONNX leaves open or ONNX Runtime does not do. */
static void beyond_onnx_runtime(void **unused)
{
    (void)unused;
    op_text_check("case wrapped_quotient Div\n"
                  "in i 1 -9223372036854775808\nin i 1 -1\nout i 1 -9223372036854775808\n"
                  "case wrapped_remainder Mod\n"
                  "in i 1 -9223372036854775808\nin i 1 -1\nout i 1 0\n"
                  "case saturates Cast\nint to 7\nin f 4 1e30 -1e30 nan inf\n"
                  "out i 4 9223372036854775807 -9223372036854775808 0 9223372036854775807\n"
                  "case saturates_byte Cast\nint to 2\nin f 3 300 -1 12.7\nout i 3 255 0 12\n"
                  "case relu_int Relu\nin i 3 -1 0 4\nout i 3 0 0 4\n"
                  "case no_output_0 Dropout\nin f 2 1 2\nskip\nout b 2 1\n"
                  "case negative_power Pow\nin i 4 1 -1 -1 3\nin i 4 -5 -5 -4 -1\nout i 4 1 -1 1 0\n"
                  "case rank_8 Add\nin f 1,2,1,1,1,2,1,1 1 2 3 4\nin f 1,1,1,1,1,1,2,1 10 20\n"
                  "out f 1,2,1,1,1,2,2,1 11 21 12 22 13 23 14 24\n"
                  "case bools Where\nin b 3 1 0 1\nin b 3 1 1 0\nin b . 1\nout b 3 1 1 0\n"
                  "case nothing_is_divided Div\nin i 0\nin i 1 0\nout i 0\n");
}

static void refused(void **unused)
{
    (void)unused;
    op_text_fails("case shapes Add\nin f 2,3 0\nin f 2 0\n", RNND_MISMATCH);
    op_text_fails("case empty_beside_two Add\nin f 0\nin f 2 1 2\n", RNND_MISMATCH);
    op_text_fails("case types Add\nin f 2 0\nin i 2 0\n", RNND_MISMATCH);
    op_text_fails("case bools Add\nin b 2 0\nin b 2 0\n", RNND_MISMATCH);
    op_text_fails("case one_input Add\nin f 2 0\n", RNND_MISMATCH);
    op_text_fails("case absent Add\nin f 2 0\nnone\n", RNND_MISMATCH);
    op_text_fails("case zero Div\nin i 2 1 2\nin i 2 1 0\n", RNND_MISMATCH);
    op_text_fails("case zero Mod\nin i 2 1 2\nin i 2 1 0\n", RNND_MISMATCH);
    op_text_fails("case zero Pow\nin i 1 0\nin i 1 -1\n", RNND_MISMATCH);
    op_text_fails("case float Mod\nin f 2 1 2\nin f 2 1 1\n", RNND_MISMATCH);
    op_text_fails("case attribute Add\nint axis 0\nin f 2 0\nin f 2 0\n", RNND_MISMATCH);
    op_text_fails("case slope PRelu\nin f 2 0\nin f 3,2 0\n", RNND_MISMATCH);
    op_text_fails("case absent Max\nin f 2 0\nnone\nin f 2 0\n", RNND_MISMATCH);
    op_text_fails("case types Max\nin f 2 0\nin i 2 0\n", RNND_MISMATCH);
    op_text_fails("case bools Max\nin b 2 0\n", RNND_MISMATCH);
    op_text_fails("case ints Sum\nin i 2 0\n", RNND_MISMATCH);
    op_text_fails("case ints Sigmoid\nin i 2 0\n", RNND_MISMATCH);
    op_text_fails("case bools Neg\nin b 2 0\n", RNND_MISMATCH);
    op_text_fails("case how Gelu\nstring approximate sigmoid\nin f 2 0\n", RNND_UNSUPPORTED);
    op_text_fails("case limits Clip\nin f 2 0\nin f 2 0\n", RNND_MISMATCH);
    op_text_fails("case limits Clip\nin f 2 0\nin i . 0\n", RNND_MISMATCH);
    op_text_fails("case limits Clip\nin i 2 0\nin i 0\n", RNND_MISMATCH);
    op_text_fails("case trains Dropout\nin f 2 0\nin f . 0.5\nin b . 1\n", RNND_UNSUPPORTED);
    op_text_fails("case types Equal\nin f 2 0\nin i 2 0\n", RNND_MISMATCH);
    op_text_fails("case bools Less\nin b 2 0\nin b 2 0\n", RNND_MISMATCH);
    op_text_fails("case floats And\nin f 2 0\nin f 2 0\n", RNND_MISMATCH);
    op_text_fails("case floats Not\nin f 2 0\n", RNND_MISMATCH);
    op_text_fails("case ints IsNaN\nin i 2 0\n", RNND_MISMATCH);
    op_text_fails("case condition Where\nin f 2 0\nin f 2 0\nin f 2 0\n", RNND_MISMATCH);
    op_text_fails("case types Where\nin b 2 0\nin f 2 0\nin i 2 0\n", RNND_MISMATCH);
    op_text_fails("case shapes Where\nin b 2 0\nin f 2 0\nin f 3 0\n", RNND_MISMATCH);
    op_text_fails("case strings Cast\nint to 8\nin f 2 0\n", RNND_UNSUPPORTED);
    op_text_fails("case complex Cast\nint to 14\nin f 2 0\n", RNND_UNSUPPORTED);
    op_text_fails("case untold Cast\nin f 2 0\n", RNND_UNSUPPORTED);
}

/* Two operands of a few thousand elements make more than there is memory for. */
static void too_large(void **unused)
{
    (void)unused;
    op_text_fails("case large Add\nin f 8192,1 0\nin f 8192 0\n", RNND_TOO_LARGE);
    op_text_fails("case large Equal\nin f 16384,1 0\nin f 16384 0\n", RNND_TOO_LARGE);
    op_text_fails("case large Max\nin f 8192,1 0\nin f 8192 0\n", RNND_TOO_LARGE);
    op_text_fails("case large Where\nin b 8192,1 0\nin f 8192 0\nin f 1 0\n", RNND_TOO_LARGE);
}

/* A tensor graph says what a sequence graph says: the same functions, bit for bit. */
static void same_bits_as_activations(void **unused)
{
    static const struct {
        const char *op;
        struct act act;
    } pairs[] = {
        {"Sigmoid", {ACT_SIGMOID, 0, 0}},         {"Tanh", {ACT_TANH, 0, 0}},
        {"Elu", {ACT_ELU, 1, 0}},                 {"Selu", {ACT_SELU, 0, 0}},
        {"Softplus", {ACT_SOFTPLUS, 0, 0}},       {"Exp", {ACT_EXP, 0, 0}},
        {"HardSigmoid", {ACT_HARD_SIGMOID, 0.2f, 0.5f}}, {"LeakyRelu", {ACT_LEAKY_RELU, 0.01f, 0}},
        {"Gelu", {ACT_GELU, 0, 0}},               {"Mish", {ACT_MISH, 0, 0}},
    };
    (void)unused;
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        struct graph g;
        struct graph_run *run = NULL;
        rnnd_error err;
        float x[50], y[50];
        for (int i = 0; i < 50; i++)
            x[i] = (float)(i - 25) * 0.37f;
        graph_init(&g, kernels_pick(NULL));
        g.tensors = true;
        int in = graph_value(&g, "x"), out = graph_value(&g, "y");
        graph_add_input(&g, in);
        graph_add_output(&g, out);
        struct graph_node *n = graph_node(&g, op_find(pairs[p].op), "n", 1, 1);
        n->inputs[0] = in;
        n->outputs[0] = out;
        assert_int_equal(graph_compile(&g, &err), RNND_OK);
        assert_int_equal(graph_run_open(&g, 1, 1, &run, &err), RNND_OK);
        struct tensor t = {.dtype = DTYPE_F32, .rank = 2, .dim = {5, 10}, .data = x};
        assert_int_equal(graph_run_tensors(run, &t, &err), RNND_OK);
        g.kernels->activate(pairs[p].act, 50, x, y);
        assert_memory_equal(graph_run_value(run, out)->data, y, sizeof y);
        graph_run_close(run);
        graph_free(&g);
    }
}

static void no_memory(void **unused)
{
    (void)unused;
    op_text_torture("case add Add\nin f 2,3 1 2 3 4 5 6\nin f 3 1 2 3\nout f 2,3 2 4 6 5 7 9\n");
    op_text_torture("case dropout Dropout\nin f 2 1 2\nout f 2 1 2\nout b 2 1\n");
    op_text_torture("case sum Sum\nin f 2 1 2\nin f 2 1 2\nout f 2 2 4\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_onnx_runtime), cmocka_unit_test(beyond_onnx_runtime),
        cmocka_unit_test(refused),         cmocka_unit_test(too_large),
        cmocka_unit_test(same_bits_as_activations), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
