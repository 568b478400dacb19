/* dialect.h -- how each framework writes a recurrent layer down, and reading any of them into the one canonical form.
 */
#ifndef RNND_DIALECT_H
#define RNND_DIALECT_H

#include "core/cells/cell.h"
#include "core/formats/tensors.h"

#define DIALECT_LAYOUTS "pytorch", "onnx", "keras", "tf1", "concat", "keras_cudnn"

enum weight_form {
    WEIGHTS_ROWS,    /* two tensors, [G*H][I] and [G*H][R]: y = W x */
    WEIGHTS_COLUMNS, /* two tensors, [I][G*H] and [R][G*H]: y = x K */
    WEIGHTS_CUDNN,   /* as columns, but a gate's block of the first holds [H][I] row by row, one of the second is W */
    WEIGHTS_JOINED,  /* one tensor [I+R][G*H], x's rows first; a GRU's candidate apart, [I+R][H] */
    WEIGHTS_GATES    /* one tensor per gate [H][R+I], h's columns first */
};
enum bias_form {
    BIAS_TWO,  /* b_ih [G*H], b_hh [G*H] */
    BIAS_ONE,  /* one [G*H]; a GRU with reset after: [2][3H], x's then h's */
    BIAS_PAIR, /* one [2*G*H], x's then h's */
    BIAS_GATES /* one [H] per gate */
};

struct dialect { /* one row: a framework and a kind of cell */
    const char *layout;
    enum cell_kind kind;
    const char *order; /* its gates, by our letters, in the file's order */
    enum weight_form weights;
    enum bias_form biases;
    bool stacked;                   /* tensors have a leading dimension of directions */
    bool suffixed;                  /* names end in _l{layer}[_reverse]; else the layer's name is extended */
    bool has_bias;                  /* where the configuration does not say */
    bool reset_before, z_takes_new; /* GRU, where the configuration does not say */
    float forget_bias;              /* added to the forget gate at load: the framework does it at run time */
    const char *peephole_order;
    const char *weight[4], *recurrent, *bias[4], *recurrent_bias, *projection; /* default names behind the layer's */
    bool projection_columns;                                                   /* projection is [H][P] */
};

const struct dialect *dialect_find(const char *layout, enum cell_kind kind);

struct cell_source { /* one layer and direction of a configured layer */
    const struct dialect *dialect;
    const struct checkpoint *checkpoint;
    struct tensor_names *names;
    const char *layer;
    size_t inputs, hidden, projection;
    size_t index, count; /* which of the stacked layers */
    bool reverse, both;  /* this direction; the layer has two */
    bool bias, peephole;
    bool bias_split; /* GRU with reset after: a [2][3H] bias is possible */
    float forget_bias;
};

struct cell_weights { /* canonical, as cell_spec; owned, from mem_aligned() */
    float *w_ih, *w_hh, *b_ih, *b_hh, *w_hr, *peephole;
};

rnnd_code dialect_read(const struct cell_source *s, struct cell_weights *out, rnnd_error *err);
void cell_weights_free(struct cell_weights *w);

#endif
