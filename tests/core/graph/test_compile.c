/* test_compile.c -- which graphs carry their state: those whose steps say what a window says; and what the others are
 * told. Windows of every kind of graph are compared with steps, beyond the sizes in which windows are cut. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/build_model.h"

enum { WIDTH = 4, LONGEST = 1030, SLIDING = 600 };

#define CELL(name, x, h, w, y, h_next)                                                                                 \
    "{\"op\":\"rnn\",\"name\":\"" name "\",\"inputs\":[\"" x "\",\"" h "\",\"\",\"" w "\",\"w_hh\"],"                  \
    "\"outputs\":[\"" y "\",\"" h_next "\"]}"
#define NODE(op, x, y) ",{\"op\":\"" op "\",\"inputs\":[\"" x "\"],\"outputs\":[\"" y "\"]}"
#define STATE(in, out) "{\"in\":\"" in "\",\"out\":\"" out "\",\"width\":4}"
#define GRAPH(rest, nodes, output, states)                                                                             \
    "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":1}]" rest ",\"graph\":{\"nodes\":[" nodes "],"                \
    "\"outputs\":[\"" output "\"]}" states "}"
#define LAST ",\"output\":\"last\""
#define STATES(list) ",\"states\":[" list "]"
#define A CELL("a", "x", "h", "w1", "y", "hn")
#define ELMAN                                                                                                          \
    "{\"op\":\"as_step\",\"inputs\":[\"h\"],\"outputs\":[\"before\"]},{\"op\":\"concat\",\"inputs\":[\"x\","           \
    "\"before\"],\"outputs\":[\"both\"]},{\"op\":\"dense\",\"inputs\":[\"both\",\"w5\"],\"outputs\":[\"y\"],"          \
    "\"attributes\":{\"activation\":\"tanh\"}}"

static const struct {
    const char *what, *config;
    const char *refused; /* said of carrying; NULL: it carries */
} graphs[] = {
    {"a cell with its state", GRAPH("", A, "y", STATES(STATE("h", "hn"))), NULL},
    {"two cells, a state each",
     GRAPH("", A "," CELL("b", "y", "g", "w4", "z", "gn"), "z", STATES(STATE("h", "hn") "," STATE("g", "gn"))), NULL},
    {"the last step as the answer", GRAPH(LAST, A, "y", STATES(STATE("h", "hn"))), NULL},
    {"the last h as the answer", GRAPH(LAST, A NODE("as_step", "hn", "z"), "z", STATES(STATE("h", "hn"))), NULL},
    {"an LSTM",
     GRAPH("", "{\"op\":\"lstm\",\"inputs\":[\"x\",\"h\",\"c\",\"l1\",\"l4\"],\"outputs\":[\"y\",\"hn\",\"cn\"]}", "y",
           STATES(STATE("h", "hn") ",{\"in\":\"c\",\"out\":\"cn\",\"width\":4,\"kind\":\"c\"}")),
     NULL},
    /* functions of one step */
    {"a state that is computed from h",
     GRAPH("", A NODE("softmax", "hn", "m"), "y", STATES(STATE("h", "m"))), NULL},
    {"a state that is read beside its cell",
     GRAPH("", A NODE("softmax", "h", "m") NODE("as_step", "m", "z"), "z", STATES(STATE("h", "hn"))), NULL},
    {"the same, its last step", GRAPH(LAST, A NODE("softmax", "h", "m") NODE("as_step", "m", "z"), "z",
                                      STATES(STATE("h", "hn"))),
     NULL},
    {"a cell of simpler ops", GRAPH("", ELMAN, "y", STATES(STATE("h", "y"))), NULL},
    {"the same, its last step", GRAPH(LAST, ELMAN, "y", STATES(STATE("h", "y"))), NULL},
    {"an LSTM on one state",
     GRAPH("", "{\"op\":\"lstm\",\"inputs\":[\"x\",\"h\",\"h\",\"l1\",\"l4\"],\"outputs\":[\"y\",\"hn\",\"cn\"]}", "y",
           STATES(STATE("h", "cn"))),
     NULL},
    /* those for windows */
    {"a cell without a state", GRAPH("", CELL("a", "x", "", "w1", "y", ""), "y", ""), "having no state of its own"},
    {"a cell that begins with another's end",
     GRAPH("", A "," CELL("b", "y", "hn", "w4", "z", ""), "z", STATES(STATE("h", "hn"))),
     "\"b\" begins every window from another value"},
    {"a cell that sees the last step alone",
     GRAPH(LAST, A NODE("last", "y", "l") "," CELL("b", "l", "g", "w4", "z", "gn"), "z",
           STATES(STATE("h", "hn") "," STATE("g", "gn"))),
     "\"b\" is fed the last step of a window alone"},
    {"a cell behind another's last h",
     GRAPH(LAST, A NODE("as_step", "hn", "l") "," CELL("b", "l", "g", "w4", "z", "gn"), "z",
           STATES(STATE("h", "hn") "," STATE("g", "gn"))),
     "\"b\" is fed the last step of a window alone"},
    {"a sequence turned round", GRAPH("", A NODE("reverse", "y", "z"), "z", STATES(STATE("h", "hn"))),
     "\"reverse\" reads whole sequences"},
    {"a cell that goes back",
     GRAPH("", "{\"op\":\"rnn\",\"name\":\"r\",\"inputs\":[\"x\",\"h\",\"\",\"w1\",\"w_hh\"],\"outputs\":[\"y\","
               "\"hn\"],\"attributes\":{\"reverse\":true}}", "y", STATES(STATE("h", "hn"))),
     "\"r\" reads whole sequences"},
    {"the same, its last step",
     GRAPH(LAST, "{\"op\":\"rnn\",\"name\":\"r\",\"inputs\":[\"x\",\"h\",\"\",\"w1\",\"w_hh\"],\"outputs\":[\"y\","
                 "\"hn\"],\"attributes\":{\"reverse\":true}}", "y", STATES(STATE("h", "hn"))),
     "\"r\" reads whole sequences"},
};

static void weights(struct model_builder *b)
{
    builder_init(b, 6);
    builder_tensor(b, "w1", NULL, 0.6f, 2, WIDTH, 1, 0);
    builder_tensor(b, "w4", NULL, 0.6f, 2, WIDTH, WIDTH, 0);
    builder_tensor(b, "w_hh", NULL, 0.6f, 2, WIDTH, WIDTH, 0);
    builder_tensor(b, "l1", NULL, 0.6f, 2, 4 * WIDTH, 1, 0);
    builder_tensor(b, "l4", NULL, 0.6f, 2, 4 * WIDTH, WIDTH, 0);
    const float *x = builder_find(b, "w1"), *h = builder_find(b, "w_hh");
    float *both = builder_tensor(b, "w5", NULL, 0, 2, WIDTH, 1 + WIDTH, 0);
    for (int u = 0; u < WIDTH; u++) {
        both[u * (1 + WIDTH)] = x[u];
        memcpy(both + u * (1 + WIDTH) + 1, h + u * WIDTH, WIDTH * sizeof *h);
    }
}

/* y [batch][steps or 1][WIDTH] and hn, by one window */
static void run_window(const rnnd_model *m, size_t batch, size_t steps, const float *x, float *y, float *hn)
{
    rnnd_workspace *ws;
    rnnd_error err = {0};
    rnnd_window w = {.batch = batch, .steps = steps, .inputs = x, .outputs = y, .hn = hn};
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
    rnnd_workspace_close(ws);
}

/* y [steps][WIDTH] of one sequence; hn NULL in sliding mode */
static void run_steps(const rnnd_model *m, size_t steps, const float *x, float *y, float *hn)
{
    rnnd_workspace *ws;
    rnnd_error err = {0};
    void *state = malloc(rnnd_state_bytes(m));
    rnnd_state_reset(m, state);
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    for (size_t t = 0; t < steps; t++) {
        rnnd_step_row row = {.state = state, .input = x + t, .output = y + t * WIDTH};
        if (rnnd_step(ws, &row, 1, &err)) fail_msg("%s", err.message);
    }
    if (hn) assert_int_equal(rnnd_state_get_hc(m, state, hn, NULL, &err), RNND_OK);
    rnnd_workspace_close(ws);
    free(state);
}

static void fill(struct rng *rng, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = rng_between(rng, -2, 2);
}

static void compare(const char *what, size_t batch, size_t steps, const float *wanted, const float *found, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(wanted + i, found + i, sizeof *found) != 0)
            fail_msg("%s, %zu x %zu: number %zu is %.9g, wanted %.9g", what, batch, steps, i, (double)found[i],
                     (double)wanted[i]);
}

/* Steps and windows of a graph that carries: every row and the states left behind, bit by bit. */
static void check_carried(const char *what, const rnnd_model *m, struct rng *rng)
{
    static const size_t sizes[][2] = {{1, 1},   {1, 2},   {3, 5},   {1, 127}, {2, 129},  {1, 511},  {1, 512},
                                      {1, 513}, {3, 171}, {5, 206}, {66, 9},  {2, LONGEST}, {1, LONGEST}};
    static float x[2 * LONGEST], y[2 * LONGEST * WIDTH], z[LONGEST * WIDTH], hn[2 * 66 * WIDTH], h[2 * WIDTH];
    bool last = rnnd_model_info(m)->output_last;
    size_t layers = rnnd_model_info(m)->state_layers;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t B = sizes[i][0], T = sizes[i][1], kept = last ? 1 : T;
        fill(rng, x, B * T);
        run_window(m, B, T, x, y, hn);
        for (size_t b = 0; b < B; b++) {
            run_steps(m, T, x + b * T, z, h);
            compare(what, B, T, z + (T - kept) * WIDTH, y + b * kept * WIDTH, kept * WIDTH);
            for (size_t k = 0; k < layers; k++)
                compare("its last h", B, T, h + k * WIDTH, hn + (k * B + b) * WIDTH, WIDTH);
        }
    }
}

/* A session that slides answers what the window of all its rows says at its last step. */
static void check_sliding(const char *what, struct model_builder *b, const char *config, struct rng *rng)
{
    static const size_t sizes[] = {1, 2, 7, 511, 512, 513, SLIDING};
    static float x[3 * SLIDING], y[3 * SLIDING * WIDTH], z[SLIDING * WIDTH];
    char text[TEXT] = "";
    text_add(text, "{\"mode\":\"sliding\",\"window\":%d,%s", SLIDING, config + 1);
    rnnd_model *m = builder_open(b, text, NULL);
    bool last = rnnd_model_info(m)->output_last;
    assert_true(rnnd_model_info(m)->streamable);
    fill(rng, x, 3 * SLIDING);
    run_steps(m, SLIDING, x, z, NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t T = sizes[i];
        run_window(m, 1, T, x, y, NULL);
        compare(what, 1, T, z + (T - 1) * WIDTH, last ? y : y + (T - 1) * WIDTH, WIDTH);
        memmove(x + T, x, T * sizeof *x); /* a second sequence, the same as the first */
        run_window(m, 2, T, x, y, NULL);
        compare(what, 2, T, y, y + (last ? 1 : T) * WIDTH, (last ? 1 : T) * WIDTH);
        compare(what, 2, T, z + (T - 1) * WIDTH, last ? y : y + (T - 1) * WIDTH, WIDTH);
        fill(rng, x + T, 3 * SLIDING - T);
        run_steps(m, SLIDING, x, z, NULL);
    }
    rnnd_model_close(m);
}

static void graphs_carry_where_steps_say_what_a_window_says(void **unused)
{
    (void)unused;
    struct model_builder b;
    struct rng rng;
    weights(&b);
    rng_seed(&rng, 31, 1);
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++) {
        rnnd_model *m = builder_open(&b, graphs[i].config, NULL);
        const rnnd_info *info = rnnd_model_info(m);
        if (info->streamable != !graphs[i].refused) fail_msg("%s: streamable is %d", graphs[i].what, info->streamable);
        if (graphs[i].refused && !strstr(info->not_streamable, graphs[i].refused))
            fail_msg("%s: %s", graphs[i].what, info->not_streamable);
        if (info->streamable)
            check_carried(graphs[i].what, m, &rng);
        else
            check_sliding(graphs[i].what, &b, graphs[i].config, &rng);
        rnnd_model_close(m);
    }
    builder_free(&b);
}

/* A step function slides too: its window is its steps from the initial state. */
static void step_functions_slide(void **unused)
{
    (void)unused;
    struct model_builder b;
    struct rng rng;
    weights(&b);
    rng_seed(&rng, 32, 1);
    check_sliding("elman", &b, GRAPH("", ELMAN, "y", STATES(STATE("h", "y"))), &rng);
    check_sliding("elman, last", &b, GRAPH(LAST, ELMAN, "y", STATES(STATE("h", "y"))), &rng);
    builder_free(&b);
}

/* A cell written as concat, dense and tanh is the cell, and a state may be another's past. */
static void step_functions_against_oracles(void **unused)
{
    (void)unused;
    enum { T = 700 };
    static float x[T], y[T * WIDTH], z[T * WIDTH];
    struct model_builder b;
    weights(&b);
    fill(&b.rng, x, T);
    rnnd_model *cell = builder_open(&b, GRAPH("", A, "y", STATES(STATE("h", "hn"))), NULL);
    rnnd_model *ops = builder_open(&b, GRAPH("", ELMAN, "y", STATES(STATE("h", "y"))), NULL);
    run_window(cell, 1, T, x, y, NULL);
    run_window(ops, 1, T, x, z, NULL);
    for (int i = 0; i < T * WIDTH; i++)
        if (!(fabsf(y[i] - z[i]) <= 1e-5f)) fail_msg("number %d is %.9g, wanted %.9g", i, (double)z[i], (double)y[i]);
    rnnd_model_close(cell);
    rnnd_model_close(ops);
    rnnd_model *delay = builder_open(
        &b,
        "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":1}],\"graph\":{\"nodes\":["
        "{\"op\":\"as_step\",\"inputs\":[\"one\"],\"outputs\":[\"a\"]},{\"op\":\"as_step\",\"inputs\":[\"two\"],"
        "\"outputs\":[\"b\"]},{\"op\":\"concat\",\"inputs\":[\"x\",\"x\",\"a\",\"b\"],\"outputs\":[\"y\"]}],"
        "\"outputs\":[\"y\"]},\"states\":[{\"in\":\"one\",\"out\":\"x\",\"width\":1,\"kind\":\"x\"},"
        "{\"in\":\"two\",\"out\":\"one\",\"width\":1,\"kind\":\"x\"}]}",
        NULL);
    run_window(delay, 1, T, x, y, NULL);
    run_steps(delay, T, x, z, NULL);
    for (int t = 0; t < T; t++) {
        const float wanted[WIDTH] = {x[t], x[t], t > 0 ? x[t - 1] : 0, t > 1 ? x[t - 2] : 0};
        compare("a delay line", 1, T, wanted, y + t * WIDTH, WIDTH);
        compare("a delay line, stepped", 1, T, wanted, z + t * WIDTH, WIDTH);
    }
    rnnd_model_close(delay);
    builder_free(&b);
}

static void refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *config, *first, *second;
    } cases[] = {
        {GRAPH("", A "," CELL("b", "y", "h", "w4", "z", ""), "z", STATES(STATE("h", "hn"))), "\"a\"", "\"b\""},
        {GRAPH("", CELL("a", "x", "", "w1", "y", "hn"), "y", STATES(STATE("h", "hn"))), "\"h\"", "nothing reads it"},
        {GRAPH("", A NODE("softmax", "hn", "m") NODE("reverse", "y", "z"), "z", STATES(STATE("h", "m"))), "\"reverse\"",
         "function of one step"},
        {GRAPH("", A NODE("as_step", "hn", "z"), "z", STATES(STATE("h", "hn"))), "\"z\"", "\"last\""},
        {GRAPH("", "{\"op\":\"rnn\",\"inputs\":[\"x\",\"h\",\"c\",\"w1\",\"w_hh\"],\"outputs\":[\"y\",\"hn\"]}", "y",
               STATES(STATE("h", "hn") "," STATE("c", "hn"))), "rnn has no c", "input 2"},
    };
    struct model_builder b;
    rnnd_error err;
    weights(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(builder_refused(&b, cases[i].config, &err), RNND_MISMATCH);
        if (!strstr(err.message, cases[i].first) || !strstr(err.message, cases[i].second))
            fail_msg("%s\n%s", cases[i].config, err.message);
    }
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_carry_where_steps_say_what_a_window_says), cmocka_unit_test(step_functions_slide),
        cmocka_unit_test(step_functions_against_oracles), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
