/* http.h -- HTTP as the rest of the server sees it: whole requests in, answers or streams out, one loop thread.
 *
 * The only room that knows libmicrohttpd. One loop thread owns every connection: it runs handlers, resumes and answers.
 * A handler that returns without answering has put its request aside; it (or a callback on the loop thread) answers
 * later. Work done elsewhere comes back through http_call(). Everything here is for the loop thread, except
 * http_call() and http_drain(), which any thread (http_drain also a signal handler) may use. */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_server;
struct http_request;

struct http_record { /* what a finished request was, for the log and the metrics */
    const char *method, *path, *route; /* route: the pattern, set by http_set_route(), or "other" */
    const char *client, *request_id, *traceparent;
    int status;
    size_t bytes_in, bytes_out;
    double seconds;
    double first_output_seconds;       /* streams: until the first write, else as seconds */
    bool client_gone;                  /* left before the end */
};

struct http_options {
    const char *host;                  /* "127.0.0.1", "0.0.0.0", "::1"; "unix:PATH" */
    uint16_t port;                     /* 0 = any free one */
    size_t body_limit;                 /* bytes; larger: 413 */
    size_t memory_limit;               /* of all bodies and unsent answers, then 503; 0: 64 bodies, 1 GiB at least */
    size_t connection_limit;
    unsigned header_deadline_ms, idle_ms, request_deadline_ms;
    size_t stream_high_water;          /* unsent bytes above which http_stream_full() says so */
    const char *const *hosts;          /* Hosts allowed beside localhost and loopback; NULL-terminated; "*" = any */
    const char *const *origins;        /* Origins allowed (CORS); NULL-terminated; "*" = any */
};

struct http_hooks {
    void *context;
    void (*handle)(void *context, struct http_request *r);   /* the whole body is there; the guard has passed it */
    void (*after_poll)(void *context);                     /* once a turn, after all that was ready has been parsed */
    void (*every_second)(void *context);
    void (*finished)(void *context, const struct http_record *record);
};

/* 0, or -1 with a sentence in message. */
int http_open(const struct http_options *options, const struct http_hooks *hooks, struct http_server **out,
              char *message, size_t message_bytes);
uint16_t http_port(const struct http_server *s);
/* Runs the loop until http_drain() has been called and all requests are answered, or the drain deadline has passed. */
void http_run(struct http_server *s);
/* Stop accepting, answer what is in flight, end. grace_ms: first go on serving that long (readiness already fails). */
void http_drain(struct http_server *s, unsigned grace_ms, unsigned deadline_ms);
bool http_draining(const struct http_server *s);
size_t http_in_flight(const struct http_server *s);
void http_close(struct http_server *s);

struct http_call { void (*run)(struct http_call *call); struct http_call *next; };
/* Has call->run(call) run on the loop thread soon, in order. `call` belongs to the caller and lives until then. One
 * wake-up serves however many are queued. */
void http_call(struct http_server *s, struct http_call *call);

/* ---- the request ---------------------------------------------------------------------------------------------- */
const char *http_method(const struct http_request *r);      /* "GET"; HEAD arrives as GET */
const char *http_path(const struct http_request *r);        /* percent-decoded, no query */
const char *http_query(const struct http_request *r, const char *name);  /* decoded, NULL if absent */
const char *http_header(const struct http_request *r, const char *name); /* case-insensitive, NULL if absent */
const char *http_body(const struct http_request *r, size_t *bytes);
/* Makes the body's memory the caller's, *memory (NULL, or got here before) the request's. The body's bytes. */
size_t http_take_body(struct http_request *r, char **memory, size_t *cap);
/* Parts of the path matched by the route's {..}, set by the router; params are copied, route is borrowed for good. */
void http_set_route(struct http_request *r, const char *route, const char *const *params, size_t count); /* at most 4 */
const char *http_param(const struct http_request *r, size_t i);
void *http_user(const struct http_request *r);               /* one pointer for the handler */
void http_set_user(struct http_request *r, void *user);

/* ---- the answer ----------------------------------------------------------------------------------------------- */
void http_add_header(struct http_request *r, const char *name, const char *value); /* before answering; copied */
/* Answers whole; the body is copied. r is gone after this. */
void http_answer(struct http_request *r, int status, const char *content_type, const void *body, size_t bytes);
/* The same without a copy, with what http_out() or the caller's own o holds. o gets memory of the request's for it and
 * is empty. Where writing the body ran out of memory: 503. */
struct json_out;
struct json_out *http_out(struct http_request *r); /* empty; good until r is answered */
void http_answer_out(struct http_request *r, int status, const char *content_type);
void http_answer_with(struct http_request *r, int status, const char *content_type, struct json_out *o);
/* {"error":{"message","type","param","code"}}; 409, 410, 412 get x-should-retry: false, 503 Retry-After: 1. */
void http_error(struct http_request *r, int status, const char *code, const char *param, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The four members of such an error object, for one that is part of an answer; param "" or NULL -> null. */
void http_put_error(struct json_out *o, int status, const char *code, const char *param, const char *message);

/* A body in pieces (SSE, NDJSON): chunked, each write leaves as it comes. */
void http_stream_open(struct http_request *r, int status, const char *content_type);
void http_stream_write(struct http_request *r, const void *data, size_t bytes);
bool http_stream_full(const struct http_request *r);        /* the client reads too slowly: pause */
void http_stream_close(struct http_request *r);             /* clean end; r is gone */
void http_stream_abort(struct http_request *r);             /* break the connection: never looks complete */

/* The client has left, or the deadline passed (a 504 goes out by itself) before an answer. Runs on the loop thread, at
 * most once; r is gone after it. */
enum http_gone { HTTP_CLIENT_GONE, HTTP_DEADLINE };
void http_on_gone(struct http_request *r, void (*gone)(struct http_request *r, enum http_gone why, void *context),
                  void *context);
/* A full stream has room again. */
void http_on_room(struct http_request *r, void (*room)(struct http_request *r, void *context), void *context);
void http_no_deadline(struct http_request *r);              /* streams that may last */

#endif
