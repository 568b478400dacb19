/* keras_document.h -- what has been read of a Keras file: its architecture, and which tensors are whose. */
#ifndef RNND_KERAS_DOCUMENT_H
#define RNND_KERAS_DOCUMENT_H

#include "core/formats/checkpoint.h"
#include "core/formats/hdf5.h"
#include "core/formats/json.h"

struct keras_group { /* .h5: a layer's weights, in the order of get_weights() */
    const char *layer;
    const char **tensors; /* names in the checkpoint */
    size_t count;
};

struct keras_folder { /* .keras: a folder that has weights, and the name of the layer it is of, "" if it says none */
    const char *path, *name;
};

struct keras_document {
    struct json *config; /* {"class_name", "config"} or NULL */
    const char *version; /* "2.13.1", or "" */
    int64_t major;       /* 2 where an .h5 does not say */
    bool zero_masked;    /* this version's Bidirectional answers zeros at masked steps, not the output before */
    bool by_name;        /* .h5: groups say whose a tensor is; else its folder does */
    struct keras_group *groups;
    size_t group_count;
    struct keras_folder *folders; /* by path */
    size_t folder_count;
};

/* keras_files.c: the tensors of an open HDF5 file into the checkpoint and the tables above. By name: those of the
 * groups below `root` ("" or "model_weights"); by folder: every vars/N. */
rnnd_code keras_read_groups(struct h5 *f, const char *root, struct checkpoint *out, struct keras_document *doc,
                            rnnd_error *err);
rnnd_code keras_read_folders(struct h5 *f, struct checkpoint *out, struct keras_document *doc, rnnd_error *err);

#endif
