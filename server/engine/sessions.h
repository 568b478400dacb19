/* sessions.h -- sessions: id -> model and state; order of requests, the step rule, kept states, life and death.
 * Loop thread only: no locks. A state has one owner at a time: the session, or the job working on a copy of it. */
#ifndef SERVER_SESSIONS_H
#define SERVER_SESSIONS_H

#include "core/rnnd.h"
#include "server/engine/registry.h"

struct sessions;
struct session;

struct sessions_options {
    size_t memory_limit_bytes;   /* of all states, kept ones included; least recently used idle sessions go first */
    double ttl_s;
    size_t kept_states;          /* states before the last n requests, >= 1 */
    double remember_dead_s; size_t remember_dead; /* how long, how many dead ids answer 410 */
};

struct session_view { /* the session object on the wire */
    const char *id;
    struct model *model;
    rnnd_mode mode;
    uint64_t step, state_digest;
    size_t state_bytes;
    int64_t expires_unix;
};

struct sessions *sessions_start(const struct sessions_options *options, struct registry *registry, rnnd_error *err);
void sessions_stop(struct sessions *s);
/* Time-outs. now: seconds of any steady clock; the first call says where it begins, and between two calls time stands
 * still here. */
void sessions_every_second(struct sessions *s, double now);

/* id NULL: a fresh random one (128 bits, url-safe). CONFLICT if taken; INVALID for a bad id (1..128 of
 * [A-Za-z0-9._~:-]). state NULL: the model's initial state; it may be another session's (it is copied before
 * anybody is dropped for room). ttl_s 0: the default. BUSY when the ceiling cannot be kept. */
rnnd_code sessions_create(struct sessions *s, const char *id, struct model *model, double ttl_s, const void *state,
                          struct session **out, rnnd_error *err);
/* NOT_FOUND, or GONE with reason and last step in the sentence and *reason, *last_step (may be NULL). One that was
 * deleted on request is NOT_FOUND, at once. */
rnnd_code sessions_find(struct sessions *s, const char *id, struct session **out, const char **reason,
                        uint64_t *last_step, rnnd_error *err);
void sessions_view(const struct session *x, struct session_view *view); /* hashes the state */
struct model *session_model(const struct session *x);
/* A session that is about to be stepped: what that touches is called into the cache while other things are done. */
void sessions_prefetch(const struct sessions *s, const char *id);
/* Sorted by id; those after `after`, of `model` (NULL = any); returns how many were written. */
size_t sessions_list(const struct sessions *s, const char *model, const char *after, size_t limit,
                     struct session_view *views);
/* reason: "deleted", "idle", "lru", "limit". A busy session dies when its running request is done. */
void sessions_delete(struct sessions *s, struct session *x, const char *reason);

/* ---- order: a request on a session waits its turn ------------------------------------------------------------ */
struct session_turn { /* lives in the caller's request until ended */
    struct session *session;
    void (*ready)(struct session_turn *turn); /* the session is yours now (may run inside session_wait) */
    void (*refused)(struct session_turn *turn, const char *reason, uint64_t last_step); /* it died while waiting */
    struct session_turn *next;
    bool has_turn;
};
void session_wait(struct sessions *s, struct session *x, struct session_turn *turn);
/* Gives up the place in the line, or ends the turn. */
void session_leave(struct sessions *s, struct session_turn *turn);

/* ---- the step rule (http-api contract), inside a turn ---------------------------------------------------------- */
struct session_request {
    bool has_step; uint64_t step; /* the step the client expects */
    uint64_t body_hash;
    const char *idempotency_key; /* or NULL */
    bool is_retry;               /* x-stainless-retry-count > 0 */
};
/* Copies the state to work on into `state`: the current one, or, for a replay, the kept one from before the last
 * request (*replayed = true). CONFLICT (step_conflict: names the current step), MISMATCH (same key, another body). */
rnnd_code session_begin(struct session_turn *turn, const struct session_request *request, void *state, bool *replayed,
                        rnnd_error *err);
/* Success: `state` becomes the session's, the one before is kept (a replay changes nothing and is counted here).
 * Without this call the session is as before. Cannot fail: where there is no memory or room, fewer states are kept. */
void session_commit(struct session_turn *turn, const struct session_request *request, const void *state,
                    bool replayed);

/* ---- moving states, inside a turn or on an idle session ---------------------------------------------------------- */
bool session_busy(const struct session *x);
const void *session_state(const struct session *x);          /* the current state, borrowed */
/* A kept state by its step (or the current one): CONFLICT state_not_kept naming those kept. */
rnnd_code session_state_at(const struct session *x, uint64_t step, const void **state, rnnd_error *err);
rnnd_code session_rewind(struct sessions *s, struct session *x, uint64_t step, rnnd_error *err);
/* reset, PUT state: replaces the current state; kept states and the memory of requests are dropped. */
void session_replace(struct sessions *s, struct session *x, const void *state);
void session_touch(struct sessions *s, struct session *x);

struct sessions_totals { size_t live, bytes, ended_idle, ended_lru, ended_limit, ended_deleted; uint64_t replays; };
void sessions_totals(const struct sessions *s, struct sessions_totals *t);

#endif
