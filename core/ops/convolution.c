/* convolution.c -- tensor operators: convolutions and pooling. */
#include "core/ops/ops.h"

const struct op *const ops_convolution[] = {NULL};
