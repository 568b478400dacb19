/* http_private.h -- the server, its connections and requests, as the files of server/http share them.
 *
 * Life of a request. It is made when MHD has read the request line and freed when both sides have let go: MHD (its
 * completed callback: `ended`) and the application (`held` from the call of the handler to the answer, the stream's end
 * or the gone callback). A connection whose answer is not there by the end of the turn, or whose stream has nothing to
 * send, is suspended; MHD then looks neither at its socket nor at its timeout, so a watch on the socket and a deadline
 * of our own do. */
#ifndef SERVER_HTTP_PRIVATE_H
#define SERVER_HTTP_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include <microhttpd.h>

#include "server/http/http.h"
#include "server/http/json.h"

enum { REQUEST_ID_MOST = 128, PARAMS_MOST = 4, GIVEN_MOST = 24, ROOM_BYTES = 2048 };

struct connection {
    struct connection *prev, *next;
    struct MHD_Connection *mhd;
    struct http_request *request; /* the one being read or answered */
    int fd;
    char client[64];
    uint64_t due_ms;              /* a request's headers must be complete by then; 0 = they are */
    bool watched, armed;          /* in the loop's epoll; and its one shot is not used up */
    bool at_end;                  /* a look a second ago found the client's end behind all it had sent */
};

struct header { /* to be sent; in the request's room */
    struct header *next;
    char *name, *value;
};

struct given { /* a header as received, borrowed from MHD while the request has a connection */
    const char *name, *value;
};

struct room_block { /* what did not fit into the request itself */
    struct room_block *next;
    char bytes[];
};

struct pair {
    char *name, *value; /* decoded, in one block */
};

struct http_request {
    /* kept from one request to the next, so that small ones allocate nothing: recycle.c */
    char *body;
    size_t body_cap;
    char *out;                      /* a stream's unsent bytes: [out_at, out_bytes) */
    size_t out_cap;
    struct json_out reply;          /* http_out(); the answer's body is sent from here */
    struct room_block *blocks;
    /* zero at the beginning of each, from here */
    struct http_request *prev, *next;
    struct http_server *server;
    struct connection *connection;  /* NULL once ended */
    char *target, *path;            /* as sent; decoded, without query; both in the room */
    const char *authority;          /* of an absolute-form target, within `target`, authority_bytes long */
    size_t authority_bytes;
    struct pair *query;             /* in the room */
    size_t query_count;
    const char *target_error;       /* why the target is refused, or NULL */
    char method[24];
    bool head, old;                 /* HEAD; HTTP/1.0 */
    const char *origin;             /* an allowed foreign one: CORS headers go out */
    size_t body_bytes, body_counted, swallowed; /* body_counted: of body_cap, within memory_bytes */
    size_t memory_bytes;            /* its part of the server's */
    const char *route;
    const char *params[PARAMS_MOST]; /* in the room */
    size_t param_count;
    void *user;
    void (*gone)(struct http_request *r, enum http_gone why, void *context);
    void *gone_context;
    void (*room_again)(struct http_request *r, void *context);
    void *room_context;
    struct header *headers;
    struct MHD_Response *response;  /* ready, not yet given to MHD */
    int status;
    uint64_t started_ns, first_output_ns, due_ms; /* due_ms 0 = no deadline */
    size_t bytes_out;
    /* stream */
    size_t out_at, out_bytes;
    bool stream, closed, aborted, was_full;
    /* life */
    bool began;                     /* headers complete */
    bool close_connection;          /* after the answer */
    bool swallow;                   /* refused: the body is read and dropped, then the answer goes out */
    bool parked;                    /* asked for once without an answer: MHD asks again at its next run */
    bool dispatched, in_handler, held, is_gone, client_left, queued, suspended, ended;
    bool given_more;                /* more headers than GIVEN_MOST: MHD is asked for those not in `given` */
    char traceparent[56];
    size_t given_count, room_used;
    /* not even zeroed */
    char id[REQUEST_ID_MOST + 1];   /* set with the headers */
    struct given given[GIVEN_MOST];
    char room[ROOM_BYTES];
};

enum phase { SERVING, GRACE, STOPPING, ENDING };

struct http_server {
    struct http_hooks hooks;
    size_t body_limit, memory_limit, connection_limit, stream_high_water;
    size_t memory_bytes;             /* of bodies and of answers on their way */
    unsigned header_deadline_ms, idle_ms, request_deadline_ms;
    char **hosts, **origins, *bound_host, *socket_path;
    uint16_t port;
    struct MHD_Daemon *daemon;
    int listen_fd, epoll_fd, event_fd, mhd_fd;
    struct connection *connections;
    size_t connection_count;
    struct http_request *requests;   /* began and not yet freed */
    struct http_request *spare;      /* ended ones, to be used again */
    size_t spare_bytes;              /* that they keep */
    struct json_out nowhere;         /* where answers are written that nobody waits for */
    size_t in_flight, suspended;
    uint64_t next_sweep_ms, next_second_ms, id_state[2];
    enum phase phase;
    bool run_again;                  /* MHD has something to do at once */
    bool handled;                    /* a handler, or a gone or room callback, ran since the last after_poll began */
    bool walking;                    /* over `requests`: none may be freed */
    pthread_mutex_t calls_lock;
    struct http_call *calls, **calls_end; /* under calls_lock */
    atomic_bool calls_wait;               /* there are some; stored under the lock */
    atomic_bool drain;
    atomic_uint drain_grace_ms, drain_deadline_ms;
    atomic_size_t in_flight_shown;
};

uint64_t now_ns(void);
uint64_t now_ms(void);

/* loop.c */
void loop_due(struct http_server *s, uint64_t due_ms);   /* something is due then */
void loop_watch(struct http_request *r);                 /* its connection has just been suspended */
void loop_run_calls(struct http_server *s);
void loop_turn(struct http_server *s);
void loop_expire_all(struct http_server *s);

/* request.c */
void *request_target(void *server, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result request_access(void *server, struct MHD_Connection *mhd, const char *url, const char *method,
                               const char *version, const char *data, size_t *bytes, void **context);
void request_completed(void *server, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode code);
void request_suspend(struct http_request *r);
void request_resume(struct http_request *r);
void request_tell_gone(struct http_request *r, enum http_gone why);
bool request_take_memory(struct http_request *r, size_t bytes); /* false: there is no more; given back at its end */
void request_let_go(struct http_request *r);             /* the application no longer holds it; may free r */
void request_free(struct http_request *r);

/* recycle.c */
struct http_request *recycle_take(struct http_server *s); /* as new; NULL: no memory */
void recycle_give(struct http_request *r);
void recycle_free_all(struct http_server *s);
/* Memory that lasts as long as the request, aligned for pointers; NULL: there is none. */
void *recycle_room(struct http_request *r, size_t bytes);
char *recycle_text(struct http_request *r, const char *text); /* a copy there */

/* url.c */
void url_parse(struct http_request *r);                  /* target -> path, query, authority, target_error */

/* guard.c: false after preparing the refusal. May set r->close_connection: nothing more is read from it. */
bool guard_check(struct http_request *r, const char *version);
bool guard_preflight(struct http_request *r);            /* true: it was one and has its answer */
bool guard_host_allowed(const struct http_server *s, const char *text, size_t bytes); /* HOST or HOST:PORT */

/* answer.c */
void answer_error(struct http_request *r, int status, const char *code, const char *param, const char *sentence);

#endif
