/* test_graph.c -- graphs: built by hand, from "graph" configurations, wired layers against naive sums; and refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/graph/graph.h"
#include "core/ops/op.h"
#include "tests/lib/build_model.h"

static void run_window(const rnnd_model *m, size_t B, size_t T, const float *x, float *y)
{
    rnnd_workspace *ws;
    rnnd_error err = {0};
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    rnnd_window w = {.batch = B, .steps = T, .inputs = x, .outputs = y};
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
    rnnd_workspace_close(ws);
}

static void close_to(double wanted, float found)
{
    if (!(fabs(wanted - found) <= 1e-5 * fmax(1, fabs(wanted))))
        fail_msg("wanted %.9g, found %.9g", wanted, (double)found);
}

/* A GRU as layers and the same one as nodes answer the same bits; the state is paired by name. */
static void nodes_are_layers(void **unused)
{
    (void)unused;
    struct model_builder b;
    enum { B = 2, T = 5, I = 3, H = 6, O = 2 };
    float x[B * T * I], y[B * T * O], z[B * T * O];
    builder_init(&b, 4);
    builder_torch(&b, "g", 3, I, H, 1, false, 0);
    builder_tensor(&b, "d.weight", NULL, 1, 2, O, H, 0);
    builder_tensor(&b, "d.bias", NULL, 1, 1, O, 0, 0);
    builder_tensor(&b, "h0", NULL, 1, 1, H, 0, 0);
    for (int i = 0; i < B * T * I; i++)
        x[i] = rng_between(&b.rng, -1, 1);
    rnnd_model *layers =
        builder_open(&b,
                     "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":3}],\"layers\":[{\"type\":\"gru\","
                     "\"name\":\"g\",\"hidden\":6,\"initial\":{\"h\":\"h0\"}},{\"type\":\"dense\",\"name\":\"d\","
                     "\"activation\":\"tanh\"}]}",
                     NULL);
    rnnd_model *nodes =
        builder_open(&b,
                     "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":3}],\"graph\":{\"nodes\":["
                     "{\"op\":\"gru\",\"name\":\"G\",\"inputs\":[\"x\",\"h\",\"\",\"g.weight_ih_l0\",\"g.weight_hh_"
                     "l0\",\"g.bias_ih_l0\",\"g.bias_hh_l0\"],"
                     "\"outputs\":[\"y\",\"h1\"],\"attributes\":{\"gate\":\"sigmoid\"}},"
                     "{\"op\":\"dense\",\"inputs\":[\"y\",\"d.weight\",\"d.bias\"],\"outputs\":[\"z\"],\"attributes\":{"
                     "\"activation\":\"tanh\"}}],"
                     "\"outputs\":[\"z\"]},\"states\":[{\"in\":\"h\",\"out\":\"h1\",\"width\":6,\"initial\":\"h0\"}]}",
                     NULL);
    run_window(layers, B, T, x, y);
    run_window(nodes, B, T, x, z);
    assert_memory_equal(y, z, sizeof y);
    assert_int_equal(rnnd_model_info(nodes)->h_width, H);
    assert_true(rnnd_model_info(nodes)->streamable);
    rnnd_model_close(layers);
    rnnd_model_close(nodes);
    builder_free(&b);
}

/* A state that two nodes read is no cell's own: it is copied in and out, and stays right where in and out are one row.
 */
static void shared_states(void **unused)
{
    (void)unused;
    struct model_builder b;
    float w[4], x[6] = {0.5f, 1, -1, 0.25f, 2, -0.5f}, y[6];
    double h = 0;
    builder_init(&b, 4);
    builder_tensor(&b, "w", NULL, 1, 2, 1, 1, 0);
    builder_tensor(&b, "v", NULL, 1, 2, 1, 1, 0);
    w[0] = builder_find(&b, "w")[0];
    w[1] = builder_find(&b, "v")[0];
    rnnd_model *m =
        builder_open(&b,
                     "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":1}],\"graph\":{\"nodes\":["
                     "{\"op\":\"rnn\",\"inputs\":[\"x\",\"h\",\"\",\"w\",\"v\"],\"outputs\":[\"y\",\"h1\"]},"
                     "{\"op\":\"as_step\",\"inputs\":[\"h\"],\"outputs\":[\"before\"]},{\"op\":\"as_step\",\"inputs\":["
                     "\"h1\"],\"outputs\":[\"after\"]},"
                     "{\"op\":\"sub\",\"inputs\":[\"after\",\"before\"],\"outputs\":[\"z\"]}],\"outputs\":[\"z\"]},"
                     "\"output\":\"last\","
                     "\"states\":[{\"in\":\"h\",\"out\":\"h1\",\"width\":1}]}",
                     NULL);
    rnnd_workspace *ws;
    rnnd_error err;
    void *state = malloc(rnnd_state_bytes(m));
    rnnd_state_reset(m, state);
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    for (int t = 0; t < 6; t++) {
        rnnd_step_row row = {state, x + t, y + t, RNND_OK};
        assert_int_equal(rnnd_step(ws, &row, 1, &err), RNND_OK);
        double next = tanh((double)w[0] * x[t] + (double)w[1] * h);
        close_to(next - h, y[t]);
        h = next;
    }
    free(state);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
}

static void refused_graphs(void **unused)
{
    (void)unused;
#define GRAPH(nodes, outputs, states)                                                                                  \
    "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":3}],\"graph\":{\"nodes\":[" nodes "],\"outputs\":" outputs    \
    "}" states "}"
#define DENSE "{\"op\":\"dense\",\"name\":\"D\",\"inputs\":[\"x\",\"w\"],\"outputs\":[\"y\"]}"
#define LAST "{\"op\":\"last\",\"inputs\":[\"x\"],\"outputs\":[\"l\"]}"
    static const struct {
        const char *config, *says;
    } cases[] = {
        {GRAPH("", "[\"y\"]", ""), "nodes"},
        {GRAPH("{\"op\":\"magic\",\"inputs\":[\"x\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""), "magic"},
        {GRAPH("{\"op\":\"dense\",\"inputs\":[\"x\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""), "takes 2 to 3"},
        {GRAPH("{\"op\":\"dense\",\"inputs\":[\"x\",\"\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""), "input 1"},
        {GRAPH("{\"op\":\"dense\",\"inputs\":[\"q\",\"w\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""), "\"q\""},
        {GRAPH("{\"op\":\"dense\",\"inputs\":[\"x\",\"u\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""), "found [4]"},
        {GRAPH("{\"op\":\"dense\",\"inputs\":[\"x\",\"x\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""), "constant"},
        {GRAPH("{\"op\":\"dense\",\"inputs\":[\"x\",\"w\"],\"outputs\":[\"x\"]}", "[\"x\"]", ""), "\"x\""},
        {GRAPH("{\"op\":\"dense\",\"inputs\":[\"x\",\"w\"],\"outputs\":[\"y\",\"z\"]}", "[\"y\"]", ""), "makes 1"},
        {GRAPH("{\"op\":\"dense\",\"name\":\"D\",\"inputs\":[\"x\",\"w\"],\"outputs\":[\"y\"],\"attributes\":{\"act\":"
               "1}}",
               "[\"y\"]", ""),
         "act"},
        {GRAPH(DENSE, "[\"z\"]", ""), "\"z\""},
        {GRAPH(DENSE, "[\"w\"]", ""), "\"w\""},
        {GRAPH(DENSE, "[]", ""), "outputs"},
        {GRAPH(DENSE, "[\"y\"]", ",\"states\":[{\"in\":\"h\",\"out\":\"y\",\"width\":2}]"), "\"h\""},
        {GRAPH(DENSE, "[\"y\"]", ",\"states\":[{\"in\":\"h\",\"out\":\"q\",\"width\":2}]"), "\"q\""},
        {GRAPH(DENSE, "[\"y\"]", ",\"states\":[{\"in\":\"x\",\"out\":\"y\",\"width\":2}]"), "\"x\""},
        {GRAPH(DENSE, "[\"y\"]", ",\"states\":[{\"in\":\"h\",\"out\":\"y\"}]"), "width"},
        {GRAPH("{\"op\":\"lstm\",\"inputs\":[\"x\",\"\",\"\",\"\",\"\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""),
         "weight_ih"},
        {GRAPH("{\"op\":\"lstm\",\"inputs\":[\"x\",\"\",\"\",\"w\",\"w\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""),
         "layer"},
        {GRAPH("{\"op\":\"concat\",\"inputs\":[\"x\",\"w\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""), "rows"},
        {GRAPH("{\"op\":\"embedding\",\"inputs\":[\"x\",\"w\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""), "one id"},
        {GRAPH("{\"op\":\"as_step\",\"inputs\":[\"x\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""), "one row"},
        /* constants in the shape of one sequence's rows: there are more sequences than that */
        {GRAPH(LAST ",{\"op\":\"add\",\"inputs\":[\"l\",\"k\"],\"outputs\":[\"y\"]}", "[\"y\"]",
               ",\"output\":\"last\""),
         "\"k\" is a constant"},
        {GRAPH(LAST ",{\"op\":\"concat\",\"inputs\":[\"k\",\"l\"],\"outputs\":[\"y\"]}", "[\"y\"]",
               ",\"output\":\"last\""),
         "\"k\" is a constant"},
        {GRAPH("{\"op\":\"reverse\",\"inputs\":[\"k\"],\"outputs\":[\"y\"]}", "[\"y\"]", ",\"output\":\"last\""),
         "\"k\" is a constant"},
        {GRAPH("{\"op\":\"rnn\",\"inputs\":[\"x\",\"s\",\"\",\"w\",\"v\"],\"outputs\":[\"y\"]}", "[\"y\"]", ""),
         "\"s\" is a constant"},
        {GRAPH(LAST, "[\"k\"]", ",\"output\":\"last\""), "\"k\""},
    };
    struct model_builder b;
    builder_init(&b, 1);
    builder_tensor(&b, "w", NULL, 1, 2, 2, 3, 0);
    builder_tensor(&b, "u", NULL, 1, 1, 4, 0, 0);
    builder_tensor(&b, "k", NULL, 1, 3, 1, 1, 3);
    builder_tensor(&b, "s", NULL, 1, 2, 1, 2, 0);
    builder_tensor(&b, "v", NULL, 1, 2, 2, 2, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rnnd_error err;
        builder_refused(&b, cases[i].config, &err);
        if (!strstr(err.message, cases[i].says))
            fail_msg("%s\n%s\nwanted: %s", cases[i].config, err.message, cases[i].says);
    }
    builder_free(&b);
}

/* slice, multiply, subtract, norms, softmax and wiring by name, against sums written down here. */
static void wired_layers(void **unused)
{
    (void)unused;
    struct model_builder b;
    enum { T = 4 };
    float x[T][4], y[T][4];
    builder_init(&b, 9);
    builder_tensor(&b, "k.kernel", NULL, 1, 2, 2, 4, 0);
    builder_tensor(&b, "k.bias", NULL, 1, 1, 4, 0, 0);
    builder_tensor(&b, "ln.gamma", NULL, 1, 1, 4, 0, 0);
    builder_tensor(&b, "ln.beta", NULL, 1, 1, 4, 0, 0);
    for (int i = 0; i < T * 4; i++)
        x[i / 4][i % 4] = rng_between(&b.rng, -1, 1);
    rnnd_model *m = builder_open(&b,
                                 "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":4}],\"layers\":["
                                 "{\"type\":\"slice\",\"name\":\"s\",\"start\":1,\"end\":3},{\"type\":\"dense\","
                                 "\"name\":\"k\",\"layout\":\"keras\"},"
                                 "{\"type\":\"layer_norm\",\"name\":\"ln\",\"layout\":\"keras\"},{\"type\":"
                                 "\"multiply\",\"inputs\":[\"ln\",\"x\"],\"name\":\"p\"},"
                                 "{\"type\":\"subtract\",\"inputs\":[\"p\",\"k\"]},{\"type\":\"softmax\"}]}",
                                 NULL);
    run_window(m, 1, T, x[0], y[0]);
    const float *K = builder_find(&b, "k.kernel"), *kb = builder_find(&b, "k.bias"), *g = builder_find(&b, "ln.gamma"),
                *beta = builder_find(&b, "ln.beta");
    for (int t = 0; t < T; t++) {
        double k[4], z[4], mean = 0, var = 0, sum = 0;
        for (int o = 0; o < 4; o++) {
            k[o] = (double)kb[o] + (double)x[t][1] * K[o] + (double)x[t][2] * K[4 + o];
            mean += k[o] / 4;
        }
        for (int o = 0; o < 4; o++)
            var += (k[o] - mean) * (k[o] - mean) / 4;
        for (int o = 0; o < 4; o++) {
            z[o] = ((k[o] - mean) / sqrt(var + 1e-3) * g[o] + beta[o]) * x[t][o] - k[o];
            sum += exp(z[o]);
        }
        for (int o = 0; o < 4; o++)
            close_to(exp(z[o]) / sum, y[t][o]);
    }
    rnnd_model_close(m);
    builder_free(&b);
}

/* "sequences": false is each direction's state after its own last step; "output": "last" is the last row. */
static void two_meanings_of_last(void **unused)
{
    (void)unused;
    struct model_builder b;
    enum { B = 3, T = 6, H = 4 };
    float x[B][T][2], *flat = &x[0][0][0], all[B][T][2 * H], last[B][2 * H], final[B][2 * H];
    builder_init(&b, 2);
    builder_torch(&b, "n", 4, 2, H, 1, true, 0);
    for (int i = 0; i < B * T * 2; i++)
        flat[i] = rng_between(&b.rng, -1, 1);
#define BOTH(more, end)                                                                                                \
    "{\"format\":1,\"inputs\":[{\"width\":2}],\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,"             \
    "\"direction\":\"bidirectional\"" more "}]" end "}"
    rnnd_model *m = builder_open(&b, BOTH("", ""), NULL);
    run_window(m, B, T, x[0][0], all[0][0]);
    assert_false(rnnd_model_info(m)->streamable);
    assert_non_null(strstr(rnnd_model_info(m)->not_streamable, "n_l0_reverse"));
    rnnd_workspace *ws;
    rnnd_error err;
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    rnnd_step_row row = {malloc(rnnd_state_bytes(m)), x[0][0], NULL, RNND_OK};
    rnnd_state_reset(m, row.state);
    assert_int_equal(rnnd_step(ws, &row, 1, &err), RNND_UNSUPPORTED);
    free(row.state);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    m = builder_open(&b, BOTH("", ",\"output\":\"last\""), NULL);
    run_window(m, B, T, x[0][0], last[0]);
    rnnd_model_close(m);
    m = builder_open(&b, BOTH(",\"sequences\":false", ",\"output\":\"last\""), NULL);
    run_window(m, B, T, x[0][0], final[0]);
    rnnd_model_close(m);
    for (int i = 0; i < B; i++) {
        assert_memory_equal(last[i], all[i][T - 1], sizeof last[i]);
        assert_memory_equal(final[i], all[i][T - 1], H * sizeof(float));
        assert_memory_equal(final[i] + H, all[i][0] + H, H * sizeof(float));
    }
    builder_free(&b);
}

/* Many sizes through one run: what was planned is enough for less, and more grows it. */
static void runs_of_any_size(void **unused)
{
    (void)unused;
    struct model_builder b;
    struct rng rng;
    rng_seed(&rng, 5, 1);
    builder_init(&b, 2);
    builder_torch(&b, "n", 3, 2, 5, 2, false, 0);
    rnnd_model *m =
        builder_open(&b,
                     "{\"format\":1,\"inputs\":[{\"width\":2}],\"layers\":[{\"type\":\"gru\",\"name\":\"n\","
                     "\"hidden\":5,\"layers\":2}]}",
                     NULL);
    rnnd_workspace *ws;
    rnnd_error err = {0};
    assert_int_equal(rnnd_workspace_open(m, 3, &ws, &err), RNND_OK);
    for (int round = 0; round < 60; round++) {
        size_t B = 1 + rng_u32(&rng) % 150, T = 1 + rng_u32(&rng) % 150;
        float *x = calloc(B * T * 2, sizeof *x), *y = malloc(B * T * 5 * sizeof *y);
        rnnd_window w = {.batch = B, .steps = T, .inputs = x, .outputs = y};
        if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
        for (size_t i = 1; i < B; i++)
            assert_memory_equal(y, y + i * T * 5, T * 5 * sizeof *y);
        free(x);
        free(y);
    }
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_are_layers), cmocka_unit_test(shared_states),        cmocka_unit_test(refused_graphs),
        cmocka_unit_test(wired_layers),     cmocka_unit_test(two_meanings_of_last), cmocka_unit_test(runs_of_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
