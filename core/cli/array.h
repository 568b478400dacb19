/* array.h -- arrays in files: .npy (numpy's format), JSON and CSV. All readers take hostile bytes. */
#ifndef RNND_CLI_ARRAY_H
#define RNND_CLI_ARRAY_H

#include <stdio.h>

#include "core/rnnd.h"

enum { ARRAY_MAX_RANK = RNND_MAX_RANK };
struct array {
    rnnd_dtype dtype;
    size_t rank, dim[ARRAY_MAX_RANK];
    union { /* owned, row-major, by dtype */
        float *data;
        int64_t *whole;
        uint8_t *truth; /* 0 or 1 */
        void *raw;
    };
};
void array_free(struct array *a);
size_t array_count(const struct array *a); /* elements */
size_t array_width(rnnd_dtype dtype);      /* bytes of one */
/* "[3][4]", "[]" for a single number. */
const char *array_shape(const struct array *a, char text[ARRAY_MAX_RANK * 24]);
/* A copy, changed to dtype. MISMATCH, in which nothing changed: a number does not become a whole one. */
rnnd_code array_convert(struct array *a, rnnd_dtype dtype, rnnd_error *err);

/* Of the same shape: axes of 1 do not count. */
bool array_same_shape(const struct array *a, const struct array *b);
struct array_difference { /* of the element that is furthest, `at`; largest: the largest finite number wanted */
    double worst, largest, got, want;
    size_t at;
};
/* Of arrays of the same shape, of any types. NaN against NaN and infinity against the same one are equal; a NaN against
 * a number is infinitely far. */
struct array_difference array_compare(const struct array *got, const struct array *want);
/* Where element `at` stands: "[1][0][7]". */
const char *array_place(const struct array *a, size_t at, char text[ARRAY_MAX_RANK * 24]);

/* By the ending of the path: .csv, .json, else .npy. Messages name the path. csv and json: float32. */
rnnd_code array_load(const char *path, struct array *out, rnnd_error *err);
/* A CSV file has a line for each row along the last axis. */
rnnd_code array_save(const char *path, const struct array *a, rnnd_error *err);

/* numpy's format 1, 2 and 3, in C or Fortran order: '<f2', '<f4', '<f8' become float32, whole numbers of any width
 * int64, '|b1' bool. CORRUPT for what is no .npy, UNSUPPORTED for other types. */
rnnd_code npy_read(const void *bytes, size_t size, struct array *out, rnnd_error *err);
rnnd_code npy_write(const char *path, const struct array *a, rnnd_error *err);

/* Nested lists of numbers, all of one length on each level; true and false are 1 and 0, null is NaN. */
rnnd_code json_read_array(const char *text, size_t size, struct array *out, rnnd_error *err);
rnnd_code json_write_array(const char *path, const struct array *a, rnnd_error *err);

/* A table of numbers. One line is a row; cells are parted by comma, semicolon or tab, whichever stands first in the
 * first line. A header is recognised by having no number. The first column is a time stamp if its header says so
 * (timestamp, time, date, datetime, ds) or its first cell is no number. Empty cells, NaN, NA and null are NaN. */
struct csv {
    size_t rows, columns; /* without the time stamps */
    float *data;          /* [rows][columns], owned */
    char **names;         /* [columns] from the header, or NULL */
    bool has_stamps;
    char stamps[2][40]; /* of the first two rows, or "" */
};
rnnd_code csv_read(const char *text, size_t size, struct csv *out, rnnd_error *err);
void csv_free(struct csv *c);

#endif
