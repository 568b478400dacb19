/* same.c -- whether two compiled graphs compute with the same numbers. */
#include "core/graph/same.h"

#include <string.h>

#include "core/ops/op.h"
#include "core/ops/ops.h"

static bool same_bytes(const void *a, const void *b, size_t bytes)
{
    return a && b ? memcmp(a, b, bytes) == 0 : a == b;
}

static bool same_value(const struct graph_value *a, const struct graph_value *b)
{
    size_t bytes = tensor_count(&a->constant) * dtype_bytes(a->constant.dtype);
    if (a->is_constant != b->is_constant) return false;
    if (!a->is_constant) return true;
    return a->constant.dtype == b->constant.dtype && a->constant.rank == b->constant.rank &&
           memcmp(a->constant.dim, b->constant.dim, (size_t)a->constant.rank * sizeof *a->constant.dim) == 0 &&
           same_bytes(a->constant.data, b->constant.data, bytes);
}

/* Of what other ops have prepared nothing is known: they may differ. */
static bool same_node(const struct graph_node *a, const struct graph_node *b)
{
    if (a->op != b->op || !a->prepared != !b->prepared) return false;
    if (!a->prepared) return true;
    if (a->op == &op_dense) return dense_same(a, b);
    return (a->op == &op_lstm || a->op == &op_gru || a->op == &op_rnn) && recurrent_same(a, b);
}

bool graph_same_weights(const struct graph *a, const struct graph *b)
{
    if (a->value_count != b->value_count || a->node_count != b->node_count || a->state_count != b->state_count)
        return false;
    for (size_t i = 0; i < a->value_count; i++)
        if (!same_value(&a->values[i], &b->values[i])) return false;
    for (size_t i = 0; i < a->node_count; i++)
        if (!same_node(&a->nodes[i], &b->nodes[i])) return false;
    for (size_t i = 0; i < a->state_count; i++)
        if (a->states[i].width != b->states[i].width ||
            !same_bytes(a->states[i].initial, b->states[i].initial, a->states[i].width * sizeof(float)))
            return false;
    return true;
}
