/* streamline_pick.c -- operators that take parts of values or put parts together: Gather, Slice, Split, Concat. */
#include <string.h>

#include "core/graph/streamline_private.h"

static bool is(const struct graph_node *n, const char *op)
{
    return strcmp(n->op->name, op) == 0;
}

static bool axis_attribute(const struct graph_node *n, int rank, int64_t absent, int *out)
{
    int64_t a = op_int(n, "axis", absent);
    if (a < 0) a += rank;
    *out = (int)a;
    return a >= 0 && a < rank;
}

/* Features [start, end) along an axis that varies slowest among them: a slice of the rows. */
static rnnd_code slice_features(struct streamline *s, const struct graph_node *n, const struct view *x, int axis,
                                int64_t start, int64_t end, struct view *y)
{
    const struct axis *a = &x->axis[axis];
    if (!axis_is(a, ATOM_FEATURE) || !view_in_order(x) || a->atom[0].size * a->atom[0].stride != view_width(x) ||
        start < 0 || end > (int64_t)a->atom[0].size || start >= end)
        return streamline_refuse(s, n, "takes parts of features that do not lie together");
    size_t stride = a->atom[0].stride;
    *y = *x;
    if (start > 0 || end < (int64_t)a->atom[0].size) {
        struct graph_node *node = streamline_node(s, "slice", n->name, &x->value, 1, 1);
        if (!node) return RNND_NO_MEMORY;
        if (graph_attr_int(s->to, node, "start", start * (int64_t)stride) ||
            graph_attr_int(s->to, node, "end", end * (int64_t)stride))
            return fail_memory(s->err, sizeof end);
        y->value = node->outputs[0];
        rnnd_code code = streamline_check(s, node);
        if (code || s->refused) return code;
    }
    y->axis[axis] = end - start == 1 ? axis_one() : axis_of(ATOM_FEATURE, (size_t)(end - start), stride);
    return RNND_OK;
}

static rnnd_code take_last(struct streamline *s, const struct graph_node *n, const struct view *x, int axis,
                           struct view *y)
{
    *y = *x;
    y->axis[axis] = axis_one();
    return streamline_op(s, "last", n->name, &x->value, 1, &y->value);
}

static bool is_last(const struct axis *a, int64_t index)
{
    return index == -1 || (a->atom[0].size && index == (int64_t)a->atom[0].size - 1);
}

static void drop_axis(struct view *v, int axis)
{
    memmove(&v->axis[axis], &v->axis[axis + 1], (size_t)(v->rank - axis - 1) * sizeof *v->axis);
    v->rank--;
}

static rnnd_code gather_embedding(struct streamline *s, const struct graph_node *n)
{
    const struct view *table = streamline_view(s, n, 0), *ids = streamline_view(s, n, 1);
    const struct graph_value *v = &s->from->values[table->value];
    if (v->dtype != DTYPE_F32 || v->rank != 2 || op_int(n, "axis", 0) != 0 || view_width(ids) != 1 ||
        ids->rank == MAX_RANK)
        return streamline_refuse(s, n, "looks up something other than rows of a table");
    int inputs[2] = {ids->value, -1};
    rnnd_code code =
        streamline_floats(s, v->name, 2, v->constant.dim[0], v->constant.dim[1], v->constant.data, &inputs[1]);
    struct view y = *ids;
    y.axis[y.rank++] = v->constant.dim[1] == 1 ? axis_one() : axis_of(ATOM_FEATURE, v->constant.dim[1], 1);
    if (!code) code = streamline_op(s, "embedding", n->name, inputs, 2, &y.value);
    *streamline_output(s, n, 0) = y;
    return code;
}

static rnnd_code gather_shape(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0), *index = streamline_view(s, n, 1);
    struct view y = {.kind = VIEW_SHAPE, .rank = index->rank, .scalar = index->rank == 0};
    int64_t at[MAX_EXTENTS];
    if (!streamline_ints(s, n, 1, at, &y.count)) return streamline_refuse(s, n, "takes parts of a shape by rows");
    for (int i = 0; i < y.count; i++) {
        if (at[i] < 0) at[i] += x->count;
        if (at[i] < 0 || at[i] >= x->count) return streamline_refuse(s, n, "takes a size that is not there");
        y.extent[i] = x->extent[at[i]];
    }
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

static rnnd_code gather(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0), *index = streamline_view(s, n, 1);
    int64_t at[MAX_EXTENTS];
    int axis, count;
    if (!index) return streamline_refuse(s, n, "has no indices");
    if (x->kind == VIEW_SHAPE) return gather_shape(s, n);
    if (x->kind == VIEW_CONSTANT && index->kind == VIEW_ROWS) return gather_embedding(s, n);
    if (x->kind != VIEW_ROWS || !axis_attribute(n, x->rank, 0, &axis) || !streamline_ints(s, n, 1, at, &count) ||
        count != 1)
        return streamline_refuse(s, n, "takes parts of a value by indices that are not told");
    struct view y = *x;
    rnnd_code code = RNND_OK;
    const struct axis *a = &x->axis[axis];
    if (axis_is(a, ATOM_TIME) && is_last(a, at[0]))
        code = take_last(s, n, x, axis, &y);
    else if (a->count == 0 && (at[0] == 0 || at[0] == -1))
        y = *x;
    else if (axis_is(a, ATOM_FEATURE)) {
        int64_t i = at[0] < 0 ? at[0] + (int64_t)a->atom[0].size : at[0];
        code = slice_features(s, n, x, axis, i, i + 1, &y);
    } else
        return streamline_refuse(s, n, "takes a step other than the last");
    if (code || s->refused) return code;
    if (index->rank == 0) drop_axis(&y, axis);
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

static rnnd_code slice_shape(struct streamline *s, const struct graph_node *n, int64_t start, int64_t end, int64_t step)
{
    const struct view *x = streamline_view(s, n, 0);
    struct view y = {.kind = VIEW_SHAPE, .rank = 1};
    if (start < 0) start += x->count;
    if (end < 0) end += x->count;
    if (end > x->count) end = x->count;
    if (step != 1 || start < 0) return streamline_refuse(s, n, "steps through a shape");
    for (int64_t i = start; i < end; i++)
        y.extent[y.count++] = x->extent[i];
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

static rnnd_code slice_axis(struct streamline *s, const struct graph_node *n, struct view *y, int axis, int64_t start,
                            int64_t end, int64_t step)
{
    struct view x = *y;
    const struct axis *a = &x.axis[axis];
    if (axis_is(a, ATOM_TIME)) {
        int64_t T = (int64_t)a->atom[0].size, far = INT32_MAX;
        bool to_end = end >= far || (T && end >= T);
        if (step == 1 && start == 0 && to_end) return RNND_OK;
        if (step == 1 && is_last(a, start) && to_end) return take_last(s, n, &x, axis, y);
        if (step == -1 && (start == -1 || start >= far || (T && start == T - 1)) && end <= -far)
            return streamline_op(s, "reverse", n->name, &x.value, 1, &y->value);
        return streamline_refuse(s, n, "takes steps other than the last");
    }
    struct extent size;
    if (step != 1 || !axis_extent(a, &size) || size.kind != EXTENT_NUMBER)
        return streamline_refuse(s, n, "takes parts of an axis that is no feature");
    if (start < 0) start += size.number;
    if (end < 0) end += size.number;
    if (end > size.number) end = size.number;
    if (start == 0 && end == size.number) return RNND_OK;
    return slice_features(s, n, &x, axis, start, end, y);
}

static rnnd_code slice(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0);
    int64_t starts[MAX_EXTENTS], ends[MAX_EXTENTS], axes[MAX_EXTENTS], steps[MAX_EXTENTS];
    int count, ends_count, axes_count, steps_count;
    if (!streamline_ints(s, n, 1, starts, &count) || !streamline_ints(s, n, 2, ends, &ends_count) ||
        ends_count != count)
        return streamline_refuse(s, n, "takes parts that are not told");
    if (!streamline_view(s, n, 3)) {
        axes_count = count;
        for (int i = 0; i < count; i++)
            axes[i] = i;
    } else if (!streamline_ints(s, n, 3, axes, &axes_count) || axes_count != count) {
        return streamline_refuse(s, n, "takes parts of axes that are not told");
    }
    if (!streamline_view(s, n, 4)) {
        for (int i = 0; i < count; i++)
            steps[i] = 1;
    } else if (!streamline_ints(s, n, 4, steps, &steps_count) || steps_count != count) {
        return streamline_refuse(s, n, "takes parts by steps that are not told");
    }
    if (x->kind == VIEW_SHAPE && count == 1) return slice_shape(s, n, starts[0], ends[0], steps[0]);
    if (x->kind == VIEW_FILLED) return *streamline_output(s, n, 0) = *x, RNND_OK;
    if (x->kind != VIEW_ROWS) return streamline_refuse(s, n, "takes parts of an unknown value");
    struct view y = *x;
    for (int i = 0; i < count; i++) {
        int64_t a = axes[i] < 0 ? axes[i] + y.rank : axes[i];
        if (a < 0 || a >= y.rank) return streamline_refuse(s, n, "takes parts of an axis that is not there");
        rnnd_code code = slice_axis(s, n, &y, (int)a, starts[i], ends[i], steps[i]);
        if (code || s->refused) return code;
    }
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

static rnnd_code split(struct streamline *s, const struct graph_node *n)
{
    const struct view *x = streamline_view(s, n, 0);
    struct view source = *x;
    int64_t sizes[MAX_EXTENTS], at = 0;
    int axis, count;
    struct extent whole;
    if (x->kind == VIEW_FILLED) {
        for (int i = 0; i < n->output_count; i++)
            if (streamline_output(s, n, i)) *streamline_output(s, n, i) = source;
        return RNND_OK;
    }
    if (x->kind != VIEW_ROWS || !axis_attribute(n, x->rank, 0, &axis) || !axis_extent(&x->axis[axis], &whole) ||
        whole.kind != EXTENT_NUMBER || n->output_count > MAX_EXTENTS || axis_has(&x->axis[axis], ATOM_TIME))
        return streamline_refuse(s, n, "splits an axis that is no feature");
    if (streamline_view(s, n, 1)) {
        if (!streamline_ints(s, n, 1, sizes, &count) || count != n->output_count)
            return streamline_refuse(s, n, "splits into parts that are not told");
    } else {
        int64_t part = (whole.number + n->output_count - 1) / n->output_count;
        for (int i = 0; i < n->output_count; i++)
            sizes[i] = i + 1 < n->output_count ? part : whole.number - part * (n->output_count - 1);
    }
    for (int i = 0; i < n->output_count; i++, at += sizes[i - 1]) {
        struct view y = source;
        rnnd_code code =
            whole.number == 1 && sizes[i] == 1 ? RNND_OK : slice_features(s, n, &source, axis, at, at + sizes[i], &y);
        if (code || s->refused) return code;
        if (streamline_output(s, n, i)) *streamline_output(s, n, i) = y;
    }
    return RNND_OK;
}

static rnnd_code concat_shapes(struct streamline *s, const struct graph_node *n)
{
    struct view y = {.kind = VIEW_SHAPE, .rank = 1};
    for (int i = 0; i < n->input_count; i++) {
        struct extent e[MAX_EXTENTS];
        int count;
        if (!streamline_extents(s, n, i, e, &count) || y.count + count > MAX_EXTENTS)
            return streamline_refuse(s, n, "joins shapes that are not told");
        memcpy(y.extent + y.count, e, (size_t)count * sizeof *e);
        y.count += count;
    }
    *streamline_output(s, n, 0) = y;
    return RNND_OK;
}

/* Features side by side along an axis that varies slowest among them. */
static rnnd_code concat(struct streamline *s, const struct graph_node *n)
{
    const struct view *first = streamline_view(s, n, 0);
    int inputs[16], axis;
    int64_t total = 0;
    if (first->kind == VIEW_SHAPE || (first->kind == VIEW_CONSTANT && s->from->values[first->value].dtype == DTYPE_I64))
        return concat_shapes(s, n);
    if (n->input_count > 16 || first->kind != VIEW_ROWS || !axis_attribute(n, first->rank, 0, &axis))
        return streamline_refuse(s, n, "joins values that are not all rows");
    struct view rest = *first, y;
    rest.axis[axis] = axis_one();
    for (int i = 0; i < n->input_count; i++) {
        const struct view *x = streamline_view(s, n, i);
        struct extent e;
        if (!x || x->kind != VIEW_ROWS || x->rank != first->rank || !view_in_order(x) ||
            axis_has(&x->axis[axis], ATOM_TIME) || axis_has(&x->axis[axis], ATOM_BATCH) ||
            !axis_extent(&x->axis[axis], &e))
            return streamline_refuse(s, n, "joins values along time or batch");
        struct view other = *x;
        other.axis[axis] = axis_one();
        view_restride(&other);
        view_restride(&rest);
        if (!views_same_axes(&other, &rest) ||
            (x->axis[axis].count && x->axis[axis].atom[0].size * x->axis[axis].atom[0].stride != view_width(x)))
            return streamline_refuse(s, n, "joins features that do not lie together");
        if (!x->axis[axis].count)
            for (int k = 0; k < axis; k++)
                if (axis_has(&x->axis[k], ATOM_FEATURE))
                    return streamline_refuse(s, n, "joins features that do not lie together");
        total += e.number;
        inputs[i] = x->value;
    }
    y = rest;
    y.axis[axis] = axis_of(ATOM_FEATURE, (size_t)total, 0);
    view_restride(&y);
    rnnd_code code = streamline_op(s, "concat", n->name, inputs, n->input_count, &y.value);
    *streamline_output(s, n, 0) = y;
    return code;
}

rnnd_code streamline_pick(struct streamline *s, const struct graph_node *n, bool *known)
{
    if (!streamline_view(s, n, 0)) return *known = false, RNND_OK;
    if (is(n, "Gather")) return gather(s, n);
    if (is(n, "Slice")) return slice(s, n);
    if (is(n, "Split")) return split(s, n);
    if (is(n, "Concat")) return concat(s, n);
    *known = false;
    return RNND_OK;
}
