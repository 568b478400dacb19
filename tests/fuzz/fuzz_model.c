/* fuzz_model.c -- any bytes as a model file of whatever format they are taken for: opened as a server opens it.
 *
 * seeds: *.safetensors *.onnx *.h5 *.hdf5 *.keras *.pt *.pth *.nam *.json
 * options: -max_len=65536
 */
#include <stdlib.h>

#include "core/rnnd.h"
#include "tests/fuzz/bound.h"

void fuzz_one(const uint8_t *data, size_t bytes)
{
    rnnd_options options = {.accept_guesses = true};
    rnnd_model *m;
    rnnd_error err = {.message = ""};
    rnnd_code code = rnnd_model_open_memory(data, bytes, "net", &options, &m, &err);
    if (code ? m != NULL || !err.message[0] : m == NULL) abort();
    if (!code) {
        const rnnd_info *info = rnnd_model_info(m);
        if (!info->name || !info->digest || !info->input_count || !info->output_count) abort();
        if (info->streamable == (info->not_streamable[0] != 0)) abort();
    }
    rnnd_model_close(m);
}
