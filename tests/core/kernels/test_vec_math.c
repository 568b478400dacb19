/* test_vec_math.c -- activations of every row of kernels: accuracy against libm, special values, same bits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/kernels/kernels.h"

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double softplus(double x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

static double clamp(double low, double high, double x)
{
    return x < low ? low : x > high ? high : x;
}

static double reference(struct act act, double x)
{
    switch (act.kind) {
    case ACT_LINEAR: return x;
    case ACT_SIGMOID: return sigmoid(x);
    case ACT_TANH: return tanh(x);
    case ACT_RELU: return x > 0 ? x : 0;
    case ACT_HARD_SIGMOID: return clamp(0, 1, act.alpha * x + act.beta);
    case ACT_LEAKY_RELU: return x > 0 ? x : act.alpha * x;
    case ACT_ELU: return x > 0 ? x : act.alpha * expm1(x);
    case ACT_SELU: return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * expm1(x));
    case ACT_SOFTPLUS: return softplus(x);
    case ACT_SOFTSIGN: return x / (1 + fabs(x));
    case ACT_THRESHOLDED_RELU: return x > act.alpha ? x : 0;
    case ACT_SCALED_TANH: return act.alpha * tanh(act.beta * x);
    case ACT_AFFINE: return act.alpha * x + act.beta;
    case ACT_EXP: return exp(x);
    case ACT_RELU6: return clamp(0, 6, x);
    case ACT_HARD_TANH: return clamp(-1, 1, x);
    case ACT_SWISH: return x * sigmoid(x);
    case ACT_GELU: return x * 0.5 * erfc(-x / sqrt(2));
    case ACT_HARD_SWISH: return x * clamp(0, 1, x / 6 + 0.5);
    case ACT_MISH: return x * tanh(softplus(x));
    case ACT_ABS: return fabs(x);
    case ACT_COUNT: break;
    }
    return NAN;
}

/* relative error allowed, and absolute error allowed beside it */
static const struct limit {
    struct act act;
    double relative, absolute;
} limits[] = {
    {{ACT_LINEAR, 0, 0}, 0, 0},
    {{ACT_SIGMOID, 0, 0}, 1.9e-7, 2e-38},
    {{ACT_TANH, 0, 0}, 2.2e-7, 0},
    {{ACT_RELU, 0, 0}, 0, 0},
    {{ACT_HARD_SIGMOID, 0.2f, 0.5f}, 1e-7, 4e-8},
    {{ACT_HARD_SIGMOID, 1.0f / 6, 0.5f}, 1e-7, 4e-8},
    {{ACT_LEAKY_RELU, 0.3f, 0}, 7e-8, 1e-45},
    {{ACT_ELU, 1.5f, 0}, 2.5e-7, 1e-45},
    {{ACT_SELU, 0, 0}, 3e-7, 1e-45},
    {{ACT_SOFTPLUS, 0, 0}, 2.5e-7, 3e-45},
    {{ACT_SOFTSIGN, 0, 0}, 1.3e-7, 0},
    {{ACT_THRESHOLDED_RELU, 1.25f, 0}, 0, 0},
    {{ACT_SCALED_TANH, 1.7159f, 0.6667f}, 3e-7, 1e-45},
    {{ACT_AFFINE, 0.75f, -0.25f}, 1e-7, 1e-45},
    {{ACT_EXP, 0, 0}, 1.5e-7, 3e-45},
    {{ACT_RELU6, 0, 0}, 0, 0},
    {{ACT_HARD_TANH, 0, 0}, 0, 0},
    {{ACT_SWISH, 0, 0}, 2.5e-7, 1e-36},
    {{ACT_GELU, 0, 0}, 4e-7, 2e-7},
    {{ACT_HARD_SWISH, 0, 0}, 2e-7, 2e-7},
    {{ACT_MISH, 0, 0}, 5e-7, 3e-43},
    {{ACT_ABS, 0, 0}, 0, 0},
};

#define LIMITS (sizeof limits / sizeof limits[0])
enum { POINTS = 120001 };

/* dense around 0, tiny ones, wide ones */
static void fill_points(float *x)
{
    for (int i = 0; i < POINTS; i++) {
        double u = (i - POINTS / 2) / (double)(POINTS / 2);
        if (i % 3 == 0)
            x[i] = (float)(u * 12);
        else if (i % 3 == 1)
            x[i] = (float)(u * 86);
        else
            x[i] = (float)copysign(pow(10, -38 + 38 * fabs(u)), u);
    }
}

static void accuracy(void **unused)
{
    (void)unused;
    static float x[POINTS], y[POINTS];
    const struct kernels *k = kernels_pick(NULL);
    fill_points(x);
    for (size_t a = 0; a < LIMITS; a++) {
        double max_relative = 0, max_absolute = 0;
        int bad = -1;
        k->activate(limits[a].act, POINTS, x, y);
        for (int i = 0; i < POINTS; i++) {
            double want = reference(limits[a].act, (double)x[i]), error = fabs((double)y[i] - want);
            if (fabs(want) > 1e-30) max_relative = fmax(max_relative, error / fabs(want));
            max_absolute = fmax(max_absolute, error);
            if (!(error <= limits[a].absolute + limits[a].relative * fabs(want)) && bad < 0) bad = i;
        }
        print_message("activation %2d: relative %.3g absolute %.3g\n", limits[a].act.kind, max_relative, max_absolute);
        if (bad >= 0) print_message("  x = %.9g gives %.9g\n", (double)x[bad], (double)y[bad]);
        assert_int_equal(bad, -1);
    }
}

static void every_kind_is_tested(void **unused)
{
    (void)unused;
    for (int kind = 0; kind < ACT_COUNT; kind++) {
        bool found = false;
        for (size_t a = 0; a < LIMITS; a++) found |= (int)limits[a].act.kind == kind;
        assert_true(found);
    }
}

static float one(const struct kernels *k, enum act_kind kind, float x)
{
    float y;
    k->activate((struct act){kind, 1, 0}, 1, &x, &y);
    return y;
}

static void special_values(void **unused)
{
    (void)unused;
    const struct kernels *const *rows;
    size_t count = kernels_list(&rows);
    for (size_t r = 0; r < count; r++) {
        const struct kernels *k = rows[r];
        for (int kind = 0; kind < ACT_COUNT; kind++) {
            assert_true(isnan(one(k, kind, NAN)));
            assert_true(isnan(one(k, kind, -NAN)));
        }
        assert_true(one(k, ACT_SIGMOID, INFINITY) == 1 && one(k, ACT_SIGMOID, -INFINITY) == 0);
        assert_true(one(k, ACT_SIGMOID, 3e38f) == 1 && one(k, ACT_SIGMOID, -3e38f) == 0);
        assert_true(one(k, ACT_SIGMOID, 0) == 0.5f);
        assert_true(one(k, ACT_TANH, INFINITY) == 1 && one(k, ACT_TANH, -INFINITY) == -1);
        assert_true(one(k, ACT_TANH, 0.0f) == 0 && signbit(one(k, ACT_TANH, -0.0f)));
        assert_true(one(k, ACT_TANH, 1e-40f) == 1e-40f);
        assert_true(one(k, ACT_EXP, 0) == 1 && one(k, ACT_EXP, INFINITY) == INFINITY);
        assert_true(one(k, ACT_EXP, -INFINITY) == 0 && one(k, ACT_EXP, 88.8f) == INFINITY);
        assert_true(one(k, ACT_EXP, 88.7f) < INFINITY && one(k, ACT_EXP, -100) > 0);
        assert_true(one(k, ACT_SOFTPLUS, 1e30f) == 1e30f && one(k, ACT_SOFTPLUS, -INFINITY) == 0);
        assert_true(one(k, ACT_ELU, -INFINITY) == -1 && one(k, ACT_ELU, INFINITY) == INFINITY);
        assert_true(one(k, ACT_GELU, 1e25f) == 1e25f && one(k, ACT_GELU, -1e25f) == 0);
        assert_true(one(k, ACT_MISH, 1e30f) == 1e30f && one(k, ACT_RELU6, INFINITY) == 6);
    }
}

/* Any bit pattern at all, any length. */
static void rows_agree(void **unused)
{
    (void)unused;
    enum { MOST = 4096 };
    static float x[MOST], want[MOST], got[MOST];
    const struct kernels *const *rows;
    size_t count = kernels_list(&rows);
    struct rng rng;
    rng_seed(&rng, 5, 5);
    for (int round = 0; round < 40; round++)
        for (size_t a = 0; a < LIMITS; a++) {
            size_t n = round < 35 ? 1 + rng_u32(&rng) % 70 : MOST;
            for (size_t i = 0; i < n; i++) {
                uint32_t bits = rng_u32(&rng);
                memcpy(&x[i], &bits, sizeof bits);
                if (bits % 4) x[i] = (float)((rng_unit(&rng) - 0.5) * 200);
            }
            rows[0]->activate(limits[a].act, n, x, want);
            for (size_t r = 1; r < count; r++) {
                rows[r]->activate(limits[a].act, n, x, got);
                for (size_t i = 0; i < n; i++)
                    if (memcmp(&got[i], &want[i], 4) != 0 && !(isnan(got[i]) && isnan(want[i]))) {
                        print_message("activation %d, %s: x = %a gives %a, not %a\n", limits[a].act.kind,
                                      rows[r]->name, (double)x[i], (double)got[i], (double)want[i]);
                        assert_true(false);
                    }
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_tested),
        cmocka_unit_test(accuracy),
        cmocka_unit_test(special_values),
        cmocka_unit_test(rows_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
