/* order.c -- tensor operators: where the order along an axis matters. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/tensor_util.h"

static rnnd_code fail_order(const struct graph_node *n, const char *what, rnnd_error *err)
{
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): %s", n->name, n->op->name, what);
}

/* ---- CumSum: y[k] = x[0] + ... + x[k] along the axis, added in this order ---- */

struct lane { /* one line along the axis: element k stands at `first` + k * `step` */
    size_t count, first;
    ptrdiff_t step;
    bool exclusive; /* without x[k] itself */
};

static void sum_floats(const struct lane *l, const float *x, float *y)
{
    float sum = 0;
    for (size_t k = 0; k < l->count; k++) {
        ptrdiff_t at = (ptrdiff_t)l->first + (ptrdiff_t)k * l->step;
        float next = sum + x[at];
        y[at] = l->exclusive ? sum : next;
        sum = next;
    }
}

static void sum_whole(const struct lane *l, const int64_t *x, int64_t *y)
{
    uint64_t sum = 0;
    for (size_t k = 0; k < l->count; k++) {
        ptrdiff_t at = (ptrdiff_t)l->first + (ptrdiff_t)k * l->step;
        uint64_t next = sum + (uint64_t)x[at];
        y[at] = (int64_t)(l->exclusive ? sum : next);
        sum = next;
    }
}

static rnnd_code run_cumsum(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    int64_t named;
    int axis;
    if (x->dtype == DTYPE_BOOL) return fail_order(n, "wanted numbers", err);
    rnnd_code code = op_one_int(rc, n, 1, 0, &named, err);
    if (!code) code = op_axis(n, named, x->rank, &axis, err);
    if (!code) code = rc->output(rc, n, 0, x->dtype, x->rank, x->dim, err);
    if (code || tensor_count(x) == 0) return code;
    size_t outer = dims_product(x->dim, 0, axis), inner = dims_product(x->dim, axis + 1, x->rank), size = x->dim[axis];
    bool reverse = op_int(n, "reverse", 0) != 0;
    struct lane l = {.count = size, .exclusive = op_int(n, "exclusive", 0) != 0};
    l.step = reverse ? -(ptrdiff_t)inner : (ptrdiff_t)inner;
    for (size_t i = 0; i < outer * inner; i++) {
        l.first = i / inner * size * inner + i % inner + (reverse ? (size - 1) * inner : 0);
        if (x->dtype == DTYPE_F32)
            sum_floats(&l, x->data, rc->values[n->outputs[0]].data);
        else
            sum_whole(&l, x->data, rc->values[n->outputs[0]].data);
    }
    return RNND_OK;
}

/* ---- TopK: the k largest (or smallest) along the axis, sorted; of equals the one that comes first ---- */

struct line {
    const struct tensor *x;
    size_t first, step;
    bool largest;
};

/* Does element a stand before element b in the answer? NaN counts as larger than all numbers. */
static bool stands_before(const struct line *l, size_t a, size_t b)
{
    int order; /* of the values: -1, 0, 1 */
    if (l->x->dtype == DTYPE_F32) {
        float u = ((const float *)l->x->data)[l->first + a * l->step];
        float v = ((const float *)l->x->data)[l->first + b * l->step];
        order = u != u || v != v ? (u != u) - (v != v) : (u > v) - (u < v);
    } else {
        int64_t u = ((const int64_t *)l->x->data)[l->first + a * l->step];
        int64_t v = ((const int64_t *)l->x->data)[l->first + b * l->step];
        order = (u > v) - (u < v);
    }
    if (order == 0) return a < b;
    return (order > 0) == l->largest;
}

/* A heap whose top is the last of the answer so far. */
static void sift_down(const struct line *l, size_t *heap, size_t count, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && stands_before(l, heap[child], heap[child + 1])) child++;
        if (!stands_before(l, heap[at], heap[child])) return;
        size_t swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
    }
}

static void pick_top(const struct line *l, size_t size, size_t *heap, size_t k)
{
    for (size_t i = 0; i < k; i++)
        heap[i] = i;
    for (size_t i = k / 2; i-- > 0;)
        sift_down(l, heap, k, i);
    for (size_t i = k; i < size; i++)
        if (stands_before(l, i, heap[0])) {
            heap[0] = i;
            sift_down(l, heap, k, 0);
        }
    for (size_t left = k; left-- > 1;) { /* sorts in place: the last goes to the end */
        size_t last = heap[0];
        heap[0] = heap[left];
        heap[left] = last;
        sift_down(l, heap, left, 0);
    }
}

static rnnd_code top_k_size(struct run_context *rc, const struct graph_node *n, int *axis, size_t *k, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    int64_t wanted;
    if (x->dtype == DTYPE_BOOL) return fail_order(n, "wanted numbers", err);
    rnnd_code code = op_axis(n, op_int(n, "axis", -1), x->rank, axis, err);
    if (!code) code = op_one_int(rc, n, 1, 0, &wanted, err);
    if (!code) code = op_dim(n, wanted, k, err);
    if (!code && *k > x->dim[*axis]) code = fail_order(n, "wanted more than there are along the axis", err);
    return code;
}

static rnnd_code run_top_k(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    int axis;
    size_t k, dim[MAX_RANK], bytes = dtype_bytes(x->dtype);
    rnnd_code code = top_k_size(rc, n, &axis, &k, err);
    if (code) return code;
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = k;
    if (op_wants(n, 0)) code = rc->output(rc, n, 0, x->dtype, x->rank, dim, err);
    if (!code && op_wants(n, 1)) code = rc->output(rc, n, 1, DTYPE_I64, x->rank, dim, err);
    if (code || tensor_count(x) == 0 || k == 0) return code;
    char *values = op_wants(n, 0) ? rc->values[n->outputs[0]].data : NULL;
    int64_t *places = op_wants(n, 1) ? rc->values[n->outputs[1]].data : NULL;
    size_t *heap = rc->scratch(rc, k * sizeof *heap), size = x->dim[axis];
    if (!heap) return fail_memory(err, k * sizeof *heap);
    size_t outer = dims_product(x->dim, 0, axis), inner = dims_product(x->dim, axis + 1, x->rank);
    struct line l = {.x = x, .step = inner, .largest = op_int(n, "largest", 1) != 0};
    for (size_t i = 0; i < outer * inner; i++) {
        l.first = i / inner * size * inner + i % inner;
        pick_top(&l, size, heap, k);
        for (size_t r = 0; r < k; r++) {
            size_t to = (i / inner * k + r) * inner + i % inner, from = l.first + heap[r] * inner;
            if (values) memcpy(values + to * bytes, (const char *)x->data + from * bytes, bytes);
            if (places) places[to] = (int64_t)heap[r];
        }
    }
    return RNND_OK;
}

/* ---- ReverseSequence: the first lengths[b] elements along the time axis, backwards ---- */

static rnnd_code run_reverse_sequence(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0), *lengths;
    size_t stride[MAX_RANK], index[MAX_RANK] = {0}, bytes = dtype_bytes(x->dtype);
    int batch, time;
    rnnd_code code = op_typed(rc, n, 1, DTYPE_I64, &lengths, err);
    if (!code) code = op_axis(n, op_int(n, "batch_axis", 1), x->rank, &batch, err);
    if (!code) code = op_axis(n, op_int(n, "time_axis", 0), x->rank, &time, err);
    if (code) return code;
    if (batch == time || lengths->rank != 1 || lengths->dim[0] != x->dim[batch])
        return fail_order(n, "wanted a length for each sequence of the batch", err);
    const int64_t *length = lengths->data;
    for (size_t i = 0; i < lengths->dim[0]; i++)
        if (length[i] < 0 || (uint64_t)length[i] > x->dim[time])
            return fail_order(n, "a length beyond the time axis", err);
    code = rc->output(rc, n, 0, x->dtype, x->rank, x->dim, err);
    if (code || tensor_count(x) == 0) return code;
    char *y = rc->values[n->outputs[0]].data;
    dims_strides(x->rank, x->dim, stride);
    do {
        size_t from = 0, t = index[time], until = (size_t)length[index[batch]];
        for (int i = 0; i < x->rank; i++)
            from += (i == time && t < until ? until - 1 - t : index[i]) * stride[i];
        memcpy(y, (const char *)x->data + from * bytes, bytes);
        y += bytes;
    } while (dims_next(x->rank, x->dim, index));
    return RNND_OK;
}

/* ---- Trilu: the upper (column - row >= k) or lower (<= k) part of each matrix, zeros elsewhere ---- */

static rnnd_code run_trilu(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = op_input(rc, n, 0);
    bool upper = op_int(n, "upper", 1) != 0;
    int64_t k;
    rnnd_code code = op_one_int(rc, n, 1, 0, &k, err);
    if (!code && x->rank < 2) code = fail_order(n, "wanted matrices", err);
    if (!code) code = rc->output(rc, n, 0, x->dtype, x->rank, x->dim, err);
    if (code || tensor_count(x) == 0) return code;
    size_t columns = x->dim[x->rank - 1], rows = x->dim[x->rank - 2], bytes = dtype_bytes(x->dtype);
    char *y = rc->values[n->outputs[0]].data;
    for (size_t i = 0, count = tensor_count(x); i < count; i++) {
        int64_t ahead = (int64_t)(i % columns) - (int64_t)(i / columns % rows);
        if (upper ? ahead >= k : ahead <= k)
            memcpy(y + i * bytes, (const char *)x->data + i * bytes, bytes);
        else
            memset(y + i * bytes, 0, bytes);
    }
    return RNND_OK;
}

static const char *const cumsum_attributes[] = {"exclusive", "reverse", NULL};
static const char *const top_k_attributes[] = {"axis", "largest", "sorted", NULL};
static const char *const reverse_attributes[] = {"batch_axis", "time_axis", NULL};
static const char *const trilu_attributes[] = {"upper", NULL};
#define ORDER(id, onnx, least, most, outs, attrs, function)                                                           \
    static const struct op id = {                                                                                     \
        .name = onnx, .min_inputs = least, .max_inputs = most, .outputs = outs, .attributes = attrs,                  \
        .check = check_nothing, .run = function}
ORDER(tensor_cumsum, "CumSum", 2, 2, 1, cumsum_attributes, run_cumsum);
ORDER(tensor_top_k, "TopK", 2, 2, 2, top_k_attributes, run_top_k);
ORDER(tensor_reverse_sequence, "ReverseSequence", 2, 2, 1, reverse_attributes, run_reverse_sequence);
ORDER(tensor_trilu, "Trilu", 1, 2, 1, trilu_attributes, run_trilu);

const struct op *const ops_order[] = {&tensor_cumsum, &tensor_top_k, &tensor_reverse_sequence, &tensor_trilu, NULL};
