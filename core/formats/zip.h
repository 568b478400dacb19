/* zip.h -- reads zip archives (.keras, .pt, .npz) by their central directory, trusting nothing in them. */
#ifndef RNND_ZIP_H
#define RNND_ZIP_H

#include "core/base/mem.h"
#include "core/rnnd.h"

#define ZIP_MAX_ENTRIES ((size_t)1 << 16)

struct zip_entry {
    const char *name;   /* in the arena */
    const uint8_t *raw; /* borrowed from the archive: raw_bytes as stored */
    size_t raw_bytes, bytes;
    int method; /* 0 stored, 8 deflated; others are listed too, and refused when their bytes are asked for */
    uint32_t crc;
};
struct zip {
    struct zip_entry *entries; /* in the arena, in the order of the directory */
    size_t count;
    const struct zip_entry **by_name; /* the same, in byte order of their names */
};

bool zip_probe(const uint8_t *data, size_t bytes);
/* zip64 understood; entries that overlap, lie outside the file, have one name twice, or are encrypted are refused.
 * Names may be any bytes but NUL: they are keys here, and nothing is ever written under them. */
rnnd_code zip_read(const uint8_t *data, size_t bytes, struct arena *arena, struct zip *out, rnnd_error *err);
const struct zip_entry *zip_find(const struct zip *z, const char *name); /* NULL: none */
const struct zip_entry *zip_find_ending(const struct zip *z, const char *suffix); /* the first whose name ends so */
/* Its bytes: borrowed from the archive where stored, inflated (zlib, at most `limit` bytes) into *owned else, which the
 * caller gives to mem_free(); *owned is NULL where nothing has to be freed. The CRC is checked. */
rnnd_code zip_bytes(const struct zip_entry *e, size_t limit, const uint8_t **out, uint8_t **owned, rnnd_error *err);

#endif
