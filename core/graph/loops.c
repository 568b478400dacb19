/* loops.c -- what a Loop carries along unchanged. */
#include "core/graph/loops.h"

#include <string.h>

#include "core/ops/op.h"

static void rename_reads(struct graph_node *nodes, size_t count, int from, int to)
{
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < nodes[i].input_count; k++)
            if (nodes[i].inputs[k] == from) nodes[i].inputs[k] = to;
        for (int k = 0; k < nodes[i].body_count; k++) {
            struct graph_body *b = nodes[i].bodies[k];
            rename_reads(b->nodes, b->node_count, from, to);
            for (int o = 0; o < b->output_count; o++)
                if (b->outputs[o] == from) b->outputs[o] = to;
        }
    }
}

/* Inputs: most iterations, condition, what is carried; the body's: number, condition, what is carried; its outputs:
 * condition, what is carried, what is collected. */
static void hoist_one(struct graph_node *n)
{
    struct graph_body *b = n->bodies[0];
    for (int k = 0; k + 2 < n->input_count && k + 2 < b->input_count && k + 1 < b->output_count; k++) {
        int inside = b->inputs[k + 2], outside = n->inputs[k + 2];
        if (outside >= 0 && b->outputs[k + 1] == inside) rename_reads(b->nodes, b->node_count, inside, outside);
    }
}

static void hoist_list(struct graph_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(nodes[i].op->name, "Loop") == 0 && nodes[i].body_count == 1) hoist_one(&nodes[i]);
        for (int k = 0; k < nodes[i].body_count; k++)
            hoist_list(nodes[i].bodies[k]->nodes, nodes[i].bodies[k]->node_count);
    }
}

void graph_hoist(struct graph *g)
{
    hoist_list(g->nodes, g->node_count);
}
