/* pool.c -- tensor operators: MaxPool, AveragePool and their global forms. Averages are summed in order, in double
 * precision. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/tensor_util.h"
#include "core/ops/window.h"

static rnnd_code check(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    if (op_wants(n, 1))
        return fail_at(err, RNND_UNSUPPORTED, n->name, "node \"%.80s\" (%s): its output of indices is not supported",
                       n->name, n->op->name);
    return RNND_OK;
}

/* Of the kernel elements that output o sees along an axis: first..last-1 fall into the input, `padded` from 0 on into
 * the input and its padding. */
struct span { size_t first, last, padded; };

/* How many kernel elements stand before `end`, from the place `base` on. */
static size_t before(const struct window *w, int a, int64_t base, int64_t end)
{
    if (base >= end) return 0;
    uint64_t count = (uint64_t)(end - 1 - base) / (uint64_t)w->dilation[a] + 1;
    return count < w->kernel[a] ? (size_t)count : w->kernel[a];
}

static struct span span_of(const struct window *w, int a, size_t o)
{
    int64_t base = window_place(w, a, o, 0), in = (int64_t)w->in[a];
    return (struct span){before(w, a, base, 0), before(w, a, base, in), before(w, a, base, in + w->end[a])};
}

static float pool_one(const struct window *w, bool average, bool with_padding, const float *x, size_t oy, size_t ox)
{
    struct span rows = span_of(w, 0, oy), columns = span_of(w, 1, ox);
    double sum = 0;
    float top = -INFINITY;
    size_t count = 0;
    for (size_t ky = rows.first; ky < rows.last; ky++)
        for (size_t kx = columns.first; kx < columns.last; kx++, count++) {
            float v = x[(size_t)window_place(w, 0, oy, ky) * w->in[1] + (size_t)window_place(w, 1, ox, kx)];
            sum += v;
            if (v > top || v != v) top = v;
        }
    if (!average) return top;
    if (with_padding) count = rows.padded * columns.padded;
    return count ? (float)(sum / (double)count) : 0;
}

static rnnd_code read_kernel(const struct graph_node *n, const struct tensor *x, size_t *kernel, rnnd_error *err)
{
    size_t count;
    const int64_t *list = op_attr_ints(n, "kernel_shape", &count);
    bool right = x->rank >= 2 && count == (size_t)x->rank - 2 && count <= MAX_RANK;
    for (size_t i = 0; i < count && right; i++) {
        right = list[i] > 0;
        kernel[i] = (size_t)list[i];
    }
    if (right) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, "kernel_shape",
                   "node \"%.80s\" (%s): wanted a kernel_shape of %d positive numbers, found %zu", n->name,
                   n->op->name, x->rank - 2, count);
}

static rnnd_code run(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x;
    struct window w;
    size_t kernel[MAX_RANK];
    bool average = strcmp(n->op->name, "AveragePool") == 0, with_padding = op_int(n, "count_include_pad", 0) != 0;
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, &x, err);
    if (!code) code = read_kernel(n, x, kernel, err);
    if (!code) code = window_find(n, x, kernel, false, &w, err);
    if (!code) code = window_output(rc, n, &w, x->dim[0], x->dim[1], err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    const float *image = x->data;
    float *y = rc->values[n->outputs[0]].data;
    for (size_t i = 0; i < x->dim[0] * x->dim[1]; i++, image += w.in[0] * w.in[1])
        for (size_t oy = 0; oy < w.out[0]; oy++)
            for (size_t ox = 0; ox < w.out[1]; ox++)
                *y++ = pool_one(&w, average, with_padding, image, oy, ox);
    return RNND_OK;
}

static rnnd_code run_global(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x;
    size_t dim[MAX_RANK];
    bool average = strcmp(n->op->name, "GlobalAveragePool") == 0;
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, &x, err);
    if (code) return code;
    size_t inner = x->rank < 2 ? 0 : dims_product(x->dim, 2, x->rank);
    if (inner == 0)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): wanted [N, C, ...] with elements, found none",
                       n->name, n->op->name);
    for (int i = 0; i < x->rank; i++)
        dim[i] = i < 2 ? x->dim[i] : 1;
    code = rc->output(rc, n, 0, DTYPE_F32, x->rank, dim, err);
    if (code || tensor_count(x) == 0) return code;
    const float *from = x->data;
    float *y = rc->values[n->outputs[0]].data;
    for (size_t i = 0; i < dim[0] * dim[1]; i++, from += inner) {
        double sum = 0;
        float top = -INFINITY;
        for (size_t k = 0; k < inner; k++) {
            sum += from[k];
            if (from[k] > top || from[k] != from[k]) top = from[k];
        }
        y[i] = average ? (float)(sum / (double)inner) : top;
    }
    return RNND_OK;
}

static const char *const max_attributes[] = {"auto_pad",     "ceil_mode", "dilations",     "kernel_shape",
                                             "pads",         "strides",   "storage_order", NULL};
static const char *const average_attributes[] = {"auto_pad",     "ceil_mode", "count_include_pad", "dilations",
                                                 "kernel_shape", "pads",      "strides",           NULL};
const struct op op_max_pool = {"MaxPool", 1, 1, 2, max_attributes, false, false, check, NULL, NULL, run};
const struct op op_average_pool = {"AveragePool", 1, 1, 1, average_attributes, false, false, check, NULL, NULL, run};
const struct op op_global_max_pool = {"GlobalMaxPool", 1, 1, 1, NULL, false, false, check, NULL, NULL, run_global};
const struct op op_global_average_pool = {"GlobalAveragePool", 1,     1,    1,    NULL, false,
                                          false,               check, NULL, NULL, run_global};
