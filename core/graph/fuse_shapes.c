/* fuse_shapes.c -- sizes behind operators that move axes or take shapes apart and together. */
#include <string.h>

#include "core/graph/fuse_private.h"

#define FAR ((int64_t)INT32_MAX)

void fuse_size_shape(struct fuse *f, const struct graph_node *n)
{
    const struct size *x = fuse_size(f, n, 0);
    struct size s = {.rank = 1, .count = -1};
    int64_t start = op_int(n, "start", 0), end = op_int(n, "end", x->rank);
    if (start < 0) start += x->rank;
    if (end < 0) end += x->rank;
    if (end > x->rank) end = x->rank;
    if (x->rank < 0 || start < 0 || start > end) return;
    s.count = (int)(end - start);
    s.dim[0] = fuse_number(s.count);
    memcpy(s.list, x->dim + start, (size_t)s.count * sizeof *s.list);
    fuse_set_size(f, n, 0, s);
}

void fuse_size_transpose(struct fuse *f, const struct graph_node *n)
{
    const struct attr *perm = graph_find_attr(n, "perm");
    if (perm && perm->kind != ATTR_INTS) return;
    struct size s = {.rank = perm ? (int)perm->count : fuse_size(f, n, 0)->rank, .count = -1};
    if (s.rank > MAX_RANK || (fuse_size(f, n, 0)->rank >= 0 && fuse_size(f, n, 0)->rank != s.rank)) s.rank = -1;
    for (int k = 0; k < s.rank; k++) {
        int64_t from = perm ? ((const int64_t *)perm->p)[k] : s.rank - 1 - k;
        if (from < 0 || from >= s.rank) return;
        s.dim[k] = fuse_dim(f, n->inputs[0], (int)from);
    }
    fuse_set_size(f, n, 0, s);
}

/* Squeeze, Unsqueeze: lists of one number stay what they are. */
void fuse_size_axes(struct fuse *f, const struct graph_node *n)
{
    const struct size *x = fuse_size(f, n, 0);
    int64_t list[MAX_WHOLES];
    bool named[2 * MAX_RANK] = {false}, more = strcmp(n->op->name, "Unsqueeze") == 0;
    int count;
    if (x->rank < 0 || !fuse_numbers(f, n, 1, list, &count)) return;
    int rank = more ? x->rank + count : x->rank, from = 0;
    struct size s = {.rank = 0, .count = x->count == 1 ? 1 : -1, .list = {x->list[0]}};
    for (int i = 0, k; i < count; i++) {
        if (rank > MAX_RANK || !fuse_axis(list[i], rank, &k) || named[k]) return;
        named[k] = true;
    }
    for (int k = 0; k < rank; k++)
        if (more)
            s.dim[s.rank++] = named[k] ? fuse_number(1) : x->dim[from++];
        else if (!named[k])
            s.dim[s.rank++] = x->dim[k];
    fuse_set_size(f, n, 0, s);
}

/* What -1 stands for: the sizes that the others do not use up. */
static struct whole rest(const struct size *x, const struct whole *wanted, int count)
{
    bool used[MAX_WHOLES] = {false};
    struct whole number = fuse_number(1), others = fuse_number(1), one = {.known = false};
    int64_t a, b;
    int left = 0;
    for (int k = 0; k < x->rank; k++) {
        int i = 0;
        while (i < count && (used[i] || !fuse_same(wanted[i], x->dim[k])))
            i++;
        if (i < count)
            used[i] = true;
        else if (fuse_is_number(x->dim[k], &a))
            number = fuse_product(number, x->dim[k]);
        else
            one = x->dim[k], left++;
    }
    for (int i = 0; i < count; i++)
        if (!used[i] && !fuse_is(wanted[i], -1)) others = fuse_product(others, wanted[i]);
    if (left > 1 || !fuse_is_number(number, &a) || !fuse_is_number(others, &b) || b <= 0 || a % b != 0)
        return (struct whole){.known = false};
    return left == 0 ? fuse_number(a / b) : a == b ? one : (struct whole){.known = false};
}

void fuse_size_reshape(struct fuse *f, const struct graph_node *n)
{
    const struct size *x = fuse_size(f, n, 0), *to = fuse_size(f, n, 1);
    if (!to || to->count < 0 || x->rank < 0 || op_int(n, "allowzero", 0)) return;
    struct size s = {.rank = to->count, .count = to->count <= 1 && x->count == 1 ? 1 : -1, .list = {x->list[0]}};
    for (int k = 0; k < s.rank; k++)
        s.dim[k] = fuse_is(to->list[k], 0) && k < x->rank ? x->dim[k] : to->list[k];
    for (int k = 0; k < s.rank; k++)
        if (fuse_is(s.dim[k], -1)) s.dim[k] = rest(x, s.dim, s.rank);
    fuse_set_size(f, n, 0, s);
}

void fuse_size_gather(struct fuse *f, const struct graph_node *n)
{
    const struct size *x = fuse_size(f, n, 0), *at = fuse_size(f, n, 1);
    struct size s = {.rank = 0, .count = -1};
    int64_t list[MAX_WHOLES];
    int axis, count;
    if (!at || at->rank < 0 || x->rank < 0 || !fuse_axis(op_int(n, "axis", 0), x->rank, &axis) ||
        x->rank + at->rank - 1 > MAX_RANK)
        return;
    for (int k = 0; k < axis; k++)
        s.dim[s.rank++] = x->dim[k];
    for (int k = 0; k < at->rank; k++)
        s.dim[s.rank++] = at->dim[k];
    for (int k = axis + 1; k < x->rank; k++)
        s.dim[s.rank++] = x->dim[k];
    if (x->count >= 0 && x->rank == 1 && fuse_numbers(f, n, 1, list, &count)) {
        s.count = count;
        for (int i = 0, k; i < count; i++) {
            if (!fuse_axis(list[i], x->count, &k)) return;
            s.list[i] = x->list[k];
        }
    }
    fuse_set_size(f, n, 0, s);
}

/* Steps from start to end of a dimension; whole dimensions and parts of known length. */
static struct whole sliced(struct whole dim, struct whole start, struct whole end, int64_t step)
{
    int64_t a, b, d;
    struct whole between = fuse_sum(end, start, -1);
    bool numbers = fuse_is_number(start, &a) && fuse_is_number(end, &b);
    if (numbers && step == 1 && a == 0 && b >= FAR) return dim;
    if (numbers && step == -1 && (a == -1 || a >= FAR) && b <= -FAR) return dim;
    if (numbers && fuse_is_number(dim, &d) && d >= 0 && step == 1) {
        if (a < 0) a += d;
        if (b < 0) b += d;
        a = a < 0 ? 0 : a > d ? d : a;
        b = b > d ? d : b;
        return fuse_number(b > a ? b - a : 0);
    }
    if (step == 1 && start.known && start.turns && fuse_is(between, 1)) return between;
    return (struct whole){.known = false};
}

void fuse_size_slice(struct fuse *f, const struct graph_node *n)
{
    const struct size *x = fuse_size(f, n, 0), *start = fuse_size(f, n, 1), *end = fuse_size(f, n, 2);
    int64_t axis[MAX_WHOLES], step[MAX_WHOLES] = {1, 1, 1, 1, 1, 1, 1, 1};
    int axis_count, step_count, k;
    if (!start || !end || start->count < 0 || end->count != start->count || x->rank < 0) return;
    struct size s = *x;
    s.count = -1;
    for (int i = 0; i < MAX_WHOLES; i++)
        axis[i] = i;
    if (fuse_size(f, n, 3) && (!fuse_numbers(f, n, 3, axis, &axis_count) || axis_count != start->count)) return;
    if (fuse_size(f, n, 4) && (!fuse_numbers(f, n, 4, step, &step_count) || step_count != start->count)) return;
    for (int i = 0; i < start->count; i++) {
        if (!fuse_axis(axis[i], x->rank, &k)) return;
        s.dim[k] = sliced(s.dim[k], start->list[i], end->list[i], step[i]);
    }
    int64_t from, count;
    if (x->count >= 0 && x->rank == 1 && start->count == 1 && step[0] == 1 && fuse_is_number(s.dim[0], &count) &&
        fuse_is_number(start->list[0], &from)) {
        if (from < 0) from += x->count;
        if (from >= 0 && count >= 0 && from + count <= x->count) {
            s.count = (int)count;
            memcpy(s.list, x->list + from, (size_t)count * sizeof *s.list);
        }
    }
    fuse_set_size(f, n, 0, s);
}

void fuse_size_concat(struct fuse *f, const struct graph_node *n)
{
    struct size s = *fuse_size(f, n, 0);
    int axis;
    if (s.rank < 1 || !fuse_axis(op_int(n, "axis", 0), s.rank, &axis)) return;
    for (int i = 1; i < n->input_count; i++) {
        const struct size *x = fuse_size(f, n, i);
        if (!x || x->rank != s.rank) return;
        s.dim[axis] = fuse_sum(s.dim[axis], x->dim[axis], 1);
        bool lists = s.count >= 0 && x->count >= 0 && s.rank == 1 && s.count + x->count <= MAX_WHOLES;
        if (lists) memcpy(s.list + s.count, x->list, (size_t)x->count * sizeof *s.list);
        s.count = lists ? s.count + x->count : -1;
    }
    fuse_set_size(f, n, 0, s);
}
