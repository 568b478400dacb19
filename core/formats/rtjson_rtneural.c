/* rtjson_rtneural.c -- RTNeural's own JSON: a list of Keras layers.
 *
 *   dense, time-distributed-dense   [[in][out], [out]], the bias may be absent
 *   gru                             [[in][3H], [H][3H], [2][3H]]: gates z r h, reset after
 *   lstm                            [[in][4H], [H][4H], [4H]]: gates i f c o
 *   conv1d                          [[kernel][in][out], [out]], causal; "kernel_size", "dilation"
 *   prelu                           [[width]], or one number for all
 *   batchnorm                       gamma, beta, mean, variance (or the last two alone), [width] each; "epsilon"
 *   activation                      [] */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/rtjson.h"
#include "core/formats/stack.h"

struct rt_layer { /* one layer of the list */
    const struct json *json, *weights;
    size_t count; /* of weights */
    const char *type, *activation;
    char name[64];
    size_t in, out;
};

bool rtneural_probe(const uint8_t *data, size_t bytes)
{
    return rtjson_has(data, bytes, "in_shape") && rtjson_has(data, bytes, "layers");
}

static rnnd_code weight(struct rtjson *r, const struct rt_layer *l, size_t i, const char *role, int rank,
                        const size_t *dim, rnnd_error *err)
{
    struct json_array found;
    bool there = json_arrays_item(&r->doc, l->weights, i, &found);
    return rtjson_weight(r, l->name, role, there ? &found : NULL, rank, dim, err);
}

static rnnd_code wrong_count(const struct rt_layer *l, const char *wanted, rnnd_error *err)
{
    return fail_at(err, RNND_CORRUPT, "weights", "layer %s: wanted %s weights, found %zu", l->name, wanted, l->count);
}

/* The function behind a layer: as its key "activation", or as a layer of its own. */
static rnnd_code end_layer(struct rtjson *r, const struct rt_layer *l, rnnd_error *err)
{
    static const char *const known[] = {"", "linear", "tanh", "relu", "sigmoid", "elu", "softmax"};
    char name[80];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(l->activation, known[i]) != 0) continue;
        bool softmax = strcmp(known[i], "softmax") == 0;
        json_text_add(&r->config, ",\"activation\":\"%s\"}", softmax || i == 0 ? "linear" : known[i]);
        if (!softmax) return RNND_OK;
        snprintf(name, sizeof name, "%s_softmax", l->name);
        rtjson_layer(r, "softmax", name);
        json_text_bytes(&r->config, "}", 1);
        return RNND_OK;
    }
    return fail_at(err, RNND_UNSUPPORTED, "activation", "layer %s: there is no activation \"%.60s\" in RTNeural",
                   l->name, l->activation);
}

static rnnd_code read_dense(struct rtjson *r, const struct rt_layer *l, rnnd_error *err)
{
    if (l->count < 1 || l->count > 2) return wrong_count(l, "1 or 2", err);
    rnnd_code code = weight(r, l, 0, "kernel", 2, (const size_t[]){l->in, l->out}, err);
    if (!code && l->count == 2) code = weight(r, l, 1, "bias", 1, &l->out, err);
    rtjson_layer(r, "dense", l->name);
    json_text_add(&r->config, ",\"layout\":\"keras\",\"bias\":%s", l->count == 2 ? "true" : "false");
    return code ? code : end_layer(r, l, err);
}

static rnnd_code read_cell(struct rtjson *r, const struct rt_layer *l, rnnd_error *err)
{
    bool gru = strcmp(l->type, "gru") == 0;
    size_t columns = (gru ? 3 : 4) * l->out;
    if (*l->activation && strcmp(l->activation, "tanh") != 0)
        return fail_at(err, RNND_UNSUPPORTED, "activation", "layer %s: RTNeural's %s has tanh only, found \"%.60s\"",
                       l->name, l->type, l->activation);
    if (l->count != 3) return wrong_count(l, "3", err);
    rnnd_code code = weight(r, l, 0, "kernel", 2, (const size_t[]){l->in, columns}, err);
    if (!code) code = weight(r, l, 1, "recurrent_kernel", 2, (const size_t[]){l->out, columns}, err);
    if (!code)
        code = gru ? weight(r, l, 2, "bias", 2, (const size_t[]){2, columns}, err)
                   : weight(r, l, 2, "bias", 1, &columns, err);
    rtjson_layer(r, l->type, l->name);
    json_text_add(&r->config, ",\"layout\":\"keras\",\"hidden\":%zu}", l->out);
    return code;
}

static rnnd_code read_conv(struct rtjson *r, const struct rt_layer *l, rnnd_error *err)
{
    int64_t kernel, dilation = 1, groups = 1;
    const struct json *size = json_get(l->json, "kernel_size"), *step = json_get(l->json, "dilation");
    const struct json *parts = json_get(l->json, "groups");
    if (!json_arrays_last(&r->doc, size, 1, 4096, &kernel) && !json_whole(size, 1, 4096, &kernel))
        return fail_at(err, RNND_CORRUPT, "kernel_size", "layer %s: wanted a \"kernel_size\" from 1 to 4096", l->name);
    if (step && !json_arrays_last(&r->doc, step, 1, 65536, &dilation) && !json_whole(step, 1, 65536, &dilation))
        return fail_at(err, RNND_CORRUPT, "dilation", "layer %s: wanted a \"dilation\" from 1 to 65536", l->name);
    if (parts && (!json_whole(parts, 1, 1 << 20, &groups) || groups != 1))
        return fail_at(err, RNND_UNSUPPORTED, "groups", "layer %s: convolutions in groups are not supported", l->name);
    if (l->count < 1 || l->count > 2) return wrong_count(l, "1 or 2", err);
    rnnd_code code = weight(r, l, 0, "kernel", 3, (const size_t[]){(size_t)kernel, l->in, l->out}, err);
    if (!code && l->count == 2) code = weight(r, l, 1, "bias", 1, &l->out, err);
    rtjson_layer(r, "conv1d", l->name);
    json_text_add(&r->config, ",\"layout\":\"keras\",\"kernel\":%lld,\"dilation\":%lld,\"bias\":%s", (long long)kernel,
                  (long long)dilation, l->count == 2 ? "true" : "false");
    return code ? code : end_layer(r, l, err);
}

static rnnd_code read_prelu(struct rtjson *r, const struct rt_layer *l, rnnd_error *err)
{
    struct json_array alpha;
    if (l->count != 1) return wrong_count(l, "1", err);
    if (!json_arrays_get(&r->doc, l->weights, &alpha) && !json_arrays_item(&r->doc, l->weights, 0, &alpha))
        return fail_at(err, RNND_CORRUPT, "weights", "layer %s: wanted numbers for weights", l->name);
    if (alpha.count != 1 && alpha.count != l->in)
        return fail_at(err, RNND_CORRUPT, "weights", "layer %s: wanted 1 or %zu numbers, found %zu", l->name, l->in,
                       alpha.count);
    alpha.rank = 1; /* Keras has a leading [1] where the steps share them */
    alpha.dim[0] = alpha.count;
    rtjson_layer(r, "prelu", l->name);
    json_text_bytes(&r->config, "}", 1);
    return rtjson_tensor(r, l->name, "weight", &alpha, err);
}

static rnnd_code read_batchnorm(struct rtjson *r, const struct rt_layer *l, rnnd_error *err)
{
    static const char *const roles[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    const struct json *epsilon = json_get(l->json, "epsilon");
    if (!json_is_number(epsilon) || !(json_number(epsilon) >= 0 && json_number(epsilon) < 1e30))
        return fail_at(err, RNND_CORRUPT, "epsilon", "layer %s: wanted an \"epsilon\" of at least 0", l->name);
    if (l->count != 2 && l->count != 4) return wrong_count(l, "2 or 4", err);
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < l->count && !code; i++)
        code = weight(r, l, i, roles[i + 4 - l->count], 1, &l->in, err);
    rtjson_layer(r, "batch_norm", l->name);
    json_text_add(&r->config, ",\"layout\":\"keras\",\"affine\":%s,\"epsilon\":%.17g}",
                  l->count == 4 ? "true" : "false", json_number(epsilon));
    return code;
}

static rnnd_code read_activation(struct rtjson *r, const struct rt_layer *l, rnnd_error *err)
{
    if (strcmp(l->activation, "softmax") == 0) {
        rtjson_layer(r, "softmax", l->name);
        json_text_bytes(&r->config, "}", 1);
        return RNND_OK;
    }
    rtjson_layer(r, "activation", l->name);
    return end_layer(r, l, err);
}

static const struct {
    const char *type;
    bool keeps_width;
    rnnd_code (*read)(struct rtjson *r, const struct rt_layer *l, rnnd_error *err);
} kinds[] = {
    {"dense", false, read_dense},        {"time-distributed-dense", false, read_dense},
    {"gru", false, read_cell},           {"lstm", false, read_cell},
    {"conv1d", false, read_conv},        {"prelu", true, read_prelu},
    {"batchnorm", true, read_batchnorm}, {"activation", true, read_activation},
};

static rnnd_code read_layer(struct rtjson *r, const struct json *j, size_t number, size_t *width, rnnd_error *err)
{
    struct rt_layer l = {.json = j, .weights = json_get(j, "weights"), .in = *width};
    const struct json *activation = json_get(j, "activation");
    int64_t out;
    l.type = json_string(json_get(j, "type"));
    l.activation = activation && !json_is_null(activation) ? json_string(activation) : "";
    if (!l.type || !l.activation)
        return fail(err, RNND_CORRUPT, "layer %zu: wanted an object with \"type\" and \"activation\"", number);
    l.count = json_arrays_count(&r->doc, l.weights);
    snprintf(l.name, sizeof l.name, "%.40s_%zu", l.type, number);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].type, l.type) != 0) continue;
        if (!json_arrays_last(&r->doc, json_get(j, "shape"), 1, MAX_HIDDEN, &out))
            return fail_at(err, RNND_CORRUPT, "shape", "layer %s: wanted a \"shape\" that ends in 1 to %d", l.name,
                           MAX_HIDDEN);
        *width = l.out = (size_t)out;
        if (kinds[i].keeps_width && l.in != l.out)
            return fail_at(err, RNND_CORRUPT, "shape",
                           "layer %s: wanted a shape that ends in %zu, as its input, found %zu", l.name, l.in, l.out);
        return kinds[i].read(r, &l, err);
    }
    return fail_at(err, RNND_UNSUPPORTED, "type",
                   "layer %zu: RTNeural's \"%.60s\" is not among the layers that are read", number, l.type);
}

static rnnd_code read_layers(struct rtjson *r, rnnd_error *err)
{
    const struct json *layers = json_get(r->doc.root, "layers"), *skip = json_get(r->doc.root, "in_skip");
    int64_t width, skipped = 0;
    size_t number = 0, in, out;
    if (!json_is_array(layers) || !json_first(layers) || json_count(layers) > MAX_LAYERS)
        return fail_at(err, RNND_CORRUPT, "layers", "wanted \"layers\" to be a list of 1 to %d layers", MAX_LAYERS);
    if (!json_arrays_last(&r->doc, json_get(r->doc.root, "in_shape"), 1, MAX_HIDDEN, &width))
        return fail_at(err, RNND_CORRUPT, "in_shape", "wanted an \"in_shape\" that ends in 1 to %d", MAX_HIDDEN);
    if (skip && !json_whole(skip, 0, 1, &skipped))
        return fail_at(err, RNND_UNSUPPORTED, "in_skip", "wanted an \"in_skip\" of 0 or 1");
    in = out = (size_t)width;
    rtjson_head(r, in);
    rnnd_code code = RNND_OK;
    for (const struct json *j = json_first(layers); j && !code; j = json_next(j))
        code = read_layer(r, j, ++number, &out, err);
    if (code || !skipped) return code;
    if (in != out)
        return fail_at(err, RNND_CORRUPT, "in_skip", "the input of %zu values cannot be added to an output of %zu", in,
                       out);
    char last[sizeof r->last];
    memcpy(last, r->last, sizeof last);
    rtjson_layer(r, "residual", "skip");
    json_text_add(&r->config, ",\"inputs\":[\"%s\",\"input\"]}", last);
    return RNND_OK;
}

rnnd_code rtneural_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err)
{
    struct rtjson r;
    (void)path;
    rnnd_code code = rtjson_begin(&r, data, bytes, "the RTNeural file", out, err);
    if (!code) code = read_layers(&r, err);
    return rtjson_end(&r, code, err);
}
