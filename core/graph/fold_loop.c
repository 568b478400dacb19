/* fold_loop.c -- what a Loop or Scan carries without changing it: exporters hand weights through their loops so. */
#include <string.h>

#include "core/graph/fold_private.h"

/* Where the places of carried value 0 are: the node's inputs, the body's inputs and outputs; and how many there are. */
struct places { int input, body_input, body_output, count; };

static bool find_places(const struct graph_node *n, struct places *p)
{
    bool loop = strcmp(n->op->name, "Loop") == 0;
    if (n->body_count != 1 || (!loop && strcmp(n->op->name, "Scan") != 0)) return false;
    const struct graph_body *b = n->bodies[0];
    *p = loop ? (struct places){2, 2, 1, n->input_count - 2} : (struct places){0, 0, 0, n->input_count};
    if (!loop) {
        int64_t scanned = op_int(n, "num_scan_inputs", n->input_count);
        if (scanned < 0 || scanned > n->input_count) return false;
        p->count -= (int)scanned;
    }
    return p->count > 0 && b->input_count >= p->body_input + p->count && b->output_count >= p->body_output + p->count &&
           n->output_count >= p->count;
}

/* The value that an Identity of the body, or several, passes on. */
static int source(const struct graph_body *b, int value)
{
    for (size_t i = b->node_count; i-- > 0;) { /* makers stand before readers */
        const struct graph_node *n = &b->nodes[i];
        if (n->output_count == 1 && n->outputs[0] == value && n->input_count == 1 && n->inputs[0] >= 0 &&
            strcmp(n->op->name, "Identity") == 0)
            value = n->inputs[0];
    }
    return value;
}

static void close_gap(int *list, int *count, int at)
{
    memmove(list + at, list + at + 1, (size_t)(*count - at - 1) * sizeof *list);
    --*count;
}

void fold_unchanged(struct fold *f, struct graph_node *n, struct fold_list *to)
{
    struct places p;
    if (!find_places(n, &p)) return;
    struct graph_body *b = n->bodies[0];
    for (int k = p.count - 1; k >= 0; k--) {
        int inner = b->inputs[p.body_input + k], outer = n->inputs[p.input + k];
        if (outer < 0 || f->g->values[inner].folded || source(b, b->outputs[p.body_output + k]) != inner) continue;
        f->g->values[inner].folded = outer + 1;
        f->dtype[inner] = f->dtype[outer];
        if (n->outputs[k] >= 0) fold_link(f, to, n->name, outer, n->outputs[k]);
        close_gap(n->inputs, &n->input_count, p.input + k);
        close_gap(n->outputs, &n->output_count, k);
        close_gap(b->inputs, &b->input_count, p.body_input + k);
        close_gap(b->outputs, &b->output_count, p.body_output + k);
    }
}
