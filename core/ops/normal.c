/* normal.c -- tensor operators: softmax and norms along an axis. */
#include "core/ops/ops.h"

const struct op *const ops_normal[] = {NULL};
