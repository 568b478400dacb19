/* gather.c -- tensor operators: elements picked and put by index. Indices count from the end where negative. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/tensor_util.h"

static rnnd_code fail_gather(const struct graph_node *n, const char *what, rnnd_error *err)
{
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): %s", n->name, n->op->name, what);
}

/* ---- Gather: whole slices along an axis: [outer][axis][inner] gives [outer][indices][inner] ---- */

static rnnd_code run_gather(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0), *indices;
    size_t dim[MAX_RANK];
    int axis;
    rnnd_code code = op_typed(rc, n, 1, DTYPE_I64, &indices, err);
    if (!code) code = op_axis(n, op_int(n, "axis", 0), x->rank, &axis, err);
    if (code) return code;
    int rank = x->rank - 1 + indices->rank;
    if ((code = op_rank(n, (size_t)rank, err))) return code;
    memcpy(dim, x->dim, (size_t)axis * sizeof *dim);
    memcpy(dim + axis, indices->dim, (size_t)indices->rank * sizeof *dim);
    memcpy(dim + axis + indices->rank, x->dim + axis + 1, (size_t)(x->rank - axis - 1) * sizeof *dim);
    code = rc->output(rc, n, 0, x->dtype, rank, dim, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    size_t outer = dims_product(x->dim, 0, axis), count = tensor_count(indices), size = x->dim[axis];
    size_t inner = dims_product(x->dim, axis + 1, x->rank) * dtype_bytes(x->dtype);
    char *y = rc->values[n->outputs[0]].data;
    for (size_t k = 0; k < count; k++) {
        size_t at;
        if ((code = op_index(n, ((const int64_t *)indices->data)[k], size, &at, err))) return code;
        for (size_t o = 0; o < outer; o++)
            memcpy(y + (o * count + k) * inner, (const char *)x->data + (o * size + at) * inner, inner);
    }
    return RNND_OK;
}

/* ---- GatherElements: y[i][j] = x[index[i][j]][j] along axis 0, and so on ---- */

/* Indices have x's rank and reach no further than x on the other axes. */
static rnnd_code check_elements(const struct graph_node *n, const struct tensor *x, const struct tensor *indices,
                                int axis, rnnd_error *err)
{
    bool fits = x->rank == indices->rank;
    for (int i = 0; fits && i < x->rank; i++)
        fits = i == axis || indices->dim[i] <= x->dim[i];
    return fits ? RNND_OK : fail_gather(n, "the shape of the indices does not go into that of the data", err);
}

static rnnd_code run_gather_elements(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0), *indices;
    size_t stride[MAX_RANK], index[MAX_RANK] = {0}, bytes = dtype_bytes(x->dtype);
    int axis;
    rnnd_code code = op_typed(rc, n, 1, DTYPE_I64, &indices, err);
    if (!code) code = op_axis(n, op_int(n, "axis", 0), x->rank, &axis, err);
    if (!code) code = check_elements(n, x, indices, axis, err);
    if (!code) code = rc->output(rc, n, 0, x->dtype, x->rank, indices->dim, err);
    if (code || tensor_count(indices) == 0) return code;
    char *y = rc->values[n->outputs[0]].data;
    const int64_t *at = indices->data;
    dims_strides(x->rank, x->dim, stride);
    do {
        size_t picked, from = 0;
        if ((code = op_index(n, *at++, x->dim[axis], &picked, err))) return code;
        for (int i = 0; i < x->rank; i++)
            from += (i == axis ? picked : index[i]) * stride[i];
        memcpy(y, (const char *)x->data + from * bytes, bytes);
        y += bytes;
    } while (dims_next(x->rank, indices->dim, index));
    return RNND_OK;
}

/* ---- indices of several axes at once ---- */

/* The element of x that depth indices (and batch leading ones that are the same for both) point at. */
static rnnd_code locate(const struct graph_node *n, const struct tensor *x, const int64_t *indices, size_t depth,
                        size_t batch, size_t *out, rnnd_error *err)
{
    size_t stride[MAX_RANK];
    dims_strides(x->rank, x->dim, stride);
    for (size_t d = 0; d < depth; d++) {
        size_t at;
        rnnd_code code = op_index(n, indices[d], x->dim[batch + d], &at, err);
        if (code) return code;
        *out += at * stride[batch + d];
    }
    return RNND_OK;
}

/* indices [batch...][...][depth]; y [batch...][...][rest of x] */
static rnnd_code run_gather_nd(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0), *indices;
    size_t dim[MAX_RANK], batch = (size_t)op_int(n, "batch_dims", 0), bytes = dtype_bytes(x->dtype);
    rnnd_code code = op_typed(rc, n, 1, DTYPE_I64, &indices, err);
    if (code) return code;
    if (indices->rank < 1 || x->rank < 1) return fail_gather(n, "wanted tensors of rank 1 at least", err);
    size_t q = (size_t)indices->rank - 1, depth = indices->dim[q], rank = (size_t)x->rank;
    bool fits = batch <= q && batch < rank && depth >= 1 && depth <= rank - batch;
    for (size_t i = 0; fits && i < batch; i++)
        fits = x->dim[i] == indices->dim[i];
    if (!fits) return fail_gather(n, "the shape of the indices does not go with that of the data", err);
    if ((code = op_rank(n, q + rank - batch - depth, err))) return code;
    memcpy(dim, indices->dim, q * sizeof *dim);
    memcpy(dim + q, x->dim + batch + depth, (rank - batch - depth) * sizeof *dim);
    code = rc->output(rc, n, 0, x->dtype, (int)(q + rank - batch - depth), dim, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    size_t picks = dims_product(indices->dim, 0, (int)q), per_batch = dims_product(indices->dim, (int)batch, (int)q);
    size_t inner = dims_product(x->dim, (int)(batch + depth), x->rank) * bytes;
    size_t block = dims_product(x->dim, (int)batch, x->rank);
    char *y = rc->values[n->outputs[0]].data;
    for (size_t k = 0; k < picks; k++, y += inner) {
        size_t from = k / per_batch * block;
        code = locate(n, x, (const int64_t *)indices->data + k * depth, depth, batch, &from, err);
        if (code) return code;
        memcpy(y, (const char *)x->data + from * bytes, inner);
    }
    return RNND_OK;
}

/* ---- Scatter: a copy of the data with updates put in, one after another ---- */

enum reduction { PUT, PUT_ADD, PUT_MUL, PUT_MAX, PUT_MIN, REDUCTIONS };
static const char *const reductions[] = {"none", "add", "mul", "max", "min"};

static enum reduction reduction_of(const struct graph_node *n)
{
    const char *name = op_string(n, "reduction", "none");
    int i = 0;
    while (i < REDUCTIONS && strcmp(reductions[i], name) != 0)
        i++;
    return (enum reduction)i;
}

static rnnd_code check_scatter(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    if (reduction_of(n) < REDUCTIONS) return RNND_OK;
    return fail_at(err, RNND_UNSUPPORTED, "reduction", "node \"%.80s\" (%s): reduction \"%.80s\"", n->name,
                   n->op->name, op_string(n, "reduction", ""));
}

static float reduce_float(enum reduction how, float a, float b)
{
    switch (how) {
    case PUT_ADD: return a + b;
    case PUT_MUL: return a * b;
    case PUT_MAX: return a > b || a != a ? a : b;
    case PUT_MIN: return a < b || a != a ? a : b;
    default: return b;
    }
}

static int64_t reduce_whole(enum reduction how, int64_t a, int64_t b)
{
    switch (how) {
    case PUT_ADD: return (int64_t)((uint64_t)a + (uint64_t)b);
    case PUT_MUL: return (int64_t)((uint64_t)a * (uint64_t)b);
    case PUT_MAX: return a > b ? a : b;
    case PUT_MIN: return a < b ? a : b;
    default: return b;
    }
}

/* count elements of u, from element `from`, into y from element `to` */
static void put(struct tensor *y, size_t to, const struct tensor *u, size_t from, size_t count, enum reduction how)
{
    for (size_t i = 0; i < count; i++) {
        if (y->dtype == DTYPE_F32) {
            float *v = (float *)y->data + to + i;
            *v = reduce_float(how, *v, ((const float *)u->data)[from + i]);
        } else if (y->dtype == DTYPE_I64) {
            int64_t *v = (int64_t *)y->data + to + i;
            *v = reduce_whole(how, *v, ((const int64_t *)u->data)[from + i]);
        } else {
            ((uint8_t *)y->data)[to + i] = ((const uint8_t *)u->data)[from + i];
        }
    }
}

/* The three inputs, their types checked; the output is the data. */
static rnnd_code begin_scatter(struct run_context *rc, const struct graph_node *n, const struct tensor **indices,
                               const struct tensor **updates, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    rnnd_code code = op_typed(rc, n, 1, DTYPE_I64, indices, err);
    if (!code) code = op_typed(rc, n, 2, x->dtype, updates, err);
    if (!code && x->dtype == DTYPE_BOOL && reduction_of(n) != PUT) code = fail_gather(n, "bools are only put", err);
    if (!code) code = rc->output(rc, n, 0, x->dtype, x->rank, x->dim, err);
    if (!code && tensor_count(x))
        memcpy(rc->values[n->outputs[0]].data, x->data, tensor_count(x) * dtype_bytes(x->dtype));
    return code;
}

static rnnd_code run_scatter_elements(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0), *indices, *updates;
    size_t stride[MAX_RANK], index[MAX_RANK] = {0}, k = 0;
    int axis;
    rnnd_code code = op_axis(n, op_int(n, "axis", 0), x->rank, &axis, err);
    if (!code) code = begin_scatter(rc, n, &indices, &updates, err);
    if (!code) code = check_elements(n, x, indices, axis, err);
    if (code) return code;
    bool same = updates->rank == indices->rank;
    for (int i = 0; same && i < indices->rank; i++)
        same = updates->dim[i] == indices->dim[i];
    if (!same) return fail_gather(n, "wanted updates of the shape of the indices", err);
    if (tensor_count(indices) == 0) return RNND_OK;
    dims_strides(x->rank, x->dim, stride);
    do {
        size_t picked, to = 0;
        if ((code = op_index(n, ((const int64_t *)indices->data)[k], x->dim[axis], &picked, err))) return code;
        for (int i = 0; i < x->rank; i++)
            to += (i == axis ? picked : index[i]) * stride[i];
        put(&rc->values[n->outputs[0]], to, updates, k++, 1, reduction_of(n));
    } while (dims_next(x->rank, indices->dim, index));
    return RNND_OK;
}

/* indices [...][depth], updates [...][rest of x] */
static rnnd_code run_scatter_nd(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0), *indices, *updates;
    rnnd_code code = begin_scatter(rc, n, &indices, &updates, err);
    if (code) return code;
    if (indices->rank < 1 || x->rank < 1) return fail_gather(n, "wanted tensors of rank 1 at least", err);
    int q = indices->rank - 1;
    size_t depth = indices->dim[q];
    bool fits = depth >= 1 && depth <= (size_t)x->rank && updates->rank == q + x->rank - (int)depth;
    for (int i = 0; fits && i < updates->rank; i++)
        fits = updates->dim[i] == (i < q ? indices->dim[i] : x->dim[i - q + (int)depth]);
    if (!fits) return fail_gather(n, "the shapes of indices and updates do not go with that of the data", err);
    if (tensor_count(updates) == 0) return RNND_OK;
    size_t inner = dims_product(x->dim, (int)depth, x->rank), picks = dims_product(indices->dim, 0, q);
    for (size_t k = 0; k < picks; k++) {
        size_t to = 0;
        code = locate(n, x, (const int64_t *)indices->data + k * depth, depth, 0, &to, err);
        if (code) return code;
        put(&rc->values[n->outputs[0]], to, updates, k * inner, inner, reduction_of(n));
    }
    return RNND_OK;
}

/* ---- NonZero and Compress ---- */

static bool is_nonzero(const struct tensor *t, size_t i)
{
    if (t->dtype == DTYPE_F32) return ((const float *)t->data)[i] != 0;
    return t->dtype == DTYPE_I64 ? ((const int64_t *)t->data)[i] != 0 : ((const uint8_t *)t->data)[i] != 0;
}

/* y [rank][found]: where they are, in row-major order; a scalar counts as a list of one */
static rnnd_code run_nonzero(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    size_t found = 0, at = 0, index[MAX_RANK] = {0}, count = tensor_count(x), rank = x->rank ? (size_t)x->rank : 1;
    for (size_t i = 0; i < count; i++)
        found += is_nonzero(x, i);
    rnnd_code code = rc->output(rc, n, 0, DTYPE_I64, 2, (const size_t[]){rank, found}, err);
    if (code || found == 0) return code;
    int64_t *y = rc->values[n->outputs[0]].data;
    for (size_t i = 0; i < count; i++, dims_next(x->rank, x->dim, index)) {
        if (!is_nonzero(x, i)) continue;
        for (size_t d = 0; d < rank; d++)
            y[d * found + at] = (int64_t)index[d];
        at++;
    }
    return RNND_OK;
}

/* The slices along the axis whose condition is true; without an axis, elements. */
static rnnd_code run_compress(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0), *condition;
    struct tensor flat = {.dtype = x->dtype, .rank = 1, .dim = {tensor_count(x)}, .data = x->data};
    size_t dim[MAX_RANK], kept = 0;
    int axis = 0;
    rnnd_code code = op_typed(rc, n, 1, DTYPE_BOOL, &condition, err);
    if (!code && graph_find_attr(n, "axis"))
        code = op_axis(n, op_int(n, "axis", 0), x->rank, &axis, err);
    else
        x = &flat;
    if (code) return code;
    if (condition->rank != 1 || condition->dim[0] > x->dim[axis])
        return fail_gather(n, "the condition is longer than the axis", err);
    const uint8_t *keep = condition->data;
    for (size_t i = 0; i < condition->dim[0]; i++)
        kept += keep[i] != 0;
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = kept;
    code = rc->output(rc, n, 0, x->dtype, x->rank, dim, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    size_t inner = dims_product(dim, axis + 1, x->rank) * dtype_bytes(x->dtype), outer = dims_product(dim, 0, axis);
    char *y = rc->values[n->outputs[0]].data;
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < condition->dim[0]; i++)
            if (keep[i]) {
                memcpy(y, (const char *)x->data + (o * x->dim[axis] + i) * inner, inner);
                y += inner;
            }
    return RNND_OK;
}

static const char *const axis_attributes[] = {"axis", NULL};
static const char *const batch_attributes[] = {"batch_dims", NULL};
static const char *const scatter_attributes[] = {"axis", "reduction", NULL};
#define GATHER(id, onnx, inputs, attrs, checks, function)                                                             \
    static const struct op id = {                                                                                     \
        .name = onnx, .min_inputs = inputs, .max_inputs = inputs, .outputs = 1, .attributes = attrs,                  \
        .check = checks, .run = function}
GATHER(tensor_gather, "Gather", 2, axis_attributes, check_nothing, run_gather);
GATHER(tensor_gather_elements, "GatherElements", 2, axis_attributes, check_nothing, run_gather_elements);
GATHER(tensor_gather_nd, "GatherND", 2, batch_attributes, check_nothing, run_gather_nd);
GATHER(tensor_scatter_elements, "ScatterElements", 3, scatter_attributes, check_scatter, run_scatter_elements);
GATHER(tensor_scatter_nd, "ScatterND", 3, scatter_attributes + 1, check_scatter, run_scatter_nd);
GATHER(tensor_nonzero, "NonZero", 1, NULL, check_nothing, run_nonzero);
GATHER(tensor_compress, "Compress", 2, axis_attributes, check_nothing, run_compress);

const struct op *const ops_gather[] = {&tensor_gather,     &tensor_gather_elements, &tensor_gather_nd,
                                       &tensor_scatter_nd, &tensor_scatter_elements, &tensor_nonzero,
                                       &tensor_compress,   NULL};
