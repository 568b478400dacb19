/* session_use.c -- which session a text or forecast request means: named in the body or a header, made on first use. */
#include "server/api/session_use.h"

#include <string.h>

bool session_use_id(struct http_request *r, const struct json *body, char id[SESSION_ID_BYTES])
{
    const struct json *v = json_get(body, "session");
    const char *given = json_string(v, NULL);

    id[0] = '\0';
    if (json_type(v) != JSON_NULL && !given) {
        http_error(r, 400, "invalid_request", "session", "session must be a string: the session's id");
        return false;
    }
    if (!given) given = http_query(r, "session");
    if (!given) given = http_header(r, "X-Session-Id");
    if (!given) return true;
    if (!*given || strlen(given) >= SESSION_ID_BYTES) {
        http_error(r, 400, "invalid_request", "session", "a session id has 1 to 128 characters");
        return false;
    }
    memcpy(id, given, strlen(given) + 1);
    return true;
}

struct model *session_use_model(struct app *app, const char *id, int task)
{
    struct session *x = NULL;
    struct session_view view;
    rnnd_error err = {0};

    if (!*id || sessions_find(app->sessions, id, &x, NULL, NULL, &err) != RNND_OK) return NULL;
    sessions_view(x, &view);
    return (int)view.model->info->task == task ? view.model : NULL;
}

struct session *session_use(struct app *app, struct http_request *r, const char *id, bool named, struct model *model)
{
    struct session *x = NULL;
    struct session_view view;
    rnnd_error err = {0};
    rnnd_code code = sessions_find(app->sessions, id, &x, NULL, NULL, &err);

    if (code == RNND_NOT_FOUND && named) {
        code = sessions_create(app->sessions, id, model, 0, NULL, &x, &err);
        if (code != RNND_OK) {
            app_error(r, &err, NULL);
            return NULL;
        }
    } else if (code != RNND_OK) {
        return app_session(app, r, id);
    }
    sessions_view(x, &view);
    if (view.model == model) return x;
    http_error(r, 422, "model_mismatch", "model", "session %s runs %s, the request is for %s", id, view.model->name,
               model->name);
    return NULL;
}

void session_use_put(struct json_out *o, const char *id, uint64_t step, bool replayed)
{
    json_put_key(o, "session");
    json_open(o, '{');
    json_put_key(o, "id");
    json_put_text(o, id);
    json_put_key(o, "step");
    json_put_int(o, (int64_t)step);
    if (replayed) {
        json_put_key(o, "replayed");
        json_put_bool(o, true);
    }
    json_close(o, '}');
}
