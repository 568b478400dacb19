/* normal.c -- tensor operators that normalize: over an axis (Softmax, LpNormalization) or over what is left of a tensor
 * (LayerNormalization); norms.c has those that know channels. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/normal.h"
#include "core/ops/ops.h"
#include "core/ops/tensor_util.h"

/* ---- along one axis ---- */

static void hardmax(size_t n, const float *x, float *y)
{
    size_t top = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[top]) top = i;
    memset(y, 0, n * sizeof *y);
    y[top] = 1;
}

/* x over the sum of |x|, or over the square root of the sum of squares; 0 stays 0 */
static void lp_norm(size_t n, bool squares, const float *x, float *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += squares ? (double)x[i] * x[i] : fabs((double)x[i]);
    float norm = (float)(squares ? sqrt(sum) : sum);
    for (size_t i = 0; i < n; i++)
        y[i] = norm == 0 ? 0 : x[i] / norm;
}

static void one_row(const struct run_context *rc, const struct graph_node *n, size_t width, const float *x, float *y)
{
    if (strcmp(n->op->name, "Softmax") == 0)
        rc->kernels->softmax(width, x, y);
    else if (strcmp(n->op->name, "LogSoftmax") == 0)
        rc->kernels->log_softmax(width, x, y);
    else if (strcmp(n->op->name, "Hardmax") == 0)
        hardmax(width, x, y);
    else
        lp_norm(width, op_int(n, "p", 2) != 1, x, y);
}

static rnnd_code check_lp(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    int64_t p = op_int(n, "p", 2);
    if (p == 1 || p == 2) return RNND_OK;
    return fail_at(err, RNND_UNSUPPORTED, "p", "node \"%.80s\" (LpNormalization): wanted p 1 or 2, found %lld", n->name,
                   (long long)p);
}

/* Rows along the axis; those that do not lie in one piece are copied to scratch and back. */
static rnnd_code run_axis(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x;
    int axis = 0;
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, &x, err);
    if (!code) code = op_axis(n, op_int(n, "axis", -1), x->rank, &axis, err);
    if (!code) code = rc->output(rc, n, 0, DTYPE_F32, x->rank, x->dim, err);
    if (code || tensor_count(x) == 0) return code;
    size_t width = x->dim[axis], inner = dims_product(x->dim, axis + 1, x->rank);
    size_t outer = dims_product(x->dim, 0, axis);
    const float *from = x->data;
    float *to = rc->values[n->outputs[0]].data, *row = inner == 1 ? NULL : rc->scratch(rc, 2 * width * sizeof *row);
    if (inner != 1 && !row) return fail_memory(err, 2 * width * sizeof *row);
    for (size_t o = 0; o < outer; o++, from += width * inner, to += width * inner) {
        if (inner == 1) {
            one_row(rc, n, width, from, to);
            continue;
        }
        for (size_t i = 0; i < inner; i++) {
            for (size_t k = 0; k < width; k++)
                row[k] = from[k * inner + i];
            one_row(rc, n, width, row, row + width);
            for (size_t k = 0; k < width; k++)
                to[k * inner + i] = row[width + k];
        }
    }
    return RNND_OK;
}

/* ---- LayerNormalization ---- */

/* Scale or bias as [width] floats: itself, or one number for all; NULL where it is absent. */
static rnnd_code read_gain(struct run_context *rc, const struct graph_node *n, int input, size_t width,
                           const float **out, rnnd_error *err)
{
    const struct tensor *t = op_input(rc, n, input);
    *out = NULL;
    if (!t) return RNND_OK;
    rnnd_code code = op_typed(rc, n, input, DTYPE_F32, &t, err);
    if (code) return code;
    size_t count = tensor_count(t);
    if (count != width && count != 1)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (LayerNormalization): wanted %zu numbers in input %d, found %zu", n->name, width,
                       input, count);
    *out = t->data;
    if (count == width) return RNND_OK;
    float *all = rc->scratch(rc, width * sizeof *all);
    if (!all) return fail_memory(err, width * sizeof *all);
    for (size_t i = 0; i < width; i++)
        all[i] = *(const float *)t->data;
    *out = all;
    return RNND_OK;
}

/* The optional outputs: the mean of each row and one over its deviation. */
static rnnd_code give_moments(struct run_context *rc, const struct graph_node *n, const struct tensor *x, int axis,
                              float epsilon, rnnd_error *err)
{
    size_t dim[MAX_RANK], width = dims_product(x->dim, axis, x->rank), rows = dims_product(x->dim, 0, axis);
    float *to[3] = {NULL};
    for (int i = 0; i < x->rank; i++)
        dim[i] = i < axis ? x->dim[i] : 1;
    for (int i = 1; i < 3; i++) {
        if (!op_wants(n, i)) continue;
        rnnd_code code = rc->output(rc, n, i, DTYPE_F32, x->rank, dim, err);
        if (code) return code;
        to[i] = rc->values[n->outputs[i]].data;
    }
    const float *row = x->data;
    for (size_t r = 0; r < rows && (to[1] || to[2]); r++, row += width) {
        struct moments m = moments_of(row, width);
        if (to[1]) to[1][r] = (float)m.mean;
        if (to[2]) to[2][r] = (float)(1 / sqrt(m.variance + epsilon));
    }
    return RNND_OK;
}

static rnnd_code run_layer(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x;
    const float *gain = NULL, *bias = NULL;
    float epsilon = op_float(n, "epsilon", 1e-5f);
    int axis = 0;
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, &x, err);
    if (!code) code = op_axis(n, op_int(n, "axis", -1), x->rank, &axis, err);
    if (code) return code;
    size_t width = dims_product(x->dim, axis, x->rank), rows = dims_product(x->dim, 0, axis);
    if (tensor_count(x) == 0) return rc->output(rc, n, 0, DTYPE_F32, x->rank, x->dim, err);
    code = read_gain(rc, n, 1, width, &gain, err);
    if (!code) code = read_gain(rc, n, 2, width, &bias, err);
    if (!code && op_wants(n, 0)) code = rc->output(rc, n, 0, DTYPE_F32, x->rank, x->dim, err);
    if (!code) code = give_moments(rc, n, x, axis, epsilon, err);
    if (code || !op_wants(n, 0)) return code;
    float *y = rc->values[n->outputs[0]].data;
    for (size_t r = 0; r < rows; r++)
        rc->kernels->layer_norm(width, (const float *)x->data + r * width, gain, bias, epsilon, y + r * width);
    return RNND_OK;
}

struct moments moments_of(const float *x, size_t count)
{
    struct moments m = {0, 0};
    for (size_t i = 0; i < count; i++)
        m.mean += x[i];
    m.mean /= (double)count;
    for (size_t i = 0; i < count; i++)
        m.variance += (x[i] - m.mean) * (x[i] - m.mean);
    m.variance /= (double)count;
    return m;
}

static const char *const axis_attributes[] = {"axis", NULL};
static const char *const lp_attributes[] = {"axis", "p", NULL};
static const char *const layer_attributes[] = {"axis", "epsilon", "stash_type", NULL};
#define AXIS_OP(variable, name, check, attributes)                                                                    \
    static const struct op variable = {name, 1, 1, 1, attributes, false, false, check, NULL, NULL, run_axis}
AXIS_OP(softmax, "Softmax", check_nothing, axis_attributes);
AXIS_OP(log_softmax, "LogSoftmax", check_nothing, axis_attributes);
AXIS_OP(hard_max, "Hardmax", check_nothing, axis_attributes);
AXIS_OP(lp, "LpNormalization", check_lp, lp_attributes);
static const struct op layer = {"LayerNormalization", 2,    3,    3,        layer_attributes, false, false,
                                check_nothing,        NULL, NULL, run_layer};
const struct op *const ops_normal[] = {&softmax,       &log_softmax,      &hard_max,      &lp, &layer,
                                       &op_batch_norm, &op_instance_norm, &op_group_norm, NULL};
