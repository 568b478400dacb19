/* hdf5_objects.c -- object headers of HDF5 files, and finding them by path.
 *
 *   version 1: version, 0, messages u16, references u32, bytes u32, 4 x 0; message: type u16, bytes u16, flags, 3 x 0
 *   version 2: "OHDR", version, flags, [4 times], [2 x u16], bytes (1, 2, 4 or 8), messages, checksum;
 *     message: type, bytes u16, flags, [order u16]
 *   A message of type 16 names a block where they go on; in version 2 between "OCHK" and a checksum.
 */
#include <string.h>

#include "core/formats/hdf5_internal.h"

#define MAX_SOFT_LINKS 16 /* followed for one path */
#define MAX_DEPTH 64      /* names in a path */

struct header {
    unsigned version, flags;
    size_t messages; /* version 1: how many there are */
    uint64_t bytes;  /* read so far, all blocks together */
};

static rnnd_code add_message(struct h5 *f, struct h5_object *o, const struct h5_message *m, rnnd_error *err)
{
    rnnd_code code = h5_work(f, 1, err);
    if (!code) code = h5_grow(f, (void **)&o->messages, o->count, &o->cap, sizeof *o->messages, err);
    if (!code) o->messages[o->count++] = *m;
    return code;
}

static rnnd_code read_block(struct h5 *f, struct h5_object *o, struct header *h, struct bytes b, rnnd_error *err)
{
    size_t head = h->version == 1 ? 8 : h->flags & 4 ? 6 : 4;
    h->bytes += b.size;
    if (h->bytes > f->file.size)
        return fail(err, RNND_CORRUPT, "HDF5: the object header at byte %llu goes on in circles",
                    (unsigned long long)o->address);
    while (bytes_left(&b) >= head && (h->version != 1 || h->messages > 0)) {
        struct h5_message m;
        uint64_t type = 0, bytes = 0, flags = 0;
        bool good = h5_uint(&b, h->version == 1 ? 2 : 1, &type) && h5_uint(&b, 2, &bytes) && h5_uint(&b, 1, &flags) &&
                    h5_skip(&b, head - (h->version == 1 ? 5 : 4));
        if (!good || !bytes_slice(&b, b.at, (size_t)bytes, &m.body) || !h5_skip(&b, (size_t)bytes))
            return h5_damaged("an object header", o->address, err);
        m.type = (unsigned)type;
        m.flags = (unsigned)flags;
        h->messages -= h->version == 1;
        rnnd_code code = type == 0 ? h5_work(f, 1, err) : add_message(f, o, &m, err); /* 0: room left free */
        if (code) return code;
    }
    return RNND_OK;
}

static rnnd_code read_continuation(struct h5 *f, struct h5_object *o, struct header *h, struct bytes at,
                                   rnnd_error *err)
{
    uint64_t address, bytes;
    struct bytes b;
    if (!h5_offset(f, &at, &address) || !h5_length(f, &at, &bytes) || !h5_at(f, address, bytes, &b))
        return h5_damaged("the continuation of an object header", o->address, err);
    if (h->version == 1) return read_block(f, o, h, b, err);
    if (bytes < 8 || memcmp(b.data, "OCHK", 4) != 0 || !bytes_slice(&b, 4, (size_t)bytes - 8, &b))
        return h5_damaged("a block of an object header", address, err);
    return read_block(f, o, h, b, err);
}

static bool head_1(struct bytes *b, struct header *h, uint64_t *bytes)
{
    uint64_t count;
    h->version = 1;
    if (!h5_skip(b, 2) || !h5_uint(b, 2, &count) || !h5_skip(b, 4) || !h5_uint(b, 4, bytes) || !h5_skip(b, 4))
        return false;
    h->messages = (size_t)count;
    return true;
}

static bool head_2(struct bytes *b, struct header *h, uint64_t *bytes)
{
    uint8_t version, flags;
    h->version = 2;
    if (!h5_skip(b, 4) || !bytes_u8(b, &version) || version != 2 || !bytes_u8(b, &flags)) return false;
    h->flags = flags;
    return h5_skip(b, (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0)) && h5_uint(b, 1u << (flags & 3), bytes);
}

static rnnd_code read_object(struct h5 *f, struct h5_object *o, rnnd_error *err)
{
    struct header h = {0};
    struct bytes b, block;
    uint64_t bytes = 0;
    if (!h5_from(f, o->address, &b) || bytes_left(&b) < 16) return h5_damaged("an object header", o->address, err);
    bool good = memcmp(b.data, "OHDR", 4) == 0 ? head_2(&b, &h, &bytes) : b.data[0] == 1 && head_1(&b, &h, &bytes);
    if (!good || bytes > bytes_left(&b) || !bytes_slice(&b, b.at, (size_t)bytes, &block))
        return h5_damaged("an object header", o->address, err);
    rnnd_code code = read_block(f, o, &h, block, err);
    for (size_t i = 0; i < o->count && !code; i++) /* the list grows meanwhile */
        if (o->messages[i].type == H5_CONTINUED) code = read_continuation(f, o, &h, o->messages[i].body, err);
    return code;
}

/* ---- objects by address ---- */

static struct h5_object **slot_of(struct h5_object **table, size_t cap, uint64_t address)
{
    size_t i = (size_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (cap - 1);
    while (table[i] && table[i]->address != address)
        i = (i + 1) & (cap - 1);
    return &table[i];
}

static rnnd_code grow_table(struct h5 *f, rnnd_error *err)
{
    size_t cap = f->object_cap ? f->object_cap * 2 : 64;
    struct h5_object **table = h5_alloc(f, cap, sizeof(struct h5_object *), err);
    if (!table) return f->failed;
    for (size_t i = 0; i < f->object_cap; i++)
        if (f->objects[i]) *slot_of(table, cap, f->objects[i]->address) = f->objects[i];
    f->objects = table;
    f->object_cap = cap;
    return RNND_OK;
}

rnnd_code h5_object_at(struct h5 *f, uint64_t address, struct h5_object **out, rnnd_error *err)
{
    rnnd_code code = h5_work(f, 1, err);
    *out = NULL;
    if (!code && f->object_count * 2 >= f->object_cap) code = grow_table(f, err);
    if (code) return code;
    struct h5_object **slot = slot_of(f->objects, f->object_cap, address);
    if (!*slot) {
        struct h5_object *o = h5_alloc(f, 1, sizeof *o, err);
        if (!o) return f->failed;
        o->address = address;
        if ((code = read_object(f, o, err))) return code;
        *slot = o; /* only when whole */
        f->object_count++;
    }
    *out = *slot;
    return RNND_OK;
}

const struct h5_message *h5_find(const struct h5_object *o, unsigned type)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->messages[i].type == type) return &o->messages[i];
    return NULL;
}

/* Shared: version, kind, [version 1: 6 x 0], address of the header that has it (kind 1 of version 3: a heap's). */
rnnd_code h5_body(struct h5 *f, bool shared, struct bytes in, unsigned type, struct bytes *out, rnnd_error *err)
{
    uint8_t version, kind;
    uint64_t address;
    struct h5_object *o;
    *out = in;
    if (!shared) return RNND_OK;
    if (!bytes_u8(&in, &version) || !bytes_u8(&in, &kind) || version < 1 || version > 3 ||
        !h5_skip(&in, version == 1 ? 6 : 0) || !h5_offset(f, &in, &address))
        return fail(err, RNND_CORRUPT, "HDF5: a shared message is damaged");
    if (version == 3 && kind != 2)
        return fail(err, RNND_UNSUPPORTED, "HDF5: it has a table of shared messages, which is not read; save it anew");
    rnnd_code code = h5_object_at(f, address, &o, err);
    if (code) return code;
    const struct h5_message *m = h5_find(o, type);
    if (!m || m->flags & 2) return h5_damaged("a shared message", address, err);
    *out = m->body;
    return RNND_OK;
}

/* ---- paths ---- */

struct walk {
    int links, names; /* that may still be followed */
};

static const struct h5_link *find_link(const struct h5_object *o, const char *name, size_t bytes)
{
    size_t low = 0, high = o->link_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strncmp(o->links[mid].name, name, bytes);
        if (order == 0 && o->links[mid].name[bytes]) order = 1;
        if (order == 0) return &o->links[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static rnnd_code walk_path(struct h5 *f, struct walk *w, const char *path, struct h5_object **at, rnnd_error *err);

/* One name further: *at becomes what it is, or NULL. */
static rnnd_code walk_name(struct h5 *f, struct walk *w, const char *name, size_t bytes, struct h5_object **at,
                           rnnd_error *err)
{
    if (w->names-- == 0)
        return fail(err, RNND_CORRUPT, "HDF5: groups lie in each other deeper than %d, or in a circle", MAX_DEPTH);
    rnnd_code code = h5_work(f, 1, err);
    if (!code) code = h5_links(f, *at, err);
    if (code) return code;
    const struct h5_link *link = find_link(*at, name, bytes);
    if (!link) {
        *at = NULL;
        return RNND_OK;
    }
    if (link->kind == H5_HARD) return h5_object_at(f, link->address, at, err);
    if (link->kind == H5_ELSEWHERE)
        return fail_at(err, RNND_UNSUPPORTED, link->name, "HDF5: \"%.80s\" is a link into another file, not followed",
                       link->name);
    if (w->links-- == 0)
        return fail_at(err, RNND_CORRUPT, link->name, "HDF5: \"%.80s\" is a link in a circle, or in a chain of over %d",
                       link->name, MAX_SOFT_LINKS);
    return walk_path(f, w, link->target, at, err);
}

/* As deep as the soft links that may be followed. */
static rnnd_code walk_path(struct h5 *f, struct walk *w, const char *path, struct h5_object **at, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    if (*path == '/') code = h5_object_at(f, f->root, at, err);
    while (!code && *at && *path) {
        size_t n = strcspn(path, "/");
        if (n && !(n == 1 && *path == '.')) code = walk_name(f, w, path, n, at, err);
        path += n + (path[n] == '/');
    }
    return code;
}

rnnd_code h5_resolve(struct h5 *f, const char *path, struct h5_object **out, rnnd_error *err)
{
    struct walk w = {MAX_SOFT_LINKS, MAX_DEPTH};
    *out = NULL;
    rnnd_code code = h5_object_at(f, f->root, out, err);
    if (!code) code = walk_path(f, &w, path, out, err);
    if (code) *out = NULL;
    return code;
}
