/* hdf5.h -- reads the part of HDF5 that Keras and h5py write (File Format Specification 3.0), trusting nothing in it.
 *
 * Covered: superblocks 0, 2 and 3; object headers 1 and 2; groups as symbol tables, as link messages, and (dense) in
 * fractal heaps; datasets contiguous, compact, and chunked by B-tree 1 with deflate, shuffle or no filter; numbers of
 * either byte order, fixed and variable strings; attributes in the header. What else is met is UNSUPPORTED by name. */
#ifndef RNND_HDF5_H
#define RNND_HDF5_H

#include "core/base/mem.h"
#include "core/formats/checkpoint.h"
#include "core/rnnd.h"

struct h5; /* an open file: borrows its bytes */
rnnd_code h5_open(const uint8_t *data, size_t bytes, struct arena *arena, struct h5 **out, rnnd_error *err);

/* Objects are named by full paths, "/model_weights/lstm/lstm/kernel:0"; the leading slash may be left out. */
enum h5_kind { H5_NONE, H5_GROUP, H5_DATASET };
rnnd_code h5_kind_of(struct h5 *f, const char *path, enum h5_kind *out, rnnd_error *err); /* H5_NONE: no such thing */
/* Names of a group's members, in name order, in the arena. */
rnnd_code h5_list(struct h5 *f, const char *path, const char *const **names, size_t *count, rnnd_error *err);

/* Attributes that are strings or arrays of strings, fixed or variable; NULL and 0 where there is none of the name. */
rnnd_code h5_attr_strings(struct h5 *f, const char *path, const char *attr, const char *const **out, size_t *count,
                          rnnd_error *err);
/* One string (bytes: without the terminator); *out NULL where there is none. */
rnnd_code h5_attr_string(struct h5 *f, const char *path, const char *attr, const char **out, size_t *bytes,
                         rnnd_error *err);
/* A dataset of numbers as a tensor named `path` without the leading slash: raw borrowed from the file where it lies
 * contiguous and little-endian, else in the arena. A dataset without data (a model never built) is CORRUPT and says so.
 */
rnnd_code h5_dataset(struct h5 *f, const char *path, struct checkpoint_tensor *out, rnnd_error *err);

#endif
