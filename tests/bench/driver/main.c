/* main.c -- build/bench-driver [THREADS]: librnnd alone over the kernel suite's shapes, a row per shape and precision.
 *
 * Rows: name,cell,inputs,hidden,layers,batch,steps,threads,median_us,min_us,cpu_median_us,max_error. The error is -1
 * where CHECK is not set in the environment. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench.h"
#include "tests/bench/kernels/backend.h"

static void measure(const struct backend *b, const struct problem *p)
{
    const struct shape *s = &p->shape;
    struct timing t;
    void *self = b->open(p);
    if (!self) return;
    double error = backend_error(b, self, p);
    if (backend_time(b, self, budget_us(), &t))
        printf("%s,%s,%zu,%zu,%zu,%zu,%zu,%d,%.3f,%.3f,%.3f,%.2e\n", b->name, s->gru ? "gru" : "lstm", s->inputs,
               s->hidden, s->layers, s->batch, s->steps, s->threads, t.median_us, t.min_us, t.cpu_median_us, error);
    fflush(stdout);
    b->close(self);
}

int main(int argc, char **argv)
{
    static struct shape shapes[MAX_SHAPES];
    size_t count = shapes_list(shapes);
    int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
    for (size_t k = 0; k < count; k++) {
        struct problem p;
        if (threads && shapes[k].threads != threads) continue;
        problem_open(&p, &shapes[k], getenv("CHECK"));
        for (size_t i = 0; i < 3; i++)
            measure(&rnnd_backends[i], &p);
        problem_close(&p);
    }
    return 0;
}
