/* keras_lower.h -- what the files that lower Keras layers share: tensors with their shapes, layers, their weights.
 *
 * A layer kind is one row of keras_layers.c: its class name and the function that writes it down as nodes. Failures
 * stick in L->b.code (graph_builder.h). */
#ifndef RNND_KERAS_LOWER_H
#define RNND_KERAS_LOWER_H

#include "core/formats/graph_builder.h"
#include "core/formats/keras_document.h"
#include "core/formats/stack.h"

#define KERAS_MAX_OUTPUTS 8
#define KERAS_MAX_DEPTH 12 /* layers within layers */
#define KERAS_MAX_NAME 200
#define KERAS_CUSTOM_ADVICE "export it with models/rnnd_export.py, or to ONNX"

struct keras_tensor {
    int value, rank;
    int64_t dim[MAX_RANK]; /* -1 = free; [0] is the batch */
    int mask;              /* value [B][T] of truths, or -1 */
    bool steps;            /* axis 1 is the time axis of the inputs */
};

struct keras_weights { /* where a layer's weights are: a list (.h5) or a folder (.keras) */
    const char **names;
    size_t count;
    const char *folder;
};

struct keras_layer {
    const char *kind, *name;
    const struct json *config;
    struct keras_weights weights;
    bool operation; /* Keras 3: no layer but a function among layers; its class may have a layer's name */
};

struct keras_argument { /* of a call: a tensor, or what the file says literally */
    const char *key;    /* NULL: by position */
    bool is_tensor;
    struct keras_tensor tensor;
    const struct json *literal;
};
struct keras_call {
    const struct keras_argument *args;
    size_t count;
};
struct keras_outputs {
    struct keras_tensor t[KERAS_MAX_OUTPUTS];
    size_t count;
};

struct keras_cached { /* the constant made of a tensor, and for which use */
    int value;
    const char *role;
};

struct lowering {
    struct graph_builder b;
    struct checkpoint *ck;
    const struct keras_document *doc;
    struct arena *arena; /* the network's: what outlives the lowering */
    struct arena scratch;
    struct network *net;
    int depth;
    uint64_t parameters; /* of the layer at hand, for people */
    char detail[120];
    rnnd_layer *layers;
    struct network_tap *taps;
    size_t layer_cap, tap_cap, tap_count, calls, work;
    struct keras_cached *cached; /* by tensor */
};

typedef void keras_lower_fn(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                            struct keras_outputs *out);

/* keras_layers.c */
void keras_fail(struct lowering *L, const struct keras_layer *l, rnnd_code code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "keras.layers>LSTM", "Custom>Foo" without what is in front. */
const char *keras_class(const char *name);
/* Counts what a hostile file might make endless: false, failed, once it is too much. */
bool keras_work(struct lowering *L, const struct keras_layer *l, size_t n);
/* Calls a layer of any kind; kinds that are models themselves too. */
void keras_apply(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                 struct keras_outputs *out);
/* With one tensor, for one. */
struct keras_tensor keras_apply_one(struct lowering *L, const struct keras_layer *l, const struct keras_tensor *x);
/* {"class_name", "config"} inside another layer's configuration; false: failed. The weights are the caller's to set. */
bool keras_inner(struct lowering *L, const struct keras_layer *l, const struct json *j, struct keras_layer *out);
/* The i-th tensor among the arguments by position, or by this name; NULL: there is none. */
const struct keras_tensor *keras_input(const struct keras_call *in, size_t i, const char *key);
size_t keras_input_count(const struct keras_call *in);                                    /* tensors by position */
const struct json *keras_literal(const struct keras_call *in, size_t i, const char *key); /* likewise, no tensors */
int keras_act(struct lowering *L, const struct keras_layer *l, const struct json *activation, int value, int rank);

/* Configuration values; absent: the default. A wrong type fails. */
int64_t keras_int(struct lowering *L, const struct keras_layer *l, const char *key, int64_t min, int64_t max,
                  int64_t absent);
double keras_float(struct lowering *L, const struct keras_layer *l, const char *key, double absent);
bool keras_flag(struct lowering *L, const struct keras_layer *l, const char *key, bool absent);
const char *keras_text(struct lowering *L, const struct keras_layer *l, const char *key, const char *absent);
/* A number for all, or one each: [count]. */
void keras_ints(struct lowering *L, const struct keras_layer *l, const char *key, int64_t min, int64_t max,
                size_t count, int64_t absent, int64_t *out);
/* A list of whole numbers of any length up to max_count, nulls as -1; false where there is none. */
bool keras_list(const struct json *j, size_t max_count, int64_t *out, size_t *count);
bool keras_channels_first(struct lowering *L, const struct keras_layer *l);
/* An axis of a tensor of this rank, counted from the front. */
int keras_axis(struct lowering *L, const struct keras_layer *l, int64_t axis, int rank);

/* keras_weights.c */
/* The weights of a layer of a model; `folder` is the model's own ("" the root), `list` its list or NULL. */
void keras_find_weights(struct lowering *L, const struct keras_weights *model, struct keras_layer *l, size_t nth,
                        bool top);
/* A part of a layer's: `folder` below its folder (the first of two that is there), or `count` of its list from `first`.
 */
struct keras_weights keras_part(struct lowering *L, const struct keras_layer *l, const char *folder, const char *other,
                                size_t first, size_t count);
size_t keras_weight_count(struct lowering *L, const struct keras_layer *l);
/* The i-th weight, NULL when failed; keras_weight_done() gives its floats back. */
struct checkpoint_tensor *keras_weight(struct lowering *L, const struct keras_layer *l, size_t i, const char *role);
/* Its floats, checked to be of this shape (rank 0: any). */
const float *keras_floats(struct lowering *L, const struct keras_layer *l, size_t i, const char *role, int rank,
                          const int64_t *dim);
void keras_weight_done(struct checkpoint_tensor *t);
/* As a constant of the shape that it has, or of another with as many elements (rank > 0). */
int keras_constant(struct lowering *L, const struct keras_layer *l, size_t i, const char *role, int rank,
                   const int64_t *dim, int as_rank, const size_t *as);
/* The constant made of a weight for this use when its layer was called before, or -1; and noting it. */
int keras_cached(struct lowering *L, const struct checkpoint_tensor *t, const char *role);
void keras_cache(struct lowering *L, const struct checkpoint_tensor *t, const char *role, int value);
/* Sequential, Model, Functional: the layers of a configuration. */
bool keras_is_model(const char *kind);
/* "TimeDistributed" -> "time_distributed" */
void keras_snake(const char *kind, char out[KERAS_MAX_NAME]);

/* keras_model.c */
void keras_apply_model(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                       struct keras_outputs *out);
/* keras_nodes.c: the calls that inbound_nodes list. */
struct keras_reference { /* one argument of a node */
    const char *key;
    int layer, node, tensor; /* layer -1: literal */
    const struct json *literal;
};
struct keras_node {
    struct keras_reference *args;
    size_t count;
    bool done;
    struct keras_outputs *out;
};
struct keras_names { /* of a model's layers, to find them by; sorted */
    struct keras_name {
        const char *name;
        int index;
    } * list;
    size_t count;
};
int keras_layer_index(const struct keras_names *names, const char *name); /* -1: none */
/* The nodes of a layer, from its inbound_nodes; NULL and *count 0 where there are none. */
struct keras_node *keras_read_nodes(struct lowering *L, const struct keras_layer *l, const struct keras_names *names,
                                    const struct json *inbound, size_t *count);
/* ["lstm", 0, 0], or a list of such, or a __keras_tensor__: references; how many, at most max. */
size_t keras_read_references(struct lowering *L, const struct keras_layer *l, const struct keras_names *names,
                             const struct json *j, struct keras_reference *out, size_t max);

/* Kinds, by file. */
keras_lower_fn keras_lower_dense, keras_lower_embedding, keras_lower_masking, keras_lower_same,
    keras_lower_time_distributed; /* keras_basic.c */
keras_lower_fn keras_lower_activation, keras_lower_relu, keras_lower_leaky_relu, keras_lower_prelu, keras_lower_elu,
    keras_lower_thresholded_relu, keras_lower_softmax;                            /* keras_activations.c */
keras_lower_fn keras_lower_recurrent, keras_lower_rnn, keras_lower_bidirectional; /* keras_recurrent.c */
keras_lower_fn keras_lower_batch_norm, keras_lower_layer_norm, keras_lower_normalization,
    keras_lower_rescaling;                                                     /* keras_normal.c */
keras_lower_fn keras_lower_conv, keras_lower_depthwise, keras_lower_separable; /* keras_convolution.c */
keras_lower_fn keras_lower_pool, keras_lower_global_pool;                      /* keras_pooling.c */
keras_lower_fn keras_lower_flatten, keras_lower_reshape, keras_lower_permute, keras_lower_repeat, keras_lower_padding,
    keras_lower_cropping, keras_lower_upsampling;                                           /* keras_shape.c */
keras_lower_fn keras_lower_concatenate, keras_lower_merge, keras_lower_dot;                 /* keras_merge.c */
keras_lower_fn keras_lower_attention, keras_lower_multi_head, keras_lower_weighted_average; /* keras_attention.c */
keras_lower_fn keras_lower_operation;                                                       /* keras_operations.c */

/* keras_cell.c: one recurrent cell over a sequence. */
enum keras_cell_kind { KERAS_LSTM, KERAS_GRU, KERAS_RNN };
struct keras_states { /* h, or h and c of one or more cells */
    struct keras_tensor t[KERAS_MAX_OUTPUTS];
    size_t count;
};
/* Runs LSTM, GRU, SimpleRNN, their CuDNN twins, or a cell class, over x [B][T][I]; y [B][T][H] in the order of time
 * whatever the direction. `initial` NULL: zeros. Adds its last states to `last`. */
void keras_run_cell(struct lowering *L, const struct keras_layer *cell, const struct keras_tensor *x, bool backwards,
                    const struct keras_tensor *initial, struct keras_tensor *y, struct keras_states *last);
/* How many states the class has, 0: it is no cell that is known. How many weights its configuration says. */
size_t keras_cell_states(const char *kind);
size_t keras_cell_weights(struct lowering *L, const struct keras_layer *cell);

#endif
