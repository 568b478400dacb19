/* compile_tensors.c -- checks a tensor graph and its bodies, prepares weights. Shapes are the run's business. */
#include "core/base/error.h"
#include "core/graph/compile.h"
#include "core/ops/op.h"

#define MAX_BODY_DEPTH 8

struct scope { /* what has been made so far */
    bool *known;
    int depth;
};

static rnnd_code check_reads(const struct graph *g, const struct graph_node *n, const struct scope *s, rnnd_error *err)
{
    for (int k = 0; k < n->input_count; k++)
        if (n->inputs[k] >= 0 && !s->known[n->inputs[k]])
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" reads \"%.80s\" before any node has made it",
                           n->name, g->values[n->inputs[k]].name);
    return RNND_OK;
}

static rnnd_code check_list(struct graph *g, struct graph_node *nodes, size_t count, struct scope *s, rnnd_error *err);

static rnnd_code check_body(struct graph *g, const struct graph_node *n, struct graph_body *b, struct scope *s,
                            rnnd_error *err)
{
    if (s->depth == MAX_BODY_DEPTH)
        return fail_at(err, RNND_TOO_LARGE, n->name, "node \"%.80s\": bodies within bodies, more than %d deep", n->name,
                       MAX_BODY_DEPTH);
    for (int i = 0; i < b->input_count; i++)
        s->known[b->inputs[i]] = true;
    s->depth++;
    rnnd_code code = check_list(g, b->nodes, b->node_count, s, err);
    s->depth--;
    for (int i = 0; i < b->output_count && !code; i++)
        if (!s->known[b->outputs[i]])
            code = fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\": nothing makes its body's output \"%.80s\"",
                           n->name, g->values[b->outputs[i]].name);
    return code;
}

static rnnd_code check_list(struct graph *g, struct graph_node *nodes, size_t count, struct scope *s, rnnd_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct graph_node *n = &nodes[i];
        rnnd_code code = check_reads(g, n, s, err);
        for (int k = 0; k < n->body_count && !code; k++)
            code = check_body(g, n, n->bodies[k], s, err);
        if (!code) code = graph_check_node(g, n, err);
        if (code) return code;
        for (int k = 0; k < n->output_count; k++) {
            if (n->outputs[k] < 0) continue;
            if (s->known[n->outputs[k]])
                return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" makes \"%.80s\", which is there already",
                               n->name, g->values[n->outputs[k]].name);
            s->known[n->outputs[k]] = true;
        }
    }
    return RNND_OK;
}

static void read_list(struct weights *w, const struct graph_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        weights_read(w, &nodes[i]);
        for (int k = 0; k < nodes[i].body_count; k++) {
            const struct graph_body *b = nodes[i].bodies[k];
            read_list(w, b->nodes, b->node_count);
            for (int o = 0; o < b->output_count; o++)
                w->readers[b->outputs[o]]++;
        }
    }
}

static rnnd_code prepare_list(struct weights *w, struct graph_node *nodes, size_t count, rnnd_error *err)
{
    for (size_t i = 0; i < count; i++) {
        rnnd_code code = nodes[i].op->prepare ? nodes[i].op->prepare(w->graph, &nodes[i], err) : RNND_OK;
        if (!code) weights_packed(w, &nodes[i]);
        for (int k = 0; k < nodes[i].body_count && !code; k++)
            code = prepare_list(w, nodes[i].bodies[k]->nodes, nodes[i].bodies[k]->node_count, err);
        if (code) return code;
    }
    return RNND_OK;
}

static rnnd_code check_ends(const struct graph *g, struct scope *s, rnnd_error *err)
{
    for (size_t i = 0; i < g->output_count; i++) {
        if (!s->known[g->outputs[i]])
            return fail_at(err, RNND_MISMATCH, "outputs", "no node makes the output \"%.80s\"",
                           g->values[g->outputs[i]].name);
    }
    for (size_t i = 0; i < g->state_count; i++)
        if (!s->known[g->states[i].out])
            return fail_at(err, RNND_MISMATCH, "states", "no node makes \"%.80s\", the next \"%.80s\"",
                           g->values[g->states[i].out].name, g->states[i].name);
    return RNND_OK;
}

rnnd_code graph_compile_tensors(struct graph *g, rnnd_error *err)
{
    size_t n = g->value_count + 1;
    struct scope s = {.known = mem_alloc(n, sizeof *s.known)};
    struct weights w = {0};
    rnnd_code code = s.known ? RNND_OK : fail_memory(err, n * sizeof *s.known);
    for (size_t i = 0; i < g->value_count && !code; i++)
        s.known[i] = g->values[i].is_constant;
    for (size_t i = 0; i < g->input_count && !code; i++)
        s.known[g->inputs[i]] = true;
    for (size_t i = 0; i < g->state_count && !code; i++)
        s.known[g->states[i].in] = true;
    if (!code) code = check_list(g, g->nodes, g->node_count, &s, err);
    if (!code) code = check_ends(g, &s, err);
    if (!code) code = weights_start(&w, g, err);
    if (!code) read_list(&w, g->nodes, g->node_count);
    if (!code) code = prepare_list(&w, g->nodes, g->node_count, err);
    weights_end(&w);
    g->stepwise = g->state_count != 0;
    g->causal = g->stepwise;
    if (!g->causal) {
        g->not_causal = g->node_count ? g->nodes[0].name : "";
        g->not_causal_why = "is part of a graph whose state cannot be told";
    }
    mem_free(s.known);
    return code;
}
