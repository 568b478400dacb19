/* dense.c -- y = act(W x + b), row by row. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"

#define BLOCK ((size_t)96) /* rows whose accumulators are held at a time; no sum depends on it */

struct dense {
    struct packed w;
    float *memory, *bias; /* owned; bias padded to a whole accumulator row */
    size_t outputs;
    struct act act;
};

static rnnd_code check(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    rnnd_code code;
    const struct graph_value *x = &g->values[n->inputs[0]], *w = &g->values[n->inputs[1]];
    int64_t inputs = op_width(g, n, 0);
    if (x->rank < 2 || inputs < 1)
        return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted rows as input", n->name);
    size_t outputs = w->rank == 2 && w->dim[0] > 0 ? (size_t)w->dim[0] : 1;
    op_constant(g, n, 1, "weight", 2, (const size_t[]){outputs, (size_t)inputs}, &code, err);
    if (!code) op_constant(g, n, 2, "bias", 1, (const size_t[]){outputs}, &code, err);
    if (code) return code;
    int64_t dim[MAX_RANK];
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = (int64_t)outputs;
    graph_shape(g, n->outputs[0], x->rank, dim);
    return RNND_OK;
}

static void release(struct graph_node *n)
{
    struct dense *d = n->prepared;
    mem_free(d->memory);
    mem_free(d->bias);
}

bool dense_same(const struct graph_node *a, const struct graph_node *b)
{
    const struct dense *d = a->prepared, *e = b->prepared;
    size_t width = packed_width(&d->w);
    return d->w.k == e->w.k && d->w.precision == e->w.precision && width == packed_width(&e->w) &&
           d->outputs == e->outputs &&
           memcmp(d->memory, e->memory, pack_reduced_floats(&d->w, d->w.precision) * sizeof(float)) == 0 &&
           memcmp(d->bias, e->bias, width * sizeof(float)) == 0;
}

static rnnd_code prepare(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    rnnd_code code;
    const struct tensor *w = &g->values[n->inputs[1]].constant;
    const float *bias = op_constant(g, n, 2, "bias", 0, NULL, &code, err);
    struct dense *d = arena_alloc(&g->arena, 1, sizeof *d);
    if (!d) return fail_memory(err, sizeof *d);
    n->prepared = d;
    d->outputs = w->dim[0];
    d->act = op_act(n, "activation", (struct act){.kind = ACT_LINEAR});
    size_t floats = pack_dense_floats(w->dim[1], w->dim[0]), bytes;
    if (floats == 0 || !size_mul(floats, sizeof(float), &bytes) || !(d->memory = mem_aligned(bytes)))
        return fail_memory(err, floats);
    pack_dense(&d->w, d->memory, w->data, w->dim[1], w->dim[1], w->dim[0]);
    if (g->precision != PRECISION_FP32 && d->w.k <= PACK_INT8_MOST) {
        struct packed full = d->w;
        float *memory = d->memory;
        bytes = pack_reduced_floats(&full, g->precision) * sizeof(float);
        if ((d->memory = mem_aligned(bytes))) pack_reduced(&d->w, d->memory, &full, g->precision);
        mem_free(memory);
        if (!d->memory) return fail_memory(err, bytes);
    }
    d->bias = mem_aligned(packed_width(&d->w) * sizeof(float));
    if (!d->bias) return fail_memory(err, packed_width(&d->w) * sizeof(float));
    if (bias) memcpy(d->bias, bias, d->outputs * sizeof(float));
    g->weight_bytes += bytes + packed_width(&d->w) * sizeof(float);
    return RNND_OK;
}

static rnnd_code run(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct dense *d = n->prepared;
    const struct tensor *x = &rc->values[n->inputs[0]];
    size_t rows = tensor_rows(x), width = packed_width(&d->w), dim[MAX_RANK];
    size_t block = rows < BLOCK ? rows : BLOCK;
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = d->outputs;
    rnnd_code code = rc->output(rc, n, 0, DTYPE_F32, x->rank, dim, err);
    if (code) return code;
    const float **in = rc->scratch(rc, block * sizeof *in);
    float **acc = rc->scratch(rc, block * sizeof *acc);
    float *memory = rc->scratch(rc, block * width * sizeof *memory);
    float *scratch = rc->scratch(rc, packed_scratch(&d->w, block) * sizeof *scratch);
    if (!in || !acc || !memory || !scratch) return fail_memory(err, block * width * sizeof *memory);
    if (rc->planning) return RNND_OK;
    float *y = rc->values[n->outputs[0]].data;
    for (size_t at = 0; at < rows; at += block) {
        size_t count = rows - at < block ? rows - at : block;
        for (size_t r = 0; r < count; r++) {
            in[r] = (const float *)x->data + (at + r) * d->w.k;
            acc[r] = memory + r * width;
            memcpy(acc[r], d->bias, width * sizeof(float));
        }
        rc->kernels->matmul(&d->w, count, in, acc, scratch);
        for (size_t r = 0; r < count; r++)
            rc->kernels->activate(d->act, d->outputs, acc[r], y + (at + r) * d->outputs);
    }
    return RNND_OK;
}

static const char *const attributes[] = {"activation", NULL};
const struct op op_dense = {"dense", 2, 3, 1, attributes, true, false, check, prepare, release, run};
