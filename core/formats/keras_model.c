/* keras_model.c -- Sequential and Functional models, nested ones too: their layers called in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/keras_ends.h"

#define MAX_MODEL_LAYERS 4096
#define MAX_ENDS 64

struct model { /* one Sequential or Functional, while it is lowered */
    struct lowering *L;
    const struct keras_layer *self;
    struct keras_layer *layers;
    const struct json **inbound;
    size_t count;
    struct keras_names names;
    struct keras_node **nodes;
    size_t *node_counts;
    int *offsets; /* of references to a layer's nodes */
    bool top;
};

/* ---- the layers of a configuration ---- */

static bool is_input(const struct keras_layer *l)
{
    return strcmp(l->kind, "InputLayer") == 0;
}

static void read_layer(struct model *m, const struct json *j, struct keras_layer *l)
{
    const struct json *config = json_get(j, "config");
    const char *kind = json_string(json_get(j, "class_name")), *module = json_string(json_get(j, "module"));
    const char *name = json_string(json_get(config, "name"));
    if (!name) name = json_string(json_get(j, "name"));
    *l = (struct keras_layer){.kind = kind ? keras_class(kind) : "", .name = name ? name : "", .config = config};
    l->operation = module && strstr(module, ".ops");
    bool bare = kind && keras_is_model(l->kind) && json_is_array(config);
    if (!kind || (!json_is_object(config) && !bare) || !name || !*name || strlen(name) >= KERAS_MAX_NAME)
        keras_fail(m->L, m->self, RNND_CORRUPT,
                   "wanted layers with class_name, config and a name of 1 to %d bytes, found "
                   "%s",
                   KERAS_MAX_NAME - 1, kind ? kind : json_type_name(j));
}

static void find_weights(struct model *m, size_t i)
{
    struct keras_layer *l = &m->layers[i];
    size_t same = 0;
    for (size_t k = 0; k < i; k++)
        same += strcmp(m->layers[k].kind, l->kind) == 0 && !m->layers[k].operation;
    if (!l->operation) keras_find_weights(m->L, &m->self->weights, l, same, m->top);
}

static int compare_layer_names(const void *a, const void *b)
{
    return strcmp(((const struct keras_name *)a)->name, ((const struct keras_name *)b)->name);
}

static void read_layers(struct model *m)
{
    struct lowering *L = m->L;
    const struct json *config = m->self->config, *list = json_get(config, "layers");
    if (json_is_array(config)) list = config; /* Keras before 2.2.3: the list alone */
    if (!json_is_array(list) || json_count(list) == 0 || json_count(list) > MAX_MODEL_LAYERS)
        return keras_fail(L, m->self, RNND_CORRUPT, "wanted a list of 1 to %d layers, found %s", MAX_MODEL_LAYERS,
                          json_is_array(list) ? "another number" : json_type_name(list));
    size_t n = json_count(list);
    if (!keras_work(L, m->self, n * n)) return;
    m->layers = arena_alloc(&L->scratch, n, sizeof *m->layers);
    m->inbound = arena_alloc(&L->scratch, n, sizeof *m->inbound);
    m->names.list = arena_alloc(&L->scratch, n, sizeof *m->names.list);
    m->nodes = arena_alloc(&L->scratch, n, sizeof *m->nodes);
    m->node_counts = arena_alloc(&L->scratch, n, sizeof *m->node_counts);
    m->offsets = arena_alloc(&L->scratch, n, sizeof *m->offsets);
    if (!m->layers || !m->inbound || !m->names.list || !m->nodes || !m->node_counts || !m->offsets)
        return build_keep(&L->b, fail_memory(L->b.err, n * sizeof *m->layers));
    for (const struct json *e = json_first(list); e && !L->b.code; e = json_next(e), m->count++) {
        read_layer(m, e, &m->layers[m->count]);
        m->inbound[m->count] = json_get(e, "inbound_nodes");
        if (!L->b.code) find_weights(m, m->count);
        m->names.list[m->count] = (struct keras_name){m->layers[m->count].name, (int)m->count};
    }
    if (L->b.code) return;
    m->names.count = n;
    qsort(m->names.list, n, sizeof *m->names.list, compare_layer_names);
    for (size_t i = 1; i < n; i++)
        if (compare_layer_names(&m->names.list[i - 1], &m->names.list[i]) == 0)
            return keras_fail(L, m->self, RNND_CORRUPT, "two of its layers are named \"%.80s\"", m->names.list[i].name);
}

/* One call of one of its layers, noted for people where it is the layer's first. */
static void call(struct model *m, size_t i, const struct keras_call *in, struct keras_outputs *out, bool first)
{
    struct lowering *L = m->L;
    const struct keras_layer *l = &m->layers[i];
    L->parameters = 0;
    L->detail[0] = 0;
    keras_apply(L, l, in, out);
    if (!L->b.code && first && out->count) keras_note(L, l, in, out);
}

/* ---- Sequential ---- */

static void run_sequential(struct model *m, const struct keras_call *in, struct keras_outputs *out)
{
    struct lowering *L = m->L;
    const struct keras_tensor *given = keras_input(in, 0, NULL);
    struct keras_argument arg = {.is_tensor = true};
    size_t first = is_input(&m->layers[0]);
    if (given)
        arg.tensor = *given;
    else if (m->top)
        arg.tensor = first ? keras_make_input(L, &m->layers[0]) : keras_guess_input(L, m->self, &m->layers[0]);
    else
        keras_fail(L, m->self, RNND_CORRUPT, "it is called without an input");
    *out = (struct keras_outputs){.t = {arg.tensor}, .count = 1};
    for (size_t i = first; i < m->count && !L->b.code; i++) {
        if (is_input(&m->layers[i])) return keras_fail(L, m->self, RNND_CORRUPT, "an input layer behind others");
        call(m, i, &(struct keras_call){&arg, 1}, out, true);
        if (out->count != 1 && i + 1 < m->count)
            keras_fail(L, &m->layers[i], RNND_UNSUPPORTED, "it has %zu outputs inside a Sequential model", out->count);
        arg.tensor = out->t[0];
    }
}

/* ---- Functional ---- */

/* tf.keras counts the calls of a nested model from 1: its own making was call 0, which the file leaves out. */
static void find_offsets(struct model *m, const struct keras_reference *ends, size_t end_count)
{
    int *lowest = m->offsets;
    for (size_t i = 0; i < m->count; i++)
        lowest[i] = INT32_MAX;
    for (size_t i = 0; i < m->count; i++)
        for (size_t k = 0; k < m->node_counts[i]; k++)
            for (size_t a = 0; a < m->nodes[i][k].count; a++) {
                const struct keras_reference *r = &m->nodes[i][k].args[a];
                if (r->layer >= 0 && r->node < lowest[r->layer]) lowest[r->layer] = r->node;
            }
    for (size_t i = 0; i < end_count; i++)
        if (ends[i].node < lowest[ends[i].layer]) lowest[ends[i].layer] = ends[i].node;
    for (size_t i = 0; i < m->count; i++)
        if (lowest[i] == INT32_MAX || !keras_is_model(m->layers[i].kind)) lowest[i] = 0;
}

/* The tensor behind a reference once it is there; NULL: not yet, or (code set) never. */
static const struct keras_tensor *resolve(struct model *m, const struct keras_reference *r)
{
    size_t at = (size_t)(r->node - m->offsets[r->layer]);
    const struct keras_layer *l = &m->layers[r->layer];
    if (at >= m->node_counts[r->layer])
        return keras_fail(m->L, l, RNND_CORRUPT, "its call %d is read, it has %zu", r->node, m->node_counts[r->layer]),
               NULL;
    const struct keras_node *n = &m->nodes[r->layer][at];
    if (!n->done) return NULL;
    if ((size_t)r->tensor >= n->out->count)
        return keras_fail(m->L, l, RNND_CORRUPT, "its output %d is read, it has %zu", r->tensor, n->out->count), NULL;
    return &n->out->t[r->tensor];
}

static bool try_node(struct model *m, size_t i, size_t k)
{
    struct keras_node *n = &m->nodes[i][k];
    struct keras_argument *args = arena_alloc(&m->L->scratch, n->count + 1, sizeof *args);
    if (!args) return build_keep(&m->L->b, fail_memory(m->L->b.err, n->count * sizeof *args)), false;
    for (size_t a = 0; a < n->count; a++) {
        args[a] = (struct keras_argument){.key = n->args[a].key, .literal = n->args[a].literal};
        if (n->args[a].layer < 0) continue;
        const struct keras_tensor *t = resolve(m, &n->args[a]);
        if (!t) return false;
        args[a].is_tensor = true;
        args[a].tensor = *t;
    }
    call(m, i, &(struct keras_call){args, n->count}, n->out, k == 0);
    n->done = true;
    return true;
}

/* Calls what can be called until all is done; layers mostly stand in that order, so that one round does. */
static void run_nodes(struct model *m)
{
    bool moved = true, left = true;
    for (int round = 0; left && moved && !m->L->b.code; round++) {
        left = moved = false;
        if (round == 256) return keras_fail(m->L, m->self, RNND_TOO_LARGE, "its layers stand in too strange an order");
        for (size_t i = 0; i < m->count; i++)
            for (size_t k = 0; k < m->node_counts[i] && !m->L->b.code; k++) {
                if (m->nodes[i][k].done) continue;
                if (!try_node(m, i, k)) {
                    left = true;
                    break;
                }
                moved = true;
            }
    }
    if (left && !m->L->b.code) keras_fail(m->L, m->self, RNND_CORRUPT, "some of its layers wait for each other");
}

/* The tensors of its input layers: made, or given by the call in the order of input_layers. */
static void set_inputs(struct model *m, const struct keras_call *in)
{
    struct lowering *L = m->L;
    struct keras_reference refs[MAX_ENDS];
    size_t n = keras_read_references(L, m->self, &m->names, json_get(m->self->config, "input_layers"), refs, MAX_ENDS);
    if (L->b.code) return;
    if (!m->top && n != keras_input_count(in))
        return keras_fail(L, m->self, RNND_UNSUPPORTED, "it has %zu inputs and is called with %zu", n,
                          keras_input_count(in));
    for (size_t i = 0; i < n && !L->b.code; i++) {
        size_t at = (size_t)refs[i].layer;
        if (!is_input(&m->layers[at]) || m->node_counts[at])
            return keras_fail(L, m->self, RNND_CORRUPT, "\"%.80s\" among its input_layers is no input layer",
                              m->layers[at].name);
        m->nodes[at] = arena_alloc(&L->scratch, 1, sizeof **m->nodes);
        struct keras_outputs *out = arena_alloc(&L->scratch, 1, sizeof *out);
        if (!m->nodes[at] || !out) return build_keep(&L->b, fail_memory(L->b.err, sizeof *out));
        size_t position = 0;
        out->count = 1;
        if (m->top) out->t[0] = keras_make_input(L, &m->layers[at]);
        for (size_t a = 0; a < in->count && !m->top; a++)
            if (!in->args[a].key && in->args[a].is_tensor && position++ == i) out->t[0] = in->args[a].tensor;
        *m->nodes[at] = (struct keras_node){.done = true, .out = out};
        m->node_counts[at] = 1;
    }
}

static void run_functional(struct model *m, const struct keras_call *in, struct keras_outputs *out)
{
    struct lowering *L = m->L;
    struct keras_reference ends[MAX_ENDS];
    set_inputs(m, in);
    for (size_t i = 0; i < m->count && !L->b.code; i++) {
        if (is_input(&m->layers[i])) continue;
        m->nodes[i] = keras_read_nodes(L, &m->layers[i], &m->names, m->inbound[i], &m->node_counts[i]);
    }
    if (L->b.code) return;
    size_t n = keras_read_references(L, m->self, &m->names, json_get(m->self->config, "output_layers"), ends, MAX_ENDS);
    if (L->b.code) return;
    if (n == 0 || n > KERAS_MAX_OUTPUTS)
        return keras_fail(L, m->self, RNND_UNSUPPORTED, "wanted 1 to %d outputs, found %zu", KERAS_MAX_OUTPUTS, n);
    find_offsets(m, ends, n);
    run_nodes(m);
    for (size_t i = 0; i < n && !L->b.code; i++) {
        const struct keras_tensor *t = resolve(m, &ends[i]);
        if (t) out->t[out->count++] = *t;
        if (t && m->top) keras_name_output(L, &out->t[out->count - 1], m->layers[ends[i].layer].name, ends[i].tensor);
    }
}

void keras_apply_model(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                       struct keras_outputs *out)
{
    struct model m = {.L = L, .self = l, .top = L->depth == 1};
    bool functional = strcmp(l->kind, "Sequential") != 0;
    read_layers(&m);
    if (L->b.code) return;
    if (functional) return run_functional(&m, in, out);
    run_sequential(&m, in, out);
    if (m.top && !L->b.code)
        for (size_t i = 0; i < out->count; i++)
            keras_name_output(L, &out->t[i], m.layers[m.count - 1].name, (int)i);
}
