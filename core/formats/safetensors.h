/* safetensors.h -- the safetensors file format: reader and writer.
 *
 *   bytes 0..7      N, u64 little-endian: length of the header
 *   bytes 8..8+N    JSON object: "name": {"dtype", "shape": [..], "data_offsets": [begin, end]}, and optionally
 *                   "__metadata__": {string: string}; may be padded with spaces
 *   the rest        the tensors' bytes, which the ranges cover without holes or overlap */
#ifndef RNND_SAFETENSORS_H
#define RNND_SAFETENSORS_H

#include "core/formats/checkpoint.h"

bool safetensors_probe(const uint8_t *data, size_t bytes);
/* Tensors borrow `data`. The configuration is __metadata__.rnnd. CORRUPT says what is wrong. */
rnnd_code safetensors_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out,
                           rnnd_error *err);

struct safetensors_item {
    const char *name;
    enum stored stored;
    int rank;
    size_t dim[MAX_RANK];
    const void *data; /* little-endian, of any alignment */
};
struct safetensors_meta {
    const char *key, *value;
};
/* The file as bytes (mem_free them): the tensors in the given order. TOO_LARGE: a header beyond what is read. */
rnnd_code safetensors_image(const struct safetensors_item *items, size_t count, const struct safetensors_meta *meta,
                            size_t meta_count, void **out, size_t *bytes, rnnd_error *err);
/* The same, written to `path` as a whole or not at all; takes no memory but for the header. */
rnnd_code safetensors_write(const char *path, const struct safetensors_item *items, size_t count,
                            const struct safetensors_meta *meta, size_t meta_count, rnnd_error *err);

#endif
