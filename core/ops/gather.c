/* gather.c -- tensor operators: elements picked and put by index. */
#include "core/ops/ops.h"

const struct op *const ops_gather[] = {NULL};
