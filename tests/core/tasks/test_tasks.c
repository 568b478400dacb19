/* test_tasks.c -- whole models of every task: opened, stepped, streamed and asked through the public header. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "tests/lib/build_model.h"

static rnnd_workspace *workspace(const rnnd_model *m, size_t rows)
{
    rnnd_workspace *ws;
    rnnd_error err = {0};
    if (rnnd_workspace_open(m, rows, &ws, &err)) fail_msg("%s", err.message);
    return ws;
}

static void text(void **unused)
{
    (void)unused;
    static const char *const tokens[] = {"ids", "one-hot"};
    for (int one_hot = 0; one_hot < 2; one_hot++) {
        struct model_builder b;
        char config[TEXT] = "";
        builder_init(&b, 6);
        builder_tensor(&b, "e.weight", NULL, 1, 2, 256, 5, 0);
        builder_torch(&b, "g", 3, one_hot ? 256 : 5, 8, 1, false, 0);
        builder_tensor(&b, "d.weight", NULL, 1, 2, 256, 8, 0);
        builder_tensor(&b, "d.bias", NULL, 1, 1, 256, 0, 0);
        text_add(config,
                 "{\"format\":1,\"task\":\"text\",\"inputs\":[{\"name\":\"%s\",\"%s\":256}],\"layers\":[%s{\"type\":"
                 "\"gru\",\"name\":"
                 "\"g\",\"hidden\":8},{\"type\":\"dense\",\"name\":\"d\"}],\"text\":{\"tokenizer\":\"bytes\"}}",
                 tokens[one_hot], one_hot ? "width" : "ids", one_hot ? "" : "{\"type\":\"embedding\",\"name\":\"e\"},");
        rnnd_model *m = builder_open(&b, config, NULL);
        const rnnd_info *info = rnnd_model_info(m);
        assert_true(info->task == RNND_TEXT && info->vocabulary == 256 && info->input_width == 1 &&
                    info->inputs[0].is_ids);
        assert_int_equal(rnnd_window_input_width(m), one_hot ? 256 : 1);
        rnnd_workspace *ws = workspace(m, 2);
        void *state[2];
        float logits[2][256];
        rnnd_error err = {0};
        rnnd_step_row rows[2];
        for (int i = 0; i < 2; i++) {
            state[i] = malloc(rnnd_state_bytes(m));
            rnnd_state_reset(m, state[i]);
        }
        for (int t = 0; t < 20; t++) { /* together, and one of them alone */
            float id = (float)(t * 13 % 256), bad = 256;
            rows[0] = (rnnd_step_row){state[0], &id, logits[0], RNND_OK};
            rows[1] = (rnnd_step_row){state[1], &bad, logits[1], RNND_OK};
            assert_int_equal(rnnd_step(ws, rows, 2, &err), RNND_MISMATCH);
            rows[1].input = &id;
            assert_int_equal(rnnd_step(ws, rows + 1, 1, &err), RNND_OK);
            assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
            assert_memory_equal(state[0], state[1], rnnd_state_bytes(m));
        }
        int32_t prompt[] = {'a', 'b'};
        rnnd_generate_params params = {
            .prompt = prompt, .prompt_count = 2, .max_tokens = 30, .sampling = RNND_SAMPLING_DEFAULTS};
        rnnd_generation *g;
        if (rnnd_generation_open(m, &params, state[0], &g, &err)) fail_msg("%s", err.message);
        float row;
        int steps = 0;
        for (; rnnd_generation_input(g, &row); steps++) {
            rnnd_step_row one = {state[0], &row, logits[0], RNND_OK};
            assert_int_equal(rnnd_step(ws, &one, 1, &err), RNND_OK);
            rnnd_generation_output(g, logits[0]);
        }
        assert_true(steps >= 31);
        assert_int_equal(rnnd_generation_count(g), 30);
        assert_int_equal(rnnd_generation_finish(g), RNND_LENGTH);
        rnnd_generation_close(g);
        free(state[0]);
        free(state[1]);
        rnnd_workspace_close(ws);
        rnnd_model_close(m);
        builder_free(&b);
    }
}

static void series(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, 8);
    builder_torch(&b, "n", 4, 4, 6, 1, false, 0);
    builder_tensor(&b, "d.weight", NULL, 1, 2, 3 * 3 * 2, 6, 0);
    builder_tensor(&b, "d.bias", NULL, 1, 1, 3 * 3 * 2, 0, 0);
    rnnd_model *m = builder_open(
        &b,
        "{\"format\":1,\"task\":\"series\",\"inputs\":[{\"width\":4}],\"layers\":[{\"type\":\"lstm\",\"name\":"
        "\"n\",\"hidden\":6},{\"type\":\"dense\",\"name\":\"d\"}],\"series\":{\"channels\":[{\"name\":\"load\","
        "\"scaler\":{\"type\":"
        "\"standard\",\"mean\":10,\"std\":2}},{\"name\":\"wind\",\"scaler\":{\"type\":\"none\"}}],\"baseline\":{"
        "\"type\":\"seasonal\","
        "\"period\":4},\"features\":[{\"type\":\"value\"},{\"type\":\"next_baseline\"}],\"horizon\":3,\"quantiles\":[0."
        "1,0.5,0.9],"
        "\"residual\":true,\"warmup\":4}}",
        NULL);
    const rnnd_info *info = rnnd_model_info(m);
    assert_true(info->task == RNND_SERIES && info->channel_count == 2 && info->horizon == 3 && info->input_width == 2);
    rnnd_workspace *ws = workspace(m, 4);
    void *state = malloc(rnnd_state_bytes(m));
    float x[2], y[2], mean[5][2], quantiles[3][5][2];
    rnnd_error err = {0};
    rnnd_state_reset(m, state);
    for (int t = 0; t < 12; t++) {
        x[0] = t == 7 ? NAN : 10 + (float)(t % 4);
        x[1] = (float)t / 10;
        rnnd_step_row row = {state, x, y, RNND_OK};
        if (rnnd_step(ws, &row, 1, &err)) fail_msg("%s", err.message);
        assert_true(isfinite(y[0]) && isfinite(y[1]));
    }
    assert_int_equal(rnnd_state_imputed(m, state), 1);
    assert_int_equal(rnnd_state_step(m, state), 12);
    float levels[] = {0.1f, 0.5f, 0.9f};
    rnnd_forecast_params params = {.horizon = 5, .quantiles = levels, .quantile_count = 3};
    rnnd_forecast_out out = {.mean = mean[0], .quantiles = quantiles[0][0]};
    rnnd_forecast *f;
    bool done = false;
    if (rnnd_forecast_open(m, state, &params, &f, &err)) fail_msg("%s", err.message);
    while (!done)
        if (rnnd_forecast_work(f, ws, 4, &done, &err)) fail_msg("%s", err.message);
    assert_int_equal(rnnd_forecast_read(f, &out, &err), RNND_OK);
    rnnd_forecast_close(f);
    for (int h = 0; h < 5; h++)
        for (int c = 0; c < 2; c++)
            assert_true(isfinite(mean[h][c]) && quantiles[0][h][c] <= quantiles[1][h][c] &&
                        quantiles[1][h][c] <= quantiles[2][h][c]);
    free(state);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(text), cmocka_unit_test(series)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
