/* layers.h -- the kinds of layers a configuration may list, and what building one needs. Inside formats/stack only. */
#ifndef RNND_LAYERS_H
#define RNND_LAYERS_H

#include "core/formats/dialect.h"
#include "core/formats/options.h"
#include "core/formats/stack.h"

struct source { /* something a layer can read: a network input or an earlier layer */
    const char *name;
    int value, last_value; /* last_value: only the last step of it, -1 until somebody wants that */
    bool one_step;         /* its value is the last step alone */
    size_t ids;            /* inputs of ids: their limit */
};

struct layer {
    const struct layer_type *type;
    struct options options; /* where: layer "name" */
    const char *name;
    int sources[MAX_INPUTS]; /* indices of sources */
    size_t source_count;
    bool whole;             /* somebody needs all time steps of it */
    int inputs[MAX_INPUTS]; /* value numbers, once it is built */
    struct tensor_names names;
    const char *detail;
    size_t out_width;
};

struct pending_state { /* all h come before all c, then what is neither, whatever the order of layers */
    const char *name;
    char kind;
    int in, out;
    size_t width;
    const float *initial;
};

struct stack {
    const struct json *config;
    struct checkpoint *checkpoint;
    struct graph *graph;
    struct arena *arena;
    struct source *sources; /* inputs, then layers */
    size_t source_count, input_count;
    struct layer *layers;
    size_t layer_count;
    bool output_last;
    struct pending_state *states;
    size_t state_count, state_cap;
};

struct layer_type {
    const char *name;
    const char *const *keys; /* besides type, name, inputs, input, tensors */
    bool across_time;        /* needs whole sequences */
    size_t min_inputs, max_inputs;
    rnnd_code (*build)(struct stack *s, struct layer *l, int *value, rnnd_error *err);
};

const struct layer_type *layer_type_find(const char *name);
extern const struct layer_type layer_lstm, layer_gru, layer_rnn; /* layers_recurrent.c */
extern const struct layer_type layer_conv1d;                     /* layers_conv.c */
/* Whether the layers of this configuration keep states that are no cell's own, so that their graph is that of one step:
 * known before anything is built, for it shapes the inputs. */
bool layers_stepwise(const struct json *config);

/* The floats of tensor `role`: by "tensors", else NAME.fallback. */
rnnd_code layer_floats(struct stack *s, struct layer *l, const char *role, const char *fallback, int rank, size_t d0,
                       size_t d1, const float **out, rnnd_error *err);
/* A node of this op with this activation, its shape inferred. */
rnnd_code layer_act(struct stack *s, struct layer *l, const char *op, const int *inputs, int count, struct act act,
                    int *value, rnnd_error *err);
/* Another state; all become the graph's once every layer is built. */
rnnd_code stack_state(struct stack *s, const char *name, char kind, int in, int out, size_t width, const float *initial,
                      rnnd_error *err);

/* Known width of a value, checked where it was made: constants, inputs and nodes whose shape was inferred. */
size_t stack_width(const struct stack *s, int value);
/* A node over values with one output, its shape inferred; -1 and *err filled on failure. */
rnnd_code stack_node(struct stack *s, const char *op, const char *name, const int *inputs, int input_count, int *value,
                     rnnd_error *err);
/* The node with several outputs; after its attributes are set, stack_infer() must be called. */
struct graph_node *stack_begin(struct stack *s, const char *op, const char *name, const int *inputs, int input_count,
                               int output_count, rnnd_error *err);
rnnd_code stack_infer(struct stack *s, struct graph_node *n, rnnd_error *err);
rnnd_code stack_constant(struct stack *s, const char *layer, const char *what, int rank, size_t d0, size_t d1,
                         const float *data, int *value, rnnd_error *err);
/* The same of memory from mem_aligned() that becomes the graph's: *data is NULL then. */
rnnd_code stack_take(struct stack *s, const char *layer, const char *what, int rank, size_t d0, size_t d1, float **data,
                     int *value, rnnd_error *err);
/* printf into the arena; NULL: no memory */
char *stack_text(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
