/* app.h -- what the handlers share: the server's parts and its limits; small helpers of every resource. */
#ifndef SERVER_APP_H
#define SERVER_APP_H

#include "core/rnnd.h"
#include "server/engine/batch.h"
#include "server/engine/registry.h"
#include "server/engine/sessions.h"
#include "server/http/http.h"
#include "server/http/json.h"

struct text_request;
struct steps_call;

struct app {
    struct http_server *http;
    struct batch *batch;
    struct sessions *sessions;
    struct registry *registry;
    const char *kernel_row; /* that models compute with, borrowed */
    double started_unix;
    size_t prompts_fed;          /* as windows at the moment (text_prompt.c) */
    struct text_request *streams; /* open event streams, for their heart-beat (text.c) */
    struct steps_call *spare_calls; /* of requests that ended, to be used again (steps.c) */
    size_t spare_call_count;
    /* limits */
    size_t json_depth, steps_limit, samples_limit, horizon_factor, tokens_limit, many_limit;
    size_t memory_limit_bytes;   /* of all sessions, as sessions.c keeps it; for the metrics */
    size_t outputs_bytes;        /* of all requests under way, as app_take_outputs() counts them */
    bool test_hooks;             /* POST /test/... answers (tests of the server itself) */
};

/* Handlers: <method>_<resource>, one file per resource, listed in server/routes.c. Path parts: http_param(r, i). */
typedef void (*app_handler)(struct app *app, struct http_request *r);

/* Answers with the error's own status and sentence; code_name NULL = the rnnd_code's name ("step_conflict" etc. where
 * the contract has its own). */
void app_error(struct http_request *r, const rnnd_error *err, const char *code_name);
void app_answer_json(struct http_request *r, int status, struct json_out *o); /* answers and frees o */
/* An error object {"error":{"message","type","param","code"}} as part of a larger answer; param "" or NULL -> null.
 * reason, last_step: added for ids that ended, where reason is not NULL. */
void app_put_error(struct json_out *o, int status, const char *code, const char *param, const char *message,
                   const char *reason, uint64_t last_step);
/* The wire's name of an error that has its own in the contract, else the rnnd_code's. */
const char *app_model_error_name(const rnnd_error *err);   /* from registry_choose: "model_not_found", "model_failed" */
const char *app_session_error_name(const rnnd_error *err); /* from the step rule: "step_conflict", ... */
/* Body as a JSON object, an empty body as {}; answers the error itself (415 for a Content-Type that is not JSON's) and
 * returns NULL. */
struct json_doc *app_json_body(struct app *app, struct http_request *r);
/* The same into a document from before (or NULL), as json_parse_again(); false after answering. */
bool app_json_body_again(struct app *app, struct http_request *r, struct json_doc **doc);
/* The model named in `object`.model, or the only one of that task (-1 = any); answers the error itself, NULL then. */
struct model *app_model(struct app *app, struct http_request *r, const struct json *object, int task);
/* The session of a path part or body; answers 404 (printing the create line) or 410 itself, NULL then. */
struct session *app_session(struct app *app, struct http_request *r, const char *id);
/* The error of a request whose session ended while it waited for its turn. */
void app_session_ended(rnnd_error *err, const char *reason, uint64_t last_step);
/* 410 for a session that ended: {"error":{..,"reason","last_step"}}. */
void app_answer_ended(struct http_request *r, const char *message, const char *reason, uint64_t last_step);
/* step, Idempotency-Key, x-stainless-retry-count and the body's hash; answers 400 itself, false then. */
bool app_session_request(struct http_request *r, const struct json *body, struct session_request *out);
void app_put_session(struct json_out *o, const struct session_view *view); /* the session object, with {} */
bool app_wants(const struct http_request *r, const char *content_type);    /* Accept names it (not just by wildcard) */
/* Which of `types` the Accept header prefers: the first is the default (no Accept, wildcards); -1 after answering 406.
 */
int app_accept(struct http_request *r, const char *const *types, size_t count);
/* The Content-Type is this one (parameters aside). */
bool app_body_is(const struct http_request *r, const char *content_type);
uint64_t app_hash(const void *data, size_t bytes, uint64_t seed);
const char *app_mode_name(rnnd_mode mode);
/* Counts memory for outputs, of which all requests under way together have APP_OUTPUTS_LIMIT; RNND_BUSY beyond. What
 * was taken is given back with app->outputs_bytes -= bytes. */
#define APP_OUTPUTS_LIMIT ((size_t)1 << 30)
rnnd_code app_take_outputs(struct app *app, size_t bytes, rnnd_error *err);
/* Small scan of optional fields: true and *out unchanged when absent or null; false after answering 400 naming the
 * field. */
bool app_opt_int(struct http_request *r, const struct json *o, const char *key, int64_t min, int64_t max, int64_t *out);
bool app_opt_number(struct http_request *r, const struct json *o, const char *key, double min, double max, double *out);
bool app_opt_bool(struct http_request *r, const struct json *o, const char *key, bool *out);

#endif
