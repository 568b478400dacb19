/* embedding.c -- looks rows up in a table. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"

static rnnd_code check(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    rnnd_code code;
    const struct graph_value *x = &g->values[n->inputs[0]], *table = &g->values[n->inputs[1]];
    op_constant(g, n, 1, "weight", 0, NULL, &code, err);
    if (code) return code;
    if (table->rank != 2 || table->dim[0] < 1 || table->dim[1] < 1)
        return fail_at(err, RNND_MISMATCH, table->name,
                       "layer \"%.80s\", weight \"%.80s\": wanted shape [ids, width], found rank %d", n->name,
                       table->name, table->rank);
    if (x->rank != 3 || x->dim[2] != 1)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "layer \"%.80s\": wanted an input of one id per step, found width %lld", n->name,
                       (long long)op_width(g, n, 0));
    graph_shape(g, n->outputs[0], 3, (const int64_t[]){x->dim[0], -1, table->dim[1]});
    return RNND_OK;
}

static rnnd_code run(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = &rc->values[n->inputs[0]], *table = &rc->values[n->inputs[1]];
    size_t width = table->dim[1], rows = tensor_rows(x);
    rnnd_code code = rc->output(rc, n, 0, DTYPE_F32, 3, (const size_t[]){x->dim[0], x->dim[1], width}, err);
    if (code || rc->planning) return code;
    float *y = rc->values[n->outputs[0]].data;
    for (size_t r = 0; r < rows; r++) {
        float id = ((const float *)x->data)[r];
        if (!(id >= 0 && id < (float)table->dim[0]) || (float)(size_t)id != id)
            return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted a whole id from 0 to %zu, found %g",
                           n->name, table->dim[0] - 1, (double)id);
        memcpy(y + r * width, (const float *)table->data + (size_t)id * width, width * sizeof *y);
    }
    return RNND_OK;
}

const struct op op_embedding = {"embedding", 2, 2, 1, NULL, true, false, check, NULL, NULL, run};
