/* forecast_read.c -- series and their times from JSON: lists, tables by step and channel, channels by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/forecast.h"

static bool refuse_series(struct forecast_request *q, const char *found)
{
    const rnnd_info *info = q->model->info;
    if (info->channel_count == 1)
        http_error(q->http, 422, "mismatch", "series",
                   "%s has one channel: wanted series as [..], many as [[..],..], found %s", q->model->name, found);
    else
        http_error(q->http, 422, "mismatch", "series",
                   "%s has %zu channels: wanted series as [[step][channel]], many of those, or {\"%s\":[..]}, found %s",
                   q->model->name, info->channel_count, info->channels[0], found);
    return false;
}

/* One series of one channel, many of one channel, one or many tables [step][channel]: told apart by rank. */
static bool read_numbers(struct forecast_request *q, const struct json_numbers *n)
{
    size_t width = q->model->info->channel_count, at = 0;
    char found[80];
    bool table = n->rank == 3 || (n->rank == 2 && width > 1);
    size_t inner = n->rank == 3 ? n->dim[2] : n->rank == 2 && !n->ragged ? n->dim[1] : 0;

    if (n->rank < 1 || n->rank > 3) return refuse_series(q, "an array of more than three levels");
    if ((!table && width > 1 && n->dim[0]) || (table && inner != width)) {
        if (n->rank > 1 && n->ragged && n->rank == 2) snprintf(found, sizeof found, "rows of different lengths");
        else if (n->rank > 1) snprintf(found, sizeof found, "an array with %zu values in a row", inner);
        else snprintf(found, sizeof found, "a flat array");
        return refuse_series(q, found);
    }
    q->many = n->rank == 3 || (n->rank == 2 && width == 1);
    if (!forecast_make_items(q, q->many ? n->dim[0] : 1)) return false;
    for (size_t i = 0; i < q->item_count; i++) {
        struct forecast_item *item = &q->items[i];
        item->steps = !q->many ? n->dim[0] : n->ragged ? n->lengths[i] : n->dim[1];
        item->rows = n->data + at * width;
        at += item->steps;
    }
    return true;
}

/* {"channel":[..],..}: every channel of the model, all of one length */
static bool read_named(struct forecast_request *q, const struct json *series)
{
    const rnnd_info *info = q->model->info;
    size_t width = info->channel_count, steps = 0;
    struct forecast_item *item;

    for (const struct json *v = json_first(series); v; v = json_next(v)) {
        size_t c = 0;
        while (c < width && strcmp(info->channels[c], json_key(v))) c++;
        if (c < width) continue;
        http_error(q->http, 422, "unknown_channel", "series", "%s has no channel '%.80s'; its first is '%s' of %zu",
                   q->model->name, json_key(v), info->channels[0], width);
        return false;
    }
    if (!forecast_make_items(q, 1)) return false;
    item = &q->items[0];
    for (size_t c = 0; c < width; c++) {
        const struct json *v = json_get(series, info->channels[c]);
        const struct json_numbers *n = json_numbers(v);
        bool empty = json_type(v) == JSON_ARRAY && !json_count(v);
        if ((!n || n->rank != 1) && !empty) {
            http_error(q->http, v ? 400 : 422, v ? "invalid_type" : "missing_channel", "series",
                       v ? "channel '%s' must be a list of numbers" : "channel '%s' is missing", info->channels[c]);
            return false;
        }
        if (c == 0) {
            steps = n ? n->count : 0;
            item->owned = malloc((steps * width + 1) * sizeof *item->owned);
            if (!item->owned) {
                http_error(q->http, 503, "no_memory", "series", "no memory for %zu steps", steps);
                return false;
            }
        }
        if ((n ? n->count : 0) != steps) {
            http_error(q->http, 422, "mismatch", "series", "channel '%s' has %zu steps, '%s' has %zu",
                       info->channels[c],
                       n ? n->count : 0, info->channels[0], steps);
            return false;
        }
        for (size_t t = 0; t < steps; t++) item->owned[t * width + c] = n->data[t];
    }
    item->rows = item->owned;
    item->steps = steps;
    return true;
}

static bool read_series(struct forecast_request *q, const struct json *series)
{
    const struct json_numbers *n = json_numbers(series);
    size_t total = 0;

    q->has_series = json_type(series) != JSON_NULL;
    if (!q->has_series) return true;
    if (n) {
        if (!read_numbers(q, n)) return false;
    } else if (json_type(series) == JSON_OBJECT) {
        if (!read_named(q, series)) return false;
    } else if (json_type(series) == JSON_ARRAY && !json_count(series)) {
        if (!forecast_make_items(q, 1)) return false;
    } else {
        http_error(q->http, 400, "invalid_type", "series",
                   "series must be an array of numbers (null or \"NaN\" = missing), of arrays, or channels by name");
        return false;
    }
    for (size_t i = 0; i < q->item_count; i++) total += q->items[i].steps;
    if (!q->item_count) {
        http_error(q->http, 400, "invalid_value", "series", "series is an empty list");
        return false;
    }
    if (total <= q->app->steps_limit) return true;
    http_error(q->http, 413, "too_large", "series", "series has %zu steps; a request may feed %zu", total,
               q->app->steps_limit);
    return false;
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

static bool read_time(const struct json *v, int64_t *ticks, struct time_format *f)
{
    size_t bytes = 0;
    int64_t number;
    const char *text = json_string(v, &bytes);
    if (text) return time_read(text, bytes, ticks, f);
    return json_integer(v, &number) && time_read_number(number, f->kind, ticks, f);
}

/* The times of one series, in the list v. */
static bool place_list(struct forecast_request *q, const struct json *body, struct forecast_item *item,
                       const struct json *v, const char *where)
{
    size_t n = json_count(v), i = 0;
    struct time_format format = {0};
    struct frequency f;
    int64_t *ticks;
    bool ok = true;

    if (n != item->steps) {
        http_error(q->http, 422, "mismatch", "timestamps", "%s has %zu entries, series %zu has %zu steps", where, n,
                   item->index, item->steps);
        return false;
    }
    ticks = malloc((n + 1) * sizeof *ticks);
    if (!ticks) {
        http_error(q->http, 503, "no_memory", "timestamps", "no memory for %zu timestamps", n);
        return false;
    }
    for (const struct json *e = json_first(v); e && ok; e = json_next(e), i++) {
        ok = read_time(e, &ticks[i], &format);
        if (!ok) http_error(q->http, 400, "invalid_value", "timestamps",
                            "%s[%zu] is no timestamp%s: wanted ISO 8601 or a whole number", where, i,
                            i ? " of the first one's kind" : "");
    }
    ok = ok && forecast_read_frequency(q, body, &format, &f) && forecast_place(q, item, ticks, n, &format, &f, NULL);
    free(ticks);
    return ok;
}

static bool read_start(struct forecast_request *q, const struct json *body, const struct json *start)
{
    struct time_format format = {0};
    struct frequency f;
    int64_t first;

    if (!read_time(start, &first, &format)) {
        http_error(q->http, 400, "invalid_value", "start", "start is no timestamp: wanted ISO 8601 or a whole number");
        return false;
    }
    if (!forecast_read_frequency(q, body, &format, &f)) return false;
    if (!f.step && format.kind == TIME_INDEX) f.step = 1;
    if (!f.step && !frequency_read(q->model->info->frequency, &f)) {
        http_error(q->http, 400, "invalid_request", "frequency", "start needs a frequency, like \"30min\"");
        return false;
    }
    for (size_t i = 0; i < q->item_count; i++) {
        struct forecast_item *item = &q->items[i];
        item->has_time = time_add(first, &f, &format, (int64_t)item->steps, &item->next_time);
        item->format = format;
        item->frequency = f;
        if (item->has_time) continue;
        http_error(q->http, 400, "invalid_value", "start", "series %zu of %zu steps leaves the calendar", i,
                   item->steps);
        return false;
    }
    return true;
}

bool forecast_read_json(struct forecast_request *q, const struct json *body)
{
    const struct json *times = json_get(body, "timestamps"), *start = json_get(body, "start"), *first;
    char where[48];

    if (!read_series(q, json_get(body, "series"))) return false;
    if (!q->item_count && *q->session_id && !forecast_make_items(q, 1)) return false;
    if (json_type(start) != JSON_NULL && json_type(times) == JSON_NULL) return read_start(q, body, start);
    if (json_type(times) == JSON_NULL) return true;
    if (json_type(times) != JSON_ARRAY) {
        http_error(q->http, 400, "invalid_type", "timestamps", "timestamps must be a list, one for each step");
        return false;
    }
    first = json_first(times);
    if (json_type(first) != JSON_ARRAY) {
        for (size_t i = 0; i < q->item_count; i++)
            if (!place_list(q, body, &q->items[i], times, "timestamps")) return false;
        return true;
    }
    if (json_count(times) != q->item_count) {
        http_error(q->http, 422, "mismatch", "timestamps", "timestamps has %zu lists for %zu series", json_count(times),
                   q->item_count);
        return false;
    }
    for (size_t i = 0; i < q->item_count; i++, first = json_next(first)) {
        snprintf(where, sizeof where, "timestamps[%zu]", i);
        if (!place_list(q, body, &q->items[i], first, where)) return false;
    }
    return true;
}
