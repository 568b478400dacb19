/* graph_read_ends.c -- tensor graphs in JSON: inputs, outputs, and what people see of them. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/graph_read.h"
#include "core/formats/graph_read_private.h"
#include "core/formats/options.h"

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
    const struct json *shape = graph_member(o->object, "shape"), *axes = graph_member(o->object, "axes");
    struct place at = {"port", name, "shape"};
    int dtype;
    *p = (struct graph_port){.rank = -1, .batch_axis = -1, .time_axis = -1};
    rnnd_code code = option_choice(o, "dtype", dtypes, 0, &dtype, r->err);
    if (!code) code = graph_check_list(r, &at, shape, 0, MAX_RANK);
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
    if (!code) code = graph_new_value(r, s, &p, graph_member(j, "name"), &v);
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
    const struct json *shown = json_is_string(j) ? j : graph_member(j, "name"), *value = graph_member(j, "value");
    struct graph *g = r->g;
    int v;
    rnnd_code code = options_check(&o, known, r->err);
    if (!code) code = graph_find_value(r, s, &p, value ? value : shown, &v);
    if (!code && (v < 0 || !json_string(shown) || !*json_string(shown)))
        code = graph_wrong_name(r, &p, shown, "a name");
    for (size_t i = 0; i < g->input_count && value && !code; i++)
        if (g->inputs[i] == v) code = graph_wrong_name(r, &p, value, "another \"value\" than an input");
    for (size_t i = 0; i < g->output_count && !code; i++)
        if (g->outputs[i] == v ? value != NULL : strcmp(g->values[g->outputs[i]].name, json_string(shown)) == 0)
            code = graph_wrong_name(r, &p, shown, "one name for each value");
    if (!code && value) {
        g->values[v].name = arena_string(&g->arena, json_string(shown), strlen(json_string(shown)));
        if (!g->values[v].name) code = fail_memory(r->err, strlen(json_string(shown)));
    }
    if (!code) code = read_port(r, &o, json_string(shown), &g->output_ports[g->output_count]);
    if (!code && graph_add_output(g, v)) code = fail_memory(r->err, sizeof v);
    return code;
}

rnnd_code graph_read_ends(struct reader *r, const struct scope *s, const struct json *list, bool inputs)
{
    struct place p = {"graph", "", inputs ? "inputs" : "outputs"};
    rnnd_code code = graph_check_list(r, &p, list, 1, MAX_INPUTS);
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
    rnnd_code code = graph_check_list(r, &p, list, 0, NAMES_MAX);
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
        if (!code) code = graph_find_value(r, s, &p, o.object ? graph_member(j, "value") : j, &tap->value);
        tap->name = json_string(o.object ? graph_member(j, "name") : j);
        if (!code && (tap->value < 0 || !tap->name))
            code = graph_wrong_name(r, &p, j, "a name, or {\"name\", \"value\"}");
        if (!code && !(tap->name = arena_string(r->arena, tap->name, strlen(tap->name)))) code = fail_memory(r->err, 1);
        net->tap_count += !code;
    }
    return code;
}

rnnd_code graph_read_network(struct reader *r, const struct scope *s, const struct options *o)
{
    const struct json *layers = graph_member(o->object, "layers");
    struct place p = {"graph", "", "layers"};
    struct network *net = r->net;
    rnnd_code code = option_string(o, "framework", NULL, r->arena, &net->framework, r->err);
    if (!code) code = option_size(o, "window", 0, GRAPH_MAX_WHOLE, 0, &net->window, r->err);
    if (!code) code = option_bool(o, "stateful", false, &net->stateful, r->err);
    if (!code) code = graph_check_list(r, &p, layers, 0, GRAPH_MAX_LAYERS);
    if (code) return code;
    net->layers = arena_alloc(r->arena, json_count(layers) + 1, sizeof *net->layers);
    if (!net->layers) return fail_memory(r->err, json_count(layers) * sizeof *net->layers);
    for (const struct json *j = json_first(layers); j && !code; j = json_next(j))
        code = read_layer(r, j, &net->layers[net->layer_count++]);
    return code ? code : read_taps(r, s, graph_member(o->object, "names"));
}
