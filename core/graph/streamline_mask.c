/* streamline_mask.c -- steps that are left out: rows compared with one number (Keras' Masking, mask_zero), and what is
 * multiplied with the outcome. */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/streamline_private.h"

static bool is(const struct graph_node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

/* Rows and one number, in either order. */
static const struct view *compared(const struct streamline *s, const struct graph_node *n, float *number)
{
    for (int k = 0; k < 2; k++) {
        const struct view *x = streamline_view(s, n, k), *c = streamline_view(s, n, 1 - k);
        if (!x || !c || x->kind != VIEW_ROWS || c->kind != VIEW_CONSTANT) continue;
        const struct tensor *t = &s->from->values[c->value].constant;
        if (tensor_count(t) != 1 || t->rank > x->rank || t->dtype == DTYPE_BOOL) continue;
        *number = t->dtype == DTYPE_F32 ? *(const float *)t->data : (float)*(const int64_t *)t->data;
        return x;
    }
    return NULL;
}

/* One number a step: does any feature differ? */
static rnnd_code any_differs(struct streamline *s, const struct graph_node *n, struct view *y)
{
    struct graph_node *node = streamline_node(s, "differs", n->name, &y->value, 1, 1);
    if (!node) return RNND_NO_MEMORY;
    if (graph_attr_float(s->to, node, "value", y->fill)) return fail_memory(s->err, sizeof y->fill);
    y->kind = VIEW_ROWS;
    y->value = node->outputs[0];
    for (int k = 0; k < y->rank; k++)
        if (axis_has(&y->axis[k], ATOM_FEATURE)) y->axis[k] = axis_one();
    return streamline_check(s, node);
}

static rnnd_code negate(struct streamline *s, const struct graph_node *n)
{
    struct view y = *streamline_view(s, n, 0);
    y.differs = true;
    rnnd_code code = view_width(&y) == 1 ? any_differs(s, n, &y) : RNND_OK;
    *streamline_output(s, n, 0) = y;
    return code;
}

/* The largest of a step's ones and zeros, over the features alone. */
static rnnd_code reduce(struct streamline *s, const struct graph_node *n)
{
    struct view y = *streamline_view(s, n, 0);
    int64_t axis;
    int count;
    if (!streamline_ints(s, n, 1, &axis, &count) || count != 1)
        return streamline_refuse(s, n, "takes the largest along axes that are not told");
    if (axis < 0) axis += y.rank;
    bool all =
        axis >= 0 && axis < y.rank && !axis_has(&y.axis[axis], ATOM_TIME) && !axis_has(&y.axis[axis], ATOM_BATCH);
    for (int k = 0; k < y.rank; k++)
        all = all && (k == axis || !axis_has(&y.axis[k], ATOM_FEATURE));
    if (!all) return streamline_refuse(s, n, "takes the largest along another axis than the features");
    rnnd_code code = y.kind == VIEW_EQUAL ? any_differs(s, n, &y) : RNND_OK;
    if (!op_int(n, "keepdims", 1)) {
        memmove(&y.axis[axis], &y.axis[axis + 1], (size_t)(y.rank - axis - 1) * sizeof *y.axis);
        y.rank--;
    }
    *streamline_output(s, n, 0) = y;
    return code;
}

/* x [..][features] times m [..][1]: alike but for the features. */
static bool is_masking(const struct view *x, const struct view *m)
{
    if (x->rank != m->rank || view_width(m) != 1 || view_width(x) == 1 || !view_in_order(x)) return false;
    struct view y = *x;
    for (int k = 0; k < y.rank; k++)
        if (axis_has(&y.axis[k], ATOM_FEATURE)) y.axis[k] = axis_one();
    return views_same_axes(&y, m);
}

static rnnd_code multiply(struct streamline *s, const struct graph_node *n, bool *known)
{
    const struct view *a = streamline_view(s, n, 0), *b = streamline_view(s, n, 1);
    if (!a || !b || a->kind != VIEW_ROWS || b->kind != VIEW_ROWS || (!is_masking(a, b) && !is_masking(b, a)))
        return *known = false, RNND_OK;
    const struct view *x = is_masking(a, b) ? a : b, *m = x == a ? b : a;
    struct view y = *x;
    rnnd_code code = streamline_op(s, "masked", n->name, (const int[]){x->value, m->value}, 2, &y.value);
    *streamline_output(s, n, 0) = y;
    return code;
}

rnnd_code streamline_mask(struct streamline *s, const struct graph_node *n, bool *known)
{
    const struct view *x = streamline_view(s, n, 0);
    float number;
    if (is(n, "Mul")) return multiply(s, n, known);
    if (is(n, "Equal") && (x = compared(s, n, &number))) {
        struct view y = *x;
        y.kind = VIEW_EQUAL;
        y.fill = number;
        *streamline_output(s, n, 0) = y;
        return RNND_OK;
    }
    if (x && x->kind == VIEW_EQUAL && is(n, "Not") && !x->differs) return negate(s, n);
    bool ones = x && ((x->kind == VIEW_EQUAL && x->differs) || (x->kind == VIEW_ROWS && view_width(x) == 1));
    if (ones && is(n, "ReduceMax")) return reduce(s, n);
    *known = false;
    return RNND_OK;
}
