/* stream.c -- sessions against windows. */
#include "tests/lib/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 2, APART = 2 };          /* sessions, and the steps between their beginnings */
enum { CARRY_STEPS = 600 };             /* a window of a carried state is run in pieces of at most 512 rows */
enum { EVERY = 20, NOW_AND_THEN = 64 }; /* windows that answer their end alone: after so many steps, then seldom */

struct stream {
    const rnnd_model *m;
    const rnnd_info *info;
    const float *rows, *windows;
    size_t steps, inputs, outputs;
    rnnd_workspace *ws;
    float *stepped; /* [LANES][steps][outputs] */
    float *padded;  /* [window][inputs] */
    float *said;    /* [steps][outputs] */
    char *why;
};

size_t stream_steps(const rnnd_model *m)
{
    const rnnd_info *info = rnnd_model_info(m);
    return info->mode == RNND_SLIDING ? info->window + info->window / 2 + 8 : CARRY_STEPS;
}

static uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

float *stream_rows(const rnnd_model *m, size_t steps)
{
    const rnnd_info *info = rnnd_model_info(m);
    uint32_t seed = 7;
    float *rows = calloc(steps * info->input_width + 1, sizeof *rows), *at = rows;
    for (size_t t = 0; t < steps && rows; t++)
        for (size_t i = 0; i < info->input_count; i++)
            for (size_t k = 0; k < info->inputs[i].width; k++, at++)
                *at = info->inputs[i].is_ids ? (float)(draw(&seed) % info->inputs[i].limit)
                                             : (float)(draw(&seed) % 4096) / 2048 - 1;
    return rows;
}

static bool failed(struct stream *s, const char *what, size_t step, const rnnd_error *err)
{
    snprintf(s->why, 512, "%s, step %zu: %.400s", what, step, err->message);
    return false;
}

static bool same(struct stream *s, size_t lane, size_t step, const float *said)
{
    const float *got = s->stepped + (lane * s->steps + step) * s->outputs;
    for (size_t i = 0; i < s->outputs; i++)
        if (memcmp(&got[i], &said[i], sizeof *got) != 0) {
            snprintf(s->why, 512, "session %zu, step %zu: output %zu is %.9g, its window says %.9g", lane, step, i,
                     (double)got[i], (double)said[i]);
            return false;
        }
    return true;
}

/* Lane 1 begins APART steps behind lane 0, with the same rows. */
static bool step_all(struct stream *s)
{
    rnnd_error err;
    size_t bytes = (rnnd_state_bytes(s->m) + 7) / 8 * 8;
    char *states = calloc(LANES, bytes);
    bool good = states != NULL;
    for (size_t i = 0; i < LANES && good; i++)
        rnnd_state_reset(s->m, states + i * bytes);
    for (size_t now = 0; now < s->steps + APART && good; now++) {
        rnnd_step_row rows[LANES];
        size_t n = 0;
        for (size_t i = 0; i < LANES; i++) {
            if (now < i * APART || now - i * APART >= s->steps) continue;
            size_t t = now - i * APART;
            rows[n++] = (rnnd_step_row){.state = states + i * bytes,
                                        .input = s->rows + t * s->inputs,
                                        .output = s->stepped + (i * s->steps + t) * s->outputs};
        }
        if (rnnd_step(s->ws, rows, n, &err) != RNND_OK) good = failed(s, "a session", now, &err);
    }
    free(states);
    return good;
}

static bool run(struct stream *s, const float *rows, size_t steps)
{
    rnnd_error err;
    rnnd_window w = {.batch = 1, .steps = steps, .inputs = rows, .outputs = s->said};
    return rnnd_run_window(s->ws, &w, &err) == RNND_OK || failed(s, "a window", steps, &err);
}

/* The answer of both sessions after `step` + 1 rows is the last of this window. */
static bool ends_with(struct stream *s, size_t step, const float *rows, size_t steps)
{
    if (!run(s, rows, steps)) return false;
    const float *last = s->said + (s->info->output_last ? 0 : steps - 1) * s->outputs;
    return same(s, 0, step, last) && same(s, 1, step, last);
}

static bool carry(struct stream *s)
{
    if (s->info->output_last) {
        for (size_t t = 0; t < s->steps; t++) {
            bool look = t < EVERY || t % NOW_AND_THEN == 0 || t + 1 == s->steps;
            if (look && !ends_with(s, t, s->windows, t + 1)) return false;
        }
        return true;
    }
    if (!run(s, s->windows, s->steps)) return false;
    for (size_t t = 0; t < s->steps; t++)
        for (size_t i = 0; i < LANES; i++)
            if (!same(s, i, t, s->said + t * s->outputs)) return false;
    return true;
}

static bool sliding(struct stream *s)
{
    size_t W = s->info->window;
    for (size_t t = 0; t < s->steps; t++) {
        size_t n = t + 1 < W ? t + 1 : W, zeros = s->info->pad_zeros ? W - n : 0;
        memset(s->padded, 0, zeros * s->inputs * sizeof *s->padded);
        memcpy(s->padded + zeros * s->inputs, s->windows + (t + 1 - n) * s->inputs, n * s->inputs * sizeof *s->padded);
        if (!ends_with(s, t, s->padded, zeros + n)) return false;
    }
    return true;
}

enum stream_kind stream_check(const rnnd_model *m, const float *rows, const float *windows, size_t steps, char why[512])
{
    const rnnd_info *info = rnnd_model_info(m);
    struct stream s = {.m = m, .info = info, .rows = rows, .windows = windows, .steps = steps, .why = why};
    size_t most = steps > info->window ? steps : info->window;
    rnnd_error err;
    s.inputs = info->input_width;
    s.outputs = info->output_width;
    why[0] = 0;
    if (!info->streamable || info->task != RNND_RAW || !steps) {
        snprintf(why, 512, "%.400s",
                 info->not_streamable[0] ? info->not_streamable
                 : steps                 ? "a step of its task is more than one of its network"
                                         : "there are no rows");
        return STREAM_NEITHER;
    }
    bool good = (s.stepped = calloc(LANES * steps * s.outputs + 1, sizeof(float))) &&
                (s.padded = calloc(info->window * s.inputs + 1, sizeof(float))) &&
                (s.said = calloc(most * s.outputs + 1, sizeof(float)));
    if (!good || rnnd_workspace_open(m, LANES, &s.ws, &err) != RNND_OK) {
        snprintf(why, 512, "no memory for %zu steps", steps);
        good = false;
    }
    good = good && step_all(&s) && (info->mode == RNND_SLIDING ? sliding(&s) : carry(&s));
    rnnd_workspace_close(s.ws);
    free(s.stepped);
    free(s.padded);
    free(s.said);
    return !good ? STREAM_WRONG : info->mode == RNND_SLIDING ? STREAM_SLIDING : STREAM_CARRY;
}
