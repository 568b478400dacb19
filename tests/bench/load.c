/* load.c -- plain sockets, epoll, and as little work per answer as counting its bytes. */
#include "tests/bench/load.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/load_private.h"

#define SILENCE_US 20e6 /* no answer for so long: the server hangs */

/* ---- connections ------------------------------------------------------------------------------------------------- */

static int dial(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
    return -1;
}

struct connection *load_connect(uint16_t port, size_t clients)
{
    struct connection *all = calloc(clients, sizeof *all);
    if (!all) die("no memory for %zu connections", clients);
    for (size_t i = 0; i < clients; i++) {
        all[i].fd = dial(port);
        if (all[i].fd < 0) die("connection %zu to port %u failed", i, port);
    }
    return all;
}

int load_watch(struct connection *all, size_t clients)
{
    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < clients; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &e) != 0) die("epoll failed");
    }
    return poll;
}

void load_hang_up(struct connection *all, size_t clients, int poll)
{
    for (size_t i = 0; i < clients; i++)
        close(all[i].fd);
    close(poll);
    free(all);
}

static void put_ids(const struct load_request *r)
{
    struct load_ids *ids = r->ids;
    for (size_t i = 0; i < r->rows; i++) {
        char *digits = r->bytes + r->id_at + i * r->id_stride;
        uint32_t id = ids->order[ids->next++];
        if (ids->next == ids->count) ids->next = 0;
        for (size_t k = LOAD_DIGITS; k-- > 0; id /= 10)
            digits[k] = (char)('0' + id % 10);
    }
}

void load_send(struct connection *c, const struct load_request *r)
{
    put_ids(r);
    c->got = c->left = 0;
    c->in_body = false;
    for (size_t sent = 0; sent < r->length;) {
        ssize_t n = send(c->fd, r->bytes + sent, r->length - sent, MSG_NOSIGNAL);
        if (n <= 0) die("sending %zu bytes failed: the server hung up", r->length);
        sent += (size_t)n;
    }
}

bool load_receive(struct connection *c)
{
    if (c->got == LOAD_BUFFER - 1) return false;
    ssize_t n = recv(c->fd, c->buffer + c->got, LOAD_BUFFER - 1 - c->got, 0);
    if (n <= 0) return false;
    c->got += (size_t)n;
    c->buffer[c->got] = 0;
    return true;
}

bool load_accepted(const struct connection *c)
{
    return c->got > 12 && memcmp(c->buffer, "HTTP/1.1 2", 10) == 0;
}

/* The head is there: how much of the body is still to come. */
static bool begin_body(struct connection *c)
{
    const char *end = strstr(c->buffer, "\r\n\r\n");
    if (!end) return false;
    const char *length = strcasestr(c->buffer, "\r\ncontent-length:");
    if (!load_accepted(c) || !length || length > end) die("refused: %.300s", c->buffer);
    size_t whole = (size_t)(end + 4 - c->buffer) + strtoul(length + 17, NULL, 10);
    if (whole < c->got) die("more was answered than asked: %.300s", c->buffer);
    c->left = whole - c->got;
    return c->in_body = true;
}

/* Reads once; true when the answer is there as a whole. Of long bodies only the bytes are counted. */
static bool read_answer(struct connection *c)
{
    static char passing[1 << 20];
    if (!c->in_body) {
        if (!load_receive(c)) die("the server hung up, or its head is too long: %.100s", c->buffer);
        return begin_body(c) && c->left == 0;
    }
    ssize_t n = recv(c->fd, passing, c->left < sizeof passing ? c->left : sizeof passing, 0);
    if (n <= 0) die("the server hung up in the middle of an answer");
    c->left -= (size_t)n;
    return c->left == 0;
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

struct run {
    const struct load *load;
    struct connection *all, *idle; /* open loop: those that wait for the next request due */
    int poll;
    double *latency;
    size_t cap, count, waiting; /* answers to come */
    double end_us, last_us, next_due_us;
    uint64_t random;
};

static const struct load_request *request_of(const struct run *r, const struct connection *c)
{
    return &r->load->requests[r->load->shared ? 0 : (size_t)(c - r->all)];
}

static void note(struct run *r, double latency_us)
{
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 1 << 16;
        r->latency = realloc(r->latency, r->cap * sizeof *r->latency);
        if (!r->latency) die("no memory for %zu latencies", r->cap);
    }
    r->latency[r->count++] = latency_us;
}

/* Microseconds to the next request of an open loop: exponential, so that requests come as from many clients that know
 * nothing of each other. */
static double gap_us(struct run *r)
{
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    double u = ((double)(r->random >> 11) + 0.5) * 0x1p-53;
    return -log(u) * 1e6 / r->load->rate;
}

/* Sends what is due and finds a connection. */
static void send_due(struct run *r)
{
    while (r->idle && r->next_due_us <= now_us() && r->next_due_us < r->end_us) {
        struct connection *c = r->idle;
        r->idle = c->next_idle;
        c->due_us = r->next_due_us;
        r->next_due_us += gap_us(r);
        r->waiting++;
        load_send(c, request_of(r, c));
    }
}

static void answered(struct run *r, struct connection *c)
{
    r->last_us = now_us();
    note(r, r->last_us - c->due_us);
    if (r->load->rate > 0) {
        r->waiting--;
        c->next_idle = r->idle;
        r->idle = c;
    } else if (r->last_us < r->end_us) {
        c->due_us = r->last_us;
        load_send(c, request_of(r, c));
    } else {
        r->waiting--;
    }
}

static void wait_for_answers(struct run *r)
{
    struct epoll_event events[64];
    bool to_send = r->load->rate > 0 && r->idle && r->next_due_us < r->end_us;
    double wait_us = to_send ? r->next_due_us - now_us() : SILENCE_US;
    if (wait_us < 0) wait_us = 0;
    struct timespec wait = {(time_t)(wait_us * 1e-6), (long)(fmod(wait_us, 1e6) * 1e3)};
    int n;
    if (r->load->awake) {
        double until = now_us() + wait_us;
        while ((n = epoll_wait(r->poll, events, 64, 0)) == 0 && now_us() < until)
            continue;
    } else {
        n = epoll_pwait2(r->poll, events, 64, &wait, NULL);
    }
    if (n < 0 || (n == 0 && !to_send)) die("no answer within %.0f s", SILENCE_US * 1e-6);
    for (int k = 0; k < n; k++)
        if (read_answer(events[k].data.ptr)) answered(r, events[k].data.ptr);
}

static void warm_up(struct run *r)
{
    for (size_t i = 0; i < r->load->clients; i++)
        load_send(&r->all[i], request_of(r, &r->all[i]));
    for (size_t i = 0; i < r->load->clients; i++)
        while (!read_answer(&r->all[i]))
            continue;
}

void load_run(const struct load *load, void (*between)(void *context), void *context, struct load_result *out)
{
    struct run r = {.load = load, .random = 1};
    r.all = load_connect(load->port, load->clients);
    r.poll = load_watch(r.all, load->clients);
    prctl(PR_SET_TIMERSLACK, 1ul); /* waits end when they should, not 50 us later */
    warm_up(&r);
    if (between) between(context);
    double start = now_us();
    r.end_us = start + load->seconds * 1e6;
    if (load->rate > 0) {
        for (size_t i = 0; i < load->clients; i++)
            r.all[i].next_idle = i + 1 < load->clients ? &r.all[i + 1] : NULL;
        r.idle = r.all;
        r.next_due_us = start + gap_us(&r);
    } else {
        r.waiting = load->clients;
        for (size_t i = 0; i < load->clients; i++) {
            r.all[i].due_us = now_us();
            load_send(&r.all[i], request_of(&r, &r.all[i]));
        }
    }
    while (r.waiting || (load->rate > 0 && r.next_due_us < r.end_us)) {
        if (load->rate > 0) send_due(&r);
        wait_for_answers(&r);
    }
    if (!r.count) die("no request fell due in %.2f s", load->seconds);
    double seconds = (r.last_us - start) * 1e-6;
    *out = (struct load_result){.requests = r.count,
                                .seconds = seconds,
                                .requests_per_s = (double)r.count / seconds,
                                .p50_us = quantile(r.latency, r.count, 0.5),
                                .p90_us = quantile(r.latency, r.count, 0.9),
                                .p99_us = quantile(r.latency, r.count, 0.99),
                                .p999_us = quantile(r.latency, r.count, 0.999)};
    free(r.latency);
    load_hang_up(r.all, load->clients, r.poll);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

char *load_once(uint16_t port, const struct load_request *request)
{
    struct connection *c = calloc(1, sizeof *c);
    char *body = NULL;
    if (!c) die("no memory for a connection");
    c->fd = dial(port);
    if (c->fd >= 0) {
        load_send(c, request);
        while (load_receive(c)) {
            const char *end = strstr(c->buffer, "\r\n\r\n"), *length = strcasestr(c->buffer, "\r\ncontent-length:");
            if (!end || !length || c->got < (size_t)(end + 4 - c->buffer) + strtoul(length + 17, NULL, 10)) continue;
            if (load_accepted(c)) body = strdup(end + 4);
            break;
        }
        close(c->fd);
    }
    free(c);
    return body;
}

struct load_request load_request(const char *path, const char *type, const void *body, size_t body_bytes)
{
    struct load_request r = {0};
    char head[512];
    int n = body ? snprintf(head, sizeof head,
                            "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nAccept: %s\r\n"
                            "Content-Length: %zu\r\n\r\n",
                            path, type, type, body_bytes)
                 : snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    r.length = (size_t)n + (body ? body_bytes : 0);
    r.bytes = malloc(r.length + 1);
    if (!r.bytes) die("no memory for a request of %zu bytes", r.length);
    memcpy(r.bytes, head, (size_t)n);
    if (body) memcpy(r.bytes + n, body, body_bytes);
    r.bytes[r.length] = 0;
    return r;
}

void load_shuffle(struct load_ids *ids, size_t count)
{
    uint64_t x = 1;
    *ids = (struct load_ids){.order = malloc(count * sizeof *ids->order), .count = count};
    if (!ids->order) die("no memory for %zu ids", count);
    for (size_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        size_t at = (size_t)((x >> 33) % (i + 1));
        ids->order[i] = ids->order[at];
        ids->order[at] = (uint32_t)i;
    }
}
