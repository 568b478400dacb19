/* tasks.c -- suite: opening models, text and forecasts in process; starting and sessions of a server. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/tasks.h"

#define ROUNDS 5
#define STREAMS 32
#define MAX_MODELS 32
#define CSV "build/bench/tasks.csv"

static FILE *csv;

void task_figure(const char *task, const char *model, const char *figure, double value)
{
    fprintf(csv, "%s,%s,%s,%.6g\n", task, model, figure, value);
    printf("%-16s %-24s %-38s %14.6g\n", task, model, figure, value);
    fflush(stdout);
}

/* ---- loading ---- */

static void loading(void)
{
    static char paths[MAX_MODELS][256];
    static double ms[MAX_MODELS][ROUNDS];
    size_t count = list_models(paths, MAX_MODELS);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++) {
            double start = now_us();
            rnnd_model *m = open_path(paths[i]);
            ms[i][round] = (now_us() - start) * 1e-3;
            rnnd_model_close(m);
        }
    for (size_t i = 0; i < count; i++) {
        rnnd_model *m = open_path(paths[i]);
        const rnnd_info *info = rnnd_model_info(m);
        task_figure("load", info->name, "parameters", (double)info->parameters);
        task_figure("load", info->name, "weights_kib", (double)info->weight_bytes / 1024);
        task_figure("load", info->name, "state_bytes", (double)info->state_bytes);
        task_figure("load", info->name, "load_ms", median(ms[i], ROUNDS));
        rnnd_model_close(m);
    }
}

struct opened { /* by a process of its own */
    double ms, peak_kib, weights_kib;
};

static struct opened open_apart(const char *path)
{
    struct opened o = {0};
    struct rusage used;
    int ends[2], status;
    if (pipe(ends) != 0) die("no pipe");
    pid_t child = fork();
    if (child == 0) {
        double start = now_us();
        rnnd_model *m = open_path(path);
        o.ms = (now_us() - start) * 1e-3;
        o.weights_kib = (double)rnnd_model_info(m)->weight_bytes / 1024;
        getrusage(RUSAGE_SELF, &used);
        o.peak_kib = (double)used.ru_maxrss;
        _exit(write(ends[1], &o, sizeof o) == sizeof o ? 0 : 1);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], &o, sizeof o) != sizeof o || waitpid(child, &status, 0) != child || status)
        die("%s: its process ended", path);
    close(ends[0]);
    return o;
}

/* A file of about 120 MB: how long, and how much memory at most. */
static void large(void)
{
    char path[] = "/tmp/rnnd-bench-XXXXXX";
    double ms[ROUNDS], peak[ROUNDS], weights = 0;
    size_t bytes;
    void *image = model_image("lstm", 64, 2700, 0, &bytes);
    int fd = mkstemp(path);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f || fwrite(image, 1, bytes, f) != bytes || fclose(f) != 0) die("%s cannot be written", path);
    free(image);
    for (size_t round = 0; round < ROUNDS; round++) {
        struct opened o = open_apart(path);
        ms[round] = o.ms;
        peak[round] = o.peak_kib;
        weights = o.weights_kib;
    }
    unlink(path);
    task_figure("load_large", "lstm_2700", "file_kib", (double)bytes / 1024);
    task_figure("load_large", "lstm_2700", "weights_kib", weights);
    task_figure("load_large", "lstm_2700", "load_ms", median(ms, ROUNDS));
    task_figure("load_large", "lstm_2700", "peak_kib", median(peak, ROUNDS));
}

/* ---- text ---- */

static void text(void)
{
    static const size_t streams[] = {1, STREAMS};
    double speed[2][ROUNDS];
    char path[256];
    rnnd_workspace *ws;
    rnnd_error err;
    if (!find_model(RNND_TEXT, path, sizeof path)) {
        fprintf(stderr, "bench: there is no text model\n");
        return;
    }
    rnnd_model *m = open_path(path);
    if (rnnd_workspace_open(m, STREAMS, &ws, &err)) die("%s", err.message);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < 2; i++)
            speed[i][round] = generate_tokens_per_s(m, ws, streams[i], 2000 / (int64_t)(i ? 8 : 1));
    task_figure("text", rnnd_model_info(m)->name, "tokens_per_s_1_text", median(speed[0], ROUNDS));
    task_figure("text", rnnd_model_info(m)->name, "tokens_per_s_32_texts", median(speed[1], ROUNDS));
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
}

/* ---- forecasts ---- */

static void forecast(const rnnd_model *m, rnnd_workspace *ws, const void *state, const rnnd_forecast_params *params,
                     const rnnd_forecast_out *out)
{
    rnnd_forecast *f;
    rnnd_error err;
    bool done = false;
    if (rnnd_forecast_open(m, state, params, &f, &err)) die("%s", err.message);
    while (!done)
        if (rnnd_forecast_work(f, ws, 256, &done, &err)) die("%s", err.message);
    if (rnnd_forecast_read(f, out, &err)) die("%s", err.message);
    rnnd_forecast_close(f);
}

/* A made-up day and night, the same for all channels; far from the bounds of any scaler. */
static void feed(const rnnd_model *m, rnnd_workspace *ws, void *state, size_t steps)
{
    size_t channels = rnnd_model_info(m)->channel_count;
    float *row = calloc(channels, sizeof *row);
    rnnd_error err;
    if (!row) die("no memory for a row");
    rnnd_state_reset(m, state);
    for (size_t t = 0; t < steps; t++) {
        for (size_t c = 0; c < channels; c++)
            row[c] = 15000.0f + 8000.0f * sinf(6.2831853f * (float)(t % 48) / 48);
        if (rnnd_step(ws, &(rnnd_step_row){.state = state, .input = row}, 1, &err)) die("%s", err.message);
    }
    free(row);
}

static void forecasts(void)
{
    char path[256];
    rnnd_workspace *ws;
    rnnd_error err;
    static const float levels[] = {0.1f, 0.5f, 0.9f};
    enum { KEPT, WINDOW, BEYOND, SAMPLES, CASES };
    double speed[CASES][ROUNDS];
    if (!find_model(RNND_SERIES, path, sizeof path)) {
        fprintf(stderr, "bench: there is no series model\n");
        return;
    }
    rnnd_model *m = open_path(path);
    const rnnd_info *info = rnnd_model_info(m);
    size_t trained = info->horizon, quantiles = info->quantile_count ? 3 : 0, most = 4 * trained * info->channel_count;
    size_t history = info->warmup > 672 ? info->warmup : 672;
    const struct {
        const char *name;
        size_t fed, horizon, samples, repeats;
    } cases[CASES] = {
        [KEPT] = {"kept_state", 0, trained, 0, 2000},
        [WINDOW] = {"window", history, trained, 0, 20},
        [BEYOND] = {"beyond_trained", 0, 4 * trained, 0, 100},
        [SAMPLES] = {"sample_paths", 0, trained, quantiles ? 100 : 0, 5},
    };
    void *state = malloc(rnnd_state_bytes(m)), *fresh = malloc(rnnd_state_bytes(m));
    rnnd_forecast_out out = {calloc(most, sizeof(float)), calloc(3 * most, sizeof(float)),
                             calloc(100 * most, sizeof(float))};
    if (!state || !fresh || !out.mean || !out.quantiles || !out.samples) die("no memory for a forecast");
    if (rnnd_workspace_open(m, 128, &ws, &err)) die("%s", err.message);
    feed(m, ws, state, history);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < CASES; i++) {
            rnnd_forecast_params params = {.horizon = cases[i].horizon,
                                           .quantiles = levels,
                                           .quantile_count = quantiles,
                                           .samples = cases[i].samples,
                                           .seed = 1};
            double start = now_us();
            for (size_t k = 0; k < cases[i].repeats; k++) {
                if (cases[i].fed) feed(m, ws, fresh, cases[i].fed);
                forecast(m, ws, cases[i].fed ? fresh : state, &params, &out);
            }
            speed[i][round] = (double)cases[i].repeats / ((now_us() - start) * 1e-6);
        }
    for (size_t i = 0; i < CASES; i++) {
        char figure[64];
        snprintf(figure, sizeof figure, "forecasts_per_s_%s", cases[i].name);
        task_figure("forecast", info->name, figure, median(speed[i], ROUNDS));
    }
    free(out.mean), free(out.quantiles), free(out.samples), free(state), free(fresh);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
}

static void run(void)
{
    mkdir("build/bench", 0777); /* often there */
    csv = fopen(CSV, "w");
    if (!csv) die("%s cannot be written", CSV);
    fprintf(csv, "task,model,figure,value\n");
    printf("%-16s %-24s %-38s %14s\n", "task", "model", "figure", "value");
    large(); /* before this process has grown */
    loading();
    text();
    forecasts();
    serving();
    if (fclose(csv)) die("%s cannot be written whole", CSV);
}

const struct suite suite_tasks = {"tasks", "opening models, text, forecasts; a server's start and sessions", run};
