/* test_graph_write.c -- graphs come back from their text as they were: names, attributes to the bit, constants. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/formats/graph_read.h"
#include "core/formats/graph_write.h"
#include "core/ops/op.h"

static const char *const nothing[] = {NULL};

struct written { /* a graph, its text, and the graph that the text makes */
    struct graph from, to;
    struct graph_text text;
    struct checkpoint ck;
    struct json *config;
    struct network net, back;
    void *image;
};

static int value(struct graph *g, const char *name)
{
    int v = graph_value(g, name);
    assert_true(v >= 0);
    return v;
}

static void start(struct written *w)
{
    memset(w, 0, sizeof *w);
    graph_init(&w->from, kernels_pick(NULL));
    graph_init(&w->to, kernels_pick(NULL));
    checkpoint_init(&w->ck);
    w->from.tensors = true;
    w->from.input_ports = arena_alloc(&w->from.arena, 4, sizeof *w->from.input_ports);
    w->from.output_ports = arena_alloc(&w->from.arena, 4, sizeof *w->from.output_ports);
}

static struct graph_port port(enum dtype dtype, int rank, int64_t a, int64_t b, int batch, int time)
{
    return (struct graph_port){.dtype = dtype, .rank = rank, .dim = {a, b}, .batch_axis = batch, .time_axis = time};
}

static int input(struct written *w, const char *name, struct graph_port p)
{
    int v = value(&w->from, name);
    w->from.input_ports[w->from.input_count] = p;
    assert_int_equal(graph_add_input(&w->from, v), 0);
    return v;
}

static void output(struct written *w, int v, struct graph_port p)
{
    w->from.output_ports[w->from.output_count] = p;
    assert_int_equal(graph_add_output(&w->from, v), 0);
}

static struct graph_node *node(struct written *w, struct graph_body *body, const char *op, int a, int b, int out)
{
    struct graph_node *n = graph_node_in(&w->from, body, op_find(op), "node", b >= 0 ? 2 : 1, 1);
    assert_non_null(n);
    n->inputs[0] = a;
    if (b >= 0) n->inputs[1] = b;
    n->outputs[0] = out;
    return n;
}

/* Writes, puts it into a file, reads that. */
static void turn(struct written *w)
{
    rnnd_error err = {0};
    struct json_text config = {0};
    size_t bytes;
    if (graph_write(&w->from, &w->net, nothing, &w->text, &err)) fail_msg("%s", err.message);
    json_text_add(&config, "{\"format\":1,\"graph\":");
    json_text_bytes(&config, w->text.json.data, w->text.json.size);
    json_text_add(&config, "}");
    struct safetensors_meta meta = {"rnnd", config.data};
    if (safetensors_image(w->text.items, w->text.item_count, &meta, 1, &w->image, &bytes, &err))
        fail_msg("%s", err.message);
    if (safetensors_read(w->image, bytes, NULL, &w->ck, &err)) fail_msg("%s", err.message);
    if (json_parse(config.data, config.size, "configuration", &w->config, &err)) fail_msg("%s", err.message);
    assert_true(graph_in_config(w->config));
    if (graph_read(&w->ck, w->config, &w->to, &w->to.arena, &w->back, &err)) fail_msg("%s", err.message);
    mem_free(config.data);
}

static void end(struct written *w)
{
    graph_text_free(&w->text);
    graph_free(&w->from);
    graph_free(&w->to);
    checkpoint_free(&w->ck);
    json_free(w->config);
    mem_free(w->image);
}

/* A text of what was read is the text that it was read from. */
static void same_text(struct written *w)
{
    struct graph_text again;
    rnnd_error err = {0};
    if (graph_write(&w->to, &w->back, nothing, &again, &err)) fail_msg("%s", err.message);
    assert_string_equal(w->text.json.data, again.json.data);
    assert_int_equal(w->text.item_count, again.item_count);
    for (size_t i = 0; i < again.item_count; i++)
        assert_string_equal(w->text.items[i].name, again.items[i].name);
    graph_text_free(&again);
}

static const float floats[] = {0.1f,  1.0f / 3,      -2.5f,   FLT_MAX, FLT_MIN, 1.4e-45f, 1.00000012f, 16777217.0f,
                               1e15f, 1.0000001e15f, 3.4e38f, -0.0f,   0.0f,    1.0f,     -7.0f,       123456.789f};

static void same_floats(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0) fail_msg("%.9g became %.9g", (double)a[i], (double)b[i]);
}

static void attributes(void **unused)
{
    (void)unused;
    static const int64_t ints[] = {0, -1, 2147483648, -999999999999999, 1000000000000000};
    static const char *const strings[] = {"Tanh", "", "with \"marks\"\n\\"};
    static const float whole[] = {1, 2};
    struct written w;
    start(&w);
    int x = input(&w, "x", port(DTYPE_F32, 2, -1, 3, 0, -1)), y = value(&w.from, "y");
    struct graph_node *n = node(&w, NULL, "LSTM", x, -1, y);
    struct graph *g = &w.from;
    size_t single = sizeof floats / sizeof *floats;
    for (size_t i = 0; i < single; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%zu", i);
        assert_int_equal(graph_attr_float(g, n, name, floats[i]), 0);
    }
    for (size_t i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "i%zu", i);
        assert_int_equal(graph_attr_int(g, n, name, ints[i]), 0);
    }
    graph_attr_floats(g, n, "floats", floats, single);
    graph_attr_floats(g, n, "whole", whole, 2);
    graph_attr_floats(g, n, "no floats", NULL, 0);
    graph_attr_ints(g, n, "ints", ints, 5);
    graph_attr_ints(g, n, "no ints", NULL, 0);
    graph_attr_strings(g, n, "strings", strings, 3);
    graph_attr_strings(g, n, "no strings", NULL, 0);
    graph_attr_string(g, n, "string", strings[2]);
    output(&w, y, port(DTYPE_F32, -1, 0, 0, -1, -1));
    turn(&w);
    const struct graph_node *m = &w.to.nodes[0];
    assert_int_equal(m->attr_count, n->attr_count);
    for (size_t i = 0; i < n->attr_count; i++) {
        const struct attr *a = &n->attrs[i], *b = &m->attrs[i];
        assert_string_equal(a->name, b->name);
        if (a->kind != b->kind || a->count != b->count) fail_msg("%s", a->name);
        if (a->kind == ATTR_INT) assert_int_equal(a->i, b->i);
        if (a->kind == ATTR_FLOAT) same_floats(&a->f, &b->f, 1);
        if (a->kind == ATTR_STRING) assert_string_equal(a->s, b->s);
        if (a->kind == ATTR_FLOATS) same_floats(a->p, b->p, a->count);
        if (a->kind == ATTR_INTS && a->count) assert_memory_equal(a->p, b->p, a->count * sizeof(int64_t));
        for (size_t k = 0; a->kind == ATTR_STRINGS && k < a->count; k++)
            assert_string_equal(((const char *const *)a->p)[k], ((const char *const *)b->p)[k]);
    }
    same_text(&w);
    end(&w);
}

/* All values of one name, an output of the input's name, bodies, constants of each type and of no element. */
static void names(void **unused)
{
    (void)unused;
    static const float f[] = {1, 2, 3};
    static const int64_t i64[] = {-5, INT64_MAX};
    static const bool yes[] = {true};
    struct written w;
    start(&w);
    struct graph *g = &w.from;
    int x = input(&w, "x", port(DTYPE_F32, 2, -1, 3, 0, -1)), t = input(&w, "t", port(DTYPE_I64, 1, 7, 0, -1, 0));
    int a = graph_constant(g, "x", DTYPE_F32, 1, (const size_t[]){3}, f);
    int b = graph_constant(g, "x", DTYPE_I64, 1, (const size_t[]){2}, i64);
    int c = graph_constant(g, "", DTYPE_BOOL, 0, NULL, yes);
    int d = graph_constant(g, "__metadata__", DTYPE_F32, 2, (const size_t[]){0, 4}, NULL);
    int y = value(g, "x"), z = value(g, "x"), u = value(g, "x:1"), v = value(g, "v");
    node(&w, NULL, "Add", x, a, u);
    struct graph_node *n = node(&w, NULL, "If", c, -1, v);
    struct graph_body *then = graph_add_body(g, n), *other = graph_add_body(g, n);
    int inner = value(g, "x");
    node(&w, then, "Add", t, b, inner);
    then->outputs = other->outputs = NULL;
    then->outputs = arena_alloc(&g->arena, 1, sizeof(int));
    other->outputs = arena_alloc(&g->arena, 1, sizeof(int));
    *then->outputs = inner;
    *other->outputs = d;
    then->output_count = other->output_count = 1;
    node(&w, NULL, "Add", u, x, y);
    node(&w, NULL, "Add", y, x, z);
    output(&w, y, port(DTYPE_F32, 2, -1, 3, 0, -1));
    output(&w, v, port(DTYPE_I64, -1, 0, 0, -1, -1));
    w.net.inputs[0] = (rnnd_port){.name = "x", .is_ids = true, .limit = 40};
    w.net.inputs[1] = (rnnd_port){.name = "t", .is_ids = true, .limit = 50};
    w.net.input_count = 2;
    w.from.input_ports[0].dtype = DTYPE_I64;
    struct network_tap taps[] = {{.name = "first", .value = y},
                                 {.name = "dense", .value = z},
                                 {.name = "gone", .value = -1},
                                 {.name = "x", .value = u},
                                 {.name = "in", .value = x}};
    rnnd_layer layers[] = {{"Dense", "one", 3, 4, 5, "with \"words\""}, {"LSTM", "two", 0, 0, 0, NULL}};
    w.net.taps = taps;
    w.net.tap_count = 5;
    w.net.named_outputs = 1;
    w.net.layers = layers;
    w.net.layer_count = 2;
    w.net.framework = "Keras 9";
    w.net.window = 12;
    w.net.stateful = true;
    turn(&w);
    same_text(&w);
    const struct graph *to = &w.to;
    const struct network *net = &w.back;
    assert_int_equal(to->input_count, 2);
    assert_string_equal(to->values[to->inputs[0]].name, "x");
    assert_int_equal(to->input_ports[1].dtype, DTYPE_I64);
    assert_int_equal(to->input_ports[1].dim[0], 7);
    assert_int_equal(to->input_ports[1].time_axis, 0);
    assert_int_equal(to->input_ports[0].batch_axis, 0);
    assert_int_equal(to->input_ports[0].dim[0], -1);
    assert_int_equal(net->inputs[1].limit, 50);
    assert_true(net->inputs[1].is_ids);
    assert_string_equal(to->values[to->outputs[0]].name, "x"); /* by its "value" */
    assert_int_not_equal(to->outputs[0], to->inputs[0]);
    assert_int_equal(to->output_ports[1].rank, -1);
    assert_int_equal(to->node_count, 4);
    assert_int_equal(to->nodes[1].body_count, 2);
    assert_int_equal(to->nodes[1].bodies[0]->node_count, 1);
    assert_int_equal(to->nodes[2].inputs[0], to->nodes[0].outputs[0]);
    const struct tensor *constant = &to->values[to->nodes[0].inputs[1]].constant;
    assert_memory_equal(constant->data, f, sizeof f);
    constant = &to->values[to->nodes[1].bodies[0]->nodes[0].inputs[1]].constant;
    assert_int_equal(constant->dtype, DTYPE_I64);
    assert_memory_equal(constant->data, i64, sizeof i64);
    constant = &to->values[to->nodes[1].inputs[0]].constant;
    assert_true(constant->dtype == DTYPE_BOOL && constant->rank == 0 && *(bool *)constant->data);
    constant = &to->values[to->nodes[1].bodies[1]->outputs[0]].constant;
    assert_true(constant->rank == 2 && constant->dim[0] == 0 && constant->dim[1] == 4);
    assert_int_equal(net->tap_count, 2 + 3);
    assert_int_equal(net->named_outputs, 2);
    assert_string_equal(net->taps[2].name, "dense");
    assert_int_equal(net->taps[2].value, to->nodes[3].outputs[0]);
    assert_string_equal(net->taps[3].name, "x");
    assert_int_equal(net->taps[3].value, to->nodes[0].outputs[0]);
    assert_int_equal(net->taps[4].value, to->inputs[0]);
    assert_int_equal(net->layer_count, 2);
    assert_string_equal(net->layers[0].detail, "with \"words\"");
    assert_int_equal(net->layers[0].parameters, 5);
    assert_string_equal(net->layers[1].detail, "");
    assert_string_equal(net->framework, "Keras 9");
    assert_true(net->window == 12 && net->stateful);
    end(&w);
}

static void refused(struct written *w, const char *says)
{
    rnnd_error err = {0};
    assert_int_equal(graph_write(&w->from, &w->net, nothing, &w->text, &err), RNND_UNSUPPORTED);
    if (!strstr(err.message, says)) fail_msg("%s", err.message);
    end(w);
}

static void what_json_cannot_hold(void **unused)
{
    (void)unused;
    for (int i = 0; i < 5; i++) {
        const float many[] = {1, INFINITY};
        const int64_t large[] = {1, INT64_MIN};
        struct written w;
        start(&w);
        int x = input(&w, "x", port(DTYPE_F32, 1, 3, 0, -1, -1)), y = value(&w.from, "y");
        struct graph_node *n = node(&w, NULL, "Add", x, x, y);
        if (i == 0) graph_attr_float(&w.from, n, "a", NAN);
        if (i == 1) graph_attr_floats(&w.from, n, "a", many, 2);
        if (i == 2) graph_attr_int(&w.from, n, "a", 1000000000000001);
        if (i == 3) graph_attr_ints(&w.from, n, "a", large, 2);
        if (i == 4) graph_attr_pointer(&w.from, n, "a", n);
        output(&w, y, port(DTYPE_F32, 1, 3, 0, -1, -1));
        refused(&w, "node \"node\": its attribute \"a\"");
    }
    struct written w;
    start(&w);
    input(&w, "x", port(DTYPE_F32, 1, 3, 0, -1, -1));
    output(&w, input(&w, "x", port(DTYPE_F32, 1, 3, 0, -1, -1)), port(DTYPE_F32, 1, 3, 0, -1, -1));
    refused(&w, "an input is named \"x\"");
    start(&w);
    int x = input(&w, "x", port(DTYPE_F32, 1, 3, 0, -1, -1)), y[2] = {value(&w.from, "y"), value(&w.from, "y")};
    for (int i = 0; i < 2; i++) {
        node(&w, NULL, "Add", x, x, y[i]);
        output(&w, y[i], port(DTYPE_F32, 1, 3, 0, -1, -1));
    }
    refused(&w, "two outputs are named \"y\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attributes), cmocka_unit_test(names),
                                       cmocka_unit_test(what_json_cannot_hold)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
