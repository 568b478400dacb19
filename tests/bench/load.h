/* load.h -- a load generator over plain sockets: many kept connections in one thread, closed or open loop, and readers
 * of event streams.
 *
 * Closed loop: each client sends its next request when it has its answer; latency from there. Open loop: requests fall
 * due at a fixed mean rate, whatever the server does, with exponential gaps (independent clients); latency counts from
 * when a request was due, so that the time it waited for a free connection is part of it. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct load_ids {    /* session numbers in random order, each once before any comes again */
    uint32_t *order; /* [count] */
    size_t count, next;
};

struct load_request { /* a whole HTTP request, sent again and again */
    char *bytes;      /* owned */
    size_t length;
    /* where each sending gets new session numbers, LOAD_DIGITS digits each; rows 0: nowhere */
    struct load_ids *ids; /* borrowed */
    size_t id_at, id_stride, rows;
};
#define LOAD_DIGITS 7

struct load {
    uint16_t port;
    size_t clients;                      /* kept connections */
    const struct load_request *requests; /* [clients], or one for all */
    bool shared;                         /* requests is one for all */
    double seconds;
    double rate; /* requests a second; 0: closed loop */
    bool awake;  /* polls without sleeping: waking an idle processor may take longer than an answer */
};

struct load_result {
    size_t requests; /* answered, all with 2xx */
    double seconds, requests_per_s;
    double p50_us, p90_us, p99_us, p999_us;
};

/* Every answer must be a 2xx with a Content-Length; anything else ends the program with what was answered. Each client
 * first sends one request that is not counted. between(context), if not NULL, is called between that and the rest. */
void load_run(const struct load *load, void (*between)(void *context), void *context, struct load_result *out);

/* So many connections send the same request at once and read event streams to their end; returns tokens per second by
 * the "completion_tokens" that each reports; *tokens their sum. */
double load_streams(uint16_t port, const struct load_request *request, size_t streams, double *tokens);

/* One request on a connection of its own: the body of its answer as a string, free() it; NULL if there was no 2xx (no
 * connection included). */
char *load_once(uint16_t port, const struct load_request *request);

/* "POST path HTTP/1.1" with a body of that type, or GET where body is NULL. */
struct load_request load_request(const char *path, const char *type, const void *body, size_t body_bytes);
/* The numbers 0 .. count - 1 shuffled, the same in every run; free(ids->order). */
void load_shuffle(struct load_ids *ids, size_t count);

#endif
