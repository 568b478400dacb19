/* one_op.c -- a tensor graph of one node, for tests that want its bits. */
#include "tests/lib/one_op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/op.h"

struct tensor float_tensor(float *data, int rank, const size_t *dim)
{
    struct tensor t = {.dtype = DTYPE_F32, .rank = rank, .data = data};
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    return t;
}

float *random_floats(size_t count, unsigned seed)
{
    float *x = calloc(count + 1, sizeof *x);
    uint64_t state = seed + 1u;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int32_t)(state >> 32) / 2147483648.0f;
    }
    return x;
}

void one_op_run(const char *op, const struct kernels *kernels, void (*add_attrs)(struct graph *g, struct graph_node *n),
                const struct one_op_input *inputs, int input_count, void **y, struct tensor *shapes, int output_count)
{
    struct graph g;
    struct graph_run *run = NULL;
    struct tensor fed[16];
    rnnd_error err = {0};
    int count = 0, values[16];
    graph_init(&g, kernels);
    g.tensors = true;
    for (int i = 0; i < input_count; i++) {
        const struct tensor *t = &inputs[i].t;
        values[i] = inputs[i].absent     ? -1
                    : inputs[i].constant ? graph_constant(&g, "c", t->dtype, t->rank, t->dim, t->data)
                                         : graph_value(&g, "x");
        if (inputs[i].absent || inputs[i].constant) continue;
        assert_int_equal(graph_add_input(&g, values[i]), RNND_OK);
        fed[count++] = *t;
    }
    struct graph_node *n = graph_node(&g, op_find(op), "n", input_count, output_count);
    memcpy(n->inputs, values, (size_t)input_count * sizeof *values);
    for (int i = 0; i < output_count; i++) {
        n->outputs[i] = y[i] ? graph_value(&g, "y") : -1;
        if (y[i]) assert_int_equal(graph_add_output(&g, n->outputs[i]), RNND_OK);
    }
    if (add_attrs) add_attrs(&g, n);
    if (graph_compile(&g, &err) || graph_run_open(&g, 1, 1, &run, &err) || graph_run_tensors(run, fed, &err))
        fail_msg("%s: %s", op, err.message);
    for (int i = 0, at = 0; i < output_count; i++) {
        if (!y[i]) continue;
        const struct tensor *t = graph_run_value(run, g.outputs[at++]);
        size_t bytes = tensor_count(t) * dtype_bytes(t->dtype);
        y[i] = malloc(bytes + 1);
        memcpy(y[i], t->data, bytes);
        if (shapes) shapes[i] = *t;
    }
    graph_run_close(run);
    graph_free(&g);
}
