/* completions.c -- POST /v1/completions: text that goes on from a prompt, in OpenAI's shape. */
#include <stdlib.h>

#include "server/api/handlers.h"
#include "server/api/text.h"

static void put_text(struct json_out *o, struct text_choice *c, const struct text_piece *piece, const char *finish)
{
    json_open(o, '{');
    json_put_name(o, "index");
    json_put_int(o, (int64_t)c->index);
    json_put_name(o, "text");
    json_put_string(o, piece && piece->text ? piece->text : "", piece ? piece->bytes : 0);
    text_put_completion_logprobs(o, c, piece);
    json_put_name(o, "finish_reason");
    json_put_text(o, finish);
    json_close(o, '}');
}

static const struct text_shape shape = {"cmpl-", "text_completion", "text_completion", false, NULL, put_text, put_text};

static bool add_text(struct text_request *q, const struct json *v, size_t *left)
{
    rnnd_error err = {0};
    size_t bytes = 0;
    const char *text = json_string(v, &bytes);
    struct text_prompt *p = &q->prompts[q->prompt_count];

    if (text_tokenize(q->model, text, bytes, *left, p, &err) != RNND_OK) {
        app_error(q->http, &err, NULL);
        return false;
    }
    q->prompt_count++;
    *left -= p->count;
    return true;
}

static bool add_ids(struct text_request *q, const struct json *list, size_t *left)
{
    size_t n = json_count(list), limit = q->model->info->vocabulary;
    struct text_prompt *p = &q->prompts[q->prompt_count];

    if (n > *left) {
        http_error(q->http, 413, "too_large", "prompt",
                   "the prompt has more tokens than the %zu steps a request may feed",
                   q->app->steps_limit);
        return false;
    }
    p->ids = malloc((n ? n : 1) * sizeof *p->ids);
    if (!p->ids) {
        http_error(q->http, 503, "no_memory", "prompt", "no memory for %zu tokens", n);
        return false;
    }
    q->prompt_count++;
    for (const struct json *v = json_first(list); v; v = json_next(v)) {
        int64_t id;
        if (!json_integer(v, &id) || id < 0 || (size_t)id >= limit) {
            http_error(q->http, 400, "invalid_value", "prompt",
                       "token %zu of the prompt is none of %s: wanted 0 to %zu",
                       p->count, q->model->name, limit - 1);
            return false;
        }
        p->ids[p->count++] = (int32_t)id;
    }
    *left -= n;
    return true;
}

/* string | [string] | [int] | [[int]]; null is an empty text */
static bool read_prompts(struct text_request *q)
{
    const struct json *prompt = json_get(q->body, "prompt"), *first = json_first(prompt);
    enum json_type type = json_type(prompt), inner = json_type(first);
    size_t left = q->app->steps_limit, n = json_count(prompt);
    bool many = type == JSON_ARRAY && (inner == JSON_STRING || inner == JSON_ARRAY);

    if (many && n > q->app->many_limit) {
        http_error(q->http, 413, "too_large", "prompt", "%zu prompts; a request may have %zu", n, q->app->many_limit);
        return false;
    }
    q->prompts = calloc(many ? n : 1, sizeof *q->prompts);
    if (!q->prompts) {
        http_error(q->http, 503, "no_memory", "prompt", "no memory for %zu prompts", n);
        return false;
    }
    if (type == JSON_NULL) {
        q->prompt_count = 1;
        return true;
    }
    if (type == JSON_STRING) return add_text(q, prompt, &left);
    if (type == JSON_ARRAY && first && inner == JSON_NUMBER) return add_ids(q, prompt, &left);
    for (const struct json *v = many ? first : NULL; v; v = json_next(v)) {
        if (json_type(v) != inner) break;
        if (inner == JSON_STRING ? !add_text(q, v, &left) : !add_ids(q, v, &left)) return false;
    }
    if (many && q->prompt_count == n) return true;
    http_error(q->http, 400, "invalid_type", "prompt",
               "prompt must be a string, a list of strings, a list of token ids or a list of such lists");
    return false;
}

void post_completions(struct app *app, struct http_request *r)
{
    struct text_request *q = text_open(app, r, &shape, false);
    if (!q) return;
    if (read_prompts(q)) text_start(q);
    else text_free(q);
}
