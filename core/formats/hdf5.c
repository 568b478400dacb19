/* hdf5.c -- HDF5 files: the superblock, bounds, what callers ask for by path.
 *
 *   superblock 0, 1: signature (8), version, 3 bytes, bytes of an offset, of a length, 0, 2 x u16, flags u32,
 *     [version 1: u16, u16], base, free space, end of file, driver (offsets), then the root: name, header address
 *   superblock 2, 3: signature (8), version, bytes of an offset, of a length, flags, base, extension, end of file, root
 */
#include <string.h>

#include "core/formats/hdf5_internal.h"

#define WORK_LEAST ((uint64_t)1 << 20)
#define MEMORY_LEAST ((size_t)32 << 20)

static const char signature[] = "\x89HDF\r\n\x1a\n";

rnnd_code h5_damaged(const char *what, uint64_t address, rnnd_error *err)
{
    return fail(err, RNND_CORRUPT, "HDF5: %s at byte %llu is damaged or lies outside the file", what,
                (unsigned long long)address);
}

rnnd_code h5_work(struct h5 *f, uint64_t n, rnnd_error *err)
{
    if (n > f->work)
        return fail(err, RNND_CORRUPT,
                    "HDF5: reading it goes on and on: structures of its %zu bytes are met again and again",
                    f->file.size);
    f->work -= n;
    return RNND_OK;
}

void *h5_alloc(struct h5 *f, size_t count, size_t size, rnnd_error *err)
{
    size_t bytes, left = f->arena->limit - f->arena->used;
    void *p = NULL;
    if (left > f->budget) left = f->budget;
    if (!size_mul(count, size, &bytes) || !size_add(bytes, 16, &bytes) || bytes > left) {
        f->failed = fail(err, RNND_TOO_LARGE, "HDF5: %zu bytes more memory, for a file of %zu: more than it may have",
                         bytes, f->file.size);
        return NULL;
    }
    f->budget -= bytes;
    if (!(p = arena_alloc(f->arena, count, size))) f->failed = fail_memory(err, bytes);
    return p;
}

char *h5_text(struct h5 *f, const uint8_t *s, size_t bytes, rnnd_error *err)
{
    char *p = bytes < SIZE_MAX ? h5_alloc(f, bytes + 1, 1, err) : NULL;
    if (p && bytes) memcpy(p, s, bytes);
    return p;
}

rnnd_code h5_grow(struct h5 *f, void **list, size_t count, size_t *cap, size_t size, rnnd_error *err)
{
    if (count < *cap) return RNND_OK;
    size_t more = *cap ? *cap * 2 : 8;
    void *p = h5_alloc(f, more, size, err);
    if (!p) return f->failed;
    if (count) memcpy(p, *list, count * size);
    *list = p;
    *cap = more;
    return RNND_OK;
}

bool h5_at(const struct h5 *f, uint64_t address, uint64_t bytes, struct bytes *out)
{
    return address <= f->file.size && bytes <= f->file.size &&
           bytes_slice(&f->file, (size_t)address, (size_t)bytes, out);
}

bool h5_from(const struct h5 *f, uint64_t address, struct bytes *out)
{
    return address <= f->file.size && h5_at(f, address, f->file.size - address, out);
}

bool h5_signed(const struct h5 *f, uint64_t address, const char *letters, struct bytes *out)
{
    const uint8_t *p;
    return h5_from(f, address, out) && bytes_take(out, 4, &p) && memcmp(p, letters, 4) == 0;
}

bool h5_skip(struct bytes *b, size_t n)
{
    const uint8_t *p;
    return bytes_take(b, n, &p);
}

bool h5_uint(struct bytes *b, unsigned bytes, uint64_t *v)
{
    const uint8_t *p;
    if (!bytes_take(b, bytes, &p)) return false;
    *v = 0;
    while (bytes-- > 0)
        *v = *v << 8 | p[bytes];
    return true;
}

bool h5_offset(const struct h5 *f, struct bytes *b, uint64_t *v)
{
    if (!h5_uint(b, f->offset_bytes, v)) return false;
    if (f->offset_bytes < 8 && *v == ((uint64_t)1 << (8 * f->offset_bytes)) - 1) *v = H5_UNDEFINED;
    return true;
}

bool h5_length(const struct h5 *f, struct bytes *b, uint64_t *v)
{
    return h5_uint(b, f->length_bytes, v);
}

/* The superblock stands at the beginning, or behind a block of the user's of 512 bytes, 1024, 2048, ... */
static bool find_superblock(const uint8_t *data, size_t bytes, size_t *at)
{
    for (*at = 0; *at <= bytes && bytes - *at >= 8; *at = *at ? *at * 2 : 512)
        if (memcmp(data + *at, signature, 8) == 0) return true;
    return false;
}

static bool good_width(unsigned n)
{
    return n == 2 || n == 4 || n == 8;
}

static rnnd_code read_superblock(struct h5 *f, struct bytes b, uint64_t *end, rnnd_error *err)
{
    uint64_t base, skipped;
    uint8_t version, widths[2];
    bool good = h5_skip(&b, 8) && bytes_u8(&b, &version);
    if (good && version > 3)
        return fail(err, RNND_UNSUPPORTED, "HDF5: superblock version %d; 0 to 3 are read", version);
    good = good && (version >= 2 || h5_skip(&b, 4)) && bytes_u8(&b, &widths[0]) && bytes_u8(&b, &widths[1]) &&
           good_width(widths[0]) && good_width(widths[1]);
    if (!good) return h5_damaged("the superblock", 0, err);
    f->offset_bytes = widths[0];
    f->length_bytes = widths[1];
    good = h5_skip(&b, version == 0 ? 9 : version == 1 ? 13 : 1) && h5_offset(f, &b, &base) &&
           h5_offset(f, &b, &skipped) && h5_offset(f, &b, end);
    if (version < 2) good = good && h5_offset(f, &b, &skipped) && h5_offset(f, &b, &skipped);
    if (!good || !h5_offset(f, &b, &f->root)) return h5_damaged("the superblock", 0, err);
    return RNND_OK;
}

rnnd_code h5_open(const uint8_t *data, size_t bytes, struct arena *arena, struct h5 **out, rnnd_error *err)
{
    size_t at;
    uint64_t end = 0;
    *out = NULL;
    if (!find_superblock(data, bytes, &at))
        return fail(err, RNND_CORRUPT, "HDF5: wanted a file that begins with \\x89HDF, found one of %zu bytes without",
                    bytes);
    struct h5 *f = arena_alloc(arena, 1, sizeof *f);
    if (!f) return fail_memory(err, sizeof *f);
    f->arena = arena;
    f->file = bytes_of(data + at, bytes - at);
    f->work = WORK_LEAST + (uint64_t)f->file.size * 16;
    if (!size_mul(f->file.size, 2, &f->budget) || !size_add(f->budget, MEMORY_LEAST, &f->budget)) f->budget = SIZE_MAX;
    rnnd_code code = read_superblock(f, f->file, &end, err);
    if (code) return code;
    if (end != H5_UNDEFINED && end > bytes)
        return fail(err, RNND_CORRUPT, "HDF5: the file has %zu bytes, %llu were written; is it cut short?", bytes,
                    (unsigned long long)end);
    struct h5_object *root;
    code = h5_object_at(f, f->root, &root, err);
    if (!code) *out = f;
    return code;
}

static enum h5_kind kind_of(const struct h5_object *o)
{
    if (h5_find(o, H5_LAYOUT)) return H5_DATASET;
    bool group = h5_find(o, H5_SYMBOLS) || h5_find(o, H5_LINK_INFO) || h5_find(o, H5_LINK) || h5_find(o, H5_GROUP_INFO);
    return group ? H5_GROUP : H5_NONE;
}

rnnd_code h5_kind_of(struct h5 *f, const char *path, enum h5_kind *out, rnnd_error *err)
{
    struct h5_object *o;
    *out = H5_NONE;
    rnnd_code code = h5_resolve(f, path, &o, err);
    if (!code && o) *out = kind_of(o);
    return code;
}

rnnd_code h5_list(struct h5 *f, const char *path, const char *const **names, size_t *count, rnnd_error *err)
{
    struct h5_object *o;
    *names = NULL;
    *count = 0;
    rnnd_code code = h5_resolve(f, path, &o, err);
    if (code) return code;
    if (!o || kind_of(o) != H5_GROUP)
        return fail_at(err, RNND_MISMATCH, path, "HDF5: wanted a group \"%.80s\", found %s", path,
                       o ? "something else" : "nothing of the name");
    if ((code = h5_links(f, o, err))) return code;
    *names = (const char *const *)o->names;
    *count = o->link_count;
    return RNND_OK;
}
