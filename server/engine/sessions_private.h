/* sessions_private.h -- what a session is inside: shared by sessions.c (life and death) and session_turns.c (use). */
#ifndef SERVER_ENGINE_SESSIONS_PRIVATE_H
#define SERVER_ENGINE_SESSIONS_PRIVATE_H

#include "server/engine/sessions.h"

struct kept { /* the state before one of the last requests */
    uint64_t step;
    void *state;
};

struct last_request { /* the newest request that moved the state from kept[kept_count - 1] to the current one */
    bool known, has_key;
    uint64_t before_step, body_hash, key_hash[2];
};

struct session { /* what a step touches stands in front; one block with id and kept */
    uint64_t id_hash;
    struct session *next_in_bucket;
    struct model *model;
    void *state;
    void *spare;                     /* a state buffer for the next commit, so that a commit never fails */
    struct kept *kept;               /* [options.kept_states], oldest first; behind the id */
    size_t kept_count;
    size_t state_bytes;              /* of one state */
    struct session *newer, *older;   /* among the idle ones; both NULL while busy */
    double ttl_s, expires;
    struct session_turn *holder, *waiting, *waiting_last;
    struct last_request last;
    bool handing;                    /* session_leave is passing turns on */
    const char *doomed;              /* reason it dies when the running request is done */
    struct sessions *owner;
    size_t heap_at;                  /* place in the expiry heap */
    double heap_key;                 /* <= expires: touching does not move it in the heap */
    size_t bytes;                    /* all that is counted */
    char id[];
};

struct dead { /* an id that was, in the order of dying */
    struct dead *next_in_bucket, *next;
    uint64_t id_hash, last_step;
    double died;
    const char *reason;              /* NULL: the id lives, or lived and was deleted, since */
    char id[];
};

struct refusal { /* turns of a session that died, while they are being told; on session_die's stack */
    struct session_turn *first;
    struct refusal *outer;
};

struct sessions {
    struct sessions_options options;
    struct registry *registry;
    uint64_t seed;
    double clock_begin, now;
    bool clock_known;
    struct session **buckets;
    size_t bucket_count, count;      /* bucket_count is a power of two */
    struct session *newest, *oldest; /* idle sessions by last use */
    struct session **heap;           /* by heap_key, smallest first */
    size_t heap_cap;
    struct dead **dead_buckets;      /* [dead_bucket_count] */
    struct dead *dead_first, *dead_last;
    size_t dead_bucket_count, dead_count;
    struct refusal *refusals;
    struct sessions_totals totals;
};

/* sessions.c, for session_turns.c */
void session_set_idle(struct sessions *s, struct session *x, bool idle);
void session_die(struct sessions *s, struct session *x, const char *reason);
/* Drops least recently used idle sessions until `bytes` more fit; false if they cannot. */
bool sessions_make_room(struct sessions *s, size_t bytes);
/* Bytes of x grew or shrank. */
void session_count_bytes(struct sessions *s, struct session *x, ptrdiff_t change);

#endif
