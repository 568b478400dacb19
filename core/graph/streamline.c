/* streamline.c -- walks a tensor graph node by node and writes the sequence graph it stands for. */
#include "core/graph/streamline.h"

#include <stdio.h>
#include <string.h>

#include "core/graph/compile.h"
#include "core/graph/streamline_private.h"

/* ---- what the operators share ---- */

rnnd_code streamline_refuse(struct streamline *s, const struct graph_node *n, const char *why)
{
    s->refused = true;
    s->out->node = n ? n->name : "";
    snprintf(s->out->why, sizeof s->out->why, "%.150s", why);
    return RNND_OK;
}

const struct view *streamline_view(const struct streamline *s, const struct graph_node *n, int input)
{
    return input < n->input_count && n->inputs[input] >= 0 ? &s->views[n->inputs[input]] : NULL;
}

struct view *streamline_output(struct streamline *s, const struct graph_node *n, int output)
{
    return output < n->output_count && n->outputs[output] >= 0 ? &s->views[n->outputs[output]] : NULL;
}

bool streamline_extents(const struct streamline *s, const struct graph_node *n, int input, struct extent *out,
                        int *count)
{
    const struct view *v = streamline_view(s, n, input);
    if (!v) return false;
    if (v->kind == VIEW_SHAPE) {
        *count = v->count;
        memcpy(out, v->extent, (size_t)v->count * sizeof *out);
        return true;
    }
    if (v->kind != VIEW_CONSTANT) return false;
    const struct tensor *t = &s->from->values[v->value].constant;
    size_t elements = tensor_count(t);
    if (t->dtype != DTYPE_I64 || elements > MAX_EXTENTS || t->rank > 1) return false;
    for (size_t i = 0; i < elements; i++)
        out[i] = (struct extent){EXTENT_NUMBER, ((const int64_t *)t->data)[i]};
    *count = (int)elements;
    return true;
}

bool streamline_ints(const struct streamline *s, const struct graph_node *n, int input, int64_t *out, int *count)
{
    struct extent e[MAX_EXTENTS];
    if (!streamline_extents(s, n, input, e, count)) return false;
    for (int i = 0; i < *count; i++) {
        if (e[i].kind != EXTENT_NUMBER) return false;
        out[i] = e[i].number;
    }
    return true;
}

struct graph_node *streamline_node(struct streamline *s, const char *op, const char *name, const int *inputs,
                                   int input_count, int output_count)
{
    int outputs[3] = {-1, -1, -1};
    for (int i = 0; i < output_count; i++)
        if ((outputs[i] = graph_value(s->to, name)) < 0) goto none;
    struct graph_node *n = graph_node(s->to, op_find(op), name, input_count, output_count);
    if (!n) goto none;
    memcpy(n->inputs, inputs, (size_t)input_count * sizeof *inputs);
    memcpy(n->outputs, outputs, (size_t)output_count * sizeof *outputs);
    return n;
none:
    fail_memory(s->err, sizeof *n);
    return NULL;
}

/* What the sequence op will not have (a shape that does not fit) is not an error here: the tensor graph stays. */
rnnd_code streamline_check(struct streamline *s, struct graph_node *n)
{
    rnnd_error why;
    rnnd_code code = n->op->check(s->to, n, &why);
    if (code == RNND_NO_MEMORY) return fail_memory(s->err, 0);
    return code ? streamline_refuse(s, n, why.message) : RNND_OK;
}

rnnd_code streamline_op(struct streamline *s, const char *op, const char *name, const int *inputs, int input_count,
                        int *value)
{
    struct graph_node *n = streamline_node(s, op, name, inputs, input_count, 1);
    if (!n) return RNND_NO_MEMORY;
    *value = n->outputs[0];
    return streamline_check(s, n);
}

rnnd_code streamline_floats(struct streamline *s, const char *name, int rank, size_t d0, size_t d1, const float *data,
                            int *value)
{
    *value = graph_constant(s->to, name, DTYPE_F32, rank, (const size_t[]){d0, d1}, data);
    return *value < 0 ? fail_memory(s->err, d0 * (d1 ? d1 : 1) * sizeof *data) : RNND_OK;
}

/* ---- the walk ---- */

static rnnd_code dispatch(struct streamline *s, const struct graph_node *n)
{
    rnnd_code (*const kinds[])(struct streamline *, const struct graph_node *, bool *) = {
        streamline_cell, streamline_mask, streamline_shape, streamline_pick, streamline_rows};
    rnnd_error why;
    if (graph_check_form(n, &why)) return streamline_refuse(s, n, why.message); /* compiling will tell */
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bool known = true;
        if (i && n->outputs[0] < 0) break; /* a cell's last state alone may be wanted */
        rnnd_code code = kinds[i](s, n, &known);
        if (known) return code;
    }
    return streamline_refuse(s, n, "is no part of a plain recurrent network");
}

/* What is not understood of shapes and constants alone does no harm as long as no rows depend on it: zeros made to an
 * unknown shape are zeros. */
static rnnd_code one_node(struct streamline *s, const struct graph_node *n)
{
    rnnd_code code = dispatch(s, n);
    if (code || !s->refused) return code;
    for (int i = 0; i < n->input_count; i++)
        if (n->inputs[i] >= 0 && s->views[n->inputs[i]].kind == VIEW_ROWS) return RNND_OK;
    if (n->body_count) return RNND_OK; /* its bodies may read rows */
    s->refused = false;
    for (int i = 0; i < n->output_count; i++)
        if (n->outputs[i] >= 0) s->views[n->outputs[i]].kind = VIEW_UNKNOWN;
    return RNND_OK;
}

/* The axes of an input under one reading; false if its rank has none. Rank 2: ids, or one number a step, [B][T]. */
static bool input_view(const struct graph_port *p, bool batch_first, struct view *v)
{
    int batch = p->batch_axis, time = p->time_axis;
    if (p->rank < 2 || p->rank > 4) return false;
    if (time < 0) {
        batch = batch_first ? 0 : 1;
        time = batch_first ? 1 : 0;
    }
    *v = (struct view){.kind = VIEW_ROWS, .rank = p->rank};
    for (int i = 0; i < p->rank; i++) {
        size_t size = p->dim[i] > 0 ? (size_t)p->dim[i] : 0;
        if (i == time)
            v->axis[i] = axis_of(ATOM_TIME, size, 0);
        else if (i == batch)
            v->axis[i] = size == 1 ? axis_one() : axis_of(ATOM_BATCH, size, 0);
        else if (size == 0)
            return false; /* features of no known number */
        else
            v->axis[i] = size == 1 ? axis_one() : axis_of(ATOM_FEATURE, size, 0);
    }
    view_restride(v);
    return true;
}

static rnnd_code begin(struct streamline *s, bool batch_first)
{
    const struct graph *g = s->from;
    for (size_t i = 0; i < g->value_count; i++) {
        const struct graph_value *v = &g->values[i];
        s->views[i] = (struct view){.kind = v->is_constant ? VIEW_CONSTANT : VIEW_UNKNOWN, .value = (int)i};
        if (v->is_constant) s->views[i].rank = v->constant.rank;
    }
    for (size_t i = 0; i < g->input_count; i++) {
        struct view *v = &s->views[g->inputs[i]];
        if (!input_view(&g->input_ports[i], batch_first, v))
            return streamline_refuse(s, NULL, "an input has no axes that could be time and features");
        v->value = graph_value(s->to, g->values[g->inputs[i]].name);
        if (v->value < 0 || graph_add_input(s->to, v->value)) return fail_memory(s->err, sizeof(struct graph_value));
        graph_shape(s->to, v->value, 3, (const int64_t[]){-1, -1, (int64_t)view_width(v)});
    }
    return RNND_OK;
}

static struct graph_port port_of(const struct view *v)
{
    struct graph_port p = {.dtype = DTYPE_F32, .rank = v->rank, .batch_axis = -1, .time_axis = -1};
    for (int i = 0; i < v->rank; i++) {
        size_t product = 1;
        for (int k = 0; k < v->axis[i].count; k++)
            product *= v->axis[i].atom[k].size;
        p.dim[i] = product ? (int64_t)product : -1;
    }
    p.time_axis = view_find(v, ATOM_TIME);
    p.batch_axis = view_find(v, ATOM_BATCH);
    for (int i = 0; i < v->rank && p.batch_axis < 0; i++)
        if (v->axis[i].count == 0) p.batch_axis = i; /* a batch fixed to one */
    return p;
}

/* Rows that can be handed out: features as they lie, time and batch axes of their own. */
static bool is_plain(const struct view *v)
{
    if (v->kind != VIEW_ROWS || !view_in_order(v)) return false;
    for (int i = 0; i < v->rank; i++)
        if (v->axis[i].count > 1 && (axis_has(&v->axis[i], ATOM_TIME) || axis_has(&v->axis[i], ATOM_BATCH)))
            return false;
    return true;
}

static rnnd_code end(struct streamline *s)
{
    const struct graph *g = s->from;
    for (size_t i = 0; i < g->output_count; i++) {
        const struct view *v = &s->views[g->outputs[i]];
        if (!is_plain(v)) return streamline_refuse(s, NULL, "an output mixes time, batch and features");
        bool steps = view_has(v, ATOM_TIME);
        if (i == 0) s->to->output_last = !steps;
        if (steps == s->to->output_last) continue; /* last states beside a sequence: read by name, not by step */
        if (graph_add_output(s->to, v->value)) return fail_memory(s->err, sizeof(int));
    }
    s->to->input_ports = arena_alloc(&s->to->arena, s->to->input_count + 1, sizeof *s->to->input_ports);
    s->to->output_ports = arena_alloc(&s->to->arena, s->to->output_count + 1, sizeof *s->to->output_ports);
    if (!s->to->input_ports || !s->to->output_ports) return fail_memory(s->err, sizeof *s->to->output_ports);
    for (size_t i = 0; i < g->input_count; i++) {
        s->to->input_ports[i] = port_of(&s->views[g->inputs[i]]);
        s->to->input_ports[i].dtype = g->input_ports[i].dtype;
    }
    for (size_t i = 0, at = 0; i < g->output_count; i++)
        if (view_has(&s->views[g->outputs[i]], ATOM_TIME) != s->to->output_last)
            s->to->output_ports[at++] = port_of(&s->views[g->outputs[i]]);
    return RNND_OK;
}

static rnnd_code walk(struct streamline *s, bool batch_first, size_t *understood)
{
    rnnd_code code = begin(s, batch_first);
    *understood = 0;
    for (size_t i = 0; i < s->from->node_count && !code && !s->refused; i++) {
        code = one_node(s, &s->from->nodes[i]);
        *understood += !s->refused;
    }
    if (!code && !s->refused && !s->cells) code = streamline_refuse(s, NULL, "there is no recurrent layer in it");
    return code || s->refused ? code : end(s);
}

rnnd_code graph_streamline(const struct graph *from, size_t window, struct graph *to, int *value_map,
                           struct graph_port *map_ports, struct streamlined *out, rnnd_error *err)
{
    struct streamline s = {.from = from, .to = to, .window = window, .out = out, .err = err};
    const struct kernels *kernels = to->kernels;
    rnnd_code code = RNND_OK;
    *out = (struct streamlined){.batch_first = true};
    s.views = mem_alloc(from->value_count + 1, sizeof *s.views);
    if (!s.views) return fail_memory(err, from->value_count * sizeof *s.views);
    for (int reading = 0; reading < 2 && !out->done && !code; reading++) {
        size_t understood;
        struct streamlined before = *out;
        if (reading) graph_free(to), graph_init(to, kernels);
        s.refused = false;
        s.cells = 0;
        code = walk(&s, reading == 0, &understood);
        out->done = !code && !s.refused;
        if (out->done || understood > out->reached) {
            out->reached = understood;
            out->batch_first = reading == 0;
        } else if (reading) {
            *out = before;
        }
    }
    for (size_t i = 0; i < from->value_count && out->done; i++) {
        bool plain = is_plain(&s.views[i]);
        value_map[i] = plain ? s.views[i].value : -1;
        if (plain) map_ports[i] = port_of(&s.views[i]);
    }
    mem_free(s.views);
    return code;
}
