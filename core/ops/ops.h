/* ops.h -- the operations that op.c lists, each from the file of its kind. */
#ifndef RNND_OPS_H
#define RNND_OPS_H

#include "core/ops/op.h"

/* recurrent.c. Inputs x [T][B][I], h [B][R], c [B][H] (LSTM), then constants w_ih [G*H][I], w_hh [G*H][R], b_ih [G*H],
 * b_hh [G*H], and for the LSTM w_hr [P][H], peephole [3][H]; then mask [T][B][1]: where it is 0 the states stand still,
 * and y is h as it stands. Outputs y [T][B][R], the last h, the last c (LSTM). rnn and gru keep the numbering: their
 * inputs 2, 7, 8 and output 2 are absent. */
extern const struct op op_lstm, op_gru, op_rnn;
extern const struct op op_attend;    /* attend.c: x [T][B][F], w [F]; a weighted mean over time [1][B][F] */
extern const struct op op_embedding; /* embedding.c: ids as floats [T][B][1], table [V][E] */
extern const struct op op_dense;     /* dense.c: x, weight [O][I], bias [O]; attribute activation */
extern const struct op op_activation, op_softmax, op_log_softmax, op_layer_norm, op_scale_shift; /* rowwise.c */
extern const struct op op_add, op_sub, op_mul;                                                   /* rowwise.c */
extern const struct op op_differs; /* mask.c: x; attribute value -> [T][B][1], 1 where a feature is another, else 0 */
extern const struct op op_masked;  /* mask.c: x, mask [T][B][1] -> each row times its own number */
extern const struct op op_concat, op_slice, op_last, op_as_step, op_reverse, op_identity;        /* shape.c */

/* Tensor operators, named and defined as in ONNX opset 18; one NULL-terminated list a file. ConstantOfShape takes its
 * value as a second input of one element or as an attribute: a number, or ATTR_POINTER to such a struct tensor. */
extern const struct op *const ops_elementwise[]; /* elementwise.c: Add ... Pow, Max, Mean, with broadcasting */
extern const struct op *const ops_functions[];   /* functions.c: Relu ... Erf, Clip, Identity, Dropout */
extern const struct op *const ops_compare[];     /* compare.c: Equal ..., And, Where, Cast */
extern const struct op *const ops_layout[];      /* layout.c: Transpose, Reshape, Concat, Split, Slice ... */
extern const struct op *const ops_fill[];        /* fill.c: Shape, Expand, Tile, ConstantOfShape, Range, Pad ... */
extern const struct op *const ops_gather[];      /* gather.c: Gather, Scatter and their kin, Compress, NonZero */
extern const struct op *const ops_reduce[];      /* reduce.c: ReduceMean ..., ArgMax */
extern const struct op *const ops_order[];       /* order.c: CumSum, TopK, ReverseSequence, Trilu */
extern const struct op *const ops_linear[];      /* linear.c: MatMul, Gemm, Einsum's common forms */
extern const struct op *const ops_convolution[]; /* convolution.c: Conv, pooling */
extern const struct op *const ops_normal[];      /* normal.c: Softmax, LayerNormalization, BatchNormalization ... */
extern const struct op *const ops_sequence[];    /* sequence_ops.c: LSTM, GRU, RNN */
extern const struct op *const ops_control[];     /* control.c: If, Loop, Scan */

/* Whether two nodes of the kind that were prepared alike hold the same weights, to the bit. */
bool dense_same(const struct graph_node *a, const struct graph_node *b);
bool recurrent_same(const struct graph_node *a, const struct graph_node *b);

#endif
