/* feed.c -- many steps of one state at once, layer by layer, as a window runs them. */
#include <string.h>

#include "core/base/error.h"
#include "core/model/assume.h"
#include "core/model/workspace.h"
#include "core/ops/ops.h"

#define FEED_ROWS ((size_t)64) /* steps of a pass */

/* Functions within bounds, which keep a NaN: a state that stops being finite on the way then is not finite in the end
 * either, and one look at the end finds what a look after each step would. */
static bool is_bounded(struct act act)
{
    return act.kind == ACT_SIGMOID || act.kind == ACT_TANH || act.kind == ACT_SOFTSIGN;
}

static bool keeps_bounds(const struct graph_node *n)
{
    static const struct act sigmoid = {.kind = ACT_SIGMOID}, tanh = {.kind = ACT_TANH};
    bool plain = op_float(n, "clip", 0) == 0 && is_bounded(op_act(n, "cell", tanh));
    if (n->op == &op_rnn) return plain;
    plain = plain && is_bounded(op_act(n, "gate", sigmoid));
    if (n->op == &op_gru) return plain;
    bool projected = n->input_count > 7 && n->inputs[7] >= 0;
    return plain && n->op == &op_lstm && op_float(n, "cell_clip", 0) == 0 && is_bounded(op_act(n, "out", tanh)) &&
           !projected;
}

bool model_feeds_together(const rnnd_model *m)
{
    const struct graph *g = &m->graph;
    bool yes = m->info.streamable && m->config.mode == RNND_CARRY && !m->config.output_last && !g->tensors &&
               !g->stepwise && m->task->last_after;
    for (size_t i = 0; i < g->node_count && yes; i++)
        yes = !g->nodes[i].op->owns_states || keeps_bounds(&g->nodes[i]);
    return yes;
}

void feed_scratch_free(struct feed_scratch *f)
{
    mem_free(f->inputs);
    mem_free(f->outputs);
    mem_free(f->before);
    *f = (struct feed_scratch){0};
}

static rnnd_code reserve(rnnd_workspace *ws, rnnd_error *err)
{
    const rnnd_model *m = ws->model;
    struct feed_scratch *f = &ws->feed;
    if (f->before) return RNND_OK;
    f->inputs = mem_alloc(FEED_ROWS * m->network_inputs, sizeof *f->inputs);
    f->outputs = mem_alloc(FEED_ROWS * m->network_outputs, sizeof *f->outputs);
    f->before = f->inputs && f->outputs ? mem_aligned(m->state_bytes) : NULL;
    if (f->before) return RNND_OK;
    feed_scratch_free(f);
    return fail_memory(err, FEED_ROWS * (m->network_inputs + m->network_outputs) * sizeof(float));
}

static rnnd_code by_steps(rnnd_workspace *ws, void *state, const float *inputs, size_t steps, float *output,
                          rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    for (size_t t = 0; t < steps && !code; t++) {
        rnnd_step_row row = {state, inputs + t * ws->model->info.input_width, t + 1 == steps ? output : NULL, RNND_OK};
        code = rnnd_step(ws, &row, 1, err);
    }
    return code;
}

/* Network rows of T steps. Nothing of the state is touched: these tasks only look at inputs. */
static rnnd_code make_rows(rnnd_workspace *ws, void *state, const float *inputs, size_t T, rnnd_error *err)
{
    const rnnd_model *m = ws->model;
    rnnd_code code = RNND_OK;
    for (size_t t = 0; t < T && !code; t++) {
        float *made = ws->feed.inputs + t * m->network_inputs;
        const float *given = inputs + t * m->info.input_width, *row = m->task->plain ? given : made;
        code = m->task->before(m, model_task_state(m, state), given, made, err);
        if (!code) code = model_check_ids(m, row, err);
        ws->window.in[t] = row;
        ws->window.out[t] = ws->feed.outputs + t * m->network_outputs;
    }
    return code;
}

/* T steps in one pass; again one by one where something is not finite, for its place. */
static rnnd_code together(rnnd_workspace *ws, void *state, const float *inputs, size_t T, float *output,
                          rnnd_error *err)
{
    const rnnd_model *m = ws->model;
    struct window_rows *w = &ws->window;
    float *recurrent = model_recurrent(m, state), *last = ws->feed.outputs + (T - 1) * m->network_outputs;
    rnnd_code code = window_reserve(ws, 1, T, err);
    if (!code) code = make_rows(ws, state, inputs, T, err);
    if (code) return code;
    memcpy(ws->feed.before, state, m->state_bytes);
    w->state_in[0] = w->state_out[0] = recurrent;
    code = graph_run(ws->run, T, 1, w->in, w->out, w->state_in, w->state_out, err);
    if (!code && (!m->kernels->finite(T * m->network_outputs, ws->feed.outputs) ||
                  !m->kernels->finite(m->network_state, recurrent))) {
        memcpy(state, ws->feed.before, m->state_bytes);
        return by_steps(ws, state, inputs, T, output, err);
    }
    if (code) return code;
    ((struct state_header *)state)->steps += T;
    if (!m->task->plain)
        m->task->after(m, model_task_state(m, state), last, output);
    else if (output)
        memcpy(output, last, m->network_outputs * sizeof *output);
    return RNND_OK;
}

rnnd_code rnnd_feed(rnnd_workspace *ws, void *state, const float *inputs, size_t steps, float *output, rnnd_error *err)
{
    const rnnd_model *m = ws->model;
    rnnd_code code = model_check_confirmed(m, err);
    if (code) return code;
    if (!m->info.feeds_together || steps < 2) return by_steps(ws, state, inputs, steps, output, err);
    code = reserve(ws, err);
    for (size_t at = 0, T; at < steps && !code; at += T) {
        T = steps - at < FEED_ROWS ? steps - at : FEED_ROWS;
        code = together(ws, state, inputs + at * m->info.input_width, T, at + T == steps ? output : NULL, err);
    }
    return code;
}
