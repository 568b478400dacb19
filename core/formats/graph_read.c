/* graph_read.c -- tensor graphs in JSON: values, nodes, bodies. Trusts nothing in them. */
#include "core/formats/graph_read.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/graph_attribute.h"
#include "core/formats/graph_builder.h"
#include "core/formats/graph_read_private.h"
#include "core/formats/options.h"
#include "core/ops/op.h"

bool graph_in_config(const struct json *config)
{
    return json_get(json_get(config, "graph"), "inputs") != NULL;
}

const struct json *graph_member(const struct json *object, const char *key)
{
    const struct json *j = json_get(object, key);
    return json_is_null(j) ? NULL : j;
}

static struct bytes key_of(const char *name)
{
    return bytes_of(name, strlen(name));
}

/* ---- values ---- */

static const struct name *visible(const struct reader *r, const struct scope *s, const char *name)
{
    for (; s; s = s->parent) {
        const struct name *slot = names_find(&r->names, s->id, key_of(name));
        if (slot) return slot;
    }
    return NULL;
}

static const char *place_text(const struct place *p, char text[160])
{
    snprintf(text, 160, *p->name ? "%s \"%.80s\", %s" : "%s%s, %s", p->kind, p->name, p->field);
    return text;
}

rnnd_code graph_wrong_name(struct reader *r, const struct place *p, const struct json *j, const char *wanted)
{
    const char *name = json_string(j), *mark = name ? "\"" : "";
    char at[160];
    return fail_at(r->err, RNND_MISMATCH, p->field, "%s: wanted %s, found %s%.80s%s", place_text(p, at), wanted, mark,
                   name ? name : json_type_name(j), mark);
}

rnnd_code graph_find_value(struct reader *r, const struct scope *s, const struct place *p, const struct json *j,
                           int *out)
{
    const char *name = json_string(j);
    *out = -1;
    if (name && !*name) return RNND_OK;
    const struct name *slot = name ? visible(r, s, name) : NULL;
    struct checkpoint_tensor *t = name && !slot ? checkpoint_find(r->ck, name) : NULL;
    if (!slot && !t) return graph_wrong_name(r, p, j, "the name of an input, an earlier output or a tensor");
    *out = slot ? slot->value : checkpoint_constant(r->g, t);
    if (*out < 0) return fail_memory(r->err, t->count * stored_types[t->stored].bytes);
    return slot ? RNND_OK : names_add(&r->names, 1, key_of(t->name), *out, key_of(""), r->err);
}

rnnd_code graph_new_value(struct reader *r, const struct scope *s, const struct place *p, const struct json *j,
                          int *out)
{
    const char *name = json_string(j);
    if (!name || !*name || visible(r, s, name) || checkpoint_find(r->ck, name))
        return graph_wrong_name(r, p, j, "a new name");
    *out = graph_value(r->g, name);
    if (*out < 0) return fail_memory(r->err, strlen(name));
    return names_add(&r->names, s->id, key_of(r->g->values[*out].name), *out, key_of(""), r->err);
}

rnnd_code graph_check_list(struct reader *r, const struct place *p, const struct json *j, size_t least, size_t most)
{
    size_t count = json_count(j);
    char at[160];
    if ((!j || json_is_array(j)) && count >= least && count <= most) return RNND_OK;
    return fail_at(r->err, RNND_MISMATCH, p->field, "%s: wanted a list of %zu to %zu, found %s of %zu",
                   place_text(p, at), least, most, json_type_name(j), count);
}

/* ---- nodes ---- */

static rnnd_code read_nodes(struct reader *r, const struct scope *s, const struct place *owner,
                            const struct json *list);

static rnnd_code read_inputs(struct reader *r, const struct scope *s, struct graph_node *n, const struct json *list)
{
    struct place p = {"node", n->name, "inputs"};
    rnnd_code code = RNND_OK;
    int at = 0;
    for (const struct json *j = json_first(list); j && !code; j = json_next(j))
        code = graph_find_value(r, s, &p, j, &n->inputs[at++]);
    return code;
}

static rnnd_code read_outputs(struct reader *r, const struct scope *s, struct graph_node *n, const struct json *list)
{
    struct place p = {"node", n->name, "outputs"};
    rnnd_code code = RNND_OK;
    int at = 0;
    for (const struct json *j = json_first(list); j && !code; j = json_next(j), at++)
        if (!json_is_string(j) || *json_string(j)) code = graph_new_value(r, s, &p, j, &n->outputs[at]);
    return code;
}

static rnnd_code read_body(struct reader *r, const struct scope *outer, struct graph_node *n, const struct json *j)
{
    static const char *const known[] = {"inputs", "nodes", "outputs", NULL};
    struct place p = {"a body of node", n->name, "inputs"};
    struct options o = {j, "a body"};
    const struct json *in = graph_member(j, "inputs"), *out = graph_member(j, "outputs");
    struct scope s = {outer, ++r->scopes, NULL, outer->depth + 1};
    rnnd_code code = options_check(&o, known, r->err);
    if (!code && s.depth > GRAPH_MAX_DEPTH)
        code = fail_at(r->err, RNND_TOO_LARGE, "bodies", "node \"%.80s\": bodies within bodies, more than %d deep",
                       n->name, GRAPH_MAX_DEPTH);
    if (!code) code = graph_check_list(r, &p, in, 0, GRAPH_MAX_PORTS);
    p.field = "outputs";
    if (!code) code = graph_check_list(r, &p, out, 1, GRAPH_MAX_PORTS);
    if (code) return code;
    struct graph_body *b = s.body = graph_add_body(r->g, n);
    if (!b) return fail_memory(r->err, sizeof *b);
    b->inputs = arena_alloc(&r->g->arena, json_count(in) + 1, sizeof *b->inputs);
    b->outputs = arena_alloc(&r->g->arena, json_count(out) + 1, sizeof *b->outputs);
    if (!b->inputs || !b->outputs) return fail_memory(r->err, json_count(in) * sizeof *b->inputs);
    p.field = "inputs";
    for (j = json_first(in); j && !code; j = json_next(j))
        code = graph_new_value(r, &s, &p, j, &b->inputs[b->input_count++]);
    if (!code) code = read_nodes(r, &s, &p, graph_member(o.object, "nodes"));
    p.field = "outputs";
    for (j = json_first(out); j && !code; j = json_next(j)) {
        code = graph_find_value(r, &s, &p, j, &b->outputs[b->output_count++]);
        if (!code && b->outputs[b->output_count - 1] < 0) code = graph_wrong_name(r, &p, j, "a name");
    }
    return code;
}

static rnnd_code read_bodies(struct reader *r, const struct scope *s, struct graph_node *n, const struct json *list)
{
    static const char *const owners[] = {"If", "Loop", "Scan"};
    struct place p = {"node", n->name, "bodies"};
    bool owner = false;
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++)
        owner = owner || strcmp(owners[i], n->op->name) == 0;
    if (list && !owner)
        return fail_at(r->err, RNND_MISMATCH, "bodies", "node \"%.80s\": %s has no bodies", n->name, n->op->name);
    rnnd_code code = graph_check_list(r, &p, list, 0, 2);
    for (const struct json *j = json_first(list); j && !code; j = json_next(j))
        code = read_body(r, s, n, j);
    return code;
}

static rnnd_code read_node(struct reader *r, const struct scope *s, const struct json *j)
{
    static const char *const known[] = {"op", "name", "inputs", "outputs", "attributes", "bodies", NULL};
    struct options o = {j, "a node"};
    const struct json *in = graph_member(j, "inputs"), *out = graph_member(j, "outputs");
    const char *name, *op_name;
    rnnd_code code = options_check(&o, known, r->err);
    if (!code) code = option_string(&o, "op", "", r->arena, &op_name, r->err);
    if (!code) code = option_string(&o, "name", op_name, r->arena, &name, r->err);
    if (code) return code;
    const struct op *op =
        *op_name >= 'A' && *op_name <= 'Z' ? op_find(op_name) : NULL; /* the others are of sequences */
    if (!op)
        return fail_at(r->err, RNND_UNSUPPORTED, "op", "node \"%.80s\": there is no tensor operator \"%.60s\"", name,
                       op_name);
    struct place p = {"node", name, "inputs"};
    code = graph_check_list(r, &p, in, 0, GRAPH_MAX_PORTS);
    p.field = "outputs";
    if (!code) code = graph_check_list(r, &p, out, 1, GRAPH_MAX_PORTS);
    if (code) return code;
    struct graph_node *n = graph_node_in(r->g, s->body, op, name, (int)json_count(in), (int)json_count(out));
    if (!n) return fail_memory(r->err, sizeof *n);
    code = read_inputs(r, s, n, in);
    if (!code) code = graph_read_attributes(r->g, n, graph_member(j, "attributes"), r->err);
    if (!code)
        code = read_bodies(r, s, n, graph_member(j, "bodies")); /* adds to other lists than the one n stands in */
    return code ? code : read_outputs(r, s, n, out);
}

static rnnd_code read_nodes(struct reader *r, const struct scope *s, const struct place *owner, const struct json *list)
{
    struct place p = {owner->kind, owner->name, "nodes"};
    rnnd_code code = graph_check_list(r, &p, list, 0, BUILDER_MAX_NODES - r->nodes);
    r->nodes += json_count(list);
    for (const struct json *j = json_first(list); j && !code; j = json_next(j))
        code = read_node(r, s, j);
    return code;
}

rnnd_code graph_read(struct checkpoint *ck, const struct json *config, struct graph *g, struct arena *arena,
                     struct network *net, rnnd_error *err)
{
    static const char *const known[] = {"inputs",    "nodes",  "outputs",  "names", "layers",
                                        "framework", "window", "stateful", NULL};
    struct reader r = {.ck = ck, .g = g, .arena = arena, .net = net, .scopes = 1, .err = err};
    struct options o = {graph_member(config, "graph"), "graph"};
    const struct scope s = {.id = 1};
    const struct place p = {"graph", "", ""};
    g->tensors = true;
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = graph_read_ends(&r, &s, graph_member(o.object, "inputs"), true);
    if (!code) code = read_nodes(&r, &s, &p, graph_member(o.object, "nodes"));
    if (!code) code = graph_read_ends(&r, &s, graph_member(o.object, "outputs"), false);
    if (!code) code = graph_read_network(&r, &s, &o);
    names_free(&r.names);
    return code;
}
