/* save.h -- writes what a file of any format was read into as a native file. */
#ifndef RNND_SAVE_H
#define RNND_SAVE_H

#include "core/model/save_reduced.h"

/* `ck` was read from the file `in` of file_bytes, `config` is the whole configuration of the model that it makes. The
 * new file opens as the same network, to the bit: the tensors that it is made of, as they are stored, or, where the
 * file has an architecture of its own, its graph in the configuration and the constants of that. A vocabulary beside
 * `in` goes into the configuration. In a lower precision: as save_reduced() does. UNSUPPORTED for a file that holds one
 * already. Whole or not at all. */
rnnd_code save_native(const char *out, const char *in, struct checkpoint *ck, size_t file_bytes, const char *config,
                      const struct save_how *how, rnnd_error *err);

#endif
