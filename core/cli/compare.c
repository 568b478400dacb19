/* compare.c -- how far one array is from another, and where. */
#include <math.h>

#include "core/cli/array.h"

bool array_same_shape(const struct array *a, const struct array *b)
{
    size_t i = 0, k = 0;
    for (;; i++, k++) {
        while (i < a->rank && a->dim[i] == 1)
            i++;
        while (k < b->rank && b->dim[k] == 1)
            k++;
        if (i == a->rank || k == b->rank) return i == a->rank && k == b->rank;
        if (a->dim[i] != b->dim[k]) return false;
    }
}

static double number(const struct array *a, size_t i)
{
    return a->dtype == RNND_FLOAT32 ? (double)a->data[i] : a->dtype == RNND_INT64 ? (double)a->whole[i] : a->truth[i];
}

struct array_difference array_compare(const struct array *got, const struct array *want)
{
    struct array_difference d = {0};
    size_t count = array_count(want);
    for (size_t i = 0; i < count; i++) {
        double g = number(got, i), w = number(want, i), e = fabs(g - w);
        if (g == w || (isnan(g) && isnan(w))) e = 0;
        if (isnan(e)) e = INFINITY;
        if (isfinite(w) && fabs(w) > d.largest) d.largest = fabs(w);
        if (i == 0 || e > d.worst) d = (struct array_difference){e, d.largest, g, w, i};
    }
    return d;
}

const char *array_place(const struct array *a, size_t at, char text[ARRAY_MAX_RANK * 24])
{
    struct array index = *a;
    for (size_t i = a->rank; i-- > 0 && a->dim[i]; at /= a->dim[i])
        index.dim[i] = at % a->dim[i];
    return array_shape(&index, text);
}
