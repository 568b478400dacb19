/* step.c -- advancing states by one step, as one batch: task before, network, task after. */
#include <string.h>

#include "core/base/error.h"
#include "core/base/team.h"
#include "core/model/assume.h"
#include "core/model/workspace.h"

/* A sliding pass reruns whole windows: so many rows of inputs at once keep its scratch small. No answer depends on it.
 */
#define SLIDING_ROWS ((size_t)1024)

rnnd_code rnnd_workspace_open(const rnnd_model *model, size_t max_rows, rnnd_workspace **out, rnnd_error *err)
{
    bool sliding = model->config.mode == RNND_SLIDING;
    *out = NULL;
    rnnd_workspace *ws = mem_alloc(1, sizeof *ws);
    if (!ws) return fail_memory(err, sizeof *ws);
    if (max_rows == 0) max_rows = 1;
    ws->model = model;
    ws->steps = sliding ? model->config.window : 1;
    if (sliding && max_rows > SLIDING_ROWS / ws->steps)
        max_rows = SLIDING_ROWS / ws->steps ? SLIDING_ROWS / ws->steps : 1;
    ws->max_rows = max_rows;
    size_t in_floats = 0, out_floats = 0, state_floats = 0, pointers = 0;
    rnnd_code code = RNND_OK;
    if (!size_mul(max_rows, model->network_inputs, &in_floats) ||
        !size_mul(max_rows, model->network_outputs, &out_floats) ||
        !size_mul(max_rows, sliding ? model->network_state : 0, &state_floats) ||
        !size_mul(max_rows, ws->steps, &pointers))
        code = fail_memory(err, (size_t)-1);
    if (!code) {
        ws->inputs = mem_alloc(in_floats, sizeof *ws->inputs);
        ws->outputs = mem_alloc(out_floats, sizeof *ws->outputs);
        ws->states = mem_alloc(state_floats, sizeof *ws->states);
        ws->in = mem_alloc(pointers, sizeof *ws->in);
        ws->out = mem_alloc(pointers, sizeof *ws->out);
        ws->state_in = mem_alloc(max_rows, sizeof *ws->state_in);
        ws->state_out = mem_alloc(max_rows, sizeof *ws->state_out);
        ws->live = mem_alloc(max_rows, sizeof *ws->live);
        if (!ws->inputs || !ws->outputs || !ws->states || !ws->in || !ws->out || !ws->state_in || !ws->state_out ||
            !ws->live)
            code = fail_memory(err, (in_floats + out_floats + state_floats) * sizeof(float));
    }
    if (!code) code = graph_run_open(&model->graph, max_rows, ws->steps, &ws->run, err);
    if (code)
        rnnd_workspace_close(ws);
    else
        *out = ws;
    return code;
}

void rnnd_workspace_close(rnnd_workspace *ws)
{
    if (!ws) return;
    graph_run_close(ws->run);
    team_close(ws->team);
    mem_free(ws->inputs);
    mem_free(ws->outputs);
    mem_free(ws->states);
    mem_free(ws->in);
    mem_free(ws->out);
    mem_free(ws->state_in);
    mem_free(ws->state_out);
    mem_free(ws->live);
    window_rows_free(&ws->window);
    feed_scratch_free(&ws->feed);
    mem_free(ws);
}

void rnnd_workspace_limit(rnnd_workspace *ws, size_t bytes)
{
    graph_run_limit(ws->run, bytes);
}

rnnd_code rnnd_workspace_threads(rnnd_workspace *ws, size_t threads, rnnd_error *err)
{
    struct team *team = NULL;
    rnnd_code code = threads == 1 ? RNND_OK : team_open(threads, &team, err);
    if (code) return code;
    graph_run_team(ws->run, team);
    team_close(ws->team);
    ws->team = team;
    return RNND_OK;
}

rnnd_code model_check_ids(const rnnd_model *m, const float *row, rnnd_error *err)
{
    for (size_t i = 0; i < m->network.input_count; row += m->network.inputs[i++].width) {
        const rnnd_port *p = &m->network.inputs[i];
        if (p->is_ids && (!(*row >= 0 && *row < (float)p->limit) || (float)(size_t)*row != *row))
            return fail_at(err, RNND_MISMATCH, p->name, "input \"%.60s\": wanted a whole id from 0 to %zu, found %g",
                           p->name, p->limit - 1, (double)*row);
    }
    return RNND_OK;
}

/* Where the network reads and writes live row i: a plain task's rows are its own. */
static const float *input_of(const rnnd_workspace *ws, const rnnd_step_row *rows, size_t i)
{
    const rnnd_model *m = ws->model;
    return m->task->plain ? rows[ws->live[i]].input : ws->inputs + i * m->network_inputs;
}

static float *output_of(const rnnd_workspace *ws, const rnnd_step_row *rows, size_t i)
{
    const rnnd_model *m = ws->model;
    float *wanted = rows[ws->live[i]].output;
    return m->task->plain && wanted ? wanted : ws->outputs + i * m->network_outputs;
}

/* One pass of the network over live rows [from, to), all with windows of `length` rows (1 where the state is carried).
 */
static rnnd_code pass(rnnd_workspace *ws, rnnd_step_row *rows, size_t from, size_t to, size_t length, rnnd_error *err)
{
    const rnnd_model *m = ws->model;
    size_t B = to - from, width = m->network_inputs;
    bool sliding = m->config.mode == RNND_SLIDING;
    for (size_t b = 0; b < B; b++) {
        void *state = rows[ws->live[from + b]].state;
        float *out = output_of(ws, rows, from + b);
        uint64_t steps = rnnd_state_step(m, state);
        if (!sliding) {
            ws->in[b] = input_of(ws, rows, from + b);
            ws->out[b] = out;
            ws->state_in[b] = ws->state_out[b] = model_recurrent(m, state);
            continue;
        }
        for (size_t t = 0; t < length; t++) { /* the newest row is number steps - 1; what was never written is zeros */
            uint64_t row = steps + (m->config.window - length) + t;
            ws->in[t * B + b] = model_recurrent(m, state) + row % m->config.window * width;
            ws->out[t * B + b] = NULL;
        }
        ws->out[(m->config.output_last ? 0 : length - 1) * B + b] = out;
        ws->state_in[b] = ws->state_out[b] = ws->states + b * m->network_state;
        model_initial(m, ws->state_out[b]);
    }
    return graph_run(ws->run, length, B, ws->in, ws->out, ws->state_in, ws->state_out, err);
}

/* Puts the rows' inputs through the task; what is live afterwards goes to the network. */
static size_t begin_rows(rnnd_workspace *ws, rnnd_step_row *rows, size_t n, rnnd_error *first)
{
    const rnnd_model *m = ws->model;
    size_t live = 0;
    rnnd_error own; /* written where a row fails: clearing it for each would cost more than looking at most rows */
    for (size_t i = 0; i < n; i++) {
        float *made = ws->inputs + live * m->network_inputs;
        const float *row = m->task->plain ? rows[i].input : made;
        rows[i].code = m->task->before(m, model_task_state(m, rows[i].state), rows[i].input, made, &own);
        if (!rows[i].code) rows[i].code = model_check_ids(m, row, &own);
        if (rows[i].code) {
            if (first && !first->code) *first = own;
            continue;
        }
        struct state_header *head = rows[i].state;
        if (m->config.mode == RNND_SLIDING)
            memcpy(model_recurrent(m, rows[i].state) + head->steps % m->config.window * m->network_inputs, row,
                   m->network_inputs * sizeof *row);
        head->steps++;
        ws->live[live++] = i;
    }
    return live;
}

static size_t window_length(const rnnd_model *m, const void *state)
{
    uint64_t steps = rnnd_state_step(m, state);
    if (m->config.mode != RNND_SLIDING) return 1;
    return steps < m->config.window && !m->config.pad_zeros ? (size_t)steps : m->config.window;
}

/* Windows of one length run together: moves the live rows that have the first one's to the front; returns their end. */
static size_t gather(rnnd_workspace *ws, const rnnd_step_row *rows, size_t from, size_t live)
{
    const rnnd_model *m = ws->model;
    size_t length = window_length(m, rows[ws->live[from]].state), end = from;
    for (size_t i = from; i < live; i++)
        if (window_length(m, rows[ws->live[i]].state) == length) {
            size_t keep = ws->live[i];
            ws->live[i] = ws->live[end];
            ws->live[end++] = keep;
        }
    return end;
}

static void end_rows(rnnd_workspace *ws, rnnd_step_row *rows, size_t live, rnnd_error *first)
{
    const rnnd_model *m = ws->model;
    for (size_t i = 0; i < live; i++) {
        rnnd_step_row *row = &rows[ws->live[i]];
        const float *out = output_of(ws, rows, i);
        if (row->code) continue;
        bool finite =
            m->kernels->finite(m->network_outputs, out) &&
            (m->config.mode != RNND_CARRY || m->kernels->finite(m->network_state, model_recurrent(m, row->state)));
        if (!m->task->plain) {
            m->task->after(m, model_task_state(m, row->state), out, row->output);
            finite &= !row->output || m->kernels->finite(m->info.output_width, row->output);
        }
        if (finite) continue;
        rnnd_error *err = first && !first->code ? first : NULL;
        row->code = fail(err, RNND_NOT_FINITE, "the network computed NaN or infinity at step %llu",
                         (unsigned long long)rnnd_state_step(m, row->state));
    }
}

rnnd_code rnnd_step(rnnd_workspace *ws, rnnd_step_row *rows, size_t n, rnnd_error *err)
{
    const rnnd_model *m = ws->model;
    rnnd_error first = {.code = RNND_OK};
    rnnd_code confirmed = model_check_confirmed(m, err);
    for (size_t i = 0; i < n && confirmed; i++)
        rows[i].code = confirmed;
    if (confirmed) return confirmed;
    if (!m->info.streamable)
        return fail(err, RNND_UNSUPPORTED, "model %.80s cannot be stepped: %s", m->info.name, m->info.not_streamable);
    for (size_t at = 0; at < n;) {
        size_t count = n - at < ws->max_rows ? n - at : ws->max_rows;
        size_t live = begin_rows(ws, rows + at, count, &first);
        for (size_t from = 0; from < live;) {
            size_t to = gather(ws, rows + at, from, live);
            rnnd_code code = pass(ws, rows + at, from, to, window_length(m, rows[at + ws->live[from]].state),
                                  first.code ? NULL : &first);
            for (size_t i = from; i < to && code; i++)
                rows[at + ws->live[i]].code = code;
            from = to;
        }
        end_rows(ws, rows + at, live, &first);
        at += count;
    }
    if (first.code && err) *err = first;
    return first.code;
}
