/* text.c -- the life of a text request: session turn, jobs, progress to the stream, commit, reply, clean-up. */
#include "server/api/confirm.h"
#include "server/api/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/api/random.h"
#include "server/engine/fail.h"
#include "server/engine/stats.h"

#define QUIET_S 10.0       /* a stream without a chunk for so long gets a comment line */
#define CHOICES_LIMIT 1024 /* prompts x best_of of one request */
#define LOGPROBS_LIMIT 4000000 /* log-probabilities of an answer that leaves whole */

/* ---- small things ------------------------------------------------------------------------------------------------ */

rnnd_code text_tokenize(const struct model *m, const char *text, size_t bytes, size_t limit, struct text_prompt *out,
                        rnnd_error *err)
{
    const char *kind = m->info->tokenizer;
    size_t count = 0, longest = strcmp(kind, "bytes") && strcmp(kind, "chars") ? 64 : 4; /* bytes of most tokens */
    rnnd_code code;

    out->ids = NULL;
    out->count = 0;
    if (bytes / longest > limit) {
        count = bytes / longest;
        code = RNND_OK;
    } else {
        out->ids = malloc((2 * bytes + 1) * sizeof *out->ids); /* as rnnd_tokenize() promises */
        if (!out->ids) return engine_fail(err, RNND_NO_MEMORY, "prompt", "no memory for the tokens of this text");
        code = rnnd_tokenize(m->handle, text, bytes, out->ids, 2 * bytes + 1, &count, err);
    }
    if (code == RNND_OK && count > limit)
        code = engine_fail(err, RNND_TOO_LARGE, "prompt",
                           "the text has %zu tokens or more; a request may feed %zu steps", count, limit);
    if (code != RNND_OK) {
        free(out->ids);
        out->ids = NULL;
        return code;
    }
    out->count = count;
    return RNND_OK;
}

/* ---- open and free ----------------------------------------------------------------------------------------------- */

void text_free(struct text_request *q)
{
    if (!q) return;
    for (size_t i = 0; i < q->choice_count; i++) {
        struct text_choice *c = &q->choices[i];
        rnnd_generation_close(c->generation);
        text_piece_free(&c->ready);
        text_piece_free(&c->taken);
        pthread_mutex_destroy(&c->lock);
        free(c->state);
    }
    free(q->choices);
    for (size_t i = 0; q->prompts && i < q->prompt_count; i++) free(q->prompts[i].ids);
    free(q->prompts);
    free(q->messages);
    free(q->message_text);
    text_settings_free(&q->settings);
    json_out_free(&q->out);
    json_out_free(&q->head);
    json_free(q->doc);
    free(q);
}

static bool is_named(const struct text_request *q)
{
    return json_type(json_get(q->body, "model")) != JSON_NULL;
}

/* "session" in the body or X-Session-Id: one choice of one prompt goes on from there. */
static bool read_session(struct text_request *q)
{
    if (!*q->session_id) return true;
    if (q->settings.n != 1 || q->settings.best_of != 1) {
        http_error(q->http, 400, "invalid_value", q->settings.n != 1 ? "n" : "best_of",
                   "a session goes on in one way only: n and best_of must be 1 with it");
        return false;
    }
    return app_session_request(q->http, q->body, &q->step_rule);
}

struct text_request *text_open(struct app *app, struct http_request *r, const struct text_shape *shape, bool chat)
{
    struct text_request *q = calloc(1, sizeof *q);

    if (!q) {
        http_error(r, 503, "no_memory", "", "no memory for this request");
        return NULL;
    }
    q->app = app;
    q->http = r;
    q->shape = shape;
    q->created = (int64_t)time(NULL);
    json_out_init(&q->out);
    json_out_init(&q->head);
    random_id(q->id, sizeof q->id, shape->id_prefix);
    q->doc = app_json_body(app, r);
    if (!q->doc) goto out;
    q->body = json_root(q->doc);
    if (!session_use_id(r, q->body, q->session_id)) goto out;
    if (!is_named(q)) q->model = session_use_model(app, q->session_id, RNND_TEXT);
    if (!q->model) q->model = app_model(app, r, q->body, RNND_TEXT);
    if (!q->model || !confirm_request(r, q->model)) goto out;
    if (!q->model->info->streamable) {
        http_error(r, 422, "not_streamable", "model",
                   "%s cannot be continued token by token: %s",
                   q->model->name, q->model->info->not_streamable);
        goto out;
    }
    if (chat) q->template_stop_count = rnnd_chat_stops(q->model->handle, &q->template_stops, &q->min_bytes);
    if (!text_settings_read(q, chat) || !read_session(q)) goto out;
    return q;
out:
    text_free(q);
    return NULL;
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

void text_cancel(struct text_request *q)
{
    for (size_t i = 0; i < q->choice_count; i++) {
        struct text_choice *c = &q->choices[i];
        if (c->submitted && !c->finished) batch_cancel(q->app->batch, &c->job);
    }
}

static void set_failure(struct text_request *q, const rnnd_error *err, const char *error_code)
{
    if (q->failed) return;
    q->failed = true;
    q->error = *err;
    q->error_code = error_code;
}

/* All jobs are done and none will come: answer what there is to say, give the session back, free. */
static void end(struct text_request *q)
{
    if (q->streaming) {
        if (q->next_stream) q->next_stream->previous_stream = q->previous_stream;
        if (q->previous_stream) q->previous_stream->next_stream = q->next_stream;
        else q->app->streams = q->next_stream;
    }
    if (q->http && q->failed) {
        if (q->streaming) text_write_error(q);
        else if (q->ended) app_answer_ended(q->http, q->error.message, q->ended, q->ended_step);
        else app_error(q->http, &q->error, q->error_code);
    } else if (q->http) {
        if (q->streaming) text_write_end(q);
        else text_answer(q);
    }
    if (q->in_line) session_leave(q->app->sessions, &q->turn);
    text_free(q);
}

static enum job_next choice_input(struct job *j, float *row)
{
    struct text_choice *c = (struct text_choice *)j;
    if (atomic_load(&c->request->paused)) return JOB_WAIT;
    return rnnd_generation_input(c->generation, row) ? JOB_READY : JOB_FINISHED;
}

static rnnd_code choice_output(struct job *j, const float *row, rnnd_error *err)
{
    struct text_choice *c = (struct text_choice *)j;
    bool something;

    rnnd_generation_output(c->generation, row);
    j->tokens++;
    if (!text_piece_take(c, &c->ready, &something) || rnnd_generation_finish(c->generation) == RNND_FAILED)
        return engine_fail(err, RNND_NO_MEMORY, "", "no memory for the generated text");
    if (c->request->settings.stream && something) batch_notify(j);
    return RNND_OK;
}

static void choice_progress(struct job *j)
{
    struct text_choice *c = (struct text_choice *)j;
    if (c->request->streaming && c->request->http) text_write_piece(c);
}

/* The session's new state is kept before the client can know of it. */
static void commit(struct text_request *q)
{
    struct session_view view;
    session_commit(&q->turn, &q->step_rule, q->choices[0].state, q->replayed);
    sessions_view(q->session, &view);
    q->session_step = q->replayed ? rnnd_state_step(q->model->handle, q->choices[0].state) : view.step;
}

static void choice_done(struct job *j)
{
    struct text_choice *c = (struct text_choice *)j;
    struct text_request *q = c->request;
    bool something;

    c->finished = true;
    q->pending--;
    stats_add(STAT_TOKENS_GENERATED, rnnd_generation_count(c->generation));
    stats_add(STAT_TOKENS_PROMPT, j->tokens - (j->tokens < rnnd_generation_count(c->generation)
                                                   ? j->tokens : rnnd_generation_count(c->generation)));
    if (j->code != RNND_OK) {
        if (q->http && !q->failed) {
            set_failure(q, &j->error, NULL);
            text_cancel(q);
        }
    } else if (q->http && !q->failed) {
        if (!text_piece_take(c, &c->ready, &something)) {
            rnnd_error err = {0};
            engine_fail(&err, RNND_NO_MEMORY, "", "no memory for the generated text");
            set_failure(q, &err, NULL);
            text_cancel(q);
        } else {
            if (q->session) commit(q);
            if (q->streaming) text_write_piece(c);
            if (q->streaming && q->http) text_write_finish(c);
        }
    }
    if (!q->pending) end(q);
}

static const struct job_type choice_job = {"text", choice_input, choice_output, NULL, choice_progress, choice_done};

/* The prompt has been fed: on to the text, if anybody still wants it. */
static void prompt_done(struct job *j)
{
    struct text_choice *c = (struct text_choice *)j;
    rnnd_error err = {0};

    if (j->code == RNND_OK && c->request->http && !c->request->failed) {
        j->type = &choice_job;
        rnnd_code code = batch_submit(c->request->app->batch, j, &err);
        if (code == RNND_OK) return;
        j->code = code;
        j->error = err;
    }
    choice_done(j);
}

/* Choice k of a prompt draws from a stream of its own, made of the request's seed and k; k = 0 is the seed itself. */
static rnnd_code open_choice(struct text_request *q, struct text_choice *c, uint64_t seed, size_t k, rnnd_error *err)
{
    struct text_settings *s = &q->settings;
    rnnd_generate_params p = {0};
    const struct text_prompt *prompt = &q->prompts[c->prompt];

    p.prompt = prompt->ids;
    p.prompt_count = prompt->count;
    p.max_tokens = s->max_tokens;
    p.min_bytes = (int64_t)q->min_bytes;
    p.stop = s->stop;
    p.stop_count = s->stop_count;
    p.feed_stop = q->session != NULL || s->return_state;
    p.echo = s->echo;
    p.score_prompt = s->echo && s->logprobs;
    p.sampling = s->sampling;
    p.sampling.seeded = s->has_seed || !q->kept_steps;
    p.sampling.seed = k ? random_mix(seed, k) : seed;
    return rnnd_generation_open(q->model->handle, &p, c->state, &c->generation, err);
}

/* Without "seed": a random one; in a session something that a replay finds again. A session that has stepped goes on
 * with the generator in its state; a new one starts from its id and its state. */
static uint64_t pick_seed(const struct text_request *q)
{
    uint64_t seed = 0;
    if (q->settings.has_seed) return q->settings.seed;
    if (!q->session) return random_u64();
    for (const char *p = q->session_id; *p; p++) seed = random_mix(seed, (unsigned char)*p);
    return random_mix(seed, rnnd_state_digest(q->model->handle, q->choices[0].state));
}

static void on_room(struct http_request *r, void *context)
{
    struct text_request *q = context;
    (void)r;
    atomic_store(&q->paused, false);
    for (size_t i = 0; i < q->choice_count; i++)
        if (q->choices[i].submitted && !q->choices[i].finished) batch_wake(q->app->batch, &q->choices[i].job);
}

static void open_stream(struct text_request *q)
{
    q->streaming = true;
    q->next_stream = q->app->streams;
    if (q->next_stream) q->next_stream->previous_stream = q;
    q->app->streams = q;
    http_no_deadline(q->http);
    http_on_room(q->http, on_room, q);
    http_add_header(q->http, "Cache-Control", "no-cache");
    http_stream_open(q->http, 200, "text/event-stream");
    text_write_opening(q);
}

/* Prompts, generations, jobs. Ends the request by itself where something of that fails. */
static void launch(struct text_request *q)
{
    rnnd_error err = {0};
    rnnd_code code = RNND_OK;
    uint64_t seed = pick_seed(q);

    if (q->shape->prompts) code = q->shape->prompts(q, q->kept_steps > 0, &err);
    for (size_t i = 0; code == RNND_OK && i < q->choice_count; i++)
        code = open_choice(q, &q->choices[i], seed, i % (size_t)q->settings.best_of, &err);
    for (size_t i = 0; code == RNND_OK && i < q->choice_count; i++) {
        struct text_choice *c = &q->choices[i];
        c->job.model = q->model;
        c->job.state = c->state;
        if (!text_prompt_fed(c, prompt_done)) c->job.type = &choice_job;
        code = batch_submit(q->app->batch, &c->job, &err);
        if (code != RNND_OK) {
            text_prompt_dropped(c);
            break;
        }
        c->submitted = true;
        q->pending++;
    }
    if (code != RNND_OK) {
        set_failure(q, &err, NULL);
        text_cancel(q);
        if (!q->pending) end(q);
    } else if (q->settings.stream) {
        open_stream(q);
    }
}

/* ---- sessions and the client ------------------------------------------------------------------------------------- */

static struct text_request *request_of(struct session_turn *turn)
{
    return (struct text_request *)((char *)turn - offsetof(struct text_request, turn));
}

static void turn_ready(struct session_turn *turn)
{
    struct text_request *q = request_of(turn);
    rnnd_error err = {0};

    if (session_begin(turn, &q->step_rule, q->choices[0].state, &q->replayed, &err) != RNND_OK) {
        set_failure(q, &err, app_session_error_name(&err));
        end(q);
        return;
    }
    q->kept_steps = rnnd_state_step(q->model->handle, q->choices[0].state);
    launch(q);
}

static void turn_refused(struct session_turn *turn, const char *reason, uint64_t last_step)
{
    struct text_request *q = request_of(turn);
    rnnd_error err = {0};

    q->in_line = false;
    app_session_ended(&err, reason, last_step);
    set_failure(q, &err, "session_expired");
    q->ended = reason;
    q->ended_step = last_step;
    end(q);
}

static void on_gone(struct http_request *r, enum http_gone why, void *context)
{
    struct text_request *q = context;
    (void)r;
    (void)why;
    q->http = NULL;
    atomic_store(&q->paused, false);
    if (!q->pending) { /* still waiting for its turn */
        end(q);
        return;
    }
    text_cancel(q);
    on_room(r, q);
}

/* What a stream's client has read is gone; a whole answer holds the log-probabilities of all its tokens. */
static bool check_logprobs(struct text_request *q)
{
    const struct text_settings *s = &q->settings;
    double tokens = 0;

    if (!s->logprobs || s->stream) return true;
    for (size_t i = 0; i < q->prompt_count; i++)
        tokens += (double)s->best_of * ((double)s->max_tokens + (s->echo ? (double)q->prompts[i].count : 0));
    if (tokens * (1 + s->top) <= LOGPROBS_LIMIT) return true;
    http_error(q->http, 413, "too_large", "logprobs", "%.0f tokens with %d log-probabilities each; an answer has %d at "
               "most: ask for fewer, or stream it", tokens, 1 + s->top, LOGPROBS_LIMIT);
    return false;
}

static bool make_choices(struct text_request *q)
{
    size_t count = q->prompt_count * (size_t)q->settings.best_of, bytes = rnnd_state_bytes(q->model->handle);

    if (count > CHOICES_LIMIT) {
        http_error(q->http, 400, "invalid_value", "prompt",
                   "%zu prompts times %lld choices are %zu texts; a request may ask for %d",
                   q->prompt_count, (long long)q->settings.best_of, count, CHOICES_LIMIT);
        return false;
    }
    if (q->settings.return_state && count != 1) {
        http_error(q->http, 400, "invalid_value", "return_state",
                   "return_state is for one prompt with n and best_of 1");
        return false;
    }
    q->choices = calloc(count, sizeof *q->choices);
    for (size_t i = 0; q->choices && i < count; i++) {
        struct text_choice *c = &q->choices[i];
        pthread_mutex_init(&c->lock, NULL);
        q->choice_count++;
        c->request = q;
        c->prompt = i / (size_t)q->settings.best_of;
        c->index = i;
        c->state = malloc(bytes);
        if (!c->state) break;
        rnnd_state_reset(q->model->handle, c->state);
    }
    if (q->choice_count == count && q->choices[count - 1].state) return true;
    http_error(q->http, 503, "no_memory", "", "no memory for %zu states of %zu bytes", count, bytes);
    return false;
}

void text_start(struct text_request *q)
{
    if (*q->session_id && q->prompt_count != 1) {
        http_error(q->http, 400, "invalid_value", "prompt", "a session goes on with one prompt, found %zu",
                   q->prompt_count);
        text_free(q);
        return;
    }
    if (!check_logprobs(q) || !make_choices(q)) {
        text_free(q);
        return;
    }
    if (*q->session_id) {
        q->session = session_use(q->app, q->http, q->session_id, is_named(q), q->model);
        if (!q->session) {
            text_free(q);
            return;
        }
    }
    http_on_gone(q->http, on_gone, q);
    if (!q->session) {
        launch(q);
        return;
    }
    q->turn.ready = turn_ready;
    q->turn.refused = turn_refused;
    q->in_line = true;
    session_wait(q->app->sessions, q->session, &q->turn);
}

/* ---- once a second ----------------------------------------------------------------------------------------------- */

void text_every_second(struct app *app)
{
    struct timespec t;
    double now;

    clock_gettime(CLOCK_MONOTONIC, &t);
    now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    for (struct text_request *q = app->streams; q; q = q->next_stream) {
        if (q->http && !q->failed && q->settings.max_tokens < 0 && http_draining(app->http)) {
            rnnd_error err = {0};
            engine_fail(&err, RNND_BUSY, "", "the server is ending");
            set_failure(q, &err, NULL);
            text_cancel(q);
        }
        if (!q->http || now - q->last_write < QUIET_S || atomic_load(&q->paused)) continue;
        http_stream_write(q->http, ": ping\n\n", 8);
        q->last_write = now;
    }
}
