/* projected.h -- a cell that reads an embedding: its input is one of few rows, whose parts in the gates are made
 * once. */
#ifndef RNND_OPS_PROJECTED_H
#define RNND_OPS_PROJECTED_H

#include "core/cells/cell.h"
#include "core/graph/graph.h"

struct projected {
    int ids;      /* the value whose numbers, [T][B][1], are the rows' */
    float *rows;  /* [ids][cell_projected_width], mem_free() it; NULL: no embedding, or one that is not worth it */
    size_t bytes; /* of them */
};

/* For value x, the input of a cell of this compiled graph's node. NO_MEMORY. */
rnnd_code projected_make(const struct graph *g, int x, const struct cell *cell, struct projected *out, rnnd_error *err);

#endif
