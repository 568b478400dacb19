/* test_window.c -- windows beyond the sizes in which they are cut: networks of two directions against two of one, from
 * given states, with all steps or the last; refusals, and every allocation failing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "tests/lib/build_model.h"

enum { I = 2, H = 3, ROWS = 2100 };

#define NET(more, end)                                                                                                 \
    "{\"format\":1,\"inputs\":[{\"width\":2}],\"layers\":[{\"type\":\"lstm\",\"name\":\"n\","                          \
    "\"hidden\":3" more "}]" end "}"
#define BOTH ",\"direction\":\"bidirectional\""
#define LAST ",\"output\":\"last\""
#define BACKWARD                                                                                                       \
    ",\"tensors\":{\"weight_ih\":\"n.weight_ih_l0_reverse\",\"weight_hh\":\"n.weight_hh_l0_reverse\","                 \
    "\"bias_ih\":\"n.bias_ih_l0_reverse\",\"bias_hh\":\"n.bias_hh_l0_reverse\"}"

struct sequences { /* of one direction, or of two */
    float y[ROWS * 2 * H], h0[ROWS * 2 * H], c0[ROWS * 2 * H], hn[ROWS * 2 * H], cn[ROWS * 2 * H];
};

static void run(const rnnd_model *m, size_t batch, size_t steps, const float *x, struct sequences *s)
{
    rnnd_workspace *ws;
    rnnd_error err = {0};
    rnnd_window w = {batch, steps, x, s->h0, s->c0, s->y, s->hn, s->cn};
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
    rnnd_workspace_close(ws);
}

static void same(const char *what, size_t batch, size_t steps, const float *wanted, const float *found, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(wanted + i, found + i, sizeof *found) != 0)
            fail_msg("%s of %zu x %zu: number %zu is %.9g, wanted %.9g", what, batch, steps, i, (double)found[i],
                     (double)wanted[i]);
}

/* The halves of a row are a forward network's row and that of one that was fed the steps from the end on. */
static void two_directions_are_two_networks(void **unused)
{
    (void)unused;
    static const size_t sizes[][2] = {{1, 1},   {1, 511}, {1, 512}, {1, 513}, {1, 1030}, {2, 1030}, {3, 511},
                                      {3, 512}, {4, 257}, {2, 256}, {70, 9},  {65, 8},   {700, 1},  {700, 3}};
    static float x[ROWS * I], turned[ROWS * I], row[2 * H];
    static struct sequences both, last, final, ahead, back;
    struct model_builder b;
    builder_init(&b, 12);
    builder_torch(&b, "n", 4, I, H, 1, true, 0);
    rnnd_model *all_model = builder_open(&b, NET(BOTH, ""), NULL);
    rnnd_model *last_model = builder_open(&b, NET(BOTH, LAST), NULL);
    rnnd_model *final_model = builder_open(&b, NET(BOTH ",\"sequences\":false", LAST), NULL);
    rnnd_model *ahead_model = builder_open(&b, NET("", ""), NULL);
    rnnd_model *back_model = builder_open(&b, NET(BACKWARD, ""), NULL);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t B = sizes[k][0], T = sizes[k][1];
        for (size_t i = 0; i < B * T * I; i++)
            x[i] = rng_between(&b.rng, -1, 1);
        for (size_t i = 0; i < B * T; i++)
            memcpy(turned + i * I, x + ((i / T + 1) * T - 1 - i % T) * I, I * sizeof *x);
        for (size_t i = 0; i < 2 * B * H; i++) { /* [direction][batch][H] */
            both.h0[i] = last.h0[i] = final.h0[i] = rng_between(&b.rng, -1, 1);
            both.c0[i] = last.c0[i] = final.c0[i] = rng_between(&b.rng, -1, 1);
        }
        memcpy(ahead.h0, both.h0, B * H * sizeof(float));
        memcpy(ahead.c0, both.c0, B * H * sizeof(float));
        memcpy(back.h0, both.h0 + B * H, B * H * sizeof(float));
        memcpy(back.c0, both.c0 + B * H, B * H * sizeof(float));
        run(all_model, B, T, x, &both);
        run(last_model, B, T, x, &last);
        run(final_model, B, T, x, &final);
        run(ahead_model, B, T, x, &ahead);
        run(back_model, B, T, turned, &back);
        for (size_t i = 0; i < B; i++) {
            for (size_t t = 0; t < T; t++) {
                memcpy(row, ahead.y + (i * T + t) * H, H * sizeof *row);
                memcpy(row + H, back.y + (i * T + T - 1 - t) * H, H * sizeof *row);
                same("a row", B, T, row, both.y + (i * T + t) * 2 * H, 2 * H);
            }
            same("the last row", B, T, both.y + (i * T + T - 1) * 2 * H, last.y + i * 2 * H, 2 * H);
            same("the last h", B, T, ahead.hn + i * H, final.y + i * 2 * H, H);
            same("the last h backward", B, T, back.hn + i * H, final.y + i * 2 * H + H, H);
        }
        same("hn", B, T, ahead.hn, both.hn, B * H);
        same("hn backward", B, T, back.hn, both.hn + B * H, B * H);
        same("cn", B, T, ahead.cn, both.cn, B * H);
        same("cn backward", B, T, back.cn, both.cn + B * H, B * H);
        same("hn of the last", B, T, both.hn, last.hn, 2 * B * H);
    }
    rnnd_model_close(all_model);
    rnnd_model_close(last_model);
    rnnd_model_close(final_model);
    rnnd_model_close(ahead_model);
    rnnd_model_close(back_model);
    builder_free(&b);
}

/* A window in one call, or in several that hand hn and cn on. */
static void windows_continue(void **unused)
{
    (void)unused;
    enum { T = 1030, CUT = 517 };
    static float x[T * I];
    static struct sequences whole, first, second;
    struct model_builder b;
    builder_init(&b, 13);
    builder_torch(&b, "n", 4, I, H, 1, true, 0);
    rnnd_model *m = builder_open(&b, NET("", ""), NULL);
    for (size_t i = 0; i < T * I; i++)
        x[i] = rng_between(&b.rng, -1, 1);
    run(m, 1, T, x, &whole);
    run(m, 1, CUT, x, &first);
    memcpy(second.h0, first.hn, sizeof first.hn);
    memcpy(second.c0, first.cn, sizeof first.cn);
    run(m, 1, T - CUT, x + CUT * I, &second);
    same("the first part", 1, T, whole.y, first.y, CUT * H);
    same("the second part", 1, T, whole.y + CUT * H, second.y, (T - CUT) * H);
    same("hn", 1, T, whole.hn, second.hn, H);
    same("cn", 1, T, whole.cn, second.cn, H);
    rnnd_model_close(m);
    builder_free(&b);
}

/* Windows and steps of a wide network by three threads are those of one; the number of threads may change. */
static void threads_change_no_bit(void **unused)
{
    (void)unused;
    enum { B = 40, T = 12, WIDE = 150 };
    static float x[B * T * I], one[B * T * WIDE], many[B * T * WIDE];
    struct model_builder b;
    rnnd_error err;
    builder_init(&b, 14);
    builder_torch(&b, "n", 4, I, WIDE, 2, false, 0);
    rnnd_model *m =
        builder_open(&b,
                     "{\"format\":1,\"inputs\":[{\"width\":2}],\"layers\":[{\"type\":\"lstm\",\"name\":\"n\","
                     "\"hidden\":150,\"layers\":2}]}",
                     NULL);
    for (size_t i = 0; i < B * T * I; i++)
        x[i] = rng_between(&b.rng, -1, 1);
    rnnd_workspace *ws;
    assert_int_equal(rnnd_workspace_open(m, B, &ws, &err), RNND_OK);
    rnnd_window w = {.batch = B, .steps = T, .inputs = x, .outputs = one};
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
    for (size_t batch = B; batch > 0; batch = batch == B ? 3 : batch == 3 ? 1 : 0) {
        assert_int_equal(rnnd_workspace_threads(ws, 2 + batch % 2, &err), RNND_OK);
        w.batch = batch;
        w.outputs = many;
        if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
        same("threads", batch, T, one, many, batch * T * WIDE);
    }
    assert_int_equal(rnnd_workspace_threads(ws, 0, &err), RNND_INVALID);
    assert_int_equal(rnnd_workspace_threads(ws, 17, &err), RNND_INVALID);
    assert_string_equal(err.param, "threads");
    assert_int_equal(rnnd_workspace_threads(ws, 1, &err), RNND_OK);
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
    same("one thread again", w.batch, T, one, many, w.batch * T * WIDE);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
}

static void refused(void **unused)
{
    (void)unused;
    float x[I] = {1, 2}, y[H];
    struct model_builder b;
    rnnd_workspace *ws;
    rnnd_error err = {0};
    builder_init(&b, 14);
    builder_torch(&b, "n", 4, I, H, 1, false, 0);
    rnnd_model *m = builder_open(&b, NET("", ""), NULL);
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    const rnnd_window none = {.batch = 0, .steps = 1, .inputs = x, .outputs = y};
    const rnnd_window endless = {.batch = (size_t)1 << 40, .steps = (size_t)1 << 40, .inputs = x, .outputs = y};
    const rnnd_window large = {.batch = 1, .steps = ((size_t)1 << 31) + 1, .inputs = x, .outputs = y};
    assert_int_equal(rnnd_run_window(ws, &none, &err), RNND_INVALID);
    assert_int_equal(rnnd_run_window(ws, &endless, &err), RNND_TOO_LARGE);
    assert_int_equal(rnnd_run_window(ws, &large, &err), RNND_TOO_LARGE);
    x[0] = NAN;
    const rnnd_window nan = {.batch = 1, .steps = 1, .inputs = x, .outputs = y};
    assert_int_equal(rnnd_run_window(ws, &nan, &err), RNND_NOT_FINITE);
    assert_non_null(strstr(err.message, "sequence 0 at step 0"));
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
}

/* A window that finds no memory says so, and the workspace answers the next one. */
static void every_allocation_fails(void **unused)
{
    (void)unused;
    enum { B = 3, T = 300 };
    static float x[B * T * I];
    static struct sequences wanted, found;
    static const char *const nets[] = {NET("", ""), NET(BOTH, ""), NET(BOTH, LAST)};
    struct model_builder b;
    builder_init(&b, 15);
    builder_torch(&b, "n", 4, I, H, 1, true, 0);
    for (size_t i = 0; i < B * T * I; i++)
        x[i] = rng_between(&b.rng, -1, 1);
    for (size_t k = 0; k < sizeof nets / sizeof *nets; k++) {
        rnnd_model *m = builder_open(&b, nets[k], NULL);
        const rnnd_info *info = rnnd_model_info(m);
        rnnd_workspace *ws;
        rnnd_error err = {0};
        size_t n = 1;
        run(m, B, T, x, &wanted);
        for (; n < 1000; n++) {
            assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
            rnnd_window w = {.batch = B, .steps = T, .inputs = x, .outputs = found.y, .hn = found.hn, .cn = found.cn};
            mem_fail_at(n);
            rnnd_code code = rnnd_run_window(ws, &w, &err);
            mem_fail_at(0);
            if (code && code != RNND_NO_MEMORY) fail_msg("allocation %zu: %d %s", n, code, err.message);
            if (code && rnnd_run_window(ws, &w, &err)) fail_msg("after allocation %zu: %s", n, err.message);
            same("a row", B, T, wanted.y, found.y, B * (info->output_last ? 1 : T) * info->output_width);
            rnnd_workspace_close(ws);
            if (!code) break;
        }
        assert_true(n > 5 && n < 1000);
        rnnd_model_close(m);
    }
    builder_free(&b);
}

/* Pieces of any length, in two workspaces by turns, others' windows in between. */
static void pieces_are_the_whole(void **unused)
{
    (void)unused;
    static const char *const nets[] = {NET("", ""), NET("", LAST), NET(BOTH, ""), NET(BOTH, LAST)};
    static const size_t sizes[][2] = {{1, 1}, {1, 700}, {3, 300}, {70, 9}, {130, 3}};
    static float x[ROWS * I], other[9 * I], dropped[9 * 2 * H];
    static struct sequences wanted, found;
    struct model_builder b;
    builder_init(&b, 16);
    builder_torch(&b, "n", 4, I, H, 1, true, 0);
    for (size_t i = 0; i < ROWS * I; i++)
        x[i] = rng_between(&b.rng, -1, 1);
    for (size_t k = 0; k < 4 * 5; k++) {
        size_t B = sizes[k / 4][0], T = sizes[k / 4][1], D = k % 4 < 2 ? 1 : 2, calls = 0;
        rnnd_model *m = builder_open(&b, nets[k % 4], NULL);
        rnnd_workspace *ws[2];
        rnnd_window_run *r;
        rnnd_error err = {0};
        bool done = false;
        for (size_t i = 0; i < D * B * H; i++) {
            wanted.h0[i] = found.h0[i] = x[i];
            wanted.c0[i] = found.c0[i] = -x[i];
        }
        run(m, B, T, x, &wanted);
        rnnd_window w = {B, T, x, found.h0, found.c0, found.y, found.hn, found.cn};
        rnnd_window aside = {.batch = 3, .steps = 3, .inputs = other, .outputs = dropped};
        for (int i = 0; i < 2; i++)
            assert_int_equal(rnnd_workspace_open(m, 1, &ws[i], &err), RNND_OK);
        assert_int_equal(rnnd_window_open(m, &w, &r, &err), RNND_OK);
        for (; !done; calls++) {
            size_t rows = 1 + rng_u32(&b.rng) % 200;
            assert_int_equal(rnnd_window_work(r, ws[calls % 2], rows, &done, &err), RNND_OK);
            assert_int_equal(rnnd_run_window(ws[calls % 2], &aside, &err), RNND_OK);
        }
        if (D == 1 && B * T > 600) assert_true(calls > 2);
        size_t steps = rnnd_model_info(m)->output_last ? 1 : T;
        same("outputs in pieces", B, T, wanted.y, found.y, B * steps * D * H);
        same("hn in pieces", B, T, wanted.hn, found.hn, D * B * H);
        same("cn in pieces", B, T, wanted.cn, found.cn, D * B * H);
        rnnd_window_close(r);
        for (int i = 0; i < 2; i++)
            rnnd_workspace_close(ws[i]);
        rnnd_model_close(m);
    }
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_directions_are_two_networks), cmocka_unit_test(windows_continue),
        cmocka_unit_test(threads_change_no_bit), cmocka_unit_test(refused),
        cmocka_unit_test(every_allocation_fails), cmocka_unit_test(pieces_are_the_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
