/* predict.c -- POST /v1/models/{m}:predict: whole windows, without a session or through one.
 *
 * Bodies: JSON {"instances":[[[..]..]..] or "inputs":.., "initial_state"?, "return"?, "session"?, "step"?}, a NumPy
 * array (application/x-npy), or one window as text/csv. Replies: JSON {"predictions","h"?,"c"?,"mode","model_version",
 * "assumed"?}, .npy, CSV. Predictions have the shape of the network's outputs; inputs may be nested as its inputs are.
 *
 * Windows run as one work job in slices, so that those of others, forecasts and a client's leaving come in between. A
 * series model's windows are in original units: each is stepped through a state of its own, the same way a fresh
 * session would be. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/api/confirm.h"
#include "server/api/handlers.h"
#include "server/api/predict.h"
#include "server/engine/fail.h"
#include "server/engine/stats.h"

#define SLICE_S 1e-3
#define SLICE_ROWS_FIRST 64
#define SLICE_ROWS_LEAST 16
#define SLICE_ROWS_MOST ((size_t)1 << 20)
#define TOGETHER_STEPS 2048 /* of all windows of different requests that are run at once */

static const char *const reply_types[] = {"application/json", "application/x-npy", "text/csv"};

/* ---- the job: slices of windows (on a thread that works) --------------------------------------------------------- */

static struct predict *predict_of(const struct job *j)
{
    return (struct predict *)((char *)(uintptr_t)j - offsetof(struct predict, job));
}

/* The library names a window by its sequence; this by its place in the request. */
static rnnd_code check_finite(const struct predict *p, rnnd_error *err)
{
    size_t window = p->out_steps * p->out_width;
    for (size_t i = 0; i < p->in.batch * window; i++)
        if (!isfinite(p->outputs[i]))
            return engine_fail(err, RNND_NOT_FINITE, "", "window %zu gave no finite number at step %zu", i / window,
                               p->out_steps == 1 ? p->in.steps - 1 : i % window / p->out_width);
    return RNND_OK;
}

/* Of the final states, [layers][batch][hidden]; NULL where they are not asked for. */
static rnnd_code check_states(const struct predict *p, const float *states, rnnd_error *err)
{
    size_t floats = states ? p->layers * p->in.batch * p->hidden : 0;
    for (size_t i = 0; i < floats; i++)
        if (!isfinite(states[i]))
            return engine_fail(err, RNND_NOT_FINITE, "", "window %zu left a state that is not finite",
                               i / p->hidden % p->in.batch);
    return RNND_OK;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A slice should last long enough to pay for its turn, and not so long that others wait for it: how many rows that are
 * is found out. No answer depends on it. */
static rnnd_code slice(struct predict *p, rnnd_workspace *ws, bool *done, rnnd_error *err)
{
    double begin = seconds();
    rnnd_code code = rnnd_window_work(p->window, ws, p->slice_rows, done, err);
    double took = seconds() - begin;
    if (took < SLICE_S / 2 && p->slice_rows < SLICE_ROWS_MOST) p->slice_rows *= 2;
    if (took > SLICE_S * 2 && p->slice_rows > SLICE_ROWS_LEAST) p->slice_rows /= 2;
    return code;
}

static rnnd_code predict_work(struct job *j, rnnd_workspace *ws, bool *done, rnnd_error *err)
{
    struct predict *p = predict_of(j);
    p->begun = true;
    rnnd_code code = slice(p, ws, done, err);
    if (code == RNND_NOT_FINITE) code = check_finite(p, err);
    if (code != RNND_OK || !*done) return code;
    code = check_states(p, p->hn, err);
    if (code == RNND_OK) code = check_states(p, p->cn, err);
    if (code == RNND_OK) stats_add(STAT_WINDOWS, p->in.batch);
    return code;
}

static void predict_done(struct job *j)
{
    struct predict *p = predict_of(j);
    if (j->code == RNND_OK) {
        predict_answer(p);
        return;
    }
    p->error = j->error;
    p->error.code = j->code;
    predict_fail(p, NULL);
}

/* ---- windows of several requests at once: in a batch each costs less than half ----------------------------------- */

static size_t most_windows(const struct job *j)
{
    const struct predict *p = predict_of(j);
    bool plain = p->in.batch == 1 && !p->begun && !p->h0 && !p->c0 && !p->hn && !p->cn;
    size_t most = plain ? TOGETHER_STEPS / p->in.steps : 1;
    return most < WORK_TOGETHER ? most : WORK_TOGETHER;
}

static bool same_windows(const struct job *a, const struct job *b)
{
    return most_windows(b) > 1 && predict_of(a)->in.steps == predict_of(b)->in.steps;
}

/* Each gets the bits it would have alone. Where one fails, all go on alone, for the sentence about it. */
static rnnd_code windows_together(struct job *const *jobs, size_t n, rnnd_workspace *ws)
{
    const struct predict *like = predict_of(jobs[0]);
    size_t in = like->in.steps * like->in.width, out = like->out_steps * like->out_width;
    float *inputs = malloc(n * in * sizeof *inputs), *outputs = malloc((n * out + 1) * sizeof *outputs);
    rnnd_error err;
    rnnd_code code = inputs && outputs ? RNND_OK : RNND_NO_MEMORY;
    rnnd_window window = {.batch = n, .steps = like->in.steps, .inputs = inputs, .outputs = outputs};
    for (size_t i = 0; code == RNND_OK && i < n; i++)
        memcpy(inputs + i * in, predict_of(jobs[i])->in.data, in * sizeof *inputs);
    if (code == RNND_OK) code = rnnd_run_window(ws, &window, &err);
    for (size_t i = 0; code == RNND_OK && i < n * out; i++)
        if (!isfinite(outputs[i])) code = RNND_NOT_FINITE;
    for (size_t i = 0; code == RNND_OK && i < n; i++) {
        struct predict *p = predict_of(jobs[i]);
        memcpy(p->outputs, outputs + i * out, out * sizeof *outputs);
    }
    if (code == RNND_OK) stats_add(STAT_WINDOWS, n);
    free(inputs);
    free(outputs);
    return code;
}

static const struct job_type predict_job = {.name = "predict", .work = predict_work, .done = predict_done};
static const struct job_kin windows_kin = {most_windows, same_windows, windows_together};

static void predict_gone(struct http_request *r, enum http_gone why, void *context)
{
    struct predict *p = context;
    (void)r, (void)why;
    p->r = NULL;
    batch_cancel(p->app->batch, &p->job);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static rnnd_code read_return(struct predict *p, const struct json *body)
{
    const struct json *list = json_get(body, "return");
    size_t bytes;
    if (json_type(list) == JSON_NULL) return RNND_OK;
    p->want_outputs = false;
    for (const struct json *v = json_type(list) == JSON_ARRAY ? json_first(list) : list; v; v = json_next(v)) {
        const char *word = json_string(v, &bytes);
        if (word && !strcmp(word, "outputs")) p->want_outputs = true;
        else if (word && !strcmp(word, "h")) p->want_h = true;
        else if (word && !strcmp(word, "c")) p->want_c = true;
        else
            return engine_fail(&p->error, RNND_INVALID, "return",
                               "return must be a list of \"outputs\", \"h\" and \"c\"");
        if (v == list) break;
    }
    if (!p->want_outputs && !p->want_h && !p->want_c)
        return engine_fail(&p->error, RNND_INVALID, "return",
                           "return must name one of \"outputs\", \"h\" and \"c\" at least");
    return RNND_OK;
}

/* One of initial_state's arrays, [layers][batch][hidden]. */
static rnnd_code read_state(struct predict *p, const struct json *object, const char *key, const float **out)
{
    const struct json *v = json_get(object, key);
    const struct json_numbers *n = json_numbers(v);
    char field[32];
    if (json_type(v) == JSON_NULL) return RNND_OK;
    snprintf(field, sizeof field, "initial_state.%s", key);
    if (!n || n->rank != 3 || n->ragged)
        return engine_fail(&p->error, RNND_INVALID, field, "%s must be [layer][window][hidden] of numbers", field);
    if (n->dim[0] != p->layers || n->dim[1] != p->in.batch || n->dim[2] != p->hidden)
        return engine_fail(&p->error, RNND_MISMATCH, field,
                           "%s must be %zu x %zu x %zu (layers, windows, hidden); found "
                           "%zu x %zu x %zu",
                           field, p->layers, p->in.batch, p->hidden, n->dim[0], n->dim[1], n->dim[2]);
    for (size_t i = 0; i < n->count; i++)
        if (!isfinite(n->data[i]))
            return engine_fail(&p->error, RNND_INVALID, field, "%s must be finite; number %zu is not", field, i);
    *out = n->data;
    return RNND_OK;
}

static rnnd_code read_initial(struct predict *p, const struct json *body)
{
    const rnnd_info *info = p->model->info;
    const struct json *initial = json_get(body, "initial_state");
    bool given = json_type(initial) != JSON_NULL;
    p->layers = info->state_layers;
    p->hidden = info->state_hidden;
    if (!given && !p->want_h && !p->want_c) return RNND_OK;
    if (given && json_type(initial) != JSON_OBJECT)
        return engine_fail(&p->error, RNND_INVALID, "initial_state", "initial_state must be {\"h\":[..],\"c\"?:[..]}");
    const char *field = given ? "initial_state" : "return";
    if (info->task == RNND_SERIES)
        return engine_fail(&p->error, RNND_UNSUPPORTED, field,
                           "%s does not go with a series model: its state is more than h "
                           "and c; use a session",
                           field);
    if (!p->layers)
        return engine_fail(&p->error, RNND_UNSUPPORTED, field,
                           "the state of %s is not h and c of recurrent layers; use a session and its state",
                           p->model->name);
    if (!p->hidden)
        return engine_fail(&p->error, RNND_UNSUPPORTED, field,
                           "the recurrent layers of %s have different widths, so h and c "
                           "are no one array; use a session and its state",
                           p->model->name);
    if (!info->c_width && (p->want_c || json_type(json_get(initial, "c")) != JSON_NULL))
        return engine_fail(&p->error, RNND_UNSUPPORTED, field, "%s has no LSTM layer, so it has no c", p->model->name);
    rnnd_code code = read_state(p, initial, "h", &p->h0);
    return code == RNND_OK ? read_state(p, initial, "c", &p->c0) : code;
}

static rnnd_code read_json(struct predict *p)
{
    const struct json *body = json_root(p->doc), *instances = json_get(body, "instances");
    const struct json *inputs = json_get(body, "inputs");
    bool first = json_type(instances) != JSON_NULL;
    if (first == (json_type(inputs) != JSON_NULL))
        return engine_fail(&p->error, RNND_INVALID, "instances", first ? "give \"instances\" or \"inputs\", not both"
                           : "the body needs \"instances\": [window][step][input]");
    p->want.field = first ? "instances" : "inputs";
    rnnd_code code = inputs_json(&p->want, first ? instances : inputs, &p->in, &p->error);
    if (code == RNND_OK) code = read_return(p, body);
    return code == RNND_OK ? read_initial(p, body) : code;
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

static rnnd_code take(struct predict *p, float **out, size_t a, size_t b, size_t c)
{
    size_t floats;
    if (!inputs_product(a, b, &floats) || !inputs_product(floats, c, &floats) ||
        floats > p->output_left_bytes / sizeof(float))
        return engine_fail(&p->error, RNND_TOO_LARGE, "instances",
                           "the answer of %zu x %zu steps with %zu numbers each is over the "
                           "%zu bytes left of one answer; send fewer windows at once",
                           a, b, c, p->output_left_bytes);
    rnnd_code code = app_take_outputs(p->app, floats * sizeof(float), &p->error);
    if (code != RNND_OK) return code;
    p->taken_bytes += floats * sizeof(float);
    p->output_left_bytes -= floats * sizeof(float);
    *out = malloc((floats ? floats : 1) * sizeof(float));
    return *out ? RNND_OK : engine_fail_memory(&p->error, floats * sizeof(float));
}

static rnnd_code take_memory(struct predict *p)
{
    const rnnd_info *info = p->model->info;
    bool series = info->task == RNND_SERIES;
    rnnd_code code;
    p->out_steps = info->output_last && !series ? 1 : p->in.steps;
    p->out_width = series ? info->output_width : rnnd_window_output_width(p->model->handle);
    code = take(p, &p->outputs, p->in.batch, p->out_steps, p->out_width);
    if (code == RNND_OK && p->want_h) code = take(p, &p->hn, p->layers, p->in.batch, p->hidden);
    if (code == RNND_OK && p->want_c) code = take(p, &p->cn, p->layers, p->in.batch, p->hidden);
    return code;
}

static void run(struct predict *p)
{
    rnnd_code code = take_memory(p);
    if (code == RNND_OK && p->model->info->task == RNND_SERIES) {
        predict_series(p);
        return;
    }
    p->job.type = &predict_job;
    p->job.kin = &windows_kin;
    p->job.model = p->model;
    p->slice_rows = SLICE_ROWS_FIRST;
    rnnd_window window = {.batch = p->in.batch, .steps = p->in.steps, .inputs = p->in.data, .h0 = p->h0, .c0 = p->c0,
                          .outputs = p->outputs, .hn = p->hn, .cn = p->cn};
    if (code == RNND_OK) code = rnnd_window_open(p->model->handle, &window, &p->window, &p->error);
    if (code == RNND_OK) code = batch_submit(p->app->batch, &p->job, &p->error);
    if (code != RNND_OK) predict_fail(p, NULL);
    else http_on_gone(p->r, predict_gone, p);
}

/* Model, format and the wants of the body. NULL after answering. */
static struct predict *begin(struct app *app, struct http_request *r)
{
    rnnd_error err = {0};
    struct model *model;
    int format = app_accept(r, reply_types, 3);
    if (format < 0) return NULL;
    if (registry_choose(app->registry, http_param(r, 0), -1, &model, &err) != RNND_OK) {
        app_error(r, &err, app_model_error_name(&err));
        return NULL;
    }
    if (!confirm_request(r, model)) return NULL;
    struct predict *p = calloc(1, sizeof *p);
    if (!p) {
        http_error(r, 503, "no_memory", "", "the request found no memory");
        return NULL;
    }
    bool series = model->info->task == RNND_SERIES;
    p->app = app;
    p->r = r;
    p->model = model;
    p->format = (enum predict_format)format;
    p->want_outputs = true;
    p->output_left_bytes = p->format == PREDICT_NPY ? STEPPING_OUTPUT_LIMIT : STEPPING_TEXT_LIMIT;
    p->want = (struct inputs_want){.info = model->info, .field = "body", .windows = true, .missing = series,
                                   .width = series ? model->info->input_width : rnnd_window_input_width(model->handle),
                                   .steps_limit = app->steps_limit};
    p->want.port = inputs_port(model->info, p->want.width);
    return p;
}

void post_predict(struct app *app, struct http_request *r)
{
    size_t bytes;
    rnnd_code code;
    const char *body = http_body(r, &bytes);
    struct predict *p = begin(app, r);
    if (!p) return;
    bool npy = app_body_is(r, "application/x-npy") || app_body_is(r, "application/octet-stream");
    bool whole = p->model->info->no_rows[0] && !app_body_is(r, "text/csv");
    if (npy && whole) {
        predict_whole(p, body, bytes);
        return;
    }
    if (npy) {
        code = inputs_npy(&p->want, body, bytes, &p->in, &p->error);
    } else if (app_body_is(r, "text/csv")) {
        code = inputs_csv(&p->want, body, bytes, &p->in, &p->error);
    } else {
        p->doc = app_json_body(app, r);
        if (!p->doc) {
            predict_free(p);
            return;
        }
        if (whole) {
            predict_whole(p, NULL, 0);
            return;
        }
        code = read_json(p);
    }
    if (code != RNND_OK) predict_fail(p, NULL);
    else if (p->doc && json_type(json_get(json_root(p->doc), "session")) != JSON_NULL) predict_session(p);
    else run(p);
}
