/* fuzz_hdf5.c -- any bytes as an HDF5 file: every group, every dataset, the attributes that seeds have.
 *
 * seeds: *.h5 *.hdf5
 * options: -max_len=65536 -malloc_limit_mb=64
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/formats/hdf5.h"
#include "tests/fuzz/bound.h"

static const char *const attributes[] = {"model_config", "layer_names", "weight_names", "one",      "fixed", "empty",
                                         "names",        "more",        "number",       "long",     "none",  "huge",
                                         "attribute 3",  "backend",     "of a dataset", "not there"};

static volatile uint8_t seen; /* so that all bytes are read */

/* False once anything was refused: then the file is. As deep as the reader follows paths. */
static bool walk(struct h5 *f, const char *path, size_t length)
{
    char below[8192];
    const char *const *names;
    size_t count, n;
    enum h5_kind kind;
    rnnd_error err = {0};
    if (h5_kind_of(f, path, &kind, &err)) return false;
    if (kind == H5_NONE) return true;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        const char *one;
        if (h5_attr_strings(f, path, attributes[i], &names, &count, &err) == RNND_OK)
            for (size_t k = 0; k < count; k++)
                seen ^= (uint8_t)strlen(names[k]);
        if (h5_attr_string(f, path, attributes[i], &one, &n, &err) == RNND_OK && one && strlen(one) != n) abort();
    }
    if (kind == H5_DATASET) {
        struct checkpoint_tensor t;
        if (h5_dataset(f, path, &t, &err)) return true;
        for (size_t i = 0; i < t.count * stored_types[t.stored].bytes; i++)
            seen ^= t.raw[i];
        return true;
    }
    if (h5_list(f, path, &names, &count, &err)) return false;
    for (size_t i = 0; i < count; i++) {
        if (length + strlen(names[i]) + 2 > sizeof below) return true;
        int m = snprintf(below, sizeof below, "%s/%s", path, names[i]);
        if (!walk(f, below, (size_t)m)) return false;
    }
    return true;
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
    struct arena arena;
    struct h5 *f;
    rnnd_error err = {0};
    arena_init(&arena, (size_t)256 << 20);
    if (h5_open(data, bytes, &arena, &f, &err) == RNND_OK) walk(f, "", 0);
    if (arena.used > ((size_t)64 << 20) + 4 * bytes) abort();
    arena_free(&arena);
}
