/* server.h -- for tests: a real `rnnd serve` on a free loopback port, and an HTTP client to ask it. */
#ifndef TESTS_LIB_SERVER_H
#define TESTS_LIB_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct test_server {
    pid_t pid;
    uint16_t port;
    char log[64];               /* file with what the server printed; removed at stop */
};

/* Starts the `rnnd` of this build (RNND_BIN, or the one beside build/tests) as
 *     rnnd serve --listen 127.0.0.1:PORT ARGUMENTS...
 * and waits until /readyz answers 200 (at most 30 s). arguments: flags and models, NULL-terminated. NULL on failure,
 * after printing the server's log. The server is killed when the test program dies. */
struct test_server *test_server_start(const char *const *arguments);
/* SIGTERM, then SIGKILL after 15 s. Returns the exit status, or -1 - signal. */
int test_server_stop(struct test_server *s);

struct test_reply {
    int status;                 /* 0: no answer (refused, broken off) */
    char *headers;              /* as received, zero-terminated; owned */
    char *body;                 /* zero-terminated behind bytes; owned */
    size_t bytes;
    bool broken;                /* the connection broke in the middle of the body */
};

/* One connection, kept alive; one thread at a time. */
struct test_client;
struct test_client *test_client_open(const struct test_server *s);
void test_client_close(struct test_client *c);

/* One request. headers: "Name: value" strings, NULL-terminated, or NULL. body may be NULL. No redirects, no retries,
 * and no headers of libcurl's own making besides Host, User-Agent and Accept. false: no answer (reply->status is 0). */
bool test_request(struct test_client *c, const char *method, const char *path, const char *const *headers,
                  const void *body, size_t bytes, struct test_reply *reply);
/* The same with a JSON body given as text, "Content-Type: application/json". */
bool test_json(struct test_client *c, const char *method, const char *path, const char *json, struct test_reply *reply);
/* The same, handing on the body as it arrives; returning false there hangs up. reply->body stays empty. */
bool test_stream(struct test_client *c, const char *method, const char *path, const char *const *headers,
                 const void *body, size_t bytes, bool (*on_data)(void *context, const char *data, size_t n),
                 void *context, struct test_reply *reply);
/* The value of a header (case-insensitive), copied; false if absent. */
bool test_reply_header(const struct test_reply *reply, const char *name, char *out, size_t cap);
void test_reply_free(struct test_reply *reply);
/* The value of one sample of GET /metrics, by its exact text before the value ("rnnd_steps_total"); -1 if absent. */
double test_metric(struct test_client *c, const char *sample);

#endif
