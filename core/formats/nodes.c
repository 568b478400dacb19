/* nodes.c -- "graph" configurations: any nodes over named values. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/nodes.h"
#include "core/ops/op.h"

static rnnd_code need_list(const struct json *j, const char *key, size_t max, rnnd_error *err)
{
    if (json_is_array(j) && json_count(j) >= 1 && json_count(j) <= max) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, key, "graph: \"%s\" must be a list of 1 to %zu, found %s", key, max,
                   json_is_array(j) ? "another number" : json_type_name(j));
}

static int known_value(const struct graph *g, const char *name)
{
    for (size_t i = 0; i < g->value_count; i++)
        if (strcmp(g->values[i].name, name) == 0) return (int)i;
    return -1;
}

/* An input's value number: known already, or a tensor that now becomes a constant; -1 for "". */
static rnnd_code find_value(struct stack *s, const char *node, const struct json *j, int *out, rnnd_error *err)
{
    const char *name = json_string(j);
    *out = -1;
    if (!name)
        return fail_at(err, RNND_MISMATCH, node, "node \"%.80s\": wanted names, found %s", node, json_type_name(j));
    if (!*name) return RNND_OK;
    *out = known_value(s->graph, name);
    if (*out >= 0) return RNND_OK;
    struct checkpoint_tensor *t = checkpoint_find(s->checkpoint, name);
    const float *data;
    if (!t)
        return fail_at(err, RNND_MISMATCH, name,
                       "node \"%.80s\": \"%.80s\" is no input, state, earlier output or tensor", node, name);
    rnnd_code code = checkpoint_floats(t, &data, err);
    if (code) return code;
    *out = graph_constant(s->graph, name, DTYPE_F32, t->rank, t->dim, data);
    return *out < 0 ? fail_memory(err, t->count * sizeof *data) : RNND_OK;
}

static rnnd_code add_attribute(struct stack *s, struct graph_node *n, const struct json *j, rnnd_error *err)
{
    struct graph *g = s->graph;
    double v = json_number(j);
    rnnd_code code;
    if (json_is_string(j) || json_is_object(j)) {
        struct act *act = arena_alloc(&g->arena, 1, sizeof *act);
        if (!act) return fail_memory(err, sizeof *act);
        code = act_of_json(j, n->name, json_key(j), act, err);
        if (code) return code;
        code = graph_attr_pointer(g, n, json_key(j), act);
    } else if (json_is_bool(j)) {
        code = graph_attr_int(g, n, json_key(j), json_true(j));
    } else if (!json_is_number(j)) {
        return fail_at(err, RNND_MISMATCH, json_key(j), "node \"%.80s\": attribute \"%.60s\" cannot be %s", n->name,
                       json_key(j), json_type_name(j));
    } else if (v == (double)(int32_t)(v >= -2147483648.0 && v <= 2147483647.0 ? v : 0)) {
        code = graph_attr_int(g, n, json_key(j), (int64_t)v);
    } else {
        code = graph_attr_float(g, n, json_key(j), (float)v);
    }
    return code ? fail_memory(err, sizeof(struct attr)) : RNND_OK;
}

/* A node as it is written; its shapes are inferred when all nodes and states are there. */
static rnnd_code add_node(struct stack *s, const struct json *j, rnnd_error *err)
{
    static const char *const known[] = {"op", "name", "inputs", "outputs", "attributes", NULL};
    struct options o = {j, "a node"};
    const struct json *in = json_get(j, "inputs"), *outs = json_get(j, "outputs");
    const char *name, *op_name;
    int inputs[MAX_INPUTS], outputs[4], count = 0, made = 0;
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = option_string(&o, "op", "", s->arena, &op_name, err);
    if (!code) code = option_string(&o, "name", op_name, s->arena, &name, err);
    if (!code) code = need_list(in, "inputs", MAX_INPUTS, err);
    if (!code) code = need_list(outs, "outputs", 4, err);
    if (code) return code;
    const struct op *op = op_find(op_name);
    if (!op) return fail_at(err, RNND_UNSUPPORTED, "op", "node \"%.80s\": there is no op \"%.60s\"", name, op_name);
    for (const struct json *e = json_first(in); e; e = json_next(e)) {
        code = find_value(s, name, e, &inputs[count++], err);
        if (code) return code;
    }
    for (const struct json *e = json_first(outs); e; e = json_next(e)) {
        const char *out = json_string(e);
        if (!out || (*out && known_value(s->graph, out) >= 0))
            return fail_at(err, RNND_MISMATCH, "outputs",
                           "node \"%.80s\": wanted new names as outputs, found %s\"%.60s\"", name,
                           out ? "" : json_type_name(e), out ? out : "");
        outputs[made] = graph_value(s->graph, out);
        if (outputs[made++] < 0) return fail_memory(err, sizeof(struct graph_value));
    }
    struct graph_node *n = graph_node(s->graph, op, name, count < op->max_inputs ? op->max_inputs : count, made);
    if (!n) return fail_memory(err, sizeof *n);
    if (count < op->min_inputs || count > op->max_inputs || made > op->outputs)
        return fail_at(err, RNND_MISMATCH, name,
                       "node \"%.80s\": %s takes %d to %d inputs and makes %d, found %d and %d", name, op_name,
                       op->min_inputs, op->max_inputs, op->outputs, count, made);
    memcpy(n->inputs, inputs, (size_t)count * sizeof *inputs);
    memcpy(n->outputs, outputs, (size_t)made * sizeof *outputs);
    if (op->max_inputs == MAX_INPUTS) n->input_count = count; /* lists have no absent places */
    for (const struct json *e = json_first(json_get(j, "attributes")); e; e = json_next(e)) {
        code = add_attribute(s, n, e, err);
        if (code) return code;
    }
    for (int i = 0; i < op->min_inputs; i++)
        if (n->inputs[i] < 0 && !op->owns_states)
            return fail_at(err, RNND_MISMATCH, name, "node \"%.80s\": its input %d must be there", name, i);
    return RNND_OK;
}

static rnnd_code infer_nodes(struct stack *s, struct network *net, rnnd_error *err)
{
    struct graph *g = s->graph;
    rnnd_code code = graph_sort_states(g, err);
    for (size_t i = 0; i < g->node_count && !code; i++) {
        struct graph_node *n = &g->nodes[i];
        rnnd_layer *row = &net->layers[net->layer_count++];
        *row = (rnnd_layer){.type = n->op->name, .name = n->name, .detail = ""};
        code = stack_infer(s, n, err);
        if (code) break;
        row->inputs = stack_width(s, n->inputs[0]);
        row->outputs = stack_width(s, n->outputs[0]);
    }
    return code;
}

static rnnd_code add_states(struct stack *s, bool after, rnnd_error *err)
{
    static const char *const known[] = {"in", "out", "width", "kind", "initial", NULL};
    static const char *const kinds[] = {"h", "c", "x", NULL};
    const struct json *list = json_get(s->config, "states");
    rnnd_code code = list ? need_list(list, "states", MAX_STATES, err) : RNND_OK;
    for (const struct json *j = json_first(list); j && !code; j = json_next(j)) {
        struct options o = {j, "a state"};
        const char *in, *out, *initial;
        const float *data = NULL;
        size_t width;
        int kind;
        code = options_check(&o, known, err);
        if (!code) code = option_string(&o, "in", "", s->arena, &in, err);
        if (!code) code = option_string(&o, "out", "", s->arena, &out, err);
        if (!code) code = option_string(&o, "initial", NULL, s->arena, &initial, err);
        if (!code) code = option_size(&o, "width", 1, MAX_WIDTH, OPTION_REQUIRED, &width, err);
        if (!code) code = option_choice(&o, "kind", kinds, 0, &kind, err);
        if (code) return code;
        int value = known_value(s->graph, in), next = known_value(s->graph, out);
        if (!after) { /* its input is there before any node */
            if (value >= 0 || !*in)
                return fail_at(err, RNND_MISMATCH, "states", "state \"%.60s\": wanted a new name", in);
            value = graph_value(s->graph, in);
            if (value < 0) return fail_memory(err, sizeof(struct graph_value));
            graph_shape(s->graph, value, 2, (const int64_t[]){-1, (int64_t)width});
            continue;
        }
        if (next < 0) return fail_at(err, RNND_MISMATCH, "states", "state \"%.60s\": no node makes \"%.60s\"", in, out);
        if (initial) {
            struct checkpoint_tensor *t = checkpoint_find(s->checkpoint, initial);
            code = tensor_floats(t, in, initial, 1, &width, &data, err);
        }
        if (!code && graph_add_state(s->graph, in, *kinds[kind], value, next, width, data))
            code = fail_memory(err, sizeof(struct graph_state));
    }
    return code;
}

static rnnd_code add_outputs(struct stack *s, const struct json *list, struct network *net, rnnd_error *err)
{
    rnnd_code code = need_list(list, "outputs", MAX_INPUTS, err);
    net->taps = code ? NULL : arena_alloc(s->arena, MAX_INPUTS, sizeof *net->taps);
    if (!code && !net->taps) code = fail_memory(err, MAX_INPUTS * sizeof *net->taps);
    for (const struct json *j = json_first(list); j && !code; j = json_next(j)) {
        const char *name = json_string(j);
        int value = name ? known_value(s->graph, name) : -1;
        if (value < 0)
            return fail_at(err, RNND_MISMATCH, "outputs", "graph: no node makes the output \"%.60s\"",
                           name ? name : "");
        const char *own = s->graph->values[value].name;
        if (s->graph->values[value].rank != 3)
            return fail_at(err, RNND_MISMATCH, "outputs", "graph: the output \"%.60s\" is no sequence of rows", own);
        if (s->output_last && s->graph->values[value].dim[0] != 1)
            code = stack_node(s, "last", own, &value, 1, &value, err);
        else if (!s->output_last && s->graph->values[value].dim[0] == 1 && !s->graph->stepwise)
            code = fail_at(err, RNND_MISMATCH, "output",
                           "graph: \"%.60s\" has one step only, so \"output\" must be \"last\"", own);
        if (!code && graph_add_output(s->graph, value)) code = fail_memory(err, sizeof(int));
        if (!code) network_add_output(net, own, stack_width(s, value));
        if (!code) net->taps[net->tap_count++] = (struct network_tap){.name = own, .value = value};
    }
    net->named_outputs = net->tap_count;
    return code;
}

rnnd_code nodes_build(struct stack *s, struct network *net, rnnd_error *err)
{
    static const char *const known[] = {"nodes", "outputs", NULL};
    struct options o = {json_get(s->config, "graph"), "graph"};
    const struct json *nodes = json_get(o.object, "nodes");
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = need_list(nodes, "nodes", MAX_NODES, err);
    if (code) return code;
    net->layers = arena_alloc(s->arena, json_count(nodes), sizeof *net->layers);
    if (!net->layers) return fail_memory(err, json_count(nodes) * sizeof *net->layers);
    code = add_states(s, false, err);
    for (const struct json *j = json_first(nodes); j && !code; j = json_next(j))
        code = add_node(s, j, err);
    if (!code) code = add_states(s, true, err);
    if (!code) code = infer_nodes(s, net, err);
    return code ? code : add_outputs(s, json_get(o.object, "outputs"), net, err);
}
