/* sessions.c -- /v1/sessions: create, list, show, delete, reset, fork, rewind, and states as bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/base64.h"
#include "server/api/confirm.h"
#include "server/api/handlers.h"
#include "server/engine/fail.h"

#define LIST_LIMIT 1000

static void answer_session(struct http_request *r, int status, const struct session *x)
{
    struct session_view view;
    struct json_out o;
    char etag[24];
    sessions_view(x, &view);
    snprintf(etag, sizeof etag, "\"%016llx\"", (unsigned long long)view.state_digest);
    http_add_header(r, "ETag", etag);
    json_out_init(&o);
    app_put_session(&o, &view);
    app_answer_json(r, status, &o);
}

/* ---- doing something in a session's turn ------------------------------------------------------------------------- */

struct turn_call {
    struct session_turn turn;
    struct app *app;
    struct http_request *r;
    struct json_doc *doc;               /* the body, or NULL */
    void (*act)(struct turn_call *c, struct session *x); /* answers; the turn ends after it */
};

static void turn_free(struct turn_call *c)
{
    json_free(c->doc);
    free(c);
}

static void act_ready(struct session_turn *turn)
{
    struct turn_call *c = (struct turn_call *)turn;
    c->act(c, turn->session);
    session_leave(c->app->sessions, turn);
    turn_free(c);
}

static void act_refused(struct session_turn *turn, const char *reason, uint64_t last_step)
{
    struct turn_call *c = (struct turn_call *)turn;
    rnnd_error err;
    app_session_ended(&err, reason, last_step);
    app_answer_ended(c->r, err.message, reason, last_step);
    turn_free(c);
}

static void act_gone(struct http_request *r, enum http_gone why, void *context)
{
    struct turn_call *c = context;
    (void)r, (void)why;
    session_leave(c->app->sessions, &c->turn);
    turn_free(c);
}

/* Runs `act` when the turn on x has come; doc is owned from here on. */
static void in_turn(struct app *app, struct http_request *r, struct session *x, struct json_doc *doc,
                    void (*act)(struct turn_call *c, struct session *x))
{
    struct turn_call *c = calloc(1, sizeof *c);
    if (!c) {
        json_free(doc);
        http_error(r, 503, "no_memory", "", "the request found no memory");
        return;
    }
    c->turn.ready = act_ready;
    c->turn.refused = act_refused;
    c->turn.session = x;
    c->app = app;
    c->r = r;
    c->doc = doc;
    c->act = act;
    http_on_gone(r, act_gone, c);
    session_wait(app->sessions, x, &c->turn);
}

/* ---- create ------------------------------------------------------------------------------------------------------ */

/* The mode is the model's own; asking for the other is told why not. */
static bool check_mode(struct http_request *r, const struct json *body, const struct model *model)
{
    size_t bytes;
    const struct json *v = json_get(body, "mode");
    const char *mode = json_string(v, &bytes), *own = app_mode_name(model->info->mode);
    if (json_type(v) == JSON_NULL || (mode && strcmp(mode, own) == 0)) return true;
    if (!mode || (strcmp(mode, "carry") && strcmp(mode, "sliding")))
        http_error(r, 400, "invalid_request", "mode", "mode must be \"carry\" or \"sliding\"");
    else
        http_error(r, 422, "mode_mismatch", "mode",
                   "the model %s streams in %s mode, as its configuration says; a session "
                   "in %s mode is not possible",
                   model->name, own, mode);
    return false;
}

/* "id" and "ttl_s". */
static bool read_life(struct http_request *r, const struct json *body, const char **id, double *ttl_s)
{
    size_t bytes;
    const struct json *v = json_get(body, "id");
    *id = json_string(v, &bytes);
    *ttl_s = 0;
    if (json_type(v) != JSON_NULL && !*id) {
        http_error(r, 400, "invalid_request", "id", "id must be a string of 1 to 128 of [A-Za-z0-9._~:-]");
        return false;
    }
    if (!app_opt_number(r, body, "ttl_s", 0, 1e9, ttl_s)) return false;
    if (json_type(json_get(body, "ttl_s")) != JSON_NULL && *ttl_s == 0) {
        http_error(r, 400, "invalid_request", "ttl_s", "ttl_s must be more than 0 seconds");
        return false;
    }
    return true;
}

/* Creates and answers. state NULL: the model's initial one. */
static void create(struct app *app, struct http_request *r, const struct json *body, struct model *model,
                   const void *state)
{
    rnnd_error err = {0};
    struct session *x;
    const char *id;
    double ttl_s;
    if (!confirm_request(r, model) || !check_mode(r, body, model) || !read_life(r, body, &id, &ttl_s)) return;
    if (!model->info->streamable) {
        http_error(r, 422, "not_streamable", "model", "%s cannot be stepped: %s; POST /v1/models/%s:predict runs whole "
                   "windows", model->name, model->info->not_streamable, model->name);
        return;
    }
    rnnd_code code = sessions_create(app->sessions, id, model, ttl_s, state, &x, &err);
    if (code == RNND_OK) {
        char location[160];
        struct session_view view;
        sessions_view(x, &view);
        snprintf(location, sizeof location, "/v1/sessions/%s", view.id);
        http_add_header(r, "Location", location);
        answer_session(r, 201, x);
    } else {
        app_error(r, &err, code == RNND_CONFLICT ? "session_exists" : NULL);
    }
}

static void create_from_blob(struct app *app, struct http_request *r, const struct json *body, struct model *model,
                             const struct json *text)
{
    rnnd_error err = {0};
    size_t bytes, blob_bytes = 0;
    const char *base64 = json_string(text, &bytes);
    if (!base64) {
        http_error(r, 400, "invalid_request", "from.state", "from.state must be a string of base64");
        return;
    }
    unsigned char *blob = malloc(bytes / 4 * 3 + 4);
    void *state = malloc(rnnd_state_bytes(model->handle));
    if (!blob || !state) {
        http_error(r, 503, "no_memory", "", "the state found no memory");
    } else if (!base64_read(base64, bytes, blob, &blob_bytes)) {
        http_error(r, 400, "invalid_request", "from.state", "from.state is no base64");
    } else if (rnnd_state_load(model->handle, blob, blob_bytes, state, &err) != RNND_OK) {
        snprintf(err.param, sizeof err.param, "from.state");
        app_error(r, &err, err.code == RNND_CONFLICT ? "model_mismatch" : NULL);
    } else {
        create(app, r, body, model, state);
    }
    free(blob);
    free(state);
}

/* In the turn of the session that is copied from. */
static void act_create_from(struct turn_call *c, struct session *x)
{
    rnnd_error err = {0};
    struct session_view view;
    const void *state = session_state(x);
    int64_t at_step = -1;
    const struct json *body = json_root(c->doc), *from = json_get(body, "from");
    sessions_view(x, &view);
    if (!app_opt_int(c->r, from, "at_step", 0, INT64_MAX, &at_step)) return;
    if (at_step >= 0 && session_state_at(x, (uint64_t)at_step, &state, &err) != RNND_OK)
        app_error(c->r, &err, err.code == RNND_CONFLICT ? "state_not_kept" : NULL);
    else create(c->app, c->r, body, view.model, state);
}

static void create_from(struct app *app, struct http_request *r, struct json_doc *doc, const struct json *from)
{
    size_t bytes;
    const struct json *body = json_root(doc), *session = json_get(from, "session"), *blob = json_get(from, "state");
    const char *id = json_string(session, &bytes), *named = json_string(json_get(body, "model"), &bytes);
    if (json_type(from) != JSON_OBJECT || (json_type(session) == JSON_NULL) == (json_type(blob) == JSON_NULL) ||
        (json_type(session) != JSON_NULL && !id)) {
        http_error(r, 400, "invalid_request", "from",
                   "from must be {\"session\":id,\"at_step\"?:n} or {\"state\":base64}");
        json_free(doc);
        return;
    }
    if (id) {
        struct session_view view;
        struct session *x = app_session(app, r, id);
        if (x) sessions_view(x, &view);
        if (x && json_type(json_get(body, "model")) != JSON_NULL && (!named || strcmp(named, view.model->name))) {
            http_error(r, 409, "model_mismatch", "model", "the session %.128s is of model %s; its state fits no other",
                       id, view.model->name);
            x = NULL;
        }
        if (x) in_turn(app, r, x, doc, act_create_from);
        else json_free(doc);
        return;
    }
    struct model *model = app_model(app, r, body, -1);
    if (model && confirm_request(r, model)) create_from_blob(app, r, body, model, blob);
    json_free(doc);
}

void post_sessions(struct app *app, struct http_request *r)
{
    struct json_doc *doc = app_json_body(app, r);
    if (!doc) return;
    const struct json *body = json_root(doc), *from = json_get(body, "from");
    if (json_type(from) != JSON_NULL) {
        create_from(app, r, doc, from);
        return;
    }
    struct model *model = app_model(app, r, body, -1);
    if (model) create(app, r, body, model, NULL);
    json_free(doc);
}

/* ---- list, show, delete ------------------------------------------------------------------------------------------ */

void get_sessions(struct app *app, struct http_request *r)
{
    const char *limit_text = http_query(r, "limit");
    size_t limit = 100;
    if (limit_text) {
        char *end;
        limit = strspn(limit_text, "0123456789") && strlen(limit_text) < 9 ? strtoul(limit_text, &end, 10) : 0;
        if (limit < 1 || limit > LIST_LIMIT || *end) {
            http_error(r, 400, "invalid_request", "limit", "limit must be a whole number from 1 to %d", LIST_LIMIT);
            return;
        }
    }
    struct session_view *views = calloc(limit + 1, sizeof *views);
    if (!views) {
        http_error(r, 503, "no_memory", "", "the list found no memory");
        return;
    }
    size_t count = sessions_list(app->sessions, http_query(r, "model"), http_query(r, "after"), limit + 1, views);
    struct json_out o;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "object");
    json_put_text(&o, "list");
    json_put_key(&o, "data");
    json_open(&o, '[');
    for (size_t i = 0; i < count && i < limit; i++) app_put_session(&o, &views[i]);
    json_close(&o, ']');
    json_put_key(&o, "has_more");
    json_put_bool(&o, count > limit);
    json_close(&o, '}');
    app_answer_json(r, 200, &o);
    free(views);
}

void get_session(struct app *app, struct http_request *r)
{
    struct session *x = app_session(app, r, http_param(r, 0));
    if (x) answer_session(r, 200, x);
}

void delete_session(struct app *app, struct http_request *r)
{
    const char *id = http_param(r, 0);
    struct session *x = app_session(app, r, id);
    struct json_out o;
    if (!x) return;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "id");
    json_put_text(&o, id);
    json_put_key(&o, "deleted");
    json_put_bool(&o, true);
    json_close(&o, '}');
    sessions_delete(app->sessions, x, "deleted");
    app_answer_json(r, 200, &o);
}

/* ---- moving in time ---------------------------------------------------------------------------------------------- */

/* The state it starts from is the model's initial one, its count 0. */
static void act_reset(struct turn_call *c, struct session *x)
{
    struct session_view view;
    sessions_view(x, &view);
    void *state = malloc(rnnd_state_bytes(view.model->handle));
    if (!state) {
        http_error(c->r, 503, "no_memory", "", "the state found no memory");
        return;
    }
    rnnd_state_reset(view.model->handle, state);
    session_replace(c->app->sessions, x, state);
    free(state);
    answer_session(c->r, 200, x);
}

static void act_fork(struct turn_call *c, struct session *x)
{
    struct session_view view;
    sessions_view(x, &view);
    create(c->app, c->r, json_root(c->doc), view.model, session_state(x));
}

static void act_rewind(struct turn_call *c, struct session *x)
{
    rnnd_error err = {0};
    int64_t step = 0;
    const struct json *body = json_root(c->doc);
    if (json_type(json_get(body, "to_step")) == JSON_NULL) {
        http_error(c->r, 400, "invalid_request", "to_step", "the body needs \"to_step\", the step to go back to");
        return;
    }
    if (!app_opt_int(c->r, body, "to_step", 0, INT64_MAX, &step)) return;
    if (session_rewind(c->app->sessions, x, (uint64_t)step, &err) == RNND_OK) answer_session(c->r, 200, x);
    else app_error(c->r, &err, err.code == RNND_CONFLICT ? "state_not_kept" : NULL);
}

static void post_action(struct app *app, struct http_request *r, void (*act)(struct turn_call *c, struct session *x))
{
    struct json_doc *doc = app_json_body(app, r);
    struct session *x = doc ? app_session(app, r, http_param(r, 0)) : NULL;
    if (x) in_turn(app, r, x, doc, act);
    else json_free(doc);
}

void post_session_reset(struct app *app, struct http_request *r)
{
    post_action(app, r, act_reset);
}

void post_session_fork(struct app *app, struct http_request *r)
{
    post_action(app, r, act_fork);
}

void post_session_rewind(struct app *app, struct http_request *r)
{
    post_action(app, r, act_rewind);
}

/* ---- states as bytes --------------------------------------------------------------------------------------------- */

static void act_get_state(struct turn_call *c, struct session *x)
{
    struct session_view view;
    char text[24];
    sessions_view(x, &view);
    size_t bytes = rnnd_state_blob_bytes(view.model->handle);
    void *blob = malloc(bytes);
    if (!blob) {
        http_error(c->r, 503, "no_memory", "", "the state found no memory");
        return;
    }
    rnnd_state_save(view.model->handle, session_state(x), blob);
    snprintf(text, sizeof text, "\"%016llx\"", (unsigned long long)view.state_digest);
    http_add_header(c->r, "ETag", text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)view.step);
    http_add_header(c->r, "X-Step", text);
    http_add_header(c->r, "X-Model", view.model->name);
    http_answer(c->r, 200, "application/octet-stream", blob, bytes);
    free(blob);
}

/* If-Match: *, or a list of quoted digests one of which is the current state's. */
static bool matches(const char *if_match, uint64_t digest)
{
    char own[24];
    snprintf(own, sizeof own, "\"%016llx\"", (unsigned long long)digest);
    return !if_match || !strcmp(if_match, "*") || strstr(if_match, own);
}

static void act_put_state(struct turn_call *c, struct session *x)
{
    rnnd_error err = {0};
    struct session_view view;
    size_t bytes;
    const char *body = http_body(c->r, &bytes);
    sessions_view(x, &view);
    if (!matches(http_header(c->r, "If-Match"), view.state_digest)) {
        http_error(c->r, 412, "precondition_failed", "If-Match",
                   "the session's state is \"%016llx\" at step %llu, If-Match "
                   "names another",
                   (unsigned long long)view.state_digest, (unsigned long long)view.step);
        return;
    }
    void *state = malloc(rnnd_state_bytes(view.model->handle));
    void *blob = malloc(bytes ? bytes : 1); /* aligned, which the body need not be */
    if (!state || !blob) {
        http_error(c->r, 503, "no_memory", "", "the state found no memory");
    } else {
        if (bytes) memcpy(blob, body, bytes);
        if (rnnd_state_load(view.model->handle, blob, bytes, state, &err) != RNND_OK) {
            app_error(c->r, &err, err.code == RNND_CONFLICT ? "model_mismatch" : NULL);
        } else {
            session_replace(c->app->sessions, x, state);
            answer_session(c->r, 200, x);
        }
    }
    free(state);
    free(blob);
}

void get_session_state(struct app *app, struct http_request *r)
{
    static const char *const types[] = {"application/octet-stream"};
    if (app_accept(r, types, 1) < 0) return;
    struct session *x = app_session(app, r, http_param(r, 0));
    if (x) in_turn(app, r, x, NULL, act_get_state);
}

void put_session_state(struct app *app, struct http_request *r)
{
    const char *type = http_header(r, "Content-Type");
    if (type && *type && !app_body_is(r, "application/octet-stream")) {
        http_error(r, 415, "unsupported_media_type", "Content-Type",
                   "wanted a state as application/octet-stream, found "
                   "%.100s",
                   type);
        return;
    }
    struct session *x = app_session(app, r, http_param(r, 0));
    if (x) in_turn(app, r, x, NULL, act_put_state);
}
