/* http.c -- a server opened, run, drained and closed. */
#include "server/http/http_private.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* MHD zeroes a connection's memory one and a half times per request: with 64 connections of 128 KiB that was 8 us of
 * the 16 us a request took. A head of 15,000 bytes still fits; bodies go through it in pieces. */
enum { CONNECTION_MEMORY = 16 * 1024, BACKLOG = 1024, SPARE_CONNECTIONS = 64 };

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t now_ms(void)
{
    return now_ns() / 1000000;
}

__attribute__((format(printf, 3, 4))) static int refuse(char *message, size_t bytes, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(message, bytes, format, args);
    va_end(args);
    return -1;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */
static int listen_unix(struct http_server *s, const char *path, char *message, size_t bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;

    if (!*path || strlen(path) >= sizeof address.sun_path)
        return refuse(message, bytes, "cannot listen on unix:%s: the path must have 1 to %zu bytes", path,
                      sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (stat(path, &st) == 0 && S_ISSOCK(st.st_mode)) unlink(path); /* left by an earlier run */
    s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listen_fd < 0 || bind(s->listen_fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(s->listen_fd, BACKLOG) != 0)
        return refuse(message, bytes, "cannot listen on unix:%s: %s", path, strerror(errno));
    s->socket_path = strdup(path);
    return 0;
}

static int try_address(struct http_server *s, const struct addrinfo *a)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    int on = 1;

    s->listen_fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listen_fd < 0) return -1;
    setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s->listen_fd, a->ai_addr, a->ai_addrlen) != 0 || listen(s->listen_fd, BACKLOG) != 0 ||
        getsockname(s->listen_fd, (struct sockaddr *)&bound, &size) != 0) {
        int why = errno;
        close(s->listen_fd);
        s->listen_fd = -1;
        errno = why;
        return -1;
    }
    s->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                : ((struct sockaddr_in *)&bound)->sin_port);
    return 0;
}

static int listen_tcp(struct http_server *s, const char *host, uint16_t port, char *message, size_t bytes)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list = NULL;
    char service[8];
    int code, why = 0;

    snprintf(service, sizeof service, "%u", (unsigned)port);
    code = getaddrinfo(host, service, &hints, &list);
    if (code != 0) return refuse(message, bytes, "cannot listen on %s: %s", host, gai_strerror(code));
    for (struct addrinfo *a = list; a && s->listen_fd < 0; a = a->ai_next)
        if (try_address(s, a) != 0) why = errno;
    freeaddrinfo(list);
    if (s->listen_fd < 0)
        return refuse(message, bytes, "cannot listen on %s port %u: %s%s", host, port, strerror(why),
                      why == EADDRINUSE ? " (another program listens there; port 0 takes any free one)" : "");
    return 0;
}

static void connection_notice(void *server, struct MHD_Connection *mhd, void **context,
                              enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = server;
    struct connection *c = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info;
        *context = c = calloc(1, sizeof *c);
        if (!c) return; /* request_target and request_access then refuse */
        c->mhd = mhd;
        info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        c->fd = info ? info->connect_fd : -1;
        info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        struct sockaddr *a = info ? info->client_addr : NULL;
        if (!a || (a->sa_family != AF_INET && a->sa_family != AF_INET6) ||
            getnameinfo(a, a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
                        c->client, sizeof c->client, NULL, 0, NI_NUMERICHOST) != 0)
            snprintf(c->client, sizeof c->client, "unix");
        c->next = s->connections;
        if (c->next) c->next->prev = c;
        s->connections = c;
        s->connection_count++;
        c->due_ms = now_ms() + s->header_deadline_ms;
        loop_due(s, c->due_ms);
    } else if (c) {
        if (c->prev) c->prev->next = c->next;
        else s->connections = c->next;
        if (c->next) c->next->prev = c->prev;
        s->connection_count--;
        if (c->request) request_free(c->request); /* a head too large for MHD, which then tells of no end */
        free(c);
        *context = NULL;
    }
}

static char **copy_list(const char *const *list)
{
    size_t n = 0;
    char **copy;

    while (list && list[n]) n++;
    copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++)
        if (!(copy[i] = strdup(list[i]))) break;
    return copy;
}

static int start_daemon(struct http_server *s)
{
    const union MHD_DaemonInfo *info;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &s->mhd_fd};
    unsigned idle_s = (s->idle_ms + 999) / 1000;

    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, request_access, s, MHD_OPTION_LISTEN_SOCKET,
        (MHD_socket)s->listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(s->connection_limit + SPARE_CONNECTIONS),
        MHD_OPTION_CONNECTION_TIMEOUT, idle_s ? idle_s : 1u, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_URI_LOG_CALLBACK, request_target, s, MHD_OPTION_NOTIFY_COMPLETED,
        request_completed, s, MHD_OPTION_NOTIFY_CONNECTION, connection_notice, s, MHD_OPTION_END);
    if (!s->daemon) return -1;
    info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info) return -1;
    s->mhd_fd = info->epoll_fd;
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->mhd_fd, &event) != 0) return -1;
    event.data.ptr = &s->event_fd;
    return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->event_fd, &event);
}

int http_open(const struct http_options *options, const struct http_hooks *hooks, struct http_server **out,
              char *message, size_t message_bytes)
{
    struct http_server *s = calloc(1, sizeof *s);
    int code;

    *out = NULL;
    if (!s) return refuse(message, message_bytes, "no memory for an HTTP server");
    s->hooks = *hooks;
    s->body_limit = options->body_limit;
    s->memory_limit = options->memory_limit;
    if (!s->memory_limit) s->memory_limit = s->body_limit < SIZE_MAX / 64 ? s->body_limit * 64 : SIZE_MAX;
    if (!options->memory_limit && s->memory_limit < (size_t)1 << 30) s->memory_limit = (size_t)1 << 30;
    s->connection_limit = options->connection_limit < 1000000 ? options->connection_limit : 1000000;
    s->stream_high_water = options->stream_high_water;
    s->header_deadline_ms = options->header_deadline_ms;
    s->idle_ms = options->idle_ms;
    s->request_deadline_ms = options->request_deadline_ms;
    s->hosts = copy_list(options->hosts);
    s->origins = copy_list(options->origins);
    s->bound_host = strdup(options->host);
    s->calls_end = &s->calls;
    s->listen_fd = -1;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&s->calls_lock, NULL);
    s->next_second_ms = s->next_sweep_ms = now_ms() + 1000;
    if (getrandom(s->id_state, sizeof s->id_state, 0) != sizeof s->id_state) s->id_state[0] = now_ns();
    if (!s->hosts || !s->origins || !s->bound_host || s->epoll_fd < 0 || s->event_fd < 0) {
        code = refuse(message, message_bytes, "cannot set up the HTTP loop: %s", strerror(errno));
    } else {
        code = strncmp(options->host, "unix:", 5) == 0
                   ? listen_unix(s, options->host + 5, message, message_bytes)
                   : listen_tcp(s, options->host, options->port, message, message_bytes);
        if (code == 0 && start_daemon(s) != 0)
            code = refuse(message, message_bytes, "cannot start the HTTP server: %s", strerror(errno));
    }
    if (code != 0) http_close(s);
    else *out = s;
    return code;
}

uint16_t http_port(const struct http_server *s)
{
    return s->port;
}

/* ---- from other threads -------------------------------------------------------------------------------------- */
static void wake(struct http_server *s)
{
    uint64_t one = 1;
    ssize_t n = write(s->event_fd, &one, sizeof one); /* full means that it is awake already */

    (void)n;
}

void http_call(struct http_server *s, struct http_call *call)
{
    bool first;

    call->next = NULL;
    pthread_mutex_lock(&s->calls_lock);
    first = s->calls == NULL;
    *s->calls_end = call;
    s->calls_end = &call->next;
    atomic_store(&s->calls_wait, true);
    pthread_mutex_unlock(&s->calls_lock);
    if (first) wake(s);
}

void http_drain(struct http_server *s, unsigned grace_ms, unsigned deadline_ms)
{
    atomic_store(&s->drain_grace_ms, grace_ms);
    atomic_store(&s->drain_deadline_ms, deadline_ms);
    atomic_store(&s->drain, true);
    wake(s);
}

bool http_draining(const struct http_server *s)
{
    return atomic_load(&s->drain);
}

size_t http_in_flight(const struct http_server *s)
{
    return atomic_load(&s->in_flight_shown);
}

/* ---- running ------------------------------------------------------------------------------------------------- */
/* MHD hands the listening socket back; whoever connects from here on is refused by the system. */
static void stop_listening(struct http_server *s)
{
    MHD_socket fd = MHD_quiesce_daemon(s->daemon);

    if (fd == MHD_INVALID_SOCKET) return;
    close(fd);
    s->listen_fd = -1;
}

void http_run(struct http_server *s)
{
    uint64_t end;

    while (!atomic_load(&s->drain)) loop_turn(s);
    s->phase = GRACE;
    for (end = now_ms() + atomic_load(&s->drain_grace_ms); now_ms() < end;) {
        loop_due(s, end);
        loop_turn(s);
    }
    s->phase = STOPPING;
    stop_listening(s);
    end = now_ms() + atomic_load(&s->drain_deadline_ms);
    s->handled = true; /* the first turn does not wait: it takes in what has been sent already */
    do {
        loop_due(s, end);
        loop_turn(s);
    } while (s->in_flight > 0 && now_ms() < end);
    if (s->in_flight == 0) return;
    s->phase = ENDING;
    loop_expire_all(s);
    for (end = now_ms() + 1000; s->in_flight > 0 && now_ms() < end;) { /* the refusals on their way out */
        loop_due(s, end);
        loop_turn(s);
    }
}

/* ---- closing ------------------------------------------------------------------------------------------------- */
static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++) free(list[i]);
    free(list);
}

/* MHD_stop_daemon aborts the process while a connection is suspended: each is woken to find itself gone. */
static void wake_all(struct http_server *s)
{
    for (int i = 0; i < 100 && s->suspended > 0; i++) {
        for (struct http_request *r = s->requests; r; r = r->next) {
            if (!r->suspended) continue;
            request_tell_gone(r, HTTP_DEADLINE);
            r->closed = r->aborted = true;
            request_resume(r);
        }
        MHD_run(s->daemon);
    }
}

void http_close(struct http_server *s)
{
    if (!s) return;
    if (s->daemon) {
        s->phase = ENDING;
        loop_run_calls(s);
        wake_all(s);
        MHD_stop_daemon(s->daemon);
    }
    while (s->requests) { /* never answered by those who held them */
        s->requests->held = false;
        request_free(s->requests);
    }
    recycle_free_all(s);
    if (s->listen_fd >= 0 && !s->daemon) close(s->listen_fd);
    if (s->epoll_fd >= 0) close(s->epoll_fd);
    if (s->event_fd >= 0) close(s->event_fd);
    if (s->socket_path) unlink(s->socket_path);
    pthread_mutex_destroy(&s->calls_lock);
    free_list(s->hosts);
    free_list(s->origins);
    free(s->bound_host);
    free(s->socket_path);
    free(s);
}
