/* run_tensors.c -- runs tensor graphs: on whole tensors, or on the rows of sequences that are laid into them. */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/run_private.h"

/* A pass begins with one block as large as the last one needed in pieces. */
static rnnd_code join_extra(struct graph_run *run, rnnd_error *err)
{
    size_t wanted = run->size + run->extra_bytes;
    run->used = 0;
    run->overflow = false;
    if (!run->extra) return RNND_OK;
    run_free_extra(run);
    mem_free(run->memory);
    run->size = 0;
    if (!(run->memory = mem_aligned(wanted))) return fail_memory(err, wanted);
    run->size = wanted;
    return RNND_OK;
}

static rnnd_code run_nodes(struct graph_run *run, rnnd_error *err)
{
    const struct graph *g = run->rc.graph;
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < g->node_count && !code; i++)
        code = g->nodes[i].op->run(&run->rc, &g->nodes[i], err);
    if (code == RNND_NO_MEMORY && run->overflow)
        return fail(err, RNND_TOO_LARGE, "a run of the graph would take more than %zu bytes", run->limit);
    return code;
}

rnnd_code graph_run_tensors(struct graph_run *run, const struct tensor *inputs, rnnd_error *err)
{
    const struct graph *g = run->rc.graph;
    rnnd_code code = join_extra(run, err);
    for (size_t i = 0; i < g->input_count && !code; i++)
        run->rc.values[g->inputs[i]] = inputs[i];
    for (size_t i = 0; i < g->state_count && !code; i++)
        run->rc.values[g->states[i].in] = inputs[g->input_count + i];
    return code ? code : run_nodes(run, err);
}

/* ---- rows ---- */

/* One sequence's rows into the tensor of an input. The time axis may stand anywhere: [before][T][after]. A port without
 * one takes the newest row. */
static rnnd_code lay_input(struct graph_run *run, size_t i, size_t T, size_t stride, const float *const *rows,
                           size_t at, size_t *width, rnnd_error *err)
{
    const struct graph *g = run->rc.graph;
    const struct graph_port *p = &g->input_ports[i];
    size_t dim[MAX_RANK], before = 1, after = 1;
    for (int k = 0; k < p->rank; k++) {
        dim[k] = k == p->batch_axis ? 1 : k == p->time_axis ? T : (size_t)p->dim[k];
        if (k != p->time_axis && p->time_axis >= 0 && k < p->time_axis) before *= dim[k];
        if (k != p->time_axis && (p->time_axis < 0 || k > p->time_axis)) after *= dim[k];
    }
    *width = before * after;
    struct tensor *t = &run->rc.values[g->inputs[i]];
    rnnd_code code = run_give_tensor(&run->rc, t, p->dtype, p->rank, dim, err);
    if (code) return code;
    size_t steps = p->time_axis < 0 ? 1 : T, first = p->time_axis < 0 ? T - 1 : 0;
    for (size_t s = 0; s < steps; s++) {
        const float *row = rows[(first + s) * stride] + at;
        for (size_t b = 0; b < before; b++)
            for (size_t a = 0; a < after; a++) {
                size_t to = (b * steps + s) * after + a;
                float v = row[b * after + a];
                if (p->dtype == DTYPE_F32)
                    ((float *)t->data)[to] = v;
                else if (p->dtype == DTYPE_I64)
                    ((int64_t *)t->data)[to] = v >= -9e18f && v <= 9e18f ? (int64_t)v : 0;
                else
                    ((bool *)t->data)[to] = v != 0;
            }
    }
    return RNND_OK;
}

static rnnd_code lay_states(struct graph_run *run, const float *states, rnnd_error *err)
{
    const struct graph *g = run->rc.graph;
    for (size_t i = 0; i < g->state_count; i++) {
        const struct graph_value *v = &g->values[g->states[i].in];
        size_t dim[MAX_RANK];
        for (int k = 0; k < v->rank; k++)
            dim[k] = v->dim[k] < 0 ? 1 : (size_t)v->dim[k];
        struct tensor *t = &run->rc.values[g->states[i].in];
        rnnd_code code = run_give_tensor(&run->rc, t, DTYPE_F32, v->rank, dim, err);
        if (code) return code;
        memcpy(t->data, states + run->state_offset[i], g->states[i].width * sizeof(float));
    }
    return RNND_OK;
}

static float element(const struct tensor *t, size_t i)
{
    return t->dtype == DTYPE_F32   ? ((const float *)t->data)[i]
           : t->dtype == DTYPE_I64 ? (float)((const int64_t *)t->data)[i]
                                   : (float)((const bool *)t->data)[i];
}

/* An output's tensor into rows; the sizes were told when the model was opened and must hold still. */
static rnnd_code read_output(struct graph_run *run, size_t i, size_t T, size_t stride, float *const *rows, size_t at,
                             size_t *width, rnnd_error *err)
{
    const struct graph *g = run->rc.graph;
    const struct graph_port *p = &g->output_ports[i];
    const struct tensor *t = &run->rc.values[g->outputs[i]];
    size_t steps = p->time_axis < 0 ? 1 : T, before = 1, after = 1;
    bool same = t->rank == p->rank;
    for (int k = 0; k < p->rank; k++) {
        size_t d = k == p->time_axis ? T : k == p->batch_axis ? 1 : (size_t)p->dim[k];
        same = same && t->dim[k] == d;
        if (k != p->time_axis) *(p->time_axis >= 0 && k < p->time_axis ? &before : &after) *= d;
    }
    *width = before * after;
    if (!same)
        return fail_at(err, RNND_MISMATCH, g->values[g->outputs[i]].name,
                       "output \"%.80s\": its shape is another for this window of %zu steps than when the model was "
                       "opened",
                       g->values[g->outputs[i]].name, T);
    for (size_t s = 0; s < steps; s++) {
        if (!rows[s * stride]) continue;
        float *row = rows[s * stride] + at;
        for (size_t b = 0; b < before; b++)
            for (size_t a = 0; a < after; a++)
                row[b * after + a] = element(t, (b * steps + s) * after + a);
    }
    return RNND_OK;
}

static rnnd_code read_states(struct graph_run *run, float *states, rnnd_error *err)
{
    const struct graph *g = run->rc.graph;
    for (size_t i = 0; i < g->state_count; i++) {
        const struct tensor *t = &run->rc.values[g->states[i].out];
        if (t->dtype != DTYPE_F32 || tensor_count(t) != g->states[i].width)
            return fail_at(err, RNND_MISMATCH, g->states[i].name,
                           "state \"%.80s\": wanted a successor of %zu floats, found %zu", g->states[i].name,
                           g->states[i].width, tensor_count(t));
    }
    for (size_t i = 0; i < g->state_count; i++)
        memcpy(states + run->state_offset[i], run->rc.values[g->states[i].out].data,
               g->states[i].width * sizeof(float));
    return RNND_OK;
}

/* T steps of one sequence in one pass; `stride` is between the row pointers of one step and the next. */
static rnnd_code run_sequence(struct graph_run *run, size_t T, size_t stride, const float *const *inputs,
                              float *const *outputs, const float *state_in, float *state_out, rnnd_error *err)
{
    const struct graph *g = run->rc.graph;
    size_t at = 0, width;
    rnnd_code code = join_extra(run, err);
    for (size_t i = 0; i < g->input_count && !code; i++, at += width)
        code = lay_input(run, i, T, stride, inputs, at, &width, err);
    if (!code && g->state_count) code = lay_states(run, state_in, err);
    if (!code) code = run_nodes(run, err);
    at = 0;
    for (size_t i = 0; i < g->output_count && outputs && !code; i++, at += width)
        code = read_output(run, i, T, stride, outputs, at, &width, err);
    if (!code && g->state_count) code = read_states(run, state_out, err);
    return code;
}

rnnd_code run_tensor_rows(struct graph_run *run, size_t T, size_t B, const float *const *inputs, float *const *outputs,
                          rnnd_error *err)
{
    const struct graph *g = run->rc.graph;
    rnnd_code code = RNND_OK;
    for (size_t b = 0; b < B && !code; b++) {
        const float *state_in = run->rc.state_in ? run->rc.state_in[b] : NULL;
        float *state_out = run->rc.state_out ? run->rc.state_out[b] : NULL;
        if (!g->stepwise) {
            code = run_sequence(run, T, B, inputs + b, outputs + b, state_in, state_out, err);
            continue;
        }
        for (size_t t = 0; t < T && !code; t++) {
            bool wanted = !g->output_last || t + 1 == T;
            float *const *rows = outputs + (g->output_last ? 0 : t * B) + b;
            code = run_sequence(run, 1, B, inputs + t * B + b, wanted ? rows : NULL, t ? state_out : state_in,
                                state_out, err);
        }
    }
    return code;
}
