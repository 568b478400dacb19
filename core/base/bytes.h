/* bytes.h -- a bounded reader; every parser of foreign bytes goes through it. */
#ifndef RNND_BASE_BYTES_H
#define RNND_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes { /* a borrowed span and a place in it */
    const uint8_t *data;
    size_t size, at;
};

struct bytes bytes_of(const void *data, size_t size);
size_t bytes_left(const struct bytes *b);
/* Each takes from the current place and moves on; false, moving nothing, if there is too little. */
bool bytes_take(struct bytes *b, size_t n, const uint8_t **out);
bool bytes_u8(struct bytes *b, uint8_t *v);
bool bytes_u16(struct bytes *b, uint16_t *v); /* little-endian, as all below */
bool bytes_u32(struct bytes *b, uint32_t *v);
bool bytes_u64(struct bytes *b, uint64_t *v);
bool bytes_seek(struct bytes *b, size_t at);
/* A part of b, checked. */
bool bytes_slice(const struct bytes *b, size_t at, size_t n, struct bytes *out);

#endif
