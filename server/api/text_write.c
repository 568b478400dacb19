/* text_write.c -- how text answers look: pieces of text with their tokens, log-probabilities, chunks, usage. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/api/text.h"

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static bool grow(void **data, size_t *cap, size_t used, size_t more, size_t unit)
{
    size_t wanted = *cap ? *cap : 64;
    if (more > SIZE_MAX / 4 / unit - used) return false;
    while (wanted < used + more) wanted *= 2;
    if (wanted == *cap) return true;
    void *bigger = realloc(*data, wanted * unit);
    if (!bigger) return false;
    *data = bigger;
    *cap = wanted;
    return true;
}

static bool add_text(struct text_piece *p, const char *text, size_t bytes)
{
    void *data = p->text;
    if (!grow(&data, &p->text_cap, p->bytes, bytes, 1)) return false;
    p->text = data;
    memcpy(p->text + p->bytes, text, bytes);
    p->bytes += bytes;
    return true;
}

static bool add_token(struct text_piece *p, const rnnd_token *t)
{
    void *tokens = p->tokens, *alternatives = p->alternatives;
    if (!grow(&tokens, &p->token_cap, p->count, 1, sizeof *p->tokens)) return false;
    p->tokens = tokens;
    if (t->alternative_count) {
        if (!grow(&alternatives, &p->alternative_cap, p->alternative_count, t->alternative_count,
                  sizeof *p->alternatives))
            return false;
        p->alternatives = alternatives;
        memcpy(p->alternatives + p->alternative_count, t->alternatives, t->alternative_count * sizeof *t->alternatives);
    }
    p->tokens[p->count++] =
        (struct text_token){t->id, t->has_logprob, t->logprob, p->alternative_count, t->alternative_count};
    p->alternative_count += t->alternative_count;
    return true;
}

/* Called by whoever ticks; the lock keeps the loop thread from taking half of it. */
bool text_piece_take(struct text_choice *c, struct text_piece *into, bool *something)
{
    const struct text_settings *s = &c->request->settings;
    size_t bytes;
    const char *text;
    rnnd_token t;
    bool ok = true;

    pthread_mutex_lock(&c->lock);
    while (ok && (text = rnnd_generation_text(c->generation, &bytes)) && bytes) ok = add_text(into, text, bytes);
    while (ok && rnnd_generation_token(c->generation, &t)) {
        if (t.has_logprob && !t.from_prompt) {
            c->logprob_sum += (double)t.logprob;
            c->logprob_count++;
        }
        if (s->logprobs) ok = add_token(into, &t);
    }
    *something = into->bytes || into->count;
    pthread_mutex_unlock(&c->lock);
    return ok;
}

void text_piece_free(struct text_piece *p)
{
    free(p->text);
    free(p->tokens);
    free(p->alternatives);
    memset(p, 0, sizeof *p);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

/* Whole UTF-8 characters only (RFC 3629, the table of well-formed byte sequences). */
static bool is_utf8(const char *text, size_t bytes)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + bytes;
    while (s < end) {
        unsigned char c = *s++, low = 0x80, high = 0xBF;
        int more = c < 0x80 ? 0 : c < 0xC2 ? -1 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : c < 0xF5 ? 3 : -1;
        if (more < 0 || end - s < more) return false;
        if (c == 0xE0) low = 0xA0;
        if (c == 0xED) high = 0x9F;
        if (c == 0xF0) low = 0x90;
        if (c == 0xF4) high = 0x8F;
        for (; more; more--, low = 0x80, high = 0xBF)
            if (*s < low || *s++ > high) return false;
    }
    return true;
}

/* "bytes:\xe2\x80" names a token that is no text by itself; at most cap - 1 bytes of it. */
static size_t name_bytes(char *out, size_t cap, const char *text, size_t bytes)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 6;
    memcpy(out, "bytes:", 6);
    for (size_t i = 0; i < bytes && n + 5 <= cap; i++) {
        unsigned char b = (unsigned char)text[i];
        memcpy(out + n, "\\x", 2);
        out[n + 2] = hex[b >> 4];
        out[n + 3] = hex[b & 15];
        n += 4;
    }
    out[n] = '\0';
    return n;
}

void text_put_token(struct json_out *o, const struct model *m, int32_t id)
{
    size_t bytes = 0;
    char name[256];
    const char *text = rnnd_token_bytes(m->handle, id, &bytes);
    if (text && is_utf8(text, bytes)) {
        json_put_string(o, text, bytes);
    } else {
        bytes = name_bytes(name, sizeof name, text ? text : "", text ? bytes : 0);
        json_put_string(o, name, bytes);
    }
}

static void put_token_key(struct json_out *o, const struct model *m, int32_t id)
{
    size_t bytes = 0;
    char name[256];
    const char *text = rnnd_token_bytes(m->handle, id, &bytes);
    if (text && is_utf8(text, bytes) && bytes < sizeof name && !memchr(text, '\0', bytes)) {
        memcpy(name, text, bytes);
        name[bytes] = '\0';
    } else {
        name_bytes(name, sizeof name, text ? text : "", text ? bytes : 0);
    }
    json_put_key(o, name);
}

static void put_alternatives(struct json_out *o, const struct model *m, const struct text_piece *p,
                             const struct text_token *t)
{
    bool has_own = false;
    json_open(o, '{');
    for (size_t i = 0; i < t->count; i++) {
        const rnnd_alternative *a = &p->alternatives[t->first + i];
        has_own |= a->id == t->id;
        put_token_key(o, m, a->id);
        json_put_float(o, a->logprob);
    }
    if (!has_own) { /* the token itself is always among them */
        put_token_key(o, m, t->id);
        json_put_float(o, t->logprob);
    }
    json_close(o, '}');
}

/* text_offset counts characters of the text given out; a token inside a character has that character's place. */
static void put_offsets(struct json_out *o, struct text_choice *c, const struct text_piece *p)
{
    json_put_key(o, "text_offset");
    json_open(o, '[');
    for (size_t i = 0; i < p->count; i++) {
        size_t bytes = 0;
        const char *text = rnnd_token_bytes(c->request->model->handle, p->tokens[i].id, &bytes);
        bool inside = text && bytes && ((unsigned char)text[0] & 0xC0) == 0x80 && c->characters;
        json_put_int(o, (int64_t)(c->characters - inside));
        for (size_t k = 0; text && k < bytes; k++) c->characters += ((unsigned char)text[k] & 0xC0) != 0x80;
    }
    json_close(o, ']');
}

void text_put_completion_logprobs(struct json_out *o, struct text_choice *c, const struct text_piece *p)
{
    const struct model *m = c->request->model;

    json_put_key(o, "logprobs");
    if (!c->request->settings.logprobs || !p) {
        json_put_null(o);
        return;
    }
    json_open(o, '{');
    json_put_key(o, "tokens");
    json_open(o, '[');
    for (size_t i = 0; i < p->count; i++) text_put_token(o, m, p->tokens[i].id);
    json_close(o, ']');
    json_put_key(o, "token_logprobs");
    json_open(o, '[');
    for (size_t i = 0; i < p->count; i++) {
        if (p->tokens[i].has_logprob) json_put_float(o, p->tokens[i].logprob);
        else json_put_null(o);
    }
    json_close(o, ']');
    json_put_key(o, "top_logprobs");
    if (c->request->settings.top) {
        json_open(o, '[');
        for (size_t i = 0; i < p->count; i++) {
            if (p->tokens[i].has_logprob) put_alternatives(o, m, p, &p->tokens[i]);
            else json_put_null(o);
        }
        json_close(o, ']');
    } else {
        json_put_null(o);
    }
    put_offsets(o, c, p);
    json_close(o, '}');
}

static void put_chat_token(struct json_out *o, const struct model *m, int32_t id, float logprob)
{
    size_t bytes = 0;
    const char *text = rnnd_token_bytes(m->handle, id, &bytes);
    json_put_key(o, "token");
    text_put_token(o, m, id);
    json_put_key(o, "logprob");
    json_put_float(o, logprob);
    json_put_key(o, "bytes");
    json_open(o, '[');
    for (size_t i = 0; text && i < bytes; i++) json_put_int(o, (unsigned char)text[i]);
    json_close(o, ']');
}

void text_put_chat_logprobs(struct json_out *o, struct text_choice *c, const struct text_piece *p)
{
    const struct model *m = c->request->model;

    json_put_key(o, "logprobs");
    if (!c->request->settings.logprobs || !p) {
        json_put_null(o);
        return;
    }
    json_open(o, '{');
    json_put_key(o, "content");
    json_open(o, '[');
    for (size_t i = 0; i < p->count; i++) {
        const struct text_token *t = &p->tokens[i];
        json_open(o, '{');
        put_chat_token(o, m, t->id, t->logprob);
        json_put_key(o, "top_logprobs");
        json_open(o, '[');
        for (size_t k = 0; k < t->count; k++) {
            const rnnd_alternative *a = &p->alternatives[t->first + k];
            json_open(o, '{');
            put_chat_token(o, m, a->id, a->logprob);
            json_close(o, '}');
        }
        json_close(o, ']');
        json_close(o, '}');
    }
    json_close(o, ']');
    json_put_key(o, "refusal");
    json_put_null(o);
    json_close(o, '}');
}

/* ---- whole replies and chunks ------------------------------------------------------------------------------------ */

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

static void put_base64(struct json_out *o, const unsigned char *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t cap = (bytes + 2) / 3 * 4, n = 0;
    char *text = malloc(cap + 1);

    if (!text) {
        o->failed = true;
        return;
    }
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        uint32_t v = (uint32_t)data[i] << 16;
        if (left > 1) v |= (uint32_t)data[i + 1] << 8;
        if (left > 2) v |= data[i + 2];
        text[n++] = digits[v >> 18];
        text[n++] = digits[v >> 12 & 63];
        text[n++] = left > 1 ? digits[v >> 6 & 63] : '=';
        text[n++] = left > 2 ? digits[v & 63] : '=';
    }
    json_put_string(o, text, n);
    free(text);
}

/* "session" and "state", where there are such. */
static void put_session(struct json_out *o, const struct text_request *q)
{
    if (*q->session_id) {
        json_put_key(o, "session");
        json_open(o, '{');
        json_put_key(o, "id");
        json_put_text(o, q->session_id);
        json_put_key(o, "step");
        json_put_int(o, (int64_t)q->session_step);
        if (q->replayed) {
            json_put_key(o, "replayed");
            json_put_bool(o, true);
        }
        json_close(o, '}');
    }
    if (q->settings.return_state) {
        size_t bytes = rnnd_state_blob_bytes(q->model->handle);
        unsigned char *blob = malloc(bytes);
        if (!blob) {
            o->failed = true;
            return;
        }
        rnnd_state_save(q->model->handle, q->choices[0].state, blob);
        json_put_key(o, "state");
        put_base64(o, blob, bytes);
        free(blob);
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
    put_session(o, q);
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

static void chunk_begin(struct text_request *q)
{
    json_out_reset(&q->out);
    json_append(&q->out, "data: ", 6);
    put_head(&q->out, q, q->shape->chunk_object);
    json_put_key(&q->out, "choices");
    json_open(&q->out, '[');
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
    if (last) put_session(o, q);
    json_close(o, '}');
    json_append(o, "\n\n", 2);
    send_out(q);
}

/* The stream's head, and for each choice that has one the chunk before its text. */
void text_write_opening(struct text_request *q)
{
    q->last_write = seconds_now();
    for (size_t i = 0; q->shape->opening && i < q->choice_count && q->http; i++) {
        chunk_begin(q);
        q->shape->put_chunk(&q->out, &q->choices[i], NULL, NULL);
        chunk_end(q, false);
    }
}

void text_write_piece(struct text_choice *c)
{
    struct text_request *q = c->request;
    struct text_piece piece;

    pthread_mutex_lock(&c->lock);
    piece = c->ready;
    c->ready = c->taken;
    pthread_mutex_unlock(&c->lock);
    c->taken = piece;
    if (q->http && (piece.bytes || piece.count)) {
        chunk_begin(q);
        q->shape->put_chunk(&q->out, c, &c->taken, NULL);
        chunk_end(q, false);
    }
    c->taken.bytes = c->taken.count = c->taken.alternative_count = 0;
}

void text_write_finish(struct text_choice *c)
{
    struct text_request *q = c->request;
    chunk_begin(q);
    q->shape->put_chunk(&q->out, c, NULL, finish_name(c));
    chunk_end(q, !q->settings.include_usage && !q->pending);
}

/* usage, [DONE], the clean end */
void text_write_end(struct text_request *q)
{
    struct http_request *r;

    if (q->settings.include_usage) {
        chunk_begin(q);
        json_close(&q->out, ']');
        put_usage(&q->out, q);
        put_session(&q->out, q);
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
