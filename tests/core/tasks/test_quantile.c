/* test_quantile.c -- quantiles never cross, interpolate in the normal score, and their mean is their integral. */
#include "core/base/rng.h"
#include "core/kernels/kernels.h"
#include "core/tasks/quantile.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct rng rng;

/* n ascending levels inside (0, 1) */
static void random_levels(float *levels, size_t n)
{
    double sum = 0.02, steps[MAX_LEVELS + 1];
    for (size_t k = 0; k <= n; k++) {
        steps[k] = 0.05 + rng_unit(&rng);
        sum += steps[k];
    }
    double at = 0.01;
    for (size_t k = 0; k < n; k++) {
        at += steps[k];
        levels[k] = (float)(at / sum);
    }
}

static void normal_distribution(void **state)
{
    (void)state;
    const float levels[] = { 0.05f, 0.1f, 0.25f, 0.5f, 0.75f, 0.9f, 0.95f };
    double score[7], weight[7], values[7], sum = 0;
    quantile_tables(levels, 7, score, weight);
    for (int k = 0; k < 7; k++) {
        values[k] = 3.0 + 2.0 * score[k];
        sum += weight[k];
    }
    assert_true(fabs(sum - 1.0) < 1e-6);
    assert_true(fabs(quantile_mean(weight, values, 7) - 3.0) < 1e-6);
    for (double z = -5; z < 5; z += 0.125)
        assert_true(fabs(quantile_at(score, values, 7, z) - (3.0 + 2.0 * z)) < 1e-9);
}

static void mean_is_the_integral(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        size_t n = 1 + rng_u32(&rng) % 9;
        float levels[9];
        double score[9], weight[9], values[9], at = rng_unit(&rng) * 10 - 5, sum = 0;
        random_levels(levels, n);
        quantile_tables(levels, n, score, weight);
        for (size_t k = 0; k < n; k++)
            values[k] = at += rng_unit(&rng) * (rng_u32(&rng) % 3);
        enum { POINTS = 40000 };
        for (int i = 0; i < POINTS; i++)
            sum += quantile_at(score, values, n, fixed_normal_quantile((i + 0.5) / POINTS));
        assert_true(fabs(quantile_mean(weight, values, n) - sum / POINTS) < 2e-3);
    }
}

static void at_never_decreases(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        size_t n = 1 + rng_u32(&rng) % 19;
        float levels[19];
        double score[19], weight[19], values[19], at = -1e4, last = -INFINITY;
        random_levels(levels, n);
        quantile_tables(levels, n, score, weight);
        for (size_t k = 0; k < n; k++)
            values[k] = at += rng_u32(&rng) % 3 ? rng_unit(&rng) * 1000 : 0.0;
        for (size_t k = 0; k < n; k++)
            assert_true(quantile_at(score, values, n, score[k]) == values[k]);
        for (int i = 1; i < 1000; i++) {
            double v = quantile_at(score, values, n, fixed_normal_quantile(i / 1000.0));
            assert_true(v >= last);
            last = v;
        }
    }
}

static void uncrossing(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t n = 1 + rng_u32(&rng) % MAX_LEVELS;
        float levels[MAX_LEVELS];
        double values[MAX_LEVELS], again[MAX_LEVELS], middle;
        random_levels(levels, n);
        size_t anchor = quantile_anchor(levels, n);
        for (size_t k = 0; k < n; k++) {
            values[k] = rng_unit(&rng);
            assert_true(fabs((double)levels[k] - 0.5) >= fabs((double)levels[anchor] - 0.5));
        }
        middle = values[anchor];
        quantile_uncross(values, n, anchor);
        assert_true(values[anchor] == middle);
        for (size_t k = 1; k < n; k++)
            assert_true(values[k] >= values[k - 1]);
        memcpy(again, values, sizeof again);
        quantile_uncross(again, n, anchor);
        assert_memory_equal(again, values, n * sizeof *values);
    }
    const float tie[] = { 0.25f, 0.75f };
    assert_int_equal(quantile_anchor(tie, 2), 0);
}

int main(void)
{
    uint64_t seed = getenv("RNND_SEED") ? strtoull(getenv("RNND_SEED"), NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_distribution), cmocka_unit_test(mean_is_the_integral),
        cmocka_unit_test(at_never_decreases), cmocka_unit_test(uncrossing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
