/* half.c -- 16-bit floats widened, exactly: subnormals, infinities and NaN payloads too; and narrowed, rounded once. */
#include "core/base/half.h"

#include <string.h>

static float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* binary16: 1 sign, 5 exponent (bias 15), 10 mantissa bits; binary32: 1, 8 (bias 127), 23. */
float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h >> 10 & 0x1F, mantissa = h & 0x3FF;

    if (exponent == 0x1F) return float_of_bits(sign | 0x7F800000 | mantissa << 13);
    if (exponent != 0) return float_of_bits(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
    /* zero or subnormal: mantissa * 2^-24, exact in binary32 */
    float magnitude = (float)mantissa * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}

float bf16_to_float(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

static uint32_t bits_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Without the `shift` low bits, rounded to the nearest, ties to even; 1 <= shift <= 31. */
static uint32_t round_off(uint32_t v, unsigned shift)
{
    uint32_t rest = v & ((1u << shift) - 1), tie = 1u << (shift - 1);
    v >>= shift;
    return v + (rest > tie || (rest == tie && (v & 1)));
}

/* A mantissa that rounds up to the next power of two carries into the exponent, as it must: to infinity at the top, to
 * the first normal number at the bottom. */
uint16_t float_to_half(float f)
{
    uint32_t bits = bits_of_float(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    int exponent = (int)(magnitude >> 23) - 127;
    if (magnitude > 0x7F800000) return (uint16_t)(sign | 0x7E00); /* NaN */
    if (exponent >= 16) return (uint16_t)(sign | 0x7C00);
    if (exponent >= -14) return (uint16_t)(sign | round_off(magnitude - ((127u - 15u) << 23), 13));
    if (exponent < -25) return (uint16_t)sign;
    uint32_t mantissa = (magnitude & 0x7FFFFF) | 0x800000; /* in units of 2^(exponent - 23); wanted: of 2^-24 */
    return (uint16_t)(sign | round_off(mantissa, (unsigned)(-1 - exponent)));
}

uint16_t float_to_bf16(float f)
{
    uint32_t bits = bits_of_float(f);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)round_off(bits, 16);
}
