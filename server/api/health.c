/* health.c -- GET /livez (the process answers), /readyz and /health (it takes work). */
#include "server/api/handlers.h"

static void answer_status(struct http_request *r, int status, const char *word)
{
    struct json_out o;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "status");
    json_put_text(&o, word);
    json_close(&o, '}');
    http_add_header(r, "Cache-Control", "no-store");
    if (status == 503) http_add_header(r, "Retry-After", "1");
    app_answer_json(r, status, &o);
}

void get_livez(struct app *app, struct http_request *r)
{
    (void)app;
    answer_status(r, 200, "ok");
}

/* Models are loaded before the server listens, so what is left to say is whether it is going. */
void get_readyz(struct app *app, struct http_request *r)
{
    if (http_draining(app->http)) answer_status(r, 503, "draining");
    else answer_status(r, 200, "ok");
}

void get_health(struct app *app, struct http_request *r)
{
    get_readyz(app, r);
}
