/* scaler.h -- one channel's way from original units to scaled values and back. */
#ifndef RNND_TASKS_SCALER_H
#define RNND_TASKS_SCALER_H

#include "core/model/config.h"

/* Verifies the parameters of a channel (b > 0, or b > a for minmax; unit > 0; min <= max; all finite). */
rnnd_code scaler_check(const struct channel_config *c, rnnd_error *err);
#define SCALER_LARGEST 1e30f /* of scaled values: differences and averages of such are finite too */
/* The scaled value of x; MISMATCH where x is infinite, outside the scaler's domain or too large when scaled. */
rnnd_code scaler_forward(const struct channel_config *c, float x, float *scaled, rnnd_error *err);
/* Back to original units; never decreasing in `scaled`. Infinite where the answer leaves the range of a float. */
double scaler_inverse(const struct channel_config *c, double scaled);
/* x inside the channel's bounds. */
double scaler_clamp(const struct channel_config *c, double x);

#endif
