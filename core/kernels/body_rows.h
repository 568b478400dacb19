/* body_rows.h -- functions of whole rows: elementwise, softmax, layer norm; part of kernels_body.h.
 *
 * A sum over a row is 16 sums, one per lane, folded 16 to 8 to 4 to 2 to 1 at the end. Lanes beyond the row's end hold
 * what changes nothing: 0 in sums, minus infinity in maxima. */

static void activate(struct act act, size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i += LANES)
        store_part(y + i, n - i, vec_activation(act, load_part(x + i, n - i)));
}

#define ELEMENTWISE(name)                                                                                             \
    static void name(size_t n, const float *a, const float *b, float *y)                                              \
    {                                                                                                                 \
        for (size_t i = 0; i < n; i += LANES)                                                                         \
            store_part(y + i, n - i, vec_##name(load_part(a + i, n - i), load_part(b + i, n - i)));                   \
    }

ELEMENTWISE(add)
ELEMENTWISE(sub)
ELEMENTWISE(mul)

static void scale_shift(size_t n, const float *x, const float *scale, const float *shift, float *y)
{
    for (size_t i = 0; i < n; i += LANES) {
        size_t part = n - i;
        vec v = vec_fma(load_part(x + i, part), load_part(scale + i, part), load_part(shift + i, part));
        store_part(y + i, part, v);
    }
}

/* x * 0 is NaN for infinities and NaN, and a sum never loses a NaN. Four sums, so that none waits for another. */
static bool finite_row(size_t n, const float *x)
{
    const vec zero = vec_all(0.0f);
    vec sum[4] = {zero, zero, zero, zero};
    size_t i = 0;

    for (; n - i >= 4 * LANES; i += 4 * LANES)
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++) sum[k] = vec_fma(vec_load(x + i + k * LANES), zero, sum[k]);
    for (; i < n; i += LANES) sum[0] = vec_fma(load_part(x + i, n - i), zero, sum[0]);
    return vec_all_zero(vec_add(vec_add(sum[0], sum[1]), vec_add(sum[2], sum[3])));
}

static float lane_sum(vec v)
{
    float lanes[LANES];

    vec_store(lanes, v);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

static float row_max(size_t n, const float *x)
{
    float lanes[LANES];
    vec top = vec_all(-__builtin_inff());

    for (size_t i = 0; i < n; i += LANES) {
        vec v = load_part(x + i, n - i);
        if (n - i < LANES) {
            vec_store(lanes, v);
            for (size_t j = n - i; j < LANES; j++) lanes[j] = -__builtin_inff();
            v = vec_load(lanes);
        }
        top = vec_max(v, top); /* a NaN in x is passed over here and comes back in the exponentials */
    }
    vec_store(lanes, top);
    for (int i = 1; i < LANES; i++)
        if (lanes[i] > lanes[0]) lanes[0] = lanes[i];
    return lanes[0];
}

/* n <= 16 lanes of v, the rest 0 */
INLINE vec first_lanes(size_t n, vec v)
{
    float lanes[LANES];

    if (n >= LANES) return v;
    vec_store(lanes, v);
    return load_part(lanes, n);
}

/* Sum of exp(x - max); the exponentials go to y unless it is NULL. */
static float exponentials(size_t n, const float *x, float max, float *y)
{
    vec sum = vec_all(0.0f);

    for (size_t i = 0; i < n; i += LANES) {
        vec e = first_lanes(n - i, vec_exp(vec_sub(load_part(x + i, n - i), vec_all(max))));
        sum = vec_add(sum, e);
        if (y) store_part(y + i, n - i, e);
    }
    return lane_sum(sum);
}

/* exp(x - max) / sum of them */
static void softmax(size_t n, const float *x, float *y)
{
    vec sum = vec_all(exponentials(n, x, row_max(n, x), y));

    for (size_t i = 0; i < n; i += LANES) store_part(y + i, n - i, vec_div(load_part(y + i, n - i), sum));
}

/* x - max - log(sum of exp(x - max)) */
static void log_softmax(size_t n, const float *x, float *y)
{
    float max = row_max(n, x), log_sum = (float)fixed_log((double)exponentials(n, x, max, NULL));

    for (size_t i = 0; i < n; i += LANES) {
        vec v = vec_sub(load_part(x + i, n - i), vec_all(max));
        store_part(y + i, n - i, vec_sub(v, vec_all(log_sum)));
    }
}

/* (x - mean) / sqrt(variance + epsilon) * gain + bias, variance about the mean in a pass of its own (Ba 2016) */
static void layer_norm(size_t n, const float *x, const float *gain, const float *bias, float epsilon, float *y)
{
    vec sum = vec_all(0.0f), squares = vec_all(0.0f);

    for (size_t i = 0; i < n; i += LANES) sum = vec_add(sum, load_part(x + i, n - i));
    vec mean = vec_all(lane_sum(sum) / (float)n);
    for (size_t i = 0; i < n; i += LANES) {
        vec d = first_lanes(n - i, vec_sub(load_part(x + i, n - i), mean));
        squares = vec_fma(d, d, squares);
    }
    vec scale = vec_all(1.0f / __builtin_sqrtf(lane_sum(squares) / (float)n + epsilon));
    for (size_t i = 0; i < n; i += LANES) {
        size_t part = n - i;
        vec v = vec_mul(vec_sub(load_part(x + i, part), mean), scale);
        if (gain) v = vec_mul(v, load_part(gain + i, part));
        if (bias) v = vec_add(v, load_part(bias + i, part));
        store_part(y + i, part, v);
    }
}
