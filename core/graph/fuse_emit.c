/* fuse_emit.c -- the nodes that stand for a loop: its sequence with time first, the cell, its states and steps. */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/fuse_private.h"
#include "core/ops/sequence_weights.h"

/* ---- new nodes and constants; -1, NULL: no memory ---- */

static int constant_ints(struct fuse *f, const char *name, size_t count, const int64_t *v)
{
    int value = graph_constant(f->g, name, DTYPE_I64, 1, &count, v);
    f->no_memory = f->no_memory || value < 0;
    return value;
}

static struct graph_node *add_node(struct fuse *f, const char *op, const char *name, const int *inputs, int input_count,
                                   int output_count)
{
    struct graph_node *n = f->no_memory ? NULL : graph_node(f->g, op_find(op), name, input_count, output_count);
    if (!n) return f->no_memory = true, NULL;
    memcpy(n->inputs, inputs, (size_t)input_count * sizeof *inputs);
    return n;
}

/* A node and its one output. */
static int add_made(struct fuse *f, const char *op, const char *name, const int *inputs, int input_count)
{
    struct graph_node *n = add_node(f, op, name, inputs, input_count, 1);
    int value = n ? graph_value(f->g, name) : -1;
    if (value < 0) return f->no_memory = true, -1;
    return n->outputs[0] = value;
}

/* One input and a list; makes `value`, a new one where that is -1. */
static int add_move(struct fuse *f, const char *op, const char *name, int x, int64_t axis, int value)
{
    int axes = constant_ints(f, name, 1, &axis);
    struct graph_node *n = add_node(f, op, name, (const int[]){x, axes}, 2, 1);
    if (value < 0 && n) value = graph_value(f->g, name);
    if (!n || value < 0) return f->no_memory = true, -1;
    return n->outputs[0] = value;
}

static int add_reverse(struct fuse *f, const char *name, int x, int value)
{
    int start = constant_ints(f, name, 1, (const int64_t[]){-1});
    int end = constant_ints(f, name, 1, (const int64_t[]){-(int64_t)INT32_MAX - 1});
    int axis = constant_ints(f, name, 1, (const int64_t[]){0});
    struct graph_node *n = add_node(f, "Slice", name, (const int[]){x, start, end, axis, start}, 5, 1);
    if (value < 0 && n) value = graph_value(f->g, name);
    if (!n || value < 0) return f->no_memory = true, -1;
    return n->outputs[0] = value;
}

static int add_turn(struct fuse *f, const char *name, int x)
{
    int value = add_made(f, "Transpose", name, &x, 1);
    if (value >= 0 && graph_attr_ints(f->g, &f->g->nodes[f->g->node_count - 1], "perm", (const int64_t[]){1, 0, 2}, 3))
        return f->no_memory = true, -1;
    return value;
}

static int add_weights(struct fuse *f, const char *name, int rank, size_t d1, size_t d2, const float *data)
{
    const size_t dim[] = {1, d1, d2};
    int value = f->no_memory ? -1 : graph_constant(f->g, name, DTYPE_F32, rank, dim, data);
    f->no_memory = f->no_memory || value < 0;
    return value;
}

/* ---- activations ---- */

static const char *act_text(struct act a, int *numbers)
{
    static const struct {
        enum act_kind kind;
        const char *name;
        int numbers;
    } table[] = {{ACT_LINEAR, "Linear", 0},
                 {ACT_SIGMOID, "Sigmoid", 0},
                 {ACT_TANH, "Tanh", 0},
                 {ACT_RELU, "Relu", 0},
                 {ACT_RELU6, "Relu6", 0},
                 {ACT_HARD_TANH, "HardTanh", 0},
                 {ACT_HARD_SIGMOID, "HardSigmoid", 2},
                 {ACT_LEAKY_RELU, "LeakyRelu", 1},
                 {ACT_ELU, "Elu", 1},
                 {ACT_THRESHOLDED_RELU, "ThresholdedRelu", 1},
                 {ACT_SOFTPLUS, "Softplus", 0},
                 {ACT_SOFTSIGN, "Softsign", 0},
                 {ACT_EXP, "Exp", 0},
                 {ACT_ABS, "Abs", 0},
                 {ACT_HARD_SWISH, "HardSwish", 0},
                 {ACT_MISH, "Mish", 0}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].kind == a.kind) return *numbers = table[i].numbers, table[i].name;
    return NULL;
}

static bool set_acts(struct fuse *f, struct graph_node *n, const struct found_cell *c)
{
    const struct act acts[] = {c->kind == CELL_RNN ? c->cell : c->gate_act, c->cell, c->out};
    size_t count = c->kind == CELL_RNN ? 1 : c->kind == CELL_GRU ? 2 : 3, alphas = 0, betas = 0;
    const char *names[3];
    float alpha[3], beta[3];
    for (size_t i = 0; i < count; i++) {
        int numbers;
        if (!(names[i] = act_text(acts[i], &numbers))) return false;
        if (numbers > 0) alpha[alphas++] = acts[i].alpha;
        if (numbers > 1) beta[betas++] = acts[i].beta;
    }
    if (graph_attr_strings(f->g, n, "activations", names, count) ||
        (alphas && graph_attr_floats(f->g, n, "activation_alpha", alpha, alphas)) ||
        (betas && graph_attr_floats(f->g, n, "activation_beta", beta, betas)))
        f->no_memory = true;
    return !f->no_memory;
}

/* ---- the cell ---- */

static int add_sequence(struct fuse *f, const struct plan *p)
{
    const struct source *s = &p->l->source[p->c->source];
    int x = s->time_axis == 1 ? add_turn(f, p->name, s->value) : s->value;
    return s->backward && x >= 0 ? add_reverse(f, p->name, x, -1) : x;
}

/* [1][B][H], B being that of the sequence x. */
static int add_begin(struct fuse *f, const struct plan *p, const struct begin *b, int x)
{
    const char *name = p->name;
    size_t H = p->c->hidden;
    int value = b->value;
    if (b->rank == 1) value = add_weights(f, name, 3, 1, H, f->g->values[value].constant.data);
    if (b->rank == 2) value = add_move(f, "Unsqueeze", name, value, 0, -1);
    if (!b->spread) return value;
    int one = constant_ints(f, name, 1, (const int64_t[]){1}), two = constant_ints(f, name, 1, (const int64_t[]){2});
    int hidden = constant_ints(f, name, 1, (const int64_t[]){(int64_t)H});
    int shape = add_made(f, "Shape", name, &x, 1);
    int batch = add_made(f, "Slice", name, (const int[]){shape, one, two}, 3);
    /* of rank 1, so that the axes left out are the first */
    int wanted = add_made(f, "Concat", name, (const int[]){one, batch, hidden}, 3);
    if (f->no_memory || graph_attr_int(f->g, &f->g->nodes[f->g->node_count - 1], "axis", 0))
        return f->no_memory = true, -1;
    return add_made(f, "Expand", name, (const int[]){value, wanted}, 2);
}

bool fuse_add_cell(struct fuse *f, struct plan *p)
{
    static const char *const names[] = {[CELL_RNN] = "RNN", [CELL_LSTM] = "LSTM", [CELL_GRU] = "GRU"};
    const struct found_cell *c = p->c;
    size_t rows = c->gates * c->hidden;
    int in[SEQ_MASK] = {-1, -1, -1, -1, -1, -1, -1, -1}, outputs = c->kind == CELL_LSTM ? 3 : 2;
    in[SEQ_X] = add_sequence(f, p);
    in[SEQ_W] = add_weights(f, p->name, 3, rows, c->inputs, c->w);
    in[SEQ_R] = add_weights(f, p->name, 3, rows, c->hidden, c->r);
    in[SEQ_B] = add_weights(f, p->name, 2, 2 * rows, 0, c->b);
    if (c->p) in[SEQ_P] = add_weights(f, p->name, 2, 3 * c->hidden, 0, c->p);
    for (int k = 0; k < 2 && !f->no_memory; k++)
        if (p->begin[k].value >= 0) in[SEQ_H + k] = add_begin(f, p, &p->begin[k], in[SEQ_X]);
    p->node = (int)f->g->node_count;
    struct graph_node *n = add_node(f, names[c->kind], p->name, in,
                                    c->p                   ? SEQ_P + 1
                                    : c->kind == CELL_LSTM ? SEQ_C + 1
                                                           : SEQ_H + 1,
                                    outputs);
    for (int i = 0; i < outputs && n; i++)
        if ((n->outputs[i] = graph_value(f->g, p->name)) < 0) f->no_memory = true;
    if (!n || f->no_memory || graph_attr_int(f->g, n, "hidden_size", (int64_t)c->hidden))
        return f->no_memory = true, false;
    if (c->kind == CELL_GRU && graph_attr_int(f->g, n, "linear_before_reset", !c->reset_before)) f->no_memory = true;
    if (c->coupled && graph_attr_int(f->g, n, "input_forget", 1)) f->no_memory = true;
    return set_acts(f, n, c);
}

void fuse_add_outputs(struct fuse *f, const struct plan *p, const bool *read)
{
    struct graph *g = f->g;
    const struct loop *l = p->l;
    const struct graph_node *loop = l->n;
    for (int k = 0; k < loop->output_count && !f->no_memory; k++) {
        int value = loop->outputs[k], made = l->body->outputs[l->body_output + k], from, rank = f->sizes[made].rank;
        if (value < 0 || !read[value]) continue;
        bool steps = k >= l->carried;
        from = g->nodes[p->node].outputs[steps ? 0 : k == l->state[p->c->h].at ? 1 : 2];
        if (steps && fuse_listed(loop, "scan_output_directions", k - l->carried))
            from = add_reverse(f, p->name, from, -1);
        if (rank == 2) {
            add_move(f, "Squeeze", p->name, from, steps, value);
        } else {
            struct graph_node *n = add_node(f, "Identity", p->name, &from, 1, 1);
            if (n) n->outputs[0] = value;
        }
    }
}
