/* test_foreign_layers.c -- models whose cells stood in loops: the layers they are shown with, their mode, their steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/rnnd.h"

#define LOOPS "tests/vectors/onnx_loops/"
enum { BATCH = 3, STEPS = 5, INPUTS = 3, OUTPUTS = 2 };

static rnnd_model *open_model(const char *name, const char *config)
{
    char path[200];
    rnnd_error err;
    rnnd_model *m = NULL;
    snprintf(path, sizeof path, LOOPS "%s.onnx", name);
    if (rnnd_model_open(path, &(rnnd_options){.config = config}, &m, &err)) fail_msg("%s", err.message);
    return m;
}

static void layers(void **unused)
{
    (void)unused;
    static const struct {
        const char *name, *type;
        size_t inputs, outputs, parameters, rows;
    } table[] = {{"gru_keras", "GRU", 3, 4, 3 * 4 * (3 + 4 + 2), 2},
                 {"scan_peephole", "LSTM", 3, 4, 4 * 4 * (3 + 4 + 2) + 3 * 4, 1}, /* none of the body's products */
                 {"rnn_projected", "RNN", 4, 4, 4 * (4 + 4 + 2), 2},
                 {"not_sum", "Gemm", 3, 12, 0, 2}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        rnnd_model *m = open_model(table[i].name, NULL);
        const rnnd_info *info = rnnd_model_info(m);
        assert_int_equal(info->layer_count, table[i].rows);
        assert_string_equal(info->layers[0].type, table[i].type);
        if (i == 0) assert_string_equal(info->layers[0].name, "gru_keras"); /* of "gru_keras/while_loop" */
        assert_int_equal(info->layers[0].inputs, table[i].inputs);
        assert_int_equal(info->layers[0].outputs, table[i].outputs);
        if (table[i].parameters) assert_int_equal(info->layers[0].parameters, table[i].parameters);
        rnnd_model_close(m);
    }
}

/* A length that the file fixes makes windows of it; a configuration may say that the state is carried. */
static void modes(void **unused)
{
    (void)unused;
    static const struct {
        const char *name, *config;
        rnnd_mode mode;
        size_t window;
        bool last;
    } table[] = {{"gru_keras", NULL, RNND_SLIDING, 5, false},
                 {"lstm_state", NULL, RNND_SLIDING, 5, true},
                 {"gru_keras", "{\"format\":1,\"mode\":\"carry\"}", RNND_CARRY, 0, false},
                 {"lstm_state", "{\"format\":1,\"mode\":\"carry\"}", RNND_CARRY, 0, true},
                 {"gru_free", NULL, RNND_CARRY, 0, false},
                 {"gru_last", "{\"format\":1,\"mode\":\"sliding\",\"window\":7}", RNND_SLIDING, 7, true}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        rnnd_model *m = open_model(table[i].name, table[i].config);
        const rnnd_info *info = rnnd_model_info(m);
        assert_true(info->streamable);
        assert_int_equal(info->mode, table[i].mode);
        assert_int_equal(info->window, table[i].window);
        assert_int_equal(info->output_last, table[i].last);
        rnnd_model_close(m);
    }
}

/* Carried, steps of several sessions at once give what the window gives, bit for bit; so does a whole call. */
static void steps_are_windows(void **unused)
{
    (void)unused;
    static const char *const names[] = {"gru_keras",  "gru_last",  "gru_state",  "gru_relu_hard",
                                        "lstm_keras", "lstm_hard", "lstm_state", "rnn_keras"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rnnd_model *m = open_model(names[i], "{\"format\":1,\"mode\":\"carry\"}");
        rnnd_workspace *ws = NULL;
        rnnd_error err;
        float x[BATCH][STEPS][INPUTS], y[BATCH][STEPS][OUTPUTS], step[STEPS][BATCH][OUTPUTS];
        bool last = rnnd_model_info(m)->output_last;
        void *state[BATCH];
        for (size_t k = 0; k < sizeof x / sizeof(float); k++)
            (&x[0][0][0])[k] = (float)((k * 37 + i) % 19) / 9 - 1;
        assert_int_equal(rnnd_workspace_open(m, BATCH, &ws, &err), RNND_OK);
        const rnnd_window w = {.batch = BATCH, .steps = STEPS, .inputs = &x[0][0][0], .outputs = &y[0][0][0]};
        if (rnnd_run_window(ws, &w, &err)) fail_msg("%s: %s", names[i], err.message);
        rnnd_step_row rows[BATCH];
        for (size_t b = 0; b < BATCH; b++) {
            state[b] = calloc(1, rnnd_state_bytes(m));
            rnnd_state_reset(m, state[b]);
        }
        for (size_t t = 0; t < STEPS; t++) {
            for (size_t b = 0; b < BATCH; b++)
                rows[b] = (rnnd_step_row){.state = state[b], .input = x[b][t], .output = step[t][b]};
            if (rnnd_step(ws, rows, BATCH, &err)) fail_msg("%s: %s", names[i], err.message);
            for (size_t b = 0; b < BATCH; b++) {
                const float *wanted = last ? &y[0][0][0] + b * OUTPUTS : y[b][t];
                if (!last || t + 1 == STEPS) assert_memory_equal(step[t][b], wanted, sizeof step[t][b]);
            }
        }
        for (size_t b = 0; b < BATCH; b++)
            free(state[b]);
        rnnd_workspace_close(ws);
        rnnd_model_close(m);
    }
}

/* A stranger's file: three loops, with an attention between them that reads whole windows. */
static void three_loops(void **unused)
{
    (void)unused;
    static const char path[] = "../shared/real/water/gru_model.onnx";
    static const size_t widths[3][2] = {{5, 128}, {128, 64}, {128, 64}};
    rnnd_model *m = NULL;
    rnnd_error err;
    FILE *f = fopen(path, "rb");
    if (!f) skip();
    fclose(f);
    if (rnnd_model_open(path, NULL, &m, &err)) fail_msg("%s", err.message);
    const rnnd_info *info = rnnd_model_info(m);
    assert_int_equal(info->mode, RNND_SLIDING);
    assert_int_equal(info->window, 120);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(info->layers[i].type, "GRU");
        assert_int_equal(info->layers[i].inputs, widths[i][0]);
        assert_int_equal(info->layers[i].outputs, widths[i][1]);
    }
    rnnd_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(layers), cmocka_unit_test(modes),
                                       cmocka_unit_test(steps_are_windows), cmocka_unit_test(three_loops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
