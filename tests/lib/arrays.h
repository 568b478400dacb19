/* arrays.h -- arrays of numbers out of safetensors and NumPy files, for tests that compare with them. */
#ifndef TESTS_LIB_ARRAYS_H
#define TESTS_LIB_ARRAYS_H

#include <stdbool.h>
#include <stddef.h>

struct array {
    float *data;              /* row-major, owned */
    size_t dim[8], count;
    int rank;
};

/* A whole file, owned; NULL where it cannot be read. */
unsigned char *arrays_file(const char *path, size_t *bytes);
/* The tensor of that name, F32. False where there is none such. */
bool arrays_safetensors(const char *path, const char *name, struct array *out);
/* The array NAME.npy of an .npz file that is stored, not compressed: float32, float64, int32 or int64 in C order. */
bool arrays_npz(const char *path, const char *name, struct array *out);
void arrays_free(struct array *a);

#endif
