/* torch_parts.h -- what the files of the PyTorch reader share. Inside formats/torch* only. */
#ifndef RNND_TORCH_PARTS_H
#define RNND_TORCH_PARTS_H

#include "core/formats/pickle.h"
#include "core/formats/torch.h"
#include "core/formats/zip.h"

struct torch_storage { /* from ('storage', type, key, device, count[, view]) */
    const struct pickle_value *key;
    const char *type;    /* "FloatStorage" */
    size_t count;        /* elements */
    const uint8_t *raw;  /* NULL until it is loaded */
    size_t bytes;
};

struct torch_owned { /* inflated entries, freed with the checkpoint */
    struct torch_owned *next;
    uint8_t *data;
};

struct torch_document { /* behind ck->own */
    struct torch_file file; /* first */
    struct torch_owned *owned;
    size_t module_cap, order_cap;
};

struct torch_reader {
    const uint8_t *data;
    size_t bytes;
    struct checkpoint *ck;
    struct torch_document *document;
    struct arena values; /* the pickles and tables of reading, gone afterwards */
    struct pickle pickle;
    struct torch_storage *storages; /* by key */
    size_t storage_count;
    bool big_endian;
    struct zip zip; /* of a zip file */
    const char *root;
    size_t made, made_limit; /* bytes copied or inflated, and how many may be */
    size_t visits;
    rnnd_error *err;
};

struct torch_element { /* what a storage class holds */
    const char *storage, *dtype; /* "FloatStorage", "float32" */
    enum stored stored;
};
const struct torch_element *torch_element(const char *storage); /* NULL: not one that is read */

/* torch_tensors.c */
rnnd_code torch_storages(struct torch_reader *r); /* the table, from the pickle's persistent ids */
struct torch_storage *torch_storage_find(struct torch_reader *r, const struct pickle_value *key);
bool torch_is_tensor(const struct pickle_value *v);
rnnd_code torch_add_tensor(struct torch_reader *r, const struct pickle_value *v, const char *name);
/* Counts bytes about to be made; TOO_LARGE beyond the limit. */
rnnd_code torch_make_room(struct torch_reader *r, size_t bytes, const char *what);

/* torch_walk.c: tensors and modules of the pickle's root */
rnnd_code torch_walk(struct torch_reader *r);

/* torch_legacy.c */
extern const uint8_t torch_legacy_magic[15];
rnnd_code torch_legacy(struct torch_reader *r);

/* torch.c: a storage's bytes from the zip */
rnnd_code torch_zip_load(struct torch_reader *r, struct torch_storage *s);

#endif
