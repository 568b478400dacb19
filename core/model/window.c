/* window.c -- whole windows through the network, from given or initial states. */
#include <string.h>

#include "core/base/error.h"
#include "core/model/assume.h"
#include "core/model/workspace.h"

/* Rows of one pass. Networks that carry state are run in pieces of time, which keeps the scratch small and changes no
 * bit; others need their whole sequence at once. */
#define PASS_ROWS ((size_t)512)
#define MAX_ROWS ((size_t)1 << 31)

size_t rnnd_window_input_width(const rnnd_model *model)
{
    return model->network_inputs;
}
size_t rnnd_window_output_width(const rnnd_model *model)
{
    return model->network_outputs;
}

void window_rows_free(struct window_rows *w)
{
    mem_free(w->in);
    mem_free(w->out);
    mem_free(w->state_in);
    mem_free(w->state_out);
    mem_free(w->states);
    *w = (struct window_rows){0};
}

/* Room for passes of `steps` steps of `sequences` windows. */
static rnnd_code reserve(rnnd_workspace *ws, size_t sequences, size_t steps, rnnd_error *err)
{
    struct window_rows *w = &ws->window;
    size_t state = ws->model->network_state ? ws->model->network_state : 1, rows = sequences * steps;
    if (rows > w->rows || sequences > w->sequences) {
        if (rows < w->rows) rows = w->rows;
        if (sequences < w->sequences) sequences = w->sequences;
        window_rows_free(w);
        w->in = mem_alloc(rows, sizeof *w->in);
        w->out = mem_alloc(rows, sizeof *w->out);
        w->state_in = mem_alloc(sequences, sizeof *w->state_in);
        w->state_out = mem_alloc(sequences, sizeof *w->state_out);
        w->states = mem_alloc(sequences * state, sizeof *w->states);
        if (!w->in || !w->out || !w->state_in || !w->state_out || !w->states) {
            window_rows_free(w);
            return fail_memory(err, rows * sizeof *w->in);
        }
        w->rows = rows;
        w->sequences = sequences;
    }
    return graph_run_reserve(ws->run, sequences, steps, err);
}

/* Between [layers][batch][width] outside and a row of all states inside; kind 'h' or 'c'. */
static void move_states(const rnnd_model *m, char kind, size_t batch, size_t b, float *outside, float *row, bool in)
{
    for (size_t i = 0; i < m->graph.state_count; i++) {
        size_t width = m->graph.states[i].width;
        if (m->graph.states[i].kind == kind) {
            float *there = outside + b * width;
            if (in)
                memcpy(row, there, width * sizeof *row);
            else
                memcpy(there, row, width * sizeof *row);
            outside += batch * width;
        }
        row += width;
    }
}

/* Windows first .. first+B-1, `most` steps at a time. */
static rnnd_code run_rows(rnnd_workspace *ws, const rnnd_window *w, size_t first, size_t B, size_t most,
                          rnnd_error *err)
{
    const rnnd_model *m = ws->model;
    const struct window_rows *p = &ws->window;
    size_t in_width = m->network_inputs, out_width = m->network_outputs;
    bool last = m->config.output_last;
    for (size_t b = 0; b < B; b++) {
        float *row = p->states + b * m->network_state;
        p->state_in[b] = p->state_out[b] = row;
        model_initial(m, row);
        if (w->h0) move_states(m, 'h', w->batch, first + b, (float *)(uintptr_t)w->h0, row, true);
        if (w->c0) move_states(m, 'c', w->batch, first + b, (float *)(uintptr_t)w->c0, row, true);
    }
    for (size_t at = 0; at < w->steps;) {
        size_t T = w->steps - at < most ? w->steps - at : most;
        for (size_t b = 0; b < B; b++) {
            size_t sequence = (first + b) * w->steps;
            for (size_t t = 0; t < T; t++) {
                p->in[t * B + b] = w->inputs + (sequence + at + t) * in_width;
                p->out[t * B + b] = last ? NULL : w->outputs + (sequence + at + t) * out_width;
            }
            if (last) p->out[b] = w->outputs + (first + b) * out_width; /* the last piece writes last */
        }
        rnnd_code code = graph_run(ws->run, T, B, p->in, p->out, p->state_in, p->state_out, err);
        if (code) return code;
        at += T;
    }
    for (size_t b = 0; b < B; b++) {
        if (w->hn) move_states(m, 'h', w->batch, first + b, w->hn, p->state_out[b], false);
        if (w->cn) move_states(m, 'c', w->batch, first + b, w->cn, p->state_out[b], false);
    }
    return RNND_OK;
}

static rnnd_code check(const rnnd_model *m, const rnnd_window *w, rnnd_error *err)
{
    size_t rows, floats;
    if (!w->inputs || !w->outputs || w->batch == 0 || w->steps == 0)
        return fail_at(err, RNND_INVALID, "inputs",
                       "a window needs inputs, outputs and at least one sequence of one step");
    if (!size_mul(w->batch, w->steps, &rows) || rows > MAX_ROWS || !size_mul(rows, m->network_inputs, &floats))
        return fail_at(err, RNND_TOO_LARGE, "inputs", "a window may have at most %zu rows", MAX_ROWS);
    for (size_t i = 0; i < rows; i++) {
        rnnd_code code = model_check_ids(m, w->inputs + i * m->network_inputs, err);
        if (code) return code;
    }
    return RNND_OK;
}

static rnnd_code check_finite(const rnnd_model *m, const rnnd_window *w, rnnd_error *err)
{
    size_t steps = m->config.output_last ? 1 : w->steps;
    for (size_t i = 0; i < w->batch * steps; i++)
        if (!m->kernels->finite(m->network_outputs, w->outputs + i * m->network_outputs))
            return fail(err, RNND_NOT_FINITE, "the network computed NaN or infinity in sequence %zu at step %zu",
                        i / steps, m->config.output_last ? w->steps - 1 : i % steps);
    return RNND_OK;
}

rnnd_code rnnd_run_window(rnnd_workspace *ws, const rnnd_window *w, rnnd_error *err)
{
    const rnnd_model *m = ws->model;
    rnnd_code code = model_check_confirmed(m, err);
    if (!code && m->no_rows)
        code =
            fail(err, RNND_UNSUPPORTED, "model %.80s cannot be run on rows of steps: %.200s", m->info.name, m->no_rows);
    if (!code) code = check(m, w, err);
    if (code) return code;
    size_t most = m->graph.causal ? 64 : w->steps >= PASS_ROWS ? 1 : PASS_ROWS / w->steps;
    size_t rows = w->batch < most ? w->batch : most;
    size_t steps = m->graph.causal && w->steps > PASS_ROWS / rows ? PASS_ROWS / rows : w->steps;
    code = reserve(ws, rows, steps, err);
    for (size_t at = 0; at < w->batch && !code; at += rows)
        code = run_rows(ws, w, at, w->batch - at < rows ? w->batch - at : rows, steps, err);
    return code ? code : check_finite(m, w, err);
}
