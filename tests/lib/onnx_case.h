/* onnx_case.h -- an ONNX file read, lowered, folded if wanted, compiled and run; and what it should answer. */
#ifndef TESTS_ONNX_CASE_H
#define TESTS_ONNX_CASE_H

#include "core/formats/format.h"

#define ONNX_FILES "tests/vectors/onnx_files/"

struct onnx_case {
    uint8_t *file;
    size_t bytes;
    struct checkpoint ck;
    struct graph graph;
    struct arena arena;
    struct network network;
    struct graph_run *run;
};

/* Reads a file whole, NULL where there is none; freed with free(). */
uint8_t *read_whole(const char *path, size_t *bytes);
/* Through all of it as far as it goes; onnx_case_close() in any case. `path` may be NULL. */
rnnd_code onnx_case_open_memory(struct onnx_case *c, const uint8_t *data, size_t bytes, const char *path, bool fold,
                                rnnd_error *err);
rnnd_code onnx_case_open(struct onnx_case *c, const char *path, bool fold, rnnd_error *err);
/* Its first half, up to the folded graph, and the second, from compiling on. */
rnnd_code onnx_case_lower(struct onnx_case *c, const uint8_t *data, size_t bytes, const char *path, bool fold,
                          rnnd_error *err);
rnnd_code onnx_case_compile(struct onnx_case *c, rnnd_error *err);
void onnx_case_close(struct onnx_case *c);
/* The tensor as a run takes it; data with free(). */
struct tensor tensor_of(const struct checkpoint_tensor *t);
/* Runs it on the "in." tensors of a safetensors file. Fails the test where that fails. */
void onnx_case_run(struct onnx_case *c, struct checkpoint *io);
/* Compares output i with a tensor: equal for int64 and bool, else within 1e-5 * max(1, largest). */
void onnx_case_compare(const struct onnx_case *c, size_t i, const struct checkpoint_tensor *want, const char *what);

#endif
