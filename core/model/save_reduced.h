/* save_reduced.h -- writes a native file whose weights are kept in fewer bits. Inside core/model only. */
#ifndef RNND_SAVE_REDUCED_H
#define RNND_SAVE_REDUCED_H

#include "core/formats/safetensors.h"
#include "core/model/model.h"

struct save_how {                /* a precision of NULL or "fp32": as they are */
    const rnnd_options *options; /* of the model: kernel_row, precision, force_precision, or NULL */
    const struct task *const *tasks;
};

/* items and config make a native file, in fp32; this one opens in the precision with the very weights that the other
 * would be given in it. Tensors of which no such form is found stay as they are. MISMATCH where it costs too much,
 * UNSUPPORTED for a network that has no weights to reduce. */
rnnd_code save_reduced(const char *out, const struct safetensors_item *items, size_t count, const char *config,
                       const struct save_how *how, rnnd_error *err);

#endif
