/* handlers.h -- every handler there is, one per line of server/routes.c; each resource's file defines its own. */
#ifndef SERVER_HANDLERS_H
#define SERVER_HANDLERS_H

#include "server/api/app.h"

/* sessions.c */
void post_sessions(struct app *app, struct http_request *r);
void get_sessions(struct app *app, struct http_request *r);
void get_session(struct app *app, struct http_request *r);
void delete_session(struct app *app, struct http_request *r);
void post_session_reset(struct app *app, struct http_request *r);
void post_session_fork(struct app *app, struct http_request *r);
void post_session_rewind(struct app *app, struct http_request *r);
void get_session_state(struct app *app, struct http_request *r);
void put_session_state(struct app *app, struct http_request *r);
/* steps.c */
void post_session_steps(struct app *app, struct http_request *r);
void steps_free_spare(struct app *app); /* at the end */
void post_steps(struct app *app, struct http_request *r);
/* predict.c */
void post_predict(struct app *app, struct http_request *r);
/* models.c */
void get_models(struct app *app, struct http_request *r);
void get_model(struct app *app, struct http_request *r);
/* health.c, metrics.c */
void get_health(struct app *app, struct http_request *r);
void get_livez(struct app *app, struct http_request *r);
void get_readyz(struct app *app, struct http_request *r);
void get_metrics(struct app *app, struct http_request *r);
/* openai.c */
void post_completions(struct app *app, struct http_request *r);
void post_chat_completions(struct app *app, struct http_request *r);
void post_score(struct app *app, struct http_request *r);
void post_tokenize(struct app *app, struct http_request *r);
void post_detokenize(struct app *app, struct http_request *r);
/* forecast.c */
void post_forecast(struct app *app, struct http_request *r);
/* ui: the page and its files (http_param 0 is the file, absent for "/") */
void get_page(struct app *app, struct http_request *r);
/* testhooks.c: only with --test-hooks */
void post_test_hold(struct app *app, struct http_request *r);

#endif
