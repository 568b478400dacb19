/* hdf5_data.c -- HDF5 datasets of numbers as tensors: layouts, fill values, byte order.
 *
 *   layout 3, 4: version, class; 0 compact: bytes u16, data; 1 contiguous: address, bytes; 2 chunked: hdf5_chunks.c
 *   fill value 1, 2: version, 3 bytes, the last whether there is one; 3: version, flags (bit 5); then bytes u32, value
 */
#include <string.h>

#include "core/formats/hdf5_internal.h"

enum { COMPACT, CONTIGUOUS, CHUNKED, VIRTUAL };

struct dataset {
    struct h5_object *object;
    struct h5_type type;
    struct h5_space space;
    struct bytes layout;
    unsigned version, layout_class;
    size_t bytes;       /* of all elements */
    const uint8_t *raw; /* them, in the file or in the arena */
    uint8_t *own;       /* in the arena: raw may be changed */
};

static rnnd_code no_data(rnnd_error *err)
{
    return fail(err, RNND_CORRUPT, "HDF5: it has no data: a model that was saved before it was built?");
}

static rnnd_code message_of(struct h5 *f, const struct h5_object *o, unsigned type, struct bytes *out, bool *there,
                            rnnd_error *err)
{
    const struct h5_message *m = h5_find(o, type);
    *there = m != NULL;
    return m ? h5_body(f, m->flags & 2, m->body, type, out, err) : RNND_OK;
}

static rnnd_code describe(struct h5 *f, struct dataset *d, rnnd_error *err)
{
    struct bytes type, space;
    uint64_t version, kind;
    bool has_type, has_space, has_layout;
    if (h5_find(d->object, H5_EXTERNAL))
        return fail(err, RNND_UNSUPPORTED, "HDF5: its data lie in another file (external storage), which is not read");
    rnnd_code code = message_of(f, d->object, H5_TYPE, &type, &has_type, err);
    if (!code) code = message_of(f, d->object, H5_SPACE, &space, &has_space, err);
    if (!code) code = message_of(f, d->object, H5_LAYOUT, &d->layout, &has_layout, err);
    if (code) return code;
    if (!has_type || !has_space || !has_layout || !h5_uint(&d->layout, 1, &version) ||
        !h5_uint(&d->layout, 1, &kind))
        return fail(err, RNND_CORRUPT, "HDF5: a dataset without type, shape or layout");
    if (version < 3 || version > 5)
        return fail(err, RNND_UNSUPPORTED, "HDF5: layout version %llu; 3 and 4 are read", (unsigned long long)version);
    d->version = (unsigned)version;
    d->layout_class = (unsigned)kind;
    code = h5_read_type(f, type, &d->type, err);
    if (!code) code = h5_read_space(f, space, &d->space, err);
    if (code) return code;
    if (d->type.kind != H5_NUMBERS)
        return fail(err, RNND_UNSUPPORTED, "HDF5: wanted a dataset of numbers, found one of strings");
    if (d->space.null) return no_data(err);
    if (!size_mul(d->space.count, d->type.bytes, &d->bytes))
        return fail(err, RNND_CORRUPT, "HDF5: the sizes of a dataset overflow");
    return RNND_OK;
}

static rnnd_code read_contiguous(struct h5 *f, struct dataset *d, rnnd_error *err)
{
    uint64_t address, bytes;
    struct bytes b;
    if (!h5_offset(f, &d->layout, &address) || !h5_length(f, &d->layout, &bytes))
        return fail(err, RNND_CORRUPT, "HDF5: a layout is damaged");
    if (d->bytes == 0) return RNND_OK;
    if (address == H5_UNDEFINED) return no_data(err);
    if (bytes < d->bytes)
        return fail(err, RNND_CORRUPT, "HDF5: %zu bytes of data wanted, %llu written", d->bytes,
                    (unsigned long long)bytes);
    if (!h5_at(f, address, d->bytes, &b)) return h5_damaged("a dataset", address, err);
    d->raw = b.data;
    return RNND_OK;
}

static rnnd_code read_compact(struct dataset *d, rnnd_error *err)
{
    uint64_t bytes;
    if (!h5_uint(&d->layout, 2, &bytes) || bytes < d->bytes || !bytes_take(&d->layout, d->bytes, &d->raw))
        return fail(err, RNND_CORRUPT, "HDF5: %zu bytes of compact data wanted, there are less", d->bytes);
    return RNND_OK;
}

/* What elements are that were never written: zero, or as the dataset says. */
static rnnd_code fill(struct h5 *f, struct dataset *d, rnnd_error *err)
{
    struct bytes b;
    uint64_t version, flags = 0x20, defined = 1, bytes = 0;
    const uint8_t *value;
    bool there, old = false;
    rnnd_code code = message_of(f, d->object, H5_FILL, &b, &there, err);
    if (!code && !there) {
        code = message_of(f, d->object, H5_OLD_FILL, &b, &there, err);
        old = true;
    }
    if (code || !there) return code;
    bool good = old || (h5_uint(&b, 1, &version) && (version >= 3 ? h5_uint(&b, 1, &flags)
                                                                  : h5_skip(&b, 2) && h5_uint(&b, 1, &defined)));
    if (good && (!(flags & 0x20) || !defined)) return RNND_OK;
    good = good && h5_uint(&b, 4, &bytes) && bytes_take(&b, (size_t)bytes, &value);
    if (!good || (bytes && bytes != d->type.bytes)) return fail(err, RNND_CORRUPT, "HDF5: a fill value is damaged");
    for (size_t at = 0; bytes && at < d->bytes; at += d->type.bytes)
        memcpy(d->own + at, value, d->type.bytes);
    return RNND_OK;
}

static rnnd_code read_chunked(struct h5 *f, struct dataset *d, rnnd_error *err)
{
    struct h5_chunks c = {.rank = d->space.rank, .element = d->type.bytes};
    struct bytes filters;
    bool filtered;
    rnnd_code code = message_of(f, d->object, H5_FILTERS, &filters, &filtered, err);
    if (!code && filtered) code = h5_read_filters(filters, &c.filters, err);
    if (code || d->bytes == 0) return code;
    if (!(d->own = h5_alloc(f, d->bytes, 1, err))) return f->failed;
    if ((code = fill(f, d, err))) return code;
    memcpy(c.dim, d->space.dim, sizeof c.dim);
    memcpy(c.most, d->space.most, sizeof c.most);
    c.out = d->own;
    code = h5_read_chunks(f, &c, d->version, d->layout, err);
    if (!code && c.found == 0) code = no_data(err);
    d->raw = d->own;
    return code;
}

static rnnd_code to_little(struct h5 *f, struct dataset *d, rnnd_error *err)
{
    if (!d->type.big || d->type.bytes == 1 || !d->bytes) return RNND_OK;
    if (!d->own && !(d->own = h5_alloc(f, d->bytes, 1, err))) return f->failed;
    size_t n = d->type.bytes;
    for (size_t at = 0; at < d->bytes; at += n) {
        uint8_t element[8];
        for (size_t i = 0; i < n; i++)
            element[i] = d->raw[at + n - 1 - i];
        memcpy(d->own + at, element, n);
    }
    d->raw = d->own;
    return RNND_OK;
}

static rnnd_code read_dataset(struct h5 *f, struct dataset *d, rnnd_error *err)
{
    rnnd_code code = describe(f, d, err);
    if (code) return code;
    switch (d->layout_class) {
    case COMPACT:
        code = read_compact(d, err);
        break;
    case CONTIGUOUS:
        code = read_contiguous(f, d, err);
        break;
    case CHUNKED:
        code = read_chunked(f, d, err);
        break;
    case VIRTUAL:
        return fail(err, RNND_UNSUPPORTED, "HDF5: a virtual dataset, made of others' data, which is not read");
    default:
        return fail(err, RNND_CORRUPT, "HDF5: a layout of class %u", d->layout_class);
    }
    return code ? code : to_little(f, d, err);
}

rnnd_code h5_dataset(struct h5 *f, const char *path, struct checkpoint_tensor *out, rnnd_error *err)
{
    struct dataset d = {0};
    memset(out, 0, sizeof *out);
    rnnd_code code = h5_resolve(f, path, &d.object, err);
    if (!code && (!d.object || !h5_find(d.object, H5_LAYOUT)))
        return fail_at(err, RNND_MISMATCH, path, "HDF5: wanted a dataset \"%.80s\", found %s", path,
                       d.object ? "something else" : "nothing of the name");
    if (!code) code = read_dataset(f, &d, err);
    if (code) {
        char where[96];
        struct bytes name = bytes_of(path, strnlen(path, sizeof where - 4));
        memcpy(where, "\"", 1);
        memcpy(where + 1, name.data, name.size);
        memcpy(where + 1 + name.size, "\"", 2);
        fail_in(err, where);
        return code;
    }
    const char *name = path + strspn(path, "/");
    out->stored = d.type.stored;
    out->rank = d.space.rank;
    memcpy(out->dim, d.space.dim, sizeof out->dim);
    out->count = d.space.count;
    out->raw = d.raw ? d.raw : f->file.data; /* nothing is read of no elements */
    out->name = h5_text(f, (const uint8_t *)name, strlen(name), err);
    return out->name ? RNND_OK : f->failed;
}
