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

/* Every half comes back from its own float; floats between two halves go to the nearer, ties to the even one. */
static void narrowed(void **unused)
{
    (void)unused;
    for (unsigned h = 0; h < 65536; h++) {
        if (isnan(half_to_float((uint16_t)h)))
            assert_true(isnan(half_to_float(float_to_half(half_to_float((uint16_t)h)))));
        else
            assert_int_equal(float_to_half(half_to_float((uint16_t)h)), h);
        if (isnan(bf16_to_float((uint16_t)h)))
            assert_true(isnan(bf16_to_float(float_to_bf16(bf16_to_float((uint16_t)h)))));
        else
            assert_int_equal(float_to_bf16(bf16_to_float((uint16_t)h)), h);
    }
    for (unsigned h = 0; h < 0x7BFF; h++) {
        float low = half_to_float((uint16_t)h), high = half_to_float((uint16_t)(h + 1)), middle = (low + high) / 2;
        assert_int_equal(float_to_half(middle), h % 2 ? h + 1 : h);
        assert_int_equal(float_to_half(nextafterf(middle, 0)), h);
        assert_int_equal(float_to_half(-nextafterf(middle, INFINITY)), 0x8000 | (h + 1));
    }
    for (unsigned h = 0x0080; h < 0x7F7F; h++) { /* not among the subnormals, whose middle is one too */
        float low = bf16_to_float((uint16_t)h), high = bf16_to_float((uint16_t)(h + 1)), middle = low / 2 + high / 2;
        assert_int_equal(float_to_bf16(nextafterf(middle, 0)), h);
        assert_int_equal(float_to_bf16(nextafterf(middle, INFINITY)), h + 1);
    }
    assert_int_equal(float_to_half(65519.99f), 0x7BFF);
    assert_int_equal(float_to_half(65520.0f), 0x7C00);
    assert_int_equal(float_to_half(-1e30f), 0xFC00);
    assert_int_equal(float_to_half(-1e-30f), 0x8000);
    assert_int_equal(float_to_half(INFINITY), 0x7C00);
    assert_int_equal(float_to_bf16(-INFINITY), 0xFF80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_values), cmocka_unit_test(narrowed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
