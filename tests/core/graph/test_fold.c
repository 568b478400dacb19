/* test_fold.c -- what depends on constants alone becomes one, what nobody reads goes, and the bits stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/graph/fold.h"
#include "core/ops/op.h"
#include "tests/lib/onnx_case.h"

static size_t count_op(const struct graph_node *nodes, size_t count, const char *op)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        n += strcmp(nodes[i].op->name, op) == 0;
        for (int k = 0; k < nodes[i].body_count; k++)
            n += count_op(nodes[i].bodies[k]->nodes, nodes[i].bodies[k]->node_count, op);
    }
    return n;
}

static size_t has(const struct graph *g, const char *op)
{
    return count_op(g->nodes, g->node_count, op);
}

static int find_value(const struct graph *g, const char *name)
{
    for (size_t i = 0; i < g->value_count; i++)
        if (strcmp(g->values[i].name, name) == 0) return (int)i;
    fail_msg("no value %s", name);
    return -1;
}

static void branches_and_names(void **unused)
{
    (void)unused;
    struct onnx_case c;
    rnnd_error err;
    if (onnx_case_open(&c, ONNX_FILES "if_constant.onnx", true, &err)) fail_msg("%s", err.message);
    const struct graph *g = &c.graph;
    assert_int_equal(g->node_count, 2); /* the width of the fixed input says which branch: MatMul and Add are left */
    assert_int_equal(has(g, "MatMul"), 1);
    assert_int_equal(has(g, "Add"), 1);
    assert_string_equal(g->values[g->outputs[0]].name, "y");
    assert_int_equal(graph_folded(g, g->outputs[0]), g->outputs[0]);
    assert_int_equal(graph_folded(g, find_value(g, "xi")), g->inputs[0]);
    assert_int_equal(graph_folded(g, find_value(g, "z")), g->outputs[0]);
    assert_int_equal(graph_folded(g, find_value(g, "zc")), g->outputs[0]);
    assert_int_equal(graph_folded(g, find_value(g, "unread")), -1);
    assert_int_equal(graph_folded(g, find_value(g, "shape")), -1);
    assert_int_equal(graph_folded(g, find_value(g, "two")), -1); /* of the branch not taken */
    onnx_case_close(&c);
}

static void inside_bodies(void **unused)
{
    (void)unused;
    struct onnx_case plain, folded;
    rnnd_error err;
    if (onnx_case_open(&plain, ONNX_FILES "loop.onnx", false, &err)) fail_msg("%s", err.message);
    if (onnx_case_open(&folded, ONNX_FILES "loop.onnx", true, &err)) fail_msg("%s", err.message);
    assert_int_equal(has(&plain.graph, "Transpose"), 1); /* of a weight, in the body */
    assert_int_equal(has(&folded.graph, "Transpose"), 0);
    assert_int_equal(has(&folded.graph, "Loop"), 1);
    assert_int_equal(has(&folded.graph, "Shape"), 1); /* of an input of free length */
    onnx_case_close(&plain);
    onnx_case_close(&folded);
}

/* Weights that a loop only hands on are the outer ones: its products know them before the run. */
static void unchanged_by_loops(void **unused)
{
    (void)unused;
    static const struct {
        const char *file;
        int inputs, outputs, body_inputs, body_outputs;
    } table[] = {{"loop_weights", 3, 2, 3, 3}, {"scan_weights", 2, 2, 2, 2}};
    for (size_t i = 0; i < 2; i++) {
        struct onnx_case c;
        rnnd_error err;
        char path[200];
        snprintf(path, sizeof path, ONNX_FILES "%s.onnx", table[i].file);
        if (onnx_case_open(&c, path, true, &err)) fail_msg("%s", err.message);
        const struct graph_node *n = &c.graph.nodes[c.graph.node_count - 1];
        for (size_t k = 0; k < c.graph.node_count; k++)
            if (c.graph.nodes[k].body_count) n = &c.graph.nodes[k];
        assert_int_equal(n->body_count, 1);
        assert_int_equal(n->input_count, table[i].inputs);
        assert_int_equal(n->output_count, table[i].outputs);
        assert_int_equal(n->bodies[0]->input_count, table[i].body_inputs);
        assert_int_equal(n->bodies[0]->output_count, table[i].body_outputs);
        for (size_t k = 0; k < n->bodies[0]->node_count; k++) {
            const struct graph_node *m = &n->bodies[0]->nodes[k];
            if (strcmp(m->op->name, "MatMul") == 0) assert_true(c.graph.values[m->inputs[1]].is_constant);
        }
        onnx_case_close(&c);
    }
}

static void exports_shrink(void **unused)
{
    (void)unused;
    static const struct {
        const char *file;
        const char *gone[4];
    } table[] = {
        {"torch_gru_2", {"Identity", NULL}}, /* its weights are put together by nodes */
        {"torch_lstm_2bi", {"Identity", "Cast", NULL}},
        {"forms_9", {"Identity", NULL}},
        {"typed_data", {"Cast", NULL}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct onnx_case c;
        rnnd_error err;
        char path[200];
        snprintf(path, sizeof path, ONNX_FILES "%s.onnx", table[i].file);
        if (onnx_case_open(&c, path, true, &err)) fail_msg("%s", err.message);
        for (int k = 0; table[i].gone[k]; k++)
            if (has(&c.graph, table[i].gone[k])) fail_msg("%s: %s is left", table[i].file, table[i].gone[k]);
        for (size_t k = 0; k < c.graph.node_count; k++) { /* no node reads constants alone */
            bool all = true;
            for (int s = 0; s < c.graph.nodes[k].input_count; s++)
                all &= c.graph.nodes[k].inputs[s] < 0 || c.graph.values[c.graph.nodes[k].inputs[s]].is_constant;
            if (all) fail_msg("%s: %s is left", table[i].file, c.graph.nodes[k].name);
        }
        onnx_case_close(&c);
    }
}

/* ---- graphs made here ---- */

static int node(struct graph *g, const char *op, const char *name, int a, int b)
{
    const struct op *found = op_find(op);
    assert_non_null(found);
    int v = graph_value(g, name);
    struct graph_node *n = graph_node(g, found, name, b == -2 ? 1 : 2, 1);
    assert_true(v >= 0 && n);
    n->inputs[0] = a;
    if (b != -2) n->inputs[1] = b;
    n->outputs[0] = v;
    return v;
}

static struct graph_port ports[1];

/* x [2, 3] declared in full, and a constant c [4] */
static void begin(struct graph *g, int *x, int *c)
{
    static const float data[4] = {1, -2, 3, -4};
    graph_init(g, kernels_pick(NULL));
    g->tensors = true;
    *x = graph_value(g, "x");
    assert_int_equal(graph_add_input(g, *x), RNND_OK);
    ports[0] = (struct graph_port){.dtype = DTYPE_F32, .rank = 2, .dim = {2, 3}, .batch_axis = -1, .time_axis = -1};
    g->input_ports = ports;
    *c = graph_constant(g, "c", DTYPE_F32, 1, (const size_t[]){4}, data);
    assert_true(*c >= 0);
}

static void shapes_of_inputs(void **unused)
{
    (void)unused;
    for (int k = 0; k < 4; k++) { /* fixed; one free; one the batch's; one time */
        struct graph g;
        rnnd_error err;
        int x, c;
        begin(&g, &x, &c);
        int s = node(&g, "Shape", "s", x, -2);
        assert_int_equal(graph_add_output(&g, s), RNND_OK);
        if (k == 1) ports[0].dim[0] = -1;
        if (k == 2) ports[0].batch_axis = 0;
        if (k == 3) ports[0].time_axis = 1;
        assert_int_equal(graph_fold(&g, 1 << 20, &err), RNND_OK);
        assert_int_equal(g.values[s].is_constant, k == 0);
        assert_int_equal(g.node_count, k != 0);
        if (k == 0) {
            const int64_t *dim = g.values[s].constant.data;
            assert_true(dim[0] == 2 && dim[1] == 3);
        }
        graph_free(&g);
    }
}

static void limits(void **unused)
{
    (void)unused;
    for (size_t limit = 0; limit < 64; limit += 15) {
        struct graph g;
        rnnd_error err;
        int x, c;
        begin(&g, &x, &c);
        int a = node(&g, "Neg", "a", c, -2), b = node(&g, "Abs", "b", a, -2), y = node(&g, "Identity", "y", b, -2);
        assert_int_equal(graph_add_output(&g, y), RNND_OK);
        assert_int_equal(graph_fold(&g, limit, &err), RNND_OK);
        size_t wanted = limit < 16 ? 2 : limit < 32 ? 1 : 0; /* 16 bytes each; Identity's go by renaming Abs' */
        if (limit >= 32) wanted = limit >= 48 ? 0 : 1;       /* ... or are a third constant */
        assert_int_equal(g.node_count, wanted);
        if (graph_compile(&g, &err)) fail_msg("%s", err.message);
        struct graph_run *run;
        const float nothing[6] = {0};
        assert_int_equal(graph_run_open(&g, 1, 1, &run, &err), RNND_OK);
        struct tensor in = {.rank = 2, .dim = {2, 3}, .data = (void *)(uintptr_t)nothing};
        if (graph_run_tensors(run, &in, &err)) fail_msg("%s", err.message);
        const float *out = graph_run_value(run, y)->data;
        assert_true(out[0] == 1 && out[1] == 2 && out[2] == 3 && out[3] == 4);
        graph_run_close(run);
        graph_free(&g);
    }
}

/* Constants that do not fit together: the run tells, not the folding. */
static void what_fails_is_left(void **unused)
{
    (void)unused;
    struct graph g;
    rnnd_error err;
    int x, c;
    begin(&g, &x, &c);
    int three = graph_constant(&g, "three", DTYPE_F32, 1, (const size_t[]){3}, NULL);
    int y = node(&g, "Add", "y", c, three);
    node(&g, "Add", "unread", c, three);
    assert_int_equal(graph_add_output(&g, y), RNND_OK);
    assert_int_equal(graph_fold(&g, 1 << 20, &err), RNND_OK);
    assert_int_equal(g.node_count, 1);
    assert_int_equal(graph_compile(&g, &err), RNND_OK);
    struct graph_run *run;
    assert_int_equal(graph_run_open(&g, 1, 1, &run, &err), RNND_OK);
    struct tensor in = {.rank = 2, .dim = {2, 3}};
    assert_int_equal(graph_run_tensors(run, &in, &err), RNND_MISMATCH);
    graph_run_close(run);
    graph_free(&g);
}

static void casts(void **unused)
{
    (void)unused;
    static const struct {
        int64_t to;
        size_t left;
    } table[] = {{1, 1}, {11, 1}, {10, 2}, {7, 2}, {9, 2}}; /* float16 rounds, so it stays */
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct graph g;
        rnnd_error err;
        int x, c;
        begin(&g, &x, &c);
        int a = node(&g, "Cast", "a", x, -2);
        assert_int_equal(graph_attr_int(&g, &g.nodes[0], "to", table[i].to), RNND_OK);
        int y = node(&g, "Identity", "y", a, -2);
        int z = node(&g, "Cast", "z", a, -2);
        assert_int_equal(graph_attr_int(&g, &g.nodes[2], "to", 6), RNND_OK);
        assert_int_equal(graph_add_output(&g, z), RNND_OK);
        (void)y;
        assert_int_equal(graph_fold(&g, 1 << 20, &err), RNND_OK);
        assert_int_equal(g.node_count, table[i].left);
        assert_int_equal(g.values[c].is_constant, false); /* nobody read it */
        graph_free(&g);
    }
}

/* An Identity from an input to an output has to stay: they are two values. */
static void ends_stay(void **unused)
{
    (void)unused;
    struct graph g;
    rnnd_error err;
    int x, c;
    begin(&g, &x, &c);
    int y = node(&g, "Identity", "y", x, -2), z = node(&g, "Identity", "z", x, -2);
    int r = node(&g, "Relu", "r", x, -2), u = node(&g, "Identity", "u", r, -2), v = node(&g, "Identity", "v", r, -2);
    const int outs[] = {y, z, u, v};
    for (int i = 0; i < 4; i++)
        assert_int_equal(graph_add_output(&g, outs[i]), RNND_OK);
    assert_int_equal(graph_fold(&g, 1 << 20, &err), RNND_OK);
    assert_int_equal(g.node_count, 4); /* Relu makes u itself */
    if (graph_compile(&g, &err)) fail_msg("%s", err.message);
    struct graph_run *run;
    assert_int_equal(graph_run_open(&g, 1, 1, &run, &err), RNND_OK);
    float in[6] = {1, -2, 3, -4, 5, -6};
    struct tensor t = {.rank = 2, .dim = {2, 3}, .data = in};
    if (graph_run_tensors(run, &t, &err)) fail_msg("%s", err.message);
    for (int i = 0; i < 4; i++) {
        const float *out = graph_run_value(run, outs[i])->data;
        for (int k = 0; k < 6; k++)
            assert_true(out[k] == (i < 2 || in[k] > 0 ? in[k] : 0));
    }
    graph_run_close(run);
    graph_free(&g);
}

static void sequence_graphs_are_left(void **unused)
{
    (void)unused;
    struct graph g;
    rnnd_error err;
    graph_init(&g, kernels_pick(NULL));
    int x = graph_value(&g, "x"), y = graph_value(&g, "y");
    struct graph_node *n = graph_node(&g, op_find("identity"), "n", 1, 1);
    n->inputs[0] = x;
    n->outputs[0] = y;
    assert_int_equal(graph_fold(&g, 1 << 20, &err), RNND_OK);
    assert_int_equal(g.node_count, 1);
    graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_and_names), cmocka_unit_test(inside_bodies),
        cmocka_unit_test(exports_shrink),     cmocka_unit_test(shapes_of_inputs),
        cmocka_unit_test(limits),             cmocka_unit_test(ends_stay),
        cmocka_unit_test(casts),              cmocka_unit_test(what_fails_is_left),
        cmocka_unit_test(unchanged_by_loops), cmocka_unit_test(sequence_graphs_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
