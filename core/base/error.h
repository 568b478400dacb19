/* error.h -- the one way to say what went wrong. */
#ifndef RNND_BASE_ERROR_H
#define RNND_BASE_ERROR_H

#include "core/rnnd.h"

/* Fills *err (may be NULL) with code and sentence and returns code, so that `return fail(err, RNND_MISMATCH, ...)`
 * reads. The sentence names the thing, what was wanted, what was found. */
rnnd_code fail(rnnd_error *err, rnnd_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same, naming the field, tensor or argument in err->param. */
rnnd_code fail_at(rnnd_error *err, rnnd_code code, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Puts "WHERE: " in front of a sentence that is there already. */
void fail_in(rnnd_error *err, const char *where);
rnnd_code fail_memory(rnnd_error *err, size_t bytes);

#endif
