/* text_settings.c -- sampling parameters, stop strings and stream options from a request's JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/text.h"

#define STOPS_LIMIT 4
#define STOP_BYTES 256
#define BIASES_LIMIT 4096

static bool bad(struct text_request *q, const char *param, const char *code, const char *sentence)
{
    http_error(q->http, 400, code, param, "%s", sentence);
    return false;
}

static bool read_float(struct text_request *q, const char *key, double min, double max, float *out)
{
    double v = *out;
    if (!app_opt_number(q->http, q->body, key, min, max, &v)) return false;
    *out = (float)v;
    return true;
}

static bool read_sampling(struct text_request *q)
{
    rnnd_sampling *s = &q->settings.sampling;
    int64_t top_k = 0, seed = 0;

    if (!read_float(q, "temperature", 0, 2, &s->temperature)) return false;
    if (!read_float(q, "top_p", 0, 1, &s->top_p) || !read_float(q, "min_p", 0, 1, &s->min_p)) return false;
    if (!read_float(q, "frequency_penalty", -2, 2, &s->frequency_penalty)) return false;
    if (!read_float(q, "presence_penalty", -2, 2, &s->presence_penalty)) return false;
    if (!read_float(q, "repetition_penalty", 0.01, 100, &s->repetition_penalty)) return false;
    if (!app_opt_int(q->http, q->body, "top_k", -1, INT32_MAX, &top_k)) return false;
    s->top_k = top_k < 0 ? 0 : (int)top_k;
    if (s->top_p <= 0) { /* the smallest set there is: the most likely token */
        s->top_p = 1;
        s->top_k = 1;
    }
    if (json_type(json_get(q->body, "seed")) != JSON_NULL) {
        if (!app_opt_int(q->http, q->body, "seed", INT64_MIN, INT64_MAX, &seed)) return false;
        q->settings.has_seed = true;
        q->settings.seed = (uint64_t)seed;
    }
    return true;
}

static bool read_bias(struct text_request *q)
{
    const struct json *bias = json_get(q->body, "logit_bias");
    size_t n = json_count(bias), used = 0;
    rnnd_logit_bias *list;

    if (json_type(bias) == JSON_NULL) return true;
    if (json_type(bias) != JSON_OBJECT)
        return bad(q, "logit_bias", "invalid_type", "logit_bias must be an object of token id to bias");
    if (n > BIASES_LIMIT) return bad(q, "logit_bias", "invalid_value", "logit_bias has more than 4096 entries");
    if (!n) return true;
    list = calloc(n, sizeof *list);
    if (!list) {
        http_error(q->http, 503, "no_memory", "logit_bias", "no memory for logit_bias");
        return false;
    }
    q->settings.sampling.bias = list;
    for (const struct json *v = json_first(bias); v; v = json_next(v)) {
        char *end;
        double value;
        long id = strtol(json_key(v), &end, 10);
        if (*end || end == json_key(v) || id < 0 || (size_t)id >= q->model->info->vocabulary) {
            http_error(q->http, 400, "invalid_value", "logit_bias",
                       "logit_bias names token '%.40s'; %s has tokens 0 to %zu",
                       json_key(v), q->model->name, q->model->info->vocabulary - 1);
            return false;
        }
        if (!json_number(v, &value) || !(fabs(value) <= 100))
            return bad(q, "logit_bias", "invalid_value", "a bias in logit_bias must be a number from -100 to 100");
        list[used++] = (rnnd_logit_bias){(int32_t)id, (float)value};
    }
    q->settings.sampling.bias_count = used;
    return true;
}

static bool add_stop(struct text_request *q, const struct json *v)
{
    size_t bytes = 0;
    const char *text = json_string(v, &bytes);
    if (!text || !bytes || bytes > STOP_BYTES)
        return bad(q, "stop", "invalid_value", "stop must be a string, or up to 4, each of 1 to 256 bytes");
    q->settings.stop[q->settings.stop_count++] = text;
    return true;
}

/* The user's stop strings behind those of the chat template. */
static bool read_stops(struct text_request *q)
{
    const struct json *stop = json_get(q->body, "stop");
    size_t n = json_type(stop) == JSON_ARRAY ? json_count(stop) : json_type(stop) != JSON_NULL;

    if (n > STOPS_LIMIT) return bad(q, "stop", "invalid_value", "stop has more than 4 strings");
    q->settings.stop = calloc(n + q->template_stop_count + 1, sizeof *q->settings.stop);
    if (!q->settings.stop) {
        http_error(q->http, 503, "no_memory", "stop", "no memory for stop");
        return false;
    }
    for (size_t i = 0; i < q->template_stop_count; i++)
        q->settings.stop[q->settings.stop_count++] = q->template_stops[i];
    if (json_type(stop) == JSON_ARRAY) {
        for (const struct json *v = json_first(stop); v; v = json_next(v))
            if (!add_stop(q, v)) return false;
        return true;
    }
    return json_type(stop) == JSON_NULL || add_stop(q, stop);
}

static bool read_stream(struct text_request *q)
{
    const struct json *options = json_get(q->body, "stream_options");

    if (!app_opt_bool(q->http, q->body, "stream", &q->settings.stream)) return false;
    if (json_type(options) == JSON_NULL) return true;
    if (json_type(options) != JSON_OBJECT)
        return bad(q, "stream_options", "invalid_type", "stream_options must be an object");
    if (!q->settings.stream)
        return bad(q, "stream_options", "invalid_value", "stream_options is for requests with \"stream\":true");
    return app_opt_bool(q->http, options, "include_usage", &q->settings.include_usage);
}

static bool read_max_tokens(struct text_request *q, bool chat)
{
    int64_t limit = (int64_t)q->app->tokens_limit;
    const char *key = "max_tokens";

    q->settings.max_tokens = chat ? 240 : 16;
    if (q->settings.max_tokens > limit) q->settings.max_tokens = limit;
    if (chat && json_type(json_get(q->body, "max_completion_tokens")) != JSON_NULL) key = "max_completion_tokens";
    if (!app_opt_int(q->http, q->body, key, -1, limit, &q->settings.max_tokens)) return false;
    if (q->settings.max_tokens == -1 && !q->settings.stream)
        return bad(q, key, "invalid_value", "-1 (until the client leaves) is for requests with \"stream\":true");
    if (q->settings.max_tokens == 0 && chat) return bad(q, key, "invalid_value", "a chat answer has 1 token at least");
    return true;
}

/* tools and functions cannot be obeyed; empty lists ask for nothing. */
static bool refuse_unsupported(struct text_request *q, bool chat)
{
    static const char *const lists[] = {"tools", "functions"};
    const struct json *format = json_get(q->body, "response_format"), *suffix = json_get(q->body, "suffix");
    const char *type = json_string(json_get(format, "type"), NULL);

    for (size_t i = 0; chat && i < 2; i++) {
        const struct json *v = json_get(q->body, lists[i]);
        if (json_type(v) == JSON_NULL || (json_type(v) == JSON_ARRAY && !json_count(v))) continue;
        http_error(q->http, 400, "unsupported_parameter", lists[i],
                   "%s is not supported: these models answer with text only",
                   lists[i]);
        return false;
    }
    if (chat && json_type(format) != JSON_NULL && (!type || strcmp(type, "text")))
        return bad(q, "response_format", "unsupported_parameter", "response_format must be {\"type\":\"text\"}");
    if (!chat && json_type(suffix) != JSON_NULL && (!json_string(suffix, NULL) || *json_string(suffix, NULL)))
        return bad(q, "suffix", "unsupported_parameter",
                   "suffix is not supported: a recurrent network reads forward only");
    return true;
}

static bool read_logprobs(struct text_request *q, bool chat)
{
    struct text_settings *s = &q->settings;
    int64_t top = 0;

    if (chat) {
        if (!app_opt_bool(q->http, q->body, "logprobs", &s->logprobs)) return false;
        if (!app_opt_int(q->http, q->body, "top_logprobs", 0, 20, &top)) return false;
        if (top && !s->logprobs) return bad(q, "top_logprobs", "invalid_value", "top_logprobs needs \"logprobs\":true");
    } else {
        s->logprobs = json_type(json_get(q->body, "logprobs")) != JSON_NULL;
        if (!app_opt_int(q->http, q->body, "logprobs", 0, 5, &top)) return false;
    }
    s->top = (int)top;
    s->sampling.logprobs = s->logprobs ? s->top : s->best_of > s->n ? 0 : -1;
    return true;
}

bool text_settings_read(struct text_request *q, bool chat)
{
    struct text_settings *s = &q->settings;

    s->sampling = (rnnd_sampling)RNND_SAMPLING_DEFAULTS;
    s->n = 1;
    if (!refuse_unsupported(q, chat) || !read_sampling(q) || !read_bias(q)) return false;
    if (!read_stops(q) || !read_stream(q) || !read_max_tokens(q, chat)) return false;
    if (!app_opt_int(q->http, q->body, "n", 1, 128, &s->n)) return false;
    s->best_of = s->n;
    if (!chat && !app_opt_int(q->http, q->body, "best_of", 1, 128, &s->best_of)) return false;
    if (s->best_of < s->n) return bad(q, "best_of", "invalid_value", "best_of must not be less than n");
    if (s->best_of > s->n && s->stream)
        return bad(q, "best_of", "invalid_value", "best_of cannot be streamed: the best is known only at the end");
    if (!chat && !app_opt_bool(q->http, q->body, "echo", &s->echo)) return false;
    if (!app_opt_bool(q->http, q->body, "return_state", &s->return_state)) return false;
    return read_logprobs(q, chat);
}

void text_settings_free(struct text_settings *s)
{
    free((void *)(uintptr_t)s->sampling.bias);
    free(s->stop);
}
