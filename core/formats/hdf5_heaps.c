/* hdf5_heaps.c -- fractal heaps and B-trees of version 2, in which HDF5 keeps many links or attributes of one object.
 *
 *   heap: "FRHP"; objects lie in a linear space of direct blocks ("FHDB"), whose sizes double from row to row of a
 *     table; tables that do not fit the header are indirect blocks ("FHIB") and nest
 *   ID of an object: kind in bits 4 and 5 of the first byte; managed: offset, size; tiny: size and bytes in the ID;
 *     huge: a key of a B-tree of type 1 (address, bytes, key), or address and bytes themselves
 *   B-tree: "BTHD"; leaves "BTLF" (version, type, records), inner nodes "BTIN" (records, then for each child its
 *     address, its number of records and, above the lowest, the number in all below it)
 */
#include <string.h>

#include "core/formats/hdf5_internal.h"

#define MAX_DEPTH 16

static unsigned bits_of(uint64_t n) /* position of the highest bit, 0 for 0 */
{
    unsigned bits = 0;
    while (n >>= 1)
        bits++;
    return bits;
}

static unsigned bytes_for(uint64_t n) /* that hold numbers up to n */
{
    return bits_of(n) / 8 + 1;
}

static bool power_of_two(uint64_t n)
{
    return n && !(n & (n - 1));
}

/* ---- B-trees ---- */

struct level { /* what nodes of one level look like */
    uint64_t all;        /* most records in the subtree */
    unsigned all_bytes;  /* that hold such a number; 0 for leaves */
};
struct tree {
    uint64_t node_bytes, record_bytes;
    unsigned type, count_bytes; /* count_bytes: of the number of records in one node */
    struct level levels[MAX_DEPTH + 1];
    h5_visit visit;
    void *context;
};

/* The node's records from behind its head. */
static rnnd_code open_node(struct h5 *f, const struct tree *t, uint64_t address, bool leaf, uint64_t records,
                           struct bytes *list, struct bytes *rest, rnnd_error *err)
{
    uint64_t version, type;
    size_t bytes;
    struct bytes b;
    rnnd_code code = h5_work(f, 1, err);
    if (code) return code;
    if (!h5_at(f, address, t->node_bytes, &b) || b.size < 10 || memcmp(b.data, leaf ? "BTLF" : "BTIN", 4) != 0 ||
        !h5_skip(&b, 4) || !h5_uint(&b, 1, &version) || version != 0 || !h5_uint(&b, 1, &type) || type != t->type ||
        !size_mul((size_t)records, (size_t)t->record_bytes, &bytes) || !bytes_slice(&b, b.at, bytes, list) ||
        !h5_skip(&b, bytes))
        return h5_damaged("a B-tree's node", address, err);
    *rest = b;
    return RNND_OK;
}

static rnnd_code visit_next(struct h5 *f, const struct tree *t, struct bytes *list, rnnd_error *err)
{
    struct bytes record;
    rnnd_code code = h5_work(f, 1, err);
    if (code) return code;
    if (!bytes_slice(list, list->at, (size_t)t->record_bytes, &record) || !h5_skip(list, (size_t)t->record_bytes))
        return fail(err, RNND_CORRUPT, "HDF5: a B-tree's node is damaged");
    return t->visit(f, t->context, record, err);
}

static rnnd_code visit_node(struct h5 *f, const struct tree *t, uint64_t address, unsigned depth, uint64_t records,
                            rnnd_error *err)
{
    struct bytes list, rest;
    uint64_t child, count, all;
    rnnd_code code = open_node(f, t, address, depth == 0, records, &list, &rest, err);
    for (uint64_t i = 0; depth > 0 && i <= records && !code; i++) {
        if (!h5_offset(f, &rest, &child) || !h5_uint(&rest, t->count_bytes, &count) ||
            !h5_uint(&rest, t->levels[depth - 1].all_bytes, &all))
            return h5_damaged("a B-tree's node", address, err);
        code = visit_node(f, t, child, depth - 1, count, err);
        if (!code && i < records) code = visit_next(f, t, &list, err);
    }
    for (uint64_t i = 0; depth == 0 && i < records && !code; i++)
        code = visit_next(f, t, &list, err);
    return code;
}

/* How many bytes the counts in inner nodes have follows from what fits into a node. */
static bool plan_levels(const struct h5 *f, struct tree *t, uint64_t depth)
{
    if (t->record_bytes == 0 || t->node_bytes < 10 + t->record_bytes || depth > MAX_DEPTH) return false;
    uint64_t most = (t->node_bytes - 10) / t->record_bytes;
    t->count_bytes = bytes_for(most);
    t->levels[0] = (struct level){most, 0};
    for (uint64_t u = 1; u <= depth; u++) {
        const struct level *below = &t->levels[u - 1];
        uint64_t pointer = f->offset_bytes + t->count_bytes + below->all_bytes;
        if (t->node_bytes < 10 + 2 * pointer + t->record_bytes) return false;
        most = (t->node_bytes - 10 - pointer) / (t->record_bytes + pointer);
        uint64_t all;
        if (__builtin_mul_overflow(most + 1, below->all, &all) || __builtin_add_overflow(all, most, &all)) return false;
        t->levels[u] = (struct level){all, bytes_for(all)};
    }
    return true;
}

rnnd_code h5_tree2(struct h5 *f, uint64_t address, unsigned type, h5_visit visit, void *context, rnnd_error *err)
{
    struct tree t = {.type = type, .visit = visit, .context = context};
    struct bytes b;
    uint64_t version, found, depth, root, records;
    if (!h5_signed(f, address, "BTHD", &b) || !h5_uint(&b, 1, &version) || version != 0 || !h5_uint(&b, 1, &found) ||
        found != type || !h5_uint(&b, 4, &t.node_bytes) || !h5_uint(&b, 2, &t.record_bytes) ||
        !h5_uint(&b, 2, &depth) || !h5_skip(&b, 2) || !h5_offset(f, &b, &root) || !h5_uint(&b, 2, &records) ||
        !plan_levels(f, &t, depth))
        return h5_damaged("a B-tree", address, err);
    if (records == 0 || root == H5_UNDEFINED) return RNND_OK;
    return visit_node(f, &t, root, (unsigned)depth, records, err);
}

/* ---- heaps ---- */

rnnd_code h5_heap_open(struct h5 *f, uint64_t address, struct h5_heap *h, rnnd_error *err)
{
    struct bytes b;
    uint64_t version, id, filters, flags, most, bits, width, first, rows;
    size_t o = f->offset_bytes, l = f->length_bytes;
    memset(h, 0, sizeof *h);
    h->address = address;
    if (!h5_signed(f, address, "FRHP", &b) || !h5_uint(&b, 1, &version) || version != 0 || !h5_uint(&b, 2, &id) ||
        !h5_uint(&b, 2, &filters) || !h5_uint(&b, 1, &flags) || !h5_uint(&b, 4, &most) || !h5_skip(&b, l) ||
        !h5_offset(f, &b, &h->huge_tree) || !h5_skip(&b, l + o + 8 * l) ||
        !h5_uint(&b, 2, &width) || !h5_length(f, &b, &h->start) || !h5_length(f, &b, &h->max_direct) ||
        !h5_uint(&b, 2, &bits) || !h5_uint(&b, 2, &first) || !h5_offset(f, &b, &h->root) || !h5_uint(&b, 2, &rows))
        return h5_damaged("a fractal heap", address, err);
    if (filters)
        return fail(err, RNND_UNSUPPORTED, "HDF5: names or attributes are compressed (a fractal heap with filters), "
                    "which is not read");
    if (!power_of_two(h->start) || !power_of_two(h->max_direct) || h->max_direct < h->start || !power_of_two(width) ||
        bits < 1 || bits > 64 || id < 1 || rows > 64)
        return h5_damaged("a fractal heap", address, err);
    h->id_bytes = (unsigned)id;
    h->width = (unsigned)width;
    h->root_rows = (unsigned)rows;
    h->direct_rows = bits_of(h->max_direct) - bits_of(h->start) + 2;
    h->offset_bytes = ((unsigned)bits + 7) / 8;
    unsigned direct = (bits_of(h->max_direct) + 7) / 8;
    h->size_bytes = direct < bytes_for(most) ? direct : bytes_for(most);
    return RNND_OK;
}

/* A block in which `offset` lies: bytes of it and where it begins, of the heap's space. */
struct block {
    uint64_t address, begin, bytes;
    unsigned rows; /* indirect: rows of its table; direct: 0 */
};

/* The child of an indirect block that has the offset. */
static bool descend(struct h5 *f, const struct h5_heap *h, uint64_t offset, struct block *k)
{
    uint64_t at = k->begin, bytes = h->start, column;
    unsigned row = 0;
    struct bytes b;
    for (;; row++) {
        if (row >= k->rows || bytes > UINT64_MAX / 4 / h->width) return false;
        if (row > 1) bytes *= 2;
        if (offset - at < bytes * h->width) break;
        if (__builtin_add_overflow(at, bytes * h->width, &at)) return false;
    }
    column = (offset - at) / bytes;
    if (!h5_signed(f, k->address, "FHIB", &b) || !h5_skip(&b, 1 + (size_t)f->offset_bytes + h->offset_bytes) ||
        !h5_skip(&b, (row * (size_t)h->width + (size_t)column) * f->offset_bytes) || !h5_offset(f, &b, &k->address))
        return false;
    k->begin = at + column * bytes;
    k->bytes = bytes;
    k->rows = 0;
    if (row < h->direct_rows) return true;
    unsigned first = bits_of(h->start) + bits_of(h->width);
    if (bits_of(bytes) < first) return false;
    k->rows = bits_of(bytes) - first + 1;
    return true;
}

static rnnd_code get_managed(struct h5 *f, const struct h5_heap *h, struct bytes id, struct bytes *out, rnnd_error *err)
{
    uint64_t offset, bytes, end;
    struct block k = {h->root, 0, h->start, h->root_rows};
    struct bytes b;
    bool good = h5_uint(&id, h->offset_bytes, &offset) && h5_uint(&id, h->size_bytes, &bytes);
    for (int depth = 0; good && k.rows; depth++)
        good = depth < MAX_DEPTH && descend(f, h, offset, &k);
    good = good && offset >= k.begin && !__builtin_add_overflow(offset - k.begin, bytes, &end) && end <= k.bytes &&
           h5_at(f, k.address, k.bytes, &b) && k.bytes >= 4 && memcmp(b.data, "FHDB", 4) == 0 &&
           bytes_slice(&b, (size_t)(offset - k.begin), (size_t)bytes, out);
    return good ? RNND_OK : h5_damaged("a fractal heap", h->address, err);
}

struct huge { /* looked for in the B-tree of huge objects */
    uint64_t key, address, bytes;
};

static rnnd_code visit_huge(struct h5 *f, void *context, struct bytes record, rnnd_error *err)
{
    struct huge *h = context;
    uint64_t address, bytes, key;
    if (!h5_offset(f, &record, &address) || !h5_length(f, &record, &bytes) || !h5_length(f, &record, &key))
        return fail(err, RNND_CORRUPT, "HDF5: the list of a fractal heap's huge objects is damaged");
    if (key == h->key) {
        h->address = address;
        h->bytes = bytes;
    }
    return RNND_OK;
}

static rnnd_code get_huge(struct h5 *f, const struct h5_heap *h, struct bytes id, struct bytes *out, rnnd_error *err)
{
    struct huge x = {0, H5_UNDEFINED, 0};
    unsigned direct = f->offset_bytes + f->length_bytes;
    unsigned width = bytes_left(&id) < f->length_bytes ? (unsigned)bytes_left(&id) : f->length_bytes;
    rnnd_code code = RNND_OK;
    bool good;
    if (bytes_left(&id) >= direct) {
        good = h5_offset(f, &id, &x.address) && h5_length(f, &id, &x.bytes);
    } else {
        good = h5_uint(&id, width, &x.key);
        if (good) code = h5_tree2(f, h->huge_tree, 1, visit_huge, &x, err);
    }
    if (code) return code;
    return good && h5_at(f, x.address, x.bytes, out) ? RNND_OK : h5_damaged("a fractal heap", h->address, err);
}

rnnd_code h5_heap_get(struct h5 *f, const struct h5_heap *h, struct bytes id, struct bytes *out, rnnd_error *err)
{
    uint64_t first, second = 0;
    rnnd_code code = h5_work(f, 1, err);
    if (code) return code;
    if (id.size < h->id_bytes || !bytes_slice(&id, 0, h->id_bytes, &id) || !h5_uint(&id, 1, &first) || first >> 6 != 0)
        return h5_damaged("a fractal heap", h->address, err);
    if ((first >> 4 & 3) == 0) return get_managed(f, h, id, out, err);
    if ((first >> 4 & 3) == 1) return get_huge(f, h, id, out, err);
    uint64_t bytes = first & 15; /* tiny: long IDs have a longer count */
    bool good = (first >> 4 & 3) == 2 && (h->id_bytes <= 18 || h5_uint(&id, 1, &second));
    if (h->id_bytes > 18) bytes = bytes << 8 | second;
    return good && bytes_slice(&id, id.at, (size_t)bytes + 1, out) ? RNND_OK
                                                                   : h5_damaged("a fractal heap", h->address, err);
}
