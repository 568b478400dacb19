/* stack.h -- from a configuration and named tensors to a graph: layer lists ("layers") and whole graphs ("graph"). */
#ifndef RNND_STACK_H
#define RNND_STACK_H

#include "core/formats/checkpoint.h"
#include "core/formats/json.h"
#include "core/graph/graph.h"

#define MAX_INPUTS 16
#define MAX_LAYERS 512
#define MAX_HIDDEN 65536
#define MAX_WIDTH (1 << 20)

struct network_tap {
    const char *name;
    int value;              /* of the graph; -1: it is not there any more */
    struct graph_port port; /* sequence graphs: its axes in the file; rank 0: [batch][time][features] */
};

struct network { /* what a graph looks like from outside; strings and tables in the arena given */
    rnnd_port inputs[MAX_INPUTS], outputs[MAX_INPUTS];
    size_t input_count, input_width, output_count, output_width;
    rnnd_layer *layers;
    size_t layer_count;
    /* what files with an architecture of their own say besides */
    const char *framework; /* "Keras 2.13.1", "ONNX opset 13, tf2onnx 1.17", or NULL */
    size_t window;         /* steps that the inputs are fixed to, 0 = free */
    bool stateful;         /* made to carry its state from call to call (Keras stateful=True) */
    struct network_tap *taps; /* all that can be read by name after a run: outputs first, then layers or values */
    size_t tap_count, named_outputs; /* named_outputs: how many of them are outputs of the file */
};

/* An output whose step is a row of this width. */
void network_add_output(struct network *net, const char *name, size_t width);
/* Builds into g, which is empty, and compiles it. `config` has been verified by model/config but for what concerns the
 * network: "inputs", "layers", "graph", "states", "output". */
rnnd_code stack_build(const struct json *config, struct checkpoint *ck, struct graph *g, struct arena *arena,
                      struct network *out, rnnd_error *err);

#endif
