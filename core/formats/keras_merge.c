/* keras_merge.c -- Keras layers with several inputs: Concatenate, Add and its kin, Dot. */
#include <string.h>

#include "core/formats/keras_lower.h"

#define MAX_MERGED 64

static size_t gather(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                     struct keras_tensor t[MAX_MERGED])
{
    size_t n = keras_input_count(in), k = 0;
    if (n < 1 || n > MAX_MERGED)
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted 1 to %d inputs, found %zu", MAX_MERGED, n), 0;
    for (size_t i = 0; i < in->count; i++)
        if (!in->args[i].key && in->args[i].is_tensor) t[k++] = in->args[i].tensor;
    return n;
}

/* A step is masked where it is in any input that has a mask. */
static int masks(struct lowering *L, const struct keras_tensor *t, size_t n)
{
    int mask = -1;
    for (size_t i = 0; i < n; i++)
        if (t[i].mask >= 0 && t[i].mask != mask) mask = mask < 0 ? t[i].mask : build2(&L->b, "And", mask, t[i].mask);
    return mask;
}

void keras_lower_concatenate(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                             struct keras_outputs *out)
{
    struct keras_tensor t[MAX_MERGED], y;
    int values[MAX_MERGED];
    size_t n = gather(L, l, in, t);
    if (!n) return;
    y = t[0];
    int axis = keras_axis(L, l, keras_int(L, l, "axis", -MAX_RANK, MAX_RANK, -1), y.rank);
    int masked = 0;
    for (size_t i = 0; i < n && !L->b.code; i++) {
        values[i] = t[i].value;
        masked += t[i].mask >= 0;
        if (t[i].rank != y.rank)
            return keras_fail(L, l, RNND_MISMATCH, "its inputs have %d and %d dimensions", y.rank, t[i].rank);
        for (int d = 0; d < y.rank && i; d++) {
            bool both = y.dim[d] >= 0 && t[i].dim[d] >= 0;
            if (d == axis)
                y.dim[d] = both && y.dim[d] < INT32_MAX ? y.dim[d] + t[i].dim[d] : -1;
            else if (both && y.dim[d] != t[i].dim[d])
                return keras_fail(L, l, RNND_MISMATCH, "its inputs differ in dimension %d: %lld and %lld", d,
                                  (long long)y.dim[d], (long long)t[i].dim[d]);
            else if (y.dim[d] < 0)
                y.dim[d] = t[i].dim[d];
        }
        y.steps = y.steps && t[i].steps;
    }
    y.value = n == 1 ? values[0] : build_concat(&L->b, values, n, axis);
    y.mask = axis == y.rank - 1 && y.rank > 2 ? masks(L, t, n) : -1;
    if (axis == 1 && y.rank > 2 && masked) {
        for (size_t i = 0; i < n; i++)
            values[i] = t[i].mask;
        if (masked == (int)n)
            y.mask = build_concat(&L->b, values, n, 1);
        else
            keras_fail(L, l, RNND_UNSUPPORTED, "masked and unmasked sequences one after the other");
    }
    y.steps = y.steps && axis != 1;
    out->t[0] = y;
}

/* Keras lets the dimensions of inputs broadcast, from the right, and of different ranks from the batch on. */
static struct keras_tensor broadcast(struct lowering *L, const struct keras_layer *l, struct keras_tensor a,
                                     struct keras_tensor c, const char *op)
{
    struct keras_tensor y = a.rank >= c.rank ? a : c;
    struct keras_tensor *low = a.rank < c.rank ? &a : &c;
    if (low->rank == 0 || low->rank == y.rank) {
        for (int d = 0; d < low->rank; d++) {
            int64_t p = a.dim[d], q = c.dim[d];
            if (p > 1 && q > 1 && p != q)
                keras_fail(L, l, RNND_MISMATCH, "its inputs differ in dimension %d: %lld and %lld", d, (long long)p,
                           (long long)q);
            y.dim[d] = p == 1 ? q : q == 1 ? p : p < 0 ? q : p;
        }
    } else { /* [B][F] with [B][T][F] -> [B][1][F] */
        for (int missing = y.rank - low->rank; missing > 0; missing--)
            low->value = build_unsqueeze(&L->b, low->value, 1);
    }
    y.steps = a.steps && c.steps;
    y.value = build2(&L->b, op, a.value, c.value);
    return y;
}

void keras_lower_merge(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                       struct keras_outputs *out)
{
    static const struct {
        const char *kind, *op;
    } ops[] = {{"Add", "Add"},     {"Subtract", "Sub"}, {"Multiply", "Mul"},
               {"Average", "Add"}, {"Maximum", "Max"},  {"Minimum", "Min"}};
    struct keras_tensor t[MAX_MERGED], y;
    size_t n = gather(L, l, in, t);
    const char *op = "Add";
    if (!n) return;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i].kind, l->kind) == 0) op = ops[i].op;
    if (strcmp(l->kind, "Subtract") == 0 && n != 2)
        return keras_fail(L, l, RNND_CORRUPT, "wanted two inputs, found %zu", n);
    y = t[0];
    for (size_t i = 1; i < n; i++)
        y = broadcast(L, l, y, t[i], op);
    if (strcmp(l->kind, "Average") == 0) y.value = build2(&L->b, "Div", y.value, build_float(&L->b, (float)n));
    y.mask = masks(L, t, n);
    out->t[0] = y;
}

/* ---- Dot ---- */

/* x / max(||x||, 1e-6) along an axis: sqrt(max(sum x^2, 1e-12)) */
static int normalised(struct graph_builder *b, int x, int axis)
{
    int sum = build_reduce(b, "ReduceSum", build2(b, "Mul", x, x), axis, true);
    return build2(b, "Div", x, build(b, "Sqrt", build2(b, "Max", sum, build_float(b, 1e-12f))));
}

/* A matrix [B][rest][k] (k_last) or [B][k][rest] of a tensor of rank 2 or 3 that is contracted along `axis`. */
static int as_matrix(struct graph_builder *b, const struct keras_tensor *t, int axis, bool k_last)
{
    static const int64_t swap[] = {0, 2, 1};
    if (t->rank == 2) return build_unsqueeze(b, t->value, k_last ? 1 : 2);
    bool last = axis == 2;
    return last == k_last ? t->value : build_transpose(b, t->value, 3, swap);
}

void keras_lower_dot(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                     struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    struct keras_tensor t[MAX_MERGED], y = {0};
    const struct json *j = json_get(l->config, "axes");
    int64_t axes[2];
    size_t count, n = gather(L, l, in, t);
    if (!n) return;
    if (keras_list(j, 2, axes, &count) ? count != 2 : !json_whole(j, -MAX_RANK, MAX_RANK, &axes[0]))
        return keras_fail(L, l, RNND_CORRUPT, "\"axes\": wanted a whole number or two");
    if (!json_is_array(j) && !json_is_object(j)) axes[1] = axes[0];
    if (n != 2 || t[0].rank < 2 || t[1].rank < 2 || t[0].rank > 3 || t[1].rank > 3)
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted two inputs of 2 or 3 dimensions");
    int a = keras_axis(L, l, axes[0], t[0].rank), c = keras_axis(L, l, axes[1], t[1].rank);
    if (a == 0 || c == 0) keras_fail(L, l, RNND_CORRUPT, "a product along the batch");
    if (keras_flag(L, l, "normalize", false)) {
        t[0].value = normalised(b, t[0].value, a);
        t[1].value = normalised(b, t[1].value, c);
    }
    y.value = build2(b, "MatMul", as_matrix(b, &t[0], a, true), as_matrix(b, &t[1], c, false));
    y.rank = 1;
    y.dim[0] = t[0].dim[0];
    if (t[0].rank == 3) y.dim[y.rank++] = t[0].dim[3 - a];
    if (t[1].rank == 3) y.dim[y.rank++] = t[1].dim[3 - c];
    if (y.rank == 1) y.dim[y.rank++] = 1;
    if (t[0].rank == 2)
        y.value = build_squeeze(b, y.value, 1);
    else if (t[1].rank == 2)
        y.value = build_squeeze(b, y.value, 2);
    out->t[0] = y;
}
