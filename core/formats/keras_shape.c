/* keras_shape.c -- Keras layers that move elements about: Flatten, Reshape, Permute, RepeatVector, padding. */
#include <string.h>

#include "core/formats/keras_lower.h"

/* The product of dimensions [from, rank), or -1 where one is free. */
static int64_t product(const struct keras_tensor *x, int from)
{
    int64_t n = 1;
    for (int i = from; i < x->rank; i++) {
        if (x->dim[i] < 0 || (x->dim[i] > 0 && n > INT32_MAX / x->dim[i])) return -1;
        n *= x->dim[i];
    }
    return n;
}

void keras_lower_flatten(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                         struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    if (keras_channels_first(L, l) && x.rank > 2) { /* channels go last before they are flattened */
        int64_t order[MAX_RANK] = {0}, first = x.dim[1];
        for (int i = 1; i + 1 < x.rank; i++) {
            order[i] = i + 1;
            x.dim[i] = x.dim[i + 1];
        }
        order[x.rank - 1] = 1;
        x.dim[x.rank - 1] = first;
        x.value = build_transpose(&L->b, x.value, x.rank, order);
    }
    int64_t n = x.rank < 2 ? 1 : product(&x, 1);
    if (x.rank != 2) x.value = build_reshape(&L->b, x.value, 2, (const int64_t[]){x.rank ? 0 : 1, n > 0 ? n : -1});
    x.rank = 2;
    x.dim[1] = n;
    out->t[0] = x;
}

void keras_lower_reshape(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                         struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int64_t dim[MAX_RANK] = {0}, known = 1, all = product(&x, 1);
    size_t n = 0;
    int unknown = 0;
    if (!keras_list(json_get(l->config, "target_shape"), MAX_RANK - 1, dim + 1, &n))
        return keras_fail(L, l, RNND_CORRUPT, "\"target_shape\": wanted a list of at most %d numbers", MAX_RANK - 1);
    for (size_t i = 1; i <= n; i++) {
        if (dim[i] < -1 || dim[i] == 0 || (dim[i] < 0 && unknown++) || (dim[i] > 0 && known > INT32_MAX / dim[i]))
            return keras_fail(L, l, RNND_CORRUPT, "\"target_shape\": wanted positive numbers and at most one -1");
        if (dim[i] > 0) known *= dim[i];
    }
    if (all > 0 && (unknown ? all % known != 0 : all != known))
        return keras_fail(L, l, RNND_MISMATCH, "its target_shape does not have the %lld elements of its input",
                          (long long)all);
    x.value = build_reshape(&L->b, x.value, (int)n + 1, dim);
    x.rank = (int)n + 1;
    for (size_t i = 1; i <= n; i++)
        x.dim[i] = dim[i] < 0 ? (all > 0 ? all / known : -1) : dim[i];
    out->t[0] = x;
}

void keras_lower_permute(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                         struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL), y = x;
    int64_t order[MAX_RANK] = {0};
    bool seen[MAX_RANK] = {false};
    size_t n;
    if (!keras_list(json_get(l->config, "dims"), MAX_RANK - 1, order + 1, &n) || (int)n + 1 != x.rank)
        return keras_fail(L, l, RNND_CORRUPT, "\"dims\": wanted %d numbers", x.rank - 1);
    for (int i = 1; i < x.rank; i++) {
        if (order[i] < 1 || order[i] >= x.rank || seen[order[i]])
            return keras_fail(L, l, RNND_CORRUPT, "\"dims\": wanted each of 1 to %d once", x.rank - 1);
        seen[order[i]] = true;
        y.dim[i] = x.dim[order[i]];
    }
    y.value = build_transpose(&L->b, x.value, x.rank, order);
    y.steps = x.steps && x.rank > 2 && order[1] == 1;
    out->t[0] = y;
}

/* [B][F] -> [B][n][F] */
void keras_lower_repeat(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                        struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int64_t n = keras_int(L, l, "n", 1, INT32_MAX, 0);
    if (x.rank != 2) return keras_fail(L, l, RNND_CORRUPT, "wanted an input [batch][features]");
    int shape = build_ints(&L->b, 3, (const int64_t[]){1, n, 1}); /* Expand broadcasts both ways */
    x.value = build2(&L->b, "Expand", build_unsqueeze(&L->b, x.value, 1), shape);
    x.rank = 3;
    x.dim[2] = x.dim[1];
    x.dim[1] = n;
    out->t[0] = x;
}

void keras_lower_padding(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                         struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int64_t pad[2];
    keras_ints(L, l, "padding", 0, 1 << 20, 2, 1, pad);
    if (x.rank != 3 || keras_channels_first(L, l))
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted [batch][time][features]");
    int pads = build_ints(&L->b, 6, (const int64_t[]){0, pad[0], 0, 0, pad[1], 0});
    x.value = build3(&L->b, "Pad", x.value, pads, build_float(&L->b, 0));
    if (x.dim[1] >= 0) x.dim[1] += pad[0] + pad[1];
    out->t[0] = x;
}

void keras_lower_cropping(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                          struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int64_t crop[2];
    keras_ints(L, l, "cropping", 0, 1 << 20, 2, 1, crop);
    if (x.rank != 3) return keras_fail(L, l, RNND_CORRUPT, "wanted [batch][time][features]");
    x.value = build_slice(&L->b, x.value, 1, crop[0], crop[1] ? -crop[1] : INT64_MAX, 1);
    if (x.dim[1] >= 0) x.dim[1] = x.dim[1] > crop[0] + crop[1] ? x.dim[1] - crop[0] - crop[1] : 0;
    out->t[0] = x;
}

/* Each step `size` times over: [B][T][F] -> [B][T][size][F] -> [B][T size][F] */
void keras_lower_upsampling(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                            struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int64_t size;
    keras_ints(L, l, "size", 1, 1 << 16, 1, 2, &size);
    if (x.rank != 3 || x.dim[2] < 1) return keras_fail(L, l, RNND_UNSUPPORTED, "wanted [batch][time][features]");
    int shape = build_ints(b, 4, (const int64_t[]){1, 1, size, 1});
    int each = build2(b, "Expand", build_unsqueeze(b, x.value, 2), shape);
    x.value = build_reshape(b, each, 3, (const int64_t[]){0, -1, x.dim[2]});
    if (x.dim[1] >= 0) x.dim[1] = x.dim[1] > INT32_MAX / size ? -1 : x.dim[1] * size;
    out->t[0] = x;
}
