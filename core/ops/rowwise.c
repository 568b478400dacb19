/* rowwise.c -- what happens to each row by itself: functions, norms, softmax, sums and products of rows. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"

static rnnd_code like_input(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = &rc->values[n->inputs[0]];
    return rc->output(rc, n, 0, DTYPE_F32, x->rank, x->dim, err);
}

static rnnd_code check_rows(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const struct graph_value *x = &g->values[n->inputs[0]];
    if (x->rank < 2 || op_width(g, n, 0) < 1)
        return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted rows as input", n->name);
    graph_shape(g, n->outputs[0], x->rank, x->dim);
    return RNND_OK;
}

/* x and two constants of its width */
static rnnd_code check_scaled(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    rnnd_code code = check_rows(g, n, err);
    size_t width = (size_t)op_width(g, n, 0);
    bool norm = n->op == &op_layer_norm;
    if (!code) op_constant(g, n, 1, norm ? "weight" : "scale", 1, &width, &code, err);
    if (!code) op_constant(g, n, 2, norm ? "bias" : "shift", 1, &width, &code, err);
    return code;
}

static rnnd_code run_activation(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    rnnd_code code = like_input(rc, n, err);
    if (code || rc->planning) return code;
    const struct tensor *x = &rc->values[n->inputs[0]];
    rc->kernels->activate(op_act(n, "activation", (struct act){.kind = ACT_LINEAR}), tensor_rows(x) * tensor_width(x),
                          x->data, rc->values[n->outputs[0]].data);
    return RNND_OK;
}

static rnnd_code run_rows(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    rnnd_code code = like_input(rc, n, err);
    if (code || rc->planning) return code;
    const struct tensor *in = &rc->values[n->inputs[0]];
    size_t rows = tensor_rows(in), width = tensor_width(in);
    const float *x = in->data;
    const float *a = n->input_count > 1 && n->inputs[1] >= 0 ? rc->values[n->inputs[1]].data : NULL;
    const float *b = n->input_count > 2 && n->inputs[2] >= 0 ? rc->values[n->inputs[2]].data : NULL;
    float *y = rc->values[n->outputs[0]].data;
    float epsilon = op_float(n, "epsilon", 1e-5f);
    for (size_t r = 0; r < rows; r++, x += width, y += width) {
        if (n->op == &op_softmax)
            rc->kernels->softmax(width, x, y);
        else if (n->op == &op_log_softmax)
            rc->kernels->log_softmax(width, x, y);
        else if (n->op == &op_scale_shift)
            rc->kernels->scale_shift(width, x, a, b, y);
        else
            rc->kernels->layer_norm(width, x, a, b, epsilon, y);
    }
    return RNND_OK;
}

static rnnd_code check_combined(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    rnnd_code code = check_rows(g, n, err);
    const struct graph_value *x = &g->values[n->inputs[0]];
    for (int i = 1; i < n->input_count && !code; i++) {
        const struct graph_value *other = &g->values[n->inputs[i]];
        if (other->rank != x->rank || op_width(g, n, i) != op_width(g, n, 0) || other->dim[0] != x->dim[0])
            code = fail_at(err, RNND_MISMATCH, n->name,
                           "layer \"%.80s\": wanted inputs of one shape, found widths %lld and %lld", n->name,
                           (long long)op_width(g, n, 0), (long long)op_width(g, n, i));
    }
    return code;
}

static rnnd_code run_combined(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    rnnd_code code = like_input(rc, n, err);
    if (code || rc->planning) return code;
    const struct tensor *x = &rc->values[n->inputs[0]];
    size_t count = tensor_rows(x) * tensor_width(x);
    const float *a = x->data;
    float *y = rc->values[n->outputs[0]].data;
    if (n->input_count == 1) memcpy(y, a, count * sizeof *y);
    for (int i = 1; i < n->input_count; i++, a = y) {
        const float *b = rc->values[n->inputs[i]].data;
        if (n->op == &op_add)
            rc->kernels->add(count, a, b, y);
        else if (n->op == &op_sub)
            rc->kernels->sub(count, a, b, y);
        else
            rc->kernels->mul(count, a, b, y);
    }
    return RNND_OK;
}

static const char *const act_attributes[] = {"activation", NULL};
static const char *const norm_attributes[] = {"epsilon", NULL};
const struct op op_activation = {"activation", 1,          1,    1,    act_attributes, true,
                                 false,        check_rows, NULL, NULL, run_activation};
const struct op op_softmax = {"softmax", 1, 1, 1, NULL, true, false, check_rows, NULL, NULL, run_rows};
const struct op op_log_softmax = {"log_softmax", 1, 1, 1, NULL, true, false, check_rows, NULL, NULL, run_rows};
const struct op op_layer_norm = {"layer_norm", 1,    3,    1,       norm_attributes, true, false,
                                 check_scaled, NULL, NULL, run_rows};
const struct op op_scale_shift = {"scale_shift", 3, 3, 1, NULL, true, false, check_scaled, NULL, NULL, run_rows};
const struct op op_add = {"add", 1, 16, 1, NULL, true, false, check_combined, NULL, NULL, run_combined};
const struct op op_sub = {"sub", 2, 2, 1, NULL, true, false, check_combined, NULL, NULL, run_combined};
const struct op op_mul = {"mul", 1, 16, 1, NULL, true, false, check_combined, NULL, NULL, run_combined};
