/* fold.c -- walks a tensor graph's nodes: evaluates, splices, passes through; then drops what nobody reads. */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/fold_private.h"

int graph_folded(const struct graph *g, int value)
{
    while (value >= 0 && g->values[value].folded)
        value = g->values[value].folded - 1;
    return value < 0 ? -1 : value;
}

static int now(const struct fold *f, int value)
{
    return value < 0 ? -1 : graph_folded(f->g, value);
}

static bool is_op(const struct graph_node *n, const char *name)
{
    return strcmp(n->op->name, name) == 0;
}

static bool is_constant(const struct fold *f, int value)
{
    return value < 0 || f->g->values[value].is_constant;
}

/* ---- element types, as far as they are plain ---- */

static int dtype_made(const struct fold *f, const struct graph_node *n)
{
    static const char *const floats[] = {"LSTM", "GRU", "RNN", "MatMul", "Gemm", "Conv", "Sigmoid", "Tanh", "Relu",
                                         "Softmax", "Div", "Sqrt", "Exp", "Log", NULL};
    static const char *const same[] = {"Identity", "Reshape", "Transpose", "Slice", "Gather", "Concat", "Squeeze",
                                       "Unsqueeze", "Expand", "Flatten", "Add", "Sub", "Mul", "Split", "Pad", "Tile",
                                       NULL};
    int first = n->input_count && n->inputs[0] >= 0 ? f->dtype[n->inputs[0]] : -1;
    if (is_op(n, "Shape") || is_op(n, "Size")) return DTYPE_I64;
    if (is_op(n, "Cast")) {
        int64_t to = op_int(n, "to", 0);
        return to == 1 || to == 10 || to == 11 || to == 16 ? DTYPE_F32 : to == 9 ? DTYPE_BOOL : DTYPE_I64;
    }
    for (size_t i = 0; floats[i]; i++)
        if (is_op(n, floats[i])) return is_op(n, "Div") ? first : DTYPE_F32;
    for (size_t i = 0; same[i]; i++)
        if (is_op(n, same[i])) return first;
    return -1;
}

/* Narrower types than ours are kept: casts to them round or wrap. */
static bool casts_to_same(const struct fold *f, const struct graph_node *n)
{
    int64_t to = op_int(n, "to", 0);
    int from = n->input_count && n->inputs[0] >= 0 ? f->dtype[n->inputs[0]] : -1;
    return (from == DTYPE_F32 && (to == 1 || to == 11)) || (from == DTYPE_I64 && to == 7) ||
           (from == DTYPE_BOOL && to == 9);
}

/* ---- passing through ---- */

/* The node of this list that makes the value gives it another number. */
static bool rename_output(struct fold *f, struct fold_list *to, int from, int value)
{
    if (!to->outer || f->end[from] || is_constant(f, from)) return false;
    for (size_t i = to->count; i-- > 0;)
        for (int k = 0; k < to->nodes[i].output_count; k++)
            if (to->nodes[i].outputs[k] == from) {
                to->nodes[i].outputs[k] = value;
                f->g->values[from].folded = value + 1;
                f->dtype[value] = f->dtype[from];
                return true;
            }
    return false;
}

/* Readers of `value` read `from` instead. False: the value is an end, and nothing can make it but a node. */
static bool pass_through(struct fold *f, struct fold_list *to, int from, int value)
{
    if (value < 0) return true;
    if (f->end[value]) return rename_output(f, to, from, value);
    f->g->values[value].folded = from + 1;
    return true;
}

static void push(struct fold *f, struct fold_list *to, struct graph_node n)
{
    int dtype = dtype_made(f, &n);
    for (int k = 0; k < n.output_count; k++)
        if (n.outputs[k] >= 0) f->dtype[n.outputs[k]] = (signed char)dtype;
    to->nodes[to->count++] = n;
}

/* An Identity where passing through will not do; there is room for one. */
void fold_link(struct fold *f, struct fold_list *to, const char *name, int from, int value)
{
    if (pass_through(f, to, from, value)) return;
    struct graph_node n = {.op = op_find("Identity"), .name = name, .input_count = 1, .output_count = 1};
    n.inputs = arena_alloc(&f->g->arena, 1, sizeof *n.inputs);
    n.outputs = arena_alloc(&f->g->arena, 1, sizeof *n.outputs);
    if (!n.op || !n.inputs || !n.outputs) {
        f->no_memory = true;
        return;
    }
    n.inputs[0] = from;
    n.outputs[0] = value;
    push(f, to, n);
}

/* ---- lists ---- */

/* Room that a list can come to need: its nodes, those of its branches, and an Identity for each output of a node with
 * bodies. */
static size_t count_deep(const struct graph_node *nodes, size_t count)
{
    size_t n = count;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].body_count) n += (size_t)nodes[i].output_count;
        for (int k = 0; k < nodes[i].body_count && is_op(&nodes[i], "If"); k++)
            n += count_deep(nodes[i].bodies[k]->nodes, nodes[i].bodies[k]->node_count);
    }
    return n;
}

static void fold_nodes(struct fold *f, struct graph_node *nodes, size_t count, struct fold_list *to);

static bool fold_list(struct fold *f, struct graph_node **nodes, size_t *count, size_t *cap, bool outer)
{
    size_t room = count_deep(*nodes, *count) + 1;
    struct fold_list to = {.nodes = mem_alloc(room, sizeof *to.nodes), .outer = outer};
    if (!to.nodes) {
        f->no_memory = true; /* the list stays, but values it reads may be gone: nobody may run this graph */
        return false;
    }
    fold_nodes(f, *nodes, *count, &to);
    mem_free(*nodes);
    *nodes = to.nodes;
    *count = to.count;
    *cap = room;
    return true;
}

static void fold_bodies(struct fold *f, const struct graph_node *n)
{
    for (int k = 0; k < n->body_count; k++) {
        struct graph_body *b = n->bodies[k];
        for (int o = 0; o < b->output_count && !is_op(n, "If"); o++)
            f->end[b->outputs[o]] = true;
        fold_list(f, &b->nodes, &b->node_count, &b->node_cap, false);
    }
}

/* The branch that a constant condition takes, or NULL. */
static struct graph_body *taken_branch(const struct fold *f, const struct graph_node *n)
{
    if (!is_op(n, "If") || n->body_count != 2 || n->input_count != 1 || n->inputs[0] < 0) return NULL;
    const struct graph_value *v = &f->g->values[n->inputs[0]];
    if (!v->is_constant || v->dtype != DTYPE_BOOL || tensor_count(&v->constant) != 1) return NULL;
    struct graph_body *b = n->bodies[*(const uint8_t *)v->constant.data ? 0 : 1];
    return b->output_count >= n->output_count ? b : NULL;
}

static void splice(struct fold *f, const struct graph_node *n, struct graph_body *taken, struct fold_list *to)
{
    struct graph_body *other = n->bodies[n->bodies[0] == taken];
    fold_nodes(f, taken->nodes, taken->node_count, to);
    mem_free(taken->nodes); /* what it held stands in `to` */
    taken->nodes = NULL;
    taken->node_count = taken->node_cap = 0;
    fold_free_nodes(other->nodes, other->node_count);
    other->nodes = NULL;
    other->node_count = other->node_cap = 0;
    for (int i = 0; i < n->output_count; i++)
        if (n->outputs[i] >= 0) fold_link(f, to, n->name, now(f, taken->outputs[i]), n->outputs[i]);
}

/* Shape and Size of an input that is declared in full need not wait for it. */
static bool is_fixed_shape(struct fold *f, const struct graph_node *n)
{
    const struct graph *g = f->g;
    if ((!is_op(n, "Shape") && !is_op(n, "Size")) || n->input_count != 1 || n->inputs[0] < 0) return false;
    for (size_t i = 0; i < g->input_count && g->input_ports; i++) {
        const struct graph_port *p = &g->input_ports[i];
        if (g->inputs[i] != n->inputs[0]) continue;
        struct tensor t = {.dtype = p->dtype, .rank = p->rank};
        bool fixed = p->rank >= 0;
        for (int k = 0; k < p->rank; k++) {
            fixed &= p->dim[k] > 0 && k != p->batch_axis && k != p->time_axis;
            t.dim[k] = fixed ? (size_t)p->dim[k] : 0;
        }
        if (fixed) f->aside.rc.values[n->inputs[0]] = t;
        return fixed;
    }
    return false;
}

static bool can_evaluate(struct fold *f, const struct graph_node *n)
{
    if (n->body_count || strncmp(n->op->name, "Random", 6) == 0 || is_op(n, "Multinomial") || is_op(n, "Bernoulli"))
        return false;
    for (int k = 0; k < n->input_count; k++)
        if (!is_constant(f, n->inputs[k])) return is_fixed_shape(f, n);
    return true;
}

static void fold_nodes(struct fold *f, struct graph_node *nodes, size_t count, struct fold_list *to)
{
    for (size_t i = 0; i < count; i++) {
        struct graph_node *n = &nodes[i];
        for (int k = 0; k < n->input_count; k++)
            n->inputs[k] = now(f, n->inputs[k]);
        struct graph_body *taken = taken_branch(f, n);
        bool same = n->input_count > 0 && n->inputs[0] >= 0 && n->output_count == 1 &&
                    (is_op(n, "Identity") || (is_op(n, "Cast") && casts_to_same(f, n)));
        if (taken)
            splice(f, n, taken, to);
        else if (!(same && pass_through(f, to, n->inputs[0], n->outputs[0])) &&
                 !(can_evaluate(f, n) && fold_evaluate(f, n))) {
            fold_unchanged(f, n, to);
            fold_bodies(f, n);
            push(f, to, *n);
        }
    }
}

/* Outputs of nodes have been given other numbers since readers before them were seen. */
static void settle(struct fold *f, struct graph_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < nodes[i].input_count; k++)
            nodes[i].inputs[k] = now(f, nodes[i].inputs[k]);
        for (int k = 0; k < nodes[i].body_count; k++) {
            struct graph_body *b = nodes[i].bodies[k];
            for (int o = 0; o < b->output_count; o++)
                b->outputs[o] = now(f, b->outputs[o]);
            settle(f, b->nodes, b->node_count);
        }
    }
}

rnnd_code graph_fold(struct graph *g, size_t limit_bytes, rnnd_error *err)
{
    struct fold f;
    bool ready = g->tensors && fold_open(&f, g, limit_bytes);
    if (!g->tensors) return RNND_OK;
    for (size_t i = 0; i < g->output_count && ready; i++)
        f.end[g->outputs[i]] = true;
    for (size_t i = 0; i < g->state_count && ready; i++)
        f.end[g->states[i].out] = true;
    for (size_t i = 0; i < g->input_count && ready; i++) {
        f.end[g->inputs[i]] = true;
        if (g->input_ports) f.dtype[g->inputs[i]] = (signed char)g->input_ports[i].dtype;
    }
    if (ready && fold_list(&f, &g->nodes, &g->node_count, &g->node_cap, true)) settle(&f, g->nodes, g->node_count);
    rnnd_code code = ready && !f.no_memory ? RNND_OK : fail_memory(err, g->value_count * sizeof *f.aside.rc.values);
    fold_close(&f);
    return code ? code : fold_prune(g, err);
}
