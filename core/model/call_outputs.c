/* call_outputs.c -- what a run computed, read out by name in the axes of the file. */
#include <string.h>

#include "core/base/error.h"
#include "core/model/call.h"
#include "core/ops/op.h"

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
    rnnd_code code = call_reserve(b, T * B * width * sizeof(float), err);
    if (code) return code;
    struct strides s = call_strides(p.rank, out->dim, p.batch_axis, p.time_axis);
    for (size_t f = 0; f < width; f++) {
        size_t at = call_feature_at(&s, f);
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
    rnnd_code code = call_reserve(&c->buffers[i], T * c->B * width * sizeof(float), err);
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
    rnnd_code code = call_reserve(b, c->B * width * sizeof(float), err);
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
