/* test_target.c -- series models that answer some of their channels: against numbers by hand, and against a model of
 * the same weights that answers all of them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/build_model.h"

enum { C = 3, H = 6, HORIZON = 2, LEVELS = 3, STEPS = 12 };

static const char channels[] = "{\"name\":\"east\",\"scaler\":{\"type\":\"standard\",\"mean\":10,\"std\":4}},"
                               "{\"name\":\"north\",\"scaler\":{\"type\":\"minmax\",\"min\":-5,\"max\":15}},"
                               "{\"name\":\"west\",\"scaler\":{\"type\":\"log1p\",\"unit\":3,\"shift\":1,\"scale\":2},"
                               "\"min\":0}";

/* A GRU with a head; of the head's rows [horizon][level][channel] those of the given channels, in this order. */
static rnnd_model *open_model(const char *target, const size_t *which, size_t count)
{
    struct model_builder b;
    char text[TEXT] = "";
    builder_init(&b, 21);
    builder_torch(&b, "gru", 3, C, H, 1, false, 0);
    const float *weight = builder_tensor(&b, "all.weight", NULL, 0.5f, 2, HORIZON * LEVELS * C, H, 0);
    const float *bias = builder_tensor(&b, "all.bias", NULL, 0.5f, 1, HORIZON * LEVELS * C, 0, 0);
    float w[HORIZON * LEVELS * C * H], v[HORIZON * LEVELS * C];
    for (size_t i = 0; i < HORIZON * LEVELS; i++)
        for (size_t k = 0; k < count; k++) {
            memcpy(w + (i * count + k) * H, weight + (i * C + which[k]) * H, H * sizeof *w);
            v[i * count + k] = bias[i * C + which[k]];
        }
    builder_tensor(&b, "head.weight", w, 0, 2, HORIZON * LEVELS * count, H, 0);
    builder_tensor(&b, "head.bias", v, 0, 1, HORIZON * LEVELS * count, 0, 0);
    text_add(text,
             "{\"format\":1,\"name\":\"some\",\"task\":\"series\",\"inputs\":[{\"name\":\"x\",\"width\":3}],"
             "\"layers\":[{\"type\":\"gru\",\"name\":\"gru\",\"hidden\":%d},{\"type\":\"dense\",\"name\":\"head\"}],"
             "\"series\":{\"channels\":[%s],\"horizon\":%d,\"quantiles\":[0.1,0.5,0.9],\"running\":{\"decay\":0.9},"
             "\"residual\":true,\"baseline\":{\"type\":\"last\"}%s}}",
             H, channels, HORIZON, target);
    rnnd_model *m = builder_open(&b, text, NULL);
    builder_free(&b);
    return m;
}

struct session {
    const rnnd_model *model;
    rnnd_workspace *ws;
    void *state;
    float output[C];
};

static void start(struct session *s, const rnnd_model *m)
{
    s->model = m;
    s->state = calloc(1, rnnd_state_bytes(m));
    assert_int_equal(rnnd_workspace_open(m, 8, &s->ws, NULL), RNND_OK);
    rnnd_state_reset(m, s->state);
}

static void end(struct session *s)
{
    rnnd_workspace_close(s->ws);
    free(s->state);
}

static void step(struct session *s, float a, float b, float c)
{
    const float x[C] = {a, b, c};
    rnnd_error err;
    if (rnnd_step(s->ws, &(rnnd_step_row){.state = s->state, .input = x, .output = s->output}, 1, &err))
        fail_msg("%s", err.message);
}

static void feed(struct session *s)
{
    for (int t = 0; t < STEPS; t++)
        step(s, 10 + 4 * sinf(0.7f * (float)t), (float)(t % 5), 3 + (float)(t * t % 7));
}

struct answer {
    float mean[8 * C], quantiles[2 * 8 * C], samples[4 * 8 * C];
};

static const float *future; /* [future_steps][C] of what is asked next */
static size_t future_steps;

static rnnd_code ask(struct session *s, size_t horizon, size_t samples, struct answer *a, rnnd_error *err)
{
    static const float quantiles[] = {0.5f, 0.9f};
    rnnd_forecast_params p = {.horizon = horizon,
                              .quantiles = quantiles,
                              .quantile_count = 2,
                              .samples = samples,
                              .seed = 5,
                              .future = future,
                              .future_steps = future_steps};
    rnnd_forecast *f;
    bool done = false;
    memset(a, 0, sizeof *a);
    rnnd_code code = rnnd_forecast_open(s->model, s->state, &p, &f, err);
    while (!code && !done)
        code = rnnd_forecast_work(f, s->ws, 3, &done, err);
    if (!code)
        code = rnnd_forecast_read(f, &(rnnd_forecast_out){a->mean, a->quantiles, samples ? a->samples : NULL}, err);
    rnnd_forecast_close(f);
    return code;
}

/* The chosen columns of rows of C. */
static void columns_equal(const float *some, const float *all, size_t rows, const size_t *which, size_t count)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < count; k++)
            assert_memory_equal(&some[i * count + k], &all[i * C + which[k]], sizeof(float));
}

static const size_t every[C] = {0, 1, 2};

static void answers_are_those_of_the_whole(void **state)
{
    static const struct {
        const char *target;
        size_t which[C], count;
    } cases[] = {
        {",\"target\":\"north\"", {1}, 1},
        {",\"target\":[\"west\"]", {2}, 1},
        {",\"target\":[\"west\",\"east\"]", {2, 0}, 2},
        {",\"target\":[\"north\",\"west\",\"east\"]", {1, 2, 0}, 3},
    };
    rnnd_model *whole = open_model("", every, C);
    struct session all, s;
    struct answer a, b;
    (void)state;
    start(&all, whole);
    feed(&all);
    assert_int_equal(ask(&all, HORIZON, 0, &a, NULL), RNND_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = cases[i].count;
        rnnd_model *m = open_model(cases[i].target, cases[i].which, n);
        const rnnd_info *info = rnnd_model_info(m);
        assert_int_equal(info->channel_count, C);
        assert_int_equal(info->target_count, n);
        assert_string_equal(info->targets[n - 1], info->channels[cases[i].which[n - 1]]);
        assert_int_equal(info->input_width, C);
        assert_int_equal(info->output_width, n);
        start(&s, m);
        feed(&s);
        columns_equal(s.output, all.output, 1, cases[i].which, n);
        assert_int_equal(ask(&s, HORIZON, 0, &b, NULL), RNND_OK);
        columns_equal(b.mean, a.mean, HORIZON, cases[i].which, n);
        columns_equal(b.quantiles, a.quantiles, 2 * HORIZON, cases[i].which, n);
        end(&s);
        rnnd_model_close(m);
    }
    end(&all);
    rnnd_model_close(whole);
}

/* All channels in another order can be fed their own medians. */
static void another_order_goes_beyond(void **state)
{
    static const size_t which[C] = {2, 0, 1};
    rnnd_model *whole = open_model("", every, C);
    rnnd_model *m = open_model(",\"target\":[\"west\",\"east\",\"north\"]", which, C);
    struct session all, s;
    struct answer a, b;
    (void)state;
    start(&all, whole);
    start(&s, m);
    feed(&all);
    feed(&s);
    assert_int_equal(ask(&all, 7, 0, &a, NULL), RNND_OK);
    assert_int_equal(ask(&s, 7, 4, &b, NULL), RNND_OK);
    columns_equal(b.mean, a.mean, 7, which, C);
    columns_equal(b.quantiles, a.quantiles, 14, which, C);
    for (size_t i = 0; i < 4 * 7; i++)
        assert_true(b.samples[i * C] >= 0); /* west's bound, in west's place */
    end(&all);
    end(&s);
    rnnd_model_close(whole);
    rnnd_model_close(m);
}

static void what_it_cannot_know_is_refused(void **state)
{
    rnnd_model *m = open_model(",\"target\":\"east\"", every, 1);
    struct session s;
    struct answer a;
    rnnd_error err;
    (void)state;
    start(&s, m);
    feed(&s);
    assert_int_equal(ask(&s, HORIZON + 1, 0, &a, &err), RNND_MISMATCH);
    assert_string_equal(err.param, "future");
    assert_non_null(strstr(err.message, "1 of its 3 channels, 2 steps ahead"));
    assert_non_null(strstr(err.message, "next 2 values are needed as \"future\", given are 0"));
    assert_int_equal(ask(&s, 2, 1, &a, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "next 1 values are needed as \"future\", given are 0"));
    assert_int_equal(ask(&s, 1, 4, &a, &err), RNND_OK);
    assert_true(a.samples[0] != a.samples[1]);
    end(&s);
    rnnd_model_close(m);
}

/* Told the others' future, it answers what the whole model does that made it up. */
static void a_known_future_goes_beyond(void **state)
{
    static const size_t north = 1;
    rnnd_model *whole = open_model("", every, C), *m = open_model(",\"target\":\"north\"", &north, 1);
    struct session all, s;
    struct answer a, b, c;
    rnnd_error err;
    float known[6 * C];
    (void)state;
    start(&all, whole);
    start(&s, m);
    feed(&all);
    feed(&s);
    assert_int_equal(ask(&all, 7, 0, &a, NULL), RNND_OK);
    memcpy(known, a.quantiles, sizeof known); /* its medians */
    for (size_t t = 0; t < 6; t++)
        known[t * C + north] = NAN;
    future = known, future_steps = 6;
    assert_int_equal(ask(&s, 7, 0, &b, NULL), RNND_OK);
    columns_equal(b.mean, a.mean, 7, &north, 1);
    columns_equal(b.quantiles, a.quantiles, 14, &north, 1);
    assert_int_equal(ask(&s, 7, 4, &c, NULL), RNND_OK);
    assert_memory_equal(b.mean, c.mean, 7 * sizeof(float));
    assert_true(c.samples[6] != c.samples[7 + 6]);
    assert_int_equal(ask(&s, 8, 0, &c, NULL), RNND_OK); /* its last block is not fed */
    assert_int_equal(ask(&s, 9, 0, &c, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "next 8 values are needed as \"future\", given are 6"));
    known[4 * C] = NAN;
    assert_int_equal(ask(&s, 7, 0, &c, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "'east' lacks step 5 of 6"));
    assert_int_equal(ask(&s, 6, 0, &c, NULL), RNND_OK);
    known[0] = INFINITY;
    assert_int_equal(ask(&s, 1, 0, &c, &err), RNND_MISMATCH);
    future = NULL, future_steps = 0;
    end(&all);
    end(&s);
    rnnd_model_close(whole);
    rnnd_model_close(m);
}

/* Where all of the next rows are known, what follows them is what follows steps through them. */
static void known_rows_are_steps(void **state)
{
    static const size_t west = 2;
    static const float known[HORIZON * C] = {9, 1, 4, 13, 2, 0.5f};
    rnnd_model *m = open_model(",\"target\":[\"west\"]", &west, 1);
    struct session s;
    struct answer ahead, after;
    (void)state;
    start(&s, m);
    feed(&s);
    future = known, future_steps = HORIZON;
    assert_int_equal(ask(&s, 2 * HORIZON, 0, &ahead, NULL), RNND_OK);
    future = NULL, future_steps = 0;
    for (size_t t = 0; t < HORIZON; t++)
        step(&s, known[t * C], known[t * C + 1], known[t * C + 2]);
    assert_int_equal(ask(&s, HORIZON, 0, &after, NULL), RNND_OK);
    assert_memory_equal(ahead.mean + HORIZON, after.mean, HORIZON * sizeof(float));
    end(&s);
    rnnd_model_close(m);
}

/* A gap in a channel that nobody answers is filled with its newest value; in one that is answered, by the answer. */
static void gaps(void **state)
{
    static const size_t north = 1;
    rnnd_model *m = open_model(",\"target\":\"north\"", &north, 1);
    struct session s, t;
    (void)state;
    start(&s, m);
    start(&t, m);
    step(&s, 8, 3, 2);
    step(&t, 8, 3, 2);
    step(&s, NAN, 4, NAN);
    step(&t, 8, 4, 2);
    assert_memory_equal(s.output, t.output, sizeof(float));
    assert_int_equal(rnnd_state_imputed(m, s.state), 2);
    struct answer a;
    assert_int_equal(ask(&s, 1, 0, &a, NULL), RNND_OK);
    step(&s, 9, NAN, 2);
    step(&t, 9, 4, 2);
    assert_memory_not_equal(s.output, t.output, sizeof(float)); /* it was not the newest value */
    end(&s);
    end(&t);
    rnnd_model_close(m);
}

/* One layer, two steps of "north" from three channels: scaled, multiplied, scaled back. */
static void by_hand(void **state)
{
    static const float w[2][C] = {{0.5f, 1, 0.25f}, {-1, 2, 0.5f}}, bias[2] = {0.125f, -0.25f};
    struct model_builder b;
    char text[TEXT] = "";
    struct session s;
    rnnd_forecast *f;
    rnnd_forecast_params p = {.horizon = 2};
    float mean[2];
    bool done = false;
    (void)state;
    builder_init(&b, 1);
    builder_tensor(&b, "head.weight", &w[0][0], 0, 2, 2, C, 0);
    builder_tensor(&b, "head.bias", bias, 0, 1, 2, 0, 0);
    text_add(text,
             "{\"format\":1,\"task\":\"series\",\"inputs\":[{\"name\":\"x\",\"width\":3}],"
             "\"layers\":[{\"type\":\"dense\",\"name\":\"head\"}],"
             "\"series\":{\"channels\":[%s],\"target\":\"north\",\"horizon\":2}}",
             channels);
    rnnd_model *m = builder_open(&b, text, NULL);
    start(&s, m);
    step(&s, 12, 5, 3 * (expf(3) - 1));
    /* scaled: (12 - 10) / 4 = 0.5; (5 + 5) / 20 = 0.5; (3 - 1) / 2 = 1
     * step 1: 0.5 0.5 + 0.5 + 0.25 + 0.125 = 1.125;  step 2: -0.5 + 1 + 0.5 - 0.25 = 0.75; back: 20 y - 5 */
    assert_int_equal(rnnd_forecast_open(m, s.state, &p, &f, NULL), RNND_OK);
    assert_int_equal(rnnd_forecast_work(f, s.ws, 1, &done, NULL), RNND_OK);
    assert_true(done);
    assert_int_equal(rnnd_forecast_read(f, &(rnnd_forecast_out){.mean = mean}, NULL), RNND_OK);
    assert_true(fabsf(mean[0] - 17.5f) < 1e-5f && fabsf(mean[1] - 10) < 1e-5f);
    assert_true(fabsf(s.output[0] - 17.5f) < 1e-5f);
    rnnd_forecast_close(f);
    end(&s);
    rnnd_model_close(m);
    builder_free(&b);
}

static void targets_that_are_none(void **state)
{
    static const char *const cases[][2] = {
        {"\"south\"", "\"south\", which is none"},
        {"[]", "or a list of them"},
        {"7", "or a list of them"},
        {"[\"east\",7]", "or a list of them"},
        {"[\"east\",\"east\"]", "twice"},
        {"[\"east\",\"west\"]", "6 numbers a step"}, /* the network has those of one */
    };
    struct model_builder b;
    rnnd_error err;
    (void)state;
    builder_init(&b, 1);
    builder_tensor(&b, "head.weight", NULL, 1, 2, 6, C, 0);
    builder_tensor(&b, "head.bias", NULL, 1, 1, 6, 0, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[TEXT] = "";
        text_add(text,
                 "{\"format\":1,\"task\":\"series\",\"inputs\":[{\"name\":\"x\",\"width\":3}],"
                 "\"layers\":[{\"type\":\"dense\",\"name\":\"head\"}],"
                 "\"series\":{\"channels\":[%s],\"target\":%s,\"horizon\":6}}",
                 channels, cases[i][0]);
        assert_int_equal(builder_refused(&b, text, &err), RNND_MISMATCH);
        assert_string_equal(err.param, "target");
        if (!strstr(err.message, cases[i][1])) fail_msg("%s: %s", cases[i][0], err.message);
    }
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_the_whole),
        cmocka_unit_test(another_order_goes_beyond),
        cmocka_unit_test(what_it_cannot_know_is_refused),
        cmocka_unit_test(a_known_future_goes_beyond),
        cmocka_unit_test(known_rows_are_steps),
        cmocka_unit_test(gaps),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(targets_that_are_none),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
