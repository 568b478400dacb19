/* test_streamline.c -- sequence networks in tensor graphs: the same answers, and none found where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/rng.h"
#include "core/graph/graph.h"
#include "core/graph/streamline.h"
#include "core/ops/op.h"
#include "tests/lib/build_model.h"

enum { B = 3, T = 5, F = 4, H = 6, O = 2 };

struct net {
    struct graph g;
    struct rng rng;
};

static int floats(struct net *n, const char *name, int rank, size_t d0, size_t d1, size_t d2)
{
    const size_t dim[] = {d0, d1, d2};
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dim[i];
    float *f = malloc(count * sizeof *f);
    for (size_t i = 0; i < count; i++)
        f[i] = rng_between(&n->rng, -0.6f, 0.6f);
    int v = graph_constant(&n->g, name, DTYPE_F32, rank, dim, f);
    free(f);
    return v;
}

static int ints(struct net *n, const char *name, size_t count, const int64_t *v)
{
    return graph_constant(&n->g, name, DTYPE_I64, 1, &count, v);
}

/* A node; returns its output number `out`. */
static int node(struct net *n, const char *op, int count, const int *in, int outputs, int out)
{
    static int number;
    char name[32];
    int made[3];
    snprintf(name, sizeof name, "%s_%d", op, number++);
    for (int i = 0; i < outputs; i++)
        made[i] = graph_value(&n->g, name);
    struct graph_node *node = graph_node(&n->g, op_find(op), name, count, outputs);
    assert_non_null(node);
    memcpy(node->inputs, in, (size_t)count * sizeof *in);
    memcpy(node->outputs, made, (size_t)outputs * sizeof *made);
    return made[out];
}

static struct graph_node *newest(struct net *n)
{
    return &n->g.nodes[n->g.node_count - 1];
}

static void begin(struct net *n, bool batch_first)
{
    static const int64_t dim[2][3] = {{-1, -1, F}, {-1, -1, F}};
    graph_init(&n->g, kernels_pick(NULL));
    rng_seed(&n->rng, 11, 1);
    n->g.tensors = true;
    int x = graph_value(&n->g, "x");
    assert_int_equal(graph_add_input(&n->g, x), RNND_OK);
    n->g.input_ports = arena_alloc(&n->g.arena, 1, sizeof *n->g.input_ports);
    n->g.output_ports = arena_alloc(&n->g.arena, 1, sizeof *n->g.output_ports);
    n->g.input_ports[0] = (struct graph_port){.rank = 3, .batch_axis = -1, .time_axis = -1};
    memcpy(n->g.input_ports[0].dim, dim[batch_first], sizeof dim[0]);
}

static int turn(struct net *n, int x)
{
    int y = node(n, "Transpose", 1, &x, 1, 0);
    assert_int_equal(graph_attr_ints(&n->g, newest(n), "perm", (const int64_t[]){1, 0, 2}, 3), RNND_OK);
    return y;
}

/* h0 as exporters write it: zeros made to the batch's size. */
static int zeros(struct net *n, int x, int batch_axis)
{
    int shape = node(n, "Shape", 1, &x, 1, 0), axis = ints(n, "axis", 1, (const int64_t[]){batch_axis});
    int size = node(n, "Gather", 2, (const int[]){shape, axis}, 1, 0);
    int one = ints(n, "one", 1, (const int64_t[]){1}), hidden = ints(n, "hidden", 1, (const int64_t[]){H});
    int all = node(n, "Concat", 3, (const int[]){one, size, hidden}, 1, 0);
    assert_int_equal(graph_attr_int(&n->g, newest(n), "axis", 0), RNND_OK);
    float zero = 0;
    int fill = graph_constant(&n->g, "zero", DTYPE_F32, 0, NULL, &zero);
    return node(n, "Expand", 2, (const int[]){fill, all}, 1, 0);
}

static int cell(struct net *n, const char *op, int x, int h0, size_t inputs, int directions, int out)
{
    size_t G = strcmp(op, "LSTM") == 0 ? 4 : strcmp(op, "GRU") == 0 ? 3 : 1, D = (size_t)directions;
    int in[6] = {x, floats(n, "W", 3, D, G * H, inputs), floats(n, "R", 3, D, G * H, H),
                 floats(n, "B", 2, D, 2 * G * H, 0), -1, h0};
    int y = node(n, op, 6, in, 2, out);
    if (directions == 2)
        assert_int_equal(graph_attr_string(&n->g, newest(n), "direction", "bidirectional"), RNND_OK);
    return y;
}

static int squeeze(struct net *n, int x, int64_t axis)
{
    return node(n, "Squeeze", 2, (const int[]){x, ints(n, "axes", 1, &axis)}, 1, 0);
}

static int head(struct net *n, int x, size_t width)
{
    int y = node(n, "MatMul", 2, (const int[]){x, floats(n, "w", 2, width, O, 0)}, 1, 0);
    return node(n, "Add", 2, (const int[]){y, floats(n, "b", 1, O, 0, 0)}, 1, 0);
}

static void finish(struct net *n, int y)
{
    assert_int_equal(graph_add_output(&n->g, y), RNND_OK);
}

static bool streamline(struct net *n, size_t window, struct graph *to, struct streamlined *found)
{
    rnnd_error err;
    int *map = calloc(n->g.value_count, sizeof *map);
    struct graph_port *ports = calloc(n->g.value_count, sizeof *ports);
    graph_init(to, kernels_pick(NULL));
    if (graph_streamline(&n->g, window, to, map, ports, found, &err)) fail_msg("%s", err.message);
    free(map);
    free(ports);
    return found->done;
}

/* Runs both graphs on one random input, given batch first, and compares the outputs. */
static void same_answers(struct net *n, bool batch_first, size_t width, bool last, bool causal)
{
    struct graph to;
    struct streamlined found;
    struct graph_run *run;
    rnnd_error err;
    float *x = malloc(B * T * F * sizeof *x), *rows = calloc(B * T * width, sizeof *rows);
    for (size_t i = 0; i < B * T * F; i++)
        x[i] = rng_between(&n->rng, -1, 1);
    if (!streamline(n, 0, &to, &found)) fail_msg("node \"%s\" %s", found.node, found.why);
    assert_int_equal(found.batch_first, batch_first);
    if (graph_compile(&to, &err) || graph_compile(&n->g, &err)) fail_msg("%s", err.message);
    assert_int_equal(to.output_last, last);
    assert_int_equal(to.causal, causal);
    struct tensor in = {.rank = 3, .dim = {batch_first ? B : T, batch_first ? T : B, F}, .data = x};
    assert_int_equal(graph_run_open(&n->g, 1, 1, &run, &err), RNND_OK);
    if (graph_run_tensors(run, &in, &err)) fail_msg("%s", err.message);
    const struct tensor *wanted = graph_run_value(run, n->g.outputs[0]);
    size_t answers = last ? B : B * T, state = 0;
    assert_int_equal(tensor_count(wanted), answers * width);
    const float *inputs[B * T];
    float *outputs[B * T], *states[B], *memory = calloc(B, 4096);
    for (size_t t = 0; t < T; t++)
        for (size_t b = 0; b < B; b++) {
            inputs[t * B + b] = x + (batch_first ? b * T + t : t * B + b) * F;
            outputs[t * B + b] = last ? rows + b * width : rows + (batch_first ? b * T + t : t * B + b) * width;
        }
    for (size_t i = 0; i < to.state_count; i++)
        state += to.states[i].width;
    assert_true(state * sizeof(float) <= 4096);
    for (size_t b = 0; b < B; b++)
        states[b] = memory + b * 1024;
    struct graph_run *sequence;
    assert_int_equal(graph_run_open(&to, B, T, &sequence, &err), RNND_OK);
    if (graph_run(sequence, T, B, inputs, outputs, (const float *const *)states, states, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < answers * width; i++) {
        float d = rows[i] - ((const float *)wanted->data)[i];
        if (!(d < 1e-6f && d > -1e-6f)) fail_msg("answer %zu: %g and %g", i, (double)rows[i], (double)(rows[i] - d));
    }
    graph_run_close(run);
    graph_run_close(sequence);
    graph_free(&to);
    free(x), free(rows), free(memory);
}

static void exported_lstm(void **unused)
{
    (void)unused;
    struct net n;
    begin(&n, true);
    int x = turn(&n, n.g.inputs[0]);
    int y = squeeze(&n, cell(&n, "LSTM", x, zeros(&n, n.g.inputs[0], 0), F, 1, 0), 1);
    int z = squeeze(&n, cell(&n, "GRU", y, -1, H, 1, 0), 1);
    finish(&n, head(&n, turn(&n, z), H));
    same_answers(&n, true, O, false, true);
    graph_free(&n.g);
}

static void last_step(void **unused)
{
    (void)unused;
    struct net n;
    begin(&n, true);
    int y = turn(&n, squeeze(&n, cell(&n, "LSTM", turn(&n, n.g.inputs[0]), -1, F, 1, 0), 1));
    int64_t minus = -1;
    int index = graph_constant(&n.g, "last", DTYPE_I64, 0, NULL, &minus);
    int last = node(&n, "Gather", 2, (const int[]){y, index}, 1, 0);
    assert_int_equal(graph_attr_int(&n.g, newest(&n), "axis", 1), RNND_OK);
    finish(&n, node(&n, "Relu", 1, (const int[]){head(&n, last, H)}, 1, 0));
    same_answers(&n, true, O, true, true);
    graph_free(&n.g);
}

static void last_state(void **unused)
{
    (void)unused;
    struct net n;
    begin(&n, false);
    finish(&n, head(&n, squeeze(&n, cell(&n, "RNN", n.g.inputs[0], -1, F, 1, 1), 0), H));
    same_answers(&n, false, O, true, true);
    graph_free(&n.g);
}

/* [T][2][B][H] -> [T][B][2][H] -> [T][B][2H]; the reverse half needs whole windows. */
static void two_directions(void **unused)
{
    (void)unused;
    struct net n;
    begin(&n, false);
    int y = cell(&n, "GRU", n.g.inputs[0], -1, F, 2, 0), t = node(&n, "Transpose", 1, &y, 1, 0);
    assert_int_equal(graph_attr_ints(&n.g, newest(&n), "perm", (const int64_t[]){0, 2, 1, 3}, 4), RNND_OK);
    int shape = ints(&n, "shape", 3, (const int64_t[]){0, 0, -1});
    int both = node(&n, "Reshape", 2, (const int[]){t, shape}, 1, 0);
    finish(&n, head(&n, both, 2 * H));
    same_answers(&n, false, O, false, false);
    graph_free(&n.g);
}

static void refuse(struct net *n, const char *word)
{
    struct graph to;
    struct streamlined found;
    assert_false(streamline(n, 0, &to, &found));
    if (!strstr(found.why, word)) fail_msg("wanted a reason with \"%s\", found \"%s\"", word, found.why);
    graph_free(&to);
    graph_free(&n->g);
}

/* Time and features in one axis, another step than the last, the batch turned into time: no sequence network. */
static void not_found(void **unused)
{
    (void)unused;
    struct net n;
    begin(&n, true);
    int y = turn(&n, squeeze(&n, cell(&n, "LSTM", turn(&n, n.g.inputs[0]), -1, F, 1, 0), 1));
    finish(&n, node(&n, "Flatten", 1, &y, 1, 0));
    refuse(&n, "mixes");
    begin(&n, true);
    y = turn(&n, squeeze(&n, cell(&n, "LSTM", turn(&n, n.g.inputs[0]), -1, F, 1, 0), 1));
    int64_t two = 2;
    int index = graph_constant(&n.g, "second", DTYPE_I64, 0, NULL, &two);
    finish(&n, node(&n, "Gather", 2, (const int[]){y, index}, 1, 0));
    assert_int_equal(graph_attr_int(&n.g, newest(&n), "axis", 1), RNND_OK);
    refuse(&n, "last");
    begin(&n, true);
    finish(&n, head(&n, n.g.inputs[0], F));
    refuse(&n, "no recurrent layer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exported_lstm), cmocka_unit_test(last_step),
                                       cmocka_unit_test(last_state), cmocka_unit_test(two_directions),
                                       cmocka_unit_test(not_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
