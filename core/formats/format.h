/* format.h -- the file formats models are read from. Each turns bytes into named tensors and a configuration. */
#ifndef RNND_FORMAT_H
#define RNND_FORMAT_H

#include "core/formats/checkpoint.h"

struct format {
    const char *name;
    bool (*probe)(const uint8_t *data, size_t bytes);
    /* tensors may borrow `data` */
    rnnd_code (*read)(const uint8_t *data, size_t bytes, struct checkpoint *out, rnnd_error *err);
};

/* Reads with the first format that knows the bytes; UNSUPPORTED says what was found instead. */
rnnd_code format_read(const uint8_t *data, size_t bytes, struct checkpoint *out, rnnd_error *err);

#endif
