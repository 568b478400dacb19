/* fuse_row.c -- operators of a body on rows: what each makes of the forms of its inputs. */
#include <math.h>
#include <string.h>

#include "core/graph/fuse_private.h"

static bool is(const struct graph_node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

/* ---- inputs and outputs ---- */

struct operand { /* a row, or a constant that every row sees: one number, or one for each feature */
    const struct row *row;
    const float *data;
    size_t width;
};

static bool constant_row(const struct graph_value *v, struct operand *out)
{
    const struct tensor *t = &v->constant;
    if (!v->is_constant || v->dtype != DTYPE_F32) return false;
    for (int k = 0; k < t->rank - 1; k++)
        if (t->dim[k] != 1) return false;
    *out = (struct operand){.data = t->data, .width = t->rank ? t->dim[t->rank - 1] : 1};
    return out->width > 0;
}

static bool operand(const struct fuse *f, const struct graph_node *n, int input, struct operand *out)
{
    int value = input < n->input_count ? n->inputs[input] : -1;
    *out = (struct operand){.width = 0};
    if (value < 0) return false;
    if (constant_row(&f->g->values[value], out)) return true;
    out->row = f->rows[value];
    return out->row != NULL;
}

/* One number for all of it: min or max of a Clip, the other side of a Max. */
static bool one_number(const struct fuse *f, const struct graph_node *n, int input, float absent, float *out)
{
    struct operand o;
    *out = absent;
    if (input >= n->input_count || n->inputs[input] < 0) return true;
    if (!operand(f, n, input, &o) || !o.data || o.width != 1) return false;
    *out = o.data[0];
    return true;
}

static size_t width_of(const struct row *r)
{
    size_t width = 0;
    for (int i = 0; i < r->parts; i++)
        width += r->part[i]->width;
    return width;
}

static const struct row *input_row(const struct fuse *f, const struct graph_node *n, int input)
{
    return input < n->input_count && n->inputs[input] >= 0 ? f->rows[n->inputs[input]] : NULL;
}

static struct row *new_row(struct fuse *f)
{
    struct row *r = arena_alloc(&f->arena, 1, sizeof *r);
    if (!r) f->no_memory = true;
    return r;
}

const struct row *fuse_row_of(struct fuse *f, const struct form *form)
{
    struct row *r = form ? new_row(f) : NULL;
    if (r) *r = (struct row){.parts = 1, .part = {form}};
    return r;
}

const struct form *fuse_form(const struct fuse *f, int value)
{
    const struct row *r = value >= 0 ? f->rows[value] : NULL;
    return r && r->parts == 1 ? r->part[0] : NULL;
}

static bool put(struct row *r, const struct form *form)
{
    if (!form || r->parts == MAX_PARTS) return false;
    r->part[r->parts++] = form;
    return true;
}

/* Features [start, start + width) */
static const struct row *row_slice(struct fuse *f, const struct row *x, size_t start, size_t width)
{
    struct row *out = new_row(f);
    size_t at = 0, end = start + width;
    for (int i = 0; i < x->parts && out; at += x->part[i++]->width) {
        size_t from = start > at ? start - at : 0, to = end - at < x->part[i]->width ? end - at : x->part[i]->width;
        if (at >= end || from >= x->part[i]->width) continue;
        if (!put(out, form_slice(f, x->part[i], from, to - from))) return NULL;
    }
    return out && width_of(out) == width ? out : NULL;
}

/* ---- arithmetic ---- */

/* A constant's features [start, start + width); NULL in *form where they are one number, which is then *number. */
static bool constant_form(struct fuse *f, const struct operand *o, size_t start, size_t width, float *number,
                          const struct form **form)
{
    const float *v = o->width == 1 ? o->data : o->data + start;
    bool one = true;
    for (size_t i = 1; i < width && o->width > 1; i++)
        one = one && v[i] == v[0];
    *number = v[0];
    *form = one ? NULL : form_constant(f, v, width, 1);
    return one || *form;
}

static const struct form *with_constant(struct fuse *f, const struct graph_node *n, const struct form *x,
                                        const struct operand *o, size_t start, bool first)
{
    const struct form *c;
    float number;
    if (!constant_form(f, o, start, x->width, &number, &c)) return NULL;
    if (is(n, "Mul")) return c ? form_multiply(f, x, c) : form_scale(f, x, number);
    if (is(n, "Div")) return c || first || number == 0 ? NULL : form_scale(f, x, 1 / number);
    if (!c && !(c = form_constant(f, NULL, x->width, number))) return NULL;
    if (is(n, "Sub")) return first ? form_add(f, c, x, -1) : form_add(f, x, c, -1);
    return form_add(f, x, c, 1);
}

static const struct form *two_forms(struct fuse *f, const struct graph_node *n, const struct form *a,
                                    const struct form *b)
{
    if (is(n, "Div") || !a || !b) return NULL;
    return is(n, "Mul") ? form_multiply(f, a, b) : form_add(f, a, b, is(n, "Sub") ? -1 : 1);
}

/* Part by part; where the parts of both lie differently, piece by piece. */
static const struct row *two_rows(struct fuse *f, const struct graph_node *n, const struct row *a, const struct row *b)
{
    struct row *out = new_row(f);
    size_t at[2] = {0, 0};
    for (int i = 0, k = 0; out && i < a->parts && k < b->parts;) {
        size_t left[2] = {a->part[i]->width - at[0], b->part[k]->width - at[1]};
        size_t width = left[0] < left[1] ? left[0] : left[1];
        const struct form *x = form_slice(f, a->part[i], at[0], width), *y = form_slice(f, b->part[k], at[1], width);
        if (!put(out, two_forms(f, n, x, y))) return NULL;
        at[0] += width, at[1] += width;
        if (left[0] == width) i++, at[0] = 0;
        if (left[1] == width) k++, at[1] = 0;
    }
    return out && width_of(out) == width_of(a) && width_of(a) == width_of(b) ? out : NULL;
}

static const struct row *combine(struct fuse *f, const struct graph_node *n, const struct operand *a,
                                 const struct operand *b)
{
    if (a->row && b->row) return two_rows(f, n, a->row, b->row);
    const struct operand *o = a->row ? b : a;
    const struct row *x = a->row ? a->row : b->row;
    if (!x || (o->width != 1 && o->width != width_of(x))) return NULL;
    struct row *out = new_row(f);
    size_t at = 0;
    for (int i = 0; i < x->parts && out; at += x->part[i++]->width)
        if (!put(out, with_constant(f, n, x->part[i], o, at, x == b->row))) return NULL;
    return out;
}

static const struct row *arithmetic(struct fuse *f, const struct graph_node *n)
{
    struct operand a, b;
    if (n->input_count != 2 || !operand(f, n, 0, &a) || !operand(f, n, 1, &b)) return NULL;
    return combine(f, n, &a, &b);
}

/* ---- products ---- */

/* All parts of x times the rows of w that are theirs. w is [K][N], or [N][K] where `turned`. */
static const struct form *product(struct fuse *f, const struct row *x, const struct graph_value *v, bool turned)
{
    const struct tensor *w = &v->constant;
    if (!v->is_constant || v->dtype != DTYPE_F32 || w->rank != 2) return NULL;
    size_t K = w->dim[turned], N = w->dim[!turned], at = 0;
    const struct form *sum = NULL;
    if (K != width_of(x) || N == 0) return NULL;
    struct matrix m = {.step_row = turned ? 1 : N, .step_column = turned ? K : 1};
    for (int i = 0; i < x->parts; at += x->part[i++]->width) {
        m.data = (const float *)w->data + at * m.step_row;
        m.rows = x->part[i]->width;
        const struct form *part = form_product(f, x->part[i], &m, N);
        if (part && i > 0) part = form_add(f, sum, part, 1);
        if (!(sum = part)) return NULL;
    }
    return sum;
}

static const struct row *matmul(struct fuse *f, const struct graph_node *n)
{
    const struct row *x = input_row(f, n, 0);
    return x ? fuse_row_of(f, product(f, x, &f->g->values[n->inputs[1]], false)) : NULL;
}

static const struct row *gemm(struct fuse *f, const struct graph_node *n)
{
    const struct row *x = input_row(f, n, 0);
    if (!x || op_int(n, "transA", 0)) return NULL;
    float alpha = op_float(n, "alpha", 1), beta = op_float(n, "beta", 1);
    const struct form *y = product(f, x, &f->g->values[n->inputs[1]], op_int(n, "transB", 0) != 0);
    if (y && alpha != 1) y = form_scale(f, y, alpha);
    const struct row *r = fuse_row_of(f, y);
    struct operand a = {.row = r}, c;
    if (!r || n->input_count < 3 || n->inputs[2] < 0) return r;
    static const struct op add = {.name = "Add"};
    const struct graph_node sum = {.op = &add};
    return beta == 1 && operand(f, n, 2, &c) ? combine(f, &sum, &a, &c) : NULL;
}

/* ---- parts ---- */

static bool last_width(const struct fuse *f, const struct graph_node *n, int output, size_t *out)
{
    int value = output < n->output_count ? n->outputs[output] : -1;
    const struct size *s = value >= 0 ? &f->sizes[value] : NULL;
    int64_t width;
    if (!s || s->rank < 1 || !fuse_is_number(s->dim[s->rank - 1], &width) || width < 1) return false;
    *out = (size_t)width;
    return true;
}

static void split(struct fuse *f, const struct graph_node *n)
{
    const struct row *x = input_row(f, n, 0);
    const struct size *s = fuse_size(f, n, 0);
    size_t at = 0, width;
    int axis;
    if (!x || s->rank < 1 || !fuse_axis(op_int(n, "axis", 0), s->rank, &axis) || axis != s->rank - 1) return;
    for (int i = 0; i < n->output_count; i++, at += width) {
        if (!last_width(f, n, i, &width) || width > width_of(x) - at) return;
        f->rows[n->outputs[i]] = row_slice(f, x, at, width);
    }
}

/* Of the features alone: all other axes stay whole. */
static const struct row *slice(struct fuse *f, const struct graph_node *n)
{
    const struct row *x = input_row(f, n, 0);
    const struct size *s = fuse_size(f, n, 0), *y = n->outputs[0] >= 0 ? &f->sizes[n->outputs[0]] : NULL;
    int64_t start[MAX_WHOLES], axis[MAX_WHOLES], step[MAX_WHOLES], from = 0;
    int starts, axes, steps, k;
    size_t width;
    if (!x || !y || s->rank < 1 || y->rank != s->rank || !last_width(f, n, 0, &width) ||
        !fuse_numbers(f, n, 1, start, &starts))
        return NULL;
    bool told = fuse_numbers(f, n, 3, axis, &axes), stepped = fuse_numbers(f, n, 4, step, &steps);
    for (int i = 0; i < starts; i++) {
        if (!fuse_axis(told ? axis[i] : i, s->rank, &k) || (stepped && step[i] != 1)) return NULL;
        if (k == s->rank - 1) from = start[i] < 0 ? start[i] + (int64_t)width_of(x) : start[i];
    }
    for (k = 0; k < s->rank - 1; k++)
        if (!fuse_same(s->dim[k], y->dim[k])) return NULL;
    if (from < 0 || (uint64_t)from > width_of(x) || width > width_of(x) - (size_t)from) return NULL;
    return row_slice(f, x, (size_t)from, width);
}

static const struct row *concat(struct fuse *f, const struct graph_node *n)
{
    const struct size *s = fuse_size(f, n, 0);
    struct row *out = new_row(f);
    int axis;
    if (!out || s->rank < 1 || !fuse_axis(op_int(n, "axis", 0), s->rank, &axis) || axis != s->rank - 1) return NULL;
    for (int i = 0; i < n->input_count; i++) {
        const struct row *x = input_row(f, n, i);
        for (int k = 0; x && k < x->parts; k++)
            if (!put(out, x->part[k])) return NULL;
        if (!x) return NULL;
    }
    return out;
}

/* Axes move, the features stay the last one. */
static const struct row *pass_on(struct fuse *f, const struct graph_node *n)
{
    const struct row *x = input_row(f, n, 0);
    int64_t to = op_int(n, "to", 1);
    size_t width;
    if (is(n, "Cast") && to != 1 && to != 11) return NULL; /* narrower ones round */
    return x && last_width(f, n, 0, &width) && width == width_of(x) ? x : NULL;
}

/* ---- functions ---- */

/* Limits of what a form is already; what was limited, in *inner. */
static void limits(const struct fuse *f, const struct form *x, float *low, float *high, const struct form **inner)
{
    int only = form_only(x);
    const struct atom *a = only >= 0 ? &f->atoms[only] : NULL;
    *low = -INFINITY, *high = INFINITY, *inner = x;
    if (!a || a->kind != ATOM_ACT || a->index >= 0) return;
    if (a->act.kind == ACT_RELU) *low = 0, *inner = a->form;
    if (a->act.kind == ACT_COUNT) *high = a->act.alpha, *inner = a->form;
}

/* ACT_COUNT stands for min(x, alpha), half of a clip. */
static const struct form *clip(struct fuse *f, const struct form *x, float low, float high)
{
    const struct form *inner;
    float under, over;
    struct act act = {ACT_COUNT, high, 0};
    limits(f, x, &under, &over, &inner);
    if (low < under) low = under;
    if (high > over) high = over;
    if (low == 0 && high == INFINITY) act.kind = ACT_RELU;
    if (low == 0 && high == 6) act.kind = ACT_RELU6;
    if (low == -1 && high == 1) act.kind = ACT_HARD_TANH;
    if (low == 0 && high == 1) act = (struct act){ACT_HARD_SIGMOID, 1, 0};
    if (act.kind == ACT_COUNT && (low > -INFINITY || high == INFINITY)) return NULL;
    if (act.kind != ACT_COUNT && act.kind != ACT_HARD_SIGMOID) act.alpha = 0;
    return form_act(f, inner, act);
}

static bool find_act(const struct graph_node *n, struct act *act)
{
    static const struct {
        const char *op;
        struct act act;
    } table[] = {{"Relu", {ACT_RELU, 0, 0}},
                 {"Sigmoid", {ACT_SIGMOID, 0, 0}},
                 {"Tanh", {ACT_TANH, 0, 0}},
                 {"Softplus", {ACT_SOFTPLUS, 0, 0}},
                 {"Softsign", {ACT_SOFTSIGN, 0, 0}},
                 {"Exp", {ACT_EXP, 0, 0}},
                 {"Abs", {ACT_ABS, 0, 0}},
                 {"HardSwish", {ACT_HARD_SWISH, 0, 0}},
                 {"Mish", {ACT_MISH, 0, 0}},
                 {"LeakyRelu", {ACT_LEAKY_RELU, 0.01f, 0}},
                 {"Elu", {ACT_ELU, 1, 0}},
                 {"HardSigmoid", {ACT_HARD_SIGMOID, 0.2f, 0.5f}},
                 {"ThresholdedRelu", {ACT_THRESHOLDED_RELU, 1, 0}}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!is(n, table[i].op)) continue;
        *act = table[i].act;
        if (act->alpha) act->alpha = op_float(n, "alpha", act->alpha);
        if (act->beta) act->beta = op_float(n, "beta", act->beta);
        return true;
    }
    return false;
}

static const struct row *function(struct fuse *f, const struct graph_node *n)
{
    bool least = is(n, "Max"), most = is(n, "Min");
    int from = (least || most) && !input_row(f, n, 0) ? 1 : 0;
    const struct row *x = input_row(f, n, from);
    struct act act;
    float low = -INFINITY, high = INFINITY;
    bool acts = find_act(n, &act);
    if (!x || ((least || most) && n->input_count != 2)) return NULL;
    if (is(n, "Clip") && (!one_number(f, n, 1, low, &low) || !one_number(f, n, 2, high, &high))) return NULL;
    if (least && !one_number(f, n, 1 - from, low, &low)) return NULL;
    if (most && !one_number(f, n, 1 - from, high, &high)) return NULL;
    struct row *out = new_row(f);
    for (int i = 0; i < x->parts && out; i++) {
        const struct form *y = is(n, "Neg") ? form_scale(f, x->part[i], -1)
                               : acts       ? form_act(f, x->part[i], act)
                                            : clip(f, x->part[i], low, high);
        if (!put(out, y)) return NULL;
    }
    return out;
}

void fuse_row_node(struct fuse *f, const struct graph_node *n)
{
    static const struct {
        const char *op;
        const struct row *(*make)(struct fuse *f, const struct graph_node *n);
    } table[] = {{"Add", arithmetic},  {"Sub", arithmetic},    {"Mul", arithmetic},  {"Div", arithmetic},
                 {"MatMul", matmul},   {"Gemm", gemm},         {"Slice", slice},     {"Concat", concat},
                 {"Squeeze", pass_on}, {"Unsqueeze", pass_on}, {"Reshape", pass_on}, {"Identity", pass_on},
                 {"Cast", pass_on},    {"Dropout", pass_on},   {"Max", function},    {"Min", function},
                 {"Clip", function},   {"Neg", function}};
    struct act act;
    if (is(n, "Split")) return split(f, n);
    if (n->outputs[0] < 0) return;
    if (find_act(n, &act)) f->rows[n->outputs[0]] = function(f, n);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (is(n, table[i].op)) f->rows[n->outputs[0]] = table[i].make(f, n);
}
