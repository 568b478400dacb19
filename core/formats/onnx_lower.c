/* onnx_lower.c -- from an ONNX document to a tensor graph: ends, names, nodes, bodies. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/onnx_private.h"
#include "core/ops/op.h"

/* GraphProto: node 1, name 2, initializer 5, input 11, output 12, value_info 13 */
enum { GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12, GRAPH_VALUE = 13 };
#define MAX_NODES ((size_t)1 << 16)

rnnd_code lower_name(struct lowering *l, const struct onnx_scope *s, struct bytes name, int value)
{
    const struct name *there = names_find(&l->names, s->id, name);
    if (there)
        return fail(l->err, RNND_CORRUPT, "the value \"%.*s\" is made twice", (int)(name.size < 80 ? name.size : 80),
                    (const char *)name.data);
    return names_add(&l->names, s->id, name, value, bytes_of(NULL, 0), l->err);
}

/* A new value of that name, which must be text. */
static rnnd_code new_value(struct lowering *l, const struct onnx_scope *s, struct bytes name, struct arena *scratch,
                           int *out)
{
    struct proto_field f = {.wire = PROTO_SPAN, .span = name};
    const char *text;
    rnnd_code code = onnx_text(&f, "the name of a value", scratch, &text, l->err);
    if (code) return code;
    *out = graph_value(l->g, text);
    return *out < 0 ? fail_memory(l->err, name.size) : lower_name(l, s, name, *out);
}

/* ---- a graph's parts ---- */

/* Initializers wait under their names until something reads them. */
static rnnd_code find_initializers(struct lowering *l, struct bytes graph, const struct onnx_scope *s)
{
    struct proto_field f, part;
    rnnd_code code = RNND_OK;
    while (!code && onnx_next(&graph, &f, "a graph", &code, l->err)) {
        if (f.number != GRAPH_INITIALIZER || f.wire != PROTO_SPAN) continue;
        struct bytes tensor = f.span, name = {0};
        while (onnx_next(&tensor, &part, "a tensor", &code, l->err))
            if (part.number == 8) name = part.span;
        if (code || name.size == 0) continue;
        code = names_find(&l->names, s->id, name)
                   ? fail(l->err, RNND_CORRUPT, "two tensors are named \"%.*s\"",
                          (int)(name.size < 80 ? name.size : 80), (const char *)name.data)
                   : names_add(&l->names, s->id, name, -1, f.span, l->err);
    }
    return code;
}

static rnnd_code add_port(struct lowering *l, struct graph_port **ports, size_t count, const struct graph_port *port)
{
    if ((count & (count - 1)) == 0) { /* doubles at 1, 2, 4, ... */
        struct graph_port *list = arena_alloc(&l->g->arena, count ? 2 * count : 1, sizeof *list);
        if (!list) return fail_memory(l->err, count * sizeof *list);
        if (count) memcpy(list, *ports, count * sizeof *list);
        *ports = list;
    }
    (*ports)[count] = *port;
    return RNND_OK;
}

static rnnd_code push_body(struct lowering *l, int **list, int *count, int value)
{
    if ((*count & (*count - 1)) == 0) {
        int *more = arena_alloc(&l->g->arena, *count ? 2 * (size_t)*count : 1, sizeof *more);
        if (!more) return fail_memory(l->err, (size_t)*count * sizeof *more);
        if (*count) memcpy(more, *list, (size_t)*count * sizeof *more);
        *list = more;
    }
    (*list)[(*count)++] = value;
    return RNND_OK;
}

static rnnd_code add_input(struct lowering *l, const struct onnx_scope *s, const struct onnx_port *p,
                           struct arena *scratch)
{
    enum stored stored;
    int v;
    if (names_find(&l->names, s->id, p->name) && !s->body) return RNND_OK; /* an initializer: a constant */
    rnnd_code code = new_value(l, s, p->name, scratch, &v);
    if (code) return code;
    if (s->body) return push_body(l, &s->body->inputs, &s->body->input_count, v);
    const char *name = l->g->values[v].name;
    if (p->no_tensor || !onnx_stored(p->type ? p->type : 1, &stored))
        return fail_at(l->err, RNND_UNSUPPORTED, name, "input \"%.80s\": wanted a tensor of numbers, found %s", name,
                       p->no_tensor ? "a sequence, map or optional" : onnx_type_name(p->type));
    graph_shape(l->g, v, p->port.rank, p->port.dim);
    l->g->values[v].dtype = p->port.dtype;
    code = add_port(l, &l->g->input_ports, l->g->input_count, &p->port);
    if (!code && graph_add_input(l->g, v)) code = fail_memory(l->err, sizeof v);
    return code;
}

static rnnd_code add_output(struct lowering *l, const struct onnx_scope *s, const struct onnx_port *p)
{
    int v;
    rnnd_code code = lower_value(l, s, p->name, "the graph's outputs", &v);
    if (code) return code;
    if (s->body) return push_body(l, &s->body->outputs, &s->body->output_count, v);
    if (!onnx_is(p->name, l->g->values[v].name)) { /* what a function answers has a name of the function's */
        v = lower_extra(l, s, "Identity", l->g->values[v].name, "output", &v, 1, NULL, 0);
        if (v < 0) return l->err->code;
        l->g->values[v].name = arena_string(&l->g->arena, (const char *)p->name.data, p->name.size);
        if (!l->g->values[v].name) return fail_memory(l->err, p->name.size);
    }
    code = add_port(l, &l->g->output_ports, l->g->output_count, &p->port);
    if (!code && graph_add_output(l->g, v)) code = fail_memory(l->err, sizeof v);
    return code;
}

/* Inputs (of a graph or body) or outputs, in their order. */
static rnnd_code add_ends(struct lowering *l, struct bytes graph, const struct onnx_scope *s, uint32_t field,
                          struct arena *scratch)
{
    struct proto_field f;
    struct onnx_port p;
    rnnd_code code = RNND_OK;
    while (!code && onnx_next(&graph, &f, "a graph", &code, l->err)) {
        if (f.number != field) continue;
        code = onnx_port_read(f.span, &p, l->err);
        if (!code) code = field == GRAPH_INPUT ? add_input(l, s, &p, scratch) : add_output(l, s, &p);
    }
    return code;
}

/* Declared ranks: what an operator set below 13 needs to know of Softmax. */
static rnnd_code find_ranks(struct lowering *l, struct bytes graph, const struct onnx_scope *s)
{
    struct proto_field f;
    struct onnx_port p;
    rnnd_code code = RNND_OK;
    if (s->opset >= 13) return RNND_OK;
    while (!code && onnx_next(&graph, &f, "a graph", &code, l->err)) {
        if (f.number != GRAPH_INPUT && f.number != GRAPH_OUTPUT && f.number != GRAPH_VALUE) continue;
        code = onnx_port_read(f.span, &p, l->err);
        if (!code && p.port.rank >= 0 && !names_find(&l->ranks, s->id, p.name))
            code = names_add(&l->ranks, s->id, p.name, p.port.rank, bytes_of(NULL, 0), l->err);
    }
    return code;
}

rnnd_code lower_nodes(struct lowering *l, const struct onnx_scope *s, struct bytes graph, uint32_t field)
{
    struct bytes b = graph;
    struct proto_field f;
    rnnd_code code = RNND_OK;
    size_t count = 0, at = 0;
    while (onnx_next(&b, &f, "a graph", &code, l->err))
        count += f.number == field;
    if (code) return code;
    l->node_count += count;
    l->work += graph.size;
    if (l->node_count > MAX_NODES || l->work > ((size_t)64 << 20) + 16 * l->model->whole.size)
        return fail(l->err, RNND_TOO_LARGE, "the model unfolds to more than %zu nodes", MAX_NODES);
    struct bytes *nodes = mem_alloc(count + 1, sizeof *nodes);
    size_t *order = mem_alloc(count + 1, sizeof *order);
    if (!nodes || !order) code = fail_memory(l->err, count * sizeof *nodes);
    while (!code && proto_next(&graph, &f) == 1)
        if (f.number == field) nodes[at++] = f.span;
    if (!code) code = onnx_order(nodes, count, order, l->err);
    for (size_t i = 0; i < count && !code; i++)
        code = lower_node(l, s, nodes[order[i]]);
    mem_free(nodes);
    mem_free(order);
    return code;
}

rnnd_code lower_graph(struct lowering *l, struct bytes graph, struct onnx_scope *s)
{
    struct arena scratch;
    if (s->depth > ONNX_MAX_DEPTH)
        return fail(l->err, RNND_TOO_LARGE, "bodies within bodies, more than %d deep", ONNX_MAX_DEPTH);
    s->id = ++l->scopes;
    arena_init(&scratch, (size_t)16 << 20);
    rnnd_code code = find_initializers(l, graph, s);
    if (!code) code = add_ends(l, graph, s, GRAPH_INPUT, &scratch);
    if (!code) code = find_ranks(l, graph, s);
    if (!code) code = lower_nodes(l, s, graph, GRAPH_NODE);
    if (!code) code = add_ends(l, graph, s, GRAPH_OUTPUT, &scratch);
    arena_free(&scratch);
    return code;
}

/* ---- values ---- */

static rnnd_code wake_tensor(struct lowering *l, const struct onnx_scope *s, struct name *slot, int *out)
{
    struct arena scratch;
    struct checkpoint_tensor t;
    const struct checkpoint_tensor *known = NULL;
    rnnd_code code;
    arena_init(&scratch, l->constant_limit);
    struct proto_field f = {.wire = PROTO_SPAN, .span = slot->name};
    const char *name;
    code = onnx_text(&f, "a tensor's name", &scratch, &name, l->err);
    if (!code && !s->parent && !s->caller) known = checkpoint_find(l->ck, name);
    if (!code && !known) code = onnx_tensor_read(slot->tensor.data, slot->tensor.size, &scratch, &t, l->err);
    if (!code) {
        *out = lower_tensor(l, known ? known : &t);
        if (*out < 0) code = l->err ? l->err->code : RNND_NO_MEMORY;
    }
    if (!code) slot->value = *out;
    arena_free(&scratch);
    return code;
}

rnnd_code lower_value(struct lowering *l, const struct onnx_scope *s, struct bytes name, const char *reader, int *out)
{
    for (const struct onnx_scope *at = s; at; at = at->parent) {
        struct name *slot = names_find(&l->names, at->id, name);
        if (!slot) continue;
        *out = slot->value;
        return slot->value >= 0 ? RNND_OK : wake_tensor(l, at, slot, out);
    }
    return fail_at(l->err, RNND_CORRUPT, reader, "\"%.80s\" reads \"%.*s\", which nothing makes", reader,
                   (int)(name.size < 80 ? name.size : 80), (const char *)name.data);
}

/* ---- the whole ---- */

rnnd_code onnx_lower(struct checkpoint *ck, const struct json *config, struct graph *g, struct arena *arena,
                     struct network *net, rnnd_error *err)
{
    rnnd_error local = {0};
    const struct onnx_model *m = ck->own;
    struct lowering l = {.ck = ck, .model = m, .g = g, .err = err ? err : &local};
    size_t limit = ((size_t)16 << 20) + m->whole.size;
    struct onnx_scope main_scope = {.opset = m->opset};
    (void)config;
    g->tensors = true;
    if (g->arena.limit > limit) g->arena.limit = limit; /* attributes and names are never more than the file is */
    l.constant_limit = ((size_t)16 << 20) + 2 * m->whole.size; /* integers widen to 8 bytes, half floats to 4 */
    for (size_t i = 0; i < ck->count; i++)
        if (ck->memory[0]) l.constant_limit += 2 * ck->tensors[i].count * stored_types[ck->tensors[i].stored].bytes;
    rnnd_code code = lower_graph(&l, m->graph, &main_scope);
    if (!code && g->output_count == 0) code = fail(l.err, RNND_CORRUPT, "the graph has no outputs");
    if (!code) code = onnx_network(&l, arena, net);
    names_free(&l.names);
    names_free(&l.ranks);
    return code;
}
