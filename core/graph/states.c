/* states.c -- which states are a cell's own, and which make a graph the function of one step. */
#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/ops/op.h"

struct use { /* of a value */
    size_t readers;
    const struct graph_node *cell, *other; /* the first two cells that take it as their h or c */
};

static void count_uses(const struct graph *g, struct use *uses)
{
    for (size_t k = 0; k < g->node_count; k++) {
        const struct graph_node *n = &g->nodes[k];
        for (int slot = 0; slot < n->input_count; slot++) {
            if (n->inputs[slot] < 0) continue;
            struct use *u = &uses[n->inputs[slot]];
            u->readers++;
            if (!n->op->owns_states || slot < 1 || slot >= n->op->outputs || u->cell == n) continue;
            *(u->cell ? &u->other : &u->cell) = n;
        }
    }
    for (size_t i = 0; i < g->state_count; i++)
        uses[g->states[i].out].readers++; /* a state may go on as another's, one step later */
}

/* Its last h or c is the state's successor, at the place where it takes it (outputs 1, 2 follow inputs 1, 2). */
static bool goes_on(const struct graph_node *cell, const struct graph_state *s)
{
    for (int slot = 1; slot <= 2; slot++)
        if (slot < cell->input_count && slot < cell->output_count && cell->inputs[slot] == s->in &&
            cell->outputs[slot] == s->out)
            return true;
    return false;
}

/* A window hands a cell's own state from step to step inside the cell. What else reads or makes a state would see it
 * once per window; so such a graph means one step, and a window of it is its steps one after the other. */
rnnd_code graph_sort_states(struct graph *g, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    struct use *uses = mem_alloc(g->value_count + 1, sizeof *uses);
    if (!uses) return fail_memory(err, g->value_count * sizeof *uses);
    count_uses(g, uses);
    g->stepwise = false;
    for (size_t i = 0; i < g->state_count && !code; i++) {
        struct graph_state *s = &g->states[i];
        const struct use *u = &uses[s->in];
        if (u->readers == 0)
            code = fail_at(err, RNND_MISMATCH, s->name, "state \"%.80s\": nothing reads it", s->name);
        else if (u->other)
            code = fail_at(err, RNND_MISMATCH, s->name,
                           "state \"%.80s\" is that of \"%.80s\" and of \"%.80s\": wanted one for each cell", s->name,
                           u->cell->name, u->other->name);
        s->direct = u->readers == 1 && u->cell && goes_on(u->cell, s);
        if (!s->direct) g->stepwise = true;
    }
    for (size_t i = 0; i < g->input_count && g->stepwise; i++)
        g->values[g->inputs[i]].dim[0] = 1;
    mem_free(uses);
    return code;
}
