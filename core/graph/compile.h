/* compile.h -- what compiling the two kinds of graph shares. Inside core/graph only. */
#ifndef RNND_GRAPH_COMPILE_H
#define RNND_GRAPH_COMPILE_H

#include "core/graph/graph.h"

/* Numbers of inputs and outputs, attributes, and what the op itself checks. */
rnnd_code graph_check_node(struct graph *g, struct graph_node *n, rnnd_error *err);
/* graph_compile() of a tensor graph. */
rnnd_code graph_compile_tensors(struct graph *g, rnnd_error *err);

#endif
