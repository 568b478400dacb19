/* format.c -- the table of file formats, and what to say of files that are none of them. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/format.h"
#include "core/formats/keras.h"
#include "core/formats/onnx.h"
#include "core/formats/rtjson.h"
#include "core/formats/safetensors.h"
#include "core/formats/torch.h"

static const struct format formats[] = {
    {"safetensors", safetensors_probe, safetensors_read, NULL},
    {"keras-h5", keras_h5_probe, keras_h5_read, keras_lower},
    {"keras", keras_zip_probe, keras_zip_read, keras_lower},
    {"torch", torch_probe, torch_read, NULL},
    {"rtneural", rtneural_probe, rtneural_read, NULL},
    {"guitar-json", guitar_probe, guitar_read, NULL},
    {"nam", nam_probe, nam_read, NULL},
    {"torch-json", torch_json_probe, torch_json_read, NULL},
    {"ml5", ml5_probe, ml5_read, NULL},
    {"onnx", onnx_probe, onnx_read, onnx_lower},
};

static const struct { /* files people try, by their first bytes, and the way from there */
    const char *magic;
    size_t bytes;
    const char *advice;
} strangers[] = {
    {"version https://git-lfs", 23, "a Git LFS pointer: fetch the file itself with `git lfs pull`"},
    {"PK\x03\x04", 4, "a zip file (.keras, .pt, .npz): save its weights as safetensors with a configuration; "
     "models/rnnd_export.py does so for a live PyTorch or Keras model"},
    {"\x1f\x8b", 2, "a gzip file: unpack it first"},
    {"{", 1, "a JSON file of no kind that is read (RTNeural, NAM, guitar amplifiers, ml5, state dicts)"},
};

rnnd_code format_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (!formats[i].probe(data, bytes)) continue;
        out->format = &formats[i];
        return formats[i].read(data, bytes, path, out, err);
    }
    if (bytes < 10) return fail(err, RNND_CORRUPT, "wanted a safetensors file, found %zu bytes", bytes);
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
        if (bytes >= strangers[i].bytes && memcmp(data, strangers[i].magic, strangers[i].bytes) == 0)
            return fail(err, RNND_UNSUPPORTED, "wanted a safetensors file, found %s", strangers[i].advice);
    return fail(err, RNND_CORRUPT, "wanted a safetensors file, found one that does not begin as such");
}
