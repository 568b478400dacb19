/* keras_operations.c -- functions among the layers of Functional models: TFOpLambda, Keras 3's operations. */
#include <string.h>

#include "core/formats/keras_lower.h"

/* The function's plain name: "math.multiply" -> "multiply", class "ExpandDims" -> "expand_dims"; NULL: it is none. */
static const char *function_of(const struct keras_layer *l, char name[KERAS_MAX_NAME])
{
    const char *f = json_string(json_get(l->config, "function"));
    if (strcmp(l->kind, "TFOpLambda") == 0 || strcmp(l->kind, "SlicingOpLambda") == 0) {
        const char *dot = f ? strrchr(f, '.') : NULL;
        return dot ? dot + 1 : f;
    }
    if (!l->operation) return NULL;
    keras_snake(l->kind, name);
    return name;
}

/* The i-th operand: a tensor, or a number as a constant. */
static bool operand(struct lowering *L, const struct keras_call *in, size_t i, const char *key, const char *other,
                    struct keras_tensor *out)
{
    const struct keras_tensor *t = keras_input(in, i, key);
    if (!t && other) t = keras_input(in, i, other);
    const struct json *j = keras_literal(in, i, key);
    if (!j && other) j = keras_literal(in, i, other);
    if (t)
        *out = *t;
    else if (json_is_number(j))
        *out = (struct keras_tensor){.value = build_float(&L->b, (float)json_number(j)), .mask = -1};
    return t || json_is_number(j);
}

/* numpy's broadcasting: shapes meet at their right ends */
static struct keras_tensor meet(struct lowering *L, const struct keras_layer *l, const char *op, struct keras_tensor a,
                                struct keras_tensor c)
{
    struct keras_tensor y = a.rank >= c.rank ? a : c;
    const struct keras_tensor *low = a.rank >= c.rank ? &c : &a;
    for (int i = 1; i <= low->rank; i++) {
        int64_t *d = &y.dim[y.rank - i], q = low->dim[low->rank - i];
        if (*d > 1 && q > 1 && *d != q)
            keras_fail(L, l, RNND_MISMATCH, "its inputs differ: %lld and %lld", (long long)*d, (long long)q);
        if (*d == 1 || (*d < 0 && q > 1)) *d = q;
    }
    y.value = build2(&L->b, op, a.value, c.value);
    y.mask = -1;
    return y;
}

static bool binary(struct lowering *L, const struct keras_layer *l, const char *f, const struct keras_call *in,
                   struct keras_outputs *out)
{
    static const struct {
        const char *name, *op;
    } ops[] = {{"add", "Add"},     {"subtract", "Sub"}, {"sub", "Sub"},         {"multiply", "Mul"},
               {"mul", "Mul"},     {"truediv", "Div"},  {"true_divide", "Div"}, {"divide", "Div"},
               {"maximum", "Max"}, {"minimum", "Min"},  {"matmul", "MatMul"}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct keras_tensor a, c;
        if (strcmp(ops[i].name, f) != 0) continue;
        if (!operand(L, in, 0, "x1", "x", &a) || !operand(L, in, 1, "x2", "y", &c))
            return keras_fail(L, l, RNND_UNSUPPORTED,
                              "operands that are neither tensors nor numbers; " KERAS_CUSTOM_ADVICE),
                   true;
        if (ops[i].op[1] == 'a' && ops[i].op[2] == 't') {
            if (a.rank != 3 || c.rank != 3) return keras_fail(L, l, RNND_UNSUPPORTED, "other than 3 dimensions"), true;
            a.dim[2] = c.dim[2];
            a.value = build2(&L->b, "MatMul", a.value, c.value);
            a.mask = -1;
            out->t[0] = a;
        } else {
            out->t[0] = meet(L, l, ops[i].op, a, c);
        }
        return true;
    }
    return false;
}

static bool unary(struct lowering *L, const char *f, const struct keras_tensor *x, struct keras_outputs *out)
{
    static const struct {
        const char *name, *op;
    } ops[] = {{"negative", "Neg"},     {"neg", "Neg"},           {"exp", "Exp"},   {"sqrt", "Sqrt"},
               {"abs", "Abs"},          {"absolute", "Abs"},      {"tanh", "Tanh"}, {"sigmoid", "Sigmoid"},
               {"relu", "Relu"},        {"softplus", "Softplus"}, {"log", "Log"},   {"stop_gradient", "Identity"},
               {"identity", "Identity"}};
    out->t[0] = *x;
    if (strcmp(f, "square") == 0) return out->t[0].value = build2(&L->b, "Mul", x->value, x->value), true;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i].name, f) == 0) return out->t[0].value = build(&L->b, ops[i].op, x->value), true;
    return false;
}

/* An axis from the call, or from an operation's own configuration. */
static const struct json *setting(const struct keras_layer *l, const struct keras_call *in, size_t i, const char *key)
{
    const struct json *j = keras_literal(in, i, key);
    return j ? j : json_get(l->config, key);
}

static bool reduce(struct lowering *L, const struct keras_layer *l, const char *f, const struct keras_call *in,
                   const struct keras_tensor *x, struct keras_outputs *out)
{
    static const struct {
        const char *name, *op;
    } ops[] = {{"reduce_mean", "ReduceMean"}, {"mean", "ReduceMean"},      {"reduce_sum", "ReduceSum"},
               {"sum", "ReduceSum"},          {"reduce_max", "ReduceMax"}, {"max", "ReduceMax"},
               {"reduce_min", "ReduceMin"},   {"min", "ReduceMin"}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        int64_t axis, list[1];
        size_t n;
        if (strcmp(ops[i].name, f) != 0) continue;
        const struct json *j = setting(l, in, 1, "axis"), *keep = setting(l, in, 2, "keepdims");
        if (!json_whole(j, -MAX_RANK, MAX_RANK, &axis)) {
            if (!keras_list(j, 1, list, &n) || n != 1)
                return keras_fail(L, l, RNND_UNSUPPORTED, "wanted one axis; " KERAS_CUSTOM_ADVICE), true;
            axis = list[0];
        }
        struct keras_tensor y = *x;
        int at = keras_axis(L, l, axis, x->rank);
        y.value = build_reduce(&L->b, ops[i].op, x->value, at, keep && json_true(keep));
        if (keep && json_true(keep)) {
            y.dim[at] = 1;
        } else {
            for (int d = at; d + 1 < y.rank; d++)
                y.dim[d] = y.dim[d + 1];
            y.rank--;
        }
        y.steps = y.steps && at > 1;
        out->t[0] = y;
        return true;
    }
    return false;
}

/* ---- shapes ---- */

static void expand_dims(struct lowering *L, const struct keras_layer *l, const struct json *j, struct keras_tensor x,
                        struct keras_outputs *out)
{
    int64_t axis;
    if (!json_whole(j, -MAX_RANK, MAX_RANK, &axis) || x.rank + 1 > MAX_RANK)
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted one axis");
    int at = keras_axis(L, l, axis, x.rank + 1);
    for (int d = x.rank; d > at; d--)
        x.dim[d] = x.dim[d - 1];
    x.dim[at] = 1;
    x.rank++;
    x.value = build_unsqueeze(&L->b, x.value, at);
    x.steps = x.steps && at > 1;
    out->t[0] = x;
}

static void squeeze(struct lowering *L, const struct keras_layer *l, const struct json *j, struct keras_tensor x,
                    struct keras_outputs *out)
{
    int64_t axis, list[1];
    size_t n;
    if (!json_whole(j, -MAX_RANK, MAX_RANK, &axis)) {
        if (!keras_list(j, 1, list, &n) || n != 1) return keras_fail(L, l, RNND_UNSUPPORTED, "wanted one axis");
        axis = list[0];
    }
    int at = keras_axis(L, l, axis, x.rank);
    if (x.rank < 1 || x.dim[at] > 1) return keras_fail(L, l, RNND_MISMATCH, "the axis that it drops is longer than 1");
    for (int d = at; d + 1 < x.rank; d++)
        x.dim[d] = x.dim[d + 1];
    x.rank--;
    x.value = build_squeeze(&L->b, x.value, at);
    x.steps = x.steps && at > 1;
    out->t[0] = x;
}

static void transpose(struct lowering *L, const struct keras_layer *l, const struct json *j, struct keras_tensor x,
                      struct keras_outputs *out)
{
    struct keras_tensor y = x;
    int64_t order[MAX_RANK];
    bool seen[MAX_RANK] = {false};
    size_t n;
    if (!keras_list(j, MAX_RANK, order, &n) || (int)n != x.rank)
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted an order of all %d axes", x.rank);
    for (int i = 0; i < x.rank; i++) {
        if (order[i] < 0 || order[i] >= x.rank || seen[order[i]])
            return keras_fail(L, l, RNND_CORRUPT, "its order of axes is none");
        seen[order[i]] = true;
        y.dim[i] = x.dim[order[i]];
    }
    y.value = build_transpose(&L->b, x.value, x.rank, order);
    y.steps = false;
    out->t[0] = y;
}

/* The first number is the batch: kept; tf.keras and Keras 3 both write it. */
static void reshape(struct lowering *L, const struct keras_layer *l, const struct json *j, struct keras_tensor x,
                    struct keras_outputs *out)
{
    int64_t dim[MAX_RANK];
    size_t n;
    if (!keras_list(j, MAX_RANK, dim, &n) || n == 0)
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted a shape of at most %d numbers", MAX_RANK);
    x.value = build_reshape(&L->b, x.value, (int)n, dim);
    x.rank = (int)n;
    for (size_t i = 0; i < n; i++)
        x.dim[i] = dim[i] > 0 ? dim[i] : -1;
    x.steps = false;
    out->t[0] = x;
}

/* One item of x[...]: a whole number, or a slice as an object with start, stop and step; false: it is neither. */
static bool item(const struct json *e, int64_t *start, int64_t *stop, int64_t *step, bool *drop)
{
    const struct json *s = json_get(e, "config") ? json_get(e, "config") : e;
    *drop = json_whole(e, INT32_MIN, INT32_MAX, start);
    *step = 1;
    *stop = *drop ? (*start == -1 ? INT64_MAX : *start + 1) : INT64_MAX;
    if (*drop) return true;
    *start = 0;
    if (!json_is_object(s)) return false;
    const struct json *from = json_get(s, "start"), *to = json_get(s, "stop"), *by = json_get(s, "step");
    if (by && !json_is_null(by) && (!json_whole(by, INT32_MIN, INT32_MAX, step) || *step == 0)) return false;
    if (*step < 0) *start = -1, *stop = INT64_MIN;
    if (from && !json_is_null(from) && !json_whole(from, INT32_MIN, INT32_MAX, start)) return false;
    return !to || json_is_null(to) || json_whole(to, INT32_MIN, INT32_MAX, stop);
}

/* How much of n a slice leaves; -1 where n is free. */
static int64_t length_of(int64_t n, int64_t start, int64_t stop, int64_t step)
{
    if (n < 0) return -1;
    if (start < 0) start += n;
    if (stop < 0 && stop != INT64_MIN) stop += n;
    if (step > 0) {
        start = start < 0 ? 0 : start > n ? n : start;
        stop = stop < 0 ? 0 : stop > n ? n : stop;
        return stop > start ? (stop - start + step - 1) / step : 0;
    }
    start = start >= n ? n - 1 : start < -1 ? -1 : start;
    stop = stop < -1 ? -1 : stop >= n ? n - 1 : stop;
    return start > stop ? (start - stop - step - 1) / -step : 0;
}

static void get_item(struct lowering *L, const struct keras_layer *l, const struct json *j, struct keras_tensor x,
                     struct keras_outputs *out)
{
    int drops[MAX_RANK], dropped = 0, axis = 0;
    if (!json_is_array(j) || (int)json_count(j) > x.rank)
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted a list of at most %d places", x.rank);
    for (const struct json *e = json_first(j); e; e = json_next(e), axis++) {
        int64_t start, stop, step;
        bool drop;
        if (!item(e, &start, &stop, &step, &drop))
            return keras_fail(L, l, RNND_UNSUPPORTED, "wanted whole numbers and slices; " KERAS_CUSTOM_ADVICE);
        if (drop) drops[dropped++] = axis;
        if (!drop && start == 0 && stop == INT64_MAX && step == 1) continue;
        x.value = build_slice(&L->b, x.value, axis, start, stop, step);
        x.dim[axis] = length_of(x.dim[axis], start, stop, step);
        x.steps = x.steps && axis > 1;
    }
    while (dropped-- > 0) {
        x.value = build_squeeze(&L->b, x.value, drops[dropped]);
        for (int d = drops[dropped]; d + 1 < x.rank; d++)
            x.dim[d] = x.dim[d + 1];
        x.rank--;
    }
    out->t[0] = x;
}

void keras_lower_operation(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                           struct keras_outputs *out)
{
    char name[KERAS_MAX_NAME];
    const char *f = function_of(l, name);
    const struct keras_tensor *x = keras_input(in, 0, "x");
    if (!f) return;
    if (!x) x = keras_input(in, 0, "input");
    if (!x) x = keras_input(in, 0, "tensor");
    for (size_t i = 0; i < KERAS_MAX_OUTPUTS; i++)
        out->t[i].mask = -1;
    out->count = 1;
    if (binary(L, l, f, in, out)) return;
    if (x && (unary(L, f, x, out) || reduce(L, l, f, in, x, out))) return;
    if (x && strcmp(f, "expand_dims") == 0) return expand_dims(L, l, setting(l, in, 1, "axis"), *x, out);
    if (x && strcmp(f, "squeeze") == 0) return squeeze(L, l, setting(l, in, 1, "axis"), *x, out);
    if (x && strcmp(f, "transpose") == 0)
        return transpose(L, l, setting(l, in, 1, l->operation ? "axes" : "perm"), *x, out);
    if (x && strcmp(f, "reshape") == 0)
        return reshape(L, l, setting(l, in, 1, l->operation ? "newshape" : "shape"), *x, out);
    if (x && (strcmp(f, "getitem") == 0 || strcmp(f, "get_item") == 0))
        return get_item(L, l, setting(l, in, 1, l->operation ? "key" : "slice_spec"), *x, out);
    out->count = 0;
    keras_fail(L, l, RNND_UNSUPPORTED, "the function %.60s; " KERAS_CUSTOM_ADVICE, f);
}
