/* init.h -- the parts of `rnnd init`. */
#ifndef RNND_CLI_INIT_H
#define RNND_CLI_INIT_H

#include "core/cli/array.h"
#include "core/cli/cli.h"

struct init_plan { const char *csv, *target, *scaler; }; /* scaler: standard, minmax, none */

/* A string of JSON, quotes included. */
void init_string(FILE *f, const char *s);
/* The members "task" and "series" behind others, from a table and the widths of the network. MISMATCH says how they do
 * not go together. */
rnnd_code init_series(FILE *f, const rnnd_model *model, const struct init_plan *p, const struct csv *csv,
                      rnnd_error *err);
/* What was assumed, in sentences on standard output. */
void init_explain(const rnnd_model *model, const struct init_plan *p, const struct csv *csv);

#endif
