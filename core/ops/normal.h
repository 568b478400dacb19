/* normal.h -- what the two files of norms share. */
#ifndef RNND_OPS_NORMAL_H
#define RNND_OPS_NORMAL_H

#include "core/ops/op.h"

struct moments { double mean, variance; };
/* Summed in order, in double precision; count is at least 1. */
struct moments moments_of(const float *x, size_t count);

extern const struct op op_batch_norm, op_instance_norm, op_group_norm; /* norms.c */

#endif
