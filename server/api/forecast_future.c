/* forecast_future.c -- "future" of a forecast: what is known of the steps ahead, by channel or as a table. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/forecast.h"

static bool refuse(struct forecast_request *q, const char *found)
{
    const rnnd_info *info = q->model->info;
    http_error(q->http, 422, "mismatch", "future",
               "wanted future as {\"%s\":[..]}, or as a table [[step][channel]] of %zu channels, one for each of %zu "
               "series if those are many, found %s",
               info->channels[0], info->channel_count, q->item_count, found);
    return false;
}

static bool check_steps(struct forecast_request *q, size_t steps)
{
    if (steps <= q->app->steps_limit) return true;
    http_error(q->http, 413, "too_large", "future", "future has %zu steps; a request may feed %zu", steps,
               q->app->steps_limit);
    return false;
}

/* The model's channel of this name; channel_count, and 422, where there is none. */
static size_t find_channel(struct forecast_request *q, const char *name)
{
    const rnnd_info *info = q->model->info;
    size_t c = 0;
    while (c < info->channel_count && strcmp(info->channels[c], name) != 0)
        c++;
    if (c == info->channel_count)
        http_error(q->http, 422, "unknown_channel", "future", "%s has no channel '%.80s'; its first is '%s' of %zu",
                   q->model->name, name, info->channels[0], info->channel_count);
    return c;
}

/* {"channel":[..],..}: some of the channels, all of one length; what is known to every series. */
static bool read_named(struct forecast_request *q, const struct json *future)
{
    size_t width = q->model->info->channel_count, steps = 0, c;
    const char *first = NULL;
    for (const struct json *v = json_first(future); v; v = json_next(v)) {
        const struct json_numbers *n = json_numbers(v);
        if ((c = find_channel(q, json_key(v))) == width) return false;
        if (!n || n->rank != 1) {
            http_error(q->http, 400, "invalid_type", "future", "channel '%s' must be a list of numbers", json_key(v));
            return false;
        }
        if (!first) {
            if (!check_steps(q, n->count)) return false;
            first = json_key(v);
            steps = n->count;
            q->future = malloc((steps * width + 1) * sizeof *q->future);
            if (!q->future) {
                http_error(q->http, 503, "no_memory", "future", "no memory for %zu steps", steps);
                return false;
            }
            for (size_t i = 0; i < steps * width; i++)
                q->future[i] = NAN;
        }
        if (n->count != steps) {
            http_error(q->http, 422, "mismatch", "future", "channel '%s' has %zu steps, '%s' has %zu", json_key(v),
                       n->count, first, steps);
            return false;
        }
        for (size_t t = 0; t < steps; t++)
            q->future[t * width + c] = n->data[t];
    }
    for (size_t i = 0; i < q->item_count; i++) {
        q->items[i].future = q->future;
        q->items[i].future_steps = steps;
    }
    return true;
}

static bool read_tables(struct forecast_request *q, const struct json_numbers *n)
{
    size_t width = q->model->info->channel_count, at = 0;
    bool flat = n->rank == 1 && width == 1, table = n->rank == 2 && !n->ragged && n->dim[1] == width && !flat;
    bool tables = n->rank == 3 && n->dim[2] == width && n->dim[0] == q->item_count;
    if (!flat && !table && !tables) return refuse(q, "an array of another shape");
    for (size_t i = 0; i < q->item_count; i++) {
        q->items[i].future = n->data + at * width;
        q->items[i].future_steps = !tables ? n->dim[0] : n->ragged ? n->lengths[i] : n->dim[1];
        at += tables ? q->items[i].future_steps : 0;
    }
    return true;
}

bool forecast_read_future(struct forecast_request *q, const struct json *future)
{
    const struct json_numbers *n = json_numbers(future);
    if (json_type(future) == JSON_NULL) return true;
    if (!n && json_type(future) == JSON_OBJECT) {
        if (!read_named(q, future)) return false;
    } else if (!n || !read_tables(q, n)) {
        return n ? false : refuse(q, "something else");
    }
    for (size_t i = 0; i < q->item_count; i++)
        if (!check_steps(q, q->items[i].future_steps)) return false;
    return true;
}
