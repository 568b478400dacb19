/* run_private.h -- one thread's scratch, and what the runs of both kinds of graph share. Inside core/graph only. */
#ifndef RNND_GRAPH_RUN_PRIVATE_H
#define RNND_GRAPH_RUN_PRIVATE_H

#include "core/graph/graph.h"
#include "core/ops/op.h"

struct extra {
    struct extra *next;
    unsigned char *memory;
};

struct graph_run {
    struct run_context rc; /* first: ops hand it back to us */
    struct { size_t rows, steps; } fits[2]; /* passes that memory is known to suffice for: the largest, and the last */
    unsigned char *memory;
    size_t size, used;
    bool overflow; /* planning: sizes beyond all memory */
    size_t *state_offset;
    size_t state_width;
    struct extra *extra;  /* tensor graphs, whose sizes only a pass can tell: what did not fit; joined for the next */
    size_t extra_bytes, limit;
};

rnnd_code run_give_tensor(struct run_context *rc, struct tensor *t, enum dtype dtype, int rank, const size_t *dim,
                          rnnd_error *err);
void run_free_extra(struct graph_run *run);
/* graph_run() of a tensor graph: one sequence after the other, and where the graph is the function of one step, one
 * step after the other. */
rnnd_code run_tensor_rows(struct graph_run *run, size_t T, size_t B, const float *const *inputs, float *const *outputs,
                          rnnd_error *err);

#endif
