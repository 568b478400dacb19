/* metrics.c -- GET /metrics: the counters of engine/stats, and what is true at this moment (gauges). */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "server/api/handlers.h"
#include "server/engine/stats.h"

static void append(void *context, const char *text, size_t bytes)
{
    json_append(context, text, bytes);
}

static void __attribute__((format(printf, 2, 3))) put(struct json_out *o, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n > 0) json_append(o, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void put_head(struct json_out *o, const char *name, const char *type, const char *help)
{
    put(o, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Pages of /proc/self/statm: total, resident, ... */
static double resident_bytes(void)
{
    long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld", &total, &resident) != 2) resident = 0;
    if (f) fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* Model names keep to [A-Za-z0-9._-] (registry.c), so that they need no escaping as label values. */
static void put_models(struct json_out *o, const struct app *app)
{
    struct model *const *models;
    size_t count = registry_list(app->registry, &models);
    put_head(o, "rnnd_sessions", "gauge", "Sessions that live, by model and where their state is.");
    for (size_t i = 0; i < count; i++)
        if (models[i]->handle)
            put(o, "rnnd_sessions{model=\"%s\",tier=\"memory\"} %zu\n", models[i]->name, models[i]->sessions);
    put_head(o, "rnnd_model_load_seconds", "gauge", "Time it took to read and prepare a model.");
    for (size_t i = 0; i < count; i++)
        if (models[i]->handle)
            put(o, "rnnd_model_load_seconds{model=\"%s\"} %.6g\n", models[i]->name, models[i]->load_seconds);
}

static void put_sessions(struct json_out *o, const struct app *app)
{
    struct sessions_totals t;
    sessions_totals(app->sessions, &t);
    put_head(o, "rnnd_session_state_bytes", "gauge", "Bytes of all sessions' states, kept earlier ones included.");
    put(o, "rnnd_session_state_bytes{tier=\"memory\"} %zu\n", t.bytes);
    put_head(o, "rnnd_session_state_limit_bytes", "gauge", "Bytes the states may have together.");
    put(o, "rnnd_session_state_limit_bytes %zu\n", app->memory_limit_bytes);
    put_head(o, "rnnd_sessions_ended_total", "counter", "Sessions that ended, by reason.");
    put(o, "rnnd_sessions_ended_total{reason=\"idle\"} %zu\n", t.ended_idle);
    put(o, "rnnd_sessions_ended_total{reason=\"lru\"} %zu\n", t.ended_lru);
    put(o, "rnnd_sessions_ended_total{reason=\"limit\"} %zu\n", t.ended_limit);
    put(o, "rnnd_sessions_ended_total{reason=\"deleted\"} %zu\n", t.ended_deleted);
}

void get_metrics(struct app *app, struct http_request *r)
{
    struct json_out o;
    json_out_init(&o);
    put_head(&o, "rnnd_build_info", "gauge", "Version and kernel row; always 1.");
    put(&o, "rnnd_build_info{version=\"%s\",kernels=\"%s\"} 1\n", rnnd_version(), app->kernel_row);
    put_models(&o, app);
    put_sessions(&o, app);
    put_head(&o, "process_resident_memory_bytes", "gauge", "Resident memory of this process.");
    put(&o, "process_resident_memory_bytes %.0f\n", resident_bytes());
    put_head(&o, "process_start_time_seconds", "gauge", "When this process started, seconds since 1970.");
    put(&o, "process_start_time_seconds %.3f\n", app->started_unix);
    stats_write(append, &o);
    if (o.failed) http_error(r, 503, "no_memory", "", "the answer found no memory");
    else http_answer(r, 200, "text/plain; version=0.0.4; charset=utf-8", o.data, o.bytes);
    json_out_free(&o);
}
