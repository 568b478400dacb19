/* functions.c -- tensor operators: functions of each element by itself.
 *
 * What the kernels have as an activation goes through them, so that tensor graphs and sequence graphs say the same. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/tensor_util.h"

/* Shapes output 0 like the float input 0; *count elements from *x to *y. */
static rnnd_code like_floats(struct run_context *rc, const struct graph_node *n, const float **x, float **y,
                             size_t *count, rnnd_error *err)
{
    const struct tensor *in;
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, &in, err);
    if (!code) code = rc->output(rc, n, 0, DTYPE_F32, in->rank, in->dim, err);
    *count = code || rc->planning ? 0 : tensor_count(in);
    if (code) return code;
    *x = in->data;
    *y = rc->values[n->outputs[0]].data;
    return RNND_OK;
}

static rnnd_code activate(struct run_context *rc, const struct graph_node *n, struct act act, rnnd_error *err)
{
    const float *x;
    float *y;
    size_t count;
    rnnd_code code = like_floats(rc, n, &x, &y, &count, err);
    if (!code && count) rc->kernels->activate(act, count, x, y);
    return code;
}

#define ACTIVATION(name, kind, alpha, beta)                                                                           \
    static rnnd_code name(struct run_context *rc, const struct graph_node *n, rnnd_error *err)                        \
    {                                                                                                                 \
        return activate(rc, n, (struct act){kind, alpha, beta}, err);                                                 \
    }
ACTIVATION(run_sigmoid, ACT_SIGMOID, 0, 0)
ACTIVATION(run_tanh, ACT_TANH, 0, 0)
ACTIVATION(run_leaky_relu, ACT_LEAKY_RELU, op_float(n, "alpha", 0.01f), 0)
ACTIVATION(run_elu, ACT_ELU, op_float(n, "alpha", 1.0f), 0)
ACTIVATION(run_softplus, ACT_SOFTPLUS, 0, 0)
ACTIVATION(run_softsign, ACT_SOFTSIGN, 0, 0)
ACTIVATION(run_hard_sigmoid, ACT_HARD_SIGMOID, op_float(n, "alpha", 0.2f), op_float(n, "beta", 0.5f))
ACTIVATION(run_thresholded_relu, ACT_THRESHOLDED_RELU, op_float(n, "alpha", 1.0f), 0)
ACTIVATION(run_hard_swish, ACT_HARD_SWISH, 0, 0)
ACTIVATION(run_mish, ACT_MISH, 0, 0)
ACTIVATION(run_exp, ACT_EXP, 0, 0)

/* The kernel has the usual constants. */
static rnnd_code run_selu(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    float alpha = op_float(n, "alpha", 1.67326319f), gamma = op_float(n, "gamma", 1.05070102f);
    if (alpha == 1.67326319f && gamma == 1.05070102f) return activate(rc, n, (struct act){.kind = ACT_SELU}, err);
    rnnd_code code = activate(rc, n, (struct act){ACT_ELU, alpha, 0}, err);
    if (code || rc->planning) return code;
    struct tensor *y = &rc->values[n->outputs[0]];
    float *v = y->data;
    for (size_t i = 0, count = tensor_count(y); i < count; i++)
        v[i] *= gamma;
    return RNND_OK;
}

/* max(0, x) + min(0, alpha (exp(x / alpha) - 1)) */
static rnnd_code run_celu(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    float alpha = op_float(n, "alpha", 1.0f);
    const float *x;
    float *y;
    size_t count;
    rnnd_code code = like_floats(rc, n, &x, &y, &count, err);
    if (code || count == 0) return code;
    for (size_t i = 0; i < count; i++)
        y[i] = x[i] / alpha;
    rc->kernels->activate((struct act){ACT_ELU, alpha, 0}, count, y, y);
    for (size_t i = 0; i < count; i++)
        if (x[i] > 0) y[i] = x[i];
    return RNND_OK;
}

/* x Phi(x), or with tanh: x/2 (1 + tanh u) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3) (Hendrycks 2016) */
static rnnd_code run_gelu(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const float *x;
    float *y;
    size_t count;
    if (strcmp(op_string(n, "approximate", "none"), "none") == 0)
        return activate(rc, n, (struct act){.kind = ACT_GELU}, err);
    rnnd_code code = like_floats(rc, n, &x, &y, &count, err);
    if (code || count == 0) return code;
    for (size_t i = 0; i < count; i++)
        y[i] = 1.59576912f * fmaf(0.044715f * x[i] * x[i], x[i], x[i]);
    rc->kernels->activate((struct act){.kind = ACT_SIGMOID}, count, y, y);
    rc->kernels->mul(count, x, y, y);
    return RNND_OK;
}

static rnnd_code check_gelu(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const char *how = op_string(n, "approximate", "none");
    (void)g;
    if (strcmp(how, "none") == 0 || strcmp(how, "tanh") == 0) return RNND_OK;
    return fail_at(err, RNND_UNSUPPORTED, "approximate", "node \"%.80s\" (Gelu): approximate \"%.80s\"", n->name, how);
}

/* ---- plain ones, for floats; some for int64 too ---- */

typedef float (*float_function)(float x);
typedef int64_t (*whole_function)(int64_t x);

static rnnd_code run_each(struct run_context *rc, const struct graph_node *n, float_function f, whole_function whole,
                          rnnd_error *err)
{
    const struct tensor *in = op_input(rc, n, 0);
    const float *x;
    float *y;
    size_t count;
    if (in->dtype != DTYPE_I64 || !whole) {
        rnnd_code code = like_floats(rc, n, &x, &y, &count, err);
        for (size_t i = 0; !code && i < count; i++)
            y[i] = f(x[i]);
        return code;
    }
    rnnd_code code = rc->output(rc, n, 0, DTYPE_I64, in->rank, in->dim, err);
    if (code || rc->planning) return code;
    const int64_t *from = in->data;
    int64_t *to = rc->values[n->outputs[0]].data;
    for (size_t i = 0, all = tensor_count(in); i < all; i++)
        to[i] = whole(from[i]);
    return RNND_OK;
}

static float negative(float x) { return -x; }
static float reciprocal(float x) { return 1.0f / x; }
static float square_root(float x) { return sqrtf(x); }
static float logarithm(float x) { return (float)fixed_log((double)x); }
static float error_function(float x) { return (float)fixed_erf((double)x); }
static float sine(float x) { return (float)fixed_sin((double)x); }
static float cosine(float x) { return (float)fixed_cos((double)x); }
static float down(float x) { return floorf(x); }
static float up(float x) { return ceilf(x); }
static float nearest_even(float x) { return rintf(x); }
static float sign(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : x; }
static float magnitude(float x) { return fabsf(x); }
static float positive_part(float x) { return x; /* never asked: run_relu has the floats */ }
static int64_t whole_negative(int64_t x) { return (int64_t)(0 - (uint64_t)x); }
static int64_t whole_magnitude(int64_t x) { return x < 0 ? whole_negative(x) : x; }
static int64_t whole_sign(int64_t x) { return (x > 0) - (x < 0); }
static int64_t whole_positive(int64_t x) { return x > 0 ? x : 0; }

#define EACH(name, f, whole)                                                                                          \
    static rnnd_code name(struct run_context *rc, const struct graph_node *n, rnnd_error *err)                        \
    {                                                                                                                 \
        return run_each(rc, n, f, whole, err);                                                                        \
    }
EACH(run_neg, negative, whole_negative)
EACH(run_abs, magnitude, whole_magnitude)
EACH(run_sign, sign, whole_sign)
EACH(run_sqrt, square_root, NULL)
EACH(run_reciprocal, reciprocal, NULL)
EACH(run_log, logarithm, NULL)
EACH(run_floor, down, NULL)
EACH(run_ceil, up, NULL)
EACH(run_round, nearest_even, NULL)
EACH(run_erf, error_function, NULL)
EACH(run_sin, sine, NULL)
EACH(run_cos, cosine, NULL)

static rnnd_code run_relu(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    if (op_input(rc, n, 0)->dtype == DTYPE_I64) return run_each(rc, n, positive_part, whole_positive, err);
    return activate(rc, n, (struct act){.kind = ACT_RELU}, err);
}

/* ---- Clip: limits are inputs, either may be absent; a lower one above the upper gives the upper ---- */

static rnnd_code clip_whole(struct run_context *rc, const struct graph_node *n, const struct tensor *x, rnnd_error *err)
{
    int64_t low, high;
    rnnd_code code = op_one_int(rc, n, 1, INT64_MIN, &low, err);
    if (!code) code = op_one_int(rc, n, 2, INT64_MAX, &high, err);
    if (!code) code = rc->output(rc, n, 0, DTYPE_I64, x->rank, x->dim, err);
    if (code) return code;
    const int64_t *from = x->data;
    int64_t *to = rc->values[n->outputs[0]].data;
    for (size_t i = 0, count = tensor_count(x); i < count; i++) {
        int64_t v = from[i] < low ? low : from[i];
        to[i] = v > high ? high : v;
    }
    return RNND_OK;
}

static rnnd_code run_clip(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const float *x;
    float *y, low, high;
    size_t count;
    if (op_input(rc, n, 0)->dtype == DTYPE_I64) return clip_whole(rc, n, op_input(rc, n, 0), err);
    rnnd_code code = op_one_float(rc, n, 1, -INFINITY, &low, err);
    if (!code) code = op_one_float(rc, n, 2, INFINITY, &high, err);
    if (!code) code = like_floats(rc, n, &x, &y, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        float v = x[i] < low ? low : x[i];
        y[i] = v > high ? high : v;
    }
    return code;
}

/* ---- nothing at all ---- */

static rnnd_code run_identity(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    (void)err;
    op_view(rc, n, 0, x, x->rank, x->dim);
    return RNND_OK;
}

/* As it is used: everything is kept. */
static rnnd_code run_dropout(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0), *training = op_input(rc, n, 2);
    bool trains = training && training->dtype == DTYPE_BOOL && tensor_count(training) == 1;
    float ratio;
    rnnd_code code = op_one_float(rc, n, 1, 0.5f, &ratio, err);
    if (code) return code;
    if (trains && *(const uint8_t *)training->data && ratio != 0)
        return fail_at(err, RNND_UNSUPPORTED, n->name, "node \"%.80s\" (Dropout): stands in training mode", n->name);
    if (op_wants(n, 0)) op_view(rc, n, 0, x, x->rank, x->dim);
    if (!op_wants(n, 1)) return RNND_OK;
    code = rc->output(rc, n, 1, DTYPE_BOOL, x->rank, x->dim, err);
    if (!code && !rc->planning) memset(rc->values[n->outputs[1]].data, 1, tensor_count(x));
    return code;
}

static const char *const alpha_attributes[] = {"alpha", NULL};
static const char *const alpha_beta_attributes[] = {"alpha", "beta", NULL};
static const char *const selu_attributes[] = {"alpha", "gamma", NULL};
static const char *const gelu_attributes[] = {"approximate", NULL};
static const char *const dropout_attributes[] = {"seed", NULL};
#define FUNCTION(id, onnx, attrs, function)                                                                           \
    static const struct op id = {                                                                                     \
        .name = onnx, .min_inputs = 1, .max_inputs = 1, .outputs = 1, .attributes = attrs, .check = check_nothing,    \
        .run = function}
FUNCTION(tensor_sigmoid, "Sigmoid", NULL, run_sigmoid);
FUNCTION(tensor_tanh, "Tanh", NULL, run_tanh);
FUNCTION(tensor_relu, "Relu", NULL, run_relu);
FUNCTION(tensor_leaky_relu, "LeakyRelu", alpha_attributes, run_leaky_relu);
FUNCTION(tensor_elu, "Elu", alpha_attributes, run_elu);
FUNCTION(tensor_selu, "Selu", selu_attributes, run_selu);
FUNCTION(tensor_celu, "Celu", alpha_attributes, run_celu);
FUNCTION(tensor_softplus, "Softplus", NULL, run_softplus);
FUNCTION(tensor_softsign, "Softsign", NULL, run_softsign);
FUNCTION(tensor_hard_sigmoid, "HardSigmoid", alpha_beta_attributes, run_hard_sigmoid);
FUNCTION(tensor_hard_swish, "HardSwish", NULL, run_hard_swish);
FUNCTION(tensor_thresholded_relu, "ThresholdedRelu", alpha_attributes, run_thresholded_relu);
FUNCTION(tensor_mish, "Mish", NULL, run_mish);
FUNCTION(tensor_exp, "Exp", NULL, run_exp);
FUNCTION(tensor_neg, "Neg", NULL, run_neg);
FUNCTION(tensor_abs, "Abs", NULL, run_abs);
FUNCTION(tensor_sign, "Sign", NULL, run_sign);
FUNCTION(tensor_sqrt, "Sqrt", NULL, run_sqrt);
FUNCTION(tensor_reciprocal, "Reciprocal", NULL, run_reciprocal);
FUNCTION(tensor_log, "Log", NULL, run_log);
FUNCTION(tensor_floor, "Floor", NULL, run_floor);
FUNCTION(tensor_ceil, "Ceil", NULL, run_ceil);
FUNCTION(tensor_round, "Round", NULL, run_round);
FUNCTION(tensor_erf, "Erf", NULL, run_erf);
FUNCTION(tensor_sin, "Sin", NULL, run_sin);
FUNCTION(tensor_cos, "Cos", NULL, run_cos);
FUNCTION(tensor_identity, "Identity", NULL, run_identity);
static const struct op tensor_gelu = {.name = "Gelu", .min_inputs = 1, .max_inputs = 1, .outputs = 1,
                                      .attributes = gelu_attributes, .check = check_gelu, .run = run_gelu};
static const struct op tensor_clip = {.name = "Clip", .min_inputs = 1, .max_inputs = 3, .outputs = 1,
                                      .check = check_nothing, .run = run_clip};
static const struct op tensor_dropout = {.name = "Dropout", .min_inputs = 1, .max_inputs = 3, .outputs = 2,
                                         .attributes = dropout_attributes, .check = check_nothing,
                                         .run = run_dropout};

const struct op *const ops_functions[] = {
    &tensor_sigmoid, &tensor_tanh,         &tensor_relu,       &tensor_leaky_relu,       &tensor_elu,
    &tensor_selu,    &tensor_celu,         &tensor_softplus,   &tensor_softsign,         &tensor_hard_sigmoid,
    &tensor_hard_swish, &tensor_mish,      &tensor_exp,        &tensor_thresholded_relu, &tensor_gelu,
    &tensor_neg,     &tensor_abs,          &tensor_sign,       &tensor_sqrt,             &tensor_reciprocal,
    &tensor_log,     &tensor_floor,        &tensor_ceil,       &tensor_round,            &tensor_erf,
    &tensor_sin,     &tensor_cos,          &tensor_clip,       &tensor_identity,         &tensor_dropout,
    NULL,
};
