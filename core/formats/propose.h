/* propose.h -- a configuration proposed for named tensors that carry none (PyTorch, plain safetensors), and what in it
 * is assumed because the file does not say it. */
#ifndef RNND_PROPOSE_H
#define RNND_PROPOSE_H

#include "core/formats/checkpoint.h"

struct proposal {
    const char *config;             /* JSON text to put beside the file; "x_assumed" lists the assumptions */
    const char *const *assumptions; /* a sentence each; none: the file says it all */
    size_t assumption_count;
};

/* All of *out is in the arena. UNSUPPORTED says why nothing can be proposed, what was found, and the way out: a side
 * file NAME.rnnd.json, or models/rnnd_export.py. */
rnnd_code propose_config(const struct checkpoint *ck, const char *name, struct arena *arena, struct proposal *out,
                         rnnd_error *err);

#endif
