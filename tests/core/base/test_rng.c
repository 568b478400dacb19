/* test_rng.c -- PCG32 against the published output, and the unit interval. */
#include "core/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void published_output(void **unused)
{
    (void)unused;
    static const uint32_t want[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e};
    struct rng r;
    rng_seed(&r, 42, 54);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) assert_int_equal(rng_u32(&r), want[i]);
}

static void the_state_is_all_there_is(void **unused)
{
    (void)unused;
    struct rng a, b;
    rng_seed(&a, 7, 1);
    for (int i = 0; i < 100; i++) rng_u32(&a);
    b = a;
    for (int i = 0; i < 100; i++) assert_int_equal(rng_u32(&a), rng_u32(&b));
    rng_seed(&b, 7, 2);
    rng_seed(&a, 7, 1);
    assert_int_not_equal(rng_u32(&a), rng_u32(&b));
}

static void unit_is_uniform_in_its_interval(void **unused)
{
    (void)unused;
    enum { DRAWS = 100000, BINS = 20 };
    struct rng r;
    int bins[BINS] = {0};
    double chi = 0;
    rng_seed(&r, 1, 1);
    for (int i = 0; i < DRAWS; i++) {
        double u = rng_unit(&r);
        assert_true(u >= 0 && u < 1);
        assert_true(u * 0x1p53 == (double)(uint64_t)(u * 0x1p53));
        bins[(int)(u * BINS)]++;
    }
    for (int i = 0; i < BINS; i++) {
        double d = bins[i] - DRAWS / (double)BINS;
        chi += d * d / (DRAWS / (double)BINS);
    }
    assert_true(chi < 43.8); /* 19 degrees of freedom, p = 0.001 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_output),
        cmocka_unit_test(the_state_is_all_there_is),
        cmocka_unit_test(unit_is_uniform_in_its_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
