/* op.c -- the table of all operations, and what they share: attributes, constants, shapes. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/op.h"
#include "core/ops/ops.h"

static const struct op *const ops[] = {
    &op_lstm,        &op_gru,        &op_rnn,         &op_embedding, &op_dense,    &op_activation, &op_softmax,
    &op_log_softmax, &op_layer_norm, &op_scale_shift, &op_add,       &op_sub,      &op_mul,        &op_concat,
    &op_slice,       &op_last,       &op_as_step,     &op_reverse,   &op_identity, &op_attend,
    &op_differs,     &op_masked,
};

const struct op *op_find(const char *name)
{
    static const struct op *const *const tensor_ops[] = {
        ops_elementwise, ops_functions, ops_compare,     ops_layout, ops_fill,     ops_gather,  ops_reduce,
        ops_order,       ops_linear,    ops_convolution, ops_normal, ops_sequence, ops_control,
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i]->name, name) == 0) return ops[i];
    for (size_t i = 0; i < sizeof tensor_ops / sizeof *tensor_ops; i++)
        for (const struct op *const *op = tensor_ops[i]; *op; op++)
            if (strcmp((*op)->name, name) == 0) return *op;
    return NULL;
}

int64_t op_int(const struct graph_node *n, const char *name, int64_t absent)
{
    const struct attr *a = graph_find_attr(n, name);
    if (a && a->kind == ATTR_FLOAT && a->f >= -9e18f && a->f <= 9e18f) return (int64_t)a->f;
    return a && a->kind == ATTR_INT ? a->i : absent;
}

float op_float(const struct graph_node *n, const char *name, float absent)
{
    const struct attr *a = graph_find_attr(n, name);
    return !a ? absent : a->kind == ATTR_FLOAT ? a->f : a->kind == ATTR_INT ? (float)a->i : absent;
}

struct act op_act(const struct graph_node *n, const char *name, struct act absent)
{
    const struct attr *a = graph_find_attr(n, name);
    return a && a->kind == ATTR_POINTER && a->p ? *(const struct act *)a->p : absent;
}

int64_t op_width(const struct graph *g, const struct graph_node *n, int input)
{
    const struct graph_value *v = input < n->input_count && n->inputs[input] >= 0 ? &g->values[n->inputs[input]] : NULL;
    return v && v->rank > 0 ? v->dim[v->rank - 1] : -1;
}

const float *op_constant(const struct graph *g, const struct graph_node *n, int input, const char *what, int rank,
                         const size_t *dim, rnnd_code *code, rnnd_error *err)
{
    *code = RNND_OK;
    if (input >= n->input_count || n->inputs[input] < 0) return NULL;
    const struct graph_value *v = &g->values[n->inputs[input]];
    char wanted[96] = "", found[96] = "";
    if (!v->is_constant || v->dtype != DTYPE_F32) {
        *code = fail_at(err, RNND_MISMATCH, v->name, "layer \"%.80s\": its %s \"%.80s\" must be a constant of floats",
                        n->name, what, v->name);
        return NULL;
    }
    bool same = rank == 0 || rank == v->rank;
    for (int i = 0; same && i < rank; i++)
        same = v->constant.dim[i] == dim[i];
    if (same) return v->constant.data;
    for (int i = 0, at = 0; i < rank; i++)
        at += snprintf(wanted + at, sizeof wanted - (size_t)at, i ? ", %zu" : "%zu", dim[i]);
    for (int i = 0, at = 0; i < v->rank && at < 80; i++)
        at += snprintf(found + at, sizeof found - (size_t)at, i ? ", %zu" : "%zu", v->constant.dim[i]);
    *code = fail_at(err, RNND_MISMATCH, v->name, "layer \"%.80s\", %s \"%.80s\": wanted shape [%s], found [%s]",
                    n->name, what, v->name, wanted, found);
    return NULL;
}

size_t tensor_rows(const struct tensor *t)
{
    size_t n = 1;
    for (int i = 0; i + 1 < t->rank; i++)
        n *= t->dim[i];
    return n;
}

size_t tensor_width(const struct tensor *t)
{
    return t->rank ? t->dim[t->rank - 1] : 1;
}

size_t tensor_count(const struct tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= t->dim[i];
    return n;
}

size_t dtype_bytes(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? sizeof(float) : dtype == DTYPE_I64 ? sizeof(int64_t) : 1;
}

const struct tensor *op_input(const struct run_context *rc, const struct graph_node *n, int i)
{
    return i < n->input_count && n->inputs[i] >= 0 ? &rc->values[n->inputs[i]] : NULL;
}

/* Where one kind has several names, the first is the one shown. */
static const struct {
    const char *name;
    struct act act;
} acts[] = {
    {"linear", {ACT_LINEAR, 0, 0}},
    {"sigmoid", {ACT_SIGMOID, 0, 0}},
    {"tanh", {ACT_TANH, 0, 0}},
    {"relu", {ACT_RELU, 0, 0}},
    {"hard_sigmoid", {ACT_HARD_SIGMOID, 1.0f / 6.0f, 0.5f}}, /* PyTorch, Keras 3 */
    {"hard_sigmoid_keras2", {ACT_HARD_SIGMOID, 0.2f, 0.5f}}, /* Keras 1 and 2, ONNX */
    {"leaky_relu", {ACT_LEAKY_RELU, 0.01f, 0}},
    {"elu", {ACT_ELU, 1.0f, 0}},
    {"selu", {ACT_SELU, 0, 0}},
    {"softplus", {ACT_SOFTPLUS, 0, 0}},
    {"softsign", {ACT_SOFTSIGN, 0, 0}},
    {"thresholded_relu", {ACT_THRESHOLDED_RELU, 1.0f, 0}},
    {"scaled_tanh", {ACT_SCALED_TANH, 1.0f, 1.0f}},
    {"affine", {ACT_AFFINE, 1.0f, 0}},
    {"exp", {ACT_EXP, 0, 0}},
    {"relu6", {ACT_RELU6, 0, 0}},
    {"hard_tanh", {ACT_HARD_TANH, 0, 0}},
    {"swish", {ACT_SWISH, 0, 0}},
    {"silu", {ACT_SWISH, 0, 0}},
    {"gelu", {ACT_GELU, 0, 0}},
    {"hard_swish", {ACT_HARD_SWISH, 0, 0}},
    {"mish", {ACT_MISH, 0, 0}},
    {"abs", {ACT_ABS, 0, 0}},
};

bool act_find(const char *name, struct act *out)
{
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(acts[i].name, name) == 0) {
            *out = acts[i].act;
            return true;
        }
    return false;
}

const char *act_name(struct act act)
{
    const char *kind = "";
    for (size_t i = sizeof acts / sizeof *acts; i-- > 0;)
        if (acts[i].act.kind == act.kind) {
            kind = acts[i].name;
            if (acts[i].act.alpha == act.alpha && acts[i].act.beta == act.beta) return kind;
        }
    return kind;
}
