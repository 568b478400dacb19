/* testhooks.c -- POST /test/hold: lets a test gather jobs, so that it can assert on batches and not on timing. */
#include "server/api/handlers.h"

/* {"jobs":n}: no tick runs until n jobs wait; 0 lets go. */
void post_test_hold(struct app *app, struct http_request *r)
{
    int64_t jobs = 0;
    struct json_doc *doc = app_json_body(app, r);
    if (!doc) return;
    if (app_opt_int(r, json_root(doc), "jobs", 0, 1 << 20, &jobs)) {
        batch_hold(app->batch, (size_t)jobs);
        http_answer(r, 200, "application/json", "{}", 2);
    }
    json_free(doc);
}
