/* quantile.h -- a distribution known by a few quantiles: never crossing, evaluated anywhere, with a mean.
 *
 * Between trained levels the value is linear in the normal score z = inverse normal distribution of the level; outside
 * them the outermost slope goes on, so that tails are those of a normal distribution. The mean is the exact integral of
 * that function over all levels. */
#ifndef RNND_TASKS_QUANTILE_H
#define RNND_TASKS_QUANTILE_H

#include <stddef.h>

#define MAX_LEVELS 99 /* trained quantiles of one model */

/* Normal scores [n] of the levels, and weights [n] such that the mean is the sum of weight times value. One level: the
 * distribution is a point. */
void quantile_tables(const float *levels, size_t n, double *score, double *weight);
/* The level nearest to one half; of two, the lower. */
size_t quantile_anchor(const float *levels, size_t n);
/* Makes values [n] ascending: from the anchor upward each becomes at least, downward at most its inner neighbour. The
 * anchor (the median) stays as the network said. */
void quantile_uncross(double *values, size_t n, size_t anchor);
/* The value at normal score z; values are ascending. Never decreasing in z. */
double quantile_at(const double *score, const double *values, size_t n, double z);
double quantile_mean(const double *weight, const double *values, size_t n);

#endif
