/* save.h -- writes tensors and a configuration as a native file. */
#ifndef RNND_SAVE_H
#define RNND_SAVE_H

#include "core/formats/checkpoint.h"

/* Every tensor as float32, the configuration inside; whole or not at all. The file opens as the same model that the
 * checkpoint makes with this configuration. */
rnnd_code save_native(const char *path, struct checkpoint *ck, const char *config, rnnd_error *err);

#endif
