/* convolution.c -- tensor operators Conv and ConvTranspose, in one and two dimensions.
 *
 * What each output sees is gathered into a row of patches (zeros where there is padding, or, transposed, nothing) and
 * multiplied with packed weights, some rows at a time: y = bias + sum in the order of channel, kernel row, column. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/product.h"
#include "core/ops/tensor_util.h"
#include "core/ops/window.h"

struct convolution {
    struct window w;
    size_t N, C, M, groups;  /* batch, channels in and out */
    size_t c, m;             /* channels of a group, in and out */
    size_t taps, pixels;     /* kernel elements; outputs of a channel */
};

static bool is_transposed(const struct graph_node *n)
{
    return strcmp(n->op->name, "ConvTranspose") == 0;
}

/* Sizes that the weights alone say; false if they contradict each other. */
static bool weight_sizes(const struct graph_node *n, const struct tensor *w, struct convolution *s)
{
    int64_t groups = op_int(n, "group", 1);
    if (w->rank < 3 || groups < 1 || w->dim[0] % (size_t)groups != 0) return false;
    s->groups = (size_t)groups;
    bool transposed = is_transposed(n);
    s->c = transposed ? w->dim[0] / s->groups : w->dim[1];
    s->m = transposed ? w->dim[1] : w->dim[0] / s->groups;
    s->taps = dims_product(w->dim, 2, w->rank);
    return s->c > 0 && s->m > 0 && s->taps > 0 && size_mul(s->c, s->groups, &s->C) &&
           size_mul(s->m, s->groups, &s->M);
}

/* ConvTranspose has [c of all groups][m][taps]: into [group][m][c][taps]. */
static void turn_weights(const struct convolution *s, const float *from, float *to)
{
    for (size_t g = 0; g < s->groups; g++)
        for (size_t m = 0; m < s->m; m++)
            for (size_t c = 0; c < s->c; c++, to += s->taps)
                memcpy(to, from + ((g * s->c + c) * s->m + m) * s->taps, s->taps * sizeof *to);
}

static rnnd_code prepare(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const struct tensor *w = &g->values[n->inputs[1]].constant;
    struct convolution s = {0};
    struct product_set *set = NULL;
    if (!g->values[n->inputs[1]].is_constant || w->dtype != DTYPE_F32 || !weight_sizes(n, w, &s)) return RNND_OK;
    const float *rows = w->data;
    float *turned = NULL;
    if (is_transposed(n)) {
        turned = mem_alloc(tensor_count(w), sizeof *turned);
        if (!turned) return fail_memory(err, tensor_count(w) * sizeof *turned);
        turn_weights(&s, rows, turned);
        rows = turned;
    }
    size_t k = s.c * s.taps;
    rnnd_code code = product_set_pack(g, (struct matrix){rows, k, 1}, s.groups, k, s.m, &set, err);
    mem_free(turned);
    n->prepared = set;
    n->packed = 1u << 1;
    return code;
}

static void release(struct graph_node *n)
{
    product_set_free(n->prepared);
}

static rnnd_code find_sizes(struct run_context *rc, const struct graph_node *n, struct convolution *s,
                            const struct tensor **x, const struct tensor **w, rnnd_error *err)
{
    char found_x[96], found_w[96];
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, x, err);
    if (!code) code = op_typed(rc, n, 1, DTYPE_F32, w, err);
    if (code) return code;
    if (!weight_sizes(n, *w, s) || (*x)->rank != (*w)->rank || (*x)->dim[1] != s->C)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (%s): an input of shape %s, weights %s and %lld groups do not fit together",
                       n->name, n->op->name, dims_text((*x)->rank, (*x)->dim, found_x, sizeof found_x),
                       dims_text((*w)->rank, (*w)->dim, found_w, sizeof found_w), (long long)op_int(n, "group", 1));
    s->N = (*x)->dim[0];
    size_t count;
    const int64_t *said = op_attr_ints(n, "kernel_shape", &count);
    for (size_t i = 0; i < count; i++)
        if (count != (size_t)(*w)->rank - 2 || said[i] != (int64_t)(*w)->dim[2 + i])
            return fail_at(err, RNND_MISMATCH, "kernel_shape", "node \"%.80s\" (%s): the weights have another kernel "
                           "shape than kernel_shape says", n->name, n->op->name);
    code = window_find(n, *x, (*w)->dim + 2, is_transposed(n), &s->w, err);
    if (!code) code = window_output(rc, n, &s->w, s->N, s->M, err);
    s->pixels = code ? 0 : s->w.out[0] * s->w.out[1];
    return code;
}

/* Kernel row ky of one channel, seen from an output. */
static void gather_row(const struct window *w, const float *x, size_t oy, size_t ox, size_t ky, float *to)
{
    int64_t y = window_place(w, 0, oy, ky), first = window_place(w, 1, ox, 0);
    size_t width = w->in[1], taps = w->kernel[1];
    if (y < 0 || (size_t)y >= w->in[0]) {
        memset(to, 0, taps * sizeof *to);
        return;
    }
    x += (size_t)y * width;
    if (!w->transposed && w->dilation[1] == 1 && first >= 0 && (size_t)first + taps <= width) {
        memcpy(to, x + first, taps * sizeof *to);
        return;
    }
    for (size_t k = 0; k < taps; k++) {
        int64_t at = window_place(w, 1, ox, k);
        to[k] = at >= 0 && (size_t)at < width ? x[at] : 0;
    }
}

/* `count` rows of patches from output `first` on; x is the group's first channel. */
static void gather(const struct convolution *s, const float *x, size_t first, size_t count, float *to)
{
    const struct window *w = &s->w;
    for (size_t p = first; p < first + count; p++)
        for (size_t c = 0; c < s->c; c++)
            for (size_t ky = 0; ky < w->kernel[0]; ky++, to += w->kernel[1])
                gather_row(w, x + c * w->in[0] * w->in[1], p / w->out[1], p % w->out[1], ky, to);
}

/* The bias as accumulator rows [groups][width]; NULL where there is none. */
static rnnd_code read_bias(struct run_context *rc, const struct graph_node *n, const struct convolution *s,
                           size_t width, float **out, rnnd_error *err)
{
    const struct tensor *b = op_input(rc, n, 2);
    size_t bytes;
    *out = NULL;
    if (!b) return RNND_OK;
    rnnd_code code = op_typed(rc, n, 2, DTYPE_F32, &b, err);
    if (code) return code;
    if (b->rank != 1 || b->dim[0] != s->M)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): wanted a bias of %zu, found %zu", n->name,
                       n->op->name, s->M, tensor_count(b));
    if (!size_mul(s->groups * sizeof(float), width, &bytes)) return fail_memory(err, (size_t)-1);
    float *rows = rc->scratch(rc, bytes);
    if (!rows) return fail_memory(err, bytes);
    memset(rows, 0, bytes);
    for (size_t g = 0; g < s->groups; g++)
        memcpy(rows + g * width, (const float *)b->data + g * s->m, s->m * sizeof *rows);
    *out = rows;
    return RNND_OK;
}

static void run_group(const struct convolution *s, const struct product *p, const struct packed *w, const float *x,
                      const float *bias, float *y)
{
    size_t k = s->c * s->taps;
    for (size_t at = 0; at < s->pixels; at += p->block) {
        size_t count = s->pixels - at < p->block ? s->pixels - at : p->block;
        gather(s, x, at, count, p->x);
        product_run(p, w, count, (struct matrix){p->x, k, 1}, bias, y + at, 1, s->pixels);
    }
}

static rnnd_code run(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct product_set *set = n->prepared;
    const struct tensor *x, *w;
    struct convolution s = {0};
    struct product p;
    float *bias = NULL, *turned = NULL;
    rnnd_code code = find_sizes(rc, n, &s, &x, &w, err);
    if (code || s.N == 0 || s.pixels == 0) return code;
    size_t k = s.c * s.taps, image = s.w.in[0] * s.w.in[1];
    code = product_start(&p, rc, s.pixels, k, s.m, !set, true, err);
    if (!code) code = read_bias(rc, n, &s, p.width, &bias, err);
    if (code) return code;
    const float *weights = set ? NULL : w->data;
    if (!set && is_transposed(n)) {
        turned = rc->scratch(rc, tensor_count(w) * sizeof *turned);
        if (!turned) return fail_memory(err, tensor_count(w) * sizeof *turned);
        turn_weights(&s, w->data, turned);
        weights = turned;
    }
    float *y = rc->values[n->outputs[0]].data;
    for (size_t g = 0; g < s.groups; g++) {
        struct packed packed = set ? set->w[g] : product_pack(&p, (struct matrix){weights + g * s.m * k, k, 1});
        for (size_t i = 0; i < s.N; i++)
            run_group(&s, &p, &packed, (const float *)x->data + (i * s.C + g * s.c) * image,
                      bias ? bias + g * p.width : NULL, y + (i * s.M + g * s.m) * s.pixels);
    }
    return RNND_OK;
}

static const char *const conv_attributes[] = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides",
                                              NULL};
static const char *const transposed_attributes[] = {"auto_pad",       "dilations",    "group", "kernel_shape",
                                                    "output_padding", "output_shape", "pads",  "strides",
                                                    NULL};
static const struct op op_conv = {"Conv", 2, 3, 1, conv_attributes, false, false, check_nothing, prepare, release, run};
static const struct op op_conv_transpose = {"ConvTranspose", 2,       3,       1,  transposed_attributes, false, false,
                                            check_nothing,   prepare, release, run};
const struct op *const ops_convolution[] = {&op_conv,         &op_conv_transpose,  &op_max_pool,
                                            &op_average_pool, &op_global_max_pool, &op_global_average_pool,
                                            &op_resize,       &op_upsample,        NULL};
