/* linear.c -- tensor operators: matrix products. */
#include "core/ops/ops.h"

const struct op *const ops_linear[] = {NULL};
