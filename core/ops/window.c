/* window.c -- where the windows of convolutions and pooling lie: strides, pads, dilations, auto_pad. */
#include "core/ops/window.h"

#include <string.h>

#include "core/base/error.h"
#include "core/ops/tensor_util.h"

#define LARGEST ((int64_t)1 << 31) /* of any of these numbers: no product of two can overflow */

#define MOST_PADDING ((int64_t)1 << 24) /* a small file is no long answer */

enum auto_pad { PAD_GIVEN, PAD_UPPER, PAD_LOWER, PAD_NONE };

/* A list of `count` numbers from `least` to `most`; all `absent` where there is none. */
static rnnd_code read_list(const struct graph_node *n, const char *name, int count, int64_t least, int64_t most,
                           int64_t absent, int64_t *out, rnnd_error *err)
{
    size_t found;
    const int64_t *list = op_attr_ints(n, name, &found);
    for (int i = 0; i < count; i++)
        out[i] = absent;
    if (found == 0) return RNND_OK;
    if (found != (size_t)count)
        return fail_at(err, RNND_MISMATCH, name, "node \"%.80s\" (%s): wanted %d numbers in %s, found %zu", n->name,
                       n->op->name, count, name, found);
    for (int i = 0; i < count; i++) {
        out[i] = list[i];
        if (list[i] < least || list[i] > most)
            return fail_at(err, RNND_MISMATCH, name, "node \"%.80s\" (%s): %s has %lld, wanted %lld to %lld", n->name,
                           n->op->name, name, (long long)list[i], (long long)least, (long long)most);
    }
    return RNND_OK;
}

static rnnd_code read_auto_pad(const struct graph_node *n, enum auto_pad *out, rnnd_error *err)
{
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    const char *name = op_string(n, "auto_pad", "NOTSET");
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum auto_pad)i;
            return RNND_OK;
        }
    return fail_at(err, RNND_MISMATCH, "auto_pad", "node \"%.80s\" (%s): the auto_pad \"%.80s\" is unknown", n->name,
                   n->op->name, name);
}

static void split_padding(struct window *w, int a, int64_t total, bool upper)
{
    if (total < 0) total = 0;
    w->begin[a] = upper ? total / 2 : total - total / 2;
    w->end[a] = total - w->begin[a];
}

static int64_t reach_of(const struct window *w, int a)
{
    return (int64_t)(w->kernel[a] - 1) * w->dilation[a] + 1;
}

/* Convolution and pooling. A last window that begins beyond the input and its first padding is none. */
static bool find_out(struct window *w, int a, enum auto_pad pad, bool ceil)
{
    int64_t in = (int64_t)w->in[a], stride = w->stride[a], reach = reach_of(w, a);
    if (pad == PAD_UPPER || pad == PAD_LOWER) {
        int64_t out = (in + stride - 1) / stride;
        split_padding(w, a, (out - 1) * stride + reach - in, pad == PAD_UPPER);
        w->out[a] = (size_t)out;
        return true;
    }
    int64_t left = in + w->begin[a] + w->end[a] - reach;
    if (left < 0) return false;
    int64_t out = (ceil ? left + stride - 1 : left) / stride + 1;
    if (ceil && (out - 1) * stride >= in + w->begin[a]) out--;
    w->out[a] = (size_t)out;
    return true;
}

/* ConvTranspose: output_shape decides the padding, where it is given. */
static bool find_transposed(struct window *w, int a, enum auto_pad pad, int64_t more, int64_t shape)
{
    int64_t full = ((int64_t)w->in[a] - 1) * w->stride[a] + more + reach_of(w, a);
    bool same = pad == PAD_UPPER || pad == PAD_LOWER;
    if (shape < 0 && same) shape = (int64_t)w->in[a] * w->stride[a];
    if (shape >= 0)
        split_padding(w, a, full - shape, pad == PAD_UPPER);
    else
        shape = full - w->begin[a] - w->end[a];
    w->out[a] = shape < 0 ? 0 : (size_t)shape;
    return w->in[a] > 0 && shape >= 0;
}

static rnnd_code find_sizes(const struct graph_node *n, struct window *w, rnnd_error *err)
{
    int rank = w->rank;
    int64_t pads[4], more[2], shape[2];
    enum auto_pad pad = PAD_GIVEN;
    rnnd_code code = read_auto_pad(n, &pad, err);
    if (!code) code = read_list(n, "strides", rank, 1, LARGEST, 1, w->stride + 2 - rank, err);
    if (!code) code = read_list(n, "dilations", rank, 1, LARGEST, 1, w->dilation + 2 - rank, err);
    if (!code) code = read_list(n, "pads", 2 * rank, 0, MOST_PADDING, 0, pads, err);
    if (!code) code = read_list(n, "output_padding", rank, 0, MOST_PADDING, 0, more, err);
    if (!code) code = read_list(n, "output_shape", rank, 0, LARGEST, -1, shape, err);
    if (code) return code;
    for (int i = 0; i < rank; i++) {
        int a = 2 - rank + i;
        w->begin[a] = pad == PAD_GIVEN ? pads[i] : 0;
        w->end[a] = pad == PAD_GIVEN ? pads[rank + i] : 0;
        bool fits = w->kernel[a] > 0 && w->kernel[a] <= (size_t)LARGEST && w->in[a] <= (size_t)LARGEST;
        if (fits)
            fits = w->transposed ? find_transposed(w, a, pad, more[i], shape[i])
                                 : find_out(w, a, pad, op_int(n, "ceil_mode", 0) != 0);
        if (!fits)
            return fail_at(err, RNND_MISMATCH, n->name,
                           "node \"%.80s\" (%s): a window of %zu does not fit into %zu, padded by %lld and %lld",
                           n->name, n->op->name, w->kernel[a], w->in[a], (long long)w->begin[a], (long long)w->end[a]);
    }
    return RNND_OK;
}

rnnd_code window_find(const struct graph_node *n, const struct tensor *x, const size_t *kernel, bool transposed,
                      struct window *w, rnnd_error *err)
{
    *w = (struct window){.rank = x->rank - 2, .transposed = transposed, .in = {1, 1}, .out = {1, 1}, .kernel = {1, 1},
                         .stride = {1, 1}, .dilation = {1, 1}};
    if (w->rank < 1)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): wanted [N, C, ...], found rank %d", n->name,
                       n->op->name, x->rank);
    if (w->rank > 2)
        return fail_at(err, RNND_UNSUPPORTED, n->name,
                       "node \"%.80s\" (%s): wanted one or two spatial axes, found %d", n->name, n->op->name, w->rank);
    for (int i = 0; i < w->rank; i++) {
        w->in[2 - w->rank + i] = x->dim[2 + i];
        w->kernel[2 - w->rank + i] = kernel[i];
    }
    return find_sizes(n, w, err);
}

rnnd_code window_output(struct run_context *rc, const struct graph_node *n, const struct window *w, size_t N, size_t C,
                        rnnd_error *err)
{
    const size_t dim[] = {N, C, w->out[2 - w->rank], w->out[1]};
    return rc->output(rc, n, 0, DTYPE_F32, 2 + w->rank, dim, err);
}
