/* hdf5_internal.h -- what the files of the HDF5 reader share. Inside formats/hdf5*.c only.
 *
 * All reads go through struct bytes, cut from the file by h5_at. Two ceilings hold for an open file as a whole, both
 * proportional to its size: `work` (things visited, bytes unpacked) and `budget` (memory). So whatever a file's
 * structures say, shared, repeated or in circles, reading it ends soon and small. */
#ifndef RNND_HDF5_INTERNAL_H
#define RNND_HDF5_INTERNAL_H

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/formats/hdf5.h"

#define H5_UNDEFINED UINT64_MAX /* an address that is none, whatever the file's width of addresses */

enum { /* types of messages in object headers */
    H5_SPACE = 0x01,
    H5_LINK_INFO = 0x02,
    H5_TYPE = 0x03,
    H5_OLD_FILL = 0x04,
    H5_FILL = 0x05,
    H5_LINK = 0x06,
    H5_EXTERNAL = 0x07,
    H5_LAYOUT = 0x08,
    H5_GROUP_INFO = 0x0a,
    H5_FILTERS = 0x0b,
    H5_ATTRIBUTE = 0x0c,
    H5_CONTINUED = 0x10,
    H5_SYMBOLS = 0x11,
    H5_ATTRIBUTE_INFO = 0x15
};

struct h5_message {
    unsigned type, flags;
    struct bytes body;
};
struct h5_link {
    const char *name;
    enum h5_link_kind { H5_HARD, H5_SOFT, H5_ELSEWHERE } kind;
    uint64_t address;   /* hard: of the object's header */
    const char *target; /* soft: a path */
};
struct h5_attribute {
    const char *name;
    struct bytes body; /* the whole message */
};
struct h5_object { /* a header that was read, kept by its address; lists are made when first asked for */
    uint64_t address;
    struct h5_message *messages;
    struct h5_link *links; /* by name */
    const char **names;    /* theirs */
    struct h5_attribute *attributes; /* by name */
    size_t count, cap, link_count, link_cap, attribute_count, attribute_cap;
    bool has_links, has_attributes;
};

struct h5 {
    struct bytes file; /* from the superblock on: addresses count from there */
    struct arena *arena;
    unsigned offset_bytes, length_bytes; /* widths of addresses and of sizes in the file */
    uint64_t root;
    uint64_t work;
    size_t budget;
    rnnd_code failed; /* why h5_alloc last gave NULL */
    struct h5_object **objects; /* open addressing by address */
    size_t object_count, object_cap;
};

/* ---- hdf5.c ---- */
rnnd_code h5_damaged(const char *what, uint64_t address, rnnd_error *err); /* CORRUPT: "... at byte N is damaged" */
rnnd_code h5_work(struct h5 *f, uint64_t n, rnnd_error *err);              /* takes n off the file's work */
void *h5_alloc(struct h5 *f, size_t count, size_t size, rnnd_error *err);  /* in the arena; NULL: f->failed */
char *h5_text(struct h5 *f, const uint8_t *s, size_t bytes, rnnd_error *err);
/* Room for one more element in a list in the arena. */
rnnd_code h5_grow(struct h5 *f, void **list, size_t count, size_t *cap, size_t size, rnnd_error *err);
bool h5_at(const struct h5 *f, uint64_t address, uint64_t bytes, struct bytes *out);
bool h5_from(const struct h5 *f, uint64_t address, struct bytes *out); /* from there to the end */
/* From there, behind a signature of four letters. */
bool h5_signed(const struct h5 *f, uint64_t address, const char *signature, struct bytes *out);
bool h5_skip(struct bytes *b, size_t n);
bool h5_uint(struct bytes *b, unsigned bytes, uint64_t *v); /* at most 8 */
bool h5_offset(const struct h5 *f, struct bytes *b, uint64_t *v);
bool h5_length(const struct h5 *f, struct bytes *b, uint64_t *v);

/* ---- hdf5_objects.c ---- */
rnnd_code h5_object_at(struct h5 *f, uint64_t address, struct h5_object **out, rnnd_error *err);
const struct h5_message *h5_find(const struct h5_object *o, unsigned type); /* the first of a type, or NULL */
/* The body of a message, looked up elsewhere if it is a shared one. */
rnnd_code h5_body(struct h5 *f, bool shared, struct bytes in, unsigned type, struct bytes *out, rnnd_error *err);
rnnd_code h5_resolve(struct h5 *f, const char *path, struct h5_object **out, rnnd_error *err); /* NULL: not there */

/* ---- hdf5_groups.c ---- */
rnnd_code h5_links(struct h5 *f, struct h5_object *o, rnnd_error *err); /* fills links and names */

/* ---- hdf5_heaps.c ---- */
struct h5_heap { /* a fractal heap */
    uint64_t address, huge_tree, root;
    uint64_t start, max_direct; /* bytes of the first and of the largest direct block */
    unsigned id_bytes, offset_bytes, size_bytes, width, root_rows, direct_rows;
};
rnnd_code h5_heap_open(struct h5 *f, uint64_t address, struct h5_heap *out, rnnd_error *err);
rnnd_code h5_heap_get(struct h5 *f, const struct h5_heap *h, struct bytes id, struct bytes *out, rnnd_error *err);
typedef rnnd_code (*h5_visit)(struct h5 *f, void *context, struct bytes record, rnnd_error *err);
/* Every record of a B-tree of version 2, in order. */
rnnd_code h5_tree2(struct h5 *f, uint64_t address, unsigned type, h5_visit visit, void *context, rnnd_error *err);

/* ---- hdf5_types.c ---- */
struct h5_type {
    enum { H5_NUMBERS, H5_FIXED, H5_VARIABLE } kind; /* numbers, strings of `bytes`, strings in the global heap */
    enum stored stored;
    size_t bytes;
    bool big; /* big-endian */
    unsigned padding; /* fixed strings: 0 ended by NUL, 1 padded with NUL, 2 with spaces */
};
struct h5_space {
    int rank;
    size_t dim[MAX_RANK], most[MAX_RANK], count; /* most: what it may grow to, SIZE_MAX: without end */
    bool null; /* not even a scalar */
};
rnnd_code h5_read_type(struct h5 *f, struct bytes b, struct h5_type *out, rnnd_error *err);
rnnd_code h5_read_space(struct h5 *f, struct bytes b, struct h5_space *out, rnnd_error *err);

/* ---- hdf5_filters.c ---- */
#define H5_MAX_FILTERS 8
struct h5_filters {
    size_t count;
    struct {
        unsigned id, optional;
        size_t element; /* of shuffle */
    } list[H5_MAX_FILTERS];
};
rnnd_code h5_read_filters(struct bytes b, struct h5_filters *out, rnnd_error *err);
/* Undoes the filters but those masked out. `work` is two buffers of room bytes each; *out is in one of them, or `in`.
 */
rnnd_code h5_unfilter(const struct h5_filters *p, uint32_t mask, struct bytes in, uint8_t *const work[2], size_t room,
                      struct bytes *out, rnnd_error *err);

/* ---- hdf5_chunks.c ---- */
struct h5_chunks { /* a chunked dataset being put together */
    int rank;
    size_t dim[MAX_RANK], most[MAX_RANK], chunk[MAX_RANK]; /* sizes of all, now and at most; of a chunk */
    size_t grid[MAX_RANK]; /* chunks along each axis */
    size_t element, chunk_bytes, chunk_count, found;
    struct h5_filters filters;
    bool edges_plain; /* chunks that reach over the edge are not filtered */
    uint8_t *out, *seen, *work[2]; /* whole; one bit a chunk; two buffers */
    size_t room;                   /* of a buffer */
};
/* The layout message from behind its version and class. Fills c->out, which holds the fill value already. */
rnnd_code h5_read_chunks(struct h5 *f, struct h5_chunks *c, unsigned version, struct bytes layout, rnnd_error *err);
/* A chunk by its place in the grid, `bytes` as stored at `address`. */
rnnd_code h5_put_chunk(struct h5 *f, struct h5_chunks *c, const uint64_t *place, uint64_t address, uint64_t bytes,
                       uint32_t mask, rnnd_error *err);

/* The place of a chunk by its number, where chunks are counted up to the most there may be. */
void h5_place(const struct h5_chunks *c, uint64_t number, uint64_t *place);

/* ---- hdf5_arrays.c: chunk indices that are arrays ---- */
rnnd_code h5_extensible_array(struct h5 *f, struct h5_chunks *c, uint64_t address, rnnd_error *err);
rnnd_code h5_fixed_array(struct h5 *f, struct h5_chunks *c, uint64_t address, rnnd_error *err);

#endif
