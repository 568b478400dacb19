/* predict_states.c -- windows that go through states: of series models (a fresh state each), and of a session. */
#include <stdlib.h>
#include <string.h>

#include "server/api/predict.h"
#include "server/engine/fail.h"
#include "server/engine/stats.h"

/* ---- series: so many windows at a time, the next one where one has ended ----------------------------------------- */

#define LANES 256

struct series_lane {
    struct job job;
    struct predict *p;
    void *state;
    size_t window, fed;
};

static enum job_next series_input(struct job *j, float *row)
{
    struct series_lane *lane = (struct series_lane *)j;
    const struct inputs *in = &lane->p->in;
    if (lane->fed == in->steps) return JOB_FINISHED;
    memcpy(row, in->data + (lane->window * in->steps + lane->fed++) * in->width, in->width * sizeof *row);
    return JOB_READY;
}

static rnnd_code series_output(struct job *j, const float *row, rnnd_error *err)
{
    struct series_lane *lane = (struct series_lane *)j;
    struct predict *p = lane->p;
    (void)err;
    memcpy(p->outputs + (lane->window * p->out_steps + lane->fed - 1) * p->out_width, row, p->out_width * sizeof *row);
    return RNND_OK;
}

static void series_done(struct job *j);
static const struct job_type series_job = {.name = "predict", .input = series_input, .output = series_output,
                                           .done = series_done};

static void series_fail(struct predict *p, rnnd_code code, const rnnd_error *err)
{
    struct predict_series *s = p->series;
    if (s->failed) return;
    s->failed = true;
    p->error = *err;
    p->error.code = code;
    for (size_t i = 0; i < s->lane_count; i++)
        if (s->lanes[i].p) batch_cancel(p->app->batch, &s->lanes[i].job);
}

static void series_begin(struct predict *p, struct series_lane *lane)
{
    struct predict_series *s = p->series;
    rnnd_error err = {0};
    if (s->failed || s->next == p->in.batch) return;
    lane->window = s->next++;
    lane->fed = 0;
    rnnd_state_reset(p->model->handle, lane->state);
    lane->job.type = &series_job;
    lane->job.model = p->model;
    lane->job.state = lane->state;
    lane->p = p; /* first: the compute thread may ask for input before batch_submit() has returned */
    rnnd_code code = batch_submit(p->app->batch, &lane->job, &err);
    if (code != RNND_OK) {
        lane->p = NULL;
        series_fail(p, code, &err);
        return;
    }
    s->running++;
}

static void series_end(struct predict *p)
{
    if (p->series->running) return;
    if (p->series->failed) predict_fail(p, NULL);
    else predict_answer(p);
}

static void series_done(struct job *j)
{
    struct series_lane *lane = (struct series_lane *)j;
    struct predict *p = lane->p;
    lane->p = NULL;
    p->series->running--;
    if (j->code == RNND_OK) {
        stats_add(STAT_WINDOWS, 1);
        series_begin(p, lane);
    } else {
        rnnd_error err = j->error;
        engine_fail(&err, j->code, "instances", "window %zu, step %zu: %.300s", lane->window,
                    lane->fed - (lane->fed > 0), j->error.message);
        series_fail(p, j->code, &err);
    }
    series_end(p);
}

static void series_gone(struct http_request *r, enum http_gone why, void *context)
{
    struct predict *p = context;
    rnnd_error err = {.code = RNND_GONE};
    (void)r, (void)why;
    p->r = NULL;
    series_fail(p, RNND_GONE, &err);
}

void predict_series(struct predict *p)
{
    size_t bytes = rnnd_state_bytes(p->model->handle), stride = (bytes + 7) / 8 * 8;
    struct predict_series *s = p->series = calloc(1, sizeof *s);
    if (s) {
        s->lane_count = p->in.batch < LANES ? p->in.batch : LANES;
        s->lanes = calloc(s->lane_count, sizeof *s->lanes);
        s->states = calloc(s->lane_count, stride);
    }
    if (!s || !s->lanes || !s->states) {
        engine_fail_memory(&p->error, LANES * stride);
        predict_fail(p, NULL);
        return;
    }
    s->running = 1; /* jobs end on later turns of the loop, but a failed submit may be the first and the last */
    for (size_t i = 0; i < s->lane_count; i++) {
        s->lanes[i].state = (char *)s->states + i * stride;
        series_begin(p, &s->lanes[i]);
    }
    http_on_gone(p->r, series_gone, p);
    s->running--;
    series_end(p);
}

/* ---- through a session ------------------------------------------------------------------------------------------- */

struct session_call {
    struct stepping s;
    struct predict *p;
};

static void put_answer(struct predict *p, const struct stepping *s, const char *id)
{
    struct json_out o;
    json_out_init(&o);
    json_open(&o, '{');
    predict_put(&o, s->model, s->outputs, 1, s->rows, s->last_only, s->row_width);
    json_put_key(&o, "session");
    json_open(&o, '{');
    json_put_key(&o, "id");
    json_put_text(&o, id);
    json_put_key(&o, "step");
    json_put_int(&o, (int64_t)s->step);
    json_close(&o, '}');
    json_put_key(&o, "replayed");
    json_put_bool(&o, s->replayed);
    predict_put_end(&o, s->model);
    json_close(&o, '}');
    app_answer_json(p->r, 200, &o);
}

static void session_done(struct stepping *s)
{
    struct session_call *c = s->owner;
    struct predict *p = c->p;
    size_t bytes;
    if (s->code == RNND_OK && p->r) put_answer(p, s, json_string(json_get(json_root(p->doc), "session"), &bytes));
    else if (p->r) stepping_answer_failure(p->r, s);
    stepping_free(s);
    free(c);
    predict_free(p);
}

static void session_gone(struct http_request *r, enum http_gone why, void *context)
{
    struct session_call *c = context;
    (void)r, (void)why;
    c->p->r = NULL;
    stepping_cancel(&c->s);
}

/* What does not go together with a session. */
static bool session_fits(struct predict *p)
{
    size_t bytes;
    if (!json_string(json_get(json_root(p->doc), "session"), &bytes))
        engine_fail(&p->error, RNND_INVALID, "session", "session must be a session's id, a string");
    else if (p->in.batch != 1)
        engine_fail(&p->error, RNND_MISMATCH, "session", "with a session there is one window; found %zu", p->in.batch);
    else if (p->h0 || p->c0 || p->want_h || p->want_c || p->format != PREDICT_JSON)
        engine_fail(&p->error, RNND_UNSUPPORTED, "session",
                    "with a session neither initial_state nor h and c nor other "
                    "formats than JSON are possible; GET its state instead");
    else if (p->model->info->task == RNND_TEXT)
        engine_fail(&p->error, RNND_UNSUPPORTED, "session",
                    "sessions of text models are fed at /v1/sessions/{id}/steps");
    else return true;
    return false;
}

void predict_session(struct predict *p)
{
    size_t bytes;
    struct session *x = NULL;
    struct session_call *c = session_fits(p) ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        if (!p->error.message[0]) engine_fail_memory(&p->error, sizeof *c);
        predict_fail(p, NULL);
        return;
    }
    const char *id = json_string(json_get(json_root(p->doc), "session"), &bytes);
    c->p = p;
    c->s.app = p->app;
    c->s.owner = c;
    c->s.done = session_done;
    c->s.output_left_bytes = &p->output_left_bytes;
    c->s.last_only = p->model->info->output_last && p->model->info->task != RNND_SERIES;
    if (!app_session_request(p->r, json_root(p->doc), &c->s.request)) {
        free(c);
        predict_free(p);
    } else if (!stepping_find(&c->s, id, p->model->name, &x) || (!x && !stepping_create(&c->s, id, &x))) {
        stepping_answer_failure(p->r, &c->s);
        predict_free(p);
        free(c);
    } else {
        c->s.memory.in = p->in;
        p->in = (struct inputs){0};
        http_on_gone(p->r, session_gone, c);
        stepping_start(&c->s, x);
    }
}
