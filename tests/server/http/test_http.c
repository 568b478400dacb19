/* test_http.c -- the HTTP server over real sockets: many at once, streams, clients that leave, deadlines, draining;
 * what is refused before a handler sees it: test_guard.c. */
#include "server/http/http.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "tests/lib/socket.h"

enum { DEFERRED_MOST = 1024 };
#define BULK ((size_t)8 << 20)

/* ---- a server in a thread ------------------------------------------------------------------------------------ */
struct fixture {
    struct http_server *http;
    pthread_t thread;
    struct http_request *deferred[DEFERRED_MOST]; /* loop thread */
    size_t deferred_count, deferred_goal;
    struct http_call release_call;
    pthread_t worker;
    bool worker_started;
    struct http_request *held;                    /* loop thread: answered by /release */
    struct http_request *turn[8];                 /* loop thread: answered at the end of the turn */
    size_t turn_count;
    struct http_request *fed;                     /* loop thread: of /fed, has room */
    size_t pieces;                                /* that it still gets */
    atomic_int seconds, handled, client_gone, deadlines, finished, last_status, gone_records, full_seen, rooms;
};

static void release(struct http_call *call)
{
    struct fixture *f = (struct fixture *)((char *)call - offsetof(struct fixture, release_call));
    size_t n = f->deferred_count;

    f->deferred_count = 0;
    for (size_t i = 0; i < n; i++) http_answer(f->deferred[i], 200, "text/plain", "late", 4);
}

static void *work(void *context)
{
    struct fixture *f = context;

    http_call(f->http, &f->release_call);
    return NULL;
}

static void join_worker(struct fixture *f)
{
    if (f->worker_started) pthread_join(f->worker, NULL);
    f->worker_started = false;
}

static void gone(struct http_request *r, enum http_gone why, void *context)
{
    struct fixture *f = context;

    (void)r;
    atomic_fetch_add(why == HTTP_CLIENT_GONE ? &f->client_gone : &f->deadlines, 1);
}

/* Writes until the stream is full; ends after BULK bytes in all, counted in the user pointer. */
static void pump(struct http_request *r, void *context)
{
    struct fixture *f = context;
    size_t sent = (size_t)http_user(r);
    char block[1000];

    atomic_fetch_add(&f->rooms, 1);
    memset(block, 'x', sizeof block);
    while (sent < BULK && !http_stream_full(r)) {
        http_stream_write(r, block, sizeof block);
        sent += sizeof block;
    }
    http_set_user(r, (void *)sent);
    if (sent >= BULK) http_stream_close(r);
    else atomic_fetch_add(&f->full_seen, 1);
}

/* As generated text is: a stream with room goes on at the end of the turn. */
static void feed(struct http_request *r, void *context)
{
    ((struct fixture *)context)->fed = r;
}

static void feed_piece(struct fixture *f)
{
    struct http_request *r = f->fed;

    f->fed = NULL;
    if (!f->pieces) {
        http_stream_close(r);
        return;
    }
    f->pieces--;
    while (!http_stream_full(r)) http_stream_write(r, "piece", 5);
}

static void echo(struct http_request *r)
{
    size_t bytes;
    const char *body = http_body(r, &bytes), *q = http_query(r, "q");
    char *text = malloc(bytes + 1000);
    int n = snprintf(text, 1000, "%s %s q=%s ", http_method(r), http_path(r), q ? q : "-");

    memcpy(text + n, body, bytes);
    http_answer(r, 200, "text/plain", text, (size_t)n + bytes);
    free(text);
}

static void handle(void *context, struct http_request *r)
{
    struct fixture *f = context;
    const char *path = http_path(r);

    atomic_fetch_add(&f->handled, 1);
    http_on_gone(r, gone, f);
    if (strcmp(path, "/defer") == 0) {
        f->deferred[f->deferred_count++] = r;
        http_on_gone(r, NULL, NULL);
        if (f->deferred_count == f->deferred_goal) {
            join_worker(f);
            f->worker_started = pthread_create(&f->worker, NULL, work, f) == 0;
        }
    } else if (strncmp(path, "/turn/", 6) == 0) {
        http_on_gone(r, NULL, NULL);
        f->turn[f->turn_count++] = r;
    } else if (strcmp(path, "/hang") == 0) {
    } else if (strcmp(path, "/hold") == 0) {
        http_on_gone(r, NULL, NULL);
        f->held = r;
    } else if (strcmp(path, "/release") == 0) {
        http_answer(f->held, 200, "text/plain", "held", 4);
        http_answer(r, 200, "text/plain", "ok", 2);
    } else if (strcmp(path, "/bulk") == 0) {
        http_on_room(r, pump, f);
        http_stream_open(r, 200, "application/octet-stream");
        pump(r, f);
    } else if (strcmp(path, "/fed") == 0) {
        f->pieces = 20;
        http_on_room(r, feed, f);
        http_stream_open(r, 200, "text/plain");
        feed(r, f);
    } else if (strcmp(path, "/events") == 0 || strcmp(path, "/abort") == 0) {
        http_stream_open(r, 200, "text/event-stream");
        http_stream_write(r, "data: 1\n\n", 9);
        http_stream_write(r, "data: 2\n\n", 9);
        if (path[1] == 'a') http_stream_abort(r);
        else http_stream_close(r);
    } else if (strcmp(path, "/forever") == 0) {
        http_no_deadline(r);
        http_stream_open(r, 200, "text/event-stream");
        http_stream_write(r, "data: 1\n\n", 9);
    } else if (strcmp(path, "/error") == 0) {
        http_error(r, 409, "step_conflict", "step", "wanted %d, found \"%s\"", 3, "x");
    } else {
        echo(r);
    }
}

static void after_poll(void *context)
{
    struct fixture *f = context;
    size_t n = f->turn_count;

    f->turn_count = 0;
    for (size_t i = 0; i < n; i++) echo(f->turn[i]);
    if (f->fed) feed_piece(f);
}

static void every_second(void *context)
{
    atomic_fetch_add(&((struct fixture *)context)->seconds, 1);
}

static void finished(void *context, const struct http_record *record)
{
    struct fixture *f = context;

    atomic_store(&f->last_status, record->status);
    if (record->client_gone) atomic_fetch_add(&f->gone_records, 1);
    atomic_fetch_add(&f->finished, 1);
}

static void *run(void *context)
{
    http_run(((struct fixture *)context)->http);
    return NULL;
}

static struct http_options defaults(void)
{
    static const char *const hosts[] = {"api.example.org", NULL}, *const origins[] = {"https://app.example.org", NULL};

    return (struct http_options){.host = "127.0.0.1", .body_limit = 1 << 20, .connection_limit = 1000,
                                 .header_deadline_ms = 5000, .idle_ms = 20000, .request_deadline_ms = 20000,
                                 .stream_high_water = 65536, .hosts = hosts, .origins = origins};
}

static struct fixture *start(const struct http_options *o)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct http_hooks hooks = {.context = f, .handle = handle, .after_poll = after_poll,
                               .every_second = every_second, .finished = finished};
    char message[200];

    f->release_call.run = release;
    if (http_open(o, &hooks, &f->http, message, sizeof message) != 0) fail_msg("%s", message);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    return f;
}

static void stop(struct fixture *f)
{
    http_drain(f->http, 0, 300);
    pthread_join(f->thread, NULL);
    join_worker(f);
    http_close(f->http);
    free(f);
}

/* ---- a client ------------------------------------------------------------------------------------------------ */
static int dial(const struct fixture *f)
{
    return socket_dial(http_port(f->http));
}

static char *ask(const struct fixture *f, const char *request)
{
    int fd = dial(f), line = (int)strcspn(request, "\r");
    char whole[1000], *text;

    snprintf(whole, sizeof whole, "%.*s\r\nConnection: close%s", line, request, request + line);
    socket_say(fd, whole);
    text = socket_hear(fd, NULL);
    close(fd);
    return text;
}

static void wait_for(atomic_int *value, int wanted)
{
    for (int i = 0; i < 1000 && atomic_load(value) < wanted; i++) usleep(10000);
    assert_int_equal(atomic_load(value), wanted);
}

#define HOST "Host: localhost\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

/* ---- tests --------------------------------------------------------------------------------------------------- */
static void keep_alive_and_pipelining(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    int fd = dial(f);

    for (int i = 0; i < 3; i++) {
        socket_say(fd,
                   "POST /a%20b?q=x%2by+z HTTP/1.1\r\n" HOST "Content-Length: 5\r\nx-request-id: me-1\r\n\r\nhello");
        char *text = socket_hear(fd, "hello");
        assert_non_null(strstr(text, "HTTP/1.1 200 OK"));
        assert_non_null(strstr(text, "x-request-id: me-1\r\n"));
        assert_non_null(strstr(text, "POST /a b q=x+y z hello"));
    }
    socket_say(fd, GET("/one") GET("/two") "HEAD /three HTTP/1.1\r\n" HOST "\r\n" GET("/four"));
    char *text = socket_hear(fd, "/four");
    assert_non_null(strstr(text, "GET /one"));
    assert_non_null(strstr(text, "GET /two"));
    assert_null(strstr(text, "GET /three"));
    assert_non_null(strstr(text, "GET /four"));
    close(fd);
    wait_for(&f->finished, 7);
    stop(f);
}

/* As steps are: asked for, put aside, answered once all that was ready has been read. Bodies and large answers between
 * them; the client hears all in the order of its requests. */
static void answers_at_the_end_of_the_turn(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    char request[40000], *large = malloc(20001);
    int fd = dial(f);

    memset(large, 'y', 20000);
    large[20000] = 0;
    for (int i = 0; i < 20; i++) {
        socket_say(fd, GET("/turn/one"));
        assert_non_null(strstr(socket_hear(fd, "q=- "), "GET /turn/one"));
    }
    snprintf(request, sizeof request, GET("/turn/1") GET("/2") "POST /turn/3 HTTP/1.1\r\n" HOST
             "Content-Length: 20000\r\n\r\n%s" GET("/turn/4?q=1") "POST /turn/5 HTTP/1.1\r\n" HOST
             "Content-Length: 0\r\n\r\n" GET("/turn/last"), large);
    socket_say(fd, request);
    const char *text = socket_hear(fd, "/turn/last q=- ");
    static const char *const order[] = {"GET /turn/1 q=- ", "GET /2 q=- ", "POST /turn/3 q=- yyy", "GET /turn/4 q=1 ",
                                        "POST /turn/5 q=- ", "GET /turn/last q=- "};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        text = strstr(text, order[i]);
        if (!text) fail_msg("no '%s' behind the answers before it", order[i]);
    }
    close(fd);
    fd = dial(f);
    socket_say(fd, GET("/turn/gone")); /* and one who does not wait */
    close(fd);
    wait_for(&f->finished, 27);
    free(large);
    stop(f);
}

static void chunked_upload(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    char *text = ask(f, "POST /c HTTP/1.1\r\n" HOST
                        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");

    assert_non_null(strstr(text, "POST /c q=- hello world"));
    stop(f);
}

static void many_at_once(const char *request, size_t count, const char *reply)
{
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    int *fd = calloc(count, sizeof *fd);

    f->deferred_goal = count;
    for (size_t i = 0; i < count; i++) fd[i] = dial(f);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++) socket_say(fd[i], request);
        for (size_t i = 0; i < count; i++)
            if (!strstr(socket_hear(fd[i], reply), reply)) fail_msg("connection %zu of %zu was not answered", i, count);
    }
    for (size_t i = 0; i < count; i++) close(fd[i]);
    free(fd);
    stop(f);
}

static void hundreds_at_once_are_all_answered(void **unused)
{
    (void)unused;
    static const size_t counts[] = {1, 127, 128, 129, 256};

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        many_at_once(GET("/now"), counts[i], "GET /now q=- ");
        many_at_once(GET("/defer"), counts[i], "late");
    }
}

static size_t take_slowly(char *data, size_t size, size_t n, void *total)
{
    (void)data;
    if (*(size_t *)total < 100000) usleep(2000);
    *(size_t *)total += size * n;
    return size * n;
}

static CURLcode fetch(const struct fixture *f, const char *path, long version, size_t *total)
{
    CURL *curl = curl_easy_init();
    char url[100];
    CURLcode code;

    *total = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", http_port(f->http), path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, version);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_slowly);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, total);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
    code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    return code;
}

static void streams(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    size_t total;

    for (int old = 0; old < 2; old++) {
        long version = old ? CURL_HTTP_VERSION_1_0 : CURL_HTTP_VERSION_1_1;
        assert_int_equal(fetch(f, "/events", version, &total), CURLE_OK);
        assert_int_equal(total, 18);
        assert_int_equal(fetch(f, "/bulk", version, &total), CURLE_OK);
        assert_int_equal(total, (BULK + 999) / 1000 * 1000);
        assert_int_not_equal(fetch(f, "/abort", version, &total), CURLE_OK);
        if (!old) assert_int_equal(total, 18); /* what was written before came through */
    }
    assert_true(atomic_load(&f->full_seen) > 10);
    assert_int_equal(atomic_load(&f->client_gone), 0);
    char *text = ask(f, "GET /events HTTP/1.0\r\n\r\n");
    assert_null(strstr(text, "chunked"));
    assert_non_null(strstr(text, "\r\n\r\ndata: 1\n\ndata: 2\n\n"));
    stop(f);
}

/* A piece that leaves at the end of a turn makes room there and then, with nothing else left to wake the loop: were the
 * next piece to wait for that, each would take until the loop's next look at the clock, a second. */
static void a_stream_fed_as_it_has_room(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    o.stream_high_water = 1000;
    struct fixture *f = start(&o);
    char *text = ask(f, GET("/fed"));

    assert_non_null(strstr(text, "0\r\n\r\n"));
    assert_true(atomic_load(&f->seconds) < 10);
    wait_for(&f->finished, 1);
    stop(f);
}

static void a_client_that_leaves(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    int fd = dial(f);

    socket_say(fd, GET("/hang"));
    wait_for(&f->handled, 1);
    close(fd);
    wait_for(&f->client_gone, 1);
    fd = dial(f);
    socket_say(fd, GET("/forever"));
    socket_hear(fd, "data: 1");
    close(fd);
    wait_for(&f->client_gone, 2);
    fd = dial(f); /* full stream: MHD is writing when the client goes */
    socket_say(fd, GET("/bulk"));
    socket_hear(fd, "xxx");
    close(fd);
    wait_for(&f->client_gone, 3);
    wait_for(&f->gone_records, 3);
    for (int i = 0; i < 100 && http_in_flight(f->http); i++) usleep(10000);
    assert_int_equal(http_in_flight(f->http), 0);

    fd = dial(f); /* nobody asked to be told: the holder's answer goes nowhere */
    socket_say(fd, GET("/hold"));
    wait_for(&f->handled, 4);
    close(fd);
    wait_for(&f->gone_records, 4);
    assert_int_equal(http_in_flight(f->http), 1);
    assert_non_null(strstr(ask(f, GET("/release")), "ok"));
    for (int i = 0; i < 100 && http_in_flight(f->http); i++) usleep(10000);
    assert_int_equal(http_in_flight(f->http), 0);
    stop(f);
}

/* More arguments than a connection's memory holds: MHD drops the request after its target has been taken down. */
static void a_head_too_large_leaves_nothing(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    o.header_deadline_ms = 300;
    struct fixture *f = start(&o);
    char head[30000] = "GET /?", byte;
    size_t at = strlen(head);

    for (size_t i = 0; i < 3000; i++) at += (size_t)snprintf(head + at, sizeof head - at, "&a%zu=1", i);
    snprintf(head + at, sizeof head - at, " HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 3; i++) {
        int fd = dial(f);
        socket_say(fd, head); /* at once: the server may be gone before a second piece */
        while (recv(fd, &byte, 1, 0) > 0) continue;
        close(fd);
    }
    assert_int_equal(atomic_load(&f->handled), 0);
    assert_int_equal(http_in_flight(f->http), 0);
    stop(f);
}

/* POST path with `bytes` of body; the status of the answer. */
static int upload(const struct fixture *f, const char *path, size_t bytes, bool hear)
{
    char head[200], *body = malloc(bytes + 1);
    int fd = dial(f), status = 0;

    memset(body, 'x', bytes);
    body[bytes] = 0;
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\nConnection: close\r\n\r\n", path,
             bytes);
    socket_say(fd, head);
    socket_say(fd, body);
    free(body);
    if (!hear) return fd;
    const char *text = socket_hear(fd, "\r\n\r\n");
    if (strlen(text) > 12) status = (int)strtol(text + 9, NULL, 10);
    close(fd);
    return status;
}

static void memory_of_all_requests(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    o.memory_limit = 300 << 10; /* a body of 100 KB lies in 128 KiB */
    struct fixture *f = start(&o);
    int fd = upload(f, "/hold", 100000, false);

    wait_for(&f->handled, 1);
    assert_int_equal(upload(f, "/error", 100000, true), 409);
    assert_int_equal(upload(f, "/echo", 100000, true), 503); /* two bodies, no room for the answer */
    assert_int_equal(upload(f, "/error", 200000, true), 503);
    assert_int_equal(upload(f, "/release", 10, true), 200);
    close(fd);
    for (int i = 0; i < 500 && http_in_flight(f->http); i++) usleep(10000);
    assert_int_equal(upload(f, "/echo", 100000, true), 200);
    stop(f);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A client that hangs up right behind its last bytes: no edge tells of its end (loop.c). */
static void a_client_that_leaves_in_mid_upload(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    double start_s = now();

    for (int i = 0; i < 20; i++) {
        int fd = dial(f);
        socket_say(fd, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\nthe first bytes of them");
        close(fd);
    }
    wait_for(&f->gone_records, 20);
    assert_true(now() - start_s < 0.5 * o.request_deadline_ms / 1000);
    assert_int_equal(atomic_load(&f->handled), 0);
    assert_int_equal(http_in_flight(f->http), 0);
    stop(f);
}

/* All of it sent, then half of the connection closed: it is answered, then closed, long before its idle time. */
static void a_client_that_only_stops_sending(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    int fd = dial(f);
    char byte;

    socket_say(fd, GET("/one") GET("/two") GET("/three"));
    shutdown(fd, SHUT_WR);
    char *text = socket_hear(fd, "/three");
    assert_non_null(strstr(text, "GET /one"));
    assert_non_null(strstr(text, "GET /two"));
    while (recv(fd, &byte, 1, 0) > 0) continue;
    close(fd);
    assert_int_equal(atomic_load(&f->handled), 3);
    stop(f);
}

static void deadlines(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    o.request_deadline_ms = 300;
    o.header_deadline_ms = 400;
    struct fixture *f = start(&o);
    int fd = dial(f);
    double start_s = now();

    socket_say(fd, GET("/hang"));
    char *text = socket_hear(fd, "}}");
    assert_non_null(strstr(text, "HTTP/1.1 504"));
    assert_non_null(strstr(text, "\"code\":\"deadline\""));
    assert_true(now() - start_s >= 0.29);
    assert_int_equal(atomic_load(&f->deadlines), 1);
    socket_say(fd, GET("/again")); /* the connection lives on */
    assert_non_null(strstr(socket_hear(fd, "/again"), "200 OK"));
    close(fd);

    fd = dial(f); /* headers that drip */
    socket_say(fd, "GET / HTTP/1.1\r\n" HOST);
    start_s = now();
    for (int i = 0; i < 100; i++) {
        if (send(fd, "a: b\r\n", 6, MSG_NOSIGNAL) != 6) break;
        usleep(50000);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 0) == 1) break;
    }
    assert_true(now() - start_s < 3);
    assert_string_equal(socket_hear(fd, NULL), "");
    close(fd);

    fd = dial(f); /* a body that never comes */
    socket_say(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    assert_string_equal(socket_hear(fd, NULL), "");
    close(fd);
    wait_for(&f->last_status, 408);
    stop(f);
}

static void errors(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    char *text = ask(f, GET("/error"));
    assert_non_null(strstr(text, "HTTP/1.1 409"));
    assert_non_null(strstr(text, "x-should-retry: false"));
    assert_non_null(strstr(text, "{\"error\":{\"message\":\"wanted 3, found \\\"x\\\"\","
                                 "\"type\":\"invalid_request_error\","
                                 "\"param\":\"step\",\"code\":\"step_conflict\"}}"));
    stop(f);
}

static void draining_with_open_streams(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    int stream = dial(f), hang = dial(f), idle = dial(f), defer = dial(f);

    f->deferred_goal = 2;
    socket_say(stream, GET("/forever"));
    socket_hear(stream, "data: 1");
    socket_say(hang, GET("/hang"));
    socket_say(defer, GET("/defer"));
    for (int i = 0; i < 500 && http_in_flight(f->http) < 3; i++) usleep(10000);
    http_drain(f->http, 300, 500);
    assert_true(http_draining(f->http));
    assert_non_null(strstr(ask(f, GET("/during-grace")), "200 OK"));
    int second = dial(f);
    socket_say(second, GET("/defer")); /* releases both */
    assert_non_null(strstr(socket_hear(defer, "late"), "late"));
    assert_non_null(strstr(socket_hear(second, "late"), "late"));
    char *text = socket_hear(hang, "}}");
    assert_non_null(strstr(text, "HTTP/1.1 503"));
    assert_non_null(strstr(text, "\"code\":\"draining\""));
    assert_null(strstr(socket_hear(stream, NULL), "0\r\n\r\n")); /* never a clean end */
    pthread_join(f->thread, NULL);
    assert_int_equal(atomic_load(&f->deadlines), 2);
    join_worker(f);
    http_close(f->http);
    close(stream), close(hang), close(idle), close(defer), close(second);
    free(f);
}

static void closing_with_suspended_connections(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    int a = dial(f), b = dial(f);

    socket_say(a, GET("/hold"));
    socket_say(b, GET("/forever"));
    socket_hear(b, "data: 1");
    for (int i = 0; i < 500 && http_in_flight(f->http) < 2; i++) usleep(10000);
    http_drain(f->http, 0, 0);
    pthread_join(f->thread, NULL);
    http_close(f->http);
    close(a), close(b);
    free(f);
}

static void unix_socket(void **unused)
{
    (void)unused;
    char path[] = "/tmp/rnnd-test-XXXXXX", host[64];
    int fd = mkstemp(path);
    close(fd);
    unlink(path);
    snprintf(host, sizeof host, "unix:%s", path);
    struct http_options o = defaults();
    o.host = host;
    struct fixture *f = start(&o);
    CURL *curl = curl_easy_init();
    size_t total = 0;

    curl_easy_setopt(curl, CURLOPT_URL, "http://localhost/x");
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_slowly);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &total);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    assert_int_equal(total, 11);
    curl_easy_cleanup(curl);
    stop(f);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void ports_in_use_are_named(void **unused)
{
    (void)unused;
    struct http_options o = defaults();
    struct fixture *f = start(&o);
    struct http_hooks hooks = {.handle = handle};
    struct http_server *second;
    char message[200];

    o.port = http_port(f->http);
    assert_int_equal(http_open(&o, &hooks, &second, message, sizeof message), -1);
    assert_non_null(strstr(message, "in use"));
    stop(f);
}

int main(void)
{
    curl_global_init(CURL_GLOBAL_ALL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive_and_pipelining),
        cmocka_unit_test(answers_at_the_end_of_the_turn), cmocka_unit_test(chunked_upload),
        cmocka_unit_test(errors), cmocka_unit_test(streams),
        cmocka_unit_test(a_stream_fed_as_it_has_room), cmocka_unit_test(a_client_that_leaves),
        cmocka_unit_test(a_client_that_leaves_in_mid_upload),
        cmocka_unit_test(a_client_that_only_stops_sending),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(memory_of_all_requests),
        cmocka_unit_test(a_head_too_large_leaves_nothing), cmocka_unit_test(draining_with_open_streams),
        cmocka_unit_test(closing_with_suspended_connections), cmocka_unit_test(unix_socket),
        cmocka_unit_test(ports_in_use_are_named), cmocka_unit_test(hundreds_at_once_are_all_answered),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
