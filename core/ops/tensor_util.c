/* tensor_util.c -- what the tensor operators share: small integer inputs, axes, lists of attributes, sizes, strides. */
#include "core/ops/tensor_util.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"

static const void *attr_list(const struct graph_node *n, const char *name, enum attr_kind kind, size_t *count)
{
    const struct attr *a = graph_find_attr(n, name);
    bool there = a && a->kind == kind;
    *count = there ? a->count : 0;
    return there ? a->p : NULL;
}

const int64_t *op_attr_ints(const struct graph_node *n, const char *name, size_t *count)
{
    return attr_list(n, name, ATTR_INTS, count);
}

const float *op_attr_floats(const struct graph_node *n, const char *name, size_t *count)
{
    return attr_list(n, name, ATTR_FLOATS, count);
}

const char *const *op_attr_strings(const struct graph_node *n, const char *name, size_t *count)
{
    return attr_list(n, name, ATTR_STRINGS, count);
}

const char *op_string(const struct graph_node *n, const char *name, const char *absent)
{
    const struct attr *a = graph_find_attr(n, name);
    return a && a->kind == ATTR_STRING && a->s ? a->s : absent;
}

bool op_wants(const struct graph_node *n, int i)
{
    return i < n->output_count && n->outputs[i] >= 0;
}

const char *dtype_name(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? "float" : dtype == DTYPE_I64 ? "int64" : "bool";
}

rnnd_code op_typed(const struct run_context *rc, const struct graph_node *n, int i, enum dtype dtype,
                   const struct tensor **out, rnnd_error *err)
{
    *out = op_input(rc, n, i);
    if (*out && (*out)->dtype == dtype) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): input %d: wanted a tensor of %s, found %s",
                   n->name, n->op->name, i, dtype_name(dtype), *out ? dtype_name((*out)->dtype) : "nothing");
}

rnnd_code op_ints(const struct run_context *rc, const struct graph_node *n, int input, int64_t *out, size_t cap,
                  size_t *count, rnnd_error *err)
{
    const struct tensor *t = op_input(rc, n, input);
    *count = 0;
    if (!t) return RNND_OK;
    rnnd_code code = op_typed(rc, n, input, DTYPE_I64, &t, err);
    if (code) return code;
    size_t found = tensor_count(t);
    if (t->rank > 1 || found > cap)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (%s): input %d: wanted a list of at most %zu numbers, found %zu in rank %d",
                       n->name, n->op->name, input, cap, found, t->rank);
    if (found) memcpy(out, t->data, found * sizeof *out);
    *count = found;
    return RNND_OK;
}

rnnd_code op_one_int(const struct run_context *rc, const struct graph_node *n, int input, int64_t absent, int64_t *out,
                     rnnd_error *err)
{
    size_t count;
    *out = absent;
    if (!op_input(rc, n, input)) return RNND_OK;
    rnnd_code code = op_ints(rc, n, input, out, 1, &count, err);
    if (code || count == 1) return code;
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): input %d: wanted one number, found none", n->name,
                   n->op->name, input);
}

rnnd_code op_one_float(const struct run_context *rc, const struct graph_node *n, int input, float absent, float *out,
                       rnnd_error *err)
{
    const struct tensor *t = op_input(rc, n, input);
    *out = absent;
    if (!t) return RNND_OK;
    rnnd_code code = op_typed(rc, n, input, DTYPE_F32, &t, err);
    if (code) return code;
    if (tensor_count(t) != 1)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): input %d: wanted one number, found %zu",
                       n->name, n->op->name, input, tensor_count(t));
    *out = *(const float *)t->data;
    return RNND_OK;
}

rnnd_code op_axis(const struct graph_node *n, int64_t axis, int rank, int *out, rnnd_error *err)
{
    *out = 0;
    if (axis < -rank || axis >= rank)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): axis %lld of a tensor of rank %d", n->name,
                       n->op->name, (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return RNND_OK;
}

rnnd_code op_axes(const struct graph_node *n, const int64_t *axes, size_t count, int rank, bool *mask, rnnd_error *err)
{
    memset(mask, 0, MAX_RANK * sizeof *mask);
    for (size_t i = 0; i < count; i++) {
        int axis;
        rnnd_code code = op_axis(n, axes[i], rank, &axis, err);
        if (code) return code;
        if (mask[axis])
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): axis %lld is named twice", n->name,
                           n->op->name, (long long)axes[i]);
        mask[axis] = true;
    }
    return RNND_OK;
}

rnnd_code op_dim(const struct graph_node *n, int64_t v, size_t *out, rnnd_error *err)
{
    *out = v < 0 ? 0 : (size_t)v;
    if (v >= 0) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): a dimension of %lld", n->name, n->op->name,
                   (long long)v);
}

rnnd_code op_rank(const struct graph_node *n, size_t rank, rnnd_error *err)
{
    if (rank <= MAX_RANK) return RNND_OK;
    return fail_at(err, RNND_UNSUPPORTED, n->name, "node \"%.80s\" (%s): wanted rank %d at most, found %zu", n->name,
                   n->op->name, MAX_RANK, rank);
}

rnnd_code op_index(const struct graph_node *n, int64_t index, size_t size, size_t *out, rnnd_error *err)
{
    int64_t at = index < 0 ? index + (int64_t)size : index;
    *out = 0;
    if (at < 0 || at >= (int64_t)size)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): index %lld into an axis of %zu", n->name,
                       n->op->name, (long long)index, size);
    *out = (size_t)at;
    return RNND_OK;
}

size_t dims_product(const size_t *dim, int from, int to)
{
    size_t product = 1;
    for (int i = from; i < to; i++)
        product *= dim[i];
    return product;
}

void dims_strides(int rank, const size_t *dim, size_t *stride)
{
    size_t step = 1;
    for (int i = rank; i-- > 0;) {
        stride[i] = step;
        step *= dim[i];
    }
}

bool dims_next(int rank, const size_t *dim, size_t *index)
{
    for (int i = rank; i-- > 0;) {
        if (++index[i] < dim[i]) return true;
        index[i] = 0;
    }
    return false;
}

static void copy_row(size_t bytes, size_t n, const char *from, ptrdiff_t step, char *to)
{
    if (step == 1) {
        memcpy(to, from, n * bytes);
        return;
    }
    for (size_t i = 0; i < n; i++, from += step * (ptrdiff_t)bytes, to += bytes) {
        if (bytes == 4)
            memcpy(to, from, 4);
        else if (bytes == 8)
            memcpy(to, from, 8);
        else
            memcpy(to, from, bytes);
    }
}

void dims_copy(size_t element_bytes, int rank, const size_t *dim, const void *from, const ptrdiff_t *step, void *to)
{
    size_t extent[2 * MAX_RANK], index[2 * MAX_RANK] = {0};
    ptrdiff_t stride[2 * MAX_RANK], bytes = (ptrdiff_t)element_bytes;
    int axes = 0; /* those longer than 1; two that run on without a break are one */
    for (int i = 0; i < rank; i++) {
        if (dim[i] == 0) return;
        if (dim[i] == 1) continue;
        if (axes && stride[axes - 1] == step[i] * (ptrdiff_t)dim[i]) {
            extent[axes - 1] *= dim[i];
        } else {
            extent[axes++] = dim[i];
        }
        stride[axes - 1] = step[i];
    }
    if (axes == 0) {
        memcpy(to, from, element_bytes);
        return;
    }
    const char *at = from;
    size_t width = extent[--axes];
    for (char *out = to;; out += width * element_bytes) {
        copy_row(element_bytes, width, at, stride[axes], out);
        int i = axes;
        while (i-- > 0) {
            at += stride[i] * bytes;
            if (++index[i] < extent[i]) break;
            at -= stride[i] * bytes * (ptrdiff_t)extent[i];
            index[i] = 0;
        }
        if (i < 0) return;
    }
}

const char *dims_text(int rank, const size_t *dim, char *buf, size_t cap)
{
    size_t at = (size_t)snprintf(buf, cap, "[");
    for (int i = 0; i < rank && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, i ? ", %zu" : "%zu", dim[i]);
    if (at < cap) snprintf(buf + at, cap - at, "]");
    return buf;
}

void op_view(struct run_context *rc, const struct graph_node *n, int i, const struct tensor *x, int rank,
             const size_t *dim)
{
    struct tensor view = {.dtype = x->dtype, .rank = rank, .data = x->data};
    memcpy(view.dim, dim, (size_t)rank * sizeof *dim);
    rc->values[n->outputs[i]] = view;
}

rnnd_code check_nothing(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    (void)n;
    (void)err;
    return RNND_OK;
}

int64_t whole_number(double v, int64_t least, int64_t most)
{
    if (v != v) return 0;
    return v <= (double)least ? least : v >= (double)most ? most : (int64_t)v;
}
