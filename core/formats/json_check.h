/* json_check.h -- the grammar of JSON: is a text one document and nothing else? */
#ifndef RNND_JSON_CHECK_H
#define RNND_JSON_CHECK_H

#include <stddef.h>

/* NULL if it is; else what is wrong ("an unfinished string"), and at which byte. Depth is bounded by JSON_MAX_DEPTH;
 * keys that stand twice are not seen here. */
const char *json_check(const char *text, size_t bytes, size_t *at);

#endif
