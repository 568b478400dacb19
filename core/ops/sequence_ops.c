/* sequence_ops.c -- tensor operators: LSTM, GRU, RNN as ONNX defines them, over our cells.
 *
 * Inputs X [T][B][I], W, R, B, sequence_lens [B], initial_h [D][B][H], initial_c, P; outputs Y [T][D][B][H], Y_h
 * [D][B][H], Y_c. With layout 1 the batch comes first: X [B][T][I], initial_h [B][D][H], Y [B][T][D][H], Y_h [B][D][H].
 * One input more, 8, is ours: mask [B][T], bool or int64; at a step where it is false the state stands still and Y is
 * the last one again, zeros before the first (what Keras' masks mean). */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/sequence_weights.h"
#include "core/ops/steps.h"
#include "core/ops/tensor_util.h"

enum { OUT_Y, OUT_H, OUT_C };

static enum cell_kind kind_of(const struct graph_node *n)
{
    return strcmp(n->op->name, "LSTM") == 0 ? CELL_LSTM : strcmp(n->op->name, "GRU") == 0 ? CELL_GRU : CELL_RNN;
}

static rnnd_code check(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    for (int i = SEQ_C; i <= SEQ_P && kind_of(n) != CELL_LSTM; i++)
        if (i < n->input_count && n->inputs[i] >= 0)
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): has no input %d", n->name, n->op->name,
                           i);
    return RNND_OK;
}

static void free_cells(struct sequence_node *s)
{
    cell_free(s->cell[0]);
    cell_free(s->cell[1]);
    s->cell[0] = s->cell[1] = NULL;
}

static void release(struct graph_node *n)
{
    free_cells(n->prepared);
}

static rnnd_code prepare(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const struct tensor *in[SEQ_MASK];
    if (!sequence_constants(g, n, in)) return RNND_OK; /* weights that are computed: cells of each run's own */
    struct sequence_node *s = arena_alloc(&g->arena, 1, sizeof *s);
    if (!s) return fail_memory(err, sizeof *s);
    n->prepared = s;
    rnnd_code code = sequence_read(g->kernels, n, in, kind_of(n), s, err);
    for (size_t d = 0; d < 2; d++)
        if (s->cell[d]) g->weight_bytes += s->cell[d]->weight_bytes;
    n->packed = 1u << SEQ_W | 1u << SEQ_R | 1u << SEQ_B | 1u << SEQ_P;
    return code;
}

struct pass { /* one run of one node */
    const struct sequence_node *s;
    const struct tensor *x, *h, *c;
    size_t T, B;
    const int64_t *lens;
    const uint8_t *mask;
    float *y, *y_h, *y_c; /* NULL = not asked for */
};

/* Floats to direction d, sequence b of a state [D][B][H], or [B][D][H] with layout 1. */
static size_t state_at(const struct pass *p, size_t d, size_t b)
{
    return (p->s->batch_first ? b * p->s->directions + d : d * p->B + b) * p->s->hidden;
}

static rnnd_code read_state(const struct run_context *rc, const struct graph_node *n, int input, const struct pass *p,
                            const struct tensor **out, rnnd_error *err)
{
    size_t D = p->s->directions;
    const size_t wanted[] = {p->s->batch_first ? p->B : D, p->s->batch_first ? D : p->B, p->s->hidden};
    char want[96], found[96];
    *out = op_input(rc, n, input);
    if (!*out) return RNND_OK;
    rnnd_code code = op_typed(rc, n, input, DTYPE_F32, out, err);
    if (code || ((*out)->rank == 3 && memcmp((*out)->dim, wanted, sizeof wanted) == 0)) return code;
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): wanted an initial state of shape %s, found %s",
                   n->name, n->op->name, dims_text(3, wanted, want, sizeof want),
                   dims_text((*out)->rank, (*out)->dim, found, sizeof found));
}

static rnnd_code read_lens(const struct run_context *rc, const struct graph_node *n, struct pass *p, rnnd_error *err)
{
    const struct tensor *t = op_input(rc, n, SEQ_LENS);
    if (!t) return RNND_OK;
    rnnd_code code = op_typed(rc, n, SEQ_LENS, DTYPE_I64, &t, err);
    if (code) return code;
    if (t->rank != 1 || t->dim[0] != p->B)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): wanted %zu sequence lengths, found %zu",
                       n->name, n->op->name, p->B, tensor_count(t));
    p->lens = t->data;
    for (size_t b = 0; b < p->B; b++)
        if (p->lens[b] < 0 || (uint64_t)p->lens[b] > p->T)
            return fail_at(err, RNND_MISMATCH, n->name,
                           "node \"%.80s\" (%s): sequence %zu has the length %lld, wanted 0 to %zu", n->name,
                           n->op->name, b, (long long)p->lens[b], p->T);
    return RNND_OK;
}

static rnnd_code read_mask(struct run_context *rc, const struct graph_node *n, struct pass *p, rnnd_error *err)
{
    const struct tensor *t = op_input(rc, n, SEQ_MASK);
    if (!t) return RNND_OK;
    if (t->dtype == DTYPE_F32 || t->rank != 2 || t->dim[0] != p->B || t->dim[1] != p->T)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (%s): wanted a mask of bools [%zu, %zu], found another shape or type", n->name,
                       n->op->name, p->B, p->T);
    size_t count = tensor_count(t);
    if (t->dtype == DTYPE_BOOL) {
        p->mask = t->data;
        return RNND_OK;
    }
    uint8_t *mask = rc->scratch(rc, count);
    if (!mask) return fail_memory(err, count);
    for (size_t i = 0; i < count; i++)
        mask[i] = ((const int64_t *)t->data)[i] != 0;
    p->mask = mask;
    return RNND_OK;
}

static rnnd_code read_inputs(struct run_context *rc, const struct graph_node *n, struct pass *p, rnnd_error *err)
{
    rnnd_code code = op_typed(rc, n, SEQ_X, DTYPE_F32, &p->x, err);
    if (code) return code;
    char found[96];
    if (p->x->rank != 3 || p->x->dim[2] != p->s->inputs)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (%s): wanted sequences of %zu features in rank 3, found %s", n->name,
                       n->op->name, p->s->inputs, dims_text(p->x->rank, p->x->dim, found, sizeof found));
    p->T = p->x->dim[p->s->batch_first];
    p->B = p->x->dim[!p->s->batch_first];
    code = read_lens(rc, n, p, err);
    if (!code) code = read_mask(rc, n, p, err);
    if (!code) code = read_state(rc, n, SEQ_H, p, &p->h, err);
    if (!code && p->s->kind == CELL_LSTM) code = read_state(rc, n, SEQ_C, p, &p->c, err);
    return code;
}

static rnnd_code give_outputs(struct run_context *rc, const struct graph_node *n, struct pass *p, rnnd_error *err)
{
    size_t D = p->s->directions, B = p->B, H = p->s->hidden;
    bool first = p->s->batch_first;
    const size_t y[] = {first ? B : p->T, first ? p->T : D, first ? D : B, H};
    const size_t state[] = {first ? B : D, first ? D : B, H};
    float **to[] = {&p->y, &p->y_h, &p->y_c};
    rnnd_code code = RNND_OK;
    for (int i = OUT_Y; i <= OUT_C && !code; i++) {
        if (!op_wants(n, i)) continue;
        code = i == OUT_Y ? rc->output(rc, n, i, DTYPE_F32, 4, y, err) : rc->output(rc, n, i, DTYPE_F32, 3, state, err);
        *to[i] = rc->values[n->outputs[i]].data;
    }
    return code;
}

static rnnd_code run_direction(struct run_context *rc, const struct pass *p, size_t d, rnnd_error *err)
{
    const struct sequence_node *q = p->s;
    size_t H = q->hidden, row = q->directions * H, c_bytes = p->B * q->cell[d]->c_width * sizeof(float);
    struct steps s = {.cell = q->cell[d], .T = p->T, .B = p->B, .x = p->x->data, .lens = p->lens, .mask = p->mask};
    s.reverse = d == 1 || q->reverse;
    s.x_t = q->batch_first ? q->inputs : p->B * q->inputs;
    s.x_b = q->batch_first ? p->T * q->inputs : q->inputs;
    s.y = p->y ? p->y + d * (q->batch_first ? H : p->B * H) : NULL;
    s.y_t = q->batch_first ? row : p->B * row;
    s.y_b = q->batch_first ? p->T * row : H;
    rnnd_code code = steps_start(&s, rc, err);
    if (code) return code;
    float *c_own = rc->scratch(rc, c_bytes);
    if (!c_own) return fail_memory(err, c_bytes);
    for (size_t b = 0; b < p->B; b++) {
        s.h[b] = p->h ? (const float *)p->h->data + state_at(p, d, b) : s.zeros;
        s.c[b] = p->c ? (const float *)p->c->data + state_at(p, d, b) : s.zeros;
        s.c_next[b] = c_own + b * q->cell[d]->c_width;
    }
    steps_run(&s);
    for (size_t b = 0; b < p->B; b++) { /* a sequence of length 0 has no last state: ONNX Runtime says zeros */
        bool none = p->lens && p->lens[b] == 0;
        if (p->y_h) memcpy(p->y_h + state_at(p, d, b), none ? s.zeros : s.h[b], H * sizeof(float));
        if (p->y_c) memcpy(p->y_c + state_at(p, d, b), none ? s.zeros : s.c[b], H * sizeof(float));
    }
    return RNND_OK;
}

static rnnd_code run(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    struct sequence_node own = {0};
    struct pass p = {.s = n->prepared ? n->prepared : &own};
    rnnd_code code = RNND_OK;
    if (!n->prepared) {
        const struct tensor *in[SEQ_MASK] = {NULL};
        for (int i = SEQ_W; i <= SEQ_P; i++)
            in[i] = op_input(rc, n, i);
        code = sequence_read(rc->kernels, n, in, kind_of(n), &own, err);
    }
    if (!code) code = read_inputs(rc, n, &p, err);
    if (!code) code = give_outputs(rc, n, &p, err);
    for (size_t d = 0; d < p.s->directions && !code && p.B > 0; d++)
        code = run_direction(rc, &p, d, err);
    free_cells(&own);
    return code;
}

static const char *const lstm_attributes[] = {"activations", "activation_alpha", "activation_beta", "clip", "direction",
                                              "hidden_size", "input_forget",     "layout",          NULL};
static const char *const gru_attributes[] = {"activations", "activation_alpha", "activation_beta",     "clip",
                                             "direction",   "hidden_size",      "linear_before_reset", "layout",
                                             NULL};
static const char *const rnn_attributes[] = {"activations", "activation_alpha", "activation_beta", "clip",
                                             "direction",   "hidden_size",      "layout",          NULL};
static const struct op lstm = {"LSTM", 3, 9, 3, lstm_attributes, false, false, check, prepare, release, run};
static const struct op gru = {"GRU", 3, 9, 2, gru_attributes, false, false, check, prepare, release, run};
static const struct op rnn = {"RNN", 3, 9, 2, rnn_attributes, false, false, check, prepare, release, run};
const struct op *const ops_sequence[] = {&lstm, &gru, &rnn, NULL};
