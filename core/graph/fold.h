/* fold.h -- evaluates what a tensor graph computes from constants alone, before it is compiled. */
#ifndef RNND_GRAPH_FOLD_H
#define RNND_GRAPH_FOLD_H

#include "core/graph/graph.h"

/* Nodes whose inputs are all constants (in bodies too) are run once, by the operators' own code, so that the bits are
 * those of a run; their outputs become constants, of at most limit_bytes together. An If whose condition is a constant
 * gives its branch's nodes to the graph. Shape of an input whose port declares all its dims is a constant. Identity and
 * Casts to the type that is there already are passed through, but for those that make an output from what is none.
 * Nodes whose outputs nobody reads are dropped, and constants too. What fails to run here is left for the run to tell.
 * Only NO_MEMORY is an error. */
rnnd_code graph_fold(struct graph *g, size_t limit_bytes, rnnd_error *err);
/* After folding: the value that holds what `value` held (itself, another, a constant), or -1 if nothing does. */
int graph_folded(const struct graph *g, int value);

#endif
