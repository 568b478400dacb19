/* bytes.c -- the bounded reader: no read beyond the span, no arithmetic that can wrap. */
#include "core/base/bytes.h"

struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){data, size, 0};
}

size_t bytes_left(const struct bytes *b)
{
    return b->size - b->at; /* at <= size always */
}

bool bytes_take(struct bytes *b, size_t n, const uint8_t **out)
{
    if (n > bytes_left(b)) return false;
    *out = b->data ? b->data + b->at : NULL;
    b->at += n;
    return true;
}

/* n <= 8 bytes, little-endian, whatever the alignment and the processor. */
static bool take_number(struct bytes *b, size_t n, uint64_t *v)
{
    const uint8_t *p;

    if (!bytes_take(b, n, &p)) return false;
    *v = 0;
    for (size_t i = n; i > 0; i--) *v = *v << 8 | p[i - 1];
    return true;
}

bool bytes_u8(struct bytes *b, uint8_t *v)
{
    uint64_t wide;

    if (!take_number(b, sizeof *v, &wide)) return false;
    *v = (uint8_t)wide;
    return true;
}

bool bytes_u16(struct bytes *b, uint16_t *v)
{
    uint64_t wide;

    if (!take_number(b, sizeof *v, &wide)) return false;
    *v = (uint16_t)wide;
    return true;
}

bool bytes_u32(struct bytes *b, uint32_t *v)
{
    uint64_t wide;

    if (!take_number(b, sizeof *v, &wide)) return false;
    *v = (uint32_t)wide;
    return true;
}

bool bytes_u64(struct bytes *b, uint64_t *v)
{
    return take_number(b, sizeof *v, v);
}

bool bytes_seek(struct bytes *b, size_t at)
{
    if (at > b->size) return false;
    b->at = at;
    return true;
}

bool bytes_slice(const struct bytes *b, size_t at, size_t n, struct bytes *out)
{
    if (at > b->size || n > b->size - at) return false;
    *out = bytes_of(b->data ? b->data + at : NULL, n);
    return true;
}
