/* series.h -- inside a series model: the layout of its task state and the way from the kept head row to answers.
 *
 * A task state is a struct series_state followed by floats; struct series_plan says where each table of them starts.
 * All of it is causal: what a later step or a forecast needs is there, and nothing else is. */
#ifndef RNND_TASKS_SERIES_H
#define RNND_TASKS_SERIES_H

#include "core/model/model.h"
#include "core/tasks/quantile.h"

struct series_state {
    uint64_t steps;    /* rows consumed since reset */
    uint64_t imputed;  /* values filled in since reset */
};

/* [C] = one float per channel; values are scaled ones */
struct series_plan {
    size_t channels, horizon;
    size_t targets;                /* of the channels, those that the network answers */
    const size_t *target;          /* [targets] which channel that is */
    size_t levels;                 /* values per step ahead and channel: trained quantiles, or 1 where there are none */
    size_t anchor;                 /* the level nearest to one half */
    double score[MAX_LEVELS], weight[MAX_LEVELS];
    size_t value_depth, residual_depth;
    /* tables, in floats behind struct series_state */
    size_t mean, spread;           /* running statistics, [C] each */
    size_t last;                   /* [C] the newest value */
    size_t gap;                    /* [C] how many values in a row were filled in */
    size_t season;                 /* [period][C] */
    size_t values, residuals;      /* rings of the newest, [depth][C] */
    size_t averages;               /* [level and spread features][C] */
    size_t head;                   /* [horizon][levels][targets] the network's newest row */
    size_t floats;
};

static inline const struct series_plan *series_plan(const struct rnnd_model *m) { return m->task_data; }
static inline float *series_floats(void *task_state) { return (float *)((struct series_state *)task_state + 1); }
static inline const float *series_floats_const(const void *task_state)
{
    return (const float *)((const struct series_state *)task_state + 1);
}

/* What the kept head row says of target k, `ahead` steps after the newest one (1 .. horizon), at every trained level:
 * values [levels] in original units, ascending and inside the channel's bounds. */
void series_levels(const struct rnnd_model *m, const void *task_state, size_t ahead, size_t k, double *values);
/* The point forecast made of such values (the mean), and their value at a normal score; inside the bounds. */
double series_mean(const struct rnnd_model *m, size_t k, const double *values);
double series_at(const struct rnnd_model *m, size_t k, const double *values, double score);

#endif
