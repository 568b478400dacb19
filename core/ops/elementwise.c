/* elementwise.c -- tensor operators: what happens to each element by itself, with broadcasting. */
#include "core/ops/ops.h"

const struct op *const ops_elementwise[] = {NULL};
