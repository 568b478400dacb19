/* test_dialect_read.c -- a cell's weights out of a file: names and shapes that do not fit say so, no memory is an
 * error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/formats/dialect.h"
#include "tests/lib/build_model.h"

enum { I = 2, H = 3 };

static const char *const orders[] = {[CELL_RNN] = "h", [CELL_LSTM] = "ifgo", [CELL_GRU] = "rzn"};

static struct checkpoint ck;
static struct tensor_names names;
static void *image;

static void read_file(const struct model_builder *b)
{
    rnnd_error err;
    size_t bytes;
    image = builder_image(b, NULL, &bytes);
    checkpoint_init(&ck);
    if (safetensors_read(image, bytes, NULL, &ck, &err)) fail_msg("%s", err.message);
    memset(&names, 0, sizeof names);
}

static void close_file(void)
{
    checkpoint_free(&ck);
    mem_free(image);
}

static struct cell_source source(const char *layout, enum cell_kind kind)
{
    const struct dialect *d = dialect_find(layout, kind);
    assert_non_null(d);
    return (struct cell_source){.dialect = d,
                                .checkpoint = &ck,
                                .names = &names,
                                .layer = "n",
                                .inputs = I,
                                .hidden = H,
                                .count = 1,
                                .bias = true};
}

/* Gates in our order, whatever the file's: PyTorch's stand as they are, Keras' are turned and sorted. */
static void orders_and_strides(void **unused)
{
    (void)unused;
    struct model_builder b;
    struct cell_weights w;
    rnnd_error err;
    builder_init(&b, 1);
    const float *rows = builder_tensor(&b, "n.weight_ih_l0", NULL, 1, 2, 4 * H, I, 0);
    builder_tensor(&b, "n.weight_hh_l0", NULL, 1, 2, 4 * H, H, 0);
    builder_tensor(&b, "n.bias_ih_l0", NULL, 1, 1, 4 * H, 0, 0);
    builder_tensor(&b, "n.bias_hh_l0", NULL, 1, 1, 4 * H, 0, 0);
    read_file(&b);
    struct cell_source s = source("pytorch", CELL_LSTM);
    if (dialect_read(&s, &w, &err)) fail_msg("%s", err.message);
    assert_memory_equal(w.w_ih, rows, 4 * H * I * sizeof(float));
    assert_true((uintptr_t)w.w_ih % 64 == 0 && w.b_hh && !w.w_hr && !w.peephole);
    cell_weights_free(&w);
    assert_null(w.w_ih);
    close_file();
    builder_free(&b);

    builder_init(&b, 2);
    const float *kernel = builder_tensor(&b, "n.kernel", NULL, 1, 2, I, 3 * H, 0);
    builder_tensor(&b, "n.recurrent_kernel", NULL, 1, 2, H, 3 * H, 0);
    builder_tensor(&b, "n.bias", NULL, 1, 2, 2, 3 * H, 0);
    read_file(&b);
    s = source("keras", CELL_GRU);
    s.bias_split = true;
    if (dialect_read(&s, &w, &err)) fail_msg("%s", err.message);
    const char *ours = orders[CELL_GRU], *theirs = s.dialect->order;
    for (size_t g = 0; g < 3; g++)
        for (size_t u = 0; u < H; u++)
            for (size_t k = 0; k < I; k++)
                assert_true(w.w_ih[(g * H + u) * I + k] ==
                            kernel[k * 3 * H + (size_t)(strchr(theirs, ours[g]) - theirs) * H + u]);
    cell_weights_free(&w);
    close_file();
    builder_free(&b);
}

static void refused(struct cell_source s, const char *part)
{
    struct cell_weights w;
    rnnd_error err;
    assert_int_equal(dialect_read(&s, &w, &err), RNND_MISMATCH);
    if (!strstr(err.message, part)) fail_msg("no \"%s\" in: %s", part, err.message);
    assert_true(!w.w_ih && !w.w_hh && !w.b_ih);
}

static void what_does_not_fit(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, 3);
    builder_tensor(&b, "n.weight_ih_l0", NULL, 1, 2, 4 * H, I, 0);
    builder_tensor(&b, "n.weight_hh_l0", NULL, 1, 2, 4 * H, H, 0);
    builder_tensor(&b, "n.bias_ih_l0", NULL, 1, 1, 4 * H, 0, 0);
    read_file(&b);
    struct cell_source s = source("pytorch", CELL_LSTM);
    refused(s, "no tensor \"n.bias_hh_l0\" in the file (wanted shape [12])");
    s.inputs = I + 1;
    refused(s, "\"n.weight_ih_l0\": wanted shape [12, 3], found [12, 2]");
    s = source("pytorch", CELL_LSTM);
    s.hidden = (size_t)1 << 40; /* a claim that the file does not bear out takes no memory */
    refused(s, "wanted shape [4398046511104, 2]");
    s = source("pytorch", CELL_LSTM);
    s.layer = "other";
    refused(s, "no tensor \"other.weight_ih_l0\"");
    close_file();
    builder_free(&b);
}

static void no_memory(void **unused)
{
    (void)unused;
    struct model_builder b;
    bool done = false;
    builder_init(&b, 4);
    builder_torch(&b, "n", 4, I, H, 1, false, 0);
    read_file(&b);
    for (size_t n = 1; !done && n < 50; n++) {
        struct cell_source s = source("pytorch", CELL_LSTM);
        struct cell_weights w;
        rnnd_error err;
        mem_fail_at(n);
        rnnd_code code = dialect_read(&s, &w, &err);
        mem_fail_at(0);
        done = code == RNND_OK;
        if (done) {
            cell_weights_free(&w);
            assert_true(n > 4); /* each of the four arrays failed once */
        } else {
            assert_int_equal(code, RNND_NO_MEMORY);
            assert_null(w.w_ih);
        }
    }
    assert_true(done);
    close_file();
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(orders_and_strides), cmocka_unit_test(what_does_not_fit),
                                       cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests_name("dialect_read", tests, NULL, NULL);
}
