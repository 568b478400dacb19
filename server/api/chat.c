/* chat.c -- POST /v1/chat/completions: messages through the model's chat template, in OpenAI's shape. */
#include <stdlib.h>
#include <string.h>

#include "server/api/handlers.h"
#include "server/api/text.h"

#define MESSAGES_LIMIT 10000

static void put_message(struct json_out *o, struct text_choice *c, const struct text_piece *piece, const char *finish)
{
    json_open(o, '{');
    json_put_name(o, "index");
    json_put_int(o, (int64_t)c->index);
    json_put_name(o, "message");
    json_open(o, '{');
    json_put_name(o, "role");
    json_put_text(o, "assistant");
    json_put_name(o, "content");
    json_put_string(o, piece->text ? piece->text : "", piece->bytes);
    json_put_name(o, "refusal");
    json_put_null(o);
    json_close(o, '}');
    text_put_chat_logprobs(o, c, piece);
    json_put_name(o, "finish_reason");
    json_put_text(o, finish);
    json_close(o, '}');
}

static void put_delta(struct json_out *o, struct text_choice *c, const struct text_piece *piece, const char *finish)
{
    json_open(o, '{');
    json_put_name(o, "index");
    json_put_int(o, (int64_t)c->index);
    json_put_name(o, "delta");
    json_open(o, '{');
    if (!piece && !finish) {
        json_put_name(o, "role");
        json_put_text(o, "assistant");
    }
    if (!finish) {
        json_put_name(o, "content");
        json_put_string(o, piece && piece->text ? piece->text : "", piece ? piece->bytes : 0);
    }
    json_close(o, '}');
    text_put_chat_logprobs(o, c, piece);
    json_put_name(o, "finish_reason");
    json_put_text(o, finish);
    json_close(o, '}');
}

/* Whether the messages begin a conversation or go on with one is known only once the session's turn has come. */
static rnnd_code make_prompt(struct text_request *q, bool continues, rnnd_error *err)
{
    size_t bytes = 0, again;
    char *text = NULL;
    rnnd_code code =
        rnnd_chat_prompt(q->model->handle, q->messages, q->message_count, continues, NULL, 0, &bytes, err);

    if (code == RNND_OK) {
        text = malloc(bytes ? bytes : 1);
        if (!text) {
            *err = (rnnd_error){.code = RNND_NO_MEMORY, .message = "no memory for the prompt", .param = "messages"};
            return RNND_NO_MEMORY;
        }
        code = rnnd_chat_prompt(q->model->handle, q->messages, q->message_count, continues, text, bytes, &again, err);
    }
    if (code == RNND_OK) code = text_tokenize(q->model, text, bytes, q->app->steps_limit, &q->prompts[0], err);
    if (code != RNND_OK) memcpy(err->param, "messages", sizeof "messages");
    free(text);
    return code;
}

static const struct text_shape shape = {"chatcmpl-", "chat.completion", "chat.completion.chunk", true, make_prompt,
                                        put_message, put_delta};

static bool bad(struct text_request *q, size_t i, const char *wanted)
{
    http_error(q->http, 400, "invalid_value", "messages", "messages[%zu]: %s", i, wanted);
    return false;
}

static bool read_role(const char *name, rnnd_role *role)
{
    static const struct { const char *name; rnnd_role role; } roles[] = {
        {"system", RNND_SYSTEM}, {"developer", RNND_SYSTEM},     {"user", RNND_USER},
        {"tool", RNND_USER},     {"assistant", RNND_ASSISTANT},
    };
    for (size_t i = 0; name && i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(name, roles[i].name)) {
            *role = roles[i].role;
            return true;
        }
    return false;
}

/* The text of one part, or NULL if it is none. */
static const char *part_text(const struct json *part, size_t *bytes)
{
    const char *type = json_string(json_get(part, "type"), NULL);
    return type && !strcmp(type, "text") ? json_string(json_get(part, "text"), bytes) : NULL;
}

/* A string, null, or a list of text parts, joined at *to in q->message_text. */
static bool read_content(struct text_request *q, size_t i, const struct json *content, char **to)
{
    rnnd_message *m = &q->messages[i];

    m->text = "";
    if (json_type(content) == JSON_NULL) return m->role == RNND_ASSISTANT || bad(q, i, "content is missing");
    if (json_type(content) == JSON_STRING) {
        m->text = json_string(content, &m->bytes);
        return true;
    }
    if (json_type(content) != JSON_ARRAY) return bad(q, i, "content must be a string or a list of text parts");
    m->text = *to;
    for (const struct json *v = json_first(content); v; v = json_next(v)) {
        size_t bytes = 0;
        const char *text = part_text(v, &bytes);
        if (!text) return bad(q, i, "every part of content must be {\"type\":\"text\",\"text\":\"...\"}");
        memcpy(*to, text, bytes);
        *to += bytes;
        m->bytes += bytes;
    }
    return true;
}

static bool read_messages(struct text_request *q)
{
    const struct json *list = json_get(q->body, "messages");
    size_t n = json_count(list), body_bytes, i = 0;
    char *to;

    if (json_type(list) != JSON_ARRAY || !n || n > MESSAGES_LIMIT) {
        http_error(q->http, 400, "invalid_value", "messages", "messages must be a list of 1 to %d messages",
                   MESSAGES_LIMIT);
        return false;
    }
    http_body(q->http, &body_bytes); /* all parts together are shorter than the body */
    q->messages = calloc(n, sizeof *q->messages);
    q->message_text = to = malloc(body_bytes + 1);
    q->prompts = calloc(1, sizeof *q->prompts);
    if (!q->messages || !q->message_text || !q->prompts) {
        http_error(q->http, 503, "no_memory", "messages", "no memory for %zu messages", n);
        return false;
    }
    q->prompt_count = 1;
    q->message_count = n;
    for (const struct json *v = json_first(list); v; v = json_next(v), i++) {
        if (!read_role(json_string(json_get(v, "role"), NULL), &q->messages[i].role))
            return bad(q, i, "role must be developer, system, user, assistant or tool");
        if (!read_content(q, i, json_get(v, "content"), &to)) return false;
    }
    return true;
}

void post_chat_completions(struct app *app, struct http_request *r)
{
    struct text_request *q = text_open(app, r, &shape, true);
    if (!q) return;
    if (read_messages(q)) text_start(q);
    else text_free(q);
}
