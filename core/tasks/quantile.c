/* quantile.c -- a distribution known by a few quantiles: never crossing, evaluated anywhere, with a mean.
 *
 * On a segment of levels [u1, u2] with the line v = v_k + (z - z_k) (v_k+1 - v_k)/(z_k+1 - z_k), the integral of v du
 * needs that of z du, which is p(z1) - p(z2) with p the normal density: d/dz p = -z p. The tails are the first and the
 * last line gone on to level 0 and 1, where p is 0. */
#include "core/tasks/quantile.h"

#include "core/kernels/kernels.h"

#define INVERSE_SQRT_2PI 0.39894228040143267794

static double density(double z) { return INVERSE_SQRT_2PI * fixed_exp(-0.5 * z * z); }

/* Adds to the weights of levels k and k+1 the integral of their line over a mass of levels; first is that of z du. */
static void add_segment(const double *score, double *weight, size_t k, double mass, double first)
{
    double upper = (first - score[k] * mass) / (score[k + 1] - score[k]);
    weight[k] += mass - upper;
    weight[k + 1] += upper;
}

void quantile_tables(const float *levels, size_t n, double *score, double *weight)
{
    for (size_t k = 0; k < n; k++) {
        score[k] = fixed_normal_quantile((double)levels[k]);
        weight[k] = 0.0;
    }
    if (n == 1) {
        weight[0] = 1.0;
        return;
    }
    add_segment(score, weight, 0, (double)levels[0], -density(score[0]));
    for (size_t k = 0; k + 1 < n; k++)
        add_segment(score, weight, k, (double)levels[k + 1] - (double)levels[k],
                    density(score[k]) - density(score[k + 1]));
    add_segment(score, weight, n - 2, 1.0 - (double)levels[n - 1], density(score[n - 1]));
}

size_t quantile_anchor(const float *levels, size_t n)
{
    size_t best = 0;
    for (size_t k = 1; k < n; k++) {
        double d = (double)levels[k] - 0.5, e = (double)levels[best] - 0.5;
        if ((d < 0 ? -d : d) < (e < 0 ? -e : e))
            best = k;
    }
    return best;
}

void quantile_uncross(double *values, size_t n, size_t anchor)
{
    for (size_t k = anchor + 1; k < n; k++)
        if (values[k] < values[k - 1])
            values[k] = values[k - 1];
    for (size_t k = anchor; k > 0; k--)
        if (values[k - 1] > values[k])
            values[k - 1] = values[k];
}

double quantile_at(const double *score, const double *values, size_t n, double z)
{
    if (n == 1)
        return values[0];
    size_t k = 0;
    while (k + 2 < n && z >= score[k + 1])
        k++;
    double slope = (values[k + 1] - values[k]) / (score[k + 1] - score[k]);
    double v = values[k] + (z - score[k]) * slope;
    /* rounding must not carry a value past the level beside it */
    if (z >= score[k] && v < values[k])
        v = values[k];
    if (z <= score[k + 1] && v > values[k + 1])
        v = values[k + 1];
    if (z >= score[k + 1] && v < values[k + 1])
        v = values[k + 1];
    if (z == score[k + 1])
        v = values[k + 1];
    return v;
}

double quantile_mean(const double *weight, const double *values, size_t n)
{
    double sum = 0.0;
    for (size_t k = 0; k < n; k++)
        sum += weight[k] * values[k];
    return sum;
}
