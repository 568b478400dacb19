/* test_sequence_ops.c -- LSTM, GRU, RNN against ONNX Runtime; masks; bits of batches, kernels and sequence graphs. */
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
    static const char *const ops[] = {"LSTM", "GRU", "RNN", NULL};
    assert_true(op_vectors_check("tests/vectors/ops_sequence.txt", ops) >= 100);
}

enum { I = 3, H = 5, T = 6, B = 4, D = 2 };
static const char *const names[] = {"LSTM", "GRU", "RNN"};
static const size_t gates[] = {4, 3, 1};
static const char *direction;
static bool late; /* weights come with the run */

static void add_direction(struct graph *g, struct graph_node *n)
{
    assert_int_equal(graph_attr_string(g, n, "direction", direction), RNND_OK);
}

struct answer { float *y, *h, *c; };

static void free_answer(struct answer *a)
{
    free(a->y);
    free(a->h);
    free(a->c);
}

/* `batch` sequences of `steps` steps, x [steps][batch][I], the same random weights every time; h and c [d][batch][H] or
 * NULL */
static struct answer run(const struct kernels *kernels, size_t op, size_t steps, size_t batch, float *x, float *h,
                         float *c, int64_t *lens, void *mask, enum dtype mask_type)
{
    size_t d = strcmp(direction, "bidirectional") == 0 ? 2 : 1, G = gates[op];
    float *w = random_floats(d * G * H * I, 1), *r = random_floats(d * G * H * H, 2);
    float *b = random_floats(d * 2 * G * H, 3);
    const size_t state[] = {d, batch, H};
    struct one_op_input in[9] = {
        {.t = float_tensor(x, 3, (const size_t[]){steps, batch, I})},
        {.constant = !late, .t = float_tensor(w, 3, (const size_t[]){d, G * H, I})},
        {.constant = !late, .t = float_tensor(r, 3, (const size_t[]){d, G * H, H})},
        {.constant = !late, .t = float_tensor(b, 2, (const size_t[]){d, 2 * G * H})},
        {.absent = !lens, .t = {.dtype = DTYPE_I64, .rank = 1, .dim = {batch}, .data = lens}},
        {.absent = !h, .t = float_tensor(h, 3, state)},
        {.absent = !c || op != 0, .t = float_tensor(c, 3, state)},
        {.absent = true},
        {.absent = !mask, .t = {.dtype = mask_type, .rank = 2, .dim = {batch, steps}, .data = mask}},
    };
    void *y[3] = {in, in, in};
    one_op_run(names[op], kernels, add_direction, in, 9, y, NULL, op == 0 ? 3 : 2);
    free(w);
    free(r);
    free(b);
    return (struct answer){y[0], y[1], op == 0 ? y[2] : NULL};
}

/* from [rows][width] with row stride */
static float *column(const float *from, size_t rows, size_t stride, size_t at, size_t width)
{
    float *to = calloc(rows * width + 1, sizeof *to);
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * width, from + i * stride + at, width * sizeof *to);
    return to;
}

/* Each sequence of a batch answers the bits that it answers alone, on every row of kernels. */
static void one_answer(void **unused)
{
    (void)unused;
    const struct kernels *const *rows;
    size_t count = kernels_list(&rows);
    int64_t lens[B] = {T, 2, 0, 4};
    direction = "bidirectional";
    float *x = random_floats(T * B * I, 7), *h = random_floats(D * B * H, 8), *c = random_floats(D * B * H, 9);
    for (size_t op = 0; op < 3; op++) {
        struct answer all = run(rows[0], op, T, B, x, h, c, lens, NULL, DTYPE_BOOL);
        for (size_t b = 0; b < B; b++) {
            float *xb = column(x, T, B * I, b * I, I), *hb = column(h, D, B * H, b * H, H);
            float *cb = column(c, D, B * H, b * H, H);
            struct answer alone = run(rows[b % count], op, T, 1, xb, hb, cb, &lens[b], NULL, DTYPE_BOOL);
            float *y = column(all.y, T * D, B * H, b * H, H), *last = column(all.h, D, B * H, b * H, H);
            assert_memory_equal(y, alone.y, T * D * H * sizeof *y);
            assert_memory_equal(last, alone.h, D * H * sizeof *last);
            free_answer(&alone);
            free(xb), free(hb), free(cb), free(y), free(last);
        }
        for (size_t i = 1; i < count; i++) {
            struct answer other = run(rows[i], op, T, B, x, h, c, lens, NULL, DTYPE_BOOL);
            assert_memory_equal(all.y, other.y, T * D * B * H * sizeof *x);
            assert_memory_equal(all.h, other.h, D * B * H * sizeof *x);
            if (op == 0) assert_memory_equal(all.c, other.c, D * B * H * sizeof *x);
            free_answer(&other);
        }
        free_answer(&all);
    }
    free(x), free(h), free(c);
}

/* Weights that come with the run give the bits that constants give. */
static void late_weights(void **unused)
{
    (void)unused;
    float *x = random_floats(T * B * I, 7), *h = random_floats(D * B * H, 8), *c = random_floats(D * B * H, 9);
    direction = "bidirectional";
    for (size_t op = 0; op < 3; op++) {
        struct answer known = run(kernels_pick(NULL), op, T, B, x, h, c, NULL, NULL, DTYPE_BOOL);
        late = true;
        struct answer given = run(kernels_pick(NULL), op, T, B, x, h, c, NULL, NULL, DTYPE_BOOL);
        late = false;
        assert_memory_equal(known.y, given.y, T * D * B * H * sizeof *x);
        assert_memory_equal(known.h, given.h, D * B * H * sizeof *x);
        if (op == 0) assert_memory_equal(known.c, given.c, D * B * H * sizeof *x);
        free_answer(&known);
        free_answer(&given);
    }
    free(x), free(h), free(c);
}

/* The unmasked steps are the sequence; at the others y repeats the last one walked, zeros before the first. */
static void check_masked(size_t op, const struct answer *all, const float *x, float *h, float *c, const uint8_t *mask,
                         size_t b)
{
    bool reverse = strcmp(direction, "reverse") == 0;
    float *left = calloc(T * I, sizeof *left), *hb = column(h, 1, B * H, b * H, H), *cb = column(c, 1, B * H, b * H, H);
    size_t n = 0;
    for (size_t t = 0; t < T; t++)
        if (mask[b * T + t]) memcpy(left + n++ * I, x + (t * B + b) * I, I * sizeof *left);
    struct answer alone = {0};
    if (n) alone = run(kernels_pick(NULL), op, n, 1, left, hb, cb, NULL, NULL, DTYPE_BOOL);
    const float zeros[H] = {0}, *last = zeros;
    for (size_t i = 0, k = 0; i < T; i++) {
        size_t t = reverse ? T - 1 - i : i;
        if (mask[b * T + t]) {
            last = alone.y + (reverse ? n - 1 - k : k) * H;
            k++;
        }
        assert_memory_equal(all->y + (t * B + b) * H, last, H * sizeof *last);
    }
    assert_memory_equal(all->h + b * H, n ? alone.h : hb, H * sizeof *last);
    if (op == 0) assert_memory_equal(all->c + b * H, n ? alone.c : cb, H * sizeof *last);
    free_answer(&alone);
    free(left), free(hb), free(cb);
}

static void masks(void **unused)
{
    (void)unused;
    uint8_t mask[B * T] = {0, 1, 0, 1, 1, 0, /* */ 1, 1, 1, 1, 1, 1, /* */ 0, 0, 0, 0, 0, 0, /* */ 0, 0, 0, 0, 0, 1};
    int64_t numbers[B * T];
    for (size_t i = 0; i < B * T; i++)
        numbers[i] = mask[i] ? -3 : 0;
    float *x = random_floats(T * B * I, 7), *h = random_floats(B * H, 8), *c = random_floats(B * H, 9);
    for (int reverse = 0; reverse < 2; reverse++) {
        direction = reverse ? "reverse" : "forward";
        for (size_t op = 0; op < 3; op++) {
            struct answer all = run(kernels_pick(NULL), op, T, B, x, h, c, NULL, mask, DTYPE_BOOL);
            struct answer same = run(kernels_pick(NULL), op, T, B, x, h, c, NULL, numbers, DTYPE_I64);
            assert_memory_equal(all.y, same.y, T * B * H * sizeof *x);
            for (size_t b = 0; b < B; b++)
                check_masked(op, &all, x, h, c, mask, b);
            free_answer(&all);
            free_answer(&same);
        }
    }
    free(x), free(h), free(c);
}

/* A mask and lengths together: steps beyond the length are zeros whatever the mask says. */
static void masks_and_lengths(void **unused)
{
    (void)unused;
    op_text_check("case m RNN\nstrings activations Linear\nin f 4,1,1 1 2 4 8\nconst f 1,1,1 1\nconst f 1,1,1 1\nnone\n"
                  "in i 1 3\nnone\nnone\nnone\nin b 1,4 1 0 1 1\nout f 4,1,1,1 1 1 5 0\nout f 1,1,1 5\n"
                  "case r RNN\nstrings activations Linear\nstring direction reverse\nin f 4,1,1 1 2 4 8\n"
                  "const f 1,1,1 1\nconst f 1,1,1 1\nnone\nin i 1 3\nnone\nnone\nnone\nin b 1,4 1 0 0 1\n"
                  "out f 4,1,1,1 1 0 0 0\nout f 1,1,1 1\n");
}

/* Names of ours, in any case: a step of a cell with weight 1 is the function itself. */
static void own_activations(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        double x, y;
    } acts[] = {{"Linear", -2, -2},          {"linear", 0.5, 0.5},
                {"Swish", 1, 0.7310585786},  {"silu", -1, -0.2689414214},
                {"Gelu", 1, 0.8413447461},   {"Selu", -1, -1.1113307378},
                {"Relu6", 9, 6},             {"Exponential", 1, 2.7182818285},
                {"HardSigmoidKeras3", 1.5, 0.75}, {"HARDSIGMOID", 1, 0.7},
                {"tanh", 0.5, 0.4621171573}, {"hard_sigmoid", 1, 0.7}};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "case %s RNN\ntol 1e-5\nstrings activations %s\nin f 1,1,1 %g\nconst f 1,1,1 1\nconst f 1,1,1 0\n"
                 "out f 1,1,1,1 %.10g\n", acts[i].name, acts[i].name, acts[i].x, acts[i].y);
        assert_int_equal(op_text_check(text), 1);
    }
}

#define WEIGHTS "const f 1,4,2 1\nconst f 1,4,1 1\n" /* an LSTM of 2 inputs, 1 unit */
#define X "in f 2,1,2 1\n"

static void refusals(void **unused)
{
    (void)unused;
    op_text_fails("case a LSTM\n" X "in f 1,4,3 1\nconst f 1,4,1 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X "const f 1,4,2 1\nin f 1,3,1 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X "const f 1,8,2 1\nconst f 1,4,1 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X "const f 4,2 1\nconst f 1,4,1 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X "const f 1,4,0\nconst f 1,4,1 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X "const f 1,0,2\nconst f 1,0,0\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X "const i 1,4,2 1\nconst f 1,4,1 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\nint hidden_size 2\n" X WEIGHTS, RNND_MISMATCH);
    op_text_fails("case a LSTM\nstring direction bidirectional\n" X WEIGHTS, RNND_MISMATCH);
    op_text_fails("case a LSTM\nstring direction sideways\n" X WEIGHTS, RNND_MISMATCH);
    op_text_fails("case a LSTM\nint layout 2\n" X WEIGHTS, RNND_MISMATCH);
    op_text_fails("case a LSTM\nfloat clip -1\n" X WEIGHTS, RNND_MISMATCH);
    op_text_fails("case a LSTM\nstrings activations Tanh\n" X WEIGHTS, RNND_MISMATCH);
    op_text_fails("case a LSTM\nstrings activations Sigmoid Tanh Cosine\n" X WEIGHTS, RNND_UNSUPPORTED);
    op_text_fails("case a LSTM\n" X WEIGHTS "in f 1,7 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X WEIGHTS "const f 1,4 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\nin f 2,1,3 1\n" WEIGHTS, RNND_MISMATCH);
    op_text_fails("case a LSTM\nin f 1,2 1\n" WEIGHTS, RNND_MISMATCH);
    op_text_fails("case a LSTM\nin i 2,1,2 1\n" WEIGHTS, RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X WEIGHTS "none\nin i 2 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X WEIGHTS "none\nin i 1 3\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X WEIGHTS "none\nin i 1 -1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X WEIGHTS "none\nin f 1 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X WEIGHTS "none\nnone\nin f 1,2,1 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X WEIGHTS "none\nnone\nnone\nin i 1,1,1 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X WEIGHTS "none\nnone\nnone\nnone\nconst f 1,4 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X WEIGHTS "none\nnone\nnone\nnone\nnone\nin b 2,1 1\n", RNND_MISMATCH);
    op_text_fails("case a LSTM\n" X WEIGHTS "none\nnone\nnone\nnone\nnone\nin f 1,2 1\n", RNND_MISMATCH);
    op_text_fails("case a GRU\n" X "const f 1,3,2 1\nconst f 1,3,1 1\nnone\nnone\nnone\nin f 1,1,1 1\n", RNND_MISMATCH);
    op_text_fails("case a GRU\nint input_forget 1\n" X "const f 1,3,2 1\nconst f 1,3,1 1\n", RNND_MISMATCH);
    op_text_fails("case a RNN\nin f 400000,100,1 1\nconst f 1,1,1 1\nconst f 1,1,1 1\n", RNND_TOO_LARGE);
}

static void empty(void **unused)
{
    (void)unused;
    op_text_check("case none LSTM\nin f 0,2,2\n" WEIGHTS "none\nnone\nin f 1,2,1 3 4\nout f 0,1,2,1\nout f 1,2,1 3 4\n"
                  "out f 1,2,1 0\ncase nobody LSTM\nin f 3,0,2\n" WEIGHTS "out f 3,1,0,1\nout f 1,0,1\nout f 1,0,1\n");
}

static void memory(void **unused)
{
    (void)unused;
    op_text_torture("case a LSTM\nstrings activations Sigmoid Linear Linear\n" X
                    "const f 1,4,2 0\nconst f 1,4,1 0\nnone\nin i 1 1\nnone\nnone\nnone\nin i 1,2 1\n"
                    "skip\nout f 1,1,1 0\n");
    op_text_torture("case a GRU\nstring direction bidirectional\n" X "const f 2,3,2 0\nconst f 2,3,1 0\n"
                    "out f 2,2,1,1 0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),           cmocka_unit_test(one_answer),      cmocka_unit_test(masks),
        cmocka_unit_test(masks_and_lengths), cmocka_unit_test(own_activations), cmocka_unit_test(refusals),
        cmocka_unit_test(late_weights),      cmocka_unit_test(empty),           cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
