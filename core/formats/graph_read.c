/* graph_read.c -- tensor graphs in JSON: ends, nodes, bodies. Trusts nothing in them. */
#include "core/formats/graph_read.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/graph_attribute.h"
#include "core/formats/graph_builder.h"
#include "core/formats/names.h"
#include "core/formats/options.h"
#include "core/ops/op.h"

struct reader {
    struct checkpoint *ck;
    struct graph *g;
    struct arena *arena;
    struct network *net;
    struct names names;
    uint32_t scopes; /* numbers given */
    size_t nodes;    /* of all bodies */
    rnnd_error *err;
};

struct scope {
    const struct scope *parent; /* NULL: the graph itself, whose number is 1 */
    uint32_t id;
    struct graph_body *body;
    int depth;
};

bool graph_in_config(const struct json *config)
{
    return json_get(json_get(config, "graph"), "inputs") != NULL;
}

/* A member; null counts as not there. */
static const struct json *get(const struct json *object, const char *key)
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

/* Who and where, for messages: node "lstm", inputs. */
struct place { const char *kind, *name, *field; };

static const char *place_text(const struct place *p, char text[160])
{
    snprintf(text, 160, *p->name ? "%s \"%.80s\", %s" : "%s%s, %s", p->kind, p->name, p->field);
    return text;
}

static rnnd_code wrong_name(struct reader *r, const struct place *p, const struct json *j, const char *wanted)
{
    const char *name = json_string(j), *mark = name ? "\"" : "";
    char at[160];
    return fail_at(r->err, RNND_MISMATCH, p->field, "%s: wanted %s, found %s%.80s%s", place_text(p, at), wanted, mark,
                   name ? name : json_type_name(j), mark);
}

/* The value of a name: known already, or a tensor that now becomes a constant; -1 for "". */
static rnnd_code find_value(struct reader *r, const struct scope *s, const struct place *p, const struct json *j,
                            int *out)
{
    const char *name = json_string(j);
    *out = -1;
    if (name && !*name) return RNND_OK;
    const struct name *slot = name ? visible(r, s, name) : NULL;
    struct checkpoint_tensor *t = name && !slot ? checkpoint_find(r->ck, name) : NULL;
    if (!slot && !t) return wrong_name(r, p, j, "the name of an input, an earlier output or a tensor");
    *out = slot ? slot->value : checkpoint_constant(r->g, t);
    if (*out < 0) return fail_memory(r->err, t->count * stored_types[t->stored].bytes);
    return slot ? RNND_OK : names_add(&r->names, 1, key_of(t->name), *out, key_of(""), r->err);
}

static rnnd_code new_value(struct reader *r, const struct scope *s, const struct place *p, const struct json *j,
                           int *out)
{
    const char *name = json_string(j);
    if (!name || !*name || visible(r, s, name) || checkpoint_find(r->ck, name))
        return wrong_name(r, p, j, "a new name");
    *out = graph_value(r->g, name);
    if (*out < 0) return fail_memory(r->err, strlen(name));
    return names_add(&r->names, s->id, key_of(r->g->values[*out].name), *out, key_of(""), r->err);
}

/* A list of at most `most` elements; NULL counts as an empty one. */
static rnnd_code check_list(struct reader *r, const struct place *p, const struct json *j, size_t least, size_t most)
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
        code = find_value(r, s, &p, j, &n->inputs[at++]);
    return code;
}

static rnnd_code read_outputs(struct reader *r, const struct scope *s, struct graph_node *n, const struct json *list)
{
    struct place p = {"node", n->name, "outputs"};
    rnnd_code code = RNND_OK;
    int at = 0;
    for (const struct json *j = json_first(list); j && !code; j = json_next(j), at++)
        if (!json_is_string(j) || *json_string(j)) code = new_value(r, s, &p, j, &n->outputs[at]);
    return code;
}

static rnnd_code read_body(struct reader *r, const struct scope *outer, struct graph_node *n, const struct json *j)
{
    static const char *const known[] = {"inputs", "nodes", "outputs", NULL};
    struct place p = {"a body of node", n->name, "inputs"};
    struct options o = {j, "a body"};
    const struct json *in = get(j, "inputs"), *out = get(j, "outputs");
    struct scope s = {outer, ++r->scopes, NULL, outer->depth + 1};
    rnnd_code code = options_check(&o, known, r->err);
    if (!code && s.depth > GRAPH_MAX_DEPTH)
        code = fail_at(r->err, RNND_TOO_LARGE, "bodies", "node \"%.80s\": bodies within bodies, more than %d deep",
                       n->name, GRAPH_MAX_DEPTH);
    if (!code) code = check_list(r, &p, in, 0, GRAPH_MAX_PORTS);
    p.field = "outputs";
    if (!code) code = check_list(r, &p, out, 1, GRAPH_MAX_PORTS);
    if (code) return code;
    struct graph_body *b = s.body = graph_add_body(r->g, n);
    if (!b) return fail_memory(r->err, sizeof *b);
    b->inputs = arena_alloc(&r->g->arena, json_count(in) + 1, sizeof *b->inputs);
    b->outputs = arena_alloc(&r->g->arena, json_count(out) + 1, sizeof *b->outputs);
    if (!b->inputs || !b->outputs) return fail_memory(r->err, json_count(in) * sizeof *b->inputs);
    p.field = "inputs";
    for (j = json_first(in); j && !code; j = json_next(j))
        code = new_value(r, &s, &p, j, &b->inputs[b->input_count++]);
    if (!code) code = read_nodes(r, &s, &p, get(o.object, "nodes"));
    p.field = "outputs";
    for (j = json_first(out); j && !code; j = json_next(j)) {
        code = find_value(r, &s, &p, j, &b->outputs[b->output_count++]);
        if (!code && b->outputs[b->output_count - 1] < 0) code = wrong_name(r, &p, j, "a name");
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
    rnnd_code code = check_list(r, &p, list, 0, 2);
    for (const struct json *j = json_first(list); j && !code; j = json_next(j))
        code = read_body(r, s, n, j);
    return code;
}

static rnnd_code read_node(struct reader *r, const struct scope *s, const struct json *j)
{
    static const char *const known[] = {"op", "name", "inputs", "outputs", "attributes", "bodies", NULL};
    struct options o = {j, "a node"};
    const struct json *in = get(j, "inputs"), *out = get(j, "outputs");
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
    code = check_list(r, &p, in, 0, GRAPH_MAX_PORTS);
    p.field = "outputs";
    if (!code) code = check_list(r, &p, out, 1, GRAPH_MAX_PORTS);
    if (code) return code;
    struct graph_node *n = graph_node_in(r->g, s->body, op, name, (int)json_count(in), (int)json_count(out));
    if (!n) return fail_memory(r->err, sizeof *n);
    code = read_inputs(r, s, n, in);
    if (!code) code = graph_read_attributes(r->g, n, get(j, "attributes"), r->err);
    if (!code) code = read_bodies(r, s, n, get(j, "bodies")); /* adds to other lists than the one n stands in */
    return code ? code : read_outputs(r, s, n, out);
}

static rnnd_code read_nodes(struct reader *r, const struct scope *s, const struct place *owner, const struct json *list)
{
    struct place p = {owner->kind, owner->name, "nodes"};
    rnnd_code code = check_list(r, &p, list, 0, BUILDER_MAX_NODES - r->nodes);
    r->nodes += json_count(list);
    for (const struct json *j = json_first(list); j && !code; j = json_next(j))
        code = read_node(r, s, j);
    return code;
}

/* ---- ends ---- */

rnnd_code graph_read_axes(const struct json *list, struct graph_port *p, const char *name, rnnd_error *err)
{
    static const char *const names[] = {"batch", "time", "feature"};
    int at = 0;
    p->batch_axis = p->time_axis = -1;
    for (const struct json *j = json_first(list); j; j = json_next(j), at++) {
        const char *s = json_string(j);
        int kind = -1;
        for (int k = 0; k < 3; k++)
            if (s && strcmp(s, names[k]) == 0) kind = k;
        int *axis = kind == 0 ? &p->batch_axis : kind == 1 ? &p->time_axis : NULL;
        if (kind < 0 || (axis && *axis >= 0))
            return fail_at(err, RNND_MISMATCH, "axes",
                           "\"%.60s\": \"axes\" are \"batch\", \"time\" (once each at most) and \"feature\"", name);
        if (axis) *axis = at;
    }
    if (at != p->rank)
        return fail_at(err, RNND_MISMATCH, "axes", "\"%.60s\": wanted as many axes as its shape has, %d, found %d",
                       name, p->rank < 0 ? 0 : p->rank, at);
    return RNND_OK;
}

/* {"dtype", "shape", "axes"} */
static rnnd_code read_port(struct reader *r, const struct options *o, const char *name, struct graph_port *p)
{
    static const char *const dtypes[] = {"F32", "I64", "BOOL", NULL}; /* as enum dtype */
    const struct json *shape = get(o->object, "shape"), *axes = get(o->object, "axes");
    struct place at = {"port", name, "shape"};
    int dtype;
    *p = (struct graph_port){.rank = -1, .batch_axis = -1, .time_axis = -1};
    rnnd_code code = option_choice(o, "dtype", dtypes, 0, &dtype, r->err);
    if (!code) code = check_list(r, &at, shape, 0, MAX_RANK);
    if (code) return code;
    p->dtype = (enum dtype)dtype;
    if (shape) p->rank = 0;
    for (const struct json *j = json_first(shape); j; j = json_next(j)) {
        int64_t *dim = &p->dim[p->rank++];
        *dim = -1;
        if (!json_is_null(j) && !json_whole(j, 1, INT64_C(1) << 48, dim))
            return fail_at(r->err, RNND_MISMATCH, "shape",
                           "\"%.60s\", shape: wanted whole numbers from 1 on, null where free, found %s", name,
                           json_type_name(j));
    }
    return axes ? graph_read_axes(axes, p, name, r->err) : RNND_OK;
}

static rnnd_code read_input(struct reader *r, const struct scope *s, const struct json *j)
{
    static const char *const known[] = {"name", "dtype", "shape", "axes", "ids", NULL};
    struct options o = {j, "an input of the graph"};
    struct place p = {"graph", "", "inputs"};
    struct graph_port *port = &r->g->input_ports[r->g->input_count];
    rnnd_port *row = &r->net->inputs[r->net->input_count++];
    int v;
    rnnd_code code = options_check(&o, known, r->err);
    if (!code) code = new_value(r, s, &p, get(j, "name"), &v);
    if (code) return code;
    const char *name = r->g->values[v].name;
    code = read_port(r, &o, name, port);
    if (!code) code = option_size(&o, "ids", 0, INT32_MAX, 0, &row->limit, r->err);
    if (!code && row->limit && port->dtype != DTYPE_I64)
        code = fail_at(r->err, RNND_MISMATCH, "ids", "input \"%.60s\": \"ids\" are of dtype I64", name);
    if (code) return code;
    row->name = arena_string(r->arena, name, strlen(name));
    row->is_ids = row->limit != 0;
    if (!row->name) return fail_memory(r->err, strlen(name));
    r->g->values[v].dtype = port->dtype;
    graph_shape(r->g, v, port->rank, port->dim);
    return graph_add_input(r->g, v) ? fail_memory(r->err, sizeof v) : RNND_OK;
}

/* A name, or {"name", "value", ..}: the value by another name than its own. */
static rnnd_code read_output(struct reader *r, const struct scope *s, const struct json *j)
{
    static const char *const known[] = {"name", "value", "dtype", "shape", "axes", NULL};
    struct options o = {json_is_string(j) ? NULL : j, "an output of the graph"};
    struct place p = {"graph", "", "outputs"};
    const struct json *shown = json_is_string(j) ? j : get(j, "name"), *value = get(j, "value");
    struct graph *g = r->g;
    int v;
    rnnd_code code = options_check(&o, known, r->err);
    if (!code) code = find_value(r, s, &p, value ? value : shown, &v);
    if (!code && (v < 0 || !json_string(shown) || !*json_string(shown))) code = wrong_name(r, &p, shown, "a name");
    for (size_t i = 0; i < g->input_count && value && !code; i++)
        if (g->inputs[i] == v) code = wrong_name(r, &p, value, "another \"value\" than an input");
    if (!code && value) {
        g->values[v].name = arena_string(&g->arena, json_string(shown), strlen(json_string(shown)));
        if (!g->values[v].name) code = fail_memory(r->err, strlen(json_string(shown)));
    }
    if (!code) code = read_port(r, &o, json_string(shown), &g->output_ports[g->output_count]);
    if (!code && graph_add_output(g, v)) code = fail_memory(r->err, sizeof v);
    return code;
}

static rnnd_code read_ends(struct reader *r, const struct scope *s, const struct json *list, bool inputs)
{
    struct place p = {"graph", "", inputs ? "inputs" : "outputs"};
    rnnd_code code = check_list(r, &p, list, 1, MAX_INPUTS);
    struct graph_port **ports = inputs ? &r->g->input_ports : &r->g->output_ports;
    if (!code && !(*ports = arena_alloc(&r->g->arena, MAX_INPUTS, sizeof **ports)))
        code = fail_memory(r->err, MAX_INPUTS * sizeof **ports);
    for (const struct json *j = json_first(list); j && !code; j = json_next(j))
        code = inputs ? read_input(r, s, j) : read_output(r, s, j);
    return code;
}

/* ---- what people see of it ---- */

static rnnd_code read_layer(struct reader *r, const struct json *j, rnnd_layer *row)
{
    static const char *const known[] = {"type", "name", "detail", "inputs", "outputs", "parameters", NULL};
    struct options o = {j, "a layer of the graph"};
    int64_t parameters;
    rnnd_code code = options_check(&o, known, r->err);
    if (!code) code = option_string(&o, "type", "", r->arena, &row->type, r->err);
    if (!code) code = option_string(&o, "name", "", r->arena, &row->name, r->err);
    if (!code) code = option_string(&o, "detail", "", r->arena, &row->detail, r->err);
    if (!code) code = option_size(&o, "inputs", 0, GRAPH_MAX_WHOLE, 0, &row->inputs, r->err);
    if (!code) code = option_size(&o, "outputs", 0, GRAPH_MAX_WHOLE, 0, &row->outputs, r->err);
    if (!code) code = option_whole(&o, "parameters", 0, GRAPH_MAX_WHOLE, 0, &parameters, r->err);
    if (!code) row->parameters = (uint64_t)parameters;
    return code;
}

/* The values that can be read by name: outputs, then what "names" lists: names, or {"name", "value"}. */
static rnnd_code read_taps(struct reader *r, const struct scope *s, const struct json *list)
{
    static const char *const known[] = {"name", "value", NULL};
    struct place p = {"graph", "", "names"};
    struct network *net = r->net;
    rnnd_code code = check_list(r, &p, list, 0, NAMES_MAX);
    net->taps = code ? NULL : arena_alloc(r->arena, r->g->output_count + json_count(list) + 1, sizeof *net->taps);
    if (!net->taps) return code ? code : fail_memory(r->err, json_count(list) * sizeof *net->taps);
    for (size_t i = 0; i < r->g->output_count; i++) {
        const char *name = r->g->values[r->g->outputs[i]].name;
        struct network_tap *tap = &net->taps[net->tap_count++];
        *tap = (struct network_tap){.name = arena_string(r->arena, name, strlen(name)), .value = r->g->outputs[i]};
        if (!tap->name) return fail_memory(r->err, strlen(name));
    }
    net->named_outputs = net->tap_count;
    for (const struct json *j = json_first(list); j && !code; j = json_next(j)) {
        struct options o = {json_is_string(j) ? NULL : j, "a name of the graph"};
        struct network_tap *tap = &net->taps[net->tap_count];
        code = options_check(&o, known, r->err);
        if (!code) code = find_value(r, s, &p, o.object ? get(j, "value") : j, &tap->value);
        tap->name = json_string(o.object ? get(j, "name") : j);
        if (!code && (tap->value < 0 || !tap->name)) code = wrong_name(r, &p, j, "a name, or {\"name\", \"value\"}");
        if (!code && !(tap->name = arena_string(r->arena, tap->name, strlen(tap->name)))) code = fail_memory(r->err, 1);
        net->tap_count += !code;
    }
    return code;
}

static rnnd_code read_network(struct reader *r, const struct scope *s, const struct options *o)
{
    const struct json *layers = get(o->object, "layers");
    struct place p = {"graph", "", "layers"};
    struct network *net = r->net;
    rnnd_code code = option_string(o, "framework", NULL, r->arena, &net->framework, r->err);
    if (!code) code = option_size(o, "window", 0, GRAPH_MAX_WHOLE, 0, &net->window, r->err);
    if (!code) code = option_bool(o, "stateful", false, &net->stateful, r->err);
    if (!code) code = check_list(r, &p, layers, 0, GRAPH_MAX_LAYERS);
    if (code) return code;
    net->layers = arena_alloc(r->arena, json_count(layers) + 1, sizeof *net->layers);
    if (!net->layers) return fail_memory(r->err, json_count(layers) * sizeof *net->layers);
    for (const struct json *j = json_first(layers); j && !code; j = json_next(j))
        code = read_layer(r, j, &net->layers[net->layer_count++]);
    return code ? code : read_taps(r, s, get(o->object, "names"));
}

rnnd_code graph_read(struct checkpoint *ck, const struct json *config, struct graph *g, struct arena *arena,
                     struct network *net, rnnd_error *err)
{
    static const char *const known[] = {"inputs",    "nodes",  "outputs",  "names", "layers",
                                        "framework", "window", "stateful", NULL};
    struct reader r = {.ck = ck, .g = g, .arena = arena, .net = net, .scopes = 1, .err = err};
    struct options o = {get(config, "graph"), "graph"};
    const struct scope s = {.id = 1};
    const struct place p = {"graph", "", ""};
    g->tensors = true;
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = read_ends(&r, &s, get(o.object, "inputs"), true);
    if (!code) code = read_nodes(&r, &s, &p, get(o.object, "nodes"));
    if (!code) code = read_ends(&r, &s, get(o.object, "outputs"), false);
    if (!code) code = read_network(&r, &s, &o);
    names_free(&r.names);
    return code;
}
