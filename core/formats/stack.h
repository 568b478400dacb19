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

struct network { /* what a graph looks like from outside; strings and tables in the arena given */
    rnnd_port inputs[MAX_INPUTS], output;
    size_t input_count, input_width;
    rnnd_layer *layers;
    size_t layer_count;
};

/* Builds into g, which is empty, and compiles it. `config` has been verified by model/config but for what concerns the
 * network: "inputs", "layers", "graph", "states", "output". */
rnnd_code stack_build(const struct json *config, struct checkpoint *ck, struct graph *g, struct arena *arena,
                      struct network *out, rnnd_error *err);

#endif
