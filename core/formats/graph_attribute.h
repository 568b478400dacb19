/* graph_attribute.h -- attributes of tensor operators in JSON, both ways. Inside core/formats/graph_*.c only.
 *
 *   3, true                a whole number, of at most 15 digits
 *   0.5                    a float
 *   "reverse"              a string
 *   [1, 2], [1, 0.5]       a list of whole numbers; one of floats, where an element is not whole
 *   ["Sigmoid", "Tanh"]    a list of strings
 *   {"float": 1}, {"floats": [1, 2]}, {"strings": []}    where the value alone would say something else
 *
 * Floats are written with 9 significant digits, so that they come back as the same bits. */
#ifndef RNND_GRAPH_ATTRIBUTE_H
#define RNND_GRAPH_ATTRIBUTE_H

#include "core/formats/json.h"
#include "core/formats/json_text.h"
#include "core/graph/graph.h"

/* `object` NULL: none. MISMATCH names node and attribute. */
rnnd_code graph_read_attributes(struct graph *g, struct graph_node *n, const struct json *object, rnnd_error *err);
/* ,"attributes":{..}, or nothing where there are none. UNSUPPORTED: a number that JSON cannot hold. */
rnnd_code graph_write_attributes(struct json_text *t, const struct graph_node *n, rnnd_error *err);

#endif
