/* server_case.c -- interleaved rounds, medians, a table on stdout and the same as a CSV file. */
#include "tests/bench/server_case.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"

static FILE *csv;

struct server_case *case_add(struct case_list *list, const char *name, const char *server,
                             const struct process *process)
{
    if (list->count == CASE_LIST) die("more than %d cases in a list", CASE_LIST);
    struct server_case *c = &list->cases[list->count++];
    *c = (struct server_case){.name = name, .server = server, .process = process, .steps = 1};
    for (size_t f = 0; f < FIGURES; f++)
        for (size_t r = 0; r < CASE_ROUNDS; r++)
            c->figures[f][r] = NAN;
    return c;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static double cpu_s(const struct server_case *c)
{
    struct rusage used;
    if (c->process) return process_cpu_s(c->process);
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

struct meter { /* CPU time where counting begins */
    const struct server_case *c;
    double cpu_s;
};

static void begin(void *context)
{
    struct meter *m = context;
    m->cpu_s = cpu_s(m->c);
}

/* Once; the figures of a round. */
static void run_once(struct server_case *c, size_t round)
{
    struct meter m = {c, 0};
    struct load_result r = {.p50_us = NAN, .p90_us = NAN, .p99_us = NAN, .p999_us = NAN};
    double start, steps = 0;
    c->load.seconds = CASE_ROUND_S;
    if (c->process) c->load.port = c->process->port;
    c->load.awake = c->apart && process_apart(c->process);
    begin(&m);
    start = now_us();
    if (c->call) {
        r.requests_per_s = c->call(c->context);
    } else if (c->streams) {
        load_streams(c->process->port, c->load.requests, c->streams, &steps);
    } else {
        load_run(&c->load, begin, &m, &r);
    }
    double seconds = c->call || c->streams ? (now_us() - start) * 1e-6 : r.seconds, used = cpu_s(c) - m.cpu_s;
    if (c->load.awake) process_anywhere(c->process);
    double requests = c->streams ? (double)c->streams : c->call ? r.requests_per_s * seconds : (double)r.requests;
    if (!c->streams) steps = requests * (double)c->steps;
    const double figures[FIGURES] = {[REQUESTS_PER_S] = requests / seconds,
                                     [STEPS_PER_S] = steps / seconds,
                                     [P50] = r.p50_us,
                                     [P90] = r.p90_us,
                                     [P99] = r.p99_us,
                                     [P999] = r.p999_us,
                                     [CPU_US] = used * 1e6 / (c->streams ? steps : requests),
                                     [BUSY] = used / seconds,
                                     [RESIDENT_MIB] = c->process ? process_resident_mib(c->process) : NAN,
                                     [START_MS] = NAN};
    for (size_t f = 0; f < FIGURES; f++)
        if (f != START_MS) c->figures[f][round] = figures[f];
}

/* A child that runs the case again and again until it is killed. */
static pid_t start_beside(const struct server_case *c)
{
    pid_t parent = getpid(), child = fork();
    if (child < 0) die("fork failed");
    if (child > 0) {
        usleep(50000); /* so that it is under way */
        return child;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct load load = c->load;
    double tokens;
    load.port = c->process->port;
    load.seconds = 60;
    while (getppid() == parent)
        if (c->streams)
            load_streams(load.port, load.requests, c->streams, &tokens);
        else
            load_run(&load, NULL, NULL, &(struct load_result){0});
    _exit(0);
}

void case_measure(struct case_list *list, size_t from)
{
    for (size_t round = 0; round < CASE_ROUNDS; round++)
        for (size_t i = from; i < list->count; i++) {
            struct server_case *c = &list->cases[i];
            pid_t beside = c->beside ? start_beside(c->beside) : 0;
            run_once(c, round);
            if (!beside) continue;
            kill(beside, SIGKILL);
            waitpid(beside, NULL, 0);
            usleep(20000); /* its connections end */
        }
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

double case_figure(const struct server_case *c, enum figure f)
{
    double v[CASE_ROUNDS];
    size_t n = 0;
    if (!c) return NAN;
    for (size_t r = 0; r < CASE_ROUNDS; r++)
        if (!isnan(c->figures[f][r])) v[n++] = c->figures[f][r];
    return n ? median(v, n) : NAN;
}

struct server_case *case_find(struct case_list *list, const char *name, const char *server, size_t clients)
{
    for (size_t i = 0; i < list->count; i++) {
        struct server_case *c = &list->cases[i];
        size_t own = c->streams ? c->streams : c->load.clients;
        if (strcmp(c->name, name) == 0 && strcmp(c->server, server) == 0 && own == clients) return c;
    }
    return NULL;
}

static const struct {
    const char *name, *head;
    int width, digits;
} columns[FIGURES] = {
    [REQUESTS_PER_S] = {"requests_per_s", "requests/s", 11, 1},
    [STEPS_PER_S] = {"steps_per_s", "steps/s", 10, 0},
    [P50] = {"p50_us", "p50 us", 9, 1},
    [P90] = {"p90_us", "p90 us", 9, 1},
    [P99] = {"p99_us", "p99 us", 9, 1},
    [P999] = {"p999_us", "p99.9 us", 9, 1},
    [CPU_US] = {"cpu_us", "CPU us", 9, 2},
    [BUSY] = {"cores_busy", "cores", 6, 2},
    [RESIDENT_MIB] = {"resident_mib", "MiB", 7, 1},
    [START_MS] = {"start_ms", "start ms", 9, 1},
};

void case_begin(const char *csv_path)
{
    csv = fopen(csv_path, "w");
    if (!csv) die("%s cannot be written: %s", csv_path, strerror(errno));
    fprintf(csv, "case,server,clients,steps_per_request,offered_per_s");
    printf("%-22s %-10s %7s %6s %9s", "case", "server", "clients", "steps", "offered/s");
    for (size_t f = 0; f < FIGURES; f++) {
        fprintf(csv, ",%s", columns[f].name);
        printf(" %*s", columns[f].width, columns[f].head);
    }
    fprintf(csv, "\n");
    printf("\n");
}

/* Columns 3 to 5, which are empty where they do not apply. */
static void print_shape(FILE *to, const struct server_case *c, const char *format)
{
    char clients[24] = "", steps[24] = "", rate[24] = "";
    size_t count = c->streams ? c->streams : c->load.clients;
    if (count) snprintf(clients, sizeof clients, "%zu", count);
    if (!c->streams) snprintf(steps, sizeof steps, "%zu", c->steps);
    if (c->load.rate > 0) snprintf(rate, sizeof rate, "%.0f", c->load.rate);
    fprintf(to, format, clients, steps, rate);
}

void case_print(const struct case_list *list, size_t from)
{
    for (size_t i = from; i < list->count; i++) {
        const struct server_case *c = &list->cases[i];
        fprintf(csv, "%s,%s", c->name, c->server);
        print_shape(csv, c, ",%s,%s,%s");
        printf("%-22s %-10s", c->name, c->server);
        print_shape(stdout, c, " %7s %6s %9s");
        for (size_t f = 0; f < FIGURES; f++) {
            double v = case_figure(c, (enum figure)f);
            if (isnan(v)) {
                fprintf(csv, ",");
                printf(" %*s", columns[f].width, "");
            } else {
                fprintf(csv, ",%.*f", columns[f].digits, v);
                printf(" %*.*f", columns[f].width, columns[f].digits, v);
            }
        }
        fprintf(csv, "\n");
        printf("\n");
    }
    fflush(csv);
    fflush(stdout);
}

void case_end(void)
{
    if (csv && fclose(csv)) die("the CSV file could not be written whole");
    csv = NULL;
}
