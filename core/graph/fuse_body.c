/* fuse_body.c -- a Loop or Scan: what it carries, which sequences it goes through, how often it turns. */
#include <string.h>

#include "core/graph/fuse_private.h"

static bool is(const struct graph_node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

static const struct graph_node *maker(const struct graph_node *nodes, size_t count, int value)
{
    for (size_t i = count; i-- > 0 && value >= 0;)
        for (int k = 0; k < nodes[i].output_count; k++)
            if (nodes[i].outputs[k] == value) return &nodes[i];
    return NULL;
}

/* The value behind nodes that only move axes. */
static int root_of(const struct graph_body *b, int value)
{
    static const char *const moves[] = {"Identity", "Squeeze", "Unsqueeze", "Reshape"};
    for (size_t i = b->node_count; i-- > 0;) { /* makers stand before readers */
        const struct graph_node *n = &b->nodes[i];
        for (size_t k = 0; k < sizeof moves / sizeof *moves && n->outputs[0] == value; k++)
            if (is(n, moves[k]) && n->inputs[0] >= 0) {
                value = n->inputs[0];
                break;
            }
    }
    return value;
}

/* ---- what is carried ---- */

static bool find_places(const struct graph_node *n, struct loop *l)
{
    *l = (struct loop){.n = n, .scan = is(n, "Scan")};
    if (n->body_count != 1 || (!l->scan && !is(n, "Loop"))) return false;
    l->body = n->bodies[0];
    l->input = l->body_input = l->scan ? 0 : 2;
    l->body_output = l->scan ? 0 : 1;
    int64_t scanned = l->scan ? op_int(n, "num_scan_inputs", 0) : 0;
    if (scanned < 0 || scanned > n->input_count || n->input_count < l->input) return false;
    l->carried = n->input_count - l->input - (int)scanned;
    l->scans = n->output_count - l->carried;
    return l->scans >= 0 && l->body->input_count == l->body_input + l->carried + (int)scanned &&
           l->body->output_count >= l->body_output + l->carried + l->scans;
}

/* A number that grows or falls by one each turn. */
static bool counter_step(const struct fuse *f, const struct loop *l, int k, int *step)
{
    const struct graph_body *b = l->body;
    const struct graph_node *n = maker(b->nodes, b->node_count, root_of(b, b->outputs[l->body_output + k]));
    int in = b->inputs[l->body_input + k];
    bool sub = n && is(n, "Sub");
    if (!n || (!sub && !is(n, "Add")) || n->input_count != 2) return false;
    int other = n->inputs[0] == in ? n->inputs[1] : !sub && n->inputs[1] == in ? n->inputs[0] : -1;
    if (other < 0 || f->sizes[other].count != 1) return false;
    *step = fuse_is(f->sizes[other].list[0], 1) ? 1 : fuse_is(f->sizes[other].list[0], -1) ? -1 : 0;
    if (sub) *step = -*step;
    return *step != 0;
}

/* [B][H], or [1][B][H] */
static bool is_state(const struct size *s, size_t *width)
{
    int64_t last;
    if (s->rank < 2 || s->rank > 3 || !fuse_is_number(s->dim[s->rank - 1], &last) || last < 1) return false;
    *width = (size_t)last;
    return s->rank == 2 || fuse_is(s->dim[0], 1);
}

static bool read_carried(struct fuse *f, struct loop *l, int k)
{
    int outer = l->n->inputs[l->input + k], in = l->body->inputs[l->body_input + k], step;
    if (outer < 0) return false;
    struct size s = f->sizes[outer];
    f->inside[in] = true;
    if (s.count == 1 && s.list[0].known && counter_step(f, l, k, &step)) {
        s.list[0].turns += step;
        f->sizes[in] = s;
        return true;
    }
    s.count = -1;
    f->sizes[in] = s;
    size_t width;
    if (!is_state(&s, &width)) return true; /* whatever it is: the cell does not read it */
    if (l->states == MAX_STATES) return false;
    struct carried_row *c = &l->state[l->states];
    *c = (struct carried_row){.at = k, .width = width};
    c->root = root_of(l->body, l->body->outputs[l->body_output + k]);
    f->rows[in] = fuse_row_of(f, form_atom(f, ATOM_STATE, l->states++, width));
    return !f->no_memory;
}

/* ---- sequences ---- */

/* Which source this is, a new one if need be; the features stand last. */
static int find_source(struct fuse *f, struct loop *l, int value, int axis, bool backward)
{
    const struct size *s = &f->sizes[value];
    int64_t width;
    if (s->rank != 3 || axis > 1 || !fuse_is_number(s->dim[2], &width) || width < 1) return -1;
    for (int i = 0; i < l->sources; i++)
        if (l->source[i].value == value && l->source[i].time_axis == axis && l->source[i].backward == backward)
            return i;
    if (l->sources == MAX_SOURCES) return -1;
    l->source[l->sources] = (struct source){value, axis, backward, (size_t)width};
    return l->sources++;
}

/* The turn's step: i, or from the back T - 1 - i, which may be written -1 - i. */
static bool is_turn(const struct fuse *f, struct whole at, int value, int axis, bool *backward)
{
    struct whole last = fuse_sum(fuse_dim(f, value, axis), fuse_number(1), -1);
    *backward = at.turns < 0;
    at.turns += *backward ? 1 : -1;
    return *backward ? fuse_is(at, -1) || fuse_same(at, last) : fuse_is(at, 0);
}

/* Gather(x, i), or Slice(x, i, i + 1), of a value from outside. */
static bool reads_step(struct fuse *f, struct loop *l, const struct graph_node *n)
{
    bool gathers = is(n, "Gather"), backward;
    int value = n->input_count > 1 ? n->inputs[0] : -1, axis;
    const struct size *at = fuse_size(f, n, 1), *end = fuse_size(f, n, 2);
    int64_t axes[MAX_WHOLES];
    int count;
    if ((!gathers && !is(n, "Slice")) || value < 0 || f->inside[value] || !at || at->count != 1 || n->outputs[0] < 0 ||
        f->g->values[value].is_constant || f->sizes[value].rank < 0)
        return false;
    if (gathers && !fuse_axis(op_int(n, "axis", 0), f->sizes[value].rank, &axis)) return false;
    if (!gathers && (!end || end->count != 1 || !fuse_is(fuse_sum(end->list[0], at->list[0], -1), 1) ||
                     !fuse_numbers(f, n, 3, axes, &count) || count != 1 ||
                     !fuse_axis(axes[0], f->sizes[value].rank, &axis) || fuse_size(f, n, 4)))
        return false;
    if (!is_turn(f, at->list[0], value, axis, &backward) || (backward && !gathers)) return false;
    int source = find_source(f, l, value, axis, backward);
    if (source < 0) return false;
    f->rows[n->outputs[0]] = fuse_row_of(f, form_atom(f, ATOM_X, source, l->source[source].width));
    return true;
}

int64_t fuse_listed(const struct graph_node *n, const char *name, int k)
{
    const struct attr *a = graph_find_attr(n, name);
    return a && a->kind == ATTR_INTS && k < (int)a->count ? ((const int64_t *)a->p)[k] : 0;
}

static void read_scanned(struct fuse *f, struct loop *l, int k)
{
    int value = l->n->inputs[l->carried + k], in = l->body->inputs[l->carried + k], axis;
    struct size *s = &f->sizes[in];
    f->inside[in] = true;
    *s = (struct size){.rank = -1, .count = -1};
    if (value < 0 || f->sizes[value].rank < 1 ||
        !fuse_axis(fuse_listed(l->n, "scan_input_axes", k), f->sizes[value].rank, &axis))
        return;
    s->rank = 0;
    for (int i = 0; i < f->sizes[value].rank; i++)
        if (i != axis) s->dim[s->rank++] = f->sizes[value].dim[i];
    int source = find_source(f, l, value, axis, fuse_listed(l->n, "scan_input_directions", k) != 0);
    if (source >= 0) f->rows[in] = fuse_row_of(f, form_atom(f, ATOM_X, source, l->source[source].width));
}

/* ---- the body ---- */

/* Where a state's successor is made, its form is put away: who reads it reads the successor. */
static void cut_at_states(struct fuse *f, struct loop *l, const struct graph_node *n)
{
    for (int j = 0; j < l->states; j++) {
        struct carried_row *c = &l->state[j];
        for (int k = 0; k < n->output_count; k++) {
            if (n->outputs[k] != c->root || !fuse_form(f, c->root)) continue;
            c->next = fuse_form(f, c->root);
            f->rows[c->root] = c->next->width == c->width ? fuse_row_of(f, form_atom(f, ATOM_NEXT, j, c->width)) : NULL;
        }
    }
}

bool fuse_read_loop(struct fuse *f, const struct graph_node *n, struct loop *l)
{
    if (!find_places(n, l)) return false;
    const struct graph_body *b = l->body;
    if (!l->scan) {
        f->inside[b->inputs[0]] = f->inside[b->inputs[1]] = true;
        f->sizes[b->inputs[0]] =
            (struct size){.rank = 0, .count = 1, .list = {{.known = true, .value = -1, .turns = 1}}};
        f->sizes[b->inputs[1]] = (struct size){.rank = 0, .count = -1};
    }
    for (int k = 0; k < l->carried; k++)
        if (!read_carried(f, l, k)) return false;
    for (int k = l->carried; k < b->input_count && l->scan; k++)
        read_scanned(f, l, k - l->carried);
    for (size_t i = 0; i < b->node_count && !f->no_memory; i++) {
        const struct graph_node *m = &b->nodes[i];
        for (int k = 0; k < m->output_count; k++)
            if (m->outputs[k] >= 0) f->inside[m->outputs[k]] = true;
        fuse_sizes_node(f, m);
        if (!m->body_count && fuse_well_formed(m) && !reads_step(f, l, m)) fuse_row_node(f, m);
        cut_at_states(f, l, m);
    }
    for (int j = 0; j < l->states; j++) { /* the same axes as before */
        int out = b->outputs[l->body_output + l->state[j].at], in = b->inputs[l->body_input + l->state[j].at];
        const struct form *a = fuse_form(f, out);
        if (!a || form_only(a) < 0 || f->atoms[form_only(a)].kind != ATOM_NEXT || f->atoms[form_only(a)].index != j ||
            f->sizes[out].rank != f->sizes[in].rank)
            l->state[j].next = NULL;
    }
    return !f->no_memory && l->states > 0 && l->sources > 0;
}

/* ---- how often ---- */

struct bound { /* at least as many turns as steps; exact: no more either */
    struct whole steps;
    bool exact;
};

static bool add_bound(struct bound *b, struct whole turns)
{
    int64_t more;
    if (!fuse_is_number(fuse_sum(turns, b->steps, -1), &more) || more < 0) return false;
    b->exact = b->exact || more == 0;
    return true;
}

/* A condition among these nodes. In the body (`going`: its own condition) i + k < n lets n - k + 1 turns be, at least
 * one; before the loop it must hold for every sequence that is not empty. */
static bool read_condition(const struct fuse *f, const struct graph_node *nodes, size_t count, int value, int going,
                           struct bound *b, int depth)
{
    const struct graph_value *v = &f->g->values[value];
    const struct graph_node *n = maker(nodes, count, value);
    int64_t k;
    if (v->is_constant)
        return v->dtype == DTYPE_BOOL && tensor_count(&v->constant) == 1 && *(const bool *)v->constant.data;
    if (value == going) return true;
    if (!n || depth == 8) return false;
    if ((is(n, "Identity") || is(n, "Cast") || is(n, "Squeeze")) && n->inputs[0] >= 0)
        return read_condition(f, nodes, count, n->inputs[0], going, b, depth + 1);
    if (n->input_count != 2 || n->inputs[0] < 0 || n->inputs[1] < 0) return false;
    if (is(n, "And"))
        return read_condition(f, nodes, count, n->inputs[0], going, b, depth + 1) &&
               read_condition(f, nodes, count, n->inputs[1], going, b, depth + 1);
    bool greater = is(n, "Greater");
    const struct size *x = fuse_size(f, n, greater), *y = fuse_size(f, n, !greater);
    if ((!greater && !is(n, "Less")) || x->count != 1 || y->count != 1) return false;
    struct whole at = x->list[0];
    if (going < 0) return fuse_is_number(at, &k) && k <= 0 && fuse_same(y->list[0], b->steps);
    if (--at.turns != 0 || !fuse_is_number(at, &k)) return false;
    return add_bound(b, fuse_sum(fuse_sum(y->list[0], fuse_number(k), -1), fuse_number(1), 1));
}

bool fuse_turns_fit(struct fuse *f, const struct loop *l, int source)
{
    struct bound b = {fuse_dim(f, l->source[source].value, l->source[source].time_axis), l->scan};
    const struct graph_body *body = l->body;
    if (l->scan) return true; /* Scan itself compares the lengths of all that it scans */
    int most = l->n->inputs[0], going = l->n->inputs[1];
    if (most >= 0 && (f->sizes[most].count != 1 || !add_bound(&b, f->sizes[most].list[0]))) {
        int64_t number; /* as good as none */
        if (f->sizes[most].count != 1 || !fuse_is_number(f->sizes[most].list[0], &number) || number < INT32_MAX)
            return false;
    }
    if (going >= 0 && !read_condition(f, f->g->nodes, f->g->node_count, going, -1, &b, 0)) return false;
    return read_condition(f, body->nodes, body->node_count, body->outputs[0], body->inputs[1], &b, 0) && b.exact;
}
