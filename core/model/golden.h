/* golden.h -- a file's own proof that this build computes what its maker computed. Inside core/model only. */
#ifndef RNND_GOLDEN_H
#define RNND_GOLDEN_H

#include "core/formats/checkpoint.h"
#include "core/model/model.h"

/* Runs the golden inputs [B][T][inputs] from the initial state and compares with the golden outputs [B][T or
 * 1][outputs]: within 1e-5 times max(1, the largest of them). No golden vectors is fine. MISMATCH says where and how
 * far. */
rnnd_code model_check_golden(const struct rnnd_model *m, struct checkpoint *ck, rnnd_error *err);

#endif
