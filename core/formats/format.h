/* format.h -- the file formats models are read from.
 *
 * Each turns bytes into named tensors, and then there are three cases: the file has a configuration of ours inside
 * (checkpoint.config); or it carries an architecture of its own, which `lower` turns into a tensor graph; or it says
 * neither, and a configuration comes from beside it, or is proposed (formats/propose.h) and served once confirmed. */
#ifndef RNND_FORMAT_H
#define RNND_FORMAT_H

#include "core/formats/checkpoint.h"
#include "core/formats/json.h"
#include "core/formats/stack.h"

struct format {
    const char *name; /* "safetensors", "keras-h5", "keras", "torch", "onnx", "rtneural", ... */
    bool (*probe)(const uint8_t *data, size_t bytes);
    /* tensors may borrow `data`. `path` is the file's, or NULL: for files that name others beside them */
    rnnd_code (*read)(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);
    /* optional: out->own as a tensor graph, inputs, outputs and ports included, not yet compiled; fills what it knows
     * of `net`. `config` is the configuration given, or NULL. */
    rnnd_code (*lower)(struct checkpoint *ck, const struct json *config, struct graph *g, struct arena *arena,
                       struct network *net, rnnd_error *err);
};

/* Reads with the first format that knows the bytes; UNSUPPORTED says what was found instead. */
rnnd_code format_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);

#endif
