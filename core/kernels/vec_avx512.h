/* vec_avx512.h -- 16 lanes as one AVX-512 register. The contract of every function is in vec_base.h. */
#include <immintrin.h>

typedef __m512 vec;

/* 6 x 4 accumulators, 4 weights and a broadcast fit 32 registers. One row alone waits for its weights, which come
 * faster from one stream than from two, rather than for its 4 chains. */
#define TILE_ROWS 6
#define TALL_ROWS 8 /* of a tile that is three vectors wide */
#define TILE_VECS(rows) 4
#define REDUCED_VECS(rows) 4
#define BLOCKS 2 /* of units, whose gates are spent side by side */
#define BF16_ROWS 5 /* whose weights need a register even where they are used once */
#ifdef __AVX512VNNI__
#define INT8_ROWS 6
#else
#define INT8_ROWS 4 /* weights and inputs each in two registers, even and odd bytes */
#endif

INLINE vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vec_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
INLINE vec vec_all(float f) { return _mm512_set1_ps(f); }
INLINE vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }
INLINE vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE bool vec_all_zero(vec a) { return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_EQ_OQ) == 0xFFFF; }
INLINE vec vec_abs(vec a) { return _mm512_abs_ps(a); }

INLINE vec vec_with_sign(vec magnitude, vec sign)
{
    return _mm512_or_ps(_mm512_abs_ps(magnitude), _mm512_and_ps(sign, _mm512_set1_ps(-0.0f)));
}

INLINE vec vec_where_le(vec a, vec b, vec x, vec y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LE_OQ), y, x);
}

INLINE vec vec_pow2(vec t)
{
    __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3F800000)));
}

INLINE vec vec_load_lower(const void *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}

/* Not __m512i, which may alias anything: GCC 12 would keep sums of it in memory. */
typedef int32_t ivec __attribute__((vector_size(64)));

INLINE ivec ivec_load(const void *p) { return (ivec)_mm512_loadu_si512(p); }
INLINE ivec ivec_all(const uint8_t *p)
{
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return (ivec)_mm512_set1_epi32(four);
}
INLINE ivec ivec_dot(ivec sum, ivec w, ivec x)
{
#ifdef __AVX512VNNI__
    return (ivec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
#else
    __m512i w_even = _mm512_srai_epi16(_mm512_slli_epi16((__m512i)w, 8), 8), w_odd = _mm512_srai_epi16((__m512i)w, 8);
    __m512i x_even = _mm512_and_si512((__m512i)x, _mm512_set1_epi16(0x00FF)), x_odd = _mm512_srli_epi16((__m512i)x, 8);
    return sum + (ivec)_mm512_madd_epi16(w_even, x_even) + (ivec)_mm512_madd_epi16(w_odd, x_odd);
#endif
}
INLINE vec ivec_float(ivec a) { return _mm512_cvtepi32_ps((__m512i)a); }
INLINE void vec_store_bytes(uint8_t *p, vec v)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_castps_si512(v)));
}
