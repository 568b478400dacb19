/* test_fuse.c -- cells written out in loops become nodes, what only looks like one does not; both answer as ONNX
 * Runtime does. Where all of the graph is a sequence network, its steps are its windows, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/graph/fold.h"
#include "core/graph/fuse.h"
#include "core/graph/streamline.h"
#include "core/ops/op.h"
#include "tests/lib/onnx_case.h"

#define LOOPS "tests/vectors/onnx_loops/"
#define LIMIT ((size_t)4 << 20)

struct opened {
    struct onnx_case c;
    struct checkpoint io;
    uint8_t *io_file;
    size_t fused;
};

static rnnd_code fuse(struct graph *g, size_t *fused, rnnd_error *err)
{
    rnnd_code code = graph_fuse(g, LIMIT, fused, err);
    return code ? code : graph_fold(g, LIMIT, err);
}

static void open_files(struct opened *o, const char *name)
{
    char path[200];
    size_t bytes, io_bytes;
    rnnd_error err;
    snprintf(path, sizeof path, LOOPS "%s.onnx", name);
    uint8_t *file = read_whole(path, &bytes);
    snprintf(path, sizeof path, LOOPS "%s.safetensors", name);
    o->io_file = read_whole(path, &io_bytes);
    if (!file || !o->io_file) fail_msg("%s is not there", path);
    checkpoint_init(&o->io);
    if (format_read(o->io_file, io_bytes, path, &o->io, &err)) fail_msg("%s: %s", path, err.message);
    if (onnx_case_lower(&o->c, file, bytes, NULL, true, &err) || fuse(&o->c.graph, &o->fused, &err))
        fail_msg("%s: %s", name, err.message);
    o->c.file = file;
}

static void close_files(struct opened *o)
{
    onnx_case_close(&o->c);
    checkpoint_free(&o->io);
    free(o->io_file);
}

static const struct graph_node *find_node(const struct graph *g, const char *op, size_t *count)
{
    const struct graph_node *found = NULL;
    *count = 0;
    for (size_t i = 0; i < g->node_count; i++)
        if (strcmp(g->nodes[i].op->name, op) == 0) found = &g->nodes[i], ++*count;
    return found;
}

static void compare_outputs(struct opened *o, const char *name)
{
    rnnd_error err;
    const struct graph *g = &o->c.graph;
    if (onnx_case_compile(&o->c, &err)) fail_msg("%s: %s", name, err.message);
    onnx_case_run(&o->c, &o->io);
    for (size_t i = 0; i < g->output_count; i++) {
        char wanted[200];
        snprintf(wanted, sizeof wanted, "out.%s", g->values[g->outputs[i]].name);
        const struct checkpoint_tensor *t = checkpoint_find(&o->io, wanted);
        if (!t) fail_msg("%s has no %s", name, wanted);
        onnx_case_compare(&o->c, i, t, name);
    }
}

/* ---- cells ---- */

enum form { WINDOW, CAUSAL, NO_ROWS }; /* what streamlining makes of it: whole windows, steps, nothing (states wired) */
static const struct {
    const char *name, *op;
    const char *activations[3];
    enum form form;
    int after, coupled, peephole; /* linear_before_reset, input_forget, P */
} cells[] = {
    {"gru_keras", "GRU", {"Sigmoid", "Tanh"}, CAUSAL, 1, 0, 0},
    {"gru_free", "GRU", {"Sigmoid", "Tanh"}, CAUSAL, 1, 0, 0},
    {"gru_last", "GRU", {"Sigmoid", "Tanh"}, CAUSAL, 1, 0, 0},
    {"gru_state", "GRU", {"Sigmoid", "Tanh"}, CAUSAL, 0, 0, 0},
    {"gru_relu_hard", "GRU", {"HardSigmoid", "Relu"}, CAUSAL, 1, 0, 0},
    {"gru_back", "GRU", {"Sigmoid", "Tanh"}, WINDOW, 1, 0, 0},
    {"lstm_keras", "LSTM", {"Sigmoid", "Tanh", "Tanh"}, CAUSAL, 0, 0, 0},
    {"lstm_state", "LSTM", {"Sigmoid", "Relu", "Relu"}, CAUSAL, 0, 0, 0},
    {"lstm_hard", "LSTM", {"HardSigmoid", "Tanh", "Tanh"}, CAUSAL, 0, 0, 0},
    {"rnn_keras", "RNN", {"Tanh"}, CAUSAL, 0, 0, 0},
    {"gru_torch", "GRU", {"Sigmoid", "Tanh"}, CAUSAL, 1, 0, 0},
    {"gru_wired", "GRU", {"Sigmoid", "Tanh"}, NO_ROWS, 1, 0, 0},
    {"gru_turned", "GRU", {"Sigmoid", "Tanh"}, CAUSAL, 0, 0, 0},
    {"gru_backwards", "GRU", {"Sigmoid", "Tanh"}, WINDOW, 1, 0, 0},
    {"lstm_old", "LSTM", {"Sigmoid", "Tanh", "Tanh"}, CAUSAL, 0, 0, 0},
    {"lstm_wired", "LSTM", {"Sigmoid", "Tanh", "Tanh"}, NO_ROWS, 0, 0, 0},
    {"lstm_coupled", "LSTM", {"Sigmoid", "Tanh", "Tanh"}, CAUSAL, 0, 1, 0},
    {"rnn_projected", "RNN", {"Relu"}, CAUSAL, 0, 0, 0},
    {"scan_lstm", "LSTM", {"Sigmoid", "Tanh", "Tanh"}, CAUSAL, 0, 0, 0},
    {"scan_peephole", "LSTM", {"Sigmoid", "Sigmoid", "Softsign"}, CAUSAL, 0, 0, 1},
    {"scan_gru_reverse", "GRU", {"Sigmoid", "Tanh"}, WINDOW, 0, 0, 0},
    {"scan_rnn_back", "RNN", {"Elu"}, WINDOW, 0, 0, 0},
};
enum { CELLS = sizeof cells / sizeof *cells };

static void become_nodes(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < CELLS; i++) {
        struct opened o;
        size_t count, loops, scans;
        open_files(&o, cells[i].name);
        const struct graph_node *n = find_node(&o.c.graph, cells[i].op, &count);
        find_node(&o.c.graph, "Loop", &loops);
        find_node(&o.c.graph, "Scan", &scans);
        if (o.fused != 1 || count != 1 || loops || scans)
            fail_msg("%s: %zu fused, %zu nodes %s, %zu loops left", cells[i].name, o.fused, count, cells[i].op,
                     loops + scans);
        const struct attr *acts = graph_find_attr(n, "activations");
        assert_non_null(acts);
        for (size_t k = 0; k < acts->count; k++)
            assert_string_equal(((const char *const *)acts->p)[k], cells[i].activations[k]);
        assert_int_equal(op_int(n, "linear_before_reset", 0), cells[i].after);
        assert_int_equal(op_int(n, "input_forget", 0), cells[i].coupled);
        assert_int_equal(n->input_count > 7 && n->inputs[7] >= 0, cells[i].peephole);
        compare_outputs(&o, cells[i].name);
        close_files(&o);
    }
}

/* ---- what is none ---- */

static void stay_loops(void **unused)
{
    (void)unused;
    static const char *const names[] = {"not_sign",     "not_cell_state", "not_two_gates", "not_squared",
                                        "not_mixed",    "not_all_h",      "not_old_h",     "not_sum",
                                        "not_short",    "not_first_step", "not_previous",  "not_shifted",
                                        "not_changing", "not_late",       "not_known",     "not_while"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct opened o;
        size_t loops;
        open_files(&o, names[i]);
        find_node(&o.c.graph, "Loop", &loops);
        if (o.fused || loops != 1) fail_msg("%s: %zu fused, %zu loops left", names[i], o.fused, loops);
        compare_outputs(&o, names[i]);
        close_files(&o);
    }
}

/* ---- as sequence graphs ---- */

struct rows { /* one tensor [B][T][width], or [B][width], as row pointers by step */
    const float **row;
    size_t B, T, width;
};

static struct rows rows_of(const struct tensor *t)
{
    struct rows r = {.B = t->dim[0], .T = t->rank == 3 ? t->dim[1] : 1, .width = t->dim[t->rank - 1]};
    r.row = calloc(r.B * r.T, sizeof *r.row);
    for (size_t b = 0; b < r.B; b++)
        for (size_t s = 0; s < r.T; s++)
            r.row[s * r.B + b] = (const float *)t->data + (b * r.T + s) * r.width;
    return r;
}

/* T steps from zero states, `piece` at a time, into [T][B][width] */
static float *answers(const struct graph *g, const struct rows *x, size_t width, size_t piece)
{
    size_t state = 0, B = x->B, T = x->T;
    rnnd_error err;
    struct graph_run *run;
    for (size_t i = 0; i < g->state_count; i++)
        state += g->states[i].width;
    float *out = calloc(T * B * width, sizeof *out), *memory = calloc(B * state + 1, sizeof *memory);
    float **states = calloc(B, sizeof *states), **to = calloc(T * B, sizeof *to);
    for (size_t b = 0; b < B; b++) {
        states[b] = memory + b * state;
        for (size_t i = 0, at = 0; i < g->state_count; at += g->states[i++].width)
            if (g->states[i].initial) memcpy(states[b] + at, g->states[i].initial, g->states[i].width * sizeof *out);
    }
    for (size_t i = 0; i < T * B; i++)
        to[i] = out + i * width;
    assert_int_equal(graph_run_open(g, B, piece, &run, &err), RNND_OK);
    for (size_t t = 0; t < T; t += piece) {
        float **rows = g->output_last ? to + (t + piece - 1) * B : to + t * B;
        if (graph_run(run, piece, B, x->row + t * B, rows, (const float *const *)states, states, &err))
            fail_msg("%s", err.message);
    }
    graph_run_close(run);
    free(memory), free(states), free(to);
    return out;
}

static void sequences(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < CELLS; i++) {
        struct opened o;
        struct graph to;
        struct streamlined found;
        rnnd_error err;
        open_files(&o, cells[i].name);
        int *map = calloc(o.c.graph.value_count, sizeof *map);
        struct graph_port *ports = calloc(o.c.graph.value_count, sizeof *ports);
        graph_init(&to, kernels_pick(NULL));
        if (graph_streamline(&o.c.graph, 0, &to, map, ports, &found, &err)) fail_msg("%s", err.message);
        if (found.done != (cells[i].form != NO_ROWS))
            fail_msg("%s: node \"%s\" %s", cells[i].name, found.node, found.why);
        if (found.done) {
            if (graph_compile(&to, &err)) fail_msg("%s: %s", cells[i].name, err.message);
            assert_int_equal(to.causal, cells[i].form == CAUSAL);
            struct tensor x = tensor_of(checkpoint_find(&o.io, "in.x")), y = tensor_of(checkpoint_find(&o.io, "out.y"));
            struct rows in = rows_of(&x), wanted = rows_of(&y);
            assert_int_equal(to.output_last, y.rank == 2);
            float *window = answers(&to, &in, wanted.width, in.T),
                  *last = window + (in.T - wanted.T) * in.B * wanted.width;
            for (size_t k = 0; k < wanted.T * wanted.B; k++)
                for (size_t u = 0; u < wanted.width; u++) {
                    float d = last[k * wanted.width + u] - wanted.row[k][u];
                    if (!(d < 1e-5f && d > -1e-5f)) fail_msg("%s, row %zu: off by %g", cells[i].name, k, (double)d);
                }
            float *steps = answers(&to, &in, wanted.width, 1);
            if (to.causal)
                assert_memory_equal(last, steps + (in.T - wanted.T) * in.B * wanted.width,
                                    wanted.T * wanted.B * wanted.width * sizeof *steps);
            free(window), free(steps), free(in.row), free(wanted.row), free(x.data), free(y.data);
        }
        free(map), free(ports);
        graph_free(&to);
        close_files(&o);
    }
}

/* ---- memory ---- */

/* Each of them is told, and nothing is half done. */
static void every_allocation(void **unused)
{
    (void)unused;
    static const char *const names[] = {"gru_free",      "lstm_wired", "scan_peephole",
                                        "gru_backwards", "not_sum",    "not_sign"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[200];
        size_t bytes, all = 1;
        snprintf(path, sizeof path, LOOPS "%s.onnx", names[i]);
        uint8_t *file = read_whole(path, &bytes);
        assert_non_null(file);
        for (size_t n = 0; n <= all; n++) {
            struct onnx_case c;
            rnnd_error err;
            size_t fused;
            if (onnx_case_lower(&c, file, bytes, NULL, true, &err)) fail_msg("%s", err.message);
            mem_fail_at(n);
            rnnd_code code = graph_fuse(&c.graph, LIMIT, &fused, &err);
            size_t made = mem_fail_at(0);
            if (n == 0) all = made;
            if (code != (n ? RNND_NO_MEMORY : RNND_OK)) fail_msg("%s, allocation %zu: %d", names[i], n, (int)code);
            onnx_case_close(&c);
        }
        assert_true(all > 5);
        free(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(become_nodes), cmocka_unit_test(stay_loops),
                                       cmocka_unit_test(sequences), cmocka_unit_test(every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
