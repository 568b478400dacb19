/* fuzz_zip.c -- any bytes as a zip archive: every entry is asked for, by name and as bytes.
 *
 * seeds: *.zip *.keras *.pt *.pth *.npz
 * options: -max_len=65536 -malloc_limit_mb=96
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/formats/zip.h"
#include "tests/fuzz/bound.h"

static volatile uint8_t seen; /* so that all bytes are read */

void fuzz_one(const uint8_t *data, size_t bytes)
{
    struct arena arena;
    struct zip z;
    rnnd_error err = {0};
    arena_init(&arena, (size_t)64 << 20);
    if (zip_probe(data, bytes) && zip_read(data, bytes, &arena, &z, &err) == RNND_OK)
        for (size_t i = 0; i < z.count; i++) {
            const uint8_t *p;
            uint8_t *owned;
            if (zip_find(&z, z.entries[i].name) != &z.entries[i]) abort();
            if (!zip_find_ending(&z, z.entries[i].name)) abort();
            if (zip_bytes(&z.entries[i], (size_t)1 << 20, &p, &owned, &err)) continue;
            for (size_t k = 0; k < z.entries[i].bytes; k++)
                seen ^= p[k];
            mem_free(owned);
        }
    arena_free(&arena);
}
