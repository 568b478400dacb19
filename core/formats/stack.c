/* stack.c -- wires a configured list of layers into a graph; "graph" configurations go to nodes.c. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/layers.h"
#include "core/formats/nodes.h"
#include "core/ops/op.h"

/* ---- building blocks ---- */

char *stack_text(struct arena *arena, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return n < 0 ? NULL : arena_string(arena, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void network_add_output(struct network *net, const char *name, size_t width)
{
    net->outputs[net->output_count++] = (rnnd_port){.name = name, .width = width, .rank = 1, .dim = {width}};
    net->output_width += width;
}

size_t stack_width(const struct stack *s, int value)
{
    const struct graph_value *v = &s->graph->values[value];
    return v->rank > 0 && v->dim[v->rank - 1] > 0 ? (size_t)v->dim[v->rank - 1] : 0;
}

rnnd_code stack_constant(struct stack *s, const char *layer, const char *what, int rank, size_t d0, size_t d1,
                         const float *data, int *value, rnnd_error *err)
{
    char name[256];
    snprintf(name, sizeof name, "%.120s.%.120s", layer, what);
    *value = graph_constant(s->graph, name, DTYPE_F32, rank, (const size_t[]){d0, d1}, data);
    return *value < 0 ? fail_memory(err, d0 * (d1 ? d1 : 1) * sizeof *data) : RNND_OK;
}

rnnd_code stack_take(struct stack *s, const char *layer, const char *what, int rank, size_t d0, size_t d1, float **data,
                     int *value, rnnd_error *err)
{
    char name[256];
    snprintf(name, sizeof name, "%.120s.%.120s", layer, what);
    *value = graph_constant_take(s->graph, name, DTYPE_F32, rank, (const size_t[]){d0, d1}, *data);
    if (*value < 0) return fail_memory(err, sizeof(struct graph_value));
    *data = NULL;
    return RNND_OK;
}

struct graph_node *stack_begin(struct stack *s, const char *op, const char *name, const int *inputs, int input_count,
                               int output_count, rnnd_error *err)
{
    int outputs[3] = {-1, -1, -1};
    for (int i = 0; i < output_count; i++) {
        outputs[i] = graph_value(s->graph, name);
        if (outputs[i] < 0) goto none;
    }
    struct graph_node *n = graph_node(s->graph, op_find(op), name, input_count, output_count);
    if (!n) goto none;
    for (int i = 0; i < input_count; i++)
        n->inputs[i] = inputs[i];
    for (int i = 0; i < output_count; i++)
        n->outputs[i] = outputs[i];
    return n;
none:
    fail_memory(err, sizeof *n);
    return NULL;
}

rnnd_code stack_infer(struct stack *s, struct graph_node *n, rnnd_error *err)
{
    return n->op->check(s->graph, n, err);
}

rnnd_code stack_node(struct stack *s, const char *op, const char *name, const int *inputs, int input_count, int *value,
                     rnnd_error *err)
{
    struct graph_node *n = stack_begin(s, op, name, inputs, input_count, 1, err);
    if (!n) return RNND_NO_MEMORY;
    *value = n->outputs[0];
    return stack_infer(s, n, err);
}

/* ---- inputs ---- */

static rnnd_code read_input(struct stack *s, const struct json *j, rnnd_port *port, rnnd_error *err)
{
    static const char *const known[] = {"name", "width", "ids", NULL};
    struct options o = {j, "an input"};
    struct source *source = &s->sources[s->source_count];
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = option_string(&o, "name", "input", s->arena, &port->name, err);
    if (code) return code;
    if ((json_get(j, "width") != NULL) == (json_get(j, "ids") != NULL))
        return fail_at(err, RNND_MISMATCH, "inputs", "input \"%.60s\": wanted either \"width\" or \"ids\"", port->name);
    for (size_t i = 0; i < s->source_count; i++)
        if (strcmp(s->sources[i].name, port->name) == 0)
            return fail_at(err, RNND_MISMATCH, "inputs", "two inputs are named \"%.60s\"", port->name);
    port->is_ids = json_get(j, "ids") != NULL;
    port->width = port->rank = 1;
    if (port->is_ids)
        code = option_size(&o, "ids", 1, 1 << 24, OPTION_REQUIRED, &port->limit, err); /* exact as floats */
    else
        code = option_size(&o, "width", 1, MAX_WIDTH, OPTION_REQUIRED, &port->width, err);
    if (code) return code;
    int value = graph_value(s->graph, port->name);
    if (value < 0 || graph_add_input(s->graph, value)) return fail_memory(err, sizeof(struct graph_value));
    graph_shape(s->graph, value, 3, (const int64_t[]){layers_stepwise(s->config) ? 1 : -1, -1, (int64_t)port->width});
    *source = (struct source){.name = port->name, .value = value, .last_value = -1, .ids = port->limit};
    s->source_count++;
    return RNND_OK;
}

static rnnd_code read_inputs(struct stack *s, struct network *net, rnnd_error *err)
{
    const struct json *list = json_get(s->config, "inputs");
    if (!json_is_array(list) || json_count(list) < 1 || json_count(list) > MAX_INPUTS)
        return fail_at(err, RNND_MISMATCH, "inputs", "\"inputs\" must be a list of 1 to %d inputs, found %s",
                       MAX_INPUTS, json_is_array(list) ? "another number" : json_type_name(list));
    for (const struct json *j = json_first(list); j; j = json_next(j)) {
        rnnd_port *port = &net->inputs[net->input_count++];
        rnnd_code code = read_input(s, j, port, err);
        if (code) return code;
        port->dim[0] = port->width;
        net->input_width += port->width;
    }
    s->input_count = s->source_count;
    return RNND_OK;
}

/* ---- layers: first who reads whom, then building ---- */

static rnnd_code find_source(const struct stack *s, const struct layer *l, const struct json *j, int *out,
                             rnnd_error *err)
{
    const char *name = json_string(j);
    for (size_t i = 0; name && i < s->source_count; i++)
        if (strcmp(s->sources[i].name, name) == 0) {
            *out = (int)i;
            return RNND_OK;
        }
    return fail_at(err, RNND_MISMATCH, "inputs", "%s: wanted the name of an input or an earlier layer, found %s%.60s%s",
                   l->options.where, name ? "\"" : "", name ? name : json_type_name(j), name ? "\"" : "");
}

static rnnd_code read_wiring(struct stack *s, struct layer *l, rnnd_error *err)
{
    const struct json *one = json_get(l->options.object, "input"), *many = json_get(l->options.object, "inputs");
    const struct layer_type *t = l->type;
    rnnd_code code = RNND_OK;
    if (one && many)
        return fail_at(err, RNND_MISMATCH, "inputs", "%s: has both \"input\" and \"inputs\"", l->options.where);
    if (many && !json_is_array(many))
        return fail_at(err, RNND_MISMATCH, "inputs", "%s: \"inputs\" must be a list of names, found %s",
                       l->options.where, json_type_name(many));
    if (one) {
        code = find_source(s, l, one, &l->sources[l->source_count++], err);
    } else if (many) {
        size_t n = json_count(many);
        if (n < t->min_inputs || n > t->max_inputs)
            return fail_at(err, RNND_MISMATCH, "inputs", "%s: wanted %zu to %zu inputs, found %zu", l->options.where,
                           t->min_inputs, t->max_inputs, n);
        for (const struct json *j = json_first(many); j && !code; j = json_next(j))
            code = find_source(s, l, j, &l->sources[l->source_count++], err);
    } else if (s->source_count == s->input_count && s->input_count > 1) {
        return fail_at(err, RNND_MISMATCH, "inputs",
                       "%s: the model has %zu inputs, so the first layer must name its own", l->options.where,
                       s->input_count);
    } else {
        l->sources[l->source_count++] = (int)s->source_count - 1;
    }
    if (!code && l->source_count < t->min_inputs)
        return fail_at(err, RNND_MISMATCH, "inputs", "%s: wanted at least %zu \"inputs\"", l->options.where,
                       t->min_inputs);
    return code;
}

static rnnd_code check_layer_keys(const struct layer *l, rnnd_error *err)
{
    static const char *const common[] = {"type", "name", "input", "inputs", "tensors"};
    const char *known[40];
    size_t n = 0;
    for (; n < 5; n++)
        known[n] = common[n];
    for (const char *const *k = l->type->keys; *k; k++)
        known[n++] = *k;
    known[n] = NULL;
    return options_check(&l->options, known, err);
}

static rnnd_code name_layer(struct stack *s, struct layer *l, rnnd_error *err)
{
    rnnd_code code = option_string(&l->options, "name", NULL, s->arena, &l->name, err);
    if (code) return code;
    for (int number = 0; !l->name; number++) { /* lstm, lstm_1, lstm_2 */
        char *name =
            number ? stack_text(s->arena, "%s_%d", l->type->name, number) : stack_text(s->arena, "%s", l->type->name);
        if (!name) return fail_memory(err, 64);
        bool taken = false;
        for (size_t i = 0; i < s->source_count; i++)
            taken |= strcmp(s->sources[i].name, name) == 0;
        if (!taken) l->name = name;
    }
    for (size_t i = 0; i < s->source_count; i++)
        if (strcmp(s->sources[i].name, l->name) == 0)
            return fail_at(err, RNND_MISMATCH, "layers", "two layers or inputs are named \"%.60s\"", l->name);
    l->options.where = stack_text(s->arena, "layer \"%.80s\"", l->name);
    return l->options.where ? RNND_OK : fail_memory(err, 100);
}

static rnnd_code read_layer(struct stack *s, const struct json *j, struct layer *l, rnnd_error *err)
{
    char where[48];
    snprintf(where, sizeof where, "layer number %zu", s->layer_count + 1);
    l->options = (struct options){j, where};
    const char *type = json_string(json_get(j, "type"));
    if (!type)
        return fail_at(err, RNND_MISMATCH, "type", "%s: wanted an object with a \"type\", found %s", where,
                       json_is_object(j) ? "one without" : json_type_name(j));
    l->type = layer_type_find(type);
    if (!l->type) return fail_at(err, RNND_UNSUPPORTED, "type", "%s: there is no layer type \"%.60s\"", where, type);
    rnnd_code code = name_layer(s, l, err);
    if (!code) code = check_layer_keys(l, err);
    if (!code) code = read_wiring(s, l, err);
    if (code) return code;
    l->names.object = json_get(j, "tensors");
    s->layer_count++;
    s->sources[s->source_count++] = (struct source){.name = l->name, .value = -1, .last_value = -1};
    return RNND_OK;
}

static rnnd_code read_layers(struct stack *s, rnnd_error *err)
{
    const struct json *list = json_get(s->config, "layers");
    if (!json_is_array(list) || json_count(list) < 1 || json_count(list) > MAX_LAYERS)
        return fail_at(err, RNND_MISMATCH, "layers", "\"layers\" must be a list of 1 to %d layers, found %s",
                       MAX_LAYERS, json_is_array(list) ? "another number" : json_type_name(list));
    s->layers = arena_alloc(s->arena, json_count(list), sizeof *s->layers);
    if (!s->layers) return fail_memory(err, json_count(list) * sizeof *s->layers);
    for (const struct json *j = json_first(list); j; j = json_next(j)) {
        rnnd_code code = read_layer(s, j, &s->layers[s->layer_count], err);
        if (code) return code;
    }
    /* Whole sequences are needed before what mixes time, and up to the end where all steps are wanted; what is left
     * behind the last such layer, the head, then runs on the last step alone. */
    s->layers[s->layer_count - 1].whole = !s->output_last;
    for (size_t i = s->layer_count; i-- > 0;) {
        const struct layer *l = &s->layers[i];
        for (size_t k = 0; k < l->source_count; k++) {
            int source = l->sources[k] - (int)s->input_count;
            if (source >= 0 && (l->type->across_time || l->whole)) s->layers[source].whole = true;
        }
    }
    for (size_t i = 0; i + 1 < s->layer_count; i++) {
        bool read = false;
        for (size_t k = i + 1; k < s->layer_count; k++)
            for (size_t n = 0; n < s->layers[k].source_count; n++)
                read |= s->layers[k].sources[n] == (int)(s->input_count + i);
        if (!read)
            return fail_at(err, RNND_MISMATCH, "layers",
                           "layer \"%.80s\": nothing reads it, and it is not the last layer", s->layers[i].name);
    }
    return RNND_OK;
}

/* Only the last step of a source, made once. */
static rnnd_code last_of(struct stack *s, struct source *source, int *value, rnnd_error *err)
{
    *value = source->value;
    if (source->one_step) return RNND_OK;
    if (source->last_value < 0) {
        rnnd_code code = stack_node(s, "last", source->name, &source->value, 1, &source->last_value, err);
        if (code) return code;
    }
    *value = source->last_value;
    return RNND_OK;
}

static rnnd_code build_layer(struct stack *s, struct layer *l, rnnd_layer *row, rnnd_error *err)
{
    struct source *own = &s->sources[s->input_count + (size_t)(l - s->layers)];
    size_t first_value = s->graph->value_count;
    for (size_t i = 0; i < l->source_count; i++) {
        struct source *from = &s->sources[l->sources[i]];
        l->inputs[i] = from->value;
        if (!l->whole && !l->type->across_time) {
            rnnd_code code = last_of(s, from, &l->inputs[i], err);
            if (code) return code;
        }
        row->inputs += stack_width(s, l->inputs[i]);
    }
    rnnd_code code = l->type->build(s, l, &own->value, err);
    if (!code) code = tensor_names_check(&l->names, l->name, err);
    if (code) return code;
    const struct graph *g = s->graph;
    own->one_step = g->values[own->value].dim[0] == 1;
    row->type = l->type->name;
    row->name = l->name;
    row->detail = l->detail ? l->detail : "";
    row->outputs = stack_width(s, own->value);
    for (size_t v = first_value; v < g->value_count; v++)
        if (g->values[v].is_constant) {
            uint64_t n = 1;
            for (int d = 0; d < g->values[v].rank; d++)
                n *= (uint64_t)g->values[v].dim[d];
            row->parameters += n;
        }
    return RNND_OK;
}

static rnnd_code build_layers(struct stack *s, struct network *net, rnnd_error *err)
{
    rnnd_code code = read_layers(s, err);
    if (code) return code;
    net->layers = arena_alloc(s->arena, s->layer_count, sizeof *net->layers);
    if (!net->layers) return fail_memory(err, s->layer_count * sizeof *net->layers);
    for (size_t i = 0; i < s->layer_count; i++) {
        code = build_layer(s, &s->layers[i], &net->layers[i], err);
        if (code) return code;
        checkpoint_forget(s->checkpoint); /* or all weights would be there twice */
    }
    net->layer_count = s->layer_count;
    static const char kinds[] = "hcx";
    for (const char *kind = kinds; *kind; kind++)
        for (size_t i = 0; i < s->state_count; i++) {
            const struct pending_state *p = &s->states[i];
            if (p->kind == *kind && graph_add_state(s->graph, p->name, p->kind, p->in, p->out, p->width, p->initial))
                return fail_memory(err, sizeof(struct graph_state));
        }
    struct source *last = &s->sources[s->source_count - 1];
    int output = last->value;
    if (s->output_last) code = last_of(s, last, &output, err);
    if (!code && graph_add_output(s->graph, output)) code = fail_memory(err, sizeof(int));
    network_add_output(net, last->name, stack_width(s, output));
    net->taps = arena_alloc(s->arena, s->layer_count + 1, sizeof *net->taps);
    if (!net->taps) return fail_memory(err, s->layer_count * sizeof *net->taps);
    net->taps[net->tap_count++] = (struct network_tap){.name = last->name, .value = output};
    net->named_outputs = 1;
    for (size_t i = s->input_count; i + 1 < s->source_count; i++)
        net->taps[net->tap_count++] = (struct network_tap){.name = s->sources[i].name, .value = s->sources[i].value};
    return code;
}

rnnd_code stack_build(const struct json *config, struct checkpoint *ck, struct graph *g, struct arena *arena,
                      struct network *out, rnnd_error *err)
{
    struct stack s = {.config = config, .checkpoint = ck, .graph = g, .arena = arena};
    const char *output = json_string(json_get(config, "output"));
    memset(out, 0, sizeof *out);
    s.output_last = g->output_last = output && strcmp(output, "last") == 0;
    s.sources = arena_alloc(arena, MAX_INPUTS + MAX_LAYERS, sizeof *s.sources);
    if (!s.sources) return fail_memory(err, (MAX_INPUTS + MAX_LAYERS) * sizeof *s.sources);
    rnnd_code code = read_inputs(&s, out, err);
    if (!code) code = json_get(config, "graph") ? nodes_build(&s, out, err) : build_layers(&s, out, err);
    mem_free(s.states);
    checkpoint_rest(ck); /* compiling makes packed copies */
    return code ? code : graph_compile(g, err);
}
