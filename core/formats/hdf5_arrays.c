/* hdf5_arrays.c -- lists of chunks that are arrays: element i is chunk i, the last axis fastest.
 *
 *   element: address, [bytes, mask u32]
 *   fixed array: "FAHD", version, client (1: chunks are filtered), bytes of an element, bits of a page, elements,
 *     address of "FADB", version, client, address of the head, then the elements and a checksum; or, if there are more
 *     than 2^bits, a bit for each page that was written and a checksum, then pages of 2^bits elements and a checksum
 *   extensible array: "EAHD", version, client, bytes of an element, bits of an index, elements in the index block, in
 *     the least data block, least pointers in a secondary block, bits of a page, 6 sizes, address of "EAIB", version,
 *     client, head, elements, addresses of data blocks, of secondary blocks. Secondary block u ("EASB", version,
 *     client, head, offset, written pages, addresses) is of 2^(u/2) data blocks ("EADB", version, client, head,
 *     offset, elements; or a checksum, then pages) of 2^((u+1)/2) times the least; the first few have no block of
 *     their own
 */
#include "core/formats/hdf5_internal.h"

struct array {
    uint64_t element_bytes, page; /* page: elements of one */
    bool filtered;
    unsigned offset_bytes; /* extensible: of an index */
    uint64_t least;        /* extensible: elements of the first data block */
    uint64_t next;         /* number of the element that comes */
};

static rnnd_code damaged(rnnd_error *err)
{
    return fail(err, RNND_CORRUPT, "HDF5: the array of a dataset's chunks is damaged");
}

static rnnd_code read_element(struct h5 *f, struct h5_chunks *c, const struct array *a, uint64_t number,
                              struct bytes *b, rnnd_error *err)
{
    uint64_t address, bytes = c->chunk_bytes, mask = 0, place[MAX_RANK];
    if (!h5_offset(f, b, &address) ||
        (a->filtered && (!h5_uint(b, (unsigned)(a->element_bytes - f->offset_bytes - 4), &bytes) ||
                         !h5_uint(b, 4, &mask))))
        return damaged(err);
    rnnd_code code = h5_work(f, 1, err);
    if (code || address == H5_UNDEFINED) return code;
    h5_place(c, number, place);
    return h5_put_chunk(f, c, place, address, bytes, (uint32_t)mask, err);
}

static rnnd_code read_elements(struct h5 *f, struct h5_chunks *c, struct array *a, uint64_t count, struct bytes *b,
                               rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    for (uint64_t i = 0; i < count && !code; i++)
        code = read_element(f, c, a, a->next++, b, err);
    return code;
}

/* `count` elements in pages, each with a checksum, of which those without their bit were never written. */
static rnnd_code read_pages(struct h5 *f, struct h5_chunks *c, struct array *a, uint64_t count, const uint8_t *written,
                            struct bytes *b, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    for (uint64_t i = 0; count > 0 && !code; i++) {
        uint64_t n = count < a->page ? count : a->page;
        count -= n;
        if (written[i / 8] >> (7 - i % 8) & 1) {
            code = read_elements(f, c, a, n, b, err);
        } else {
            a->next += n;
            if (n > b->size / a->element_bytes || !h5_skip(b, (size_t)(n * a->element_bytes))) code = damaged(err);
        }
        if (!code && !h5_skip(b, 4)) code = damaged(err);
    }
    return code;
}

static uint64_t pages_of(const struct array *a, uint64_t count)
{
    return count / a->page + (count % a->page != 0);
}

/* The beginning of both heads: version, client, bytes of an element. */
static bool read_head(const struct h5 *f, const struct h5_chunks *c, struct array *a, struct bytes *b)
{
    uint64_t version, client;
    if (!h5_uint(b, 1, &version) || version != 0 || !h5_uint(b, 1, &client) || client > 1 ||
        !h5_uint(b, 1, &a->element_bytes))
        return false;
    a->filtered = client;
    if (a->filtered != (c->filters.count > 0)) return false;
    return a->filtered ? a->element_bytes >= f->offset_bytes + 5u && a->element_bytes <= f->offset_bytes + 12u
                       : a->element_bytes == f->offset_bytes;
}

rnnd_code h5_fixed_array(struct h5 *f, struct h5_chunks *c, uint64_t address, rnnd_error *err)
{
    struct array a = {0};
    struct bytes b;
    uint64_t bits, data, count;
    const uint8_t *written;
    if (!h5_signed(f, address, "FAHD", &b) || !read_head(f, c, &a, &b) || !h5_uint(&b, 1, &bits) || bits > 32 ||
        !h5_length(f, &b, &count) || !h5_offset(f, &b, &data))
        return damaged(err);
    if (data == H5_UNDEFINED) return RNND_OK;
    if (!h5_signed(f, data, "FADB", &b) || !h5_skip(&b, 2 + (size_t)f->offset_bytes)) return damaged(err);
    a.page = (uint64_t)1 << bits;
    if (count <= a.page) return read_elements(f, c, &a, count, &b, err);
    uint64_t pages = pages_of(&a, count);
    if (pages / 8 >= b.size || !bytes_take(&b, (size_t)(pages + 7) / 8, &written) || !h5_skip(&b, 4))
        return damaged(err);
    return read_pages(f, c, &a, count, written, &b, err);
}

/* ---- extensible arrays ---- */

static rnnd_code read_data_block(struct h5 *f, struct h5_chunks *c, struct array *a, uint64_t address, uint64_t count,
                                 const uint8_t *written, rnnd_error *err)
{
    struct bytes b;
    if (address == H5_UNDEFINED) {
        a->next += count;
        return RNND_OK;
    }
    if (!h5_signed(f, address, "EADB", &b) || !h5_skip(&b, 2 + (size_t)f->offset_bytes + a->offset_bytes))
        return damaged(err);
    if (!written) return read_elements(f, c, a, count, &b, err);
    return h5_skip(&b, 4) ? read_pages(f, c, a, count, written, &b, err) : damaged(err);
}

static uint64_t blocks_of(uint64_t u)
{
    return (uint64_t)1 << (u / 2);
}

static uint64_t elements_of(const struct array *a, uint64_t u)
{
    return a->least << ((u + 1) / 2);
}

static rnnd_code read_secondary(struct h5 *f, struct h5_chunks *c, struct array *a, uint64_t address, uint64_t u,
                                rnnd_error *err)
{
    struct bytes b;
    uint64_t count = elements_of(a, u), bits = count > a->page ? (pages_of(a, count) + 7) / 8 : 0, block;
    const uint8_t *written;
    rnnd_code code = RNND_OK;
    if (address == H5_UNDEFINED) {
        a->next += blocks_of(u) * count;
        return RNND_OK;
    }
    if (!h5_signed(f, address, "EASB", &b) || !h5_skip(&b, 2 + (size_t)f->offset_bytes + a->offset_bytes) ||
        bits > b.size / blocks_of(u) || !bytes_take(&b, (size_t)(bits * blocks_of(u)), &written))
        return damaged(err);
    for (uint64_t i = 0; i < blocks_of(u) && !code; i++) {
        if (!h5_offset(f, &b, &block)) return damaged(err);
        code = read_data_block(f, c, a, block, count, bits ? written + i * bits : NULL, err);
    }
    return code;
}

struct plan { /* of an extensible array */
    uint64_t in_index, secondaries, first; /* elements in the index block; rows in all; the first with its own block */
};

static rnnd_code read_index_block(struct h5 *f, struct h5_chunks *c, struct array *a, const struct plan *p,
                                  uint64_t address, rnnd_error *err)
{
    struct bytes b;
    uint64_t block;
    rnnd_code code = RNND_OK;
    if (!h5_signed(f, address, "EAIB", &b) || !h5_skip(&b, 2 + (size_t)f->offset_bytes)) return damaged(err);
    code = read_elements(f, c, a, p->in_index, &b, err);
    for (uint64_t u = 0; u < p->secondaries && !code; u++)
        for (uint64_t i = 0; i < (u < p->first ? blocks_of(u) : 1) && !code; i++) {
            if (!h5_offset(f, &b, &block)) return damaged(err);
            code = u < p->first ? read_data_block(f, c, a, block, elements_of(a, u), NULL, err)
                                : read_secondary(f, c, a, block, u, err);
        }
    return code;
}

static unsigned bits_of(uint64_t n)
{
    unsigned bits = 0;
    while (n >>= 1)
        bits++;
    return bits;
}

rnnd_code h5_extensible_array(struct h5 *f, struct h5_chunks *c, uint64_t address, rnnd_error *err)
{
    struct array a = {0};
    struct plan p;
    struct bytes b;
    uint64_t bits, pointers, page, index;
    if (!h5_signed(f, address, "EAHD", &b) || !read_head(f, c, &a, &b) || !h5_uint(&b, 1, &bits) || bits > 48 ||
        !h5_uint(&b, 1, &p.in_index) || !h5_uint(&b, 1, &a.least) || !h5_uint(&b, 1, &pointers) ||
        !h5_uint(&b, 1, &page) || page > 32 || !h5_skip(&b, 6 * (size_t)f->length_bytes) || !h5_offset(f, &b, &index))
        return damaged(err);
    if (!a.least || a.least & (a.least - 1) || !pointers || pointers & (pointers - 1) || bits < bits_of(a.least))
        return damaged(err);
    a.page = (uint64_t)1 << page;
    a.offset_bytes = ((unsigned)bits + 7) / 8;
    p.secondaries = 1 + bits - bits_of(a.least);
    p.first = 2 * bits_of(pointers);
    if (p.first > p.secondaries) return damaged(err);
    return index == H5_UNDEFINED ? RNND_OK : read_index_block(f, c, &a, &p, index, err);
}
