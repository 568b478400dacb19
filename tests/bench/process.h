/* process.h -- servers as child processes: started, asked for their CPU time and memory, stopped. */
#ifndef TESTS_BENCH_PROCESS_H
#define TESTS_BENCH_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "tests/bench/load.h"

#define PROCESS_ARGS 16

struct process {
    pid_t pid;
    uint16_t port;
    double start_ms; /* from fork to the first answered request */
};

/* The path of a program of the build this one belongs to; false if it is not there. */
bool process_find(const char *name, char *path, size_t cap);
/* Runs args (program first, NULL at the end) with every "%" in them replaced by a free port, until it answers `first`
 * with a 2xx. Its output goes nowhere, it never outlives this process. False where it ended, or does not answer within
 * 20 s. */
bool process_start(struct process *p, const char *const *args, const struct load_request *first);
/* SIGTERM, and SIGKILL after ten seconds. */
void process_stop(struct process *p);
/* Puts this thread on the last processor and all threads of the server on the others; false, and no effect, where there
 * is one alone. */
bool process_apart(const struct process *p);
void process_anywhere(const struct process *p);
double process_cpu_s(const struct process *p); /* user and system time of all its threads so far */
double process_resident_mib(const struct process *p);

#endif
