/* fill.c -- tensor operators: shapes as numbers, and tensors made from them or spread over them. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/broadcast.h"
#include "core/ops/ops.h"
#include "core/ops/tensor_util.h"

static rnnd_code fail_fill(const struct graph_node *n, const char *what, rnnd_error *err)
{
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): %s", n->name, n->op->name, what);
}

/* ---- shapes as numbers ---- */

static int64_t clamp_axis(int64_t axis, int rank)
{
    if (axis < 0) axis += rank;
    return axis < 0 ? 0 : axis > rank ? rank : axis;
}

static rnnd_code run_shape(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    int64_t start = clamp_axis(op_int(n, "start", 0), x->rank), end = clamp_axis(op_int(n, "end", x->rank), x->rank);
    size_t count = end > start ? (size_t)(end - start) : 0;
    rnnd_code code = rc->output(rc, n, 0, DTYPE_I64, 1, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        ((int64_t *)rc->values[n->outputs[0]].data)[i] = (int64_t)x->dim[(size_t)start + i];
    return code;
}

static rnnd_code run_size(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    rnnd_code code = rc->output(rc, n, 0, DTYPE_I64, 0, NULL, err);
    if (!code) *(int64_t *)rc->values[n->outputs[0]].data = (int64_t)tensor_count(op_input(rc, n, 0));
    return code;
}

/* ---- one value, or one tensor, over a shape ---- */

static void fill(struct tensor *t, const void *value)
{
    size_t bytes = dtype_bytes(t->dtype), count = tensor_count(t);
    for (size_t i = 0; i < count; i++)
        memcpy((char *)t->data + i * bytes, value, bytes);
}

/* The shape that an input names. */
static rnnd_code read_shape(struct run_context *rc, const struct graph_node *n, int input, int *rank, size_t *dim,
                            rnnd_error *err)
{
    int64_t shape[MAX_RANK];
    size_t count;
    rnnd_code code = op_ints(rc, n, input, shape, MAX_RANK, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        code = op_dim(n, shape[i], &dim[i], err);
    *rank = (int)count;
    return code;
}

/* The value is a second input of one element, or the attribute `value`: a number or a struct tensor; absent, 0.0. */
static rnnd_code run_constant_of_shape(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct attr *a = graph_find_attr(n, "value");
    float number = a && a->kind == ATTR_FLOAT ? a->f : 0;
    int64_t whole = a && a->kind == ATTR_INT ? a->i : 0;
    struct tensor own = {.dtype = DTYPE_F32, .data = &number};
    const struct tensor *value = op_input(rc, n, 1);
    if (a && a->kind == ATTR_INT) own = (struct tensor){.dtype = DTYPE_I64, .data = &whole};
    if (!value) value = a && a->kind == ATTR_POINTER && a->p ? a->p : &own;
    if (tensor_count(value) != 1) return fail_fill(n, "wanted one value", err);
    int rank;
    size_t dim[MAX_RANK];
    rnnd_code code = read_shape(rc, n, 0, &rank, dim, err);
    if (!code) code = rc->output(rc, n, 0, value->dtype, rank, dim, err);
    if (!code) fill(&rc->values[n->outputs[0]], value->data);
    return code;
}

/* Broadcasting both ways: 1 in the shape keeps a dimension. */
static rnnd_code run_expand(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    struct tensor shape = {.rank = 0};
    struct broadcast b;
    size_t stride[MAX_RANK];
    ptrdiff_t step[MAX_RANK];
    rnnd_code code = read_shape(rc, n, 1, &shape.rank, shape.dim, err);
    if (!code) code = broadcast_join(&b, n, (const struct tensor *const[]){x, &shape}, 2, err);
    if (!code) code = rc->output(rc, n, 0, x->dtype, b.rank, b.dim, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    int missing = b.rank - x->rank;
    dims_strides(x->rank, x->dim, stride);
    for (int i = 0; i < b.rank; i++)
        step[i] = i < missing || x->dim[i - missing] == 1 ? 0 : (ptrdiff_t)stride[i - missing];
    dims_copy(dtype_bytes(x->dtype), b.rank, b.dim, x->data, step, rc->values[n->outputs[0]].data);
    return RNND_OK;
}

/* Each axis is seen as [repeats][dimension]. */
static rnnd_code run_tile(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    size_t repeats[MAX_RANK], dim[MAX_RANK], stride[MAX_RANK], both[2 * MAX_RANK];
    ptrdiff_t step[2 * MAX_RANK];
    int count;
    rnnd_code code = read_shape(rc, n, 1, &count, repeats, err);
    if (code) return code;
    if (count != x->rank) return fail_fill(n, "wanted a number of repeats for each axis", err);
    dims_strides(x->rank, x->dim, stride);
    for (int i = 0; i < x->rank; i++) {
        if (!size_mul(x->dim[i], repeats[i], &dim[i])) return fail_fill(n, "a dimension beyond all memory", err);
        both[2 * i] = repeats[i];
        both[2 * i + 1] = x->dim[i];
        step[2 * i] = 0;
        step[2 * i + 1] = (ptrdiff_t)stride[i];
    }
    code = rc->output(rc, n, 0, x->dtype, x->rank, dim, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    dims_copy(dtype_bytes(x->dtype), 2 * x->rank, both, x->data, step, rc->values[n->outputs[0]].data);
    return RNND_OK;
}

/* ---- Range ---- */

static rnnd_code range_whole(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    int64_t v[3];
    size_t count = 0;
    rnnd_code code = RNND_OK;
    for (int i = 0; i < 3 && !code; i++)
        code = op_one_int(rc, n, i, 0, &v[i], err);
    if (code) return code;
    if (v[2] == 0) return fail_fill(n, "a step of 0", err);
    bool forward = v[2] > 0;
    if (forward ? v[1] > v[0] : v[1] < v[0]) {
        uint64_t way = forward ? (uint64_t)v[1] - (uint64_t)v[0] : (uint64_t)v[0] - (uint64_t)v[1];
        count = (size_t)((way - 1) / (forward ? (uint64_t)v[2] : 0 - (uint64_t)v[2]) + 1);
    }
    code = rc->output(rc, n, 0, DTYPE_I64, 1, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        ((int64_t *)rc->values[n->outputs[0]].data)[i] = (int64_t)((uint64_t)v[0] + i * (uint64_t)v[2]);
    return code;
}

static rnnd_code run_range(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    float v[3];
    rnnd_code code = RNND_OK;
    if (op_input(rc, n, 0)->dtype == DTYPE_I64) return range_whole(rc, n, err);
    for (int i = 0; i < 3 && !code; i++)
        code = op_one_float(rc, n, i, 0, &v[i], err);
    if (code) return code;
    double length = ceil(((double)v[1] - (double)v[0]) / (double)v[2]);
    if (v[2] == 0 || length != length || length - length != 0)
        return fail_fill(n, "wanted finite limits and a step other than 0", err);
    size_t count = length <= 0 ? 0 : length >= 0x1p62 ? (size_t)1 << 62 : (size_t)length;
    code = rc->output(rc, n, 0, DTYPE_F32, 1, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        ((float *)rc->values[n->outputs[0]].data)[i] = v[0] + (float)i * v[2];
    return code;
}

/* ---- OneHot: values are [off, on]; an index beyond the depth is off everywhere ---- */

static int64_t index_at(const struct tensor *t, size_t i)
{
    if (t->dtype == DTYPE_I64) return ((const int64_t *)t->data)[i];
    return whole_number((double)((const float *)t->data)[i], INT64_MIN, INT64_MAX);
}

static rnnd_code one_hot_depth(struct run_context *rc, const struct graph_node *n, size_t *depth, rnnd_error *err)
{
    const struct tensor *t = op_input(rc, n, 1);
    if (t->dtype == DTYPE_BOOL || tensor_count(t) != 1) return fail_fill(n, "wanted one number as depth", err);
    return op_dim(n, index_at(t, 0), depth, err);
}

static rnnd_code run_one_hot(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0), *values = op_input(rc, n, 2);
    size_t dim[MAX_RANK], depth, bytes = dtype_bytes(values->dtype);
    int axis;
    if (x->dtype == DTYPE_BOOL || values->rank != 1 || values->dim[0] != 2)
        return fail_fill(n, "wanted numbers as indices and two values", err);
    rnnd_code code = op_rank(n, (size_t)x->rank + 1, err);
    if (!code) code = op_axis(n, op_int(n, "axis", -1), x->rank + 1, &axis, err);
    if (!code) code = one_hot_depth(rc, n, &depth, err);
    if (code) return code;
    for (int i = 0; i <= x->rank; i++)
        dim[i] = i == axis ? depth : x->dim[i - (i > axis)];
    code = rc->output(rc, n, 0, values->dtype, x->rank + 1, dim, err);
    struct tensor *y = &rc->values[n->outputs[0]];
    if (code || tensor_count(y) == 0) return code;
    fill(y, values->data);
    size_t inner = dims_product(dim, axis + 1, x->rank + 1);
    for (size_t i = 0, count = tensor_count(x); i < count; i++) {
        int64_t at = index_at(x, i);
        if (at < 0) at += (int64_t)depth;
        if (at < 0 || at >= (int64_t)depth) continue;
        size_t to = (i / inner * depth + (size_t)at) * inner + i % inner;
        memcpy((char *)y->data + to * bytes, (const char *)values->data + bytes, bytes);
    }
    return RNND_OK;
}

/* ---- Pad ---- */

enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP, PAD_MODES };
static const char *const pad_modes[] = {"constant", "reflect", "edge", "wrap"};

static enum pad_mode pad_mode(const struct graph_node *n)
{
    const char *mode = op_string(n, "mode", "constant");
    int i = 0;
    while (i < PAD_MODES && strcmp(pad_modes[i], mode) != 0)
        i++;
    return (enum pad_mode)i;
}

static rnnd_code check_pad(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    if (pad_mode(n) < PAD_MODES) return RNND_OK;
    return fail_at(err, RNND_UNSUPPORTED, "mode", "node \"%.80s\" (Pad): mode \"%.80s\"", n->name,
                   op_string(n, "mode", ""));
}

/* Where element o of a padded axis comes from, -1: the constant. Negative pads have cut the axis to [low, high). */
static int64_t pad_source(enum pad_mode mode, int64_t o, int64_t before, int64_t low, int64_t high)
{
    int64_t at = o - before, size = high - low;
    if (at >= low && at < high) return at;
    if (mode == PAD_CONSTANT) return -1;
    if (mode == PAD_EDGE) return at < low ? low : high - 1;
    if (mode == PAD_WRAP) return low + ((at - low) % size + size) % size;
    int64_t period = size > 1 ? 2 * (size - 1) : 1, place = ((at - low) % period + period) % period;
    return low + (place < size ? place : period - place);
}

struct pad { int64_t before[MAX_RANK], after[MAX_RANK]; };

static rnnd_code read_pads(struct run_context *rc, const struct graph_node *n, int rank, struct pad *p, rnnd_error *err)
{
    int64_t pads[2 * MAX_RANK], axes[MAX_RANK];
    size_t count, named;
    bool seen[MAX_RANK];
    *p = (struct pad){{0}, {0}};
    rnnd_code code = op_ints(rc, n, 1, pads, 2 * MAX_RANK, &count, err);
    if (!code) code = op_ints(rc, n, 3, axes, MAX_RANK, &named, err);
    if (code) return code;
    if (!op_input(rc, n, 3))
        for (named = 0; named < (size_t)rank; named++)
            axes[named] = (int64_t)named;
    if (count != 2 * named) return fail_fill(n, "wanted two pads for each axis", err);
    code = op_axes(n, axes, named, rank, seen, err);
    for (size_t i = 0; i < named && !code; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        p->before[axis] = pads[i];
        p->after[axis] = pads[i + named];
    }
    return code;
}

static rnnd_code padded_dims(const struct graph_node *n, const struct tensor *x, const struct pad *p, size_t *dim,
                             rnnd_error *err)
{
    enum pad_mode mode = pad_mode(n);
    for (int i = 0; i < x->rank; i++) {
        int64_t size = (int64_t)x->dim[i], kept = size, total;
        bool over = __builtin_add_overflow(size, p->before[i], &total);
        if (over || __builtin_add_overflow(total, p->after[i], &total))
            return fail_fill(n, "a dimension beyond all memory", err);
        rnnd_code code = op_dim(n, total, &dim[i], err);
        if (code) return code;
        if (p->before[i] < 0) kept += p->before[i]; /* cannot overflow: the total is not negative */
        if (p->after[i] < 0) kept += p->after[i];
        if (kept < 0) return fail_fill(n, "cuts off more than there is", err);
        bool far = mode == PAD_REFLECT && (p->before[i] >= kept || p->after[i] >= kept);
        if (mode != PAD_CONSTANT && total > 0 && (kept <= 0 || far) && (p->before[i] > 0 || p->after[i] > 0))
            return fail_fill(n, "pads longer than what is there to be repeated", err);
    }
    return RNND_OK;
}

/* The value for `constant`: a scalar of x's type, 0 where absent. */
static rnnd_code pad_value(struct run_context *rc, const struct graph_node *n, enum dtype dtype, const void **value,
                           rnnd_error *err)
{
    static const int64_t zero = 0;
    const struct tensor *t = op_input(rc, n, 2);
    *value = &zero;
    if (!t) return RNND_OK;
    rnnd_code code = op_typed(rc, n, 2, dtype, &t, err);
    if (!code && tensor_count(t) != 1) code = fail_fill(n, "wanted one value to pad with", err);
    if (!code) *value = t->data;
    return code;
}

/* Sources of every element of every axis, in elements of x (times the axis's stride), -1 for the constant. */
static int64_t *pad_sources(struct run_context *rc, const struct graph_node *n, const struct tensor *x,
                            const struct pad *p, const size_t *dim)
{
    size_t all = 0, stride[MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        all += dim[i];
    int64_t *sources = rc->scratch(rc, all * sizeof *sources), *at = sources;
    if (!sources) return NULL;
    dims_strides(x->rank, x->dim, stride);
    for (int i = 0; i < x->rank; i++) {
        int64_t low = p->before[i] < 0 ? -p->before[i] : 0, size = (int64_t)x->dim[i];
        int64_t high = p->after[i] < 0 ? size + p->after[i] : size;
        for (size_t o = 0; o < dim[i]; o++) {
            int64_t from = pad_source(pad_mode(n), (int64_t)o, p->before[i], low, high);
            *at++ = from < 0 ? -1 : from * (int64_t)stride[i];
        }
    }
    return sources;
}

static rnnd_code run_pad(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    struct pad p;
    const void *value;
    size_t dim[MAX_RANK], index[MAX_RANK] = {0}, bytes = dtype_bytes(x->dtype);
    rnnd_code code = read_pads(rc, n, x->rank, &p, err);
    if (!code) code = padded_dims(n, x, &p, dim, err);
    if (!code) code = pad_value(rc, n, x->dtype, &value, err);
    if (!code) code = rc->output(rc, n, 0, x->dtype, x->rank, dim, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    const int64_t *sources = pad_sources(rc, n, x, &p, dim);
    if (!sources) return fail_memory(err, sizeof *sources);
    char *y = rc->values[n->outputs[0]].data;
    do {
        int64_t from = 0;
        const int64_t *of_axis = sources;
        for (int i = 0; i < x->rank && from >= 0; of_axis += dim[i++])
            from = of_axis[index[i]] < 0 ? -1 : from + of_axis[index[i]];
        memcpy(y, from < 0 ? value : (const char *)x->data + (size_t)from * bytes, bytes);
        y += bytes;
    } while (dims_next(x->rank, dim, index));
    return RNND_OK;
}

static const char *const shape_attributes[] = {"start", "end", NULL};
static const char *const value_attributes[] = {"value", NULL};
static const char *const axis_attributes[] = {"axis", NULL};
static const char *const pad_attributes[] = {"mode", NULL};
#define FILL(id, onnx, least, most, attrs, checks, function)                                                          \
    static const struct op id = {                                                                                     \
        .name = onnx, .min_inputs = least, .max_inputs = most, .outputs = 1, .attributes = attrs, .check = checks,    \
        .run = function}
FILL(tensor_shape, "Shape", 1, 1, shape_attributes, check_nothing, run_shape);
FILL(tensor_size, "Size", 1, 1, NULL, check_nothing, run_size);
FILL(tensor_constant_of_shape, "ConstantOfShape", 1, 2, value_attributes, check_nothing, run_constant_of_shape);
FILL(tensor_expand, "Expand", 2, 2, NULL, check_nothing, run_expand);
FILL(tensor_tile, "Tile", 2, 2, NULL, check_nothing, run_tile);
FILL(tensor_range, "Range", 3, 3, NULL, check_nothing, run_range);
FILL(tensor_one_hot, "OneHot", 3, 3, axis_attributes, check_nothing, run_one_hot);
FILL(tensor_pad, "Pad", 2, 4, pad_attributes, check_pad, run_pad);

const struct op *const ops_fill[] = {&tensor_shape, &tensor_size,  &tensor_constant_of_shape, &tensor_expand,
                                     &tensor_tile,  &tensor_range, &tensor_one_hot,           &tensor_pad,
                                     NULL};
