/* names.h -- a table from names, each of a scope, to value numbers. Inside core/formats only. */
#ifndef RNND_NAMES_H
#define RNND_NAMES_H

#include "core/base/bytes.h"
#include "core/rnnd.h"

#define NAMES_MAX ((size_t)1 << 16)

struct name {       /* the bytes of name and tensor are borrowed */
    uint32_t scope; /* from 1 on */
    struct bytes name;
    int value; /* -1: not there yet, but what a reader finds in `tensor` can become it */
    struct bytes tensor;
};
struct names {
    struct name *slots;
    size_t count, cap;
}; /* begins as {0} */

/* The slot of the name, or NULL; good until the next one is added. */
struct name *names_find(const struct names *t, uint32_t scope, struct bytes name);
/* Adds one that is not there yet. TOO_LARGE beyond NAMES_MAX. */
rnnd_code names_add(struct names *t, uint32_t scope, struct bytes name, int value, struct bytes tensor,
                    rnnd_error *err);
void names_free(struct names *t);

#endif
