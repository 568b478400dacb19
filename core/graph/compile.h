/* compile.h -- what compiling the two kinds of graph shares. Inside core/graph only. */
#ifndef RNND_GRAPH_COMPILE_H
#define RNND_GRAPH_COMPILE_H

#include "core/graph/graph.h"

/* Inputs and outputs that must be there are, and attributes are such as the op knows. */
rnnd_code graph_check_form(const struct graph_node *n, rnnd_error *err);
/* The same, and what the op itself checks. */
rnnd_code graph_check_node(struct graph *g, struct graph_node *n, rnnd_error *err);
/* Weights that every reader has packed are not kept twice: each goes as soon as the last one has, so that a model never
 * has all of its weights in both forms. Count all readers first (weights_read), then tell
 * which node has been prepared. Counts parameters and bytes too. */
struct weights {
    struct graph *graph;
    size_t *readers; /* by value: those that have not packed it (yet) */
};
rnnd_code weights_start(struct weights *w, struct graph *g, rnnd_error *err);
void weights_read(struct weights *w, const struct graph_node *n);
void weights_packed(struct weights *w, const struct graph_node *n);
void weights_end(struct weights *w);
/* graph_compile() of a tensor graph. */
rnnd_code graph_compile_tensors(struct graph *g, rnnd_error *err);

#endif
