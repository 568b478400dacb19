/* test_windows.c -- windows of several requests, run together, answer as each alone, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "tests/lib/server.h"

#define REQUESTS 12

static struct test_server *server;

static int begin(void **state)
{
    static const char *const arguments[] = {"--test-hooks", "models/tiny/lstm.safetensors",
                                            "models/tiny/bigru.safetensors", NULL};
    (void)state;
    server = test_server_start(arguments);
    return server ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return test_server_stop(server);
}

/* Most are one window of 5 steps; some are longer, several at once, or ask for the state. */
static void make_body(char *out, size_t cap, size_t number, size_t inputs)
{
    size_t steps = number % 6 == 4 ? 7 : 5, windows = number == 3 ? 3 : 1, at = 0;
    at += (size_t)snprintf(out, cap, "{%s\"instances\":[", number == 6 ? "\"return\":[\"outputs\",\"h\"]," : "");
    for (size_t w = 0; w < windows; w++)
        for (size_t t = 0; t < steps; t++)
            for (size_t i = 0; i < inputs; i++)
                at += (size_t)snprintf(out + at, cap - at, "%s%.3f%s", i ? "," : t ? ",[" : w ? ",[[" : "[[",
                                       (double)((number * 131 + w * 37 + t * 17 + i * 7) % 200) / 100 - 1,
                                       i + 1 < inputs ? "" : t + 1 < steps ? "]" : "]]");
    snprintf(out + at, cap - at, "]}");
}

struct client {
    pthread_t thread;
    const char *path, *body;
    char *answer; /* NULL: none, or no 200 */
};

static void *ask(void *argument)
{
    struct client *c = argument;
    struct test_client *client = test_client_open(server);
    struct test_reply reply;
    if (test_json(client, "POST", c->path, c->body, &reply)) {
        if (reply.status == 200) c->answer = strdup(reply.body);
        else fprintf(stderr, "%s: %d %s\n", c->body, reply.status, reply.body);
        test_reply_free(&reply);
    }
    test_client_close(client);
    return NULL;
}

static void together_as_alone(const char *path, size_t inputs)
{
    static char bodies[REQUESTS][4096];
    struct client alone[REQUESTS], crowd[REQUESTS];
    struct test_client *client = test_client_open(server);
    struct test_reply reply;
    for (size_t i = 0; i < REQUESTS; i++) {
        make_body(bodies[i], sizeof bodies[i], i, inputs);
        alone[i] = crowd[i] = (struct client){.path = path, .body = bodies[i]};
        ask(&alone[i]);
    }
    assert_true(test_json(client, "POST", "/test/hold", "{\"jobs\":12}", &reply));
    assert_int_equal(reply.status, 200);
    test_reply_free(&reply);
    for (size_t i = 0; i < REQUESTS; i++) assert_int_equal(pthread_create(&crowd[i].thread, NULL, ask, &crowd[i]), 0);
    for (size_t i = 0; i < REQUESTS; i++) {
        pthread_join(crowd[i].thread, NULL);
        assert_non_null(alone[i].answer);
        assert_non_null(crowd[i].answer);
        assert_string_equal(alone[i].answer, crowd[i].answer);
        free(alone[i].answer);
        free(crowd[i].answer);
    }
    test_client_close(client);
}

static void an_lstm(void **unused)
{
    (void)unused;
    together_as_alone("/v1/models/lstm:predict", 3);
}

static void both_ways(void **unused)
{
    (void)unused;
    together_as_alone("/v1/models/bigru:predict", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_lstm), cmocka_unit_test(both_ways)};
    return cmocka_run_group_tests(tests, begin, end);
}
