/* test_streamline_mask.c -- Keras models that leave steps out: forward ones are stepped and batched, and answer what
 * TensorFlow.js does; their steps are their windows, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/formats/format.h"
#include "core/ops/op.h"
#include "core/rnnd.h"
#include "tests/lib/onnx_case.h"

#define KERAS "tests/vectors/keras/"
enum { BATCH = 2, STEPS = 6, MOST = 8 };

struct expected { /* what a vector file holds: in_0 [B][T][..], out_0 [B][T or none][width] */
    uint8_t *file;
    struct checkpoint io;
    struct tensor x, y;
};

static void read_expected(struct expected *e, const char *path)
{
    size_t bytes;
    rnnd_error err;
    if (!(e->file = read_whole(path, &bytes))) fail_msg("%s is not there", path);
    checkpoint_init(&e->io);
    if (format_read(e->file, bytes, path, &e->io, &err)) fail_msg("%s", err.message);
    e->x = tensor_of(checkpoint_find(&e->io, "in_0"));
    e->y = tensor_of(checkpoint_find(&e->io, "out_0"));
    assert_int_equal(e->x.dim[0], BATCH);
    assert_int_equal(e->x.dim[1], STEPS);
}

static void close_expected(struct expected *e)
{
    checkpoint_free(&e->io);
    free(e->file), free(e->x.data), free(e->y.data);
}

static void steps_leave_out(const char *model, const char *vectors, bool last)
{
    struct expected e;
    rnnd_model *m = NULL;
    rnnd_workspace *ws = NULL;
    rnnd_error err;
    float window[BATCH * STEPS * MOST], step[STEPS][BATCH][MOST];
    void *state[BATCH];
    read_expected(&e, vectors);
    if (rnnd_model_open(model, &(rnnd_options){.config = "{\"format\":1,\"mode\":\"carry\"}"}, &m, &err))
        fail_msg("%s", err.message);
    const rnnd_info *info = rnnd_model_info(m);
    size_t I = info->input_width, O = info->output_width;
    assert_true(info->streamable && info->mode == RNND_CARRY && info->state_layers == 2);
    assert_int_equal(info->output_last, last);
    assert_true(O <= MOST && tensor_count(&e.x) == BATCH * STEPS * I);
    assert_int_equal(tensor_count(&e.y), last ? BATCH * O : BATCH * STEPS * O);
    assert_int_equal(rnnd_workspace_open(m, BATCH, &ws, &err), RNND_OK);
    const rnnd_window w = {.batch = BATCH, .steps = STEPS, .inputs = e.x.data, .outputs = window};
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s: %s", model, err.message);
    for (size_t i = 0; i < tensor_count(&e.y); i++) {
        float d = window[i] - ((const float *)e.y.data)[i];
        if (!(d < 1e-5f && d > -1e-5f)) fail_msg("%s, answer %zu: off by %g", model, i, (double)d);
    }
    for (size_t b = 0; b < BATCH; b++)
        rnnd_state_reset(m, state[b] = calloc(1, rnnd_state_bytes(m)));
    for (size_t t = 0; t < STEPS; t++) {
        rnnd_step_row rows[BATCH];
        for (size_t b = 0; b < BATCH; b++)
            rows[b] = (rnnd_step_row){
                .state = state[b], .input = (const float *)e.x.data + (b * STEPS + t) * I, .output = step[t][b]};
        if (rnnd_step(ws, rows, BATCH, &err)) fail_msg("%s: %s", model, err.message);
        for (size_t b = 0; b < BATCH; b++) {
            if (!last) assert_memory_equal(step[t][b], window + (b * STEPS + t) * O, O * sizeof(float));
            if (last && t + 1 == STEPS) assert_memory_equal(step[t][b], window + b * O, O * sizeof(float));
        }
    }
    for (size_t b = 0; b < BATCH; b++)
        free(state[b]);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    close_expected(&e);
}

static void ids(void **unused)
{
    (void)unused;
    steps_leave_out(KERAS "text.keras", KERAS "text.safetensors", true);
}

static void rows(void **unused)
{
    (void)unused;
    steps_leave_out(KERAS "masking.h5", KERAS "masking.safetensors", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ids), cmocka_unit_test(rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
