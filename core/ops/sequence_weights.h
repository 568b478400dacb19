/* sequence_weights.h -- the weights and activations of ONNX's LSTM, GRU and RNN, read into our cells. */
#ifndef RNND_OPS_SEQUENCE_WEIGHTS_H
#define RNND_OPS_SEQUENCE_WEIGHTS_H

#include "core/cells/cell.h"
#include "core/ops/op.h"

enum { SEQ_X, SEQ_W, SEQ_R, SEQ_B, SEQ_LENS, SEQ_H, SEQ_C, SEQ_P, SEQ_MASK };

struct sequence_node { /* one node, ready to run */
    enum cell_kind kind;
    size_t directions; /* 1 or 2; the second is the reverse one */
    bool reverse;      /* the only direction is */
    bool batch_first;  /* layout 1 */
    size_t inputs, hidden;
    struct cell *cell[2];
};

/* What a node says of one direction: weights in our order, borrowed while `use` runs. The matrices, from
 * mem_aligned(), can be kept: who sets one of `own` to NULL has taken it. */
struct sequence_matrices {
    float *w_ih, *w_hh;
};
struct sequence_use {
    rnnd_code (*use)(void *context, size_t direction, const struct cell_spec *spec, struct sequence_matrices *own,
                     rnnd_error *err);
    void *context;
};
/* `in`: W [D][G*H][I], R [D][G*H][H], B [D][2*G*H], P [D][3*H] at their places, gates in the order of ONNX. */
rnnd_code sequence_each(const struct graph_node *n, const struct tensor *const in[SEQ_MASK], enum cell_kind kind,
                        const struct sequence_use *use, struct sequence_node *out, rnnd_error *err);
/* The same, preparing the node's cells. On failure what is there already is still the caller's to free. */
rnnd_code sequence_read(const struct kernels *kernels, const struct graph_node *n,
                        const struct tensor *const in[SEQ_MASK], enum cell_kind kind, struct sequence_node *out,
                        rnnd_error *err);
/* Those weights where the graph has them as constants; false if some are computed. */
bool sequence_constants(const struct graph *g, const struct graph_node *n, const struct tensor *in[SEQ_MASK]);

#endif
