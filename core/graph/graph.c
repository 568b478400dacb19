/* graph.c -- building a graph: values, nodes, constants, states, attributes. */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/ops/op.h"

#define ARENA_LIMIT ((size_t)256 << 20)

void graph_init(struct graph *g, const struct kernels *kernels)
{
    memset(g, 0, sizeof *g);
    arena_init(&g->arena, ARENA_LIMIT);
    g->kernels = kernels;
}

static void free_nodes(struct graph_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].prepared && nodes[i].op->release) nodes[i].op->release(&nodes[i]);
        for (int k = 0; k < nodes[i].body_count; k++)
            free_nodes(nodes[i].bodies[k]->nodes, nodes[i].bodies[k]->node_count);
    }
    mem_free(nodes);
}

void graph_free(struct graph *g)
{
    free_nodes(g->nodes, g->node_count);
    for (size_t i = 0; i < g->value_count; i++)
        if (g->values[i].is_constant) mem_free(g->values[i].constant.data);
    mem_free(g->values);
    mem_free(g->states);
    mem_free(g->inputs);
    mem_free(g->outputs);
    arena_free(&g->arena);
    memset(g, 0, sizeof *g);
}

/* Room for one more element: the array doubles. */
static bool grow(void **array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) return true;
    size_t wanted = *cap ? *cap * 2 : 16, bytes;
    if (!size_mul(wanted, size, &bytes)) return false;
    void *p = mem_resize(*array, bytes);
    if (!p) return false;
    *array = p;
    *cap = wanted;
    return true;
}

int graph_value(struct graph *g, const char *name)
{
    if (!grow((void **)&g->values, g->value_count, &g->value_cap, sizeof *g->values)) return -1;
    char *copy = arena_string(&g->arena, name, strlen(name));
    if (!copy) return -1;
    g->values[g->value_count] = (struct graph_value){.name = copy, .rank = -1};
    return (int)g->value_count++;
}

int graph_constant_take(struct graph *g, const char *name, enum dtype dtype, int rank, const size_t *dim, void *data)
{
    int v = graph_value(g, name);
    if (v < 0) return -1;
    struct graph_value *value = &g->values[v];
    value->is_constant = true;
    value->dtype = value->constant.dtype = dtype;
    value->rank = value->constant.rank = rank;
    for (int i = 0; i < rank; i++) {
        value->constant.dim[i] = dim[i];
        value->dim[i] = (int64_t)dim[i];
    }
    value->constant.data = data;
    return v;
}

int graph_constant(struct graph *g, const char *name, enum dtype dtype, int rank, const size_t *dim, const void *data)
{
    size_t count = 1, bytes;
    for (int i = 0; i < rank; i++)
        if (!size_mul(count, dim[i], &count)) return -1;
    if (!size_mul(count, dtype == DTYPE_F32 ? sizeof(float) : dtype == DTYPE_I64 ? 8 : 1, &bytes)) return -1;
    void *copy = mem_aligned(bytes ? bytes : 1);
    if (!copy) return -1;
    if (bytes && data) memcpy(copy, data, bytes);
    int v = graph_constant_take(g, name, dtype, rank, dim, copy);
    if (v < 0) mem_free(copy);
    return v;
}

struct graph_node *graph_node(struct graph *g, const struct op *op, const char *name, int input_count, int output_count)
{
    return graph_node_in(g, NULL, op, name, input_count, output_count);
}

struct graph_node *graph_node_in(struct graph *g, struct graph_body *body, const struct op *op, const char *name,
                                 int input_count, int output_count)
{
    struct graph_node **nodes = body ? &body->nodes : &g->nodes;
    size_t *count = body ? &body->node_count : &g->node_count, *cap = body ? &body->node_cap : &g->node_cap;
    if (!grow((void **)nodes, *count, cap, sizeof **nodes)) return NULL;
    struct graph_node n = {.op = op, .input_count = input_count, .output_count = output_count};
    n.name = arena_string(&g->arena, name, strlen(name));
    n.inputs = arena_alloc(&g->arena, (size_t)input_count + 1, sizeof *n.inputs);
    n.outputs = arena_alloc(&g->arena, (size_t)output_count + 1, sizeof *n.outputs);
    if (!n.name || !n.inputs || !n.outputs) return NULL;
    for (int i = 0; i < input_count; i++)
        n.inputs[i] = -1;
    for (int i = 0; i < output_count; i++)
        n.outputs[i] = -1;
    (*nodes)[*count] = n;
    return &(*nodes)[(*count)++];
}

struct graph_body *graph_add_body(struct graph *g, struct graph_node *n)
{
    struct graph_body *body = arena_alloc(&g->arena, 1, sizeof *body);
    struct graph_body **list = arena_alloc(&g->arena, (size_t)n->body_count + 1, sizeof *list);
    if (!body || !list) return NULL;
    if (n->body_count) memcpy(list, n->bodies, (size_t)n->body_count * sizeof *list);
    list[n->body_count++] = body;
    n->bodies = list;
    return body;
}

static rnnd_code push(int **list, size_t *count, int value)
{
    int *p = mem_resize(*list, (*count + 1) * sizeof *p);
    if (!p) return RNND_NO_MEMORY;
    p[(*count)++] = value;
    *list = p;
    return RNND_OK;
}

rnnd_code graph_add_input(struct graph *g, int value)
{
    return push(&g->inputs, &g->input_count, value);
}
rnnd_code graph_add_output(struct graph *g, int value)
{
    return push(&g->outputs, &g->output_count, value);
}

rnnd_code graph_add_state(struct graph *g, const char *name, char kind, int in, int out, size_t width,
                          const float *initial)
{
    if (!grow((void **)&g->states, g->state_count, &g->state_cap, sizeof *g->states)) return RNND_NO_MEMORY;
    struct graph_state s = {.kind = kind, .in = in, .out = out, .width = width};
    s.name = arena_string(&g->arena, name, strlen(name));
    if (!s.name) return RNND_NO_MEMORY;
    if (initial) {
        float *copy = arena_alloc(&g->arena, width, sizeof *copy);
        if (!copy) return RNND_NO_MEMORY;
        memcpy(copy, initial, width * sizeof *copy);
        s.initial = copy;
    }
    g->states[g->state_count++] = s;
    graph_shape(g, in, 2, (const int64_t[]){-1, (int64_t)width});
    return RNND_OK;
}

static rnnd_code add_attr(struct graph *g, struct graph_node *n, struct attr attr)
{
    struct attr *list = arena_alloc(&g->arena, n->attr_count + 1, sizeof *list);
    attr.name = arena_string(&g->arena, attr.name, strlen(attr.name));
    if (!list || !attr.name) return RNND_NO_MEMORY;
    if (n->attr_count) memcpy(list, n->attrs, n->attr_count * sizeof *list);
    list[n->attr_count++] = attr;
    n->attrs = list;
    return RNND_OK;
}

rnnd_code graph_attr_int(struct graph *g, struct graph_node *n, const char *name, int64_t v)
{
    return add_attr(g, n, (struct attr){.name = name, .kind = ATTR_INT, .i = v});
}

rnnd_code graph_attr_float(struct graph *g, struct graph_node *n, const char *name, float v)
{
    return add_attr(g, n, (struct attr){.name = name, .kind = ATTR_FLOAT, .f = v});
}

rnnd_code graph_attr_pointer(struct graph *g, struct graph_node *n, const char *name, const void *p)
{
    return add_attr(g, n, (struct attr){.name = name, .kind = ATTR_POINTER, .p = p});
}

rnnd_code graph_attr_string(struct graph *g, struct graph_node *n, const char *name, const char *s)
{
    char *copy = arena_string(&g->arena, s, strlen(s));
    return copy ? add_attr(g, n, (struct attr){.name = name, .kind = ATTR_STRING, .s = copy}) : RNND_NO_MEMORY;
}

static rnnd_code add_list(struct graph *g, struct graph_node *n, const char *name, enum attr_kind kind, const void *v,
                          size_t count, size_t size)
{
    void *copy = arena_alloc(&g->arena, count + 1, size);
    if (!copy) return RNND_NO_MEMORY;
    if (count) memcpy(copy, v, count * size);
    return add_attr(g, n, (struct attr){.name = name, .kind = kind, .p = copy, .count = count});
}

rnnd_code graph_attr_ints(struct graph *g, struct graph_node *n, const char *name, const int64_t *v, size_t count)
{
    return add_list(g, n, name, ATTR_INTS, v, count, sizeof *v);
}

rnnd_code graph_attr_floats(struct graph *g, struct graph_node *n, const char *name, const float *v, size_t count)
{
    return add_list(g, n, name, ATTR_FLOATS, v, count, sizeof *v);
}

rnnd_code graph_attr_strings(struct graph *g, struct graph_node *n, const char *name, const char *const *v,
                             size_t count)
{
    const char **copy = arena_alloc(&g->arena, count + 1, sizeof *copy);
    if (!copy) return RNND_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!(copy[i] = arena_string(&g->arena, v[i], strlen(v[i])))) return RNND_NO_MEMORY;
    return add_list(g, n, name, ATTR_STRINGS, copy, count, sizeof *copy);
}

const struct attr *graph_find_attr(const struct graph_node *n, const char *name)
{
    for (size_t i = 0; i < n->attr_count; i++)
        if (strcmp(n->attrs[i].name, name) == 0) return &n->attrs[i];
    return NULL;
}

void graph_shape(struct graph *g, int value, int rank, const int64_t *dim)
{
    if (value < 0) return;
    g->values[value].rank = rank;
    for (int i = 0; i < rank; i++)
        g->values[value].dim[i] = dim[i];
}

size_t graph_readers(const struct graph *g, int value)
{
    size_t n = 0;
    for (size_t i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++)
            n += g->nodes[i].inputs[k] == value;
    for (size_t i = 0; i < g->output_count; i++)
        n += g->outputs[i] == value;
    for (size_t i = 0; i < g->state_count; i++)
        n += g->states[i].out == value;
    return n;
}
