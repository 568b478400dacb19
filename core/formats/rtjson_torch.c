/* rtjson_torch.c -- PyTorch state dicts as JSON: of guitar amplifiers, which say what network they are of, and bare. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/rtjson.h"
#include "core/formats/stack.h"

/* Every entry of the object, each an array of numbers, as a tensor; numbers alone are left out (counters). */
static rnnd_code read_state(struct rtjson *r, const struct json *state, rnnd_error *err)
{
    for (const struct json *e = json_first(state); e; e = json_next(e)) {
        struct json_array numbers;
        if (json_is_number(e)) continue;
        if (!json_arrays_get(&r->doc, e, &numbers))
            return fail_at(err, RNND_CORRUPT, json_key(e),
                           "tensor \"%.80s\": wanted numbers in arrays of one shape, found %s", json_key(e),
                           json_is_array(e) ? "another array" : json_type_name(e));
        rnnd_code code = rtjson_tensor(r, json_key(e), NULL, &numbers, err);
        if (code) return code;
    }
    return RNND_OK;
}

/* ---- bare ---- */

bool torch_json_probe(const uint8_t *data, size_t bytes)
{
    static const char *const keys[] = {"rnn.weight_ih_l0", "gru.weight_ih_l0", "lstm.weight_ih_l0", "rec.weight_ih_l0",
                                       "weight_ih_l0"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (rtjson_has(data, bytes, keys[i])) return true;
    return false;
}

rnnd_code torch_json_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err)
{
    struct rtjson r;
    (void)path;
    rnnd_code code = rtjson_begin(&r, data, bytes, "the state dict", out, err);
    if (!code) code = read_state(&r, r.doc.root, err);
    return rtjson_end(&r, code, err);
}

/* ---- guitar amplifiers ---- */

bool guitar_probe(const uint8_t *data, size_t bytes)
{
    return rtjson_has(data, bytes, "model_data") && rtjson_has(data, bytes, "state_dict");
}

struct guitar {
    int64_t inputs, outputs, hidden, layers, skip;
    const char *cell;
    bool bias;
};

static rnnd_code read_size(const struct json *data, const char *key, int64_t min, int64_t max, int64_t *out,
                           rnnd_error *err)
{
    if (json_whole(json_get(data, key), min, max, out)) return RNND_OK;
    return fail_at(err, RNND_CORRUPT, key, "model_data: wanted \"%s\" from %lld to %lld, found %s", key, (long long)min,
                   (long long)max, json_is_number(json_get(data, key)) ? "another number" : "none");
}

static rnnd_code read_data(const struct json *data, struct guitar *g, rnnd_error *err)
{
    static const char *const units[] = {"LSTM", "GRU", "RNN"}, *const cells[] = {"lstm", "gru", "rnn"};
    const char *model = json_string(json_get(data, "model")), *unit = json_string(json_get(data, "unit_type"));
    const struct json *bias = json_get(data, "bias_fl");
    if (!model || strcmp(model, "SimpleRNN") != 0)
        return fail_at(err, RNND_UNSUPPORTED, "model", "model_data: wanted the model SimpleRNN, found %.60s",
                       model ? model : "none");
    for (size_t i = 0; unit && i < 3; i++)
        if (strcmp(unit, units[i]) == 0) g->cell = cells[i];
    if (!g->cell)
        return fail_at(err, RNND_UNSUPPORTED, "unit_type",
                       "model_data: wanted the unit_type LSTM, GRU or RNN, found %.60s", unit ? unit : "none");
    if (!json_is_bool(bias))
        return fail_at(err, RNND_CORRUPT, "bias_fl", "model_data: wanted \"bias_fl\" true or false");
    g->bias = json_true(bias);
    rnnd_code code = read_size(data, "input_size", 1, MAX_HIDDEN, &g->inputs, err);
    if (!code) code = read_size(data, "output_size", 1, MAX_HIDDEN, &g->outputs, err);
    if (!code) code = read_size(data, "hidden_size", 1, MAX_HIDDEN, &g->hidden, err);
    if (!code) code = read_size(data, "num_layers", 1, 64, &g->layers, err);
    if (!code) code = read_size(data, "skip", 0, MAX_HIDDEN, &g->skip, err);
    if (!code && g->skip && (g->skip != g->outputs || g->skip > g->inputs))
        code = fail_at(err, RNND_UNSUPPORTED, "skip",
                       "model_data: a skip of %lld of %lld inputs cannot be added to %lld outputs", (long long)g->skip,
                       (long long)g->inputs, (long long)g->outputs);
    return code;
}

static void write_config(struct rtjson *r, const struct guitar *g)
{
    rtjson_head(r, (size_t)g->inputs);
    rtjson_layer(r, g->cell, "rec");
    json_text_add(&r->config, ",\"hidden\":%lld,\"layers\":%lld}", (long long)g->hidden, (long long)g->layers);
    rtjson_layer(r, "dense", "lin");
    json_text_add(&r->config, ",\"units\":%lld,\"bias\":%s}", (long long)g->outputs, g->bias ? "true" : "false");
    if (!g->skip) return;
    rtjson_layer(r, "slice", "dry");
    json_text_add(&r->config, ",\"input\":\"input\",\"end\":%lld}", (long long)g->skip);
    rtjson_layer(r, "residual", "skip");
    json_text_add(&r->config, ",\"inputs\":[\"lin\",\"dry\"]}");
}

rnnd_code guitar_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err)
{
    struct rtjson r;
    struct guitar g = {0};
    (void)path;
    rnnd_code code = rtjson_begin(&r, data, bytes, "the amplifier", out, err);
    if (!code) code = read_data(json_get(r.doc.root, "model_data"), &g, err);
    if (!code) code = read_state(&r, json_get(r.doc.root, "state_dict"), err);
    if (!code) write_config(&r, &g);
    return rtjson_end(&r, code, err);
}
