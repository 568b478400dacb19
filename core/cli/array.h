/* array.h -- float32 arrays in files: .npy (numpy's format) and CSV. Both readers take hostile bytes. */
#ifndef RNND_CLI_ARRAY_H
#define RNND_CLI_ARRAY_H

#include <stdio.h>

#include "core/rnnd.h"

enum { ARRAY_MAX_RANK = 8 };
struct array {
    size_t rank, dim[ARRAY_MAX_RANK];
    float *data; /* owned, row-major */
};
void array_free(struct array *a);

/* numpy's format 1, 2 and 3: '<f4', '<f8', '<i4', '<i8' in C order, made float32. CORRUPT for what is no .npy,
 * UNSUPPORTED for other types. */
rnnd_code npy_read(const void *bytes, size_t size, struct array *out, rnnd_error *err);
rnnd_code npy_write(const char *path, const struct array *a, rnnd_error *err);

/* A table of numbers. One line is a row; cells are parted by comma, semicolon or tab, whichever stands first in the
 * first line. A header is recognised by having no number. The first column is a time stamp if its header says so
 * (timestamp, time, date, datetime, ds) or its first cell is no number. Empty cells, NaN, NA and null are NaN. */
struct csv {
    size_t rows, columns; /* without the time stamps */
    float *data;          /* [rows][columns], owned */
    char **names;         /* [columns] from the header, or NULL */
    bool has_stamps;
};
rnnd_code csv_read(const char *text, size_t size, struct csv *out, rnnd_error *err);
void csv_free(struct csv *c);

#endif
