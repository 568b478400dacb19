/* server.h -- what the parts of the server suite share: the programs, the model files, the parts. */
#ifndef TESTS_BENCH_SERVER_H
#define TESTS_BENCH_SERVER_H

#include "tests/bench/bench.h"
#include "tests/bench/process.h"
#include "tests/bench/server_case.h"
#include "tests/bench/server_requests.h"

struct suite_files {                /* what the parts are run with */
    char rnnd[1024], control[1024]; /* programs; control "" where it is not there */
    char folder[64];                /* for model files, gone at the end */
    char lstm[128], onnx[128];      /* LSTM of 256 units with one output, natively; for ONNX Runtime */
    char text[256], series[256];    /* bundled models; "" if there is none */
};

/* The parts: each measures and prints its cases. The lists live to the end, for the goals. */
void part_steps(const struct suite_files *f, struct case_list *list);
void part_mixed(const struct suite_files *f, struct case_list *list);
void part_streams(const struct suite_files *f, struct case_list *list);
void part_many(const struct suite_files *f, struct case_list *list);
void part_growth(const struct suite_files *f, struct case_list *list);
void part_peers(const struct suite_files *f, struct case_list *list);

/* The files made; false, with a sentence, where there is no rnnd. */
bool files_make(struct suite_files *f);
void files_remove(const struct suite_files *f);
/* One step in each session of the ids, from the first on. */
void create_sessions(const struct process *p, struct load_ids *ids);
/* rnnd with the models lstm, text and series, or the program ends. more: NULL or options, NULL at the end. */
void start_rnnd(struct process *p, const struct suite_files *f, const char *const *more);
/* The control server: "empty" answers the same bytes to everything; false where it is not there. */
bool start_control(struct process *p, const struct suite_files *f, const char *mode);
/* Requests made once for a list; freed with free_requests(). */
struct load_request *requests_per_client(struct load_request (*make)(size_t), size_t clients);
void free_requests(struct load_request *r, size_t count);
/* A case in closed loop: requests as in struct load. */
struct server_case *case_closed(struct case_list *list, const char *name, const char *server,
                                const struct process *process, const struct load_request *requests, bool shared,
                                size_t clients);

#endif
