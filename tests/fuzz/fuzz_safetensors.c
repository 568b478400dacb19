/* fuzz_safetensors.c -- any bytes as a safetensors file: every tensor as float32.
 *
 * seeds: *.safetensors
 * options: -max_len=16384 -malloc_limit_mb=64
 */
#include <stdlib.h>

#include "core/formats/checkpoint.h"
#include "core/formats/safetensors.h"
#include "tests/fuzz/bound.h"

void fuzz_one(const uint8_t *data, size_t bytes)
{
    struct checkpoint ck;
    rnnd_error err = {0};
    checkpoint_init(&ck);
    if (safetensors_probe(data, bytes) && safetensors_read(data, bytes, NULL, &ck, &err) == RNND_OK)
        for (size_t i = 0; i < ck.count; i++) {
            const float *p;
            if (checkpoint_find(&ck, ck.tensors[i].name) != &ck.tensors[i]) abort();
            if (checkpoint_floats(&ck.tensors[i], &p, &err)) abort();
        }
    checkpoint_free(&ck);
}
