/* routes.c -- everything the server answers, in one table, and the search through it. */
#include "server/routes.h"

#include <stdio.h>
#include <string.h>

#include "server/api/handlers.h"

/* media types */
#define JSON   "application/json"
#define BYTES  "application/octet-stream"
#define LINES  "application/x-ndjson"
#define EVENTS "text/event-stream"
#define CSV    "text/csv"
#define NPY    "application/x-npy"
#define OR     " "

static void get_openapi(struct app *app, struct http_request *r)
{
    struct json_out o;
    (void)app;
    json_out_init(&o);
    openapi_write(&o);
    app_answer_json(r, 200, &o);
}

/* clang-format off */
static const struct route routes[] = {
    /* sessions: state that lives here, stepped one request after another */
    {"POST",   "/v1/sessions",               post_sessions,      "Create a session, fresh or from a state", JSON, JSON},
    {"GET",    "/v1/sessions",               get_sessions,       "List sessions", NULL, JSON},
    {"GET",    "/v1/sessions/{id}",          get_session,        "Show a session", NULL, JSON},
    {"DELETE", "/v1/sessions/{id}",          delete_session,     "End a session", NULL, JSON},
    {"POST",   "/v1/sessions/{id}/steps",    post_session_steps, "Advance a session", JSON OR BYTES,
     JSON OR BYTES OR EVENTS OR LINES},
    {"POST",   "/v1/sessions/{id}/reset",    post_session_reset, "Back to the initial state", JSON, JSON},
    {"POST",   "/v1/sessions/{id}/fork",     post_session_fork,  "Copy a session", JSON, JSON},
    {"POST",   "/v1/sessions/{id}/rewind",   post_session_rewind, "Back to a kept earlier step", JSON, JSON},
    {"GET",    "/v1/sessions/{id}/state",    get_session_state,  "Take the state out", NULL, BYTES},
    {"PUT",    "/v1/sessions/{id}/state",    put_session_state,  "Put a state in", BYTES, JSON},
    {"POST",   "/v1/steps",                  post_steps,         "Step many sessions", LINES OR BYTES, LINES OR BYTES},
    /* models, whole windows, forecasts */
    {"GET",    "/v1/models",                 get_models,         "List models", NULL, JSON},
    {"GET",    "/v1/models/{model}",         get_model,          "Show a model", NULL, JSON},
    {"POST",   "/v1/models/{model}:predict", post_predict,       "Run whole windows", JSON OR NPY OR CSV,
     JSON OR NPY OR CSV},
    {"POST",   "/v1/forecast",               post_forecast,      "Forecast series", JSON OR CSV, JSON OR CSV},
    /* text, as OpenAI's clients send it */
    {"POST",   "/v1/completions",            post_completions,   "Continue a text", JSON, JSON OR EVENTS},
    {"POST",   "/v1/chat/completions",       post_chat_completions, "Answer in a dialogue", JSON, JSON OR EVENTS},
    {"POST",   "/v1/score",                  post_score,         "How likely a text is", JSON, JSON},
    {"POST",   "/tokenize",                  post_tokenize,      "Text to token ids", JSON, JSON},
    {"POST",   "/detokenize",                post_detokenize,    "Token ids to text", JSON, JSON},
    /* operations */
    {"GET",    "/health",                    get_health,         "Does it take work?", NULL, JSON},
    {"GET",    "/livez",                     get_livez,          "Does it live?", NULL, JSON},
    {"GET",    "/readyz",                    get_readyz,         "Does it take work?", NULL, JSON},
    {"GET",    "/metrics",                   get_metrics,        "Metrics for Prometheus", NULL, "text/plain"},
    {"GET",    "/openapi.json",              get_openapi,        "This description", NULL, JSON},
    /* the page */
    {"GET",    "/",                          get_page,           "A page to look at", NULL, "text/html"},
    {"GET",    "/ui/{file}",                 get_page,           NULL, NULL, NULL},
    /* tests of the server itself, only with --test-hooks */
    {"POST",   "/test/hold",                 post_test_hold,     NULL, NULL, NULL},
};
/* clang-format on */

size_t routes_list(const struct route **table)
{
    *table = routes;
    return sizeof routes / sizeof *routes;
}

/* One segment against one pattern segment: literals around at most one {..}, which takes one character or more. */
static bool match_segment(const char *pattern, size_t pattern_bytes, const char *segment, size_t bytes,
                          const char **taken, size_t *taken_bytes)
{
    const char *open = memchr(pattern, '{', pattern_bytes);
    *taken = NULL;
    if (!open) return pattern_bytes == bytes && !memcmp(pattern, segment, bytes);
    const char *close = memchr(open, '}', pattern_bytes - (size_t)(open - pattern));
    size_t head = (size_t)(open - pattern), tail = (size_t)(pattern + pattern_bytes - (close + 1));
    if (bytes < head + tail + 1) return false;
    if (memcmp(segment, pattern, head) || memcmp(segment + bytes - tail, close + 1, tail)) return false;
    *taken = segment + head;
    *taken_bytes = bytes - head - tail;
    return true;
}

static size_t segment_bytes(const char *p)
{
    return (size_t)(strchrnul(p, '/') - p);
}

static unsigned count_slashes(const char *p)
{
    unsigned n = 0;
    for (; *p; p++) n += *p == '/';
    return n;
}

/* Most patterns differ from a path in the number of their slashes, before their first {..} or behind their last. */
static bool may_match(size_t i, const char *path, size_t bytes, unsigned slashes)
{
    static struct fact { /* of routes[i], made when it is first asked for */
        unsigned slashes;
        size_t head, tail; /* bytes there */
        const char *tail_text;
    } facts[sizeof routes / sizeof *routes];
    struct fact *f = &facts[i];
    if (!f->slashes) {
        const char *pattern = routes[i].pattern, *close = strrchr(pattern, '}');
        f->slashes = count_slashes(pattern);
        f->head = strcspn(pattern, "{");
        f->tail_text = close ? close + 1 : pattern;
        f->tail = strlen(f->tail_text);
    }
    return f->slashes == slashes && f->head <= bytes && f->tail <= bytes &&
           !memcmp(routes[i].pattern, path, f->head) && !memcmp(f->tail_text, path + bytes - f->tail, f->tail);
}

/* *literals counts the bytes matched by themselves: of two patterns that match, the more literal one is meant. */
static bool match_path(const char *pattern, const char *path, struct route_match *m, size_t *literals)
{
    size_t text_used = 0;
    m->count = 0;
    *literals = strlen(path);
    while (*pattern == '/' && *path == '/') {
        const char *taken;
        size_t pattern_bytes = segment_bytes(++pattern), bytes = segment_bytes(++path), taken_bytes = 0;
        if (!match_segment(pattern, pattern_bytes, path, bytes, &taken, &taken_bytes)) return false;
        if (taken) {
            if (m->count == ROUTE_PARAMS || taken_bytes >= sizeof m->text - text_used) return false;
            m->params[m->count++] = memcpy(m->text + text_used, taken, taken_bytes);
            m->text[text_used + taken_bytes] = '\0';
            text_used += taken_bytes + 1;
            *literals -= taken_bytes;
        }
        pattern += pattern_bytes;
        path += bytes;
    }
    return !*pattern && !*path;
}

enum route_result routes_match(const char *method, const char *path, struct route_match *out)
{
    const struct route *best = NULL, *filled = NULL; /* filled: whose parts are in out */
    size_t best_literals = 0, literals, bytes = strlen(path);
    unsigned slashes = count_slashes(path);

    out->route = NULL;
    out->count = 0;
    out->allow[0] = '\0';
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!may_match(i, path, bytes, slashes)) continue;
        filled = &routes[i];
        if (!match_path(routes[i].pattern, path, out, &literals)) continue;
        if (!strcmp(routes[i].method, method)) {
            if (best && literals <= best_literals) continue;
            best = &routes[i];
            best_literals = literals;
        } else if (!strstr(out->allow, routes[i].method)) {
            size_t used = strlen(out->allow);
            snprintf(out->allow + used, sizeof out->allow - used, "%s%s%s", used ? ", " : "", routes[i].method,
                     strcmp(routes[i].method, "GET") ? "" : ", HEAD");
        }
    }
    if (best) {
        if (filled != best) match_path(best->pattern, path, out, &literals);
        out->route = best;
        return ROUTE_FOUND;
    }
    return out->allow[0] ? ROUTE_METHOD : ROUTE_UNKNOWN;
}

void routes_handle(struct app *app, struct http_request *r)
{
    struct route_match match;
    const char *method = http_method(r), *path = http_path(r);
    enum route_result result = routes_match(method, path, &match);

    if (result != ROUTE_UNKNOWN && !strncmp(path, "/test/", 6) && !app->test_hooks) result = ROUTE_UNKNOWN;
    switch (result) {
    case ROUTE_FOUND:
        http_set_route(r, match.route->pattern, match.params, match.count);
        match.route->handler(app, r);
        return;
    case ROUTE_METHOD:
        http_add_header(r, "Allow", match.allow);
        http_error(r, 405, "method_not_allowed", "", "%s does not answer %.16s; it answers %s", path, method,
                   match.allow);
        return;
    case ROUTE_UNKNOWN:
        http_error(r, 404, "not_found", "", "there is nothing at %.200s; GET / shows what there is, GET /v1/models the "
                   "models, POST /v1/sessions begins a session", path);
        return;
    }
}
