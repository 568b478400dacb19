/* request.c -- a request from its first line to its end: MHD's callbacks, the body, who holds it, what it says. */
#include "server/http/http_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { SWALLOW_MOST = 8 << 20, FIRST_BODY = 16 << 10 };

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------------- */
static void show_in_flight(struct http_server *s)
{
    atomic_store(&s->in_flight_shown, s->in_flight);
}

bool request_take_memory(struct http_request *r, size_t bytes)
{
    struct http_server *s = r->server;

    if (bytes > s->memory_limit - s->memory_bytes) return false;
    s->memory_bytes += bytes;
    r->memory_bytes += bytes;
    return true;
}

static void give_memory_back(struct http_request *r)
{
    r->server->memory_bytes -= r->memory_bytes;
    r->memory_bytes = 0;
}

void request_free(struct http_request *r)
{
    struct http_server *s = r->server;

    give_memory_back(r);
    if (r->began) {
        if (r->prev) r->prev->next = r->next;
        else s->requests = r->next;
        if (r->next) r->next->prev = r->prev;
        s->in_flight--;
        show_in_flight(s);
    }
    if (r->response) MHD_destroy_response(r->response);
    recycle_give(r);
}

void request_let_go(struct http_request *r)
{
    r->held = false;
    if (r->ended && !r->server->walking) request_free(r); /* during a walk over all requests: at its end */
}

void request_tell_gone(struct http_request *r, enum http_gone why)
{
    if (r->is_gone || !r->held) return;
    r->is_gone = true;
    r->client_left = why == HTTP_CLIENT_GONE;
    if (!r->gone) return; /* its holder finds out when it answers */
    r->server->handled = true;
    r->gone(r, why, r->gone_context);
    r->held = false;
}

void request_suspend(struct http_request *r)
{
    r->suspended = true;
    r->server->suspended++;
    MHD_suspend_connection(r->connection->mhd);
    loop_watch(r);
}

void request_resume(struct http_request *r)
{
    if (!r->suspended) {
        r->server->run_again |= r->parked;
        return;
    }
    r->suspended = false;
    r->server->suspended--;
    MHD_resume_connection(r->connection->mhd);
    r->server->run_again = true;
}

/* ---- MHD's callbacks ----------------------------------------------------------------------------------------- */
/* The request line has been read. What is returned is the request's context from here on. */
void *request_target(void *server, const char *uri, struct MHD_Connection *mhd)
{
    struct connection *c = connection_of(mhd);
    struct http_request *r = c ? recycle_take(server) : NULL;

    if (!r) return NULL;
    c->at_end = false;
    r->connection = c;
    r->target = recycle_text(r, uri);
    if (!r->target) {
        recycle_give(r);
        return NULL;
    }
    return c->request = r;
}

/* Headers complete. A refusal is answered after the body, as long as that is bounded: a client that is still sending
 * would often see its connection reset in place of the reply. */
static void begin(struct http_request *r, const char *method, const char *version)
{
    struct http_server *s = r->server;

    r->began = true;
    r->next = s->requests;
    if (r->next) r->next->prev = r;
    s->requests = r;
    s->in_flight++;
    show_in_flight(s);
    r->connection->due_ms = 0;
    r->started_ns = now_ns();
    r->head = strcmp(method, "HEAD") == 0;
    r->old = strcmp(version, "HTTP/1.0") == 0;
    if (strlen(method) < sizeof r->method) memcpy(r->method, method, strlen(method) + 1);
    url_parse(r);
    r->in_handler = true;
    if (!guard_check(r, version)) {
        r->swallow = true;
        if (http_header(r, "Expect")) r->close_connection = true; /* nothing was sent yet: there is nothing to drop */
    }
    r->in_handler = false;
    if (!s->request_deadline_ms) return;
    r->due_ms = r->started_ns / 1000000 + s->request_deadline_ms;
    loop_due(s, r->due_ms);
}

/* The answer, before the rest of the body, which is read and dropped. */
static void refuse_body(struct http_request *r, int status, const char *code, const char *sentence)
{
    r->in_handler = true;
    answer_error(r, status, code, NULL, sentence);
    r->in_handler = false;
    r->swallow = true;
    free(r->body);
    r->body = NULL;
    r->swallowed = r->body_bytes;
    r->body_bytes = r->body_cap = r->body_counted = 0;
    give_memory_back(r);
}

static bool take_body(struct http_request *r, const char *data, size_t bytes)
{
    size_t wanted = r->body_bytes + bytes + 1, cap = r->body_cap ? r->body_cap : FIRST_BODY;
    char *p;

    if (!r->swallow && bytes > r->server->body_limit - r->body_bytes) /* chunked: the size was not known before */
        refuse_body(r, 413, "body_too_large", "the body is larger than this server accepts");
    while (cap < wanted) cap *= 2;
    if (!r->swallow && !request_take_memory(r, cap - r->body_counted))
        refuse_body(r, 503, "overloaded",
                    "the bodies and answers of all requests together are as large as they may be");
    if (r->swallow) {
        r->swallowed += bytes;
        return r->swallowed <= r->server->body_limit + SWALLOW_MOST;
    }
    r->body_counted = cap;
    if (wanted > r->body_cap) {
        p = realloc(r->body, cap);
        if (!p) return false;
        r->body = p;
        r->body_cap = cap;
    }
    memcpy(r->body + r->body_bytes, data, bytes);
    r->body_bytes += bytes;
    r->body[r->body_bytes] = 0;
    return true;
}

static enum MHD_Result queue_answer(struct http_request *r, struct MHD_Connection *mhd)
{
    enum MHD_Result result = MHD_queue_response(mhd, (unsigned)r->status, r->response);

    MHD_destroy_response(r->response);
    r->response = NULL;
    r->queued = true;
    r->server->run_again |= r->parked; /* only what is answered when first asked for is sent in the same run */
    return result;
}

static void dispatch(struct http_request *r)
{
    r->dispatched = r->held = r->in_handler = true;
    if (!guard_preflight(r)) {
        r->server->handled = true;
        r->server->hooks.handle(r->server->hooks.context, r);
    }
    r->in_handler = false;
}

/* Called once with the headers, then with each piece of the body, then without data until there is an answer. Most
 * requests have theirs by the end of the turn: the first time nothing is done, which makes MHD ask again at its next
 * run, because suspending and resuming takes the socket out of MHD's epoll and puts it back. */
enum MHD_Result request_access(void *server, struct MHD_Connection *mhd, const char *url, const char *method,
                               const char *version, const char *data, size_t *bytes, void **context)
{
    struct http_request *r = *context;

    (void)server;
    (void)url;
    if (!r) return MHD_NO;
    if (!r->began) {
        begin(r, method, version);
        return r->close_connection && r->response ? queue_answer(r, mhd) : MHD_YES;
    }
    if (*bytes) {
        size_t n = *bytes;
        *bytes = 0;
        return take_body(r, data, n) ? MHD_YES : MHD_NO;
    }
    if (!r->dispatched && !r->swallow) dispatch(r);
    if (r->response) return queue_answer(r, mhd);
    if (r->is_gone || !r->held) return MHD_NO;
    if (r->parked) request_suspend(r);
    else r->parked = r->server->run_again = true;
    return MHD_YES;
}

static void report(struct http_request *r)
{
    struct http_server *s = r->server;
    double seconds = (double)(now_ns() - r->started_ns) * 1e-9;
    struct http_record record = {
        .method = r->head ? "HEAD" : r->method,
        .path = r->path ? r->path : "/",
        .route = r->route ? r->route : "other",
        .client = r->connection->client,
        .request_id = r->id,
        .traceparent = *r->traceparent ? r->traceparent : NULL,
        .status = r->status ? r->status : 499, /* nothing was answered */
        .bytes_in = r->body_bytes + r->swallowed,
        .bytes_out = r->bytes_out,
        .seconds = seconds,
        .first_output_seconds =
            r->first_output_ns ? (double)(r->first_output_ns - r->started_ns) * 1e-9 : seconds,
        .client_gone = r->client_left,
    };

    if (s->hooks.finished) s->hooks.finished(s->hooks.context, &record);
}

void request_completed(void *server, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode code)
{
    struct http_server *s = server;
    struct http_request *r = *context;

    (void)mhd;
    if (!r) return;
    *context = NULL;
    r->connection->request = NULL;
    r->connection->at_end = false;
    r->connection->due_ms = now_ms() + s->idle_ms + s->header_deadline_ms;
    loop_due(s, r->connection->due_ms);
    if (r->began) {
        if (r->held) request_tell_gone(r, HTTP_CLIENT_GONE);
        if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK || code == MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN)
            r->client_left = false;
        else if (!r->aborted && r->status != 408)
            r->client_left = true;
        report(r);
    }
    r->due_ms = 0;
    r->connection = NULL;
    r->ended = true;
    if (!r->held) request_free(r);
}

/* ---- what a handler asks ------------------------------------------------------------------------------------- */
const char *http_method(const struct http_request *r)
{
    return r->head ? "GET" : r->method;
}

const char *http_path(const struct http_request *r)
{
    return r->path;
}

const char *http_header(const struct http_request *r, const char *name)
{
    if (!r->connection) return NULL;
    for (size_t i = 0; i < r->given_count; i++)
        if ((r->given[i].name[0] | 0x20) == (name[0] | 0x20) && strcasecmp(r->given[i].name, name) == 0)
            return r->given[i].value;
    return r->given_more ? MHD_lookup_connection_value(r->connection->mhd, MHD_HEADER_KIND, name) : NULL;
}

const char *http_body(const struct http_request *r, size_t *bytes)
{
    if (bytes) *bytes = r->body_bytes;
    return r->body_bytes ? r->body : "";
}

size_t http_take_body(struct http_request *r, char **memory, size_t *cap)
{
    char *body = r->body;
    size_t body_cap = r->body_cap, bytes = r->body_bytes;

    r->body = *memory;
    r->body_cap = *cap;
    *memory = body;
    *cap = body_cap;
    r->swallowed += bytes; /* they still came in */
    r->body_bytes = 0;
    return bytes;
}

void http_set_route(struct http_request *r, const char *route, const char *const *params, size_t count)
{
    r->route = route;
    r->param_count = count < PARAMS_MOST ? count : PARAMS_MOST;
    for (size_t i = 0; i < r->param_count; i++) r->params[i] = recycle_text(r, params[i]);
}

const char *http_param(const struct http_request *r, size_t i)
{
    return i < r->param_count ? r->params[i] : NULL;
}

void *http_user(const struct http_request *r)
{
    return r->user;
}

void http_set_user(struct http_request *r, void *user)
{
    r->user = user;
}

void http_on_gone(struct http_request *r, void (*gone)(struct http_request *r, enum http_gone why, void *context),
                  void *context)
{
    r->gone = gone;
    r->gone_context = context;
}

void http_no_deadline(struct http_request *r)
{
    r->due_ms = 0;
}
