/* vec_base.h -- 16 lanes in plain C, and what each lane operation means in every row. */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    float lane[LANES];
} vec;

#define TILE_ROWS 1
#define TALL_ROWS TILE_ROWS /* of a tile that is three vectors wide */
#define TILE_VECS(rows) 1
#define REDUCED_VECS(rows) 1
#define BLOCKS 1 /* of units, whose gates are spent side by side */
#define BF16_ROWS 1
#define INT8_ROWS 1

#define EACH(expression)                                                                                              \
    vec y_;                                                                                                           \
    _Pragma("GCC unroll 1") for (int i = 0; i < LANES; i++) y_.lane[i] = (expression);                                \
    return y_

/* Loads and stores need no alignment. */
INLINE vec vec_load(const float *p) { EACH(p[i]); }
INLINE void vec_store(float *p, vec v) { memcpy(p, v.lane, sizeof v.lane); }
INLINE vec vec_all(float f) { EACH(f); }
INLINE vec vec_add(vec a, vec b) { EACH(a.lane[i] + b.lane[i]); }
INLINE vec vec_sub(vec a, vec b) { EACH(a.lane[i] - b.lane[i]); }
INLINE vec vec_mul(vec a, vec b) { EACH(a.lane[i] * b.lane[i]); }
INLINE vec vec_div(vec a, vec b) { EACH(a.lane[i] / b.lane[i]); }
/* a b + c, rounded once. The one libm function used here: C requires it to be exact, so its bits are the same
 * everywhere. (A product in double is not a substitute: adding c would round twice.) */
INLINE vec vec_fma(vec a, vec b, vec c) { EACH(fmaf(a.lane[i], b.lane[i], c.lane[i])); }
/* b where either is NaN or both are equal: a limit as `a` keeps a NaN in `b` alive. */
INLINE vec vec_min(vec a, vec b) { EACH(a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]); }
INLINE vec vec_max(vec a, vec b) { EACH(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]); }
INLINE vec vec_abs(vec a) { EACH(fabsf(a.lane[i])); }
INLINE vec vec_with_sign(vec magnitude, vec sign) { EACH(copysignf(magnitude.lane[i], sign.lane[i])); }
/* a <= b ? x : y; y where a or b is NaN */
INLINE vec vec_where_le(vec a, vec b, vec x, vec y) { EACH(a.lane[i] <= b.lane[i] ? x.lane[i] : y.lane[i]); }
/* false where a lane is NaN */
INLINE bool vec_all_zero(vec a)
{
    for (int i = 0; i < LANES; i++)
        if (!(a.lane[i] == 0)) return false;
    return true;
}

/* 2^n for t = ROUNDER + n (vec_math.h): the low bits of t are n in two's complement. n = 128 gives infinity. */
INLINE vec vec_pow2(vec t)
{
    vec y;
    for (int i = 0; i < LANES; i++) {
        uint32_t bits;
        memcpy(&bits, &t.lane[i], sizeof bits);
        bits = (bits << 23) + 0x3F800000;
        memcpy(&y.lane[i], &bits, sizeof bits);
    }
    return y;
}

/* The upper halves of 16 floats, taken from the lower halves of what stands at p. */
INLINE vec vec_load_lower(const void *p)
{
    uint32_t bits[LANES];
    vec y;
    memcpy(bits, p, sizeof bits);
    for (int i = 0; i < LANES; i++) bits[i] <<= 16;
    memcpy(y.lane, bits, sizeof bits);
    return y;
}

/* Whole numbers: 16 of 32 bits, or four of 8 bits in each of them, lowest address first. */
typedef struct {
    int32_t lane[LANES];
} ivec;

INLINE ivec ivec_load(const void *p)
{
    ivec y;
    memcpy(&y, p, sizeof y);
    return y;
}
/* the same four bytes in every lane */
INLINE ivec ivec_all(const uint8_t *p)
{
    ivec y;
    for (int i = 0; i < LANES; i++) memcpy(&y.lane[i], p, 4);
    return y;
}
/* sum + w . x in each lane: w four of -127 .. 127, x four of 0 .. 255 */
INLINE ivec ivec_dot(ivec sum, ivec w, ivec x)
{
    for (int i = 0; i < LANES; i++) {
        int8_t a[4];
        uint8_t b[4];
        memcpy(a, &w.lane[i], 4);
        memcpy(b, &x.lane[i], 4);
        sum.lane[i] += a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
    }
    return sum;
}
INLINE vec ivec_float(ivec a) { EACH((float)a.lane[i]); }
/* The lowest byte of each lane's bits. */
INLINE void vec_store_bytes(uint8_t *p, vec v)
{
    for (int i = 0; i < LANES; i++) {
        uint32_t bits;
        memcpy(&bits, &v.lane[i], sizeof bits);
        p[i] = (uint8_t)bits;
    }
}
