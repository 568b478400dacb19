/* tensors.h -- a layer's tensors: by role, or by the name that the configuration gives; and of the shape wanted. */
#ifndef RNND_TENSORS_H
#define RNND_TENSORS_H

#include "core/formats/checkpoint.h"
#include "core/formats/json.h"

/* Names that the configuration gives in "tensors"; it is an error if one is never asked for. */
#define TENSOR_NAMES_MAX 256
struct tensor_names {
    const struct json *object;
    const struct json *used[TENSOR_NAMES_MAX];
    size_t used_count;
};
/* The tensor of a role: by "tensors", else by its default name. */
struct checkpoint_tensor *tensor_named(struct tensor_names *names, const struct checkpoint *ck, const char *role,
                                       const char *fallback, const char **name);
rnnd_code tensor_names_check(const struct tensor_names *names, const char *layer, rnnd_error *err);
/* Floats of a tensor of this shape; leading dimensions of 1 do not count. MISMATCH names layer, tensor, wanted, found.
 */
rnnd_code tensor_floats(struct checkpoint_tensor *t, const char *layer, const char *name, int rank, const size_t *dim,
                        const float **out, rnnd_error *err);

#endif
