/* hdf5_groups.c -- the members of HDF5 groups, in each of the three ways they are kept.
 *
 *   symbol table: a B-tree of version 1 ("TREE", type 0, level, entries u16, 2 siblings, then key, child, ..., key)
 *     over nodes ("SNOD", version, 0, entries u16) of entries (offset of the name, header address, kind u32, 4 x 0,
 *     16 bytes), names in a local heap ("HEAP", version, 3 x 0, bytes, free list, address of the bytes)
 *   link messages: version, flags, [kind], [order u64], [charset], bytes of the name (1, 2, 4 or 8), name, target
 *   dense: link messages in a fractal heap, listed by a B-tree of version 2, type 5 (hash u32, heap ID)
 */
#include <stdlib.h>
#include <string.h>

#include "core/formats/hdf5_internal.h"

#define MAX_LEVELS 32
#define SOFT_ENTRY 2 /* kind of a symbol table's entry */

static rnnd_code add_link(struct h5 *f, struct h5_object *o, const uint8_t *name, size_t bytes,
                          const struct h5_link *link, rnnd_error *err)
{
    if (bytes == 0 || memchr(name, 0, bytes) || memchr(name, '/', bytes) || (bytes == 1 && *name == '.'))
        return fail(err, RNND_CORRUPT, "HDF5: the group at byte %llu has a member without a proper name",
                    (unsigned long long)o->address);
    rnnd_code code = h5_work(f, 1, err);
    if (!code) code = h5_grow(f, (void **)&o->links, o->link_count, &o->link_cap, sizeof *o->links, err);
    if (code) return code;
    struct h5_link *l = &o->links[o->link_count];
    *l = *link;
    if (!(l->name = h5_text(f, name, bytes, err))) return f->failed;
    o->link_count++;
    return RNND_OK;
}

/* ---- symbol tables ---- */

static rnnd_code open_names(struct h5 *f, uint64_t address, struct bytes *names, rnnd_error *err)
{
    struct bytes b;
    uint64_t bytes, skipped, at;
    if (!h5_signed(f, address, "HEAP", &b) || !h5_skip(&b, 4) || !h5_length(f, &b, &bytes) ||
        !h5_length(f, &b, &skipped) || !h5_offset(f, &b, &at) || !h5_at(f, at, bytes, names))
        return h5_damaged("a local heap", address, err);
    return RNND_OK;
}

/* The text at an offset of the names' heap; its bytes, or SIZE_MAX if it has no end. */
static size_t name_at(const struct bytes *names, uint64_t offset, const uint8_t **text)
{
    if (offset >= names->size) return SIZE_MAX;
    *text = names->data + offset;
    const uint8_t *end = memchr(*text, 0, names->size - (size_t)offset);
    return end ? (size_t)(end - *text) : SIZE_MAX;
}

static rnnd_code read_entry(struct h5 *f, struct h5_object *o, const struct bytes *names, struct bytes *b,
                            rnnd_error *err)
{
    uint64_t offset, kind, target;
    struct h5_link link = {.kind = H5_HARD};
    const uint8_t *name, *text, *scratch;
    size_t bytes, n;
    if (!h5_offset(f, b, &offset) || !h5_offset(f, b, &link.address) || !h5_uint(b, 4, &kind) || !h5_skip(b, 4) ||
        !bytes_take(b, 16, &scratch) || (bytes = name_at(names, offset, &name)) == SIZE_MAX)
        return h5_damaged("a group", o->address, err);
    if (kind == SOFT_ENTRY) {
        struct bytes at = bytes_of(scratch, 16);
        link.kind = H5_SOFT;
        if (!h5_uint(&at, 4, &target) || (n = name_at(names, target, &text)) == SIZE_MAX)
            return h5_damaged("a group", o->address, err);
        if (!(link.target = h5_text(f, text, n, err))) return f->failed;
    }
    return add_link(f, o, name, bytes, &link, err);
}

static rnnd_code read_symbols(struct h5 *f, struct h5_object *o, const struct bytes *names, uint64_t address,
                              rnnd_error *err)
{
    struct bytes b;
    uint64_t version, count;
    rnnd_code code = h5_work(f, 1, err);
    if (code) return code;
    if (!h5_signed(f, address, "SNOD", &b) || !h5_uint(&b, 1, &version) || version != 1 || !h5_skip(&b, 1) ||
        !h5_uint(&b, 2, &count))
        return h5_damaged("a group's node", address, err);
    for (uint64_t i = 0; i < count && !code; i++)
        code = read_entry(f, o, names, &b, err);
    return code;
}

/* Levels fall by one with each step down, so that no tree is deeper than it says. */
static rnnd_code read_tree(struct h5 *f, struct h5_object *o, const struct bytes *names, uint64_t address, int level,
                           rnnd_error *err)
{
    struct bytes b;
    uint64_t type, found, count, key, child;
    rnnd_code code = h5_work(f, 1, err);
    if (code) return code;
    if (!h5_signed(f, address, "TREE", &b) || !h5_uint(&b, 1, &type) || type != 0 || !h5_uint(&b, 1, &found) ||
        found > MAX_LEVELS || (level >= 0 && found != (uint64_t)level) || !h5_uint(&b, 2, &count) ||
        !h5_skip(&b, 2 * (size_t)f->offset_bytes))
        return h5_damaged("a group's B-tree", address, err);
    for (uint64_t i = 0; i < count && !code; i++) {
        if (!h5_length(f, &b, &key) || !h5_offset(f, &b, &child)) return h5_damaged("a group's B-tree", address, err);
        code = found ? read_tree(f, o, names, child, (int)found - 1, err) : read_symbols(f, o, names, child, err);
    }
    return code;
}

static rnnd_code read_symbol_table(struct h5 *f, struct h5_object *o, struct bytes b, rnnd_error *err)
{
    uint64_t tree, heap;
    struct bytes names;
    if (!h5_offset(f, &b, &tree) || !h5_offset(f, &b, &heap)) return h5_damaged("a group", o->address, err);
    rnnd_code code = open_names(f, heap, &names, err);
    return code ? code : read_tree(f, o, &names, tree, -1, err);
}

/* ---- link messages ---- */

static rnnd_code read_link(struct h5 *f, struct h5_object *o, struct bytes b, rnnd_error *err)
{
    uint64_t version, flags, kind = 0, bytes, n;
    struct h5_link link = {.kind = H5_HARD};
    const uint8_t *name, *text;
    bool good = h5_uint(&b, 1, &version) && version == 1 && h5_uint(&b, 1, &flags) &&
                (!(flags & 8) || h5_uint(&b, 1, &kind)) && h5_skip(&b, (flags & 4 ? 8 : 0) + (flags & 16 ? 1 : 0)) &&
                h5_uint(&b, 1u << (flags & 3), &bytes) && bytes <= bytes_left(&b) &&
                bytes_take(&b, (size_t)bytes, &name);
    if (good && kind == 0) {
        good = h5_offset(f, &b, &link.address);
    } else if (good && kind == 1) {
        link.kind = H5_SOFT;
        good = h5_uint(&b, 2, &n) && bytes_take(&b, (size_t)n, &text) && !memchr(text, 0, (size_t)n);
        if (good && !(link.target = h5_text(f, text, (size_t)n, err))) return f->failed;
    } else {
        link.kind = H5_ELSEWHERE;
    }
    return good ? add_link(f, o, name, (size_t)bytes, &link, err) : h5_damaged("a group", o->address, err);
}

struct dense {
    struct h5_object *object;
    struct h5_heap heap;
};

static rnnd_code visit_link(struct h5 *f, void *context, struct bytes record, rnnd_error *err)
{
    struct dense *d = context;
    struct bytes id, message;
    if (!bytes_slice(&record, 4, record.size - 4, &id)) return h5_damaged("a group", d->object->address, err);
    rnnd_code code = h5_heap_get(f, &d->heap, id, &message, err);
    return code ? code : read_link(f, d->object, message, err);
}

/* version, flags, [order u64], heap, B-tree by name, [B-tree by order] */
static rnnd_code read_link_info(struct h5 *f, struct h5_object *o, struct bytes b, rnnd_error *err)
{
    uint64_t version, flags, heap, tree;
    struct dense d = {.object = o};
    if (!h5_uint(&b, 1, &version) || version != 0 || !h5_uint(&b, 1, &flags) || !h5_skip(&b, flags & 1 ? 8 : 0) ||
        !h5_offset(f, &b, &heap) || !h5_offset(f, &b, &tree))
        return h5_damaged("a group", o->address, err);
    if (heap == H5_UNDEFINED) return RNND_OK; /* not dense: in messages */
    rnnd_code code = h5_heap_open(f, heap, &d.heap, err);
    return code ? code : h5_tree2(f, tree, 5, visit_link, &d, err);
}

/* ---- all of them ---- */

static int compare_links(const void *a, const void *b)
{
    return strcmp(((const struct h5_link *)a)->name, ((const struct h5_link *)b)->name);
}

static rnnd_code finish(struct h5 *f, struct h5_object *o, rnnd_error *err)
{
    if (o->link_count) qsort(o->links, o->link_count, sizeof *o->links, compare_links);
    if (!(o->names = h5_alloc(f, o->link_count, sizeof *o->names, err))) return f->failed;
    for (size_t i = 0; i < o->link_count; i++) {
        o->names[i] = o->links[i].name;
        if (i && strcmp(o->names[i - 1], o->names[i]) == 0)
            return fail_at(err, RNND_CORRUPT, o->names[i], "HDF5: \"%.80s\" stands twice in one group", o->names[i]);
    }
    return RNND_OK;
}

rnnd_code h5_links(struct h5 *f, struct h5_object *o, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    if (o->has_links) return RNND_OK;
    o->link_count = 0;
    for (size_t i = 0; i < o->count && !code; i++) {
        const struct h5_message *m = &o->messages[i];
        struct bytes b;
        if (m->type != H5_SYMBOLS && m->type != H5_LINK && m->type != H5_LINK_INFO) continue;
        if ((code = h5_body(f, m->flags & 2, m->body, m->type, &b, err))) break;
        code = m->type == H5_SYMBOLS ? read_symbol_table(f, o, b, err)
               : m->type == H5_LINK  ? read_link(f, o, b, err)
                                     : read_link_info(f, o, b, err);
    }
    if (!code) code = finish(f, o, err);
    o->has_links = !code;
    return code;
}
