/* fuse_verify.c -- a body and the node that is to stand for its loop, run side by side on random numbers. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/graph/compile.h"
#include "core/graph/aside.h"
#include "core/graph/fuse_private.h"
#include "core/ops/sequence_weights.h"

#define STEPS 3
#define MAX_BATCH 64
#define TRIAL_BYTES ((size_t)64 << 20) /* besides what the weights may take */

struct trial {
    struct aside aside;
    struct fuse *f;
    const struct loop *l;
    const struct found_cell *c;
    struct rng rng;
    size_t batch;
    bool *needed;              /* by value */
    struct graph_node *copies; /* of the body's nodes, prepared */
    float *x, *h, *y;          /* [STEPS][B][I]; the state at the start [B][H]; what the body makes, [STEPS][B][H] */
    float *c0, *cn;            /* LSTM: c at the start and at the end */
};

static float *random_floats(struct trial *t, size_t count)
{
    float *v = t->aside.rc.scratch(&t->aside.rc, count * sizeof *v);
    for (size_t i = 0; i < count && v; i++)
        v[i] = (float)(2 * rng_unit(&t->rng) - 1);
    return v;
}

/* ---- the body ---- */

/* A value of the body as [..][B][..], from its own sizes: free dimensions are the batch. */
static bool lay(struct trial *t, int value, float *data, size_t count)
{
    const struct size *s = &t->f->sizes[value];
    struct tensor *to = &t->aside.rc.values[value];
    *to = (struct tensor){.rank = s->rank, .data = data};
    for (int k = 0; k < s->rank; k++) {
        int64_t number;
        to->dim[k] = fuse_is_number(s->dim[k], &number) && number >= 0 ? (size_t)number : t->batch;
    }
    return s->rank >= 0 && tensor_count(to) == count;
}

/* Nodes that read the sequence are not run: their rows are given. */
static bool is_reading(const struct trial *t, const struct graph_node *n)
{
    const struct form *a = n->outputs[0] >= 0 ? fuse_form(t->f, n->outputs[0]) : NULL;
    return a && form_only(a) >= 0 && t->f->atoms[form_only(a)].kind == ATOM_X && n->inputs[0] >= 0 &&
           !t->f->inside[n->inputs[0]];
}

static void mark_needed(struct trial *t)
{
    const struct graph_body *b = t->l->body;
    for (int j = 0; j < t->l->states; j++)
        t->needed[b->outputs[t->l->body_output + t->l->state[j].at]] = true;
    for (size_t i = b->node_count; i-- > 0;) {
        const struct graph_node *n = &b->nodes[i];
        bool needed = false;
        for (int k = 0; k < n->output_count; k++)
            needed = needed || (n->outputs[k] >= 0 && t->needed[n->outputs[k]]);
        for (int k = 0; k < n->input_count && needed && !is_reading(t, n); k++)
            if (n->inputs[k] >= 0) t->needed[n->inputs[k]] = true;
    }
}

static bool is_needed(const struct trial *t, const struct graph_node *n)
{
    for (int k = 0; k < n->output_count; k++)
        if (n->outputs[k] >= 0 && t->needed[n->outputs[k]]) return true;
    return false;
}

static bool prepare(struct trial *t)
{
    const struct graph_body *b = t->l->body;
    size_t weight_bytes = t->f->g->weight_bytes;
    bool done = true;
    rnnd_error why;
    for (size_t i = 0; i < b->node_count && done; i++) {
        struct graph_node *n = &t->copies[i];
        if (!is_needed(t, &b->nodes[i]) || is_reading(t, &b->nodes[i])) continue;
        *n = b->nodes[i];
        rnnd_code code = n->body_count ? RNND_UNSUPPORTED : graph_check_node(t->f->g, n, &why);
        if (!code && n->op->prepare) code = n->op->prepare(t->f->g, n, &why);
        t->f->no_memory = t->f->no_memory || code == RNND_NO_MEMORY;
        done = !code;
    }
    t->f->g->weight_bytes = weight_bytes;
    return done;
}

static bool run_node(struct trial *t, const struct graph_node *n)
{
    rnnd_error why;
    for (int k = 0; k < n->input_count; k++)
        if (n->inputs[k] >= 0 && !t->aside.rc.values[n->inputs[k]].data) return false;
    rnnd_code code = n->op->run(&t->aside.rc, n, &why);
    t->f->no_memory = t->f->no_memory || (code == RNND_NO_MEMORY && !t->aside.over);
    return code == RNND_OK;
}

/* One turn from states h, c; what it makes of them is copied over them. */
static bool run_turn(struct trial *t, int step, float *state[2])
{
    const struct loop *l = t->l;
    const struct graph_body *b = l->body;
    size_t row = t->batch * t->c->hidden, x_row = t->batch * t->c->inputs;
    const int index[2] = {t->c->h, t->c->c};
    for (int j = 0; j < 2; j++)
        if (index[j] >= 0 && !lay(t, b->inputs[l->body_input + l->state[index[j]].at], state[j], row)) return false;
    for (int k = l->carried; k < b->input_count && l->scan; k++) {
        const struct form *a = fuse_form(t->f, b->inputs[k]);
        if (a && t->f->atoms[form_only(a)].index == t->c->source &&
            !lay(t, b->inputs[k], t->x + (size_t)step * x_row, x_row))
            return false;
    }
    for (size_t i = 0; i < b->node_count; i++) {
        const struct graph_node *n = &b->nodes[i];
        if (!is_needed(t, n)) continue;
        bool done =
            is_reading(t, n) ? lay(t, n->outputs[0], t->x + (size_t)step * x_row, x_row) : run_node(t, &t->copies[i]);
        if (!done) return false;
    }
    for (int j = 0; j < 2; j++) {
        if (index[j] < 0) continue;
        const struct tensor *next = &t->aside.rc.values[b->outputs[l->body_output + l->state[index[j]].at]];
        float *copy = t->aside.rc.scratch(&t->aside.rc, row * sizeof *copy);
        if (!copy || !next->data || next->dtype != DTYPE_F32 || tensor_count(next) != row) return false;
        state[j] = memcpy(copy, next->data, row * sizeof *copy);
    }
    return true;
}

static bool run_turns(struct trial *t)
{
    size_t row = t->batch * t->c->hidden;
    float *state[2] = {t->h, t->c0};
    for (int step = 0; step < STEPS; step++) {
        if (!run_turn(t, step, state)) return false;
        memcpy(t->y + (size_t)step * row, state[0], row * sizeof *t->y);
    }
    t->cn = state[1];
    return true;
}

/* ---- the node ---- */

static bool close_to(const float *a, const float *b, size_t count)
{
    float largest = 1;
    for (size_t i = 0; i < count; i++)
        if (fabsf(b[i]) > largest) largest = fabsf(b[i]);
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-5f * largest)) return false;
    return true;
}

/* Its values stand behind those of the graph. */
static bool node_agrees(struct trial *t, const struct graph_node *node)
{
    struct graph *g = t->f->g;
    size_t H = t->c->hidden, row = t->batch * H, weight_bytes = g->weight_bytes;
    int first = (int)g->value_count, inputs[SEQ_MASK], outputs[] = {first + 3, first + 4, first + 5};
    struct graph_node n = *node;
    rnnd_error why;
    struct tensor *own = t->aside.rc.values + first;
    own[0] = (struct tensor){.rank = 3, .dim = {STEPS, t->batch, t->c->inputs}, .data = t->x};
    own[1] = (struct tensor){.rank = 3, .dim = {1, t->batch, H}, .data = t->h};
    own[2] = (struct tensor){.rank = 3, .dim = {1, t->batch, H}, .data = t->c0};
    for (int i = 0; i < SEQ_MASK; i++)
        inputs[i] = i < n.input_count ? n.inputs[i] : -1;
    inputs[SEQ_X] = first;
    inputs[SEQ_H] = first + 1;
    if (t->c->kind == CELL_LSTM) inputs[SEQ_C] = first + 2;
    n.inputs = inputs;
    n.outputs = outputs;
    n.input_count = t->c->kind == CELL_LSTM ? SEQ_P + 1 : SEQ_H + 1;
    n.output_count = t->c->kind == CELL_LSTM ? 3 : 2;
    rnnd_code code = graph_check_node(g, &n, &why);
    if (!code) code = n.op->prepare(g, &n, &why);
    if (!code) code = n.op->run(&t->aside.rc, &n, &why);
    t->f->no_memory = t->f->no_memory || (code == RNND_NO_MEMORY && !t->aside.over);
    if (n.prepared) n.op->release(&n);
    g->weight_bytes = weight_bytes;
    return !code && close_to(own[3].data, t->y, STEPS * row) && close_to(own[4].data, t->y + (STEPS - 1) * row, row) &&
           (!t->cn || close_to(own[5].data, t->cn, row));
}

/* ---- both ---- */

static bool open(struct trial *t)
{
    const struct graph *g = t->f->g;
    size_t values = g->value_count + 8, row;
    struct whole batch = fuse_dim(t->f, t->l->source[t->c->source].value, 1 - t->l->source[t->c->source].time_axis);
    int64_t number;
    t->batch = fuse_is_number(batch, &number) ? (size_t)number : 2;
    if (t->batch < 1 || t->batch > MAX_BATCH) return false;
    rng_seed(&t->rng, 1, 1);
    aside_open(&t->aside, g, TRIAL_BYTES + t->f->limit);
    t->aside.rc.values = mem_alloc(values, sizeof *t->aside.rc.values);
    t->needed = mem_alloc(values, sizeof *t->needed);
    t->copies = mem_alloc(t->l->body->node_count + 1, sizeof *t->copies);
    t->f->no_memory = t->f->no_memory || !t->aside.rc.values || !t->needed || !t->copies;
    if (t->f->no_memory) return false;
    for (size_t i = 0; i < g->value_count; i++)
        if (g->values[i].is_constant) t->aside.rc.values[i] = g->values[i].constant;
    row = t->batch * t->c->hidden;
    t->x = random_floats(t, STEPS * t->batch * t->c->inputs);
    t->h = random_floats(t, row);
    t->y = random_floats(t, STEPS * row);
    if (t->c->c >= 0) t->c0 = random_floats(t, row);
    return t->x && t->h && t->y && (t->c->c < 0 || t->c0);
}

static void close(struct trial *t)
{
    for (size_t i = 0; i < t->l->body->node_count && t->copies; i++)
        if (t->copies[i].prepared && t->copies[i].op->release) t->copies[i].op->release(&t->copies[i]);
    aside_free(&t->aside);
    mem_free(t->aside.rc.values);
    mem_free(t->needed);
    mem_free(t->copies);
}

bool fuse_agree(struct fuse *f, const struct loop *l, const struct found_cell *c, const struct graph_node *node)
{
    struct trial t = {.f = f, .l = l, .c = c};
    bool done = open(&t);
    if (done) mark_needed(&t);
    done = done && prepare(&t) && run_turns(&t) && node_agrees(&t, node);
    close(&t);
    f->no_memory = f->no_memory || t.aside.no_memory;
    return done && !f->no_memory;
}
