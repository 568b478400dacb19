/* reduce.c -- tensor operators: along axes: sums, means, extremes, and where these are.
 *
 * Every answer is one chain over its elements in row-major order, whatever else is computed beside it. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/tensor_util.h"

enum reduction { SUM, MEAN, MAX, MIN, PROD, L1, L2, SUM_SQUARE, LOG_SUM, LOG_SUM_EXP };

struct plan { /* the kept axes in order, the reduced ones in order */
    int kept, reduced;
    size_t kept_dim[MAX_RANK], kept_step[MAX_RANK], reduced_dim[MAX_RANK], reduced_step[MAX_RANK];
    size_t answers, each; /* answers, elements of each */
};

static void make_plan(struct plan *p, const struct tensor *x, const bool *gone)
{
    size_t stride[MAX_RANK];
    *p = (struct plan){.answers = 1, .each = 1};
    dims_strides(x->rank, x->dim, stride);
    for (int i = 0; i < x->rank; i++) {
        if (gone[i]) {
            p->reduced_dim[p->reduced] = x->dim[i];
            p->reduced_step[p->reduced++] = stride[i];
            p->each *= x->dim[i];
        } else {
            p->kept_dim[p->kept] = x->dim[i];
            p->kept_step[p->kept++] = stride[i];
            p->answers *= x->dim[i];
        }
    }
}

static size_t offset(int rank, const size_t *index, const size_t *step)
{
    size_t at = 0;
    for (int i = 0; i < rank; i++)
        at += index[i] * step[i];
    return at;
}

/* ---- one answer: elements at x[offset of each index of the reduced axes] ---- */

struct chain { /* walks them: the last reduced axis is the row */
    size_t rows, width, step;
    size_t index[MAX_RANK];
    const struct plan *p;
};

static struct chain begin_chain(const struct plan *p)
{
    int last = p->reduced - 1;
    size_t width = p->reduced ? p->reduced_dim[last] : 1;
    return (struct chain){.p = p, .width = width, .rows = width ? p->each / width : 0,
                          .step = p->reduced ? p->reduced_step[last] : 0};
}

static size_t next_row(struct chain *c)
{
    int outer = c->p->reduced > 0 ? c->p->reduced - 1 : 0;
    size_t at = offset(outer, c->index, c->p->reduced_step);
    dims_next(outer, c->p->reduced_dim, c->index);
    return at;
}

static float fold(enum reduction how, float so_far, float v)
{
    switch (how) {
    case MAX: return so_far > v || so_far != so_far ? so_far : v;
    case MIN: return so_far < v || so_far != so_far ? so_far : v;
    case PROD: return so_far * v;
    case L1: return so_far + fabsf(v);
    case L2:
    case SUM_SQUARE: return fmaf(v, v, so_far);
    default: return so_far + v;
    }
}

static float reduce_floats(const struct plan *p, enum reduction how, const float *x)
{
    float y = how == MAX ? -INFINITY : how == MIN ? INFINITY : how == PROD ? 1.0f : 0.0f;
    struct chain c = begin_chain(p);
    for (size_t r = 0; r < c.rows; r++) {
        const float *row = x + next_row(&c);
        if (how == SUM || how == MEAN) /* the common ones by themselves: a choice at each element costs more than it */
            for (size_t i = 0; i < c.width; i++)
                y += row[i * c.step];
        else
            for (size_t i = 0; i < c.width; i++)
                y = fold(how, y, row[i * c.step]);
    }
    return how == MEAN ? y / (float)p->each : how == L2 ? sqrtf(y) : how == LOG_SUM ? (float)fixed_log((double)y) : y;
}

/* max + log(sum of exp(x - max)); without elements, or where the largest is infinite, that is the answer */
static float log_sum_exp(const struct plan *p, const float *x)
{
    float max = reduce_floats(p, MAX, x);
    double sum = 0;
    struct chain c = begin_chain(p);
    if (max - max != 0) return max;
    for (size_t r = 0; r < c.rows; r++) {
        const float *row = x + next_row(&c);
        for (size_t i = 0; i < c.width; i++)
            sum += fixed_exp((double)row[i * c.step] - (double)max);
    }
    return (float)((double)max + fixed_log(sum));
}

static uint64_t fold_whole(enum reduction how, uint64_t so_far, uint64_t v)
{
    switch (how) {
    case MAX: return (int64_t)v > (int64_t)so_far ? v : so_far;
    case MIN: return (int64_t)v < (int64_t)so_far ? v : so_far;
    case PROD: return so_far * v;
    case L1: return so_far + ((int64_t)v < 0 ? 0 - v : v);
    case SUM_SQUARE: return so_far + v * v;
    default: return so_far + v;
    }
}

/* Sums wrap around, as two's complement does; a mean is cut off towards 0. */
static int64_t reduce_whole(const struct plan *p, enum reduction how, const int64_t *x)
{
    uint64_t y = how == MAX ? (uint64_t)INT64_MIN : how == MIN ? (uint64_t)INT64_MAX : how == PROD;
    struct chain c = begin_chain(p);
    for (size_t r = 0; r < c.rows; r++) {
        const int64_t *row = x + next_row(&c);
        for (size_t i = 0; i < c.width; i++)
            y = fold_whole(how, y, (uint64_t)row[i * c.step]);
    }
    return how == MEAN ? (int64_t)y / (int64_t)p->each : (int64_t)y;
}

/* ---- the operators ---- */

static int reduced_dims(const struct tensor *x, const bool *gone, bool keep, size_t *dim)
{
    int rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (!gone[i])
            dim[rank++] = x->dim[i];
        else if (keep)
            dim[rank++] = 1;
    return rank;
}

/* No axes mean all of them, or, with noop_with_empty_axes, that nothing is reduced. */
static rnnd_code read_axes(struct run_context *rc, const struct graph_node *n, const struct tensor *x, bool *gone,
                           rnnd_error *err)
{
    int64_t axes[MAX_RANK];
    size_t count;
    rnnd_code code = op_ints(rc, n, 1, axes, MAX_RANK, &count, err);
    if (!code) code = op_axes(n, axes, count, x->rank, gone, err);
    if (!code && count == 0 && !op_int(n, "noop_with_empty_axes", 0))
        for (int i = 0; i < x->rank; i++)
            gone[i] = true;
    return code;
}

static rnnd_code run_reduce(struct run_context *rc, const struct graph_node *n, enum reduction how, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    bool gone[MAX_RANK], floats = x->dtype == DTYPE_F32;
    size_t dim[MAX_RANK], index[MAX_RANK] = {0};
    struct plan p;
    if (x->dtype == DTYPE_BOOL || (!floats && (how == L2 || how == LOG_SUM || how == LOG_SUM_EXP)))
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): of a tensor of %s", n->name, n->op->name,
                       dtype_name(x->dtype));
    rnnd_code code = read_axes(rc, n, x, gone, err);
    if (code) return code;
    int rank = reduced_dims(x, gone, op_int(n, "keepdims", 1) != 0, dim);
    code = rc->output(rc, n, 0, x->dtype, rank, dim, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    make_plan(&p, x, gone);
    if (p.each == 0 && (how == MAX || how == MIN || how == MEAN))
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): of no elements", n->name, n->op->name);
    void *y = rc->values[n->outputs[0]].data;
    for (size_t i = 0; i < p.answers; i++, dims_next(p.kept, p.kept_dim, index)) {
        size_t at = p.each ? offset(p.kept, index, p.kept_step) : 0;
        if (!floats)
            ((int64_t *)y)[i] = reduce_whole(&p, how, (const int64_t *)x->data + at);
        else if (how == LOG_SUM_EXP)
            ((float *)y)[i] = log_sum_exp(&p, (const float *)x->data + at);
        else
            ((float *)y)[i] = reduce_floats(&p, how, (const float *)x->data + at);
    }
    return RNND_OK;
}

#define RUN_REDUCE(name, how)                                                                                         \
    static rnnd_code name(struct run_context *rc, const struct graph_node *n, rnnd_error *err)                        \
    {                                                                                                                 \
        return run_reduce(rc, n, how, err);                                                                           \
    }
RUN_REDUCE(run_sum, SUM)
RUN_REDUCE(run_mean, MEAN)
RUN_REDUCE(run_max, MAX)
RUN_REDUCE(run_min, MIN)
RUN_REDUCE(run_prod, PROD)
RUN_REDUCE(run_l1, L1)
RUN_REDUCE(run_l2, L2)
RUN_REDUCE(run_sum_square, SUM_SQUARE)
RUN_REDUCE(run_log_sum, LOG_SUM)
RUN_REDUCE(run_log_sum_exp, LOG_SUM_EXP)

/* ---- ArgMax, ArgMin: the first, or with select_last_index the last, of the extreme ones ---- */

static bool beats(const struct tensor *x, size_t a, size_t b, bool max, bool last)
{
    int order;
    if (x->dtype == DTYPE_F32) {
        float u = ((const float *)x->data)[a], v = ((const float *)x->data)[b];
        order = (u > v) - (u < v);
    } else {
        int64_t u = ((const int64_t *)x->data)[a], v = ((const int64_t *)x->data)[b];
        order = (u > v) - (u < v);
    }
    return order == 0 ? last : (order > 0) == max;
}

static rnnd_code run_arg(struct run_context *rc, const struct graph_node *n, bool max, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    bool gone[MAX_RANK] = {false}, last = op_int(n, "select_last_index", 0) != 0;
    size_t dim[MAX_RANK];
    int axis;
    if (x->dtype == DTYPE_BOOL)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): of bools", n->name, n->op->name);
    rnnd_code code = op_axis(n, op_int(n, "axis", 0), x->rank, &axis, err);
    if (code) return code;
    gone[axis] = true;
    int rank = reduced_dims(x, gone, op_int(n, "keepdims", 1) != 0, dim);
    code = rc->output(rc, n, 0, DTYPE_I64, rank, dim, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    size_t size = x->dim[axis], inner = dims_product(x->dim, axis + 1, x->rank), outer = dims_product(x->dim, 0, axis);
    if (size == 0)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): of no elements", n->name, n->op->name);
    int64_t *y = rc->values[n->outputs[0]].data;
    for (size_t i = 0; i < outer * inner; i++) {
        size_t first = i / inner * size * inner + i % inner, best = 0;
        for (size_t k = 1; k < size; k++)
            if (beats(x, first + k * inner, first + best * inner, max, last)) best = k;
        y[i] = (int64_t)best;
    }
    return RNND_OK;
}

static rnnd_code run_arg_max(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    return run_arg(rc, n, true, err);
}

static rnnd_code run_arg_min(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    return run_arg(rc, n, false, err);
}

static const char *const reduce_attributes[] = {"keepdims", "noop_with_empty_axes", NULL};
static const char *const arg_attributes[] = {"axis", "keepdims", "select_last_index", NULL};
#define REDUCE(id, onnx, most, attrs, function)                                                                       \
    static const struct op id = {                                                                                     \
        .name = onnx, .min_inputs = 1, .max_inputs = most, .outputs = 1, .attributes = attrs,                         \
        .check = check_nothing, .run = function}
REDUCE(tensor_sum, "ReduceSum", 2, reduce_attributes, run_sum);
REDUCE(tensor_mean, "ReduceMean", 2, reduce_attributes, run_mean);
REDUCE(tensor_max, "ReduceMax", 2, reduce_attributes, run_max);
REDUCE(tensor_min, "ReduceMin", 2, reduce_attributes, run_min);
REDUCE(tensor_prod, "ReduceProd", 2, reduce_attributes, run_prod);
REDUCE(tensor_l1, "ReduceL1", 2, reduce_attributes, run_l1);
REDUCE(tensor_l2, "ReduceL2", 2, reduce_attributes, run_l2);
REDUCE(tensor_sum_square, "ReduceSumSquare", 2, reduce_attributes, run_sum_square);
REDUCE(tensor_log_sum, "ReduceLogSum", 2, reduce_attributes, run_log_sum);
REDUCE(tensor_log_sum_exp, "ReduceLogSumExp", 2, reduce_attributes, run_log_sum_exp);
REDUCE(tensor_arg_max, "ArgMax", 1, arg_attributes, run_arg_max);
REDUCE(tensor_arg_min, "ArgMin", 1, arg_attributes, run_arg_min);

const struct op *const ops_reduce[] = {&tensor_sum,     &tensor_mean,        &tensor_max, &tensor_min,
                                       &tensor_prod,    &tensor_l1,          &tensor_l2,  &tensor_sum_square,
                                       &tensor_log_sum, &tensor_log_sum_exp, &tensor_arg_max, &tensor_arg_min,
                                       NULL};
