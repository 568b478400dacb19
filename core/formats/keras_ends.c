/* keras_ends.c -- inputs and outputs of a Keras model, and what people are told of its layers. */
#include "core/formats/keras_ends.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/op.h"

static char *keep(struct lowering *L, const char *text)
{
    char *copy = L->b.code ? NULL : arena_string(L->arena, text, strlen(text));
    if (!copy && !L->b.code) build_keep(&L->b, fail_memory(L->b.err, strlen(text)));
    return copy;
}

/* ---- inputs ---- */

static struct keras_tensor make(struct lowering *L, const struct keras_layer *l, const char *name, size_t rank,
                                const int64_t *dim)
{
    struct keras_tensor t = {.value = -1, .rank = (int)rank, .mask = -1, .steps = rank >= 3};
    struct graph *g = L->b.g;
    if (L->b.code) return t;
    for (size_t i = 0; i < rank; i++) {
        t.dim[i] = i == 0 ? -1 : dim[i];
        if (i && dim[i] == 0) keras_fail(L, l, RNND_CORRUPT, "its shape has a 0");
    }
    if (rank == 0) keras_fail(L, l, RNND_CORRUPT, "its shape has no batch");
    if (L->net->input_count == MAX_INPUTS)
        keras_fail(L, l, RNND_UNSUPPORTED, "the model has more than %d inputs", MAX_INPUTS);
    if (L->b.code) return t;
    t.value = graph_value(g, name);
    if (t.value < 0 || graph_add_input(g, t.value)) return build_keep(&L->b, fail_memory(L->b.err, 0)), t;
    g->values[t.value].dtype = DTYPE_F32;
    graph_shape(g, t.value, t.rank, t.dim);
    L->net->inputs[L->net->input_count++].name = keep(L, name);
    return t;
}

static const struct json *shape_of(const struct keras_layer *l)
{
    static const char *const keys[] = {"batch_shape", "batch_input_shape", "build_input_shape"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct json *j = json_get(l->config, keys[i]);
        if (j && !json_is_null(j)) return j;
    }
    return NULL;
}

struct keras_tensor keras_make_input(struct lowering *L, const struct keras_layer *l)
{
    int64_t dim[MAX_RANK] = {0};
    size_t rank = 0;
    const char *dtype = json_string(json_get(l->config, "dtype"));
    if (dtype && strcmp(dtype, "string") == 0) keras_fail(L, l, RNND_UNSUPPORTED, "it takes texts");
    if (keras_flag(L, l, "ragged", false) || keras_flag(L, l, "sparse", false))
        keras_fail(L, l, RNND_UNSUPPORTED, "it takes ragged or sparse tensors");
    if (!keras_list(shape_of(l), MAX_RANK, dim, &rank))
        keras_fail(L, l, RNND_CORRUPT, "wanted a shape of at most %d numbers", MAX_RANK);
    return make(L, l, l->name, rank, dim);
}

struct keras_tensor keras_guess_input(struct lowering *L, const struct keras_layer *model,
                                      const struct keras_layer *first)
{
    char name[KERAS_MAX_NAME + 8];
    int64_t dim[MAX_RANK] = {-1, -1, -1};
    size_t rank = 0;
    const struct json *inner = json_get(first->config, "layer");
    struct keras_layer wrapped = {.config = json_get(inner, "config")};
    snprintf(name, sizeof name, "%s_input", first->name);
    if (keras_list(shape_of(first), MAX_RANK, dim, &rank) || keras_list(shape_of(model), MAX_RANK, dim, &rank) ||
        keras_list(shape_of(&wrapped), MAX_RANK, dim, &rank))
        return make(L, first, name, rank, dim);
    if (strcmp(first->kind, "Embedding") == 0) return make(L, first, name, 2, dim);
    struct keras_layer own = *first;
    if (keras_cell_states(first->kind)) own.weights = keras_part(L, first, "cell", NULL, 0, first->weights.count);
    struct checkpoint_tensor *t = keras_cell_states(first->kind) ? keras_weight(L, &own, 0, "kernel") : NULL;
    if (!t || t->rank != 2)
        return keras_fail(L, first, RNND_CORRUPT, "the file does not say which shape its input has"),
               (struct keras_tensor){.value = -1, .mask = -1};
    dim[1] = -1;
    dim[2] = (int64_t)t->dim[0];
    return make(L, first, name, 3, dim);
}

/* ---- outputs ---- */

static bool taken(const struct graph *g, const char *name)
{
    for (size_t i = 0; i < g->output_count; i++)
        if (strcmp(g->values[g->outputs[i]].name, name) == 0) return true;
    return false;
}

void keras_name_output(struct lowering *L, struct keras_tensor *t, const char *layer, int tensor)
{
    struct graph *g = L->b.g;
    char name[KERAS_MAX_NAME + 32];
    if (L->b.code) return;
    snprintf(name, sizeof name, tensor ? "%s_%d" : "%s", layer, tensor);
    for (int n = 1; taken(g, name) && n < 64; n++)
        snprintf(name, sizeof name, "%s_%d", layer, tensor + n);
    bool input = false;
    for (size_t i = 0; i < g->input_count; i++)
        input = input || g->inputs[i] == t->value;
    if (input || g->values[t->value].is_constant || strcmp(g->values[t->value].name, name) != 0) {
        L->b.layer = name;
        t->value = build(&L->b, "Identity", t->value);
        L->b.layer = "";
    }
    if (!L->b.code && graph_add_output(g, t->value)) build_keep(&L->b, fail_memory(L->b.err, 0));
}

/* ---- for people ---- */

static bool grow(void **list, size_t count, size_t *cap, size_t size, struct arena *arena)
{
    if (count < *cap) return true;
    size_t wanted = *cap ? *cap * 2 : 32;
    void *p = arena_alloc(arena, wanted, size);
    if (!p) return false;
    if (count) memcpy(p, *list, count * size);
    *list = p;
    *cap = wanted;
    return true;
}

static size_t width_of(const struct keras_tensor *t)
{
    return t && t->rank > 0 && t->dim[t->rank - 1] > 0 ? (size_t)t->dim[t->rank - 1] : 0;
}

static void set_port(struct graph_port *p, const struct keras_tensor *t, bool time)
{
    *p = (struct graph_port){.dtype = DTYPE_F32, .rank = t->rank, .batch_axis = t->rank ? 0 : -1, .time_axis = -1};
    memcpy(p->dim, t->dim, sizeof p->dim);
    if (time && t->rank >= 2) p->time_axis = 1;
}

void keras_note(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                const struct keras_outputs *out)
{
    const char *name = keep(L, l->name);
    if (!name || out->t[0].value < 0) return;
    if (!grow((void **)&L->taps, L->tap_count, &L->tap_cap, sizeof *L->taps, &L->scratch))
        return build_keep(&L->b, fail_memory(L->b.err, 0));
    L->taps[L->tap_count] = (struct network_tap){.name = name, .value = out->t[0].value};
    set_port(&L->taps[L->tap_count++].port, &out->t[0], out->t[0].steps && out->t[0].rank >= 2);
    if (keras_is_model(l->kind)) return; /* its layers have rows */
    if (!grow((void **)&L->layers, L->net->layer_count, &L->layer_cap, sizeof *L->layers, L->arena))
        return build_keep(&L->b, fail_memory(L->b.err, 0));
    L->layers[L->net->layer_count++] = (rnnd_layer){.type = keep(L, l->kind),
                                                    .name = name,
                                                    .inputs = width_of(keras_input(in, 0, NULL)),
                                                    .outputs = width_of(&out->t[0]),
                                                    .parameters = L->parameters,
                                                    .detail = keep(L, L->detail)};
}

/* ---- the outside ---- */

/* What reads an input besides Cast to whole numbers; the smallest table that looks its numbers up. */
static bool is_ids(const struct graph *g, int input, int64_t *limit)
{
    *limit = INT64_MAX;
    for (size_t i = 0; i < g->output_count; i++)
        if (g->outputs[i] == input) return false;
    for (size_t i = 0; i < g->node_count; i++) {
        const struct graph_node *n = &g->nodes[i];
        bool reads = false;
        for (int k = 0; k < n->input_count; k++)
            reads = reads || n->inputs[k] == input;
        if (!reads) continue;
        const struct attr *to = strcmp(n->op->name, "Cast") == 0 ? graph_find_attr(n, "to") : NULL;
        if (!to || to->i != 7) return false;
        for (size_t r = 0; r < g->node_count; r++) {
            const struct graph_node *gather = &g->nodes[r];
            if (gather->inputs[1] != n->outputs[0] || strcmp(gather->op->name, "Gather") != 0) continue;
            const struct graph_value *table = &g->values[gather->inputs[0]];
            if (table->is_constant && (int64_t)table->constant.dim[0] < *limit)
                *limit = (int64_t)table->constant.dim[0];
        }
    }
    return *limit != INT64_MAX;
}

/* The input is whole numbers from here on: its casts go. */
static void drop_casts(struct graph *g, int input)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->node_count; i++) {
        struct graph_node n = g->nodes[i];
        if (strcmp(n.op->name, "Cast") == 0 && n.inputs[0] == input) {
            for (size_t r = i + 1; r < g->node_count; r++)
                for (int k = 0; k < g->nodes[r].input_count; k++)
                    if (g->nodes[r].inputs[k] == n.outputs[0]) g->nodes[r].inputs[k] = input;
            continue;
        }
        g->nodes[kept++] = n;
    }
    g->node_count = kept;
    g->values[input].dtype = DTYPE_I64;
}

static void fill_port(struct lowering *L, struct graph_port *p, rnnd_port *out, const struct keras_tensor *t, bool time)
{
    set_port(p, t, time);
    size_t width = 1;
    for (int i = time ? 2 : 1; i < t->rank; i++) {
        if (t->dim[i] < 0 || !size_mul(width, (size_t)t->dim[i], &width) || width > MAX_WIDTH) {
            build_keep(&L->b,
                       L->b.code
                           ? L->b.code
                           : fail_at(L->b.err, RNND_UNSUPPORTED, out->name,
                                     "\"%.80s\": wanted at most %d numbers a step, dimension %d of its shape is %s",
                                     out->name, MAX_WIDTH, i, t->dim[i] < 0 ? "free" : "too large"));
            return;
        }
        out->dim[out->rank++] = (size_t)t->dim[i];
    }
    if (out->rank == 0) out->dim[out->rank++] = 1;
    out->width = width;
}

static void fill_input(struct lowering *L, size_t i)
{
    struct graph *g = L->b.g;
    int value = g->inputs[i];
    struct graph_value *v = &g->values[value];
    struct keras_tensor t = {.value = value, .rank = v->rank};
    int64_t limit;
    memcpy(t.dim, v->dim, sizeof t.dim);
    bool ids = is_ids(g, value, &limit);
    if (ids) drop_casts(g, value);
    bool time = t.rank >= 3 || (t.rank == 2 && ids && t.dim[1] != 1) || (t.rank == 2 && t.dim[1] < 0);
    fill_port(L, &g->input_ports[i], &L->net->inputs[i], &t, time);
    if (ids) {
        g->input_ports[i].dtype = DTYPE_I64;
        L->net->inputs[i].is_ids = true;
        L->net->inputs[i].limit = (size_t)limit;
    }
    L->net->input_width += L->net->inputs[i].width;
    if (time && t.dim[1] > 0 && !L->net->window) L->net->window = (size_t)t.dim[1];
}

void keras_finish(struct lowering *L, const struct keras_outputs *out)
{
    struct graph *g = L->b.g;
    g->input_ports = arena_alloc(&g->arena, g->input_count + 1, sizeof *g->input_ports);
    g->output_ports = arena_alloc(&g->arena, g->output_count + 1, sizeof *g->output_ports);
    if (!g->input_ports || !g->output_ports) return build_keep(&L->b, fail_memory(L->b.err, 0));
    for (size_t i = 0; i < g->input_count && !L->b.code; i++)
        fill_input(L, i);
    L->net->taps = arena_alloc(L->arena, g->output_count + L->tap_count + 1, sizeof *L->net->taps);
    if (!L->net->taps) return build_keep(&L->b, fail_memory(L->b.err, 0));
    for (size_t i = 0; i < g->output_count && i < out->count && !L->b.code; i++) {
        const struct keras_tensor *t = &out->t[i];
        rnnd_port *port = &L->net->outputs[L->net->output_count++];
        port->name = keep(L, g->values[g->outputs[i]].name);
        fill_port(L, &g->output_ports[i], port, t, t->steps && t->rank >= 2);
        L->net->output_width += port->width;
        L->net->taps[L->net->tap_count++] = (struct network_tap){port->name, g->outputs[i], g->output_ports[i]};
    }
    L->net->named_outputs = L->net->tap_count;
    for (size_t i = 0; i < L->tap_count; i++)
        if (!taken(g, L->taps[i].name)) L->net->taps[L->net->tap_count++] = L->taps[i];
    L->net->layers = L->layers;
}
