/* collect.c -- what Loop and Scan share: values collected over iterations, stacked along a new axis. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/control.h"
#include "core/ops/tensor_util.h"

rnnd_code collect(struct run_context *rc, const struct graph_node *n, struct collected *c, const struct tensor *t,
                  rnnd_error *err)
{
    if (c->count) {
        const struct tensor *first = &c->parts[0];
        bool same = t->dtype == first->dtype && t->rank == first->rank;
        for (int i = 0; same && i < t->rank; i++)
            same = t->dim[i] == first->dim[i];
        if (!same)
            return fail_at(err, RNND_MISMATCH, n->name,
                           "node \"%.80s\" (%s): iteration %zu gives an output of another shape than those before",
                           n->name, n->op->name, c->count);
    }
    if (c->count == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct tensor *parts = rc->scratch(rc, cap * sizeof *parts);
        if (!parts) return fail_memory(err, cap * sizeof *parts);
        if (c->count) memcpy(parts, c->parts, c->count * sizeof *parts);
        c->parts = parts;
        c->cap = cap;
    }
    c->parts[c->count++] = *t;
    return RNND_OK;
}

/* What a part would have been: as far as it was known at load, free dimensions 0; one number where nothing was. */
static struct tensor absent_part(const struct run_context *rc, int like)
{
    const struct graph_value *v = &rc->graph->values[like];
    struct tensor t = {.dtype = v->dtype, .rank = v->rank < 0 ? 0 : v->rank};
    for (int i = 0; i < t.rank; i++)
        t.dim[i] = v->dim[i] < 0 ? 0 : (size_t)v->dim[i];
    return t;
}

rnnd_code collected_output(struct run_context *rc, const struct graph_node *n, int i, const struct collected *c,
                           int64_t axis, bool backward, int like, rnnd_error *err)
{
    struct tensor part = c->count ? c->parts[0] : absent_part(rc, like);
    size_t dim[MAX_RANK + 1];
    int at;
    rnnd_code code = op_rank(n, (size_t)part.rank + 1, err);
    if (!code) code = op_axis(n, axis, part.rank + 1, &at, err);
    if (code) return code;
    memcpy(dim, part.dim, (size_t)at * sizeof *dim);
    dim[at] = c->count;
    memcpy(dim + at + 1, part.dim + at, (size_t)(part.rank - at) * sizeof *dim);
    code = rc->output(rc, n, i, part.dtype, part.rank + 1, dim, err);
    size_t inner = dims_product(part.dim, at, part.rank) * dtype_bytes(part.dtype);
    size_t outer = dims_product(part.dim, 0, at);
    if (code || inner == 0 || outer == 0) return code;
    unsigned char *y = rc->values[n->outputs[i]].data;
    for (size_t o = 0; o < outer; o++)
        for (size_t k = 0; k < c->count; k++, y += inner)
            memcpy(y, (const unsigned char *)c->parts[backward ? c->count - 1 - k : k].data + o * inner, inner);
    return RNND_OK;
}
