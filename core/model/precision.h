/* precision.h -- what fewer bits cost: a reduced model held against the exact one when it is opened. */
#ifndef RNND_MODEL_PRECISION_H
#define RNND_MODEL_PRECISION_H

#include "core/formats/checkpoint.h"
#include "core/model/model.h"

/* Runs both on the file's golden inputs, or on drawn ones where it has none, and sets m->info.precision_error: root
 * mean square of the difference of their outputs, beside that of the exact ones. Then as precision_check(). */
rnnd_code precision_measure(struct rnnd_model *m, const struct rnnd_model *exact, struct checkpoint *ck, bool force,
                            rnnd_error *err);
/* MISMATCH where m->info.precision_error is above a tenth (or no number) and `force` is not set. */
rnnd_code precision_check(const struct rnnd_model *m, bool force, rnnd_error *err);

#endif
