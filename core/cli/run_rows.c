/* run_rows.c -- `rnnd run` over rows: whole windows, or step by step with the state carried along. */
#include <stdlib.h>
#include <string.h>

#include "core/cli/run.h"

enum { BATCH = 64, MOST_ENDS = CLI_MOST_ITEMS }; /* sequences at a time: fast, and the progress line moves */

struct part { /* of an input or output row: one port, or all of it */
    struct array *array; /* NULL: nobody asked for it */
    size_t width, batch, steps;
    bool fixed;          /* the same for every step */
    const rnnd_port *port;
};
struct rows {
    struct part in[MOST_ENDS], out[MOST_ENDS];
    size_t in_count, out_count, batch, steps, inputs, outputs;
    bool one_sequence; /* the batch axis was not there */
    bool last;         /* windows that answer once: no axis of steps, as frameworks have it */
    bool stepwise;     /* the network is the function of one step */
    size_t rank;       /* stepwise: the axes of the input, which outputs get too, filled up with axes of 1 */
};

static bool same_dims(const struct array *a, size_t from, const rnnd_port *port)
{
    if (!port || port->rank < 2 || a->rank != from + (size_t)port->rank)
        return false;
    return memcmp(a->dim + from, port->dim, (size_t)port->rank * sizeof *port->dim) == 0;
}

/* Which axes of an input are batch and steps. */
static rnnd_code set_shape(struct rows *r, struct part *p, bool *one_sequence, rnnd_error *err)
{
    const struct array *x = p->array;
    size_t rank = x->rank, cells = array_count(x);
    char found[ARRAY_MAX_RANK * 24];
    p->batch = 1;
    *one_sequence = true;
    if (r->stepwise && rank > 1 && x->dim[0] > 0 && cells / x->dim[0] == p->width) {
        p->steps = x->dim[0];
        r->rank = rank;
    } else if (same_dims(x, 1, p->port)) {
        p->steps = x->dim[0];
    } else if (same_dims(x, 2, p->port) || (rank == 3 && x->dim[2] == p->width)) {
        *one_sequence = false;
        p->batch = x->dim[0];
        p->steps = x->dim[1];
    } else if ((rank == 2 && x->dim[1] == p->width) || (rank == 1 && p->width == 1) ||
               (rank > 3 && x->dim[0] > 0 && cells / x->dim[0] == p->width)) {
        p->steps = x->dim[0];
    } else if (rank == 2 && p->width == 1) { /* [batch][steps] of one number each, ids say */
        *one_sequence = false;
        p->batch = x->dim[0];
        p->steps = x->dim[1];
    } else {
        return cli_error(err, RNND_MISMATCH, "the input has shape %s; wanted [steps][%zu] or [batch][steps][%zu]",
                         array_shape(x, found), p->width, p->width);
    }
    if (p->batch == 0 || p->steps == 0)
        return cli_error(err, RNND_MISMATCH, "the input is empty: %zu sequences of %zu steps", p->batch, p->steps);
    return RNND_OK;
}

static rnnd_code add_input(struct rows *r, struct run_end *e, const rnnd_port *port, size_t width, rnnd_error *err)
{
    struct part *p = &r->in[r->in_count++];
    bool one;
    *p = (struct part){.array = &e->array, .width = width, .port = port};
    rnnd_code code = array_convert(&e->array, RNND_FLOAT32, err);
    if (code != RNND_OK)
        return code;
    if (r->in_count > 1 && array_count(p->array) == width) {
        p->fixed = true;
        return RNND_OK;
    }
    if ((code = set_shape(r, p, &one, err)) != RNND_OK)
        return code;
    if (r->batch == 0) {
        r->batch = p->batch;
        r->steps = p->steps;
        r->one_sequence = one;
    } else if (r->batch != p->batch || r->steps != p->steps) {
        return cli_error(err, RNND_MISMATCH, "%.80s has %zu sequences of %zu steps; wanted %zu of %zu as the input "
                         "before it", e->name ? e->name : e->path, p->batch, p->steps, r->batch, r->steps);
    }
    return RNND_OK;
}

static struct run_end *find_end(struct run_end *ends, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (ends[i].name && strcmp(ends[i].name, name) == 0)
            return &ends[i];
    return NULL;
}

static size_t width_of(const rnnd_port *ports, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += ports[i].width;
    return n;
}

static rnnd_code find_inputs(struct run_job *j, struct rows *r, rnnd_error *err)
{
    const rnnd_info *m = rnnd_model_info(j->model);
    bool by_port = m->input_count <= MOST_ENDS && width_of(m->inputs, m->input_count) == r->inputs;
    if (j->in_count == 1 && (!j->in[0].name || (m->input_count == 1 && !strcmp(j->in[0].name, m->inputs[0].name))))
        return add_input(r, &j->in[0], by_port && m->input_count == 1 ? m->inputs : NULL, r->inputs, err);
    for (size_t i = 0; i < j->in_count; i++) {
        bool known = false;
        for (size_t k = 0; k < m->input_count && by_port; k++)
            known = known || (j->in[i].name && strcmp(j->in[i].name, m->inputs[k].name) == 0);
        if (!known)
            return cli_error(err, RNND_MISMATCH, "model %s has no input %.80s", m->name,
                             j->in[i].name ? j->in[i].name : "without a name");
    }
    for (size_t k = 0; k < m->input_count; k++) {
        struct run_end *e = find_end(j->in, j->in_count, m->inputs[k].name);
        if (!e)
            return cli_error(err, RNND_MISMATCH, "model %s needs its input %.80s too", m->name, m->inputs[k].name);
        rnnd_code code = add_input(r, e, &m->inputs[k], m->inputs[k].width, err);
        if (code != RNND_OK)
            return code;
    }
    return RNND_OK;
}

/* Room for an output: the axes of its port behind steps and, if it was there, batch. */
static rnnd_code make_output(const struct rows *r, struct part *p, size_t steps, rnnd_error *err)
{
    struct array *y = p->array;
    size_t cells;
    if (__builtin_mul_overflow(r->batch, steps, &cells) || __builtin_mul_overflow(cells, p->width, &cells) ||
        !(y->data = calloc(cells ? cells : 1, sizeof *y->data)))
        return cli_error(err, RNND_NO_MEMORY, "no memory for %zu sequences of %zu answers of %zu numbers", r->batch,
                         steps, p->width);
    y->dtype = RNND_FLOAT32;
    y->rank = 0;
    if (!r->one_sequence)
        y->dim[y->rank++] = r->batch;
    if (!r->last)
        y->dim[y->rank++] = steps;
    for (size_t own = p->port && p->port->rank > 1 ? (size_t)p->port->rank : 1; y->rank + own < r->rank;)
        y->dim[y->rank++] = 1;
    if (p->port && p->port->rank > 1 && p->port->rank + y->rank <= ARRAY_MAX_RANK)
        for (int i = 0; i < p->port->rank; i++)
            y->dim[y->rank++] = p->port->dim[i];
    else
        y->dim[y->rank++] = p->width;
    p->steps = steps;
    return RNND_OK;
}

static rnnd_code find_outputs(struct run_job *j, struct rows *r, size_t answers, rnnd_error *err)
{
    const rnnd_info *m = rnnd_model_info(j->model);
    bool by_port = m->output_count <= MOST_ENDS && width_of(m->outputs, m->output_count) == r->outputs;
    r->out_count = by_port ? m->output_count : 1;
    for (size_t k = 0; k < r->out_count; k++)
        r->out[k] = (struct part){.width = by_port ? m->outputs[k].width : r->outputs,
                                  .port = by_port ? &m->outputs[k] : NULL};
    for (size_t i = 0; i < j->out_count; i++) {
        size_t k = 0;
        while (k < r->out_count && j->out[i].name && (!by_port || strcmp(m->outputs[k].name, j->out[i].name) != 0))
            k++;
        if (k == r->out_count)
            return cli_error(err, RNND_NOT_FOUND, "model %s has no output %.80s step by step", m->name,
                             j->out[i].name);
        if (r->out[k].array)
            return cli_error(err, RNND_INVALID, "two -o want the same output");
        r->out[k].array = &j->out[i].array;
        rnnd_code code = make_output(r, &r->out[k], answers, err);
        if (code != RNND_OK)
            return code;
    }
    return RNND_OK;
}

/* ---- windows --------------------------------------------------------------------------------------------------- */

rnnd_code run_windows(struct run_job *j, rnnd_error *err)
{
    struct rows r = {.inputs = rnnd_window_input_width(j->model), .outputs = rnnd_window_output_width(j->model)};
    struct part out = {.array = &j->out[0].array, .width = r.outputs};
    rnnd_workspace *ws;
    struct progress p;
    rnnd_code code = add_input(&r, &j->in[0], NULL, r.inputs, err);
    if (code != RNND_OK)
        return code;
    r.last = rnnd_model_info(j->model)->output_last;
    size_t answers = r.last ? 1 : r.steps, most = r.batch < BATCH ? r.batch : BATCH;
    if ((code = make_output(&r, &out, answers, err)) != RNND_OK ||
        (code = rnnd_workspace_open(j->model, most, &ws, err)) != RNND_OK)
        return code;
    progress_start(&p, "sequences", r.batch);
    for (size_t at = 0; at < r.batch && code == RNND_OK; at += most) {
        rnnd_window w = {.batch = r.batch - at < most ? r.batch - at : most,
                         .steps = r.steps,
                         .inputs = j->in[0].array.data + at * r.steps * r.inputs,
                         .outputs = out.array->data + at * answers * r.outputs};
        code = rnnd_run_window(ws, &w, err);
        progress_at(&p, at + w.batch);
    }
    progress_end(&p);
    rnnd_workspace_close(ws);
    return code;
}

/* ---- steps ----------------------------------------------------------------------------------------------------- */

struct lanes { /* a group of sequences side by side, each with a state of its own */
    size_t most, state_bytes;
    char *states;
    float *in, *out; /* [most][inputs], [most][outputs] */
    rnnd_workspace *ws;
};

static void gather(const struct rows *r, size_t row, float *to)
{
    for (size_t k = 0; k < r->in_count; k++) {
        const struct part *p = &r->in[k];
        memcpy(to, p->array->data + (p->fixed ? 0 : row * p->width), p->width * sizeof *to);
        to += p->width;
    }
}

static void scatter(const struct rows *r, size_t row, const float *from)
{
    for (size_t k = 0; k < r->out_count; from += r->out[k++].width)
        if (r->out[k].array)
            memcpy(r->out[k].array->data + row * r->out[k].width, from, r->out[k].width * sizeof *from);
}

/* Step t of n sequences from sequence `at` on. */
static rnnd_code step_lanes(struct lanes *l, const struct rows *r, size_t at, size_t n, size_t t, rnnd_error *err)
{
    rnnd_step_row rows[BATCH];
    rnnd_error why;
    for (size_t b = 0; b < n; b++) {
        gather(r, (at + b) * r->steps + t, l->in + b * r->inputs);
        rows[b] = (rnnd_step_row){.state = l->states + b * l->state_bytes,
                                  .input = l->in + b * r->inputs,
                                  .output = l->out + b * r->outputs};
    }
    rnnd_code code = rnnd_step(l->ws, rows, n, &why);
    if (code != RNND_OK)
        return cli_error(err, code, "step %zu: %.480s", t, why.message);
    for (size_t b = 0; b < n; b++)
        scatter(r, (at + b) * r->steps + t, l->out + b * r->outputs);
    return RNND_OK;
}

static rnnd_code run_lanes(const rnnd_model *model, const struct rows *r, rnnd_error *err)
{
    struct lanes l = {.most = r->batch < BATCH ? r->batch : BATCH,
                      .state_bytes = (rnnd_state_bytes(model) + 7) / 8 * 8};
    struct progress p;
    l.states = calloc(l.most, l.state_bytes);
    l.in = calloc(l.most, (r->inputs + 1) * sizeof *l.in);
    l.out = calloc(l.most, (r->outputs + 1) * sizeof *l.out);
    rnnd_code code = l.states && l.in && l.out ? rnnd_workspace_open(model, l.most, &l.ws, err)
                                               : cli_error(err, RNND_NO_MEMORY, "no memory for %zu states", l.most);
    progress_start(&p, "steps", (uint64_t)r->batch * r->steps);
    for (size_t at = 0; at < r->batch && code == RNND_OK; at += l.most) {
        size_t n = r->batch - at < l.most ? r->batch - at : l.most;
        for (size_t b = 0; b < n; b++)
            rnnd_state_reset(model, l.states + b * l.state_bytes);
        for (size_t t = 0; t < r->steps && code == RNND_OK; t++) {
            code = step_lanes(&l, r, at, n, t, err);
            progress_at(&p, (uint64_t)at * r->steps + (t + 1) * n);
        }
    }
    progress_end(&p);
    rnnd_workspace_close(l.ws);
    free(l.states);
    free(l.in);
    free(l.out);
    return code;
}

/* The file has outputs that are none of a step: they are its states. */
static rnnd_code find_kind(const rnnd_model *model, bool *stepwise, rnnd_error *err)
{
    const char *const *names;
    rnnd_call *c;
    rnnd_code code = rnnd_call_open(model, &c, err);
    if (code != RNND_OK)
        return code;
    *stepwise = rnnd_call_outputs(c, &names) > rnnd_model_info(model)->output_count;
    rnnd_call_close(c);
    return RNND_OK;
}

rnnd_code run_steps(struct run_job *j, rnnd_error *err)
{
    const rnnd_info *m = rnnd_model_info(j->model);
    struct rows r = {.inputs = m->input_width, .outputs = m->output_width};
    if (!m->streamable)
        return cli_error(err, RNND_UNSUPPORTED, "model %s runs windows only: %s", m->name, m->not_streamable);
    rnnd_code code = find_kind(j->model, &r.stepwise, err);
    if (code == RNND_OK)
        code = find_inputs(j, &r, err);
    if (code == RNND_OK)
        code = find_outputs(j, &r, r.steps, err);
    return code == RNND_OK ? run_lanes(j->model, &r, err) : code;
}
