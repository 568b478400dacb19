/* fuzz_keras.c -- any bytes as a Keras file, .h5 or .keras: read, lowered, folded, compiled.
 *
 * seeds: *.h5 *.hdf5 *.keras
 * options: -max_len=65536 -malloc_limit_mb=96
 */
#include <stdlib.h>
#include <string.h>

#include "core/formats/keras.h"
#include "core/graph/fold.h"
#include "tests/fuzz/bound.h"

/* What is told of the network is there: names, a port for each end, values of the graph. */
static void check_network(const struct graph *g, const struct network *net)
{
    if (net->input_count != g->input_count || net->output_count != g->output_count || !net->framework) abort();
    for (size_t i = 0; i < net->input_count; i++)
        if (!net->inputs[i].name || !net->inputs[i].width || g->input_ports[i].rank < 1) abort();
    for (size_t i = 0; i < net->output_count; i++)
        if (!net->outputs[i].name || !net->outputs[i].width || g->output_ports[i].rank < 1) abort();
    for (size_t i = 0; i < net->tap_count; i++)
        if (!net->taps[i].name || net->taps[i].value < 0 || (size_t)net->taps[i].value >= g->value_count) abort();
    for (size_t i = 0; i < net->layer_count; i++)
        if (!net->layers[i].name || !net->layers[i].type || !net->layers[i].detail) abort();
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
    bool h5 = keras_h5_probe(data, bytes);
    struct checkpoint ck;
    struct graph g;
    struct arena arena;
    struct network net = {0};
    rnnd_error err = {0};
    if (!h5 && !keras_zip_probe(data, bytes)) return;
    checkpoint_init(&ck);
    graph_init(&g, kernels_pick(NULL));
    arena_init(&arena, (size_t)64 << 20);
    rnnd_code code = (h5 ? keras_h5_read : keras_zip_read)(data, bytes, NULL, &ck, &err);
    if (!code && ck.own) {
        code = keras_lower(&ck, NULL, &g, &arena, &net, &err);
        if (!code) check_network(&g, &net);
        if (!code) code = graph_fold(&g, ((size_t)1 << 20) + bytes, &err);
        if (!code) code = graph_compile(&g, &err);
    }
    if (code && !err.message[0]) abort();
    graph_free(&g);
    arena_free(&arena);
    checkpoint_free(&ck);
}
