/* forecast.h -- POST /v1/forecast inside: what JSON and CSV are read into, and what is written from.
 *
 * One forecast_request holds a list of series. Each feeds its rows as a step job, then forecasts from the state it has
 * reached as a work job; all of them share batches. The answer of a series is written by whoever computes it. */
#ifndef SERVER_FORECAST_H
#define SERVER_FORECAST_H

#include "server/api/session_use.h"
#include "server/api/times.h"

#define QUANTILES_LIMIT 99

struct forecast_request;

struct forecast_item { /* one series */
    struct job job;
    struct forecast_request *request;
    size_t index;
    const float *rows;           /* [steps][channels], NaN = missing; in the document, or owned */
    float *owned;
    size_t steps, at;
    const float *future;         /* [future_steps][channels] known of the steps ahead, NaN = not; or NULL */
    size_t future_steps;
    bool has_time;
    int64_t next_time;           /* of the first step ahead */
    struct time_format format;
    struct frequency frequency;
    void *state;                 /* owned */
    rnnd_forecast *forecast;
    struct json_out out;         /* its piece of the answer */
    bool submitted, finished;
    rnnd_error error;            /* code OK: none */
};

struct forecast_request {
    struct app *app;
    struct http_request *http;   /* NULL: the client has left */
    struct json_doc *doc;
    struct model *model;
    char id[48];
    int64_t created;
    size_t horizon, samples;
    bool has_seed, csv_out, many; /* many: a list of series was sent, so each has its own error */
    uint64_t seed;
    float quantiles[QUANTILES_LIMIT]; /* ascending */
    size_t quantile_count;
    float *future;               /* owned, where it was given by name: of all series */
    struct forecast_item *items;
    size_t item_count, pending;
    size_t placed_steps;         /* of all series so far, with the gaps that their timestamps show */
    char session_id[SESSION_ID_BYTES];
    struct session *session;
    struct session_turn turn;
    struct session_request step_rule;
    bool in_line, replayed, has_series;
    uint64_t session_step;
    rnnd_error error;            /* of the whole request; code OK: none */
    const char *error_code;
    const char *ended;           /* why the session ended while this waited for it, or NULL */
    uint64_t ended_step;
};

/* forecast_read.c, forecast_csv.c: false after answering the error. */
bool forecast_read_json(struct forecast_request *q, const struct json *body);
bool forecast_read_csv(struct forecast_request *q);
/* forecast_options.c: horizon, quantiles, level, num_samples, seed from JSON or (body NULL) the query. */
bool forecast_read_options(struct forecast_request *q, const struct json *body);
/* 413 where series, horizon and paths together are too much. */
bool forecast_check_size(struct forecast_request *q);
/* forecast_future.c: "future", once the series are there. False after answering the error. */
bool forecast_read_future(struct forecast_request *q, const struct json *future);
/* forecast_items.c: what the readers share. */
/* Makes n empty series. */
bool forecast_make_items(struct forecast_request *q, size_t n);
/* "frequency" of the body or (body NULL) of the query; step 0 where it is not given. False after answering 400. */
bool forecast_read_frequency(struct forecast_request *q, const struct json *body, const struct time_format *format,
                             struct frequency *f);
/* Puts a series' rows on the grid of their times, gaps missing, and notes when the forecast begins. False after 422. */
bool forecast_place(struct forecast_request *q, struct forecast_item *item, const int64_t *ticks, size_t count,
                    const struct time_format *format, const struct frequency *given, const size_t *row_numbers);

/* forecast_write.c: a finished forecast into item->out; NO_MEMORY or NOT_FINITE */
rnnd_code forecast_write_item(struct forecast_item *item, rnnd_error *err);
void forecast_answer(struct forecast_request *q);

#endif
