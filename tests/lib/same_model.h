/* same_model.h -- whether two models are the same: what is told of them, and every run, bit for bit. */
#ifndef RNND_TEST_SAME_MODEL_H
#define RNND_TEST_SAME_MODEL_H

#include "core/rnnd.h"

/* Description (but format, digest and configuration; the framework of graphs alone), names, tokens; windows, steps with
 * their states, whole tensors with all that can be read by name, on inputs drawn from `seed`. What fails must fail in
 * the same words. NULL: the same; else the difference, good until the next call. *runs counts those that answered. */
const char *model_difference(const rnnd_model *a, const rnnd_model *b, uint64_t seed, size_t *runs);

#endif
