/* options.h -- the keys of one object of a configuration, read with errors that name place, key, wanted and found. */
#ifndef RNND_OPTIONS_H
#define RNND_OPTIONS_H

#include "core/base/mem.h"
#include "core/formats/json.h"
#include "core/kernels/kernels.h"

struct options {
    const struct json *object; /* NULL reads as an empty object */
    const char *where;         /* "layer \"lstm\"" */
};

#define OPTION_REQUIRED INT64_MIN /* as `absent`: the key must be there */

/* Every key is one of `known` (NULL at the end) or begins with x_; wrong types of the object itself are told too. */
rnnd_code options_check(const struct options *o, const char *const *known, rnnd_error *err);
/* The value of a key, or `absent` where it is not there. null counts as not there. */
rnnd_code option_whole(const struct options *o, const char *key, int64_t min, int64_t max, int64_t absent, int64_t *out,
                       rnnd_error *err);
rnnd_code option_size(const struct options *o, const char *key, int64_t min, int64_t max, int64_t absent, size_t *out,
                      rnnd_error *err);
rnnd_code option_float(const struct options *o, const char *key, float absent, float *out,
                       rnnd_error *err); /* finite */
rnnd_code option_bool(const struct options *o, const char *key, bool absent, bool *out, rnnd_error *err);
/* Strings live in `arena`. */
rnnd_code option_string(const struct options *o, const char *key, const char *absent, struct arena *arena,
                        const char **out, rnnd_error *err);
/* The index within choices (NULL at the end); absent -1: the key must be there. */
rnnd_code option_choice(const struct options *o, const char *key, const char *const *choices, int absent, int *out,
                        rnnd_error *err);
/* A function: its name, or {"type", "alpha", "beta"}. */
rnnd_code option_act(const struct options *o, const char *key, struct act absent, struct act *out, rnnd_error *err);
rnnd_code act_of_json(const struct json *j, const char *where, const char *key, struct act *out, rnnd_error *err);

#endif
