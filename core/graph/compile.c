/* compile.c -- checks a graph as a whole, infers shapes, prepares weights; after this it is immutable. */
#include <string.h>

#include "core/base/error.h"
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

static rnnd_code check_node(struct graph *g, struct graph_node *n, rnnd_error *err)
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
    for (size_t i = 0; i < n->attr_count; i++) {
        const char *const *known = n->op->attributes;
        while (known && *known && strcmp(*known, n->attrs[i].name) != 0)
            known++;
        if (!known || !*known)
            return fail_at(err, RNND_MISMATCH, n->attrs[i].name, "node \"%.80s\": %s has no attribute \"%.80s\"",
                           n->name, n->op->name, n->attrs[i].name);
    }
    return n->op->check(g, n, err);
}

static rnnd_code check_ends(const struct graph *g, rnnd_error *err)
{
    for (size_t i = 0; i < g->output_count; i++) {
        const struct graph_value *v = &g->values[g->outputs[i]];
        if (v->rank != 3 || v->dim[2] < 1)
            return fail_at(err, RNND_MISMATCH, v->name, "output \"%.80s\": wanted a row per time step and sequence",
                           v->name);
        if (i && v->dim[0] != g->values[g->outputs[0]].dim[0])
            return fail_at(err, RNND_MISMATCH, v->name, "output \"%.80s\": wanted as many time steps as the first has",
                           v->name);
    }
    for (size_t i = 0; i < g->state_count; i++) {
        const struct graph_value *v = &g->values[g->states[i].out];
        if (v->rank != 2 || v->dim[1] != (int64_t)g->states[i].width)
            return fail_at(err, RNND_MISMATCH, g->states[i].name,
                           "state \"%.80s\": wanted a successor of width %zu, found rank %d, width %lld",
                           g->states[i].name, g->states[i].width, v->rank,
                           (long long)(v->rank > 0 ? v->dim[v->rank - 1] : 0));
    }
    return RNND_OK;
}

/* A state is direct where the one reader of its input also makes its successor, at the same place (cells: outputs 1, 2
 * follow inputs 1, 2). */
static void find_direct(struct graph *g)
{
    for (size_t i = 0; i < g->state_count; i++) {
        struct graph_state *s = &g->states[i];
        if (graph_readers(g, s->in) != 1 || g->values[s->in].is_constant) continue;
        for (size_t k = 0; k < g->node_count; k++) {
            const struct graph_node *n = &g->nodes[k];
            for (int slot = 1; slot <= 2; slot++)
                if (n->op->owns_states && slot < n->input_count && slot < n->output_count && n->inputs[slot] == s->in &&
                    n->outputs[slot] == s->out)
                    s->direct = true;
        }
    }
}

/* Weights that every reader has packed are not kept twice. */
static rnnd_code drop_packed(struct graph *g, rnnd_error *err)
{
    size_t *kept = mem_alloc(g->value_count + 1, 2 * sizeof *kept), *packed = kept + g->value_count + 1;
    if (!kept) return fail_memory(err, g->value_count * 2 * sizeof *kept);
    for (size_t k = 0; k < g->node_count; k++)
        for (int s = 0; s < g->nodes[k].input_count; s++)
            if (g->nodes[k].inputs[s] >= 0) (g->nodes[k].op->prepare ? packed : kept)[g->nodes[k].inputs[s]]++;
    for (size_t k = 0; k < g->output_count; k++)
        kept[g->outputs[k]]++;
    for (size_t k = 0; k < g->state_count; k++)
        kept[g->states[k].out]++;
    for (size_t i = 0; i < g->value_count; i++) {
        struct graph_value *v = &g->values[i];
        size_t elements = 1;
        if (!v->is_constant) continue;
        for (int d = 0; d < v->rank; d++)
            elements *= (size_t)v->dim[d];
        g->parameters += elements;
        if (packed[i] && !kept[i]) {
            mem_free(v->constant.data);
            v->constant.data = NULL;
        } else {
            g->weight_bytes += elements * sizeof(float);
        }
    }
    mem_free(kept);
    return RNND_OK;
}

rnnd_code graph_compile(struct graph *g, rnnd_error *err)
{
    rnnd_code code = check_order(g, err);
    if (code) return code;
    g->causal = true;
    for (size_t i = 0; i < g->node_count; i++) {
        struct graph_node *n = &g->nodes[i];
        code = check_node(g, n, err);
        if (code) return code;
        if (g->causal && (!n->op->causal || op_int(n, "reverse", 0))) {
            g->causal = false;
            g->not_causal = n->name;
        }
    }
    code = check_ends(g, err);
    if (code) return code;
    find_direct(g);
    for (size_t i = 0; i < g->node_count; i++) {
        code = g->nodes[i].op->prepare ? g->nodes[i].op->prepare(g, &g->nodes[i], err) : RNND_OK;
        if (code) return code;
    }
    return drop_packed(g, err);
}
