/* checkpoint.h -- what every file format is read into: named tensors, and the configuration text if the file has one.
 */
#ifndef RNND_CHECKPOINT_H
#define RNND_CHECKPOINT_H

#include "core/base/mem.h"
#include "core/graph/graph.h"
#include "core/rnnd.h"

#define CHECKPOINT_MAX_TENSORS ((size_t)1 << 16)

enum stored {
    STORED_BOOL,
    STORED_U8,
    STORED_I8,
    STORED_I16,
    STORED_U16,
    STORED_F16,
    STORED_BF16,
    STORED_I32,
    STORED_U32,
    STORED_F32,
    STORED_F64,
    STORED_I64,
    STORED_U64,
    STORED_COUNT
};
extern const struct stored_type {
    const char *name;
    size_t bytes;
} stored_types[STORED_COUNT];

struct checkpoint_tensor {
    const char *name;
    enum stored stored;
    int rank;
    size_t dim[MAX_RANK];
    size_t count;       /* elements */
    const uint8_t *raw; /* borrowed from the file's bytes: count elements, little-endian, any alignment */
    float *floats;      /* made by checkpoint_floats() */
    int reduced;        /* it holds weights in fewer bits, summed over the dimension before this; 0: it does not */
    const uint8_t *largest; /* of its rows, F32 of any alignment: int8 (formats/reduced.h) */
    bool found;         /* somebody has asked for it */
};

struct checkpoint {
    struct arena arena;                /* names, tables */
    struct checkpoint_tensor *tensors; /* by name, in byte order */
    size_t count, cap;                 /* cap: of checkpoint_add */
    const char *config;                /* JSON text or NULL */
    size_t config_bytes;
    bool config_made; /* the reader wrote it from the file's own architecture: one beside the file wins over it */
    enum precision precision;    /* of the reduced ones among its tensors, */
    double precision_error;      /* and what that was measured to cost */
    const struct format *format; /* what has read it */
    void *own;                   /* the format's own document (an architecture), or NULL */
    void (*release)(void *own);  /* called by checkpoint_free, may be NULL */
    const void *mapped;          /* the file's bytes, where they are a map of it */
    size_t mapped_bytes;
    uint8_t *memory[4]; /* blocks that tensors borrow from besides the file (inflated entries); freed too */
};

void checkpoint_init(struct checkpoint *ck);
void checkpoint_free(struct checkpoint *ck);
/* Sorts the tensors by name; a name twice is CORRUPT. Before any find. */
rnnd_code checkpoint_finish(struct checkpoint *ck, rnnd_error *err);
/* NULL if it is not there; sets `found`, which tells what a network is made of. */
struct checkpoint_tensor *checkpoint_find(const struct checkpoint *ck, const char *name);
/* Adds a tensor (its name copied, raw borrowed), room growing; before checkpoint_finish. */
rnnd_code checkpoint_add(struct checkpoint *ck, const struct checkpoint_tensor *t, rnnd_error *err);
/* The elements as float32; the checkpoint's, or the file's where they lie there as such. */
rnnd_code checkpoint_floats(struct checkpoint_tensor *t, const float **out, rnnd_error *err);
/* What was made of reduced tensors has been copied: frees it, until it is asked for again. */
void checkpoint_forget(struct checkpoint *ck);
/* What the graph is made of has been copied: the file's pages need no memory until its digest is taken. */
void checkpoint_rest(const struct checkpoint *ck);
enum dtype stored_dtype(enum stored stored); /* what it becomes in a tensor graph */
/* A constant of a tensor graph, of the tensor's name: floats, whole numbers (beyond int64: the largest there is) or
 * truths. Its value number, or -1: no memory. */
int checkpoint_constant(struct graph *g, const struct checkpoint_tensor *t);
/* "[3, 4]" of a shape into text, for messages. */
const char *shape_text(char text[96], int rank, const size_t *dim);

#endif
