/* session_use.h -- which session a text or forecast request means: named in the body or a header, made on first use. */
#ifndef SERVER_SESSION_USE_H
#define SERVER_SESSION_USE_H

#include "server/api/app.h"

#define SESSION_ID_BYTES 132

/* "session" of the body, else the query's, else X-Session-Id; "" = none. False after answering 400. */
bool session_use_id(struct http_request *r, const struct json *body, char id[SESSION_ID_BYTES]);
/* The model that the living session of that id runs, where it has this task: what a request means that names a session
 * and no model. NULL: there is none such. */
struct model *session_use_model(struct app *app, const char *id, int task);
/* The session of that id, which must run `model`. Where there is none and the request names its model (`named`), it is
 * created. NULL after answering 404, 410 or 422. */
struct session *session_use(struct app *app, struct http_request *r, const char *id, bool named, struct model *model);
/* "session":{"id","step","replayed"?} as a member of the answer. */
void session_use_put(struct json_out *o, const char *id, uint64_t step, bool replayed);

#endif
