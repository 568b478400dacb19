/* streamline_cell.c -- LSTM, GRU and RNN nodes as cells with states of their own. */
#include <stdio.h>
#include <string.h>

#include "core/graph/streamline_private.h"
#include "core/ops/sequence_weights.h"

struct building { /* one node's cells */
    struct streamline *s;
    const struct graph_node *n;
    struct sequence_node node;
    int x, mask; /* mask -1: none */
    int y[2], h[2], c[2]; /* values by direction: the sequence, the last states */
    const float *h0[2], *c0[2];
};

/* Where a state begins: absent or zeros, or trained numbers [D][1][H], alike for every sequence. */
static bool initial(struct building *b, int input, const float *out[2])
{
    const struct view *v = streamline_view(b->s, b->n, input);
    size_t H = b->node.hidden, D = b->node.directions;
    if (!v) return true;
    if (v->kind == VIEW_FILLED) return v->fill == 0;
    if (v->kind != VIEW_CONSTANT) return false;
    const struct graph_value *c = &b->s->from->values[v->value];
    if (c->dtype != DTYPE_F32) return false;
    const float *f = c->constant.data;
    size_t count = tensor_count(&c->constant);
    bool zero = true;
    for (size_t i = 0; i < count; i++)
        zero = zero && f[i] == 0;
    if (zero) return true;
    if (count != D * H || c->rank != 3 || c->constant.dim[2] != H) return false;
    for (size_t d = 0; d < D; d++)
        out[d] = f + d * H;
    return true;
}

/* All steps of every sequence, where lengths are said at all. */
static bool full_lengths(const struct building *b, const struct view *x)
{
    const struct view *v = streamline_view(b->s, b->n, SEQ_LENS);
    int time = view_find(x, ATOM_TIME);
    struct extent T;
    if (!v) return true;
    if (!axis_extent(&x->axis[time], &T)) return false;
    if (v->kind == VIEW_FILLED) return T.kind == EXTENT_NUMBER && (int64_t)v->fill == T.number;
    if (v->kind == VIEW_SHAPE) {
        for (int i = 0; i < v->count; i++)
            if (v->extent[i].kind != T.kind || v->extent[i].number != T.number) return false;
        return v->count > 0;
    }
    if (v->kind != VIEW_CONSTANT || T.kind != EXTENT_NUMBER) return false;
    const struct tensor *t = &b->s->from->values[v->value].constant;
    for (size_t i = 0; i < tensor_count(t); i++)
        if (t->dtype != DTYPE_I64 || ((const int64_t *)t->data)[i] != T.number) return false;
    return true;
}

/* A number for each step, [batch][time]. */
static bool find_mask(struct building *b)
{
    const struct view *m = streamline_view(b->s, b->n, SEQ_MASK);
    b->mask = -1;
    if (!m) return true;
    if (m->kind != VIEW_ROWS || m->rank != 2 || view_width(m) != 1 || !axis_is(&m->axis[1], ATOM_TIME) ||
        !(axis_is(&m->axis[0], ATOM_BATCH) || m->axis[0].count == 0))
        return false;
    b->mask = m->value;
    return true;
}

static rnnd_code set_attributes(struct graph *g, struct graph_node *n, const struct cell_spec *c, bool reverse)
{
    struct act *acts = arena_alloc(&g->arena, 3, sizeof *acts);
    if (!acts) return RNND_NO_MEMORY;
    memcpy(acts, (const struct act[]){c->gate, c->cell, c->out}, 3 * sizeof *acts);
    rnnd_code code = graph_attr_int(g, n, "reverse", reverse);
    if (!code) code = graph_attr_float(g, n, "clip", c->clip);
    if (!code) code = graph_attr_pointer(g, n, "cell", acts + 1);
    if (!code && c->kind != CELL_RNN) code = graph_attr_pointer(g, n, "gate", acts);
    if (!code && c->kind == CELL_GRU) code = graph_attr_int(g, n, "reset_before", c->reset_before);
    if (code || c->kind != CELL_LSTM) return code;
    code = graph_attr_pointer(g, n, "out", acts + 2);
    return code ? code : graph_attr_int(g, n, "coupled_forget", c->coupled_forget);
}

static rnnd_code add_state(struct streamline *s, const struct graph_node *n, char kind, size_t direction, size_t width,
                           int *in)
{
    char name[128];
    snprintf(name, sizeof name, "%.100s.%c%s", n->name, kind, direction ? "_reverse" : "");
    *in = graph_value(s->to, name);
    if (*in < 0) return fail_memory(s->err, sizeof(struct graph_value));
    graph_shape(s->to, *in, 2, (const int64_t[]){-1, (int64_t)width});
    return RNND_OK;
}

/* The node's matrix becomes the graph's. */
static rnnd_code take_matrix(struct streamline *s, const char *name, size_t rows, size_t columns, float **matrix,
                             int *value)
{
    *value = graph_constant_take(s->to, name, DTYPE_F32, 2, (const size_t[]){rows, columns}, *matrix);
    if (*value < 0) return fail_memory(s->err, sizeof(struct graph_value));
    *matrix = NULL;
    return RNND_OK;
}

/* A bias of zeros is none: where a file has one bias and the node two, the other was made up. */
static bool says_something(const float *bias, size_t n)
{
    static const float zero;
    for (size_t i = 0; bias && i < n; i++)
        if (memcmp(&bias[i], &zero, sizeof zero) != 0) return true;
    return false;
}

static rnnd_code add_weights(struct streamline *s, const char *name, const struct cell_spec *c,
                             struct sequence_matrices *own, int in[9])
{
    static const size_t gates_of[] = {[CELL_RNN] = 1, [CELL_LSTM] = 4, [CELL_GRU] = 3};
    size_t rows = gates_of[c->kind] * c->hidden;
    rnnd_code code = take_matrix(s, name, rows, c->inputs, &own->w_ih, &in[3]);
    if (!code) code = take_matrix(s, name, rows, c->hidden, &own->w_hh, &in[4]);
    if (!code && says_something(c->b_ih, rows)) code = streamline_floats(s, name, 1, rows, 0, c->b_ih, &in[5]);
    if (!code && says_something(c->b_hh, rows)) code = streamline_floats(s, name, 1, rows, 0, c->b_hh, &in[6]);
    if (!code && c->peephole) code = streamline_floats(s, name, 2, 3, c->hidden, c->peephole, &in[8]);
    return code;
}

static rnnd_code build_cell(void *context, size_t d, const struct cell_spec *c, struct sequence_matrices *own,
                            rnnd_error *err)
{
    struct building *b = context;
    struct streamline *s = b->s;
    bool lstm = c->kind == CELL_LSTM, reverse = d == 1 || b->node.reverse;
    int in[10] = {b->x, -1, -1, -1, -1, -1, -1, -1, -1, b->mask};
    (void)err; /* s->err is the same */
    rnnd_code code = add_weights(s, b->n->name, c, own, in);
    if (!code) code = add_state(s, b->n, 'h', d, c->hidden, &in[1]);
    if (!code && lstm) code = add_state(s, b->n, 'c', d, c->hidden, &in[2]);
    if (code) return code;
    struct graph_node *n = streamline_node(s,
                                           lstm                  ? "lstm"
                                           : c->kind == CELL_GRU ? "gru"
                                                                 : "rnn",
                                           b->n->name, in, b->mask >= 0 ? 10 : lstm ? 9 : 7, lstm ? 3 : 2);
    if (!n) return RNND_NO_MEMORY;
    b->y[d] = n->outputs[0];
    b->h[d] = n->outputs[1];
    b->c[d] = lstm ? n->outputs[2] : -1;
    if (set_attributes(s->to, n, c, reverse)) return fail_memory(s->err, sizeof(struct attr));
    code = streamline_check(s, n);
    s->cells++;
    const char *h_name = s->to->values[in[1]].name;
    if (!code && graph_add_state(s->to, h_name, 'h', in[1], b->h[d], c->hidden, b->h0[d])) code = RNND_NO_MEMORY;
    if (!code && lstm && graph_add_state(s->to, s->to->values[in[2]].name, 'c', in[2], b->c[d], c->hidden, b->c0[d]))
        code = RNND_NO_MEMORY;
    return code;
}

/* Both directions side by side, the direction varying slowest, as Y and Y_h have it. */
static rnnd_code join(struct streamline *s, const struct graph_node *n, int values[2], size_t directions, int *out)
{
    *out = values[0];
    return directions == 1 ? RNND_OK : streamline_op(s, "concat", n->name, values, 2, out);
}

static rnnd_code last_state(struct building *b, int states[2], int output)
{
    struct view *v = streamline_output(b->s, b->n, output);
    size_t D = b->node.directions, H = b->node.hidden;
    int rows[2];
    if (!v) return RNND_OK;
    struct axis batch = v->axis[0]; /* left here by the caller */
    for (size_t d = 0; d < D; d++) {
        rnnd_code code = streamline_op(b->s, "as_step", b->n->name, &states[d], 1, &rows[d]);
        if (code || b->s->refused) return code;
    }
    *v = (struct view){.kind = VIEW_ROWS, .rank = 3};
    v->axis[b->node.batch_first ? 1 : 0] = D == 1 ? axis_one() : axis_of(ATOM_FEATURE, D, 0);
    v->axis[b->node.batch_first ? 0 : 1] = batch;
    v->axis[2] = H == 1 ? axis_one() : axis_of(ATOM_FEATURE, H, 0);
    view_restride(v);
    return join(b->s, b->n, rows, D, &v->value);
}

static rnnd_code outputs(struct building *b, const struct view *x, int time, int batch)
{
    struct streamline *s = b->s;
    struct view *y = streamline_output(s, b->n, 0);
    size_t D = b->node.directions, H = b->node.hidden;
    struct axis time_axis = x->axis[time], batch_axis = x->axis[batch];
    for (int i = 1; i < 3; i++)
        if (streamline_output(s, b->n, i)) streamline_output(s, b->n, i)->axis[0] = batch_axis;
    rnnd_code code = last_state(b, b->h, 1);
    if (!code && !s->refused && b->c[0] >= 0) code = last_state(b, b->c, 2);
    if (code || s->refused || !y) return code;
    struct axis direction = D == 1 ? axis_one() : axis_of(ATOM_FEATURE, D, 0);
    *y = (struct view){.kind = VIEW_ROWS, .rank = 4};
    y->axis[0] = b->node.batch_first ? batch_axis : time_axis; /* [T][D][B][H], or [B][T][D][H] */
    y->axis[1] = b->node.batch_first ? time_axis : direction;
    y->axis[2] = b->node.batch_first ? direction : batch_axis;
    y->axis[3] = H == 1 ? axis_one() : axis_of(ATOM_FEATURE, H, 0);
    view_restride(y);
    return join(s, b->n, b->y, D, &y->value);
}

rnnd_code streamline_cell(struct streamline *s, const struct graph_node *n, bool *known)
{
    static const char *const names[] = {[CELL_RNN] = "RNN", [CELL_LSTM] = "LSTM", [CELL_GRU] = "GRU"};
    struct building b = {.s = s, .n = n, .y = {-1, -1}, .h = {-1, -1}, .c = {-1, -1}};
    size_t kind = 0;
    while (kind < 3 && strcmp(n->op->name, names[kind]) != 0)
        kind++;
    if (kind == 3) return *known = false, RNND_OK;
    const struct view *v = streamline_view(s, n, SEQ_X);
    if (!v || v->kind != VIEW_ROWS || v->rank != 3) return streamline_refuse(s, n, "reads something other than rows");
    struct view x = *v;
    b.node.batch_first = op_int(n, "layout", 0) == 1;
    int time = b.node.batch_first ? 1 : 0, batch = 1 - time;
    if (!axis_is(&x.axis[time], ATOM_TIME) || !(axis_is(&x.axis[batch], ATOM_BATCH) || x.axis[batch].count == 0) ||
        axis_has(&x.axis[2], ATOM_BATCH) || axis_has(&x.axis[2], ATOM_TIME) || !view_in_order(&x))
        return streamline_refuse(s, n, "does not read [time][batch][features]");
    if (!find_mask(&b)) return streamline_refuse(s, n, "leaves steps out by a mask that is not one of its rows");
    if (!full_lengths(&b, &x)) return streamline_refuse(s, n, "ends its sequences at lengths of their own");
    b.x = x.value;
    rnnd_error why;
    size_t H = 0; /* sizes first: initial states are told apart by them */
    const struct view *r = streamline_view(s, n, SEQ_R);
    if (r && r->kind == VIEW_CONSTANT && r->rank == 3) {
        b.node.directions = s->from->values[r->value].constant.dim[0];
        H = b.node.hidden = s->from->values[r->value].constant.dim[2];
    }
    if (H == 0 || b.node.directions < 1 || b.node.directions > 2 || !initial(&b, SEQ_H, b.h0) ||
        (kind == CELL_LSTM && !initial(&b, SEQ_C, b.c0)))
        return streamline_refuse(s, n, "begins from a state that is no constant");
    if (b.mask >= 0 && (b.h0[0] || b.h0[1])) /* before the first step that counts, y is zeros, and not h */
        return streamline_refuse(s, n, "leaves steps out and begins from a state of its own");
    const struct tensor *weights[SEQ_MASK];
    if (!sequence_constants(s->from, n, weights)) return streamline_refuse(s, n, "has weights that are computed");
    rnnd_code code =
        sequence_each(n, weights, (enum cell_kind)kind, &(struct sequence_use){build_cell, &b}, &b.node, &why);
    if (code == RNND_NO_MEMORY) return fail_memory(s->err, 0);
    if (code) return streamline_refuse(s, n, why.message);
    if (s->refused) return RNND_OK;
    return outputs(&b, &x, time, batch);
}
