/* call_inputs.c -- tensors laid in: into the values of a tensor graph, or into rows and states. */
#include <string.h>

#include "core/base/error.h"
#include "core/model/call.h"
#include "core/ops/op.h"

static enum dtype kind_of(rnnd_dtype t)
{
    return t == RNND_FLOAT32 ? DTYPE_F32 : t == RNND_INT64 ? DTYPE_I64 : DTYPE_BOOL;
}

static double number_at(const void *data, enum dtype dtype, size_t i)
{
    return dtype == DTYPE_F32   ? (double)((const float *)data)[i]
           : dtype == DTYPE_I64 ? (double)((const int64_t *)data)[i]
                                : (double)((const bool *)data)[i];
}

static rnnd_code count_of(const rnnd_tensor *t, size_t *count, rnnd_error *err)
{
    *count = 1;
    if (t->rank < 0 || t->rank > MAX_RANK)
        return fail_at(err, RNND_INVALID, "inputs", "an input of rank %d: at most %d are run", t->rank, MAX_RANK);
    for (int k = 0; k < t->rank; k++)
        if (!size_mul(*count, t->dim[k], count)) return fail_memory(err, (size_t)-1);
    return RNND_OK;
}

/* The tensor given for input i; a single one may have no name. */
static const rnnd_tensor *given(const rnnd_call *c, size_t i, const rnnd_tensor *inputs, size_t count)
{
    for (size_t k = 0; k < count; k++)
        if (inputs[k].name ? strcmp(inputs[k].name, c->names[i]) == 0 : i == 0 && count == 1) return &inputs[k];
    return NULL;
}

/* The element type that the graph computes with, converting into a buffer where another is given. */
static rnnd_code convert(struct buffer *b, const rnnd_tensor *from, enum dtype dtype, struct tensor *to,
                         rnnd_error *err)
{
    size_t count, bytes;
    rnnd_code code = count_of(from, &count, err);
    if (code) return code;
    *to = (struct tensor){.dtype = dtype, .rank = from->rank, .data = from->data};
    memcpy(to->dim, from->dim, sizeof to->dim);
    if (kind_of(from->dtype) == dtype) return RNND_OK;
    if (!size_mul(count, dtype_bytes(dtype), &bytes)) return fail_memory(err, (size_t)-1);
    code = call_reserve(b, bytes, err);
    to->data = b->data;
    for (size_t i = 0; i < count && !code; i++) {
        double v = number_at(from->data, kind_of(from->dtype), i);
        if (dtype == DTYPE_F32)
            ((float *)b->data)[i] = (float)v;
        else if (dtype == DTYPE_BOOL)
            ((bool *)b->data)[i] = v != 0;
        else if (v >= -9e18 && v <= 9e18 && (double)(int64_t)v == v)
            ((int64_t *)b->data)[i] = (int64_t)v;
        else
            return fail_at(err, RNND_MISMATCH, "inputs", "wanted whole numbers, element %zu is %g", i, v);
    }
    return code;
}

/* A state that is not given: what the model begins with, for the batch of the first input. */
static rnnd_code initial_state(rnnd_call *c, size_t i, const struct tensor *first, struct tensor *to, rnnd_error *err)
{
    const struct graph *g = &c->m->graph;
    const struct graph_state *s = &g->states[i];
    const struct graph_value *v = &g->values[s->in];
    int batch = g->input_ports[0].batch_axis;
    size_t bytes = sizeof(float);
    *to = (struct tensor){.dtype = DTYPE_F32, .rank = v->rank};
    for (int k = 0; k < v->rank; k++) {
        to->dim[k] = v->dim[k] > 0 ? (size_t)v->dim[k] : batch >= 0 && batch < first->rank ? first->dim[batch] : 1;
        if (!size_mul(bytes, to->dim[k], &bytes)) return fail_memory(err, (size_t)-1);
    }
    struct buffer *b = &c->zeros[g->input_count + i];
    rnnd_code code = call_reserve(b, bytes, err);
    if (code) return code;
    memset(b->data, 0, bytes);
    if (s->initial && bytes == s->width * sizeof(float)) memcpy(b->data, s->initial, bytes);
    to->data = b->data;
    return RNND_OK;
}

rnnd_code call_run_tensors(rnnd_call *c, const rnnd_tensor *inputs, size_t count, rnnd_error *err)
{
    const struct graph *g = &c->m->graph;
    struct tensor in[MAX_INPUTS * 2];
    for (size_t i = 0; i < g->input_count + g->state_count; i++) {
        const rnnd_tensor *t = given(c, i, inputs, count);
        enum dtype dtype = i < g->input_count ? g->input_ports[i].dtype : DTYPE_F32;
        if (!t && i < g->input_count)
            return fail_at(err, RNND_MISMATCH, "inputs", "the network's input \"%.80s\" is missing", c->names[i]);
        rnnd_code code = t ? convert(&c->zeros[i], t, dtype, &in[i], err)
                           : initial_state(c, i - g->input_count, &in[0], &in[i], err);
        if (code) return code;
        if (t && i < g->input_count && g->input_ports[i].rank >= 0 && t->rank != g->input_ports[i].rank)
            return fail_at(err, RNND_MISMATCH, "inputs", "input \"%.80s\": wanted rank %d, found %d", c->names[i],
                           g->input_ports[i].rank, t->rank);
    }
    rnnd_code code = graph_run_tensors(c->run, in, err);
    if (!code) c->T = c->B = 1;
    return code;
}

/* [batch][time][features] where the graph does not say otherwise. */
static void port_axes(const struct graph_port *p, size_t i, int rank, int *batch, int *time)
{
    *batch = p ? p[i].batch_axis : rank >= 2 ? 0 : -1;
    *time = p ? p[i].time_axis : rank >= 2 ? 1 : 0;
}

static rnnd_code lay_rows(rnnd_call *c, size_t i, const rnnd_tensor *t, size_t at, rnnd_error *err)
{
    const struct graph *g = &c->m->graph;
    const rnnd_port *port = &c->m->network.inputs[i];
    size_t row = c->m->network.input_width, count;
    int batch, time;
    port_axes(g->input_ports, i, t->rank, &batch, &time);
    rnnd_code code = count_of(t, &count, err);
    if (code) return code;
    struct strides s = call_strides(t->rank, t->dim, batch, time);
    size_t T = time >= 0 && time < t->rank ? t->dim[time] : 1, B = batch >= 0 && batch < t->rank ? t->dim[batch] : 1;
    if ((g->input_ports && t->rank != g->input_ports[i].rank) || s.count != port->width || T == 0 || B == 0 ||
        (at && (T != c->T || B != c->B)))
        return fail_at(
            err, RNND_MISMATCH, "inputs",
            "input \"%.60s\": wanted [batch][time] of %zu numbers a step, found rank %d with %zu steps of %zu "
            "numbers and %zu sequences",
            port->name, port->width, t->rank, T, s.count, B);
    size_t bytes;
    if (!size_mul(T * row, B, &bytes) || !size_mul(bytes, sizeof(float), &bytes)) return fail_memory(err, (size_t)-1);
    if (!at && (code = call_reserve(&c->rows, bytes, err))) return code;
    c->T = T;
    c->B = B;
    float *rows = c->rows.data;
    for (size_t step = 0; step < T; step++)
        for (size_t b = 0; b < B; b++)
            for (size_t f = 0; f < port->width; f++) {
                double v = number_at(t->data, kind_of(t->dtype), step * s.time + b * s.batch + call_feature_at(&s, f));
                rows[(step * B + b) * row + at + f] = (float)v;
            }
    for (size_t r = 0; r < T * B && port->is_ids; r++) {
        float id = rows[r * row + at];
        if (!(id >= 0 && id < (float)port->limit) || (float)(size_t)id != id)
            return fail_at(err, RNND_MISMATCH, port->name, "input \"%.60s\": wanted whole ids from 0 to %zu, found %g",
                           port->name, port->limit - 1, (double)id);
    }
    return RNND_OK;
}

/* h0 and c0 [layers][batch][hidden] into rows of states; initial values where they are not given. */
static rnnd_code lay_states(rnnd_call *c, const rnnd_tensor *inputs, size_t count, rnnd_error *err)
{
    const struct rnnd_model *m = c->m;
    float *states = c->state_in.data;
    for (size_t b = 0; b < c->B; b++)
        model_initial(m, states + b * m->network_state);
    for (size_t i = m->network.input_count; i < c->input_count; i++) {
        const rnnd_tensor *t = given(c, i, inputs, count);
        char kind = c->names[i][0];
        size_t width = kind == 'c' ? m->info.c_width : m->info.h_width, elements, at = 0, offset = 0;
        if (!t) continue;
        rnnd_code code = count_of(t, &elements, err);
        if (code) return code;
        if (t->dtype != RNND_FLOAT32 || elements != width * c->B)
            return fail_at(err, RNND_MISMATCH, c->names[i],
                           "\"%s\": wanted %zu floats for each of %zu sequences, found %zu", c->names[i], width, c->B,
                           elements);
        for (size_t k = 0; k < m->graph.state_count; offset += m->graph.states[k++].width) {
            size_t w = m->graph.states[k].width;
            if (m->graph.states[k].kind != kind) continue;
            for (size_t b = 0; b < c->B; b++)
                memcpy(states + b * m->network_state + offset, (const float *)t->data + at + b * w, w * sizeof(float));
            at += w * c->B;
        }
    }
    return RNND_OK;
}

rnnd_code call_run_rows(rnnd_call *c, const rnnd_tensor *inputs, size_t count, rnnd_error *err)
{
    const struct rnnd_model *m = c->m;
    size_t at = 0, T, B, bytes;
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < m->network.input_count && !code; at += m->network.inputs[i++].width) {
        const rnnd_tensor *t = given(c, i, inputs, count);
        code = t ? lay_rows(c, i, t, at, err)
                 : fail_at(err, RNND_MISMATCH, "inputs", "the network's input \"%.80s\" is missing", c->names[i]);
    }
    if (code) return code;
    T = c->T, B = c->B;
    if (!size_mul(B, m->network_state * sizeof(float), &bytes)) return fail_memory(err, (size_t)-1);
    code = call_reserve(&c->state_in, bytes, err);
    if (!code) code = call_reserve(&c->state_out, bytes, err);
    if (!code) code = lay_states(c, inputs, count, err);
    const float **in = code ? NULL : mem_alloc(T * B, sizeof *in);
    float **out = code ? NULL : mem_alloc(T * B, sizeof *out); /* NULL rows: read from the values afterwards */
    const float **from = code ? NULL : mem_alloc(B, sizeof *from);
    float **to = code ? NULL : mem_alloc(B, sizeof *to);
    if (!code && (!in || !out || !from || !to)) code = fail_memory(err, T * B * sizeof *in);
    for (size_t r = 0; r < T * B && !code; r++)
        in[r] = (const float *)c->rows.data + r * m->network.input_width;
    for (size_t b = 0; b < B && !code; b++) {
        from[b] = (const float *)c->state_in.data + b * m->network_state;
        to[b] = (float *)c->state_out.data + b * m->network_state;
    }
    size_t width = m->network.output_width;
    c->by_rows = m->graph.stepwise && T > 1; /* the values are those of the last step */
    if (!code && c->by_rows) code = call_reserve(&c->answers, T * B * width * sizeof(float), err);
    for (size_t r = 0; r < T * B && c->by_rows && !code; r++)
        out[r] = (float *)c->answers.data + r * width;
    if (!code) code = graph_run(c->run, T, B, in, out, from, to, err);
    mem_free(in);
    mem_free(out);
    mem_free(from);
    mem_free(to);
    return code;
}
