/* server.c -- suite: the built rnnd over loopback: sessions beside an empty handler, event streams, starting. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/load.h"

#define ROUNDS 5
#define ROUND_S 0.5
#define STARTS 5
#define MAX_CLIENTS 64
#define MODEL_INPUTS 8 /* of the LSTM of 256 units with one output that sessions step */

struct server {
    pid_t pid;
    uint16_t port;
    double start_ms; /* from fork to the first answered step */
};

static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, size) || getsockname(fd, (struct sockaddr *)&a, &size))
        die("no free port");
    close(fd);
    return ntohs(a.sin_port);
}

/* The rnnd of the build this program belongs to. */
static bool find_rnnd(char *path, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", path, cap - 1);
    if (n <= 0) return false;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    snprintf(slash + 1, cap - (size_t)(slash + 1 - path), "rnnd");
    return access(path, X_OK) == 0;
}

static void server_start(struct server *s, const char *rnnd, const char *model, const char *text, const char *first)
{
    char listen[32];
    pid_t parent = getpid();
    s->port = free_port();
    snprintf(listen, sizeof listen, "127.0.0.1:%u", s->port);
    double start = now_us();
    s->pid = fork();
    if (s->pid < 0) die("fork failed");
    if (s->pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlives us */
        if (null < 0 || getppid() != parent) _exit(127);
        dup2(null, 1);
        dup2(null, 2);
        execl(rnnd, rnnd, "serve", "--listen", listen, "--log-format", "off", model, text, (char *)NULL);
        _exit(127);
    }
    while (!load_once(s->port, first)) {
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid || now_us() - start > 20e6) die("%s does not start", rnnd);
        usleep(200);
    }
    s->start_ms = (now_us() - start) * 1e-3;
}

static void server_stop(const struct server *s)
{
    kill(s->pid, SIGTERM);
    for (int i = 0; waitpid(s->pid, NULL, WNOHANG) == 0; i++) {
        if (i == 500) kill(s->pid, SIGKILL);
        usleep(20000);
    }
}

static double resident_mib(const struct server *s)
{
    char path[64], line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)s->pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0) kib = strtod(line + 6, NULL);
    if (f) fclose(f);
    return kib / 1024;
}

static char *step_request(const char *model, size_t session)
{
    char path[64], body[512];
    size_t at = (size_t)snprintf(body, sizeof body, "{\"model\":\"%s\",\"inputs\":[[", model);
    for (int i = 0; i < MODEL_INPUTS; i++)
        at += (size_t)snprintf(body + at, sizeof body - at, i ? ",%.4f" : "%.4f", 0.1 * i - 0.37);
    snprintf(body + at, sizeof body - at, "]]}");
    snprintf(path, sizeof path, "/v1/sessions/bench-%zu/steps", session);
    return load_request(path, body);
}

/* The step alone, without a server: what the exchange adds is the difference. */
static void bare_steps(const char *path)
{
    enum { STEPS = 20000 };
    static double us[STEPS];
    struct stepper s;
    stepper_open(&s, open_path(path), 1);
    double start = now_us(), before = start;
    for (size_t i = 0; i < STEPS; i++) {
        stepper_step(&s);
        double now = now_us();
        us[i] = now - before;
        before = now;
    }
    double rate = STEPS / ((before - start) * 1e-6);
    printf("server,step_in_process,1,%.0f,%.2f,%.2f\n", rate, quantile(us, STEPS, 0.5), quantile(us, STEPS, 0.99));
    stepper_close(&s);
}

static void requests(const struct server *s, const char *path)
{
    static const size_t clients[] = {1, 8, MAX_CLIENTS};
    static const char *const names[] = {"livez", "step_lstm_256"};
    char *texts[2][MAX_CLIENTS];
    double figures[2][3][3][ROUNDS];
    for (size_t i = 0; i < MAX_CLIENTS; i++) {
        texts[0][i] = load_request("/livez", NULL);
        texts[1][i] = step_request("lstm", i);
    }
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t c = 0; c < 3; c++)
            for (size_t kind = 0; kind < 2; kind++) {
                struct load_result r;
                load_run(s->port, texts[kind], clients[c], ROUND_S, &r);
                figures[kind][c][0][round] = r.requests_per_s;
                figures[kind][c][1][round] = r.p50_us;
                figures[kind][c][2][round] = r.p99_us;
            }
    printf("suite,case,clients,requests_per_s,p50_us,p99_us\n");
    bare_steps(path);
    for (size_t kind = 0; kind < 2; kind++)
        for (size_t c = 0; c < 3; c++)
            printf("server,%s,%zu,%.0f,%.1f,%.1f\n", names[kind], clients[c], median(figures[kind][c][0], ROUNDS),
                   median(figures[kind][c][1], ROUNDS), median(figures[kind][c][2], ROUNDS));
    printf("\n");
    for (size_t i = 0; i < MAX_CLIENTS; i++) free(texts[0][i]), free(texts[1][i]);
}

static void streams(const struct server *s, const char *text_path)
{
    static const size_t counts[] = {1, 32};
    static const int tokens[] = {2000, 250};
    char *request[2], body[256];
    double speed[2][ROUNDS];
    rnnd_model *m = open_path(text_path);
    for (size_t i = 0; i < 2; i++) {
        snprintf(body, sizeof body,
                 "{\"model\":\"text\",\"prompt\":\"a\",\"max_tokens\":%d,\"temperature\":0.8,\"seed\":1,"
                 "\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
                 tokens[i]);
        request[i] = load_request("/v1/completions", body);
    }
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < 2; i++) speed[i][round] = load_streams(s->port, request[i], counts[i]);
    printf("suite,model,streams,tokens_per_s\n");
    for (size_t i = 0; i < 2; i++) {
        printf("sse,%s,%zu,%.0f\n", rnnd_model_info(m)->name, counts[i], median(speed[i], ROUNDS));
        free(request[i]);
    }
    printf("\n");
    rnnd_model_close(m);
}

static void measure(const char *rnnd, const char *lstm, const char *text_path)
{
    struct server s;
    char model[300], text[300];
    double start_ms[STARTS], idle_mib[STARTS];
    char *first = step_request("lstm", 0);
    snprintf(model, sizeof model, "lstm=%s", lstm);
    snprintf(text, sizeof text, "text=%s", text_path);
    for (size_t i = 0; i < STARTS; i++) {
        if (i) server_stop(&s);
        server_start(&s, rnnd, model, text, first);
        start_ms[i] = s.start_ms;
        idle_mib[i] = resident_mib(&s);
    }
    requests(&s, lstm);
    streams(&s, text_path);
    printf("suite,start_to_first_answer_ms,resident_at_start_mib,resident_after_load_mib\n");
    printf("process,%.1f,%.1f,%.1f\n\n", median(start_ms, STARTS), median(idle_mib, STARTS), resident_mib(&s));
    server_stop(&s);
    free(first);
}

static void run(void)
{
    char rnnd[1024], folder[] = "/tmp/rnnd-bench-XXXXXX", path[64], text[256];
    size_t bytes;
    if (!find_rnnd(rnnd, sizeof rnnd) || !find_model(RNND_TEXT, text, sizeof text)) {
        fprintf(stderr, "bench: no rnnd beside this program, or no text model: no server suite\n");
        return;
    }
    void *image = model_image("lstm", MODEL_INPUTS, 256, 1, &bytes);
    if (!mkdtemp(folder)) die("no temporary folder");
    snprintf(path, sizeof path, "%s/lstm.safetensors", folder);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(image, 1, bytes, f) != bytes || fclose(f)) die("writing %s failed", path);
    free(image);
    measure(rnnd, path, text);
    unlink(path);
    rmdir(folder);
}

const struct suite suite_server = {"server", "rnnd over loopback: sessions, streams, starting, memory", run};
