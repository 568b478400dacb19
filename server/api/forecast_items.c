/* forecast_items.c -- the series of a request: made, and put on the grid of their times. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/forecast.h"

bool forecast_make_items(struct forecast_request *q, size_t n)
{
    if (n > q->app->many_limit) {
        http_error(q->http, 413, "too_large", "series", "%zu series; a request may have %zu", n, q->app->many_limit);
        return false;
    }
    q->items = calloc(n, sizeof *q->items);
    if (!q->items) {
        http_error(q->http, 503, "no_memory", "series", "no memory for %zu series", n);
        return false;
    }
    q->item_count = n;
    for (size_t i = 0; i < n; i++) {
        q->items[i].request = q;
        q->items[i].index = i;
        json_out_init(&q->items[i].out);
    }
    return true;
}

bool forecast_read_frequency(struct forecast_request *q, const struct json *body, const struct time_format *format,
                             struct frequency *f)
{
    const struct json *v = json_get(body, "frequency");
    const char *text = json_string(v, NULL);
    int64_t number;

    *f = (struct frequency){0, false};
    if (json_type(v) == JSON_NULL && body) return true;
    if (!body) text = http_query(q->http, "frequency");
    if (!body && !text) return true;
    if (format->kind == TIME_INDEX) {
        char *end;
        if (text) number = strtoll(text, &end, 10);
        if (text ? end != text && !*end : json_integer(v, &number)) f->step = number;
        if (f->step > 0 && f->step < INT64_C(1000000000000)) return true;
    } else if (text && frequency_read(text, f)) {
        return true;
    }
    http_error(q->http, 400, "invalid_value", "frequency", format->kind == TIME_INDEX
               ? "with plain numbers as timestamps the frequency is a whole number above 0"
               : "frequency must be like \"30min\", \"H\", \"1D\", \"W\", \"MS\", \"Q\" or \"Y\"");
    return false;
}

bool forecast_place(struct forecast_request *q, struct forecast_item *item, const int64_t *ticks, size_t count,
                    const struct time_format *format, const struct frequency *given, const size_t *row_numbers)
{
    size_t width = q->model->info->channel_count, total, *slots;
    rnnd_error err = {0};
    float *placed = NULL;
    bool ok = false;

    item->format = *format;
    item->frequency = *given;
    if (!count) return true;
    if (!item->frequency.step && count < 3) frequency_read(q->model->info->frequency, &item->frequency);
    slots = malloc(count * sizeof *slots);
    if (!slots) goto memory;
    if (times_grid(ticks, count, format, row_numbers, q->app->steps_limit, &item->frequency, slots, &err) != RNND_OK) {
        app_error(q->http, &err, NULL);
        goto out;
    }
    total = slots[count - 1] + 1;
    if (total > q->app->steps_limit - q->placed_steps) {
        http_error(q->http, 413, "too_large", "timestamps", "with the gaps between its timestamps series %zu has %zu "
                   "steps; a request may feed %zu in all", item->index, total, q->app->steps_limit);
        goto out;
    }
    q->placed_steps += total;
    if (total > count) {
        placed = malloc(total * width * sizeof *placed);
        if (!placed) goto memory;
        for (size_t i = 0; i < total * width; i++) placed[i] = NAN;
        for (size_t i = 0; i < count; i++)
            memcpy(placed + slots[i] * width, item->rows + i * width, width * sizeof *placed);
        free(item->owned);
        item->rows = item->owned = placed;
        item->steps = total;
    }
    item->has_time = time_add(ticks[count - 1], &item->frequency, format, 1, &item->next_time);
    ok = true;
    goto out;
memory:
    http_error(q->http, 503, "no_memory", "timestamps", "no memory for %zu timestamps", count);
out:
    free(slots);
    return ok;
}
