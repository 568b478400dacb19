/* openai_models.c -- GET /v1/models and /v1/models/{id}: OpenAI's model objects, with what rnnd knows below "rnnd". */
#include <stdio.h>
#include <string.h>

#include "server/api/confirm.h"
#include "server/api/handlers.h"

/* The network's ends, by the names and in the shapes that :predict takes and gives. */
static void put_ports(struct json_out *o, const char *key, const rnnd_port *ports, size_t count, bool whole)
{
    json_put_key(o, key);
    json_open(o, '[');
    for (size_t i = 0; i < count; i++) {
        json_open(o, '{');
        json_put_key(o, "name");
        json_put_text(o, ports[i].name);
        json_put_key(o, "shape");
        if (whole && ports[i].rank < 0) {
            json_put_null(o);
        } else {
            json_open(o, '[');
            for (int k = 0; k < ports[i].rank; k++) json_put_int(o, ports[i].dim[k] ? (int64_t)ports[i].dim[k] : -1);
            if (ports[i].rank <= 0 && !whole) json_put_int(o, (int64_t)ports[i].width);
            json_close(o, ']');
        }
        if (ports[i].is_ids) {
            json_put_key(o, "ids");
            json_put_int(o, (int64_t)ports[i].limit);
        }
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void put_names(struct json_out *o, const char *key, const char *const *names, size_t count)
{
    json_put_key(o, key);
    json_open(o, '[');
    for (size_t i = 0; i < count; i++) json_put_text(o, names[i]);
    json_close(o, ']');
}

static void put_series(struct json_out *o, const rnnd_info *info)
{
    put_names(o, "channels", info->channels, info->channel_count);
    put_names(o, "targets", info->targets, info->target_count);
    json_put_key(o, "horizon");
    json_put_int(o, (int64_t)info->horizon);
    json_put_key(o, "warmup");
    json_put_int(o, (int64_t)info->warmup);
    json_put_key(o, "frequency");
    json_put_text(o, info->frequency);
    json_put_key(o, "quantiles");
    json_put_floats(o, info->quantiles, 1, &info->quantile_count);
}

static void put_facts(struct json_out *o, const struct model *m)
{
    static const char *const tasks[] = {"raw", "text", "series"};
    const rnnd_info *info = m->info;

    json_put_key(o, "rnnd");
    json_open(o, '{');
    json_put_key(o, "task");
    json_put_text(o, tasks[info->task]);
    json_put_key(o, "description");
    json_put_text(o, info->description);
    json_put_key(o, "license");
    json_put_text(o, info->license);
    json_put_key(o, "version");
    json_put_text(o, m->version);
    json_put_key(o, "framework");
    json_put_text(o, info->framework && *info->framework ? info->framework : NULL);
    json_put_key(o, "unconfirmed");
    json_put_bool(o, info->unconfirmed);
    if (info->assumption_count) confirm_put_facts(o, m);
    json_put_key(o, "mode");
    json_put_text(o, app_mode_name(info->mode));
    json_put_key(o, "streamable");
    json_put_bool(o, info->streamable);
    json_put_key(o, "parameters");
    json_put_int(o, (int64_t)info->parameters);
    json_put_key(o, "state_bytes");
    json_put_int(o, (int64_t)info->state_bytes);
    json_put_key(o, "inputs");
    json_put_int(o, (int64_t)info->input_width);
    json_put_key(o, "outputs");
    json_put_int(o, (int64_t)info->output_width);
    if (info->task == RNND_RAW) {
        put_ports(o, "input_ports", info->inputs, info->input_count, info->no_rows[0]);
        put_ports(o, "output_ports", info->outputs, info->output_count, info->no_rows[0]);
        json_put_key(o, "window");
        json_put_int(o, (int64_t)info->window);
        json_put_key(o, "pad");
        json_put_text(o, info->pad_zeros ? "zeros" : "none");
        json_put_key(o, "output_last");
        json_put_bool(o, info->output_last);
    }
    if (info->task == RNND_TEXT) {
        json_put_key(o, "vocabulary");
        json_put_int(o, (int64_t)info->vocabulary);
        json_put_key(o, "tokenizer");
        json_put_text(o, info->tokenizer);
        json_put_key(o, "chat");
        json_put_bool(o, info->chat);
    }
    if (info->task == RNND_SERIES) put_series(o, info);
    json_close(o, '}');
}

static void put_model(struct json_out *o, const struct model *m)
{
    json_open(o, '{');
    json_put_key(o, "id");
    json_put_text(o, m->name);
    json_put_key(o, "object");
    json_put_text(o, "model");
    json_put_key(o, "created");
    json_put_int(o, m->loaded_unix);
    json_put_key(o, "owned_by");
    json_put_text(o, "rnnd");
    put_facts(o, m);
    json_close(o, '}');
}

void get_models(struct app *app, struct http_request *r)
{
    struct model *const *models;
    size_t n = registry_list(app->registry, &models);
    struct json_out o;

    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "object");
    json_put_text(&o, "list");
    json_put_key(&o, "data");
    json_open(&o, '[');
    for (size_t i = 0; i < n; i++)
        if (models[i]->handle) put_model(&o, models[i]);
    json_close(&o, ']');
    json_close(&o, '}');
    app_answer_json(r, 200, &o);
}

void get_model(struct app *app, struct http_request *r)
{
    rnnd_error err = {0};
    struct model *m;
    struct json_out o;
    const char *name = http_param(r, 0), *verb = strchr(name, ':');

    if (verb && !strcmp(verb, ":predict")) {
        http_add_header(r, "Allow", "POST");
        http_error(r, 405, "method_not_allowed", "", "%.200s does not answer GET; it answers POST", http_path(r));
        return;
    }
    if (registry_choose(app->registry, name, -1, &m, &err) != RNND_OK) {
        app_error(r, &err, app_model_error_name(&err));
        return;
    }
    json_out_init(&o);
    put_model(&o, m);
    app_answer_json(r, 200, &o);
}
