/* norms.c -- tensor operators that normalize channels, [N][C]...: BatchNormalization (inference),
 * InstanceNormalization, GroupNormalization. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/normal.h"
#include "core/ops/tensor_util.h"

#define PIECE ((size_t)256)

struct channels { /* sizes of x */
    size_t N, C, inner; /* inner: elements of a channel */
};

static rnnd_code read_x(const struct run_context *rc, const struct graph_node *n, const struct tensor **x,
                        struct channels *s, rnnd_error *err)
{
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, x, err);
    if (code) return code;
    if ((*x)->rank < 2)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): wanted [N, C, ...], found rank %d", n->name,
                       n->op->name, (*x)->rank);
    *s = (struct channels){(*x)->dim[0], (*x)->dim[1], dims_product((*x)->dim, 2, (*x)->rank)};
    return RNND_OK;
}

/* Input i: `count` floats. */
static rnnd_code read_list(const struct run_context *rc, const struct graph_node *n, int i, size_t count,
                           const float **out, rnnd_error *err)
{
    const struct tensor *t;
    rnnd_code code = op_typed(rc, n, i, DTYPE_F32, &t, err);
    if (code) return code;
    *out = t->data;
    if (t->rank == 1 && t->dim[0] == count) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): wanted %zu numbers in input %d, found %zu in "
                   "rank %d", n->name, n->op->name, count, i, tensor_count(t), t->rank);
}

/* y = fma(x, scale, shift) with one scale and one shift for all */
static void scale_piece(const struct kernels *kernels, size_t n, const float *x, float scale, float shift, float *y)
{
    float scales[PIECE], shifts[PIECE];
    for (size_t i = 0; i < (n < PIECE ? n : PIECE); i++) {
        scales[i] = scale;
        shifts[i] = shift;
    }
    for (size_t at = 0; at < n; at += PIECE)
        kernels->scale_shift(n - at < PIECE ? n - at : PIECE, x + at, scales, shifts, y + at);
}

/* ---- BatchNormalization: the sequence graphs' own scale and shift, so that both give the same bits ---- */

static rnnd_code check_batch(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    if (op_int(n, "training_mode", 0) != 0)
        return fail_at(err, RNND_UNSUPPORTED, "training_mode",
                       "node \"%.80s\" (BatchNormalization): it is in training mode, wanted inference", n->name);
    return RNND_OK;
}

static rnnd_code run_batch(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x;
    struct channels s;
    const float *part[4]; /* scale, bias, mean, variance */
    double epsilon = op_float(n, "epsilon", 1e-5f);
    rnnd_code code = read_x(rc, n, &x, &s, err);
    for (int i = 0; i < 4 && !code; i++)
        code = read_list(rc, n, i + 1, s.C, &part[i], err);
    if (!code) code = rc->output(rc, n, 0, DTYPE_F32, x->rank, x->dim, err);
    if (code || tensor_count(x) == 0) return code;
    float *scale = rc->scratch(rc, 2 * s.C * sizeof *scale), *shift = scale + s.C;
    if (!scale) return fail_memory(err, 2 * s.C * sizeof *scale);
    for (size_t c = 0; c < s.C; c++) {
        double k = part[0][c] / sqrt((double)part[3][c] + epsilon);
        scale[c] = (float)k;
        shift[c] = (float)(part[1][c] - part[2][c] * k);
    }
    const float *from = x->data;
    float *to = rc->values[n->outputs[0]].data;
    for (size_t i = 0; i < s.N; i++)
        for (size_t c = 0; c < s.C; c += s.inner == 1 ? s.C : 1) {
            size_t count = s.inner == 1 ? s.C : s.inner;
            if (s.inner == 1)
                rc->kernels->scale_shift(count, from, scale, shift, to);
            else
                scale_piece(rc->kernels, count, from, scale[c], shift[c], to);
            from += count;
            to += count;
        }
    return RNND_OK;
}

/* ---- InstanceNormalization, GroupNormalization ---- */

/* Group by group of `width` elements: to mean 0 and variance 1, then each channel's scale and shift. */
static void normalize(const struct channels *s, size_t groups, float epsilon, const float *x, const float *scale,
                      const float *bias, bool per_channel, float *y)
{
    size_t each = s->C / groups, width = each * s->inner;
    for (size_t g = 0; g < s->N * groups; g++, x += width, y += width) {
        struct moments m = moments_of(x, width);
        double inverse = 1 / sqrt(m.variance + (double)epsilon);
        for (size_t c = 0; c < each; c++) {
            size_t at = per_channel ? g % groups * each + c : g % groups;
            double k = scale[at] * inverse;
            for (size_t i = c * s->inner; i < (c + 1) * s->inner; i++)
                y[i] = (float)((x[i] - m.mean) * k + bias[at]);
        }
    }
}

static rnnd_code run_groups(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x;
    struct channels s;
    const float *scale = NULL, *bias = NULL;
    rnnd_code code = read_x(rc, n, &x, &s, err);
    if (code) return code;
    bool instance = strcmp(n->op->name, "InstanceNormalization") == 0;
    int64_t groups = instance ? (int64_t)s.C : op_int(n, "num_groups", 0);
    if (groups < 1 || s.C % (size_t)groups != 0) {
        if (tensor_count(x) == 0 && instance) return rc->output(rc, n, 0, DTYPE_F32, x->rank, x->dim, err);
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): %lld groups of %zu channels", n->name,
                       n->op->name, (long long)groups, s.C);
    }
    /* opset 18 has one scale a group, later ones have one a channel */
    const struct tensor *t = op_input(rc, n, 1);
    bool per_channel = tensor_count(t) == s.C;
    code = read_list(rc, n, 1, per_channel ? s.C : (size_t)groups, &scale, err);
    if (!code) code = read_list(rc, n, 2, per_channel ? s.C : (size_t)groups, &bias, err);
    if (!code) code = rc->output(rc, n, 0, DTYPE_F32, x->rank, x->dim, err);
    if (code || tensor_count(x) == 0) return code;
    normalize(&s, (size_t)groups, op_float(n, "epsilon", 1e-5f), x->data, scale, bias, per_channel,
              rc->values[n->outputs[0]].data);
    return RNND_OK;
}

static const char *const batch_attributes[] = {"epsilon", "momentum", "training_mode", "spatial", NULL};
static const char *const instance_attributes[] = {"epsilon", NULL};
static const char *const group_attributes[] = {"epsilon", "num_groups", "stash_type", NULL};
const struct op op_batch_norm = {"BatchNormalization", 5,    5,    1,        batch_attributes, false, false,
                                 check_batch,          NULL, NULL, run_batch};
const struct op op_instance_norm = {"InstanceNormalization", 3,    3,    1,         instance_attributes, false, false,
                                    check_nothing,           NULL, NULL, run_groups};
const struct op op_group_norm = {"GroupNormalization", 3,    3,    1,         group_attributes, false, false,
                                 check_nothing,        NULL, NULL, run_groups};
