/* test_mask.c -- steps that do not count: a cell passes over them as if they were not there, states stand still, y is
 * h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/build_model.h"

enum { T = 9, I = 3, H = 5, KEPT = 5 };
static const int counts[T] = {0, 1, 1, 0, 0, 1, 0, 1, 1}; /* the others are 0.5 throughout */

/* y and the last state of a layer `op`, its mask made from its input or none. */
#define GRAPH(op, inputs, mask, outputs)                                                                               \
    "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":3}],\"graph\":{\"nodes\":[" mask "{\"op\":\"" op              \
    "\",\"name\":\"cell\",\"inputs\":" inputs ",\"outputs\":" outputs "}],\"outputs\":[\"y\"]}," STATES "}"
#define DIFFERS "{\"op\":\"differs\",\"inputs\":[\"x\"],\"outputs\":[\"m\"],\"attributes\":{\"value\":0.5}},"

static void run(const char *config, const float *weights[2], const float *x, size_t steps, float *y, void **state,
                size_t *bytes)
{
    struct model_builder b;
    rnnd_workspace *ws;
    rnnd_error err;
    float alone[T][H];
    bool lstm = strstr(config, "lstm") != NULL;
    builder_init(&b, 3);
    builder_tensor(&b, "w", weights[0], 1, 2, lstm ? 4 * H : 3 * H, I, 0);
    builder_tensor(&b, "u", weights[1], 1, 2, lstm ? 4 * H : 3 * H, H, 0);
    rnnd_model *m = builder_open(&b, config, NULL);
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    rnnd_window window = {.batch = 1, .steps = steps, .inputs = x, .outputs = y};
    if (rnnd_run_window(ws, &window, &err)) fail_msg("%s", err.message);
    *bytes = rnnd_state_bytes(m);
    rnnd_state_reset(m, *state = calloc(1, *bytes));
    for (size_t t = 0; t < steps; t++) {
        rnnd_step_row row = {.state = *state, .input = x + t * I, .output = alone[t]};
        assert_int_equal(rnnd_step(ws, &row, 1, &err), RNND_OK);
    }
    assert_memory_equal(alone, y, steps * H * sizeof *y); /* a step at a time is the window */
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
}

static void passed_over(const char *masked, const char *plain)
{
    struct rng rng;
    float x[T][I], fewer[KEPT][I], w[4 * H * I], u[4 * H * H], y[T][H], wanted[KEPT][H], zeros[H] = {0};
    const float *weights[2] = {w, u};
    void *state[2];
    size_t bytes[2], kept = 0;
    rng_seed(&rng, 9, 1);
    for (size_t i = 0; i < sizeof w / sizeof *w; i++)
        w[i] = rng_between(&rng, -1, 1);
    for (size_t i = 0; i < sizeof u / sizeof *u; i++)
        u[i] = rng_between(&rng, -1, 1);
    for (size_t t = 0; t < T; t++) {
        for (size_t i = 0; i < I; i++)
            x[t][i] = counts[t] && i ? rng_between(&rng, -1, 1) : 0.5f; /* one feature that differs is enough */
        if (counts[t]) memcpy(fewer[kept++], x[t], sizeof x[t]);
    }
    run(masked, weights, x[0], T, y[0], &state[0], &bytes[0]);
    run(plain, weights, fewer[0], KEPT, wanted[0], &state[1], &bytes[1]);
    const float *now = zeros;
    for (size_t t = 0, k = 0; t < T; t++) {
        if (counts[t]) now = wanted[k++];
        assert_memory_equal(y[t], now, sizeof y[t]);
    }
    assert_int_equal(bytes[0], bytes[1]);
    assert_memory_equal((char *)state[0] + 8, (char *)state[1] + 8, bytes[0] - 8); /* but for the number of steps */
    free(state[0]), free(state[1]);
}

static void states_stand_still(void **unused)
{
    (void)unused;
#define STATES "\"states\":[{\"in\":\"h\",\"out\":\"h1\",\"width\":5}]"
    passed_over(GRAPH("gru", "[\"x\",\"h\",\"\",\"w\",\"u\",\"\",\"\",\"\",\"\",\"m\"]", DIFFERS, "[\"y\",\"h1\"]"),
                GRAPH("gru", "[\"x\",\"h\",\"\",\"w\",\"u\"]", "", "[\"y\",\"h1\"]"));
#undef STATES
#define STATES "\"states\":[{\"in\":\"h\",\"out\":\"h1\",\"width\":5},{\"in\":\"c\",\"out\":\"c1\",\"width\":5}]"
    passed_over(
        GRAPH("lstm", "[\"x\",\"h\",\"c\",\"w\",\"u\",\"\",\"\",\"\",\"\",\"m\"]", DIFFERS, "[\"y\",\"h1\",\"c1\"]"),
        GRAPH("lstm", "[\"x\",\"h\",\"c\",\"w\",\"u\"]", "", "[\"y\",\"h1\",\"c1\"]"));
#undef STATES
}

static void rows_times_numbers(void **unused)
{
    (void)unused;
    static const char config[] =
        "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":2},{\"name\":\"m\",\"width\":1}],\"graph\":{\"nodes\":["
        "{\"op\":\"masked\",\"inputs\":[\"x\",\"m\"],\"outputs\":[\"y\"]}],\"outputs\":[\"y\"]}}";
    struct model_builder b;
    rnnd_workspace *ws;
    rnnd_error err;
    const float x[3][3] = {{1, 2, 1}, {3, 4, 0}, {5, 6, -2}}, wanted[3][2] = {{1, 2}, {0, 0}, {-10, -12}};
    float y[3][2];
    builder_init(&b, 5);
    rnnd_model *m = builder_open(&b, config, NULL);
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    rnnd_window window = {.batch = 1, .steps = 3, .inputs = x[0], .outputs = y[0]};
    assert_int_equal(rnnd_run_window(ws, &window, &err), RNND_OK);
    assert_memory_equal(y, wanted, sizeof y);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
}

static void refusals(void **unused)
{
    (void)unused;
#define STATES "\"x_states\":0"
    static const struct {
        const char *config, *says;
    } cases[] = {
        {GRAPH("gru", "[\"x\",\"\",\"\",\"w\",\"u\",\"\",\"\",\"w\"]", "", "[\"y\"]"), "has no input 7"},
        {GRAPH("gru", "[\"x\",\"\",\"\",\"w\",\"u\",\"\",\"\",\"\",\"\",\"x\"]", "", "[\"y\"]"), "one number a step"},
        {GRAPH("gru", "[\"x\",\"\",\"\",\"w\",\"u\",\"\",\"\",\"\",\"\",\"w\"]", "", "[\"y\"]"), "one number a step"},
        {GRAPH("masked", "[\"x\",\"x\"]", "", "[\"y\"]"), "one number for each"},
        {GRAPH("differs", "[\"w\"]", "", "[\"y\"]"), "sequence of rows"},
    };
#undef STATES
    struct model_builder b;
    rnnd_error err;
    builder_init(&b, 5);
    builder_tensor(&b, "w", NULL, 1, 2, 3 * H, I, 0);
    builder_tensor(&b, "u", NULL, 1, 2, 3 * H, H, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        builder_refused(&b, cases[i].config, &err);
        if (!strstr(err.message, cases[i].says)) fail_msg("wanted \"%s\", found: %s", cases[i].says, err.message);
    }
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(states_stand_still), cmocka_unit_test(rows_times_numbers),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
