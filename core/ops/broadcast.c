/* broadcast.c -- one shape for several tensors, as numpy has it, and the walk over their elements side by side. */
#include "core/ops/broadcast.h"

#include <string.h>

#include "core/base/error.h"
#include "core/ops/tensor_util.h"

rnnd_code broadcast_join(struct broadcast *b, const struct graph_node *n, const struct tensor *const *t, int count,
                         rnnd_error *err)
{
    char one[96], all[96];
    b->rank = 0;
    for (int k = 0; k < count; k++)
        if (t[k]->rank > b->rank) b->rank = t[k]->rank;
    for (int i = 0; i < b->rank; i++)
        b->dim[i] = 1;
    for (int k = 0; k < count; k++) {
        size_t *dim = b->dim + (b->rank - t[k]->rank);
        for (int i = 0; i < t[k]->rank; i++) {
            if (t[k]->dim[i] == 1 || t[k]->dim[i] == dim[i]) continue;
            if (dim[i] != 1)
                return fail_at(err, RNND_MISMATCH, n->name,
                               "node \"%.80s\" (%s): wanted shapes that go together, found %s beside %s", n->name,
                               n->op->name, dims_text(t[k]->rank, t[k]->dim, one, sizeof one),
                               dims_text(b->rank, b->dim, all, sizeof all));
            dim[i] = t[k]->dim[i];
        }
    }
    b->count = dims_product(b->dim, 0, b->rank);
    return RNND_OK;
}

/* Steps of one operand along the axes of the joint shape: 0 where it has one element for all. */
static void operand_steps(const struct broadcast *b, const struct tensor *t, size_t *step)
{
    size_t own[MAX_RANK];
    int missing = b->rank - t->rank;
    dims_strides(t->rank, t->dim, own);
    for (int i = 0; i < b->rank; i++)
        step[i] = i < missing || t->dim[i - missing] == 1 ? 0 : own[i - missing];
}

void broadcast_begin(struct broadcast *b, const struct tensor *const *t, int operands)
{
    size_t step[BROADCAST_OPERANDS][MAX_RANK];
    int top = -1; /* the merged axis under way */
    for (int k = 0; k < operands; k++)
        operand_steps(b, t[k], step[k]);
    for (int i = 0; i < b->rank; i++) {
        if (b->dim[i] == 1) continue;
        bool merges = top >= 0;
        for (int k = 0; k < operands; k++)
            merges = merges && b->step[k][top] == step[k][i] * b->dim[i];
        if (!merges) b->extent[++top] = 1;
        b->extent[top] *= b->dim[i];
        for (int k = 0; k < operands; k++)
            b->step[k][top] = step[k][i];
    }
    b->axes = top < 0 ? 0 : top;
    b->width = top < 0 ? 1 : b->extent[top];
    for (int k = 0; k < operands; k++) {
        b->row[k] = top < 0 ? 0 : b->step[k][top];
        b->at[k] = 0;
    }
    memset(b->index, 0, sizeof b->index);
}

void broadcast_next(struct broadcast *b, int operands)
{
    for (int i = b->axes; i-- > 0;) {
        for (int k = 0; k < operands; k++)
            b->at[k] += b->step[k][i];
        if (++b->index[i] < b->extent[i]) return;
        b->index[i] = 0;
        for (int k = 0; k < operands; k++)
            b->at[k] -= b->step[k][i] * b->extent[i];
    }
}

bool broadcast_apply(const struct kernels *kernels, struct broadcast *b, row_function f, const struct tensor *x,
                     const struct tensor *y, struct tensor *out)
{
    size_t a_bytes = dtype_bytes(x->dtype), b_bytes = dtype_bytes(y->dtype), bytes = dtype_bytes(out->dtype);
    bool whole = true;
    broadcast_begin(b, (const struct tensor *const[]){x, y}, 2);
    for (size_t done = 0; done < b->count; done += b->width, broadcast_next(b, 2))
        whole &= f(kernels, b->width, (const char *)x->data + b->at[0] * a_bytes, b->row[0],
                   (const char *)y->data + b->at[1] * b_bytes, b->row[1], (char *)out->data + done * bytes);
    return whole;
}
