/* mask.c -- which steps of a sequence count: rows that differ from a number, and rows times a number of their own. */
#include "core/base/error.h"
#include "core/ops/ops.h"

static rnnd_code check_differs(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const struct graph_value *x = &g->values[n->inputs[0]];
    if (x->rank != 3 || op_width(g, n, 0) < 1)
        return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted a sequence of rows as input", n->name);
    graph_shape(g, n->outputs[0], 3, (const int64_t[]){x->dim[0], x->dim[1], 1});
    return RNND_OK;
}

static rnnd_code run_differs(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = &rc->values[n->inputs[0]];
    rnnd_code code = rc->output(rc, n, 0, DTYPE_F32, 3, (const size_t[]){x->dim[0], x->dim[1], 1}, err);
    if (code || rc->planning) return code;
    size_t rows = tensor_rows(x), width = tensor_width(x);
    const float *row = rc->values[n->inputs[0]].data, value = op_float(n, "value", 0);
    float *y = rc->values[n->outputs[0]].data;
    for (size_t r = 0; r < rows; r++, row += width) {
        y[r] = 0;
        for (size_t f = 0; f < width; f++)
            if (row[f] != value) y[r] = 1; /* NaN differs from all */
    }
    return RNND_OK;
}

static rnnd_code check_masked(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const struct graph_value *x = &g->values[n->inputs[0]], *m = &g->values[n->inputs[1]];
    if (x->rank != 3 || m->rank != 3 || op_width(g, n, 1) != 1 || x->dim[0] != m->dim[0] || m->is_constant)
        return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted rows, and one number for each of them",
                       n->name);
    graph_shape(g, n->outputs[0], x->rank, x->dim);
    return RNND_OK;
}

static rnnd_code run_masked(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = &rc->values[n->inputs[0]];
    rnnd_code code = rc->output(rc, n, 0, DTYPE_F32, x->rank, x->dim, err);
    if (code || rc->planning) return code;
    size_t rows = tensor_rows(x), width = tensor_width(x);
    const float *row = rc->values[n->inputs[0]].data, *m = rc->values[n->inputs[1]].data;
    float *y = rc->values[n->outputs[0]].data;
    for (size_t r = 0; r < rows; r++)
        for (size_t f = 0; f < width; f++)
            y[r * width + f] = row[r * width + f] * m[r];
    return RNND_OK;
}

static const char *const differs_attributes[] = {"value", NULL};
const struct op op_differs = {"differs",     1,    1,    1,          differs_attributes, true, false,
                              check_differs, NULL, NULL, run_differs};
const struct op op_masked = {"masked", 2, 2, 1, NULL, true, false, check_masked, NULL, NULL, run_masked};
