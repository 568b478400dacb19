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

static rnnd_code grow_rows(struct window_rows *w, size_t rows, rnnd_error *err)
{
    mem_free(w->in);
    mem_free(w->out);
    w->in = mem_alloc(rows, sizeof *w->in);
    w->out = mem_alloc(rows, sizeof *w->out);
    w->rows = w->in && w->out ? rows : 0;
    return w->rows ? RNND_OK : fail_memory(err, rows * sizeof *w->in);
}

static rnnd_code grow_sequences(struct window_rows *w, size_t sequences, size_t state, rnnd_error *err)
{
    mem_free(w->state_in);
    mem_free(w->state_out);
    mem_free(w->states);
    w->state_in = mem_alloc(sequences, sizeof *w->state_in);
    w->state_out = mem_alloc(sequences, sizeof *w->state_out);
    w->states = mem_alloc(sequences * (state ? state : 1), sizeof *w->states);
    w->sequences = w->state_in && w->state_out && w->states ? sequences : 0;
    return w->sequences ? RNND_OK : fail_memory(err, sequences * state * sizeof *w->states);
}

rnnd_code window_reserve(rnnd_workspace *ws, size_t sequences, size_t steps, rnnd_error *err)
{
    struct window_rows *w = &ws->window;
    rnnd_code code = RNND_OK;
    if (sequences * steps > w->rows) code = grow_rows(w, sequences * steps, err);
    if (!code && sequences > w->sequences) code = grow_sequences(w, sequences, ws->model->network_state, err);
    return code ? code : graph_run_reserve(ws->run, sequences, steps, err);
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

/* ---- a run, from piece to piece ---- */

struct rnnd_window_run {
    const rnnd_model *model;
    rnnd_window w;
    size_t sequences; /* that run side by side */
    size_t first, at; /* the first of those under way, and the step that is next */
    float *states;    /* theirs, [sequences][network state] */
};

static size_t side_by_side(const rnnd_window_run *r)
{
    return r->w.batch - r->first < r->sequences ? r->w.batch - r->first : r->sequences;
}

static void begin(rnnd_window_run *r)
{
    const rnnd_window *w = &r->w;
    for (size_t b = 0; b < side_by_side(r); b++) {
        float *row = r->states + b * r->model->network_state;
        model_initial(r->model, row);
        if (w->h0) move_states(r->model, 'h', w->batch, r->first + b, (float *)(uintptr_t)w->h0, row, true);
        if (w->c0) move_states(r->model, 'c', w->batch, r->first + b, (float *)(uintptr_t)w->c0, row, true);
    }
}

/* T steps of those under way. */
static rnnd_code piece(rnnd_window_run *r, rnnd_workspace *ws, size_t T, rnnd_error *err)
{
    const rnnd_model *m = r->model;
    const rnnd_window *w = &r->w;
    const struct window_rows *p = &ws->window;
    size_t B = side_by_side(r), in_width = m->network_inputs, out_width = m->network_outputs;
    rnnd_code code = window_reserve(ws, B, T, err);
    if (code) return code;
    for (size_t b = 0; b < B; b++) {
        size_t sequence = r->first + b, row = sequence * w->steps + r->at;
        p->state_in[b] = p->state_out[b] = r->states + b * m->network_state;
        for (size_t t = 0; t < T; t++) {
            p->in[t * B + b] = w->inputs + (row + t) * in_width;
            p->out[t * B + b] = m->config.output_last ? NULL : w->outputs + (row + t) * out_width;
        }
        if (m->config.output_last) p->out[b] = w->outputs + sequence * out_width; /* the last piece writes last */
    }
    code = graph_run(ws->run, T, B, p->in, p->out, p->state_in, p->state_out, err);
    if (!code) r->at += T;
    return code;
}

static rnnd_code end(rnnd_window_run *r, rnnd_error *err)
{
    const rnnd_model *m = r->model;
    const rnnd_window *w = &r->w;
    size_t B = side_by_side(r), steps = m->config.output_last ? 1 : w->steps;
    for (size_t b = 0; b < B; b++) {
        float *row = r->states + b * m->network_state;
        if (w->hn) move_states(m, 'h', w->batch, r->first + b, w->hn, row, false);
        if (w->cn) move_states(m, 'c', w->batch, r->first + b, w->cn, row, false);
    }
    for (size_t i = r->first * steps; i < (r->first + B) * steps; i++)
        if (!m->kernels->finite(m->network_outputs, w->outputs + i * m->network_outputs))
            return fail(err, RNND_NOT_FINITE, "the network computed NaN or infinity in sequence %zu at step %zu",
                        i / steps, m->config.output_last ? w->steps - 1 : i % steps);
    r->first += B;
    r->at = 0;
    return RNND_OK;
}

/* At most `rows` rows, or what cannot be cut. */
static rnnd_code advance(rnnd_window_run *r, rnnd_workspace *ws, size_t rows, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    for (size_t done = 0, T = 0; r->first < r->w.batch && (done < rows || done == 0) && !code; done += T) {
        size_t B = side_by_side(r), left = rows - done < PASS_ROWS ? rows - done : PASS_ROWS;
        T = r->w.steps - r->at;
        if (r->model->graph.causal && T > left / B) T = left / B ? left / B : 1;
        if (r->at == 0) begin(r);
        code = piece(r, ws, T, err);
        T *= B;
        if (!code && r->at == r->w.steps) code = end(r, err);
    }
    return code;
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

/* How many sequences run side by side: those that are cut in time share passes, others have a pass to themselves or,
 * where they are short, with a few. */
static size_t most_sequences(const rnnd_model *m, const rnnd_window *w)
{
    size_t most = m->graph.causal ? 64 : w->steps >= PASS_ROWS ? 1 : PASS_ROWS / w->steps;
    return w->batch < most ? w->batch : most;
}

static rnnd_code check_model(const rnnd_model *m, rnnd_error *err)
{
    rnnd_code code = model_check_confirmed(m, err);
    if (code || !m->no_rows) return code;
    return fail(err, RNND_UNSUPPORTED, "model %.80s cannot be run on rows of steps: %.200s", m->info.name, m->no_rows);
}

rnnd_code rnnd_run_window(rnnd_workspace *ws, const rnnd_window *w, rnnd_error *err)
{
    rnnd_window_run r = {.model = ws->model, .w = *w};
    rnnd_code code = check_model(r.model, err);
    if (!code) code = check(r.model, w, err);
    if (code) return code;
    r.sequences = most_sequences(r.model, w);
    code = window_reserve(ws, r.sequences, 1, err);
    r.states = ws->window.states;
    return code ? code : advance(&r, ws, SIZE_MAX, err);
}

rnnd_code rnnd_window_open(const rnnd_model *model, const rnnd_window *w, rnnd_window_run **out, rnnd_error *err)
{
    rnnd_code code = check_model(model, err);
    *out = NULL;
    if (!code) code = check(model, w, err);
    if (code) return code;
    rnnd_window_run *r = mem_alloc(1, sizeof *r);
    if (!r) return fail_memory(err, sizeof *r);
    *r = (rnnd_window_run){.model = model, .w = *w, .sequences = most_sequences(model, w)};
    r->states = mem_alloc(r->sequences * (model->network_state ? model->network_state : 1), sizeof *r->states);
    if (!r->states) {
        mem_free(r);
        return fail_memory(err, model->network_state * sizeof *r->states);
    }
    *out = r;
    return RNND_OK;
}

rnnd_code rnnd_window_work(rnnd_window_run *r, rnnd_workspace *ws, size_t rows, bool *done, rnnd_error *err)
{
    rnnd_code code = advance(r, ws, rows, err);
    *done = r->first == r->w.batch;
    return code;
}

void rnnd_window_close(rnnd_window_run *r)
{
    if (!r) return;
    mem_free(r->states);
    mem_free(r);
}
