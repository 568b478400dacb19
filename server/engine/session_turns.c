/* session_turns.c -- using a session: turns in order of arrival, the step rule, kept states, moving between them. */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "server/engine/fail.h"
#include "server/engine/sessions_private.h"
#include "server/engine/stats.h"

/* ---- turns ---------------------------------------------------------------------------------------------------- */

/* Gives the turn to whoever waits first, again and again while they end it at once: a loop instead of a recursion
 * as deep as the line is long. The session stays busy until the line is empty, so nothing drops it from under the
 * loop. */
static void hand_on(struct sessions *s, struct session *x)
{
    x->handing = true;
    while (!x->holder && !x->doomed && x->waiting) {
        struct session_turn *turn = x->waiting;
        x->waiting = turn->next;
        if (!x->waiting) x->waiting_last = NULL;
        turn->next = NULL;
        turn->has_turn = true;
        x->holder = turn;
        turn->ready(turn);
    }
    x->handing = false;
    if (x->holder) return;
    if (x->doomed) session_die(s, x, x->doomed);
    else session_set_idle(s, x, true);
}

void session_wait(struct sessions *s, struct session *x, struct session_turn *turn)
{
    bool idle = !session_busy(x);
    turn->session = x;
    turn->next = NULL;
    turn->has_turn = false;
    if (x->waiting_last) x->waiting_last->next = turn;
    else x->waiting = turn;
    x->waiting_last = turn;
    session_touch(s, x);
    if (!idle) return;
    session_set_idle(s, x, false);
    hand_on(s, x);
}

void session_leave(struct sessions *s, struct session_turn *turn)
{
    struct session *x = turn->session;

    if (!x) { /* the session died while this waited, and another's refused() is just being called */
        for (struct refusal *r = s->refusals; r; r = r->outer)
            for (struct session_turn **link = &r->first; *link; link = &(*link)->next)
                if (*link == turn) {
                    *link = turn->next;
                    return;
                }
        return;
    }
    turn->session = NULL;
    if (!turn->has_turn) {
        struct session_turn *before = NULL;
        for (struct session_turn *t = x->waiting; t != turn; t = t->next) before = t;
        if (before) before->next = turn->next;
        else x->waiting = turn->next;
        if (x->waiting_last == turn) x->waiting_last = before;
        turn->next = NULL;
        return;
    }
    turn->has_turn = false;
    x->holder = NULL;
    x->expires = s->now + x->ttl_s;
    if (!x->handing) hand_on(s, x);
}

/* ---- the step rule -------------------------------------------------------------------------------------------- */

static void hash_key(const char *key, uint64_t out[2])
{
    XXH128_hash_t h = XXH3_128bits(key, strlen(key));
    out[0] = h.low64;
    out[1] = h.high64;
}

static uint64_t step_of(const struct session *x)
{
    return rnnd_state_step(x->model->handle, x->state);
}

/* The last request's earlier state is still there to compute it again from. */
static bool can_replay(const struct session *x)
{
    return x->last.known && x->kept_count && x->kept[x->kept_count - 1].step == x->last.before_step;
}

/*                                          body as last      another body
 *   step n = current                       run               run
 *   step n = before the last request       replay            step_conflict
 *   any other n                            step_conflict     step_conflict
 *   no n, key as last                      replay            MISMATCH
 *   no n, another key                      run               run
 *   no n, no key                           run; a replay if the client says it is a retry    run
 * A known key with another body is MISMATCH with a step too. */
rnnd_code session_begin(struct session_turn *turn, const struct session_request *request, void *state, bool *replayed,
                        rnnd_error *err)
{
    struct session *x = turn->session;
    const struct last_request *last = &x->last;
    bool same_body = last->known && last->body_hash == request->body_hash, same_key = false, replay = false;

    *replayed = false;
    if (request->idempotency_key && last->known && last->has_key) {
        uint64_t key[2];
        hash_key(request->idempotency_key, key);
        same_key = key[0] == last->key_hash[0] && key[1] == last->key_hash[1];
    }
    if (same_key && !same_body)
        return engine_fail(err, RNND_MISMATCH, "Idempotency-Key",
                           "this Idempotency-Key came with another body before, on session %s", x->id);
    if (request->has_step) {
        uint64_t now = step_of(x);
        if (request->step != now) {
            if (!same_body || !can_replay(x) || request->step != last->before_step)
                return engine_fail(err, RNND_CONFLICT, "step",
                                   "session %s is at step %llu, the request is for step %llu%s", x->id,
                                   (unsigned long long)now, (unsigned long long)request->step,
                                   can_replay(x) && request->step == last->before_step
                                       ? ", which was run with another body" : "");
            replay = true;
        }
    } else if (same_key) {
        if (!can_replay(x))
            return engine_fail(err, RNND_CONFLICT, "Idempotency-Key",
                               "the request of this Idempotency-Key was run, but session %s no longer keeps the state "
                               "before it; it is at step %llu", x->id, (unsigned long long)step_of(x));
        replay = true;
    } else {
        replay = request->is_retry && !request->idempotency_key && same_body && can_replay(x);
    }
    memcpy(state, replay ? x->kept[x->kept_count - 1].state : x->state, x->state_bytes);
    *replayed = replay;
    return RNND_OK;
}

static void drop_oldest_kept(struct session *x)
{
    x->spare = x->kept[0].state;
    memmove(x->kept, x->kept + 1, --x->kept_count * sizeof *x->kept);
}

/* A buffer for the next commit: a new one while fewer than kept_states are kept and memory and ceiling allow it,
 * else the oldest kept one. There is always one of the two, because a session is born with a spare buffer. */
static void provide_spare(struct sessions *s, struct session *x)
{
    if (x->spare) return;
    if (x->kept_count < s->options.kept_states && sessions_make_room(s, x->state_bytes)) {
        x->spare = malloc(x->state_bytes ? x->state_bytes : 1);
        if (x->spare) session_count_bytes(s, x, (ptrdiff_t)x->state_bytes);
    }
    if (!x->spare) drop_oldest_kept(x);
}

void session_commit(struct session_turn *turn, const struct session_request *request, const void *state, bool replayed)
{
    struct session *x = turn->session;
    struct sessions *s = x->owner;

    if (replayed) {
        s->totals.replays++;
        stats_add(STAT_REPLAYS, 1);
        return;
    }
    provide_spare(s, x);
    uint64_t before = step_of(x);
    x->kept[x->kept_count++] = (struct kept){before, x->state};
    x->state = x->spare;
    x->spare = NULL;
    memcpy(x->state, state, x->state_bytes);
    x->last = (struct last_request){.known = true, .before_step = before, .body_hash = request->body_hash,
                                    .has_key = request->idempotency_key != NULL};
    if (request->idempotency_key) hash_key(request->idempotency_key, x->last.key_hash);
}

/* ---- moving between states ------------------------------------------------------------------------------------ */

const void *session_state(const struct session *x)
{
    return x->state;
}

/* The newest kept state at that step, or kept_count. */
static size_t find_kept(const struct session *x, uint64_t step)
{
    for (size_t i = x->kept_count; i-- > 0;)
        if (x->kept[i].step == step) return i;
    return x->kept_count;
}

static rnnd_code fail_not_kept(const struct session *x, uint64_t step, rnnd_error *err)
{
    char list[256];
    size_t used = 0;
    list[0] = '\0';
    for (size_t i = 0; i < x->kept_count && used + 24 < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%llu", i ? ", " : "",
                                 (unsigned long long)x->kept[i].step);
    return engine_fail(err, RNND_CONFLICT, "step",
                       "session %s does not keep its state at step %llu; it keeps %s%sthe current one, %llu", x->id,
                       (unsigned long long)step, list, x->kept_count ? " and " : "", (unsigned long long)step_of(x));
}

rnnd_code session_state_at(const struct session *x, uint64_t step, const void **state, rnnd_error *err)
{
    *state = x->state;
    if (step == step_of(x)) return RNND_OK;
    size_t i = find_kept(x, step);
    if (i == x->kept_count) {
        *state = NULL;
        return fail_not_kept(x, step, err);
    }
    *state = x->kept[i].state;
    return RNND_OK;
}

/* Frees kept states from `from` on, leaving one buffer as the spare. */
static void drop_kept(struct sessions *s, struct session *x, size_t from)
{
    while (x->kept_count > from) {
        void *state = x->kept[--x->kept_count].state;
        if (!x->spare) {
            x->spare = state;
            continue;
        }
        free(state);
        session_count_bytes(s, x, -(ptrdiff_t)x->state_bytes);
    }
}

rnnd_code session_rewind(struct sessions *s, struct session *x, uint64_t step, rnnd_error *err)
{
    if (step == step_of(x)) return RNND_OK;
    size_t i = find_kept(x, step);
    if (i == x->kept_count) return fail_not_kept(x, step, err);
    void *later = x->state;
    x->state = x->kept[i].state;
    x->kept[i].state = later;
    drop_kept(s, x, i);
    x->last.known = false;
    return RNND_OK;
}

void session_replace(struct sessions *s, struct session *x, const void *state)
{
    memmove(x->state, state, x->state_bytes); /* first: it may be one of the kept */
    drop_kept(s, x, 0);
    x->last.known = false;
}
