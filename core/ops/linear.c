/* linear.c -- tensor operators: MatMul with numpy's batching, Gemm. A constant right operand is packed once. */
#include "core/ops/linear.h"

#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/product.h"
#include "core/ops/tensor_util.h"

static void release(struct graph_node *n)
{
    product_set_free(n->prepared);
}

/* ---- MatMul ---- */

struct matmul { /* sizes of one run */
    size_t rows, k, outputs;
    int rank; /* of the batch */
    size_t batch[MAX_RANK], a_step[MAX_RANK], b_step[MAX_RANK]; /* in matrices; 0 where one serves all */
    int out_rank;
    size_t out_dim[MAX_RANK];
};

static rnnd_code disagree(const struct graph_node *n, const struct tensor *a, const struct tensor *b, rnnd_error *err)
{
    char first[128], second[128];
    return fail_at(err, RNND_MISMATCH, n->name,
                   "node \"%.80s\" (%s): wanted two matrices, or stacks of them, that can be multiplied, found %s and "
                   "%s", n->name, n->op->name, dims_text(a->rank, a->dim, first, sizeof first),
                   dims_text(b->rank, b->dim, second, sizeof second));
}

/* The dimension `i` of a batch of rank `rank`, 1 where the operand has fewer. */
static size_t batch_dim(const struct tensor *t, int rank, int i)
{
    int own = t->rank - 2, at = i - (rank - own);
    return own > 0 && at >= 0 ? t->dim[at] : 1;
}

static bool find_batch(struct matmul *m, const struct tensor *a, const struct tensor *b)
{
    size_t a_step = 1, b_step = 1;
    m->rank = a->rank > b->rank ? a->rank - 2 : b->rank - 2;
    if (m->rank < 0) m->rank = 0;
    for (int i = m->rank; i-- > 0;) {
        size_t da = batch_dim(a, m->rank, i), db = batch_dim(b, m->rank, i);
        if (da != db && da != 1 && db != 1) return false;
        m->batch[i] = da == 1 ? db : da;
        m->a_step[i] = da == 1 ? 0 : a_step;
        m->b_step[i] = db == 1 ? 0 : b_step;
        a_step *= da;
        b_step *= db;
    }
    return true;
}

static rnnd_code find_sizes(struct matmul *m, const struct graph_node *n, const struct tensor *a,
                            const struct tensor *b, rnnd_error *err)
{
    *m = (struct matmul){.rows = 1, .outputs = 1};
    if (a->rank < 1 || b->rank < 1 || !find_batch(m, a, b)) return disagree(n, a, b, err);
    m->k = a->dim[a->rank - 1];
    if (a->rank > 1) m->rows = a->dim[a->rank - 2];
    if (b->rank > 1) m->outputs = b->dim[b->rank - 1];
    if (m->k != b->dim[b->rank > 1 ? b->rank - 2 : 0]) return disagree(n, a, b, err);
    for (int i = 0; i < m->rank; i++)
        m->out_dim[m->out_rank++] = m->batch[i];
    if (a->rank > 1) m->out_dim[m->out_rank++] = m->rows;
    if (b->rank > 1) m->out_dim[m->out_rank++] = m->outputs;
    return RNND_OK;
}

static rnnd_code prepare_matmul(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const struct tensor *w = &g->values[n->inputs[1]].constant;
    if (!g->values[n->inputs[1]].is_constant || w->dtype != DTYPE_F32 || w->rank < 1) return RNND_OK;
    size_t outputs = w->rank > 1 ? w->dim[w->rank - 1] : 1, k = w->dim[w->rank > 1 ? w->rank - 2 : 0];
    struct product_set *set = NULL;
    rnnd_code code = product_set_pack(g, (struct matrix){w->data, 1, outputs},
                                      dims_product(w->dim, 0, w->rank > 2 ? w->rank - 2 : 0), k, outputs, &set, err);
    n->prepared = set;
    n->packed = 1u << 1;
    return code;
}

static void run_batches(struct matmul *m, const struct product *p, const struct product_set *set, const float *a,
                        const float *b, float *y)
{
    size_t index[MAX_RANK] = {0}, packed_at = (size_t)-1;
    struct packed w = {0};
    do {
        size_t at_a = 0, at_b = 0;
        for (int i = 0; i < m->rank; i++) {
            at_a += index[i] * m->a_step[i];
            at_b += index[i] * m->b_step[i];
        }
        if (set && set->memory)
            w = set->w[at_b];
        else if (at_b != packed_at)
            w = product_pack(p, (struct matrix){b + at_b * m->k * m->outputs, 1, m->outputs});
        packed_at = at_b;
        product_run(p, &w, m->rows, (struct matrix){a + at_a * m->rows * m->k, m->k, 1}, NULL, y, m->outputs, 1);
        y += m->rows * m->outputs;
    } while (dims_next(m->rank, m->batch, index));
}

static rnnd_code run_matmul(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct product_set *set = n->prepared;
    const struct tensor *a, *b;
    struct matmul m;
    struct product p;
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, &a, err);
    if (!code) code = op_typed(rc, n, 1, DTYPE_F32, &b, err);
    if (!code) code = find_sizes(&m, n, a, b, err);
    if (!code) code = rc->output(rc, n, 0, DTYPE_F32, m.out_rank, m.out_dim, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    if (b->rank <= 2) { /* one matrix for all */
        m.rows = tensor_count(&rc->values[n->outputs[0]]) / m.outputs;
        m.rank = 0;
    }
    code = product_start(&p, rc, m.rows, m.k, m.outputs, !set, false, err);
    if (!code) run_batches(&m, &p, set, a->data, b->data, rc->values[n->outputs[0]].data);
    return code;
}

/* ---- Gemm: alpha A' B' + beta C ---- */

static rnnd_code prepare_gemm(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const struct tensor *w = &g->values[n->inputs[1]].constant;
    if (!g->values[n->inputs[1]].is_constant || w->dtype != DTYPE_F32 || w->rank != 2) return RNND_OK;
    bool turned = op_int(n, "transB", 0) != 0;
    struct matrix m = turned ? (struct matrix){w->data, w->dim[1], 1} : (struct matrix){w->data, 1, w->dim[1]};
    struct product_set *set = NULL;
    rnnd_code code = product_set_pack(g, m, 1, w->dim[turned], w->dim[!turned], &set, err);
    n->prepared = set;
    n->packed = 1u << 1;
    return code;
}

/* y = alpha y + beta c, c broadcast to y */
static void scale_and_add(float alpha, float beta, size_t rows, size_t outputs, const struct tensor *c, float *y)
{
    size_t row = 0, col = 0;
    if (c && tensor_width(c) > 1) col = 1;
    if (c && c->rank == 2 && c->dim[0] > 1) row = c->dim[1];
    for (size_t r = 0; r < rows; r++, y += outputs)
        for (size_t o = 0; o < outputs; o++) {
            if (alpha != 1.0f) y[o] *= alpha;
            if (c) y[o] += beta == 1.0f ? ((const float *)c->data)[r * row + o * col]
                                        : beta * ((const float *)c->data)[r * row + o * col];
        }
}

static bool broadcasts(const struct tensor *c, size_t rows, size_t outputs)
{
    if (c->rank > 2) return false;
    bool right = c->rank < 1 || c->dim[c->rank - 1] == 1 || c->dim[c->rank - 1] == outputs;
    return right && (c->rank < 2 || c->dim[0] == 1 || c->dim[0] == rows);
}

static rnnd_code run_gemm(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct product_set *set = n->prepared;
    const struct tensor *a, *b, *c = op_input(rc, n, 2);
    bool turn_a = op_int(n, "transA", 0) != 0, turn_b = op_int(n, "transB", 0) != 0;
    struct product p;
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, &a, err);
    if (!code) code = op_typed(rc, n, 1, DTYPE_F32, &b, err);
    if (!code && c) code = op_typed(rc, n, 2, DTYPE_F32, &c, err);
    if (code) return code;
    if (a->rank != 2 || b->rank != 2 || a->dim[!turn_a] != b->dim[turn_b]) return disagree(n, a, b, err);
    size_t rows = a->dim[turn_a], k = a->dim[!turn_a], outputs = b->dim[!turn_b];
    if (c && !broadcasts(c, rows, outputs))
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (Gemm): wanted a C that broadcasts to [%zu, %zu], found another shape", n->name,
                       rows, outputs);
    code = rc->output(rc, n, 0, DTYPE_F32, 2, (const size_t[]){rows, outputs}, err);
    if (code || rows == 0 || outputs == 0) return code;
    code = product_start(&p, rc, rows, k, outputs, !set, turn_a, err);
    if (code) return code;
    struct matrix mb = turn_b ? (struct matrix){b->data, k, 1} : (struct matrix){b->data, 1, outputs};
    struct packed w = set && set->memory ? set->w[0] : product_pack(&p, mb);
    struct matrix ma = turn_a ? (struct matrix){a->data, 1, rows} : (struct matrix){a->data, k, 1};
    float *y = rc->values[n->outputs[0]].data;
    product_run(&p, &w, rows, ma, NULL, y, outputs, 1);
    float alpha = op_float(n, "alpha", 1.0f);
    if (c || alpha != 1.0f) scale_and_add(alpha, op_float(n, "beta", 1.0f), rows, outputs, c, y);
    return RNND_OK;
}

static const char *const gemm_attributes[] = {"alpha", "beta", "transA", "transB", NULL};
static const struct op op_matmul = {"MatMul", 2, 2, 1, NULL, false, false, check_nothing, prepare_matmul, release,
                                    run_matmul};
static const struct op op_gemm = {"Gemm", 2, 3, 1, gemm_attributes, false, false, check_nothing, prepare_gemm, release,
                                  run_gemm};
const struct op *const ops_linear[] = {&op_matmul, &op_gemm, &op_einsum, NULL};
