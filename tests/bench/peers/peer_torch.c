/* peer_torch.c -- backend: PyTorch in eager mode, a Python program that is told what to do, line by line. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/kernels/backend.h"

#define PYTHON "/usr/bin/python3" /* Debian's, which has Debian's PyTorch */
#define DRIVER "tests/bench/peers/torch_driver.py"
#define LINE 65536

static FILE *to, *from;
static char *line;

static void start(void)
{
    int in[2], out[2];
    pid_t parent = getpid();
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) die("no pipe");
    pid_t pid = fork();
    if (pid < 0) die("fork failed");
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || null < 0) _exit(127);
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(null, 2);
        execl(PYTHON, PYTHON, "-I", DRIVER, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to = fdopen(in[1], "w");
    from = fdopen(out[0], "r");
    if (!line) line = malloc(LINE);
    if (!to || !from || !line) die("no memory for PyTorch's pipes");
}

/* Sends a line and waits for the answer, in `line`. */
static bool ask(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(to, format, args);
    va_end(args);
    return fputc('\n', to) != EOF && fflush(to) == 0 && fgets(line, LINE, from);
}

static bool load(char *text, size_t cap)
{
    signal(SIGPIPE, SIG_IGN);
    if (!from) start();
    bool there = fgets(line, LINE, from);
    if (there) line[strcspn(line, "\n")] = 0;
    snprintf(text, cap, "%s", there ? line : "no " PYTHON " with torch");
    return there;
}

static bool write_numbers(const char *path, const struct problem *p)
{
    const struct shape *s = &p->shape;
    size_t rows = (s->gru ? 3 : 4) * s->hidden, inputs = s->steps * s->batch * s->inputs;
    FILE *f = fopen(path, "wb");
    if (!f) return false;
    bool good = fwrite(p->x, sizeof(float), inputs, f) == inputs;
    for (size_t l = 0; l < s->layers; l++) {
        const struct onnx_layer *w = &p->layer[l];
        size_t columns = l ? s->hidden : s->inputs;
        good = good && fwrite(w->w_ih, sizeof(float), rows * columns, f) == rows * columns &&
               fwrite(w->w_hh, sizeof(float), rows * s->hidden, f) == rows * s->hidden &&
               fwrite(w->b_ih, sizeof(float), rows, f) == rows && fwrite(w->b_hh, sizeof(float), rows, f) == rows;
    }
    return (fclose(f) == 0) && good;
}

static void *open_network(const struct problem *p)
{
    static const char path[] = "build/bench/torch.f32";
    const struct shape *s = &p->shape;
    if (!write_numbers(path, p)) die("%s cannot be written", path);
    bool good = ask("open %s %zu %zu %zu %zu %zu %d %s", s->gru ? "gru" : "lstm", s->inputs, s->hidden, s->layers,
                    s->batch, s->steps, s->threads, path);
    unlink(path);
    return good ? to : NULL;
}

static bool run(void *self)
{
    (void)self;
    return ask("run");
}

static void row(void *self, size_t b, float *h)
{
    (void)self;
    if (!ask("row %zu", b)) die("PyTorch fell silent");
    char *at = line;
    for (size_t j = 0; *at && *at != '\n'; j++)
        h[j] = strtof(at, &at);
}

static bool take_time(void *self, double budget, struct timing *out)
{
    (void)self;
    return ask("time %.0f", budget) &&
           sscanf(line, "%lf %lf %lf", &out->median_us, &out->min_us, &out->cpu_median_us) == 3;
}

static void close_network(void *self)
{
    (void)self;
    ask("close");
}

const struct backend torch_backend = {.name = "torch",
                                      .load = load,
                                      .open = open_network,
                                      .run = run,
                                      .row = row,
                                      .close = close_network,
                                      .time = take_time};
