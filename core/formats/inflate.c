/* inflate.c -- zlib, fed from memory in pieces that fit its counters, allocating through mem.c. */
#include <string.h>
#include <zlib.h>

#include "core/base/error.h"
#include "core/base/mem.h"
#include "core/formats/inflate.h"

#define PIECE ((size_t)1 << 30) /* zlib counts in unsigned int */

static void *take(void *unused, unsigned count, unsigned size)
{
    (void)unused;
    return mem_alloc(count, size);
}

static void give(void *unused, void *p)
{
    (void)unused;
    mem_free(p);
}

size_t inflate_bound(size_t bytes)
{
    size_t most;
    if (!size_mul(bytes, 1032, &most)) return SIZE_MAX; /* 258 bytes of a match in 2 bits */
    return most;
}

uint32_t inflate_crc(const uint8_t *data, size_t bytes)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), data, bytes);
}

static unsigned piece(size_t n)
{
    return (unsigned)(n < PIECE ? n : PIECE);
}

/* Runs to the end of the stream; Z_STREAM_END if there is one and nothing lies behind it. */
static int run(z_stream *z, size_t bytes, size_t room)
{
    int rc;
    do {
        if (!z->avail_in) {
            z->avail_in = piece(bytes);
            bytes -= z->avail_in;
        }
        if (!z->avail_out) {
            z->avail_out = piece(room);
            room -= z->avail_out;
        }
        rc = inflate(z, Z_NO_FLUSH);
    } while (rc == Z_OK); /* without progress it is Z_BUF_ERROR */
    return rc == Z_STREAM_END && (z->avail_in || bytes) ? Z_DATA_ERROR : rc;
}

rnnd_code inflate_bytes(const uint8_t *in, size_t bytes, enum inflate_form form, uint8_t *out, size_t room,
                        size_t *made, const char *what, rnnd_error *err)
{
    z_stream z = {.zalloc = take, .zfree = give};
    uint8_t spare; /* zlib wants a place to write to, even for nothing */
    if (inflateInit2(&z, form == INFLATE_RAW ? -MAX_WBITS : MAX_WBITS) != Z_OK) return fail_memory(err, 1 << 15);
    z.next_in = (Bytef *)(uintptr_t)in;
    z.next_out = room ? out : &spare;
    int rc = run(&z, bytes, room);
    *made = (size_t)z.total_out;
    inflateEnd(&z);
    if (rc == Z_MEM_ERROR) return fail_memory(err, 1 << 15);
    if (rc != Z_STREAM_END)
        return fail_at(err, RNND_CORRUPT, what,
                       "\"%.80s\": its %zu deflated bytes are damaged, or become more than %zu", what, bytes, room);
    return RNND_OK;
}
