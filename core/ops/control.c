/* control.c -- tensor operators: If, Loop, Scan. */
#include "core/ops/ops.h"

const struct op *const ops_control[] = {NULL};
