/* forecast_write.c -- a series' forecast as JSON or CSV lines, and the answer they make together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/confirm.h"
#include "server/api/forecast.h"

struct numbers { float *mean, *quantiles, *samples; size_t steps, channels; }; /* channels: those answered */

static void put_times(struct json_out *o, const struct forecast_item *item)
{
    if (!item->has_time) return;
    json_put_key(o, "timestamps");
    json_open(o, '[');
    for (size_t i = 0; i < item->request->horizon; i++) {
        int64_t t;
        char text[48];
        if (!time_add(item->next_time, &item->frequency, &item->format, (int64_t)i, &t)) {
            json_put_null(o);
            continue;
        }
        size_t n = time_write(text, t, &item->format);
        if (time_is_text(&item->format)) json_put_string(o, text, n);
        else json_put_raw(o, text, n);
    }
    json_close(o, ']');
}

static void put_channels(struct json_out *o, const rnnd_info *info)
{
    json_put_key(o, "channels");
    json_open(o, '[');
    for (size_t i = 0; i < info->target_count; i++) json_put_text(o, info->targets[i]);
    json_close(o, ']');
}

/* [paths][horizon][channels]; one channel leaves the innermost brackets out */
static void put_path(struct json_out *o, const struct numbers *n, const float *data, size_t paths, bool list)
{
    size_t dim[3] = {paths, n->steps, n->channels};
    json_put_floats(o, data, (n->channels > 1 ? 2 : 1) + list, list ? dim : dim + 1);
}

static void write_json(struct forecast_item *item, const struct numbers *n)
{
    const struct forecast_request *q = item->request;
    const rnnd_info *info = q->model->info;
    struct json_out *o = &item->out;
    char key[32];

    json_open(o, '{');
    put_channels(o, info);
    json_put_key(o, "mean");
    put_path(o, n, n->mean, 1, false);
    json_put_key(o, "quantiles");
    json_open(o, '{');
    for (size_t i = 0; i < q->quantile_count; i++) {
        json_format_float(key, q->quantiles[i]);
        json_put_key(o, key);
        put_path(o, n, n->quantiles + i * n->steps * n->channels, 1, false);
    }
    json_close(o, '}');
    if (q->samples) {
        json_put_key(o, "samples");
        put_path(o, n, n->samples, q->samples, true);
    }
    put_times(o, item);
    json_put_key(o, "steps_consumed");
    json_put_int(o, (int64_t)rnnd_state_step(q->model->handle, item->state));
    json_put_key(o, "imputed");
    json_put_int(o, (int64_t)rnnd_state_imputed(q->model->handle, item->state));
    json_put_key(o, "beyond_trained_horizon");
    json_put_bool(o, q->horizon > info->horizon);
    json_close(o, '}');
}

static void put_csv_text(struct json_out *o, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        json_append(o, text, strlen(text));
        return;
    }
    json_append(o, "\"", 1);
    for (; *text; text++) json_append(o, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
    json_append(o, "\"", 1);
}

static void put_csv_float(struct json_out *o, float v)
{
    char text[32];
    size_t n = json_format_float(text, v);
    json_append(o, ",", 1);
    json_append(o, text, n);
}

/* series, step (from 1) or timestamp, channel, mean, one column per quantile, one per sample path */
static void write_csv(struct forecast_item *item, const struct numbers *n)
{
    const struct forecast_request *q = item->request;
    const rnnd_info *info = q->model->info;
    struct json_out *o = &item->out;
    size_t path = n->steps * n->channels;
    char text[48];
    int bytes;

    for (size_t i = 0; i < path; i++) {
        size_t step = i / n->channels;
        int64_t t;
        bytes = snprintf(text, sizeof text, "%zu,", item->index);
        json_append(o, text, (size_t)bytes);
        if (!item->has_time) bytes = snprintf(text, sizeof text, "%zu", step + 1);
        else if (time_add(item->next_time, &item->frequency, &item->format, (int64_t)step, &t))
            bytes = (int)time_write(text, t, &item->format);
        else bytes = 0;
        json_append(o, text, (size_t)bytes);
        json_append(o, ",", 1);
        put_csv_text(o, info->targets[i % n->channels]);
        put_csv_float(o, n->mean[i]);
        for (size_t k = 0; k < q->quantile_count; k++) put_csv_float(o, n->quantiles[k * path + i]);
        for (size_t k = 0; k < q->samples; k++) put_csv_float(o, n->samples[k * path + i]);
        json_append(o, "\n", 1);
    }
}

rnnd_code forecast_write_item(struct forecast_item *item, rnnd_error *err)
{
    const struct forecast_request *q = item->request;
    size_t path = q->horizon * q->model->info->target_count;
    struct numbers n = {.steps = q->horizon, .channels = q->model->info->target_count};
    rnnd_code code = RNND_NO_MEMORY;

    n.mean = malloc(path * (1 + q->quantile_count + q->samples) * sizeof *n.mean);
    if (n.mean) {
        n.quantiles = n.mean + path;
        n.samples = n.quantiles + q->quantile_count * path;
        rnnd_forecast_out out = {n.mean, q->quantile_count ? n.quantiles : NULL, q->samples ? n.samples : NULL};
        code = rnnd_forecast_read(item->forecast, &out, err);
        if (code == RNND_OK) {
            if (q->csv_out) write_csv(item, &n);
            else write_json(item, &n);
            if (item->out.failed) code = RNND_NO_MEMORY;
        }
    }
    free(n.mean);
    if (code == RNND_NO_MEMORY) *err = (rnnd_error){.code = code, .message = "no memory for the forecast's numbers"};
    return code;
}

static void put_failed_item(struct json_out *o, const struct forecast_item *item)
{
    const struct forecast_request *q = item->request;
    const rnnd_error *err = &item->error;

    json_open(o, '{');
    put_channels(o, q->model->info);
    json_put_key(o, "steps_consumed");
    json_put_int(o, (int64_t)rnnd_state_step(q->model->handle, item->state));
    json_put_key(o, "imputed");
    json_put_int(o, (int64_t)rnnd_state_imputed(q->model->handle, item->state));
    json_put_key(o, "error");
    app_put_error(o, rnnd_code_http_status(err->code), rnnd_code_name(err->code), err->param, err->message, NULL, 0);
    json_close(o, '}');
}

static void answer_csv(struct forecast_request *q)
{
    struct json_out o;
    struct http_request *r = q->http;
    char text[48];

    json_out_init(&o);
    json_append(&o, "series,", 7);
    json_append(&o, q->items[0].has_time ? "timestamp" : "step", q->items[0].has_time ? 9 : 4);
    json_append(&o, ",channel,mean", 13);
    for (size_t i = 0; i < q->quantile_count; i++) {
        json_append(&o, ",q", 2);
        json_append(&o, text, json_format_float(text, q->quantiles[i]));
    }
    for (size_t i = 0; i < q->samples; i++) json_append(&o, text, (size_t)snprintf(text, sizeof text, ",sample%zu",
                                                                                   i + 1));
    json_append(&o, "\n", 1);
    for (size_t i = 0; i < q->item_count; i++) json_append(&o, q->items[i].out.data, q->items[i].out.bytes);
    q->http = NULL;
    if (*q->session_id) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)q->session_step);
        http_add_header(r, "X-Step", text);
    }
    confirm_add_header(r, q->model);
    if (o.failed) http_error(r, 503, "no_memory", "", "the answer found no memory");
    else http_answer(r, 200, "text/csv; charset=utf-8", o.data, o.bytes);
    json_out_free(&o);
}

void forecast_answer(struct forecast_request *q)
{
    struct json_out o;
    struct http_request *r = q->http;

    if (q->csv_out) {
        answer_csv(q);
        return;
    }
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "id");
    json_put_text(&o, q->id);
    json_put_key(&o, "model");
    json_put_text(&o, q->model->name);
    json_put_key(&o, "model_version");
    json_put_text(&o, q->model->version);
    json_put_key(&o, "created");
    json_put_int(&o, q->created);
    json_put_key(&o, "forecasts");
    json_open(&o, '[');
    for (size_t i = 0; i < q->item_count; i++) {
        const struct forecast_item *item = &q->items[i];
        if (item->error.code != RNND_OK) put_failed_item(&o, item);
        else json_put_raw(&o, item->out.data, item->out.bytes);
    }
    json_close(&o, ']');
    if (*q->session_id) session_use_put(&o, q->session_id, q->session_step, q->replayed);
    confirm_put_assumed(&o, q->model);
    json_close(&o, '}');
    q->http = NULL;
    app_answer_json(r, 200, &o);
}
