/* predict_call.c -- :predict of a network whose ends are no rows of steps: whole tensors by name, as its file has them.
 *
 * "inputs":{"name":[..],..}, a tensor each, nested as its shape; "instances" or a NumPy array where there is one input.
 * "predictions" is the one output's tensor, or {"name":[..],..}. The run is one job: it cannot be cut into slices. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/predict.h"
#include "server/engine/fail.h"
#include "server/engine/stats.h"

void predict_whole_free(struct predict_call *c)
{
    if (!c) return;
    rnnd_call_close(c->call);
    free(c->npy.data);
    free(c);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rnnd_code add_input(struct predict *p, const char *name, const char *field, const struct json *v)
{
    struct predict_call *c = p->whole;
    const struct json_numbers *n = json_numbers(v);
    double number;
    if (c->count == PREDICT_MOST_ENDS)
        return engine_fail(&p->error, RNND_MISMATCH, field, "%s names more than %d inputs", field, PREDICT_MOST_ENDS);
    rnnd_tensor *t = &c->in[c->count];
    *t = (rnnd_tensor){.name = name, .dtype = RNND_FLOAT32};
    if (json_number(v, &number)) {
        c->scalars[c->count] = (float)number;
        t->data = &c->scalars[c->count++];
        return RNND_OK;
    }
    if (!n || n->ragged)
        return engine_fail(&p->error, RNND_INVALID, field,
                           "%s%s%s must be a number or nested arrays of numbers, those "
                           "of one level equally long",
                           field, name ? "." : "", name ? name : "");
    if (n->missing)
        return engine_fail(&p->error, RNND_INVALID, field, "%s%s%s%s is null or NaN: this network takes numbers alone",
                           field, name ? "." : "", name ? name : "", n->first_missing_path);
    t->rank = n->rank;
    memcpy(t->dim, n->dim, sizeof t->dim);
    t->data = (float *)(uintptr_t)n->data;
    c->count++;
    return RNND_OK;
}

static rnnd_code read_json(struct predict *p)
{
    static const char *const others[] = {"session", "initial_state", "return"};
    const struct json *body = json_root(p->doc), *instances = json_get(body, "instances");
    const struct json *inputs = json_get(body, "inputs");
    bool first = json_type(instances) != JSON_NULL;
    const char *field = first ? "instances" : "inputs";
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (json_type(json_get(body, others[i])) != JSON_NULL)
            return engine_fail(&p->error, RNND_UNSUPPORTED, others[i],
                               "%s does not go with %s, which runs on whole "
                               "tensors alone: %.200s",
                               others[i], p->model->name, p->model->info->no_rows);
    if (first == (json_type(inputs) != JSON_NULL))
        return engine_fail(&p->error, RNND_INVALID, "inputs",
                           first ? "give \"instances\" or \"inputs\", not both"
                                 : "the body needs \"inputs\": {\"name\": [..], ..}");
    if (first || json_type(inputs) != JSON_OBJECT) return add_input(p, NULL, field, first ? instances : inputs);
    for (const struct json *v = json_first(inputs); v && code == RNND_OK; v = json_next(v))
        code = add_input(p, json_key(v), field, v);
    return code;
}

static rnnd_code read_npy(struct predict *p, const char *body, size_t bytes)
{
    struct predict_call *c = p->whole;
    rnnd_code code = inputs_npy_tensor("body", body, bytes, &c->npy, &p->error);
    size_t count = 1;
    if (code != RNND_OK) return code;
    c->in[c->count++] = (rnnd_tensor){.dtype = RNND_FLOAT32, .rank = c->npy.rank, .data = c->npy.data};
    for (int k = 0; k < c->npy.rank; k++)
        count *= c->in[0].dim[k] = c->npy.dim[k];
    for (size_t i = 0; i < count; i++)
        if (!isfinite(c->npy.data[i]))
            return engine_fail(&p->error, RNND_INVALID, "body", "number %zu of the array is not finite", i);
    return RNND_OK;
}

/* ---- the job (on the thread that ticks) -------------------------------------------------------------------------- */

static struct predict *predict_of(struct job *j)
{
    return (struct predict *)((char *)j - offsetof(struct predict, job));
}

static size_t count_of(const rnnd_tensor *t)
{
    size_t n = 1;
    for (int k = 0; k < t->rank; k++)
        n *= t->dim[k];
    return n;
}

static rnnd_code check_outputs(const struct predict_call *c, rnnd_error *err)
{
    const char *const *names;
    size_t count = rnnd_call_outputs(c->call, &names);
    rnnd_tensor t;
    for (size_t i = 0; i < count; i++) {
        rnnd_code code = rnnd_call_output(c->call, names[i], &t, err);
        if (code != RNND_OK) return code;
        size_t n = t.dtype == RNND_FLOAT32 ? count_of(&t) : 0;
        for (size_t k = 0; k < n; k++)
            if (!isfinite(((const float *)t.data)[k]))
                return engine_fail(err, RNND_NOT_FINITE, "", "output \"%.80s\": number %zu is not finite", names[i], k);
    }
    return RNND_OK;
}

static rnnd_code whole_work(struct job *j, rnnd_workspace *ws, bool *done, rnnd_error *err)
{
    struct predict *p = predict_of(j);
    struct predict_call *c = p->whole;
    (void)ws;
    rnnd_code code = rnnd_call_open(p->model->handle, &c->call, err);
    if (code == RNND_OK) {
        rnnd_call_limit(c->call, RUN_MEMORY_LIMIT);
        code = rnnd_call_run(c->call, c->in, c->count, err);
    }
    if (code == RNND_OK) code = check_outputs(c, err);
    if (code == RNND_OK) stats_add(STAT_WINDOWS, 1);
    *done = true;
    return code;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static void put_number(struct json_out *o, const rnnd_tensor *t, size_t i)
{
    if (t->dtype == RNND_FLOAT32)
        json_put_float(o, ((const float *)t->data)[i]);
    else if (t->dtype == RNND_INT64)
        json_put_int(o, ((const int64_t *)t->data)[i]);
    else
        json_put_bool(o, ((const uint8_t *)t->data)[i] != 0);
}

/* A tensor as nested arrays, whatever its axes. */
static void put_tensor(struct json_out *o, const rnnd_tensor *t)
{
    size_t at[RNND_MAX_RANK] = {0}, count = count_of(t);
    int depth = 0;    /* brackets that are open */
    if (count == 0) { /* an axis of nothing: the brackets around it */
        while (depth < t->rank && (depth == 0 || t->dim[depth - 1]))
            json_open(o, '['), depth++;
        while (depth-- > 0)
            json_close(o, ']');
        return;
    }
    for (size_t i = 0; i < count && !o->failed; i++) {
        while (depth < t->rank)
            json_open(o, '['), depth++;
        put_number(o, t, i);
        for (int k = t->rank - 1; k >= 0 && ++at[k] == t->dim[k]; k--) {
            at[k] = 0;
            json_close(o, ']');
            depth--;
        }
    }
}

/* Room for the answer, of what all answers together may take. */
static rnnd_code take_outputs(struct predict *p, const rnnd_tensor *outputs, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += count_of(&outputs[i]) * sizeof(float);
    if (bytes > p->output_left_bytes)
        return engine_fail(&p->error, RNND_TOO_LARGE, "inputs",
                           "the answer has %zu bytes of numbers, over the %zu of "
                           "one answer",
                           bytes, p->output_left_bytes);
    rnnd_code code = app_take_outputs(p->app, bytes, &p->error);
    if (code == RNND_OK) p->taken_bytes += bytes;
    return code;
}

static void answer(struct predict *p)
{
    const char *const *names;
    size_t count = rnnd_call_outputs(p->whole->call, &names);
    rnnd_tensor outputs[PREDICT_MOST_ENDS];
    rnnd_code code = count > PREDICT_MOST_ENDS ? RNND_UNSUPPORTED : RNND_OK;
    struct json_out o;
    for (size_t i = 0; i < count && code == RNND_OK; i++)
        code = rnnd_call_output(p->whole->call, names[i], &outputs[i], &p->error);
    if (code == RNND_OK) code = take_outputs(p, outputs, count);
    if (code == RNND_OK && p->format == PREDICT_NPY &&
        (count != 1 || outputs[0].dtype != RNND_FLOAT32 || outputs[0].rank > 6))
        code = engine_fail(&p->error, RNND_UNSUPPORTED, "Accept",
                           "%s does not answer one array of float32; ask for JSON", p->model->name);
    if (code != RNND_OK) {
        predict_fail(p, NULL);
        return;
    }
    if (p->format == PREDICT_NPY) {
        predict_answer_npy(p, outputs[0].data, outputs[0].rank, outputs[0].dim);
        predict_free(p);
        return;
    }
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "predictions");
    if (count > 1) json_open(&o, '{');
    for (size_t i = 0; i < count; i++) {
        if (count > 1) json_put_key(&o, names[i]);
        put_tensor(&o, &outputs[i]);
    }
    if (count > 1) json_close(&o, '}');
    predict_put_end(&o, p->model);
    json_close(&o, '}');
    app_answer_json(p->r, 200, &o);
    predict_free(p);
}

static void whole_done(struct job *j)
{
    struct predict *p = predict_of(j);
    if (j->code == RNND_OK && p->r) {
        answer(p);
        return;
    }
    p->error = j->error;
    p->error.code = j->code;
    predict_fail(p, NULL);
}

static const struct job_type whole_job = {.name = "predict", .work = whole_work, .done = whole_done};

static void whole_gone(struct http_request *r, enum http_gone why, void *context)
{
    struct predict *p = context;
    (void)r, (void)why;
    p->r = NULL;
    batch_cancel(p->app->batch, &p->job);
}

void predict_whole(struct predict *p, const char *body, size_t bytes)
{
    rnnd_code code = RNND_OK;
    p->whole = calloc(1, sizeof *p->whole);
    if (!p->whole)
        code = engine_fail_memory(&p->error, sizeof *p->whole);
    else if (p->format == PREDICT_CSV)
        code = engine_fail(&p->error, RNND_UNSUPPORTED, "Accept",
                           "%s answers whole tensors, which are no rows of CSV; ask "
                           "for JSON",
                           p->model->name);
    if (code == RNND_OK) code = p->doc ? read_json(p) : read_npy(p, body, bytes);
    p->job.type = &whole_job;
    p->job.model = p->model;
    if (code == RNND_OK) code = batch_submit(p->app->batch, &p->job, &p->error);
    if (code != RNND_OK)
        predict_fail(p, NULL);
    else
        http_on_gone(p->r, whole_gone, p);
}
