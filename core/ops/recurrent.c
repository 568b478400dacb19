/* recurrent.c -- LSTM, GRU and RNN nodes of sequence graphs: weights and shapes, the states they read and make. */
#include <string.h>

#include "core/base/error.h"
#include "core/cells/cell.h"
#include "core/ops/ops.h"
#include "core/ops/projected.h"
#include "core/ops/steps.h"

enum { IN_X, IN_H, IN_C, IN_W_IH, IN_W_HH, IN_B_IH, IN_B_HH, IN_W_HR, IN_PEEPHOLE, IN_MASK };
enum { OUT_Y, OUT_H, OUT_C };

struct recurrent {
    struct cell *cell;
    struct projected projected;
    bool reverse;
    int h_state, c_state; /* index of the direct state, or -1 */
    bool h_read, c_read;  /* someone wants the last h, c as a value */
    bool y_read_once;     /* by a node, a state or the caller */
};

static enum cell_kind kind_of(const struct graph_node *n)
{
    return n->op == &op_lstm ? CELL_LSTM : n->op == &op_gru ? CELL_GRU : CELL_RNN;
}

static rnnd_code find_sizes(const struct graph *g, const struct graph_node *n, struct cell_spec *s, rnnd_error *err)
{
    static const size_t gates_of[] = {[CELL_RNN] = 1, [CELL_LSTM] = 4, [CELL_GRU] = 3};
    const struct graph_value *w = &g->values[n->inputs[IN_W_HH]];
    int64_t inputs = op_width(g, n, IN_X);
    s->kind = kind_of(n);
    size_t gates = gates_of[s->kind];
    if (g->values[n->inputs[IN_X]].rank != 3 || inputs < 1)
        return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted a sequence of rows as input", n->name);
    if (w->rank != 2 || w->dim[0] < 1 || w->dim[0] % (int64_t)gates != 0)
        return fail_at(err, RNND_MISMATCH, w->name,
                       "layer \"%.80s\", weight_hh \"%.80s\": wanted %zu rows per unit, found %lld", n->name, w->name,
                       gates, (long long)(w->rank > 0 ? w->dim[0] : 0));
    s->inputs = (size_t)inputs;
    s->hidden = (size_t)w->dim[0] / gates;
    s->projection = n->input_count > IN_W_HR && n->inputs[IN_W_HR] >= 0 ? (size_t)w->dim[1] : 0;
    return RNND_OK;
}

static bool has(const struct graph_node *n, int input)
{
    return input < n->input_count && n->inputs[input] >= 0;
}

/* The cell's description with all shapes verified. */
static rnnd_code describe(const struct graph *g, const struct graph_node *n, struct cell_spec *s, rnnd_error *err)
{
    rnnd_code code = find_sizes(g, n, s, err);
    if (code) return code;
    const struct graph_value *w = &g->values[n->inputs[IN_W_HH]];
    size_t rows = (size_t)w->dim[0], recurrent = s->projection ? s->projection : s->hidden;
    const struct {
        int input;
        const char *what;
        int rank;
        size_t dim[2];
        const float **to;
    } wanted[] = {
        {IN_W_IH, "weight_ih", 2, {rows, s->inputs}, &s->w_ih},
        {IN_W_HH, "weight_hh", 2, {rows, recurrent}, &s->w_hh},
        {IN_B_IH, "bias_ih", 1, {rows, 0}, &s->b_ih},
        {IN_B_HH, "bias_hh", 1, {rows, 0}, &s->b_hh},
        {IN_W_HR, "projection", 2, {s->projection, s->hidden}, &s->w_hr},
        {IN_PEEPHOLE, "peephole", 2, {3, s->hidden}, &s->peephole},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        *wanted[i].to = op_constant(g, n, wanted[i].input, wanted[i].what, wanted[i].rank, wanted[i].dim, &code, err);
        if (code) return code;
    }
    s->gate = op_act(n, "gate", (struct act){.kind = ACT_SIGMOID});
    s->cell = op_act(n, "cell", (struct act){.kind = ACT_TANH});
    s->out = op_act(n, "out", (struct act){.kind = ACT_TANH});
    s->reset_before = op_int(n, "reset_before", 0) != 0;
    s->z_takes_new = op_int(n, "z_takes_new", 0) != 0;
    s->coupled_input = op_int(n, "coupled_input", 0) != 0;
    s->coupled_forget = op_int(n, "coupled_forget", 0) != 0;
    s->clip = op_float(n, "clip", 0);
    s->cell_clip = op_float(n, "cell_clip", 0);
    s->projection_clip = op_float(n, "projection_clip", 0);
    s->precision = g->precision;
    return RNND_OK;
}

static rnnd_code check(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    struct cell_spec s = {0};
    if (n->inputs[IN_X] < 0 || n->inputs[IN_W_IH] < 0 || n->inputs[IN_W_HH] < 0)
        return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": %s needs an input, weight_ih and weight_hh",
                       n->name, n->op->name);
    for (int i = IN_W_HR; i <= IN_PEEPHOLE && n->op != &op_lstm; i++)
        if (has(n, i))
            return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": %s has no input %d", n->name, n->op->name, i);
    rnnd_code code = describe(g, n, &s, err);
    if (code) return code;
    size_t recurrent = s.projection ? s.projection : s.hidden;
    const size_t widths[] = {[IN_H] = recurrent, [IN_C] = s.hidden};
    if (s.kind != CELL_LSTM && n->inputs[IN_C] >= 0)
        return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": %s has no c, wanted \"\" as its input 2", n->name,
                       n->op->name);
    for (int i = IN_H; i <= (s.kind == CELL_LSTM ? IN_C : IN_H); i++)
        if (n->inputs[i] >= 0 && op_width(g, n, i) != (int64_t)widths[i])
            return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted a state of width %zu, found %lld",
                           n->name, widths[i], (long long)op_width(g, n, i));
    const struct graph_value *mask = has(n, IN_MASK) ? &g->values[n->inputs[IN_MASK]] : NULL;
    if (mask && (mask->is_constant || mask->rank != 3 || mask->dim[2] != 1 ||
                 mask->dim[0] != g->values[n->inputs[IN_X]].dim[0]))
        return fail_at(err, RNND_MISMATCH, n->name, "layer \"%.80s\": wanted a mask of one number a step of its input",
                       n->name);
    graph_shape(g, n->outputs[OUT_Y], 3, (const int64_t[]){g->values[n->inputs[IN_X]].dim[0], -1, (int64_t)recurrent});
    if (n->output_count > OUT_H) graph_shape(g, n->outputs[OUT_H], 2, (const int64_t[]){-1, (int64_t)recurrent});
    if (n->output_count > OUT_C && s.kind == CELL_LSTM)
        graph_shape(g, n->outputs[OUT_C], 2, (const int64_t[]){-1, (int64_t)s.hidden});
    return RNND_OK;
}

static int direct_state(const struct graph *g, int in)
{
    for (size_t i = 0; i < g->state_count; i++)
        if (g->states[i].in == in && g->states[i].direct) return (int)i;
    return -1;
}

static rnnd_code prepare(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    struct cell_spec s = {0};
    rnnd_code code = describe(g, n, &s, err);
    if (code) return code;
    struct recurrent *r = arena_alloc(&g->arena, 1, sizeof *r);
    if (!r) return fail_memory(err, sizeof *r);
    *r = (struct recurrent){.reverse = op_int(n, "reverse", 0) != 0, .h_state = -1, .c_state = -1};
    code = cell_prepare(&s, g->kernels, &r->cell, err);
    if (!code) code = projected_make(g, n->inputs[IN_X], r->cell, &r->projected, err);
    if (code) {
        cell_free(r->cell);
        return code;
    }
    if (n->inputs[IN_H] >= 0) r->h_state = direct_state(g, n->inputs[IN_H]);
    if (n->inputs[IN_C] >= 0) r->c_state = direct_state(g, n->inputs[IN_C]);
    r->y_read_once = graph_readers(g, n->outputs[OUT_Y]) == 1;
    /* the state itself counts as one reader */
    if (n->output_count > OUT_H && n->outputs[OUT_H] >= 0)
        r->h_read = graph_readers(g, n->outputs[OUT_H]) > (r->h_state >= 0);
    if (n->output_count > OUT_C && n->outputs[OUT_C] >= 0)
        r->c_read = graph_readers(g, n->outputs[OUT_C]) > (r->c_state >= 0);
    g->weight_bytes += r->cell->weight_bytes + r->projected.bytes;
    n->prepared = r;
    return RNND_OK;
}

static void release(struct graph_node *n)
{
    struct recurrent *r = n->prepared;
    mem_free(r->projected.rows);
    cell_free(r->cell);
}

bool recurrent_same(const struct graph_node *a, const struct graph_node *b)
{
    return cell_same(((struct recurrent *)a->prepared)->cell, ((struct recurrent *)b->prepared)->cell);
}

/* Row b of the state behind an input: the caller's, a value's, or zeros. */
static const float *state_row(const struct run_context *rc, int value, int direct, size_t b, size_t width,
                              const float *zeros)
{
    if (direct >= 0) return rc->state_in[b] + rc->state_offset[direct];
    return value >= 0 ? (const float *)rc->values[value].data + b * width : zeros;
}

static void set_states(struct run_context *rc, const struct graph_node *n, struct steps *s, float *c_own)
{
    const struct recurrent *r = n->prepared;
    size_t c_width = r->cell->c_width;
    for (size_t b = 0; b < s->B; b++) {
        s->h[b] = state_row(rc, n->inputs[IN_H], r->h_state, b, r->cell->recurrent, s->zeros);
        if (c_width == 0) continue;
        s->c[b] = state_row(rc, n->inputs[IN_C], r->c_state, b, c_width, s->zeros);
        s->c_next[b] = r->c_state >= 0 ? rc->state_out[b] + rc->state_offset[r->c_state] : c_own + b * c_width;
    }
}

/* [T][B][1] -> [B][T] */
static rnnd_code take_mask(struct run_context *rc, const struct graph_node *n, struct steps *s, rnnd_error *err)
{
    if (!has(n, IN_MASK)) return RNND_OK;
    uint8_t *mask = rc->scratch(rc, s->T * s->B);
    if (!mask) return fail_memory(err, s->T * s->B);
    s->mask = mask;
    s->holds = true;
    if (rc->planning) return RNND_OK;
    const float *given = rc->values[n->inputs[IN_MASK]].data;
    for (size_t t = 0; t < s->T; t++)
        for (size_t b = 0; b < s->B; b++)
            mask[b * s->T + t] = given[t * s->B + b] != 0;
    return RNND_OK;
}

/* A state's own row may be where it lies already: masked steps leave it there. */
static void keep(float *to, const float *from, size_t width)
{
    if (to != from) memcpy(to, from, width * sizeof *to);
}

static rnnd_code run(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct recurrent *r = n->prepared;
    const struct cell *cell = r->cell;
    const struct tensor *x = &rc->values[n->inputs[IN_X]];
    size_t T = x->dim[0], B = x->dim[1], H = cell->recurrent;
    bool in_place = r->y_read_once && rc->place.value == n->outputs[OUT_Y]; /* nobody minds how rows are spaced */
    rnnd_code code = in_place ? RNND_OK : rc->output(rc, n, OUT_Y, DTYPE_F32, 3, (const size_t[]){T, B, H}, err);
    if (in_place)
        rc->values[n->outputs[OUT_Y]] =
            (struct tensor){.dtype = DTYPE_F32, .rank = 3, .dim = {T, B, H}, .data = rc->place.data};
    if (!code && r->h_read) code = rc->output(rc, n, OUT_H, DTYPE_F32, 2, (const size_t[]){B, H}, err);
    if (!code && r->c_read) code = rc->output(rc, n, OUT_C, DTYPE_F32, 2, (const size_t[]){B, cell->c_width}, err);
    if (code) return code;
    struct steps s = {.cell = cell,
                      .T = T,
                      .B = B,
                      .x = x->data,
                      .projected = r->projected.rows,
                      .ids = r->projected.rows ? rc->values[r->projected.ids].data : NULL,
                      .x_t = B * cell->inputs,
                      .x_b = cell->inputs,
                      .y = rc->values[n->outputs[OUT_Y]].data,
                      .y_t = in_place ? rc->place.by_t : B * H,
                      .y_b = in_place ? rc->place.by_b : H,
                      .reverse = r->reverse};
    code = take_mask(rc, n, &s, err);
    if (!code) code = steps_start(&s, rc, err);
    float *c_own = code ? NULL : rc->scratch(rc, B * cell->c_width * sizeof(float));
    if (!code && !c_own) code = fail_memory(err, B * cell->c_width * sizeof(float));
    if (code || rc->planning) return code;
    set_states(rc, n, &s, c_own);
    steps_run(&s);
    for (size_t b = 0; b < B; b++) {
        if (r->h_state >= 0) keep(rc->state_out[b] + rc->state_offset[r->h_state], s.h[b], H);
        if (r->c_state >= 0) keep(rc->state_out[b] + rc->state_offset[r->c_state], s.c[b], cell->c_width);
        if (r->h_read) memcpy((float *)rc->values[n->outputs[OUT_H]].data + b * H, s.h[b], H * sizeof(float));
        if (r->c_read)
            memcpy((float *)rc->values[n->outputs[OUT_C]].data + b * cell->c_width, s.c[b],
                   cell->c_width * sizeof(float));
    }
    return RNND_OK;
}

static const char *const lstm_attributes[] = {
    "reverse", "gate", "cell", "out", "coupled_input", "coupled_forget", "clip", "cell_clip", "projection_clip", NULL};
static const char *const gru_attributes[] = {"reverse", "gate", "cell", "reset_before", "z_takes_new", "clip", NULL};
static const char *const rnn_attributes[] = {"reverse", "cell", "clip", NULL};

const struct op op_lstm = {"lstm", 5, 10, 3, lstm_attributes, true, true, check, prepare, release, run};
const struct op op_gru = {"gru", 5, 10, 2, gru_attributes, true, true, check, prepare, release, run};
const struct op op_rnn = {"rnn", 5, 10, 2, rnn_attributes, true, true, check, prepare, release, run};
