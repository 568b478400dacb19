/* loops.h -- what a Loop carries along unchanged is no state of it. */
#ifndef RNND_GRAPH_LOOPS_H
#define RNND_GRAPH_LOOPS_H

#include "core/graph/graph.h"

/* In every Loop, however deep: a carried value that the body hands on as it came is read from outside instead. Exporters
 * carry weights so; as constants they are packed once, not in every step. No bit changes. */
void graph_hoist(struct graph *g);

#endif
