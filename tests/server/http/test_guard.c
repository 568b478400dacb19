/* test_guard.c -- what the server refuses before a handler sees it, as bytes on a socket, and what must pass. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/http/http_private.h"
#include "tests/lib/socket.h"

#define HOST "Host: localhost\r\n"

static pthread_t thread;

static void handle(void *context, struct http_request *r)
{
    (void)context;
    http_answer(r, 200, "text/plain", "ok", 2);
}

static void *run(void *http)
{
    http_run(http);
    return NULL;
}

static struct http_server *start(void)
{
    static const char *const hosts[] = {"api.example.org", NULL}, *const origins[] = {"https://app.example.org", NULL};
    const struct http_options o = {.host = "127.0.0.1", .body_limit = 1 << 20, .connection_limit = 100,
                                   .header_deadline_ms = 5000, .idle_ms = 20000, .request_deadline_ms = 20000,
                                   .stream_high_water = 65536, .hosts = hosts, .origins = origins};
    const struct http_hooks hooks = {.handle = handle};
    struct http_server *http;
    char message[200];

    if (http_open(&o, &hooks, &http, message, sizeof message) != 0) fail_msg("%s", message);
    assert_int_equal(pthread_create(&thread, NULL, run, http), 0);
    return http;
}

static void stop(struct http_server *http)
{
    http_drain(http, 0, 300);
    pthread_join(thread, NULL);
    http_close(http);
}

static void refused_and_passed(void **unused)
{
    (void)unused;
    static const struct { const char *request, *status; } cases[] = {
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\nhello", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\nhello", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\nhello", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\nhello", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nhello", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\nhello", "413"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n", "413"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n\r\n", "413"},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\nhello", "501"},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\nhello", "501"},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\nhello", "501"},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
        {"POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", "400"},
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "400"},
        {"GET / HTTP/1.2\r\n" HOST "\r\n", "505"},
        {"GET / HTTP/2.0\r\n" HOST "\r\n", "505"},
        {"GET / http/1.1\r\n" HOST "\r\n", "400"},
        {"GET /a%00b HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET /a?b=%00 HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET /a?b=%zz HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET /a?%4 HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET /a%zz HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET /a% HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET /../etc HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET /a/.. HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET /a/%2e%2E/b HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET /a/./b HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET a HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"CONNECT localhost:80 HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"},
        {"GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", "421"},
        {"GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", "421"},
        {"GET / HTTP/1.1\r\nHost: localhost:80x\r\n\r\n", "421"},
        {"GET http://evil.example/ HTTP/1.1\r\n" HOST "\r\n", "421"},
        {"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 5\r\n\r\nhello", "421"},
        {"GET / HTTP/1.1\r\n" HOST "Origin: https://evil.example\r\n\r\n", "403"},
        {"GET / HTTP/1.1\r\n" HOST "Origin: null\r\n\r\n", "403"},
        {"GET / HTTP/1.1\r\n" HOST "Origin: http://localhost:3000\r\n\r\n", "403"},
        {"OPTIONS / HTTP/1.1\r\n" HOST "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n",
         "403"},
        /* and what must pass */
        {"GET /a..b/...c HTTP/1.1\r\n" HOST "\r\n", "200"},
        {"GET / HTTP/1.0\r\n\r\n", "200"},
        {"GET http://localhost/x HTTP/1.1\r\n" HOST "\r\n", "200"},
        {"GET http://localhost HTTP/1.1\r\n" HOST "\r\n", "200"},
        {"GET / HTTP/1.1\r\nHost: LOCALHOST:8080\r\n\r\n", "200"},
        {"GET / HTTP/1.1\r\nHost: 127.1.2.3:99\r\n\r\n", "200"},
        {"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "200"},
        {"GET / HTTP/1.1\r\nHost: api.example.org:443\r\n\r\n", "200"},
        {"GET / HTTP/1.1\r\n" HOST "Origin: http://localhost\r\n\r\n", "200"},
        {"GET / HTTP/1.1\r\n" HOST "Origin: https://app.example.org\r\n\r\n", "200"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello", "100"},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "204"},
    };
    struct http_server *http = start();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = socket_dial(http_port(http));
        socket_say(fd, cases[i].request);
        char *text = socket_hear(fd, "\r\n\r\n");
        if (strncmp(text, "HTTP/1.", 7) != 0 || strncmp(text + 9, cases[i].status, 3) != 0)
            fail_msg("wanted %s for\n%sfound\n%s", cases[i].status, cases[i].request, text);
        close(fd);
    }
    stop(http);
}

/* Cookies, tokens and long targets fit; what does not is refused as such. */
static void heads_of_fifteen_thousand_bytes(void **unused)
{
    (void)unused;
    struct http_server *http = start();
    char text[20100];

    for (size_t n = 15000; n <= 20000; n += 5000) {
        int fd = socket_dial(http_port(http));
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "X-Long: %0*d\r\n\r\n", (int)n, 0);
        socket_say(fd, text);
        const char *status = n == 15000 ? "HTTP/1.1 200" : "HTTP/1.1 431";
        assert_memory_equal(socket_hear(fd, "\r\n\r\n"), status, strlen(status));
        close(fd);
    }
    stop(http);
}

static void too_large_is_answered_though_the_client_keeps_sending(void **unused)
{
    (void)unused;
    struct http_server *http = start();
    size_t bytes = 3 << 20;
    char *body = calloc(1, bytes), head[200];

    memset(body, 'a', bytes);
    for (int chunked = 0; chunked < 2; chunked++) {
        int fd = socket_dial(http_port(http));
        snprintf(head, sizeof head,
                 chunked ? "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n%zx\r\n"
                         : "POST / HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
                 bytes);
        socket_say(fd, head);
        for (size_t at = 0; at < bytes;) {
            ssize_t n = send(fd, body + at, bytes - at, MSG_NOSIGNAL);
            assert_true(n > 0);
            at += (size_t)n;
        }
        if (chunked) socket_say(fd, "\r\n0\r\n\r\n");
        assert_non_null(strstr(socket_hear(fd, "}}"), "HTTP/1.1 413"));
        close(fd);
    }
    free(body);
    stop(http);
}

static void an_allowed_origin_may_ask_first(void **unused)
{
    (void)unused;
    struct http_server *http = start();
    int fd = socket_dial(http_port(http));
    socket_say(fd, "OPTIONS /v1 HTTP/1.1\r\n" HOST "Origin: https://app.example.org\r\n"
                        "Access-Control-Request-Method: POST\r\n"
                        "Access-Control-Request-Headers: content-type,x-a\r\n\r\n");
    char *text = socket_hear(fd, "\r\n\r\n");
    assert_non_null(strstr(text, "HTTP/1.1 204"));
    assert_non_null(strstr(text, "Access-Control-Allow-Origin: https://app.example.org\r\n"));
    assert_non_null(strstr(text, "Access-Control-Allow-Headers: content-type,x-a\r\n"));
    close(fd);
    stop(http);
}

/* The address the server was told to listen on is one of its names, in brackets where it is IPv6. */
static void the_bound_address_is_a_host(void **unused)
{
    static const struct { char *bound; const char *host; bool allowed; } cases[] = {
        {"192.0.2.7", "192.0.2.7:8080", true},   {"192.0.2.7", "192.0.2.8", false},
        {"2001:db8::1", "[2001:db8::1]", true},  {"2001:db8::1", "[2001:db8::1]:8080", true},
        {"2001:db8::1", "2001:db8::1", false},   {"2001:db8::1", "[2001:db8::2]", false},
        {"2001:db8::1", "localhost", true},      {"0.0.0.0", "0.0.0.0", false},
        {"::", "[::]", false},                   {"unix:/run/x", "localhost", true},
    };
    char *none[] = {NULL};

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_server s = {.hosts = none, .bound_host = cases[i].bound};
        if (guard_host_allowed(&s, cases[i].host, strlen(cases[i].host)) != cases[i].allowed)
            fail_msg("at %s the host %s is %s", cases[i].bound, cases[i].host, cases[i].allowed ? "refused" : "taken");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_and_passed),
        cmocka_unit_test(heads_of_fifteen_thousand_bytes),
        cmocka_unit_test(too_large_is_answered_though_the_client_keeps_sending),
        cmocka_unit_test(an_allowed_origin_may_ask_first),
        cmocka_unit_test(the_bound_address_is_a_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
