/* rtjson.h -- models written as JSON: RTNeural, guitar amplifiers, NAM, PyTorch state dicts; ml5's manifests.
 *
 * All of them say, or leave no doubt about, what network they hold: `read` makes tensors and a configuration in our own
 * schema (checkpoint.config, config_made). What they hold that is none of ours is refused by its name. */
#ifndef RNND_RTJSON_H
#define RNND_RTJSON_H

#include "core/formats/checkpoint.h"
#include "core/formats/json_arrays.h"
#include "core/formats/json_text.h"

/* RTNeural's {"in_shape", "layers": [{"type", "activation", "shape", "weights"}]}: weights as in Keras, convolutions
 * causal. "in_skip" 1 (AIDA-X) adds the input to the output. */
bool rtneural_probe(const uint8_t *data, size_t bytes);
rnnd_code rtneural_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);
/* {"model_data", "state_dict"} of Automated-GuitarAmpModelling: a PyTorch LSTM, GRU or RNN and one linear layer;
 * "skip" adds the first inputs to the output. */
bool guitar_probe(const uint8_t *data, size_t bytes);
rnnd_code guitar_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);
/* Neural Amp Modeler: {"architecture": "LSTM", "config", "weights"}, initial h and c among the weights. */
bool nam_probe(const uint8_t *data, size_t bytes);
rnnd_code nam_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);
/* A PyTorch state dict as JSON, {"name.weight": [[..]]}: tensors, and no word about the network: no configuration. */
bool torch_json_probe(const uint8_t *data, size_t bytes);
rnnd_code torch_json_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);
/* ml5's charRNN: manifest.json {"name": {"filename", "shape"}} with a file of raw float32 each beside it. */
bool ml5_probe(const uint8_t *data, size_t bytes);
rnnd_code ml5_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);

/* ---- shared by them, inside rtjson*.c only ---- */

struct rtjson { /* one file being read */
    struct checkpoint *ck;
    struct json_arrays doc;
    struct json_text config; /* becomes checkpoint.config where it is not empty */
    size_t layers;           /* in it so far */
    char last[128];          /* the last one's name */
};

/* Whether the bytes are a JSON object with this key at its top. Looks no deeper into what may be no JSON at all. */
bool rtjson_has(const uint8_t *data, size_t bytes, const char *key);
rnnd_code rtjson_begin(struct rtjson *r, const uint8_t *data, size_t bytes, const char *what, struct checkpoint *ck,
                       rnnd_error *err);
/* Hands numbers and configuration to the checkpoint, or, where `code` says that reading failed, lets all go. */
rnnd_code rtjson_end(struct rtjson *r, rnnd_code code, rnnd_error *err);
/* Numbers as the tensor LAYER.ROLE (LAYER alone if role is NULL). */
rnnd_code rtjson_tensor(struct rtjson *r, const char *layer, const char *role, const struct json_array *numbers,
                        rnnd_error *err);
/* The same, the shape checked first: CORRUPT names layer, role, wanted, found. `found` NULL: it is missing. */
rnnd_code rtjson_weight(struct rtjson *r, const char *layer, const char *role, const struct json_array *found, int rank,
                        const size_t *dim, rnnd_error *err);
/* {"format":1,"inputs":[{"name":"input","width":W}],"layers":[ */
void rtjson_head(struct rtjson *r, size_t width);
/* `{"type":TYPE,"name":NAME` of one more layer; the caller goes on with keys and "}". */
void rtjson_layer(struct rtjson *r, const char *type, const char *name);

#endif
