/* sequence_weights.c -- the weights and activations of ONNX's LSTM, GRU and RNN, read into our cells.
 *
 *           ONNX                    ours
 *   LSTM    W, R, B: i o f c        i f g o        P: i o f -> i f o
 *   GRU     z r h                   r z n
 *   RNN     one                     one */
#include "core/ops/sequence_weights.h"

#include <string.h>

#include "core/base/error.h"
#include "core/ops/tensor_util.h"

/* where our gate stands in ONNX's order */
static const size_t gate_from[][4] = {[CELL_RNN] = {0}, [CELL_LSTM] = {0, 2, 3, 1}, [CELL_GRU] = {1, 0, 2}};
static const size_t peephole_from[] = {0, 2, 1};
static const size_t gates_of[] = {[CELL_RNN] = 1, [CELL_LSTM] = 4, [CELL_GRU] = 3};
static const size_t acts_of[] = {[CELL_RNN] = 1, [CELL_LSTM] = 3, [CELL_GRU] = 2};

/* ---- activations ---- */

/* The name's letters and digits in lower case: "HardSigmoid", "hard_sigmoid" are one. */
static void plain_name(const char *name, char *out, size_t cap)
{
    size_t at = 0;
    for (; *name && at + 1 < cap; name++) {
        char c = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
        if (c != '_') out[at++] = c;
    }
    out[at] = '\0';
}

static bool find_act(const char *name, struct act *act)
{
    /* alpha and beta as ONNX has them where a list does not say */
    static const struct {
        const char *name, *ours;
    } names[] = {{"relu", "relu"},
                 {"tanh", "tanh"},
                 {"sigmoid", "sigmoid"},
                 {"affine", "affine"},
                 {"leakyrelu", "leaky_relu"},
                 {"thresholdedrelu", "thresholded_relu"},
                 {"scaledtanh", "scaled_tanh"},
                 {"hardsigmoid", "hard_sigmoid_keras2"},
                 {"elu", "elu"},
                 {"softsign", "softsign"},
                 {"softplus", "softplus"}, /* and what other frameworks have */
                 {"linear", "linear"},
                 {"swish", "swish"},
                 {"silu", "silu"},
                 {"gelu", "gelu"},
                 {"selu", "selu"},
                 {"relu6", "relu6"},
                 {"exponential", "exp"},
                 {"exp", "exp"},
                 {"hardsigmoidkeras3", "hard_sigmoid"},
                 {"hardtanh", "hard_tanh"},
                 {"hardswish", "hard_swish"},
                 {"mish", "mish"},
                 {"abs", "abs"}};
    char plain[32];
    plain_name(name, plain, sizeof plain);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(plain, names[i].name) == 0) return act_find(names[i].ours, act);
    return false;
}

struct act_lists { /* what is left of the three attributes */
    const char *const *names;
    const float *alpha, *beta;
    size_t count, alphas, betas;
};

/* A list gives its next number to the next activation that has such a number. */
static void take_numbers(struct act_lists *l, struct act *act)
{
    bool two = act->kind == ACT_AFFINE || act->kind == ACT_SCALED_TANH || act->kind == ACT_HARD_SIGMOID;
    bool one = two || act->kind == ACT_LEAKY_RELU || act->kind == ACT_ELU || act->kind == ACT_THRESHOLDED_RELU;
    if (one && l->alphas) {
        act->alpha = *l->alpha++;
        l->alphas--;
    }
    if (two && l->betas) {
        act->beta = *l->beta++;
        l->betas--;
    }
}

static rnnd_code take_act(const struct graph_node *n, struct act_lists *l, enum act_kind absent, struct act *act,
                          rnnd_error *err)
{
    *act = (struct act){.kind = absent};
    if (!l->names) return RNND_OK;
    if (!find_act(*l->names, act))
        return fail_at(err, RNND_UNSUPPORTED, "activations", "node \"%.80s\" (%s): the activation \"%.80s\" is unknown",
                       n->name, n->op->name, *l->names);
    l->names++;
    take_numbers(l, act);
    return RNND_OK;
}

static rnnd_code read_acts(const struct graph_node *n, struct act_lists *l, struct cell_spec *s, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    if (s->kind != CELL_RNN) code = take_act(n, l, ACT_SIGMOID, &s->gate, err);
    if (!code) code = take_act(n, l, ACT_TANH, &s->cell, err);
    if (!code && s->kind == CELL_LSTM) code = take_act(n, l, ACT_TANH, &s->out, err);
    return code;
}

/* ---- weights ---- */

/* `gates` pieces of `piece` floats, in our order */
static void reorder(float *to, const float *from, const size_t *order, size_t gates, size_t piece)
{
    for (size_t i = 0; i < gates; i++)
        memcpy(to + i * piece, from + order[i] * piece, piece * sizeof *to);
}

struct source {
    const float *w, *r, *b, *p;
}; /* one direction's part of the constants */

/* Copies in our order, and hands the whole on. */
static rnnd_code hand_on(const struct source *from, struct cell_spec *s, size_t direction,
                         const struct sequence_use *use, rnnd_error *err)
{
    size_t gates = gates_of[s->kind], H = s->hidden, w = gates * H * s->inputs, r = gates * H * H, b = gates * H;
    const size_t *order = gate_from[s->kind];
    struct sequence_matrices own = {mem_aligned(w * sizeof(float)), mem_aligned(r * sizeof(float))};
    float *rows = mem_alloc(2 * b + 3 * H, sizeof *rows); /* biases and peepholes */
    rnnd_code code = RNND_OK;
    if (!own.w_ih || !own.w_hh || !rows) {
        code = fail_memory(err, (w + r + 2 * b + 3 * H) * sizeof *rows);
    } else {
        reorder(own.w_ih, from->w, order, gates, H * s->inputs);
        reorder(own.w_hh, from->r, order, gates, H * H);
        s->w_ih = own.w_ih;
        s->w_hh = own.w_hh;
    }
    if (!code && from->b) {
        s->b_ih = rows;
        s->b_hh = rows + b;
        reorder(rows, from->b, order, gates, H);
        reorder(rows + b, from->b + b, order, gates, H);
    }
    if (!code && from->p) {
        s->peephole = rows + 2 * b;
        reorder(rows + 2 * b, from->p, peephole_from, 3, H);
    }
    if (!code) code = use->use(use->context, direction, s, &own, err);
    mem_free(own.w_ih);
    mem_free(own.w_hh);
    mem_free(rows);
    return code;
}

static rnnd_code read_sizes(const struct graph_node *n, const struct tensor *const in[SEQ_MASK],
                            struct sequence_node *s, rnnd_error *err)
{
    size_t gates = gates_of[s->kind];
    for (int i = SEQ_W; i <= SEQ_R; i++)
        if (!in[i])
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): its weights %s are absent", n->name,
                           n->op->name, i == SEQ_W ? "W" : "R");
    const struct tensor *w = in[SEQ_W], *r = in[SEQ_R];
    bool fit = w->rank == 3 && r->rank == 3 && w->dim[2] > 0 && r->dim[2] > 0 && w->dim[0] == s->directions;
    if (fit) {
        s->inputs = w->dim[2];
        s->hidden = r->dim[2];
        fit = w->dim[1] == gates * s->hidden && s->hidden <= (size_t)1 << 24 && s->inputs <= (size_t)1 << 24;
    }
    char found_w[96], found_r[96];
    if (!fit)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (%s): wanted W [%zu, %zu*hidden, inputs] and R [%zu, %zu*hidden, hidden], found "
                       "%s and %s",
                       n->name, n->op->name, s->directions, gates, s->directions, gates,
                       dims_text(w->rank, w->dim, found_w, sizeof found_w),
                       dims_text(r->rank, r->dim, found_r, sizeof found_r));
    int64_t said = op_int(n, "hidden_size", (int64_t)s->hidden);
    if (said != (int64_t)s->hidden)
        return fail_at(err, RNND_MISMATCH, "hidden_size", "node \"%.80s\" (%s): hidden_size is %lld, R has %zu",
                       n->name, n->op->name, (long long)said, s->hidden);
    return RNND_OK;
}

static rnnd_code read_options(const struct graph_node *n, struct sequence_node *s, rnnd_error *err)
{
    const char *direction = op_string(n, "direction", "forward");
    int64_t layout = op_int(n, "layout", 0);
    s->reverse = strcmp(direction, "reverse") == 0;
    s->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    s->batch_first = layout == 1;
    if (!s->reverse && s->directions == 1 && strcmp(direction, "forward") != 0)
        return fail_at(err, RNND_MISMATCH, "direction",
                       "node \"%.80s\" (%s): wanted direction forward, reverse or bidirectional, found \"%.80s\"",
                       n->name, n->op->name, direction);
    if (!(op_float(n, "clip", 0) >= 0))
        return fail_at(err, RNND_MISMATCH, "clip", "node \"%.80s\" (%s): wanted a clip of 0 or above, found %g",
                       n->name, n->op->name, (double)op_float(n, "clip", 0));
    if (layout != 0 && layout != 1)
        return fail_at(err, RNND_MISMATCH, "layout", "node \"%.80s\" (%s): wanted layout 0 or 1, found %lld", n->name,
                       n->op->name, (long long)layout);
    return RNND_OK;
}

/* A list of another kind would be read as none. */
static rnnd_code check_floats(const struct graph_node *n, const char *name, rnnd_error *err)
{
    const struct attr *a = graph_find_attr(n, name);
    if (!a || a->kind == ATTR_FLOATS || (a->kind == ATTR_INTS && a->count == 0)) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, name, "node \"%.80s\" (%s): \"%s\" must be a list of floats", n->name,
                   n->op->name, name);
}

static rnnd_code read_lists(const struct graph_node *n, const struct sequence_node *s, struct act_lists *l,
                            rnnd_error *err)
{
    size_t wanted = s->directions * acts_of[s->kind];
    l->names = op_attr_strings(n, "activations", &l->count);
    l->alpha = op_attr_floats(n, "activation_alpha", &l->alphas);
    l->beta = op_attr_floats(n, "activation_beta", &l->betas);
    if (l->count == 0) l->names = NULL;
    rnnd_code code = check_floats(n, "activation_alpha", err);
    if (!code) code = check_floats(n, "activation_beta", err);
    if (code) return code;
    if (!l->names || l->count == wanted) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, "activations", "node \"%.80s\" (%s): wanted %zu activations, found %zu", n->name,
                   n->op->name, wanted, l->count);
}

/* The floats of weights of this shape; NULL where there are none. */
static rnnd_code read_part(const struct graph_node *n, const struct tensor *t, const char *what, int rank,
                           const size_t *dim, const float **out, rnnd_error *err)
{
    char want[96], found[96];
    *out = t ? t->data : NULL;
    if (!t || (t->dtype == DTYPE_F32 && t->rank == rank && memcmp(t->dim, dim, (size_t)rank * sizeof *dim) == 0))
        return RNND_OK;
    return fail_at(err, RNND_MISMATCH, n->name,
                   "node \"%.80s\" (%s), weights %s: wanted floats of shape %s, found %s %s", n->name, n->op->name,
                   what, dims_text(rank, dim, want, sizeof want), dtype_name(t->dtype),
                   dims_text(t->rank, t->dim, found, sizeof found));
}

bool sequence_constants(const struct graph *g, const struct graph_node *n, const struct tensor *in[SEQ_MASK])
{
    bool all = true;
    memset(in, 0, SEQ_MASK * sizeof *in);
    for (int i = 0; i < n->input_count && i < SEQ_MASK; i++) {
        const struct graph_value *v = n->inputs[i] >= 0 ? &g->values[n->inputs[i]] : NULL;
        if (!v || i == SEQ_X || (i > SEQ_B && i < SEQ_P)) continue;
        if (v->is_constant)
            in[i] = &v->constant;
        else
            all = false;
    }
    return all;
}

rnnd_code sequence_each(const struct graph_node *n, const struct tensor *const in[SEQ_MASK], enum cell_kind kind,
                        const struct sequence_use *use, struct sequence_node *out, rnnd_error *err)
{
    struct act_lists lists;
    struct source all = {NULL, NULL, NULL, NULL};
    *out = (struct sequence_node){.kind = kind};
    rnnd_code code = read_options(n, out, err);
    if (!code) code = read_sizes(n, in, out, err);
    if (!code) code = read_lists(n, out, &lists, err);
    if (code) return code;
    size_t D = out->directions, H = out->hidden, rows = gates_of[kind] * H;
    code = read_part(n, in[SEQ_W], "W", 3, (const size_t[]){D, rows, out->inputs}, &all.w, err);
    if (!code) code = read_part(n, in[SEQ_R], "R", 3, (const size_t[]){D, rows, H}, &all.r, err);
    if (!code) code = read_part(n, in[SEQ_B], "B", 2, (const size_t[]){D, 2 * rows}, &all.b, err);
    if (!code && kind == CELL_LSTM) code = read_part(n, in[SEQ_P], "P", 2, (const size_t[]){D, 3 * H}, &all.p, err);
    for (size_t d = 0; d < D && !code; d++) {
        struct cell_spec s = {.kind = kind, .inputs = out->inputs, .hidden = H};
        struct source from = {all.w + d * rows * out->inputs, all.r + d * rows * H, all.b ? all.b + d * 2 * rows : NULL,
                              all.p ? all.p + d * 3 * H : NULL};
        s.clip = op_float(n, "clip", 0);
        s.coupled_forget = kind == CELL_LSTM && op_int(n, "input_forget", 0) != 0;
        s.reset_before = kind == CELL_GRU && op_int(n, "linear_before_reset", 0) == 0;
        code = read_acts(n, &lists, &s, err);
        if (!code) code = hand_on(&from, &s, d, use, err);
    }
    return code;
}

struct preparing {
    const struct kernels *kernels;
    struct sequence_node *out;
};

static rnnd_code prepare_cell(void *context, size_t direction, const struct cell_spec *spec,
                              struct sequence_matrices *own, rnnd_error *err)
{
    struct preparing *p = context;
    (void)own;
    return cell_prepare(spec, p->kernels, &p->out->cell[direction], err);
}

rnnd_code sequence_read(const struct kernels *kernels, const struct graph_node *n,
                        const struct tensor *const in[SEQ_MASK], enum cell_kind kind, struct sequence_node *out,
                        rnnd_error *err)
{
    struct preparing p = {kernels, out};
    return sequence_each(n, in, kind, &(struct sequence_use){prepare_cell, &p}, out, err);
}
