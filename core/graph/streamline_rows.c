/* streamline_rows.c -- operators on the features of each row: products, sums, functions, norms. */
#include <math.h>
#include <string.h>

#include "core/graph/streamline_private.h"

static bool is(const struct graph_node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

static const struct tensor *constant(const struct streamline *s, const struct graph_node *n, int input)
{
    const struct view *v = streamline_view(s, n, input);
    const struct graph_value *c = v && v->kind == VIEW_CONSTANT ? &s->from->values[v->value] : NULL;
    return c && c->dtype == DTYPE_F32 ? &c->constant : NULL;
}

/* The one axis that holds all features, as they lie; -1 if there is none such. */
static int feature_axis(const struct view *v)
{
    int axis = -1;
    for (int i = 0; i < v->rank; i++) {
        if (!axis_has(&v->axis[i], ATOM_FEATURE)) continue;
        if (axis >= 0 || !axis_is(&v->axis[i], ATOM_FEATURE)) return -1;
        axis = i;
    }
    return view_in_order(v) ? axis : -1;
}

/* One node alone reads it, and nobody outside. */
static bool read_once(const struct graph *g, int value)
{
    size_t readers = 0;
    for (size_t i = 0; i < g->node_count; i++) {
        if (g->nodes[i].body_count) return false; /* bodies are not searched */
        for (int k = 0; k < g->nodes[i].input_count; k++)
            readers += g->nodes[i].inputs[k] == value;
    }
    for (size_t i = 0; i < g->output_count; i++)
        readers += 2 * (size_t)(g->outputs[i] == value);
    return readers == 1;
}

/* ---- products ---- */

/* y = W x + b over the last axis; w [K][N], or [N][K] where `rows`. */
static rnnd_code dense(struct streamline *s, const struct graph_node *n, const struct tensor *w, bool rows,
                       const float *bias)
{
    const struct view *x = streamline_view(s, n, 0);
    size_t K = w->dim[rows ? 1 : 0], N = w->rank == 1 ? 1 : w->dim[rows ? 0 : 1];
    const float *data = w->data;
    float *turned = NULL;
    int inputs[3] = {x->value, -1, -1};
    bool single = x->rank > 0 && x->axis[x->rank - 1].count == 0 && K == 1 && view_width(x) == 1;
    if (!single && (feature_axis(x) != x->rank - 1 || x->rank < 1 || view_width(x) != K))
        return streamline_refuse(s, n, "multiplies an axis that is not that of the features");
    if (!rows && w->rank == 2) {
        if (!(turned = mem_alloc(K * N + 1, sizeof *turned))) return fail_memory(s->err, K * N * sizeof *turned);
        for (size_t k = 0; k < K; k++)
            for (size_t i = 0; i < N; i++)
                turned[i * K + k] = data[k * N + i];
        data = turned;
    }
    rnnd_code code = streamline_floats(s, n->name, 2, N, K, data, &inputs[1]);
    if (!code && bias) code = streamline_floats(s, n->name, 1, N, 0, bias, &inputs[2]);
    mem_free(turned);
    struct view y = *x;
    y.axis[y.rank - 1] = N == 1 ? axis_one() : axis_of(ATOM_FEATURE, N, 1);
    if (w->rank == 1) y.rank--;
    if (!code) code = streamline_op(s, "dense", n->name, inputs, 3, &y.value);
    *streamline_output(s, n, 0) = y;
    return code;
}

static rnnd_code matmul(struct streamline *s, const struct graph_node *n)
{
    const struct tensor *w = constant(s, n, 1);
    if (streamline_view(s, n, 0)->kind != VIEW_ROWS || !w || w->rank < 1 || w->rank > 2 || !tensor_count(w))
        return streamline_refuse(s, n, "multiplies by something other than a weight matrix");
    return dense(s, n, w, false, NULL);
}

static rnnd_code gemm(struct streamline *s, const struct graph_node *n)
{
    const struct tensor *w = constant(s, n, 1), *c = constant(s, n, 2);
    bool rows = op_int(n, "transB", 0) != 0, has_c = streamline_view(s, n, 2) != NULL;
    if (streamline_view(s, n, 0)->kind != VIEW_ROWS || !w || w->rank != 2 || !tensor_count(w) ||
        op_int(n, "transA", 0) || op_float(n, "alpha", 1) != 1 || (has_c && op_float(n, "beta", 1) != 1))
        return streamline_refuse(s, n, "is a general product, not that of a dense layer");
    if (has_c && (!c || tensor_count(c) != w->dim[rows ? 0 : 1] || (c->rank && c->dim[c->rank - 1] != tensor_count(c))))
        return streamline_refuse(s, n, "adds something other than a bias");
    return dense(s, n, w, rows, c ? c->data : NULL);
}

/* ---- constants over features ---- */

/* A constant that broadcasts over x's features alone, as a row of them; false if it does not. */
static bool spread(const struct view *x, const struct tensor *c, float *row)
{
    size_t extent[MAX_RANK], stride[MAX_RANK], step = 1, total = 1;
    for (int i = 0; i < c->rank - x->rank; i++)
        if (c->dim[i] != 1) return false;
    for (int i = x->rank - 1; i >= 0; i--) {
        int k = i - (x->rank - c->rank);
        size_t d = k >= 0 ? c->dim[k] : 1;
        extent[i] = 1;
        for (int a = 0; a < x->axis[i].count; a++)
            if (x->axis[i].atom[a].kind == ATOM_FEATURE) extent[i] *= x->axis[i].atom[a].size;
        if (d != 1 && (d != extent[i] || axis_has(&x->axis[i], ATOM_TIME) || axis_has(&x->axis[i], ATOM_BATCH)))
            return false;
        stride[i] = d == 1 ? 0 : step;
        step *= d;
        total *= extent[i];
    }
    for (size_t f = 0; f < total; f++) { /* f counts through the axes as they stand; at is where it lies in a row */
        size_t rest = f, at = 0, from = 0;
        for (int i = x->rank - 1; i >= 0; i--) {
            size_t index = rest % extent[i];
            rest /= extent[i];
            from += index * stride[i];
            for (int a = x->axis[i].count - 1; a >= 0; a--) {
                const struct atom *t = &x->axis[i].atom[a];
                if (t->kind != ATOM_FEATURE) continue;
                at += index % t->size * t->stride;
                index /= t->size;
            }
        }
        row[at] = ((const float *)c->data)[from];
    }
    return true;
}

static rnnd_code scale_shift(struct streamline *s, const struct graph_node *n, const struct view *x, const float *scale,
                             const float *shift)
{
    int inputs[3] = {x->value, -1, -1};
    size_t width = view_width(x);
    struct view y = *x;
    rnnd_code code = streamline_floats(s, n->name, 1, width, 0, scale, &inputs[1]);
    if (!code) code = streamline_floats(s, n->name, 1, width, 0, shift, &inputs[2]);
    if (!code) code = streamline_op(s, "scale_shift", n->name, inputs, 3, &y.value);
    *streamline_output(s, n, 0) = y;
    return code;
}

/* x + c right behind the product that made x: its bias. */
static bool join_bias(struct streamline *s, const struct graph_node *n, int input, const float *row, rnnd_code *code)
{
    const struct view *x = streamline_view(s, n, input);
    struct graph_node *last = s->to->node_count ? &s->to->nodes[s->to->node_count - 1] : NULL;
    if (!last || last->outputs[0] != x->value || strcmp(last->op->name, "dense") != 0 || last->inputs[2] >= 0 ||
        !view_in_order(x))
        return false;
    for (size_t i = 0; i < s->from->value_count; i++) /* whatever shape they give it: one after the other, to here */
        if (s->views[i].kind == VIEW_ROWS && s->views[i].value == x->value && !read_once(s->from, (int)i)) return false;
    *code = streamline_floats(s, n->name, 1, view_width(x), 0, row, &last->inputs[2]);
    if (!*code) *code = streamline_check(s, last);
    *streamline_output(s, n, 0) = *x;
    return true;
}

static rnnd_code with_constant(struct streamline *s, const struct graph_node *n, int input, const struct tensor *c)
{
    const struct view *x = streamline_view(s, n, input);
    size_t width = view_width(x);
    float *row = mem_alloc(width + 1, 2 * sizeof *row), *other = row ? row + width : NULL;
    rnnd_code code = RNND_OK;
    if (!row) return fail_memory(s->err, width * sizeof *row);
    bool fits = spread(x, c, row), scales = is(n, "Mul") || is(n, "Div");
    if (fits && is(n, "Div") && input == 1) fits = false; /* c / x */
    for (size_t i = 0; i < width && fits; i++) {
        if (is(n, "Div")) row[i] = 1.0f / row[i];
        if (is(n, "Sub") && input == 0) row[i] = -row[i];
        other[i] = scales ? 0.0f : is(n, "Sub") && input == 1 ? -1.0f : 1.0f;
    }
    if (!fits)
        code = streamline_refuse(s, n, "takes numbers that differ from step to step");
    else if (!(is(n, "Add") && join_bias(s, n, input, row, &code)))
        code = scale_shift(s, n, x, scales ? row : other, scales ? other : row);
    mem_free(row);
    return code;
}

static rnnd_code two(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0), *y = streamline_view(s, n, 1);
    if (!y || n->input_count != 2) return streamline_refuse(s, n, "has not two inputs");
    if (x->kind == VIEW_ROWS && constant(s, n, 1)) return with_constant(s, n, 0, constant(s, n, 1));
    if (y->kind == VIEW_ROWS && constant(s, n, 0)) return with_constant(s, n, 1, constant(s, n, 0));
    if (x->kind != VIEW_ROWS || y->kind != VIEW_ROWS || is(n, "Div") || !views_same_axes(x, y))
        return streamline_refuse(s, n, "combines values of different axes");
    struct view z = *x;
    rnnd_code code = streamline_op(s,
                                   is(n, "Add")   ? "add"
                                   : is(n, "Sub") ? "sub"
                                                  : "mul",
                                   n->name, (const int[]){x->value, y->value}, 2, &z.value);
    *streamline_output(s, n, 0) = z;
    return code;
}

/* ---- functions ---- */

static bool bound(const struct streamline *s, const struct graph_node *n, int input, float absent, float *out)
{
    *out = absent;
    if (!streamline_view(s, n, input)) return true;
    const struct tensor *t = constant(s, n, input);
    if (!t || tensor_count(t) != 1) return false;
    *out = *(const float *)t->data;
    return true;
}

static bool find_function(const struct streamline *s, const struct graph_node *n, struct act *act)
{
    static const struct {
        const char *op, *name;
    } plain[] = {{"Relu", "relu"},
                 {"Sigmoid", "sigmoid"},
                 {"Tanh", "tanh"},
                 {"Softplus", "softplus"},
                 {"Softsign", "softsign"},
                 {"Exp", "exp"},
                 {"Abs", "abs"},
                 {"HardSwish", "hard_swish"},
                 {"Mish", "mish"},
                 {"LeakyRelu", "leaky_relu"},
                 {"Elu", "elu"},
                 {"HardSigmoid", "hard_sigmoid_keras2"},
                 {"ThresholdedRelu", "thresholded_relu"}};
    float low, high;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (!is(n, plain[i].op)) continue;
        if (!act_find(plain[i].name, act)) return false;
        act->alpha = op_float(n, "alpha", act->alpha);
        act->beta = op_float(n, "beta", act->beta);
        return true;
    }
    if (is(n, "Selu") && !n->attr_count) return act_find("selu", act);
    if (is(n, "Gelu")) {
        const struct attr *a = graph_find_attr(n, "approximate");
        return (!a || (a->s && strcmp(a->s, "none") == 0)) && act_find("gelu", act);
    }
    if (!is(n, "Clip") || !bound(s, n, 1, -INFINITY, &low) || !bound(s, n, 2, INFINITY, &high)) return false;
    if (low == 0 && high == INFINITY) return act_find("relu", act);
    if (low == 0 && high == 6) return act_find("relu6", act);
    return low == -1 && high == 1 && act_find("hard_tanh", act);
}

static rnnd_code function(struct streamline *s, const struct graph_node *n, const struct act *act)
{
    const struct view *x = streamline_view(s, n, 0);
    struct view y = *x;
    struct graph_node *node = streamline_node(s, "activation", n->name, &x->value, 1, 1);
    struct act *copy = arena_alloc(&s->to->arena, 1, sizeof *copy);
    if (!node || !copy) return RNND_NO_MEMORY;
    *copy = *act;
    if (graph_attr_pointer(s->to, node, "activation", copy)) return fail_memory(s->err, sizeof *copy);
    y.value = node->outputs[0];
    *streamline_output(s, n, 0) = y;
    return streamline_check(s, node);
}

/* ---- along the features ---- */

static bool over_features(const struct graph_node *n, const struct view *x)
{
    int64_t axis = op_int(n, "axis", -1);
    return x->rank > 0 && feature_axis(x) >= 0 && (axis < 0 ? axis + x->rank : axis) == feature_axis(x);
}

static rnnd_code softmax(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0);
    struct view y = *x;
    if (!over_features(n, x)) return streamline_refuse(s, n, "takes a softmax along another axis than the features");
    rnnd_code code = streamline_op(s, is(n, "Softmax") ? "softmax" : "log_softmax", n->name, &x->value, 1, &y.value);
    *streamline_output(s, n, 0) = y;
    return code;
}

static rnnd_code layer_norm(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0);
    const struct tensor *gain = constant(s, n, 1), *bias = constant(s, n, 2);
    size_t width = view_width(x);
    int inputs[3] = {x->value, -1, -1};
    struct view y = *x;
    if (!over_features(n, x) || feature_axis(x) != x->rank - 1 || !gain || tensor_count(gain) != width ||
        (streamline_view(s, n, 2) && (!bias || tensor_count(bias) != width)))
        return streamline_refuse(s, n, "normalises along another axis than the features");
    rnnd_code code = streamline_floats(s, n->name, 1, width, 0, gain->data, &inputs[1]);
    if (!code && bias) code = streamline_floats(s, n->name, 1, width, 0, bias->data, &inputs[2]);
    struct graph_node *node = code ? NULL : streamline_node(s, "layer_norm", n->name, inputs, 3, 1);
    if (!node) return code ? code : RNND_NO_MEMORY;
    if (graph_attr_float(s->to, node, "epsilon", op_float(n, "epsilon", 1e-5f))) return fail_memory(s->err, 4);
    y.value = node->outputs[0];
    *streamline_output(s, n, 0) = y;
    return streamline_check(s, node);
}

/* Kept statistics: a scale and a shift for each channel, the channels being axis 1. */
static rnnd_code batch_norm(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0);
    const struct tensor *part[4] = {constant(s, n, 1), constant(s, n, 2), constant(s, n, 3), constant(s, n, 4)};
    size_t width = view_width(x), C = part[0] ? tensor_count(part[0]) : 0;
    float epsilon = op_float(n, "epsilon", 1e-5f);
    for (int i = 0; i < 4; i++)
        if (!part[i] || tensor_count(part[i]) != C || C == 0 || x->rank < 2)
            return streamline_refuse(s, n, "normalises by statistics that are no constants");
    float *memory = mem_alloc(2 * (C + width), sizeof *memory);
    if (!memory) return fail_memory(s->err, 2 * (C + width) * sizeof *memory);
    float *scale = memory, *shift = scale + C, *scales = shift + C, *shifts = scales + width;
    for (size_t c = 0; c < C; c++) {
        scale[c] = ((const float *)part[0]->data)[c] / sqrtf(((const float *)part[3]->data)[c] + epsilon);
        shift[c] = ((const float *)part[1]->data)[c] - ((const float *)part[2]->data)[c] * scale[c];
    }
    struct tensor t = {.rank = x->rank, .data = scale};
    for (int i = 0; i < x->rank; i++)
        t.dim[i] = i == 1 ? C : 1;
    bool fits = spread(x, &t, scales);
    t.data = shift;
    fits = fits && spread(x, &t, shifts);
    rnnd_code code = fits ? scale_shift(s, n, x, scales, shifts)
                          : streamline_refuse(s, n, "normalises along another axis than the features");
    mem_free(memory);
    return code;
}

rnnd_code streamline_rows(struct streamline *s, const struct graph_node *n, bool *known)
{
    struct act act;
    if (!streamline_view(s, n, 0)) return *known = false, RNND_OK;
    if (is(n, "Add") || is(n, "Sub") || is(n, "Mul") || is(n, "Div")) return two(s, n);
    if (is(n, "MatMul")) return matmul(s, n);
    if (is(n, "Gemm")) return gemm(s, n);
    if (streamline_view(s, n, 0)->kind != VIEW_ROWS) return *known = false, RNND_OK;
    if (find_function(s, n, &act)) return function(s, n, &act);
    if (is(n, "Softmax") || is(n, "LogSoftmax")) return softmax(s, n);
    if (is(n, "LayerNormalization")) return layer_norm(s, n);
    if (is(n, "BatchNormalization")) return batch_norm(s, n);
    *known = false;
    return RNND_OK;
}
