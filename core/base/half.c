/* half.c -- 16-bit floats widened: exact, subnormals, infinities and NaN payloads included. */
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
