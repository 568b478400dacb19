/* load.c -- plain sockets, epoll, and as little work per answer as counting its bytes. */
#include "tests/bench/load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define BUFFER 65536

struct connection {
    int fd;
    const char *request;
    size_t request_bytes, got;
    double sent_us;
    char buffer[BUFFER];
};

static int dial(uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
    return -1;
}

static bool send_request(struct connection *c)
{
    c->got = 0;
    c->sent_us = now_us();
    return send(c->fd, c->request, c->request_bytes, MSG_NOSIGNAL) == (ssize_t)c->request_bytes;
}

static bool receive(struct connection *c)
{
    if (c->got == BUFFER - 1) return false;
    ssize_t n = recv(c->fd, c->buffer + c->got, BUFFER - 1 - c->got, 0);
    if (n <= 0) return false;
    c->got += (size_t)n;
    c->buffer[c->got] = 0;
    return true;
}

static bool accepted(const struct connection *c)
{
    return c->got > 12 && memcmp(c->buffer, "HTTP/1.1 2", 10) == 0;
}

/* Is the answer there as a whole? */
static bool complete(const struct connection *c)
{
    const char *end = strstr(c->buffer, "\r\n\r\n"), *length;
    if (!end) return false;
    length = strcasestr(c->buffer, "\r\ncontent-length:");
    if (!length || length > end) return false;
    return c->got >= (size_t)(end + 4 - c->buffer) + strtoul(length + 17, NULL, 10);
}

static struct connection *connect_all(uint16_t port, char *const *requests, size_t clients)
{
    struct connection *all = calloc(clients, sizeof *all);
    if (!all) die("no memory for %zu connections", clients);
    for (size_t i = 0; i < clients; i++) {
        all[i].request = requests[i];
        all[i].request_bytes = strlen(requests[i]);
        all[i].fd = dial(port);
        if (all[i].fd < 0) die("connection %zu to port %u failed", i, port);
    }
    return all;
}

static int watch(struct connection *all, size_t clients)
{
    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < clients; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &e) != 0) die("epoll failed");
    }
    return poll;
}

static void hang_up(struct connection *all, size_t clients, int poll)
{
    for (size_t i = 0; i < clients; i++) close(all[i].fd);
    close(poll);
    free(all);
}

void load_run(uint16_t port, char *const *requests, size_t clients, double seconds, struct load_result *out)
{
    struct connection *all = connect_all(port, requests, clients);
    size_t cap = 1 << 20, count = 0, waiting = clients;
    double *latency = malloc(cap * sizeof *latency);
    int poll = watch(all, clients);
    if (!latency) die("no memory for %zu latencies", cap);
    for (size_t i = 0; i < clients; i++) /* a first request each, to warm up */
        if (!send_request(&all[i])) die("sending failed");
    for (size_t i = 0; i < clients; i++)
        while (!complete(&all[i]))
            if (!receive(&all[i])) die("no answer to: %.60s", requests[i]);
    double start = now_us(), end = start + seconds * 1e6, now = start;
    for (size_t i = 0; i < clients; i++) send_request(&all[i]);
    while (waiting) {
        struct epoll_event events[64];
        int n = epoll_wait(poll, events, 64, 10000);
        if (n <= 0) die("no answer within 10 s");
        for (int k = 0; k < n; k++) {
            struct connection *c = events[k].data.ptr;
            if (!receive(c)) die("a connection broke");
            if (!complete(c)) continue;
            now = now_us();
            if (!accepted(c)) die("refused: %.300s", c->buffer);
            if (count < cap) latency[count++] = now - c->sent_us;
            if (now < end)
                send_request(c);
            else
                waiting--;
        }
    }
    out->requests_per_s = (double)count / ((now - start) * 1e-6);
    out->p50_us = quantile(latency, count, 0.5);
    out->p99_us = quantile(latency, count, 0.99);
    free(latency);
    hang_up(all, clients, poll);
}

/* Keeps the last part of what was read, which holds the end of a stream and its usage. */
static void keep_tail(struct connection *c)
{
    size_t tail = 4096;
    if (c->got < BUFFER / 2) return;
    memmove(c->buffer, c->buffer + c->got - tail, tail);
    c->got = tail;
    c->buffer[tail] = 0;
}

double load_streams(uint16_t port, const char *request, size_t streams)
{
    char *requests[64] = {NULL};
    double tokens = 0;
    if (streams > 64) die("at most 64 streams");
    for (size_t i = 0; i < streams; i++) requests[i] = (char *)(uintptr_t)request;
    struct connection *all = connect_all(port, requests, streams);
    int poll = watch(all, streams);
    double start = now_us();
    for (size_t i = 0; i < streams; i++)
        if (!send_request(&all[i])) die("sending failed");
    for (size_t waiting = streams; waiting;) {
        struct epoll_event events[64];
        int n = epoll_wait(poll, events, 64, 20000);
        if (n <= 0) die("a stream fell silent for 20 s");
        for (int k = 0; k < n; k++) {
            struct connection *c = events[k].data.ptr;
            bool first = c->got == 0;
            if (!receive(c)) die("a stream broke");
            if (first && !accepted(c)) die("refused: %.300s", c->buffer);
            if (c->got >= 5 && memcmp(c->buffer + c->got - 5, "0\r\n\r\n", 5) == 0) {
                const char *usage = strstr(c->buffer, "\"completion_tokens\":");
                if (!usage) die("a stream ended without its usage: %.300s", c->buffer);
                tokens += strtod(usage + 20, NULL);
                waiting--;
            }
            keep_tail(c);
        }
    }
    double seconds = (now_us() - start) * 1e-6;
    hang_up(all, streams, poll);
    return tokens / seconds;
}

bool load_once(uint16_t port, const char *request)
{
    struct connection *c = calloc(1, sizeof *c);
    if (!c) die("no memory for a connection");
    c->fd = dial(port);
    c->request = request;
    c->request_bytes = strlen(request);
    bool good = c->fd >= 0 && send_request(c);
    while (good && !complete(c)) good = receive(c);
    good = good && accepted(c);
    if (c->fd >= 0) close(c->fd);
    free(c);
    return good;
}

char *load_request(const char *path, const char *body)
{
    char *text = NULL;
    int n = body ? asprintf(&text,
                            "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                            "Content-Length: %zu\r\n\r\n%s",
                            path, strlen(body), body)
                 : asprintf(&text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    if (n < 0) die("no memory for a request");
    return text;
}
