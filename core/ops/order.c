/* order.c -- tensor operators: where the order along an axis matters. */
#include "core/ops/ops.h"

const struct op *const ops_order[] = {NULL};
