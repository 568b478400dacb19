/* stepping.c -- one request of steps on one session, from its place in the line to its outputs.
 *
 * The job works on a copy of the state, which becomes the session's only when every step has succeeded; whatever goes
 * wrong before leaves the session alone. Rows are written by the thread that ticks and published through `ready`, so a
 * stream can read those that are complete while the rest is being computed. */
#include "server/api/stepping.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/confirm.h"
#include "server/engine/fail.h"
#include "server/engine/stats.h"

/* ---- the job (input and output run on the thread that ticks) ----------------------------------------------------- */

static struct stepping *of_job(struct job *j)
{
    return (struct stepping *)((char *)j - offsetof(struct stepping, job));
}

static struct stepping *of_turn(struct session_turn *t)
{
    return (struct stepping *)((char *)t - offsetof(struct stepping, turn));
}

static enum job_next step_input(struct job *j, float *row)
{
    struct stepping *s = of_job(j);
    if (s->fed == s->memory.in.steps) return JOB_FINISHED;
    memcpy(row, s->memory.in.data + s->fed++ * s->memory.in.width, s->memory.in.width * sizeof *row);
    return JOB_READY;
}

/* The most likely tokens, most likely first; of equals the lower id first. */
static void keep_top(const float *logprobs, size_t vocabulary, struct stepping_top *top, size_t count)
{
    size_t have = 0;
    for (size_t id = 0; id < vocabulary; id++) {
        if (have == count && !(logprobs[id] > top[count - 1].logprob)) continue;
        size_t at = have < count ? have++ : count - 1;
        for (; at > 0 && logprobs[id] > top[at - 1].logprob; at--) top[at] = top[at - 1];
        top[at] = (struct stepping_top){(int32_t)id, logprobs[id]};
    }
}

static rnnd_code step_output(struct job *j, const float *row, rnnd_error *err)
{
    struct stepping *s = of_job(j);
    size_t at = s->last_only ? 0 : s->fed - 1;
    (void)err;
    if (s->last_only && s->fed < s->memory.in.steps) return RNND_OK;
    if (s->model->info->task == RNND_TEXT) {
        float *logprobs = s->outputs ? s->outputs + at * s->row_width : s->memory.scratch;
        rnnd_log_softmax(s->model->handle, row, logprobs);
        if (s->tops) keep_top(logprobs, s->model->info->vocabulary, s->tops + at * s->top_count, s->top_count);
    } else {
        memcpy(s->outputs + at * s->row_width, row, s->row_width * sizeof *row);
    }
    atomic_store_explicit(&s->ready, at + 1, memory_order_release);
    if (s->progress) batch_notify(j);
    return RNND_OK;
}

static void step_progress(struct job *j)
{
    struct stepping *s = of_job(j);
    if (!s->cancelled) s->progress(s);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void finish(struct stepping *s, rnnd_code code, const char *wire_code)
{
    s->code = code;
    s->error.code = code;
    s->wire_code = wire_code ? wire_code : rnnd_code_name(code);
    s->running = false;
    if (s->in_line) {
        s->in_line = false;
        session_leave(s->app->sessions, &s->turn);
    }
    s->done(s);
}

static void step_done(struct job *j)
{
    struct stepping *s = of_job(j);
    if (j->code != RNND_OK) {
        s->error = j->error;
        if (j->code == RNND_NOT_FINITE)
            engine_fail(&s->error, j->code, "",
                        "step %zu of this request (step %llu of the session) gave no finite number; "
                        "the session is as it was before",
                        s->fed, (unsigned long long)(s->first_step + s->fed));
        finish(s, j->code, NULL);
    } else if (s->cancelled) {
        finish(s, RNND_GONE, "client_gone");
    } else {
        s->step = rnnd_state_step(s->model->handle, s->memory.state);
        session_commit(&s->turn, &s->request, s->memory.state, s->replayed);
        if (s->model->info->task == RNND_TEXT) stats_add(STAT_TOKENS_PROMPT, s->memory.in.steps);
        finish(s, RNND_OK, NULL);
    }
}

static const struct job_type step_job = {
    .name = "steps", .input = step_input, .output = step_output, .done = step_done};
static const struct job_type streamed_step_job = {.name = "steps", .input = step_input, .output = step_output,
                                                  .progress = step_progress, .done = step_done};

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

static bool at_least(void **memory, size_t *have, size_t bytes)
{
    if (bytes <= *have && *memory) return true;
    free(*memory);
    *memory = malloc(bytes ? bytes : 1);
    *have = *memory ? bytes : 0;
    return *memory != NULL;
}

/* Memory for what will be answered. */
static rnnd_code take_outputs(struct stepping *s)
{
    const rnnd_info *info = s->model->info;
    bool text = info->task == RNND_TEXT;
    size_t bytes;
    s->rows = s->last_only ? 1 : s->memory.in.steps;
    s->row_width = text ? info->vocabulary : info->output_width;
    s->top_count = info->vocabulary < STEPPING_TOP ? info->vocabulary : STEPPING_TOP;
    size_t row_bytes = text && !s->all_logprobs ? s->top_count * sizeof *s->tops : s->row_width * sizeof(float);
    if (!inputs_product(s->rows, row_bytes ? row_bytes : 1, &bytes) || bytes > *s->output_left_bytes)
        return engine_fail(&s->error, RNND_TOO_LARGE, "outputs",
                           "the outputs of %zu steps are %zu bytes each, over the "
                           "%zu bytes left of one answer; ask for \"outputs\":\"last\" or fewer steps at once",
                           s->rows, row_bytes, *s->output_left_bytes);
    rnnd_code code = app_take_outputs(s->app, bytes, &s->error);
    if (code != RNND_OK) return code;
    s->taken_bytes = bytes;
    *s->output_left_bytes -= bytes;
    struct stepping_memory *m = &s->memory;
    json_out_reset(&m->outputs);
    void *outputs = json_reserve(&m->outputs, bytes ? bytes : 1);
    if (!outputs) return engine_fail_memory(&s->error, bytes);
    m->outputs.bytes = bytes;
    if (text && !s->all_logprobs) s->tops = outputs;
    else s->outputs = outputs;
    bytes = s->tops ? info->vocabulary * sizeof(float) : 0;
    if (!at_least((void **)&m->scratch, &m->scratch_bytes, bytes)) return engine_fail_memory(&s->error, bytes);
    bytes = rnnd_state_bytes(s->model->handle);
    return at_least(&m->state, &m->state_bytes, bytes) ? RNND_OK : engine_fail_memory(&s->error, bytes);
}

static void turn_ready(struct session_turn *turn)
{
    struct stepping *s = of_turn(turn);
    rnnd_code code = take_outputs(s);
    if (code != RNND_OK) {
        finish(s, code, NULL);
        return;
    }
    code = session_begin(turn, &s->request, s->memory.state, &s->replayed, &s->error);
    if (code != RNND_OK) {
        finish(s, code, app_session_error_name(&s->error));
        return;
    }
    s->first_step = rnnd_state_step(s->model->handle, s->memory.state);
    s->job.type = s->progress ? &streamed_step_job : &step_job;
    s->job.model = s->model;
    s->job.state = s->memory.state;
    s->running = true;
    code = batch_submit(s->app->batch, &s->job, &s->error);
    if (code != RNND_OK) finish(s, code, NULL);
}

static void turn_refused(struct session_turn *turn, const char *reason, uint64_t last_step)
{
    struct stepping *s = of_turn(turn);
    s->in_line = false;
    s->reason = reason;
    s->last_step = last_step;
    app_session_ended(&s->error, reason, last_step);
    finish(s, RNND_GONE, "session_expired");
}

void stepping_start(struct stepping *s, struct session *x)
{
    s->turn.session = x;
    s->turn.ready = turn_ready;
    s->turn.refused = turn_refused;
    s->in_line = true;
    session_wait(s->app->sessions, x, &s->turn);
}

void stepping_cancel(struct stepping *s)
{
    s->cancelled = true;
    if (s->running) batch_cancel(s->app->batch, &s->job);
    else finish(s, RNND_GONE, "client_gone");
}

void stepping_fail(struct stepping *s, const char *wire_code)
{
    finish(s, s->error.code, wire_code);
}

static void give_outputs_back(struct stepping *s)
{
    if (s->taken_bytes) s->app->outputs_bytes -= s->taken_bytes;
    s->taken_bytes = 0;
}

void stepping_free(struct stepping *s)
{
    struct stepping_memory *m = &s->memory;
    give_outputs_back(s);
    inputs_free(&m->in);
    json_out_free(&m->outputs);
    free(m->state);
    free(m->scratch);
    *m = (struct stepping_memory){0};
}

void stepping_forget(struct stepping *s)
{
    const size_t kept_bytes = 64 << 10;
    struct stepping_memory m;
    give_outputs_back(s);
    if (s->memory.in.memory_floats * sizeof(float) + s->memory.outputs.cap + s->memory.state_bytes +
            s->memory.scratch_bytes > kept_bytes)
        stepping_free(s);
    m = s->memory;
    memset(s, 0, sizeof *s);
    s->memory = m;
}

/* ---- reading a request ------------------------------------------------------------------------------------------- */

static rnnd_code read_ids(const struct inputs_want *want, const struct json *v, struct inputs *out, rnnd_error *err)
{
    size_t dim[2] = {json_count(v), 1}, i = 0;
    if (json_type(v) == JSON_NUMBERS) return inputs_json(want, v, out, err);
    if (json_type(v) != JSON_ARRAY) return engine_fail(err, RNND_INVALID, "ids", "ids must be [..] of whole numbers");
    rnnd_code code = inputs_take(want, dim, 2, NULL, out, err);
    for (const struct json *e = json_first(v); code == RNND_OK && e; e = json_next(e), i++) {
        int64_t id;
        if (json_integer(e, &id) && id >= 0 && id < 1 << 24) out->memory[i] = (float)id;
        else code = engine_fail(err, RNND_INVALID, "ids", "ids[%zu] must be a whole number, 0 or more", i);
    }
    if (code == RNND_OK) return inputs_check(want, out, err);
    inputs_free(out);
    return code;
}

static rnnd_code read_options(struct stepping *s, const struct json *body, rnnd_error *err)
{
    const struct json *outputs = json_get(body, "outputs"), *logits = json_get(body, "logits");
    size_t bytes;
    const char *word = json_string(outputs, &bytes);
    if (json_type(outputs) != JSON_NULL && (!word || (strcmp(word, "all") && strcmp(word, "last"))))
        return engine_fail(err, RNND_INVALID, "outputs", "outputs must be \"all\" or \"last\"");
    if (word) s->last_only = strcmp(word, "last") == 0;
    if (json_type(logits) != JSON_NULL && !json_bool(logits, &s->all_logprobs))
        return engine_fail(err, RNND_INVALID, "logits", "logits must be true or false");
    return RNND_OK;
}

rnnd_code stepping_read(struct stepping *s, const struct json *body, rnnd_error *err)
{
    static const char *const fields[] = {"inputs", "text", "ids"};
    const struct json *given = NULL;
    const char *field = NULL;
    const rnnd_info *info = s->model->info;
    rnnd_code code = read_options(s, body, err);
    if (code != RNND_OK) return code;
    for (size_t i = 0; i < 3; i++) {
        const struct json *v = json_get(body, fields[i]);
        if (json_type(v) == JSON_NULL) continue;
        if (given)
            return engine_fail(err, RNND_INVALID, fields[i], "give one of inputs, text and ids, not both %s and %s",
                               field, fields[i]);
        given = v;
        field = fields[i];
    }
    if (!given)
        return engine_fail(err, RNND_INVALID, "inputs",
                           info->task == RNND_TEXT ? "the body needs \"text\", \"ids\" or \"inputs\""
                                                   : "the body needs \"inputs\": [[..], ..]");
    struct inputs_want want = inputs_want_steps(info, field, s->app->steps_limit);
    want.borrow = true;
    if (given == json_get(body, "inputs")) return inputs_json(&want, given, &s->memory.in, err);
    if (info->task != RNND_TEXT)
        return engine_fail(err, RNND_UNSUPPORTED, field,
                           "%s is for text models; %s takes \"inputs\" of %zu numbers a step", field, s->model->name,
                           info->input_width);
    if (given == json_get(body, "ids")) return read_ids(&want, given, &s->memory.in, err);
    size_t bytes;
    const char *text = json_string(given, &bytes);
    if (!text) return engine_fail(err, RNND_INVALID, "text", "text must be a string");
    return inputs_text(&want, s->model->handle, text, bytes, &s->memory.in, err);
}

/* ---- finding and creating the session ---------------------------------------------------------------------------- */

static bool lost(struct stepping *s, const char *wire_code)
{
    s->wire_code = wire_code ? wire_code : rnnd_code_name(s->error.code);
    s->code = s->error.code;
    return false;
}

bool stepping_find(struct stepping *s, const char *id, const char *model_name, struct session **x)
{
    *x = NULL;
    rnnd_code code = sessions_find(s->app->sessions, id, x, &s->reason, &s->last_step, &s->error);
    if (code == RNND_OK) {
        s->model = session_model(*x);
        if (!model_name || strcmp(model_name, s->model->name) == 0) return true;
        engine_fail(&s->error, RNND_MISMATCH, "model", "session %.128s is of model %s, the request names %.100s", id,
                    s->model->name, model_name);
        return lost(s, "model_mismatch");
    }
    *x = NULL;
    if (code == RNND_GONE) {
        if (!s->reason) s->reason = "limit";
        return lost(s, "session_expired");
    }
    s->reason = NULL;
    if (code != RNND_NOT_FOUND) return lost(s, NULL);
    if (!model_name || (s->request.has_step && s->request.step > 0)) {
        engine_fail(
            &s->error, RNND_NOT_FOUND, "session",
            model_name
                ? "there is no session \"%.128s\", and a new one would begin at step 0; POST /v1/sessions "
                  "{\"model\":\"NAME\",\"id\":\"%.128s\"} creates it"
                : "there is no session \"%.128s\"; POST /v1/sessions {\"model\":\"NAME\",\"id\":\"%.128s\"} creates it",
            id, id);
        return lost(s, "session_not_found");
    }
    if (registry_choose(s->app->registry, model_name, -1, &s->model, &s->error) != RNND_OK)
        return lost(s, app_model_error_name(&s->error));
    s->unconfirmed = confirm_check(s->model, &s->error) != RNND_OK;
    if (s->unconfirmed) return lost(s, "model_unconfirmed");
    if (s->model->info->streamable) return true;
    engine_fail(&s->error, RNND_UNSUPPORTED, "model",
                "%s cannot be stepped: %.300s; POST /v1/models/%s:predict runs whole windows", s->model->name,
                s->model->info->not_streamable, s->model->name);
    return lost(s, "not_streamable");
}

bool stepping_create(struct stepping *s, const char *id, struct session **x)
{
    if (sessions_create(s->app->sessions, id, s->model, 0, NULL, x, &s->error) == RNND_OK) return true;
    return lost(s, NULL);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void put_token(struct json_out *o, const struct stepping *s, int32_t id)
{
    size_t bytes = 0;
    const char *text = rnnd_token_bytes(s->model->handle, id, &bytes);
    json_put_key(o, "id");
    json_put_int(o, id);
    json_put_key(o, "token");
    json_put_string(o, text ? text : "", bytes);
}

uint64_t stepping_row_step(const struct stepping *s, size_t row)
{
    return s->first_step + (s->last_only ? s->memory.in.steps : row + 1);
}

void stepping_put_row(struct json_out *o, const struct stepping *s, size_t row)
{
    const float *outputs = s->outputs ? s->outputs + row * s->row_width : NULL;
    size_t dim[1] = {s->row_width};
    if (s->model->info->task != RNND_TEXT) {
        json_put_floats(o, outputs, 1, dim);
        return;
    }
    json_open(o, '{');
    put_token(o, s, (int32_t)s->memory.in.data[s->last_only ? s->memory.in.steps - 1 : row]);
    json_put_key(o, s->tops ? "top" : "logprobs");
    if (s->tops) {
        json_open(o, '[');
        for (size_t i = 0; i < s->top_count; i++) {
            const struct stepping_top *top = &s->tops[row * s->top_count + i];
            json_open(o, '{');
            put_token(o, s, top->id);
            json_put_key(o, "logprob");
            json_put_float(o, top->logprob);
            json_close(o, '}');
        }
        json_close(o, ']');
    } else {
        json_put_floats(o, outputs, 1, dim);
    }
    json_close(o, '}');
}

void stepping_put_result(struct json_out *o, const struct stepping *s, bool outputs)
{
    json_put_name(o, "step");
    json_put_int(o, (int64_t)s->step);
    if (outputs) {
        json_put_name(o, "outputs");
        json_open(o, '[');
        for (size_t i = 0; i < s->rows; i++) stepping_put_row(o, s, i);
        json_close(o, ']');
    }
    json_put_name(o, "replayed");
    json_put_bool(o, s->replayed);
    json_put_name(o, "mode");
    json_put_text(o, app_mode_name(s->model->info->mode));
    json_put_name(o, "model_version");
    json_put_text(o, s->model->version);
    confirm_put_assumed(o, s->model);
}

void stepping_put_error(struct json_out *o, const struct stepping *s)
{
    if (s->unconfirmed) confirm_put_error(o, s->model, s->error.message);
    else
        app_put_error(o, rnnd_code_http_status(s->error.code), s->wire_code, s->error.param, s->error.message,
                      s->reason, s->last_step);
}

void stepping_put_failure(struct json_out *o, const struct stepping *s)
{
    json_open(o, '{');
    json_put_key(o, "error");
    stepping_put_error(o, s);
    json_close(o, '}');
}

void stepping_answer_failure(struct http_request *r, const struct stepping *s)
{
    struct json_out o;
    if (!s->reason && !s->unconfirmed) {
        app_error(r, &s->error, s->wire_code);
        return;
    }
    json_out_init(&o);
    stepping_put_failure(&o, s);
    http_add_header(r, "x-should-retry", "false");
    app_answer_json(r, rnnd_code_http_status(s->error.code), &o);
}
