/* test_projected.c -- a cell behind an embedding, whose rows are projected once, against the same cell fed these rows:
 * one answer, by steps and windows, in each precision and kind of cell. */
#include "core/ops/projected.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/model.h"
#include "tests/lib/build_model.h"

enum { IDS = 11, E = 9, H = 20, B = 5, T = 7 };

static rnnd_model *open_as(const struct model_builder *b, const char *config, const char *precision)
{
    size_t bytes;
    void *image = builder_image(b, config, &bytes);
    rnnd_model *m;
    rnnd_error err;
    rnnd_options options = {.precision = precision, .force_precision = true};
    if (rnnd_model_open_memory(image, bytes, "projected", &options, &m, &err)) fail_msg("%s", err.message);
    mem_free(image);
    return m;
}

static void steps(const rnnd_model *m, const float *x, size_t width, float *y)
{
    rnnd_workspace *ws;
    rnnd_error err;
    unsigned char *states = mem_alloc(B, rnnd_state_bytes(m));
    rnnd_step_row rows[B];
    assert_int_equal(rnnd_workspace_open(m, B, &ws, &err), RNND_OK);
    for (size_t b = 0; b < B; b++) rnnd_state_reset(m, states + b * rnnd_state_bytes(m));
    for (size_t t = 0; t < T; t++) {
        for (size_t b = 0; b < B; b++)
            rows[b] = (rnnd_step_row){.state = states + b * rnnd_state_bytes(m),
                                      .input = x + (b * T + t) * width,
                                      .output = y + (b * T + t) * H};
        if (rnnd_step(ws, rows, B, &err)) fail_msg("%s", err.message);
    }
    rnnd_workspace_close(ws);
    mem_free(states);
}

static void window(const rnnd_model *m, const float *x, float *y, size_t batch)
{
    rnnd_workspace *ws;
    rnnd_error err;
    rnnd_window w = {.batch = batch, .steps = T, .inputs = x, .outputs = y};
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
    rnnd_workspace_close(ws);
}

static void compare(const char *cell, size_t gates, const char *more, const char *precision)
{
    static float ids[B * T], rows[B * T * E], want[B * T * H], got[B * T * H];
    char with[1024], without[1024];
    struct model_builder b, bare;
    builder_init(&b, gates);
    builder_torch(&b, "n", gates, E, H, 1, strstr(more, "bidirectional") != NULL, 0);
    bare = b; /* the same tensors but for the embedding's */
    const float *table = builder_tensor(&b, "embed.weight", NULL, 1, 2, IDS, E, 0);
    snprintf(with, sizeof with,
             "{\"format\":1,\"inputs\":[{\"ids\":%d}],\"layers\":[{\"type\":\"embedding\",\"name\":\"embed\"},"
             "{\"type\":\"%s\",\"name\":\"n\",\"hidden\":%d%s}]}", IDS, cell, H, more);
    snprintf(without, sizeof without,
             "{\"format\":1,\"inputs\":[{\"width\":%d}],\"layers\":[{\"type\":\"%s\",\"name\":\"n\",\"hidden\":%d%s}]}",
             E, cell, H, more);
    rnnd_model *m = open_as(&b, with, precision), *plain = open_as(&bare, without, precision);
    for (size_t i = 0; i < B * T; i++) {
        ids[i] = (float)(rng_u32(&b.rng) % IDS);
        memcpy(rows + i * E, table + (size_t)ids[i] * E, E * sizeof *rows);
    }
    assert_true(m->graph.weight_bytes > plain->graph.weight_bytes + IDS * H * sizeof(float)); /* it has the table */
    window(plain, rows, want, B);
    window(m, ids, got, B);
    assert_memory_equal(got, want, sizeof want);
    memset(got, 0, sizeof got);
    window(m, ids, got, 1);
    assert_memory_equal(got, want, sizeof want / B);
    memset(got, 0, sizeof got);
    steps(m, ids, 1, got);
    assert_memory_equal(got, want, sizeof want);
    rnnd_model_close(m);
    rnnd_model_close(plain);
    builder_free(&b);
}

static void one_answer(void **unused)
{
    (void)unused;
    static const char *const precisions[] = {"fp32", "bf16", "int8"};
    for (size_t i = 0; i < 3; i++) {
        compare("lstm", 4, "", precisions[i]);
        compare("gru", 3, "", precisions[i]);
        compare("gru", 3, ",\"reset\":\"before\"", precisions[i]);
        compare("rnn", 1, "", precisions[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
