/* foreign.h -- files that carry an architecture of their own: from their tensor graph to a model's graph. Inside
 * core/model only. */
#ifndef RNND_FOREIGN_H
#define RNND_FOREIGN_H

#include "core/formats/format.h"
#include "core/model/model.h"

/* Lowers, binds inputs to numbers ("inputs" of the configuration), folds constants, pairs states, streamlines or keeps
 * the tensor graph, compiles, and fills m->graph, m->network, and what the configuration left open of m->config: mode,
 * window, output. file_bytes bounds what trial runs may take. */
rnnd_code foreign_build(struct rnnd_model *m, struct checkpoint *ck, size_t file_bytes, rnnd_error *err);

/* Which inputs and outputs of a tensor graph are a state and its successor, by configuration ("states") or by name and
 * shape; they leave g->inputs and g->outputs and become states. (foreign_states.c) */
rnnd_code foreign_pair_states(struct rnnd_model *m, struct graph *g, rnnd_error *err);
/* The axes and shapes of a compiled tensor graph's ends, by trial runs on zeros. *steps: a window's length where the
 * inputs fix it, else 0. m->no_rows says why rows cannot be run, where they cannot. (foreign_ends.c) */
rnnd_code foreign_find_ends(struct rnnd_model *m, struct graph *g, bool batch_first, size_t file_bytes, size_t *steps,
                            rnnd_error *err);

/* The table of layers after graph_fuse(): a row for each node that it made, none for what that replaced. */
rnnd_code foreign_list_fused(struct rnnd_model *m, const struct graph *g, size_t fused, rnnd_error *err);

#endif
