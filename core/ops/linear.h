/* linear.h -- what linear.c lists from the file beside it. */
#ifndef RNND_OPS_LINEAR_H
#define RNND_OPS_LINEAR_H

#include "core/ops/op.h"

extern const struct op op_einsum; /* einsum.c */

#endif
