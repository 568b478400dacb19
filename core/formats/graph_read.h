/* graph_read.h -- "graph" configurations of a tensor graph: one that has "inputs" of its own (core/README.md). */
#ifndef RNND_GRAPH_READ_H
#define RNND_GRAPH_READ_H

#include "core/formats/stack.h"

#define GRAPH_MAX_DEPTH 8               /* bodies within bodies */
#define GRAPH_MAX_PORTS ((size_t)4096)  /* inputs or outputs of one node */
#define GRAPH_MAX_LAYERS ((size_t)4096) /* rows that describe the network */
/* whole numbers in attributes: every one of them passes through 15 digits of a double */
#define GRAPH_MAX_WHOLE INT64_C(1000000000000000)

/* Whether the configuration says so. */
bool graph_in_config(const struct json *config);
/* Reads it as a format's `lower` does (formats/format.h); what no node or input makes is a tensor of the checkpoint,
 * of any element type. Each value is made before it is read, and seen in its own body and those inside it alone.
 * MISMATCH, UNSUPPORTED, TOO_LARGE name node and field. */
rnnd_code graph_read(struct checkpoint *ck, const struct json *config, struct graph *g, struct arena *arena,
                     struct network *net, rnnd_error *err);
/* "axes" of a port: one of batch, time, feature for each dimension. */
rnnd_code graph_read_axes(const struct json *list, struct graph_port *p, const char *name, rnnd_error *err);

#endif
