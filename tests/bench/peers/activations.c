/* activations.c -- built for this processor and with -ffast-math, so that expf() is libmvec's. */
#include "tests/bench/peers/activations.h"

#include <math.h>

static inline float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

static inline float tangent(float x)
{
    return 1 - 2 / (1 + expf(2 * x));
}

void activate_lstm(size_t hidden, const float *restrict gates, float *restrict c, float *restrict h)
{
    const float *i = gates, *f = gates + hidden, *g = gates + 2 * hidden, *o = gates + 3 * hidden;
    for (size_t j = 0; j < hidden; j++) {
        float next = sigmoid(f[j]) * c[j] + sigmoid(i[j]) * tangent(g[j]);
        c[j] = next;
        h[j] = sigmoid(o[j]) * tangent(next);
    }
}

void activate_gru(size_t hidden, const float *restrict x_gates, const float *restrict h_gates, float *restrict h)
{
    const float *xr = x_gates, *xz = x_gates + hidden, *xn = x_gates + 2 * hidden;
    const float *hr = h_gates, *hz = h_gates + hidden, *hn = h_gates + 2 * hidden;
    for (size_t j = 0; j < hidden; j++) {
        float z = sigmoid(xz[j] + hz[j]), n = tangent(xn[j] + sigmoid(xr[j] + hr[j]) * hn[j]);
        h[j] = (1 - z) * n + z * h[j];
    }
}
