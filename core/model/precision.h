/* precision.h -- what fewer bits cost: a reduced model held against the exact one when it is opened. */
#ifndef RNND_MODEL_PRECISION_H
#define RNND_MODEL_PRECISION_H

#include "core/formats/checkpoint.h"
#include "core/model/model.h"

/* "fp32" (or NULL), "bf16", "int8". UNSUPPORTED, naming them, for another word. */
rnnd_code precision_parse(const char *name, enum precision *out, rnnd_error *err);
const char *precision_name(enum precision precision);
/* Runs both on the file's golden inputs, or on drawn ones where it has none, and sets m->info.precision_error: root
 * mean square of the difference of their outputs, beside that of the exact ones. MISMATCH where it is above a tenth and
 * `force` is not set. */
rnnd_code precision_measure(struct rnnd_model *m, const struct rnnd_model *exact, struct checkpoint *ck, bool force,
                            rnnd_error *err);

#endif
