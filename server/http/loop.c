/* loop.c -- one turn of the loop: wait, let MHD work, run what came from other threads, keep the deadlines.
 *
 * MHD runs without a thread of its own: its internal epoll loop stands still while exactly 128 sockets are ready.
 * Our epoll holds MHD's epoll, the eventfd of http_call(), and a one-shot watch on each suspended client for its
 * leaving, which MHD does not see. A watch stays armed when its connection goes on; firing then it is ignored. */
#include "server/http/http_private.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 128, RUNS_A_TURN = 4, SWEEP_MIN_MS = 10 };

void loop_due(struct http_server *s, uint64_t due_ms)
{
    if (due_ms < s->next_sweep_ms) s->next_sweep_ms = due_ms;
}

void loop_watch(struct http_request *r)
{
    struct connection *c = r->connection;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c};

    if (c->armed) return;
    if (epoll_ctl(r->server->epoll_fd, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &event) == 0)
        c->watched = c->armed = true; /* otherwise the deadline has to do */
}

static void client_left(struct connection *c)
{
    struct http_request *r = c->request;

    c->armed = false;
    if (!r || !r->suspended) return; /* MHD is looking at the socket itself */
    request_tell_gone(r, HTTP_CLIENT_GONE);
    r->closed = r->aborted = true;
    shutdown(c->fd, SHUT_RDWR);
    request_resume(r);
}

/* A client's end that comes together with the last bytes it sends makes no edge of its own: MHD reads the bytes, then
 * waits for more. So once a second every connection that waits for its client is looked at; what has been at its end
 * for two looks, so that nothing read before is still on its way through MHD, is over. */
static void look_for_ends(struct http_server *s)
{
    char byte;

    for (struct connection *c = s->connections; c; c = c->next) {
        const struct http_request *r = c->request;
        if (r && (r->dispatched || r->queued || r->suspended)) continue;
        bool before = c->at_end;
        c->at_end = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
        if (c->at_end && before) shutdown(c->fd, SHUT_RDWR);
    }
}

void loop_run_calls(struct http_server *s)
{
    struct http_call *call, *next;

    if (!atomic_load_explicit(&s->calls_wait, memory_order_acquire)) return;
    pthread_mutex_lock(&s->calls_lock);
    call = s->calls;
    s->calls = NULL;
    s->calls_end = &s->calls;
    atomic_store(&s->calls_wait, false);
    pthread_mutex_unlock(&s->calls_lock);
    for (; call; call = next) {
        next = call->next; /* the call is its owner's again once it runs */
        call->run(call);
    }
}

/* ---- deadlines ----------------------------------------------------------------------------------------------- */
static void expire(struct http_request *r)
{
    bool ending = r->server->phase == ENDING;

    r->due_ms = 0;
    if (r->stream) {
        request_tell_gone(r, HTTP_DEADLINE);
        r->closed = r->aborted = true;
        request_resume(r);
    } else if (!r->dispatched) { /* the body did not come: MHD takes no answer in mid-upload */
        if (!r->status) r->status = 408;
        shutdown(r->connection->fd, SHUT_RDWR);
    } else if (r->held && !r->is_gone) {
        request_tell_gone(r, HTTP_DEADLINE);
        if (ending) answer_error(r, 503, "draining", NULL, "the server is stopping and could not finish this request");
        else answer_error(r, 504, "deadline", NULL, "the request was not answered within its deadline");
        request_resume(r);
    }
}

/* Callbacks run by a walk over the requests may let go of others: those are freed after it. */
static void end_walk(struct http_server *s)
{
    s->walking = false;
    for (struct http_request *r = s->requests, *next; r; r = next) {
        next = r->next;
        if (r->ended && !r->held) request_free(r);
    }
}

void loop_expire_all(struct http_server *s)
{
    s->walking = true;
    for (struct http_request *r = s->requests; r; r = r->next)
        if (!r->ended && !(r->queued && !r->stream)) expire(r);
    end_walk(s);
}

static void sweep(struct http_server *s, uint64_t now)
{
    s->next_sweep_ms = now + 1000;
    for (struct connection *c = s->connections; c; c = c->next) {
        if (!c->due_ms) continue;
        if (c->due_ms <= now) {
            c->due_ms = 0;
            shutdown(c->fd, SHUT_RDWR);
        } else {
            loop_due(s, c->due_ms);
        }
    }
    s->walking = true;
    for (struct http_request *r = s->requests; r; r = r->next) {
        if (!r->due_ms || r->ended) continue;
        if (r->due_ms <= now) expire(r);
        else loop_due(s, r->due_ms);
    }
    end_walk(s);
    if (s->next_sweep_ms < now + SWEEP_MIN_MS) s->next_sweep_ms = now + SWEEP_MIN_MS;
}

/* ---- one turn ------------------------------------------------------------------------------------------------ */
static int wait_ms(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG mhd;
    uint64_t now = now_ms(), due = s->next_sweep_ms < s->next_second_ms ? s->next_sweep_ms : s->next_second_ms;
    uint64_t wait = due > now ? due - now : 0;

    if (s->run_again || s->handled) return 0;
    if (MHD_get_timeout(s->daemon, &mhd) == MHD_YES && mhd < wait) wait = mhd;
    return (int)wait; /* at most a second */
}

void loop_turn(struct http_server *s)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(s->epoll_fd, events, EVENTS, wait_ms(s));
    uint64_t now, counter;

    /* Watches first: no connection can be freed before MHD runs. */
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &s->event_fd) {
            ssize_t got = read(s->event_fd, &counter, sizeof counter);
            (void)got;
        } else if (events[i].data.ptr != &s->mhd_fd) {
            client_left(events[i].data.ptr);
        }
    }
    s->run_again = s->handled = false;
    MHD_run(s->daemon);
    loop_run_calls(s);
    s->handled = false;
    if (s->hooks.after_poll) s->hooks.after_poll(s->hooks.context);
    for (int i = 0; s->run_again && i < RUNS_A_TURN; i++) { /* answers leave now, not a turn later */
        s->run_again = false;
        MHD_run(s->daemon);
    }
    now = now_ms();
    if (now >= s->next_sweep_ms) sweep(s, now);
    if (now >= s->next_second_ms) {
        s->next_second_ms = now + 1000;
        look_for_ends(s);
        if (s->hooks.every_second) s->hooks.every_second(s->hooks.context);
    }
}
