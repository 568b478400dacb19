/* forecast.c -- POST /v1/forecast: the life of a request: session turn, history as steps, forecast as work, reply. */
#include "server/api/confirm.h"
#include "server/api/forecast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/api/handlers.h"
#include "server/api/random.h"
#include "server/engine/stats.h"

#define SLICE_ROWS 256 /* forecast steps between two looks at the queue */

static void request_free(struct forecast_request *q)
{
    for (size_t i = 0; i < q->item_count; i++) {
        struct forecast_item *item = &q->items[i];
        rnnd_forecast_close(item->forecast);
        json_out_free(&item->out);
        free(item->owned);
        free(item->state);
    }
    free(q->items);
    free(q->future);
    json_free(q->doc);
    free(q);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void end(struct forecast_request *q)
{
    if (q->http && q->ended) app_answer_ended(q->http, q->error.message, q->ended, q->ended_step);
    else if (q->http && q->error.code != RNND_OK) app_error(q->http, &q->error, q->error_code);
    else if (q->http) forecast_answer(q);
    if (q->in_line) session_leave(q->app->sessions, &q->turn);
    request_free(q);
}

/* One series is the whole request; of many, each has its own error, and CSV has no place for one. */
static void settle(struct forecast_request *q)
{
    for (size_t i = 0; i < q->item_count && q->error.code == RNND_OK; i++) {
        const rnnd_error *err = &q->items[i].error;
        if (err->code == RNND_OK || (q->many && !q->csv_out)) continue;
        q->error = *err;
        if (q->many) snprintf(q->error.message, sizeof q->error.message, "series %zu: %.460s", i, err->message);
    }
    if (q->session && q->http && q->error.code == RNND_OK) {
        struct forecast_item *item = &q->items[0];
        if (q->has_series) session_commit(&q->turn, &q->step_rule, item->state, q->replayed);
        q->session_step = rnnd_state_step(q->model->handle, item->state);
    }
    end(q);
}

static void cancel(struct forecast_request *q)
{
    for (size_t i = 0; i < q->item_count; i++)
        if (q->items[i].submitted && !q->items[i].finished) batch_cancel(q->app->batch, &q->items[i].job);
}

static void item_end(struct forecast_item *item, const rnnd_error *err)
{
    struct forecast_request *q = item->request;
    item->finished = true;
    if (err) item->error = *err;
    if (!--q->pending) settle(q);
}

/* ---- the forecast, from a copy of the state that the history has reached ----------------------------------------- */

static rnnd_code forecast_slice(struct job *j, rnnd_workspace *ws, bool *done, rnnd_error *err)
{
    struct forecast_item *item = (struct forecast_item *)j;
    rnnd_code code = rnnd_forecast_work(item->forecast, ws, SLICE_ROWS, done, err);
    return code == RNND_OK && *done ? forecast_write_item(item, err) : code;
}

static void forecast_done(struct job *j)
{
    struct forecast_item *item = (struct forecast_item *)j;
    stats_add(STAT_FORECASTS, 1);
    rnnd_forecast_close(item->forecast);
    item->forecast = NULL;
    item_end(item, j->code == RNND_OK ? NULL : &j->error);
}

static const struct job_type forecast_job = {"forecast", NULL, NULL, forecast_slice, NULL, forecast_done};

static void begin_forecast(struct forecast_item *item)
{
    struct forecast_request *q = item->request;
    rnnd_error err = {0};
    /* without "seed" the paths follow from the history: the same request, the same paths */
    rnnd_forecast_params p = {.horizon = q->horizon, .quantiles = q->quantiles, .quantile_count = q->quantile_count,
                              .samples = q->samples, .future = item->future, .future_steps = item->future_steps};
    p.seed = q->has_seed ? q->seed : rnnd_state_digest(q->model->handle, item->state);

    if (rnnd_forecast_open(q->model->handle, item->state, &p, &item->forecast, &err) != RNND_OK) {
        item_end(item, &err);
        return;
    }
    memset(&item->job, 0, sizeof item->job);
    item->job.type = &forecast_job;
    item->job.model = q->model;
    if (batch_submit(q->app->batch, &item->job, &err) != RNND_OK) item_end(item, &err);
}

/* ---- the history, as steps --------------------------------------------------------------------------------------- */

static enum job_next history_input(struct job *j, float *row)
{
    struct forecast_item *item = (struct forecast_item *)j;
    size_t width = item->request->model->info->channel_count;
    if (item->at == item->steps) return JOB_FINISHED;
    memcpy(row, item->rows + item->at * width, width * sizeof *row);
    return JOB_READY;
}

static rnnd_code history_output(struct job *j, const float *row, rnnd_error *err)
{
    (void)row;
    (void)err;
    ((struct forecast_item *)j)->at++;
    return RNND_OK;
}

static void history_done(struct job *j)
{
    struct forecast_item *item = (struct forecast_item *)j;
    if (j->code != RNND_OK) item_end(item, &j->error);
    else if (!item->request->http) item_end(item, NULL);
    else begin_forecast(item);
}

static const struct job_type history_job = {"forecast history", history_input, history_output, NULL, NULL,
                                            history_done};

/* Submits all histories. pending holds one more than the jobs until all are in, so that the request cannot end here. */
static void launch(struct forecast_request *q)
{
    q->pending = q->item_count + 1;
    for (size_t i = 0; i < q->item_count; i++) {
        struct forecast_item *item = &q->items[i];
        rnnd_error err = {0};
        item->submitted = true;
        if (!item->steps) {
            begin_forecast(item);
            continue;
        }
        item->job.type = &history_job;
        item->job.model = q->model;
        item->job.state = item->state;
        if (batch_submit(q->app->batch, &item->job, &err) == RNND_OK) continue;
        q->error = err; /* no room for all of them: none */
        item_end(item, &err);
        for (i++; i < q->item_count; i++) item_end(&q->items[i], &err);
        cancel(q);
    }
    if (!--q->pending) settle(q);
}

/* ---- sessions and the client ------------------------------------------------------------------------------------- */

static struct forecast_request *request_of(struct session_turn *turn)
{
    return (struct forecast_request *)((char *)turn - offsetof(struct forecast_request, turn));
}

static void turn_ready(struct session_turn *turn)
{
    struct forecast_request *q = request_of(turn);

    if (session_begin(turn, &q->step_rule, q->items[0].state, &q->replayed, &q->error) != RNND_OK) {
        q->error_code = app_session_error_name(&q->error);
        end(q);
        return;
    }
    launch(q);
}

static void turn_refused(struct session_turn *turn, const char *reason, uint64_t last_step)
{
    struct forecast_request *q = request_of(turn);

    q->in_line = false;
    app_session_ended(&q->error, reason, last_step);
    q->ended = reason;
    q->ended_step = last_step;
    end(q);
}

static void on_gone(struct http_request *r, enum http_gone why, void *context)
{
    struct forecast_request *q = context;
    (void)r;
    (void)why;
    q->http = NULL;
    if (q->pending) cancel(q);
    else end(q);
}

static bool make_states(struct forecast_request *q)
{
    size_t bytes = rnnd_state_bytes(q->model->handle);
    for (size_t i = 0; i < q->item_count; i++) {
        q->items[i].state = malloc(bytes);
        if (!q->items[i].state) {
            http_error(q->http, 503, "no_memory", "", "no memory for %zu states of %zu bytes", q->item_count, bytes);
            return false;
        }
        rnnd_state_reset(q->model->handle, q->items[i].state);
    }
    return true;
}

/* A CSV body has no place for "step": it stands in the query. */
static bool read_query_step(struct forecast_request *q)
{
    const char *text = http_query(q->http, "step");
    char *end;

    if (!text) return true;
    q->step_rule.step = strtoull(text, &end, 10);
    q->step_rule.has_step = *text >= '0' && *text <= '9' && !*end && strlen(text) < 19;
    if (!q->step_rule.has_step)
        http_error(q->http, 400, "invalid_value", "step", "step must be a whole number, 0 or more");
    return q->step_rule.has_step;
}

/* Body or query into q; false after answering. */
static bool read_request(struct forecast_request *q)
{
    bool csv = app_body_is(q->http, "text/csv");
    const struct json *body = NULL;
    const char *name = http_query(q->http, "model");
    rnnd_error err = {0};
    bool named = name != NULL;

    if (!csv) {
        q->doc = app_json_body(q->app, q->http);
        if (!q->doc) return false;
        body = json_root(q->doc);
        named = json_type(json_get(body, "model")) != JSON_NULL;
    }
    if (!session_use_id(q->http, body, q->session_id)) return false;
    if (!named) q->model = session_use_model(q->app, q->session_id, RNND_SERIES);
    if (!csv && !q->model) {
        q->model = app_model(q->app, q->http, body, RNND_SERIES);
        if (!q->model) return false;
    } else if (!q->model && registry_choose(q->app->registry, name, RNND_SERIES, &q->model, &err) != RNND_OK) {
        app_error(q->http, &err, app_model_error_name(&err));
        return false;
    }
    if (!confirm_request(q->http, q->model)) return false;
    if (!q->model->info->streamable) {
        http_error(q->http, 422, "not_streamable", "model", "%s cannot be stepped: %s", q->model->name,
                   q->model->info->not_streamable);
        return false;
    }
    q->csv_out = app_wants(q->http, "text/csv");
    if (!forecast_read_options(q, body)) return false;
    if (!(csv ? forecast_read_csv(q) : forecast_read_json(q, body))) return false;
    if (!q->item_count && (!*q->session_id || !forecast_make_items(q, 1))) {
        if (!*q->session_id) http_error(q->http, 400, "invalid_request", "series",
                                        "series is missing, and no session is named");
        return false;
    }
    if (!csv && !forecast_read_future(q, json_get(body, "future"))) return false;
    if (*q->session_id && q->item_count != 1) {
        http_error(q->http, 400, "invalid_value", "series", "a session goes on with one series, found %zu",
                   q->item_count);
        return false;
    }
    if (!forecast_check_size(q) || !make_states(q)) return false;
    if (!*q->session_id) return true;
    if (!app_session_request(q->http, body, &q->step_rule) || (csv && !read_query_step(q))) return false;
    q->session = session_use(q->app, q->http, q->session_id, named, q->model);
    return q->session != NULL;
}

void post_forecast(struct app *app, struct http_request *r)
{
    struct forecast_request *q = calloc(1, sizeof *q);

    if (!q) {
        http_error(r, 503, "no_memory", "", "no memory for this request");
        return;
    }
    q->app = app;
    q->http = r;
    q->created = (int64_t)time(NULL);
    random_id(q->id, sizeof q->id, "fc-");
    if (!read_request(q)) {
        request_free(q);
        return;
    }
    http_on_gone(r, on_gone, q);
    if (!q->session) {
        launch(q);
        return;
    }
    q->turn.ready = turn_ready;
    q->turn.refused = turn_refused;
    q->in_line = true;
    session_wait(app->sessions, q->session, &q->turn);
}
