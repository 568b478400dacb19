/* confirm.c -- models that rest on guesses: the refusal that carries the file to write, and the guesses in replies. */
#include "server/api/confirm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/engine/fail.h"

rnnd_code confirm_check(const struct model *m, rnnd_error *err)
{
    const rnnd_info *info = m->info;
    if (!info->unconfirmed) return RNND_OK;
    return engine_fail(err, RNND_CONFLICT, "model",
                       "%s is not computed with until its guesses are confirmed: %.240s; check \"side_file\" of this "
                       "error, put it beside the model file as NAME.rnnd.json and start the server again, or serve "
                       "with --accept-guesses",
                       m->name, info->assumption_count ? info->assumptions[0] : "the file does not say what it is");
}

static void put_list(struct json_out *o, const char *key, const rnnd_info *info)
{
    json_put_key(o, key);
    json_open(o, '[');
    for (size_t i = 0; i < info->assumption_count; i++) json_put_text(o, info->assumptions[i]);
    json_close(o, ']');
}

/* The library's text, on one line: a break can stand only between JSON's tokens, where a blank does as well. */
static void put_side_file(struct json_out *o, const char *text)
{
    size_t bytes = text ? strlen(text) : 0;
    char *line = bytes ? malloc(bytes) : NULL;
    json_put_key(o, "side_file");
    if (!bytes) {
        json_put_null(o);
        return;
    }
    if (!line) {
        o->failed = true;
        return;
    }
    for (size_t i = 0; i < bytes; i++) line[i] = text[i] == '\n' || text[i] == '\r' || text[i] == '\t' ? ' ' : text[i];
    while (bytes && line[bytes - 1] == ' ') bytes--;
    json_put_raw(o, line, bytes);
    free(line);
}

void confirm_put_facts(struct json_out *o, const struct model *m)
{
    put_list(o, "assumptions", m->info);
    put_side_file(o, m->info->assumption_count ? m->info->side_file : NULL);
}

void confirm_put_error(struct json_out *o, const struct model *m, const char *message)
{
    json_open(o, '{');
    http_put_error(o, 409, "model_unconfirmed", "model", message);
    confirm_put_facts(o, m);
    json_close(o, '}');
}

bool confirm_request(struct http_request *r, const struct model *m)
{
    rnnd_error err = {0};
    struct json_out o;
    if (confirm_check(m, &err) == RNND_OK) return true;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "error");
    confirm_put_error(&o, m, err.message);
    json_close(&o, '}');
    http_add_header(r, "x-should-retry", "false");
    app_answer_json(r, 409, &o);
    return false;
}

void confirm_put_assumed(struct json_out *o, const struct model *m)
{
    if (m->info->assumption_count) put_list(o, "assumed", m->info);
}

void confirm_add_header(struct http_request *r, const struct model *m)
{
    char text[24];
    if (!m->info->assumption_count) return;
    snprintf(text, sizeof text, "%zu", m->info->assumption_count);
    http_add_header(r, "X-Rnnd-Assumed", text);
}
