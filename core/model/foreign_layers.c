/* foreign_layers.c -- the table of layers once written-out cells have become recurrent nodes. */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/model/foreign.h"
#include "core/ops/op.h"

static size_t count_nodes(const struct graph_node *nodes, size_t count)
{
    size_t total = count;
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < nodes[i].body_count; k++)
            total += count_nodes(nodes[i].bodies[k]->nodes, nodes[i].bodies[k]->node_count);
    return total;
}

static const struct graph_node **list_nodes(const struct graph_node *nodes, size_t count, const struct graph_node **to)
{
    for (size_t i = 0; i < count; i++) {
        *to++ = &nodes[i];
        for (int k = 0; k < nodes[i].body_count; k++)
            to = list_nodes(nodes[i].bodies[k]->nodes, nodes[i].bodies[k]->node_count, to);
    }
    return to;
}

static int compare_names(const void *a, const void *b)
{
    const struct graph_node *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int compare_name(const void *key, const void *node)
{
    return strcmp(key, (*(const struct graph_node *const *)node)->name);
}

static bool is_recurrent(const struct graph_node *n)
{
    const char *op = n->op->name;
    return strcmp(op, "LSTM") == 0 || strcmp(op, "GRU") == 0 || strcmp(op, "RNN") == 0;
}

/* A row for a node that has none yet. */
static rnnd_code add_row(struct rnnd_model *m, const struct graph *g, const struct graph_node *n, rnnd_layer *rows,
                         size_t *count, rnnd_error *err)
{
    const struct network *net = &m->network;
    const struct tensor *weights[8] = {NULL};
    rnnd_layer row = {.type = n->op->name, .detail = ""};
    for (size_t i = 0; i < net->layer_count; i++)
        if (strcmp(net->layers[i].type, row.type) == 0 && strcmp(net->layers[i].name, n->name) == 0) return RNND_OK;
    for (int k = 1; k < n->input_count && k < 8; k++)
        if (n->inputs[k] >= 0 && g->values[n->inputs[k]].is_constant && g->values[n->inputs[k]].dtype == DTYPE_F32) {
            weights[k] = &g->values[n->inputs[k]].constant;
            row.parameters += tensor_count(weights[k]);
        }
    if (!weights[1] || !weights[2] || weights[1]->rank != 3 || weights[2]->rank != 3) return RNND_OK;
    row.inputs = weights[1]->dim[2];
    row.outputs = weights[2]->dim[0] * weights[2]->dim[2];
    if (!(row.name = arena_string(&m->arena, n->name, strlen(n->name)))) return fail_memory(err, strlen(n->name));
    rows[(*count)++] = row;
    return RNND_OK;
}

rnnd_code foreign_list_fused(struct rnnd_model *m, const struct graph *g, size_t fused, rnnd_error *err)
{
    struct network *net = &m->network;
    size_t nodes = count_nodes(g->nodes, g->node_count), count = 0;
    const struct graph_node **list = mem_alloc(nodes + 1, sizeof *list);
    rnnd_layer *rows = arena_alloc(&m->arena, net->layer_count + fused + 1, sizeof *rows);
    rnnd_code code = list && rows ? RNND_OK : fail_memory(err, nodes * sizeof *list);
    for (size_t i = 0; i < g->node_count && !code && count < fused; i++)
        if (is_recurrent(&g->nodes[i])) code = add_row(m, g, &g->nodes[i], rows, &count, err);
    if (!code) {
        list_nodes(g->nodes, g->node_count, list);
        qsort(list, nodes, sizeof *list, compare_names);
        for (size_t i = 0; i < net->layer_count; i++)
            if (bsearch(net->layers[i].name, list, nodes, sizeof *list, compare_name)) rows[count++] = net->layers[i];
        net->layers = rows;
        net->layer_count = count;
    }
    mem_free(list);
    return code;
}
