/* test_guesses.c -- models of text and series that rest on a guess: refused on every route that computes, and where
 * guesses are accepted, named in every form of reply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/reply.h"

#define TEXT "text=tests/vectors/guess/text.onnx"
#define SERIES "series=tests/vectors/guess/series.onnx"
#define GUESS "input \\\"rate\\\" is always 16000, the number that the graph compares it with"

static struct test_server *server;
static struct test_client *client;

static int refusing(void **state)
{
    (void)state;
    server = test_server_start((const char *const[]){TEXT, SERIES, NULL});
    if (!server) return -1;
    client = test_client_open(server);
    return 0;
}

static int accepting(void **state)
{
    (void)state;
    server = test_server_start((const char *const[]){"--accept-guesses", TEXT, SERIES, NULL});
    if (!server) return -1;
    client = test_client_open(server);
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_client_close(client);
    return test_server_stop(server);
}

/* The reply's text, owned; type and accept may be NULL (JSON, anything). */
static char *post(const char *path, const char *type, const char *accept, const char *body, int status, char header[64])
{
    char content[80], wanted[80];
    const char *headers[3] = {content, wanted, NULL};
    struct test_reply r;
    snprintf(content, sizeof content, "Content-Type: %s", type ? type : "application/json");
    snprintf(wanted, sizeof wanted, "Accept: %s", accept ? accept : "*/*");
    assert_true(test_request(client, "POST", path, headers, body, strlen(body), &r));
    if (r.status != status) fail_msg("%s: %d, wanted %d: %.400s", path, r.status, status, r.body);
    if (header && !test_reply_header(&r, "x-rnnd-assumed", header, 64)) header[0] = 0;
    char *text = strdup(r.body);
    test_reply_free(&r);
    return text;
}

static void refused(const char *path, const char *accept, const char *body, const char *task)
{
    char *text = post(path, NULL, accept, body, 409, NULL), part[64];
    snprintf(part, sizeof part, "\"task\":\"%s\"", task);
    if (!strstr(text, "\"code\":\"model_unconfirmed\"") || !strstr(text, GUESS) || !strstr(text, "\"value\":16000") ||
        !strstr(text, part)) /* the side file keeps what stands in the one there is */
        fail_msg("%s: %s", path, text);
    free(text);
}

static void every_route_refuses(void **state)
{
    (void)state;
    static const char chat[] = "{\"model\":\"text\",\"messages\":[{\"role\":\"user\",\"content\":\"ab\"}]%s}";
    static const char *const streams[] = {"", ",\"stream\":true"};
    char json[200];
    for (size_t i = 0; i < 2; i++) {
        snprintf(json, sizeof json, "{\"model\":\"text\",\"prompt\":\"ab\",\"max_tokens\":3%s}", streams[i]);
        refused("/v1/completions", NULL, json, "text");
        snprintf(json, sizeof json, chat, streams[i]);
        refused("/v1/chat/completions", NULL, json, "text");
    }
    refused("/v1/score", NULL, "{\"model\":\"text\",\"text\":\"ab c\"}", "text");
    refused("/v1/forecast", NULL, "{\"model\":\"series\",\"series\":[1,2,3],\"horizon\":2}", "series");
    refused("/v1/forecast", "text/csv", "{\"model\":\"series\",\"series\":[1,2,3],\"horizon\":2}", "series");
    refused("/v1/sessions/a/steps", "text/event-stream", "{\"model\":\"series\",\"inputs\":[[1]]}", "series");
    refused("/v1/sessions/a/steps", "application/x-ndjson", "{\"model\":\"text\",\"text\":\"ab\"}", "text");
    refused("/v1/sessions", NULL, "{\"model\":\"series\",\"id\":\"b\"}", "series");
    char *rows = post("/v1/steps", "application/x-ndjson", NULL,
                      "{\"session\":\"c\",\"model\":\"series\",\"inputs\":[[1]]}\n", 200, NULL);
    assert_non_null(strstr(rows, "\"status\":409"));
    assert_non_null(strstr(rows, "\"code\":\"model_unconfirmed\""));
    free(rows);
}

/* In the reply, and in nothing before `last`, the beginning of the part that ends a stream. */
static void named(const char *path, const char *accept, const char *body, const char *last)
{
    char *text = post(path, NULL, accept, body, strcmp(path, "/v1/sessions") ? 200 : 201, NULL);
    const char *at = strstr(text, "\"assumed\":[\"" GUESS "\"]");
    if (!at) fail_msg("%s: no guess in %.600s", path, text);
    if (last && !strstr(text, last)) fail_msg("%s: no %s in %.600s", path, last, text);
    for (const char *more = text; last && (more = strstr(more, last)); more++)
        if (more > at) fail_msg("%s: named before its last part: %.600s", path, text);
    free(text);
}

static void every_reply_names_them(void **state)
{
    (void)state;
    named("/v1/completions", NULL, "{\"model\":\"text\",\"prompt\":\"ab\",\"max_tokens\":3}", NULL);
    named("/v1/completions", NULL, "{\"model\":\"text\",\"prompt\":\"ab\",\"max_tokens\":3,\"stream\":true}",
          "\"finish_reason\":null");
    named("/v1/score", NULL, "{\"model\":\"text\",\"text\":\"ab c\"}", NULL);
    named("/v1/forecast", NULL, "{\"model\":\"series\",\"series\":[1,2,3],\"horizon\":2}", NULL);
    named("/v1/sessions", NULL, "{\"model\":\"series\",\"id\":\"a\"}", NULL);
    named("/v1/sessions/a/steps", NULL, "{\"inputs\":[[1],[2]]}", NULL);
    named("/v1/sessions/a/steps", "text/event-stream", "{\"inputs\":[[1],[2],[3]]}", "data: {\"step\":3,");
    named("/v1/sessions/a/steps", "application/x-ndjson", "{\"inputs\":[[1],[2],[3]]}", "{\"step\":6,");
    named("/v1/steps", NULL, "{\"session\":\"a\",\"inputs\":[[1]]}\n", NULL);
}

/* A reply that is no JSON has the header. */
static void headers_count_them(void **state)
{
    (void)state;
    char header[64];
    free(
        post("/v1/forecast", NULL, "text/csv", "{\"model\":\"series\",\"series\":[1,2,3],\"horizon\":2}", 200, header));
    assert_string_equal(header, "1");
    free(post("/v1/models/series:predict", "text/csv", "text/csv", "1\n2\n", 200, header));
    assert_string_equal(header, "1");
    free(post("/v1/forecast?model=series&horizon=2", "text/csv", "text/csv", "1\n2\n3\n", 200, header));
    assert_string_equal(header, "1");
}

/* Rows of bytes, of which one fails: the header counts what those that were computed rest on. */
static void rows_of_bytes_count_them(void **state)
{
    static const char rows[] = "\1\0\0\0\4\0\0\0\377\377\377\377\377\377\377\377a\0\0\0\0\0\200\77"
                               "\1\0\0\0\4\0\0\0\1\0\0\0\0\0\0\0b\0\0\0\0\0\200\77";
    static const char *const headers[] = {"Content-Type: application/octet-stream", NULL};
    struct test_reply r;
    char header[64] = "";
    (void)state;
    assert_true(test_request(client, "POST", "/v1/steps?model=series", headers, rows, sizeof rows - 1, &r));
    assert_int_equal(r.status, 200);
    assert_true(test_reply_header(&r, "x-rnnd-assumed", header, sizeof header));
    assert_string_equal(header, "1");
    test_reply_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(every_route_refuses, refusing, end),
                                       cmocka_unit_test_setup_teardown(every_reply_names_them, accepting, end),
                                       cmocka_unit_test_setup_teardown(headers_count_them, accepting, end),
                                       cmocka_unit_test_setup_teardown(rows_of_bytes_count_them, accepting, end)};
    return cmocka_run_group_tests_name("guesses", tests, NULL, NULL);
}
