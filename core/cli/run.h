/* run.h -- the three ways of `rnnd run`: windows, steps, whole tensors. */
#ifndef RNND_CLI_RUN_H
#define RNND_CLI_RUN_H

#include "core/cli/array.h"
#include "core/cli/cli.h"

struct run_end { /* [NAME=]FILE of -i and -o */
    char *name; /* owned; NULL: not given */
    const char *path;
    struct array array;
};
struct run_job {
    const rnnd_model *model;
    struct run_end in[CLI_MOST_ITEMS], out[CLI_MOST_ITEMS];
    size_t in_count, out_count;
};

/* Each fills the arrays of out from those of in, which it may change on the way. */

/* The one input's [steps][width] or [batch][steps][width] rows as whole windows; the answer keeps its axes. */
rnnd_code run_windows(struct run_job *j, rnnd_error *err);
/* The same rows one at a time from a fresh state each sequence. Where the shape of a step has more axes, they stand in
 * place of [width]. Of a network that is the function of one step, its state an input and output of the file, each
 * element along the first axis is one step. */
rnnd_code run_steps(struct run_job *j, rnnd_error *err);
/* Whole tensors as the framework would run them. Inputs without the batch axis are taken for a batch of one where that
 * makes them fit. */
rnnd_code run_tensors(struct run_job *j, rnnd_error *err);

/* Rows for models of the house that are given one input and one output without names, else whole tensors. */
rnnd_code run_network(struct run_job *j, rnnd_error *err);

/* Ends from "NAME=FILE" or "FILE"; an input whose whole text is a file's name is one. run_close() frees all of it. */
rnnd_code run_open(struct run_job *j, const struct cli_list *in, const struct cli_list *out, rnnd_error *err);
rnnd_code run_load(struct run_job *j, rnnd_error *err); /* the inputs' files */
void run_close(struct run_job *j);

#endif
