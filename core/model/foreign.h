/* foreign.h -- files that carry an architecture of their own: from their tensor graph to a model's graph. Inside
 * core/model only. */
#ifndef RNND_FOREIGN_H
#define RNND_FOREIGN_H

#include "core/formats/format.h"
#include "core/model/model.h"

/* The first half: m->config as a tensor graph in `g` (initialised, the caller's to free), lowered by the file's format
 * or read from the configuration's own "graph"; inputs bound to numbers ("inputs" of the configuration); a file's graph
 * folded, one of the configuration taken as it is. m->network is as the reader left it, its taps at their values. */
rnnd_code foreign_lower(struct rnnd_model *m, struct checkpoint *ck, size_t file_bytes, struct graph *g,
                        rnnd_error *err);
/* Lowers, pairs states, streamlines or keeps the tensor graph, compiles, and fills m->graph, m->network, and what the
 * configuration left open of m->config: mode, window, output. file_bytes bounds what folding may make. */
rnnd_code foreign_build(struct rnnd_model *m, struct checkpoint *ck, size_t file_bytes, rnnd_error *err);

/* Input i of a tensor graph becomes a constant of its shape. (foreign_numbers.c) */
rnnd_code foreign_bind(struct graph *g, size_t i, double number, rnnd_error *err);
/* Binds the whole numbers that the graph only compares with constants of its own: assumptions, and a side file that
 * says them beside what the configuration says already. */
rnnd_code foreign_assume_numbers(struct rnnd_model *m, struct graph *g, rnnd_error *err);

/* Which inputs and outputs of a tensor graph are a state and its successor, by configuration ("states") or by name and
 * shape; they leave g->inputs and g->outputs and become states. (foreign_states.c) */
rnnd_code foreign_pair_states(struct rnnd_model *m, struct graph *g, rnnd_error *err);
/* The axes and shapes of a compiled tensor graph's ends, by trial runs on zeros, whose memory the size of the weights
 * bounds. *steps: a window's length where the inputs fix it, else 0. m->no_rows says why rows cannot be run, where they
 * cannot. (foreign_ends.c) */
rnnd_code foreign_find_ends(struct rnnd_model *m, struct graph *g, bool batch_first, size_t *steps, rnnd_error *err);

/* The table of layers after graph_fuse(): a row for each node that it made, none for what that replaced. */
rnnd_code foreign_list_fused(struct rnnd_model *m, const struct graph *g, size_t fused, rnnd_error *err);

#endif
