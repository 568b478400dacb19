/* fixed.c -- exp, log and the normal quantile in double precision with the same bits on every machine.
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
