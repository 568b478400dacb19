/* test_fixed.c -- double-precision exp, log and normal quantile against libm. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/kernels/kernels.h"

static double worst(double got, double want)
{
    return want == 0 ? fabs(got) : fabs(got - want) / fabs(want);
}

static void exp_is_close(void **unused)
{
    (void)unused;
    double max = 0;
    for (double x = -700; x < 709; x += 0.0371) max = fmax(max, worst(fixed_exp(x), exp(x)));
    for (double x = -1; x < 1; x += 0.000137) max = fmax(max, worst(fixed_exp(x), exp(x)));
    print_message("exp: %.3g\n", max);
    assert_true(max < 1e-15);
    for (double x = -745; x < -708; x += 0.01) assert_true(fabs(fixed_exp(x) - exp(x)) <= 0x1p-1074 + 1e-14 * exp(x));
    assert_true(fixed_exp(0) == 1 && fixed_exp(-INFINITY) == 0 && fixed_exp(INFINITY) == INFINITY);
    assert_true(fixed_exp(800) == INFINITY && fixed_exp(-800) == 0 && fixed_exp(709.7) < INFINITY);
    assert_true(isnan(fixed_exp(NAN)));
}

static void log_is_close(void **unused)
{
    (void)unused;
    double max = 0;
    struct rng r;
    rng_seed(&r, 11, 1);
    for (int i = 0; i < 200000; i++) {
        double x = ldexp(1 + rng_unit(&r), (int)(rng_u32(&r) % 2000) - 1000);
        max = fmax(max, worst(fixed_log(x), log(x)));
        x = 0.5 + 1.5 * rng_unit(&r);
        max = fmax(max, worst(fixed_log(x), log(x)));
    }
    print_message("log: %.3g\n", max);
    assert_true(max < 1e-15);
    assert_true(fixed_log(1) == 0 && fixed_log(0) == -INFINITY && fixed_log(INFINITY) == INFINITY);
    assert_true(worst(fixed_log(0x1p-1074), log(0x1p-1074)) < 1e-15);
    assert_true(isnan(fixed_log(-1)) && isnan(fixed_log(NAN)));
}

/* The distribution function of the quantile is p again. */
static void quantile_inverts_erfc(void **unused)
{
    (void)unused;
    double max = 0;
    for (double p = 1e-300; p < 0.5; p *= 1.07)
        max = fmax(max, worst(0.5 * erfc(-fixed_normal_quantile(p) / sqrt(2)), p));
    for (double p = 0.001; p < 0.9999; p += 0.00037)
        max = fmax(max, worst(0.5 * erfc(-fixed_normal_quantile(p) / sqrt(2)), p));
    print_message("quantile: %.3g\n", max); /* the condition of erfc in the far tail takes part in this */
    assert_true(max < 2e-12);
    assert_true(fixed_normal_quantile(0.5) == 0);
    assert_true(fabs(fixed_normal_quantile(0.975) - 1.959963984540054) < 1e-14);
    for (double p = 0.01; p < 0.5; p += 0.01)
        assert_true(fabs(fixed_normal_quantile(p) + fixed_normal_quantile(1 - p)) < 1e-13);
    assert_true(fixed_normal_quantile(0) == -INFINITY && fixed_normal_quantile(1) == INFINITY);
    assert_true(isnan(fixed_normal_quantile(-1)) && isnan(fixed_normal_quantile(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_close),
        cmocka_unit_test(log_is_close),
        cmocka_unit_test(quantile_inverts_erfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
