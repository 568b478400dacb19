/* nodes.h -- "graph" configurations: any nodes over named values. Inside formats/stack only. */
#ifndef RNND_NODES_H
#define RNND_NODES_H

#include "core/formats/layers.h"

#define MAX_NODES 1024
#define MAX_STATES 256

/* {"graph": {"nodes": [{"op", "name", "inputs": [..], "outputs": [..], "attributes": {..}}], "outputs": [..]},
 *  "states": [{"in", "out", "width", "kind": "h|c|x", "initial": tensor}]}. A name is an input, a state's "in", an
 * output of an earlier node, or a tensor of the file; "" is an absent optional input. */
rnnd_code nodes_build(struct stack *s, struct network *net, rnnd_error *err);

#endif
