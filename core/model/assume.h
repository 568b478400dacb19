/* assume.h -- what a file does not say and was guessed: kept, named, and not computed with until somebody confirms it.
 * Inside core/model and core/tasks. */
#ifndef RNND_ASSUME_H
#define RNND_ASSUME_H

#include "core/model/model.h"

/* One more sentence in info.assumptions; copied. */
rnnd_code model_assume(struct rnnd_model *m, const char *sentence, rnnd_error *err);
/* The configuration to put beside the file, JSON text, copied to info.side_file. */
rnnd_code model_side_file(struct rnnd_model *m, const char *text, rnnd_error *err);
/* A model with assumptions that nobody has accepted computes nothing: CONFLICT names the first. */
rnnd_code model_check_confirmed(const struct rnnd_model *m, rnnd_error *err);

#endif
