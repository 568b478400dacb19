/* fuse_weights.c -- a found cell's weights, read off the sums of its gates in the order of ONNX. */
#include <string.h>

#include "core/graph/fuse_private.h"

struct reading { /* one gate's sum into the cell's weights */
    struct fuse *f;
    const struct loop *l;
    struct found_cell *c;
    size_t gate;
    bool candidate; /* the GRU's n, the LSTM's g */
    float sign;     /* -1: the gate is one minus this one */
};

/* The row of the sequence, all of it or a part; always of one source. */
static bool is_source(struct reading *r, const struct atom *a)
{
    if (a->kind != ATOM_X || (r->c->source >= 0 && r->c->source != a->index)) return false;
    r->c->source = a->index;
    return true;
}

static bool is_h(const struct reading *r, const struct atom *a)
{
    return a->kind == ATOM_STATE && a->index == r->c->h;
}

/* scale * m over features [start, ..) of an input of `width`, added to this gate's rows [H][width]. */
static void add_matrix(const struct reading *r, float *to, size_t width, size_t start, const struct term *t)
{
    size_t H = r->c->hidden;
    to += r->gate * H * width + start;
    for (size_t u = 0; u < H; u++)
        for (size_t k = 0; k < t->m.rows; k++)
            to[u * width + k] += r->sign * t->scale * t->m.data[k * t->m.step_row + u * t->m.step_column];
}

/* The input itself, feature by feature: the unit matrix. */
static void add_unit(const struct reading *r, float *to, size_t width, size_t start, const struct term *t)
{
    size_t H = r->c->hidden;
    to += r->gate * H * width + start;
    for (size_t u = 0; u < H; u++)
        to[u * width + u] += r->sign * t->scale * (t->vector ? t->vector[u] : 1);
}

static void add_vector(const struct reading *r, float *to, const struct term *t)
{
    for (size_t u = 0; u < r->c->hidden; u++)
        to[u] += r->sign * t->scale * (t->vector ? t->vector[u] : 1);
}

/* s of h, with or without a matrix. */
static bool add_recurrent(struct reading *r, const struct atom *a, const struct term *t)
{
    if (!is_h(r, a)) return false;
    (t->m.data ? add_matrix : add_unit)(r, r->c->r, r->c->hidden, a->start, t);
    return true;
}

static bool add_peephole(struct reading *r, const struct atom *a, const struct term *t)
{
    static const enum atom_kind kinds[] = {ATOM_STATE, ATOM_NEXT, ATOM_STATE}; /* i o f: o sees c' */
    const struct found_cell *c = r->c;
    if (c->kind != CELL_LSTM || r->candidate || a->kind != kinds[r->gate] || a->index != c->c || a->start) return false;
    add_vector(r, c->p + r->gate * c->hidden, t);
    return true;
}

/* Behind the GRU's reset: r (h R + b), or (r h) R. */
static bool add_reset(struct reading *r, const struct term *t)
{
    struct found_cell *c = r->c;
    const struct atom *atoms = r->f->atoms;
    if (c->kind != CELL_GRU || !r->candidate) return false;
    if (t->m.data && t->inners == 2 && t->outers == 0 && c->reset_before) {
        int other = t->inner[t->inner[0] == c->reset];
        bool both = (t->inner[0] == c->reset || t->inner[1] == c->reset) && atoms[other].start == 0;
        return both && add_recurrent(r, &atoms[other], t);
    }
    if (c->reset_before || t->outers < 1 || (t->outer[0] != c->reset && t->outer[t->outers - 1] != c->reset))
        return false;
    if (t->m.data) return t->outers == 1 && t->inners == 1 && add_recurrent(r, &atoms[t->inner[0]], t);
    if (t->outers == 1) return add_vector(r, c->b + (c->gates + r->gate) * c->hidden, t), true;
    return t->outers == 2 && add_recurrent(r, &atoms[t->outer[t->outer[0] == c->reset]], t);
}

static bool add_term(struct reading *r, const struct term *t)
{
    struct found_cell *c = r->c;
    int only = t->m.data && t->outers == 0 && t->inners == 1 ? t->inner[0]
               : !t->m.data && t->outers == 1                ? t->outer[0]
                                                             : -1;
    if (!t->m.data && t->outers == 0) return add_vector(r, c->b + r->gate * c->hidden, t), true;
    const struct atom *a = only >= 0 ? &r->f->atoms[only] : NULL;
    if (a && is_source(r, a)) {
        (t->m.data ? add_matrix : add_unit)(r, c->w, c->inputs, a->start, t);
        return true;
    }
    bool reset = c->kind == CELL_GRU && r->candidate; /* its h stands behind the reset alone */
    if (a && !reset && add_recurrent(r, a, t)) return true;
    return a && !t->m.data ? add_peephole(r, a, t) || add_reset(r, t) : add_reset(r, t);
}

/* Which source the gates read: its width is that of W. */
static bool find_inputs(const struct fuse *f, const struct loop *l, struct found_cell *c)
{
    for (size_t g = 0; g < c->gates && c->inputs == 0; g++)
        for (int i = 0; c->gate[g] && i < c->gate[g]->count; i++) {
            const struct term *t = &c->gate[g]->term[i];
            int first = t->m.data ? t->inner[0] : t->outers ? t->outer[0] : -1;
            if (first < 0 || f->atoms[first].kind != ATOM_X) continue;
            c->source = f->atoms[first].index;
            c->inputs = l->source[c->source].width;
        }
    return c->inputs > 0;
}

bool fuse_read_weights(struct fuse *f, const struct loop *l, struct found_cell *c)
{
    size_t G = c->gates, H = c->hidden, w, r, b, total;
    if (!find_inputs(f, l, c) || H > (size_t)1 << 24 || !size_mul(G * H, c->inputs, &w) || !size_mul(G * H, H, &r) ||
        !size_add(w, r, &total) || !size_add(total, 2 * G * H + 3 * H, &total) || total > (f->limit - f->made) / 4)
        return false;
    b = 2 * G * H;
    float *block = arena_alloc(&f->arena, total, sizeof *block);
    if (!block) return f->no_memory = true, false;
    c->w = block;
    c->r = c->w + w;
    c->b = c->r + r;
    c->p = c->b + b;
    for (size_t g = 0; g < G; g++) {
        struct reading read = {f, l, c, g, g + 1 == G && G > 1, g == 0 && c->turned ? -1.0f : 1.0f};
        for (int i = 0; c->gate[g] && i < c->gate[g]->count; i++)
            if (!add_term(&read, &c->gate[g]->term[i])) return false;
    }
    bool peepholes = false;
    for (size_t i = 0; i < 3 * H && c->kind == CELL_LSTM; i++)
        peepholes = peepholes || c->p[i] != 0;
    if (!peepholes) c->p = NULL;
    f->made += total * sizeof *block;
    return true;
}
