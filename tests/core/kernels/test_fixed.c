/* test_fixed.c -- exp, log, powers, sin, cos, erf and the normal quantile against libm. */
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

static void pow_is_close(void **unused)
{
    (void)unused;
    double max = 0;
    struct rng r;
    rng_seed(&r, 12, 1);
    for (int i = 0; i < 200000; i++) {
        double x = ldexp(1 + rng_unit(&r), (int)(rng_u32(&r) % 40) - 20), y = 16 * rng_unit(&r) - 8;
        max = fmax(max, worst(fixed_pow(x, y), pow(x, y)));
        max = fmax(max, worst(fixed_pow(-x, floor(y)), pow(-x, floor(y))));
    }
    print_message("pow: %.3g\n", max);
    assert_true(max < 1e-13);
    static const double special[] = {0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, INFINITY, -INFINITY, NAN, 1e300, -1e300};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        for (size_t k = 0; k < sizeof special / sizeof *special; k++) {
            double got = fixed_pow(special[i], special[k]), want = pow(special[i], special[k]);
            if (isnan(want) ? !isnan(got) : signbit(got) != signbit(want) || (got != want && worst(got, want) > 1e-13))
                fail_msg("pow(%g, %g) = %g, wanted %g", special[i], special[k], got, want);
        }
}

/* units in the last place of a float, or of the smallest normal one below it */
static double float_ulps(double got, double want)
{
    int exponent;
    frexp(want, &exponent);
    return fabs((double)(float)got - want) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

static float random_float(struct rng *r, int least, int most)
{
    double v = ldexp(1 + rng_unit(r), least + (int)(rng_u32(r) % (uint32_t)(most - least + 1)));
    return (float)(rng_u32(r) & 1 ? -v : v);
}

static void floats_of_sin_cos_erf_are_close(void **unused)
{
    (void)unused;
    double sine = 0, cosine = 0, error = 0;
    struct rng r;
    rng_seed(&r, 13, 1);
    for (int i = 0; i < 300000; i++) {
        double x = (double)random_float(&r, -30, 126);
        if (i % 3 == 0) x = (double)random_float(&r, -3, 24);
        sine = fmax(sine, float_ulps(fixed_sin(x), sin(x)));
        cosine = fmax(cosine, float_ulps(fixed_cos(x), cos(x)));
        x = (double)random_float(&r, -12, 2);
        error = fmax(error, float_ulps(fixed_erf(x), erf(x)));
    }
    for (int n = 1; n < 100000; n++) { /* the floats next to multiples of pi/2 */
        double x = (double)(float)(n * 1.5707963267948966);
        sine = fmax(sine, float_ulps(fixed_sin(x), sin(x)));
        cosine = fmax(cosine, float_ulps(fixed_cos(x), cos(x)));
    }
    print_message("sin: %.3f, cos: %.3f, erf: %.3f ulp\n", sine, cosine, error);
    assert_true(sine < 0.51 && cosine < 0.51 && error < 1);
    assert_true(fixed_erf(0) == 0 && fixed_erf(5) == 1 && fixed_erf(-INFINITY) == -1 && isnan(fixed_erf(NAN)));
    assert_true(fixed_sin(0) == 0 && signbit(fixed_sin(-0.0)) && fixed_cos(0) == 1);
    assert_true(isnan(fixed_sin(INFINITY)) && isnan(fixed_cos(-INFINITY)) && isnan(fixed_sin(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_close),
        cmocka_unit_test(log_is_close),
        cmocka_unit_test(quantile_inverts_erfc),
        cmocka_unit_test(pow_is_close),
        cmocka_unit_test(floats_of_sin_cos_erf_are_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
