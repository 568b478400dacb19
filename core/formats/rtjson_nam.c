/* rtjson_nam.c -- Neural Amp Modeler: an LSTM as one list of numbers.
 *
 *   for each layer   W [4H][I + H], the input's columns first; b [4H]; the initial h [H] and c [H]: gates i f g o
 *   the head         W [O][H], b [O] */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/rtjson.h"
#include "core/formats/stack.h"

#define NAM "amp"

struct nam {
    size_t inputs, hidden, layers, outputs;
    const float *at;       /* the next of the weights */
    float *made, *made_at; /* what is not in the file in the order that it is wanted in */
};

bool nam_probe(const uint8_t *data, size_t bytes)
{
    return rtjson_has(data, bytes, "architecture") && rtjson_has(data, bytes, "weights") &&
           rtjson_has(data, bytes, "config");
}

static rnnd_code read_size(const struct json *config, const char *key, size_t max, size_t *out, rnnd_error *err)
{
    int64_t v;
    if (!json_whole(json_get(config, key), 1, (int64_t)max, &v))
        return fail_at(err, RNND_CORRUPT, key, "config: wanted \"%s\" from 1 to %zu", key, max);
    *out = (size_t)v;
    return RNND_OK;
}

static rnnd_code read_sizes(const struct rtjson *r, struct nam *n, struct json_array *weights, rnnd_error *err)
{
    const struct json *config = json_get(r->doc.root, "config");
    const char *architecture = json_string(json_get(r->doc.root, "architecture"));
    if (!architecture || strcmp(architecture, "LSTM") != 0)
        return fail_at(err, RNND_UNSUPPORTED, "architecture", "wanted a NAM file of the architecture LSTM, found %.60s",
                       architecture ? architecture : "none");
    rnnd_code code = read_size(config, "input_size", MAX_HIDDEN, &n->inputs, err);
    if (!code) code = read_size(config, "hidden_size", MAX_HIDDEN, &n->hidden, err);
    if (!code) code = read_size(config, "num_layers", 64, &n->layers, err);
    if (code) return code;
    if (!json_arrays_get(&r->doc, json_get(r->doc.root, "weights"), weights) || weights->rank != 1)
        return fail_at(err, RNND_CORRUPT, "weights", "wanted \"weights\" to be a list of numbers");
    size_t H = n->hidden, wanted = 0, cells; /* at most 65536 * 131072 * 4 * 64: no overflow */
    for (size_t i = 0; i < n->layers; i++)
        wanted += 4 * H * ((i ? H : n->inputs) + H) + 6 * H;
    cells = wanted;
    n->outputs = weights->count > cells ? (weights->count - cells) / (H + 1) : 0;
    if (n->outputs == 0 || weights->count != cells + n->outputs * (H + 1))
        return fail_at(err, RNND_CORRUPT, "weights", "wanted %zu weights and %zu for each output, found %zu", cells,
                       H + 1, weights->count);
    n->at = r->doc.floats + weights->at;
    return RNND_OK;
}

/* The next numbers, as a tensor: of the file, or of n->made. */
static rnnd_code add(struct rtjson *r, const char *name, int rank, size_t d0, size_t d1, const float *from,
                     rnnd_error *err)
{
    struct checkpoint_tensor t = {.name = name, .stored = STORED_F32, .rank = rank, .dim = {d0, d1}};
    t.count = rank == 2 ? d0 * d1 : d0;
    t.raw = (const uint8_t *)from;
    return checkpoint_add(r->ck, &t, err);
}

static rnnd_code read_layer(struct rtjson *r, struct nam *n, size_t k, float *h, float *c, rnnd_error *err)
{
    char name[64];
    size_t H = n->hidden, I = k ? H : n->inputs;
    float *ih = n->made_at, *hh = ih + 4 * H * I;
    for (size_t row = 0; row < 4 * H; row++, n->at += I + H) {
        memcpy(ih + row * I, n->at, I * sizeof *ih);
        memcpy(hh + row * H, n->at + I, H * sizeof *hh);
    }
    n->made_at = hh + 4 * H * H;
    snprintf(name, sizeof name, NAM ".weight_ih_l%zu", k);
    rnnd_code code = add(r, name, 2, 4 * H, I, ih, err);
    snprintf(name, sizeof name, NAM ".weight_hh_l%zu", k);
    if (!code) code = add(r, name, 2, 4 * H, H, hh, err);
    snprintf(name, sizeof name, NAM ".bias_ih_l%zu", k);
    if (!code) code = add(r, name, 1, 4 * H, 0, n->at, err);
    snprintf(name, sizeof name, NAM ".bias_hh_l%zu", k); /* there is one bias: the other is zeros */
    if (!code) code = add(r, name, 1, 4 * H, 0, n->made_at, err);
    n->made_at += 4 * H;
    memcpy(h + k * H, n->at + 4 * H, H * sizeof *h);
    memcpy(c + k * H, n->at + 5 * H, H * sizeof *c);
    n->at += 6 * H;
    return code;
}

static rnnd_code read_weights(struct rtjson *r, struct nam *n, size_t count, rnnd_error *err)
{
    size_t H = n->hidden;
    /* all matrices, a zero bias for each layer, and the initial states: fewer than the file's numbers and as many zeros
     */
    n->made = n->made_at = mem_alloc(count + 4 * H * n->layers, sizeof *n->made);
    if (!n->made) return fail_memory(err, count * sizeof *n->made);
    r->ck->memory[1] = (uint8_t *)n->made;
    float *h = n->made_at, *c = h + H * n->layers;
    n->made_at = c + H * n->layers;
    rnnd_code code = RNND_OK;
    for (size_t k = 0; k < n->layers && !code; k++)
        code = read_layer(r, n, k, h, c, err);
    if (!code) code = add(r, NAM ".h0", 2, n->layers, H, h, err);
    if (!code) code = add(r, NAM ".c0", 2, n->layers, H, c, err);
    if (!code) code = add(r, "head.weight", 2, n->outputs, H, n->at, err);
    return code ? code : add(r, "head.bias", 1, n->outputs, 0, n->at + n->outputs * H, err);
}

rnnd_code nam_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err)
{
    struct rtjson r;
    struct nam n = {0};
    struct json_array weights;
    (void)path;
    rnnd_code code = rtjson_begin(&r, data, bytes, "the NAM file", out, err);
    if (!code) code = read_sizes(&r, &n, &weights, err);
    if (!code) code = read_weights(&r, &n, weights.count, err);
    if (!code) {
        rtjson_head(&r, n.inputs);
        rtjson_layer(&r, "lstm", NAM);
        json_text_add(&r.config,
                      ",\"hidden\":%zu,\"layers\":%zu,\"initial\":{\"h\":\"" NAM ".h0\",\"c\":\"" NAM ".c0\"}}",
                      n.hidden, n.layers);
        rtjson_layer(&r, "dense", "head");
        json_text_bytes(&r.config, "}", 1);
    }
    return rtjson_end(&r, code, err);
}
