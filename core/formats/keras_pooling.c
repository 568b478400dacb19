/* keras_pooling.c -- Keras pooling, by windows and of whole sequences. */
#include <string.h>

#include "core/formats/keras_lower.h"

void keras_lower_pool(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                      struct keras_outputs *out)
{
    static const int64_t there[2][4] = {{0, 2, 1}, {0, 3, 1, 2}}, home[2][4] = {{0, 2, 1}, {0, 2, 3, 1}};
    struct graph_builder *b = &L->b;
    struct keras_tensor x = *keras_input(in, 0, NULL);
    size_t places = strstr(l->kind, "2D") ? 2 : 1;
    int64_t size[2] = {1, 1}, stride[2] = {1, 1};
    const char *padding = keras_text(L, l, "padding", "valid");
    const struct json *strides = json_get(l->config, "strides");
    bool first = keras_channels_first(L, l), same = strcmp(padding, "same") == 0;
    keras_ints(L, l, "pool_size", 1, 1 << 16, places, 2, size);
    keras_ints(L, l, strides && !json_is_null(strides) ? "strides" : "pool_size", 1, 1 << 16, places, 2, stride);
    if (x.rank != (int)places + 2) keras_fail(L, l, RNND_UNSUPPORTED, "wanted an input of %zu dimensions", places + 2);
    if (!same && strcmp(padding, "valid") != 0) keras_fail(L, l, RNND_UNSUPPORTED, "padding \"%.40s\"", padding);
    if (L->b.code) return;
    int y = first ? x.value : build_transpose(b, x.value, x.rank, there[places - 1]);
    y = build(b, strncmp(l->kind, "Max", 3) == 0 ? "MaxPool" : "AveragePool", y);
    build_attr_ints(b, "kernel_shape", size, places);
    build_attr_ints(b, "strides", stride, places);
    if (same) build_attr_string(b, "auto_pad", "SAME_UPPER");
    x.value = first ? y : build_transpose(b, y, x.rank, home[places - 1]);
    for (size_t i = 0; i < places; i++) {
        int64_t *d = &x.dim[i + (first ? 2 : 1)];
        if (*d >= 0) *d = same ? (*d + stride[i] - 1) / stride[i] : *d < size[i] ? 0 : (*d - size[i]) / stride[i] + 1;
    }
    x.steps = x.steps && same && stride[0] == 1 && !first;
    x.mask = -1;
    out->t[0] = x;
}

/* The mean over the steps that are not masked: sum(x m) / sum(m) */
static int masked_mean(struct graph_builder *b, const struct keras_tensor *x, bool keep)
{
    int m = build_unsqueeze(b, build_cast(b, x->mask, DTYPE_F32), -1);
    int sum = build_reduce(b, "ReduceSum", build2(b, "Mul", x->value, m), 1, keep);
    return build2(b, "Div", sum, build_reduce(b, "ReduceSum", m, 1, keep));
}

void keras_lower_global_pool(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                             struct keras_outputs *out)
{
    struct graph_builder *b = &L->b;
    struct keras_tensor x = *keras_input(in, 0, NULL), y = x;
    int places = strstr(l->kind, "2D") ? 2 : 1;
    bool keep = keras_flag(L, l, "keepdims", false), first = keras_channels_first(L, l);
    bool most = strncmp(l->kind, "GlobalMax", 9) == 0;
    if (x.rank != places + 2) return keras_fail(L, l, RNND_UNSUPPORTED, "wanted an input of %d dimensions", places + 2);
    int from = first ? 2 : 1;
    y.mask = -1;
    if (x.mask >= 0 && !most && places == 1) {
        if (first) keras_fail(L, l, RNND_UNSUPPORTED, "a masked sequence with channels_first");
        y.value = masked_mean(b, &x, keep);
    } else {
        int64_t axes[2] = {from, from + 1};
        y.value = build2(b, most ? "ReduceMax" : "ReduceMean", x.value, build_ints(b, (size_t)places, axes));
        build_attr_int(b, "keepdims", keep);
    }
    int64_t channels = x.dim[first ? 1 : x.rank - 1];
    y.rank = keep ? x.rank : 2;
    for (int i = 1; i < y.rank; i++)
        y.dim[i] = 1;
    y.dim[first ? 1 : y.rank - 1] = channels;
    out->t[0] = y;
}
