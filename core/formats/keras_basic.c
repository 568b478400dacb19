/* keras_basic.c -- Keras layers: Dense, Embedding, Masking, those that only train, and TimeDistributed. */
#include <string.h>

#include "core/formats/keras_lower.h"

void keras_lower_same(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                      struct keras_outputs *out)
{
    (void)L, (void)l;
    out->t[0] = *keras_input(in, 0, NULL);
}

/* y = activation(x K + b) along the last axis */
void keras_lower_dense(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                       struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int64_t units = keras_int(L, l, "units", 1, MAX_WIDTH, 0), width = x.rank ? x.dim[x.rank - 1] : -1;
    if (x.rank < 2 || width < 1) keras_fail(L, l, RNND_UNSUPPORTED, "the width of its input is not known");
    int kernel = keras_constant(L, l, 0, "kernel", 2, (const int64_t[]){width, units}, 0, NULL);
    int y = build2(b, "MatMul", x.value, kernel);
    if (keras_flag(L, l, "use_bias", true))
        y = build2(b, "Add", y, keras_constant(L, l, 1, "bias", 1, &units, 0, NULL));
    x.value = keras_act(L, l, json_get(l->config, "activation"), y, x.rank);
    x.dim[x.rank ? x.rank - 1 : 0] = units;
    out->t[0] = x;
}

void keras_lower_embedding(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                           struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int64_t limit = keras_int(L, l, "input_dim", 1, INT32_MAX, 0),
            width = keras_int(L, l, "output_dim", 1, MAX_WIDTH, 0);
    if (x.rank + 1 > MAX_RANK) keras_fail(L, l, RNND_UNSUPPORTED, "its input has too many dimensions");
    int table = keras_constant(L, l, 0, "embeddings", 2, (const int64_t[]){limit, width}, 0, NULL);
    int ids = build_cast(b, x.value, DTYPE_I64);
    x.value = build2(b, "Gather", table, ids);
    build_attr_int(b, "axis", 0);
    x.mask = -1;
    if (keras_flag(L, l, "mask_zero", false) && x.rank == 2)
        x.mask = build(b, "Not", build2(b, "Equal", ids, build_int(b, 0)));
    x.steps = x.rank == 2;
    if (!b->code) x.dim[x.rank++] = width;
    out->t[0] = x;
}

/* Steps whose features all are mask_value become zeros and are masked. */
void keras_lower_masking(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                         struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int value = build_float(b, (float)keras_float(L, l, "mask_value", 0));
    int differs = build_cast(b, build(b, "Not", build2(b, "Equal", x.value, value)), DTYPE_F32);
    int any = build_reduce(b, "ReduceMax", differs, -1, true);
    if (x.rank != 3) keras_fail(L, l, RNND_UNSUPPORTED, "wanted an input [batch][time][features]");
    x.value = build2(b, "Mul", x.value, any);
    x.mask = build_cast(b, build_squeeze(b, any, -1), DTYPE_BOOL);
    out->t[0] = x;
}

/* ---- TimeDistributed ---- */

/* Layers that treat the last axis alone, or each element: the time axis may stay where it is. */
static bool by_position(const struct keras_layer *l, int rank)
{
    static const char *const kinds[] = {
        "Dense",         "Activation",      "ReLU",         "LeakyReLU", "ELU", "ThresholdedReLU", "Dropout",
        "GaussianNoise", "GaussianDropout", "AlphaDropout", "Rescaling"};
    (void)rank;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i], l->kind) == 0) return true;
    return false;
}

/* [B][T][rest] -> [B*T][rest]; where a dimension of the rest is free, its size is read at run time */
static int fold(struct graph_builder *b, const struct keras_tensor *x)
{
    int64_t dim[MAX_RANK] = {-1};
    bool known = true;
    for (int i = 2; i < x->rank; i++) {
        dim[i - 1] = x->dim[i];
        known = known && x->dim[i] > 0;
    }
    if (known) return build_reshape(b, x->value, x->rank - 1, dim);
    int rest = build(b, "Shape", x->value);
    build_attr_int(b, "start", 2);
    return build2(b, "Reshape", x->value, build_concat(b, (const int[]){build_axis(b, -1), rest}, 2, 0));
}

/* [B*T][rest] -> [B][T][rest] */
static int unfold(struct graph_builder *b, const struct keras_tensor *y, int like)
{
    int front = build(b, "Shape", like);
    build_attr_int(b, "start", 0);
    build_attr_int(b, "end", 2);
    int rest = build(b, "Shape", y->value);
    build_attr_int(b, "start", 1);
    return build2(b, "Reshape", y->value, build_concat(b, (const int[]){front, rest}, 2, 0));
}

void keras_lower_time_distributed(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                                  struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL), inner = x;
    struct keras_layer each;
    if (!keras_inner(L, l, json_get(l->config, "layer"), &each)) return;
    each.weights = keras_part(L, l, "layer", NULL, 0, l->weights.count);
    if (x.rank < 3) return keras_fail(L, l, RNND_CORRUPT, "wanted an input with a time axis and more");
    inner.mask = -1;
    if (by_position(&each, x.rank)) {
        out->t[0] = keras_apply_one(L, &each, &inner);
        return;
    }
    inner.value = fold(&L->b, &x);
    inner.rank = x.rank - 1;
    inner.steps = false;
    for (int i = 1; i < inner.rank; i++)
        inner.dim[i] = x.dim[i + 1];
    inner.dim[0] = -1;
    struct keras_tensor y = keras_apply_one(L, &each, &inner);
    if (y.rank < 1 || y.rank + 1 > MAX_RANK)
        return keras_fail(L, l, RNND_UNSUPPORTED, "its inner layer's output has too many dimensions");
    out->t[0] = (struct keras_tensor){unfold(&L->b, &y, x.value), y.rank + 1, {x.dim[0], x.dim[1]}, -1, false};
    for (int i = 1; i < y.rank; i++)
        out->t[0].dim[i + 1] = y.dim[i];
}
