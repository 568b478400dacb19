/* call.c -- the network on whole tensors, by names: opening, names, running. */
#include "core/model/call.h"

#include <string.h>

#include "core/base/error.h"
#include "core/model/assume.h"

rnnd_code call_reserve(struct buffer *b, size_t bytes, rnnd_error *err)
{
    if (bytes <= b->bytes && b->data) return RNND_OK;
    mem_free(b->data);
    b->bytes = 0;
    if (!(b->data = mem_aligned(bytes ? bytes : 1))) return fail_memory(err, bytes);
    b->bytes = bytes;
    return RNND_OK;
}

struct strides call_strides(int rank, const size_t *dim, int batch_axis, int time_axis)
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

size_t call_feature_at(const struct strides *s, size_t f)
{
    size_t at = 0;
    for (int k = s->rank - 1; k >= 0; k--) {
        if (k == s->time_axis || k == s->batch_axis) continue;
        at += f % s->dim[k] * s->step[k];
        f /= s->dim[k];
    }
    return at;
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

rnnd_code rnnd_call_run(rnnd_call *c, const rnnd_tensor *inputs, size_t count, rnnd_error *err)
{
    c->T = c->B = 0;
    rnnd_code code = check_names(c, inputs, count, err);
    if (!code)
        code = c->m->graph.tensors ? call_run_tensors(c, inputs, count, err) : call_run_rows(c, inputs, count, err);
    if (code) c->T = 0;
    return code;
}

void rnnd_call_limit(rnnd_call *c, size_t bytes)
{
    graph_run_limit(c->run, bytes);
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
