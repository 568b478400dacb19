/* test_scaler.c -- scalers against libm's functions, there and back, their domains and their bounds. */
#include "core/base/rng.h"
#include "core/tasks/scaler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static struct rng rng;

static struct channel_config channel(enum scaler_kind kind, float a, float b, float unit)
{
    return (struct channel_config){ .name = "x", .scaler = kind, .a = a, .b = b, .unit = unit };
}

static double expected(const struct channel_config *c, double x)
{
    switch (c->scaler) {
    case SCALER_NONE: return x;
    case SCALER_STANDARD: return (x - (double)c->a) / (double)c->b;
    case SCALER_MINMAX: return (x - (double)c->a) / ((double)c->b - (double)c->a);
    case SCALER_LOG1P: return (log1p(x / (double)c->unit) - (double)c->a) / (double)c->b;
    case SCALER_ASINH: return (asinh(x / (double)c->unit) - (double)c->a) / (double)c->b;
    }
    return NAN;
}

static void there_and_back(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        enum scaler_kind kind = (enum scaler_kind)(rng_u32(&rng) % 5);
        float a = (float)rng_unit(&rng) * 4 - 2, b = a + 0.1f + (float)rng_unit(&rng) * 3;
        struct channel_config c = channel(kind, a, kind == SCALER_MINMAX ? b : b + 3, 0.5f + (float)rng_unit(&rng));
        float x = (float)(rng_unit(&rng) - (kind == SCALER_LOG1P ? 0.0 : 0.5)) * 2000.0f, s;
        assert_int_equal(scaler_check(&c, NULL), RNND_OK);
        assert_int_equal(scaler_forward(&c, x, &s, NULL), RNND_OK);
        double want = expected(&c, (double)x);
        assert_true(fabs((double)s - want) <= 1e-6 * fmax(1.0, fabs(want)));
        assert_true(fabs(scaler_inverse(&c, (double)s) - (double)x) <= 1e-5 * fmax(1.0, fabs((double)x)));
    }
}

static void inverse_never_decreases(void **state)
{
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        struct channel_config c = channel((enum scaler_kind)kind, -1, 2, 100);
        double last = -INFINITY;
        for (int i = -3000; i <= 3000; i++) {
            double x = scaler_inverse(&c, i * 0.01);
            assert_true(x >= last);
            last = x;
        }
    }
}

static void refusals(void **state)
{
    (void)state;
    struct channel_config c = channel(SCALER_LOG1P, 0, 1, 10);
    rnnd_error err;
    float s = 7;
    assert_int_equal(scaler_forward(&c, -10.0f, &s, &err), RNND_MISMATCH);
    assert_int_equal(scaler_forward(&c, -1e30f, &s, &err), RNND_MISMATCH);
    assert_int_equal(scaler_forward(&c, INFINITY, &s, &err), RNND_MISMATCH);
    assert_string_equal(err.param, "x");
    c = channel(SCALER_STANDARD, 0, 1e-10f, 1);
    assert_int_equal(scaler_forward(&c, 1e35f, &s, &err), RNND_MISMATCH);
    assert_true(s == 7);
    c = channel(SCALER_STANDARD, 0, 0, 1);
    assert_int_equal(scaler_check(&c, &err), RNND_MISMATCH);
    c = channel(SCALER_MINMAX, 1, 1, 1);
    assert_int_equal(scaler_check(&c, &err), RNND_MISMATCH);
    c = channel(SCALER_ASINH, 0, 1, 0);
    assert_int_equal(scaler_check(&c, &err), RNND_MISMATCH);
    c = channel(SCALER_STANDARD, NAN, 1, 1);
    assert_int_equal(scaler_check(&c, &err), RNND_MISMATCH);
    c = channel(SCALER_NONE, 0, 1, 1);
    c.clamp_min = c.clamp_max = true;
    c.min = 2;
    c.max = 1;
    assert_int_equal(scaler_check(&c, &err), RNND_MISMATCH);
}

static void bounds(void **state)
{
    (void)state;
    struct channel_config c = channel(SCALER_NONE, 0, 1, 1);
    assert_true(scaler_clamp(&c, -5) == -5);
    c.clamp_min = true;
    assert_true(scaler_clamp(&c, -5) == 0 && scaler_clamp(&c, 5) == 5);
    c.clamp_max = true;
    c.max = 2;
    assert_true(scaler_clamp(&c, 5) == 2 && scaler_clamp(&c, 1) == 1);
}

int main(void)
{
    uint64_t seed = getenv("RNND_SEED") ? strtoull(getenv("RNND_SEED"), NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_seed(&rng, seed, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(inverse_never_decreases), cmocka_unit_test(refusals),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
