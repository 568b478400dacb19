/* compile.c -- checks a graph as a whole, infers shapes, prepares weights; after this it is immutable. */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/compile.h"
#include "core/graph/graph.h"
#include "core/ops/op.h"

/* Every value read must be there by then: nodes stand in the order in which they run. */
static rnnd_code check_order(const struct graph *g, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    bool *known = mem_alloc(g->value_count + 1, sizeof *known);
    if (!known) return fail_memory(err, g->value_count);
    for (size_t i = 0; i < g->value_count; i++)
        known[i] = g->values[i].is_constant;
    for (size_t i = 0; i < g->input_count; i++)
        known[g->inputs[i]] = true;
    for (size_t i = 0; i < g->state_count; i++)
        known[g->states[i].in] = true;
    for (size_t i = 0; i < g->node_count && !code; i++) {
        const struct graph_node *n = &g->nodes[i];
        for (int k = 0; k < n->input_count && !code; k++)
            if (n->inputs[k] >= 0 && !known[n->inputs[k]])
                code =
                    fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" reads \"%.80s\" before any node has made it",
                            n->name, g->values[n->inputs[k]].name);
        for (int k = 0; k < n->output_count && !code; k++) {
            if (n->outputs[k] < 0) continue;
            if (known[n->outputs[k]])
                code = fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" makes \"%.80s\", which is there already",
                               n->name, g->values[n->outputs[k]].name);
            known[n->outputs[k]] = true;
        }
    }
    for (size_t i = 0; i < g->output_count && !code; i++)
        if (!known[g->outputs[i]])
            code = fail_at(err, RNND_MISMATCH, "outputs", "no node makes the output \"%.80s\"",
                           g->values[g->outputs[i]].name);
    for (size_t i = 0; i < g->state_count && !code; i++)
        if (!known[g->states[i].out])
            code = fail_at(err, RNND_MISMATCH, "states", "no node makes \"%.80s\", the next \"%.80s\"",
                           g->values[g->states[i].out].name, g->states[i].name);
    mem_free(known);
    return code;
}

rnnd_code graph_check_form(const struct graph_node *n, rnnd_error *err)
{
    if (n->input_count < n->op->min_inputs || n->input_count > n->op->max_inputs)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\": %s takes %d to %d inputs, it has %d", n->name,
                       n->op->name, n->op->min_inputs, n->op->max_inputs, n->input_count);
    for (int i = 0; i < n->op->min_inputs; i++)
        if (n->inputs[i] < 0 && !n->op->owns_states) /* a cell's states may be absent; it checks its weights itself */
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\": %s needs its input %d", n->name, n->op->name,
                           i);
    if (n->output_count > n->op->outputs || n->output_count < 1)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\": %s has 1 to %d outputs, %d are named", n->name,
                       n->op->name, n->op->outputs, n->output_count);
    if (n->op->outputs == 1 && n->outputs[0] < 0)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\": %s has one output, it is not named", n->name,
                       n->op->name);
    for (size_t i = 0; i < n->attr_count; i++) {
        const char *const *known = n->op->attributes;
        while (known && *known && strcmp(*known, n->attrs[i].name) != 0)
            known++;
        if (!known || !*known)
            return fail_at(err, RNND_MISMATCH, n->attrs[i].name, "node \"%.80s\": %s has no attribute \"%.80s\"",
                           n->name, n->op->name, n->attrs[i].name);
    }
    return RNND_OK;
}

rnnd_code graph_check_node(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    rnnd_code code = graph_check_form(n, err);
    return code ? code : n->op->check(g, n, err);
}

/* Sequence graphs: does this input take a row of each sequence? */
static bool takes_rows(const struct graph_node *n, int input)
{
    static const char *const all[] = {"add", "sub", "mul", "concat", "masked"};
    if (n->op->owns_states) return input <= 2 || input == 9;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(n->op->name, all[i]) == 0) return true;
    return input == 0;
}

/* A constant has no row for each sequence, whatever its shape. */
static rnnd_code check_rows(const struct graph *g, const struct graph_node *n, rnnd_error *err)
{
    for (int k = 0; k < n->input_count; k++)
        if (n->inputs[k] >= 0 && g->values[n->inputs[k]].is_constant && takes_rows(n, k))
            return fail_at(err, RNND_MISMATCH, n->name,
                           "node \"%.80s\": %s takes rows as its input %d, \"%.80s\" is a constant", n->name,
                           n->op->name, k, g->values[n->inputs[k]].name);
    return RNND_OK;
}

static rnnd_code check_ends(const struct graph *g, rnnd_error *err)
{
    for (size_t i = 0; i < g->output_count; i++) {
        const struct graph_value *v = &g->values[g->outputs[i]];
        if (v->is_constant || v->rank != 3 || v->dim[2] < 1)
            return fail_at(err, RNND_MISMATCH, v->name, "output \"%.80s\": wanted a row per time step and sequence",
                           v->name);
        if (i && v->dim[0] != g->values[g->outputs[0]].dim[0])
            return fail_at(err, RNND_MISMATCH, v->name, "output \"%.80s\": wanted as many time steps as the first has",
                           v->name);
    }
    for (size_t i = 0; i < g->state_count; i++) {
        const struct graph_value *v = &g->values[g->states[i].out];
        bool one_row = !v->is_constant && (v->rank == 2 || (v->rank == 3 && v->dim[0] == 1));
        if (!one_row || v->dim[v->rank - 1] != (int64_t)g->states[i].width)
            return fail_at(err, RNND_MISMATCH, g->states[i].name,
                           "state \"%.80s\": wanted a successor of width %zu, found rank %d, width %lld",
                           g->states[i].name, g->states[i].width, v->rank,
                           (long long)(v->rank > 0 ? v->dim[v->rank - 1] : 0));
    }
    return RNND_OK;
}

static bool is_direct(const struct graph *g, int value)
{
    for (size_t i = 0; i < g->state_count; i++)
        if (g->states[i].in == value && g->states[i].direct) return true;
    return false;
}

/* What a node does that a step at a time would do otherwise, or NULL. States that are no cell's own make a function of
 * one step, for which there is no otherwise. */
static const char *not_by_steps(const struct graph *g, const struct graph_node *n)
{
    if (!n->op->causal || op_int(n, "reverse", 0)) return "reads whole sequences";
    if (!n->op->owns_states || g->stepwise) return NULL;
    if (g->values[n->inputs[0]].dim[0] == 1) return "is fed the last step of a window alone";
    for (int slot = 1; slot < n->op->outputs; slot++) { /* h; h and c */
        if (n->inputs[slot] < 0) return "begins every window from zeros, having no state of its own";
        if (!is_direct(g, n->inputs[slot])) return "begins every window from another value than a state of its own";
    }
    return NULL;
}

static rnnd_code find_causal(struct graph *g, rnnd_error *err)
{
    g->causal = true;
    for (size_t i = 0; i < g->node_count && g->causal; i++) {
        g->not_causal_why = not_by_steps(g, &g->nodes[i]);
        g->causal = !g->not_causal_why;
        g->not_causal = g->causal ? NULL : g->nodes[i].name;
    }
    if (g->causal || !g->stepwise) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, g->not_causal,
                   "node \"%.80s\" reads whole sequences, but a state is read or made outside a cell, so the graph is "
                   "the function of one step",
                   g->not_causal);
}

rnnd_code weights_start(struct weights *w, struct graph *g, rnnd_error *err)
{
    w->graph = g;
    w->readers = mem_alloc(g->value_count + 1, sizeof *w->readers);
    if (!w->readers) return fail_memory(err, g->value_count * sizeof *w->readers);
    for (size_t k = 0; k < g->output_count; k++) /* never to be dropped */
        w->readers[g->outputs[k]]++;
    for (size_t k = 0; k < g->state_count; k++)
        w->readers[g->states[k].out]++;
    for (size_t i = 0; i < g->value_count; i++) {
        const struct graph_value *v = &g->values[i];
        if (!v->is_constant) continue;
        size_t elements = tensor_count(&v->constant);
        if (v->dtype == DTYPE_F32) g->parameters += elements;
        g->weight_bytes += elements * dtype_bytes(v->dtype);
    }
    return RNND_OK;
}

void weights_read(struct weights *w, const struct graph_node *n)
{
    for (int s = 0; s < n->input_count; s++)
        if (n->inputs[s] >= 0) w->readers[n->inputs[s]]++;
}

void weights_packed(struct weights *w, const struct graph_node *n)
{
    for (int s = 0; s < n->input_count; s++) {
        bool packed = w->graph->tensors ? s < 32 && n->packed >> s & 1 : n->op->prepare != NULL;
        struct graph_value *v = n->inputs[s] >= 0 ? &w->graph->values[n->inputs[s]] : NULL;
        if (!v || !v->is_constant || !packed || --w->readers[n->inputs[s]]) continue;
        w->graph->weight_bytes -= tensor_count(&v->constant) * dtype_bytes(v->dtype);
        mem_free(v->constant.data);
        v->constant.data = NULL;
    }
}

void weights_end(struct weights *w)
{
    mem_free(w->readers);
}

rnnd_code graph_compile(struct graph *g, rnnd_error *err)
{
    if (g->tensors) return graph_compile_tensors(g, err);
    rnnd_code code = check_order(g, err);
    if (!code) code = graph_sort_states(g, err);
    for (size_t i = 0; i < g->node_count && !code; i++) {
        code = graph_check_node(g, &g->nodes[i], err);
        if (!code) code = check_rows(g, &g->nodes[i], err);
    }
    if (!code) code = check_ends(g, err);
    if (!code) code = find_causal(g, err);
    if (code) return code;
    struct weights w;
    code = weights_start(&w, g, err);
    for (size_t i = 0; i < g->node_count && !code; i++)
        weights_read(&w, &g->nodes[i]);
    for (size_t i = 0; i < g->node_count && !code; i++) {
        code = g->nodes[i].op->prepare ? g->nodes[i].op->prepare(g, &g->nodes[i], err) : RNND_OK;
        if (!code) weights_packed(&w, &g->nodes[i]);
    }
    weights_end(&w);
    return code;
}
