/* test_log.c -- request lines as text and as JSON: what they say, and that nothing of a client's breaks a line. */
#include "server/log.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char written[8192];

/* What the record becomes on stderr. */
static const char *line_of(enum log_format format, const struct http_record *r)
{
    int ends[2], stderr_before = dup(STDERR_FILENO);
    ssize_t n;

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_start(format);
    log_request(r);
    log_flush();
    dup2(stderr_before, STDERR_FILENO);
    close(stderr_before);
    close(ends[1]);
    n = read(ends[0], written, sizeof written - 1);
    close(ends[0]);
    written[n > 0 ? n : 0] = 0;
    return written;
}

/* "2026-01-31T12:00:00.123Z", within a few seconds of now. */
static void assert_time(const char *text)
{
    struct tm utc = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);

    assert_true(rest == text + 19 && rest[0] == '.' && rest[4] == 'Z');
    for (int i = 1; i < 4; i++) assert_true(isdigit((unsigned char)rest[i]));
    assert_true(labs((long)(time(NULL) - timegm(&utc))) < 10);
}

static struct http_record a_record(void)
{
    return (struct http_record){.method = "POST", .path = "/v1/sessions/a/steps", .route = "/v1/sessions/{id}/steps",
                                .client = "127.0.0.1", .request_id = "id-1", .status = 200, .bytes_in = 7,
                                .bytes_out = 1234, .seconds = 0.0123456, .first_output_seconds = 0.01};
}

static void lines_of_text(void **unused)
{
    (void)unused;
    static const struct {
        double seconds;
        int status;
        size_t bytes;
        const char *text;
    } cases[] = {{0.0123456, 200, 1234, "200 12.346 ms 1234 B"},
                 {0, 499, 0, "499 0.000 ms 0 B"},
                 {0.0009999, 404, 1, "404 1.000 ms 1 B"},
                 {61.5, 503, 4000000000u, "503 61500.000 ms 4000000000 B"}};
    char wanted[200];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_record r = a_record();
        r.seconds = cases[i].seconds;
        r.status = cases[i].status;
        r.bytes_out = cases[i].bytes;
        r.client_gone = i % 2;
        const char *line = line_of(LOG_TEXT, &r);
        snprintf(wanted, sizeof wanted, " POST /v1/sessions/a/steps %s id-1%s\n", cases[i].text,
                 i % 2 ? " client gone" : "");
        assert_time(line);
        assert_string_equal(line + 24, wanted);
    }
}

static void hostile_text(void **unused)
{
    (void)unused;
    struct http_record r = a_record();
    char path[5000];

    r.path = "/a b\n\x1b[31m\xc3\xa9\\";
    assert_non_null(strstr(line_of(LOG_TEXT, &r), " POST /a\\x20b\\x0a\\x1b[31m\\xc3\\xa9\\x5c 200 "));
    memset(path, '\n', sizeof path - 1);
    path[sizeof path - 1] = 0;
    r.path = r.method = r.request_id = path;
    const char *line = line_of(LOG_TEXT, &r);
    assert_true(strlen(line) < 1000);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    r.path = r.method = r.request_id = NULL;
    line = line_of(LOG_TEXT, &r);
    assert_string_equal(line + 24, " - - 200 12.346 ms 1234 B -\n");
}

static void lines_of_json(void **unused)
{
    (void)unused;
    struct http_record r = a_record();
    const char *line = line_of(LOG_JSON, &r);

    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_time(line + 9);
    assert_string_equal(line + 9 + 24,
                        "\",\"method\":\"POST\",\"path\":\"/v1/sessions/a/steps\","
                        "\"route\":\"/v1/sessions/{id}/steps\",\"status\":200,\"ms\":12.3456,"
                        "\"first_output_ms\":10,\"bytes_in\":7,\"bytes_out\":1234,"
                        "\"client\":\"127.0.0.1\",\"request_id\":\"id-1\"}\n");
    assert_string_equal(line_of(LOG_OFF, &r), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_of_text), cmocka_unit_test(hostile_text),
                                       cmocka_unit_test(lines_of_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
