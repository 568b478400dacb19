/* bench.c -- `make bench`: runs the suites named on the command line, or all, and prints their tables as CSV. */
#include <stdio.h>
#include <string.h>

#include "tests/bench/bench.h"

static const struct suite *const suites[] = {&suite_kernels, &suite_tasks, &suite_server};
#define SUITES (sizeof suites / sizeof *suites)

static const struct suite *find_suite(const char *name)
{
    for (size_t i = 0; i < SUITES; i++)
        if (strcmp(suites[i]->name, name) == 0) return suites[i];
    return NULL;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!find_suite(argv[i])) {
            fprintf(stderr, "usage: bench [SUITE ..]\n");
            for (size_t k = 0; k < SUITES; k++)
                fprintf(stderr, "  %-8s %s\n", suites[k]->name, suites[k]->what);
            return 2;
        }
    fprintf(stderr, "bench: medians of interleaved rounds; best kernel row here: %s\n", rnnd_kernel_row());
    for (size_t k = 0; k < SUITES; k++) {
        bool wanted = argc == 1;
        for (int i = 1; i < argc; i++)
            wanted |= find_suite(argv[i]) == suites[k];
        if (!wanted) continue;
        double start = now_us();
        suites[k]->run();
        fflush(stdout);
        fprintf(stderr, "bench: %s took %.1f s; its rows: build/bench/%s.csv\n", suites[k]->name,
                (now_us() - start) * 1e-6, suites[k]->name);
    }
    return 0;
}
