/* graph_write.c -- writes a tensor graph down: first names for all values, then the text, then the constants. */
#include "core/formats/graph_write.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/graph_attribute.h"
#include "core/formats/graph_read.h"
#include "core/formats/names.h"
#include "core/ops/op.h"

struct writer {
    const struct graph *g;
    const struct network *net;
    struct graph_text *out;
    struct names names; /* value: how many further names have been made of this one */
    const char **name;  /* of each value, NULL: none yet */
    int *constants;     /* in the order in which they are read */
    size_t constant_count;
    rnnd_error *err;
};

/* ---- names ---- */

static struct bytes key_of(const char *name)
{
    return bytes_of(name, strlen(name));
}

static rnnd_code take(struct writer *w, const char *name)
{
    return names_add(&w->names, 1, key_of(name), 0, key_of(""), w->err);
}

/* The wanted name, or, where another has it, that with a number behind. */
static rnnd_code name_value(struct writer *w, int value, const char *wanted)
{
    if (value < 0 || w->name[value]) return RNND_OK;
    if (!*wanted) wanted = "value";
    struct name *base = names_find(&w->names, 1, key_of(wanted));
    size_t room = strlen(wanted) + 16;
    char *name = arena_alloc(&w->out->arena, room, 1);
    if (!name) return fail_memory(w->err, room);
    memcpy(name, wanted, room - 15);
    while (base && names_find(&w->names, 1, key_of(name)))
        snprintf(name, room, "%s:%d", wanted, ++base->value);
    w->name[value] = name;
    if (w->g->values[value].is_constant) w->constants[w->constant_count++] = value;
    return take(w, name);
}

static rnnd_code name_nodes(struct writer *w, const struct graph_node *nodes, size_t count);

static rnnd_code name_list(struct writer *w, const int *values, int count)
{
    rnnd_code code = RNND_OK;
    for (int i = 0; i < count && !code; i++)
        if (values[i] >= 0) code = name_value(w, values[i], w->g->values[values[i]].name);
    return code;
}

static rnnd_code name_node(struct writer *w, const struct graph_node *n)
{
    rnnd_code code = name_list(w, n->inputs, n->input_count);
    for (int k = 0; k < n->body_count && !code; k++) {
        const struct graph_body *b = n->bodies[k];
        code = name_list(w, b->inputs, b->input_count);
        if (!code) code = name_nodes(w, b->nodes, b->node_count);
        if (!code) code = name_list(w, b->outputs, b->output_count);
    }
    return code ? code : name_list(w, n->outputs, n->output_count);
}

static rnnd_code name_nodes(struct writer *w, const struct graph_node *nodes, size_t count)
{
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < count && !code; i++)
        code = name_node(w, &nodes[i]);
    return code;
}

/* Ends first, which have to keep theirs; then what can be read by name. */
static rnnd_code name_all(struct writer *w, const char *const *taken)
{
    const struct graph *g = w->g;
    rnnd_code code = take(w, "__metadata__"); /* no tensor may be called so */
    for (; *taken && !code; taken++)
        if (!names_find(&w->names, 1, key_of(*taken))) code = take(w, *taken);
    for (size_t i = 0; i < g->input_count && !code; i++) {
        const char *name = g->values[g->inputs[i]].name;
        if (!*name || names_find(&w->names, 1, key_of(name)))
            code = fail_at(w->err, RNND_UNSUPPORTED, name, "an input is named \"%.80s\", as something else is", name);
        if (!code) code = name_value(w, g->inputs[i], name);
    }
    for (size_t i = 1; i < g->output_count && !code; i++)
        for (size_t k = 0; k < i && !code; k++)
            if (g->outputs[i] != g->outputs[k] &&
                strcmp(g->values[g->outputs[i]].name, g->values[g->outputs[k]].name) == 0)
                code = fail_at(w->err, RNND_UNSUPPORTED, "outputs", "two outputs are named \"%.80s\"",
                               g->values[g->outputs[i]].name);
    for (size_t i = 0; i < g->output_count && !code; i++)
        code = name_value(w, g->outputs[i], g->values[g->outputs[i]].name);
    for (size_t i = w->net->named_outputs; i < w->net->tap_count && !code; i++)
        code = name_value(w, w->net->taps[i].value, w->net->taps[i].name);
    return code ? code : name_nodes(w, g->nodes, g->node_count);
}

/* ---- text ---- */

static struct json_text *text(struct writer *w)
{
    return &w->out->json;
}

static void put(struct writer *w, const char *s)
{
    json_text_bytes(text(w), s, strlen(s));
}

static void put_member(struct writer *w, const char *key, const char *value)
{
    put(w, key);
    json_text_string(text(w), value);
}

static void put_list(struct writer *w, const char *key, const int *values, int count)
{
    put(w, key);
    for (int i = 0; i < count; i++) {
        json_text_bytes(text(w), ",", i != 0);
        json_text_string(text(w), values[i] < 0 ? "" : w->name[values[i]]);
    }
    put(w, "]");
}

static rnnd_code put_nodes(struct writer *w, const struct graph_node *nodes, size_t count);

static rnnd_code put_bodies(struct writer *w, const struct graph_node *n)
{
    rnnd_code code = RNND_OK;
    put(w, ",\"bodies\":[");
    for (int k = 0; k < n->body_count && !code; k++) {
        const struct graph_body *b = n->bodies[k];
        put_list(w, k ? ",{\"inputs\":[" : "{\"inputs\":[", b->inputs, b->input_count);
        put(w, ",\"nodes\":");
        code = put_nodes(w, b->nodes, b->node_count);
        put_list(w, ",\"outputs\":[", b->outputs, b->output_count);
        put(w, "}");
    }
    put(w, "]");
    return code;
}

static rnnd_code put_nodes(struct writer *w, const struct graph_node *nodes, size_t count)
{
    rnnd_code code = RNND_OK;
    put(w, "[");
    for (size_t i = 0; i < count && !code; i++) {
        const struct graph_node *n = &nodes[i];
        put_member(w, i ? ",{\"op\":" : "{\"op\":", n->op->name);
        put_member(w, ",\"name\":", n->name);
        put_list(w, ",\"inputs\":[", n->inputs, n->input_count);
        code = graph_write_attributes(text(w), n, w->err);
        if (n->body_count && !code) code = put_bodies(w, n);
        put_list(w, ",\"outputs\":[", n->outputs, n->output_count);
        put(w, "}");
    }
    put(w, "]");
    return code;
}

static void put_port(struct writer *w, const struct graph_port *p)
{
    static const char *const dtypes[] = {NULL, "I64", "BOOL"};
    if (p->dtype != DTYPE_F32) put_member(w, ",\"dtype\":", dtypes[p->dtype]);
    if (p->rank < 0) return;
    put(w, ",\"shape\":[");
    for (int i = 0; i < p->rank; i++)
        if (p->dim[i] > 0)
            json_text_add(text(w), i ? ",%lld" : "%lld", (long long)p->dim[i]);
        else
            put(w, i ? ",null" : "null");
    put(w, "]");
    if (p->batch_axis < 0 && p->time_axis < 0) return;
    put(w, ",\"axes\":[");
    for (int i = 0; i < p->rank; i++) {
        put(w, i ? "," : "");
        json_text_string(text(w), i == p->batch_axis ? "batch" : i == p->time_axis ? "time" : "feature");
    }
    put(w, "]");
}

/* The reader's limit of an input's ids, by name: the graph may have lost inputs since. */
static size_t ids_of(const struct network *net, const char *name)
{
    for (size_t i = 0; i < net->input_count; i++)
        if (net->inputs[i].is_ids && strcmp(net->inputs[i].name, name) == 0) return net->inputs[i].limit;
    return 0;
}

static void put_inputs(struct writer *w)
{
    const struct graph *g = w->g;
    for (size_t i = 0; i < g->input_count; i++) {
        const char *name = w->name[g->inputs[i]];
        put_member(w, i ? ",{\"name\":" : "\"inputs\":[{\"name\":", name);
        put_port(w, &g->input_ports[i]);
        size_t ids = ids_of(w->net, name);
        if (ids) json_text_add(text(w), ",\"ids\":%zu", ids);
        put(w, "}");
    }
    put(w, "]");
}

/* {"name"} or, where the value could not keep the name, {"name", "value"}; open for more. */
static void put_named(struct writer *w, const char *before, const char *shown, int value)
{
    put_member(w, before, shown);
    if (strcmp(shown, w->name[value]) != 0) put_member(w, ",\"value\":", w->name[value]);
}

static void put_outputs(struct writer *w)
{
    const struct graph *g = w->g;
    for (size_t i = 0; i < g->output_count; i++) {
        put_named(w, i ? ",{\"name\":" : ",\"outputs\":[{\"name\":", g->values[g->outputs[i]].name, g->outputs[i]);
        put_port(w, &g->output_ports[i]);
        put(w, "}");
    }
    put(w, "]");
}

/* ---- what people see of it ---- */

static void put_names(struct writer *w)
{
    size_t count = 0;
    for (size_t i = w->net->named_outputs; i < w->net->tap_count; i++) {
        const struct network_tap *tap = &w->net->taps[i];
        if (tap->value < 0) continue;
        put(w, count++ ? "," : ",\"names\":[");
        if (strcmp(tap->name, w->name[tap->value]) == 0) {
            json_text_string(text(w), tap->name);
        } else {
            put_named(w, "{\"name\":", tap->name, tap->value);
            put(w, "}");
        }
    }
    put(w, count ? "]" : "");
}

static void put_layers(struct writer *w)
{
    for (size_t i = 0; i < w->net->layer_count; i++) {
        const rnnd_layer *l = &w->net->layers[i];
        put_member(w, i ? ",{\"type\":" : ",\"layers\":[{\"type\":", l->type);
        put_member(w, ",\"name\":", l->name);
        if (l->detail && *l->detail) put_member(w, ",\"detail\":", l->detail);
        json_text_add(text(w), ",\"inputs\":%zu,\"outputs\":%zu,\"parameters\":%llu}", l->inputs, l->outputs,
                      (unsigned long long)l->parameters);
    }
    put(w, w->net->layer_count ? "]" : "");
}

static rnnd_code put_graph(struct writer *w)
{
    put(w, "{");
    put_inputs(w);
    put(w, ",\"nodes\":");
    rnnd_code code = put_nodes(w, w->g->nodes, w->g->node_count);
    put_outputs(w);
    put_names(w);
    put_layers(w);
    if (w->net->framework) put_member(w, ",\"framework\":", w->net->framework);
    if (w->net->window) json_text_add(text(w), ",\"window\":%zu", w->net->window);
    if (w->net->stateful) put(w, ",\"stateful\":true");
    put(w, "}");
    return !code && text(w)->failed ? fail_memory(w->err, text(w)->size) : code;
}

/* ---- constants ---- */

/* The widest elements first, so that all lie at multiples of their size. */
static rnnd_code list_items(struct writer *w)
{
    static const enum dtype order[] = {DTYPE_I64, DTYPE_F32, DTYPE_BOOL};
    static const enum stored stored[] = {STORED_I64, STORED_F32, STORED_BOOL};
    struct graph_text *out = w->out;
    out->items = arena_alloc(&out->arena, w->constant_count + 1, sizeof *out->items);
    if (!out->items) return fail_memory(w->err, w->constant_count * sizeof *out->items);
    for (int k = 0; k < 3; k++)
        for (size_t i = 0; i < w->constant_count; i++) {
            const struct tensor *t = &w->g->values[w->constants[i]].constant;
            if (t->dtype != order[k]) continue;
            struct safetensors_item *item = &out->items[out->item_count++];
            *item = (struct safetensors_item){
                .name = w->name[w->constants[i]], .stored = stored[k], .rank = t->rank, .data = t->data};
            memcpy(item->dim, t->dim, sizeof item->dim);
        }
    return RNND_OK;
}

rnnd_code graph_write(const struct graph *g, const struct network *net, const char *const *taken,
                      struct graph_text *out, rnnd_error *err)
{
    struct writer w = {.g = g, .net = net, .out = out, .err = err};
    *out = (struct graph_text){0};
    arena_init(&out->arena, (size_t)256 << 20);
    w.name = mem_alloc(g->value_count + 1, sizeof *w.name);
    w.constants = mem_alloc(g->value_count + 1, sizeof *w.constants);
    rnnd_code code = w.name && w.constants ? RNND_OK : fail_memory(err, g->value_count * sizeof *w.name);
    if (!code) code = name_all(&w, taken);
    if (!code) code = put_graph(&w);
    if (!code) code = list_items(&w);
    names_free(&w.names);
    mem_free(w.name);
    mem_free(w.constants);
    if (code) graph_text_free(out);
    return code;
}

void graph_text_free(struct graph_text *t)
{
    mem_free(t->json.data);
    arena_free(&t->arena);
    *t = (struct graph_text){0};
}
