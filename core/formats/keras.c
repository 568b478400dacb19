/* keras.c -- opens Keras files: .h5 with its attributes, .keras with its archive. */
#include "core/formats/keras.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/keras_document.h"
#include "core/formats/zip.h"

#define MAX_WEIGHTS ((size_t)8 << 30) /* a deflated model.weights.h5, unpacked */

static void release(void *own)
{
    struct keras_document *doc = own;
    json_free(doc->config);
    mem_free(doc);
}

static rnnd_code read_version(struct keras_document *doc, const char *text, struct arena *arena, rnnd_error *err)
{
    doc->version = arena_string(arena, text ? text : "", text ? strnlen(text, 32) : 0);
    if (!doc->version) return fail_memory(err, 32);
    for (const char *c = doc->version; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e) return doc->version = "", RNND_OK;
    if (doc->version[0] >= '0' && doc->version[0] <= '9') doc->major = doc->version[0] - '0';
    /* 2.0 to 2.3 without tf: Keras by itself */
    bool standalone = strncmp(doc->version, "2.", 2) == 0 && doc->version[2] >= '0' && doc->version[2] < '4' &&
                      !(doc->version[3] >= '0' && doc->version[3] <= '9') && !strstr(doc->version, "-tf");
    doc->zero_masked = *doc->version && !standalone;
    return RNND_OK;
}

static rnnd_code check_config(const struct json *config, rnnd_error *err)
{
    if (!json_is_object(config) || !json_string(json_get(config, "class_name")))
        return fail(err, RNND_CORRUPT, "the Keras architecture: wanted an object with a class_name, found %s",
                    json_type_name(config));
    return RNND_OK;
}

/* ---- .h5 ---- */

bool keras_h5_probe(const uint8_t *data, size_t bytes)
{
    return bytes >= 8 && memcmp(data, "\x89HDF\r\n\x1a\n", 8) == 0;
}

static rnnd_code read_h5(const uint8_t *data, size_t bytes, struct checkpoint *out, struct keras_document *doc,
                         rnnd_error *err)
{
    struct h5 *f;
    const char *text, *version;
    size_t n;
    enum h5_kind weights = H5_NONE;
    rnnd_code code = h5_open(data, bytes, &out->arena, &f, err);
    if (!code) code = h5_kind_of(f, "model_weights", &weights, err);
    const char *root = weights == H5_GROUP ? "model_weights" : "";
    if (!code) code = h5_attr_string(f, "", "model_config", &text, &n, err);
    if (!code && text) code = json_parse(text, n, "model_config", &doc->config, err);
    if (!code && doc->config) code = check_config(doc->config, err);
    if (!code) code = h5_attr_string(f, "", "keras_version", &version, &n, err);
    if (!code && !version) code = h5_attr_string(f, root, "keras_version", &version, &n, err);
    if (!code) code = read_version(doc, version, &out->arena, err);
    if (!code) code = keras_read_groups(f, root, out, doc, err);
    if (!code && doc->config && out->count == 0)
        code = fail(err, RNND_CORRUPT,
                    "the file has an architecture but no weights: it was saved before the model was "
                    "built or trained");
    return code;
}

static rnnd_code finish(struct checkpoint *out, struct keras_document *doc, rnnd_code code)
{
    if (!code && doc->config) {
        out->own = doc;
        out->release = release;
    } else {
        release(doc);
    }
    return code;
}

rnnd_code keras_h5_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err)
{
    (void)path;
    struct keras_document *doc = mem_alloc(1, sizeof *doc);
    if (!doc) return fail_memory(err, sizeof *doc);
    doc->by_name = true;
    doc->major = 2;
    return finish(out, doc, read_h5(data, bytes, out, doc, err));
}

/* ---- .keras ---- */

/* A zip archive is ours by two names in its directory, which stands at the end and is short. */
bool keras_zip_probe(const uint8_t *data, size_t bytes)
{
    size_t tail = bytes < 1 << 16 ? bytes : 1 << 16;
    return zip_probe(data, bytes) && memmem(data + bytes - tail, tail, "config.json", 11) &&
           memmem(data + bytes - tail, tail, "model.weights.", 14);
}

/* An entry's bytes; unpacked ones stay with the checkpoint. */
static rnnd_code entry(const struct zip *z, const char *name, size_t limit, struct checkpoint *out, int slot,
                       const uint8_t **data, size_t *bytes, rnnd_error *err)
{
    const struct zip_entry *e = zip_find(z, name);
    *data = NULL;
    *bytes = 0;
    if (!e) return fail_at(err, RNND_CORRUPT, name, "the Keras archive has no %s", name);
    *bytes = e->bytes;
    return zip_bytes(e, limit, data, &out->memory[slot], err);
}

static rnnd_code read_metadata(const struct zip *z, struct checkpoint *out, struct keras_document *doc, rnnd_error *err)
{
    const uint8_t *text = NULL;
    size_t n = 0;
    struct json *meta = NULL;
    doc->major = 3;
    if (!zip_find(z, "metadata.json")) return read_version(doc, NULL, &out->arena, err);
    rnnd_code code = entry(z, "metadata.json", JSON_MAX_BYTES, out, 1, &text, &n, err);
    if (!code) code = json_parse((const char *)text, n, "metadata.json", &meta, err);
    if (!code) code = read_version(doc, json_string(json_get(meta, "keras_version")), &out->arena, err);
    json_free(meta);
    return code;
}

static rnnd_code read_zip(const uint8_t *data, size_t bytes, struct checkpoint *out, struct keras_document *doc,
                          rnnd_error *err)
{
    struct zip z;
    const uint8_t *text = NULL, *weights = NULL;
    size_t n = 0, weight_bytes = 0, limit;
    struct h5 *f;
    rnnd_code code = zip_read(data, bytes, &out->arena, &z, err);
    if (!code) code = read_metadata(&z, out, doc, err);
    if (!code) code = entry(&z, "config.json", JSON_MAX_BYTES, out, 2, &text, &n, err);
    if (!code) code = json_parse((const char *)text, n, "config.json", &doc->config, err);
    if (!code) code = check_config(doc->config, err);
    if (!code && !zip_find(&z, "model.weights.h5") && zip_find_ending(&z, ".npz"))
        return fail(err, RNND_UNSUPPORTED,
                    "the Keras archive keeps its weights as pickled .npz: load it in Keras and "
                    "save it again as .keras or .h5");
    /* at most four times what the file has, and 64 MB */
    if (!size_mul(bytes, 4, &limit) || !size_add(limit, (size_t)64 << 20, &limit) || limit > MAX_WEIGHTS)
        limit = MAX_WEIGHTS;
    if (!code) code = entry(&z, "model.weights.h5", limit, out, 0, &weights, &weight_bytes, err);
    if (!code) code = h5_open(weights, weight_bytes, &out->arena, &f, err);
    if (!code) code = keras_read_folders(f, out, doc, err);
    if (!code && out->count == 0)
        code = fail(err, RNND_CORRUPT,
                    "the file has an architecture but no weights: it was saved before the model was "
                    "built or trained");
    return code;
}

rnnd_code keras_zip_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err)
{
    (void)path;
    struct keras_document *doc = mem_alloc(1, sizeof *doc);
    if (!doc) return fail_memory(err, sizeof *doc);
    return finish(out, doc, read_zip(data, bytes, out, doc, err));
}
