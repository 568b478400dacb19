/* config_merge.h -- a partial configuration put on top of a file's own. Inside core/model only. */
#ifndef RNND_CONFIG_MERGE_H
#define RNND_CONFIG_MERGE_H

#include "core/formats/json.h"

/* The top-level keys of `over` and, of those that it does not have, the ones of `base`; both are objects. null takes a
 * key of the base away. mem_free(*out). */
rnnd_code config_merge(const char *base, size_t base_bytes, const char *over, size_t over_bytes, char **out,
                       rnnd_error *err);
/* Whether a configuration says what the network is, so that it stands alone: "layers" or "graph". A text that is no
 * JSON object stands alone too: config_parse() says what is wrong with it. */
rnnd_code config_has_network(const char *text, size_t bytes, bool *has, rnnd_error *err);

#endif
