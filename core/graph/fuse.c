/* fuse.c -- walks a tensor graph's loops and puts recurrent nodes where they are written-out cells. */
#include "core/graph/fuse.h"

#include <string.h>

#include "core/base/error.h"
#include "core/graph/fuse_private.h"

struct emitted { /* nodes that belong behind an old one; they stand at the end until all are known */
    size_t behind, first, count;
};

#define MAX_TRIED 256 /* cells put to the test: each takes room for all values of the graph */

struct fusing {
    struct fuse f;
    size_t tried;
    bool *read; /* by value: someone does */
    struct emitted *emitted;
    size_t fused;
};

/* ---- what fits ---- */

static const struct graph_node *maker(const struct graph *g, size_t before, int value)
{
    for (size_t i = before; i-- > 0;)
        for (int k = 0; k < g->nodes[i].output_count; k++)
            if (g->nodes[i].outputs[k] == value) return &g->nodes[i];
    return NULL;
}

/* One row for all sequences: a constant [H] behind axes of one, or one number. */
static bool is_one_row(const struct graph_value *v, size_t H, bool *zero)
{
    size_t count = v->is_constant ? tensor_count(&v->constant) : 0;
    *zero = true;
    if (!v->is_constant || v->dtype != DTYPE_F32) return false;
    for (size_t i = 0; i < count; i++)
        *zero = *zero && ((const float *)v->constant.data)[i] == 0;
    return *zero || (count == H && (v->constant.rank == 0 || v->constant.dim[v->constant.rank - 1] == H));
}

/* Where a state begins: with zeros, with one row for all, or with a row for each sequence. */
static void find_begin(const struct fuse *f, struct plan *p, int k, int state, size_t at)
{
    const struct source *s = &p->l->source[p->c->source];
    int value = p->l->n->inputs[p->l->input + p->l->state[state].at];
    const struct graph_node *spread = maker(f->g, at, value);
    const struct size *size = &f->sizes[value];
    bool zero, same = fuse_same(size->dim[size->rank - 2], fuse_dim(f, s->value, 1 - s->time_axis));
    p->begin[k] = (struct begin){value, size->rank, !same};
    if (spread && strcmp(spread->op->name, "Expand") == 0 && spread->inputs[0] >= 0) value = spread->inputs[0];
    if (!is_one_row(&f->g->values[value], p->c->hidden, &zero)) return;
    p->begin[k] = zero ? (struct begin){-1, 0, false} : (struct begin){value, 1, true};
}

/* Whoever reads the loop reads its states, or h of every step. */
static bool outputs_fit(const struct fusing *u, const struct plan *p)
{
    const struct loop *l = p->l;
    const struct fuse *f = &u->f;
    for (int k = 0; k < l->n->output_count; k++) {
        int value = l->n->outputs[k], made = l->body->outputs[l->body_output + k];
        if (value < 0 || !u->read[value]) continue;
        if (k < l->carried) {
            if (k != l->state[p->c->h].at && (p->c->c < 0 || k != l->state[p->c->c].at)) return false;
            continue;
        }
        const struct form *a = fuse_form(f, made);
        const struct atom *next = a && form_only(a) >= 0 ? &f->atoms[form_only(a)] : NULL;
        const struct size *s = &f->sizes[made];
        if (!next || next->kind != ATOM_NEXT || next->index != p->c->h || next->start || next->width != p->c->hidden ||
            (s->rank != 2 && !(s->rank == 3 && fuse_is(s->dim[0], 1))) ||
            (l->scan && fuse_listed(l->n, "scan_output_axes", k - l->carried) != 0))
            return false;
    }
    return true;
}

static void set_sizes(struct fusing *u, const struct plan *p)
{
    struct fuse *f = &u->f;
    const struct loop *l = p->l;
    const struct source *s = &l->source[p->c->source];
    for (int k = 0; k < l->n->output_count; k++) {
        if (l->n->outputs[k] < 0) continue;
        struct size inner = f->sizes[l->body->outputs[l->body_output + k]], *out = &f->sizes[l->n->outputs[k]];
        inner.count = -1;
        *out = inner;
        if (k < l->carried) continue;
        out->rank = inner.rank < 0 || inner.rank + 1 > MAX_RANK ? -1 : inner.rank + 1;
        if (out->rank < 0) continue;
        memcpy(out->dim + 1, inner.dim, (size_t)inner.rank * sizeof *inner.dim);
        out->dim[0] = fuse_dim(f, s->value, s->time_axis);
    }
}

/* tf2onnx calls the loop of a layer LAYER/while_loop. */
static const char *layer_name(struct fuse *f, const char *name)
{
    static const char tail[] = "/while_loop";
    size_t length = strlen(name), cut = sizeof tail - 1;
    if (length <= cut || strcmp(name + length - cut, tail) != 0) return name;
    const char *layer = arena_string(&f->g->arena, name, length - cut);
    if (!layer) f->no_memory = true;
    return layer;
}

/* ---- the walk ---- */

static bool try_loop(struct fusing *u, size_t at, struct loop *l)
{
    struct fuse *f = &u->f;
    struct graph *g = f->g;
    struct found_cell c;
    size_t nodes = g->node_count, values = g->value_count;
    if (!fuse_read_loop(f, &g->nodes[at], l) || !fuse_find_cell(f, l, &c) || !fuse_read_weights(f, l, &c) ||
        !fuse_turns_fit(f, l, c.source))
        return false;
    struct plan p = {
        .l = l, .c = &c, .name = layer_name(f, g->nodes[at].name), .begin = {{.value = -1}, {.value = -1}}};
    if (!p.name || !outputs_fit(u, &p) || u->tried == MAX_TRIED) return false;
    u->tried++;
    find_begin(f, &p, 0, c.h, at);
    if (c.c >= 0) find_begin(f, &p, 1, c.c, at);
    struct graph_node loop = g->nodes[at];
    l->n = &loop; /* adding nodes moves them */
    bool done = fuse_add_cell(f, &p) && fuse_agree(f, l, &c, &g->nodes[p.node]);
    if (done) {
        fuse_add_outputs(f, &p, u->read);
        set_sizes(u, &p);
        for (int k = 0; k < loop.output_count; k++)
            loop.outputs[k] = -1;
        u->emitted[u->fused++] = (struct emitted){at, nodes, g->node_count - nodes};
        return true;
    }
    for (size_t i = values; i < g->value_count; i++)
        if (g->values[i].is_constant) mem_free(g->values[i].constant.data);
    g->node_count = nodes;
    g->value_count = values;
    return false;
}

static void forget(struct fuse *f, const struct graph_body *b)
{
    for (int k = 0; b && k < b->input_count; k++)
        f->rows[b->inputs[k]] = NULL, f->inside[b->inputs[k]] = false;
    for (size_t i = 0; b && i < b->node_count; i++)
        for (int k = 0; k < b->nodes[i].output_count; k++)
            if (b->nodes[i].outputs[k] >= 0)
                f->rows[b->nodes[i].outputs[k]] = NULL, f->inside[b->nodes[i].outputs[k]] = false;
    arena_free(&f->arena);
    arena_init(&f->arena, (size_t)-1 / 2);
    f->atoms = NULL;
    f->atom_count = 0;
}

static void mark_read(bool *read, const struct graph_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < nodes[i].input_count; k++)
            if (nodes[i].inputs[k] >= 0) read[nodes[i].inputs[k]] = true;
        for (int k = 0; k < nodes[i].body_count; k++) {
            const struct graph_body *b = nodes[i].bodies[k];
            for (int o = 0; o < b->output_count; o++)
                read[b->outputs[o]] = true;
            mark_read(read, b->nodes, b->node_count);
        }
    }
}

/* New nodes take the place behind the loop that they stand for. */
static rnnd_code reorder(struct fusing *u, size_t old, rnnd_error *err)
{
    struct graph *g = u->f.g;
    struct graph_node *list = mem_alloc(g->node_count + 1, sizeof *list);
    size_t at = 0, next = 0;
    if (!list) return fail_memory(err, g->node_count * sizeof *list);
    for (size_t i = 0; i < old; i++) {
        list[at++] = g->nodes[i];
        if (next == u->fused || u->emitted[next].behind != i) continue;
        const struct emitted *e = &u->emitted[next++];
        memcpy(list + at, g->nodes + e->first, e->count * sizeof *list);
        at += e->count;
    }
    mem_free(g->nodes);
    g->nodes = list;
    g->node_cap = g->node_count + 1;
    return RNND_OK;
}

static size_t count_loops(const struct graph *g)
{
    size_t loops = 0;
    for (size_t i = 0; i < g->node_count; i++)
        loops += strcmp(g->nodes[i].op->name, "Loop") == 0 || strcmp(g->nodes[i].op->name, "Scan") == 0;
    return loops;
}

static void walk(struct fusing *u, size_t old)
{
    struct fuse *f = &u->f;
    fuse_sizes_begin(f);
    for (size_t i = 0; i < old && !f->no_memory; i++) {
        const struct graph_node *n = &f->g->nodes[i];
        struct loop l = {.body = NULL};
        size_t made = f->made;
        if (n->body_count != 1)
            fuse_sizes_node(f, n);
        else if (!try_loop(u, i, &l))
            f->made = made;
        if (l.body) forget(f, l.body);
    }
}

rnnd_code graph_fuse(struct graph *g, size_t limit_bytes, size_t *fused, rnnd_error *err)
{
    struct fusing u = {.f = {.g = g, .limit = limit_bytes}};
    size_t values = g->value_count + 1, old = g->node_count, loops = count_loops(g);
    *fused = 0;
    if (!g->tensors || !loops) return RNND_OK;
    arena_init(&u.f.arena, (size_t)-1 / 2);
    u.f.sizes = mem_alloc(values, sizeof *u.f.sizes);
    u.f.rows = mem_alloc(values, sizeof *u.f.rows);
    u.f.inside = mem_alloc(values, sizeof *u.f.inside);
    u.read = mem_alloc(values, sizeof *u.read);
    u.emitted = mem_alloc(loops, sizeof *u.emitted);
    u.f.no_memory = !u.f.sizes || !u.f.rows || !u.f.inside || !u.read || !u.emitted;
    if (!u.f.no_memory) {
        mark_read(u.read, g->nodes, g->node_count);
        for (size_t i = 0; i < g->output_count; i++)
            u.read[g->outputs[i]] = true;
        for (size_t i = 0; i < g->state_count; i++)
            u.read[g->states[i].out] = true;
        walk(&u, old);
    }
    rnnd_code code = u.f.no_memory ? fail_memory(err, values * sizeof *u.f.sizes) : RNND_OK;
    if (!code && u.fused) code = reorder(&u, old, err);
    *fused = u.fused;
    arena_free(&u.f.arena);
    mem_free(u.f.sizes);
    mem_free(u.f.rows);
    mem_free(u.f.inside);
    mem_free(u.read);
    mem_free(u.emitted);
    return code;
}
