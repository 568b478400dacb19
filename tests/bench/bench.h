/* bench.h -- what the suites of `make bench` share: time, medians, models, and the list of suites. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/rnnd.h"
#include "tests/bench/peers/onnx_writer.h"

struct suite { /* prints tables to stdout, each led by a header line with the units */
    const char *name, *what;
    void (*run)(void);
};
extern const struct suite suite_kernels, suite_tasks, suite_server;

/* Prints a sentence to stderr and ends the program. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

double now_us(void);
/* Both sort v [n]; n >= 1. share is in [0, 1]. */
double median(double *v, size_t n);
double quantile(double *v, size_t n, double share);

/* A model file in memory, free() it: one "lstm" or "gru" layer with random weights and, if outputs is not 0, a dense
 * head. */
void *model_image(const char *cell, size_t inputs, size_t hidden, size_t outputs, size_t *bytes);
/* The same of `layers` layers with these weights, [layers]. */
void *network_image(const char *cell, size_t inputs, size_t hidden, size_t layers, const struct onnx_layer *weights,
                    size_t *bytes);
rnnd_model *open_path(const char *path);
/* The path of the first model of this task in models/, else of the one in models/tiny/; false if there is none. */
bool find_model(rnnd_task task, char *path, size_t cap);
/* All model files in models/, else those in models/tiny/; at most cap of them. */
size_t list_models(char (*paths)[256], size_t cap);

/* States of one model stepped together on random inputs. */
struct stepper {
    rnnd_model *model;
    rnnd_workspace *ws;
    rnnd_step_row *rows;
    size_t batch;
    unsigned char *states;
    float *inputs, *outputs;
};
void stepper_open(struct stepper *s, rnnd_model *model, size_t batch);
void stepper_step(struct stepper *s);
void stepper_close(struct stepper *s); /* and the model */

/* So many texts of so many tokens by one text model, sampled and stepped together in this thread; tokens per second. */
#define MAX_TEXTS 64
double generate_tokens_per_s(const rnnd_model *m, rnnd_workspace *ws, size_t texts, int64_t tokens);

#endif
