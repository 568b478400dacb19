/* load_streams.c -- event streams read to their end, and the tokens that each says it had. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "tests/bench/bench.h"
#include "tests/bench/load_private.h"

/* Keeps the last part of what was read, which holds the end of a stream and its usage. */
static void keep_tail(struct connection *c)
{
    size_t tail = 4096;
    if (c->got < LOAD_BUFFER / 2) return;
    memmove(c->buffer, c->buffer + c->got - tail, tail);
    c->got = tail;
    c->buffer[tail] = 0;
}

/* Reads once; true when the stream has ended. */
static bool read_stream(struct connection *c, double *tokens)
{
    bool first = c->got == 0, ended;
    if (!load_receive(c)) die("a stream broke");
    if (first && !load_accepted(c)) die("refused: %.300s", c->buffer);
    ended = c->got >= 5 && memcmp(c->buffer + c->got - 5, "0\r\n\r\n", 5) == 0;
    if (ended) {
        const char *usage = strstr(c->buffer, "\"completion_tokens\":");
        if (!usage) die("a stream ended without its usage: %.300s", c->buffer);
        *tokens += strtod(usage + 20, NULL);
    }
    keep_tail(c);
    return ended;
}

double load_streams(uint16_t port, const struct load_request *request, size_t streams, double *tokens)
{
    struct connection *all = load_connect(port, streams);
    int poll = load_watch(all, streams);
    double start = now_us();
    *tokens = 0;
    for (size_t i = 0; i < streams; i++)
        load_send(&all[i], request);
    for (size_t waiting = streams; waiting;) {
        struct epoll_event events[64];
        int n = epoll_wait(poll, events, 64, 20000);
        if (n <= 0) die("a stream fell silent for 20 s");
        for (int k = 0; k < n; k++)
            waiting -= read_stream(events[k].data.ptr, tokens);
    }
    double seconds = (now_us() - start) * 1e-6;
    load_hang_up(all, streams, poll);
    return *tokens / seconds;
}
