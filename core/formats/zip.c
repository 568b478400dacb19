/* zip.c -- zip archives by their central directory.
 *
 *   entries: local head (30 bytes, name, extra), data, perhaps a data descriptor; in any order, with gaps
 *   central directory: one record of 46 bytes + name + extra + comment per entry
 *   [zip64 end record (56) and its locator (20)], end record (22 bytes + comment)
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/formats/inflate.h"
#include "core/formats/zip.h"

#define LOCAL 0x04034b50u
#define CENTRAL 0x02014b50u
#define END 0x06054b50u
#define END64 0x06064b50u
#define LOCATOR64 0x07064b50u
#define END_BYTES 22
#define LOCATOR_BYTES 20
#define ENCRYPTED 0x2041 /* flags: encrypted, strongly encrypted, heads masked */

struct directory { /* where it lies */
    uint64_t at, bytes, count;
};
struct span { /* what one entry occupies, local head included */
    size_t begin, end;
    const char *name;
};

static uint64_t number(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    while (bytes-- > 0)
        v = v << 8 | p[bytes];
    return v;
}

bool zip_probe(const uint8_t *data, size_t bytes)
{
    return bytes >= END_BYTES && (number(data, 4) == LOCAL || number(data, 4) == END);
}

/* The end record is the last place where its signature stands and its comment reaches just to the end of the file. */
static bool find_end(const uint8_t *data, size_t bytes, size_t *at)
{
    if (bytes < END_BYTES) return false;
    for (size_t back = 0; back <= 0xffff && back <= bytes - END_BYTES; back++) {
        const uint8_t *p = data + bytes - END_BYTES - back;
        if (number(p, 4) == END && number(p + 20, 2) == back) {
            *at = bytes - END_BYTES - back;
            return true;
        }
    }
    return false;
}

/* If there is a zip64 locator before the end record, the numbers stand in the record it points to. *end becomes where
 * the directory must have ended. */
static rnnd_code read_end64(const uint8_t *data, struct directory *d, size_t *end, rnnd_error *err)
{
    struct bytes file = bytes_of(data, *end), b;
    if (*end < LOCATOR_BYTES || number(data + *end - LOCATOR_BYTES, 4) != LOCATOR64) return RNND_OK;
    uint64_t at = number(data + *end - LOCATOR_BYTES + 8, 8);
    if (at > *end || !bytes_slice(&file, (size_t)at, 56, &b) || number(b.data, 4) != END64)
        return fail(err, RNND_CORRUPT, "zip archive: no zip64 end record at byte %llu", (unsigned long long)at);
    if (number(b.data + 16, 4) || number(b.data + 20, 4))
        return fail(err, RNND_UNSUPPORTED, "zip archive: it is split over several disks");
    d->count = number(b.data + 32, 8);
    d->bytes = number(b.data + 40, 8);
    d->at = number(b.data + 48, 8);
    *end = (size_t)at;
    return RNND_OK;
}

static rnnd_code find_directory(const uint8_t *data, size_t bytes, struct directory *d, rnnd_error *err)
{
    size_t end;
    if (!find_end(data, bytes, &end))
        return fail(err, RNND_CORRUPT, "zip archive: it has no end record; is the file cut short?");
    if (number(data + end + 4, 2) || number(data + end + 6, 2))
        return fail(err, RNND_UNSUPPORTED, "zip archive: it is split over several disks");
    d->count = number(data + end + 10, 2);
    d->bytes = number(data + end + 12, 4);
    d->at = number(data + end + 16, 4);
    rnnd_code code = read_end64(data, d, &end, err);
    if (code) return code;
    if (d->bytes > end || d->at > end - d->bytes)
        return fail(err, RNND_CORRUPT, "zip archive: its directory of %llu bytes at byte %llu lies outside the file",
                    (unsigned long long)d->bytes, (unsigned long long)d->at);
    if (d->count > ZIP_MAX_ENTRIES)
        return fail(err, RNND_TOO_LARGE, "zip archive: %llu entries, at most %zu are read",
                    (unsigned long long)d->count, ZIP_MAX_ENTRIES);
    if (d->count > d->bytes / 46)
        return fail(err, RNND_CORRUPT, "zip archive: %llu entries cannot stand in a directory of %llu bytes",
                    (unsigned long long)d->count, (unsigned long long)d->bytes);
    return RNND_OK;
}

/* Numbers that did not fit into 32 bits stand in the extra field 1, in this order, only those that did not. */
static bool read_extra64(const uint8_t *extra, size_t n, uint64_t *const values[3])
{
    struct bytes b = bytes_of(extra, n), part;
    uint16_t id, size;
    if (*values[0] != UINT32_MAX && *values[1] != UINT32_MAX && *values[2] != UINT32_MAX) return true;
    while (bytes_u16(&b, &id) && bytes_u16(&b, &size)) {
        if (!bytes_slice(&b, b.at, size, &part)) return false;
        if (id == 1) {
            for (int i = 0; i < 3; i++)
                if (*values[i] == UINT32_MAX && !bytes_u64(&part, values[i])) return false;
            return true;
        }
        bytes_seek(&b, b.at + size);
    }
    return true; /* no such field: the numbers are meant as they stand, and are checked like all others */
}

/* Where the data begin: behind the local head, which must be one and of the same name. */
static rnnd_code read_local(const uint8_t *data, uint64_t limit, uint64_t at, size_t name_bytes, struct zip_entry *e,
                            struct span *s, rnnd_error *err)
{
    struct bytes before = bytes_of(data, (size_t)limit), b;
    const uint8_t *h, *raw;
    if (at > limit || !bytes_slice(&before, (size_t)at, (size_t)(limit - at), &b) || !bytes_take(&b, 30, &h) ||
        number(h, 4) != LOCAL)
        return fail_at(err, RNND_CORRUPT, e->name, "zip archive: nothing of \"%.80s\" at byte %llu, where it should be",
                       e->name, (unsigned long long)at);
    if (number(h + 26, 2) != name_bytes || name_bytes > bytes_left(&b) || memcmp(h + 30, e->name, name_bytes) != 0)
        return fail_at(err, RNND_CORRUPT, e->name,
                       "zip archive: \"%.80s\" has another name at its data than in the directory", e->name);
    if (!bytes_take(&b, name_bytes, &raw) || !bytes_take(&b, (size_t)number(h + 28, 2), &raw) ||
        !bytes_take(&b, e->raw_bytes, &raw))
        return fail_at(err, RNND_CORRUPT, e->name,
                       "zip archive: \"%.80s\" of %zu bytes reaches into the directory or beyond the file", e->name,
                       e->raw_bytes);
    e->raw = raw;
    *s = (struct span){(size_t)at, (size_t)at + b.at, e->name};
    return RNND_OK;
}

static rnnd_code read_entry(const uint8_t *data, uint64_t limit, struct bytes *b, struct arena *arena,
                            struct zip_entry *e, struct span *s, rnnd_error *err)
{
    const uint8_t *h, *name, *extra, *comment;
    if (!bytes_take(b, 46, &h) || number(h, 4) != CENTRAL || !bytes_take(b, (size_t)number(h + 28, 2), &name) ||
        !bytes_take(b, (size_t)number(h + 30, 2), &extra) || !bytes_take(b, (size_t)number(h + 32, 2), &comment))
        return fail(err, RNND_CORRUPT, "zip archive: its directory is damaged or cut short");
    size_t name_bytes = (size_t)number(h + 28, 2);
    uint64_t bytes = number(h + 24, 4), raw_bytes = number(h + 20, 4), at = number(h + 42, 4);
    e->name = arena_string(arena, (const char *)name, name_bytes);
    if (!e->name) return fail_memory(err, name_bytes);
    if (memchr(name, 0, name_bytes))
        return fail_at(err, RNND_CORRUPT, e->name, "zip archive: a name has a zero byte in it, \"%.80s\"", e->name);
    if (number(h + 8, 2) & ENCRYPTED)
        return fail_at(err, RNND_UNSUPPORTED, e->name, "zip archive: \"%.80s\" is encrypted", e->name);
    if (!read_extra64(extra, (size_t)number(h + 30, 2), (uint64_t *const[3]){&bytes, &raw_bytes, &at}))
        return fail_at(err, RNND_CORRUPT, e->name, "zip archive: \"%.80s\" has a damaged extra field", e->name);
    if (raw_bytes > limit || bytes > SIZE_MAX / 2)
        return fail_at(err, RNND_CORRUPT, e->name, "zip archive: \"%.80s\" is said to have %llu bytes", e->name,
                       (unsigned long long)(raw_bytes > limit ? raw_bytes : bytes));
    e->bytes = (size_t)bytes;
    e->raw_bytes = (size_t)raw_bytes;
    e->method = (int)number(h + 10, 2);
    e->crc = (uint32_t)number(h + 16, 4);
    return read_local(data, limit, at, name_bytes, e, s, err);
}

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct zip_entry *const *)a)->name, (*(const struct zip_entry *const *)b)->name);
}

static rnnd_code check_entries(struct zip *z, struct span *spans, rnnd_error *err)
{
    if (!z->count) return RNND_OK;
    qsort(spans, z->count, sizeof *spans, compare_spans);
    for (size_t i = 1; i < z->count; i++)
        if (spans[i].begin < spans[i - 1].end)
            return fail_at(err, RNND_CORRUPT, spans[i].name, "zip archive: \"%.80s\" and \"%.80s\" overlap",
                           spans[i - 1].name, spans[i].name);
    for (size_t i = 0; i < z->count; i++)
        z->by_name[i] = &z->entries[i];
    qsort(z->by_name, z->count, sizeof *z->by_name, compare_names);
    for (size_t i = 1; i < z->count; i++)
        if (strcmp(z->by_name[i - 1]->name, z->by_name[i]->name) == 0)
            return fail_at(err, RNND_CORRUPT, z->by_name[i]->name, "zip archive: \"%.80s\" stands in it twice",
                           z->by_name[i]->name);
    return RNND_OK;
}

rnnd_code zip_read(const uint8_t *data, size_t bytes, struct arena *arena, struct zip *out, rnnd_error *err)
{
    struct directory d = {0};
    memset(out, 0, sizeof *out);
    rnnd_code code = find_directory(data, bytes, &d, err);
    if (code) return code;
    size_t n = (size_t)d.count;
    struct bytes b = bytes_of(data + d.at, (size_t)d.bytes);
    struct span *spans = mem_alloc(n, sizeof *spans);
    out->entries = arena_alloc(arena, n, sizeof *out->entries);
    out->by_name = arena_alloc(arena, n, sizeof *out->by_name);
    if (!spans || !out->entries || !out->by_name) code = fail_memory(err, n * sizeof *out->entries);
    for (; !code && out->count < n; out->count++)
        code = read_entry(data, d.at, &b, arena, &out->entries[out->count], &spans[out->count], err);
    if (!code && bytes_left(&b))
        code = fail(err, RNND_CORRUPT, "zip archive: its directory has %zu bytes behind its %zu entries",
                    bytes_left(&b), n);
    if (!code) code = check_entries(out, spans, err);
    if (code) memset(out, 0, sizeof *out);
    mem_free(spans);
    return code;
}

static int compare_key(const void *key, const void *entry)
{
    return strcmp(key, (*(const struct zip_entry *const *)entry)->name);
}

const struct zip_entry *zip_find(const struct zip *z, const char *name)
{
    const struct zip_entry **found =
        z->count ? bsearch(name, z->by_name, z->count, sizeof *z->by_name, compare_key) : NULL;
    return found ? *found : NULL;
}

const struct zip_entry *zip_find_ending(const struct zip *z, const char *suffix)
{
    size_t want = strlen(suffix);
    for (size_t i = 0; i < z->count; i++) {
        size_t n = strlen(z->entries[i].name);
        if (n >= want && strcmp(z->entries[i].name + n - want, suffix) == 0) return &z->entries[i];
    }
    return NULL;
}

static rnnd_code inflate_entry(const struct zip_entry *e, uint8_t **owned, rnnd_error *err)
{
    size_t made = 0;
    uint8_t *p;
    if (e->bytes > inflate_bound(e->raw_bytes))
        return fail_at(err, RNND_CORRUPT, e->name, "zip archive: \"%.80s\" is said to have %zu bytes, deflated to %zu",
                       e->name, e->bytes, e->raw_bytes);
    if (!(p = mem_alloc(e->bytes, 1))) return fail_memory(err, e->bytes);
    rnnd_code code = inflate_bytes(e->raw, e->raw_bytes, INFLATE_RAW, p, e->bytes, &made, e->name, err);
    if (!code && made != e->bytes)
        code = fail_at(err, RNND_CORRUPT, e->name, "zip archive: \"%.80s\" has %zu bytes, the directory says %zu",
                       e->name, made, e->bytes);
    if (code)
        mem_free(p);
    else
        *owned = p;
    return code;
}

rnnd_code zip_bytes(const struct zip_entry *e, size_t limit, const uint8_t **out, uint8_t **owned, rnnd_error *err)
{
    *out = NULL;
    *owned = NULL;
    if (e->method != 0 && e->method != 8)
        return fail_at(err, RNND_UNSUPPORTED, e->name,
                       "zip archive: \"%.80s\" is packed by method %d; stored (0) and deflated (8) are read", e->name,
                       e->method);
    if (e->bytes > limit)
        return fail_at(err, RNND_TOO_LARGE, e->name, "zip archive: \"%.80s\" has %zu bytes, at most %zu are read",
                       e->name, e->bytes, limit);
    if (e->method == 0 && e->bytes != e->raw_bytes)
        return fail_at(err, RNND_CORRUPT, e->name, "zip archive: \"%.80s\" is stored, but of %zu and %zu bytes",
                       e->name, e->raw_bytes, e->bytes);
    rnnd_code code = e->method == 8 ? inflate_entry(e, owned, err) : RNND_OK;
    if (code) return code;
    *out = *owned ? *owned : e->raw;
    if (inflate_crc(*out, e->bytes) != e->crc) {
        mem_free(*owned);
        *owned = NULL;
        *out = NULL;
        return fail_at(err, RNND_CORRUPT, e->name, "zip archive: the checksum of \"%.80s\" does not match", e->name);
    }
    return RNND_OK;
}
