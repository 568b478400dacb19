/* text_logprobs.c -- tokens and log-probabilities, as completions and as chat answer them. */
#include <string.h>

#include "server/api/text.h"

static bool is_utf8(const char *text, size_t bytes)
{
    const char *end = text + bytes;
    for (size_t n; text < end; text += n)
        if (!(n = json_utf8(text, end))) return false;
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
