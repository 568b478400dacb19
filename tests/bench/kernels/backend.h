/* backend.h -- the kernel suite: shapes, the same numbers for everybody, and what a library must offer to be timed. */
#ifndef TESTS_BENCH_KERNELS_BACKEND_H
#define TESTS_BENCH_KERNELS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/bench/peers/onnx_writer.h"

struct shape { /* `layers` recurrent layers over `steps` inputs of `batch` sequences, on `threads` threads */
    bool gru;
    size_t inputs, hidden, layers, batch, steps;
    int threads;
};

#define MAX_SHAPES 256
/* All shapes, those that differ in threads alone side by side. The environment may narrow them: QUICK=1 (one layer of
 * 64 inputs), CELL=lstm|gru, HMAX, ONLYB, ONLYT, NTS="1 2". */
size_t shapes_list(struct shape out[MAX_SHAPES]);
/* Multiplications and additions of the products of one run. */
double shape_flop(const struct shape *s);

struct problem { /* random weights and inputs, the same for every backend and in every run */
    struct shape shape;
    struct onnx_layer layer[ONNX_MAX_LAYERS];
    float *x;     /* [steps][batch][inputs] */
    double *want; /* [2][hidden]: the last step's top h of the first and the last sequence after two runs from zeros, in
                     double precision; NULL: not computed */
    float *memory;
};
void problem_open(struct problem *p, const struct shape *s, bool with_answer);
void problem_close(struct problem *p);

enum precision { FP32, BF16, INT8 };

struct timing {
    double median_us, min_us, cpu_median_us;
};

struct backend {
    const char *name;
    enum precision precision;
    bool ours;
    /* Makes the library ready and says its version; false: it cannot be had, and `text` is why. */
    bool (*load)(char *text, size_t cap);
    bool (*takes)(const struct shape *s);        /* NULL: everything */
    void *(*open)(const struct problem *p);      /* states are zeros; NULL: cannot after all */
    bool (*run)(void *self);                     /* `steps` steps from the states the last run left */
    void (*row)(void *self, size_t b, float *h); /* the last step's top h of one sequence */
    void (*close)(void *self);
    /* NULL: run() is timed from outside */
    bool (*time)(void *self, double budget_us, struct timing *out);
};

extern const struct backend rnnd_backends[3], ort_backends[2], openblas_backends[2], torch_backend;
/* of the plugin build/bench-onednn.so, which is there where oneDNN's header is */
#define ONEDNN_BACKENDS 3
#define ONEDNN_SYMBOL "onednn_backends"

/* Runs for about `budget_us`, after warming up. False: a run failed. */
bool backend_time(const struct backend *b, void *self, double budget_us, struct timing *out);
/* Runs twice and says the largest error of h; below 0: nothing to compare with, or a run failed. */
double backend_error(const struct backend *b, void *self, const struct problem *p);
/* BUDGET_MS of the environment, else 15 ms, in us */
double budget_us(void);

#endif
