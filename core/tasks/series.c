/* series.c -- the series task: original units to network rows and back, with causal statistics in the state.
 *
 * One step, per channel, with s_t the scaled value:
 *   missing      s_t = the model's own median for this step (the last value, if it answers none for the channel) |
 *                the last value | refused
 *   running      m += k (s_t - m),  v += k (|s_t - m| - v),  k = max(1 - decay, 1/(t + 1));  scale = v, at least 1e-3
 *                (without: m = 0, scale = 1)
 *   baseline     b_t = ring[t mod period] once it is full, before that (and for `last`) s_t-1, at first 0; `none`: 0
 *   residual     r_t = s_t - b_t, 0 while b_t is a stand-in;   ring[t mod period] += smoothing r_t (at first: = s_t)
 *   averages     of r and |r|, from the first full baseline on: a += (r_t - a) / min(lag, how many there were)
 * Features are values over the running scale, less the running mean where they are levels and not differences.
 *
 * The answer for step t + j at one trained level, from the head row y kept after step t:
 *   s = b_t+j + y scale   (residual output; b_t+j is in the ring by now)     or     s = m + y scale
 * then the inverse scaler, then: no crossing (running maximum from the median upward, running minimum downward, see
 * quantile.h), then the channel's bounds. So lower <= median <= upper always, and a forecast is a function of the
 * state alone. */
#include "core/tasks/series.h"

#include "core/base/error.h"
#include "core/tasks/scaler.h"
#include "core/tasks/tasks.h"

#include <math.h>
#include <string.h>

#define LEAST_SCALE 1e-3f
#define LARGEST_KEPT (4 * SCALER_LARGEST)
#define MAX_TASK_BYTES ((size_t)1 << 26)

static bool is_average(enum feature_kind k) { return k == FEATURE_LEVEL || k == FEATURE_SPREAD; }

/* Is the baseline of row t the one that was asked for, not a stand-in? */
static bool baseline_full(const struct series_config *s, uint64_t t)
{
    return s->baseline == BASELINE_SEASONAL ? t >= s->period : s->baseline == BASELINE_LAST ? t > 0 : true;
}

/* The baseline of row t out of what rows before `known` left behind (known <= t). */
static float baseline_at(const struct series_config *s, const struct series_plan *p, const float *f, uint64_t known,
                         uint64_t t, size_t c)
{
    if (s->baseline == BASELINE_NONE || known == 0)
        return 0.0f;
    if (s->baseline == BASELINE_SEASONAL && known >= s->period)
        return f[p->season + (size_t)(t % s->period) * p->channels + c];
    return f[p->last + c];
}

static float running_mean(const struct series_config *s, const struct series_plan *p, const float *f, size_t c)
{
    return s->running_decay > 0 ? f[p->mean + c] : 0.0f;
}

static float running_scale(const struct series_config *s, const struct series_plan *p, const float *f, size_t c)
{
    if (!(s->running_decay > 0))
        return 1.0f;
    return f[p->spread + c] > LEAST_SCALE ? f[p->spread + c] : LEAST_SCALE;
}

/* ---- attach --------------------------------------------------------------------------------------------------- */

static rnnd_code check_config(const struct rnnd_model *m, rnnd_error *err)
{
    const struct series_config *s = &m->config.series;
    size_t inputs, outputs, levels = s->quantile_count ? s->quantile_count : 1;
    if (s->channel_count == 0 || s->feature_count == 0 || s->horizon == 0)
        return fail(err, RNND_MISMATCH, "a series model needs at least one channel, one feature and a horizon of 1, "
                    "found %zu, %zu and %zu", s->channel_count, s->feature_count, s->horizon);
    if (s->quantile_count > MAX_LEVELS)
        return fail_at(err, RNND_UNSUPPORTED, "quantiles", "a model may have at most %d trained quantiles, found %zu",
                       MAX_LEVELS, s->quantile_count);
    for (size_t k = 0; k < s->quantile_count; k++)
        if (!(s->quantiles[k] > (k ? s->quantiles[k - 1] : 0.0f)) || !(s->quantiles[k] < 1.0f))
            return fail_at(err, RNND_MISMATCH, "quantiles", "Trained quantiles must ascend inside (0, 1), found %g at "
                           "place %zu.", (double)s->quantiles[k], k);
    for (size_t c = 0; c < s->channel_count; c++)
        if (scaler_check(&s->channels[c], err))
            return err ? err->code : RNND_MISMATCH;
    if (s->baseline == BASELINE_SEASONAL && s->period == 0)
        return fail_at(err, RNND_MISMATCH, "period", "a seasonal baseline needs a period of at least 1, found 0");
    if (s->baseline == BASELINE_SEASONAL && !(s->smoothing > 0 && s->smoothing <= 1))
        return fail_at(err, RNND_MISMATCH, "smoothing", "the smoothing of a baseline must be in (0, 1], found %g",
                       (double)s->smoothing);
    if (!(s->running_decay >= 0 && s->running_decay < 1))
        return fail_at(err, RNND_MISMATCH, "running_decay", "the running decay must be in [0, 1), found %g",
                       (double)s->running_decay);
    for (size_t k = 0; k < s->feature_count; k++)
        if (s->features[k].lag == 0 && (is_average(s->features[k].kind) ||
                                        s->features[k].kind == FEATURE_NEXT_BASELINE))
            return fail_at(err, RNND_MISMATCH, "features", "Feature %zu needs a lag of at least 1, found 0.", k);
    for (size_t i = 0; i < m->info.input_count; i++)
        if (m->info.inputs[i].is_ids)
            return fail_at(err, RNND_MISMATCH, "inputs", "a series model takes numbers, found the input '%s' of ids",
                           m->info.inputs[i].name);
    if (!size_mul(s->feature_count, s->channel_count, &inputs) || inputs != m->network_inputs)
        return fail(err, RNND_MISMATCH, "the network takes %zu numbers a step, %zu features of %zu channels were "
                    "configured", m->network_inputs, s->feature_count, s->channel_count);
    if (!size_mul(s->horizon, levels, &outputs) || !size_mul(outputs, s->target_count, &outputs) ||
        outputs != m->network_outputs)
        return fail_at(err, RNND_MISMATCH, "target", "the network gives %zu numbers a step, wanted are a horizon of "
                       "%zu times %zu quantiles times %zu channels; \"target\" names those that it answers, if not all",
                       m->network_outputs, s->horizon, levels, s->target_count);
    return RNND_OK;
}

/* Takes rows*channels floats of the layout; false on overflow. */
static bool place(struct series_plan *p, size_t rows, size_t *at)
{
    size_t n;
    *at = p->floats;
    return size_mul(rows, p->channels, &n) && size_add(p->floats, n, &p->floats);
}

static bool lay_out(const struct series_config *s, struct series_plan *p)
{
    size_t averages = 0, deepest_value = 0, deepest_residual = 0, heads;
    bool lagged = false, fits;
    for (size_t k = 0; k < s->feature_count; k++) {
        const struct feature_config *f = &s->features[k];
        averages += is_average(f->kind);
        if (f->kind == FEATURE_LAG && f->lag > deepest_value)
            deepest_value = f->lag;
        if (f->kind == FEATURE_RESIDUAL && f->lag > deepest_residual)
            deepest_residual = f->lag;
        lagged |= f->kind == FEATURE_LAG;
    }
    fits = !lagged || size_add(deepest_value, 1, &p->value_depth);
    fits = fits && size_add(deepest_residual, 1, &p->residual_depth) && size_mul(p->horizon, p->levels, &heads) &&
           size_mul(heads, p->targets, &heads);
    fits = fits && place(p, s->running_decay > 0, &p->mean) && place(p, s->running_decay > 0, &p->spread);
    fits = fits && place(p, 1, &p->last) && place(p, 1, &p->gap);
    fits = fits && place(p, s->baseline == BASELINE_SEASONAL ? s->period : 0, &p->season);
    fits = fits && place(p, p->value_depth, &p->values) && place(p, p->residual_depth, &p->residuals);
    fits = fits && place(p, averages, &p->averages) && place(p, 0, &p->head) && size_add(p->floats, heads, &p->floats);
    return fits && size_add(p->floats, p->floats % 2, &p->floats); /* states are multiples of 8 bytes */
}

/* Without targets every channel is one. */
static rnnd_code name_targets(struct series_config *s, struct arena *arena, rnnd_error *err)
{
    if (s->target_count)
        return RNND_OK;
    if (!(s->targets = arena_alloc(arena, s->channel_count + 1, sizeof *s->targets)))
        return fail_memory(err, s->channel_count * sizeof *s->targets);
    for (; s->target_count < s->channel_count; s->target_count++)
        s->targets[s->target_count] = s->target_count;
    return RNND_OK;
}

static rnnd_code attach(struct rnnd_model *m, rnnd_error *err)
{
    static const float half = 0.5f;
    const struct series_config *s = &m->config.series;
    rnnd_code code = name_targets(&m->config.series, &m->arena, err);
    if (!code)
        code = check_config(m, err);
    if (code)
        return code;
    struct series_plan *p = arena_alloc(&m->arena, 1, sizeof *p);
    const char **names = arena_alloc(&m->arena, s->channel_count, sizeof *names);
    const char **targets = arena_alloc(&m->arena, s->target_count, sizeof *targets);
    if (!p || !names || !targets)
        return fail_memory(err, sizeof *p);
    p->channels = s->channel_count;
    p->targets = s->target_count;
    p->target = s->targets;
    p->horizon = s->horizon;
    p->levels = s->quantile_count ? s->quantile_count : 1;
    p->anchor = s->quantile_count ? quantile_anchor(s->quantiles, s->quantile_count) : 0;
    quantile_tables(s->quantile_count ? s->quantiles : &half, p->levels, p->score, p->weight);
    size_t bytes;
    if (!lay_out(s, p) || !size_mul(p->floats, sizeof(float), &bytes) ||
        !size_add(bytes, sizeof(struct series_state), &m->task_bytes) || m->task_bytes > MAX_TASK_BYTES)
        return fail(err, RNND_TOO_LARGE, "the period and lags of a series model may take %zu bytes of state, "
                    "these take more", MAX_TASK_BYTES);
    for (size_t c = 0; c < s->channel_count; c++)
        names[c] = s->channels[c].name;
    for (size_t k = 0; k < s->target_count; k++)
        targets[k] = names[s->targets[k]];
    m->task_data = p;
    m->info.channels = names;
    m->info.channel_count = s->channel_count;
    m->info.targets = targets;
    m->info.target_count = s->target_count;
    m->info.horizon = s->horizon;
    m->info.warmup = s->warmup;
    m->info.quantiles = s->quantiles;
    m->info.quantile_count = s->quantile_count;
    m->info.frequency = s->frequency ? s->frequency : "";
    m->info.input_width = s->channel_count;
    m->info.output_width = s->target_count;
    return RNND_OK;
}

static void reset(const struct rnnd_model *m, void *task_state) { memset(task_state, 0, m->task_bytes); }

/* ---- a step --------------------------------------------------------------------------------------------------- */

/* The value that stands in for a missing one. */
static rnnd_code fill_in(const struct rnnd_model *m, const void *task_state, size_t c, float *scaled, rnnd_error *err)
{
    const struct series_config *s = &m->config.series;
    const struct series_plan *p = series_plan(m);
    const float *f = series_floats_const(task_state);
    const struct series_state *st = task_state;
    const char *name = s->channels[c].name;
    if (s->missing == MISSING_REFUSE)
        return fail_at(err, RNND_MISMATCH, name, "Channel '%s' has a missing value, and this model takes none.", name);
    if (s->missing_limit && f[p->gap + c] >= (float)s->missing_limit)
        return fail_at(err, RNND_MISMATCH, name, "Channel '%s' lacks more than %zu values in a row, the most "
                       "this model fills in.", name, s->missing_limit);
    *scaled = 0.0f;
    if (st->steps == 0)
        return RNND_OK;
    *scaled = f[p->last + c];
    size_t k = 0;
    while (k < p->targets && p->target[k] != c)
        k++;
    if (s->missing == MISSING_PREDICTION && k < p->targets) {
        double values[MAX_LEVELS];
        float own, back;
        series_levels(m, task_state, 1, k, values);
        own = (float)series_at(m, k, values, 0.0);
        if (isfinite(own) && !scaler_forward(&s->channels[c], own, &back, NULL))
            *scaled = back;
    }
    return RNND_OK;
}

/* Takes the scaled value v of one channel into the state's statistics; returns the baseline it met. */
static float absorb(const struct series_config *s, const struct series_plan *p, float *f, uint64_t t, size_t c,
                    float v)
{
    bool full = baseline_full(s, t);
    float base = baseline_at(s, p, f, t, t, c), residual = full ? v - base : 0.0f;
    if (s->running_decay > 0) {
        float k = 1.0f - s->running_decay, first = 1.0f / (float)(t + 1);
        k = k > first ? k : first;
        f[p->mean + c] += k * (v - f[p->mean + c]);
        f[p->spread + c] += k * (fabsf(v - f[p->mean + c]) - f[p->spread + c]);
    }
    size_t a = p->averages + c;
    uint64_t first_full = s->baseline == BASELINE_SEASONAL ? s->period : s->baseline == BASELINE_LAST ? 1 : 0;
    for (size_t k = 0; k < s->feature_count; k++)
        if (is_average(s->features[k].kind)) {
            float r = s->features[k].kind == FEATURE_SPREAD ? fabsf(residual) : residual;
            if (full) {
                uint64_t n = t - first_full + 1;
                f[a] += (r - f[a]) / (float)(n < s->features[k].lag ? n : s->features[k].lag);
            }
            a += p->channels;
        }
    if (s->baseline == BASELINE_SEASONAL) {
        float *phase = &f[p->season + (size_t)(t % s->period) * p->channels + c];
        *phase = full && s->smoothing < 1 ? *phase + s->smoothing * residual : v;
    }
    if (p->value_depth)
        f[p->values + (size_t)(t % p->value_depth) * p->channels + c] = v;
    f[p->residuals + (size_t)(t % p->residual_depth) * p->channels + c] = residual;
    f[p->last + c] = v;
    return base;
}

/* Writes the features of channel c after row t was taken in. */
static void features(const struct series_config *s, const struct series_plan *p, const float *f, uint64_t t, size_t c,
                     float base, float *row)
{
    float mean = running_mean(s, p, f, c), over = 1.0f / running_scale(s, p, f, c);
    size_t a = p->averages + c;
    for (size_t k = 0; k < s->feature_count; k++) {
        size_t lag = s->features[k].lag;
        float y = 0.0f;
        switch (s->features[k].kind) {
        case FEATURE_VALUE: y = (f[p->last + c] - mean) * over; break;
        case FEATURE_BASELINE: y = (base - mean) * over; break;
        case FEATURE_NEXT_BASELINE: y = (baseline_at(s, p, f, t + 1, t + lag, c) - mean) * over; break;
        case FEATURE_LAG:
            if (t >= lag)
                y = (f[p->values + (size_t)((t - lag) % p->value_depth) * p->channels + c] - mean) * over;
            break;
        case FEATURE_RESIDUAL:
            if (t >= lag)
                y = f[p->residuals + (size_t)((t - lag) % p->residual_depth) * p->channels + c] * over;
            break;
        case FEATURE_LEVEL:
        case FEATURE_SPREAD:
            y = f[a] * over;
            a += p->channels;
            break;
        case FEATURE_MISSING: y = f[p->gap + c] > 0 ? 1.0f : 0.0f; break;
        }
        row[k * p->channels + c] = y;
    }
}

static rnnd_code before(const struct rnnd_model *m, void *task_state, const float *input, float *network_row,
                        rnnd_error *err)
{
    const struct series_config *s = &m->config.series;
    const struct series_plan *p = series_plan(m);
    struct series_state *st = task_state;
    float *f = series_floats(task_state);
    /* first everything that may refuse; the scaled values wait in the row, whose first [C] they only later become */
    for (size_t c = 0; c < p->channels; c++) {
        rnnd_code code = isnan(input[c]) ? fill_in(m, task_state, c, &network_row[c], err)
                                         : scaler_forward(&s->channels[c], input[c], &network_row[c], err);
        if (code)
            return code;
    }
    for (size_t c = 0; c < p->channels; c++) {
        bool missing = isnan(input[c]);
        f[p->gap + c] = missing ? f[p->gap + c] + 1.0f : 0.0f;
        st->imputed += missing;
        float base = absorb(s, p, f, st->steps, c, network_row[c]);
        features(s, p, f, st->steps, c, base, network_row);
    }
    st->steps++;
    return RNND_OK;
}

static void after(const struct rnnd_model *m, void *task_state, const float *network_row, float *output)
{
    const struct series_plan *p = series_plan(m);
    memcpy(series_floats(task_state) + p->head, network_row, m->network_outputs * sizeof(float));
    for (size_t k = 0; output && k < p->targets; k++) {
        double values[MAX_LEVELS];
        series_levels(m, task_state, 1, k, values);
        output[k] = (float)series_mean(m, k, values);
    }
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

void series_levels(const struct rnnd_model *m, const void *task_state, size_t ahead, size_t k, double *values)
{
    const struct series_config *s = &m->config.series;
    const struct series_plan *p = series_plan(m);
    const struct series_state *st = task_state;
    const float *f = series_floats_const(task_state);
    const float *head = f + p->head + (ahead - 1) * p->levels * p->targets + k;
    size_t c = p->target[k];
    double scale = (double)running_scale(s, p, f, c);
    double from = (double)(s->residual_output ? baseline_at(s, p, f, st->steps, st->steps - 1 + ahead, c)
                                              : running_mean(s, p, f, c));
    for (size_t i = 0; i < p->levels; i++)
        values[i] = scaler_inverse(&s->channels[c], from + (double)head[i * p->targets] * scale);
    quantile_uncross(values, p->levels, p->anchor);
    for (size_t i = 0; i < p->levels; i++)
        values[i] = scaler_clamp(&s->channels[c], values[i]);
}

double series_mean(const struct rnnd_model *m, size_t k, const double *values)
{
    const struct series_plan *p = series_plan(m);
    return scaler_clamp(&m->config.series.channels[p->target[k]], quantile_mean(p->weight, values, p->levels));
}

double series_at(const struct rnnd_model *m, size_t k, const double *values, double score)
{
    const struct series_plan *p = series_plan(m);
    return scaler_clamp(&m->config.series.channels[p->target[k]], quantile_at(p->score, values, p->levels, score));
}

/* Places are found by remainders, so no number of steps leads out of the state. Statistics of values that a scaler lets
 * through stay below LARGEST_KEPT, from where features and answers are finite. */
static rnnd_code verify(const struct rnnd_model *m, uint64_t steps, const void *task_state, rnnd_error *err)
{
    const struct series_plan *p = series_plan(m);
    const struct series_state *st = task_state;
    const float *f = series_floats_const(task_state);
    if (st->steps != steps || st->imputed / p->channels > steps)
        return fail(err, RNND_CORRUPT, "the series part of a state of model '%s' says step %llu and %llu filled in "
                    "values, the state is at step %llu", m->info.name, (unsigned long long)st->steps,
                    (unsigned long long)st->imputed, (unsigned long long)steps);
    for (size_t i = 0; i < p->floats; i++)
        if (!isfinite(f[i]) || (i < p->head && fabsf(f[i]) > LARGEST_KEPT))
            return fail(err, RNND_CORRUPT, "the series part of a state of model '%s' holds %g at place %zu, which no "
                        "series leaves there", m->info.name, (double)f[i], i);
    for (size_t c = 0; c < p->channels; c++)
        if (f[p->gap + c] < 0)
            return fail(err, RNND_CORRUPT, "a state of model '%s' counts %g missing values", m->info.name,
                        (double)f[p->gap + c]);
    return RNND_OK;
}

const struct task task_series = {
    .name = "series", .id = RNND_SERIES, .attach = attach, .reset = reset, .before = before, .after = after,
    .verify = verify,
};
