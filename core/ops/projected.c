/* projected.c -- the rows of an embedding, projected: bias and W_ih x as a step would sum them, to the bit. */
#include "core/ops/projected.h"

#include "core/base/error.h"
#include "core/ops/op.h"
#include "core/ops/ops.h"

/* Larger tables are read from memory that is no nearer than W_ih: a step would win nothing, and the model grow. Nor
 * does it pay where the input is narrow beside h. */
#define MOST_BYTES ((size_t)4 << 20)
#define NARROW 8

static const struct graph_node *embedding_of(const struct graph *g, int value)
{
    for (size_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].op == &op_embedding && g->nodes[i].outputs[0] == value) return &g->nodes[i];
    return NULL;
}

static rnnd_code project(const struct cell *cell, const struct tensor *table, float *rows, rnnd_error *err)
{
    size_t count = table->dim[0], width = cell_projected_width(cell);
    const float **x = mem_alloc(count, sizeof *x);
    float **to = mem_alloc(count, sizeof *to), *scratch = NULL;
    if (x && to) scratch = mem_aligned(cell_scratch_floats(cell, count) * sizeof *scratch);
    for (size_t i = 0; i < count && scratch; i++) {
        x[i] = (const float *)table->data + i * table->dim[1];
        to[i] = rows + i * width;
    }
    if (scratch) cell_project(cell, count, x, to, NULL, scratch);
    rnnd_code code = scratch ? RNND_OK : fail_memory(err, count * sizeof *x);
    mem_free(x);
    mem_free(to);
    mem_free(scratch);
    return code;
}

rnnd_code projected_make(const struct graph *g, int x, const struct cell *cell, struct projected *out, rnnd_error *err)
{
    const struct graph_node *n = g->tensors ? NULL : embedding_of(g, x);
    *out = (struct projected){.ids = -1};
    if (!n) return RNND_OK;
    const struct tensor *table = &g->values[n->inputs[1]].constant;
    size_t bytes;
    if (cell->inputs * NARROW < cell->recurrent) return RNND_OK;
    if (!size_mul(table->dim[0], cell_projected_width(cell) * sizeof(float), &bytes) || bytes > MOST_BYTES)
        return RNND_OK;
    float *rows = mem_aligned(bytes);
    if (!rows) return fail_memory(err, bytes);
    rnnd_code code = project(cell, table, rows, err);
    if (code) {
        mem_free(rows);
        return code;
    }
    *out = (struct projected){n->inputs[0], rows, bytes};
    return RNND_OK;
}
