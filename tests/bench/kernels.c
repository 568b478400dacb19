/* kernels.c -- suite: LSTM and GRU layers of librnnd beside oneDNN, ONNX Runtime, OpenBLAS and PyTorch.
 *
 * All backends have a shape open at once and take turns, so that what slows the machine for a while slows all of them;
 * rounds go over all shapes, so that the next finds another while. Rows go to build/bench/kernels.csv, tables to
 * standard output. */
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/kernels/peak.h"
#include "tests/bench/kernels/results.h"

#define CSV "build/bench/kernels.csv"

static struct results results;

static int rounds(void)
{
    const char *value = getenv("ROUNDS");
    long n = value ? strtol(value, NULL, 10) : 3;
    return n < 1 ? 1 : n > MAX_ROUNDS ? MAX_ROUNDS : (int)n;
}

/* Those named in ONLY, comma by comma, if that is set. */
static bool named(const char *name)
{
    const char *only = getenv("ONLY"), *at = only;
    size_t n = strlen(name);
    for (; at && (at = strstr(at, name)); at += n)
        if ((at == only || at[-1] == ',') && (at[n] == 0 || at[n] == ',')) return true;
    return !only;
}

static void add_backends(const struct backend *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *version = results.versions[results.backend_count];
        if (!named(b[i].name)) continue;
        if (b[i].load(version, sizeof *results.versions))
            results.backends[results.backend_count++] = &b[i];
        else
            printf("left out: %s: %s\n", b[i].name, version);
    }
}

/* The plugin beside this program. */
static const struct backend *find_onednn(void)
{
    char path[4096] = "";
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    char *slash = n > 0 ? strrchr(path, '/') : NULL;
    if (!slash) return NULL;
    snprintf(slash + 1, 32, "bench-onednn.so");
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct backend *found = plugin ? dlsym(plugin, ONEDNN_SYMBOL) : NULL;
    if (!found) printf("left out: onednn: %s\n", dlerror());
    return found;
}

static void find_backends(void)
{
    const struct backend *onednn = find_onednn();
    add_backends(rnnd_backends, 3);
    if (onednn) add_backends(onednn, ONEDNN_BACKENDS);
    add_backends(ort_backends, 2);
    add_backends(openblas_backends, 2);
    add_backends(&torch_backend, 1);
}

static void print_processor(void)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "model name", 10) == 0) {
            printf("processor: %s", strchr(line, ':') + 2);
            break;
        }
    if (f) fclose(f);
    printf("kernel row: %s\n", rnnd_kernel_row());
    for (size_t i = 0; i < results.backend_count; i++)
        printf("%-12s %s\n", results.backends[i]->name, results.versions[i]);
}

/* The most that was seen, behind each round: a busy machine shows less. */
static void measure_peaks(void)
{
    for (int p = FP32; p <= INT8; p++)
        for (int threads = 1; threads <= 2; threads++) {
            double gops = peak_gops(p, threads), *peak = &results.peak[p][threads];
            if (gops > *peak) *peak = gops;
        }
}

static void print_peaks(void)
{
    static const char *const names[] = {"fp32 FMA", "bf16 dot products", "int8 dot products"};
    printf("peak, 10^9 operations/s on 1 and 2 threads:\n");
    for (int p = FP32; p <= INT8; p++)
        printf("  %-18s %8.1f %8.1f\n", names[p], results.peak[p][1], results.peak[p][2]);
}

static void print_row(FILE *csv, int round, size_t k, size_t i)
{
    const struct shape *s = &results.shapes[k];
    const struct timing *t = &results.of[k][i].round[round];
    fprintf(csv, "%d,%s,%s,%zu,%zu,%zu,%zu,%zu,%d,%.3f,%.3f,%.3f,%.2e\n", round + 1, results.backends[i]->name,
            s->gru ? "gru" : "lstm", s->inputs, s->hidden, s->layers, s->batch, s->steps, s->threads, t->median_us,
            t->min_us, t->cpu_median_us, results.of[k][i].error);
}

/* Opens everybody, measures each in turn, closes. The first round compares their answers too. */
static void measure(struct problem *p, size_t k, int round, FILE *csv)
{
    void *open[MAX_BACKENDS] = {NULL};
    p->shape = results.shapes[k]; /* the number of threads is another */
    for (size_t i = 0; i < results.backend_count; i++) {
        const struct backend *b = results.backends[i];
        if (results.of[k][i].rounds != round) continue; /* one that failed is not asked again */
        if (!b->takes || b->takes(&p->shape)) open[i] = b->open(p);
        if (open[i] && round == 0) results.of[k][i].error = backend_error(b, open[i], p);
    }
    for (size_t turn = 0; turn < results.backend_count; turn++) {
        size_t i = (turn + (size_t)round) % results.backend_count;
        struct result *of = &results.of[k][i];
        if (!open[i] || !backend_time(results.backends[i], open[i], budget_us(), &of->round[round])) continue;
        of->rounds++;
        print_row(csv, round, k, i);
    }
    for (size_t i = 0; i < results.backend_count; i++)
        if (open[i]) results.backends[i]->close(open[i]);
    fflush(csv);
}

static void measure_all(int round, FILE *csv)
{
    struct problem p;
    for (size_t k = 0; k < results.shape_count; k++) {
        const struct shape *s = results.shapes;
        bool first = k == 0 || s[k].threads == 1 || s[k - 1].threads == 2;
        bool last = k + 1 == results.shape_count || s[k].threads == 2 || s[k + 1].threads == 1;
        if (first) problem_open(&p, &s[k], round == 0);
        measure(&p, k, round, csv);
        if (last) problem_close(&p);
        fprintf(stderr, "\rbench: round %d, %zu of %zu shapes ", round + 1, k + 1, results.shape_count);
    }
    fprintf(stderr, "\n");
}

/* The real-time class keeps others of a shared machine out of the figures; PRIO=0 leaves it. */
static void set_priority(int policy)
{
    const char *value = getenv("PRIO");
    struct sched_param param = {.sched_priority = policy == SCHED_OTHER ? 0 : value ? (int)strtol(value, NULL, 10) : 5};
    if (policy != SCHED_OTHER && param.sched_priority == 0) return;
    if (sched_setscheduler(0, policy, &param)) printf("no real-time priority: figures may be disturbed by others\n");
}

static void run(void)
{
    FILE *csv = fopen(CSV, "w");
    if (!csv) die("%s cannot be written", CSV);
    set_priority(SCHED_FIFO);
    find_backends();
    print_processor();
    results.shape_count = shapes_list(results.shapes);
    for (int round = 0; round < rounds(); round++) {
        measure_all(round, csv);
        measure_peaks();
    }
    fclose(csv);
    print_peaks();
    report_shapes(&results, stdout);
    report_groups(&results, stdout);
    report_reading(&results, stdout);
    set_priority(SCHED_OTHER);
    report_goals(&results, stdout);
    report_losses(&results, stdout);
}

const struct suite suite_kernels = {"kernels", "LSTM and GRU layers beside oneDNN, ONNX Runtime, OpenBLAS, PyTorch",
                                    run};
