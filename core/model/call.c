/* call.c -- the network on whole tensors: inputs and outputs by name, in the axes of the file. */
#include <string.h>

#include "core/base/error.h"
#include "core/model/assume.h"
#include "core/ops/op.h"

struct buffer { /* an output laid out in the file's axes; kept between runs of the call */
    void *data;
    size_t bytes;
};

struct rnnd_call {
    const struct rnnd_model *m;
    struct graph_run *run;
    const char **names; /* inputs, then states as inputs, then everything that can be read */
    size_t input_count, tap_count;
    bool *made;             /* by value: a run computes it */
    struct buffer *buffers; /* by tap */
    bool by_rows;           /* the outputs stand in `answers` [T][B][output width], other values of all steps nowhere */
    struct buffer answers, rows, state_in, state_out, zeros[MAX_INPUTS * 2];
    size_t T, B; /* of the last run; 0 = none */
};

static rnnd_code reserve(struct buffer *b, size_t bytes, rnnd_error *err)
{
    if (bytes <= b->bytes && b->data) return RNND_OK;
    mem_free(b->data);
    b->bytes = 0;
    if (!(b->data = mem_aligned(bytes ? bytes : 1))) return fail_memory(err, bytes);
    b->bytes = bytes;
    return RNND_OK;
}

static void mark_made(const struct graph *g, bool *made)
{
    for (size_t i = 0; i < g->value_count; i++)
        made[i] = g->values[i].is_constant && g->values[i].constant.data;
    for (size_t i = 0; i < g->input_count; i++)
        made[g->inputs[i]] = true;
    for (size_t i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i].output_count; k++)
            if (g->nodes[i].outputs[k] >= 0) made[g->nodes[i].outputs[k]] = true;
}

/* PyTorch's names for the states of layer lists; the graph's own otherwise. */
static size_t name_inputs(const struct rnnd_model *m, const char **names)
{
    const struct graph *g = &m->graph;
    size_t n = 0;
    for (size_t i = 0; i < m->network.input_count; i++)
        names[n++] = m->network.inputs[i].name;
    if (g->tensors) {
        for (size_t i = 0; i < g->state_count; i++)
            names[n++] = g->states[i].name;
    } else if (m->info.state_hidden) {
        names[n++] = "h0";
        if (m->info.c_width) names[n++] = "c0";
    }
    return n;
}

rnnd_code rnnd_call_open(const rnnd_model *model, rnnd_call **out, rnnd_error *err)
{
    *out = NULL;
    rnnd_code code = model_check_confirmed(model, err);
    struct rnnd_call *c = code ? NULL : mem_alloc(1, sizeof *c);
    if (!c) return code ? code : fail_memory(err, sizeof *c);
    c->m = model;
    const struct network *net = &model->network;
    size_t most = net->input_count + model->graph.state_count + 2 + net->tap_count + 2;
    c->names = mem_alloc(most, sizeof *c->names);
    c->made = mem_alloc(model->graph.value_count + 1, sizeof *c->made);
    c->buffers = mem_alloc(net->tap_count + 2, sizeof *c->buffers);
    if (!c->names || !c->made || !c->buffers) code = fail_memory(err, most * sizeof *c->names);
    if (!code) code = graph_run_open(&model->graph, 1, 1, &c->run, err);
    if (code) {
        rnnd_call_close(c);
        return code;
    }
    mark_made(&model->graph, c->made);
    c->input_count = name_inputs(model, c->names);
    for (size_t i = 0; i < net->tap_count; i++)
        c->names[c->input_count + c->tap_count++] = net->taps[i].name;
    if (!model->graph.tensors && model->info.state_hidden) {
        c->names[c->input_count + c->tap_count++] = "hn";
        if (model->info.c_width) c->names[c->input_count + c->tap_count++] = "cn";
    }
    *out = c;
    return RNND_OK;
}

void rnnd_call_close(rnnd_call *c)
{
    if (!c) return;
    for (size_t i = 0; c->buffers && i < c->m->network.tap_count + 2; i++)
        mem_free(c->buffers[i].data);
    for (size_t i = 0; i < sizeof c->zeros / sizeof *c->zeros; i++)
        mem_free(c->zeros[i].data);
    mem_free(c->answers.data);
    mem_free(c->rows.data);
    mem_free(c->state_in.data);
    mem_free(c->state_out.data);
    graph_run_close(c->run);
    mem_free(c->names);
    mem_free(c->made);
    mem_free(c->buffers);
    mem_free(c);
}

/* ---- running ---- */

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

static rnnd_code check_names(const rnnd_call *c, const rnnd_tensor *inputs, size_t count, rnnd_error *err)
{
    for (size_t k = 0; k < count; k++) {
        bool known = !inputs[k].name && count == 1;
        for (size_t i = 0; i < c->input_count; i++)
            known = known || (inputs[k].name && strcmp(inputs[k].name, c->names[i]) == 0);
        if (!known)
            return fail_at(err, RNND_MISMATCH, "inputs", "the network has no input \"%.80s\"; its first is \"%.80s\"",
                           inputs[k].name ? inputs[k].name : "", c->names[0]);
    }
    return RNND_OK;
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
    code = reserve(b, bytes, err);
    to->data = b->data;
    for (size_t i = 0; i < count && !code; i++) {
        double v = number_at(from->data, kind_of(from->dtype), i);
        if (dtype == DTYPE_F32)
            ((float *)b->data)[i] = (float)v;
        else if (dtype == DTYPE_BOOL)
            ((bool *)b->data)[i] = v != 0;
        else if (v >= -9e18 && v <= 9e18)
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
    rnnd_code code = reserve(b, bytes, err);
    if (code) return code;
    memset(b->data, 0, bytes);
    if (s->initial && bytes == s->width * sizeof(float)) memcpy(b->data, s->initial, bytes);
    to->data = b->data;
    return RNND_OK;
}

static rnnd_code run_tensors(rnnd_call *c, const rnnd_tensor *inputs, size_t count, rnnd_error *err)
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

/* Where the element (t, b, f) of rows lies in a tensor with these axes; features in their order. */
struct strides {
    size_t time, batch, count; /* count of features */
    int rank;
    size_t dim[MAX_RANK], step[MAX_RANK];
    int time_axis, batch_axis;
};

static struct strides stride_of(int rank, const size_t *dim, int batch_axis, int time_axis)
{
    struct strides s = {.rank = rank, .count = 1, .time_axis = time_axis, .batch_axis = batch_axis};
    size_t step = 1;
    for (int k = rank - 1; k >= 0; k--) {
        s.dim[k] = dim[k];
        s.step[k] = step;
        if (k == time_axis)
            s.time = step;
        else if (k == batch_axis)
            s.batch = step;
        else
            s.count *= dim[k];
        step *= dim[k];
    }
    return s;
}

static size_t feature_at(const struct strides *s, size_t f)
{
    size_t at = 0;
    for (int k = s->rank - 1; k >= 0; k--) {
        if (k == s->time_axis || k == s->batch_axis) continue;
        at += f % s->dim[k] * s->step[k];
        f /= s->dim[k];
    }
    return at;
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
    struct strides s = stride_of(t->rank, t->dim, batch, time);
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
    if (!at && (code = reserve(&c->rows, bytes, err))) return code;
    c->T = T;
    c->B = B;
    float *rows = c->rows.data;
    for (size_t step = 0; step < T; step++)
        for (size_t b = 0; b < B; b++)
            for (size_t f = 0; f < port->width; f++) {
                double v = number_at(t->data, kind_of(t->dtype), step * s.time + b * s.batch + feature_at(&s, f));
                rows[(step * B + b) * row + at + f] = (float)v;
            }
    for (size_t r = 0; r < T * B && port->is_ids; r++)
        if (!(rows[r * row + at] >= 0 && rows[r * row + at] < (float)port->limit))
            return fail_at(err, RNND_MISMATCH, port->name, "input \"%.60s\": wanted ids from 0 to %zu, found %g",
                           port->name, port->limit - 1, (double)rows[r * row + at]);
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

static rnnd_code run_rows(rnnd_call *c, const rnnd_tensor *inputs, size_t count, rnnd_error *err)
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
    code = reserve(&c->state_in, bytes, err);
    if (!code) code = reserve(&c->state_out, bytes, err);
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
    if (!code && c->by_rows) code = reserve(&c->answers, T * B * width * sizeof(float), err);
    for (size_t r = 0; r < T * B && c->by_rows && !code; r++)
        out[r] = (float *)c->answers.data + r * width;
    if (!code) code = graph_run(c->run, T, B, in, out, from, to, err);
    mem_free(in);
    mem_free(out);
    mem_free(from);
    mem_free(to);
    return code;
}

rnnd_code rnnd_call_run(rnnd_call *c, const rnnd_tensor *inputs, size_t count, rnnd_error *err)
{
    c->T = c->B = 0;
    rnnd_code code = check_names(c, inputs, count, err);
    if (!code) code = c->m->graph.tensors ? run_tensors(c, inputs, count, err) : run_rows(c, inputs, count, err);
    if (code) c->T = 0;
    return code;
}

/* ---- reading ---- */

static rnnd_code missing(const rnnd_call *c, const char *name, rnnd_error *err)
{
    char list[300] = "";
    for (size_t i = 0, n = 0; i < c->tap_count && n + 1 < sizeof list; i++) {
        const char *tap = c->names[c->input_count + i];
        size_t length = strlen(tap), room = sizeof list - n - 1;
        if (length + 3 > room) break;
        if (n) list[n++] = ',', list[n++] = ' ';
        memcpy(list + n, tap, length + 1);
        n += length;
    }
    return fail_at(err, RNND_NOT_FOUND, "outputs", "nothing is called \"%.80s\"; there is %s", name, list);
}

/* Rows [T][B][width] of a value into the axes of the file. */
static rnnd_code lay_value(rnnd_call *c, const struct network_tap *tap, struct buffer *b, const struct tensor *v,
                           rnnd_tensor *out, rnnd_error *err)
{
    size_t T = v->rank == 3 ? v->dim[0] : 1, B = v->dim[v->rank - 2], width = v->dim[v->rank - 1];
    struct graph_port p = tap->port;
    if (p.rank == 0) { /* [batch][time][features], without time where it is one answer */
        bool last = c->m->graph.output_last && T == 1;
        p = (struct graph_port){.rank = last ? 2 : 3, .batch_axis = 0, .time_axis = last ? -1 : 1};
        p.dim[p.rank - 1] = (int64_t)width;
    }
    *out = (rnnd_tensor){.name = tap->name, .dtype = RNND_FLOAT32, .rank = p.rank};
    for (int k = 0; k < p.rank; k++)
        out->dim[k] = k == p.batch_axis ? B : k == p.time_axis ? T : (size_t)p.dim[k];
    rnnd_code code = reserve(b, T * B * width * sizeof(float), err);
    if (code) return code;
    struct strides s = stride_of(p.rank, out->dim, p.batch_axis, p.time_axis);
    for (size_t f = 0; f < width; f++) {
        size_t at = feature_at(&s, f);
        for (size_t t = 0; t < T; t++)
            for (size_t r = 0; r < B; r++)
                ((float *)b->data)[t * s.time + r * s.batch + at] = ((const float *)v->data)[(t * B + r) * width + f];
    }
    out->data = b->data;
    return RNND_OK;
}

/* An output of a function of one step, run over several. */
static rnnd_code read_rows(rnnd_call *c, size_t i, rnnd_tensor *out, rnnd_error *err)
{
    const struct network *net = &c->m->network;
    size_t at = 0, T = c->m->graph.output_last ? 1 : c->T;
    for (size_t k = 0; k < i && k < net->output_count; k++)
        at += net->outputs[k].width;
    if (i >= net->output_count)
        return fail_at(err, RNND_UNSUPPORTED, "outputs",
                       "\"%.80s\" can be read after single steps only: its state is made outside a cell",
                       net->taps[i].name);
    size_t width = net->outputs[i].width;
    rnnd_code code = reserve(&c->buffers[i], T * c->B * width * sizeof(float), err);
    if (code) return code;
    *out = (rnnd_tensor){.name = net->taps[i].name, .rank = 3, .dim = {c->B, T, width}, .data = c->buffers[i].data};
    for (size_t b = 0; b < c->B; b++)
        for (size_t t = 0; t < T; t++)
            memcpy((float *)out->data + (b * T + t) * width,
                   (const float *)c->answers.data + (t * c->B + b) * net->output_width + at, width * sizeof(float));
    return RNND_OK;
}

static rnnd_code lay_last(rnnd_call *c, char kind, struct buffer *b, const char *name, rnnd_tensor *out,
                          rnnd_error *err)
{
    const struct rnnd_model *m = c->m;
    size_t width = kind == 'c' ? m->info.c_width : m->info.h_width, at = 0, offset = 0;
    size_t hidden = kind == 'c' ? m->info.c_width / m->info.state_layers : m->info.state_hidden;
    rnnd_code code = reserve(b, c->B * width * sizeof(float), err);
    if (code) return code;
    *out = (rnnd_tensor){.name = name, .rank = 3, .dim = {m->info.state_layers, c->B, hidden}, .data = b->data};
    for (size_t k = 0; k < m->graph.state_count; offset += m->graph.states[k++].width) {
        size_t w = m->graph.states[k].width;
        if (m->graph.states[k].kind != kind) continue;
        for (size_t r = 0; r < c->B; r++)
            memcpy((float *)b->data + at + r * w, (const float *)c->state_out.data + r * m->network_state + offset,
                   w * sizeof(float));
        at += w * c->B;
    }
    return RNND_OK;
}

rnnd_code rnnd_call_output(rnnd_call *c, const char *name, rnnd_tensor *out, rnnd_error *err)
{
    const struct rnnd_model *m = c->m;
    size_t i = 0;
    if (!c->T) return fail(err, RNND_INVALID, "nothing has been run yet");
    while (name && i < c->tap_count && strcmp(c->names[c->input_count + i], name) != 0)
        i++;
    if (i == c->tap_count) return missing(c, name ? name : "", err);
    const char *found = c->names[c->input_count + i];
    if (i >= m->network.tap_count) return lay_last(c, found[0], &c->buffers[i], found, out, err);
    const struct network_tap *tap = &m->network.taps[i];
    if (tap->value < 0 || !c->made[tap->value])
        return fail_at(err, RNND_NOT_FOUND, "outputs",
                       "\"%.80s\" is no longer there: it was joined with what follows it", found);
    const struct tensor *v = graph_run_value(c->run, tap->value);
    if (c->by_rows) return read_rows(c, i, out, err);
    if (!m->graph.tensors) return lay_value(c, tap, &c->buffers[i], v, out, err);
    *out = (rnnd_tensor){.name = found, .rank = v->rank, .data = v->data};
    out->dtype = v->dtype == DTYPE_F32 ? RNND_FLOAT32 : v->dtype == DTYPE_I64 ? RNND_INT64 : RNND_BOOL8;
    memcpy(out->dim, v->dim, sizeof out->dim);
    return RNND_OK;
}

size_t rnnd_call_inputs(const rnnd_call *c, const char *const **names)
{
    *names = c->names;
    return c->input_count;
}

size_t rnnd_call_outputs(const rnnd_call *c, const char *const **names)
{
    *names = c->names + c->input_count;
    return c->m->network.named_outputs;
}

size_t rnnd_call_taps(const rnnd_call *c, const char *const **names)
{
    *names = c->names + c->input_count;
    return c->tap_count;
}
