/* elementwise.c -- tensor operators: arithmetic on the elements of two and more tensors, with broadcasting. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/broadcast.h"
#include "core/ops/ops.h"
#include "core/ops/tensor_util.h"

/* Whole rows of floats go through the kernels; int64 wraps around, as two's complement does. */
#define FLOAT_ROW(name, kernel, expression)                                                                           \
    ROW_FUNCTION(name##_any, float, float, float, expression)                                                         \
    static bool name(const struct kernels *kernels, size_t n, const void *a, size_t sa, const void *b, size_t sb,     \
                     void *y)                                                                                         \
    {                                                                                                                 \
        if (sa != 1 || sb != 1) return name##_any(kernels, n, a, sa, b, sb, y);                                       \
        kernels->kernel(n, a, b, y);                                                                                  \
        return true;                                                                                                  \
    }
FLOAT_ROW(add_f32, add, a + b)
FLOAT_ROW(sub_f32, sub, a - b)
FLOAT_ROW(mul_f32, mul, a *b)
ROW_FUNCTION(div_f32, float, float, float, a / b)
ROW_FUNCTION(add_i64, int64_t, int64_t, int64_t, (uint64_t)a + (uint64_t)b)
ROW_FUNCTION(sub_i64, int64_t, int64_t, int64_t, (uint64_t)a - (uint64_t)b)
ROW_FUNCTION(mul_i64, int64_t, int64_t, int64_t, (uint64_t)a * (uint64_t)b)
/* NaN wins, as in numpy and ONNX Runtime */
ROW_FUNCTION(max_f32, float, float, float, a > b || a != a ? a : b)
ROW_FUNCTION(min_f32, float, float, float, a < b || a != a ? a : b)
ROW_FUNCTION(max_i64, int64_t, int64_t, int64_t, a > b ? a : b)
ROW_FUNCTION(min_i64, int64_t, int64_t, int64_t, a < b ? a : b)
ROW_FUNCTION(prelu_f32, float, float, float, a < 0 ? a * b : a)
ROW_FUNCTION(fmod_f32, float, float, float, fmodf(a, b))

#define INTEGER_DIVISION(name, expression)                                                                            \
    static bool name(const struct kernels *kernels, size_t n, const void *as, size_t sa, const void *bs, size_t sb,   \
                     void *ys)                                                                                        \
    {                                                                                                                 \
        const int64_t *pa = as, *pb = bs;                                                                             \
        int64_t *y = ys;                                                                                              \
        (void)kernels;                                                                                                \
        for (size_t i = 0; i < n; i++) {                                                                              \
            int64_t a = pa[i * sa], b = pb[i * sb];                                                                   \
            if (b == 0) return false;                                                                                 \
            y[i] = (expression);                                                                                      \
        }                                                                                                             \
        return true;                                                                                                  \
    }
/* The quotient of the least number and -1 does not exist; it wraps around. */
static int64_t quotient(int64_t a, int64_t b)
{
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t remainder_of(int64_t a, int64_t b)
{
    return b == -1 ? 0 : a % b;
}

/* The remainder with the sign of the divisor. */
static int64_t modulo(int64_t a, int64_t b)
{
    int64_t r = remainder_of(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
INTEGER_DIVISION(div_i64, quotient(a, b))
INTEGER_DIVISION(fmod_i64, remainder_of(a, b))
INTEGER_DIVISION(mod_i64, modulo(a, b))

/* ---- powers ---- */

static float power_f32(float x, float y)
{
    if (y == 2) return x * x;
    if (y == 1) return x;
    if (y == 3) return x * x * x;
    if (y == 0.5f && x > 0) return sqrtf(x);
    return (float)fixed_pow((double)x, (double)y);
}

/* By squaring; with a negative exponent only 1 and -1 have powers that are whole and not 0. */
static int64_t power_i64(int64_t x, int64_t y)
{
    if (y < 0) return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    uint64_t result = 1, factor = (uint64_t)x;
    for (; y; y >>= 1, factor *= factor)
        if (y & 1) result *= factor;
    return (int64_t)result;
}
ROW_FUNCTION(pow_f32, float, float, float, power_f32(a, b))
ROW_FUNCTION(pow_f32_i64, float, int64_t, float, power_f32(a, (float)b))
ROW_FUNCTION(pow_i64_f32, int64_t, float, int64_t, whole_number(fixed_pow((double)a, (double)b), INT64_MIN, INT64_MAX))

static bool pow_i64(const struct kernels *kernels, size_t n, const void *as, size_t sa, const void *bs, size_t sb,
                    void *ys)
{
    const int64_t *a = as, *b = bs;
    int64_t *y = ys;
    (void)kernels;
    for (size_t i = 0; i < n; i++) {
        if (a[i * sa] == 0 && b[i * sb] < 0) return false;
        y[i] = power_i64(a[i * sa], b[i * sb]);
    }
    return true;
}

/* ---- running ---- */

static rnnd_code fail_types(const struct graph_node *n, const struct tensor *x, const struct tensor *y, rnnd_error *err)
{
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): wanted numbers of one type, found %s and %s",
                   n->name, n->op->name, dtype_name(x->dtype), dtype_name(y->dtype));
}

static rnnd_code run_two(struct run_context *rc, const struct graph_node *n, row_function f, rnnd_error *err)
{
    const struct tensor *t[] = {op_input(rc, n, 0), op_input(rc, n, 1)};
    struct broadcast b;
    if (!f) return fail_types(n, t[0], t[1], err);
    rnnd_code code = broadcast_join(&b, n, t, 2, err);
    if (!code) code = rc->output(rc, n, 0, t[0]->dtype, b.rank, b.dim, err);
    if (code || rc->planning) return code;
    if (broadcast_apply(rc->kernels, &b, f, t[0], t[1], &rc->values[n->outputs[0]])) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): an integer is divided by zero", n->name,
                   n->op->name);
}

/* The function for two tensors of one type, NULL where there is none. */
static row_function of_type(const struct run_context *rc, const struct graph_node *n, row_function f32,
                            row_function i64)
{
    const struct tensor *x = op_input(rc, n, 0), *y = op_input(rc, n, 1);
    if (x->dtype != y->dtype) return NULL;
    return x->dtype == DTYPE_F32 ? f32 : x->dtype == DTYPE_I64 ? i64 : NULL;
}

#define RUN_TWO(name, f32, i64)                                                                                       \
    static rnnd_code name(struct run_context *rc, const struct graph_node *n, rnnd_error *err)                        \
    {                                                                                                                 \
        return run_two(rc, n, of_type(rc, n, f32, i64), err);                                                         \
    }
RUN_TWO(run_add, add_f32, add_i64)
RUN_TWO(run_sub, sub_f32, sub_i64)
RUN_TWO(run_mul, mul_f32, mul_i64)
RUN_TWO(run_div, div_f32, div_i64)

static rnnd_code run_mod(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    bool c_remainder = op_int(n, "fmod", 0) != 0;
    if (!c_remainder && op_input(rc, n, 0)->dtype == DTYPE_F32)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (Mod): floats need fmod 1", n->name);
    return run_two(rc, n, of_type(rc, n, fmod_f32, c_remainder ? fmod_i64 : mod_i64), err);
}

static rnnd_code run_pow(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    static const row_function of[2][2] = {{pow_f32, pow_f32_i64}, {pow_i64_f32, pow_i64}};
    const struct tensor *x = op_input(rc, n, 0), *y = op_input(rc, n, 1);
    if (x->dtype == DTYPE_BOOL || y->dtype == DTYPE_BOOL) return fail_types(n, x, y, err);
    return run_two(rc, n, of[x->dtype == DTYPE_I64][y->dtype == DTYPE_I64], err);
}

/* The slope is spread over x, never x over the slope. */
static rnnd_code run_prelu(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *t[] = {op_input(rc, n, 0), op_input(rc, n, 1)};
    struct broadcast b;
    rnnd_code code = broadcast_join(&b, n, t, 2, err);
    bool same = !code && b.rank == t[0]->rank;
    for (int i = 0; same && i < b.rank; i++)
        same = b.dim[i] == t[0]->dim[i];
    if (!code && !same)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (PRelu): the slope does not go into the shape of x",
                       n->name);
    return code ? code : run_two(rc, n, of_type(rc, n, prelu_f32, NULL), err);
}

/* ---- any number of tensors, from the first to the last ---- */

#define MOST_INPUTS 1024

static rnnd_code join_all(struct run_context *rc, const struct graph_node *n, struct broadcast *b, rnnd_error *err)
{
    const struct tensor *t[2] = {op_input(rc, n, 0), NULL};
    struct tensor joint = *t[0];
    rnnd_code code = broadcast_join(b, n, t, 1, err);
    for (int i = 1; i < n->input_count && !code; i++) {
        if (!(t[1] = op_input(rc, n, i)))
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): input %d is absent", n->name,
                           n->op->name, i);
        if (t[1]->dtype != joint.dtype) return fail_types(n, t[0], t[1], err);
        code = broadcast_join(b, n, (const struct tensor *const[]){&joint, t[1]}, 2, err);
        joint.rank = b->rank;
        memcpy(joint.dim, b->dim, sizeof joint.dim);
    }
    return code;
}

ROW_FUNCTION(first_f32, float, float, float, ((void)b, a))
ROW_FUNCTION(first_i64, int64_t, int64_t, int64_t, ((void)b, a))

static rnnd_code run_many(struct run_context *rc, const struct graph_node *n, row_function f32, row_function i64,
                          rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    struct broadcast b = {0};
    bool whole = x->dtype == DTYPE_I64;
    row_function f = x->dtype == DTYPE_F32 ? f32 : whole ? i64 : NULL;
    if (!f) return fail_types(n, x, x, err);
    rnnd_code code = join_all(rc, n, &b, err);
    if (!code) code = rc->output(rc, n, 0, x->dtype, b.rank, b.dim, err);
    if (code || rc->planning || b.count == 0) return code;
    struct tensor *y = &rc->values[n->outputs[0]];
    broadcast_apply(rc->kernels, &b, whole ? first_i64 : first_f32, x, x, y);
    for (int i = 1; i < n->input_count; i++)
        broadcast_apply(rc->kernels, &b, f, y, op_input(rc, n, i), y);
    return RNND_OK;
}

#define RUN_MANY(name, f32, i64)                                                                                      \
    static rnnd_code name(struct run_context *rc, const struct graph_node *n, rnnd_error *err)                        \
    {                                                                                                                 \
        return run_many(rc, n, f32, i64, err);                                                                        \
    }
RUN_MANY(run_max, max_f32, max_i64)
RUN_MANY(run_min, min_f32, min_i64)
RUN_MANY(run_sum, add_f32, NULL)

static rnnd_code run_mean(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    rnnd_code code = run_many(rc, n, add_f32, NULL, err);
    if (code || rc->planning) return code;
    struct tensor *y = &rc->values[n->outputs[0]];
    float *v = y->data;
    for (size_t i = 0, count = tensor_count(y); i < count; i++)
        v[i] /= (float)n->input_count;
    return RNND_OK;
}

static const char *const mod_attributes[] = {"fmod", NULL};
#define ARITHMETIC(id, onnx, least, most, attrs, function)                                                            \
    static const struct op id = {                                                                                     \
        .name = onnx, .min_inputs = least, .max_inputs = most, .outputs = 1, .attributes = attrs,                     \
        .check = check_nothing, .run = function}
ARITHMETIC(tensor_add, "Add", 2, 2, NULL, run_add);
ARITHMETIC(tensor_sub, "Sub", 2, 2, NULL, run_sub);
ARITHMETIC(tensor_mul, "Mul", 2, 2, NULL, run_mul);
ARITHMETIC(tensor_div, "Div", 2, 2, NULL, run_div);
ARITHMETIC(tensor_mod, "Mod", 2, 2, mod_attributes, run_mod);
ARITHMETIC(tensor_pow, "Pow", 2, 2, NULL, run_pow);
ARITHMETIC(tensor_prelu, "PRelu", 2, 2, NULL, run_prelu);
ARITHMETIC(tensor_max, "Max", 1, MOST_INPUTS, NULL, run_max);
ARITHMETIC(tensor_min, "Min", 1, MOST_INPUTS, NULL, run_min);
ARITHMETIC(tensor_sum, "Sum", 1, MOST_INPUTS, NULL, run_sum);
ARITHMETIC(tensor_mean, "Mean", 1, MOST_INPUTS, NULL, run_mean);

const struct op *const ops_elementwise[] = {&tensor_add, &tensor_sub,   &tensor_mul, &tensor_div,
                                            &tensor_mod, &tensor_pow,   &tensor_prelu, &tensor_max,
                                            &tensor_min, &tensor_sum,   &tensor_mean, NULL};
