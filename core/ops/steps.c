/* steps.c -- a cell over sequences, forward or backward in time. */
#include "core/ops/steps.h"

#include <string.h>

#include "core/base/error.h"

/* Sequences fewer than a tile of the product are projected ahead, many steps in one product; others read their inputs
 * as they step. So many projected rows are held at a time. Both numbers only move work between the caches: a row's sums
 * do not know which rows are beside it. */
#define FEW_SEQUENCES ((size_t)4)
#define PROJECT_ROWS ((size_t)128)

static void set_rows(struct steps *s, void **p, size_t most, float *accumulators)
{
    size_t B = s->B;
    s->rows.projected = (float **)p;
    s->rows.x = (const float **)(p + most);
    s->h = s->rows.x + (most > B ? most : B);
    s->c = s->h + B;
    s->c_next = (float **)(s->c + B);
    s->rows.used = (const float **)(s->c_next + B);
    s->rows.h = s->rows.used + B;
    s->rows.c = s->rows.h + B;
    s->rows.h_next = (float **)(s->rows.c + B);
    s->rows.c_next = s->rows.h_next + B;
    for (size_t i = 0; i < s->block; i++)
        s->rows.projected[i] = accumulators + i * cell_projected_width(s->cell);
}

rnnd_code steps_start(struct steps *s, struct run_context *rc, rnnd_error *err)
{
    const struct cell *cell = s->cell;
    size_t most, floats, pointers, own, B = s->B;
    size_t widest = cell->recurrent > cell->c_width ? cell->recurrent : cell->c_width;
    if (!size_mul(s->T, FEW_SEQUENCES - 1, &most)) return fail_memory(err, (size_t)-1);
    if (s->T == 1 || s->projected) most = 0; /* only T says how much is taken, so that plans hold for fewer sequences */
    if (most > PROJECT_ROWS) most = PROJECT_ROWS;
    s->turn = rc->turn;
    s->team = rc->team;
    s->block = B < FEW_SEQUENCES ? most : 0;
    if (!size_mul(most, cell_projected_width(cell), &floats) || !size_mul(floats, sizeof(float), &floats) ||
        !size_mul(most * 2 + B * 9, sizeof(void *), &pointers) ||
        !size_mul(2 * B * sizeof(float), cell->recurrent, &own))
        return fail_memory(err, (size_t)-1);
    void **p = rc->scratch(rc, pointers);
    float *accumulators = rc->scratch(rc, floats), *zeros = rc->scratch(rc, widest * sizeof(float));
    s->scratch = rc->scratch(rc, cell_scratch_floats(cell, B > most ? B : most) * sizeof(float));
    s->active = rc->scratch(rc, B * sizeof *s->active);
    s->h_own = s->y ? NULL : rc->scratch(rc, own);
    if (!p || !accumulators || !zeros || !s->scratch || !s->active || (!s->y && !s->h_own))
        return fail_memory(err, floats);
    if (rc->planning) return RNND_OK;
    memset(zeros, 0, widest * sizeof(float));
    s->zeros = zeros;
    set_rows(s, p, most, accumulators);
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
    if (s->holds) {
        memcpy(y_row(s, b, time_of(s, b, i)), s->h[b], bytes);
        return;
    }
    memcpy(y_row(s, b, time_of(s, b, i)), again ? y_row(s, b, time_of(s, b, i - 1)) : s->zeros, bytes);
}

/* Where h of sequence b goes at time t: its row of y, or that one of its two rows which does not hold h. */
static float *next_h(const struct steps *s, size_t b, size_t t)
{
    size_t width = s->cell->recurrent;
    if (s->y) return y_row(s, b, t);
    float *first = s->h_own + b * width;
    return s->h[b] == first ? first + s->B * width : first;
}

static const float *input_row(const struct steps *s, size_t b, size_t t, float *const *projected)
{
    if (projected) return projected[b];
    if (s->projected) return s->projected + (size_t)s->ids[t * s->B + b] * cell_projected_width(s->cell);
    return s->x + t * s->x_t + b * s->x_b;
}

/* Step i of all sequences that have one; from their projected rows, or, where there are none, their inputs. */
static void step(struct steps *s, size_t i, float *const *projected)
{
    const struct cell *cell = s->cell;
    struct steps_rows *r = &s->rows;
    bool has_c = cell->c_width != 0, ready = projected || s->projected;
    size_t n = 0;
    for (size_t b = 0; b < s->B; b++) {
        size_t t = time_of(s, b, i);
        if (i >= length_of(s, b) || (s->mask && !s->mask[b * s->T + t])) {
            stand_still(s, b, i);
            continue;
        }
        s->active[n] = b;
        r->used[n] = input_row(s, b, t, projected);
        r->h[n] = s->h[b];
        r->h_next[n] = next_h(s, b, t);
        if (has_c) {
            r->c[n] = s->c[b];
            r->c_next[n] = s->c_next[b];
        }
        n++;
    }
    if (n == 0) return;
    cell_step(cell, n,
              &(struct cell_rows){.x = ready ? NULL : r->used, .projected = ready ? r->used : NULL, .h = r->h,
                                  .c = r->c, .h_next = r->h_next, .c_next = r->c_next,
                                  .backwards = (s->turn + i) % 2 != 0},
              s->team, s->scratch);
    for (size_t k = 0; k < n; k++) {
        s->h[s->active[k]] = r->h_next[k];
        if (has_c) s->c[s->active[k]] = r->c_next[k];
    }
}

static void run_projected(struct steps *s)
{
    for (size_t done = 0, chunk = s->block / s->B; done < s->T; done += chunk) {
        size_t steps = s->T - done < chunk ? s->T - done : chunk;
        for (size_t i = 0; i < steps; i++)
            for (size_t b = 0; b < s->B; b++)
                s->rows.x[i * s->B + b] = s->x + time_of(s, b, done + i) * s->x_t + b * s->x_b;
        cell_project(s->cell, steps * s->B, s->rows.x, s->rows.projected, s->team, s->scratch);
        for (size_t i = 0; i < steps; i++)
            step(s, done + i, s->rows.projected + i * s->B);
    }
}

void steps_run(struct steps *s)
{
    if (s->B == 0) return;
    if (s->block) {
        run_projected(s);
        return;
    }
    for (size_t i = 0; i < s->T; i++)
        step(s, i, NULL);
}
