/* hdf5_attributes.c -- attributes of HDF5 objects that are strings.
 *
 *   version 1: version, 0, bytes of name, type and space u16 each, then the three, each padded to 8, then the data
 *   version 2: its second byte tells which of type and space are shared; not padded    3: likewise, a charset first
 *   variable strings: bytes u32, collection's address, index u32; collection: "GCOL", version, 3 x 0, bytes, then
 *     objects: index u16, references u16, 4 x 0, bytes, data padded to 8; index 0 is free space to the end
 */
#include <stdlib.h>
#include <string.h>

#include "core/formats/hdf5_internal.h"

struct attribute {
    struct bytes name, type, space, data;
    bool type_shared, space_shared;
};

static rnnd_code damaged(rnnd_error *err)
{
    return fail(err, RNND_CORRUPT, "HDF5: an attribute is damaged");
}

static bool take_part(struct bytes *b, uint64_t bytes, bool padded, struct bytes *out)
{
    return bytes_slice(b, b->at, (size_t)bytes, out) &&
           h5_skip(b, (size_t)(padded ? (bytes + 7) & ~UINT64_C(7) : bytes));
}

static rnnd_code read_attribute(struct bytes b, struct attribute *a, rnnd_error *err)
{
    uint64_t version, flags, name, type, space;
    if (!h5_uint(&b, 1, &version) || version < 1 || version > 3 || !h5_uint(&b, 1, &flags) || !h5_uint(&b, 2, &name) ||
        !h5_uint(&b, 2, &type) || !h5_uint(&b, 2, &space) || !h5_skip(&b, version == 3) ||
        !take_part(&b, name, version == 1, &a->name) || !take_part(&b, type, version == 1, &a->type) ||
        !take_part(&b, space, version == 1, &a->space) || !take_part(&b, bytes_left(&b), false, &a->data))
        return damaged(err);
    a->type_shared = version > 1 && flags & 1;
    a->space_shared = version > 1 && flags & 2;
    return RNND_OK;
}

/* ---- the attributes of an object, by name ---- */

static rnnd_code add_attribute(struct h5 *f, struct h5_object *o, struct bytes body, rnnd_error *err)
{
    struct attribute a;
    rnnd_code code = h5_work(f, 1, err);
    if (!code) code = read_attribute(body, &a, err);
    if (!code)
        code = h5_grow(f, (void **)&o->attributes, o->attribute_count, &o->attribute_cap, sizeof *o->attributes, err);
    if (code) return code;
    size_t n = a.name.size ? strnlen((const char *)a.name.data, a.name.size) : 0;
    char *name = h5_text(f, a.name.data, n, err);
    if (!name) return f->failed;
    o->attributes[o->attribute_count++] = (struct h5_attribute){name, body};
    return RNND_OK;
}

struct dense {
    struct h5_object *object;
    struct h5_heap heap;
};

/* heap ID (8), flags of the message, order u32, hash u32 */
static rnnd_code visit_attribute(struct h5 *f, void *context, struct bytes record, rnnd_error *err)
{
    struct dense *d = context;
    struct bytes id, message;
    uint64_t flags;
    if (!bytes_slice(&record, 0, 8, &id) || !h5_skip(&record, 8) || !h5_uint(&record, 1, &flags)) return damaged(err);
    if (flags & 2) return fail(err, RNND_UNSUPPORTED, "HDF5: shared attributes, which are not read; save it anew");
    rnnd_code code = h5_heap_get(f, &d->heap, id, &message, err);
    return code ? code : add_attribute(f, d->object, message, err);
}

/* version, flags, [order u16], heap, B-tree by name, [B-tree by order] */
static rnnd_code read_info(struct h5 *f, struct h5_object *o, struct bytes b, rnnd_error *err)
{
    uint64_t version, flags, heap, tree;
    struct dense d = {.object = o};
    if (!h5_uint(&b, 1, &version) || version != 0 || !h5_uint(&b, 1, &flags) || !h5_skip(&b, flags & 1 ? 2 : 0) ||
        !h5_offset(f, &b, &heap) || !h5_offset(f, &b, &tree))
        return damaged(err);
    if (heap == H5_UNDEFINED) return RNND_OK; /* not dense: in messages */
    rnnd_code code = h5_heap_open(f, heap, &d.heap, err);
    return code ? code : h5_tree2(f, tree, 8, visit_attribute, &d, err);
}

static int compare_attributes(const void *a, const void *b)
{
    return strcmp(((const struct h5_attribute *)a)->name, ((const struct h5_attribute *)b)->name);
}

static rnnd_code list_attributes(struct h5 *f, struct h5_object *o, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    if (o->has_attributes) return RNND_OK;
    o->attribute_count = 0;
    for (size_t i = 0; i < o->count && !code; i++) {
        const struct h5_message *m = &o->messages[i];
        struct bytes b;
        if (m->type != H5_ATTRIBUTE && m->type != H5_ATTRIBUTE_INFO) continue;
        if ((code = h5_body(f, m->flags & 2, m->body, m->type, &b, err))) break;
        code = m->type == H5_ATTRIBUTE ? add_attribute(f, o, b, err) : read_info(f, o, b, err);
    }
    if (code) return code;
    if (o->attribute_count) qsort(o->attributes, o->attribute_count, sizeof *o->attributes, compare_attributes);
    for (size_t i = 1; i < o->attribute_count; i++)
        if (strcmp(o->attributes[i - 1].name, o->attributes[i].name) == 0)
            return fail(err, RNND_CORRUPT, "HDF5: one object has two attributes \"%.80s\"", o->attributes[i].name);
    o->has_attributes = true;
    return RNND_OK;
}

/* ---- strings ---- */

static rnnd_code find_global(struct h5 *f, uint64_t address, uint64_t index, struct bytes *out, rnnd_error *err)
{
    struct bytes b;
    uint64_t bytes, found, n;
    if (!h5_signed(f, address, "GCOL", &b) || !h5_skip(&b, 4) || !h5_length(f, &b, &bytes) ||
        !h5_at(f, address, bytes, &b) || !h5_skip(&b, 8 + (size_t)f->length_bytes))
        return h5_damaged("a global heap", address, err);
    while (h5_uint(&b, 2, &found) && found && h5_skip(&b, 6) && h5_length(f, &b, &n)) {
        rnnd_code code = h5_work(f, 1, err);
        if (code) return code;
        if (n > bytes_left(&b) || !bytes_slice(&b, b.at, (size_t)n, out)) break;
        if (found == index) return RNND_OK;
        if (!h5_skip(&b, (size_t)((n + 7) & ~UINT64_C(7)))) break;
    }
    return h5_damaged("a global heap", address, err);
}

static rnnd_code take_string(struct h5 *f, const struct h5_type *t, struct bytes *b, struct bytes *out, rnnd_error *err)
{
    uint64_t bytes, address, index;
    if (t->kind == H5_VARIABLE) {
        if (!h5_uint(b, 4, &bytes) || !h5_offset(f, b, &address) || !h5_uint(b, 4, &index)) return damaged(err);
        *out = bytes_of(b->data, 0);
        if (bytes == 0) return RNND_OK;
        rnnd_code code = find_global(f, address, index, out, err);
        if (code) return code;
        if (!bytes_slice(out, 0, (size_t)bytes, out)) return h5_damaged("a global heap", address, err);
    } else if (!take_part(b, t->bytes, false, out)) {
        return damaged(err);
    }
    if (t->kind == H5_FIXED && t->padding == 0) out->size = strnlen((const char *)out->data, out->size);
    while (out->size && (t->padding == 2 ? out->data[out->size - 1] == ' ' : !out->data[out->size - 1]))
        out->size--;
    return RNND_OK;
}

struct strings {
    const char **list;
    size_t *bytes; /* of each, NULL: not wanted */
    size_t count;
};

static rnnd_code read_strings(struct h5 *f, struct bytes body, struct strings *s, rnnd_error *err)
{
    struct attribute a;
    struct h5_type type;
    struct h5_space space;
    rnnd_code code = read_attribute(body, &a, err);
    if (!code) code = h5_body(f, a.type_shared, a.type, H5_TYPE, &a.type, err);
    if (!code) code = h5_body(f, a.space_shared, a.space, H5_SPACE, &a.space, err);
    if (!code) code = h5_read_type(f, a.type, &type, err);
    if (!code) code = h5_read_space(f, a.space, &space, err);
    if (code || !space.count) return code; /* an empty list may well be one of numbers: numpy makes it so */
    if (type.kind == H5_NUMBERS) return fail(err, RNND_MISMATCH, "HDF5: wanted strings, found numbers");
    if (space.count > a.data.size / type.bytes) return damaged(err);
    s->list = h5_alloc(f, space.count, sizeof *s->list, err);
    s->bytes = s->list ? h5_alloc(f, space.count, sizeof *s->bytes, err) : NULL;
    if (!s->bytes) return f->failed;
    for (s->count = 0; s->count < space.count; s->count++) {
        struct bytes text;
        if ((code = h5_work(f, 1, err)) || (code = take_string(f, &type, &a.data, &text, err))) return code;
        if (text.size && memchr(text.data, 0, text.size))
            return fail(err, RNND_CORRUPT, "HDF5: a string with a zero byte inside");
        if (!(s->list[s->count] = h5_text(f, text.data, text.size, err))) return f->failed;
        s->bytes[s->count] = text.size;
    }
    return RNND_OK;
}

static rnnd_code find_strings(struct h5 *f, const char *path, const char *attr, struct strings *s, rnnd_error *err)
{
    struct h5_object *o;
    struct h5_attribute key = {.name = attr};
    memset(s, 0, sizeof *s);
    rnnd_code code = h5_resolve(f, path, &o, err);
    if (!code && !o)
        return fail_at(err, RNND_MISMATCH, path, "HDF5: wanted \"%.80s\", found nothing of the name", path);
    if (!code) code = list_attributes(f, o, err);
    if (code || !o->attribute_count) return code;
    const struct h5_attribute *a =
        bsearch(&key, o->attributes, o->attribute_count, sizeof *o->attributes, compare_attributes);
    if (!a) return RNND_OK;
    code = read_strings(f, a->body, s, err);
    if (code) fail_in(err, a->name);
    return code;
}

rnnd_code h5_attr_strings(struct h5 *f, const char *path, const char *attr, const char *const **out, size_t *count,
                          rnnd_error *err)
{
    struct strings s;
    *out = NULL;
    *count = 0;
    rnnd_code code = find_strings(f, path, attr, &s, err);
    if (code || !s.count) return code;
    *out = (const char *const *)s.list;
    *count = s.count;
    return RNND_OK;
}

rnnd_code h5_attr_string(struct h5 *f, const char *path, const char *attr, const char **out, size_t *bytes,
                         rnnd_error *err)
{
    struct strings s;
    *out = NULL;
    *bytes = 0;
    rnnd_code code = find_strings(f, path, attr, &s, err);
    if (code || !s.count) return code;
    if (s.count > 1)
        return fail_at(err, RNND_MISMATCH, attr, "HDF5: attribute \"%.80s\": wanted one string, found %zu", attr,
                       s.count);
    *out = s.list[0];
    *bytes = s.bytes[0];
    return RNND_OK;
}
