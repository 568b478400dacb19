/* keras_nodes.c -- which outputs of which layers a layer of a Functional model is called with.
 *
 *   Keras 1, 2  inbound_nodes: [ call, ... ], a call: [ [layer, node, tensor, {keywords}], ... ] or one such alone;
 *               a literal: ["_CONSTANT_VALUE", -1, value, {keywords}]; keywords hold [layer, node, tensor] or values
 *   Keras 3     inbound_nodes: [ {"args": [...], "kwargs": {...}}, ... ], a tensor in there:
 *               {"class_name": "__keras_tensor__", "config": {"keras_history": [layer, node, tensor], ...}} */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/keras_lower.h"

#define MAX_ARGS 256
#define MAX_NESTED 6

struct reading { /* of one call */
    struct lowering *L;
    const struct keras_layer *l;
    const struct keras_names *names;
    struct keras_reference *out;
    size_t count, max;
};

int keras_layer_index(const struct keras_names *names, const char *name)
{
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t at = low + (high - low) / 2;
        int order = strcmp(name, names->list[at].name);
        if (order == 0) return names->list[at].index;
        if (order < 0)
            high = at;
        else
            low = at + 1;
    }
    return -1;
}

static void add(struct reading *r, struct keras_reference ref)
{
    if (r->count == r->max)
        keras_fail(r->L, r->l, RNND_UNSUPPORTED, "it is called with more than %zu values", r->max);
    else
        r->out[r->count++] = ref;
}

/* ["name", node, tensor, ...] */
static bool is_history(const struct json *j)
{
    if (!json_is_array(j) || json_count(j) < 3 || !json_is_string(json_first(j))) return false;
    const struct json *node = json_next(json_first(j));
    return json_is_number(node) && json_is_number(json_next(node));
}

static void add_history(struct reading *r, const struct json *j, const char *key)
{
    const struct json *node = json_next(json_first(j));
    const char *name = json_string(json_first(j));
    int64_t n, t;
    int layer = keras_layer_index(r->names, name);
    if (layer < 0) return keras_fail(r->L, r->l, RNND_CORRUPT, "its input \"%.80s\" is no layer of the model", name);
    if (!json_whole(node, 0, 1 << 20, &n) || !json_whole(json_next(node), 0, KERAS_MAX_OUTPUTS - 1, &t))
        return keras_fail(r->L, r->l, RNND_CORRUPT, "which output of \"%.80s\" it reads is no number in range", name);
    add(r, (struct keras_reference){key, layer, (int)n, (int)t, NULL});
}

static const struct json *keras_history(const struct json *j)
{
    const char *kind = json_string(json_get(j, "class_name"));
    if (!kind || strcmp(kind, "__keras_tensor__") != 0) return NULL;
    const struct json *history = json_get(json_get(j, "config"), "keras_history");
    return is_history(history) ? history : NULL;
}

static bool holds_tensors(const struct json *j, int depth)
{
    if (keras_history(j) || is_history(j)) return true;
    if (!json_is_array(j) || depth > MAX_NESTED) return false;
    for (const struct json *e = json_first(j); e; e = json_next(e))
        if (holds_tensors(e, depth + 1)) return true;
    return false;
}

/* A tensor, lists of tensors (flattened), or a literal. */
static void add_value(struct reading *r, const struct json *j, const char *key, int depth)
{
    if (r->L->b.code) return;
    if (keras_history(j)) return add_history(r, keras_history(j), key);
    if (is_history(j)) return add_history(r, j, key);
    if (depth > MAX_NESTED || !holds_tensors(j, depth)) return add(r, (struct keras_reference){key, -1, 0, 0, j});
    for (const struct json *e = json_first(j); e; e = json_next(e))
        add_value(r, e, key, depth + 1);
}

static void add_keywords(struct reading *r, const struct json *keywords)
{
    for (const struct json *e = json_first(keywords); e && json_is_object(keywords); e = json_next(e))
        add_value(r, e, strcmp(json_key(e), "inputs") == 0 ? NULL : json_key(e), 0);
}

/* ["layer", node, tensor, {keywords}] or ["_CONSTANT_VALUE", -1, value, {keywords}] */
static void add_old(struct reading *r, const struct json *j)
{
    const char *name = json_is_array(j) ? json_string(json_first(j)) : NULL;
    const struct json *third = name && json_count(j) >= 3 ? json_next(json_next(json_first(j))) : NULL;
    if (!third)
        return keras_fail(r->L, r->l, RNND_CORRUPT, "inbound_nodes: wanted [layer, node, tensor], found %s",
                          json_type_name(j));
    if (strcmp(name, "_CONSTANT_VALUE") == 0)
        add(r, (struct keras_reference){NULL, -1, 0, 0, third});
    else if (is_history(j))
        add_history(r, j, NULL);
    else
        keras_fail(r->L, r->l, RNND_CORRUPT, "inbound_nodes: wanted [layer, node, tensor]");
    add_keywords(r, json_next(third));
}

static void read_call(struct reading *r, const struct json *j)
{
    if (json_is_object(j)) {
        const struct json *args = json_get(j, "args");
        for (const struct json *e = json_first(args); e && json_is_array(args); e = json_next(e))
            add_value(r, e, NULL, 0);
        add_keywords(r, json_get(j, "kwargs"));
    } else if (json_is_array(j) && json_is_string(json_first(j))) {
        add_old(r, j);
    } else if (json_is_array(j)) {
        for (const struct json *e = json_first(j); e; e = json_next(e))
            add_old(r, e);
    } else {
        keras_fail(r->L, r->l, RNND_CORRUPT, "inbound_nodes: wanted lists or objects, found %s", json_type_name(j));
    }
}

struct keras_node *keras_read_nodes(struct lowering *L, const struct keras_layer *l, const struct keras_names *names,
                                    const struct json *inbound, size_t *count)
{
    struct keras_reference args[MAX_ARGS];
    size_t n = json_is_array(inbound) ? json_count(inbound) : 0, at = 0;
    struct keras_node *nodes = arena_alloc(&L->scratch, n + 1, sizeof *nodes);
    *count = 0;
    if (!nodes) return build_keep(&L->b, fail_memory(L->b.err, n * sizeof *nodes)), NULL;
    for (const struct json *e = json_first(inbound); e && n && !L->b.code; e = json_next(e), at++) {
        struct reading r = {L, l, names, args, 0, MAX_ARGS};
        read_call(&r, e);
        nodes[at].args = arena_alloc(&L->scratch, r.count + 1, sizeof *args);
        nodes[at].out = arena_alloc(&L->scratch, 1, sizeof *nodes[at].out);
        if (!nodes[at].args || !nodes[at].out)
            return build_keep(&L->b, fail_memory(L->b.err, r.count * sizeof *args)), NULL;
        if (r.count) memcpy(nodes[at].args, args, r.count * sizeof *args);
        nodes[at].count = r.count;
    }
    *count = at;
    return nodes;
}

static void references(struct reading *r, const struct json *j, int depth)
{
    if (r->L->b.code) return;
    if (is_history(j)) return add_history(r, j, NULL);
    if (keras_history(j)) return add_history(r, keras_history(j), NULL);
    if ((!json_is_array(j) && !json_is_object(j)) || depth > MAX_NESTED)
        return keras_fail(r->L, r->l, RNND_CORRUPT, "wanted lists [layer, node, tensor], found %s", json_type_name(j));
    for (const struct json *e = json_first(j); e; e = json_next(e))
        references(r, e, depth + 1);
}

size_t keras_read_references(struct lowering *L, const struct keras_layer *l, const struct keras_names *names,
                             const struct json *j, struct keras_reference *out, size_t max)
{
    struct reading r = {L, l, names, out, 0, max};
    references(&r, j, 0);
    return L->b.code ? 0 : r.count;
}
