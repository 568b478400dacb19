/* table_stream.c -- a case of a table, step by step: a state that goes in and comes out, from zero on. */
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/table.h"

enum { MOST_STATES = 16 };

/* Row t of an array: borrowed. */
static struct array row_of(const struct array *a, size_t t)
{
    struct array row = {.dtype = a->dtype, .rank = a->rank - 1};
    memcpy(row.dim, a->dim + 1, row.rank * sizeof *a->dim);
    row.raw = (char *)a->raw + t * array_count(&row) * array_width(a->dtype);
    return row;
}

struct state { const char *input, *output; struct array array; }; /* output NULL: a number that stays */
struct stream {
    struct state states[MOST_STATES];
    size_t count, steps;
    int64_t numbers[MOST_STATES];
};

/* An input that no array gives is a number of the notes, or the next state: of the shape of the next output behind the
 * first that the npz holds. */
static bool find_states(struct table_case *c, struct subject *m, struct stream *st, struct verdict *v)
{
    const char *const *inputs, *const *outputs;
    size_t in = rnnd_call_inputs(m->call, &inputs), outs = rnnd_call_outputs(m->call, &outputs), next = 1;
    long number;
    for (size_t i = 0; i < in; i++) {
        bool given = false;
        for (size_t k = 0; k < c->in.count; k++)
            given = given || subject_input(m, c->in.items[k].name, k) == inputs[i];
        if (given)
            continue;
        if (st->count == MOST_STATES)
            return false;
        struct state *s = &st->states[st->count];
        s->input = inputs[i];
        if (table_number(c, inputs[i], &number)) {
            st->numbers[st->count] = number;
            s->array = (struct array){.dtype = RNND_INT64, .rank = 0, .whole = &st->numbers[st->count]};
        } else if (next < outs && next < c->out.count) {
            struct array row = row_of(&c->out.items[next].array, 0);
            s->output = outputs[next++];
            s->array = row;
            if (!(s->array.raw = calloc(array_count(&row) + 1, array_width(row.dtype))))
                return false;
        } else {
            verdict_fail(v, "nothing is known of the input %.80s", inputs[i]);
            return false;
        }
        st->count++;
    }
    return true;
}

static bool run_step(struct table_case *c, struct subject *m, struct stream *st, size_t t, struct verdict *v)
{
    rnnd_tensor inputs[MOST_ARRAYS + MOST_STATES];
    struct array rows[MOST_ARRAYS];
    rnnd_error err;
    size_t n = 0;
    for (size_t i = 0; i < c->in.count; i++) {
        rows[i] = row_of(&c->in.items[i].array, t);
        inputs[n++] = tensor_of(subject_input(m, c->in.items[i].name, i), &rows[i]);
    }
    for (size_t i = 0; i < st->count; i++)
        inputs[n++] = tensor_of(st->states[i].input, &st->states[i].array);
    if (rnnd_call_run(m->call, inputs, n, &err) == RNND_OK)
        return true;
    verdict_fail(v, "step %zu: %.400s", t, err.message);
    return false;
}

static void compare_step(struct table_case *c, struct subject *m, size_t t, struct verdict *v)
{
    for (size_t i = 0; i < c->out.count; i++) {
        struct array want = row_of(&c->out.items[i].array, t), got;
        char label[160];
        snprintf(label, sizeof label, "step %zu: %.120s", t, c->out.items[i].name);
        if (subject_output(m, c->out.items[i].name, i, &want, &got, v))
            verdict_compare(v, &got, &want, label);
    }
}

static bool feed_back(struct subject *m, struct stream *st, struct verdict *v)
{
    for (size_t i = 0; i < st->count; i++) {
        struct state *s = &st->states[i];
        struct array got;
        if (!s->output)
            continue;
        if (!subject_output(m, s->output, 0, &s->array, &got, v))
            return false;
        if (array_count(&got) != array_count(&s->array) || got.dtype != s->array.dtype) {
            verdict_fail(v, "the state %.80s changes its shape", s->output);
            return false;
        }
        memcpy(s->array.raw, got.raw, array_count(&got) * array_width(got.dtype));
    }
    return true;
}

void table_stream(struct table_case *c, struct subject *m, struct verdict *v, struct stream_result *r)
{
    struct stream st = {.count = 0};
    rnnd_tensor inputs[MOST_ARRAYS];
    if (c->in.count == 0 || c->out.count == 0)
        return;
    st.steps = c->in.items[0].array.dim[0];
    if (find_states(c, m, &st, v))
        for (size_t t = 0; t < st.steps && run_step(c, m, &st, t, v); t++) {
            compare_step(c, m, t, v);
            if (!feed_back(m, &st, v))
                break;
        }
    for (size_t i = 0; i < st.count; i++)
        if (st.states[i].output)
            free(st.states[i].array.raw);
    for (size_t i = 0; i < c->in.count; i++)
        inputs[i] = tensor_of(subject_input(m, c->in.items[i].name, i), &c->in.items[i].array);
    stream_run(m, inputs, c->in.count, false, r);
}

/* ---- sessions -------------------------------------------------------------------------------------------------- */

/* Row t of each input port: an array by name or place, else a number of the notes. */
static bool fill_row(struct table_case *c, const rnnd_info *info, size_t t, float *to)
{
    size_t next = 0;
    for (size_t k = 0; k < info->input_count; to += info->inputs[k++].width) {
        struct array *a = bundle_find(&c->in, info->inputs[k].name);
        long number;
        if (!a && table_number(c, info->inputs[k].name, &number)) {
            for (size_t i = 0; i < info->inputs[k].width; i++)
                to[i] = (float)number;
            continue;
        }
        if (!a && next < c->in.count)
            a = &c->in.items[next++].array;
        struct array row = a ? row_of(a, t) : (struct array){.rank = 0};
        if (!a || a->dtype != RNND_FLOAT32 || array_count(&row) != info->inputs[k].width)
            return false;
        memcpy(to, row.data, info->inputs[k].width * sizeof *to);
    }
    return true;
}

static void step_all(struct table_case *c, rnnd_workspace *ws, void *state, float *in, float *out,
                     const rnnd_info *info, struct verdict *v)
{
    const struct array *y = &c->out.items[0].array;
    rnnd_error err;
    for (size_t t = 0; t < y->dim[0]; t++) {
        struct array want = row_of(y, t), got = want;
        char label[64];
        if (!fill_row(c, info, t, in))
            return;
        if (rnnd_step(ws, &(rnnd_step_row){.state = state, .input = in, .output = out}, 1, &err) != RNND_OK) {
            verdict_fail(v, "step %zu: %.400s", t, err.message);
            return;
        }
        got.raw = out;
        snprintf(label, sizeof label, "step %zu", t);
        verdict_compare(v, &got, &want, label);
    }
}

bool table_session(struct table_case *c, struct subject *m, struct verdict *v, char reason[512])
{
    const rnnd_info *info = rnnd_model_info(m->model);
    struct array first = row_of(&c->out.items[0].array, 0);
    rnnd_workspace *ws = NULL;
    rnnd_error err;
    if (!info->streamable) {
        snprintf(reason, 512, "%s", info->not_streamable);
        return false;
    }
    float *in = calloc(info->input_width + 1, sizeof *in), *out = calloc(info->output_width + 1, sizeof *out);
    void *state = calloc(1, rnnd_state_bytes(m->model));
    bool fits = in && out && state && fill_row(c, info, 0, in) && array_count(&first) <= info->output_width;
    if (!fits) {
        snprintf(reason, 512, "a session's row has other inputs or outputs than the arrays");
    } else {
        rnnd_state_reset(m->model, state);
        if (rnnd_workspace_open(m->model, 1, &ws, &err) == RNND_OK)
            step_all(c, ws, state, in, out, info, v);
        else
            verdict_fail(v, "%s", err.message);
    }
    rnnd_workspace_close(ws);
    free(in);
    free(out);
    free(state);
    return fits;
}
