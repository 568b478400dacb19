/* test_half.c -- all 65536 values of both 16-bit formats against their defining formulas. */
#include "core/base/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* (-1)^s 2^(e-bias) 1.m, subnormals 2^(1-bias) 0.m, all ones: infinity or NaN */
static double formula(unsigned h, int exponent_bits, int mantissa_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (int)(h >> mantissa_bits) & ((1 << exponent_bits) - 1);
    double mantissa = h & ((1u << mantissa_bits) - 1), one = 1u << mantissa_bits;
    double magnitude;
    if (exponent == (1 << exponent_bits) - 1)
        magnitude = mantissa != 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        magnitude = ldexp(mantissa / one, 1 - bias);
    else
        magnitude = ldexp(1 + mantissa / one, exponent - bias);
    return h >> 15 ? -magnitude : magnitude;
}

static void same(float got, double want)
{
    if (isnan(want)) {
        assert_true(isnan(got));
    } else {
        assert_true((double)got == want);
        assert_int_equal(!signbit(got), !signbit(want));
    }
}

static void all_values(void **unused)
{
    (void)unused;
    for (unsigned h = 0; h < 65536; h++) {
        same(half_to_float((uint16_t)h), formula(h, 5, 10));
        same(bf16_to_float((uint16_t)h), formula(h, 8, 7));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
