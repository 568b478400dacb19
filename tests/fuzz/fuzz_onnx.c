/* fuzz_onnx.c -- any bytes as an ONNX file: read, lowered, folded, fused, compiled.
 *
 * seeds: *.onnx
 * options: -max_len=65536 -malloc_limit_mb=64
 */
#include <stdlib.h>
#include <string.h>

#include "core/formats/onnx.h"
#include "core/graph/fold.h"
#include "core/graph/fuse.h"
#include "tests/fuzz/bound.h"

/* What a value is now is another value, a constant or made by a node; or it is gone. */
static void check_values(const struct graph *g, const struct network *net)
{
    for (size_t i = 0; i < net->tap_count; i++) {
        int v = graph_folded(g, net->taps[i].value);
        if (v >= (int)g->value_count) abort();
    }
    for (size_t i = 0; i < g->output_count; i++)
        if (graph_folded(g, g->outputs[i]) != g->outputs[i]) abort();
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
    struct checkpoint ck;
    struct graph g;
    struct arena arena;
    struct network net = {0};
    rnnd_error err = {0};
    size_t fused = 0;
    checkpoint_init(&ck);
    graph_init(&g, kernels_pick(NULL));
    arena_init(&arena, (size_t)64 << 20);
    rnnd_code code = onnx_read(data, bytes, NULL, &ck, &err);
    if (code && !err.message[0]) abort();
    if (!code) code = onnx_lower(&ck, NULL, &g, &arena, &net, &err);
    if (!code) code = graph_fold(&g, ((size_t)1 << 20) + bytes, &err);
    if (!code) check_values(&g, &net);
    if (!code) code = graph_fuse(&g, ((size_t)1 << 20) + bytes, &fused, &err);
    if (!code && fused) code = graph_fold(&g, ((size_t)1 << 20) + bytes, &err);
    if (!code) check_values(&g, &net);
    if (!code) code = graph_compile(&g, &err);
    if (code && !err.message[0]) abort();
    graph_free(&g);
    arena_free(&arena);
    checkpoint_free(&ck);
}
