/* scaler.c -- one channel's way from original units to scaled values and back.
 *
 *   none      s = x
 *   standard  s = (x - a) / b
 *   minmax    s = (x - a) / (b - a)
 *   log1p     s = (log(1 + x/unit) - a) / b
 *   asinh     s = (asinh(x/unit) - a) / b,   asinh(y) = sign(y) log(|y| + sqrt(y y + 1))
 *
 * Computed in double and rounded to float once, with the fixed logarithm and exponential, whose bits are the same on
 * every machine. */
#include "core/tasks/scaler.h"

#include "core/base/error.h"
#include "core/kernels/kernels.h"

#include <math.h>

rnnd_code scaler_check(const struct channel_config *c, rnnd_error *err)
{
    if (!isfinite(c->a) || !isfinite(c->b) || !isfinite(c->unit))
        return fail_at(err, RNND_MISMATCH, c->name, "the scaler of channel '%s' has parameters that are not finite",
                       c->name);
    if (c->scaler == SCALER_MINMAX && !(c->b > c->a))
        return fail_at(err, RNND_MISMATCH, c->name, "the minmax scaler of channel '%s' needs a < b, found %g and %g",
                       c->name, (double)c->a, (double)c->b);
    if (c->scaler != SCALER_NONE && c->scaler != SCALER_MINMAX && !(c->b > 0))
        return fail_at(err, RNND_MISMATCH, c->name, "the scaler of channel '%s' needs b > 0, found %g", c->name,
                       (double)c->b);
    if ((c->scaler == SCALER_LOG1P || c->scaler == SCALER_ASINH) && !(c->unit > 0))
        return fail_at(err, RNND_MISMATCH, c->name, "the scaler of channel '%s' needs unit > 0, found %g", c->name,
                       (double)c->unit);
    if ((c->clamp_min && !isfinite(c->min)) || (c->clamp_max && !isfinite(c->max)) ||
        (c->clamp_min && c->clamp_max && c->min > c->max))
        return fail_at(err, RNND_MISMATCH, c->name, "the bounds of channel '%s' need finite min <= max", c->name);
    return RNND_OK;
}

rnnd_code scaler_forward(const struct channel_config *c, float x, float *scaled, rnnd_error *err)
{
    double y = x, a = c->a, b = c->b;
    switch (c->scaler) {
    case SCALER_NONE: break;
    case SCALER_STANDARD: y = (y - a) / b; break;
    case SCALER_MINMAX: y = (y - a) / (b - a); break;
    case SCALER_LOG1P:
        if (!(y > -(double)c->unit))
            return fail_at(err, RNND_MISMATCH, c->name, "Channel '%s' has a log1p scaler and takes values above %g, "
                           "found %g.", c->name, -(double)c->unit, y);
        y = (fixed_log(1.0 + y / (double)c->unit) - a) / b;
        break;
    case SCALER_ASINH: {
        double z = y / (double)c->unit, m = fabs(z), l = fixed_log(m + sqrt(m * m + 1.0));
        y = ((z < 0 ? -l : l) - a) / b;
        break;
    }
    }
    if (!isfinite(x) || !(fabs(y) <= (double)SCALER_LARGEST))
        return fail_at(err, RNND_MISMATCH, c->name, "Channel '%s' takes finite values of at most %g when scaled, "
                       "found %g, which is %g then.", c->name, (double)SCALER_LARGEST, (double)x, y);
    *scaled = (float)y;
    return RNND_OK;
}

double scaler_inverse(const struct channel_config *c, double scaled)
{
    double a = c->a, b = c->b, unit = c->unit;
    switch (c->scaler) {
    case SCALER_NONE: break;
    case SCALER_STANDARD: return scaled * b + a;
    case SCALER_MINMAX: return scaled * (b - a) + a;
    case SCALER_LOG1P: return (fixed_exp(scaled * b + a) - 1.0) * unit;
    case SCALER_ASINH: {
        double y = scaled * b + a, e = fixed_exp(fabs(y)), x = 0.5 * (e - 1.0 / e) * unit;
        return y < 0 ? -x : x;
    }
    }
    return scaled;
}

double scaler_clamp(const struct channel_config *c, double x)
{
    if (c->clamp_min && x < (double)c->min)
        x = (double)c->min;
    if (c->clamp_max && x > (double)c->max)
        x = (double)c->max;
    return x;
}
