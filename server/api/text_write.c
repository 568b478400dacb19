/* text_write.c -- text answers whole and in chunks: choices, usage, session, the end of a stream. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/api/base64.h"
#include "server/api/confirm.h"
#include "server/api/text.h"

static const char *finish_name(const struct text_choice *c)
{
    return rnnd_generation_finish(c->generation) == RNND_STOP ? "stop" : "length";
}

static void put_head(struct json_out *o, const struct text_request *q, const char *object)
{
    json_open(o, '{');
    json_put_key(o, "id");
    json_put_text(o, q->id);
    json_put_key(o, "object");
    json_put_text(o, object);
    json_put_key(o, "created");
    json_put_int(o, q->created);
    json_put_key(o, "model");
    json_put_text(o, q->model->name);
    json_put_key(o, "system_fingerprint");
    json_put_text(o, q->model->version);
}

/* Tokens that the kept state already holds count as prompt: it is the prompt a stateless client would have sent. */
static void put_usage(struct json_out *o, const struct text_request *q)
{
    int64_t prompt = (int64_t)q->kept_steps, sampled = 0;

    for (size_t i = 0; i < q->prompt_count; i++) prompt += (int64_t)q->prompts[i].count;
    for (size_t i = 0; i < q->choice_count; i++) sampled += (int64_t)rnnd_generation_count(q->choices[i].generation);
    json_put_key(o, "usage");
    json_open(o, '{');
    json_put_key(o, "prompt_tokens");
    json_put_int(o, prompt);
    json_put_key(o, "completion_tokens");
    json_put_int(o, sampled);
    json_put_key(o, "total_tokens");
    json_put_int(o, prompt + sampled);
    json_put_key(o, "prompt_tokens_details");
    json_open(o, '{');
    json_put_key(o, "cached_tokens");
    json_put_int(o, (int64_t)q->kept_steps);
    json_close(o, '}');
    json_close(o, '}');
}

/* "session", "state" and "assumed", where there are such. */
static void put_rest(struct json_out *o, const struct text_request *q)
{
    confirm_put_assumed(o, q->model);
    if (*q->session_id) session_use_put(o, q->session_id, q->session_step, q->replayed);
    if (q->settings.return_state) {
        size_t bytes = rnnd_state_blob_bytes(q->model->handle);
        unsigned char *blob = malloc(bytes);
        char *text = malloc(base64_bytes(bytes));
        if (blob && text) {
            rnnd_state_save(q->model->handle, q->choices[0].state, blob);
            json_put_key(o, "state");
            json_put_string(o, text, base64_write(blob, bytes, text));
        } else {
            o->failed = true;
        }
        free(blob);
        free(text);
    }
}

static bool is_better(const struct text_choice *a, const struct text_choice *b)
{
    double x = a->logprob_sum / (double)(a->logprob_count ? a->logprob_count : 1);
    double y = b->logprob_sum / (double)(b->logprob_count ? b->logprob_count : 1);
    return x > y;
}

/* The n best of a prompt's best_of choices, best first (the earlier one on ties), or all in order. */
static void put_choices(struct json_out *o, struct text_request *q)
{
    size_t n = (size_t)q->settings.n, best_of = (size_t)q->settings.best_of;

    for (size_t p = 0; p < q->prompt_count; p++) {
        struct text_choice *all = q->choices + p * best_of;
        bool taken[128] = {false};
        for (size_t k = 0; k < n; k++) {
            size_t best = best_of;
            for (size_t i = 0; i < best_of; i++) {
                if (taken[i]) continue;
                if (best == best_of || (best_of > n && is_better(&all[i], &all[best]))) best = i;
            }
            taken[best] = true;
            all[best].index = p * n + k;
            q->shape->put_choice(o, &all[best], &all[best].ready, finish_name(&all[best]));
        }
    }
}

void text_answer(struct text_request *q)
{
    struct json_out *o = &q->out;
    struct http_request *r = q->http;

    put_head(o, q, q->shape->object);
    json_put_key(o, "choices");
    json_open(o, '[');
    put_choices(o, q);
    json_close(o, ']');
    put_usage(o, q);
    put_rest(o, q);
    json_close(o, '}');
    q->http = NULL;
    app_answer_json(r, 200, o);
    json_out_init(o);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Every chunk begins with the same bytes, which are written once. */
static void chunk_begin(struct text_request *q)
{
    if (!q->head.bytes) {
        json_append(&q->head, "data: ", 6);
        put_head(&q->head, q, q->shape->chunk_object);
        json_put_key(&q->head, "choices");
        json_open(&q->head, '[');
    }
    json_append(&q->out, q->head.data, q->head.bytes);
    q->out.failed |= q->head.failed;
}

static void send_out(struct text_request *q)
{
    if (q->out.failed) { /* a hole in the text would be a wrong answer */
        struct http_request *r = q->http;
        q->http = NULL;
        http_stream_abort(r);
        text_cancel(q);
        return;
    }
    http_stream_write(q->http, q->out.data, q->out.bytes);
    json_out_reset(&q->out);
    q->last_write = seconds_now();
    if (http_stream_full(q->http)) atomic_store(&q->paused, true);
}

static void chunk_end(struct text_request *q, bool last)
{
    struct json_out *o = &q->out;
    json_close(o, ']');
    if (q->settings.include_usage) {
        json_put_key(o, "usage");
        json_put_null(o);
    }
    if (last) put_rest(o, q);
    json_close(o, '}');
    json_append(o, "\n\n", 2);
}

/* The stream's head, and for each choice that has one the chunk before its text. */
void text_write_opening(struct text_request *q)
{
    q->last_write = seconds_now();
    for (size_t i = 0; q->shape->opening && i < q->choice_count && q->http; i++) {
        chunk_begin(q);
        q->shape->put_chunk(&q->out, &q->choices[i], NULL, NULL);
        chunk_end(q, false);
        send_out(q);
    }
}

/* An event per token, however many came together: a stream's bytes do not depend on how fast it is written. */
void text_write_piece(struct text_choice *c)
{
    struct text_request *q = c->request;
    struct text_piece piece;

    pthread_mutex_lock(&c->lock);
    piece = c->ready;
    c->ready = c->taken;
    pthread_mutex_unlock(&c->lock);
    c->taken = piece;
    for (size_t i = 0; q->http && i < piece.cut_count; i++) {
        const struct text_cut from = i ? piece.cuts[i - 1] : (struct text_cut){0}, to = piece.cuts[i];
        struct text_piece event = {.text = piece.text ? piece.text + from.bytes : NULL, .bytes = to.bytes - from.bytes,
                                   .tokens = piece.tokens ? piece.tokens + from.count : NULL,
                                   .count = to.count - from.count, .alternatives = piece.alternatives};
        chunk_begin(q);
        q->shape->put_chunk(&q->out, c, &event, NULL);
        chunk_end(q, false);
    }
    if (q->http && piece.cut_count) send_out(q);
    c->taken.bytes = c->taken.count = c->taken.alternative_count = c->taken.cut_count = 0;
}

void text_write_finish(struct text_choice *c)
{
    struct text_request *q = c->request;
    chunk_begin(q);
    q->shape->put_chunk(&q->out, c, NULL, finish_name(c));
    chunk_end(q, !q->settings.include_usage && !q->pending);
    send_out(q);
}

/* usage, [DONE], the clean end */
void text_write_end(struct text_request *q)
{
    struct http_request *r;

    if (q->settings.include_usage) {
        chunk_begin(q);
        json_close(&q->out, ']');
        put_usage(&q->out, q);
        put_rest(&q->out, q);
        json_close(&q->out, '}');
        json_append(&q->out, "\n\n", 2);
        send_out(q);
        if (!q->http) return;
    }
    r = q->http;
    q->http = NULL;
    http_stream_write(r, "data: [DONE]\n\n", 14);
    http_stream_close(r);
}

/* A fault in mid-stream: said, then the connection is broken, so that it never looks complete. */
void text_write_error(struct text_request *q)
{
    struct http_request *r = q->http;
    struct json_out *o = &q->out;
    int status = rnnd_code_http_status(q->error.code);

    json_out_reset(o);
    json_append(o, "data: ", 6);
    json_open(o, '{');
    json_put_key(o, "error");
    app_put_error(o, status, q->error_code ? q->error_code : rnnd_code_name(q->error.code), q->error.param,
                  q->error.message, NULL, 0);
    json_close(o, '}');
    json_append(o, "\n\n", 2);
    q->http = NULL;
    if (!o->failed) http_stream_write(r, o->data, o->bytes);
    http_stream_abort(r);
}
