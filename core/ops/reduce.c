/* reduce.c -- tensor operators: along axes: sums, means, extremes. */
#include "core/ops/ops.h"

const struct op *const ops_reduce[] = {NULL};
