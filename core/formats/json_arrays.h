/* json_arrays.h -- JSON documents that are mostly numbers: weights become floats directly, the rest a small document.
 *
 * A parsed number takes some 70 bytes, as text two: so every array that holds nothing but numbers, or arrays of one
 * shape of such, is taken out of the text, and in the document that json.h parses there stands [INDEX] instead. (No
 * array of the file can be taken for that: all that look so have been taken out.) */
#ifndef RNND_JSON_ARRAYS_H
#define RNND_JSON_ARRAYS_H

#include "core/formats/json.h"
#include "core/graph/graph.h"

#define JSON_ARRAYS_REST ((size_t)512 << 10) /* bytes of text that may be left */
#define JSON_ARRAYS_MAX ((size_t)1 << 16)

struct json_array { /* row-major; no dimension is 0 */
    int rank;
    size_t dim[MAX_RANK];
    size_t count, at; /* elements; where they begin in `floats` */
};

struct json_arrays {
    struct json *root;
    struct json_array *list;
    size_t count, cap;
    float *floats; /* owned until json_arrays_free(); a reader may take it away and put NULL here */
};

/* CORRUPT, TOO_LARGE name `what` and the place. Numbers are rounded to double, then to float; beyond float is CORRUPT.
 */
rnnd_code json_arrays_read(const char *text, size_t bytes, const char *what, struct json_arrays *out, rnnd_error *err);
void json_arrays_free(struct json_arrays *a);

/* Whether a value of the document is an array of numbers, and which. */
bool json_arrays_get(const struct json_arrays *a, const struct json *j, struct json_array *out);
/* Elements of an array of any kind; 0 for what is none. */
size_t json_arrays_count(const struct json_arrays *a, const struct json *j);
/* Element i of an array, where it is an array of numbers itself: a list's, or row i of an array of several dimensions.
 */
bool json_arrays_item(const struct json_arrays *a, const struct json *j, size_t i, struct json_array *out);
/* The last element, a whole number within [min, max]: of shapes such as [null, null, 8]. */
bool json_arrays_last(const struct json_arrays *a, const struct json *j, int64_t min, int64_t max, int64_t *out);

#endif
