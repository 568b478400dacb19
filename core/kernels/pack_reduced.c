/* pack_reduced.c -- packed weights in fewer bits: [panel][group of k][nv][16], four bytes each.
 *
 * BF16: a group is two k. The lower half holds the upper 16 bits of the first weight. The whole, read as a float as it
 * stands, is the second: its upper half is chosen so that, with the lower half behind it, it comes as near as it can.
 * So the second costs the kernels nothing, and both are off by 2^-8 of themselves at most.
 *
 * INT8: a group is four k, lowest address first. A column's weights are multiples of its scale, -127 .. 127. */
#include <math.h>
#include <string.h>

#include "core/kernels/kernels.h"

#define SMALLEST 0x00800000u /* bits of the smallest normal float: a subnormal operand can cost a hundred cycles */
#define SIGN 0x80000000u

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Upper half of the nearest bfloat16, ties to even; subnormals become 0, NaN and infinity stay. */
static uint32_t first_half(float w)
{
    uint32_t bits = bits_of(w);
    if ((bits & ~SIGN) < SMALLEST) return 0;
    if (!isfinite(w)) return (bits | (isnan(w) ? 0x400000u : 0)) >> 16;
    uint32_t half = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    return isfinite(of_bits(half << 16)) ? half : bits >> 16;
}

/* The upper half which, above the lower one given, makes the float nearest to w. */
static uint32_t second_half(float w, uint32_t lower)
{
    uint32_t middle = bits_of(w) & 0xFFFF0000u, best = middle;
    float distance = INFINITY;
    if (w == 0 && lower == 0) return 0;
    if (!isfinite(w)) return (isnan(w) ? 0x7FC00000u : middle) | lower; /* infinity may become NaN: both are caught */
    for (int i = -1; i <= 1; i++) {
        uint32_t bits = middle + (uint32_t)(i * 0x10000);
        if ((bits & ~SIGN) < SMALLEST || (i < 0 && (middle & ~SIGN) == 0)) bits = SMALLEST | (bits_of(w) & SIGN);
        float off = fabsf(of_bits(bits | lower) - w);
        if (isfinite(of_bits(bits | lower)) && off < distance) {
            distance = off;
            best = bits;
        }
    }
    return best | lower;
}

/* One vector of a panel: 16 columns, `step` elements from one k, or one group, to the next. */
static void reduce_bf16(uint32_t *to, const float *from, size_t step, size_t k)
{
    for (size_t i = 0; i < k; i += 2, to += step)
        for (size_t lane = 0; lane < LANES; lane++) {
            uint32_t lower = first_half(from[i * step + lane]);
            to[lane] = i + 1 < k ? second_half(from[(i + 1) * step + lane], lower) : lower;
        }
}

/* The largest weight of a column: what its scale is made of. NaN where not all are finite, 0 where 8 bits say nothing.
 */
static float largest_of(const float *w, size_t step, size_t k)
{
    float most = 0;
    bool finite = true;
    for (size_t i = 0; i < k; i++) {
        finite = finite && isfinite(w[i * step]);
        most = fmaxf(most, fabsf(w[i * step]));
    }
    return !finite ? NAN : most > 1e-30f ? most : 0;
}

static int8_t multiple_of(float w, float largest)
{
    return largest > 0 ? (int8_t)lrintf(w * (127 / largest)) : 0;
}

static void reduce_int8(uint8_t *to, float *scale, int32_t *offset, const float *from, size_t step, size_t k)
{
    for (size_t lane = 0; lane < LANES; lane++) {
        float largest = largest_of(from + lane, step, k);
        int32_t sum = 0;
        for (size_t i = 0; i < (k + 3) / 4 * 4; i++) {
            int8_t q = i < k ? multiple_of(from[i * step + lane], largest) : 0;
            to[(i / 4 * step + lane) * 4 + i % 4] = (uint8_t)q;
            sum += q;
        }
        scale[lane] = largest / 127;
        offset[lane] = -128 * sum;
    }
}

void weights_reduce(enum precision precision, const float *w, size_t step, size_t k, void *reduced, size_t reduced_step,
                    float *largest)
{
    uint16_t *halves = reduced;
    int8_t *multiples = reduced;
    uint32_t lower = 0;
    if (precision == PRECISION_INT8) *largest = largest_of(w, step, k);
    for (size_t i = 0; i < k; i++) {
        if (precision == PRECISION_INT8) {
            multiples[i * reduced_step] = multiple_of(w[i * step], *largest);
        } else if (i % 2 == 0) {
            halves[i * reduced_step] = (uint16_t)(lower = first_half(w[i * step]));
        } else {
            halves[i * reduced_step] = (uint16_t)(second_half(w[i * step], lower) >> 16);
        }
    }
}

/* The largest stands as it was, so that its scale comes out again; the others are nearer to their multiple than to the
 * next whatever the rounding. */
void weights_restore(enum precision precision, const void *reduced, float largest, size_t step, size_t k, float *w)
{
    const uint8_t *from = reduced; /* of any alignment */
    for (size_t i = 0; i < k; i++) {
        if (precision == PRECISION_INT8) {
            int q = (int8_t)from[i * step];
            w[i * step] = q == 127 ? largest : q == -127 ? -largest : (float)q * (largest / 127);
        } else {
            uint16_t upper, lower = 0;
            memcpy(&upper, from + i * step * sizeof upper, sizeof upper);
            if (i % 2) memcpy(&lower, from + (i - 1) * step * sizeof lower, sizeof lower);
            w[i * step] = of_bits((uint32_t)upper << 16 | lower);
        }
    }
}

size_t pack_reduced_floats(const struct packed *from, enum precision precision)
{
    size_t width = packed_width(from), lines = precision == PRECISION_INT8 ? 2 : 0;
    return (packed_groups(precision, from->k) + lines) * width;
}

void pack_reduced(struct packed *to, float *memory, const struct packed *from, enum precision precision)
{
    size_t step = from->nv * LANES, width = packed_width(from), groups = packed_groups(precision, from->k);
    float *scale = memory + groups * width;
    int32_t *offset = (int32_t *)scale + width;

    *to = (struct packed){from->k, from->nv, from->panels, memory, precision, NULL, NULL};
    if (precision == PRECISION_INT8) {
        to->scale = scale;
        to->offset = offset;
    }
    for (size_t at = 0; at < width; at += LANES) {
        size_t panel = at / step, v = at % step;
        const float *w = (const float *)from->w + panel * from->k * step + v;
        float *piece = memory + panel * groups * step + v;
        if (precision == PRECISION_INT8)
            reduce_int8((uint8_t *)piece, scale + at, offset + at, w, step, from->k);
        else
            reduce_bf16((uint32_t *)piece, w, step, from->k);
    }
}
