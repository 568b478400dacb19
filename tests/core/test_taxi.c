/* test_taxi.c -- the bundled taxi model forecasts what its recipe's own arithmetic says.
 *
 * tests/vectors/taxi.txt holds forecasts of the recipe (Python, PyTorch) for the first so many rows of
 * models/examples/taxi.csv: rows, step ahead, mean, one value per trained quantile. */
#include "core/rnnd.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_ROWS = 700, MAX_HORIZON = 48, MAX_LEVELS_HERE = 7, VECTORS = 3 * MAX_HORIZON };

static rnnd_model *model;
static float rows[MAX_ROWS];
static size_t row_count;
static struct vector { size_t rows, ahead; double value[1 + MAX_LEVELS_HERE]; } vectors[VECTORS];
static size_t vector_count;

static int set_up(void **state)
{
    (void)state;
    char line[512];
    rnnd_error err;
    if (rnnd_model_open("models/taxi.safetensors", NULL, &model, &err)) {
        print_error("%s\n", err.message);
        return -1;
    }
    FILE *f = fopen("models/examples/taxi.csv", "r");
    if (!f)
        return -1;
    while (fgets(line, sizeof line, f))
        if (line[0] != 'v' && row_count < MAX_ROWS)
            rows[row_count++] = strtof(line, NULL);
    fclose(f);
    if (!(f = fopen("tests/vectors/taxi.txt", "r")))
        return -1;
    while (fgets(line, sizeof line, f) && vector_count < VECTORS) {
        char *at = line;
        struct vector *v = &vectors[vector_count];
        if (line[0] == '#')
            continue;
        v->rows = strtoul(at, &at, 10);
        v->ahead = strtoul(at, &at, 10);
        for (size_t k = 0; k < 1 + MAX_LEVELS_HERE; k++)
            v->value[k] = strtod(at, &at);
        vector_count++;
    }
    fclose(f);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rnnd_model_close(model);
    return 0;
}

/* The forecast after the first n rows: mean [48], quantiles [7][48]. */
static void forecast_after(size_t n, float *mean, float *quantiles)
{
    const rnnd_info *info = rnnd_model_info(model);
    rnnd_workspace *ws;
    rnnd_forecast *f;
    rnnd_error err;
    bool done;
    void *state = calloc(1, rnnd_state_bytes(model));
    assert_int_equal(rnnd_workspace_open(model, 1, &ws, NULL), RNND_OK);
    rnnd_state_reset(model, state);
    for (size_t t = 0; t < n; t++) {
        rnnd_step_row row = { .state = state, .input = &rows[t] };
        assert_int_equal(rnnd_step(ws, &row, 1, NULL), RNND_OK);
    }
    const rnnd_forecast_params p = { .horizon = MAX_HORIZON, .quantiles = info->quantiles,
                                     .quantile_count = info->quantile_count };
    if (rnnd_forecast_open(model, state, &p, &f, &err))
        fail_msg("%s", err.message);
    assert_int_equal(rnnd_forecast_work(f, ws, 1, &done, NULL), RNND_OK);
    assert_true(done);
    assert_int_equal(rnnd_forecast_read(f, &(rnnd_forecast_out){ mean, quantiles, NULL }, NULL), RNND_OK);
    rnnd_forecast_close(f);
    rnnd_workspace_close(ws);
    free(state);
}

static void as_the_recipe_says(void **state)
{
    (void)state;
    static float mean[MAX_HORIZON], quantiles[MAX_LEVELS_HERE * MAX_HORIZON];
    const rnnd_info *info = rnnd_model_info(model);
    size_t last = 0;
    assert_int_equal(info->task, RNND_SERIES);
    assert_int_equal(info->horizon, MAX_HORIZON);
    assert_int_equal(info->quantile_count, MAX_LEVELS_HERE);
    assert_int_equal(info->warmup, 336);
    assert_int_equal(row_count, MAX_ROWS);
    assert_int_equal(vector_count, VECTORS);
    for (size_t i = 0; i < vector_count; i++) {
        const struct vector *v = &vectors[i];
        if (v->rows != last)
            forecast_after(last = v->rows, mean, quantiles);
        for (size_t k = 0; k <= MAX_LEVELS_HERE; k++) {
            double got = (double)(k ? quantiles[(k - 1) * MAX_HORIZON + v->ahead - 1] : mean[v->ahead - 1]);
            if (!(fabs(got - v->value[k]) <= 1e-3 * fabs(v->value[k])))
                fail_msg("after %zu rows, %zu ahead, value %zu: %g, the recipe says %g", v->rows, v->ahead, k, got,
                         v->value[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(as_the_recipe_says) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
