/* fold_prune.c -- drops nodes and constants that nothing reads any more. */
#include "core/base/error.h"
#include "core/graph/fold_private.h"

struct prune { bool *live, *made; };

void fold_free_nodes(struct graph_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < nodes[i].body_count; k++) {
            struct graph_body *b = nodes[i].bodies[k];
            fold_free_nodes(b->nodes, b->node_count);
            b->nodes = NULL;
            b->node_count = b->node_cap = 0;
        }
    mem_free(nodes);
}

static void mark(bool *list, int value)
{
    if (value >= 0) list[value] = true;
}

/* From the last node to the first: whoever reads a value comes behind its maker. */
static void prune_list(struct prune *p, struct graph_node *nodes, size_t *count)
{
    size_t kept = *count;
    for (size_t i = *count; i-- > 0;) {
        struct graph_node n = nodes[i];
        bool live = false;
        for (int k = 0; k < n.output_count; k++)
            live |= n.outputs[k] >= 0 && p->live[n.outputs[k]];
        for (int k = 0; k < n.body_count; k++) {
            struct graph_body *b = n.bodies[k];
            if (!live) {
                fold_free_nodes(b->nodes, b->node_count);
                b->nodes = NULL;
                b->node_count = b->node_cap = 0;
                continue;
            }
            for (int o = 0; o < b->output_count; o++)
                mark(p->live, b->outputs[o]);
            for (int o = 0; o < b->input_count; o++)
                mark(p->made, b->inputs[o]);
            prune_list(p, b->nodes, &b->node_count);
        }
        if (!live) continue;
        for (int k = 0; k < n.input_count; k++)
            mark(p->live, n.inputs[k]);
        for (int k = 0; k < n.output_count; k++)
            mark(p->made, n.outputs[k]);
        nodes[--kept] = n; /* the last ones gather at the end, */
    }
    for (size_t i = kept; i < *count; i++)
        nodes[i - kept] = nodes[i]; /* then move to the front */
    *count -= kept;
}

static void mark_ends(const struct graph *g, struct prune *p)
{
    for (size_t i = 0; i < g->output_count; i++)
        mark(p->live, g->outputs[i]);
    for (size_t i = 0; i < g->input_count; i++)
        mark(p->made, g->inputs[i]);
    for (size_t i = 0; i < g->state_count; i++) {
        mark(p->live, g->states[i].out);
        mark(p->made, g->states[i].in);
    }
}

rnnd_code fold_prune(struct graph *g, rnnd_error *err)
{
    struct prune p = {mem_alloc(g->value_count + 1, sizeof *p.live), mem_alloc(g->value_count + 1, sizeof *p.made)};
    rnnd_code code = p.live && p.made ? RNND_OK : fail_memory(err, g->value_count);
    if (!code) {
        mark_ends(g, &p);
        prune_list(&p, g->nodes, &g->node_count);
    }
    for (size_t i = 0; i < g->value_count && !code; i++) {
        struct graph_value *v = &g->values[i];
        if (v->is_constant && !p.live[i]) {
            mem_free(v->constant.data);
            v->constant.data = NULL;
            v->is_constant = false;
        }
        if (!v->is_constant && !p.made[i] && v->folded == 0) v->folded = -1;
    }
    mem_free(p.live);
    mem_free(p.made);
    return code;
}
