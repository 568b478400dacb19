/* server_parts.c -- the cases on rnnd itself: single steps, mixtures, streams, windows, many rows, many sessions. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/server.h"

#define MOST_CLIENTS 256
#define WINDOW_STEPS 128
#define HISTORY_STEPS 672
#define STREAM_TOKENS 4000 /* of one stream; of several 64th parts, so that a round is not long */

/* ---- single steps: empty handlers, closed loop, open loop -------------------------------------------------------- */

static double bare_step(void *context)
{
    double start = now_us(), now = start;
    size_t steps = 0;
    while (now - start < CASE_ROUND_S * 1e6) {
        for (size_t i = 0; i < 100; i++)
            stepper_step(context);
        steps += 100;
        now = now_us();
    }
    return (double)steps / ((now - start) * 1e-6);
}

/* At shares of what the closed loop reached. */
static void open_loop(struct case_list *list, const struct process *rnnd, const struct load_request *json)
{
    static const char *const names[] = {"step_open_25", "step_open_50", "step_open_75"};
    double most = case_figure(case_find(list, "step_json", "rnnd", 64), REQUESTS_PER_S);
    size_t from = list->count;
    for (size_t i = 0; i < 3; i++)
        case_closed(list, names[i], "rnnd", rnnd, json, false, 64)->load.rate = 0.25 * (double)(i + 1) * most;
    case_measure(list, from);
    case_print(list, from);
}

void part_steps(const struct suite_files *f, struct case_list *list)
{
    static const size_t clients[] = {1, 8, 64, MOST_CLIENTS};
    struct process rnnd, control;
    struct stepper bare;
    struct load_request *json = requests_per_client(request_step, MOST_CLIENTS),
                        *bytes = requests_per_client(request_step_bytes, MOST_CLIENTS),
                        live = load_request("/livez", NULL, NULL, 0);
    start_rnnd(&rnnd, f, NULL);
    bool has_control = start_control(&control, f, "empty");
    stepper_open(&bare, open_path(f->lstm), 1);
    struct server_case *c = case_add(list, "bare_step", "in_process", NULL);
    c->call = bare_step;
    c->context = &bare;
    for (size_t i = 0; i < 4; i++) {
        case_closed(list, "livez", "rnnd", &rnnd, &live, true, clients[i]);
        if (has_control) case_closed(list, "empty", "control", &control, json, false, clients[i]);
        case_closed(list, "step_json", "rnnd", &rnnd, json, false, clients[i]);
        if (i != 1) case_closed(list, "step_bytes", "rnnd", &rnnd, bytes, false, clients[i]);
    }
    for (size_t i = 0; i < list->count; i++)
        list->cases[i].apart = list->cases[i].load.clients == 1;
    case_measure(list, 0);
    case_print(list, 0);
    open_loop(list, &rnnd, json);
    if (has_control) process_stop(&control);
    process_stop(&rnnd);
    stepper_close(&bare);
    free_requests(json, MOST_CLIENTS);
    free_requests(bytes, MOST_CLIENTS);
    free(live.bytes);
}

/* ---- windows, forecasts, and steps beside other work ------------------------------------------------------------- */

void part_mixed(const struct suite_files *f, struct case_list *list)
{
    static struct case_list others; /* what runs beside the steps; never measured by itself */
    struct process rnnd;
    struct load_request *json = requests_per_client(request_step, 8), window = request_window(WINDOW_STEPS),
                        forecast = request_forecast(HISTORY_STEPS), stream = request_stream(1000);
    start_rnnd(&rnnd, f, NULL);
    for (size_t clients = 1; clients <= 8; clients *= 8) {
        case_closed(list, "window", "rnnd", &rnnd, &window, true, clients)->steps = WINDOW_STEPS;
        if (f->series[0]) case_closed(list, "forecast", "rnnd", &rnnd, &forecast, true, clients)->steps = HISTORY_STEPS;
    }
    struct server_case *windows = case_closed(&others, "window", "rnnd", &rnnd, &window, true, 2), *streams = NULL;
    if (f->text[0]) {
        streams = case_add(&others, "stream", "rnnd", &rnnd);
        streams->load.requests = &stream;
        streams->streams = 8;
    }
    for (size_t clients = 1; clients <= 8; clients *= 8) {
        case_closed(list, "step_alone", "rnnd", &rnnd, json, false, clients);
        case_closed(list, "step_beside_windows", "rnnd", &rnnd, json, false, clients)->beside = windows;
        if (streams) case_closed(list, "step_beside_streams", "rnnd", &rnnd, json, false, clients)->beside = streams;
    }
    case_measure(list, 0);
    case_print(list, 0);
    process_stop(&rnnd);
    free_requests(json, 8);
    free(window.bytes);
    free(forecast.bytes);
    free(stream.bytes);
}

/* ---- event streams beside the same loop in process --------------------------------------------------------------- */

struct texts {
    rnnd_model *model;
    rnnd_workspace *ws;
    size_t count;
};

static int tokens_of(size_t streams)
{
    return streams == 1 ? STREAM_TOKENS : STREAM_TOKENS / 16;
}

static double generate(void *context)
{
    const struct texts *t = context;
    return generate_tokens_per_s(t->model, t->ws, t->count, tokens_of(t->count));
}

void part_streams(const struct suite_files *f, struct case_list *list)
{
    static const size_t counts[] = {1, 8, 64};
    static const char *const names[] = {"generate_1", "generate_8", "generate_64"};
    struct process rnnd;
    struct load_request requests[3];
    struct texts texts[3];
    rnnd_workspace *ws;
    rnnd_error err;
    if (!f->text[0]) return;
    rnnd_model *m = open_path(f->text);
    if (rnnd_workspace_open(m, MAX_TEXTS, &ws, &err)) die("%s", err.message);
    start_rnnd(&rnnd, f, NULL);
    for (size_t i = 0; i < 3; i++) {
        requests[i] = request_stream(tokens_of(counts[i]));
        texts[i] = (struct texts){m, ws, counts[i]};
        struct server_case *c = case_add(list, names[i], "in_process", NULL);
        c->call = generate;
        c->context = &texts[i];
        c = case_add(list, "stream", "rnnd", &rnnd);
        c->load.requests = &requests[i];
        c->streams = counts[i];
    }
    case_measure(list, 0);
    case_print(list, 0);
    process_stop(&rnnd);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    for (size_t i = 0; i < 3; i++)
        free(requests[i].bytes);
}

/* ---- many rows in one request ------------------------------------------------------------------------------------ */

void part_many(const struct suite_files *f, struct case_list *list)
{
    static const size_t rows[] = {1, 10, 100, 1000, 10000};
    struct process rnnd;
    struct load_ids ids;
    struct load_request requests[2][5];
    load_shuffle(&ids, 10000);
    start_rnnd(&rnnd, f, NULL);
    for (size_t kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < 5; i++) {
            requests[kind][i] = kind ? request_many_bytes(&ids, rows[i]) : request_many(&ids, rows[i]);
            case_closed(list, kind ? "many_bytes" : "many_lines", "rnnd", &rnnd, &requests[kind][i], true, 1)->steps =
                rows[i];
        }
    case_measure(list, 0);
    case_print(list, 0);
    process_stop(&rnnd);
    for (size_t i = 0; i < 10; i++)
        free(requests[i / 5][i % 5].bytes);
    free(ids.order);
}

/* ---- ten sessions, or a hundred thousand ------------------------------------------------------------------------- */

void create_sessions(const struct process *p, struct load_ids *ids)
{
    for (size_t made = 0; made < ids->count;) {
        size_t rows = ids->count < 10000 ? ids->count : 10000;
        struct load_request r = request_many_bytes(ids, rows);
        struct load load = {.port = p->port, .clients = 1, .requests = &r, .shared = true, .seconds = 0};
        struct load_result result;
        load_run(&load, NULL, NULL, &result); /* twice: to warm up, and once more */
        made += 2 * rows;
        free(r.bytes);
    }
    ids->next = 0;
}

void part_growth(const struct suite_files *f, struct case_list *list)
{
    static const size_t counts[] = {10, 1000, 100000};
    static const char *const names[] = {"rnnd_10", "rnnd_1k", "rnnd_100k"}, *const more[] = {"--session-memory", "8GiB",
                                                                                             NULL};
    struct process rnnd[3];
    struct load_ids ids[3];
    struct load_request single[3], rows[3];
    for (size_t i = 0; i < 3; i++) {
        start_rnnd(&rnnd[i], f, more);
        load_shuffle(&ids[i], counts[i]);
        create_sessions(&rnnd[i], &ids[i]);
        single[i] = request_any_step(&ids[i]);
        rows[i] = request_many(&ids[i], 10);
        case_closed(list, "any_step", names[i], &rnnd[i], &single[i], true, 8);
        case_closed(list, "many_lines", names[i], &rnnd[i], &rows[i], true, 1)->steps = 10;
    }
    case_measure(list, 0);
    case_print(list, 0);
    for (size_t i = 0; i < 3; i++) {
        process_stop(&rnnd[i]);
        free(single[i].bytes);
        free(rows[i].bytes);
        free(ids[i].order);
    }
}
