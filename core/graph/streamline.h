/* streamline.h -- finds the sequence network in a tensor graph.
 *
 * Files write one LSTM with a head as a dozen operators: transpositions, squeezed directions, zeros expanded to the
 * batch's shape, the last step gathered. Where all of a tensor graph is of that kind, this writes the sequence graph it
 * stands for: batched, stepped, its recurrent states carried. Each value is followed as axes made of time, batch and
 * features (never of numbers), so what comes out holds for every batch and length. */
#ifndef RNND_STREAMLINE_H
#define RNND_STREAMLINE_H

#include "core/graph/graph.h"

/* What came of it. */
struct streamlined {
    bool done;           /* `to` is the network; otherwise it is to be thrown away */
    const char *node;    /* not done: the node of `from` that is no part of a sequence network, */
    char why[160];       /* and what it does, "mixes time and features" */
    bool batch_first;    /* the reading of the inputs that went furthest */
    size_t reached;      /* nodes understood under it */
};

/* `from` is not compiled; ports without axes are tried batch first, then time first. `window`: the steps its inputs are
 * fixed to, 0 = free. On success `to` has inputs, outputs, ports, states and output_last set, all nodes checked.
 * value_map [from->value_count]: the value of `to` that holds the same rows, or -1; map_ports likewise its axes. */
rnnd_code graph_streamline(const struct graph *from, size_t window, struct graph *to, int *value_map,
                           struct graph_port *map_ports, struct streamlined *out, rnnd_error *err);

#endif
