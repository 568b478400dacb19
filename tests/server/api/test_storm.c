/* test_storm.c -- forty clients read event streams at once, a third of them hang up; the others notice nothing.
 *
 * Meant above all for `make test SAN=thread` (a race in the server makes it exit with another status). Each stream has
 * its own seed; those that stay read the very text that the same request gives on an idle server, cut into the same
 * events, and every one that left has ended its job: the counter of cancelled jobs says so. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/server.h"

#define CLIENTS 40
#define ROUNDS 3

struct reader { /* one client */
    struct test_server *server;
    int seed;
    bool leaves;
    char *text; /* everything received */
    size_t bytes;
    int status;
};

static bool on_data(void *context, const char *data, size_t n)
{
    struct reader *r = context;

    r->text = realloc(r->text, r->bytes + n + 1);
    memcpy(r->text + r->bytes, data, n);
    r->bytes += n;
    r->text[r->bytes] = 0;
    return !(r->leaves && r->bytes > 2000);
}

static void *read_stream(void *context)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct reader *r = context;
    struct test_client *c = test_client_open(r->server);
    struct test_reply reply;
    char body[200];
    /* those who leave ask for a text without end */
    int n = snprintf(body, sizeof body,
                     "{\"model\":\"text\",\"prompt\":\"x\",\"stream\":true,\"seed\":%d,\"max_tokens\":%d}", r->seed,
                     r->leaves ? -1 : 300);

    test_stream(c, "POST", "/v1/completions", headers, body, (size_t)n, on_data, r, &reply);
    r->status = reply.status;
    test_reply_free(&reply);
    test_client_close(c);
    return NULL;
}

/* The texts of the stream's chunks, a line each; ids and times differ from stream to stream. */
static char *texts_of(const char *stream)
{
    char *out = calloc(strlen(stream) + 1, 1);
    size_t n = 0;

    for (const char *at = stream; (at = strstr(at, "\"text\":\""));) {
        at += 8;
        while (*at && *at != '"') {
            if (*at == '\\' && at[1]) out[n++] = *at++;
            out[n++] = *at++;
        }
        out[n++] = '\n'; /* in place of "text":" */
    }
    return out;
}

static void storm(void **state)
{
    struct test_server *s = test_server_start((const char *const[]){"models/tiny", NULL});
    struct test_client *c;
    char *alone[CLIENTS];
    double left = 0;

    (void)state;
    assert_non_null(s);
    c = test_client_open(s);
    for (int i = 0; i < CLIENTS; i++) {
        struct reader r = {.server = s, .seed = i};
        read_stream(&r);
        assert_int_equal(r.status, 200);
        alone[i] = texts_of(r.text);
        assert_true(strlen(alone[i]) > 100);
        free(r.text);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct reader readers[CLIENTS] = {0};
        pthread_t threads[CLIENTS];
        for (int i = 0; i < CLIENTS; i++) {
            readers[i] = (struct reader){.server = s, .seed = i, .leaves = (i + round) % 3 == 0};
            left += readers[i].leaves;
            assert_int_equal(pthread_create(&threads[i], NULL, read_stream, &readers[i]), 0);
        }
        for (int i = 0; i < CLIENTS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(readers[i].status, 200);
            if (!readers[i].leaves) {
                char *got = texts_of(readers[i].text);
                assert_string_equal(got, alone[i]);
                assert_non_null(strstr(readers[i].text, "data: [DONE]"));
                free(got);
            }
            free(readers[i].text);
        }
    }
    /* each job of a client that left ends; wait for the last, not for a time */
    for (int i = 0; i < 200 && test_metric(c, "rnnd_jobs_cancelled_total") < left; i++) usleep(50000);
    assert_int_equal((int)test_metric(c, "rnnd_jobs_cancelled_total"), (int)left);
    for (int i = 0; i < CLIENTS; i++) free(alone[i]);
    test_client_close(c);
    assert_int_equal(test_server_stop(s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(storm)};
    return cmocka_run_group_tests_name("storm", tests, NULL, NULL);
}
