/* keras_convolution.c -- Keras convolutions, on the operator's [batch][channels][places]. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/keras_lower.h"

struct window { /* of one convolution */
    int places; /* axes that it slides along: 1 or 2 */
    int64_t size[2], stride[2], dilation[2];
    const char *padding;
    bool first; /* channels_first */
};

static void read_window(struct lowering *L, const struct keras_layer *l, struct window *w)
{
    *w = (struct window){.places = strstr(l->kind, "2D") ? 2 : 1};
    keras_ints(L, l, "kernel_size", 1, 1 << 16, (size_t)w->places, 0, w->size);
    keras_ints(L, l, "strides", 1, 1 << 16, (size_t)w->places, 1, w->stride);
    keras_ints(L, l, "dilation_rate", 1, 1 << 16, (size_t)w->places, 1, w->dilation);
    w->padding = keras_text(L, l, "padding", "valid");
    w->first = keras_channels_first(L, l);
    if (strcmp(w->padding, "valid") != 0 && strcmp(w->padding, "same") != 0 &&
        (strcmp(w->padding, "causal") != 0 || w->places != 1))
        keras_fail(L, l, RNND_UNSUPPORTED, "padding \"%.40s\"", w->padding);
}

/* To [batch][channels][places], or back. */
static int turn(struct lowering *L, const struct window *w, int value, bool back)
{
    static const int64_t there[2][4] = {{0, 2, 1}, {0, 3, 1, 2}}, home[2][4] = {{0, 2, 1}, {0, 2, 3, 1}};
    if (w->first) return value;
    return build_transpose(&L->b, value, w->places + 2, back ? home[w->places - 1] : there[w->places - 1]);
}

static int64_t length_after(const struct window *w, int i, int64_t n)
{
    int64_t reach = (w->size[i] - 1) * w->dilation[i] + 1;
    if (n < 0) return -1;
    if (strcmp(w->padding, "valid") == 0) return n < reach ? 0 : (n - reach) / w->stride[i] + 1;
    return (n + w->stride[i] - 1) / w->stride[i];
}

/* Conv of x [B][C][places] with weights (and a bias, or -1), padded as Keras pads. */
static int convolve(struct lowering *L, const struct window *w, int x, int weights, int bias, int64_t groups)
{
    struct graph_builder *b = &L->b;
    int y = 0, in[3] = {x, weights, bias};
    int64_t pads[4] = {0};
    bool strided = false;
    build_node(b, "Conv", bias >= 0 ? 3 : 2, in, 1, &y);
    for (int i = 0; i < w->places; i++) {
        int64_t total = (w->size[i] - 1) * w->dilation[i];
        bool causal = strcmp(w->padding, "causal") == 0;
        pads[i] = causal ? total : total / 2;
        pads[i + w->places] = causal ? 0 : total - total / 2;
        strided = strided || (w->stride[i] != 1 && !causal);
    }
    build_attr_ints(b, "kernel_shape", w->size, (size_t)w->places);
    build_attr_ints(b, "strides", w->stride, (size_t)w->places);
    build_attr_ints(b, "dilations", w->dilation, (size_t)w->places);
    build_attr_int(b, "group", groups);
    if (strcmp(w->padding, "same") == 0 && strided)
        build_attr_string(b, "auto_pad", "SAME_UPPER");
    else if (strcmp(w->padding, "valid") != 0)
        build_attr_ints(b, "pads", pads, (size_t)w->places * 2);
    return y;
}

/* Keras [places][M][F] -> [F][M][places], or, depthwise, [places][C][M] -> [C*M][1][places] */
static int kernel(struct lowering *L, const struct keras_layer *l, size_t at, const char *role, const struct window *w,
                  int64_t M, int64_t F, bool depthwise)
{
    int64_t want[4] = {w->size[0], w->size[1]};
    size_t n = (size_t)w->size[0] * (size_t)(w->places == 2 ? w->size[1] : 1);
    want[w->places] = M;
    want[w->places + 1] = F;
    const float *k = keras_floats(L, l, at, role, w->places + 2, want);
    struct checkpoint_tensor *t = k ? keras_weight(L, l, at, role) : NULL;
    if (!t) return -1;
    L->parameters -= t->count;
    size_t m = (size_t)M, f = (size_t)F;
    float *to = mem_alloc(t->count + 1, sizeof *to);
    if (!to) return build_keep(&L->b, fail_memory(L->b.err, t->count * sizeof *to)), -1;
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < m; i++)
            for (size_t o = 0; o < f; o++)
                to[depthwise ? (i * f + o) * n + p : (o * m + i) * n + p] = k[(p * m + i) * f + o];
    size_t dim[4] = {depthwise ? m * f : f, depthwise ? 1 : m, (size_t)w->size[0], (size_t)w->size[1]};
    int value = build_floats(&L->b, w->places + 2, dim, to);
    mem_free(to);
    keras_weight_done(t);
    return value;
}

static int64_t channels(struct lowering *L, const struct keras_layer *l, const struct window *w,
                        const struct keras_tensor *x)
{
    int64_t C = x->rank == w->places + 2 ? x->dim[w->first ? 1 : x->rank - 1] : -1;
    if (C < 1)
        keras_fail(L, l, RNND_UNSUPPORTED, "wanted an input of %d dimensions with a known number of channels",
                   w->places + 2);
    return C > 0 ? C : 1;
}

static struct keras_tensor finish(struct lowering *L, const struct keras_layer *l, const struct window *w,
                                  struct keras_tensor x, int y, int64_t filters)
{
    if (L->b.code) return x;
    x.value = keras_act(L, l, json_get(l->config, "activation"), turn(L, w, y, true), x.rank);
    bool same = true;
    for (int i = 0; i < w->places; i++) {
        int axis = i + (w->first ? 2 : 1);
        same = same && w->stride[i] == 1 && strcmp(w->padding, "valid") != 0;
        x.dim[axis] = length_after(w, i, x.dim[axis]);
    }
    x.dim[w->first ? 1 : x.rank - 1] = filters;
    x.steps = x.steps && same && !w->first;
    return x;
}

void keras_lower_conv(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                      struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    struct window w;
    read_window(L, l, &w);
    int64_t filters = keras_int(L, l, "filters", 1, MAX_WIDTH, 0), groups = keras_int(L, l, "groups", 1, MAX_WIDTH, 1);
    int64_t C = channels(L, l, &w, &x);
    if (C % groups) keras_fail(L, l, RNND_CORRUPT, "its groups do not divide its channels");
    int weights = kernel(L, l, 0, "kernel", &w, C / (groups > 0 ? groups : 1), filters, false);
    int bias = keras_flag(L, l, "use_bias", true) ? keras_constant(L, l, 1, "bias", 1, &filters, 0, NULL) : -1;
    int y = convolve(L, &w, turn(L, &w, x.value, false), weights, bias, groups);
    out->t[0] = finish(L, l, &w, x, y, filters);
}

void keras_lower_depthwise(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                           struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    struct window w;
    read_window(L, l, &w);
    int64_t C = channels(L, l, &w, &x), M = keras_int(L, l, "depth_multiplier", 1, 1 << 12, 1), wide = C * M;
    int weights = kernel(L, l, 0, "depthwise_kernel", &w, C, M, true);
    int bias = keras_flag(L, l, "use_bias", true) ? keras_constant(L, l, 1, "bias", 1, &wide, 0, NULL) : -1;
    int y = convolve(L, &w, turn(L, &w, x.value, false), weights, bias, C);
    out->t[0] = finish(L, l, &w, x, y, wide);
}

void keras_lower_separable(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                           struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    struct window w, point = {.places = 1, .size = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .padding = "valid"};
    read_window(L, l, &w);
    int64_t filters = keras_int(L, l, "filters", 1, MAX_WIDTH, 0),
            M = keras_int(L, l, "depth_multiplier", 1, 1 << 12, 1);
    int64_t C = channels(L, l, &w, &x);
    int depth = kernel(L, l, 0, "depthwise_kernel", &w, C, M, true);
    int across = kernel(L, l, 1, "pointwise_kernel", &point, C * M, filters, false);
    int bias = keras_flag(L, l, "use_bias", true) ? keras_constant(L, l, 2, "bias", 1, &filters, 0, NULL) : -1;
    int y = convolve(L, &w, turn(L, &w, x.value, false), depth, -1, C);
    y = convolve(L, &point, y, across, bias, 1);
    out->t[0] = finish(L, l, &w, x, y, filters);
}
