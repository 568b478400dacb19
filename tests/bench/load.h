/* load.h -- a load generator over plain sockets: many kept connections in one thread, and readers of event streams. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct load_result {
    double requests_per_s, p50_us, p99_us;
};

/* One connection per request text (whole HTTP requests with Content-Length answers): each sends its request again as
 * soon as it is answered, for so long. Every answer must be a 2xx. */
void load_run(uint16_t port, char *const *requests, size_t clients, double seconds, struct load_result *out);
/* So many connections send the same request at once and read event streams to their end; returns tokens per second by
 * the "completion_tokens" that each reports. */
double load_streams(uint16_t port, const char *request, size_t streams);
/* One request on a connection of its own; false if there was no 2xx (no connection included). */
bool load_once(uint16_t port, const char *request);
/* "POST path HTTP/1.1" with a JSON body, or GET where body is NULL; free() it. */
char *load_request(const char *path, const char *body);

#endif
