/* score.c -- POST /v1/score (how likely a text is), /tokenize and /detokenize. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/confirm.h"
#include "server/api/handlers.h"
#include "server/api/text.h"
#include "server/engine/stats.h"

#define LN2 0.69314718055994530942

struct score { /* one text being read */
    struct job job;
    struct app *app;
    struct http_request *http; /* NULL: the client has left */
    struct model *model;
    struct text_prompt text;
    size_t text_bytes, at;
    double nats;               /* minus the log-likelihood of tokens 1 .. count-1, each given those before it */
    float *logprobs;           /* [vocabulary] scratch */
    void *state;
};

static void score_free(struct score *s)
{
    free(s->text.ids);
    free(s->logprobs);
    free(s->state);
    free(s);
}

/* e^x the same on every machine: x = k ln 2 + r, |r| <= ln 2 / 2; Taylor's polynomial of degree 16 in explicit FMAs */
static double exp_exact(double x)
{
    double k = floor(fma(x, 1 / LN2, 0.5)), r = fma(-k, LN2, x), y = 1;
    for (int i = 16; i > 0; i--) y = fma(y, r / i, 1);
    return ldexp(y, k > 1024 ? 1025 : (int)k);
}

static enum job_next score_input(struct job *j, float *row)
{
    struct score *s = (struct score *)j;
    if (s->at + 1 >= s->text.count) return JOB_FINISHED; /* what would come behind the last token is not asked */
    row[0] = (float)s->text.ids[s->at];
    return JOB_READY;
}

static rnnd_code score_output(struct job *j, const float *row, rnnd_error *err)
{
    struct score *s = (struct score *)j;
    (void)err;
    rnnd_log_softmax(s->model->handle, row, s->logprobs);
    s->nats -= (double)s->logprobs[s->text.ids[++s->at]];
    return RNND_OK;
}

static void put_number(struct json_out *o, const char *key, double v)
{
    json_put_key(o, key);
    if (isfinite(v)) json_put_double(o, v);
    else json_put_null(o);
}

/* The first token is not scored: nothing stands before it. */
static void answer_score(struct score *s)
{
    struct json_out o;
    const char *tokenizer = s->model->info->tokenizer;
    size_t scored = s->text.count ? s->text.count - 1 : 0, first_bytes = 0, bytes;

    if (s->text.count) rnnd_token_bytes(s->model->handle, s->text.ids[0], &first_bytes);
    bytes = s->text_bytes > first_bytes ? s->text_bytes - first_bytes : 0;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "model");
    json_put_text(&o, s->model->name);
    json_put_key(&o, "model_version");
    json_put_text(&o, s->model->version);
    json_put_key(&o, "unit");
    json_put_text(&o, !strcmp(tokenizer, "bytes") ? "byte" : !strcmp(tokenizer, "chars") ? "character" : "token");
    json_put_key(&o, "tokens");
    json_put_int(&o, (int64_t)s->text.count);
    json_put_key(&o, "scored_tokens");
    json_put_int(&o, (int64_t)scored);
    json_put_key(&o, "scored_bytes");
    json_put_int(&o, (int64_t)bytes);
    put_number(&o, "nats", scored ? s->nats : 0);
    put_number(&o, "nats_per_token", s->nats / (double)scored);
    put_number(&o, "bits_per_byte", s->nats / LN2 / (double)bytes);
    put_number(&o, "perplexity", exp_exact(s->nats / (double)scored));
    confirm_put_assumed(&o, s->model);
    json_close(&o, '}');
    app_answer_json(s->http, 200, &o);
}

static void score_done(struct job *j)
{
    struct score *s = (struct score *)j;
    stats_add(STAT_TOKENS_PROMPT, s->at);
    if (s->http && j->code == RNND_OK) answer_score(s);
    else if (s->http) app_error(s->http, &j->error, NULL);
    score_free(s);
}

static const struct job_type score_job = {"score", score_input, score_output, NULL, NULL, score_done};

static void on_gone(struct http_request *r, enum http_gone why, void *context)
{
    struct score *s = context;
    (void)r;
    (void)why;
    s->http = NULL;
    batch_cancel(s->app->batch, &s->job);
}

/* The text under "text", or where other servers' clients put it; answers 400 itself. */
static const char *read_text(struct http_request *r, const struct json *body, size_t *bytes)
{
    static const char *const keys[] = {"text", "content", "prompt"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = json_string(json_get(body, keys[i]), bytes);
        if (text) return text;
    }
    http_error(r, 400, "invalid_request", "text", "text must be given, a string");
    return NULL;
}

void post_score(struct app *app, struct http_request *r)
{
    struct json_doc *doc = app_json_body(app, r);
    struct model *m = doc ? app_model(app, r, json_root(doc), RNND_TEXT) : NULL;
    size_t bytes = 0;
    const char *text = m && confirm_request(r, m) ? read_text(r, json_root(doc), &bytes) : NULL;
    struct score *s = text ? calloc(1, sizeof *s) : NULL;
    rnnd_error err = {.code = RNND_NO_MEMORY, .message = "no memory for this request"};

    if (!text) goto out;
    if (!s) goto failed;
    *s = (struct score){.job = {.type = &score_job, .model = m}, .app = app, .http = r, .model = m,
                        .text_bytes = bytes};
    if (text_tokenize(m, text, bytes, app->steps_limit, &s->text, &err) != RNND_OK) goto failed;
    s->state = s->job.state = malloc(rnnd_state_bytes(m->handle));
    s->logprobs = calloc(m->info->vocabulary, sizeof *s->logprobs);
    if (!s->state || !s->logprobs) goto failed;
    rnnd_state_reset(m->handle, s->state);
    if (batch_submit(app->batch, &s->job, &err) != RNND_OK) goto failed;
    http_on_gone(r, on_gone, s);
    goto out;
failed:
    app_error(r, &err, NULL);
    if (s) score_free(s);
out:
    json_free(doc);
}

void post_tokenize(struct app *app, struct http_request *r)
{
    struct json_doc *doc = app_json_body(app, r);
    struct model *m = doc ? app_model(app, r, json_root(doc), RNND_TEXT) : NULL;
    size_t bytes = 0;
    const char *text = m ? read_text(r, json_root(doc), &bytes) : NULL;
    struct text_prompt ids = {0};
    rnnd_error err = {0};
    struct json_out o;

    if (!text) goto out;
    if (text_tokenize(m, text, bytes, app->steps_limit, &ids, &err) != RNND_OK) {
        app_error(r, &err, NULL);
        goto out;
    }
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "model");
    json_put_text(&o, m->name);
    json_put_key(&o, "tokens");
    json_open(&o, '[');
    for (size_t i = 0; i < ids.count; i++) json_put_int(&o, ids.ids[i]);
    json_close(&o, ']');
    json_put_key(&o, "count");
    json_put_int(&o, (int64_t)ids.count);
    json_close(&o, '}');
    app_answer_json(r, 200, &o);
out:
    free(ids.ids);
    json_free(doc);
}

/* The text of the ids, as "text" and under the name llama-server's clients read. */
static void answer_detokenize(struct http_request *r, const struct model *m, const struct json_out *text)
{
    struct json_out o;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "model");
    json_put_text(&o, m->name);
    json_put_key(&o, "text");
    json_put_string(&o, text->data ? text->data : "", text->bytes);
    json_put_key(&o, "content");
    json_put_string(&o, text->data ? text->data : "", text->bytes);
    json_close(&o, '}');
    o.failed |= text->failed;
    app_answer_json(r, 200, &o);
}

void post_detokenize(struct app *app, struct http_request *r)
{
    struct json_doc *doc = app_json_body(app, r);
    struct model *m = doc ? app_model(app, r, json_root(doc), RNND_TEXT) : NULL;
    const struct json *tokens = m ? json_get(json_root(doc), "tokens") : NULL;
    struct json_out text;
    size_t i = 0;

    json_out_init(&text);
    if (!m) goto out;
    if (json_type(tokens) != JSON_ARRAY || json_count(tokens) > app->steps_limit) {
        http_error(r, 400, "invalid_request", "tokens", "tokens must be a list of at most %zu token ids",
                   app->steps_limit);
        goto out;
    }
    for (const struct json *v = json_first(tokens); v; v = json_next(v), i++) {
        int64_t id = -1;
        size_t bytes = 0;
        const char *part = json_integer(v, &id) && id >= 0 && id <= INT32_MAX
                               ? rnnd_token_bytes(m->handle, (int32_t)id, &bytes) : NULL;
        if (!part) {
            http_error(r, 400, "invalid_value", "tokens", "tokens[%zu] is no token of %s: wanted 0 to %zu", i, m->name,
                       m->info->vocabulary - 1);
            goto out;
        }
        json_append(&text, part, bytes);
    }
    answer_detokenize(r, m, &text);
out:
    json_out_free(&text);
    json_free(doc);
}
