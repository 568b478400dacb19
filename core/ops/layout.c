/* layout.c -- tensor operators: the same elements in another shape or order, cut and put together. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/tensor_util.h"

static rnnd_code fail_layout(const struct graph_node *n, const char *what, rnnd_error *err)
{
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): %s", n->name, n->op->name, what);
}

/* ---- views: other dims over the same memory ---- */

/* 0 keeps a dimension (or is one, with allowzero), -1 is what remains. */
static rnnd_code run_reshape(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    int64_t shape[MAX_RANK];
    size_t dim[MAX_RANK], rank, known = 1, elements = tensor_count(x);
    int rest = -1;
    char from[96];
    bool zero = op_int(n, "allowzero", 0) != 0;
    rnnd_code code = op_ints(rc, n, 1, shape, MAX_RANK, &rank, err);
    for (size_t i = 0; i < rank && !code; i++) {
        if (shape[i] == -1) {
            if (rest >= 0) return fail_layout(n, "a shape with -1 twice", err);
            rest = (int)i;
            continue;
        }
        if (shape[i] == 0 && !zero && (int)i >= x->rank)
            return fail_layout(n, "a shape keeps a dimension that is not there", err);
        code = op_dim(n, shape[i], &dim[i], err);
        if (shape[i] == 0 && !zero) dim[i] = x->dim[i];
        if (!code && !size_mul(known, dim[i], &known)) return fail_layout(n, "a shape beyond all memory", err);
    }
    if (code) return code;
    if (rest >= 0) dim[rest] = known ? elements / known : 0;
    if ((rest >= 0 ? known * dim[rest] : known) != elements || (rest >= 0 && known == 0))
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (Reshape): %s has %zu elements, which the wanted shape has not", n->name,
                       dims_text(x->rank, x->dim, from, sizeof from), elements);
    op_view(rc, n, 0, x, (int)rank, dim);
    return RNND_OK;
}

static rnnd_code run_flatten(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    int64_t axis = op_int(n, "axis", 1);
    if (axis < 0) axis += x->rank;
    if (axis < 0 || axis > x->rank) return fail_layout(n, "an axis that is not there", err);
    size_t dim[] = {1, 1};
    for (int i = 0; i < x->rank; i++)
        if (!size_mul(dim[i >= axis], x->dim[i], &dim[i >= axis]))
            return fail_layout(n, "a dimension beyond all memory", err);
    op_view(rc, n, 0, x, 2, dim);
    return RNND_OK;
}

static rnnd_code run_squeeze(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    int64_t axes[MAX_RANK];
    size_t count, dim[MAX_RANK];
    bool gone[MAX_RANK];
    int rank = 0;
    rnnd_code code = op_ints(rc, n, 1, axes, MAX_RANK, &count, err);
    if (!code) code = op_axes(n, axes, count, x->rank, gone, err);
    if (code) return code;
    for (int i = 0; i < x->rank; i++) {
        if (!op_input(rc, n, 1)) gone[i] = x->dim[i] == 1;
        if (gone[i] && x->dim[i] != 1)
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (Squeeze): axis %d is %zu long, wanted 1",
                           n->name, i, x->dim[i]);
        if (!gone[i]) dim[rank++] = x->dim[i];
    }
    op_view(rc, n, 0, x, rank, dim);
    return RNND_OK;
}

/* The axes are those of the output. */
static rnnd_code run_unsqueeze(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    int64_t axes[MAX_RANK];
    size_t count, dim[MAX_RANK];
    bool made[MAX_RANK];
    rnnd_code code = op_ints(rc, n, 1, axes, MAX_RANK, &count, err);
    if (!code) code = op_rank(n, (size_t)x->rank + count, err);
    int rank = x->rank + (int)count;
    if (!code) code = op_axes(n, axes, count, rank, made, err);
    if (code) return code;
    for (int i = 0, from = 0; i < rank; i++)
        dim[i] = made[i] ? 1 : x->dim[from++];
    op_view(rc, n, 0, x, rank, dim);
    return RNND_OK;
}

/* ---- Transpose ---- */

static rnnd_code run_transpose(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    size_t count, dim[MAX_RANK], stride[MAX_RANK];
    ptrdiff_t step[MAX_RANK];
    bool seen[MAX_RANK];
    const int64_t *perm = op_attr_ints(n, "perm", &count);
    if (perm && count != (size_t)x->rank)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (Transpose): %zu axes for a tensor of rank %d",
                       n->name, count, x->rank);
    rnnd_code code = perm ? op_axes(n, perm, count, x->rank, seen, err) : RNND_OK;
    if (code) return code;
    dims_strides(x->rank, x->dim, stride);
    for (int i = 0; i < x->rank; i++) {
        int64_t from = perm ? perm[i] < 0 ? perm[i] + x->rank : perm[i] : x->rank - 1 - i;
        dim[i] = x->dim[from];
        step[i] = (ptrdiff_t)stride[from];
    }
    code = rc->output(rc, n, 0, x->dtype, x->rank, dim, err);
    if (!code) dims_copy(dtype_bytes(x->dtype), x->rank, dim, x->data, step, rc->values[n->outputs[0]].data);
    return code;
}

/* ---- Concat and Split: parts along an axis, seen as [outer][part][inner] ---- */

#define MOST_PARTS 4096

static rnnd_code join_parts(struct run_context *rc, const struct graph_node *n, int *axis, size_t *dim, rnnd_error *err)
{
    const struct tensor *first = op_input(rc, n, 0);
    char found[96], wanted[96];
    rnnd_code code = op_axis(n, op_int(n, "axis", 0), first->rank, axis, err);
    if (code) return code;
    memcpy(dim, first->dim, sizeof first->dim);
    for (int k = 1; k < n->input_count; k++) {
        const struct tensor *x;
        code = op_typed(rc, n, k, first->dtype, &x, err);
        if (code) return code;
        bool fits = x->rank == first->rank;
        for (int i = 0; fits && i < x->rank; i++)
            fits = i == *axis || x->dim[i] == dim[i];
        if (!fits)
            return fail_at(err, RNND_MISMATCH, n->name,
                           "node \"%.80s\" (Concat): wanted shapes alike but for axis %d, found %s beside %s", n->name,
                           *axis, dims_text(x->rank, x->dim, found, sizeof found),
                           dims_text(first->rank, first->dim, wanted, sizeof wanted));
        if (!size_add(dim[*axis], x->dim[*axis], &dim[*axis])) return fail_layout(n, "more than there can be", err);
    }
    return RNND_OK;
}

static rnnd_code run_concat(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    size_t dim[MAX_RANK];
    int axis, rank = op_input(rc, n, 0)->rank;
    enum dtype dtype = op_input(rc, n, 0)->dtype;
    rnnd_code code = join_parts(rc, n, &axis, dim, err);
    if (!code) code = rc->output(rc, n, 0, dtype, rank, dim, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    size_t outer = dims_product(dim, 0, axis), inner = dims_product(dim, axis + 1, rank) * dtype_bytes(dtype);
    size_t row = dim[axis] * inner, at = 0;
    char *y = rc->values[n->outputs[0]].data;
    for (int k = 0; k < n->input_count; k++) {
        const struct tensor *x = op_input(rc, n, k);
        size_t part = x->dim[axis] * inner;
        for (size_t o = 0; o < outer && part; o++)
            memcpy(y + o * row + at, (const char *)x->data + o * part, part);
        at += part;
    }
    return RNND_OK;
}

/* How long part k is: as the input says, or all alike but for the last. */
static rnnd_code part_length(const struct graph_node *n, const struct tensor *lengths, size_t whole, int64_t parts,
                             int k, size_t *length, rnnd_error *err)
{
    if (lengths) return op_dim(n, ((const int64_t *)lengths->data)[k], length, err);
    size_t each = (whole + (size_t)parts - 1) / (size_t)parts, before = each * (size_t)k;
    if (before > whole) return fail_layout(n, "more parts than there are elements along the axis", err);
    *length = k + 1 < parts ? each : whole - before;
    return *length <= whole - before ? RNND_OK : fail_layout(n, "more parts than there are elements", err);
}

static rnnd_code take_part(struct run_context *rc, const struct graph_node *n, int k, int axis, size_t at,
                           size_t length, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    size_t dim[MAX_RANK], bytes = dtype_bytes(x->dtype);
    if (!op_wants(n, k)) return RNND_OK;
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = length;
    rnnd_code code = rc->output(rc, n, k, x->dtype, x->rank, dim, err);
    if (code || tensor_count(&rc->values[n->outputs[k]]) == 0) return code;
    size_t outer = dims_product(dim, 0, axis), inner = dims_product(dim, axis + 1, x->rank) * bytes;
    char *y = rc->values[n->outputs[k]].data;
    for (size_t o = 0; o < outer; o++)
        memcpy(y + o * length * inner, (const char *)x->data + (o * x->dim[axis] + at) * inner, length * inner);
    return RNND_OK;
}

static rnnd_code run_split(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0), *lengths = op_input(rc, n, 1);
    int64_t parts = op_int(n, "num_outputs", n->output_count);
    int axis;
    rnnd_code code = op_axis(n, op_int(n, "axis", 0), x->rank, &axis, err);
    if (code) return code;
    size_t whole = x->dim[axis], at = 0;
    if (lengths) {
        if ((code = op_typed(rc, n, 1, DTYPE_I64, &lengths, err))) return code;
        parts = lengths->rank == 1 ? (int64_t)lengths->dim[0] : -1;
    } else if (!graph_find_attr(n, "num_outputs") && whole % (size_t)parts != 0) {
        return fail_layout(n, "the axis does not divide into so many equal parts", err);
    }
    if (parts != n->output_count) return fail_layout(n, "wanted as many lengths as outputs", err);
    for (int k = 0; k < parts && !code; k++) {
        size_t length;
        code = part_length(n, lengths, whole, parts, k, &length, err);
        if (!code && length > whole - at) code = fail_layout(n, "its parts are longer than the axis", err);
        if (!code) code = take_part(rc, n, k, axis, at, length, err);
        if (!code) at += length;
    }
    return code || at == whole ? code : fail_layout(n, "its parts are shorter than the axis", err);
}

/* ---- Slice ---- */

/* Elements start, start + step, ... before end; all are moved into the axis as ONNX says. */
static size_t slice_length(size_t size, int64_t *start, int64_t end, int64_t step)
{
    int64_t dim = (int64_t)size, low = step < 0 ? -1 : 0, top = step < 0 ? dim - 1 : dim;
    if (size == 0) return 0;
    if (*start < 0) *start += dim;
    *start = *start < 0 ? 0 : *start > top ? top : *start;
    if (end < 0) end += dim;
    end = end < low ? low : end > dim ? dim : end;
    uint64_t by = step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
    int64_t way = step < 0 ? *start - end : end - *start;
    return way <= 0 ? 0 : (size_t)(((uint64_t)way - 1) / by + 1);
}

struct slice {
    int64_t starts[MAX_RANK], ends[MAX_RANK], axes[MAX_RANK], steps[MAX_RANK];
    size_t count;
};

static rnnd_code read_slice(struct run_context *rc, const struct graph_node *n, struct slice *s, rnnd_error *err)
{
    size_t ends, axes, steps;
    rnnd_code code = op_ints(rc, n, 1, s->starts, MAX_RANK, &s->count, err);
    if (!code) code = op_ints(rc, n, 2, s->ends, MAX_RANK, &ends, err);
    if (!code) code = op_ints(rc, n, 3, s->axes, MAX_RANK, &axes, err);
    if (!code) code = op_ints(rc, n, 4, s->steps, MAX_RANK, &steps, err);
    if (code) return code;
    bool has_axes = op_input(rc, n, 3) != NULL, has_steps = op_input(rc, n, 4) != NULL;
    if (ends != s->count || (has_axes && axes != s->count) || (has_steps && steps != s->count))
        return fail_layout(n, "wanted as many ends, axes and steps as starts", err);
    for (size_t i = 0; i < s->count; i++) {
        if (!has_axes) s->axes[i] = (int64_t)i;
        if (!has_steps) s->steps[i] = 1;
        if (s->steps[i] == 0) return fail_layout(n, "a step of 0", err);
    }
    return RNND_OK;
}

static rnnd_code run_slice(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    struct slice s;
    size_t dim[MAX_RANK], stride[MAX_RANK], bytes = dtype_bytes(x->dtype), from = 0;
    ptrdiff_t step[MAX_RANK];
    bool seen[MAX_RANK];
    rnnd_code code = read_slice(rc, n, &s, err);
    if (!code) code = op_axes(n, s.axes, s.count, x->rank, seen, err);
    if (code) return code;
    memcpy(dim, x->dim, sizeof dim);
    dims_strides(x->rank, x->dim, stride);
    for (int i = 0; i < x->rank; i++)
        step[i] = (ptrdiff_t)stride[i];
    for (size_t i = 0; i < s.count; i++) {
        int64_t axis = s.axes[i] < 0 ? s.axes[i] + x->rank : s.axes[i];
        dim[axis] = slice_length(x->dim[axis], &s.starts[i], s.ends[i], s.steps[i]);
        if (dim[axis]) from += (size_t)s.starts[i] * stride[axis];
        step[axis] = dim[axis] > 1 ? (ptrdiff_t)s.steps[i] * (ptrdiff_t)stride[axis] : 0;
    }
    code = rc->output(rc, n, 0, x->dtype, x->rank, dim, err);
    struct tensor *y = &rc->values[n->outputs[0]];
    if (code || tensor_count(y) == 0) return code;
    dims_copy(bytes, x->rank, dim, (const char *)x->data + from * bytes, step, y->data);
    return RNND_OK;
}

static const char *const reshape_attributes[] = {"allowzero", NULL};
static const char *const axis_attributes[] = {"axis", NULL};
static const char *const perm_attributes[] = {"perm", NULL};
static const char *const split_attributes[] = {"axis", "num_outputs", NULL};

static rnnd_code check_concat(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    return graph_find_attr(n, "axis") ? RNND_OK : fail_layout(n, "wanted the attribute axis", err);
}

#define LAYOUT(id, onnx, least, most, outs, attrs, checks, function)                                                  \
    static const struct op id = {                                                                                     \
        .name = onnx, .min_inputs = least, .max_inputs = most, .outputs = outs, .attributes = attrs,                  \
        .check = checks, .run = function}
LAYOUT(tensor_reshape, "Reshape", 2, 2, 1, reshape_attributes, check_nothing, run_reshape);
LAYOUT(tensor_flatten, "Flatten", 1, 1, 1, axis_attributes, check_nothing, run_flatten);
LAYOUT(tensor_squeeze, "Squeeze", 1, 2, 1, NULL, check_nothing, run_squeeze);
LAYOUT(tensor_unsqueeze, "Unsqueeze", 2, 2, 1, NULL, check_nothing, run_unsqueeze);
LAYOUT(tensor_transpose, "Transpose", 1, 1, 1, perm_attributes, check_nothing, run_transpose);
LAYOUT(tensor_concat, "Concat", 1, MOST_PARTS, 1, axis_attributes, check_concat, run_concat);
LAYOUT(tensor_split, "Split", 1, 2, MOST_PARTS, split_attributes, check_nothing, run_split);
LAYOUT(tensor_slice, "Slice", 3, 5, 1, NULL, check_nothing, run_slice);

const struct op *const ops_layout[] = {&tensor_reshape,   &tensor_flatten, &tensor_squeeze, &tensor_unsqueeze,
                                       &tensor_transpose, &tensor_concat,  &tensor_split,   &tensor_slice,
                                       NULL};
