/* streamline_axes.c -- axes as products of time, batch and features: comparing them, regrouping them. */
#include <string.h>

#include "core/graph/streamline_private.h"

struct axis axis_one(void)
{
    return (struct axis){.count = 0};
}

struct axis axis_of(enum atom_kind kind, size_t size, size_t stride)
{
    return (struct axis){.count = 1, .atom = {{kind, size, stride}}};
}

bool axis_is(const struct axis *a, enum atom_kind kind)
{
    return a->count == 1 && a->atom[0].kind == kind;
}

bool axis_has(const struct axis *a, enum atom_kind kind)
{
    for (int i = 0; i < a->count; i++)
        if (a->atom[i].kind == kind) return true;
    return false;
}

int view_find(const struct view *v, enum atom_kind kind)
{
    for (int i = 0; i < v->rank; i++)
        if (axis_is(&v->axis[i], kind)) return i;
    return -1;
}

bool view_has(const struct view *v, enum atom_kind kind)
{
    for (int i = 0; i < v->rank; i++)
        if (axis_has(&v->axis[i], kind)) return true;
    return false;
}

size_t view_width(const struct view *v)
{
    size_t width = 1;
    for (int i = 0; i < v->rank; i++)
        for (int k = 0; k < v->axis[i].count; k++)
            if (v->axis[i].atom[k].kind == ATOM_FEATURE) width *= v->axis[i].atom[k].size;
    return width;
}

bool view_in_order(const struct view *v)
{
    size_t expected = view_width(v);
    for (int i = 0; i < v->rank; i++)
        for (int k = 0; k < v->axis[i].count; k++) {
            const struct atom *a = &v->axis[i].atom[k];
            if (a->kind != ATOM_FEATURE) continue;
            expected /= a->size;
            if (a->stride != expected) return false;
        }
    return true;
}

void view_restride(struct view *v)
{
    size_t stride = view_width(v);
    for (int i = 0; i < v->rank; i++)
        for (int k = 0; k < v->axis[i].count; k++) {
            struct atom *a = &v->axis[i].atom[k];
            if (a->kind != ATOM_FEATURE) continue;
            stride /= a->size;
            a->stride = stride;
        }
}

static bool same_axis(const struct axis *a, const struct axis *b)
{
    if (a->count != b->count) return false;
    for (int k = 0; k < a->count; k++)
        if (a->atom[k].kind != b->atom[k].kind ||
            (a->atom[k].kind == ATOM_FEATURE &&
             (a->atom[k].size != b->atom[k].size || a->atom[k].stride != b->atom[k].stride)))
            return false;
    return true;
}

bool views_same_axes(const struct view *a, const struct view *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (!same_axis(&a->axis[i], &b->axis[i])) return false;
    return true;
}

bool axis_extent(const struct axis *a, struct extent *out)
{
    *out = (struct extent){EXTENT_NUMBER, 1};
    for (int k = 0; k < a->count; k++) {
        const struct atom *t = &a->atom[k];
        if (t->size) {
            if (out->kind != EXTENT_NUMBER) return false;
            out->number *= (int64_t)t->size;
        } else {
            if (a->count != 1) return false;
            *out = (struct extent){t->kind == ATOM_TIME ? EXTENT_TIME : EXTENT_BATCH, 0};
        }
    }
    return true;
}

struct supply { /* the atoms of a view, one after the other */
    struct atom atom[MAX_RANK * MAX_ATOMS + MAX_RANK];
    int count, at;
};

static bool push(struct axis *a, struct atom t)
{
    struct atom *last = a->count ? &a->atom[a->count - 1] : NULL;
    if (last && last->kind == ATOM_FEATURE && t.kind == ATOM_FEATURE && last->stride == t.size * t.stride) {
        last->size *= t.size; /* neighbours again */
        last->stride = t.stride;
        return true;
    }
    if (a->count == MAX_ATOMS) return false;
    a->atom[a->count++] = t;
    return true;
}

/* Takes atoms whose product is `number`, splitting a feature where it must. */
static bool take_number(struct supply *s, size_t number, struct axis *out)
{
    while (number != 1) {
        if (s->at == s->count) return false;
        struct atom *a = &s->atom[s->at];
        if (a->size == 0) return false;
        if (number % a->size == 0) {
            if (!push(out, *a)) return false;
            number /= a->size;
            s->at++;
        } else if (a->kind == ATOM_FEATURE && a->size % number == 0) {
            size_t rest = a->size / number;
            if (!push(out, (struct atom){ATOM_FEATURE, number, a->stride * rest})) return false;
            a->size = rest;
            number = 1;
        } else {
            return false;
        }
    }
    return true;
}

static bool take_atom(struct supply *s, enum atom_kind kind, struct axis *out)
{
    return s->at < s->count && s->atom[s->at].kind == kind && push(out, s->atom[s->at++]);
}

/* -1: all atoms that those after it do not need. Tried from few to many, the first that fits is the one that fits: what
 * is left is the same product however it is counted. */
static bool take(struct supply *s, const struct extent *shape, int rank, int i, struct axis *out)
{
    if (i == rank) return s->at == s->count;
    struct extent e = shape[i];
    out[i] = axis_one();
    if (e.kind == EXTENT_TIME) return take_atom(s, ATOM_TIME, &out[i]) && take(s, shape, rank, i + 1, out);
    if (e.kind == EXTENT_BATCH) return take_atom(s, ATOM_BATCH, &out[i]) && take(s, shape, rank, i + 1, out);
    if (e.number >= 1) return take_number(s, (size_t)e.number, &out[i]) && take(s, shape, rank, i + 1, out);
    for (int n = 0; s->at + n <= s->count; n++) {
        struct supply rest = *s;
        bool fits = true;
        out[i] = axis_one();
        for (int k = 0; k < n && fits; k++)
            fits = push(&out[i], rest.atom[rest.at++]);
        if (fits && take(&rest, shape, rank, i + 1, out)) return true;
    }
    return false;
}

bool view_reshape(struct view *v, const struct extent *shape, int rank)
{
    struct supply s = {.count = 0};
    struct extent wanted[MAX_RANK];
    struct axis out[MAX_RANK];
    int open = 0;
    if (rank > MAX_RANK) return false;
    for (int i = 0; i < v->rank; i++)
        for (int k = 0; k < v->axis[i].count; k++)
            s.atom[s.count++] = v->axis[i].atom[k];
    for (int i = 0; i < rank; i++) {
        wanted[i] = shape[i];
        if (shape[i].kind != EXTENT_NUMBER) continue;
        if (shape[i].number == 0 && (i >= v->rank || !axis_extent(&v->axis[i], &wanted[i]))) return false;
        if (shape[i].number < -1) return false;
        open += shape[i].number == -1;
    }
    if (open > 1 || !take(&s, wanted, rank, 0, out)) return false;
    v->rank = rank;
    memcpy(v->axis, out, (size_t)rank * sizeof *out);
    return true;
}
