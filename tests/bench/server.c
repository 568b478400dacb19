/* server.c -- suite: rnnd over loopback, beside an empty handler and other servers that do the same job. */
#include "tests/bench/control/lstm.h"
#include "tests/bench/server.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what the parts share ---------------------------------------------------------------------------------------- */

void start_rnnd(struct process *p, const struct suite_files *f, const char *const *more)
{
    char models[3][300];
    const char *args[PROCESS_ARGS + 1] = {f->rnnd, "serve", "--listen", "127.0.0.1:%", "--log-format", "off"};
    const struct load_request first = request_step(0);
    size_t n = 6, m = 0;
    while (more && *more)
        args[n++] = *more++;
    const char *const files[] = {f->lstm, f->text, f->series}, *const names[] = {"lstm", "text", "series"};
    for (size_t i = 0; i < 3; i++) {
        if (!files[i][0]) continue;
        snprintf(models[m], sizeof models[m], "%s=%s", names[i], files[i]);
        args[n++] = models[m++];
    }
    args[n] = NULL;
    if (!process_start(p, args, &first)) die("%s does not start", f->rnnd);
    free(first.bytes);
}

bool start_control(struct process *p, const struct suite_files *f, const char *mode)
{
    const char *const args[] = {f->control, mode, "%", f->lstm, NULL};
    const struct load_request first = request_step(0);
    bool started = f->control[0] && process_start(p, args, &first);
    free(first.bytes);
    if (!started) fprintf(stderr, "bench: left out: the control server \"%s\"\n", mode);
    return started;
}

struct load_request *requests_per_client(struct load_request (*make)(size_t), size_t clients)
{
    struct load_request *r = malloc(clients * sizeof *r);
    if (!r) die("no memory for %zu requests", clients);
    for (size_t i = 0; i < clients; i++)
        r[i] = make(i);
    return r;
}

void free_requests(struct load_request *r, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(r[i].bytes);
    free(r);
}

struct server_case *case_closed(struct case_list *list, const char *name, const char *server,
                                const struct process *process, const struct load_request *requests, bool shared,
                                size_t clients)
{
    struct server_case *c = case_add(list, name, server, process);
    c->load = (struct load){.clients = clients, .requests = requests, .shared = shared};
    return c;
}

/* ---- goals ------------------------------------------------------------------------------------------------------- */

static void goal(const char *what, double measured, const char *relation, double wanted)
{
    bool most = relation[0] == '<', good = most ? measured <= wanted : measured >= wanted;
    if (!isnan(measured))
        printf("%-78s %8.2f  goal %s %.2f  %s\n", what, measured, relation, wanted, good ? "met" : "missed");
}

enum part_name { STEPS, MIXED, STREAMS, MANY, GROWTH, PEERS, PARTS };

static double figure_of(struct case_list *lists, enum part_name part, const char *name, const char *server,
                        size_t clients, enum figure f)
{
    return case_figure(case_find(&lists[part], name, server, clients), f);
}

static double growth_of(struct case_list *lists, const char *name, const char *server, size_t clients)
{
    return figure_of(lists, GROWTH, name, server, clients, CPU_US);
}

static void print_goals(struct case_list *lists)
{
#define OF(part, name, server, clients, f) figure_of(lists, part, name, server, clients, f)
    static const size_t clients[] = {1, 8, 64, 256};
    double bare_us = 1e6 / OF(STEPS, "bare_step", "in_process", 0, STEPS_PER_S), slowest = INFINITY;
    printf("\ngoals\n");
    goal("whole server, loopback: one session, p50 of a step / (p50 of an empty handler + bare step)",
         OF(STEPS, "step_json", "rnnd", 1, P50) / (OF(STEPS, "empty", "control", 1, P50) + bare_us), "<=", 1.3);
    goal("whole server, loopback: 64 clients, requests/s of steps / of an empty handler",
         OF(STEPS, "step_json", "rnnd", 64, REQUESTS_PER_S) / OF(STEPS, "empty", "control", 64, REQUESTS_PER_S),
         ">=", 0.7);
    for (size_t i = 0; i + 1 < 4; i++) {
        double ratio = OF(STEPS, "step_json", "rnnd", clients[i + 1], REQUESTS_PER_S) /
                       OF(STEPS, "step_json", "rnnd", clients[i], REQUESTS_PER_S);
        if (ratio < slowest) slowest = ratio;
    }
    if (!isinf(slowest))
        goal("never slower with more clients: least ratio of requests/s, 8/1, 64/8, 256/64", slowest, ">=", 0.97);
    goal("HTTP text: tokens/s of one event stream / of the loop in process",
         OF(STREAMS, "stream", "rnnd", 1, STEPS_PER_S) / OF(STREAMS, "generate_1", "in_process", 0, STEPS_PER_S),
         ">=", 0.8);
    goal("HTTP text: tokens/s of 64 event streams / of one",
         OF(STREAMS, "stream", "rnnd", 64, STEPS_PER_S) / OF(STREAMS, "stream", "rnnd", 1, STEPS_PER_S), ">=", 4);
    goal("sessions, 10 -> 100,000: CPU per request, single steps",
         growth_of(lists, "any_step", "rnnd_100k", 8) / growth_of(lists, "any_step", "rnnd_10", 8), "<=", 1.2);
    goal("sessions, 10 -> 100,000: CPU per step, 10 rows a request",
         growth_of(lists, "many_lines", "rnnd_100k", 1) / growth_of(lists, "many_lines", "rnnd_10", 1), "<=", 1.2);
#undef OF
}

/* ---- the suite --------------------------------------------------------------------------------------------------- */

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f)) die("writing %s failed", path);
}

/* For ONNX Runtime, from the floats at the end of a native file. */
static void write_onnx(struct suite_files *f, const unsigned char *image, size_t bytes)
{
    float *w = malloc(LSTM_FLOATS * sizeof *w);
    size_t onnx_bytes;
    if (!w) die("no memory for %d weights", LSTM_FLOATS);
    memcpy(w, image + bytes - LSTM_FLOATS * sizeof *w, LSTM_FLOATS * sizeof *w);
    const struct onnx_net net = lstm_net(w);
    unsigned char *onnx = onnx_write(&net, &onnx_bytes);
    if (!onnx) die("no memory for a model");
    snprintf(f->onnx, sizeof f->onnx, "%s/lstm.onnx", f->folder);
    write_file(f->onnx, onnx, onnx_bytes);
    free(onnx);
    free(w);
}

bool files_make(struct suite_files *f)
{
    size_t bytes;
    *f = (struct suite_files){.folder = "/tmp/rnnd-bench-XXXXXX"};
    if (!process_find("rnnd", f->rnnd, sizeof f->rnnd)) {
        fprintf(stderr, "bench: no rnnd beside this program: no servers to measure\n");
        return false;
    }
    if (!process_find("bench-control", f->control, sizeof f->control)) f->control[0] = 0;
    if (!find_model(RNND_TEXT, f->text, sizeof f->text)) f->text[0] = 0;
    if (!find_model(RNND_SERIES, f->series, sizeof f->series)) f->series[0] = 0;
    if (!mkdtemp(f->folder)) die("no temporary folder");
    snprintf(f->lstm, sizeof f->lstm, "%s/lstm.safetensors", f->folder);
    void *image = model_image("lstm", LSTM_INPUTS, LSTM_HIDDEN, LSTM_OUTPUTS, &bytes);
    write_file(f->lstm, image, bytes);
    write_onnx(f, image, bytes);
    free(image);
    return true;
}

void files_remove(const struct suite_files *f)
{
    unlink(f->lstm);
    unlink(f->onnx);
    rmdir(f->folder);
}

static void run(void)
{
    static const struct {
        const char *name;
        void (*run)(const struct suite_files *f, struct case_list *list);
    } parts[PARTS] = {
        [STEPS] = {"steps", part_steps}, [MIXED] = {"mixed", part_mixed},    [STREAMS] = {"streams", part_streams},
        [MANY] = {"many", part_many},    [GROWTH] = {"growth", part_growth}, [PEERS] = {"peers", part_peers}};
    static struct case_list lists[PARTS];
    const char *only = getenv("PART");
    struct suite_files f;
    if (!files_make(&f)) return;
    mkdir("build/bench", 0777); /* often there */
    case_begin("build/bench/server.csv");
    for (size_t i = 0; i < PARTS; i++)
        if (!only || strcmp(only, parts[i].name) == 0) parts[i].run(&f, &lists[i]);
    case_end();
    print_goals(lists);
    files_remove(&f);
}

const struct suite suite_server = {"server", "rnnd over loopback: sessions, streams, windows, other servers", run};
