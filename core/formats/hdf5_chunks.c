/* hdf5_chunks.c -- chunked HDF5 datasets: where the chunks lie, and putting them together.
 *
 *   layout 3: axes + 1, address of a B-tree 1, sizes u32, bytes of an element u32
 *   layout 4: flags, axes + 1, width of a size, sizes (the last: bytes of an element), kind of index, its parameters,
 *     address; kinds: 1 one chunk, 2 all in a row, 3 a fixed array, 4 an extensible array, 5 a B-tree 2
 *   B-tree 1 of chunks: "TREE", type 1, level, entries u16, 2 siblings, then key, child, ..., key; key: bytes u32,
 *     mask of filters u32, offset along each axis u64, 0 u64
 */
#include <string.h>

#include "core/formats/hdf5_internal.h"

#define MAX_LEVELS 32

static rnnd_code damaged(rnnd_error *err)
{
    return fail(err, RNND_CORRUPT, "HDF5: the list of a dataset's chunks is damaged");
}

/* ---- one chunk ---- */

/* Copies what of the chunk lies within the dataset, row by row of the last axis. */
static void copy_chunk(const struct h5_chunks *c, const uint64_t *place, const uint8_t *from)
{
    size_t origin[MAX_RANK], size[MAX_RANK], at[MAX_RANK] = {0};
    int last = c->rank - 1;
    for (int k = 0; k < c->rank; k++) {
        origin[k] = (size_t)place[k] * c->chunk[k];
        size[k] = c->dim[k] - origin[k] < c->chunk[k] ? c->dim[k] - origin[k] : c->chunk[k];
    }
    for (;;) {
        size_t in = 0, out = 0;
        for (int k = 0; k < c->rank; k++) {
            in = in * c->chunk[k] + at[k];
            out = out * c->dim[k] + origin[k] + at[k];
        }
        memcpy(c->out + out * c->element, from + in * c->element, size[last] * c->element);
        int k = last - 1;
        while (k >= 0 && ++at[k] == size[k])
            at[k--] = 0;
        if (k < 0) break;
    }
}

static bool reaches_over(const struct h5_chunks *c, const uint64_t *place)
{
    for (int k = 0; k < c->rank; k++)
        if (c->dim[k] - (size_t)place[k] * c->chunk[k] < c->chunk[k]) return true;
    return false;
}

rnnd_code h5_put_chunk(struct h5 *f, struct h5_chunks *c, const uint64_t *place, uint64_t address, uint64_t bytes,
                       uint32_t mask, rnnd_error *err)
{
    size_t number = 0;
    struct bytes stored, plain;
    for (int k = 0; k < c->rank; k++) {
        if (place[k] >= c->grid[k]) return damaged(err);
        number = number * c->grid[k] + (size_t)place[k];
    }
    if (c->seen[number / 8] >> (number % 8) & 1)
        return fail(err, RNND_CORRUPT, "HDF5: a chunk of a dataset is there twice");
    c->seen[number / 8] |= (uint8_t)(1 << (number % 8));
    if (!h5_at(f, address, bytes, &stored)) return h5_damaged("a chunk", address, err);
    rnnd_code code = h5_work(f, 1 + (c->chunk_bytes + bytes) / 64, err); /* many may say they are the same bytes */
    if (code) return code;
    if (c->edges_plain && reaches_over(c, place)) mask = UINT32_MAX;
    code = h5_unfilter(&c->filters, mask, stored, c->work, c->room, &plain, err);
    if (code) return code;
    if (plain.size != c->chunk_bytes)
        return fail(err, RNND_CORRUPT, "HDF5: a chunk has %zu bytes, wanted %zu", plain.size, c->chunk_bytes);
    copy_chunk(c, place, plain.data);
    c->found++;
    return RNND_OK;
}

/* ---- B-trees ---- */

static rnnd_code read_key(struct h5 *f, struct h5_chunks *c, struct bytes *b, bool leaf, uint64_t *child,
                          uint64_t *bytes, uint64_t *mask, uint64_t *place, rnnd_error *err)
{
    bool good = h5_uint(b, 4, bytes) && h5_uint(b, 4, mask);
    for (int k = 0; good && k < c->rank; k++) {
        good = h5_uint(b, 8, &place[k]) && (!leaf || place[k] % c->chunk[k] == 0);
        if (good) place[k] /= c->chunk[k];
    }
    return good && h5_skip(b, 8) && h5_offset(f, b, child) ? RNND_OK : damaged(err);
}

static rnnd_code read_tree1(struct h5 *f, struct h5_chunks *c, uint64_t address, int level, rnnd_error *err)
{
    struct bytes b;
    uint64_t type, found, count, child, bytes, mask, place[MAX_RANK];
    rnnd_code code = h5_work(f, 1, err);
    if (code) return code;
    if (!h5_signed(f, address, "TREE", &b) || !h5_uint(&b, 1, &type) || type != 1 || !h5_uint(&b, 1, &found) ||
        found > MAX_LEVELS || (level >= 0 && found != (uint64_t)level) || !h5_uint(&b, 2, &count) ||
        !h5_skip(&b, 2 * (size_t)f->offset_bytes))
        return h5_damaged("a B-tree of chunks", address, err);
    for (uint64_t i = 0; i < count && !code; i++) {
        code = read_key(f, c, &b, found == 0, &child, &bytes, &mask, place, err);
        if (code) break;
        code = found ? read_tree1(f, c, child, (int)found - 1, err)
                     : h5_put_chunk(f, c, place, child, bytes, (uint32_t)mask, err);
    }
    return code;
}

/* address, [bytes, mask u32], place along each axis u64 */
static rnnd_code visit_chunk(struct h5 *f, void *context, struct bytes record, rnnd_error *err)
{
    struct h5_chunks *c = context;
    uint64_t address, bytes = c->chunk_bytes, mask = 0, place[MAX_RANK];
    size_t fixed = f->offset_bytes + 8 * (size_t)c->rank;
    bool good = h5_offset(f, &record, &address);
    if (good && c->filters.count)
        good = record.size > fixed + 4 && record.size <= fixed + 12 &&
               h5_uint(&record, (unsigned)(record.size - fixed - 4), &bytes) && h5_uint(&record, 4, &mask);
    for (int k = 0; good && k < c->rank; k++)
        good = h5_uint(&record, 8, &place[k]);
    return good ? h5_put_chunk(f, c, place, address, bytes, (uint32_t)mask, err) : damaged(err);
}

/* ---- layouts ---- */

/* An axis that grows without end comes first, so that growing does not renumber. */
void h5_place(const struct h5_chunks *c, uint64_t number, uint64_t *place)
{
    int endless = -1;
    for (int k = 0; k < c->rank && endless < 0; k++)
        if (c->most[k] == SIZE_MAX) endless = k;
    for (int k = c->rank - 1; k >= 0; k--) {
        uint64_t n = c->most[k] / c->chunk[k] + (c->most[k] % c->chunk[k] != 0);
        if (k == endless || (k == 0 && endless < 0)) continue;
        place[k] = number % n;
        number /= n;
    }
    place[endless < 0 ? 0 : endless] = number;
}

static rnnd_code read_sizes(struct h5_chunks *c, struct bytes *b, uint64_t axes, unsigned width, rnnd_error *err)
{
    uint64_t n;
    c->chunk_bytes = c->element;
    c->chunk_count = 1;
    if (axes != (uint64_t)c->rank + 1 || c->rank == 0 || width < 1 || width > 8) return damaged(err);
    for (int k = 0; k < c->rank; k++) {
        if (!h5_uint(b, width, &n) || n == 0 || !size_mul(c->chunk_bytes, (size_t)n, &c->chunk_bytes))
            return damaged(err);
        c->chunk[k] = (size_t)n;
        c->grid[k] = c->dim[k] / c->chunk[k] + (c->dim[k] % c->chunk[k] != 0);
        c->chunk_count *= c->grid[k]; /* no more than there are elements */
    }
    return h5_uint(b, width, &n) && n == c->element ? RNND_OK : damaged(err);
}

/* Buffers for as long as one dataset is read; what filters add to a chunk before deflate is 4 bytes each. */
static rnnd_code open_buffers(struct h5 *f, struct h5_chunks *c, rnnd_error *err)
{
    if (c->chunk_bytes > f->budget / 2 || !size_add(c->chunk_bytes, 4 * H5_MAX_FILTERS, &c->room))
        return fail(err, RNND_TOO_LARGE, "HDF5: a chunk of %zu bytes in a file of %zu", c->chunk_bytes, f->file.size);
    c->seen = h5_alloc(f, c->chunk_count / 8 + 1, 1, err);
    if (!c->seen) return f->failed;
    for (int i = 0; i < 2 && c->filters.count; i++)
        if (!(c->work[i] = mem_alloc(c->room, 1))) return fail_memory(err, c->room);
    return RNND_OK;
}

static rnnd_code read_one_chunk(struct h5 *f, struct h5_chunks *c, struct bytes *b, bool filtered, rnnd_error *err)
{
    uint64_t address, bytes = c->chunk_bytes, mask = 0, place[MAX_RANK] = {0};
    if ((filtered && (!h5_length(f, b, &bytes) || !h5_uint(b, 4, &mask))) || !h5_offset(f, b, &address))
        return damaged(err);
    if (address == H5_UNDEFINED) return RNND_OK;
    return h5_put_chunk(f, c, place, address, bytes, (uint32_t)mask, err);
}

static rnnd_code read_row(struct h5 *f, struct h5_chunks *c, struct bytes *b, rnnd_error *err)
{
    uint64_t address, place[MAX_RANK];
    rnnd_code code = RNND_OK;
    if (!h5_offset(f, b, &address)) return damaged(err);
    for (size_t i = 0; c->found < c->chunk_count && address != H5_UNDEFINED && !code; i++) {
        bool inside = true;
        h5_place(c, i, place);
        for (int k = 0; k < c->rank; k++)
            inside = inside && place[k] < c->grid[k];
        if (!inside && (code = h5_work(f, 1, err))) break;
        if (inside) code = h5_put_chunk(f, c, place, address, c->chunk_bytes, 0, err);
        address += c->chunk_bytes;
    }
    return code;
}

static rnnd_code read_index(struct h5 *f, struct h5_chunks *c, uint64_t flags, struct bytes *b, rnnd_error *err)
{
    uint64_t kind, address;
    if (!h5_uint(b, 1, &kind)) return damaged(err);
    if (kind == 1) return read_one_chunk(f, c, b, flags & 2, err);
    if (kind == 2) return read_row(f, c, b, err);
    if (kind < 3 || kind > 5 || !h5_skip(b, kind == 3 ? 1 : kind == 4 ? 5 : 6) || !h5_offset(f, b, &address))
        return damaged(err);
    if (address == H5_UNDEFINED) return RNND_OK;
    if (kind == 3) return h5_fixed_array(f, c, address, err);
    if (kind == 4) return h5_extensible_array(f, c, address, err);
    return h5_tree2(f, address, c->filters.count ? 11 : 10, visit_chunk, c, err);
}

rnnd_code h5_read_chunks(struct h5 *f, struct h5_chunks *c, unsigned version, struct bytes b, rnnd_error *err)
{
    uint64_t flags = 0, axes, width = 4, address = H5_UNDEFINED;
    bool good = (version == 3 || h5_uint(&b, 1, &flags)) && h5_uint(&b, 1, &axes) &&
                (version == 3 ? h5_offset(f, &b, &address) : h5_uint(&b, 1, &width));
    if (!good) return damaged(err);
    rnnd_code code = read_sizes(c, &b, axes, (unsigned)width, err);
    c->edges_plain = flags & 1;
    if (!code) code = open_buffers(f, c, err);
    if (!code && version > 3)
        code = read_index(f, c, flags, &b, err);
    else if (!code && address != H5_UNDEFINED)
        code = read_tree1(f, c, address, -1, err);
    mem_free(c->work[0]);
    mem_free(c->work[1]);
    c->work[0] = c->work[1] = NULL;
    return code;
}
