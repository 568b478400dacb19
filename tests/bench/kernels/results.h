/* results.h -- what the kernel suite has measured, and what is made of it. */
#ifndef TESTS_BENCH_KERNELS_RESULTS_H
#define TESTS_BENCH_KERNELS_RESULTS_H

#include <stdio.h>

#include "tests/bench/kernels/backend.h"

#define MAX_BACKENDS 16
#define MAX_ROUNDS 9

struct result {
    int rounds; /* 0: not measured */
    struct timing round[MAX_ROUNDS];
    double error; /* below 0: not compared */
};

struct results {
    size_t shape_count, backend_count;
    struct shape shapes[MAX_SHAPES];
    const struct backend *backends[MAX_BACKENDS];
    char versions[MAX_BACKENDS][160];
    struct result of[MAX_SHAPES][MAX_BACKENDS];
    double peak[3][3]; /* [precision][threads] */
};

/* The index of a backend, -1: not there. */
int results_find(const struct results *r, const char *name);
/* The fastest round's median, us; 0: not measured, or no such backend. */
double results_us(const struct results *r, size_t shape, int backend);
/* The fastest peer of that precision; -1: none was measured. */
int results_best_peer(const struct results *r, size_t shape, enum precision precision);
/* Our backend of a precision; -1: not there. */
int results_ours(const struct results *r, enum precision precision);

/* A row per shape; geometric means per group; the goals beside what was measured; the shapes that miss the
 * goal beside the best peer of their precision, on one thread. */
void report_shapes(const struct results *r, FILE *to);
void report_groups(const struct results *r, FILE *to);
/* What one row waits for: the weights, read at what rate beside the most that can be. */
void report_reading(const struct results *r, FILE *to);
void report_goals(const struct results *r, FILE *to);
void report_losses(const struct results *r, FILE *to);

#endif
