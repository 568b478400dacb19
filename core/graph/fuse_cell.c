/* fuse_cell.c -- which cell's algebra the successors of a loop's states are.
 *
 *   RNN   h' = act(s)
 *   GRU   h' = z h + n - z n          or h - z h + z n        n = act(s + r s'), act(s + (r h) W)
 *   LSTM  c' = f c + i g              or c - i c + i g, f c + g - f g (coupled)       h' = o act(c'), o c'
 *
 * Here z, r, n, i, f, o, g are functions of sums s of the row, h, c (peepholes) and biases. */
#include <string.h>

#include "core/graph/fuse_private.h"

static const struct atom *atom(const struct fuse *f, int number)
{
    return number >= 0 ? &f->atoms[number] : NULL;
}

/* A function of a whole row as wide as the state. */
static bool is_gate(const struct fuse *f, int number, size_t width)
{
    const struct atom *a = atom(f, number);
    return a && a->kind == ATOM_ACT && a->width == width && a->act.kind != ACT_COUNT;
}

static bool is_row(const struct fuse *f, int number, enum atom_kind kind, int index, size_t width)
{
    const struct atom *a = atom(f, number);
    return a && a->kind == kind && a->index == index && a->start == 0 && a->width == width;
}

static bool same_act(struct act a, struct act b)
{
    return a.kind == b.kind && a.alpha == b.alpha && a.beta == b.beta;
}

/* one + pair - other, where the pairs share an atom: { one = h: z h is taken away, z n added; one = n: the other way }.
 * *shared: z; *rest: what stands beside it in the pair that is added. */
static bool is_mixture(const struct form *a, int *one, int *shared, int *rest)
{
    const struct term *single = NULL, *plus = NULL, *minus = NULL;
    for (int i = 0; i < a->count; i++) {
        const struct term *t = &a->term[i];
        if (t->m.data || t->vector) return false;
        if (t->outers == 1 && t->scale == 1) single = t;
        if (t->outers == 2 && t->scale == 1) plus = t;
        if (t->outers == 2 && t->scale == -1) minus = t;
    }
    if (a->count != 3 || !single || !plus || !minus) return false;
    *one = single->outer[0];
    if (minus->outer[0] != *one && minus->outer[1] != *one) return false;
    *shared = minus->outer[minus->outer[0] == *one];
    if (plus->outer[0] != *shared && plus->outer[1] != *shared) return false;
    *rest = plus->outer[plus->outer[0] == *shared];
    return true;
}

/* 1 - act(s) = act(-s) */
static bool can_turn(struct act a)
{
    return a.kind == ACT_SIGMOID || (a.kind == ACT_HARD_SIGMOID && a.beta == 0.5f);
}

/* ---- RNN, GRU ---- */

static bool is_rnn(const struct fuse *f, const struct form *next, struct found_cell *c)
{
    int only = form_only(next);
    if (!is_gate(f, only, c->hidden)) return false;
    c->kind = CELL_RNN;
    c->gates = 1;
    c->gate[0] = f->atoms[only].form;
    c->cell = f->atoms[only].act;
    return true;
}

/* The gate before h in n's sum, and where it stands. */
static bool find_reset(const struct fuse *f, struct found_cell *c)
{
    const struct form *n = c->gate[2];
    for (int i = 0; i < n->count; i++) {
        const struct term *t = &n->term[i];
        bool before = t->m.data && t->inners == 2, after = t->outers == 1 && t->m.data && t->inners == 1;
        if (!before && !after) continue;
        c->reset_before = before;
        c->reset = after                                                 ? t->outer[0]
                   : is_row(f, t->inner[0], ATOM_STATE, c->h, c->hidden) ? t->inner[1]
                                                                         : t->inner[0];
        return is_gate(f, c->reset, c->hidden);
    }
    return false;
}

static bool is_gru(const struct fuse *f, const struct form *next, struct found_cell *c)
{
    int one, z, rest;
    if (!is_mixture(next, &one, &z, &rest) || !is_gate(f, z, c->hidden)) return false;
    c->turned = is_row(f, one, ATOM_STATE, c->h, c->hidden); /* h - z h + z n */
    int n = c->turned ? rest : one, h = c->turned ? one : rest;
    if (!is_row(f, h, ATOM_STATE, c->h, c->hidden) || !is_gate(f, n, c->hidden)) return false;
    c->kind = CELL_GRU;
    c->gates = 3;
    c->gate[0] = f->atoms[z].form;
    c->gate[2] = f->atoms[n].form;
    c->gate_act = f->atoms[z].act;
    c->cell = f->atoms[n].act;
    if (!find_reset(f, c) || !same_act(f->atoms[c->reset].act, c->gate_act)) return false;
    c->gate[1] = f->atoms[c->reset].form;
    return !c->turned || can_turn(c->gate_act);
}

/* ---- LSTM ---- */

static bool reads(const struct fuse *f, const struct form *a, enum atom_kind kind, int index)
{
    for (int i = 0; i < a->count; i++)
        for (int k = 0; k < a->term[i].outers; k++)
            if (f->atoms[a->term[i].outer[k]].kind == kind && f->atoms[a->term[i].outer[k]].index == index) return true;
    return false;
}

/* h' = o act(c'): finds o and act. */
static bool find_output(const struct fuse *f, const struct form *next, struct found_cell *c, int *o)
{
    const struct term *t = next->term;
    if (next->count != 1 || t->scale != 1 || t->outers != 2 || t->m.data || t->vector) return false;
    for (int k = 0; k < 2; k++) {
        const struct atom *a = &f->atoms[t->outer[k]];
        *o = t->outer[1 - k];
        c->out = a->kind == ATOM_ACT ? a->act : (struct act){ACT_LINEAR, 0, 0};
        int inner = a->kind == ATOM_ACT ? form_only(a->form) : t->outer[k];
        if (is_row(f, inner, ATOM_NEXT, c->c, c->hidden) && is_gate(f, *o, c->hidden)) return true;
    }
    return false;
}

/* c' = f c + i g: which is which of i and g, the gate's function tells, or a peephole; else it is all the same. */
static bool find_gates(const struct fuse *f, const struct form *next, struct found_cell *c, int *i, int *forget, int *g)
{
    const struct term *t = next->term, *with_c = NULL, *other = NULL;
    for (int k = 0; k < next->count; k++) {
        if (t[k].m.data || t[k].vector || t[k].outers != 2 || t[k].scale != 1) return false;
        bool state = is_row(f, t[k].outer[0], ATOM_STATE, c->c, c->hidden) ||
                     is_row(f, t[k].outer[1], ATOM_STATE, c->c, c->hidden);
        *(state ? &with_c : &other) = &t[k];
    }
    if (next->count != 2 || !with_c || !other) return false;
    *forget = with_c->outer[is_row(f, with_c->outer[0], ATOM_STATE, c->c, c->hidden)];
    *i = other->outer[0], *g = other->outer[1];
    if (!is_gate(f, *forget, c->hidden) || !is_gate(f, *i, c->hidden) || !is_gate(f, *g, c->hidden)) return false;
    bool first = same_act(f->atoms[*i].act, f->atoms[*forget].act);
    bool second = same_act(f->atoms[*g].act, f->atoms[*forget].act);
    if (second && (!first || reads(f, f->atoms[*g].form, ATOM_STATE, c->c))) *i = other->outer[1], *g = other->outer[0];
    return first || second;
}

static bool find_coupled(const struct fuse *f, const struct form *next, struct found_cell *c, int *i, int *g)
{
    int one, rest;
    if (!is_mixture(next, &one, i, &rest)) return false;
    c->coupled = true;
    c->turned = !is_row(f, one, ATOM_STATE, c->c, c->hidden); /* f c + g - f g: i = 1 - f */
    *g = c->turned ? one : rest;
    return is_row(f, c->turned ? rest : one, ATOM_STATE, c->c, c->hidden) && is_gate(f, *i, c->hidden) &&
           is_gate(f, *g, c->hidden) && (!c->turned || can_turn(f->atoms[*i].act));
}

static bool is_lstm(const struct fuse *f, const struct loop *l, struct found_cell *c)
{
    int i, o, forget = -1, g;
    const struct form *next = l->state[c->c].next;
    if (!next || l->state[c->c].width != c->hidden || !find_output(f, l->state[c->h].next, c, &o)) return false;
    if (!find_gates(f, next, c, &i, &forget, &g) && !find_coupled(f, next, c, &i, &g)) return false;
    c->kind = CELL_LSTM;
    c->gates = 4;
    c->gate[0] = f->atoms[i].form;
    c->gate[1] = f->atoms[o].form;
    c->gate[2] = c->coupled ? NULL : f->atoms[forget].form;
    c->gate[3] = f->atoms[g].form;
    c->gate_act = f->atoms[i].act;
    c->cell = f->atoms[g].act;
    return same_act(f->atoms[o].act, c->gate_act);
}

bool fuse_find_cell(struct fuse *f, const struct loop *l, struct found_cell *c)
{
    for (int h = 0; h < l->states; h++) {
        *c = (struct found_cell){.h = h, .c = l->states == 2 ? 1 - h : -1, .source = -1, .reset = -1};
        c->hidden = l->state[h].width;
        const struct form *next = l->state[h].next;
        if (!next || l->states > 2) return false;
        if (l->states == 1 ? is_rnn(f, next, c) || is_gru(f, next, c) : is_lstm(f, l, c)) return true;
    }
    return false;
}
