/* app.c -- what every handler needs: bodies, models, sessions, errors on the wire, what a client accepts. */
#include "server/api/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <xxhash.h>

#include "server/api/confirm.h"
#include "server/engine/fail.h"

const char *app_mode_name(rnnd_mode mode)
{
    return mode == RNND_SLIDING ? "sliding" : "carry";
}

rnnd_code app_take_outputs(struct app *app, size_t bytes, rnnd_error *err)
{
    if (bytes > APP_OUTPUTS_LIMIT - app->outputs_bytes)
        return engine_fail(err, RNND_BUSY, "outputs",
                           "the outputs of all requests under way are %zu bytes, %zu more would be over the %zu there "
                           "may be", app->outputs_bytes, bytes, APP_OUTPUTS_LIMIT);
    app->outputs_bytes += bytes;
    return RNND_OK;
}

uint64_t app_hash(const void *data, size_t bytes, uint64_t seed)
{
    return XXH64(data, bytes, seed);
}

/* ---- errors ---------------------------------------------------------------------------------------------------- */

void app_put_error(struct json_out *o, int status, const char *code, const char *param, const char *message,
                   const char *reason, uint64_t last_step)
{
    json_open(o, '{');
    http_put_error(o, status, code, param, message);
    if (reason) {
        json_put_key(o, "reason");
        json_put_text(o, reason);
        json_put_key(o, "last_step");
        json_put_int(o, (int64_t)last_step);
    }
    json_close(o, '}');
}

void app_error(struct http_request *r, const rnnd_error *err, const char *code_name)
{
    http_error(r, rnnd_code_http_status(err->code), code_name ? code_name : rnnd_code_name(err->code), err->param, "%s",
               err->message[0] ? err->message : rnnd_code_name(err->code));
}

const char *app_model_error_name(const rnnd_error *err)
{
    return err->code == RNND_NOT_FOUND ? "model_not_found" : err->code == RNND_BUSY ? "model_failed"
                                                                                     : rnnd_code_name(err->code);
}

const char *app_session_error_name(const rnnd_error *err)
{
    return err->code == RNND_CONFLICT ? "step_conflict" : err->code == RNND_MISMATCH ? "idempotency_mismatch"
                                                                                     : rnnd_code_name(err->code);
}

void app_answer_json(struct http_request *r, int status, struct json_out *o)
{
    json_append(o, "\n", 1); /* so that replies at a prompt stand on lines of their own */
    http_answer_with(r, status, "application/json", o);
    json_out_free(o);
}

/* ---- what is sent and what is wanted ---------------------------------------------------------------------------- */

/* Length of the media type at the beginning of a header value or list element. */
static size_t type_length(const char *s)
{
    return strcspn(s, "; \t,");
}

bool app_body_is(const struct http_request *r, const char *content_type)
{
    const char *given = http_header(r, "Content-Type");
    return given && type_length(given) == strlen(content_type) &&
           strncasecmp(given, content_type, strlen(content_type)) == 0;
}

/* curl -d sends a form's type and some clients send none at all: only what cannot be JSON is refused. */
static bool json_type_given(const struct http_request *r)
{
    static const char *const fine[] = {"application/json", "text/json", "text/plain", "application/x-ndjson",
                                       "application/x-www-form-urlencoded"};
    const char *given = http_header(r, "Content-Type");
    if (!given || !*given) return true;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        if (app_body_is(r, fine[i])) return true;
    size_t n = type_length(given);
    return n > 5 && strncasecmp(given + n - 5, "+json", 5) == 0;
}

/* Quality the Accept header gives to `type`; named: by its own name and not by a wildcard. -1: not at all. */
static double accept_quality(const char *accept, const char *type, bool *named)
{
    double best = -1;
    size_t major = strcspn(type, "/");
    *named = false;
    for (const char *p = accept; *p; p += *p == ',') {
        p += strspn(p, " \t");
        size_t n = type_length(p), end = strcspn(p, ",");
        double q = 1;
        for (const char *s = p + n; s + 2 < p + end; s++)
            if ((s[-1] == ';' || s[-1] == ' ') && (s[0] == 'q' || s[0] == 'Q') && s[1] == '=') q = strtod(s + 2, NULL);
        bool own = n == strlen(type) && strncasecmp(p, type, n) == 0;
        bool wild = (n == 3 && memcmp(p, "*/*", 3) == 0) ||
                    (n == major + 2 && strncasecmp(p, type, major + 1) == 0 && p[major + 1] == '*');
        if (own || (wild && !*named)) {
            best = q;
            *named = own || *named;
        }
        p += end;
    }
    return best;
}

bool app_wants(const struct http_request *r, const char *content_type)
{
    bool named;
    const char *accept = http_header(r, "Accept");
    return accept && accept_quality(accept, content_type, &named) > 0 && named;
}

int app_accept(struct http_request *r, const char *const *types, size_t count)
{
    const char *accept = http_header(r, "Accept");
    char known[256];
    size_t used = 0;
    double best = 0;
    int chosen = -1;
    if (!accept || !*accept) return 0;
    for (size_t i = 0; i < count; i++) {
        bool named;
        double q = accept_quality(accept, types[i], &named);
        if (q <= 0 || (i > 0 && !named)) continue;
        if (!named) q *= 0.5; /* what is named goes before what a wildcard lets through */
        if (q > best) {
            best = q;
            chosen = (int)i;
        }
    }
    if (chosen >= 0) return chosen;
    for (size_t i = 0; i < count && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", types[i]);
    http_error(r, 406, "not_acceptable", "Accept", "%s answers %s; Accept names none of them", http_path(r), known);
    return -1;
}

bool app_json_body_again(struct app *app, struct http_request *r, struct json_doc **doc)
{
    char message[256];
    size_t bytes;
    const char *body = http_body(r, &bytes);
    if (!json_type_given(r)) {
        http_error(r, 415, "unsupported_media_type", "Content-Type",
                   "wanted a JSON body (application/json), found %.100s", http_header(r, "Content-Type"));
        return false;
    }
    if (bytes == 0) {
        body = "{}";
        bytes = 2;
    }
    if (json_parse_again(body, bytes, app->json_depth, doc, message, sizeof message) != 0) {
        bool unnamed = app_body_is(r, "application/x-www-form-urlencoded") && *body != '{'; /* curl's, by itself */
        http_error(r, 400, "invalid_json", "", "the body does not parse as JSON: %s%s", message,
                   unnamed ? "; a body of another kind, such as text/csv, needs its Content-Type" : "");
        return false;
    }
    if (json_type(json_root(*doc)) == JSON_OBJECT) return true;
    http_error(r, 400, "invalid_request", "", "the body must be a JSON object {..}");
    return false;
}

struct json_doc *app_json_body(struct app *app, struct http_request *r)
{
    struct json_doc *doc = NULL;
    if (app_json_body_again(app, r, &doc)) return doc;
    json_free(doc);
    return NULL;
}

struct model *app_model(struct app *app, struct http_request *r, const struct json *object, int task)
{
    rnnd_error err = {0};
    struct model *model;
    const struct json *v = json_get(object, "model");
    size_t bytes = 0;
    const char *name = json_string(v, &bytes);
    if (json_type(v) != JSON_NULL && !name) {
        http_error(r, 400, "invalid_request", "model", "model must be the name of a model, a string");
        return NULL;
    }
    if (registry_choose(app->registry, name, task, &model, &err) == RNND_OK) return model;
    app_error(r, &err, app_model_error_name(&err));
    return NULL;
}

/* ---- sessions --------------------------------------------------------------------------------------------------- */

void app_session_ended(rnnd_error *err, const char *reason, uint64_t last_step)
{
    engine_fail(err, RNND_GONE, "session", "the session ended (%s) at step %llu while this request waited", reason,
                (unsigned long long)last_step);
}

void app_answer_ended(struct http_request *r, const char *message, const char *reason, uint64_t last_step)
{
    struct json_out o;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "error");
    app_put_error(&o, 410, "session_expired", "session", message, reason, last_step);
    json_close(&o, '}');
    http_add_header(r, "x-should-retry", "false");
    app_answer_json(r, 410, &o);
}

struct session *app_session(struct app *app, struct http_request *r, const char *id)
{
    rnnd_error err = {0};
    struct session *x = NULL;
    const char *reason = NULL;
    uint64_t last_step = 0;
    rnnd_code code = sessions_find(app->sessions, id, &x, &reason, &last_step, &err);
    if (code == RNND_OK) return x;
    if (code == RNND_GONE) {
        app_answer_ended(r, err.message, reason ? reason : "limit", last_step);
    } else if (code == RNND_NOT_FOUND) {
        http_error(r, 404, "session_not_found", "session", "there is no session \"%.128s\"; POST /v1/sessions "
                   "{\"model\":\"NAME\",\"id\":\"%.128s\"} creates it", id, id);
    } else {
        app_error(r, &err, NULL);
    }
    return NULL;
}

static bool read_step(struct http_request *r, const struct json *body, struct session_request *out)
{
    const struct json *v = json_get(body, "step");
    const char *header = http_header(r, "X-Step");
    int64_t step = -1;
    if (json_type(v) != JSON_NULL) {
        if (!json_integer(v, &step) || step < 0) {
            http_error(r, 400, "invalid_request", "step", "step must be a whole number, 0 or more");
            return false;
        }
    } else if (header) {
        char *end;
        step = strspn(header, "0123456789") ? strtoll(header, &end, 10) : -1;
        if (step < 0 || *end || strlen(header) > 18) {
            http_error(r, 400, "invalid_request", "X-Step", "X-Step must be a whole number, 0 or more; it is \"%.40s\"",
                       header);
            return false;
        }
    }
    out->has_step = step >= 0;
    out->step = step >= 0 ? (uint64_t)step : 0;
    return true;
}

bool app_session_request(struct http_request *r, const struct json *body, struct session_request *out)
{
    size_t bytes;
    const char *data = http_body(r, &bytes), *retries = http_header(r, "x-stainless-retry-count");
    const char *path = http_path(r);
    memset(out, 0, sizeof *out);
    if (!read_step(r, body, out)) return false;
    out->body_hash = app_hash(data, bytes, app_hash(path, strlen(path), 0));
    out->idempotency_key = http_header(r, "Idempotency-Key");
    out->is_retry = retries && strtol(retries, NULL, 10) > 0;
    if (out->idempotency_key && (!*out->idempotency_key || strlen(out->idempotency_key) > 255)) {
        http_error(r, 400, "invalid_request", "Idempotency-Key", "Idempotency-Key must have 1 to 255 characters");
        return false;
    }
    return true;
}

void app_put_session(struct json_out *o, const struct session_view *view)
{
    char digest[20];
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)view->state_digest);
    json_open(o, '{');
    json_put_key(o, "id");
    json_put_text(o, view->id);
    json_put_key(o, "model");
    json_put_text(o, view->model->name);
    json_put_key(o, "model_version");
    json_put_text(o, view->model->version);
    json_put_key(o, "mode");
    json_put_text(o, app_mode_name(view->mode));
    json_put_key(o, "step");
    json_put_int(o, (int64_t)view->step);
    json_put_key(o, "state_bytes");
    json_put_int(o, (int64_t)view->state_bytes);
    json_put_key(o, "state_digest");
    json_put_text(o, digest);
    json_put_key(o, "expires_at");
    json_put_int(o, view->expires_unix);
    confirm_put_assumed(o, view->model);
    json_close(o, '}');
}

/* ---- optional fields -------------------------------------------------------------------------------------------- */

bool app_opt_int(struct http_request *r, const struct json *o, const char *key, int64_t min, int64_t max, int64_t *out)
{
    const struct json *v = json_get(o, key);
    int64_t value;
    if (json_type(v) == JSON_NULL) return true;
    if (!json_integer(v, &value) || value < min || value > max) {
        http_error(r, 400, "invalid_request", key, "%s must be a whole number from %lld to %lld", key, (long long)min,
                   (long long)max);
        return false;
    }
    *out = value;
    return true;
}

bool app_opt_number(struct http_request *r, const struct json *o, const char *key, double min, double max, double *out)
{
    const struct json *v = json_get(o, key);
    double value;
    if (json_type(v) == JSON_NULL) return true;
    if (!json_number(v, &value) || !(value >= min && value <= max)) {
        http_error(r, 400, "invalid_request", key, "%s must be a number from %g to %g", key, min, max);
        return false;
    }
    *out = value;
    return true;
}

bool app_opt_bool(struct http_request *r, const struct json *o, const char *key, bool *out)
{
    const struct json *v = json_get(o, key);
    if (json_type(v) == JSON_NULL || json_bool(v, out)) return true;
    http_error(r, 400, "invalid_request", key, "%s must be true or false", key);
    return false;
}
