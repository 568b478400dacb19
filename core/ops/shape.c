/* shape.c -- moving rows and parts of rows about. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"

static rnnd_code check_same(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const struct graph_value *x = &g->values[n->inputs[0]];
    bool row = n->op == &op_as_step;
    if (x->rank != (row ? 2 : 3))
        return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted %s as input, found rank %d", n->name,
                       row ? "one row per sequence" : "a sequence of rows", x->rank);
    if (row)
        graph_shape(g, n->outputs[0], 3, (const int64_t[]){1, x->dim[0], x->dim[1]});
    else if (n->op == &op_last)
        graph_shape(g, n->outputs[0], 3, (const int64_t[]){1, x->dim[1], x->dim[2]});
    else
        graph_shape(g, n->outputs[0], 3, x->dim);
    return RNND_OK;
}

/* The output is the input's memory, seen anew. */
static rnnd_code run_view(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = &rc->values[n->inputs[0]];
    struct tensor *y = &rc->values[n->outputs[0]];
    (void)err;
    *y = *x;
    if (n->op == &op_as_step) {
        y->rank = 3;
        memcpy(y->dim, (const size_t[]){1, x->dim[0], x->dim[1]}, 3 * sizeof(size_t));
    } else if (n->op == &op_last) {
        y->dim[0] = 1;
        if (!rc->planning) y->data = (float *)x->data + (x->dim[0] - 1) * x->dim[1] * x->dim[2];
    }
    return RNND_OK;
}

static rnnd_code run_reverse(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = &rc->values[n->inputs[0]];
    rnnd_code code = rc->output(rc, n, 0, DTYPE_F32, 3, x->dim, err);
    if (code || rc->planning) return code;
    size_t T = x->dim[0], step = x->dim[1] * x->dim[2];
    float *y = rc->values[n->outputs[0]].data;
    for (size_t t = 0; t < T; t++)
        memcpy(y + t * step, (const float *)x->data + (T - 1 - t) * step, step * sizeof *y);
    return RNND_OK;
}

static rnnd_code check_concat(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const struct graph_value *x = &g->values[n->inputs[0]];
    int64_t dim[MAX_RANK], width = 0;
    memcpy(dim, x->dim, sizeof dim);
    for (int i = 0; i < n->input_count; i++) {
        const struct graph_value *v = n->inputs[i] >= 0 ? &g->values[n->inputs[i]] : NULL;
        if (!v || v->rank < 2 || v->rank != x->rank || v->dim[0] != x->dim[0] || v->dim[v->rank - 1] < 1)
            return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted inputs with as many rows each",
                           n->name);
        width += v->dim[v->rank - 1];
    }
    dim[x->rank - 1] = width;
    graph_shape(g, n->outputs[0], x->rank, dim);
    return RNND_OK;
}

static rnnd_code run_concat(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = &rc->values[n->inputs[0]];
    size_t dim[MAX_RANK], width = 0, rows = tensor_rows(x);
    for (int i = 0; i < n->input_count; i++)
        width += tensor_width(&rc->values[n->inputs[i]]);
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = width;
    rnnd_code code = rc->output(rc, n, 0, DTYPE_F32, x->rank, dim, err);
    if (code || rc->planning) return code;
    float *y = rc->values[n->outputs[0]].data;
    for (int i = 0; i < n->input_count; i++) {
        const struct tensor *part = &rc->values[n->inputs[i]];
        size_t w = tensor_width(part);
        for (size_t r = 0; r < rows; r++)
            memcpy(y + r * width, (const float *)part->data + r * w, w * sizeof *y);
        y += w;
    }
    return RNND_OK;
}

static rnnd_code check_slice(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const struct graph_value *x = &g->values[n->inputs[0]];
    int64_t width = op_width(g, n, 0), start = op_int(n, "start", 0), end = op_int(n, "end", width), dim[MAX_RANK];
    if (x->rank < 2 || start < 0 || end > width || start >= end)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "layer \"%.80s\": wanted 0 <= start < end <= %lld, found %lld and %lld", n->name,
                       (long long)width, (long long)start, (long long)end);
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = end - start;
    graph_shape(g, n->outputs[0], x->rank, dim);
    return RNND_OK;
}

static rnnd_code run_slice(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = &rc->values[n->inputs[0]];
    size_t dim[MAX_RANK], width = tensor_width(x), rows = tensor_rows(x), start = (size_t)op_int(n, "start", 0);
    size_t wide = (size_t)op_int(n, "end", (int64_t)width) - start;
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = wide;
    rnnd_code code = rc->output(rc, n, 0, DTYPE_F32, x->rank, dim, err);
    if (code || rc->planning) return code;
    float *y = rc->values[n->outputs[0]].data;
    for (size_t r = 0; r < rows; r++)
        memcpy(y + r * wide, (const float *)x->data + r * width + start, wide * sizeof *y);
    return RNND_OK;
}

static const char *const slice_attributes[] = {"start", "end", NULL};
const struct op op_identity = {"identity", 1, 1, 1, NULL, true, false, check_same, NULL, NULL, run_view};
const struct op op_last = {"last", 1, 1, 1, NULL, true, false, check_same, NULL, NULL, run_view};
const struct op op_as_step = {"as_step", 1, 1, 1, NULL, true, false, check_same, NULL, NULL, run_view};
const struct op op_reverse = {"reverse", 1, 1, 1, NULL, false, false, check_same, NULL, NULL, run_reverse};
const struct op op_concat = {"concat", 1, 16, 1, NULL, true, false, check_concat, NULL, NULL, run_concat};
const struct op op_slice = {"slice", 1, 1, 1, slice_attributes, true, false, check_slice, NULL, NULL, run_slice};
