/* foreign.c -- from the tensor graph of a file with an architecture of its own to a model's graph. */
#include "core/model/foreign.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/graph_read.h"
#include "core/formats/options.h"
#include "core/graph/fold.h"
#include "core/graph/fuse.h"
#include "core/graph/streamline.h"
#include "core/model/assume.h"
#include "core/ops/op.h"

struct foreign {
    struct rnnd_model *m;
    struct graph graph; /* as lowered and folded */
    struct network_tap outputs[MAX_INPUTS];
    size_t output_count;
    rnnd_port known[MAX_INPUTS]; /* inputs as the reader described them: which are ids */
    size_t known_inputs;
    struct streamlined found;
};

/* ---- inputs: axes and numbers from the configuration ---- */

/* "width": numbers a step, where the file leaves their axis free. */
static rnnd_code fix_width(const struct options *o, struct graph_port *p, const char *name, rnnd_error *err)
{
    int64_t width;
    int open = -1;
    rnnd_code code = option_whole(o, "width", 1, MAX_WIDTH, OPTION_REQUIRED, &width, err);
    for (int k = 0; k < p->rank && !code; k++) {
        if (k == p->batch_axis || k == p->time_axis || p->dim[k] > 0) continue;
        if (open >= 0) code = RNND_MISMATCH;
        open = k;
    }
    if (code || open < 0)
        return fail_at(
            err, RNND_MISMATCH, "inputs",
            "input \"%.60s\": \"width\" is for one axis besides batch and time whose size the file leaves open; "
            "\"axes\" says which they are",
            name);
    p->dim[open] = width;
    return RNND_OK;
}

static rnnd_code configure_inputs(const struct rnnd_model *m, struct graph *g, rnnd_error *err)
{
    static const char *const known[] = {"name", "axes", "width", "value", NULL};
    const struct json *list = json_get(m->config.json, "inputs");
    if (!list) return RNND_OK;
    if (!json_is_array(list))
        return fail_at(err, RNND_MISMATCH, "inputs", "configuration: \"inputs\" must be a list, found %s",
                       json_type_name(list));
    for (const struct json *j = json_first(list); j; j = json_next(j)) {
        struct options o = {j, "an input"};
        const char *name = json_string(json_get(j, "name"));
        const struct json *value = json_get(j, "value"), *axes = json_get(j, "axes");
        size_t i = 0;
        rnnd_code code = options_check(&o, known, err);
        if (code) return code;
        while (i < g->input_count && !(name && strcmp(g->values[g->inputs[i]].name, name) == 0))
            i++;
        if (i == g->input_count)
            return fail_at(err, RNND_MISMATCH, "inputs", "configuration: the file has no input \"%.60s\"",
                           name ? name : "");
        if (axes) code = graph_read_axes(axes, &g->input_ports[i], name, err);
        if (!code && json_get(j, "width")) code = fix_width(&o, &g->input_ports[i], name, err);
        if (!code && value) {
            if (!json_is_number(value))
                return fail_at(err, RNND_MISMATCH, "inputs", "input \"%.60s\": \"value\" must be a number, found %s",
                               name, json_type_name(value));
            code = foreign_bind(g, i, json_number(value), err);
        }
        if (code) return code;
    }
    return RNND_OK;
}

/* ---- names that can be read after a run ---- */

static rnnd_code check_ends(const struct graph *g, rnnd_error *err)
{
    if (g->output_count > MAX_INPUTS || g->input_count > MAX_INPUTS)
        return fail(err, RNND_UNSUPPORTED, "the network has %zu inputs and %zu outputs, at most %d each are read",
                    g->input_count, g->output_count, MAX_INPUTS);
    if (!g->output_count || !g->input_count)
        return fail(err, RNND_UNSUPPORTED, "the network has no %s", g->input_count ? "output" : "input");
    return RNND_OK;
}

static void keep_outputs(struct foreign *f)
{
    for (size_t i = 0; i < f->graph.output_count; i++)
        f->outputs[f->output_count++] =
            (struct network_tap){.name = f->graph.values[f->graph.outputs[i]].name, .value = f->graph.outputs[i]};
}

/* Outputs of the file first, then what the reader named; with the values and axes of the graph that was kept. */
static rnnd_code name_taps(struct foreign *f, const int *map, const struct graph_port *ports, rnnd_error *err)
{
    struct network *net = &f->m->network;
    size_t total = f->output_count + net->tap_count, at = 0;
    struct network_tap *taps = arena_alloc(&f->m->arena, total + 1, sizeof *taps);
    if (!taps) return fail_memory(err, total * sizeof *taps);
    for (size_t i = 0; i < total; i++) {
        struct network_tap t = i < f->output_count ? f->outputs[i] : net->taps[i - f->output_count];
        if (map && t.value >= 0) {
            t.port = ports[t.value];
            t.value = map[t.value];
        }
        if (t.value < 0 && i >= f->output_count) continue;
        t.name = arena_string(&f->m->arena, t.name, strlen(t.name));
        if (!t.name) return fail_memory(err, 1);
        taps[at++] = t;
    }
    net->taps = taps;
    net->tap_count = at;
    net->named_outputs = f->output_count;
    return RNND_OK;
}

/* ---- ports of a step ---- */

static size_t ids_limit(const struct graph *g, int input)
{
    for (size_t i = 0; i < g->node_count; i++)
        if (!g->tensors && strcmp(g->nodes[i].op->name, "embedding") == 0 && g->nodes[i].inputs[0] == input)
            return (size_t)g->values[g->nodes[i].inputs[1]].dim[0];
    return 0;
}

static void describe_port(const struct graph_port *p, const char *name, bool rows, rnnd_port *out)
{
    size_t limit = out->limit;
    *out = (rnnd_port){.name = name, .width = 1, .limit = limit, .is_ids = limit != 0};
    if (!rows) {
        out->rank = p->rank;
        for (int k = 0; k < p->rank; k++)
            out->dim[k] = p->dim[k] > 0 ? (size_t)p->dim[k] : 0;
        return;
    }
    for (int k = 0; k < p->rank; k++) {
        if (k == p->batch_axis || k == p->time_axis) continue;
        out->dim[out->rank++] = p->dim[k] > 0 ? (size_t)p->dim[k] : 1;
        if (p->dim[k] <= 0 || !size_mul(out->width, (size_t)p->dim[k], &out->width)) out->width = 1;
    }
    if (out->rank == 0) out->dim[out->rank++] = 1;
}

static rnnd_code describe_ports(struct foreign *f, rnnd_error *err)
{
    struct rnnd_model *m = f->m;
    struct graph *g = &m->graph;
    struct network *net = &m->network;
    const struct graph_port not_told = {.rank = -1};
    net->input_width = net->output_width = 0;
    net->input_count = net->output_count = 0;
    for (size_t i = 0; i < g->input_count; i++) {
        rnnd_port *port = &net->inputs[net->input_count++];
        const char *name = g->values[g->inputs[i]].name;
        size_t limit = ids_limit(g, g->inputs[i]);
        for (size_t k = 0; k < f->known_inputs && !limit; k++)
            if (f->known[k].is_ids && strcmp(f->known[k].name, name) == 0) limit = f->known[k].limit;
        port->limit = limit;
        describe_port(&g->input_ports[i], name, !m->no_rows, port);
        net->input_width += port->width;
        if (!(port->name = arena_string(&m->arena, name, strlen(name)))) return fail_memory(err, 1);
    }
    for (size_t i = 0; i < g->output_count; i++) {
        rnnd_port *port = &net->outputs[net->output_count++];
        const char *name = g->values[g->outputs[i]].name;
        for (size_t k = 0; k < f->output_count; k++) /* the file's name, where the graph made a value of its own */
            if (net->taps[k].value == g->outputs[i]) name = net->taps[k].name;
        port->limit = 0;
        describe_port(m->no_rows ? &not_told : &g->output_ports[i], name, !m->no_rows, port);
        net->output_width += port->width;
        if (!(port->name = arena_string(&m->arena, name, strlen(name)))) return fail_memory(err, 1);
    }
    if (net->input_width > MAX_WIDTH || net->output_width > MAX_WIDTH)
        return fail(err, RNND_TOO_LARGE, "a step of this network has more than %d numbers", MAX_WIDTH);
    return RNND_OK;
}

/* ---- modes ---- */

/* What a session keeps, where the configuration does not say: made for a window of fixed length and not to carry state
 * from call to call, a model is asked with that window; else its state is carried. */
static rnnd_code choose_mode(struct foreign *f, size_t steps, rnnd_error *err)
{
    struct config *c = &f->m->config;
    struct graph *g = &f->m->graph;
    const struct json *mode = json_get(c->json, "mode");
    c->output_last = g->output_last;
    if (!f->m->network.window && !(g->tensors && g->stepwise)) f->m->network.window = steps;
    if (!mode || json_is_null(mode)) {
        bool carry = g->causal && (f->m->network.stateful || !f->m->network.window || (g->tensors && g->stepwise));
        c->mode = !carry && f->m->network.window && !f->m->no_rows ? RNND_SLIDING : RNND_CARRY;
    }
    if (c->mode == RNND_SLIDING && !c->window) c->window = f->m->network.window;
    if (c->mode == RNND_SLIDING && !c->window)
        return fail_at(err, RNND_MISMATCH, "window",
                       "configuration: mode sliding needs \"window\": the file fixes no length");
    if (c->mode == RNND_SLIDING && g->tensors && f->m->network.window && c->window != f->m->network.window)
        return fail_at(err, RNND_MISMATCH, "window", "configuration: the file fixes windows to %zu steps, found %zu",
                       f->m->network.window, c->window);
    if (c->mode == RNND_SLIDING && g->tensors && f->m->network.window && !c->pad_zeros)
        return fail_at(err, RNND_MISMATCH, "pad",
                       "configuration: the file fixes windows to %zu steps and none is shorter, so \"pad\" must be "
                       "\"zeros\"",
                       f->m->network.window);
    return RNND_OK;
}

/* The steps that a sequence graph's inputs are fixed to, where the file fixes them and they are windows at all: 1 says
 * nothing. */
static size_t fixed_steps(const struct graph *g, size_t known)
{
    for (size_t i = 0; i < g->input_count && !known; i++) {
        const struct graph_port *p = &g->input_ports[i];
        if (p->time_axis >= 0 && p->dim[p->time_axis] > 1) known = (size_t)p->dim[p->time_axis];
    }
    return known;
}

static rnnd_code keep_graph(struct foreign *f, rnnd_error *err)
{
    struct rnnd_model *m = f->m;
    size_t n = f->graph.value_count, steps = m->network.window;
    struct graph to;
    int *map = mem_alloc(n + 1, sizeof *map);
    struct graph_port *ports = mem_alloc(n + 1, sizeof *ports);
    rnnd_code code = map && ports ? RNND_OK : fail_memory(err, n * sizeof *ports);
    graph_init(&to, m->kernels);
    to.precision = m->graph.precision;
    if (!code && !f->graph.state_count)
        code = graph_streamline(&f->graph, steps, &to, map, ports, &f->found, err);
    else
        f->found.batch_first = true;
    bool done = !code && f->found.done;
    if (!code) code = name_taps(f, done ? map : NULL, ports, err); /* while the lowered graph holds the names */
    graph_free(done ? &f->graph : &to);
    m->graph = done ? to : f->graph;
    if (done) steps = fixed_steps(&m->graph, steps);
    graph_init(&f->graph, m->kernels);
    if (!code) code = graph_compile(&m->graph, err);
    if (!code && !done) code = foreign_find_ends(m, &m->graph, f->found.batch_first, &steps, err);
    if (!code) code = describe_ports(f, err);
    if (!code) code = choose_mode(f, steps, err);
    mem_free(map);
    mem_free(ports);
    return code;
}

/* Constants are folded, and cells that the file writes out in loops become nodes; what only those loops read goes. */
static rnnd_code simplify(struct rnnd_model *m, struct graph *g, size_t limit, rnnd_error *err)
{
    size_t fused = 0;
    rnnd_code code = graph_fold(g, limit, err);
    if (!code) code = graph_fuse(g, limit, &fused, err);
    if (!code && fused) code = graph_fold(g, limit, err);
    return code || !fused ? code : foreign_list_fused(m, g, fused, err);
}

rnnd_code foreign_lower(struct rnnd_model *m, struct checkpoint *ck, size_t file_bytes, struct graph *g,
                        rnnd_error *err)
{
    bool own = ck->own && ck->format->lower;
    g->tensors = true;
    rnnd_code code = (own ? ck->format->lower : graph_read)(ck, m->config.json, g, &m->arena, &m->network, err);
    if (!code) code = check_ends(g, err);
    if (!code) code = configure_inputs(m, g, err);
    if (code || !own) return code; /* a configuration means what it says: what was folded once stays as it is */
    code = foreign_assume_numbers(m, g, err);
    if (!code) code = simplify(m, g, ((size_t)16 << 20) + file_bytes, err);
    for (size_t i = 0; i < m->network.tap_count && !code; i++)
        if (m->network.taps[i].value >= 0) m->network.taps[i].value = graph_folded(g, m->network.taps[i].value);
    return code;
}

rnnd_code foreign_build(struct rnnd_model *m, struct checkpoint *ck, size_t file_bytes, rnnd_error *err)
{
    struct foreign f = {.m = m};
    graph_init(&f.graph, m->kernels);
    rnnd_code code = foreign_lower(m, ck, file_bytes, &f.graph, err);
    if (!code) keep_outputs(&f); /* no more than there is room for: foreign_lower() has checked */
    f.known_inputs = m->network.input_count;
    memcpy(f.known, m->network.inputs, sizeof f.known);
    if (!code) code = foreign_pair_states(m, &f.graph, err);
    checkpoint_rest(ck); /* what follows makes copies of the graph's constants */
    if (!code) code = keep_graph(&f, err);
    graph_free(&f.graph);
    return code;
}
