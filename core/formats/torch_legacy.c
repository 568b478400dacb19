/* torch_legacy.c -- the form of torch before 1.6, and of _use_new_zipfile_serialization=False since. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/torch_parts.h"

/* PROTO 2, LONG1 of 10 bytes: 0x1950a86a20f9469cfc6c, STOP */
const uint8_t torch_legacy_magic[15] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                        0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

/* The elements of one storage lie behind a count of them. */
static rnnd_code read_storage(struct torch_reader *r, struct bytes *in, struct torch_storage *s)
{
    const struct torch_element *e = torch_element(s->type);
    uint64_t count;
    size_t bytes;
    if (!e)
        return fail(r->err, RNND_UNSUPPORTED, "the file has a %.60s, whose elements are not read; floats and whole "
                    "numbers are", s->type);
    if (!bytes_u64(in, &count)) return fail(r->err, RNND_CORRUPT, "the file ends where a storage's count should be");
    if (count < s->count || !size_mul((size_t)count, stored_types[e->stored].bytes, &bytes) ||
        !bytes_take(in, bytes, &s->raw))
        return fail(r->err, RNND_CORRUPT,
                    "a storage is said to have %llu elements: wanted at least %zu and no more than the file has bytes "
                    "for; is it cut short?", (unsigned long long)count, s->count);
    s->bytes = bytes;
    return RNND_OK;
}

static rnnd_code read_storages(struct torch_reader *r, struct bytes *in, const struct pickle_value *keys)
{
    rnnd_code code = RNND_OK;
    if (!pickle_is(keys, PICKLE_LIST))
        return fail(r->err, RNND_CORRUPT, "wanted a list of storage keys behind the object");
    for (size_t i = 0; i < keys->count && !code; i++) {
        struct torch_storage *s = torch_storage_find(r, keys->items[i]);
        if (!s) return fail(r->err, RNND_CORRUPT, "storage number %zu of the list is none of the object's", i + 1);
        if (s->raw) return fail(r->err, RNND_CORRUPT, "storage number %zu is listed twice", i + 1);
        code = read_storage(r, in, s);
    }
    return code;
}

rnnd_code torch_legacy(struct torch_reader *r)
{
    struct bytes in = bytes_of(r->data, r->bytes);
    struct pickle part, keys;
    int64_t version;
    rnnd_code code = pickle_read(&in, &r->values, &part, r->err); /* the magic, compared before */
    if (!code) code = pickle_read(&in, &r->values, &part, r->err);
    if (!code && !pickle_whole(part.root, 1001, 1001, &version))
        code = fail(r->err, RNND_UNSUPPORTED, "wanted version 1001 of PyTorch's old file form, found another");
    if (!code) code = pickle_read(&in, &r->values, &part, r->err);
    if (code) return code;
    code = pickle_read(&in, &r->values, &r->pickle, r->err); /* elements are little-endian whatever the system said */
    if (!code) code = pickle_read(&in, &r->values, &keys, r->err);
    if (!code) code = torch_storages(r);
    if (!code) code = read_storages(r, &in, keys.root);
    return code ? code : torch_walk(r);
}
