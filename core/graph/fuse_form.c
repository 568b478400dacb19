/* fuse_form.c -- rows of numbers as sums of terms: gates times states, vectors, matrices. What cannot be written so, or
 * would take too many terms, has no form. */
#include <string.h>

#include "core/graph/fuse_private.h"

#define MAX_ATOMS 1024
#define MAX_TERMS_MADE ((size_t)1 << 17) /* for all loops of a graph together */
#define MAX_ACT_DEPTH 4

static struct form *new_form(struct fuse *f, size_t width, int terms)
{
    if (terms > MAX_TERMS || f->terms + (size_t)terms > MAX_TERMS_MADE) return NULL;
    f->terms += (size_t)terms + 1;
    struct form *a = arena_alloc(&f->arena, 1, sizeof *a + (size_t)terms * sizeof *a->term);
    if (!a) return f->no_memory = true, NULL;
    a->width = width;
    return a;
}

/* ---- atoms ---- */

static bool same_atom(const struct atom *a, const struct atom *b)
{
    return a->kind == b->kind && a->index == b->index && a->start == b->start && a->width == b->width &&
           a->form == b->form && a->act.kind == b->act.kind && a->act.alpha == b->act.alpha &&
           a->act.beta == b->act.beta;
}

/* Its number; -1: there are too many, or no memory. */
static int find_atom(struct fuse *f, const struct atom *a)
{
    for (int i = 0; i < f->atom_count; i++)
        if (same_atom(&f->atoms[i], a)) return i;
    if (f->atom_count == MAX_ATOMS) return -1;
    if (!f->atoms && !(f->atoms = arena_alloc(&f->arena, MAX_ATOMS, sizeof *f->atoms))) {
        f->no_memory = true;
        return -1;
    }
    f->atoms[f->atom_count] = *a;
    return f->atom_count++;
}

/* Features [start, start + width) of an atom. A part of a function is the function of a part: it keeps the whole's
 * number, so that it is found again. */
static int part_of(struct fuse *f, int number, size_t start, size_t width)
{
    struct atom a = f->atoms[number];
    if (start == 0 && width == a.width) return number;
    if (a.kind == ATOM_ACT && a.index < 0) a.index = number;
    a.start += start;
    a.width = width;
    if (a.kind != ATOM_ACT) return find_atom(f, &a);
    for (int i = 0; i < f->atom_count; i++)
        if (f->atoms[i].kind == ATOM_ACT && f->atoms[i].index == a.index && f->atoms[i].start == a.start &&
            f->atoms[i].width == width)
            return i;
    a.form = form_slice(f, a.form, start, width);
    return a.form ? find_atom(f, &a) : -1;
}

static const struct form *form_of(struct fuse *f, const struct atom *a)
{
    int number = find_atom(f, a);
    struct form *out = number < 0 ? NULL : new_form(f, a->width, 1);
    if (!out) return NULL;
    out->term[out->count++] = (struct term){.scale = 1, .outers = 1, .outer = {number}};
    return out;
}

const struct form *form_atom(struct fuse *f, enum atom_kind kind, int index, size_t width)
{
    struct atom a = {.kind = kind, .index = index, .width = width};
    return form_of(f, &a);
}

int form_only(const struct form *a)
{
    const struct term *t = a->term;
    bool only = a->count == 1 && t->scale == 1 && t->outers == 1 && !t->m.data && !t->vector;
    return only ? t->outer[0] : -1;
}

/* ---- sums ---- */

static bool same_outers(const struct term *a, const struct term *b)
{
    return a->outers == b->outers && memcmp(a->outer, b->outer, (size_t)a->outers * sizeof *a->outer) == 0;
}

/* Adds a term; plain ones of the same atoms become one, or none. */
static bool add_term(struct form *to, int room, const struct term *t)
{
    for (int i = 0; i < to->count && !t->m.data && !t->vector; i++) {
        struct term *u = &to->term[i];
        if (u->m.data || u->vector || !same_outers(u, t)) continue;
        u->scale += t->scale;
        if (u->scale == 0) *u = to->term[--to->count];
        return true;
    }
    if (to->count == room) return false;
    to->term[to->count++] = *t;
    return true;
}

const struct form *form_add(struct fuse *f, const struct form *a, const struct form *b, float sign)
{
    int room = a->count + b->count;
    struct form *out = a->width == b->width ? new_form(f, a->width, room) : NULL;
    if (!out) return NULL;
    for (int i = 0; i < a->count; i++)
        add_term(out, room, &a->term[i]);
    for (int i = 0; i < b->count; i++) {
        struct term t = b->term[i];
        t.scale *= sign;
        add_term(out, room, &t);
    }
    return out;
}

const struct form *form_constant(struct fuse *f, const float *vector, size_t width, float scale)
{
    struct form *out = new_form(f, width, 1);
    if (!out) return NULL;
    if (scale != 0) out->term[out->count++] = (struct term){.scale = scale, .vector = vector};
    return out;
}

/* ---- products ---- */

static bool multiply_terms(const struct term *a, const struct term *b, struct term *out)
{
    if ((a->m.data && b->m.data) || ((a->vector || a->m.data) && b->vector) || (a->vector && b->m.data) ||
        a->outers + b->outers > MAX_FACTORS)
        return false;
    const struct term *with = a->m.data || a->vector ? a : b, *other = with == a ? b : a;
    *out = *with;
    out->scale *= other->scale;
    for (int i = 0; i < other->outers; i++) { /* kept in order, so that equal products look equal */
        int k = out->outers++;
        for (; k > 0 && out->outer[k - 1] > other->outer[i]; k--)
            out->outer[k] = out->outer[k - 1];
        out->outer[k] = other->outer[i];
    }
    return true;
}

const struct form *form_multiply(struct fuse *f, const struct form *a, const struct form *b)
{
    int room = a->count * b->count;
    struct form *out = a->width == b->width ? new_form(f, a->width, room) : NULL;
    struct term t;
    if (!out) return NULL;
    for (int i = 0; i < a->count; i++)
        for (int k = 0; k < b->count; k++)
            if (!multiply_terms(&a->term[i], &b->term[k], &t) || !add_term(out, room, &t)) return NULL;
    return out;
}

/* A clipped row times a number is clipped elsewhere: relu6(x) / 6 is one hard sigmoid, as Keras 3 has it. */
static const struct form *scale_act(struct fuse *f, const struct form *a, float scale)
{
    int only = form_only(a);
    if (only < 0) return NULL;
    struct atom t = f->atoms[only];
    if (t.kind != ATOM_ACT || t.index >= 0 || t.act.kind != ACT_RELU6 ||
        !(scale * 6 > 0.999999f && scale * 6 < 1.000001f))
        return NULL;
    t.act = (struct act){ACT_HARD_SIGMOID, scale, 0};
    return form_of(f, &t);
}

const struct form *form_scale(struct fuse *f, const struct form *a, float scale)
{
    const struct form *act = scale_act(f, a, scale);
    struct form *out = act || f->no_memory ? NULL : new_form(f, a->width, a->count);
    if (act || !out) return act;
    for (int i = 0; i < a->count && scale != 0; i++) {
        out->term[i] = a->term[i];
        out->term[out->count++].scale *= scale;
    }
    return out;
}

const struct form *form_product(struct fuse *f, const struct form *a, const struct matrix *m, size_t width)
{
    struct form *out = m->rows == a->width ? new_form(f, width, a->count) : NULL;
    if (!out) return NULL;
    for (int i = 0; i < a->count; i++) {
        const struct term *t = &a->term[i];
        if (t->m.data || t->vector || t->outers < 1 || t->outers > MAX_FACTORS) return NULL;
        struct term *to = &out->term[out->count++];
        *to = (struct term){.scale = t->scale, .inners = t->outers, .m = *m};
        memcpy(to->inner, t->outer, sizeof to->inner);
    }
    return out;
}

/* ---- parts and functions ---- */

const struct form *form_slice(struct fuse *f, const struct form *a, size_t start, size_t width)
{
    if (start == 0 && width == a->width) return a;
    struct form *out = start <= a->width && width <= a->width - start ? new_form(f, width, a->count) : NULL;
    if (!out) return NULL;
    for (int i = 0; i < a->count; i++) {
        struct term t = a->term[i];
        if (t.m.data) t.m.data += start * t.m.step_column;
        if (t.vector) t.vector += start;
        int outers = t.outers;
        t.outers = 0;
        for (int k = 0; k < outers; k++) {
            int part = part_of(f, a->term[i].outer[k], start, width), at = t.outers++;
            if (part < 0) return NULL;
            for (; at > 0 && t.outer[at - 1] > part; at--)
                t.outer[at] = t.outer[at - 1];
            t.outer[at] = part;
        }
        if (!add_term(out, a->count, &t)) return NULL;
    }
    return out;
}

/* clip(alpha (x) + beta, 0, 1) as exporters write a hard sigmoid: one factor before everything but one number. */
static const struct form *take_scale(struct fuse *f, const struct form *a, struct act *act)
{
    const struct form *rest = a;
    float alpha = 0, beta = 0;
    bool alike = true;
    for (int i = 0; i < a->count; i++) {
        const struct term *t = &a->term[i];
        if (!t->outers && !t->m.data && !t->vector) {
            beta = t->scale;
            continue;
        }
        alike = alike && (alpha == 0 || alpha == t->scale);
        alpha = t->scale;
    }
    if (!alike || !(alpha > 0)) return a;
    struct form *out = new_form(f, a->width, a->count);
    for (int i = 0; i < a->count && out; i++) {
        out->term[out->count] = a->term[i];
        out->term[out->count].scale = 1;
        out->count += a->term[i].outers || a->term[i].m.data || a->term[i].vector;
    }
    if (out) *act = (struct act){ACT_HARD_SIGMOID, alpha * act->alpha, beta * act->alpha + act->beta}, rest = out;
    return rest;
}

const struct form *form_act(struct fuse *f, const struct form *a, struct act act)
{
    int depth = 0;
    for (int i = 0; i < a->count; i++)
        for (int k = 0; k < a->term[i].outers + a->term[i].inners; k++) {
            const struct term *t = &a->term[i];
            int d = f->atoms[k < t->outers ? t->outer[k] : t->inner[k - t->outers]].depth;
            if (d > depth) depth = d;
        }
    if (depth == MAX_ACT_DEPTH) return NULL;
    if (act.kind == ACT_HARD_SIGMOID) a = take_scale(f, a, &act);
    struct atom atom = {.kind = ATOM_ACT, .index = -1, .width = a->width, .act = act, .form = a, .depth = depth + 1};
    return f->no_memory ? NULL : form_of(f, &atom);
}
