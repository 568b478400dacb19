/* forecast_options.c -- what a forecast request asks for: horizon, quantiles or levels, sample paths, seed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/forecast.h"

#define NUMBERS_LIMIT 4000000       /* of all answers together */
#define STATES_LIMIT (256u << 20)   /* bytes of all states of one request */

/* One option, wherever it stands: whole number of JSON or of the query. False after answering 400. */
static bool read_int(struct forecast_request *q, const struct json *body, const char *key, int64_t min, int64_t max,
                     bool *given, int64_t *out)
{
    const char *text = http_query(q->http, key);
    char *end;

    *given = json_type(json_get(body, key)) != JSON_NULL;
    if (*given || !text) return app_opt_int(q->http, body, key, min, max, out);
    *given = true;
    long long v = strtoll(text, &end, 10);
    if (end != text && !*end && v >= min && v <= max && strlen(text) <= 20) {
        *out = v;
        return true;
    }
    http_error(q->http, 400, "invalid_value", key, "%s must be a whole number from %lld to %lld", key, (long long)min,
               (long long)max);
    return false;
}

static bool add_quantile(struct forecast_request *q, const char *key, double v)
{
    float f = (float)v;
    size_t at = 0;

    if (!(v > 0 && v < 1) || !(f > 0 && f < 1)) {
        http_error(q->http, 400, "invalid_value", key, "%s", strcmp(key, "level") == 0
                   ? "a level is a percentage above 0 and below 100" : "a quantile is a number above 0 and below 1");
        return false;
    }
    while (at < q->quantile_count && q->quantiles[at] < f) at++;
    if (at < q->quantile_count && q->quantiles[at] <= f) return true; /* named twice */
    if (q->quantile_count == QUANTILES_LIMIT) {
        http_error(q->http, 400, "invalid_value", key, "a forecast has at most %d quantiles", QUANTILES_LIMIT);
        return false;
    }
    memmove(q->quantiles + at + 1, q->quantiles + at, (q->quantile_count - at) * sizeof f);
    q->quantiles[at] = f;
    q->quantile_count++;
    return true;
}

/* A level of 80 is the pair of bounds that holds 80 % between them: the quantiles 0.1 and 0.9. */
static bool add(struct forecast_request *q, const char *key, double v)
{
    if (strcmp(key, "level")) return add_quantile(q, key, v);
    return add_quantile(q, key, v > 0 && v < 100 ? (100 - v) / 200 : 0) && add_quantile(q, key, (100 + v) / 200);
}

static bool bad_list(struct forecast_request *q, const char *key)
{
    http_error(q->http, 400, "invalid_type", key, "%s must be a list of numbers", key);
    return false;
}

static bool read_list(struct forecast_request *q, const struct json *body, const char *key, bool *given)
{
    const struct json *list = json_get(body, key);
    const char *text = http_query(q->http, key);
    double v;

    if (json_type(list) == JSON_ARRAY) {
        *given = true;
        for (const struct json *e = json_first(list); e; e = json_next(e))
            if (!json_number(e, &v)) return bad_list(q, key);
            else if (!add(q, key, v)) return false;
        return true;
    }
    if (json_type(list) != JSON_NULL) return bad_list(q, key);
    if (!text) return true;
    *given = true;
    while (*text) {
        char *end;
        v = strtod(text, &end);
        if (end == text || (*end && *end != ',')) return bad_list(q, key);
        if (!add(q, key, v)) return false;
        text = end + (*end == ',');
    }
    return true;
}

bool forecast_read_options(struct forecast_request *q, const struct json *body)
{
    const rnnd_info *info = q->model->info;
    size_t trained = info->horizon ? info->horizon : 1;
    int64_t horizon = (int64_t)trained, samples = 0, seed = 0;
    bool given, quantiles = false;

    if (!read_int(q, body, "horizon", 1, (int64_t)(trained * q->app->horizon_factor), &given, &horizon)) return false;
    if (!read_int(q, body, "num_samples", 0, (int64_t)q->app->samples_limit, &given, &samples)) return false;
    if (!read_int(q, body, "seed", INT64_MIN, INT64_MAX, &q->has_seed, &seed)) return false;
    q->horizon = (size_t)horizon;
    q->samples = (size_t)samples;
    q->seed = (uint64_t)seed;
    if (!read_list(q, body, "quantiles", &quantiles) || !read_list(q, body, "level", &quantiles)) return false;
    for (size_t i = 0; !quantiles && i < info->quantile_count && i < QUANTILES_LIMIT; i++)
        q->quantiles[q->quantile_count++] = info->quantiles[i];
    return true;
}

bool forecast_check_size(struct forecast_request *q)
{
    double numbers = (double)q->item_count * (double)q->horizon * (double)q->model->info->channel_count *
                     (double)(1 + q->quantile_count + q->samples);
    double bytes = (double)q->item_count * (double)(q->samples + 2) * (double)rnnd_state_bytes(q->model->handle);

    if (numbers <= NUMBERS_LIMIT && bytes <= STATES_LIMIT) return true;
    http_error(q->http, 413, "too_large", "series",
               "%zu series, horizon %zu, %zu quantiles and %zu samples make %.0f numbers and %.0f bytes of states; "
               "a request may have %d and %u",
               q->item_count, q->horizon, q->quantile_count, q->samples, numbers, bytes, NUMBERS_LIMIT, STATES_LIMIT);
    return false;
}
