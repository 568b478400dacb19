/* keras_normal.c -- Keras layers that scale and shift: Batch- and LayerNormalization, Normalization, Rescaling. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/keras_lower.h"

static void *floats(struct lowering *L, size_t n)
{
    float *f = L->b.code ? NULL : mem_alloc(n + 1, sizeof *f);
    if (!f && !L->b.code) build_keep(&L->b, fail_memory(L->b.err, n * sizeof *f));
    return f;
}

/* The one axis of a layer that normalises along one: a number, or a list of one. */
static int one_axis(struct lowering *L, const struct keras_layer *l, int rank, int64_t absent)
{
    const struct json *j = json_get(l->config, "axis");
    int64_t list[MAX_RANK], axis = absent;
    size_t n = 0;
    if (keras_list(j, MAX_RANK, list, &n)) {
        if (n != 1)
            keras_fail(L, l, RNND_UNSUPPORTED, "an axis list of %zu", n);
        else
            axis = list[0];
    } else {
        axis = keras_int(L, l, "axis", -MAX_RANK, MAX_RANK, absent);
    }
    return keras_axis(L, l, axis, rank);
}

/* x scale + shift along `axis`: [width] each, NULL = none; in the shape that broadcasts there */
static struct keras_tensor scale_shift(struct lowering *L, struct keras_tensor x, int axis, size_t width,
                                       const float *scale, const float *shift)
{
    size_t dim[MAX_RANK] = {width};
    int rank = x.rank - axis;
    for (int i = 1; i < rank; i++)
        dim[i] = 1;
    if (scale) x.value = build2(&L->b, "Mul", x.value, build_floats(&L->b, rank, dim, scale));
    if (shift) x.value = build2(&L->b, "Add", x.value, build_floats(&L->b, rank, dim, shift));
    return x;
}

/* y = (x - mean) gamma / sqrt(variance + epsilon) + beta, folded into one product and one sum */
void keras_lower_batch_norm(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                            struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int axis = one_axis(L, l, x.rank, -1);
    int64_t C = x.rank ? x.dim[axis] : -1;
    double epsilon = keras_float(L, l, "epsilon", 1e-3);
    bool has_gamma = keras_flag(L, l, "scale", true), has_beta = keras_flag(L, l, "center", true);
    size_t at = 0;
    if (C < 1) keras_fail(L, l, RNND_UNSUPPORTED, "the width of its axis is not known");
    const float *gamma = has_gamma ? keras_floats(L, l, at++, "gamma", 1, &C) : NULL;
    const float *beta = has_beta ? keras_floats(L, l, at++, "beta", 1, &C) : NULL;
    const float *mean = keras_floats(L, l, at++, "moving_mean", 1, &C);
    const float *variance = keras_floats(L, l, at++, "moving_variance", 1, &C);
    float *scale = floats(L, 2 * (size_t)(C > 0 ? C : 0)), *shift = scale ? scale + C : NULL;
    for (int64_t i = 0; i < C && scale; i++) {
        double s = (has_gamma ? (double)gamma[i] : 1.0) / sqrt((double)variance[i] + epsilon);
        scale[i] = (float)s;
        shift[i] = (float)((has_beta ? (double)beta[i] : 0.0) - (double)mean[i] * s);
    }
    if (scale) x = scale_shift(L, x, axis, (size_t)C, scale, shift);
    mem_free(scale);
    out->t[0] = x;
}

void keras_lower_layer_norm(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                            struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    int axis = one_axis(L, l, x.rank, -1);
    int64_t C = x.rank ? x.dim[axis] : -1;
    bool has_gamma = keras_flag(L, l, "scale", true), has_beta = keras_flag(L, l, "center", true);
    if (keras_flag(L, l, "rms_scaling", false)) keras_fail(L, l, RNND_UNSUPPORTED, "rms_scaling; " KERAS_CUSTOM_ADVICE);
    if (axis != x.rank - 1 || C < 1)
        keras_fail(L, l, RNND_UNSUPPORTED, "wanted an axis that is the last and of known width");
    int scale = -1, inputs[3] = {x.value, -1, -1}, y = 0;
    if (has_gamma) {
        scale = keras_constant(L, l, 0, "gamma", 1, &C, 0, NULL);
    } else {
        float *ones = floats(L, (size_t)(C > 0 ? C : 0));
        for (int64_t i = 0; ones && i < C; i++)
            ones[i] = 1;
        if (ones) scale = build_floats(&L->b, 1, (const size_t[]){(size_t)C}, ones);
        mem_free(ones);
    }
    inputs[1] = scale;
    if (has_beta) inputs[2] = keras_constant(L, l, has_gamma, "beta", 1, &C, 0, NULL);
    build_node(&L->b, "LayerNormalization", has_beta ? 3 : 2, inputs, 1, &y);
    build_attr_int(&L->b, "axis", -1);
    build_attr_float(&L->b, "epsilon", (float)keras_float(L, l, "epsilon", 1e-3));
    x.value = y;
    out->t[0] = x;
}

/* "mean": a number, or a list as deep as it likes; fills values with it, all alike for a number. */
static bool numbers(const struct json *j, float *values, size_t count, size_t *at, int depth)
{
    if (json_is_number(j)) {
        if (*at < count) values[*at] = (float)json_number(j);
        ++*at;
        return *at <= count;
    }
    if (!json_is_array(j) || depth > MAX_RANK) return false;
    for (const struct json *e = json_first(j); e; e = json_next(e))
        if (!numbers(e, values, count, at, depth + 1)) return false;
    return true;
}

static bool from_config(const struct keras_layer *l, const char *key, float *values, size_t count)
{
    size_t at = 0;
    if (!numbers(json_get(l->config, key), values, count, &at, 0)) return false;
    for (size_t i = 1; i < count && at == 1; i++)
        values[i] = values[0];
    return at == 1 || at == count;
}

/* y = (x - mean) / max(sqrt(variance), 1e-7) along the last axis, or the other way round */
void keras_lower_normalization(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                               struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    const struct json *axis = json_get(l->config, "axis"), *given = json_get(l->config, "mean");
    bool scalar = json_is_null(axis), invert = keras_flag(L, l, "invert", false);
    int at = scalar ? x.rank - 1 : one_axis(L, l, x.rank, -1);
    int64_t C = scalar ? 1 : x.rank ? x.dim[at] : -1;
    if (at != x.rank - 1 || C < 1)
        keras_fail(L, l, RNND_UNSUPPORTED, "wanted an axis that is the last and of known width");
    size_t n = C > 0 ? (size_t)C : 0;
    float *scale = floats(L, 4 * n), *shift = scale ? scale + n : NULL;
    float *mean = scale ? scale + 2 * n : NULL, *variance = scale ? scale + 3 * n : NULL;
    if (scale && given && !json_is_null(given)) {
        if (!from_config(l, "mean", mean, n) || !from_config(l, "variance", variance, n))
            keras_fail(L, l, RNND_CORRUPT, "\"mean\" and \"variance\": wanted one number or %zu", n);
    } else if (scale) {
        const float *m = keras_floats(L, l, 0, "mean", 0, NULL), *v = keras_floats(L, l, 1, "variance", 0, NULL);
        const struct checkpoint_tensor *mt = m ? keras_weight(L, l, 0, "mean") : NULL;
        const struct checkpoint_tensor *vt = v ? keras_weight(L, l, 1, "variance") : NULL;
        if (mt && vt && mt->count == n && vt->count == n) {
            memcpy(mean, m, n * sizeof *m);
            memcpy(variance, v, n * sizeof *v);
        } else {
            keras_fail(L, l, RNND_MISMATCH, "its mean and variance do not have the %zu numbers of its axis", n);
        }
    }
    for (size_t i = 0; i < n && scale && !L->b.code; i++) {
        double s = sqrt((double)variance[i]);
        if (s < 1e-7) s = 1e-7;
        scale[i] = (float)(invert ? s : 1 / s);
        shift[i] = (float)(invert ? mean[i] : -mean[i] / s);
    }
    if (scale && !L->b.code) x = scale_shift(L, x, x.rank - 1, n, scale, shift);
    mem_free(scale);
    out->t[0] = x;
}

/* y = x scale + offset */
void keras_lower_rescaling(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                           struct keras_outputs *out)
{
    struct keras_tensor x = *keras_input(in, 0, NULL);
    if (json_is_array(json_get(l->config, "scale")) || json_is_array(json_get(l->config, "offset")))
        keras_fail(L, l, RNND_UNSUPPORTED, "a scale or offset for each channel");
    float scale = (float)keras_float(L, l, "scale", 1), offset = (float)keras_float(L, l, "offset", 0);
    x.value = build2(&L->b, "Mul", x.value, build_float(&L->b, scale));
    if (offset != 0) x.value = build2(&L->b, "Add", x.value, build_float(&L->b, offset));
    out->t[0] = x;
}
