/* sampler.c -- from a row of logits to a token; the order of the filters stands in sampler.h. */
#include "core/tasks/sampler.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/mem.h"

/* ---- ids by value, largest first, sorted only as far as somebody looks --------------------------------------------
 * A heap: most draws look at a few candidates, so popping these is cheaper than sorting a vocabulary. */

struct ranking {
    const float *value;
    uint32_t *order; /* [0 .. left) a heap; behind it the sorted ids, the first at the very end */
    size_t n, left;
};

static bool before(const struct ranking *r, uint32_t a, uint32_t b)
{
    return r->value[a] > r->value[b] || (r->value[a] == r->value[b] && a < b);
}

static void sift_down(struct ranking *r, size_t at)
{
    uint32_t id = r->order[at];
    for (size_t child; (child = 2 * at + 1) < r->left; at = child) {
        if (child + 1 < r->left && before(r, r->order[child + 1], r->order[child]))
            child++;
        if (!before(r, r->order[child], id))
            break;
        r->order[at] = r->order[child];
    }
    r->order[at] = id;
}

static struct ranking rank(const float *value, size_t n, uint32_t *order)
{
    struct ranking r = {value, order, n, n};
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n / 2; i-- > 0;)
        sift_down(&r, i);
    return r;
}

/* The i-th id, i < n. */
static uint32_t ranked(struct ranking *r, size_t i)
{
    while (r->n - r->left <= i) {
        uint32_t top = r->order[0];
        r->left--;
        r->order[0] = r->order[r->left];
        if (r->left > 0)
            sift_down(r, 0);
        r->order[r->left] = top;
    }
    return r->order[r->n - 1 - i];
}

/* ---- settings -------------------------------------------------------------------------------------------------- */

static rnnd_code check_range(const char *name, double value, double low, double high, rnnd_error *err)
{
    if (value >= low && value <= high)
        return RNND_OK;
    return fail_at(err, RNND_INVALID, name, "%s is %g; wanted %g to %g", name, value, low, high);
}

static rnnd_code check_settings(const rnnd_sampling *s, size_t vocabulary, rnnd_error *err)
{
    rnnd_code code;
    if ((code = check_range("temperature", s->temperature, 0, 100, err)) != RNND_OK ||
        (code = check_range("top_k", s->top_k, 0, INT32_MAX, err)) != RNND_OK ||
        (code = check_range("top_p", s->top_p, 0, 1, err)) != RNND_OK ||
        (code = check_range("min_p", s->min_p, 0, 1, err)) != RNND_OK ||
        (code = check_range("frequency_penalty", s->frequency_penalty, -100, 100, err)) != RNND_OK ||
        (code = check_range("presence_penalty", s->presence_penalty, -100, 100, err)) != RNND_OK ||
        (code = check_range("repetition_penalty", s->repetition_penalty, 0.01f, 100, err)) != RNND_OK ||
        (code = check_range("logprobs", s->logprobs, -1, 1000, err)) != RNND_OK)
        return code;
    for (size_t i = 0; i < s->bias_count; i++) {
        if (s->bias[i].id < 0 || (size_t)s->bias[i].id >= vocabulary)
            return fail_at(err, RNND_MISMATCH, "logit_bias", "logit_bias names token %d; the vocabulary has %zu",
                           (int)s->bias[i].id, vocabulary);
        if ((code = check_range("logit_bias", s->bias[i].bias, -1e30, 1e30, err)) != RNND_OK)
            return code;
    }
    return RNND_OK;
}

rnnd_code sampler_init(struct sampler *s, const rnnd_sampling *settings, size_t vocabulary,
                       const struct kernels *kernels, rnnd_error *err)
{
    memset(s, 0, sizeof *s);
    rnnd_code code = check_settings(settings, vocabulary, err);
    if (code != RNND_OK)
        return code;
    s->settings = *settings;
    s->settings.bias = NULL;
    s->vocabulary = vocabulary;
    s->kernels = kernels;
    s->counts = mem_alloc(vocabulary, sizeof *s->counts);
    s->scores = mem_alloc(vocabulary, sizeof *s->scores);
    s->chances = mem_alloc(vocabulary, sizeof *s->chances);
    s->order = mem_alloc(vocabulary, sizeof *s->order);
    if (!s->counts || !s->scores || !s->chances || !s->order)
        return fail_memory(err, vocabulary * sizeof(float));
    if (settings->bias_count > 0) {
        s->bias = mem_alloc(settings->bias_count, sizeof *s->bias);
        if (!s->bias)
            return fail_memory(err, settings->bias_count * sizeof *s->bias);
        memcpy(s->bias, settings->bias, settings->bias_count * sizeof *s->bias);
    }
    return RNND_OK;
}

void sampler_free(struct sampler *s)
{
    mem_free(s->counts);
    mem_free(s->scores);
    mem_free(s->chances);
    mem_free(s->order);
    mem_free(s->bias);
    memset(s, 0, sizeof *s);
}

/* ---- a token --------------------------------------------------------------------------------------------------- */

/* Steps 1 and 2; what overflows upwards is made finite, so that differences to it are numbers. */
static void adjust(struct sampler *s, const float *logits)
{
    const rnnd_sampling *p = &s->settings;
    for (size_t i = 0; i < s->vocabulary; i++) {
        float z = isnan(logits[i]) ? -INFINITY : logits[i];
        if (s->counts[i] > 0) {
            z = z > 0 ? z / p->repetition_penalty : z * p->repetition_penalty;
            z = z - p->frequency_penalty * (float)s->counts[i];
            z = z - p->presence_penalty;
        }
        s->scores[i] = z;
    }
    for (size_t i = 0; i < p->bias_count; i++)
        s->scores[s->bias[i].id] += s->bias[i].bias;
    for (size_t i = 0; i < s->vocabulary; i++) {
        if (s->scores[i] > FLT_MAX)
            s->scores[i] = FLT_MAX;
        if (s->never && s->never[i])
            s->scores[i] = -INFINITY;
    }
}

/* The first of the largest scores, and where all are minus infinity the first that may be drawn. */
static uint32_t largest(const struct sampler *s)
{
    size_t best = 0;
    while (s->never && best + 1 < s->vocabulary && s->never[best])
        best++;
    for (size_t i = best + 1; i < s->vocabulary; i++)
        if (s->scores[i] > s->scores[best])
            best = i;
    return (uint32_t)best;
}

/* Step 3: scores become differences to the largest over the temperature, so that none overflows, and chances their
 * softmax. What no float32 probability can hold is 0. */
static void weigh(struct sampler *s, float top)
{
    const float least = -104.0f; /* e^-104 < 2^-150 */
    for (size_t i = 0; i < s->vocabulary; i++) {
        float z = (s->scores[i] - top) / s->settings.temperature;
        s->scores[i] = z > least ? z : least;
    }
    s->kernels->softmax(s->vocabulary, s->scores, s->chances);
    for (size_t i = 0; i < s->vocabulary; i++)
        if (s->scores[i] <= least)
            s->chances[i] = 0;
}

/* Steps 4 to 6: how many of the ranked remain, and their mass. */
static size_t filter(const struct sampler *s, struct ranking *r, double *mass)
{
    const rnnd_sampling *p = &s->settings;
    size_t kept = p->top_k > 0 && (size_t)p->top_k < r->n ? (size_t)p->top_k : r->n;
    *mass = 0;
    for (size_t i = 0; i < kept; i++)
        *mass += (double)s->chances[kept < r->n ? ranked(r, i) : i];
    if (p->top_p < 1.0f) {
        double wanted = (double)p->top_p * *mass, sum = 0;
        size_t i = 0;
        do
            sum += (double)s->chances[ranked(r, i++)];
        while (i < kept && sum < wanted);
        kept = i;
        *mass = sum;
    }
    if (p->min_p > 0.0f) {
        double least = (double)p->min_p * (double)s->chances[ranked(r, 0)], sum = 0;
        size_t i = 0;
        do
            sum += (double)s->chances[ranked(r, i++)];
        while (i < kept && (double)s->chances[ranked(r, i)] >= least);
        kept = i;
        *mass = sum;
    }
    return kept;
}

int32_t sampler_pick(struct sampler *s, const float *logits, struct rng *rng)
{
    adjust(s, logits);
    uint32_t id = largest(s);
    if (s->settings.temperature > 0 && s->scores[id] > -INFINITY) {
        weigh(s, s->scores[id]);
        struct ranking r = rank(s->scores, s->vocabulary, s->order);
        double mass, sum = 0;
        size_t kept = filter(s, &r, &mass);
        double u = rng_unit(rng) * mass;
        for (size_t i = 0; i < kept && sum <= u; i++) {
            uint32_t candidate = ranked(&r, i);
            if (s->chances[candidate] <= 0)
                break;
            id = candidate;
            sum += (double)s->chances[id];
        }
    }
    s->counts[id]++;
    return (int32_t)id;
}

size_t sampler_top(struct sampler *s, const float *logprobs, size_t n, rnnd_alternative *out)
{
    if (n > s->vocabulary)
        n = s->vocabulary;
    if (n == 0)
        return 0;
    struct ranking r = rank(logprobs, s->vocabulary, s->order);
    for (size_t i = 0; i < n; i++) {
        uint32_t id = ranked(&r, i);
        out[i] = (rnnd_alternative){(int32_t)id, logprobs[id]};
    }
    return n;
}
