/* same.h -- whether two compiled graphs compute with the same numbers. */
#ifndef RNND_GRAPH_SAME_H
#define RNND_GRAPH_SAME_H

#include "core/graph/graph.h"

/* Of two sequence graphs made by the same steps from files that say the same network: whether every weight, packed or
 * plain, every other constant and initial state has the same bits. false too where that cannot be told. */
bool graph_same_weights(const struct graph *a, const struct graph *b);

#endif
