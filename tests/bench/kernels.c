/* kernels.c -- suite: one step of LSTM and GRU layers through the public interface, per kernel row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"

#define INPUTS ((size_t)64)
#define ROUNDS 11
#define ROUND_US 2500.0 /* a round of one shape and row takes about so long */

static const char *const row_names[] = {"avx512", "avx2", "baseline", "fast"};
#define ROWS (sizeof row_names / sizeof *row_names)

struct subject { /* one kernel row at work on a shape */
    const char *row;
    struct stepper stepper;
    size_t steps; /* of a round */
    double us[ROUNDS];
};

static double time_steps(struct stepper *s, size_t steps)
{
    double start = now_us();
    for (size_t i = 0; i < steps; i++) stepper_step(s);
    return (now_us() - start) / (double)steps;
}

static bool subject_open(struct subject *s, const char *row, const void *image, size_t bytes, size_t batch)
{
    rnnd_options options = {.kernel_row = row};
    rnnd_model *m;
    rnnd_error err;
    rnnd_code code = rnnd_model_open_memory(image, bytes, "bench", &options, &m, &err);
    if (code == RNND_UNSUPPORTED) return false; /* this processor has no such row */
    if (code) die("%s", err.message);
    s->row = row;
    stepper_open(&s->stepper, m, batch);
    stepper_step(&s->stepper);
    double steps = ROUND_US / time_steps(&s->stepper, 1);
    s->steps = steps < 1 ? 1 : steps > 2000 ? 2000 : (size_t)steps;
    return true;
}

static void measure(const char *cell, size_t hidden, size_t batch)
{
    struct subject subjects[ROWS];
    size_t count = 0, bytes;
    double gates = strcmp(cell, "lstm") == 0 ? 4 : 3;
    double flop = 2 * gates * (double)(hidden * (INPUTS + hidden) * batch);
    void *image = model_image(cell, INPUTS, hidden, 0, &bytes);
    for (size_t i = 0; i < ROWS; i++) count += subject_open(&subjects[count], row_names[i], image, bytes, batch);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t k = 0; k < count; k++) { /* every row takes its turn behind every other */
            struct subject *s = &subjects[(k + round) % count];
            stepper_step(&s->stepper); /* caches and clock become its own */
            s->us[round] = time_steps(&s->stepper, s->steps);
        }
    for (size_t i = 0; i < count; i++) {
        double us = median(subjects[i].us, ROUNDS);
        printf("kernels,%s,%s,%zu,%zu,%zu,%.2f,%.1f,%.2f\n", cell, subjects[i].row, INPUTS, hidden, batch, us,
               flop / us * 1e-3, subjects[i].us[0]); /* median() has sorted them */
        stepper_close(&subjects[i].stepper);
    }
    fflush(stdout);
    free(image);
}

static void run(void)
{
    static const char *const cells[] = {"lstm", "gru"};
    static const size_t hiddens[] = {64, 128, 256, 512}, batches[] = {1, 8, 32};
    printf("suite,cell,kernel_row,inputs,hidden,batch,us_per_step,gflop_per_s,best_round_us_per_step\n");
    for (size_t c = 0; c < 2; c++)
        for (size_t h = 0; h < 4; h++)
            for (size_t b = 0; b < 3; b++) measure(cells[c], hiddens[h], batches[b]);
    printf("\n");
}

const struct suite suite_kernels = {"kernels", "one step of LSTM and GRU layers, per kernel row", run};
