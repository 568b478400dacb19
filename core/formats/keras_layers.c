/* keras_layers.c -- the table of Keras layer kinds, and reading their configurations. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/keras_lower.h"

#define MAX_WORK ((size_t)1 << 27) /* names looked at */

enum keeps { DROPS, PASSES, OWN }; /* what comes out of a layer: nothing, what went in, or what the layer says itself */

static const struct kind {
    const char *name;
    keras_lower_fn *lower;
#define MAX_WORK ((size_t)1 << 27) /* names looked at */

    enum keeps mask, steps;
} kinds[] = {
    {"Dense", keras_lower_dense, PASSES, PASSES},
    {"Embedding", keras_lower_embedding, OWN, OWN},
    {"Masking", keras_lower_masking, OWN, PASSES},
    {"Dropout", keras_lower_same, PASSES, PASSES},
    {"SpatialDropout1D", keras_lower_same, PASSES, PASSES},
    {"SpatialDropout2D", keras_lower_same, PASSES, PASSES},
    {"GaussianNoise", keras_lower_same, PASSES, PASSES},
    {"GaussianDropout", keras_lower_same, PASSES, PASSES},
    {"AlphaDropout", keras_lower_same, PASSES, PASSES},
    {"ActivityRegularization", keras_lower_same, PASSES, PASSES},
    {"Identity", keras_lower_same, PASSES, PASSES},
    {"TimeDistributed", keras_lower_time_distributed, PASSES, PASSES},
    {"LSTM", keras_lower_recurrent, OWN, OWN},
    {"GRU", keras_lower_recurrent, OWN, OWN},
    {"SimpleRNN", keras_lower_recurrent, OWN, OWN},
    {"CuDNNLSTM", keras_lower_recurrent, OWN, OWN},
    {"CuDNNGRU", keras_lower_recurrent, OWN, OWN},
    {"RNN", keras_lower_rnn, OWN, OWN},
    {"Bidirectional", keras_lower_bidirectional, OWN, OWN},
    {"Activation", keras_lower_activation, PASSES, PASSES},
    {"ReLU", keras_lower_relu, PASSES, PASSES},
    {"LeakyReLU", keras_lower_leaky_relu, PASSES, PASSES},
    {"PReLU", keras_lower_prelu, PASSES, PASSES},
    {"ELU", keras_lower_elu, PASSES, PASSES},
    {"ThresholdedReLU", keras_lower_thresholded_relu, PASSES, PASSES},
    {"Softmax", keras_lower_softmax, PASSES, PASSES},
    {"BatchNormalization", keras_lower_batch_norm, PASSES, PASSES},
    {"LayerNormalization", keras_lower_layer_norm, PASSES, PASSES},
    {"Normalization", keras_lower_normalization, DROPS, PASSES},
    {"Rescaling", keras_lower_rescaling, DROPS, PASSES},
    {"Conv1D", keras_lower_conv, DROPS, OWN},
    {"Conv2D", keras_lower_conv, DROPS, DROPS},
    {"DepthwiseConv1D", keras_lower_depthwise, DROPS, OWN},
    {"SeparableConv1D", keras_lower_separable, DROPS, OWN},
    {"MaxPooling1D", keras_lower_pool, DROPS, OWN},
    {"MaxPooling2D", keras_lower_pool, DROPS, DROPS},
    {"AveragePooling1D", keras_lower_pool, DROPS, OWN},
    {"AveragePooling2D", keras_lower_pool, DROPS, DROPS},
    {"GlobalMaxPooling1D", keras_lower_global_pool, DROPS, DROPS},
    {"GlobalMaxPooling2D", keras_lower_global_pool, DROPS, DROPS},
    {"GlobalAveragePooling1D", keras_lower_global_pool, DROPS, DROPS},
    {"GlobalAveragePooling2D", keras_lower_global_pool, DROPS, DROPS},
    {"GlobalMaxPool1D", keras_lower_global_pool, DROPS, DROPS},
    {"GlobalMaxPool2D", keras_lower_global_pool, DROPS, DROPS},
    {"Flatten", keras_lower_flatten, DROPS, DROPS},
    {"Reshape", keras_lower_reshape, DROPS, DROPS},
    {"Permute", keras_lower_permute, DROPS, OWN},
    {"RepeatVector", keras_lower_repeat, DROPS, DROPS},
    {"ZeroPadding1D", keras_lower_padding, DROPS, DROPS},
    {"Cropping1D", keras_lower_cropping, DROPS, DROPS},
    {"UpSampling1D", keras_lower_upsampling, DROPS, DROPS},
    {"Concatenate", keras_lower_concatenate, OWN, OWN},
    {"Add", keras_lower_merge, OWN, OWN},
    {"Subtract", keras_lower_merge, OWN, OWN},
    {"Multiply", keras_lower_merge, OWN, OWN},
    {"Average", keras_lower_merge, OWN, OWN},
    {"Maximum", keras_lower_merge, OWN, OWN},
    {"Minimum", keras_lower_merge, OWN, OWN},
    {"Dot", keras_lower_dot, DROPS, DROPS},
    {"Attention", keras_lower_attention, OWN, PASSES},
    {"AdditiveAttention", keras_lower_attention, OWN, PASSES},
    {"MultiHeadAttention", keras_lower_multi_head, OWN, PASSES},
    {"AttentionWeightedAverage", keras_lower_weighted_average, DROPS, DROPS},
};

void keras_fail(struct lowering *L, const struct keras_layer *l, rnnd_code code, const char *format, ...)
{
    char text[400];
    va_list args;
    if (L->b.code) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    build_keep(&L->b, fail_at(L->b.err, code, l->name, "layer \"%.80s\" (%.40s): %s", l->name, l->kind, text));
}

const char *keras_class(const char *name)
{
    const char *mark = strrchr(name, '>');
    return mark ? mark + 1 : name;
}

static void unknown(struct lowering *L, const struct keras_layer *l)
{
    if (strcmp(l->kind, "Lambda") == 0)
        keras_fail(L, l, RNND_UNSUPPORTED,
                   "it runs Python code that the file does not hold in readable form; " KERAS_CUSTOM_ADVICE);
    else
        keras_fail(L, l, RNND_UNSUPPORTED, "this kind of layer is custom or not supported; " KERAS_CUSTOM_ADVICE);
}

bool keras_work(struct lowering *L, const struct keras_layer *l, size_t n)
{
    if (!size_add(L->work, n, &L->work) || L->work > MAX_WORK)
        keras_fail(L, l, RNND_TOO_LARGE, "models within models have too many layers and weights in all");
    return !L->b.code;
}

/* Tensors by a name that no layer here looks at would be left out in silence. */
static void check_keys(struct lowering *L, const struct keras_layer *l, const struct keras_call *in)
{
    static const char *const known[] = {"initial_state", "query", "value",  "key",           "x", "y", "x1",
                                        "x2",            "input", "tensor", "attention_mask"};
    for (size_t i = 0; i < in->count; i++) {
        bool found = !in->args[i].key || !in->args[i].is_tensor;
        for (size_t k = 0; k < sizeof known / sizeof *known && !found; k++)
            found = strcmp(known[k], in->args[i].key) == 0;
        if (!found)
            keras_fail(L, l, RNND_UNSUPPORTED, "a tensor as its \"%.40s\"; " KERAS_CUSTOM_ADVICE, in->args[i].key);
    }
}

void keras_apply(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                 struct keras_outputs *out)
{
    const struct kind *kind = NULL;
    const struct keras_tensor *x = keras_input(in, 0, NULL);
    *out = (struct keras_outputs){0};
    if (L->b.code) return;
    if (L->depth >= KERAS_MAX_DEPTH)
        return keras_fail(L, l, RNND_TOO_LARGE, "layers within layers, more than %d deep", KERAS_MAX_DEPTH);
    check_keys(L, l, in);
    if (L->b.code) return;
    if (++L->calls > BUILDER_MAX_NODES) return keras_fail(L, l, RNND_TOO_LARGE, "layers are called too often");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !kind && !l->operation; i++)
        if (strcmp(kinds[i].name, l->kind) == 0) kind = &kinds[i];
    L->depth++;
    const char *outer = L->b.layer;
    L->b.layer = l->name;
    if (keras_is_model(l->kind)) {
        keras_apply_model(L, l, in, out);
    } else if (kind && !x) {
        keras_fail(L, l, RNND_CORRUPT, "it is called without an input");
    } else if (kind) {
        for (size_t i = 0; i < KERAS_MAX_OUTPUTS; i++)
            out->t[i].mask = -1;
        out->count = 1;
        kind->lower(L, l, in, out);
        if (kind->mask != OWN) out->t[0].mask = kind->mask == PASSES ? x->mask : -1;
        if (kind->steps != OWN) out->t[0].steps = kind->steps == PASSES && x->steps;
    } else {
        keras_lower_operation(L, l, in, out);
        if (!L->b.code && out->count == 0) unknown(L, l);
    }
    L->b.layer = outer;
    L->depth--;
}

struct keras_tensor keras_apply_one(struct lowering *L, const struct keras_layer *l, const struct keras_tensor *x)
{
    struct keras_argument arg = {.is_tensor = true, .tensor = *x};
    struct keras_outputs out;
    keras_apply(L, l, &(struct keras_call){&arg, 1}, &out);
    if (!L->b.code && out.count != 1)
        keras_fail(L, l, RNND_UNSUPPORTED, "one output is wanted here, it has %zu", out.count);
    return out.t[0];
}

bool keras_inner(struct lowering *L, const struct keras_layer *l, const struct json *j, struct keras_layer *out)
{
    const char *kind = json_string(json_get(j, "class_name"));
    const struct json *config = json_get(j, "config");
    if (!kind || !json_is_object(config)) {
        keras_fail(L, l, RNND_CORRUPT, "wanted a layer with class_name and config inside it, found %s",
                   json_type_name(j));
        return false;
    }
    const char *name = json_string(json_get(config, "name"));
    *out = (struct keras_layer){.kind = keras_class(kind), .name = l->name, .config = config};
    if (name && strlen(name) < KERAS_MAX_NAME) out->name = name;
    return true;
}

/* ---- what a call has ---- */

static bool named(const struct keras_argument *a, const char *key)
{
    return a->key && key && strcmp(a->key, key) == 0;
}

const struct keras_tensor *keras_input(const struct keras_call *in, size_t i, const char *key)
{
    size_t at = 0;
    for (size_t k = 0; k < in->count; k++)
        if (named(&in->args[k], key) && in->args[k].is_tensor) return &in->args[k].tensor;
    for (size_t k = 0; k < in->count; k++)
        if (!in->args[k].key && at++ == i) return in->args[k].is_tensor ? &in->args[k].tensor : NULL;
    return NULL;
}

size_t keras_input_count(const struct keras_call *in)
{
    size_t n = 0;
    for (size_t k = 0; k < in->count; k++)
        n += !in->args[k].key && in->args[k].is_tensor;
    return n;
}

const struct json *keras_literal(const struct keras_call *in, size_t i, const char *key)
{
    size_t at = 0;
    for (size_t k = 0; k < in->count; k++)
        if (named(&in->args[k], key)) return in->args[k].is_tensor ? NULL : in->args[k].literal;
    for (size_t k = 0; k < in->count; k++)
        if (!in->args[k].key && at++ == i) return in->args[k].is_tensor ? NULL : in->args[k].literal;
    return NULL;
}

/* ---- configuration values ---- */

static const struct json *value_of(const struct keras_layer *l, const char *key)
{
    const struct json *j = json_get(l->config, key);
    return json_is_null(j) ? NULL : j;
}

int64_t keras_int(struct lowering *L, const struct keras_layer *l, const char *key, int64_t min, int64_t max,
                  int64_t absent)
{
    const struct json *j = value_of(l, key);
    int64_t v = absent;
    if (j && !json_whole(j, min, max, &v))
        keras_fail(L, l, RNND_CORRUPT, "\"%s\": wanted a whole number from %lld to %lld, found %s", key, (long long)min,
                   (long long)max, json_is_number(j) ? "another number" : json_type_name(j));
    if (!j && (absent < min || absent > max)) keras_fail(L, l, RNND_CORRUPT, "its configuration has no \"%s\"", key);
    return v;
}

double keras_float(struct lowering *L, const struct keras_layer *l, const char *key, double absent)
{
    const struct json *j = value_of(l, key);
    if (!j) return absent;
    if (json_is_object(j)) j = json_get(json_get(j, "config"), "value"); /* a Keras 2 numpy scalar */
    if (!json_is_number(j)) keras_fail(L, l, RNND_CORRUPT, "\"%s\": wanted a number, found %s", key, json_type_name(j));
    return json_number(j);
}

bool keras_flag(struct lowering *L, const struct keras_layer *l, const char *key, bool absent)
{
    const struct json *j = value_of(l, key);
    if (j && !json_is_bool(j))
        keras_fail(L, l, RNND_CORRUPT, "\"%s\": wanted true or false, found %s", key, json_type_name(j));
    return j ? json_true(j) : absent;
}

const char *keras_text(struct lowering *L, const struct keras_layer *l, const char *key, const char *absent)
{
    const struct json *j = value_of(l, key);
    if (j && !json_is_string(j))
        keras_fail(L, l, RNND_CORRUPT, "\"%s\": wanted a text, found %s", key, json_type_name(j));
    return j && json_is_string(j) ? json_string(j) : absent;
}

bool keras_list(const struct json *j, size_t max_count, int64_t *out, size_t *count)
{
    *count = 0;
    if (json_is_object(j)) j = json_get(j, "items") ? json_get(j, "items") : json_get(j, "config");
    if (!json_is_array(j) || json_count(j) > max_count) return false;
    for (const struct json *e = json_first(j); e; e = json_next(e)) {
        out[*count] = -1;
        if (!json_is_null(e) && !json_whole(e, INT32_MIN, INT32_MAX, &out[*count])) return false;
        ++*count;
    }
    return true;
}

void keras_ints(struct lowering *L, const struct keras_layer *l, const char *key, int64_t min, int64_t max,
                size_t count, int64_t absent, int64_t *out)
{
    const struct json *j = value_of(l, key);
    int64_t list[MAX_RANK], all = absent;
    size_t n = 0;
    bool is_list = keras_list(j, MAX_RANK, list, &n) && (n == count || n == 1);
    if (j && !is_list && !json_whole(j, min, max, &all))
        keras_fail(L, l, RNND_CORRUPT, "\"%s\": wanted a whole number or %zu, found %s", key, count, json_type_name(j));
    for (size_t i = 0; i < count; i++) {
        out[i] = is_list ? list[n == 1 ? 0 : i] : all;
        if (out[i] < min || out[i] > max) {
            keras_fail(L, l, RNND_CORRUPT, "\"%s\": wanted whole numbers from %lld to %lld", key, (long long)min,
                       (long long)max);
            out[i] = min;
        }
    }
}

bool keras_channels_first(struct lowering *L, const struct keras_layer *l)
{
    return strcmp(keras_text(L, l, "data_format", "channels_last"), "channels_first") == 0;
}

int keras_axis(struct lowering *L, const struct keras_layer *l, int64_t axis, int rank)
{
    if (axis < 0) axis += rank;
    if (axis >= 0 && axis < rank) return (int)axis;
    keras_fail(L, l, RNND_CORRUPT, "its axis lies outside its input, which has %d dimensions", rank);
    return 0;
}
