/* streamline_shape.c -- operators that only rename axes, and the arithmetic on shapes around them. */
#include <string.h>

#include "core/graph/streamline_private.h"

static bool is(const struct graph_node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

static void set_shape(struct view *out, const struct extent *e, int count, bool scalar)
{
    *out = (struct view){.kind = VIEW_SHAPE, .rank = scalar ? 0 : 1, .scalar = scalar, .count = count};
    memcpy(out->extent, e, (size_t)count * sizeof *e);
}

static rnnd_code shape_of(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0);
    struct extent e[MAX_RANK];
    int64_t start = op_int(n, "start", 0), end = op_int(n, "end", x->rank);
    if (x->kind != VIEW_ROWS) return streamline_refuse(s, n, "asks for the shape of an unknown value");
    if (start < 0) start += x->rank;
    if (end < 0) end += x->rank;
    if (end > x->rank) end = x->rank;
    for (int i = 0; i < x->rank; i++)
        if (!axis_extent(&x->axis[i], &e[i])) return streamline_refuse(s, n, "asks for the size of a mixed axis");
    if (start < 0 || start > end) return streamline_refuse(s, n, "asks for no part of a shape");
    set_shape(streamline_output(s, n, 0), e + start, (int)(end - start), false);
    return RNND_OK;
}

static rnnd_code transpose(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0);
    const struct attr *perm = graph_find_attr(n, "perm");
    struct view y = *x;
    if (perm && (int)perm->count != x->rank) return streamline_refuse(s, n, "permutes another number of axes");
    for (int i = 0; i < x->rank; i++) {
        int64_t from = perm ? ((const int64_t *)perm->p)[i] : x->rank - 1 - i;
        if (from < 0 || from >= x->rank) return streamline_refuse(s, n, "permutes axes that are not there");
        y.axis[i] = x->axis[from];
    }
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

/* The axes named by input 1; all that are of size 1 where it is absent. */
static bool named_axes(struct streamline *s, const struct graph_node *n, int rank, bool *named)
{
    int64_t axes[MAX_EXTENTS];
    int count;
    memset(named, 0, MAX_RANK * sizeof *named);
    if (!streamline_ints(s, n, 1, axes, &count)) return false;
    for (int i = 0; i < count; i++) {
        int64_t a = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (a < 0 || a >= rank) return false;
        named[a] = true;
    }
    return true;
}

static rnnd_code squeeze(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0);
    struct view y = *x;
    bool named[MAX_RANK];
    y.rank = 0;
    if (!named_axes(s, n, x->rank, named)) return streamline_refuse(s, n, "squeezes axes that are not told");
    for (int i = 0; i < x->rank; i++) {
        if (named[i] && x->axis[i].count) return streamline_refuse(s, n, "squeezes an axis that is not of size 1");
        if (!named[i]) y.axis[y.rank++] = x->axis[i];
    }
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

static rnnd_code unsqueeze(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0);
    struct view y = *x;
    bool named[MAX_RANK];
    int64_t axes[MAX_EXTENTS];
    int count, from = 0;
    if (!streamline_ints(s, n, 1, axes, &count) || x->rank + count > MAX_RANK ||
        !named_axes(s, n, x->rank + count, named))
        return streamline_refuse(s, n, "inserts axes that are not told");
    y.rank = x->rank + count;
    for (int i = 0; i < y.rank; i++)
        y.axis[i] = named[i] || from >= x->rank ? axis_one() : x->axis[from++];
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

static rnnd_code reshape(struct streamline *s, const struct graph_node *n)
{
    struct view y = *streamline_view(s, n, 0);
    struct extent e[MAX_EXTENTS];
    int count;
    if (op_int(n, "allowzero", 0) || !streamline_extents(s, n, 1, e, &count))
        return streamline_refuse(s, n, "reshapes to a shape that is not told");
    if (!view_reshape(&y, e, count)) return streamline_refuse(s, n, "mixes time or batch with features");
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

static rnnd_code flatten(struct streamline *s, const struct graph_node *n)
{
    struct view y = *streamline_view(s, n, 0);
    int64_t axis = op_int(n, "axis", 1);
    if (axis < 0) axis += y.rank;
    if (axis < 0 || axis > y.rank) return streamline_refuse(s, n, "flattens from an axis that is not there");
    struct axis ends[2] = {axis_one(), axis_one()};
    for (int i = 0; i < y.rank; i++)
        for (int k = 0; k < y.axis[i].count; k++) {
            struct axis *to = &ends[i >= axis];
            if (to->count == MAX_ATOMS) return streamline_refuse(s, n, "flattens more axes than are followed");
            to->atom[to->count++] = y.axis[i].atom[k];
        }
    if (ends[1].count > 1 && (axis_has(&ends[1], ATOM_TIME) || axis_has(&ends[1], ATOM_BATCH)))
        return streamline_refuse(s, n, "mixes time with features");
    y.rank = 2;
    memcpy(y.axis, ends, sizeof ends);
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

/* Zeros and the like, made to some shape: only what they are filled with matters to a cell. */
static rnnd_code fill(struct streamline *s, const struct graph_node *n)
{
    struct view *y = streamline_output(s, n, 0);
    float value = 0;
    if (is(n, "ConstantOfShape")) {
        const struct attr *a = graph_find_attr(n, "value");
        const struct tensor *t = a && a->kind == ATTR_POINTER ? a->p : NULL;
        if (a && !t) value = op_float(n, "value", 0);
        const struct view *filler = streamline_view(s, n, 1); /* ours: the number as an input */
        if (filler && filler->kind != VIEW_CONSTANT)
            return streamline_refuse(s, n, "fills with a number that is not told");
        if (filler) t = &s->from->values[filler->value].constant;
        if (t)
            value = t->dtype == DTYPE_F32   ? *(const float *)t->data
                    : t->dtype == DTYPE_I64 ? (float)*(const int64_t *)t->data
                                            : (float)*(const bool *)t->data;
    } else {
        const struct view *x = streamline_view(s, n, 0);
        if (x->kind == VIEW_FILLED) {
            value = x->fill;
        } else if (x->kind == VIEW_CONSTANT && s->from->values[x->value].dtype == DTYPE_F32) {
            const struct tensor *t = &s->from->values[x->value].constant;
            const float *f = t->data;
            for (size_t i = 0; i < tensor_count(t); i++)
                if (f[i] != f[0]) { /* trained numbers for every sequence: broadcasting says the same */
                    *y = *x;
                    return RNND_OK;
                }
            value = tensor_count(t) ? f[0] : 0;
        } else {
            return streamline_refuse(s, n, "spreads a value over a shape");
        }
    }
    *y = (struct view){.kind = VIEW_FILLED, .fill = value};
    return RNND_OK;
}

/* Arithmetic on extents that are numbers; a product of symbols is not followed. */
static rnnd_code count(struct streamline *s, const struct graph_node *n)
{
    struct extent a[MAX_EXTENTS], b[MAX_EXTENTS];
    int na, nb;
    if (!streamline_extents(s, n, 0, a, &na) || !streamline_extents(s, n, 1, b, &nb) ||
        (na != nb && na != 1 && nb != 1))
        return streamline_refuse(s, n, "computes with shapes that are not told");
    int most = na > nb ? na : nb;
    struct extent e[MAX_EXTENTS];
    for (int i = 0; i < most; i++) {
        struct extent x = a[na == 1 ? 0 : i], y = b[nb == 1 ? 0 : i];
        if (is(n, "Mul") && y.kind == EXTENT_NUMBER && y.number == 1) {
            e[i] = x;
            continue;
        }
        if (is(n, "Mul") && x.kind == EXTENT_NUMBER && x.number == 1) {
            e[i] = y;
            continue;
        }
        if (x.kind != EXTENT_NUMBER || y.kind != EXTENT_NUMBER || (is(n, "Div") && y.number == 0))
            return streamline_refuse(s, n, "computes with a length that is free");
        int64_t r;
        bool over = is(n, "Add")   ? __builtin_add_overflow(x.number, y.number, &r)
                    : is(n, "Sub") ? __builtin_sub_overflow(x.number, y.number, &r)
                    : is(n, "Mul") ? __builtin_mul_overflow(x.number, y.number, &r)
                                   : (r = y.number == -1 ? 0 : x.number / y.number, y.number == -1);
        if (over) return streamline_refuse(s, n, "computes a shape that overflows");
        e[i] = (struct extent){EXTENT_NUMBER, r};
    }
    const struct view *x = streamline_view(s, n, 0), *y = streamline_view(s, n, 1);
    set_shape(streamline_output(s, n, 0), e, most, x->rank == 0 && y->rank == 0);
    return RNND_OK;
}

static rnnd_code pass_on(struct streamline *s, const struct graph_node *n)
{
    *streamline_output(s, n, 0) = *streamline_view(s, n, 0);
    return RNND_OK;
}

/* Axes of shape arithmetic itself: a list of one and a number are told apart, nothing else. */
static rnnd_code move_list(struct streamline *s, const struct graph_node *n)
{
    struct view y = *streamline_view(s, n, 0);
    if (is(n, "Squeeze") && y.count == 1)
        y.scalar = true, y.rank = 0;
    else if (is(n, "Unsqueeze") && y.scalar)
        y.scalar = false, y.rank = 1;
    else if (is(n, "Reshape") && y.count == 1)
        y.scalar = false, y.rank = 1;
    else
        return streamline_refuse(s, n, "reshapes a shape");
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

rnnd_code streamline_shape(struct streamline *s, const struct graph_node *n, bool *known)
{
    static const char *const on_rows[] = {"Transpose", "Squeeze", "Unsqueeze", "Reshape", "Flatten"};
    static rnnd_code (*const move[])(struct streamline *, const struct graph_node *) = {transpose, squeeze, unsqueeze,
                                                                                        reshape, flatten};
    const struct view *x = streamline_view(s, n, 0);
    if (is(n, "ConstantOfShape")) return fill(s, n);
    if (!x) return *known = false, RNND_OK;
    if (is(n, "Shape")) return shape_of(s, n);
    if (is(n, "Expand") && x->kind != VIEW_ROWS) return fill(s, n);
    if (is(n, "Identity") || is(n, "Dropout") || is(n, "Cast")) return pass_on(s, n);
    for (size_t i = 0; i < sizeof move / sizeof *move; i++) {
        if (!is(n, on_rows[i])) continue;
        if (x->kind == VIEW_FILLED) return pass_on(s, n);
        if (x->kind == VIEW_SHAPE) return move_list(s, n);
        if (x->kind == VIEW_ROWS) return move[i](s, n);
        return streamline_refuse(s, n, "moves the axes of an unknown value");
    }
    bool arithmetic = is(n, "Add") || is(n, "Sub") || is(n, "Mul") || is(n, "Div");
    const struct view *y = streamline_view(s, n, 1);
    if (arithmetic && y && (x->kind == VIEW_SHAPE || y->kind == VIEW_SHAPE)) return count(s, n);
    *known = false;
    return RNND_OK;
}
