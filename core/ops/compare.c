/* compare.c -- tensor operators: comparing, logic, choosing, and from one type to another. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/ops/broadcast.h"
#include "core/ops/ops.h"
#include "core/ops/tensor_util.h"

#define COMPARISON(name, operator)                                                                                    \
    ROW_FUNCTION(name##_f32, float, float, uint8_t, a operator b)                                                     \
    ROW_FUNCTION(name##_i64, int64_t, int64_t, uint8_t, a operator b)
COMPARISON(equal, ==)
COMPARISON(less, <)
COMPARISON(less_equal, <=)
COMPARISON(greater, >)
COMPARISON(greater_equal, >=)
ROW_FUNCTION(equal_bool, uint8_t, uint8_t, uint8_t, a == b)
ROW_FUNCTION(and_bool, uint8_t, uint8_t, uint8_t, a &b)
ROW_FUNCTION(or_bool, uint8_t, uint8_t, uint8_t, a | b)
ROW_FUNCTION(xor_bool, uint8_t, uint8_t, uint8_t, a ^ b)

static rnnd_code run_to_bool(struct run_context *rc, const struct graph_node *n, row_function f32, row_function i64,
                             row_function of_bool, rnnd_error *err)
{
    const struct tensor *t[] = {op_input(rc, n, 0), op_input(rc, n, 1)};
    row_function f = t[0]->dtype == DTYPE_F32 ? f32 : t[0]->dtype == DTYPE_I64 ? i64 : of_bool;
    struct broadcast b;
    if (!f || t[0]->dtype != t[1]->dtype)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (%s): wanted two tensors of one fitting type, found %s and %s", n->name,
                       n->op->name, dtype_name(t[0]->dtype), dtype_name(t[1]->dtype));
    rnnd_code code = broadcast_join(&b, n, t, 2, err);
    if (!code) code = rc->output(rc, n, 0, DTYPE_BOOL, b.rank, b.dim, err);
    if (!code && !rc->planning) broadcast_apply(rc->kernels, &b, f, t[0], t[1], &rc->values[n->outputs[0]]);
    return code;
}

#define TO_BOOL(name, f32, i64, of_bool)                                                                              \
    static rnnd_code name(struct run_context *rc, const struct graph_node *n, rnnd_error *err)                        \
    {                                                                                                                 \
        return run_to_bool(rc, n, f32, i64, of_bool, err);                                                            \
    }
TO_BOOL(run_equal, equal_f32, equal_i64, equal_bool)
TO_BOOL(run_less, less_f32, less_i64, NULL)
TO_BOOL(run_less_equal, less_equal_f32, less_equal_i64, NULL)
TO_BOOL(run_greater, greater_f32, greater_i64, NULL)
TO_BOOL(run_greater_equal, greater_equal_f32, greater_equal_i64, NULL)
TO_BOOL(run_and, NULL, NULL, and_bool)
TO_BOOL(run_or, NULL, NULL, or_bool)
TO_BOOL(run_xor, NULL, NULL, xor_bool)

static rnnd_code run_not(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x;
    rnnd_code code = op_typed(rc, n, 0, DTYPE_BOOL, &x, err);
    if (!code) code = rc->output(rc, n, 0, DTYPE_BOOL, x->rank, x->dim, err);
    if (code || rc->planning) return code;
    uint8_t *y = rc->values[n->outputs[0]].data;
    for (size_t i = 0, count = tensor_count(x); i < count; i++)
        y[i] = !((const uint8_t *)x->data)[i];
    return RNND_OK;
}

static rnnd_code run_is(struct run_context *rc, const struct graph_node *n, bool nan, bool above, bool below,
                        rnnd_error *err)
{
    const struct tensor *x;
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, &x, err);
    if (!code) code = rc->output(rc, n, 0, DTYPE_BOOL, x->rank, x->dim, err);
    if (code || rc->planning) return code;
    uint8_t *y = rc->values[n->outputs[0]].data;
    for (size_t i = 0, count = tensor_count(x); i < count; i++) {
        float v = ((const float *)x->data)[i];
        y[i] = (nan && v != v) || (above && v == INFINITY) || (below && v == -INFINITY);
    }
    return RNND_OK;
}

static rnnd_code run_is_nan(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    return run_is(rc, n, true, false, false, err);
}

static rnnd_code run_is_inf(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    return run_is(rc, n, false, op_int(n, "detect_positive", 1), op_int(n, "detect_negative", 1), err);
}

/* ---- Where ---- */

static void choose(size_t bytes, size_t n, const struct broadcast *b, const uint8_t *condition, const char *x,
                   const char *y, char *out)
{
    size_t sc = b->row[0], sx = b->row[1] * bytes, sy = b->row[2] * bytes;
    if (sc == 0) { /* a row of one side */
        const char *from = *condition ? x : y;
        size_t step = *condition ? sx : sy;
        for (size_t i = 0; i < n; i++)
            memcpy(out + i * bytes, from + i * step, bytes);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * bytes, condition[i] ? x + i * sx : y + i * sy, bytes);
}

static rnnd_code run_where(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *t[3];
    struct broadcast b;
    rnnd_code code = op_typed(rc, n, 0, DTYPE_BOOL, &t[0], err);
    if (!code) code = op_typed(rc, n, 2, op_input(rc, n, 1)->dtype, &t[2], err);
    t[1] = op_input(rc, n, 1);
    if (!code) code = broadcast_join(&b, n, t, 3, err);
    if (!code) code = rc->output(rc, n, 0, t[1]->dtype, b.rank, b.dim, err);
    if (code || rc->planning) return code;
    size_t bytes = dtype_bytes(t[1]->dtype);
    char *out = rc->values[n->outputs[0]].data;
    broadcast_begin(&b, t, 3);
    for (size_t done = 0; done < b.count; done += b.width, broadcast_next(&b, 3))
        choose(bytes, b.width, &b, (const uint8_t *)t[0]->data + b.at[0], (const char *)t[1]->data + b.at[1] * bytes,
               (const char *)t[2]->data + b.at[2] * bytes, out + done * bytes);
    return RNND_OK;
}

/* ---- Cast: ONNX's type numbers; narrow types live in the three that there are, rounded or wrapped as they would be */

enum { TO_F32 = 1, TO_U8, TO_I8, TO_U16, TO_I16, TO_I32, TO_I64, TO_STRING, TO_BOOL, TO_F16, TO_F64, TO_U32, TO_U64,
       TO_BF16 = 16 };

static enum dtype cast_dtype(int64_t to)
{
    if (to == TO_F32 || to == TO_F16 || to == TO_F64 || to == TO_BF16) return DTYPE_F32;
    return to == TO_BOOL ? DTYPE_BOOL : DTYPE_I64;
}

static rnnd_code check_cast(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    int64_t to = op_int(n, "to", 0);
    (void)g;
    if (to >= TO_F32 && to <= TO_BF16 && to != TO_STRING && to != 14 && to != 15) return RNND_OK;
    return fail_at(err, RNND_UNSUPPORTED, "to", "node \"%.80s\" (Cast): to type %lld, which is no number of ours",
                   n->name, (long long)to);
}

/* An int64 in a narrow type's range, wrapped as two's complement does. */
static int64_t wrap(int64_t v, int64_t to)
{
    switch (to) {
    case TO_U8: return (uint8_t)v;
    case TO_I8: return (int8_t)v;
    case TO_U16: return (uint16_t)v;
    case TO_I16: return (int16_t)v;
    case TO_I32: return (int32_t)v;
    case TO_U32: return (uint32_t)v;
    default: return v;
    }
}

/* A float in such a range: towards 0, beyond it the nearest. */
static int64_t truncate_to(float v, int64_t to)
{
    switch (to) {
    case TO_U8: return whole_number((double)v, 0, UINT8_MAX);
    case TO_I8: return whole_number((double)v, INT8_MIN, INT8_MAX);
    case TO_U16: return whole_number((double)v, 0, UINT16_MAX);
    case TO_I16: return whole_number((double)v, INT16_MIN, INT16_MAX);
    case TO_I32: return whole_number((double)v, INT32_MIN, INT32_MAX);
    case TO_U32: return whole_number((double)v, 0, UINT32_MAX);
    case TO_U64: return whole_number((double)v, 0, INT64_MAX);
    default: return whole_number((double)v, INT64_MIN, INT64_MAX);
    }
}

static float round_to(float v, int64_t to)
{
    return to == TO_F16 ? half_to_float(float_to_half(v)) : to == TO_BF16 ? bf16_to_float(float_to_bf16(v)) : v;
}

static void cast_from_floats(size_t n, const float *x, int64_t to, void *y)
{
    enum dtype dtype = cast_dtype(to);
    for (size_t i = 0; i < n; i++)
        if (dtype == DTYPE_F32)
            ((float *)y)[i] = round_to(x[i], to);
        else if (dtype == DTYPE_I64)
            ((int64_t *)y)[i] = truncate_to(x[i], to);
        else
            ((uint8_t *)y)[i] = x[i] != 0;
}

static void cast_from_whole(size_t n, const void *x, bool bools, int64_t to, void *y)
{
    enum dtype dtype = cast_dtype(to);
    for (size_t i = 0; i < n; i++) {
        int64_t v = bools ? ((const uint8_t *)x)[i] : ((const int64_t *)x)[i];
        if (dtype == DTYPE_F32)
            ((float *)y)[i] = round_to((float)v, to);
        else if (dtype == DTYPE_I64)
            ((int64_t *)y)[i] = wrap(v, to);
        else
            ((uint8_t *)y)[i] = v != 0;
    }
}

static rnnd_code cast(struct run_context *rc, const struct graph_node *n, int64_t to, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    if (x->dtype == cast_dtype(to) && (to == TO_F32 || to == TO_F64 || to == TO_I64 || to == TO_BOOL)) {
        op_view(rc, n, 0, x, x->rank, x->dim);
        return RNND_OK;
    }
    rnnd_code code = rc->output(rc, n, 0, cast_dtype(to), x->rank, x->dim, err);
    if (code || rc->planning) return code;
    void *y = rc->values[n->outputs[0]].data;
    if (x->dtype == DTYPE_F32)
        cast_from_floats(tensor_count(x), x->data, to, y);
    else
        cast_from_whole(tensor_count(x), x->data, x->dtype == DTYPE_BOOL, to, y);
    return RNND_OK;
}

static rnnd_code run_cast(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    return cast(rc, n, op_int(n, "to", 0), err);
}

static rnnd_code run_cast_like(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    static const int64_t to[] = {[DTYPE_F32] = TO_F32, [DTYPE_I64] = TO_I64, [DTYPE_BOOL] = TO_BOOL};
    return cast(rc, n, to[op_input(rc, n, 1)->dtype], err);
}

static const char *const is_inf_attributes[] = {"detect_positive", "detect_negative", NULL};
static const char *const cast_attributes[] = {"to", "saturate", NULL}; /* saturate is about 8-bit floats */
static const char *const cast_like_attributes[] = {"saturate", NULL};
#define COMPARE_OP(id, onnx, inputs, attrs, function)                                                                 \
    static const struct op id = {                                                                                     \
        .name = onnx, .min_inputs = inputs, .max_inputs = inputs, .outputs = 1, .attributes = attrs,                  \
        .check = check_nothing, .run = function}
COMPARE_OP(tensor_equal, "Equal", 2, NULL, run_equal);
COMPARE_OP(tensor_less, "Less", 2, NULL, run_less);
COMPARE_OP(tensor_less_equal, "LessOrEqual", 2, NULL, run_less_equal);
COMPARE_OP(tensor_greater, "Greater", 2, NULL, run_greater);
COMPARE_OP(tensor_greater_equal, "GreaterOrEqual", 2, NULL, run_greater_equal);
COMPARE_OP(tensor_and, "And", 2, NULL, run_and);
COMPARE_OP(tensor_or, "Or", 2, NULL, run_or);
COMPARE_OP(tensor_xor, "Xor", 2, NULL, run_xor);
COMPARE_OP(tensor_not, "Not", 1, NULL, run_not);
COMPARE_OP(tensor_is_nan, "IsNaN", 1, NULL, run_is_nan);
COMPARE_OP(tensor_is_inf, "IsInf", 1, is_inf_attributes, run_is_inf);
COMPARE_OP(tensor_where, "Where", 3, NULL, run_where);
COMPARE_OP(tensor_cast_like, "CastLike", 2, cast_like_attributes, run_cast_like);
static const struct op tensor_cast = {.name = "Cast", .min_inputs = 1, .max_inputs = 1, .outputs = 1,
                                      .attributes = cast_attributes, .check = check_cast, .run = run_cast};

const struct op *const ops_compare[] = {
    &tensor_equal, &tensor_less, &tensor_less_equal, &tensor_greater, &tensor_greater_equal,
    &tensor_and,   &tensor_or,   &tensor_xor,        &tensor_not,     &tensor_is_nan,
    &tensor_is_inf, &tensor_where, &tensor_cast_like, &tensor_cast,   NULL,
};
