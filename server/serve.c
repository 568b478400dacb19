/* serve.c -- `rnnd serve`: opens the models, wires http, api and engine together, runs until told to end. */
#include "server/serve.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/api/handlers.h"
#include "server/api/text.h"
#include "server/config.h"
#include "server/engine/stats.h"
#include "server/healthcheck.h"
#include "server/log.h"
#include "server/routes.h"

extern char **environ;

/* One per process: the signal handlers have to find it. */
static struct server {
    struct config config;
    struct app app;
    struct http_call wake; /* queued once however often the compute thread calls */
} server;

/* ---- hooks of the loop ------------------------------------------------------------------------------------------- */

static double steady_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void handle(void *context, struct http_request *r)
{
    (void)context;
    routes_handle(&server.app, r);
}

static void after_poll(void *context)
{
    (void)context;
    batch_after_poll(server.app.batch);
}

static void every_second(void *context)
{
    (void)context;
    sessions_every_second(server.app.sessions, steady_seconds());
    text_every_second(&server.app);
    log_flush();
}

static void finished(void *context, const struct http_record *record)
{
    (void)context;
    stats_http(record->route, record->method, record->status, record->seconds, record->first_output_seconds);
    log_request(record);
}

/* On the loop: what the compute thread finished. Answers may let waiting requests go on, so there may be work again. */
static void take_events(struct http_call *call)
{
    (void)call;
    batch_events(server.app.batch);
    batch_after_poll(server.app.batch);
}

/* On the compute thread. */
static void wake_loop(void *context)
{
    (void)context;
    http_call(server.app.http, &server.wake);
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t ending;

/* The first signal drains, the second does not wait. */
static void end(int signal_number)
{
    if (ending) _exit(128 + signal_number);
    ending = 1;
    unsigned grace_ms = signal_number == SIGTERM ? (unsigned)(server.config.drain_grace_s * 1e3) : 0;
    http_drain(server.app.http, grace_ms, (unsigned)(server.config.drain_deadline_s * 1e3));
}

static void take_signals(void)
{
    struct sigaction on_end = {.sa_handler = end, .sa_flags = SA_RESTART}, on_pipe = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &on_end, NULL);
    sigaction(SIGINT, &on_end, NULL);
    sigaction(SIGPIPE, &on_pipe, NULL);
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static bool is_folder(const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

/* ./models, else PREFIX/share/rnnd/models beside PREFIX/bin/rnnd, which is where `make install` puts both. False:
 * neither is there; out names the second. */
static bool default_models(char *out, size_t bytes)
{
    ssize_t n = readlink("/proc/self/exe", out, bytes - 1);
    size_t used = 0;
    char *slash;
    if (is_folder("models")) {
        snprintf(out, bytes, "models");
        return true;
    }
    out[n < 0 ? 0 : n] = '\0';
    for (int up = 0; up < 2; up++) {
        slash = strrchr(out, '/');
        if (slash) *slash = '\0';
    }
    used = strlen(out);
    snprintf(out + used, bytes - used, "/share/rnnd/models");
    return is_folder(out);
}

/* Of a path, up to its extension. */
static size_t stem_bytes(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash + 1 : path, '.');
    return dot ? (size_t)(dot - path) : strlen(path);
}

static void say_model(const struct model *m)
{
    static const char *const tasks[] = {"raw", "text", "series"};
    if (m->handle)
        log_say("  %-24s %-8s %10llu parameters, %7zu bytes of state, loaded in %.1f ms", m->name,
                tasks[m->info->task], (unsigned long long)m->info->parameters, m->info->state_bytes,
                m->load_seconds * 1e3);
    else log_say("  %-24s failed: %s", m->name, m->failure);
    if (m->handle && m->info->precision_error < 0)
        log_say("  %-24s in %s: what it costs was not measured", "", m->info->precision);
    else if (m->handle && strcmp(m->info->precision, "fp32"))
        log_say("  %-24s in %s: outputs differ from those in fp32 by %.2g %%", "", m->info->precision,
                100 * m->info->precision_error);
    else if (m->handle && server.config.precision)
        log_say("  %-24s stays in fp32: a tensor graph, whose weights are not reduced", "");
    for (size_t i = 0; m->handle && i < m->info->assumption_count; i++)
        log_say("  %-24s assumed: %s", "", m->info->assumptions[i]);
    if (m->handle && m->info->unconfirmed)
        log_say("  %-24s not computed with until confirmed: by %.*s.rnnd.json beside it (GET /v1/models/%s shows "
                "what to write), or by --accept-guesses", "", (int)stem_bytes(m->path), m->path, m->name);
}

static bool open_models(void)
{
    rnnd_error err = {0};
    char folder[4200];
    struct model *const *models;
    const struct text_list *sources = &server.config.models;

    static const char *const precisions[] = {"fp32", "bf16", "int8"};
    const char *row = server.config.numerics == NUMERICS_FAST ? "fast"
                      : strcmp(server.config.isa, "auto")     ? server.config.isa
                                                              : NULL;
    server.app.kernel_row = row && strcmp(row, "fast") ? row : rnnd_kernel_row();
    registry_open_as(server.app.registry, &(rnnd_options){.kernel_row = row,
                                                          .accept_guesses = server.config.accept_guesses,
                                                          .precision = precisions[server.config.precision],
                                                          .force_precision = server.config.force_precision});
    for (size_t i = 0; i < sources->count; i++)
        if (registry_add(server.app.registry, sources->items[i], &err) != RNND_OK) {
            log_say("rnnd: %s", err.message);
            return false;
        }
    bool found = sources->count || default_models(folder, sizeof folder);
    if (!sources->count && found &&
        registry_add(server.app.registry, folder, &err) != RNND_OK) {
        log_say("rnnd: %s", err.message);
        return false;
    }
    size_t count = registry_list(server.app.registry, &models), loaded = 0;
    log_say("rnnd %s, kernels %s, %zu model file%s", rnnd_version(), server.app.kernel_row, count,
            count == 1 ? "" : "s");
    if (server.config.numerics == NUMERICS_FAST)
        log_say("  --numerics fast: matrix products by OpenBLAS, whose last bits depend on batch and processor");
    for (size_t i = 0; i < count; i++) {
        say_model(models[i]);
        loaded += models[i]->handle != NULL;
    }
    if (!found) log_say("  there is neither a folder ./models nor %s", folder);
    if (!loaded)
        log_say("  no model is loaded; `rnnd serve NAME=FILE` opens one, `rnnd serve FOLDER` all in it");
    return true;
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

/* Every connection is a file; what the system allows at most is ours to use. */
static size_t allow_connections(size_t wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files)) return wanted;
    if (files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < 128 || wanted <= files.rlim_cur - 64) return wanted;
    return (size_t)files.rlim_cur - 64;
}

static bool open_http(void)
{
    const struct config *c = &server.config;
    const struct http_options options = {
        .host = c->host, .port = c->port, .body_limit = c->body_limit_bytes,
        .connection_limit = allow_connections(c->connection_limit),
        .header_deadline_ms = (unsigned)(c->header_deadline_s * 1e3), .idle_ms = (unsigned)(c->idle_timeout_s * 1e3),
        .request_deadline_ms = (unsigned)(c->request_deadline_s * 1e3), .stream_high_water = c->stream_buffer_bytes,
        .hosts = (const char *const *)c->hosts.items, .origins = (const char *const *)c->cors.items};
    const struct http_hooks hooks = {NULL, handle, after_poll, every_second, finished};
    char message[512] = "";
    if (!http_open(&options, &hooks, &server.app.http, message, sizeof message)) return true;
    log_say("rnnd: %s", message);
    return false;
}

/* One that finds no room here counts as failed; the others are served. */
static void prepare_models(void)
{
    struct model *const *models;
    size_t count = registry_list(server.app.registry, &models);
    rnnd_error err = {0};
    for (size_t i = 0; i < count; i++)
        if (models[i]->handle && batch_prepare(server.app.batch, models[i], &err) != RNND_OK) {
            registry_fail(models[i], err.message);
            log_say("  %-24s cannot be run: %s", models[i]->name, err.message);
        }
}

static bool start(void)
{
    const struct config *c = &server.config;
    struct app *app = &server.app;
    const struct sessions_options sessions = {.memory_limit_bytes = c->session_memory_bytes, .ttl_s = c->ttl_s,
                                              .kept_states = c->kept_states, .remember_dead_s = c->remember_dead_s,
                                              .remember_dead = c->remember_dead_ids};
    rnnd_error err = {0};

    *app = (struct app){.started_unix = (double)time(NULL), .json_depth = c->json_depth, .steps_limit = c->steps_limit,
                        .samples_limit = c->samples_limit, .horizon_factor = c->horizon_factor,
                        .tokens_limit = c->tokens_limit, .many_limit = c->many_limit,
                        .memory_limit_bytes = c->session_memory_bytes, .test_hooks = c->test_hooks};
    server.wake.run = take_events;
    app->registry = registry_start();
    if (!app->registry) {
        log_say("rnnd: out of memory");
        return false;
    }
    if (!open_models()) return false;
    app->sessions = sessions_start(&sessions, app->registry, &err);
    if (app->sessions) batch_start(c->queue_limit, 0, wake_loop, NULL, &app->batch, &err);
    if (!app->batch) {
        log_say("rnnd: %s", err.message);
        return false;
    }
    sessions_every_second(app->sessions, steady_seconds());
    prepare_models();
    return open_http();
}

static void say_address(void)
{
    const struct config *c = &server.config;
    if (!strncmp(c->host, "unix:", 5)) log_say("listening on %s", c->host);
    else
        log_say("listening on http://%s%s%s:%u/ (Ctrl-C ends)", strchr(c->host, ':') ? "[" : "", c->host,
                strchr(c->host, ':') ? "]" : "", http_port(server.app.http));
    if (c->allow_remote) log_say("other machines can reach this server, and whoever does may use it");
}

static void stop(void)
{
    struct app *app = &server.app;
    batch_stop(app->batch);
    if (app->http) http_close(app->http);
    steps_free_spare(app);
    sessions_stop(app->sessions);
    registry_stop(app->registry);
    log_flush();
}

static int serve(void)
{
    log_start((enum log_format)server.config.log_format);
    bool started = start();
    if (started) {
        take_signals();
        say_address();
        http_run(server.app.http);
        size_t left = http_in_flight(server.app.http), jobs = batch_depth(server.app.batch);
        if (left || jobs) { /* the drain deadline has passed: what still runs ends with the process */
            log_say("ended with %zu request%s unfinished", left, left == 1 ? "" : "s");
            return 0;
        }
        log_say("ended");
    }
    stop();
    return started ? 0 : 1;
}

int serve_command(int argc, char **argv)
{
    char message[512] = "";
    int result;

    if (config_read(&server.config, argc, argv, environ, message, sizeof message)) {
        fprintf(stderr, "rnnd serve: %s\n", message);
        result = 2;
    } else if (server.config.help) {
        config_help(stdout);
        result = 0;
    } else if (server.config.healthcheck) {
        result = healthcheck(&server.config, message, sizeof message);
        if (result) fprintf(stderr, "rnnd serve: %s\n", message);
    } else {
        return serve();
    }
    config_free(&server.config);
    return result;
}
