/* test_series.c -- the series task against a naive reference that keeps the whole history.
 *
 * The model is made by hand and the test plays its network: head rows are random numbers. The reference works every
 * number out anew from the list of all values so far. */
#include "core/base/rng.h"
#include "core/tasks/scaler.h"
#include "core/tasks/series.h"
#include "core/tasks/tasks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { CHANNELS = 2, STEPS = 60, HORIZON = 5, FEATURES = 10, PERIOD = 7, LEVELS = 4 };

static struct rng rng;
static const float trained[LEVELS] = { 0.1f, 0.4f, 0.5f, 0.9f };

static double uniform(double low, double high) { return low + (high - low) * rng_unit(&rng); }

/* ---- a model made by hand --------------------------------------------------------------------------------------- */

struct fixture {
    struct rnnd_model m;
    struct channel_config channels[CHANNELS];
    struct feature_config features[FEATURES];
    void *state;
};

static void open_fixture(struct fixture *x, enum scaler_kind scaler, enum baseline_kind baseline, bool running)
{
    static const struct feature_config all[FEATURES] = {
        { FEATURE_VALUE, 0 }, { FEATURE_BASELINE, 0 }, { FEATURE_RESIDUAL, 0 }, { FEATURE_RESIDUAL, 3 },
        { FEATURE_LEVEL, 4 }, { FEATURE_SPREAD, 9 }, { FEATURE_NEXT_BASELINE, 1 }, { FEATURE_NEXT_BASELINE, 12 },
        { FEATURE_LAG, 5 }, { FEATURE_MISSING, 0 },
    };
    static const char *const names[CHANNELS] = { "east", "west" };
    memset(x, 0, sizeof *x);
    arena_init(&x->m.arena, 1 << 20);
    x->m.info.name = "by hand";
    for (int c = 0; c < CHANNELS; c++)
        x->channels[c] = (struct channel_config){ .name = names[c], .scaler = scaler, .a = (float)c, .b = 3 + (float)c,
                                                  .unit = 5, .clamp_min = c == 1, .min = 0 };
    memcpy(x->features, all, sizeof all);
    struct series_config *s = &x->m.config.series;
    s->channels = x->channels;
    s->channel_count = CHANNELS;
    s->baseline = baseline;
    s->period = PERIOD;
    s->smoothing = rng_u32(&rng) % 2 ? 0.7f : 1.0f;
    s->running_decay = running ? 0.9f : 0.0f;
    s->features = x->features;
    s->feature_count = FEATURES;
    s->horizon = HORIZON;
    s->warmup = PERIOD;
    s->quantiles = (float *)(uintptr_t)trained;
    s->quantile_count = LEVELS;
    s->residual_output = rng_u32(&rng) % 2;
    x->m.config.task = RNND_SERIES;
    x->m.network_inputs = FEATURES * CHANNELS;
    x->m.network_outputs = HORIZON * LEVELS * CHANNELS;
    rnnd_error err;
    if (task_series.attach(&x->m, &err))
        fail_msg("%s", err.message);
    x->state = calloc(1, x->m.task_bytes);
    memset(x->state, 0xa5, x->m.task_bytes);
    task_series.reset(&x->m, x->state);
}

static void close_fixture(struct fixture *x)
{
    free(x->state);
    arena_free(&x->m.arena);
}

/* ---- the reference ---------------------------------------------------------------------------------------------- */

struct history {
    double scaled[STEPS][CHANNELS];
    bool missing[STEPS][CHANNELS];
    size_t n;
    float head[HORIZON][LEVELS][CHANNELS]; /* after step n-1 */
};

/* what the rows before `known` say of row t */
static double naive_baseline(const struct series_config *s, const struct history *h, size_t known, size_t t, int c)
{
    if (s->baseline == BASELINE_NONE || known == 0)
        return 0;
    if (s->baseline == BASELINE_LAST || known < s->period)
        return h->scaled[known - 1][c];
    double b = 0;
    for (size_t k = t % s->period, first = 1; k < known; k += s->period, first = 0)
        b = first ? h->scaled[k][c] : b + (double)s->smoothing * (h->scaled[k][c] - b);
    return b;
}

static void naive_running(const struct series_config *s, const struct history *h, int c, double *mean, double *scale)
{
    double m = 0, v = 0;
    for (size_t t = 0; t < h->n; t++) {
        double k = fmax(1.0 - (double)s->running_decay, 1.0 / (double)(t + 1));
        m += k * (h->scaled[t][c] - m);
        v += k * (fabs(h->scaled[t][c] - m) - v);
    }
    *mean = s->running_decay > 0 ? m : 0;
    *scale = s->running_decay > 0 ? fmax(v, 1e-3) : 1;
}

static size_t first_full(const struct series_config *s)
{
    return s->baseline == BASELINE_SEASONAL ? s->period : s->baseline == BASELINE_LAST ? 1 : 0;
}

static double naive_average(const struct series_config *s, const struct history *h, size_t lag, bool absolute, int c)
{
    size_t first = first_full(s);
    double a = 0;
    for (size_t t = first; t < h->n; t++) {
        double r = h->scaled[t][c] - naive_baseline(s, h, t, t, c);
        a += ((absolute ? fabs(r) : r) - a) / (double)(t - first + 1 < lag ? t - first + 1 : lag);
    }
    return a;
}

static double naive_feature(const struct series_config *s, const struct history *h, const struct feature_config *f,
                            int c)
{
    size_t t = h->n - 1;
    double m, scale;
    naive_running(s, h, c, &m, &scale);
    switch (f->kind) {
    case FEATURE_VALUE: return (h->scaled[t][c] - m) / scale;
    case FEATURE_BASELINE: return (naive_baseline(s, h, t, t, c) - m) / scale;
    case FEATURE_RESIDUAL:
        if (t < f->lag || t - f->lag < first_full(s))
            return 0;
        return (h->scaled[t - f->lag][c] - naive_baseline(s, h, t - f->lag, t - f->lag, c)) / scale;
    case FEATURE_LEVEL: return naive_average(s, h, f->lag, false, c) / scale;
    case FEATURE_SPREAD: return naive_average(s, h, f->lag, true, c) / scale;
    case FEATURE_NEXT_BASELINE: return (naive_baseline(s, h, t + 1, t + f->lag, c) - m) / scale;
    case FEATURE_LAG: return t < f->lag ? 0 : (h->scaled[t - f->lag][c] - m) / scale;
    case FEATURE_MISSING: return h->missing[t][c];
    }
    return NAN;
}

/* trained levels j steps ahead, original units */
static void naive_levels(const struct fixture *x, const struct history *h, size_t j, int c, double *v)
{
    const struct series_config *s = &x->m.config.series;
    double m, scale;
    naive_running(s, h, c, &m, &scale);
    double from = s->residual_output ? naive_baseline(s, h, h->n, h->n - 1 + j, c) : m;
    for (int k = 0; k < LEVELS; k++)
        v[k] = from + (double)h->head[j - 1][k][c] * scale;
    v[3] = fmax(v[3], v[2]);
    v[1] = fmin(v[1], v[2]);
    v[0] = fmin(v[0], v[1]);
    for (int k = 0; k < LEVELS; k++) {
        v[k] = scaler_inverse(&x->channels[c], v[k]);
        if (x->channels[c].clamp_min)
            v[k] = fmax(v[k], (double)x->channels[c].min);
    }
}

static void assert_close(double got, double want, const char *what, size_t t)
{
    if (!(fabs(got - want) <= 2e-5 * fmax(1.0, fabs(want))))
        fail_msg("%s after step %zu: %.9g, wanted %.9g", what, t, got, want);
}

/* the scaled value of one input, filled in where it is NaN */
static double naive_scaled(const struct fixture *x, const struct history *h, float input, int c)
{
    float scaled, original;
    double v[LEVELS];
    if (!isnan(input)) {
        assert_int_equal(scaler_forward(&x->channels[c], input, &scaled, NULL), RNND_OK);
        return (double)scaled;
    }
    if (h->n == 0)
        return 0;
    if (x->m.config.series.missing == MISSING_LAST)
        return h->scaled[h->n - 1][c];
    naive_levels(x, h, 1, c, v);
    original = (float)v[2];
    assert_int_equal(scaler_forward(&x->channels[c], original, &scaled, NULL), RNND_OK);
    return (double)scaled;
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void walk(struct fixture *x, struct history *h)
{
    float input[CHANNELS], row[FEATURES * CHANNELS], output[CHANNELS];
    size_t filled = 0;
    const struct series_config *s = &x->m.config.series;
    for (size_t t = 0; t < STEPS; t++) {
        double scaled[CHANNELS], v[LEVELS];
        for (int c = 0; c < CHANNELS; c++) {
            input[c] = rng_u32(&rng) % 5 ? (float)uniform(0, 20) : NAN;
            scaled[c] = naive_scaled(x, h, input[c], c);
            h->missing[t][c] = isnan(input[c]);
            filled += isnan(input[c]);
        }
        memcpy(h->scaled[t], scaled, sizeof scaled);
        h->n = t + 1;
        assert_int_equal(task_series.before(&x->m, x->state, input, row, NULL), RNND_OK);
        for (size_t k = 0; k < FEATURES; k++)
            for (int c = 0; c < CHANNELS; c++) { /* compared in scaled units: a small scale enlarges rounding errors */
                double m, scale;
                naive_running(s, h, c, &m, &scale);
                assert_close((double)row[k * CHANNELS + (size_t)c] * scale,
                             naive_feature(s, h, &s->features[k], c) * scale, "feature", t);
            }
        for (size_t i = 0; i < sizeof h->head / sizeof(float); i++)
            ((float *)h->head)[i] = (float)uniform(-0.5, 0.5);
        task_series.after(&x->m, x->state, (const float *)h->head, output);
        for (int c = 0; c < CHANNELS; c++) {
            for (size_t j = 1; j <= HORIZON; j++) {
                double got[LEVELS];
                naive_levels(x, h, j, c, v);
                series_levels(&x->m, x->state, j, (size_t)c, got);
                for (int k = 0; k < LEVELS; k++) {
                    assert_close(got[k], v[k], "level", t);
                    assert_true(k == 0 || got[k] >= got[k - 1]);
                }
            }
            naive_levels(x, h, 1, c, v);
            double mean = quantile_mean(series_plan(&x->m)->weight, v, LEVELS);
            assert_close((double)output[c], x->channels[c].clamp_min ? fmax(mean, 0) : mean, "output", t);
        }
        assert_int_equal(((struct series_state *)x->state)->imputed, filled);
    }
}

static void against_reference(void **state)
{
    (void)state;
    static struct history h;
    for (int scaler = 0; scaler < 5; scaler++)
        for (int baseline = 0; baseline < 3; baseline++)
            for (int running = 0; running < 2; running++)
                for (int policy = 0; policy < 2; policy++) {
                    struct fixture x;
                    memset(&h, 0, sizeof h);
                    open_fixture(&x, (enum scaler_kind)scaler, (enum baseline_kind)baseline, running);
                    x.m.config.series.missing = policy ? MISSING_LAST : MISSING_PREDICTION;
                    walk(&x, &h);
                    close_fixture(&x);
                }
}

static void refused_rows_change_nothing(void **state)
{
    (void)state;
    struct fixture x;
    rnnd_error err;
    float row[FEATURES * CHANNELS], good[CHANNELS] = { 1, 2 }, bad[CHANNELS] = { 3, -6 }, gap[CHANNELS] = { 1, NAN };
    open_fixture(&x, SCALER_LOG1P, BASELINE_SEASONAL, true);
    assert_int_equal(task_series.before(&x.m, x.state, good, row, &err), RNND_OK);
    void *copy = malloc(x.m.task_bytes);
    memcpy(copy, x.state, x.m.task_bytes);
    assert_int_equal(task_series.before(&x.m, x.state, bad, row, &err), RNND_MISMATCH);
    assert_string_equal(err.param, "west");
    x.m.config.series.missing = MISSING_REFUSE;
    assert_int_equal(task_series.before(&x.m, x.state, gap, row, &err), RNND_MISMATCH);
    assert_memory_equal(copy, x.state, x.m.task_bytes);
    x.m.config.series.missing = MISSING_LAST;
    x.m.config.series.missing_limit = 2;
    assert_int_equal(task_series.before(&x.m, x.state, gap, row, &err), RNND_OK);
    assert_int_equal(task_series.before(&x.m, x.state, gap, row, &err), RNND_OK);
    memcpy(copy, x.state, x.m.task_bytes);
    assert_int_equal(task_series.before(&x.m, x.state, gap, row, &err), RNND_MISMATCH);
    assert_memory_equal(copy, x.state, x.m.task_bytes);
    assert_int_equal(task_series.before(&x.m, x.state, good, row, &err), RNND_OK);
    assert_int_equal(task_series.before(&x.m, x.state, gap, row, &err), RNND_OK);
    free(copy);
    close_fixture(&x);
}

static void strange_states(void **state)
{
    (void)state;
    struct fixture x;
    rnnd_error err;
    float row[FEATURES * CHANNELS], good[CHANNELS] = { 1, 2 };
    open_fixture(&x, SCALER_ASINH, BASELINE_SEASONAL, true);
    assert_int_equal(task_series.before(&x.m, x.state, good, row, &err), RNND_OK);
    assert_int_equal(task_series.verify(&x.m, 1, x.state, &err), RNND_OK);
    float *floats = series_floats(x.state);
    for (size_t i = 0; i < series_plan(&x.m)->floats; i++) {
        float kept = floats[i];
        floats[i] = i % 2 ? NAN : INFINITY;
        assert_int_equal(task_series.verify(&x.m, 1, x.state, &err), RNND_CORRUPT);
        floats[i] = kept;
    }
    assert_int_equal(task_series.verify(&x.m, 2, x.state, &err), RNND_CORRUPT); /* the steps it was told */
    floats[series_plan(&x.m)->last] = 1e32f;
    assert_int_equal(task_series.verify(&x.m, 1, x.state, &err), RNND_CORRUPT);
    floats[series_plan(&x.m)->last] = 0;
    floats[series_plan(&x.m)->gap] = -1;
    assert_int_equal(task_series.verify(&x.m, 1, x.state, &err), RNND_CORRUPT);
    close_fixture(&x);
}

/* Attaching again after one thing was broken must be refused. */
#define REFUSED(expression, wanted)                                                                                   \
    do {                                                                                                              \
        struct fixture x;                                                                                             \
        rnnd_error err;                                                                                               \
        open_fixture(&x, SCALER_NONE, BASELINE_SEASONAL, false);                                                      \
        struct series_config *s = &x.m.config.series;                                                                 \
        (void)s;                                                                                                      \
        expression;                                                                                                   \
        assert_int_equal(task_series.attach(&x.m, &err), wanted);                                                     \
        close_fixture(&x);                                                                                            \
    } while (0)

static void bad_configurations(void **state)
{
    (void)state;
    static float same[2] = { 0.5f, 0.5f }, outside[1] = { 1.0f };
    REFUSED(x.m.network_inputs++, RNND_MISMATCH);
    REFUSED(x.m.network_outputs--, RNND_MISMATCH);
    REFUSED(s->period = 0, RNND_MISMATCH);
    REFUSED(s->smoothing = 0, RNND_MISMATCH);
    REFUSED(s->smoothing = 1.5f, RNND_MISMATCH);
    REFUSED(s->running_decay = 1, RNND_MISMATCH);
    REFUSED(s->horizon = 0, RNND_MISMATCH);
    REFUSED(s->horizon = SIZE_MAX / 2, RNND_MISMATCH);
    REFUSED((s->quantiles = same, s->quantile_count = 2), RNND_MISMATCH);
    REFUSED((s->quantiles = outside, s->quantile_count = 1), RNND_MISMATCH);
    REFUSED(s->quantile_count = MAX_LEVELS + 1, RNND_UNSUPPORTED);
    REFUSED(x.channels[1].b = NAN, RNND_MISMATCH);
    REFUSED(x.features[4].lag = 0, RNND_MISMATCH);
    REFUSED(x.features[8].lag = SIZE_MAX, RNND_TOO_LARGE);
    REFUSED(x.features[8].lag = (size_t)1 << 25, RNND_TOO_LARGE);
    REFUSED(s->period = SIZE_MAX / 2, RNND_TOO_LARGE);
}

int main(void)
{
    uint64_t seed = getenv("RNND_SEED") ? strtoull(getenv("RNND_SEED"), NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_reference), cmocka_unit_test(refused_rows_change_nothing),
        cmocka_unit_test(bad_configurations), cmocka_unit_test(strange_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
