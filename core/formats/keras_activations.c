/* keras_activations.c -- Keras activations by name, and the layers that are nothing but one. */
#include <string.h>

#include "core/formats/keras_lower.h"

static int clip(struct graph_builder *b, int x, float low, float high)
{
    return build3(b, "Clip", x, build_float(b, low), build_float(b, high));
}

static int hard_sigmoid(struct graph_builder *b, int x, bool keras3)
{
    int y = build(b, "HardSigmoid", x);
    build_attr_float(b, "alpha", keras3 ? 1.0f / 6.0f : 0.2f);
    build_attr_float(b, "beta", 0.5f);
    return y;
}

static int leaky(struct graph_builder *b, int x, double slope)
{
    int y = build(b, "LeakyRelu", x);
    build_attr_float(b, "alpha", (float)slope);
    return y;
}

static int elu(struct graph_builder *b, int x, double alpha)
{
    int y = build(b, "Elu", x);
    build_attr_float(b, "alpha", (float)alpha);
    return y;
}

/* x/2 (1 + erf(x / sqrt 2)) */
static int gelu(struct graph_builder *b, int x)
{
    int e = build(b, "Erf", build2(b, "Mul", x, build_float(b, 0.70710678118654752f)));
    return build2(b, "Mul", build2(b, "Mul", x, build_float(b, 0.5f)), build2(b, "Add", e, build_float(b, 1)));
}

static int softmax(struct graph_builder *b, const char *op, int x, int64_t axis)
{
    int y = build(b, op, x);
    build_attr_int(b, "axis", axis);
    return y;
}

static int by_name(struct lowering *L, const struct keras_layer *l, const char *name, int x)
{
    static const struct {
        const char *name, *op;
    } plain[] = {{"relu", "Relu"},         {"sigmoid", "Sigmoid"},   {"tanh", "Tanh"},
                 {"softplus", "Softplus"}, {"softsign", "Softsign"}, {"exponential", "Exp"},
                 {"selu", "Selu"},         {"elu", "Elu"},           {"mish", "Mish"}};
    struct graph_builder *b = &L->b;
    bool keras3 = L->doc->major >= 3;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(plain[i].name, name) == 0) return build(b, plain[i].op, x);
    if (strcmp(name, "linear") == 0) return x;
    if (strcmp(name, "softmax") == 0) return softmax(b, "Softmax", x, -1);
    if (strcmp(name, "log_softmax") == 0) return softmax(b, "LogSoftmax", x, -1);
    if (strcmp(name, "hard_sigmoid") == 0) return hard_sigmoid(b, x, keras3);
    if (strcmp(name, "swish") == 0 || strcmp(name, "silu") == 0) return build2(b, "Mul", x, build(b, "Sigmoid", x));
    if (strcmp(name, "hard_swish") == 0 || strcmp(name, "hard_silu") == 0)
        return build2(b, "Mul", x, hard_sigmoid(b, x, true));
    if (strcmp(name, "gelu") == 0) return gelu(b, x);
    if (strcmp(name, "relu6") == 0) return clip(b, x, 0, 6);
    if (strcmp(name, "hard_tanh") == 0) return clip(b, x, -1, 1);
    if (strcmp(name, "leaky_relu") == 0) return leaky(b, x, 0.2);
    if (strcmp(name, "log_sigmoid") == 0) return build(b, "Neg", build(b, "Softplus", build(b, "Neg", x)));
    keras_fail(L, l, RNND_UNSUPPORTED, "the activation \"%.60s\" is custom or not supported; " KERAS_CUSTOM_ADVICE,
               name);
    return -1;
}

/* A text, or an object: {"class_name": "LeakyReLU", "config": {...}}; a function by its registered name. */
int keras_act(struct lowering *L, const struct keras_layer *l, const struct json *activation, int value, int rank)
{
    (void)rank;
    if (!activation || json_is_null(activation)) return value;
    if (json_is_string(activation)) return by_name(L, l, keras_class(json_string(activation)), value);
    const char *kind = json_string(json_get(activation, "class_name"));
    const struct json *config = json_get(activation, "config");
    if (kind && strcmp(kind, "function") == 0) kind = json_string(config);
    if (kind && json_is_object(config)) {
        struct keras_layer inner;
        if (!keras_inner(L, l, activation, &inner)) return -1;
        struct keras_tensor x = {.value = value, .rank = rank, .mask = -1};
        return keras_apply_one(L, &inner, &x).value;
    }
    if (kind) return by_name(L, l, keras_class(kind), value);
    keras_fail(L, l, RNND_CORRUPT, "\"activation\": wanted a text or an object, found %s", json_type_name(activation));
    return -1;
}

void keras_lower_activation(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                            struct keras_outputs *out)
{
    out->t[0] = *keras_input(in, 0, NULL);
    out->t[0].value = keras_act(L, l, json_get(l->config, "activation"), out->t[0].value, out->t[0].rank);
}

/* f(x) = min(x, max_value) for x >= threshold, negative_slope (x - threshold) else */
void keras_lower_relu(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                      struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    const struct json *most = json_get(l->config, "max_value");
    double slope = keras_float(L, l, "negative_slope", 0), threshold = keras_float(L, l, "threshold", 0);
    bool capped = most && !json_is_null(most);
    int x = keras_input(in, 0, NULL)->value, y;
    out->t[0] = *keras_input(in, 0, NULL);
    if (threshold == 0) {
        y = slope == 0 ? build(b, "Relu", x) : leaky(b, x, slope);
    } else {
        int t = build_float(b, (float)threshold);
        int low = build2(b, "Mul", build2(b, "Sub", x, t), build_float(b, (float)slope));
        y = build3(b, "Where", build2(b, "GreaterOrEqual", x, t), x, low);
    }
    out->t[0].value = capped ? build2(b, "Min", y, build_float(b, (float)keras_float(L, l, "max_value", 0))) : y;
}

void keras_lower_leaky_relu(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                            struct keras_outputs *out)
{
    const char *key = json_get(l->config, "negative_slope") ? "negative_slope" : "alpha";
    out->t[0] = *keras_input(in, 0, NULL);
    out->t[0].value = leaky(&L->b, out->t[0].value, keras_float(L, l, key, 0.3));
}

void keras_lower_elu(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                     struct keras_outputs *out)
{
    out->t[0] = *keras_input(in, 0, NULL);
    out->t[0].value = elu(&L->b, out->t[0].value, keras_float(L, l, "alpha", 1));
}

/* relu(x) - alpha relu(-x), alpha of the shape of the input without its batch, or 1 along shared axes */
void keras_lower_prelu(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                       struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int alpha = keras_constant(L, l, 0, "alpha", 0, NULL, 0, NULL);
    int below = build(b, "Relu", build(b, "Neg", x.value));
    x.value = build2(b, "Sub", build(b, "Relu", x.value), build2(b, "Mul", alpha, below));
    out->t[0] = x;
}

/* x where x > theta, else 0 */
void keras_lower_thresholded_relu(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                                  struct keras_outputs *out)
{
    out->t[0] = *keras_input(in, 0, NULL);
    out->t[0].value = build(&L->b, "ThresholdedRelu", out->t[0].value);
    build_attr_float(&L->b, "alpha", (float)keras_float(L, l, "theta", 1));
}

void keras_lower_softmax(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                         struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    struct keras_tensor x = *keras_input(in, 0, NULL);
    const struct json *j = json_get(l->config, "axis");
    int64_t axis = -1, list[MAX_RANK];
    size_t n;
    if (json_is_array(j)) {
        if (!keras_list(j, 1, list, &n) || n != 1)
            keras_fail(L, l, RNND_UNSUPPORTED, "a softmax over several axes");
        else
            axis = list[0];
    } else {
        axis = keras_int(L, l, "axis", -MAX_RANK, MAX_RANK, -1);
    }
    if (x.mask >= 0 && x.rank == 2) { /* masked elements get -1e9 more */
        int masked = build_cast(b, build(b, "Not", x.mask), DTYPE_F32);
        x.value = build2(b, "Add", x.value, build2(b, "Mul", masked, build_float(b, -1e9f)));
    } else if (x.mask >= 0) {
        keras_fail(L, l, RNND_UNSUPPORTED, "a softmax of a masked sequence");
    }
    x.value = softmax(b, "Softmax", x.value, keras_axis(L, l, axis, x.rank));
    out->t[0] = x;
}
