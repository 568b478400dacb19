/* vec_avx2.h -- 16 lanes as two AVX2 registers. The contract of every function is in vec_base.h. */
#include <immintrin.h>

typedef struct {
    __m256 lo, hi;
} vec;

/* 16 registers: 6 x 1 vectors are 12 accumulators, 2 weights and a broadcast. */
#define TILE_ROWS 6
#define TALL_ROWS TILE_ROWS /* of a tile that is three vectors wide */
#define TILE_VECS(rows) ((rows) == 1 ? 4 : (rows) <= 3 ? 2 : 1)
#define REDUCED_VECS(rows) ((rows) == 1 ? 2 : 1) /* as in vec_avx512.h, as BF16_ROWS and INT8_ROWS */
#define BLOCKS 1 /* of units, whose gates are spent side by side */
#define BF16_ROWS 5
#define INT8_ROWS 3

INLINE vec pair(__m256 lo, __m256 hi) { return (vec){lo, hi}; }
INLINE vec vec_load(const float *p) { return pair(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
INLINE void vec_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v.lo);
    _mm256_storeu_ps(p + 8, v.hi);
}
INLINE vec vec_all(float f) { return pair(_mm256_set1_ps(f), _mm256_set1_ps(f)); }
INLINE vec vec_add(vec a, vec b) { return pair(_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)); }
INLINE vec vec_sub(vec a, vec b) { return pair(_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)); }
INLINE vec vec_mul(vec a, vec b) { return pair(_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)); }
INLINE vec vec_div(vec a, vec b) { return pair(_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)); }
INLINE vec vec_fma(vec a, vec b, vec c)
{
    return pair(_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi));
}
INLINE vec vec_min(vec a, vec b) { return pair(_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)); }
INLINE vec vec_max(vec a, vec b) { return pair(_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)); }
INLINE bool vec_all_zero(vec a)
{
    __m256 zero = _mm256_setzero_ps();
    __m256 both = _mm256_and_ps(_mm256_cmp_ps(a.lo, zero, _CMP_EQ_OQ), _mm256_cmp_ps(a.hi, zero, _CMP_EQ_OQ));
    return _mm256_movemask_ps(both) == 0xFF;
}

INLINE __m256 half_abs(__m256 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
INLINE vec vec_abs(vec a) { return pair(half_abs(a.lo), half_abs(a.hi)); }

INLINE __m256 half_with_sign(__m256 magnitude, __m256 sign)
{
    return _mm256_or_ps(half_abs(magnitude), _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}
INLINE vec vec_with_sign(vec magnitude, vec sign)
{
    return pair(half_with_sign(magnitude.lo, sign.lo), half_with_sign(magnitude.hi, sign.hi));
}

INLINE __m256 half_where_le(__m256 a, __m256 b, __m256 x, __m256 y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LE_OQ));
}
INLINE vec vec_where_le(vec a, vec b, vec x, vec y)
{
    return pair(half_where_le(a.lo, b.lo, x.lo, y.lo), half_where_le(a.hi, b.hi, x.hi, y.hi));
}

INLINE __m256 half_pow2(__m256 t)
{
    __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3F800000)));
}
INLINE vec vec_pow2(vec t) { return pair(half_pow2(t.lo), half_pow2(t.hi)); }

INLINE __m256 half_load_lower(const char *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256((const __m256i *)p), 16));
}
INLINE vec vec_load_lower(const void *p)
{
    return pair(half_load_lower((const char *)p), half_load_lower((const char *)p + 32));
}

typedef int32_t half_ivec __attribute__((vector_size(32))); /* not __m256i, as in vec_avx512.h */
typedef struct {
    half_ivec lo, hi;
} ivec;

INLINE ivec ivec_load(const void *p)
{
    const __m256i *from = p;
    return (ivec){(half_ivec)_mm256_loadu_si256(from), (half_ivec)_mm256_loadu_si256(from + 1)};
}
INLINE ivec ivec_all(const uint8_t *p)
{
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return (ivec){(half_ivec)_mm256_set1_epi32(four), (half_ivec)_mm256_set1_epi32(four)};
}
/* vpmaddubsw would saturate: bytes are widened to 16 bits, those at even and at odd places apart. */
INLINE half_ivec half_dot(half_ivec sum, half_ivec w, half_ivec x)
{
    __m256i w_even = _mm256_srai_epi16(_mm256_slli_epi16((__m256i)w, 8), 8), w_odd = _mm256_srai_epi16((__m256i)w, 8);
    __m256i x_even = _mm256_and_si256((__m256i)x, _mm256_set1_epi16(0x00FF)), x_odd = _mm256_srli_epi16((__m256i)x, 8);
    return sum + (half_ivec)_mm256_madd_epi16(w_even, x_even) + (half_ivec)_mm256_madd_epi16(w_odd, x_odd);
}
INLINE ivec ivec_dot(ivec sum, ivec w, ivec x)
{
    return (ivec){half_dot(sum.lo, w.lo, x.lo), half_dot(sum.hi, w.hi, x.hi)};
}
INLINE vec ivec_float(ivec a) { return pair(_mm256_cvtepi32_ps((__m256i)a.lo), _mm256_cvtepi32_ps((__m256i)a.hi)); }
INLINE void vec_store_bytes(uint8_t *p, vec v)
{
    const __m256i low = _mm256_set1_epi32(0xFF);
    __m256i lo = _mm256_and_si256(_mm256_castps_si256(v.lo), low);
    __m256i hi = _mm256_and_si256(_mm256_castps_si256(v.hi), low);
    __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(lo, hi), 0xD8);
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}
