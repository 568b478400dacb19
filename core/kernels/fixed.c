/* fixed.c -- exp, log, powers, sin, cos, erf and the normal quantile with the same bits on every machine.
 *
 * Only + - * / and sqrt, which IEEE 754 rounds alike everywhere; the build forbids contracting a product and a sum. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/kernels/kernels.h"

/* ln 2 in two parts; the first has 21 trailing zero bits, so that n * LN2_HIGH is exact for every exponent n */
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LOG2_E 0x1.71547652b82fep+0
#define SQRT2 0x1.6a09e667f3bcdp+0

static double of_bits(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

/* 2^n, -1022 <= n <= 1023 */
static double power_of_two(int n)
{
    return of_bits((uint64_t)(n + 1023) << 52);
}

/* c[0] + c[1] x + ... + c[n-1] x^(n-1) */
static double polynomial(const double *c, int n, double x)
{
    double y = c[n - 1];
    for (int i = n - 2; i >= 0; i--) y = y * x + c[i];
    return y;
}

/* exp(x) = 2^n exp(r), r = x - n ln 2, |r| <= ln 2 / 2, Taylor to r^13 (remainder below 5e-18). The power is applied in
 * two halves, so that results among the subnormals are rounded once. */
double fixed_exp(double x)
{
    static const double c[] = {1,           1,            1.0 / 2,       1.0 / 6,       1.0 / 24,
                               1.0 / 120,   1.0 / 720,    1.0 / 5040,    1.0 / 40320,   1.0 / 362880,
                               1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
    if (x != x) return x;
    if (x > 710) return INFINITY;
    if (x < -746) return 0;
    int n = (int)(x * LOG2_E + (x < 0 ? -0.5 : 0.5));
    double r = (x - n * LN2_HIGH) - n * LN2_LOW;
    int half = n / 2;
    return polynomial(c, 14, r) * power_of_two(half) * power_of_two(n - half);
}

/* log(2^n m) = n ln 2 + 2 atanh(s), s = (m-1)/(m+1), m in [1/sqrt 2, sqrt 2]: |s| <= 0.172, series to s^23 */
double fixed_log(double x)
{
    static const double c[] = {1,        1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11,
                               1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23};
    if (x != x || x == INFINITY) return x;
    if (x < 0) return NAN;
    if (x == 0) return -INFINITY;
    int n = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        n = -54;
    }
    uint64_t bits = bits_of(x);
    n += (int)(bits >> 52) - 1023;
    double m = of_bits((bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u);
    if (m > SQRT2) {
        m *= 0.5;
        n++;
    }
    double s = (m - 1) / (m + 1);
    return n * LN2_HIGH + (2 * s * polynomial(c, 12, s * s) + n * LN2_LOW);
}

/* M. J. Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution", Applied Statistics 37, 1988,
 * PPND16: three rational functions, of p - 1/2 in the middle and of sqrt(-log p) in the tails. */
double fixed_normal_quantile(double p)
{
    static const double a[] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                               1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                               3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double b[] = {1,                       4.2313330701600911252e1, 6.8718700749205790830e2,
                               5.3941960214247511077e3, 2.1213794301586595867e4, 3.9307895800092710610e4,
                               2.8729085735721942674e4, 5.2264952788528545610e3};
    static const double c[] = {1.42343711074968357734e0, 4.63033784615654529590e0,  5.76949722146069140550e0,
                               3.64784832476320460504e0, 1.27045825245236838258e0,  2.41780725177450611770e-1,
                               2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[] = {1,                         2.05319162663775882187e0,  1.67638483018380384940e0,
                               6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
                               5.47593808499534494600e-4, 1.05075007164441684324e-9};
    static const double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                               2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                               2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[] = {1,                         5.99832206555887937690e-1, 1.36929880922735805310e-1,
                               1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5,
                               1.42151175831644588870e-7, 2.04426310338993978564e-15};
    double q = p - 0.5;

    if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return q * polynomial(a, 8, r) / polynomial(b, 8, r);
    }
    double r = sqrt(-fixed_log(q < 0 ? p : 1 - p));
    double x = r <= 5 ? polynomial(c, 8, r - 1.6) / polynomial(d, 8, r - 1.6)
                      : polynomial(e, 8, r - 5) / polynomial(f, 8, r - 5);
    return q < 0 ? -x : x;
}

/* exp(y log |x|), negative for an odd y of a negative x */
double fixed_pow(double x, double y)
{
    if (x == 1 || y == 0) return 1;
    if (x != x || y != y) return NAN;
    double half = y * 0.5;
    bool whole = fabs(y) >= 0x1p53 || y == floor(y), odd = whole && fabs(y) < 0x1p53 && half != floor(half);
    if (x == -1 && fabs(y) == INFINITY) return 1;
    if (x < 0 && x != -INFINITY && !whole) return NAN;
    double magnitude = fixed_exp(y * fixed_log(fabs(x)));
    return odd && signbit(x) ? -magnitude : magnitude;
}

/* |x| <= 1: 2/sqrt(pi) sum of (-1)^n x^(2n+1) / (n! (2n+1)), to x^25 (remainder 6e-12). Beyond, 1 - erfc(|x|) with
 * erfc(z) = exp(-z^2) t P(t), t = 2 / (2 + z): P is the minimax fit of vec_gelu (vec_math.h), relative error 4.4e-8.
 * From 4 on the nearest float is 1. */
double fixed_erf(double x)
{
    static const double series[] = {1.0,         -1.0 / 3,     1.0 / 10,      -1.0 / 42,      1.0 / 216,
                                    -1.0 / 1320, 1.0 / 9360,   -1.0 / 75600,  1.0 / 685440,   -1.0 / 6894720,
                                    1.0 / 76204800, -1.0 / 918086400, 1.0 / 11975040000.0};
    static const double tail[] = {0.282085568,  0.282390118,  0.242996201, 0.203111693, -0.0276279245,
                                  0.279519528, -0.488467246, 0.285186023, -0.0591940135};
    double z = fabs(x);
    if (x != x) return x;
    if (z <= 1) return x * 0x1.20dd750429b6dp+0 * polynomial(series, 13, x * x);
    double t = 2 / (2 + z), y = z >= 4 ? 1 : 1 - fixed_exp(-z * z) * t * polynomial(tail, 9, t);
    return x < 0 ? -y : y;
}

/* pi/2 in three parts, the first two of 33 bits: products with numbers below 2^20 are exact */
#define HALF_PI_HIGH 0x1.921fb544p+0
#define HALF_PI_MIDDLE 0x1.0b4611a6p-34
#define HALF_PI_LOW 0x1.3198a2e037073p-69
#define TWO_BY_PI 0x1.45f306dc9c883p-1

/* x = (4 j + *quadrant) pi/2 + r for a float |x| >= 2^19: x = m 2^e with m below 2^24, and of 2/pi only those 96 bits
 * matter whose product with m 2^e is neither a multiple of 4 nor below 2^-70. */
static double reduce_large(double x, unsigned *quadrant)
{
    static const uint32_t two_by_pi[] = {0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041,
                                         0xfe5163ab};
    uint64_t bits = bits_of(fabs(x));
    int e = (int)(bits >> 52) - 1023 - 23;
    uint32_t m = (uint32_t)((bits & 0x000FFFFFFFFFFFFFu) >> 29) | 1u << 23;
    int first = e - 1 + 31; /* place in the table of the bit that stands for 2^(1-e); e >= -4 */
    unsigned __int128 window = 0;
    for (int i = 0; i < 96; i++, first++)
        window = window << 1 | (two_by_pi[first / 32] >> (31 - first % 32) & 1);
    unsigned __int128 product = window * m; /* times 2^-94; what is above 2^96 is a multiple of 4 */
    uint64_t top = (uint64_t)(product >> 32); /* times 2^-62 */
    *quadrant = (unsigned)(top >> 62);
    double fraction = (double)(top & 0x3FFFFFFFFFFFFFFFu) * 0x1p-62;
    if (fraction > 0.5) {
        fraction = -(double)(0x4000000000000000u - (top & 0x3FFFFFFFFFFFFFFFu)) * 0x1p-62;
        ++*quadrant;
    }
    if (x < 0) {
        *quadrant = 0u - *quadrant;
        fraction = -fraction;
    }
    return fraction * (HALF_PI_HIGH + HALF_PI_MIDDLE);
}

static double reduce(double x, unsigned *quadrant)
{
    if (fabs(x) >= 0x1p19) return reduce_large(x, quadrant);
    int n = (int)(x * TWO_BY_PI + (x < 0 ? -0.5 : 0.5));
    *quadrant = (unsigned)n;
    return ((x - n * HALF_PI_HIGH) - n * HALF_PI_MIDDLE) - n * HALF_PI_LOW;
}

/* sin(r + quadrant pi/2), |r| <= pi/4: Taylor, remainder below 1e-16 */
static double sine(double r, unsigned quadrant)
{
    static const double odd[] = {1.0,           -1.0 / 6,          1.0 / 120,           -1.0 / 5040,
                                 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800.0, -1.0 / 1307674368000.0};
    static const double even[] = {1.0,            -1.0 / 2,          1.0 / 24,           -1.0 / 720, 1.0 / 40320,
                                  -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200.0};
    double y = quadrant & 1 ? polynomial(even, 8, r * r) : r * polynomial(odd, 8, r * r);
    return quadrant & 2 ? -y : y;
}

double fixed_sin(double x)
{
    unsigned quadrant;
    if (x == 0 || x - x != 0) return x == 0 ? x : NAN;
    double r = reduce(x, &quadrant);
    return sine(r, quadrant);
}

double fixed_cos(double x)
{
    unsigned quadrant;
    if (x - x != 0) return NAN;
    double r = reduce(x, &quadrant);
    return sine(r, quadrant + 1);
}
