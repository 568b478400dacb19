/* keras_attention.c -- Keras attention layers, and the weighted average of textgenrnn. */
#include <string.h>

#include "core/formats/keras_lower.h"

static const int64_t swap[] = {0, 2, 1};

static int softmax_last(struct graph_builder *b, int x)
{
    int y = build(b, "Softmax", x);
    build_attr_int(b, "axis", -1);
    return y;
}

/* scores [B][Tq][Tv]: steps of the values that are masked get -1e9 more */
static int hide(struct graph_builder *b, int scores, int mask)
{
    int hidden = build_cast(b, build(b, "Not", build_unsqueeze(b, mask, 1)), DTYPE_F32);
    return build2(b, "Sub", scores, build2(b, "Mul", hidden, build_float(b, 1e9f)));
}

static bool call_flag(const struct keras_call *in, const char *key)
{
    const struct json *j = keras_literal(in, SIZE_MAX, key);
    return j && json_true(j);
}

static void refuse(struct lowering *L, const struct keras_layer *l, const struct keras_call *in)
{
    static const char *const flags[] = {"return_attention_scores", "use_causal_mask"};
    for (size_t i = 0; i < 2; i++)
        if (call_flag(in, flags[i])) keras_fail(L, l, RNND_UNSUPPORTED, "%s; " KERAS_CUSTOM_ADVICE, flags[i]);
    if (keras_flag(L, l, "causal", false)) keras_fail(L, l, RNND_UNSUPPORTED, "causal; " KERAS_CUSTOM_ADVICE);
}

/* sum over features of scale tanh(q + k), q [B][Tq][1][D], k [B][1][Tv][D] */
static int additive(struct lowering *L, const struct keras_layer *l, int q, int k, int64_t width)
{
    struct graph_builder *b = &L->b;
    int sum = build2(b, "Add", build_unsqueeze(b, q, 2), build_unsqueeze(b, k, 1));
    int y = build(b, "Tanh", sum);
    if (keras_flag(L, l, "use_scale", true))
        y = build2(b, "Mul", y, keras_constant(L, l, 0, "scale", 1, &width, 0, NULL));
    return build_reduce(b, "ReduceSum", y, -1, false);
}

/* inputs [query, value, key = value]: softmax(q kT) v; masked queries give zeros */
void keras_lower_attention(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                           struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    const struct keras_tensor *q = keras_input(in, 0, "query"), *v = keras_input(in, 1, "value");
    const struct keras_tensor *k = keras_input(in, 2, "key");
    if (!v) return keras_fail(L, l, RNND_CORRUPT, "wanted two or three inputs");
    if (!k) k = v;
    if (q->rank != 3 || v->rank != 3 || k->rank != 3)
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted inputs [batch][time][features]");
    refuse(L, l, in);
    const char *mode = keras_text(L, l, "score_mode", "dot");
    int scores;
    if (strcmp(l->kind, "AdditiveAttention") == 0) {
        scores = additive(L, l, q->value, k->value, k->dim[2]);
    } else {
        if (strcmp(mode, "dot") != 0) keras_fail(L, l, RNND_UNSUPPORTED, "score_mode \"%.40s\"", mode);
        scores = build2(b, "MatMul", q->value, build_transpose(b, k->value, 3, swap));
        if (keras_flag(L, l, "use_scale", false))
            scores = build2(b, "Mul", scores, keras_constant(L, l, 0, "scale", 0, NULL, 0, NULL));
    }
    if (v->mask >= 0) scores = hide(b, scores, v->mask);
    struct keras_tensor y = *q;
    y.value = build2(b, "MatMul", softmax_last(b, scores), v->value);
    if (q->mask >= 0) y.value = build2(b, "Mul", y.value, build_unsqueeze(b, build_cast(b, q->mask, DTYPE_F32), -1));
    y.dim[2] = v->dim[2];
    out->t[0] = y;
}

/* ---- several heads ---- */

struct heads {
    int64_t count, key_dim, value_dim;
    bool bias;
};

/* x [B][T][D], kernel [D][heads][size], bias [heads][size] -> [B][heads][T][size] */
static int project(struct lowering *L, const struct keras_layer *l, const struct heads *h, const struct keras_tensor *x,
                   const char *name, size_t at, int64_t size)
{
    static const int64_t order[] = {0, 2, 1, 3};
    struct graph_builder *b = &L->b;
    struct keras_layer part = *l;
    int64_t D = x->dim[2], wide = h->count * size;
    size_t each = h->bias ? 2 : 1;
    part.weights = keras_part(L, l, name, name + 1, at * each, each);
    int kernel = keras_constant(L, &part, 0, "kernel", 3, (const int64_t[]){D, h->count, size}, 2,
                                (const size_t[]){(size_t)D, (size_t)wide});
    int y = build2(b, "MatMul", x->value, kernel);
    if (h->bias)
        y = build2(b, "Add", y,
                   keras_constant(L, &part, 1, "bias", 2, (const int64_t[]){h->count, size}, 1,
                                  (const size_t[]){(size_t)wide}));
    return build_transpose(b, build_reshape(b, y, 4, (const int64_t[]){0, 0, h->count, size}), 4, order);
}

void keras_lower_multi_head(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                            struct keras_outputs *out)
{
    static const int64_t order[] = {0, 2, 1, 3}, flip[] = {0, 1, 3, 2};
    struct graph_builder *b = &L->b;
    const struct keras_tensor *q = keras_input(in, 0, "query"), *v = keras_input(in, 1, "value");
    const struct keras_tensor *k = keras_input(in, 2, "key");
    const struct json *axes = json_get(l->config, "attention_axes"), *shape = json_get(l->config, "output_shape");
    struct heads h = {keras_int(L, l, "num_heads", 1, 4096, 0), keras_int(L, l, "key_dim", 1, MAX_HIDDEN, 0), 0,
                      keras_flag(L, l, "use_bias", true)};
    h.value_dim = keras_int(L, l, "value_dim", 1, MAX_HIDDEN, h.key_dim);
    if (!v) return keras_fail(L, l, RNND_CORRUPT, "wanted a query and a value");
    if (!k) k = v;
    refuse(L, l, in);
    if (q->rank != 3 || v->rank != 3 || k->rank != 3 || q->dim[2] < 1 || v->dim[2] < 1 || k->dim[2] < 1)
        keras_fail(L, l, RNND_UNSUPPORTED, "wanted inputs [batch][time][features]");
    int64_t along[2];
    size_t n;
    if (axes && !json_is_null(axes) && !(keras_list(axes, 2, along, &n) && n == 1 && along[0] == 1))
        keras_fail(L, l, RNND_UNSUPPORTED, "attention_axes other than time");
    if (q->mask >= 0 || v->mask >= 0 || k->mask >= 0 || keras_input(in, SIZE_MAX, "attention_mask"))
        keras_fail(L, l, RNND_UNSUPPORTED, "masks; " KERAS_CUSTOM_ADVICE);
    if (shape && !json_is_null(shape)) keras_fail(L, l, RNND_UNSUPPORTED, "output_shape; " KERAS_CUSTOM_ADVICE);
    if (b->code) return;
    int Q = project(L, l, &h, q, "_query_dense", 0, h.key_dim), K = project(L, l, &h, k, "_key_dense", 1, h.key_dim);
    int V = project(L, l, &h, v, "_value_dense", 2, h.value_dim);
    Q = build2(b, "Mul", Q, build(b, "Reciprocal", build(b, "Sqrt", build_float(b, (float)h.key_dim))));
    int scores = build2(b, "MatMul", Q, build_transpose(b, K, 4, flip));
    int mixed = build_transpose(b, build2(b, "MatMul", softmax_last(b, scores), V), 4, order);
    int64_t wide = h.count * h.value_dim, D = q->dim[2];
    mixed = build_reshape(b, mixed, 3, (const int64_t[]){0, 0, wide});
    struct keras_layer part = *l;
    part.weights = keras_part(L, l, "_output_dense", "output_dense", h.bias ? 6 : 3, h.bias ? 2 : 1);
    int kernel = keras_constant(L, &part, 0, "kernel", 3, (const int64_t[]){h.count, h.value_dim, D}, 2,
                                (const size_t[]){(size_t)wide, (size_t)D});
    struct keras_tensor y = *q;
    y.value = build2(b, "MatMul", mixed, kernel);
    if (h.bias) y.value = build2(b, "Add", y.value, keras_constant(L, &part, 1, "bias", 1, &D, 0, NULL));
    out->t[0] = y;
}

/* ---- textgenrnn's layer (minimaxir/textgenrnn, AttentionWeightedAverage) ---- */

/* a = softmax over time of x W, W [F][1]; masked steps get none; y = sum of a x */
void keras_lower_weighted_average(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                                  struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    struct keras_tensor x = *keras_input(in, 0, NULL);
    if (x.rank != 3 || x.dim[2] < 1) return keras_fail(L, l, RNND_UNSUPPORTED, "wanted [batch][time][features]");
    if (keras_flag(L, l, "return_attention", false)) return keras_fail(L, l, RNND_UNSUPPORTED, "return_attention");
    int W = keras_constant(L, l, 0, "W", 2, (const int64_t[]){x.dim[2], 1}, 0, NULL);
    int logits = build_squeeze(b, build2(b, "MatMul", x.value, W), -1); /* [B][T] */
    int most = build_reduce(b, "ReduceMax", logits, -1, true);
    int e = build(b, "Exp", build2(b, "Sub", logits, most));
    if (x.mask >= 0) e = build2(b, "Mul", e, build_cast(b, x.mask, DTYPE_F32));
    int sum = build2(b, "Add", build_reduce(b, "ReduceSum", e, 1, true), build_float(b, 1e-7f));
    int a = build_unsqueeze(b, build2(b, "Div", e, sum), -1);
    x.value = build_reduce(b, "ReduceSum", build2(b, "Mul", x.value, a), 1, false);
    x.rank = 2;
    x.dim[1] = x.dim[2];
    out->t[0] = x;
}
