/* stats.c -- counters and histograms, and how they read in the Prometheus text format 0.0.4.
 *
 * Everything is an atomic that only grows, so observers on any thread never wait; a scrape may see a sum a moment ahead
 * of its buckets, which the format permits. HTTP families keep one cell per (route, method, code) in a table that only
 * gains entries, found by hash and claimed by compare-and-swap. */
#include "server/engine/stats.h"

#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Families with several counters stand together: the header is printed where the name changes. */
static const struct {
    const char *family, *label, *help;
} counters[STAT_COUNTERS] = {
    [STAT_STEPS] = {"rnnd_steps_total", "", "Time steps computed, one per sequence."},
    [STAT_STEP_BATCHES] = {"rnnd_step_batches_total", "", "Batches in which those steps were computed."},
    [STAT_REPLAYS] = {"rnnd_step_replays_total", "", "Requests answered again from a kept earlier state."},
    [STAT_TOKENS_PROMPT] = {"rnnd_tokens_total", "{kind=\"prompt\"}", "Tokens fed from prompts and tokens generated."},
    [STAT_TOKENS_GENERATED] = {"rnnd_tokens_total", "{kind=\"generated\"}", ""},
    [STAT_JOBS_CANCELLED] = {"rnnd_jobs_cancelled_total", "", "Jobs ended early because nobody waited for them."},
    [STAT_FORECASTS] = {"rnnd_forecasts_total", "", "Forecasts computed, one per series."},
    [STAT_WINDOWS] = {"rnnd_windows_total", "", "Whole windows computed, one per sequence."},
};

#define BUCKETS_MAX 20

struct buckets {
    size_t count;
    double bound[BUCKETS_MAX]; /* ascending; +Inf follows by itself */
};
static const struct buckets row_buckets = {10, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}};
static const struct buckets second_buckets = {
    17, {25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30}};

static const struct {
    const char *family, *help;
    const struct buckets *buckets;
} histograms[STAT_HISTOGRAMS] = {
    [STAT_BATCH_ROWS] = {"rnnd_step_batch_rows", "Sequences stepped together in one batch.", &row_buckets},
    [STAT_QUEUE_WAIT_S] = {"rnnd_queue_wait_seconds", "Time from a job's submission to its first step.",
                           &second_buckets},
};

struct histogram {
    atomic_uint_fast64_t bucket[BUCKETS_MAX + 1];
    atomic_uint_fast64_t nano_sum; /* sum in units of 1e-9: integers add without a lock */
};

/* Routes x methods x status codes seen; what finds no place is counted under route "other", code "other". */
#define HTTP_CELLS 512
enum cell_state { CELL_EMPTY, CELL_CLAIMED, CELL_READY };
struct http_cell {
    atomic_int state;
    char route[64], method[12];
    int code;
    atomic_uint_fast64_t requests;
    struct histogram duration, first_output; /* of the cell's route; summed over codes when written */
};

static atomic_uint_fast64_t counted[STAT_COUNTERS];
static struct histogram observed[STAT_HISTOGRAMS];
static struct http_cell cells[HTTP_CELLS];
static struct http_cell overflow_cell = {.state = CELL_READY, .route = "other", .method = "other", .code = 0};

void stats_add(enum stat_counter c, uint64_t n)
{
    atomic_fetch_add_explicit(&counted[c], n, memory_order_relaxed);
}

uint64_t stats_get(enum stat_counter c)
{
    return atomic_load_explicit(&counted[c], memory_order_relaxed);
}

static void observe(struct histogram *h, const struct buckets *buckets, double value)
{
    size_t i = 0;
    if (!(value >= 0)) value = 0;
    while (i < buckets->count && value > buckets->bound[i]) i++;
    atomic_fetch_add_explicit(&h->bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->nano_sum, (uint64_t)(fmin(value, 1e9) * 1e9), memory_order_relaxed);
}

void stats_observe(enum stat_histogram h, double value)
{
    observe(&observed[h], histograms[h].buckets, value);
}

static struct http_cell *find_cell(const char *route, const char *method, int code)
{
    uint32_t hash = 2166136261u ^ (uint32_t)code;
    for (const char *p = route; *p; p++) hash = (hash ^ (unsigned char)*p) * 16777619u;
    for (const char *p = method; *p; p++) hash = (hash ^ (unsigned char)*p) * 16777619u;
    for (size_t probe = 0; probe < HTTP_CELLS; probe++) {
        struct http_cell *cell = &cells[(hash + probe) % HTTP_CELLS];
        int empty = CELL_EMPTY;
        if (atomic_compare_exchange_strong(&cell->state, &empty, CELL_CLAIMED)) {
            snprintf(cell->route, sizeof cell->route, "%s", route);
            snprintf(cell->method, sizeof cell->method, "%s", method);
            cell->code = code;
            atomic_store(&cell->state, CELL_READY);
            return cell;
        }
        while (atomic_load(&cell->state) == CELL_CLAIMED) { /* a few stores away on another thread */
        }
        if (cell->code == code && !strncmp(cell->route, route, sizeof cell->route - 1) &&
            !strncmp(cell->method, method, sizeof cell->method - 1))
            return cell;
    }
    return &overflow_cell;
}

/* A client may invent methods; a label value must not. */
static const char *known_method(const char *method)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    for (size_t i = 0; method && i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i], method)) return known[i];
    return "other";
}

void stats_http(const char *route, const char *method, int status, double seconds, double first_output_seconds)
{
    struct http_cell *cell = find_cell(route ? route : "other", known_method(method), status);
    atomic_fetch_add_explicit(&cell->requests, 1, memory_order_relaxed);
    observe(&cell->duration, &second_buckets, seconds);
    observe(&cell->first_output, &second_buckets, first_output_seconds);
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

struct writer {
    void (*write)(void *context, const char *text, size_t bytes);
    void *context;
};

static void __attribute__((format(printf, 2, 3))) put(const struct writer *w, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n > 0) w->write(w->context, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void put_header(const struct writer *w, const char *family, const char *type, const char *help)
{
    put(w, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

/* labels: "" or "route=\"/x\"" without braces; parts are summed */
static void put_histogram(const struct writer *w, const char *family, const char *labels,
                          const struct buckets *buckets, const struct histogram *const *parts, size_t count)
{
    uint64_t total = 0, nano = 0;
    const char *comma = *labels ? "," : "", *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    for (size_t i = 0; i <= buckets->count; i++) {
        for (size_t p = 0; p < count; p++) total += atomic_load_explicit(&parts[p]->bucket[i], memory_order_relaxed);
        if (i < buckets->count)
            put(w, "%s_bucket{%s%sle=\"%g\"} %llu\n", family, labels, comma, buckets->bound[i],
                (unsigned long long)total);
        else
            put(w, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", family, labels, comma, (unsigned long long)total);
    }
    for (size_t p = 0; p < count; p++) nano += atomic_load_explicit(&parts[p]->nano_sum, memory_order_relaxed);
    put(w, "%s_sum%s%s%s %.9g\n", family, open, labels, close, (double)nano * 1e-9);
    put(w, "%s_count%s%s%s %llu\n", family, open, labels, close, (unsigned long long)total);
}

static bool ready(const struct http_cell *cell)
{
    return atomic_load(&cell->state) == CELL_READY && atomic_load(&cell->requests) > 0;
}

static const struct http_cell *cell_at(size_t i)
{
    return i < HTTP_CELLS ? &cells[i] : &overflow_cell;
}

/* One histogram per route: the cells of its methods and codes added up. */
static void put_by_route(const struct writer *w, const char *family, const char *help, bool first_output)
{
    const struct histogram *parts[HTTP_CELLS + 1];
    put_header(w, family, "histogram", help);
    for (size_t i = 0; i <= HTTP_CELLS; i++) {
        char labels[128];
        size_t count = 0;
        bool earlier = false;
        if (!ready(cell_at(i))) continue;
        for (size_t k = 0; k <= HTTP_CELLS; k++) {
            if (!ready(cell_at(k)) || strcmp(cell_at(k)->route, cell_at(i)->route)) continue;
            if (k < i) earlier = true;
            parts[count++] = first_output ? &cell_at(k)->first_output : &cell_at(k)->duration;
        }
        if (earlier) continue;
        snprintf(labels, sizeof labels, "route=\"%s\"", cell_at(i)->route);
        put_histogram(w, family, labels, &second_buckets, parts, count);
    }
}

void stats_write(void (*write)(void *context, const char *text, size_t bytes), void *context)
{
    const struct writer w = {write, context};

    for (size_t i = 0; i < STAT_COUNTERS; i++) {
        if (i == 0 || strcmp(counters[i].family, counters[i - 1].family))
            put_header(&w, counters[i].family, "counter", counters[i].help);
        put(&w, "%s%s %llu\n", counters[i].family, counters[i].label,
            (unsigned long long)stats_get((enum stat_counter)i));
    }
    for (size_t i = 0; i < STAT_HISTOGRAMS; i++) {
        const struct histogram *part = &observed[i];
        put_header(&w, histograms[i].family, "histogram", histograms[i].help);
        put_histogram(&w, histograms[i].family, "", histograms[i].buckets, &part, 1);
    }
    put_header(&w, "rnnd_http_requests_total", "counter", "Requests answered, by route pattern, method and status.");
    for (size_t i = 0; i <= HTTP_CELLS; i++) {
        const struct http_cell *cell = cell_at(i);
        if (ready(cell))
            put(&w, "rnnd_http_requests_total{route=\"%s\",method=\"%s\",code=\"%d\"} %llu\n", cell->route,
                cell->method, cell->code, (unsigned long long)atomic_load(&cell->requests));
    }
    put_by_route(&w, "rnnd_http_request_duration_seconds", "Time from a request's head to its last byte.", false);
    put_by_route(&w, "rnnd_time_to_first_output_seconds", "Time from a request's head to the first byte answered.",
                 true);
}
