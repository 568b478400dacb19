/* ort.h -- ONNX Runtime by its C interface, loaded when first asked for: sessions on models made in memory. */
#ifndef TESTS_BENCH_PEERS_ORT_H
#define TESTS_BENCH_PEERS_ORT_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/bench/peers/onnx_writer.h"

/* Loads libonnxruntime.so.1: the file $ORT_LIBRARY names, else npm's onnxruntime-node in build/peers, else the
 * system's. False where there is none; ort_error() says why. */
bool ort_load(void);
/* "1.30.0"; after ort_load() */
const char *ort_version(void);
/* What went wrong last, on this thread. */
const char *ort_error(void);

/* A model that any number of threads may run, each on rows of its own. `net` must have `states`; its weights are not
 * needed any more when this returns. `threads` compute each run. NULL: failed, ort_error() says why. */
struct ort_session;
struct ort_session *ort_session_open(const struct onnx_net *net, int threads);
void ort_session_close(struct ort_session *s);

/* `batch` sequences with their states, stepped together `steps` at a time; all tensors are made beforehand. */
struct ort_rows;
struct ort_rows *ort_rows_open(struct ort_session *s, size_t steps, size_t batch);
void ort_rows_close(struct ort_rows *r);
/* The inputs of the next run, [steps][batch][inputs], to be filled in. */
float *ort_rows_x(struct ort_rows *r);
/* The states as the last run left them and the next finds them, to be read or set: layer's h or c [batch][hidden].
 * They move at every run. */
float *ort_rows_h(struct ort_rows *r, size_t layer);
float *ort_rows_c(struct ort_rows *r, size_t layer); /* NULL: a GRU */
/* Runs the steps from those states on and keeps the states. Answers [steps][batch][outputs, or hidden]; where the
 * network is a lone layer without a head and steps is 1, that is h itself. NULL: failed. */
const float *ort_rows_run(struct ort_rows *r);

#endif
