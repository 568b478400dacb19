/* reduced.h -- weights that a native file keeps in fewer bits.
 *
 * The configuration says "reduced": {"precision": "bf16" or "int8", "error": E, "along": {"TENSOR": AXIS, ..}}: E is
 * what the precision was measured to cost, AXIS the dimension over which an output sums. Such a tensor is stored as
 *   bf16   BF16: the upper half of each weight, of the nearest one that has the half before it as its lower half
 *          where its place along the axis is odd, and 0 where it is even
 *   int8   I8: multiples of L / 127, and "TENSOR.largest", F32, L: the same shape with 1 as AXIS
 * These are what a model opened in that precision makes of the plain weights: it makes the same of these. */
#ifndef RNND_REDUCED_H
#define RNND_REDUCED_H

#include "core/formats/checkpoint.h"
#include "core/formats/safetensors.h"
#include "core/kernels/kernels.h"

#define REDUCED_LARGEST ".largest"

/* "fp32" (or NULL), "bf16", "int8". UNSUPPORTED, naming them, for another word. */
rnnd_code precision_parse(const char *name, enum precision *out, rnnd_error *err);
const char *precision_name(enum precision precision);

/* After reading a file: marks its reduced tensors, which are floats from then on, and sets ck->precision and its error.
 * MISMATCH, CORRUPT name the tensor. */
rnnd_code reduced_read(struct checkpoint *ck, rnnd_error *err);
/* The tensor's weights, t->count floats. */
void reduced_floats(const struct checkpoint_tensor *t, float *to);

struct reduced {                      /* a tensor of floats in fewer bits; data owned, names borrowed */
    struct safetensors_item items[2]; /* it, and in int8 the largest */
    size_t count;
};
/* `largest_name`: what that is to be called. */
rnnd_code reduced_make(const struct safetensors_item *from, int axis, enum precision precision,
                       const char *largest_name, struct reduced *out, rnnd_error *err);
void reduced_free(struct reduced *r);

#endif
