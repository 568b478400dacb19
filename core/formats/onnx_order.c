/* onnx_order.c -- the order in which the nodes of an ONNX graph can run. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/onnx_private.h"

#define MAX_EDGES ((size_t)1 << 20)

struct order {
    struct names made; /* name -> number of the node that makes it */
    size_t node;       /* the one whose reads are being looked at */
    bool sorted;
    size_t *edges, count, cap; /* pairs: maker, reader */
};

static rnnd_code look_at(struct order *o, struct bytes name, rnnd_error *err)
{
    const struct name *made = names_find(&o->made, 1, name);
    if (!made || name.size == 0) return RNND_OK;
    if ((size_t)made->value >= o->node) o->sorted = false;
    if (o->count + 2 > o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 256;
        size_t *edges = cap <= MAX_EDGES ? mem_resize(o->edges, cap * sizeof *edges) : NULL;
        if (!edges && cap > MAX_EDGES) return fail(err, RNND_TOO_LARGE, "the nodes read too many values");
        if (!edges) return fail_memory(err, cap * sizeof *edges);
        o->edges = edges;
        o->cap = cap;
    }
    o->edges[o->count++] = (size_t)made->value;
    o->edges[o->count++] = o->node;
    return RNND_OK;
}

/* All names that a node reads, those of its bodies included: in a NodeProto input 1, attribute 5; in that g 6; in the
 * graph node 1, output 12 (a ValueInfoProto: name 1). */
static rnnd_code find_reads(struct order *o, struct bytes node, int depth, rnnd_error *err)
{
    struct proto_field f, a, part, name;
    rnnd_code code = RNND_OK;
    if (depth > ONNX_MAX_DEPTH) return fail(err, RNND_TOO_LARGE, "bodies within bodies, too deep");
    while (!code && onnx_next(&node, &f, "a node", &code, err)) {
        if (f.number == 1 && f.wire == PROTO_SPAN) code = look_at(o, f.span, err);
        if (f.number != 5 || f.wire != PROTO_SPAN) continue;
        struct bytes attribute = f.span;
        while (!code && onnx_next(&attribute, &a, "an attribute", &code, err)) {
            if (a.number != 6 || a.wire != PROTO_SPAN) continue;
            struct bytes graph = a.span;
            while (!code && onnx_next(&graph, &part, "a body", &code, err)) {
                if (part.number == 1 && part.wire == PROTO_SPAN) code = find_reads(o, part.span, depth + 1, err);
                if (part.number != 12 || part.wire != PROTO_SPAN) continue;
                struct bytes value = part.span;
                while (!code && onnx_next(&value, &name, "a declared value", &code, err))
                    if (name.number == 1 && name.wire == PROTO_SPAN) code = look_at(o, name.span, err);
            }
        }
    }
    return code;
}

static rnnd_code find_made(struct order *o, struct bytes node, int number, rnnd_error *err)
{
    struct proto_field f;
    rnnd_code code = RNND_OK;
    while (!code && onnx_next(&node, &f, "a node", &code, err)) {
        if (f.number != 2 || f.span.size == 0) continue;
        if (names_find(&o->made, 1, f.span))
            return fail(err, RNND_CORRUPT, "two nodes make the value \"%.*s\"",
                        (int)(f.span.size < 80 ? f.span.size : 80), (const char *)f.span.data);
        code = names_add(&o->made, 1, f.span, number, bytes_of(NULL, 0), err);
    }
    return code;
}

/* Nodes whose makers have all run come next. `waits` counts makers that have not; readers stand grouped by maker. */
static rnnd_code sort_nodes(const struct order *o, size_t count, size_t *order, rnnd_error *err)
{
    size_t edges = o->count / 2, done = 0, ready = 0;
    size_t *waits = mem_alloc(2 * count + edges + 1, sizeof *waits);
    if (!waits) return fail_memory(err, (2 * count + edges) * sizeof *waits);
    size_t *first = waits + count, *readers = first + count;
    for (size_t e = 0; e < edges; e++) {
        first[o->edges[2 * e]]++;
        waits[o->edges[2 * e + 1]]++;
    }
    for (size_t i = 1; i < count; i++)
        first[i] += first[i - 1];
    for (size_t e = edges; e-- > 0;) /* each group is filled from its end, where first[] points until then */
        readers[--first[o->edges[2 * e]]] = o->edges[2 * e + 1];
    for (size_t i = 0; i < count; i++)
        if (waits[i] == 0) order[ready++] = i;
    for (; done < ready; done++) {
        size_t maker = order[done], end = maker + 1 < count ? first[maker + 1] : edges;
        for (size_t r = first[maker]; r < end; r++)
            if (--waits[readers[r]] == 0) order[ready++] = readers[r];
    }
    mem_free(waits);
    return done == count ? RNND_OK
                         : fail(err, RNND_CORRUPT, "%zu nodes of the graph need each other's values", count - done);
}

rnnd_code onnx_order(const struct bytes *nodes, size_t count, size_t *order, rnnd_error *err)
{
    struct order o = {.sorted = true};
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < count && !code; i++)
        code = find_made(&o, nodes[i], (int)i, err);
    for (o.node = 0; o.node < count && !code; o.node++)
        code = find_reads(&o, nodes[o.node], 0, err);
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    if (!code && !o.sorted) code = sort_nodes(&o, count, order, err);
    names_free(&o.made);
    mem_free(o.edges);
    return code;
}
