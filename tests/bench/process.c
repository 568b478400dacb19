/* process.c -- fork, exec, and what the kernel says about a child. */
#include "tests/bench/process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"

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

bool process_find(const char *name, char *path, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", path, cap - 1);
    if (n <= 0) return false;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    snprintf(slash + 1, cap - (size_t)(slash + 1 - path), "%s", name);
    return access(path, X_OK) == 0;
}

static void become(const char *const *args, uint16_t port, pid_t parent)
{
    char texts[PROCESS_ARGS][1024], *list[PROCESS_ARGS + 1] = {NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (size_t i = 0; args[i]; i++) {
        const char *at = strchr(args[i], '%');
        if (i == PROCESS_ARGS) _exit(127);
        if (at)
            snprintf(texts[i], sizeof texts[i], "%.*s%u%s", (int)(at - args[i]), args[i], port, at + 1);
        else
            snprintf(texts[i], sizeof texts[i], "%s", args[i]);
        list[i] = texts[i];
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (null < 0 || getppid() != parent) _exit(127);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    execvp(list[0], list);
    _exit(127);
}

bool process_start(struct process *p, const char *const *args, const struct load_request *first)
{
    pid_t parent = getpid();
    char *answer;
    *p = (struct process){.port = free_port()};
    double start = now_us();
    p->pid = fork();
    if (p->pid < 0) die("fork failed");
    if (p->pid == 0) become(args, p->port, parent);
    while (!(answer = load_once(p->port, first))) {
        bool ended = waitpid(p->pid, NULL, WNOHANG) == p->pid;
        if (ended || now_us() - start > 20e6) {
            if (!ended) process_stop(p);
            p->pid = 0;
            return false;
        }
        usleep(200);
    }
    p->start_ms = (now_us() - start) * 1e-3;
    free(answer);
    return true;
}

void process_stop(struct process *p)
{
    kill(p->pid, SIGTERM);
    for (int i = 0; waitpid(p->pid, NULL, WNOHANG) == 0; i++) {
        if (i == 1000) kill(p->pid, SIGKILL);
        usleep(10000);
    }
    p->pid = 0;
}

static void place(const struct process *p, const cpu_set_t *client, const cpu_set_t *server)
{
    char path[64];
    sched_setaffinity(0, sizeof *client, client);
    snprintf(path, sizeof path, "/proc/%d/task", (int)p->pid);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.') sched_setaffinity((pid_t)strtol(e->d_name, NULL, 10), sizeof *server, server);
    if (d) closedir(d);
}

static cpu_set_t anywhere; /* as this program was started */

bool process_apart(const struct process *p)
{
    cpu_set_t client, server;
    int last = CPU_SETSIZE - 1;
    if (!CPU_COUNT(&anywhere) && sched_getaffinity(0, sizeof anywhere, &anywhere)) return false;
    if (CPU_COUNT(&anywhere) < 2) return false;
    while (!CPU_ISSET(last, &anywhere))
        last--;
    CPU_ZERO(&client);
    CPU_SET(last, &client);
    server = anywhere;
    CPU_CLR(last, &server);
    place(p, &client, &server);
    return true;
}

void process_anywhere(const struct process *p)
{
    place(p, &anywhere, &anywhere);
}

double process_cpu_s(const struct process *p)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(p->pid, &clock) || clock_gettime(clock, &t)) die("process %d is gone", (int)p->pid);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double process_resident_mib(const struct process *p)
{
    char path[64], line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)p->pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0) kib = strtod(line + 6, NULL);
    if (f) fclose(f);
    return kib / 1024;
}
