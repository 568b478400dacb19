/* graph_write.h -- a tensor graph as the "graph" of a configuration and the tensors that it names. */
#ifndef RNND_GRAPH_WRITE_H
#define RNND_GRAPH_WRITE_H

#include "core/formats/json_text.h"
#include "core/formats/safetensors.h"
#include "core/formats/stack.h"

struct graph_text {
    struct json_text json;          /* of the "graph" alone */
    struct safetensors_item *items; /* its constants: data borrowed from the graph, names in `arena` */
    size_t item_count;
    struct arena arena;
};
/* graph_read() makes the same graph and network of it: nodes, attributes and constants to the bit, ends, layers, names.
 * The graph is lowered and perhaps folded, not compiled. Values have their names as far as no other has them, but
 * none of `taken`, NULL at the end, which stand for tensors that are no business of the graph's. */
rnnd_code graph_write(const struct graph *g, const struct network *net, const char *const *taken,
                      struct graph_text *out, rnnd_error *err);
void graph_text_free(struct graph_text *t);

#endif
