/* fuse.h -- finds recurrent cells that a tensor graph writes out in a Loop or Scan, and puts LSTM, GRU, RNN nodes
 * there.
 *
 * Exporters without an operator for a layer write its equations into a loop: a row of the sequence, products with the
 * kernels, biases, slices for the gates, a carried state. The body is followed as sums of products of gates, whatever
 * the order and the names of its nodes; where that is the algebra of one cell, its weights are read off. Before
 * anything is replaced, body and new node are run on the same random numbers and must agree. */
#ifndef RNND_GRAPH_FUSE_H
#define RNND_GRAPH_FUSE_H

#include "core/graph/graph.h"

/* `g` is folded and not compiled. A Loop or Scan of the graph itself is replaced where it is one step after the other
 * of the whole sequence (or all of it backwards), every state is one of the cell's, and nothing else is read of it.
 * What it leaves unread is there still: fold again. New weights take at most limit_bytes together, and at most 256
 * cells are tried. *fused: how many were replaced. Only NO_MEMORY is an error. */
rnnd_code graph_fuse(struct graph *g, size_t limit_bytes, size_t *fused, rnnd_error *err);

#endif
