/* vec_math.h -- elementary functions on 16 lanes: one algorithm for every row, every FMA written out.
 *
 * NaN in gives NaN out: a limit always stands first in vec_min and vec_max, which return their second argument when the
 * two do not compare. Relative errors are a few units in the last place; tests/core/kernels holds the bounds. */

/* Adding and taking away 1.5 * 2^23 rounds to the nearest whole number, ties to even, for |x| < 2^22; meanwhile the low
 * bits of the sum are that number, which vec_pow2 makes an exponent of. */
#define ROUNDER 12582912.0f

#define ABREAST(k, count) _Pragma("GCC unroll 8") for (int k = 0; k < (count); k++)

/* c[0] x^(n-1) + ... + c[n-1], Horner */
INLINE vec vec_polynomial(const float *c, int n, vec x)
{
    vec y = vec_all(c[0]);
#pragma GCC unroll 16
    for (int i = 1; i < n; i++) y = vec_fma(y, x, vec_all(c[i]));
    return y;
}

INLINE vec vec_clamp(float low, float high, vec x)
{
    return vec_min(vec_all(high), vec_max(vec_all(low), x));
}

INLINE vec vec_negate(vec x)
{
    return vec_sub(vec_all(-0.0f), x);
}

/* For each of so many x: x = n ln 2 + r, |r| <= ln 2 / 2; leaves exp(r) - 1 = r + r^2 (1/2 + r/3! + ... + r^5/7!)
 * (remainder 2e-8 of it) in x, and in t the sum ROUNDER + n. The first part of ln 2 has few enough bits for n times it
 * to be exact. Several are taken side by side, operation by operation: one alone is a chain, and a processor looks only
 * so far ahead for work to do beside it. */
INLINE void exp_reduced_each(const int count, vec *x, vec *t)
{
    static const float c[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f};
    vec y[8];

    ABREAST(k, count) t[k] = vec_fma(x[k], vec_all(1.44269504f), vec_all(ROUNDER));
    ABREAST(k, count) y[k] = vec_sub(t[k], vec_all(ROUNDER));
    ABREAST(k, count) x[k] = vec_fma(y[k], vec_all(-0.693145751953125f), x[k]);
    ABREAST(k, count) x[k] = vec_fma(y[k], vec_all(-1.42860677e-06f), x[k]);
    ABREAST(k, count) y[k] = vec_all(c[0]);
#pragma GCC unroll 8
    for (int i = 1; i < 6; i++) ABREAST(k, count) y[k] = vec_fma(y[k], x[k], vec_all(c[i]));
    ABREAST(k, count) x[k] = vec_fma(y[k], vec_mul(x[k], x[k]), x[k]);
}

INLINE vec exp_reduced(vec x, vec *t)
{
    exp_reduced_each(1, &x, t);
    return x;
}

/* exp(x) of what exp_reduced() leaves, -87 <= x <= 89: above 88.4 it is already infinity, which suits a denominator */
INLINE vec exp_whole(vec e, vec t)
{
    return vec_mul(vec_add(e, vec_all(1.0f)), vec_pow2(t));
}

/* exp(x) - 1 for -87 <= x <= 88, accurate near 0 */
INLINE vec expm1_bounded(vec x)
{
    vec t, e = exp_reduced(x, &t), power = vec_pow2(t);
    return vec_fma(e, power, vec_sub(power, vec_all(1.0f)));
}

/* exp(x) for every x: the power of two is applied in two halves, so that subnormal results are rounded once */
INLINE vec vec_exp(vec x)
{
    vec t, e = exp_reduced(vec_clamp(-104.0f, 89.0f, x), &t);
    vec n = vec_sub(t, vec_all(ROUNDER));
    vec t_half = vec_fma(n, vec_all(0.5f), vec_all(ROUNDER));
    vec t_rest = vec_add(vec_sub(n, vec_sub(t_half, vec_all(ROUNDER))), vec_all(ROUNDER));
    return vec_mul(vec_mul(vec_add(e, vec_all(1.0f)), vec_pow2(t_half)), vec_pow2(t_rest));
}

/* 1 / (1 + exp(-x)) */
INLINE void vec_sigmoid_each(const int count, vec *x)
{
    vec t[4];

    ABREAST(k, count) x[k] = vec_clamp(-87.0f, 89.0f, vec_negate(x[k]));
    exp_reduced_each(count, x, t);
    ABREAST(k, count) x[k] = exp_whole(x[k], t[k]);
    ABREAST(k, count) x[k] = vec_div(vec_all(1.0f), vec_add(vec_all(1.0f), x[k]));
}

INLINE vec vec_sigmoid(vec x)
{
    vec_sigmoid_each(1, &x);
    return x;
}

/* tanh |x| = -e / (e + 2), e = exp(-2 |x|) - 1; from 10 on it is 1 */
INLINE void vec_tanh_each(const int count, vec *x)
{
    vec e[4], t[4];

    ABREAST(k, count) e[k] = vec_mul(vec_all(-2.0f), vec_min(vec_all(10.0f), vec_abs(x[k])));
    exp_reduced_each(count, e, t);
    ABREAST(k, count) t[k] = vec_pow2(t[k]);
    ABREAST(k, count) e[k] = vec_fma(e[k], t[k], vec_sub(t[k], vec_all(1.0f)));
    ABREAST(k, count) x[k] = vec_with_sign(vec_div(e[k], vec_add(e[k], vec_all(2.0f))), x[k]);
}

INLINE vec vec_tanh(vec x)
{
    vec_tanh_each(1, &x);
    return x;
}

/* log(1 + u) = 2 atanh(s), s = u / (2 + u), for 0 <= u <= 1: s <= 1/3, series to s^15 */
INLINE vec log1p_unit(vec u)
{
    static const float c[] = {1.0f / 15, 1.0f / 13, 1.0f / 11, 1.0f / 9, 1.0f / 7, 1.0f / 5, 1.0f / 3};
    vec s = vec_div(u, vec_add(u, vec_all(2.0f))), square = vec_mul(s, s);
    vec twice = vec_add(s, s);
    return vec_fma(vec_mul(twice, square), vec_polynomial(c, 7, square), twice);
}

/* max(x, 0) + log(1 + exp(-|x|)) */
INLINE vec vec_softplus(vec x)
{
    vec tail = log1p_unit(vec_exp(vec_negate(vec_abs(x))));
    return vec_add(vec_max(vec_all(0.0f), x), tail);
}

/* x tanh(log(1 + e^x)) = x q / (q + 2), q = e^x (e^x + 2) */
INLINE vec vec_mish(vec x)
{
    vec e = vec_exp(vec_min(vec_all(20.0f), x));
    vec q = vec_mul(e, vec_add(e, vec_all(2.0f)));
    return vec_mul(x, vec_div(q, vec_add(q, vec_all(2.0f))));
}

/* x Phi(x), Phi(-|x|) = erfc(z) / 2 with z = |x| / sqrt 2 and erfc(z) = exp(-z^2) t P(t), t = 2 / (2 + z): P is a
 * minimax fit of degree 8 over 0 <= z <= 10.5, relative error 4.4e-8 */
INLINE vec vec_gelu(vec x)
{
    static const float c[] = {-0.0591940135f, 0.285186023f, -0.488467246f, 0.279519528f, -0.0276279245f,
                              0.203111693f,   0.242996201f, 0.282390118f,  0.282085568f};
    vec z = vec_mul(vec_abs(x), vec_all(0.707106781f));
    vec t = vec_div(vec_all(2.0f), vec_add(z, vec_all(2.0f)));
    vec gauss = vec_exp(vec_mul(vec_mul(x, x), vec_all(-0.5f)));
    vec lower = vec_mul(vec_mul(vec_mul(t, vec_all(0.5f)), vec_polynomial(c, 9, t)), gauss);
    return vec_mul(x, vec_where_le(x, vec_all(0.0f), lower, vec_sub(vec_all(1.0f), lower)));
}

/* x > 0 ? x : scale (exp(x) - 1) */
INLINE vec vec_elu(vec x, vec scale)
{
    vec negative = expm1_bounded(vec_clamp(-87.0f, 0.0f, x));
    return vec_where_le(x, vec_all(0.0f), vec_mul(scale, negative), x);
}

INLINE vec vec_activation(struct act act, vec x)
{
    const vec zero = vec_all(0.0f), one = vec_all(1.0f);
    const vec alpha = vec_all(act.alpha), beta = vec_all(act.beta);

    switch (act.kind) {
    case ACT_LINEAR: return x;
    case ACT_SIGMOID: return vec_sigmoid(x);
    case ACT_TANH: return vec_tanh(x);
    case ACT_RELU: return vec_max(zero, x);
    case ACT_HARD_SIGMOID: return vec_clamp(0.0f, 1.0f, vec_fma(alpha, x, beta));
    case ACT_LEAKY_RELU: return vec_where_le(x, zero, vec_mul(alpha, x), x);
    case ACT_ELU: return vec_elu(x, alpha);
    case ACT_SELU: /* Klambauer 2017 */
        return vec_mul(vec_all(1.05070098f), vec_elu(x, vec_all(1.67326324f)));
    case ACT_SOFTPLUS: return vec_softplus(x);
    case ACT_SOFTSIGN: return vec_div(x, vec_add(one, vec_abs(x)));
    case ACT_THRESHOLDED_RELU: return vec_where_le(x, alpha, zero, x);
    case ACT_SCALED_TANH: return vec_mul(alpha, vec_tanh(vec_mul(beta, x)));
    case ACT_AFFINE: return vec_fma(alpha, x, beta);
    case ACT_EXP: return vec_exp(x);
    case ACT_RELU6: return vec_clamp(0.0f, 6.0f, x);
    case ACT_HARD_TANH: return vec_clamp(-1.0f, 1.0f, x);
    case ACT_SWISH: return vec_mul(x, vec_sigmoid(x));
    case ACT_GELU: return vec_gelu(x);
    case ACT_HARD_SWISH: return vec_mul(x, vec_clamp(0.0f, 1.0f, vec_fma(x, vec_all(1.0f / 6), vec_all(0.5f))));
    case ACT_MISH: return vec_mish(x);
    case ACT_ABS: return vec_abs(x);
    case ACT_COUNT: break;
    }
    return x;
}
