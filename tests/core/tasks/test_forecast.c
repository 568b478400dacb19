/* test_forecast.c -- forecasts through the public interface: slices, seeds, horizons, refusals, saved states.
 *
 * The model is a small GRU with random weights, made in memory as a native file. */
#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/rnnd.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { C = 2, FEATURES = 3, HIDDEN = 5, PERIOD = 4, MAX_HORIZON = 32 };

static struct rng rng;
static uint64_t seed;

static float uniform(double low, double high) { return (float)(low + (high - low) * rng_unit(&rng)); }

/* ---- a native file in memory ------------------------------------------------------------------------------------ */

struct file {
    char header[4096];
    size_t used;
    float data[8192];
    size_t floats;
};

static void add_tensor(struct file *f, const char *name, size_t rows, size_t columns, double size)
{
    size_t n = rows * (columns ? columns : 1);
    char shape[48];
    snprintf(shape, sizeof shape, columns ? "%zu,%zu" : "%zu", rows, columns);
    f->used += (size_t)snprintf(f->header + f->used, sizeof f->header - f->used,
                                ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", name, shape,
                                f->floats * 4, (f->floats + n) * 4);
    for (size_t i = 0; i < n; i++)
        f->data[f->floats++] = uniform(-size, size);
}

/* A model of the given horizon; `extra` goes into its series object. Random weights, the head's of this size; its
 * quantiles lie `apart` from each other, but for the weights. */
static rnnd_model *open_model(size_t horizon, double head, double apart, const char *quantiles, const char *extra)
{
    static struct file f;
    static char bytes[64 << 10], config[2048];
    size_t levels = 1, at = 0;
    for (const char *q = quantiles; *q; q++)
        levels += *q == ',';
    memset(&f, 0, sizeof f);
    snprintf(config, sizeof config,
             "{'format':1,'name':'wave','task':'series','inputs':[{'name':'features','width':%d}],"
             "'layers':[{'type':'gru','name':'gru','hidden':%d},{'type':'dense','name':'head'}],"
             "'series':{'channels':[{'name':'east','scaler':{'type':'standard','mean':10,'std':4}},"
             "{'name':'west','scaler':{'type':'log1p','shift':1,'scale':2,'unit':3},'min':0,'max':40}],"
             "'baseline':{'type':'seasonal','period':%d,'smoothing':0.5},"
             "'features':[{'type':'value'},{'type':'residual'},{'type':'missing'}],"
             "'horizon':%zu,'warmup':%d,'quantiles':[%s],'residual':true%s}}",
             FEATURES * C, HIDDEN, PERIOD, horizon, PERIOD, quantiles, extra);
    f.used = (size_t)snprintf(f.header, sizeof f.header, "{\"__metadata__\":{\"rnnd\":\"");
    for (const char *c = config; *c; c++) {
        if (*c == '\'')
            f.header[f.used++] = '\\';
        f.header[f.used++] = *c == '\'' ? '"' : *c;
    }
    f.used += (size_t)snprintf(f.header + f.used, sizeof f.header - f.used, "\"}");
    add_tensor(&f, "gru.weight_ih_l0", 3 * HIDDEN, FEATURES * C, 0.8);
    add_tensor(&f, "gru.weight_hh_l0", 3 * HIDDEN, HIDDEN, 0.8);
    add_tensor(&f, "gru.bias_ih_l0", 3 * HIDDEN, 0, 0.5);
    add_tensor(&f, "gru.bias_hh_l0", 3 * HIDDEN, 0, 0.5);
    add_tensor(&f, "head.weight", horizon * levels * C, HIDDEN, head);
    add_tensor(&f, "head.bias", horizon * levels * C, 0, head / 2);
    for (size_t i = 0, first = f.floats - horizon * levels * C; i < horizon * levels * C; i++)
        f.data[first + i] += (float)(apart * (double)(i / C % levels));
    f.header[f.used++] = '}';
    while (f.used % 8)
        f.header[f.used++] = ' ';
    for (size_t i = 0; i < 8; i++)
        bytes[at++] = (char)((uint64_t)f.used >> (8 * i));
    memcpy(bytes + at, f.header, f.used);
    at += f.used;
    memcpy(bytes + at, f.data, f.floats * 4);
    rnnd_model *m = NULL;
    rnnd_error err;
    if (rnnd_model_open_memory(bytes, at + f.floats * 4, "wave", NULL, &m, &err))
        fail_msg("%s", err.message);
    return m;
}

static const char three[] = "0.1,0.5,0.9";

/* ---- helpers ---------------------------------------------------------------------------------------------------- */

struct session {
    const rnnd_model *model;
    rnnd_workspace *ws;
    void *state;
};

static void open_session(struct session *s, const rnnd_model *m)
{
    s->model = m;
    assert_int_equal(rnnd_workspace_open(m, 8, &s->ws, NULL), RNND_OK);
    s->state = calloc(1, rnnd_state_bytes(m));
    rnnd_state_reset(m, s->state);
}

static void close_session(struct session *s)
{
    rnnd_workspace_close(s->ws);
    free(s->state);
}

static void step(struct session *s, const float *input, float *output)
{
    rnnd_step_row row = { .state = s->state, .input = input, .output = output };
    rnnd_error err;
    if (rnnd_step(s->ws, &row, 1, &err))
        fail_msg("%s", err.message);
}

static void feed_random(struct session *s, size_t steps)
{
    for (size_t t = 0; t < steps; t++)
        step(s, (const float[C]){ uniform(0, 20), uniform(0, 20) }, NULL);
}

struct answer {
    float mean[MAX_HORIZON][C], quantiles[9][MAX_HORIZON][C], samples[64 * MAX_HORIZON * C];
    size_t horizon;
};

/* With slice 0 the slices are random. The tables of quantiles are those of [quantile][horizon][C], spread out. */
static void forecast(struct session *s, const rnnd_forecast_params *p, size_t slice, struct answer *a)
{
    static float quantiles[9 * MAX_HORIZON * C];
    rnnd_forecast *f;
    rnnd_error err;
    bool done = false;
    memset(a, 0, sizeof *a);
    if (rnnd_forecast_open(s->model, s->state, p, &f, &err))
        fail_msg("%s", err.message);
    for (int guard = 0; !done && guard < 100000; guard++)
        if (rnnd_forecast_work(f, s->ws, slice ? slice : 1 + rng_u32(&rng) % 7, &done, &err))
            fail_msg("%s", err.message);
    assert_true(done);
    rnnd_forecast_out out = { a->mean[0], quantiles, a->samples };
    assert_int_equal(rnnd_forecast_read(f, &out, &err), RNND_OK);
    rnnd_forecast_close(f);
    for (size_t k = 0; k < p->quantile_count; k++)
        memcpy(a->quantiles[k], quantiles + k * p->horizon * C, p->horizon * C * sizeof(float));
    a->horizon = p->horizon;
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static const float asked[9] = { 0.01f, 0.05f, 0.1f, 0.3f, 0.5f, 0.7f, 0.9f, 0.99f, 0.999f };

static void quantiles_never_cross(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        rnnd_model *m = open_model(3, 2.0, 0.0, round % 2 ? three : "0.05,0.2,0.4,0.7", "");
        struct session s;
        struct answer a;
        open_session(&s, m);
        feed_random(&s, 10);
        forecast(&s, &(rnnd_forecast_params){ .horizon = 8, .quantiles = asked, .quantile_count = 9 }, 0, &a);
        for (size_t h = 0; h < 8; h++)
            for (size_t c = 0; c < C; c++)
                for (size_t k = 0; k < 9; k++) {
                    assert_true(k == 0 || a.quantiles[k][h][c] >= a.quantiles[k - 1][h][c]);
                    assert_true(c == 0 || (a.quantiles[k][h][c] >= 0 && a.quantiles[k][h][c] <= 40));
                    assert_true(c == 0 || (a.mean[h][c] >= 0 && a.mean[h][c] <= 40));
                }
        close_session(&s);
        rnnd_model_close(m);
    }
}

/* Alone, or in batches with others, or saved and loaded on the way: the same state, the same forecast. */
static void batches_and_blobs_change_nothing(void **state)
{
    (void)state;
    rnnd_model *m = open_model(3, 0.5, 4.0, three, "");
    size_t bytes = rnnd_state_bytes(m), blob_bytes = rnnd_state_blob_bytes(m);
    struct session alone, crowd;
    struct answer a, b;
    open_session(&alone, m);
    open_session(&crowd, m);
    void *others = calloc(5, bytes), *blob = malloc(blob_bytes);
    for (size_t i = 0; i < 5; i++)
        rnnd_state_reset(m, (char *)others + i * bytes);
    for (size_t t = 0; t < 30; t++) {
        float x[6][C], y[C], z[C];
        rnnd_step_row rows[6];
        for (size_t i = 0; i < 6; i++) {
            x[i][0] = uniform(0, 20);
            x[i][1] = rng_u32(&rng) % 6 ? uniform(0, 20) : NAN;
            rows[i] = (rnnd_step_row){ .state = i ? (char *)others + (i - 1) * bytes : crowd.state, .input = x[i] };
        }
        size_t place = rng_u32(&rng) % 6, n = place + 1 + rng_u32(&rng) % (6 - place);
        rnnd_step_row first = rows[0];
        rows[0] = rows[place];
        rows[place] = first;
        rows[place].output = z;
        assert_int_equal(rnnd_step(crowd.ws, rows, n, NULL), RNND_OK);
        step(&alone, x[0], y);
        assert_memory_equal(y, z, sizeof y);
        if (rng_u32(&rng) % 4 == 0) {
            rnnd_state_save(m, crowd.state, blob);
            memset(crowd.state, 0xee, bytes);
            assert_int_equal(rnnd_state_load(m, blob, blob_bytes, crowd.state, NULL), RNND_OK);
        }
    }
    assert_memory_equal(alone.state, crowd.state, bytes);
    assert_int_equal(rnnd_state_imputed(m, alone.state), rnnd_state_imputed(m, crowd.state));
    const rnnd_forecast_params p = { .horizon = 7, .quantiles = asked, .quantile_count = 9, .samples = 20, .seed = 3 };
    forecast(&alone, &p, 0, &a);
    forecast(&crowd, &p, 0, &b);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_equal(alone.state, crowd.state, bytes);
    free(others);
    free(blob);
    close_session(&alone);
    close_session(&crowd);
    rnnd_model_close(m);
}

static void samples_by_seed_not_by_slice(void **state)
{
    (void)state;
    static struct answer a, b;
    for (size_t horizon = 1; horizon <= 3; horizon += 2) {
        rnnd_model *m = open_model(horizon, 0.5, 4.0, three, "");
        struct session s;
        open_session(&s, m);
        feed_random(&s, 9);
        rnnd_forecast_params p = { .horizon = 10, .quantiles = asked, .quantile_count = 9, .samples = 33, .seed = 77 };
        forecast(&s, &p, 1, &a);
        const size_t slices[] = { 0, 2, 13, 33, 34, 100000 };
        for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
            forecast(&s, &p, slices[i], &b);
            assert_memory_equal(&a, &b, sizeof a);
        }
        p.samples = 7; /* a path depends on its number, not on how many there are */
        forecast(&s, &p, 0, &b);
        assert_memory_equal(a.samples, b.samples, 7 * p.horizon * C * sizeof(float));
        assert_memory_equal(a.mean, b.mean, sizeof a.mean);
        p.seed = 78;
        forecast(&s, &p, 0, &b);
        assert_memory_not_equal(a.samples, b.samples, 7 * p.horizon * C * sizeof(float));
        close_session(&s);
        rnnd_model_close(m);
    }
}

/* Of many first draws, as many lie below a quantile as it says. */
static void samples_follow_the_quantiles(void **state)
{
    (void)state;
    enum { DRAWS = 4000 };
    static float samples[DRAWS * C];
    rnnd_model *m = open_model(2, 0.3, 2.0, three, "");
    struct session s;
    struct answer a;
    rnnd_forecast *f;
    bool done;
    open_session(&s, m);
    feed_random(&s, 9);
    forecast(&s, &(rnnd_forecast_params){ .horizon = 1, .quantiles = asked, .quantile_count = 9 }, 0, &a);
    const rnnd_forecast_params p = { .horizon = 1, .samples = DRAWS, .seed = seed };
    assert_int_equal(rnnd_forecast_open(m, s.state, &p, &f, NULL), RNND_OK);
    assert_int_equal(rnnd_forecast_work(f, s.ws, DRAWS, &done, NULL), RNND_OK);
    assert_int_equal(rnnd_forecast_read(f, &(rnnd_forecast_out){ .samples = samples }, NULL), RNND_OK);
    rnnd_forecast_close(f);
    double sum = 0;
    for (size_t k = 0; k < 9; k++) {
        size_t below = 0;
        for (size_t i = 0; i < DRAWS; i++)
            below += samples[i * C] < a.quantiles[k][0][0];
        assert_true(fabs((double)below / DRAWS - (double)asked[k]) <= 0.04);
    }
    for (size_t i = 0; i < DRAWS; i++)
        sum += (double)samples[i * C];
    double spread = (double)(a.quantiles[6][0][0] - a.quantiles[2][0][0]);
    assert_true(fabs(sum / DRAWS - (double)a.mean[0][0]) <= 0.05 * spread + 1e-3);
    close_session(&s);
    rnnd_model_close(m);
}

/* Beyond the trained horizon a forecast is that of the session that was fed the medians so far. */
static void beyond_the_horizon(void **state)
{
    (void)state;
    static const float half = 0.5f;
    for (size_t horizon = 1; horizon <= 4; horizon++) {
        rnnd_model *m = open_model(horizon, 0.5, 4.0, three, "");
        struct session s, by_hand;
        struct answer a, b;
        open_session(&s, m);
        feed_random(&s, 9);
        open_session(&by_hand, m);
        memcpy(by_hand.state, s.state, rnnd_state_bytes(m));
        forecast(&s, &(rnnd_forecast_params){ .horizon = 11, .quantiles = &half, .quantile_count = 1 }, 0, &a);
        for (size_t at = 0; at < 11; at += horizon) {
            forecast(&by_hand,
                     &(rnnd_forecast_params){ .horizon = horizon, .quantiles = &half, .quantile_count = 1 }, 0, &b);
            size_t n = at + horizon <= 11 ? horizon : 11 - at;
            assert_memory_equal(a.mean[at], b.mean[0], n * sizeof a.mean[0]);
            assert_memory_equal(a.quantiles[0][at], b.quantiles[0][0], n * sizeof a.mean[0]);
            for (size_t j = 0; j < horizon; j++)
                step(&by_hand, b.quantiles[0][j], NULL);
        }
        close_session(&s);
        close_session(&by_hand);
        rnnd_model_close(m);
    }
}

static void missing_is_the_own_median(void **state)
{
    (void)state;
    static const float half = 0.5f;
    rnnd_model *m = open_model(2, 0.5, 4.0, three, ",'missing':{'policy':'prediction'}");
    struct session s, told;
    struct answer a, b;
    open_session(&s, m);
    open_session(&told, m);
    feed_random(&s, 9);
    memcpy(told.state, s.state, rnnd_state_bytes(m));
    assert_int_equal(rnnd_state_imputed(m, s.state), 0);
    const rnnd_forecast_params p = { .horizon = 1, .quantiles = &half, .quantile_count = 1 };
    forecast(&s, &p, 0, &a);
    step(&s, (const float[C]){ NAN, 5 }, NULL);
    step(&told, (const float[C]){ a.quantiles[0][0][0], 5 }, NULL);
    assert_int_equal(rnnd_state_imputed(m, s.state), 1);
    assert_int_equal(rnnd_state_imputed(m, told.state), 0);
    assert_int_equal(rnnd_state_step(m, s.state), 10);
    forecast(&s, &p, 0, &a);
    forecast(&told, &p, 0, &b); /* not the same: the network is told of the gap */
    assert_memory_not_equal(a.mean, b.mean, sizeof a.mean);
    close_session(&s);
    close_session(&told);
    rnnd_model_close(m);
}

static void refusals(void **state)
{
    (void)state;
    rnnd_model *m = open_model(2, 0.5, 4.0, three, "");
    struct session s;
    rnnd_error err;
    rnnd_forecast *f;
    bool done;
    open_session(&s, m);
    feed_random(&s, PERIOD - 1);
    assert_int_equal(rnnd_forecast_open(m, s.state, &(rnnd_forecast_params){ .horizon = 1 }, &f, &err), RNND_MISMATCH);
    assert_null(f);
    assert_non_null(strstr(err.message, "needs 4"));
    assert_non_null(strstr(err.message, "are 3"));
    feed_random(&s, 1);
    assert_int_equal(rnnd_forecast_open(m, s.state, &(rnnd_forecast_params){ .horizon = 0 }, &f, &err), RNND_INVALID);
    const float bad[4][2] = { { 0.5f, 0.2f }, { 0.0f, 0.5f }, { 0.5f, 1.0f }, { 0.5f, NAN } };
    for (int i = 0; i < 4; i++) {
        const rnnd_forecast_params p = { .horizon = 1, .quantiles = bad[i], .quantile_count = 2 };
        assert_int_equal(rnnd_forecast_open(m, s.state, &p, &f, &err), RNND_INVALID);
        assert_string_equal(err.param, "quantiles");
    }
    const rnnd_forecast_params huge = { .horizon = SIZE_MAX / 2, .samples = 1000 };
    assert_int_equal(rnnd_forecast_open(m, s.state, &huge, &f, &err), RNND_TOO_LARGE);
    const rnnd_forecast_params longer = { .horizon = 5, .samples = 2 };
    assert_int_equal(rnnd_forecast_open(m, s.state, &longer, &f, &err), RNND_OK);
    assert_int_equal(rnnd_forecast_work(f, s.ws, 3, &done, &err), RNND_OK);
    assert_false(done);
    float mean[5 * C];
    assert_int_equal(rnnd_forecast_read(f, &(rnnd_forecast_out){ .mean = mean }, &err), RNND_CONFLICT);
    rnnd_forecast_close(f);
    close_session(&s);
    rnnd_model_close(m);
}

/* Heads so large that the logarithmic channel overflows: an error that names the step, never a NaN or infinity. */
static void nothing_infinite_comes_out(void **state)
{
    (void)state;
    rnnd_model *m = open_model(2, 3e3, 0.0, three, "");
    struct session s;
    rnnd_error err;
    open_session(&s, m);
    feed_random(&s, 6);
    const rnnd_forecast_params p = { .horizon = 2, .quantiles = asked, .quantile_count = 9 };
    rnnd_forecast *f;
    bool done;
    float mean[2 * C], quantiles[9 * 2 * C];
    rnnd_code code = rnnd_forecast_open(m, s.state, &p, &f, &err);
    if (code == RNND_OK) {
        code = rnnd_forecast_work(f, s.ws, 100, &done, &err);
        if (code == RNND_OK)
            code = rnnd_forecast_read(f, &(rnnd_forecast_out){ mean, quantiles, NULL }, &err);
        rnnd_forecast_close(f);
    }
    if (code == RNND_OK)
        for (size_t i = 0; i < 9 * 2 * C; i++)
            assert_true(isfinite(quantiles[i]) && isfinite(mean[i % (2 * C)]));
    else
        assert_int_equal(code, RNND_NOT_FINITE);
    close_session(&s);
    rnnd_model_close(m);
}

/* Whichever allocation of opening fails, it is an error; working and reading take none. */
static void every_allocation_fails(void **unused)
{
    (void)unused;
    rnnd_model *m = open_model(2, 1, 0.3, three, "");
    struct session s;
    open_session(&s, m);
    feed_random(&s, PERIOD + 2);
    static const float levels[] = {0.1f, 0.9f};
    const rnnd_forecast_params p = {.horizon = 5, .quantiles = levels, .quantile_count = 2, .samples = 3, .seed = 7};
    float mean[5 * C], quantiles[2 * 5 * C], samples[3 * 5 * C];
    const rnnd_forecast_out out = {mean, quantiles, samples};
    rnnd_forecast *f = NULL;
    size_t n = 1;
    for (; n < 100; n++) {
        rnnd_error err = {0};
        mem_fail_at(n);
        rnnd_code code = rnnd_forecast_open(m, s.state, &p, &f, &err);
        mem_fail_at(0);
        if (!code) break;
        assert_int_equal(code, RNND_NO_MEMORY);
        assert_int_equal(err.code, RNND_NO_MEMORY);
        assert_null(f);
    }
    assert_in_range(n, 8, 20);
    mem_fail_at(1);
    for (bool done = false; !done;)
        assert_int_equal(rnnd_forecast_work(f, s.ws, 2, &done, NULL), RNND_OK);
    assert_int_equal(rnnd_forecast_read(f, &out, NULL), RNND_OK);
    assert_int_equal(mem_fail_at(0), 0);
    rnnd_forecast_close(f);
    close_session(&s);
    rnnd_model_close(m);
}

int main(void)
{
    const char *given = getenv("RNND_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_never_cross), cmocka_unit_test(batches_and_blobs_change_nothing),
        cmocka_unit_test(samples_by_seed_not_by_slice), cmocka_unit_test(samples_follow_the_quantiles),
        cmocka_unit_test(beyond_the_horizon), cmocka_unit_test(missing_is_the_own_median), cmocka_unit_test(refusals),
        cmocka_unit_test(nothing_infinite_comes_out), cmocka_unit_test(every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
