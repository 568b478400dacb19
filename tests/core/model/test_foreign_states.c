/* test_foreign_states.c -- inputs and outputs of a file that are a state and its successor, told by what is wired to
 * the cells: steps carry them, as a window given the same states does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/rnnd.h"

enum { STEPS = 5, MOST = 8 };

static const struct {
    const char *path;
    size_t inputs, outputs, states; /* floats of a step, and of all states */
    const char *names[2];           /* of the states, and their rank and axes for one sequence */
    int rank;
    size_t dim[3];
} table[] = {
    {"onnx_loops/gru_wired", 3, 4, 4, {"s0", NULL}, 2, {1, 4}},
    {"onnx_loops/lstm_wired", 3, 4, 8, {"s0", "s1"}, 3, {1, 1, 4}},   /* names alone leave a choice */
    {"onnx_files/torch_state", 4, 5, 20, {"h0", "c0"}, 3, {2, 1, 5}}, /* two layers in one tensor */
};

static void states_by_wiring(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char path[200];
        rnnd_model *m = NULL;
        rnnd_workspace *ws = NULL;
        rnnd_call *call = NULL;
        rnnd_error err;
        float x[STEPS][MOST], given[STEPS * MOST], zeros[32] = {0}, y[STEPS][MOST];
        snprintf(path, sizeof path, "tests/vectors/%s.onnx", table[i].path);
        if (rnnd_model_open(path, NULL, &m, &err)) fail_msg("%s", err.message);
        const rnnd_info *info = rnnd_model_info(m);
        assert_int_equal(info->mode, RNND_CARRY);
        assert_int_equal(info->input_count, 1);
        assert_int_equal(info->output_count, 1);
        assert_int_equal(info->input_width, table[i].inputs);
        assert_int_equal(rnnd_state_bytes(m), 8 + table[i].states * sizeof(float));
        assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
        void *state = calloc(1, rnnd_state_bytes(m));
        rnnd_state_reset(m, state);
        for (size_t t = 0; t < STEPS; t++) {
            for (size_t k = 0; k < table[i].inputs; k++)
                given[t * table[i].inputs + k] = x[t][k] = (float)((t * 31 + k * 7 + i) % 13) / 6 - 1;
            rnnd_step_row row = {.state = state, .input = x[t], .output = y[t]};
            if (rnnd_step(ws, &row, 1, &err)) fail_msg("%s: %s", path, err.message);
        }
        rnnd_tensor in[3] = {{.name = "x", .rank = 3, .dim = {1, STEPS, table[i].inputs}, .data = given}}, out;
        size_t count = 1;
        for (int k = 0; k < 2 && table[i].names[k]; k++) {
            in[count] = (rnnd_tensor){.name = table[i].names[k], .rank = table[i].rank, .data = zeros};
            memcpy(in[count++].dim, table[i].dim, sizeof table[i].dim);
        }
        assert_int_equal(rnnd_call_open(m, &call, &err), RNND_OK);
        if (rnnd_call_run(call, in, count, &err)) fail_msg("%s: %s", path, err.message);
        assert_int_equal(rnnd_call_output(call, "y", &out, &err), RNND_OK);
        size_t rows = 1;
        for (int k = 0; k < out.rank; k++)
            rows *= out.dim[k];
        assert_int_equal(rows, STEPS * table[i].outputs);
        for (size_t t = 0; t < STEPS; t++)
            assert_memory_equal((float *)out.data + t * table[i].outputs, y[t], table[i].outputs * sizeof(float));
        free(state);
        rnnd_call_close(call);
        rnnd_workspace_close(ws);
        rnnd_model_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(states_by_wiring)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
