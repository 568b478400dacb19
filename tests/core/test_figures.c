/* test_figures.c -- the catalogue's figures, measured again by the library, where the data is at hand.
 *
 * Data is no part of the project: RNND_DATA names a folder with tinyshakespeare/input.txt and
 * nab/data/realKnownCause/nyc_taxi.csv (default ../shared/data); without it these tests are skipped by name.
 * RNND_PRECISION=bf16 or int8 measures them in that precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rnnd.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TOO_SLOW 1 /* the arithmetic is tested elsewhere */
#else
#define TOO_SLOW 0
#endif

static char *read_data(const char *name, size_t *bytes)
{
    const char *folder = getenv("RNND_DATA");
    char path[512], *data;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder ? folder : "../shared/data", name);
    f = TOO_SLOW ? NULL : fopen(path, "rb");
    if (!f) {
        printf("skipped: test_figures: %s (%s)\n", name, TOO_SLOW ? "sanitizer build" : "no such data here");
        return NULL;
    }
    data = calloc(1, 2 << 20);
    *bytes = fread(data, 1, (2 << 20) - 1, f);
    fclose(f);
    return data;
}

static rnnd_model *open_model(const char *path)
{
    const rnnd_options options = {.precision = getenv("RNND_PRECISION")};
    rnnd_error err;
    rnnd_model *m;

    if (rnnd_model_open(path, &options, &m, &err) != RNND_OK) fail_msg("%s", err.message);
    return m;
}

static double metric(const rnnd_model *m, const char *name)
{
    const char *at = strstr(rnnd_model_info(m)->metrics, name);

    assert_non_null(at);
    return strtod(at + strlen(name) + 2, NULL);
}

static void shakespeare(void **state)
{
    size_t bytes = 0, split;
    char *text = read_data("tinyshakespeare/input.txt", &bytes);
    rnnd_model *m;
    rnnd_workspace *ws;
    float logits[256], logprobs[256], id;
    double nats = 0;
    void *s;

    (void)state;
    if (!text) skip();
    m = open_model("models/shakespeare.safetensors");
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, NULL), RNND_OK);
    s = calloc(1, rnnd_state_bytes(m));
    rnnd_state_reset(m, s);
    split = bytes / 10 * 9 + bytes % 10 * 9 / 10;
    for (size_t i = split - 256; i + 1 < bytes; i++) { /* the recipe warms up on 256 bytes, too */
        rnnd_step_row row = {s, &id, logits, RNND_OK};
        id = (float)(unsigned char)text[i];
        assert_int_equal(rnnd_step(ws, &row, 1, NULL), RNND_OK);
        if (i + 1 < split) continue;
        rnnd_log_softmax(m, logits, logprobs);
        nats -= logprobs[(unsigned char)text[i + 1]];
    }
    nats /= (double)(bytes - split);
    printf("shakespeare in %s: %.4f nats per byte on the last %zu\n", rnnd_model_info(m)->precision, nats,
           bytes - split);
    assert_true(nats <= 1.50);
    if (!strcmp(rnnd_model_info(m)->precision, "fp32"))
        assert_true(fabs(nats - metric(m, "held_out_nats_per_byte")) < 1e-3);
    free(s), free(text);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
}

enum { AHEAD = 48, WEEK = 336 };

static void taxi(void **state)
{
    static float rows[20000];
    static double mine[20000], week[20000];
    size_t bytes = 0, n = 0, first, end, origins = 0, inside = 0;
    char *text = read_data("nab/data/realKnownCause/nyc_taxi.csv", &bytes);
    const float bounds[] = {0.1f, 0.9f};
    const rnnd_forecast_params params = {.horizon = AHEAD, .quantiles = bounds, .quantile_count = 2};
    double mae = 0, worst = 0;
    rnnd_model *m;
    rnnd_workspace *ws;
    void *s;

    (void)state;
    if (!text) skip();
    for (char *line = strchr(text, '\n'); line && line[1] && n < 20000; line = strchr(line + 1, '\n'))
        rows[n++] = strtof(strchr(line, ',') + 1, NULL);
    first = n * 30 / 100, end = n * 55 / 100;
    m = open_model("models/taxi.safetensors");
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, NULL), RNND_OK);
    s = calloc(1, rnnd_state_bytes(m));
    rnnd_state_reset(m, s);
    for (size_t t = 0; t + AHEAD <= end; t++) { /* before row t is fed: rows t .. t+47 are forecast */
        rnnd_step_row row = {s, rows + t, NULL, RNND_OK};
        if (t >= first) {
            float mean[AHEAD], quantiles[2][AHEAD];
            const rnnd_forecast_out out = {mean, quantiles[0], NULL};
            rnnd_forecast *f;
            bool done = false;
            assert_int_equal(rnnd_forecast_open(m, s, &params, &f, NULL), RNND_OK);
            while (!done) assert_int_equal(rnnd_forecast_work(f, ws, 100, &done, NULL), RNND_OK);
            assert_int_equal(rnnd_forecast_read(f, &out, NULL), RNND_OK);
            rnnd_forecast_close(f);
            for (size_t j = 0; j < AHEAD; j++) {
                mine[origins] += fabs((double)mean[j] - rows[t + j]) / AHEAD;
                week[origins] += fabs((double)rows[t + j - WEEK] - rows[t + j]) / AHEAD;
                inside += rows[t + j] >= quantiles[0][j] && rows[t + j] <= quantiles[1][j];
            }
            mae += mine[origins++];
        }
        assert_int_equal(rnnd_step(ws, &row, 1, NULL), RNND_OK);
    }
    for (size_t a = 0; a + WEEK <= origins; a++) {
        double x = 0, y = 0;
        for (size_t i = a; i < a + WEEK; i++) x += mine[i], y += week[i];
        worst = fmax(worst, x / y);
    }
    mae /= (double)origins;
    printf("taxi in %s: MAE %.1f over %zu windows, worst week %.3f of week-ago, 80 %% interval covers %.1f %%\n",
           rnnd_model_info(m)->precision, mae, origins, worst, 100.0 * (double)inside / (double)(origins * AHEAD));
    assert_true(mae <= 1060);
    assert_true(worst < 1);
    assert_true(inside >= 0.76 * (double)(origins * AHEAD) && inside <= 0.84 * (double)(origins * AHEAD));
    free(s), free(text);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shakespeare), cmocka_unit_test(taxi)};
    return cmocka_run_group_tests_name("figures", tests, NULL, NULL);
}
