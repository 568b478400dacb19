/* server_case.h -- the cases of the server suite: lists of them measured in interleaved rounds, medians printed.
 *
 * A list is measured as a whole: every round runs every case once, so that what else the machine does meanwhile meets
 * all of them alike. */
#ifndef TESTS_BENCH_SERVER_CASE_H
#define TESTS_BENCH_SERVER_CASE_H

#include "tests/bench/load.h"
#include "tests/bench/process.h"

#define CASE_ROUNDS 5
#define CASE_ROUND_S 0.4 /* a case takes about so long in a round */

enum figure { REQUESTS_PER_S, STEPS_PER_S, P50, P90, P99, P999, CPU_US, BUSY, RESIDENT_MIB, START_MS, FIGURES };

struct server_case {
    const char *name, *server;     /* "step_json", "rnnd" */
    const struct process *process; /* whose CPU time and memory are noted; NULL: this one */
    struct load load;              /* port and seconds are filled in */
    size_t steps;                  /* of the model in one request: tokens, rows, windows' steps */
    bool apart; /* one client: it and the server on processors of their own, the client always awake */
    size_t streams;                /* instead of a load: load.requests[0] as so many event streams */
    double (*call)(void *context); /* instead of both: runs for a round, returns calls per second */
    void *context;
    const struct server_case *beside;     /* runs all the while, without being counted */
    double figures[FIGURES][CASE_ROUNDS]; /* NAN: does not apply */
};

#define CASE_LIST 64
struct case_list {
    struct server_case cases[CASE_LIST];
    size_t count;
};

/* The new case, zeroed; the caller fills in the rest. */
struct server_case *case_add(struct case_list *list, const char *name, const char *server,
                             const struct process *process);
/* Those from number `from` on. */
void case_measure(struct case_list *list, size_t from);
/* The CSV's header, and the head of the table on stdout. */
void case_begin(const char *csv_path);
void case_print(const struct case_list *list, size_t from);
void case_end(void);
double case_figure(const struct server_case *c, enum figure f); /* its median; NAN without one */
/* By name, server and clients or streams; NULL if it was not measured. */
struct server_case *case_find(struct case_list *list, const char *name, const char *server, size_t clients);

#endif
