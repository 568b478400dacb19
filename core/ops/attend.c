/* attend.c -- a weighted mean over time: y = sum over t of a_t x_t, a = softmax over t of (w . x_t).
 * Source: the attention layer of textgenrnn and DeepMoji (Felbo et al. 2017). */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"

static rnnd_code check(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    rnnd_code code;
    const struct graph_value *x = &g->values[n->inputs[0]];
    size_t width = (size_t)(op_width(g, n, 0) > 0 ? op_width(g, n, 0) : 0);
    if (x->rank != 3 || width == 0)
        return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted a sequence of rows as input", n->name);
    op_constant(g, n, 1, "weight", 1, &width, &code, err);
    graph_shape(g, n->outputs[0], 3, (const int64_t[]){1, x->dim[1], x->dim[2]});
    return code;
}

static rnnd_code run(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x = &rc->values[n->inputs[0]];
    const float *w = rc->values[n->inputs[1]].data;
    size_t T = x->dim[0], B = x->dim[1], F = x->dim[2];
    rnnd_code code = rc->output(rc, n, 0, DTYPE_F32, 3, (const size_t[]){1, B, F}, err);
    float *a = code ? NULL : rc->scratch(rc, T * sizeof *a);
    if (code || rc->planning) return code;
    if (!a) return fail_memory(err, T * sizeof *a);
    for (size_t b = 0; b < B; b++) {
        float *y = (float *)rc->values[n->outputs[0]].data + b * F;
        for (size_t t = 0; t < T; t++) {
            const float *row = (const float *)x->data + (t * B + b) * F;
            a[t] = 0;
            for (size_t f = 0; f < F; f++)
                a[t] = fmaf(row[f], w[f], a[t]);
        }
        rc->kernels->softmax(T, a, a);
        memset(y, 0, F * sizeof *y);
        for (size_t t = 0; t < T; t++) {
            const float *row = (const float *)x->data + (t * B + b) * F;
            for (size_t f = 0; f < F; f++)
                y[f] = fmaf(row[f], a[t], y[f]);
        }
    }
    return RNND_OK;
}

const struct op op_attend = {"attend", 2, 2, 1, NULL, false, false, check, NULL, NULL, run};
