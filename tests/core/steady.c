/* steady.c -- steps and windows of models, for a tool that watches what is called (test_steady.sh).
 * Usage: steady PRECISION [-allocate] MODEL. It is opened and run once; what steady_step() and steady_window() do then
 * is what goes on for ever after. -allocate: they take memory and a lock too, so that the watcher is seen to see it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rnnd.h"

enum { ROWS = 9, STEPS = 40, ROUNDS = 10 };

static rnnd_error err;
static bool allocate;
static void *volatile taken;

static void take(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (!allocate) return;
    pthread_mutex_lock(&lock);
    taken = malloc(100);
    pthread_mutex_unlock(&lock);
    free(taken);
}

rnnd_code steady_step(rnnd_workspace *ws, rnnd_step_row *rows, size_t n);
rnnd_code steady_window(rnnd_workspace *ws, const rnnd_window *w);

__attribute__((noinline)) rnnd_code steady_step(rnnd_workspace *ws, rnnd_step_row *rows, size_t n)
{
    rnnd_code code = RNND_OK;
    take();
    for (int i = 0; i < ROUNDS && code == RNND_OK; i++)
        code = rnnd_step(ws, rows, n, &err);
    return code;
}

__attribute__((noinline)) rnnd_code steady_window(rnnd_workspace *ws, const rnnd_window *w)
{
    return rnnd_run_window(ws, w, &err);
}

static float *rows_of(const rnnd_model *m, size_t width, size_t count)
{
    const rnnd_info *info = rnnd_model_info(m);
    float *x = malloc(count * width * sizeof *x);
    for (size_t i = 0; x && i < count * width; i++)
        x[i] = info->inputs[0].is_ids ? (float)(i % info->inputs[0].limit) : (float)(i % 17) / 17 - 0.5f;
    return x;
}

/* Batches of one row, of a few, and of more than the workspace takes at once. */
static rnnd_code step(const rnnd_model *m, rnnd_workspace *ws)
{
    const rnnd_info *info = rnnd_model_info(m);
    float *x = rows_of(m, info->input_width, ROWS), *y = malloc(ROWS * info->output_width * sizeof *y);
    char *states = malloc(ROWS * rnnd_state_bytes(m));
    rnnd_step_row rows[ROWS];
    rnnd_code code = RNND_OK;
    if (!x || !y || !states) return RNND_NO_MEMORY;
    for (size_t i = 0; i < ROWS; i++) {
        rows[i] = (rnnd_step_row){.state = states + i * rnnd_state_bytes(m),
                                  .input = x + i * info->input_width,
                                  .output = y + i * info->output_width};
        rnnd_state_reset(m, rows[i].state);
    }
    for (size_t n = 1; n <= ROWS && code == RNND_OK; n += 4) {
        code = rnnd_step(ws, rows, n, &err);
        if (code == RNND_OK) code = steady_step(ws, rows, n);
    }
    free(x);
    free(y);
    free(states);
    return code;
}

static rnnd_code window(const rnnd_model *m, rnnd_workspace *ws)
{
    size_t in = rnnd_window_input_width(m), out = rnnd_window_output_width(m);
    float *x = rows_of(m, in, ROWS * STEPS), *y = malloc(ROWS * STEPS * out * sizeof *y);
    rnnd_window w = {.batch = ROWS, .steps = STEPS, .inputs = x, .outputs = y};
    if (!x || !y) return RNND_NO_MEMORY;
    rnnd_code code = rnnd_run_window(ws, &w, &err);
    if (code == RNND_OK) code = steady_window(ws, &w);
    w.batch = 1;
    if (code == RNND_OK) code = steady_window(ws, &w);
    free(x);
    free(y);
    return code;
}

int main(int argc, char **argv)
{
    allocate = argc == 4 && !strcmp(argv[2], "-allocate");
    if (argc != 3 && !allocate) return 2;
    rnnd_options options = {.precision = argv[1]};
    rnnd_model *m;
    rnnd_workspace *ws = NULL;
    rnnd_code code = rnnd_model_open(argv[argc - 1], &options, &m, &err);
    if (code == RNND_OK) code = rnnd_workspace_open(m, ROWS - 3, &ws, &err);
    if (code == RNND_OK && rnnd_model_info(m)->streamable) code = step(m, ws);
    if (code == RNND_OK) code = window(m, ws);
    if (code != RNND_OK) fprintf(stderr, "%s: %s\n", argv[argc - 1], err.message);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    return code != RNND_OK;
}
