/* fuse_sizes.c -- ranks, dimensions and small whole numbers of values before the run, as far as operators tell them. */
#include <math.h>
#include <string.h>

#include "core/graph/fuse_private.h"

static bool is(const struct graph_node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

static bool is_one_of(const struct graph_node *n, const char *const *list)
{
    while (*list && strcmp(n->op->name, *list) != 0)
        list++;
    return *list != NULL;
}

/* ---- whole numbers ---- */

struct whole fuse_number(int64_t number)
{
    return (struct whole){.known = true, .value = -1, .number = number};
}

struct whole fuse_symbol(int value, int axis)
{
    return (struct whole){.known = true, .value = value, .axis = axis};
}

bool fuse_is_number(struct whole w, int64_t *number)
{
    *number = w.number;
    return w.known && w.value < 0 && w.turns == 0;
}

bool fuse_same(struct whole a, struct whole b)
{
    return a.known && b.known && a.value == b.value && (a.value < 0 || a.axis == b.axis) && a.number == b.number &&
           a.turns == b.turns;
}

bool fuse_is(struct whole w, int64_t number)
{
    int64_t found;
    return fuse_is_number(w, &found) && found == number;
}

/* a + sign b, where that is of the same kind: at most one symbol is left, once. */
struct whole fuse_sum(struct whole a, struct whole b, int sign)
{
    struct whole none = {.known = false}, w = a;
    if (!a.known || !b.known) return none;
    if (b.value >= 0) {
        if (a.value < 0 && sign > 0)
            w.value = b.value, w.axis = b.axis;
        else if (sign < 0 && a.value == b.value && a.axis == b.axis)
            w.value = -1;
        else
            return none;
    }
    w.turns += sign * b.turns;
    bool over = sign > 0 ? __builtin_add_overflow(a.number, b.number, &w.number)
                         : __builtin_sub_overflow(a.number, b.number, &w.number);
    return over || w.turns > 8 || w.turns < -8 ? none : w;
}

struct whole fuse_product(struct whole a, struct whole b)
{
    int64_t x, y;
    if (fuse_is(a, 1)) return b;
    if (fuse_is(b, 1)) return a;
    if (!fuse_is_number(a, &x) || !fuse_is_number(b, &y) || __builtin_mul_overflow(x, y, &x))
        return (struct whole){.known = false};
    return fuse_number(x);
}

/* One dimension of two that are broadcast together. */
struct whole fuse_broadcast(struct whole a, struct whole b)
{
    int64_t number;
    if (fuse_is(a, 1) || fuse_same(a, b)) return b;
    if (fuse_is(b, 1)) return a;
    if (fuse_is_number(a, &number)) return a; /* not 1, so the other is the same or 1 */
    if (fuse_is_number(b, &number)) return b;
    return (struct whole){.known = false};
}

/* ---- sizes ---- */

struct whole fuse_dim(const struct fuse *f, int value, int axis)
{
    const struct size *s = &f->sizes[value];
    if (s->rank < 0) return fuse_symbol(value, axis);
    return axis < s->rank ? s->dim[axis] : (struct whole){.known = false};
}

static struct size nothing(void)
{
    return (struct size){.rank = -1, .count = -1};
}

void fuse_set_size(struct fuse *f, const struct graph_node *n, int output, struct size s)
{
    int value = output < n->output_count ? n->outputs[output] : -1;
    if (value < 0) return;
    for (int k = 0; k < s.rank; k++)
        if (!s.dim[k].known) s.dim[k] = fuse_symbol(value, k);
    f->sizes[value] = s;
}

const struct size *fuse_size(const struct fuse *f, const struct graph_node *n, int input)
{
    return input < n->input_count && n->inputs[input] >= 0 ? &f->sizes[n->inputs[input]] : NULL;
}

bool fuse_numbers(const struct fuse *f, const struct graph_node *n, int input, int64_t *out, int *count)
{
    const struct size *s = fuse_size(f, n, input);
    *count = s ? s->count : -1;
    for (int i = 0; i < *count; i++)
        if (!fuse_is_number(s->list[i], &out[i])) return false;
    return *count >= 0;
}

bool fuse_axis(int64_t axis, int rank, int *out)
{
    *out = (int)(axis < 0 ? axis + rank : axis);
    return axis >= -rank && axis < rank;
}

static struct size of_constant(const struct tensor *t)
{
    struct size s = {.rank = t->rank, .count = -1};
    size_t count = tensor_count(t);
    for (int k = 0; k < t->rank; k++)
        s.dim[k] = fuse_number((int64_t)t->dim[k]);
    if (t->rank > 1 || count > MAX_WHOLES || t->dtype == DTYPE_BOOL) return s;
    for (size_t i = 0; i < count; i++) {
        float v = t->dtype == DTYPE_F32 ? ((const float *)t->data)[i] : 0;
        if (!(fabsf(v) <= 1 << 24) || v != truncf(v)) return s;
        s.list[i] = fuse_number(t->dtype == DTYPE_F32 ? (int64_t)v : ((const int64_t *)t->data)[i]);
    }
    s.count = (int)count;
    return s;
}

void fuse_sizes_begin(struct fuse *f)
{
    const struct graph *g = f->g;
    for (size_t i = 0; i < g->value_count; i++)
        f->sizes[i] = g->values[i].is_constant ? of_constant(&g->values[i].constant) : nothing();
    for (size_t i = 0; i < g->input_count && g->input_ports; i++) {
        const struct graph_port *p = &g->input_ports[i];
        struct size s = {.rank = p->rank, .count = -1};
        for (int k = 0; k < p->rank; k++)
            s.dim[k] = p->dim[k] > 0 ? fuse_number(p->dim[k]) : fuse_symbol(g->inputs[i], k);
        f->sizes[g->inputs[i]] = s;
    }
}

/* ---- operators ---- */

static void elements(struct fuse *f, const struct graph_node *n)
{
    struct size out = nothing();
    for (int i = 0; i < n->input_count; i++) {
        const struct size *s = fuse_size(f, n, i);
        struct size wide = {.rank = 0, .count = -1};
        if (!s || s->rank < 0) return fuse_set_size(f, n, 0, nothing());
        if (i == 0) {
            out = *s;
            continue;
        }
        wide.rank = s->rank > out.rank ? s->rank : out.rank;
        for (int k = 0; k < wide.rank; k++) {
            int a = k - (wide.rank - out.rank), b = k - (wide.rank - s->rank);
            wide.dim[k] = a < 0 ? s->dim[b] : b < 0 ? out.dim[a] : fuse_broadcast(out.dim[a], s->dim[b]);
        }
        wide.count = out.count == s->count && out.count == 1 ? 1 : -1;
        if (wide.count == 1) {
            struct whole x = out.list[0], y = s->list[0];
            bool least = is(n, "Max") || is(n, "Min");
            wide.list[0] = is(n, "Add")               ? fuse_sum(x, y, 1)
                           : is(n, "Sub")             ? fuse_sum(x, y, -1)
                           : is(n, "Mul")             ? fuse_product(x, y)
                           : least && fuse_same(x, y) ? x
                                                      : (struct whole){.known = false};
        }
        out = wide;
    }
    fuse_set_size(f, n, 0, out);
}

/* Of its input's shape; reductions where there is nothing to reduce. */
static void same(struct fuse *f, const struct graph_node *n)
{
    struct size s = *fuse_size(f, n, 0);
    bool reduces = strncmp(n->op->name, "Reduce", 6) == 0;
    if (reduces && s.rank != 0) return;
    if (!reduces && !is(n, "Identity") && !is(n, "Cast")) s.count = -1;
    fuse_set_size(f, n, 0, s);
}

static void split(struct fuse *f, const struct graph_node *n)
{
    struct size s = *fuse_size(f, n, 0);
    int64_t sizes[MAX_WHOLES], whole;
    int axis, count;
    if (s.rank < 0 || !fuse_axis(op_int(n, "axis", 0), s.rank, &axis)) return;
    bool told = fuse_size(f, n, 1) != NULL, number = fuse_is_number(s.dim[axis], &whole);
    if (told && (!fuse_numbers(f, n, 1, sizes, &count) || count != n->output_count)) return;
    if (!told && (!number || whole < 0 || whole > (int64_t)1 << 40)) return;
    int64_t part = told ? 0 : (whole + n->output_count - 1) / n->output_count;
    s.count = -1;
    for (int i = 0; i < n->output_count; i++) {
        int64_t last = whole - part * (n->output_count - 1);
        s.dim[axis] = fuse_number(told ? sizes[i] : i + 1 < n->output_count ? part : last);
        fuse_set_size(f, n, i, s);
    }
}

static void matmul(struct fuse *f, const struct graph_node *n)
{
    const struct size *a = fuse_size(f, n, 0), *b = fuse_size(f, n, 1);
    if (!b || a->rank < 2 || b->rank < 2) return;
    struct size s = {.rank = a->rank > b->rank ? a->rank : b->rank, .count = -1};
    for (int k = 0; k < s.rank - 2; k++) {
        int i = k - (s.rank - a->rank), j = k - (s.rank - b->rank);
        s.dim[k] = i < 0 ? b->dim[j] : j < 0 ? a->dim[i] : fuse_broadcast(a->dim[i], b->dim[j]);
    }
    s.dim[s.rank - 2] = a->dim[a->rank - 2];
    s.dim[s.rank - 1] = b->dim[b->rank - 1];
    fuse_set_size(f, n, 0, s);
}

static void gemm(struct fuse *f, const struct graph_node *n)
{
    const struct size *a = fuse_size(f, n, 0), *b = fuse_size(f, n, 1);
    if (!b || a->rank != 2 || b->rank != 2) return;
    struct size s = {.rank = 2, .count = -1};
    s.dim[0] = a->dim[op_int(n, "transA", 0) != 0];
    s.dim[1] = b->dim[op_int(n, "transB", 0) == 0];
    fuse_set_size(f, n, 0, s);
}

/* Made to a shape: of one number, or spread over it. */
static void made(struct fuse *f, const struct graph_node *n)
{
    bool spread = is(n, "Expand");
    const struct size *x = fuse_size(f, n, 0), *to = spread ? fuse_size(f, n, 1) : x;
    if (!to || to->count < 0 || (spread && (x->rank < 0 || x->rank > to->count))) return;
    struct size s = {.rank = to->count, .count = -1};
    for (int k = 0; k < s.rank; k++) {
        int from = k - (s.rank - x->rank);
        s.dim[k] = spread && from >= 0 ? fuse_broadcast(x->dim[from], to->list[k]) : to->list[k];
    }
    fuse_set_size(f, n, 0, s);
}

static void recurrent(struct fuse *f, const struct graph_node *n)
{
    const struct size *x = fuse_size(f, n, 0), *r = fuse_size(f, n, 2);
    if (!r || x->rank != 3 || r->rank != 3 || op_int(n, "layout", 0)) return;
    struct size y = {.rank = 4, .count = -1, .dim = {x->dim[0], r->dim[0], x->dim[1], r->dim[2]}};
    struct size h = {.rank = 3, .count = -1, .dim = {r->dim[0], x->dim[1], r->dim[2]}};
    fuse_set_size(f, n, 0, y);
    fuse_set_size(f, n, 1, h);
    fuse_set_size(f, n, 2, h);
}

bool fuse_well_formed(const struct graph_node *n)
{
    bool there = n->input_count >= 1 && n->input_count >= n->op->min_inputs && n->output_count >= 1;
    for (int k = 0; k < n->op->min_inputs && there; k++)
        there = n->inputs[k] >= 0;
    return there && n->inputs[0] >= 0;
}

void fuse_sizes_node(struct fuse *f, const struct graph_node *n)
{
    static const char *const alike[] = {"Identity",
                                        "Cast",
                                        "Dropout",
                                        "Sigmoid",
                                        "Tanh",
                                        "Relu",
                                        "HardSigmoid",
                                        "LeakyRelu",
                                        "Elu",
                                        "Selu",
                                        "Softplus",
                                        "Softsign",
                                        "Exp",
                                        "Abs",
                                        "Neg",
                                        "Clip",
                                        "Gelu",
                                        "Mish",
                                        "Softmax",
                                        "HardSwish",
                                        "LogSoftmax",
                                        "Sqrt",
                                        "Not",
                                        "ReduceMax",
                                        "ReduceMin",
                                        "ReduceSum",
                                        "ReduceProd",
                                        "Log",
                                        "Erf",
                                        "Floor",
                                        "Ceil",
                                        "ThresholdedRelu",
                                        "LayerNormalization",
                                        "BatchNormalization",
                                        NULL};
    static const char *const several[] = {"Add", "Sub",   "Mul", "Div",   "Pow", "Max",
                                          "Min", "Where", "Sum", "PRelu", NULL};
    static const struct {
        const char *op;
        void (*size)(struct fuse *f, const struct graph_node *n);
    } table[] = {{"Shape", fuse_size_shape},
                 {"Transpose", fuse_size_transpose},
                 {"Squeeze", fuse_size_axes},
                 {"Unsqueeze", fuse_size_axes},
                 {"Reshape", fuse_size_reshape},
                 {"Gather", fuse_size_gather},
                 {"Slice", fuse_size_slice},
                 {"Concat", fuse_size_concat},
                 {"Split", split},
                 {"MatMul", matmul},
                 {"Gemm", gemm},
                 {"Expand", made},
                 {"ConstantOfShape", made},
                 {"LSTM", recurrent},
                 {"GRU", recurrent},
                 {"RNN", recurrent}};
    if (!fuse_well_formed(n)) return;
    if (is_one_of(n, alike))
        same(f, n);
    else if (is_one_of(n, several))
        elements(f, n);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (is(n, table[i].op)) table[i].size(f, n);
}
