/* onnx_network.c -- what people see of an ONNX model: framework, ends, layers, values that can be looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/onnx_private.h"
#include "core/ops/op.h"

#define MAX_ROWS ((size_t)4096)

static rnnd_code name_framework(struct lowering *l, struct arena *arena, struct network *net)
{
    char text[200];
    const struct onnx_model *m = l->model;
    snprintf(text, sizeof text, m->producer[0] ? "ONNX opset %lld (%.60s%s%.40s)" : "ONNX opset %lld",
             (long long)m->opset, m->producer, m->producer_version[0] ? " " : "", m->producer_version);
    net->framework = arena_string(arena, text, strlen(text));
    return net->framework ? RNND_OK : fail_memory(l->err, sizeof text);
}

/* A row of the last declared axis; unknown widths are 0. */
static rnnd_code fill_port(struct lowering *l, struct arena *arena, int value, const struct graph_port *p,
                           rnnd_port *out)
{
    const char *name = l->g->values[value].name;
    int64_t last = p->rank > 0 ? p->dim[p->rank - 1] : -1;
    *out = (rnnd_port){.name = arena_string(arena, name, strlen(name)), .rank = 1, .is_ids = p->dtype == DTYPE_I64};
    out->width = out->dim[0] = last > 0 ? (size_t)last : 0;
    return out->name ? RNND_OK : fail_memory(l->err, strlen(name));
}

static rnnd_code fill_ports(struct lowering *l, struct arena *arena, struct network *net)
{
    struct graph *g = l->g;
    rnnd_code code = RNND_OK;
    if (g->input_count > MAX_INPUTS || g->output_count > MAX_INPUTS)
        return fail(l->err, RNND_UNSUPPORTED, "the model has %zu inputs and %zu outputs, at most %d of each are read",
                    g->input_count, g->output_count, MAX_INPUTS);
    for (size_t i = 0; i < g->input_count && !code; i++) {
        code = fill_port(l, arena, g->inputs[i], &g->input_ports[i], &net->inputs[i]);
        net->input_width += net->inputs[i].width;
        net->input_count = i + 1;
    }
    for (size_t i = 0; i < g->output_count && !code; i++) {
        code = fill_port(l, arena, g->outputs[i], &g->output_ports[i], &net->outputs[i]);
        net->output_width += net->outputs[i].width;
        net->output_count = i + 1;
    }
    return code;
}

/* ---- layers ---- */

struct rows { rnnd_layer *list; size_t count, room; };

static const struct tensor *weight(const struct graph *g, const struct graph_node *n, int input)
{
    const struct graph_value *v = input < n->input_count && n->inputs[input] >= 0 ? &g->values[n->inputs[input]] : NULL;
    return v && v->is_constant && v->dtype == DTYPE_F32 ? &v->constant : NULL;
}

static bool is_one_of(const char *op, const char *const *list)
{
    while (*list && strcmp(*list, op) != 0)
        list++;
    return *list != NULL;
}

/* Widths by the shape of the weights, for the operators that have some. */
static bool find_widths(const struct graph *g, const struct graph_node *n, rnnd_layer *row)
{
    static const char *const recurrent[] = {"LSTM", "GRU", "RNN", NULL};
    static const char *const norms[] = {"BatchNormalization", "LayerNormalization", "InstanceNormalization", NULL};
    const char *op = n->op->name;
    const struct tensor *w = weight(g, n, 1);
    if (is_one_of(op, recurrent)) {
        const struct tensor *r = weight(g, n, 2);
        if (w && w->rank == 3) row->inputs = w->dim[2];
        if (r && r->rank == 3) row->outputs = r->dim[0] * r->dim[2];
        return true;
    }
    if (strcmp(op, "Gather") == 0) w = weight(g, n, 0);
    if (!w || w->rank == 0 || tensor_count(w) < 2) return false;
    if (is_one_of(op, norms)) {
        row->inputs = row->outputs = w->dim[w->rank - 1];
        return true;
    }
    bool across = strcmp(op, "Conv") == 0 || (strcmp(op, "Gemm") == 0 && op_int(n, "transB", 0));
    if (!across && strcmp(op, "MatMul") != 0 && strcmp(op, "Gemm") != 0 && strcmp(op, "Gather") != 0) return false;
    if (w->rank < 2) return false;
    row->inputs = across ? w->dim[1] : w->dim[w->rank - 2];
    row->outputs = across ? w->dim[0] : w->dim[w->rank - 1];
    return true;
}

static rnnd_code add_rows(struct lowering *l, const struct graph_node *nodes, size_t count, struct arena *arena,
                          struct rows *rows)
{
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < count && !code; i++) {
        const struct graph_node *n = &nodes[i];
        rnnd_layer row = {.type = n->op->name, .detail = ""};
        if (find_widths(l->g, n, &row) && rows->count < rows->room) {
            const struct attr *direction = graph_find_attr(n, "direction");
            for (int k = 0; k < n->input_count; k++)
                row.parameters += weight(l->g, n, k) ? tensor_count(weight(l->g, n, k)) : 0;
            row.name = arena_string(arena, n->name, strlen(n->name));
            if (direction && direction->kind == ATTR_STRING)
                row.detail = arena_string(arena, direction->s, strlen(direction->s));
            if (!row.name || !row.detail) return fail_memory(l->err, strlen(n->name));
            rows->list[rows->count++] = row;
        }
        for (int k = 0; k < n->body_count && !code; k++)
            code = add_rows(l, n->bodies[k]->nodes, n->bodies[k]->node_count, arena, rows);
    }
    return code;
}

static rnnd_code fill_layers(struct lowering *l, struct arena *arena, struct network *net)
{
    struct rows rows = {.room = l->node_count + 1 < MAX_ROWS ? l->node_count + 1 : MAX_ROWS};
    rows.list = arena_alloc(arena, rows.room, sizeof *rows.list);
    if (!rows.list) return fail_memory(l->err, rows.room * sizeof *rows.list);
    rnnd_code code = add_rows(l, l->g->nodes, l->g->node_count, arena, &rows);
    net->layers = rows.list;
    net->layer_count = rows.count;
    return code;
}

/* ---- taps ---- */

struct tap { const char *name; int value; };

static int compare_taps(const void *a, const void *b)
{
    const struct tap *x = a, *y = b;
    return x->value != y->value ? (x->value < y->value ? -1 : 1) : strcmp(x->name, y->name);
}

/* Every named value outside bodies that a node makes; returns how many. */
static rnnd_code find_taps(struct lowering *l, struct arena *arena, struct tap *taps, size_t *count)
{
    const struct graph *g = l->g;
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < l->names.cap && !code; i++) {
        const struct name *n = &l->names.slots[i];
        struct proto_field f = {.wire = PROTO_SPAN, .span = n->name};
        if (n->scope != 1 || n->value < 0 || g->values[n->value].is_constant) continue;
        bool end = false;
        for (size_t k = 0; k < g->input_count + g->output_count && !end; k++)
            end = n->value == (k < g->input_count ? g->inputs[k] : g->outputs[k - g->input_count]);
        if (end) continue;
        code = onnx_text(&f, "the name of a value", arena, &taps[*count].name, l->err);
        taps[(*count)++].value = n->value;
    }
    if (*count) qsort(taps, *count, sizeof *taps, compare_taps);
    return code;
}

/* Outputs first. */
static rnnd_code fill_taps(struct lowering *l, struct arena *arena, struct network *net)
{
    const struct graph_port unknown_axes = {.rank = -1, .batch_axis = -1, .time_axis = -1};
    const struct graph *g = l->g;
    size_t count = 0;
    struct tap *taps = mem_alloc(l->names.count + 1, sizeof *taps);
    rnnd_code code = taps ? find_taps(l, arena, taps, &count) : fail_memory(l->err, l->names.count * sizeof *taps);
    net->taps = code ? NULL : arena_alloc(arena, g->output_count + count, sizeof *net->taps);
    if (!code && !net->taps) code = fail_memory(l->err, count * sizeof *net->taps);
    for (size_t i = 0; i < g->output_count && !code; i++)
        net->taps[i] = (struct network_tap){net->outputs[i].name, g->outputs[i], g->output_ports[i]};
    for (size_t i = 0; i < count && !code; i++)
        net->taps[g->output_count + i] = (struct network_tap){taps[i].name, taps[i].value, unknown_axes};
    net->named_outputs = code ? 0 : g->output_count;
    net->tap_count = code ? 0 : g->output_count + count;
    mem_free(taps);
    return code;
}

rnnd_code onnx_network(struct lowering *l, struct arena *arena, struct network *net)
{
    rnnd_code code = name_framework(l, arena, net);
    if (!code) code = fill_ports(l, arena, net);
    if (!code) code = fill_layers(l, arena, net);
    return code ? code : fill_taps(l, arena, net);
}
