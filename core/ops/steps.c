/* steps.c -- a cell over sequences: project all inputs in blocks, then step, forward or backward in time. */
#include "core/ops/steps.h"

#include <string.h>

#include "core/base/error.h"

/* So many projected rows are held at a time, or one step's where that is more. The number only moves work between the
 * caches: a row's sums do not know which rows are beside it. */
#define PROJECT_ROWS ((size_t)128)

static void set_rows(struct steps *s, void **p, float *accumulators)
{
    size_t B = s->B, n = s->block;
    s->rows.x = (const float **)p;
    s->rows.projected = (float **)(p + n);
    s->h = (const float **)(p + 2 * n);
    s->c = s->h + B;
    s->c_next = (float **)(s->c + B);
    s->rows.used = s->c_next + B;
    s->rows.h = (const float **)(s->rows.used + B);
    s->rows.c = s->rows.h + B;
    s->rows.h_next = (float **)(s->rows.c + B);
    s->rows.c_next = s->rows.h_next + B;
    for (size_t i = 0; i < n; i++)
        s->rows.projected[i] = accumulators + i * cell_projected_width(s->cell);
}

rnnd_code steps_start(struct steps *s, struct run_context *rc, rnnd_error *err)
{
    const struct cell *cell = s->cell;
    size_t total, floats, pointers, own = 0, B = s->B;
    size_t widest = cell->recurrent > cell->c_width ? cell->recurrent : cell->c_width;
    if (!size_mul(s->T, B, &total)) return fail_memory(err, (size_t)-1);
    s->block = B > PROJECT_ROWS ? B : PROJECT_ROWS; /* grows with T and B, so that plans hold for less */
    if (total < s->block) s->block = total > B ? total : B;
    if (!size_mul(s->block, cell_projected_width(cell), &floats) || !size_mul(floats, sizeof(float), &floats) ||
        !size_mul(s->block * 2 + B * 8, sizeof(void *), &pointers) ||
        !size_mul(B * sizeof(float), cell->recurrent, &own))
        return fail_memory(err, (size_t)-1);
    void **p = rc->scratch(rc, pointers);
    float *accumulators = rc->scratch(rc, floats), *zeros = rc->scratch(rc, widest * sizeof(float));
    s->scratch = rc->scratch(rc, cell_scratch_floats(cell, B) * sizeof(float));
    s->active = rc->scratch(rc, B * sizeof *s->active);
    s->h_own = s->y ? NULL : rc->scratch(rc, own);
    if (!p || !accumulators || !zeros || !s->scratch || !s->active || (!s->y && !s->h_own))
        return fail_memory(err, floats);
    if (rc->planning) return RNND_OK;
    memset(zeros, 0, widest * sizeof(float));
    s->zeros = zeros;
    set_rows(s, p, accumulators);
    return RNND_OK;
}

static size_t length_of(const struct steps *s, size_t b)
{
    return s->lens ? (size_t)s->lens[b] : s->T;
}

/* The time of step i of sequence b; steps beyond its end stand at its place in the order of storage. */
static size_t time_of(const struct steps *s, size_t b, size_t i)
{
    size_t length = length_of(s, b);
    return s->reverse && i < length ? length - 1 - i : i;
}

static float *y_row(const struct steps *s, size_t b, size_t t)
{
    return s->y + t * s->y_t + b * s->y_b;
}

/* What y says at a step that is no step of this sequence. */
static void stand_still(const struct steps *s, size_t b, size_t i)
{
    size_t bytes = s->cell->recurrent * sizeof(float);
    if (!s->y) return;
    bool again = i > 0 && i < length_of(s, b);
    memcpy(y_row(s, b, time_of(s, b, i)), again ? y_row(s, b, time_of(s, b, i - 1)) : s->zeros, bytes);
}

/* Step i of all sequences that have one; their projected rows are given. */
static void step(struct steps *s, size_t i, float *const *projected)
{
    const struct cell *cell = s->cell;
    struct steps_rows *r = &s->rows;
    bool has_c = cell->c_width != 0;
    size_t n = 0;
    for (size_t b = 0; b < s->B; b++) {
        size_t t = time_of(s, b, i);
        if (i >= length_of(s, b) || (s->mask && !s->mask[b * s->T + t])) {
            stand_still(s, b, i);
            continue;
        }
        s->active[n] = b;
        r->used[n] = projected[b];
        r->h[n] = s->h[b];
        r->h_next[n] = s->y ? y_row(s, b, t) : s->h_own + b * cell->recurrent;
        if (has_c) {
            r->c[n] = s->c[b];
            r->c_next[n] = s->c_next[b];
        }
        n++;
    }
    if (n == 0) return;
    cell_step(cell, n, r->used, r->h, has_c ? r->c : NULL, r->h_next, has_c ? r->c_next : NULL, s->scratch);
    for (size_t k = 0; k < n; k++) {
        s->h[s->active[k]] = r->h_next[k];
        if (has_c) s->c[s->active[k]] = r->c_next[k];
    }
}

void steps_run(struct steps *s)
{
    if (s->B == 0) return;
    for (size_t done = 0, chunk = s->block / s->B; done < s->T; done += chunk) {
        size_t steps = s->T - done < chunk ? s->T - done : chunk;
        for (size_t i = 0; i < steps; i++)
            for (size_t b = 0; b < s->B; b++)
                s->rows.x[i * s->B + b] = s->x + time_of(s, b, done + i) * s->x_t + b * s->x_b;
        cell_project(s->cell, steps * s->B, s->rows.x, s->rows.projected);
        for (size_t i = 0; i < steps; i++)
            step(s, done + i, s->rows.projected + i * s->B);
    }
}
