/* forecast.c -- forecasts from a copy of a state: mean, quantiles and sample paths, computed in slices.
 *
 * Mean and quantiles come from the head row in the state, up to the trained horizon; beyond it a fork is fed the
 * medians of the whole horizon, its new head row answers the next one, and so on. Sample paths are forks of their own:
 * each draws the next value of every channel from the quantiles one step ahead (a uniform level by its own generator:
 * the seed, and the path's number as the stream) and is fed the draw. All paths take a step before any takes the next,
 * so they share batches; the answer does not depend on how the work was sliced.
 *
 * A model that answers some of its channels alone is fed its answers with what the caller knows of the others' future;
 * where that does not reach, it is refused. */
#include "core/base/error.h"
#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/model/assume.h"
#include "core/tasks/scaler.h"
#include "core/tasks/series.h"

#include <math.h>
#include <string.h>

struct rnnd_forecast {
    const struct rnnd_model *model;
    size_t channels, targets, horizon, quantile_count, samples;
    double *scores;              /* [quantile_count] */
    float *mean;                 /* [horizon][targets] */
    float *quantiles;            /* [quantile_count][horizon][targets] */
    /* the fork that goes beyond the trained horizon */
    void *fork;
    float *medians;              /* [trained horizon][C] what it is fed next */
    size_t answered, fed;        /* steps answered; medians of the last answers fed since */
    /* sample paths */
    size_t stride;               /* bytes of a state, a multiple of 64 */
    char *states;                /* [samples] states */
    struct rng *generators;      /* [samples] */
    float *paths;                /* [samples][horizon][targets] */
    float *draws;                /* [samples][C] the newest of them, to be fed */
    float *future;               /* [known][C] the caller's */
    size_t known;
    struct rnnd_step_row *rows;  /* [samples] */
    size_t step, path;           /* the next draw */
};

/* ---- opening -------------------------------------------------------------------------------------------------- */

/* Rows that the model is fed after the history. */
static size_t rows_ahead(const struct series_plan *p, const rnnd_forecast_params *params)
{
    size_t beyond = (params->horizon - 1) / p->horizon * p->horizon; /* whole blocks of medians */
    return params->samples && params->horizon - 1 > beyond ? params->horizon - 1 : beyond;
}

static bool is_target(const struct series_plan *p, size_t c)
{
    for (size_t k = 0; k < p->targets; k++)
        if (p->target[k] == c)
            return true;
    return false;
}

/* Rows ahead need every channel: answered by the model, or known. */
static rnnd_code check_future(const struct rnnd_model *m, const rnnd_forecast_params *params, rnnd_error *err)
{
    const struct series_plan *p = series_plan(m);
    const struct series_config *s = &m->config.series;
    size_t needed = p->targets < p->channels ? rows_ahead(p, params) : 0;
    if (params->future_steps < needed)
        return fail_at(err, RNND_MISMATCH, "future", "model '%s' answers %zu of its %zu channels, %zu step%s ahead: "
                       "for a horizon of %zu%s the others' next %zu values are needed as \"future\", given are %zu",
                       m->info.name, p->targets, p->channels, p->horizon, p->horizon == 1 ? "" : "s", params->horizon,
                       params->samples ? " with sample paths" : "", needed, params->future_steps);
    for (size_t t = 0; t < params->future_steps; t++)
        for (size_t c = 0; c < p->channels; c++) {
            float v = params->future[t * p->channels + c], scaled;
            if (isnan(v) && t < needed && !is_target(p, c))
                return fail_at(err, RNND_MISMATCH, "future", "the future of channel '%s' lacks step %zu of %zu",
                               s->channels[c].name, t + 1, needed);
            rnnd_code code = isnan(v) ? RNND_OK : scaler_forward(&s->channels[c], v, &scaled, err);
            if (code)
                return code;
        }
    return RNND_OK;
}

static rnnd_code check_params(const struct rnnd_model *m, const rnnd_forecast_params *params, rnnd_error *err)
{
    if (m->config.task != RNND_SERIES || !m->task_data)
        return fail_at(err, RNND_UNSUPPORTED, "model", "model '%s' is no series model, so it cannot forecast",
                       m->info.name);
    if (params->horizon == 0)
        return fail_at(err, RNND_INVALID, "horizon", "the horizon must be at least 1, found 0");
    rnnd_code code = check_future(m, params, err);
    if (code)
        return code;
    for (size_t k = 0; k < params->quantile_count; k++) {
        float q = params->quantiles[k];
        if (!(q > 0.0f && q < 1.0f))
            return fail_at(err, RNND_INVALID, "quantiles", "a quantile must be inside (0, 1), found %g", (double)q);
        if (k && !(q >= params->quantiles[k - 1]))
            return fail_at(err, RNND_INVALID, "quantiles", "Quantiles must ascend, found %g after %g.", (double)q,
                           (double)params->quantiles[k - 1]);
    }
    if (m->config.series.quantile_count == 0 && (params->quantile_count || params->samples))
        return fail_at(err, RNND_UNSUPPORTED, params->quantile_count ? "quantiles" : "samples",
                       "model '%s' was trained without quantiles: it answers the mean alone", m->info.name);
    return RNND_OK;
}

static rnnd_code check_state(const struct rnnd_model *m, const struct series_state *st, rnnd_error *err)
{
    const struct series_plan *p = series_plan(m);
    size_t needed = m->config.series.warmup ? m->config.series.warmup : 1;
    if (st->steps < needed)
        return fail_at(err, RNND_MISMATCH, "series", "model '%s' needs %zu steps of history before a forecast, given "
                       "are %llu", m->info.name, needed, (unsigned long long)st->steps);
    if (!m->kernels->finite(p->horizon * p->levels * p->targets, series_floats_const(st) + p->head))
        return fail(err, RNND_NOT_FINITE, "the state of model '%s' holds values that are not finite", m->info.name);
    return RNND_OK;
}

/* Gives memory to everything that params ask for. */
static rnnd_code take_memory(struct rnnd_forecast *f, const rnnd_forecast_params *params, rnnd_error *err)
{
    const struct rnnd_model *m = f->model;
    size_t row, all, paths = 0, states = 0, trained = 0;
    if (!size_add(m->state_bytes, 63, &f->stride) || !size_mul(params->horizon, f->targets, &row) ||
        !size_mul(row, params->quantile_count, &all) || !size_mul(row, params->samples, &paths))
        return fail(err, RNND_TOO_LARGE, "a forecast of %zu steps, %zu quantiles and %zu samples does not fit in "
                    "memory", params->horizon, params->quantile_count, params->samples);
    f->stride -= f->stride % 64;
    if (!size_mul(series_plan(m)->horizon, f->channels, &trained) || !size_mul(f->stride, params->samples, &states))
        return fail(err, RNND_TOO_LARGE, "the states of %zu sample paths do not fit in memory", params->samples);
    bool ok = (f->fork = mem_aligned(f->stride)) && (f->medians = mem_alloc(trained, sizeof(float))) &&
              (f->mean = mem_alloc(row, sizeof(float)));
    if (ok && all)
        ok = (f->quantiles = mem_alloc(all, sizeof(float))) &&
             (f->scores = mem_alloc(params->quantile_count, sizeof(double)));
    if (ok && paths)
        ok = (f->paths = mem_alloc(paths, sizeof(float))) && (f->states = mem_aligned(states)) &&
             (f->generators = mem_alloc(params->samples, sizeof *f->generators)) &&
             (f->draws = mem_alloc(params->samples, f->channels * sizeof(float))) &&
             (f->rows = mem_alloc(params->samples, sizeof *f->rows));
    f->known = params->future_steps;
    ok = ok && (!f->known || (f->future = mem_alloc(f->known, f->channels * sizeof(float))));
    if (ok && f->known)
        memcpy(f->future, params->future, f->known * f->channels * sizeof(float));
    return ok ? RNND_OK : fail_memory(err, (row + all + paths) * sizeof(float) + states);
}

/* What is known of a step ahead, in place of the model's own answers. */
static void put_known(const struct rnnd_forecast *f, size_t ahead, float *row)
{
    for (size_t c = 0; ahead < f->known && c < f->channels; c++)
        if (!isnan(f->future[ahead * f->channels + c]))
            row[c] = f->future[ahead * f->channels + c];
}

/* Answers the steps that the fork's head row tells of, and keeps their medians to feed. */
static void answer_block(struct rnnd_forecast *f)
{
    const struct rnnd_model *m = f->model;
    const void *ts = model_task_state(m, f->fork);
    const struct series_plan *p = series_plan(m);
    size_t trained = p->horizon, C = f->channels, T = f->targets;
    for (size_t j = 1; j <= trained && f->answered < f->horizon; j++, f->answered++) {
        for (size_t i = 0; i < T; i++) {
            double values[MAX_LEVELS];
            series_levels(m, ts, j, i, values);
            f->medians[(j - 1) * C + p->target[i]] = (float)series_at(m, i, values, 0.0);
            f->mean[f->answered * T + i] = (float)series_mean(m, i, values);
            for (size_t k = 0; k < f->quantile_count; k++)
                f->quantiles[(k * f->horizon + f->answered) * T + i] = (float)series_at(m, i, values, f->scores[k]);
        }
        put_known(f, f->answered, f->medians + (j - 1) * C);
    }
    f->fed = 0;
}

rnnd_code rnnd_forecast_open(const struct rnnd_model *model, const void *state, const rnnd_forecast_params *params,
                             struct rnnd_forecast **out, rnnd_error *err)
{
    *out = NULL;
    rnnd_code code = model_check_confirmed(model, err);
    if (!code)
        code = check_params(model, params, err);
    if (code)
        return code;
    struct rnnd_forecast *f = mem_alloc(1, sizeof *f);
    if (!f)
        return fail_memory(err, sizeof *f);
    f->model = model;
    f->channels = series_plan(model)->channels;
    f->targets = series_plan(model)->targets;
    f->horizon = params->horizon;
    f->quantile_count = params->quantile_count;
    f->samples = params->samples;
    if ((code = take_memory(f, params, err)))
        goto out;
    memcpy(f->fork, state, model->state_bytes);
    if ((code = check_state(model, model_task_state(model, f->fork), err)))
        goto out;
    for (size_t k = 0; k < f->quantile_count; k++)
        f->scores[k] = fixed_normal_quantile((double)params->quantiles[k]);
    for (size_t i = 0; i < f->samples; i++) {
        memcpy(f->states + i * f->stride, state, model->state_bytes);
        rng_seed(&f->generators[i], params->seed, i);
    }
    answer_block(f);
    *out = f;
    f = NULL;
out:
    rnnd_forecast_close(f);
    return code;
}

void rnnd_forecast_close(struct rnnd_forecast *f)
{
    if (!f)
        return;
    mem_free(f->scores);
    mem_free(f->mean);
    mem_free(f->quantiles);
    mem_free(f->fork);
    mem_free(f->medians);
    mem_free(f->states);
    mem_free(f->generators);
    mem_free(f->paths);
    mem_free(f->draws);
    mem_free(f->future);
    mem_free(f->rows);
    mem_free(f);
}

/* ---- working -------------------------------------------------------------------------------------------------- */

/* A failed step of the forecast's own is never the caller's input, so a mismatch is a value that ran away. */
static rnnd_code own_failure(const struct rnnd_forecast *f, rnnd_code code, size_t step, rnnd_error *err)
{
    if (code == RNND_MISMATCH || code == RNND_NOT_FINITE)
        return fail(err, RNND_NOT_FINITE, "the forecast of model '%s' left the range of numbers at step %zu of %zu",
                    f->model->info.name, step + 1, f->horizon);
    return code;
}

/* Feeds one median to the fork. */
static rnnd_code work_beyond(struct rnnd_forecast *f, rnnd_workspace *ws, rnnd_error *err)
{
    size_t trained = series_plan(f->model)->horizon;
    struct rnnd_step_row row = { .state = f->fork, .input = f->medians + f->fed * f->channels };
    rnnd_code code = rnnd_step(ws, &row, 1, err);
    if (code)
        return own_failure(f, code, f->answered - trained + f->fed, err);
    if (++f->fed == trained)
        answer_block(f);
    return RNND_OK;
}

/* Into the path, and where it is fed from. */
static void draw(struct rnnd_forecast *f, size_t path)
{
    const struct rnnd_model *m = f->model;
    const void *ts = model_task_state(m, f->states + path * f->stride);
    float *out = f->paths + (path * f->horizon + f->step) * f->targets, *fed = f->draws + path * f->channels;
    for (size_t k = 0; k < f->targets; k++) {
        double values[MAX_LEVELS], u = rng_unit(&f->generators[path]);
        series_levels(m, ts, 1, k, values);
        out[k] = (float)series_at(m, k, values, fixed_normal_quantile(u > 0x1p-53 ? u : 0x1p-53));
        fed[series_plan(m)->target[k]] = out[k];
    }
    put_known(f, f->step, fed);
}

/* Draws and steps the next paths, at most n of them and of one time step; *used = how many there were. */
static rnnd_code work_paths(struct rnnd_forecast *f, rnnd_workspace *ws, size_t n, size_t *used, rnnd_error *err)
{
    size_t left = f->samples - f->path;
    n = n < left ? n : left;
    *used = n;
    for (size_t i = 0; i < n; i++) {
        size_t path = f->path + i;
        draw(f, path);
        f->rows[i] = (struct rnnd_step_row){ .state = f->states + path * f->stride,
                                             .input = f->draws + path * f->channels };
    }
    if (f->step + 1 < f->horizon) {
        rnnd_code code = rnnd_step(ws, f->rows, n, err);
        if (code)
            return own_failure(f, code, f->step, err);
    }
    f->path += n;
    if (f->path == f->samples) {
        f->path = 0;
        f->step++;
    }
    return RNND_OK;
}

rnnd_code rnnd_forecast_work(struct rnnd_forecast *f, rnnd_workspace *ws, size_t rows, bool *done, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    size_t used = 1;
    for (; rows > 0 && code == RNND_OK; rows -= used) {
        if (f->answered < f->horizon) {
            used = 1;
            code = work_beyond(f, ws, err);
        } else if (f->samples && f->step < f->horizon) {
            code = work_paths(f, ws, rows, &used, err);
        } else {
            break;
        }
    }
    *done = f->answered == f->horizon && (f->samples == 0 || f->step == f->horizon);
    return code;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* Copies [count][horizon][targets] floats, or names the step of the first that is not finite. */
static rnnd_code copy_finite(const struct rnnd_forecast *f, float *to, const float *from, size_t count,
                             const char *what, rnnd_error *err)
{
    size_t row = f->horizon * f->targets;
    for (size_t i = 0; to && i < count * row; i++) {
        if (!isfinite(from[i]))
            return fail(err, RNND_NOT_FINITE, "the %s of the forecast of model '%s' is not finite at step %zu of %zu",
                        what, f->model->info.name, i % row / f->targets + 1, f->horizon);
        to[i] = from[i];
    }
    return RNND_OK;
}

rnnd_code rnnd_forecast_read(const struct rnnd_forecast *f, const rnnd_forecast_out *out, rnnd_error *err)
{
    if (f->answered < f->horizon || (f->samples && f->step < f->horizon))
        return fail(err, RNND_CONFLICT, "the forecast is not complete: %zu of %zu steps are answered", f->answered,
                    f->horizon);
    rnnd_code code = copy_finite(f, out->mean, f->mean, 1, "mean", err);
    if (!code)
        code = copy_finite(f, out->quantiles, f->quantiles, f->quantile_count, "quantiles", err);
    if (!code)
        code = copy_finite(f, out->samples, f->paths, f->samples, "samples", err);
    return code;
}

uint64_t rnnd_state_imputed(const struct rnnd_model *model, const void *state)
{
    if (model->config.task != RNND_SERIES || !model->task_data)
        return 0;
    const struct series_state *st = (const void *)((const char *)state + model->task_offset);
    return st->imputed;
}
