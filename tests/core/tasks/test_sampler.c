/* test_sampler.c -- the sampler against exact probabilities and a naive reading of its rules. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/tasks/sampler.h"

static const struct kernels *k;

static rnnd_sampling defaults(void)
{
    return (rnnd_sampling)RNND_SAMPLING_DEFAULTS;
}

static float uniform(struct rng *r, float low, float high)
{
    return low + (high - low) * (float)rng_unit(r);
}

/* ---- a naive sampler: doubles, full sorting, libm ---- */

struct candidate { int id; double z, p; };

static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->z != y->z ? (x->z < y->z) - (x->z > y->z) : x->id - y->id;
}

/* Candidates that remain, with their probabilities; *doubt if a filter's limit is too close to call. */
static size_t naive(const rnnd_sampling *s, const float *logits, const int *counts, size_t n, struct candidate *c,
                    bool *doubt)
{
    double sum = 0, mass = 0, cut;
    for (size_t i = 0; i < n; i++) {
        double z = logits[i];
        if (counts[i] > 0) {
            z = z > 0 ? z / s->repetition_penalty : z * s->repetition_penalty;
            z -= s->frequency_penalty * counts[i] + s->presence_penalty;
        }
        for (size_t b = 0; b < s->bias_count; b++)
            if (s->bias[b].id == (int)i)
                z += s->bias[b].bias;
        c[i] = (struct candidate){(int)i, z / s->temperature, 0};
    }
    qsort(c, n, sizeof *c, by_score);
    if (s->top_k > 0 && (size_t)s->top_k < n) {
        *doubt |= c[s->top_k - 1].z - c[s->top_k].z < 1e-4;
        n = (size_t)s->top_k;
    }
    for (size_t i = 0; i < n; i++)
        sum += c[i].p = exp(c[i].z - c[0].z);
    size_t kept = n;
    if (s->top_p < 1)
        for (kept = 0; kept < n && mass < s->top_p * sum; mass += c[kept++].p)
            *doubt |= fabs(mass / sum - s->top_p) < 1e-4;
    kept = kept ? kept : 1;
    *doubt |= s->top_p < 1 && fabs(mass / sum - s->top_p) < 1e-4;
    for (cut = s->min_p * c[0].p, n = kept, kept = 1; kept < n && c[kept].p >= cut; kept++)
        *doubt |= fabs(c[kept].p - cut) < 1e-4;
    *doubt |= kept < n && fabs(c[kept].p - cut) < 1e-4;
    sum = 0;
    for (size_t i = 0; i < kept; i++)
        sum += c[i].p;
    for (size_t i = 0; i < kept; i++)
        c[i].p /= sum;
    return kept;
}

static void filters_agree_with_a_naive_reading(void **unused)
{
    (void)unused;
    struct rng r;
    rng_seed(&r, 31, 1);
    print_message("seed 31\n");
    int compared = 0;
    for (int round = 0; round < 3000; round++) {
        enum { MOST = 80 };
        size_t n = 1 + rng_u32(&r) % MOST;
        float logits[MOST];
        int counts[MOST] = {0};
        rnnd_logit_bias bias[3];
        struct candidate c[MOST];
        rnnd_sampling s = defaults();
        s.temperature = uniform(&r, 0.2f, 2);
        s.top_k = rng_u32(&r) % 3 ? 0 : (int)(rng_u32(&r) % (n + 2));
        s.top_p = rng_u32(&r) % 2 ? 1 : uniform(&r, 0, 1);
        s.min_p = rng_u32(&r) % 2 ? 0 : uniform(&r, 0, 0.5f);
        if (rng_u32(&r) % 2) {
            s.frequency_penalty = uniform(&r, -1, 1);
            s.presence_penalty = uniform(&r, -1, 1);
            s.repetition_penalty = uniform(&r, 0.5f, 2);
        }
        s.bias = bias;
        s.bias_count = rng_u32(&r) % 4;
        for (size_t i = 0; i < s.bias_count; i++)
            bias[i] = (rnnd_logit_bias){(int32_t)(rng_u32(&r) % n), uniform(&r, -5, 5)};
        struct sampler sampler;
        assert_int_equal(sampler_init(&sampler, &s, n, k, NULL), RNND_OK);
        for (int step = 0; step < 10; step++) {
            bool doubt = false;
            for (size_t i = 0; i < n; i++)
                logits[i] = uniform(&r, -4, 4);
            size_t kept = naive(&s, logits, counts, n, c, &doubt);
            struct rng copy = r;
            double u = rng_unit(&copy), sum = 0;
            size_t wanted = 0;
            for (; wanted + 1 < kept && sum + c[wanted].p <= u; wanted++)
                sum += c[wanted].p;
            doubt |= fabs(u - sum) < 1e-4 || fabs(u - sum - c[wanted].p) < 1e-4;
            int32_t id = sampler_pick(&sampler, logits, &r);
            assert_memory_equal(&r, &copy, sizeof r); /* one number per token */
            counts[id]++;
            if (!doubt) {
                assert_int_equal(id, c[wanted].id);
                compared++;
            }
        }
        sampler_free(&sampler);
    }
    assert_true(compared > 25000);
}

static void draws_follow_the_probabilities(void **unused)
{
    (void)unused;
    enum { N = 12, DRAWS = 40000 };
    static const float temperatures[] = {0.5f, 1.0f, 1.7f};
    float logits[N];
    for (int i = 0; i < N; i++)
        logits[i] = (float)((i * 7) % N) * 0.4f - 2;
    for (int t = 0; t < 3; t++) {
        rnnd_sampling s = defaults();
        s.temperature = temperatures[t];
        struct sampler sampler;
        struct rng r;
        rng_seed(&r, 5 + (uint64_t)t, 1);
        assert_int_equal(sampler_init(&sampler, &s, N, k, NULL), RNND_OK);
        int seen[N] = {0};
        double sum = 0, chi = 0;
        for (int i = 0; i < DRAWS; i++)
            seen[sampler_pick(&sampler, logits, &r)]++;
        for (int i = 0; i < N; i++)
            sum += exp((double)logits[i] / temperatures[t]);
        for (int i = 0; i < N; i++) {
            double wanted = DRAWS * exp((double)logits[i] / temperatures[t]) / sum;
            chi += (seen[i] - wanted) * (seen[i] - wanted) / wanted;
        }
        print_message("seed %d temperature %g chi-square %.2f\n", 5 + t, (double)s.temperature, chi);
        assert_true(chi < 31.26); /* 11 degrees of freedom, p = 0.001 */
        sampler_free(&sampler);
    }
}

static void zero_temperature_takes_the_lowest_of_the_largest(void **unused)
{
    (void)unused;
    rnnd_sampling s = defaults();
    s.temperature = 0;
    struct sampler sampler;
    struct rng r, before;
    rng_seed(&r, 1, 1);
    before = r;
    assert_int_equal(sampler_init(&sampler, &s, 5, k, NULL), RNND_OK);
    assert_int_equal(sampler_pick(&sampler, (float[]){1, 3, 2, 3, 3}, &r), 1);
    assert_int_equal(sampler_pick(&sampler, (float[]){-0.0f, 0, 0, 0, 0}, &r), 0);
    assert_int_equal(sampler_pick(&sampler, (float[]){NAN, -1, NAN, -2, NAN}, &r), 1);
    assert_int_equal(sampler_pick(&sampler, (float[]){NAN, NAN, NAN, NAN, NAN}, &r), 0);
    assert_memory_equal(&r, &before, sizeof r);
    sampler_free(&sampler);
}

static void penalties_count_what_was_sampled(void **unused)
{
    (void)unused;
    rnnd_sampling s = defaults();
    s.temperature = 0;
    s.frequency_penalty = 1;
    struct sampler sampler;
    struct rng r = {0, 1};
    assert_int_equal(sampler_init(&sampler, &s, 3, k, NULL), RNND_OK);
    float logits[] = {2.5f, 1.2f, 0}; /* 2.5, 1.5, then 1.2 > 0.5; 0.5 > 0.2 */
    static const int wanted[] = {0, 0, 1, 0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(sampler_pick(&sampler, logits, &r), wanted[i]);
    sampler_free(&sampler);
    s.frequency_penalty = 0;
    s.repetition_penalty = 2;
    assert_int_equal(sampler_init(&sampler, &s, 2, k, NULL), RNND_OK);
    assert_int_equal(sampler_pick(&sampler, (float[]){-1, -1.5f}, &r), 0);
    assert_int_equal(sampler_pick(&sampler, (float[]){-1, -1.5f}, &r), 1); /* -2 < -1.5 */
    sampler_free(&sampler);
}

static void extremes_stay_inside(void **unused)
{
    (void)unused;
    static const float odd[] = {0, -0.0f, 1e-30f, 1, -1, 88, -88, 3e38f, -3e38f, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY,
                                NAN};
    struct rng r;
    rng_seed(&r, 9, 1);
    for (int round = 0; round < 20000; round++) {
        rnnd_sampling s = defaults();
        float logits[9];
        size_t n = 1 + rng_u32(&r) % 9;
        for (size_t i = 0; i < n; i++)
            logits[i] = odd[rng_u32(&r) % (sizeof odd / sizeof odd[0])];
        s.temperature = (float[]){1e-38f, 0.01f, 1, 100}[rng_u32(&r) % 4];
        s.top_p = (float[]){0, 1e-9f, 0.5f, 1}[rng_u32(&r) % 4];
        s.min_p = (float[]){0, 0.1f, 1}[rng_u32(&r) % 3];
        s.top_k = (int)(rng_u32(&r) % 3);
        s.repetition_penalty = (float[]){0.01f, 1, 100}[rng_u32(&r) % 3];
        struct sampler sampler;
        assert_int_equal(sampler_init(&sampler, &s, n, k, NULL), RNND_OK);
        float best = -INFINITY;
        for (size_t i = 0; i < n; i++)
            best = logits[i] > best ? logits[i] : best;
        int32_t id = sampler_pick(&sampler, logits, &r);
        assert_in_range(id, 0, n - 1);
        if (best > -INFINITY)
            assert_true(logits[id] > -INFINITY); /* never what has no probability */
        id = sampler_pick(&sampler, logits, &r);
        assert_in_range(id, 0, n - 1);
        sampler_free(&sampler);
    }
}

static void every_row_draws_the_same(void **unused)
{
    (void)unused;
    const struct kernels *const *rows;
    size_t count = kernels_list(&rows);
    enum { N = 300, STEPS = 400 };
    int32_t first[STEPS];
    for (size_t row = 0; row < count; row++) {
        rnnd_sampling s = defaults();
        s.temperature = 1.1f;
        s.top_p = 0.97f;
        s.frequency_penalty = 0.2f;
        struct sampler sampler;
        struct rng r, noise;
        float logits[N];
        rng_seed(&r, 3, 1);
        rng_seed(&noise, 4, 1);
        assert_int_equal(sampler_init(&sampler, &s, N, rows[row], NULL), RNND_OK);
        for (int i = 0; i < STEPS; i++) {
            for (int j = 0; j < N; j++)
                logits[j] = uniform(&noise, -5, 5);
            int32_t id = sampler_pick(&sampler, logits, &r);
            if (row == 0)
                first[i] = id;
            assert_int_equal(id, first[i]);
        }
        sampler_free(&sampler);
    }
    print_message("%zu kernel rows\n", count);
}

static void alternatives_come_most_likely_first(void **unused)
{
    (void)unused;
    rnnd_sampling s = defaults();
    struct sampler sampler;
    rnnd_alternative out[8];
    assert_int_equal(sampler_init(&sampler, &s, 6, k, NULL), RNND_OK);
    float row[] = {-3, -1, -2, -1, -9, -INFINITY};
    assert_int_equal(sampler_top(&sampler, row, 0, out), 0);
    assert_int_equal(sampler_top(&sampler, row, 8, out), 6);
    static const int wanted[] = {1, 3, 2, 0, 4, 5};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(out[i].id, wanted[i]);
        assert_true(out[i].logprob == row[wanted[i]]);
    }
    sampler_free(&sampler);
}

static void refuse(rnnd_sampling s, const char *param)
{
    struct sampler sampler;
    rnnd_error err = {0};
    assert_int_not_equal(sampler_init(&sampler, &s, 10, k, &err), RNND_OK);
    assert_string_equal(err.param, param);
    sampler_free(&sampler);
}

static void settings_out_of_range_are_named(void **unused)
{
    (void)unused;
    rnnd_sampling s;
    rnnd_logit_bias bias = {10, 0};
    s = defaults(), s.temperature = -1, refuse(s, "temperature");
    s = defaults(), s.temperature = NAN, refuse(s, "temperature");
    s = defaults(), s.top_k = -1, refuse(s, "top_k");
    s = defaults(), s.top_p = 1.01f, refuse(s, "top_p");
    s = defaults(), s.min_p = -0.1f, refuse(s, "min_p");
    s = defaults(), s.frequency_penalty = INFINITY, refuse(s, "frequency_penalty");
    s = defaults(), s.presence_penalty = NAN, refuse(s, "presence_penalty");
    s = defaults(), s.repetition_penalty = 0, refuse(s, "repetition_penalty");
    s = defaults(), s.logprobs = -2, refuse(s, "logprobs");
    s = defaults(), s.bias = &bias, s.bias_count = 1, refuse(s, "logit_bias");
    bias = (rnnd_logit_bias){3, NAN};
    refuse(s, "logit_bias");
}

static void every_failed_allocation_is_reported(void **unused)
{
    (void)unused;
    rnnd_logit_bias bias = {1, 1};
    rnnd_sampling s = defaults();
    s.bias = &bias, s.bias_count = 1;
    for (size_t n = 1; n < 20; n++) {
        struct sampler sampler;
        mem_fail_at(n);
        rnnd_code code = sampler_init(&sampler, &s, 10, k, NULL);
        size_t made = mem_fail_at(0);
        sampler_free(&sampler);
        assert_int_equal(code, made < n ? RNND_OK : RNND_NO_MEMORY);
        if (made < n)
            return;
    }
    fail_msg("still failing");
}

int main(void)
{
    k = kernels_pick(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_agree_with_a_naive_reading),
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(zero_temperature_takes_the_lowest_of_the_largest),
        cmocka_unit_test(penalties_count_what_was_sampled),
        cmocka_unit_test(extremes_stay_inside),
        cmocka_unit_test(every_row_draws_the_same),
        cmocka_unit_test(alternatives_come_most_likely_first),
        cmocka_unit_test(settings_out_of_range_are_named),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
