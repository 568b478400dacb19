/* digest.h -- a model's fingerprint. Inside core/model only. */
#ifndef RNND_DIGEST_H
#define RNND_DIGEST_H

#include "core/formats/checkpoint.h"
#include "core/model/model.h"

/* Fills m->digest and info.digest: XXH3-128 over every tensor (name, type, shape, bytes) by name, then the
 * configuration with sorted keys and no spaces, then the vocabulary, where it is a file of its own. The same model in
 * another order or with other spaces has the same. Of a file with an architecture of its own every byte counts. */
rnnd_code model_digest(struct rnnd_model *m, const struct checkpoint *ck, const void *file, size_t file_bytes,
                       rnnd_error *err);

#endif
