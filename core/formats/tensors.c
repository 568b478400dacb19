/* tensors.c -- a layer's tensors: by role, or by the name that the configuration gives; and of the shape wanted. */
#include "core/formats/tensors.h"

#include "core/base/error.h"

struct checkpoint_tensor *tensor_named(struct tensor_names *names, const struct checkpoint *ck, const char *role,
                                       const char *fallback, const char **name)
{
    const struct json *j = json_get(names->object, role);
    *name = fallback;
    if (json_is_string(j)) {
        bool seen = false;
        for (size_t i = 0; i < names->used_count; i++)
            seen |= names->used[i] == j;
        if (!seen && names->used_count < TENSOR_NAMES_MAX) names->used[names->used_count++] = j;
        *name = json_string(j);
    }
    return checkpoint_find(ck, *name);
}

rnnd_code tensor_names_check(const struct tensor_names *names, const char *layer, rnnd_error *err)
{
    if (names->object && !json_is_object(names->object))
        return fail_at(err, RNND_MISMATCH, "tensors", "layer \"%.80s\": \"tensors\" must be an object, found %s", layer,
                       json_type_name(names->object));
    for (const struct json *e = json_first(names->object); e; e = json_next(e)) {
        bool used = false;
        for (size_t i = 0; i < names->used_count; i++)
            used |= names->used[i] == e;
        if (!used)
            return fail_at(err, RNND_MISMATCH, json_key(e),
                           "layer \"%.80s\": \"tensors\" names \"%.60s\", which this layer does not have%s", layer,
                           json_key(e), json_is_string(e) ? "" : " or which is no string");
    }
    return RNND_OK;
}

rnnd_code tensor_floats(struct checkpoint_tensor *t, const char *layer, const char *name, int rank, const size_t *dim,
                        const float **out, rnnd_error *err)
{
    char wanted[96], found[96];
    int lead = 0, skip = 0; /* [1][4] and [4] are the same to us */
    while (skip < rank - 1 && dim[skip] == 1)
        skip++;
    if (!t)
        return fail_at(err, RNND_MISMATCH, name, "layer \"%.80s\": no tensor \"%.80s\" in the file (wanted shape %s)",
                       layer, name, shape_text(wanted, rank - skip, dim + skip));
    while (lead < t->rank - 1 && t->dim[lead] == 1)
        lead++;
    bool vector = rank - skip == 1 && t->count == dim[rank - 1] && t->count > 0; /* [4, 1] too: a column */
    for (int i = 0, wide = 0; vector && i < t->rank; i++)
        vector = (wide += t->dim[i] > 1) <= 1;
    bool same = vector || t->rank - lead == rank - skip;
    for (int i = 0; same && !vector && i < rank - skip; i++)
        same = t->dim[lead + i] == dim[skip + i];
    if (!same)
        return fail_at(err, RNND_MISMATCH, name, "layer \"%.80s\", tensor \"%.80s\": wanted shape %s, found %s", layer,
                       name, shape_text(wanted, rank - skip, dim + skip), shape_text(found, t->rank, t->dim));
    return checkpoint_floats(t, out, err);
}
