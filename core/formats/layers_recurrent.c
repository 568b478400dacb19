/* layers_recurrent.c -- LSTM, GRU and RNN layers of a configuration: one cell node per stacked layer and direction. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/layers.h"
#include "core/ops/op.h"

#define MAX_CELL_STATES 4096 /* of all layers: compiling takes time as its square */

static const char *const directions[] = {"forward", "reverse", "bidirectional", NULL};
static const char *const merges[] = {"concat", "sum", "mul", "ave", NULL};
static const char *const layouts[] = {DIALECT_LAYOUTS, NULL};
static const char *const resets[] = {"after", "before", NULL};
static const char *const updates[] = {"keep", "new", NULL};
static const char *const couplings[] = {"none", "input", "forget", NULL};

struct cell_options { /* a recurrent layer as configured */
    enum cell_kind kind;
    const struct dialect *dialect;
    size_t hidden, layers, projection, width; /* width of h */
    int direction, merge, reset, update, coupled;
    bool bias, peephole, sequences;
    float clip, cell_clip, projection_clip, forget_bias;
    struct act gate, cell, out;
    const float *initial_h, *initial_c; /* [layers * directions][width], [..][hidden], or NULL */
};

static size_t direction_count(const struct cell_options *o)
{
    return o->direction == 2 ? 2 : 1;
}

static rnnd_code read_activations(const struct layer *l, struct cell_options *o, rnnd_error *err)
{
    static const char *const lstm[] = {"gate", "cell", "out", NULL}, *const gru[] = {"gate", "cell", NULL};
    struct options acts = {json_get(l->options.object, "activations"), l->options.where};
    o->gate = (struct act){.kind = ACT_SIGMOID};
    o->cell = o->out = (struct act){.kind = ACT_TANH};
    if (o->kind == CELL_RNN) return option_act(&l->options, "nonlinearity", o->cell, &o->cell, err);
    if (json_is_null(acts.object)) return RNND_OK;
    rnnd_code code = options_check(&acts, o->kind == CELL_LSTM ? lstm : gru, err);
    if (!code) code = option_act(&acts, "gate", o->gate, &o->gate, err);
    if (!code) code = option_act(&acts, "cell", o->cell, &o->cell, err);
    return code ? code : option_act(&acts, "out", o->out, &o->out, err);
}

static rnnd_code read_initial(struct stack *s, struct layer *l, const char *key, size_t width, const float **out,
                              rnnd_error *err)
{
    const struct json *j = json_get(json_get(l->options.object, "initial"), key);
    *out = NULL;
    if (!j || json_is_null(j)) return RNND_OK;
    const char *name = json_string(j);
    if (!name)
        return fail_at(err, RNND_MISMATCH, "initial", "layer \"%.80s\": initial \"%s\" must name a tensor", l->name,
                       key);
    struct checkpoint_tensor *t = checkpoint_find(s->checkpoint, name);
    if (t && t->reduced)
        return fail_at(err, RNND_MISMATCH, name,
                       "layer \"%.80s\", tensor \"%.80s\": initial values are no weights that "
                       "could be reduced",
                       l->name, name);
    if (t && t->count == width) return checkpoint_floats(t, out, err); /* any shape: [layers][1][H] and [H] are seen */
    char found[96] = "none";
    if (t) shape_text(found, t->rank, t->dim);
    return fail_at(err, RNND_MISMATCH, name, "layer \"%.80s\", tensor \"%.80s\": wanted %zu initial values, found %s",
                   l->name, name, width, found);
}

static rnnd_code read_form(struct layer *l, struct cell_options *o, rnnd_error *err)
{
    const struct options *j = &l->options;
    int layout;
    rnnd_code code = option_choice(j, "layout", layouts, 0, &layout, err);
    if (code) return code;
    o->dialect = dialect_find(layouts[layout], o->kind);
    code = option_size(j, "hidden", 1, MAX_HIDDEN, OPTION_REQUIRED, &o->hidden, err);
    if (!code) code = option_size(j, "layers", 1, 64, 1, &o->layers, err);
    if (!code) code = option_size(j, "projection", 0, MAX_HIDDEN, 0, &o->projection, err);
    if (!code) code = option_choice(j, "direction", directions, 0, &o->direction, err);
    if (!code) code = option_choice(j, "merge", merges, 0, &o->merge, err);
    if (!code) code = option_choice(j, "reset", resets, o->dialect->reset_before, &o->reset, err);
    if (!code) code = option_choice(j, "update", updates, o->dialect->z_takes_new, &o->update, err);
    if (!code) code = option_choice(j, "coupled", couplings, 0, &o->coupled, err);
    if (!code) code = option_bool(j, "bias", o->dialect->has_bias, &o->bias, err);
    if (!code) code = option_bool(j, "peephole", false, &o->peephole, err);
    if (!code) code = option_bool(j, "sequences", true, &o->sequences, err);
    if (!code) code = option_float(j, "clip", 0, &o->clip, err);
    if (!code) code = option_float(j, "cell_clip", 0, &o->cell_clip, err);
    if (!code) code = option_float(j, "projection_clip", 0, &o->projection_clip, err);
    if (!code) code = option_float(j, "forget_bias", o->dialect->forget_bias, &o->forget_bias, err);
    o->width = o->projection ? o->projection : o->hidden;
    return code;
}

static rnnd_code read_options(struct stack *s, struct layer *l, struct cell_options *o, rnnd_error *err)
{
    static const char *const initial_keys[] = {"h", "c", NULL};
    struct options initial = {json_get(l->options.object, "initial"), l->options.where};
    rnnd_code code = read_form(l, o, err);
    if (!code) code = read_activations(l, o, err);
    if (!code && !json_is_null(initial.object)) code = options_check(&initial, initial_keys, err);
    size_t cells = code ? 0 : o->layers * direction_count(o);
    if (!code) code = read_initial(s, l, "h", cells * o->width, &o->initial_h, err);
    if (!code) code = read_initial(s, l, "c", cells * o->hidden, &o->initial_c, err);
    if (!code && o->initial_c && o->kind != CELL_LSTM)
        code = fail_at(err, RNND_MISMATCH, "initial", "layer \"%.80s\": only an LSTM has an initial c", l->name);
    if (!code && o->projection && !o->dialect->projection)
        code = fail_at(err, RNND_MISMATCH, "projection", "layer \"%.80s\": only an LSTM has a projection", l->name);
    if (!code && (o->clip < 0 || o->cell_clip < 0 || o->projection_clip < 0))
        code = fail_at(err, RNND_MISMATCH, "clip", "layer \"%.80s\": a clip must be at least 0", l->name);
    if (!code && !o->sequences && l->whole)
        code = fail_at(err, RNND_MISMATCH, "sequences",
                       "layer \"%.80s\": \"sequences\" may be false only where nothing behind it needs all steps and "
                       "\"output\" is \"last\"",
                       l->name);
    return code;
}

rnnd_code stack_state(struct stack *s, const char *name, char kind, int in, int out, size_t width, const float *initial,
                      rnnd_error *err)
{
    if (s->state_count == MAX_CELL_STATES)
        return fail_at(err, RNND_TOO_LARGE, "layers", "the model has more than %d states", MAX_CELL_STATES);
    if (s->state_count == s->state_cap) {
        size_t cap = s->state_cap ? s->state_cap * 2 : 16;
        struct pending_state *p = mem_resize(s->states, cap * sizeof *p);
        if (!p) return fail_memory(err, cap * sizeof *p);
        s->states = p;
        s->state_cap = cap;
    }
    s->states[s->state_count++] = (struct pending_state){name, kind, in, out, width, initial};
    return RNND_OK;
}

static rnnd_code set_attributes(struct stack *s, struct graph_node *n, const struct cell_options *o, bool reverse)
{
    struct graph *g = s->graph;
    struct act *acts = arena_alloc(&g->arena, 3, sizeof *acts);
    if (!acts) return RNND_NO_MEMORY;
    memcpy(acts, (const struct act[]){o->gate, o->cell, o->out}, 3 * sizeof *acts);
    rnnd_code code = graph_attr_int(g, n, "reverse", reverse);
    if (!code) code = graph_attr_float(g, n, "clip", o->clip);
    if (!code) code = graph_attr_pointer(g, n, "cell", acts + 1);
    if (!code && o->kind != CELL_RNN) code = graph_attr_pointer(g, n, "gate", acts);
    if (!code && o->kind == CELL_GRU) code = graph_attr_int(g, n, "reset_before", o->reset);
    if (!code && o->kind == CELL_GRU) code = graph_attr_int(g, n, "z_takes_new", o->update);
    if (code || o->kind != CELL_LSTM) return code;
    code = graph_attr_pointer(g, n, "out", acts + 2);
    if (!code) code = graph_attr_int(g, n, "coupled_input", o->coupled == 1);
    if (!code) code = graph_attr_int(g, n, "coupled_forget", o->coupled == 2);
    if (!code) code = graph_attr_float(g, n, "cell_clip", o->cell_clip);
    return code ? code : graph_attr_float(g, n, "projection_clip", o->projection_clip);
}

static rnnd_code add_constants(struct stack *s, struct layer *l, const struct cell_options *o, size_t inputs,
                               struct cell_weights *w, int in[9], rnnd_error *err)
{
    size_t H = o->hidden, rows = H * strlen(o->dialect->order);
    const struct {
        int at;
        const char *what;
        int rank;
        size_t d0, d1;
        float **data;
    } parts[] = {
        {3, "weight_ih", 2, rows, inputs, &w->w_ih},
        {4, "weight_hh", 2, rows, o->width, &w->w_hh},
        {5, "bias_ih", 1, rows, 0, &w->b_ih},
        {6, "bias_hh", 1, rows, 0, &w->b_hh},
        {7, "weight_hr", 2, o->projection, H, &w->w_hr},
        {8, "peephole", 2, 3, H, &w->peephole},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!*parts[i].data) continue;
        rnnd_code code = stack_take(s, l->name, parts[i].what, parts[i].rank, parts[i].d0, parts[i].d1, parts[i].data,
                                    &in[parts[i].at], err);
        if (code) return code;
    }
    return RNND_OK;
}

/* One cell node with its states; *y is the sequence, or the last h as one step where `sequences` is false. */
static rnnd_code build_cell(struct stack *s, struct layer *l, const struct cell_options *o, size_t k, bool reverse,
                            int x, int *y, rnnd_error *err)
{
    bool lstm = o->kind == CELL_LSTM, last = !o->sequences && k + 1 == o->layers;
    size_t D = direction_count(o), at = k * D + (D == 2 && reverse);
    struct cell_source source = {
        .dialect = o->dialect,
        .checkpoint = s->checkpoint,
        .names = &l->names,
        .layer = l->name,
        .inputs = stack_width(s, x),
        .hidden = o->hidden,
        .projection = o->projection,
        .index = k,
        .count = o->layers,
        .reverse = reverse,
        .both = D == 2,
        .bias = o->bias,
        .peephole = o->peephole,
        .bias_split = !o->reset,
        .forget_bias = lstm ? o->forget_bias : 0,
    };
    struct cell_weights w;
    int in[9] = {x, -1, -1, -1, -1, -1, -1, -1, -1};
    const char *name = stack_text(s->arena, "%s_l%zu%s", l->name, k, reverse ? "_reverse" : "");
    const char *h_name = stack_text(s->arena, "%s.h_l%zu%s", l->name, k, reverse ? "_reverse" : "");
    const char *c_name = stack_text(s->arena, "%s.c_l%zu%s", l->name, k, reverse ? "_reverse" : "");
    if (!name || !h_name || !c_name) return fail_memory(err, strlen(l->name));
    rnnd_code code = dialect_read(&source, &w, err);
    if (code) return code;
    code = add_constants(s, l, o, source.inputs, &w, in, err);
    cell_weights_free(&w);
    if (code) return code;
    in[1] = graph_value(s->graph, h_name);
    if (lstm) in[2] = graph_value(s->graph, c_name);
    if (in[1] < 0 || (lstm && in[2] < 0)) return fail_memory(err, sizeof(struct graph_value));
    graph_shape(s->graph, in[1], 2, (const int64_t[]){-1, (int64_t)o->width});
    if (lstm) graph_shape(s->graph, in[2], 2, (const int64_t[]){-1, (int64_t)o->hidden});
    struct graph_node *n = stack_begin(s,
                                       lstm                  ? "lstm"
                                       : o->kind == CELL_GRU ? "gru"
                                                             : "rnn",
                                       name, in, lstm ? 9 : 7, lstm ? 3 : 2, err);
    if (!n) return RNND_NO_MEMORY;
    if (set_attributes(s, n, o, reverse)) return fail_memory(err, sizeof(struct attr));
    code = stack_infer(s, n, err);
    int out_h = n->outputs[1], out_c = lstm ? n->outputs[2] : -1;
    *y = n->outputs[0];
    if (!code)
        code = stack_state(s, h_name, 'h', in[1], out_h, o->width, o->initial_h ? o->initial_h + at * o->width : NULL,
                           err);
    if (!code && lstm)
        code = stack_state(s, c_name, 'c', in[2], out_c, o->hidden, o->initial_c ? o->initial_c + at * o->hidden : NULL,
                           err);
    return code || !last ? code : stack_node(s, "as_step", name, &out_h, 1, y, err);
}

static rnnd_code merge(struct stack *s, struct layer *l, int kind, const int both[2], int *value, rnnd_error *err)
{
    static const char *const ops[] = {"concat", "add", "mul", "add"};
    rnnd_code code = stack_node(s, ops[kind], l->name, both, 2, value, err);
    if (code || kind != 3) return code;
    size_t width = stack_width(s, *value);
    int in[3] = {*value, -1, -1};
    float *half = mem_alloc(width, 2 * sizeof *half);
    if (!half) return fail_memory(err, width * 2 * sizeof *half);
    for (size_t i = 0; i < width; i++)
        half[i] = 0.5f; /* the second half stays 0: the shift */
    code = stack_constant(s, l->name, "half", 1, width, 0, half, &in[1], err);
    if (!code) code = stack_constant(s, l->name, "zero", 1, width, 0, half + width, &in[2], err);
    mem_free(half);
    return code ? code : stack_node(s, "scale_shift", l->name, in, 3, value, err);
}

static rnnd_code describe(struct stack *s, struct layer *l, const struct cell_options *o, rnnd_error *err)
{
    bool gates = o->kind != CELL_RNN;
    char stacked[32] = "", projected[48] = "";
    if (o->layers > 1) snprintf(stacked, sizeof stacked, ", %zu layers", o->layers);
    if (o->projection) snprintf(projected, sizeof projected, ", projection %zu", o->projection);
    l->detail = stack_text(
        s->arena, "hidden %zu%s%s%s%s%s%s%s%s%s%s%s%s", o->hidden, stacked, projected, o->direction ? ", " : "",
        o->direction ? directions[o->direction] : "", o->direction == 2 ? " " : "",
        o->direction == 2 ? merges[o->merge] : "",
        o->kind == CELL_GRU ? (o->reset ? ", reset before" : ", reset after") : "", o->peephole ? ", peephole" : "",
        o->coupled ? (o->coupled == 1 ? ", coupled input" : ", coupled forget") : "",
        gates && o->gate.kind != ACT_SIGMOID ? ", " : "", gates && o->gate.kind != ACT_SIGMOID ? act_name(o->gate) : "",
        o->cell.kind == ACT_RELU ? ", relu" : "");
    return l->detail ? RNND_OK : fail_memory(err, 200);
}

static rnnd_code build(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    struct cell_options o = {.kind = l->type == &layer_lstm ? CELL_LSTM : l->type == &layer_gru ? CELL_GRU : CELL_RNN};
    rnnd_code code = read_options(s, l, &o, err);
    int x = l->inputs[0];
    for (size_t k = 0; k < o.layers && !code; k++) {
        int both[2] = {-1, -1};
        code = build_cell(s, l, &o, k, o.direction == 1, x, &both[0], err);
        if (!code && o.direction == 2) code = build_cell(s, l, &o, k, true, x, &both[1], err);
        x = both[0];
        if (!code && o.direction == 2) code = merge(s, l, o.merge, both, &x, err);
    }
    *value = x;
    return code ? code : describe(s, l, &o, err);
}

static const char *const lstm_keys[] = {
    "hidden",    "layers",          "direction",   "merge",   "bias",   "projection", "peephole",    "coupled", "clip",
    "cell_clip", "projection_clip", "activations", "initial", "layout", "sequences",  "forget_bias", NULL};
static const char *const gru_keys[] = {"hidden", "layers",      "direction", "merge",  "bias",      "reset", "update",
                                       "clip",   "activations", "initial",   "layout", "sequences", NULL};
static const char *const rnn_keys[] = {"hidden", "layers",  "direction", "merge",     "bias", "nonlinearity",
                                       "clip",   "initial", "layout",    "sequences", NULL};

const struct layer_type layer_lstm = {"lstm", lstm_keys, true, 1, 1, build};
const struct layer_type layer_gru = {"gru", gru_keys, true, 1, 1, build};
const struct layer_type layer_rnn = {"rnn", rnn_keys, true, 1, 1, build};
