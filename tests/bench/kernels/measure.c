/* measure.c -- times a backend's runs and compares its answer. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/bench.h"
#include "tests/bench/kernels/backend.h"

#define MAX_SAMPLES 4000
#define SAMPLE_US 40.0 /* a sample is at least so long: shorter runs are timed several at once */
#define WARM_US 2000.0
#define LONG_US 50000.0 /* a run longer than this warms itself up */

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

double budget_us(void)
{
    const char *ms = getenv("BUDGET_MS");
    return (ms ? strtod(ms, NULL) : 15) * 1e3;
}

/* Times `runs` of them; both times are of one. False: one failed. */
static bool time_runs(const struct backend *b, void *self, size_t runs, double *us, double *cpu)
{
    double cpu_start = cpu_us(), start = now_us();
    for (size_t i = 0; i < runs; i++)
        if (!b->run(self)) return false;
    *us = (now_us() - start) / (double)runs;
    *cpu = (cpu_us() - cpu_start) / (double)runs;
    return true;
}

bool backend_time(const struct backend *b, void *self, double budget, struct timing *out)
{
    static double us[MAX_SAMPLES], cpu[MAX_SAMPLES];
    double fastest = INFINITY, start = now_us();
    size_t n = 0;
    if (b->time) return b->time(self, budget, out);
    do { /* until caches and clock are this backend's own */
        if (!time_runs(b, self, 1, us, cpu)) return false;
        if (us[0] < fastest) fastest = us[0];
    } while (now_us() - start < WARM_US);
    size_t runs = fastest < SAMPLE_US ? (size_t)(SAMPLE_US / fastest) + 1 : 1;
    if (fastest > LONG_US)
        n = 1; /* that was one */
    else
        for (start = now_us(); n < MAX_SAMPLES && (n < 3 || now_us() - start < budget); n++)
            if (!time_runs(b, self, runs, us + n, cpu + n)) return false;
    *out = (struct timing){.median_us = median(us, n), .cpu_median_us = median(cpu, n)};
    out->min_us = us[0]; /* median() has sorted them */
    return true;
}

double backend_error(const struct backend *b, void *self, const struct problem *p)
{
    size_t n = p->shape.hidden;
    double worst = 0;
    float *h = malloc(n * sizeof *h);
    if (!h) die("no memory for %zu numbers", n);
    bool good = b->run(self) && b->run(self) && p->want;
    for (size_t i = 0; i < 2 && good; i++) {
        b->row(self, i ? p->shape.batch - 1 : 0, h);
        for (size_t j = 0; j < n; j++) {
            double error = fabs((double)h[j] - p->want[i * n + j]);
            if (!(error <= worst)) worst = error; /* NaN too */
        }
    }
    free(h);
    return good ? worst : -1;
}
