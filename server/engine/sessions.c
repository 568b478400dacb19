/* sessions.c -- life and death of sessions: the table by id, order of use, time-outs, the memory ceiling, dead ids.
 *
 * Every operation is O(1) or O(log n) in the number of sessions but listing. Idle sessions stand in one list by
 * last use, busy ones in none, so that the next to go is always its end. Time-outs are a heap on a key that is
 * never later than the truth: touching a session only moves `expires`; when the key comes up, a session that was
 * touched since goes back with the new one. So a session is looked at about once per lifetime, however often it is
 * used. */
#include "server/engine/sessions.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <xxhash.h>

#include "server/engine/fail.h"
#include "server/engine/sessions_private.h"

#define ID_MAX 128
#define TTL_LEAST_S 1e-3 /* less would be lost when it is added to the clock, and a busy session due for ever */
#define ID_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:-"

static uint64_t hash_id(const struct sessions *s, const char *id)
{
    return XXH3_64bits_withSeed(id, strlen(id), s->seed);
}

/* ---- the expiry heap ------------------------------------------------------------------------------------------ */

static void heap_put(struct sessions *s, size_t at, struct session *x)
{
    s->heap[at] = x;
    x->heap_at = at;
}

static void heap_sift(struct sessions *s, struct session *x)
{
    size_t at = x->heap_at, n = s->count;
    while (at > 0 && s->heap[(at - 1) / 2]->heap_key > x->heap_key) {
        heap_put(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= n) break;
        if (child + 1 < n && s->heap[child + 1]->heap_key < s->heap[child]->heap_key) child++;
        if (s->heap[child]->heap_key >= x->heap_key) break;
        heap_put(s, at, s->heap[child]);
        at = child;
    }
    heap_put(s, at, x);
}

/* ---- the table ------------------------------------------------------------------------------------------------ */

static struct session *find_live(const struct sessions *s, const char *id, uint64_t hash)
{
    struct session *x = s->buckets[hash & (s->bucket_count - 1)];
    while (x && (x->id_hash != hash || strcmp(x->id, id))) x = x->next_in_bucket;
    return x;
}

/* Room for one more in the table and the heap; they grow by doubling, each entry moves O(1) times on average. */
static bool grow(struct sessions *s)
{
    if (s->count == s->heap_cap) {
        size_t cap = s->heap_cap ? s->heap_cap * 2 : 64;
        struct session **heap = realloc(s->heap, cap * sizeof *heap);
        if (!heap) return false;
        s->heap = heap;
        s->heap_cap = cap;
    }
    if (s->count < s->bucket_count) return true;
    size_t bucket_count = s->bucket_count * 2;
    struct session **buckets = calloc(bucket_count, sizeof *buckets);
    if (!buckets) return false;
    for (size_t i = 0; i < s->count; i++) {
        struct session *x = s->heap[i];
        x->next_in_bucket = buckets[x->id_hash & (bucket_count - 1)];
        buckets[x->id_hash & (bucket_count - 1)] = x;
    }
    free(s->buckets);
    s->buckets = buckets;
    s->bucket_count = bucket_count;
    return true;
}

static void insert(struct sessions *s, struct session *x)
{
    struct session **bucket = &s->buckets[x->id_hash & (s->bucket_count - 1)];
    x->next_in_bucket = *bucket;
    *bucket = x;
    s->heap[s->count] = x;
    x->heap_at = s->count++;
    heap_sift(s, x);
}

static void take_out(struct sessions *s, struct session *x)
{
    struct session **link = &s->buckets[x->id_hash & (s->bucket_count - 1)];
    while (*link != x) link = &(*link)->next_in_bucket;
    *link = x->next_in_bucket;
    struct session *moved = s->heap[--s->count];
    if (moved != x) {
        heap_put(s, x->heap_at, moved);
        heap_sift(s, moved);
    }
}

/* ---- dead ids ------------------------------------------------------------------------------------------------- */

static struct dead **find_dead(const struct sessions *s, const char *id, uint64_t hash)
{
    struct dead **link = &s->dead_buckets[hash & (s->dead_bucket_count - 1)];
    while (*link && ((*link)->id_hash != hash || strcmp((*link)->id, id))) link = &(*link)->next_in_bucket;
    return link;
}

static void forget_oldest(struct sessions *s)
{
    struct dead *d = s->dead_first, **link = &s->dead_buckets[d->id_hash & (s->dead_bucket_count - 1)];
    while (*link != d) link = &(*link)->next_in_bucket;
    *link = d->next_in_bucket;
    s->dead_first = d->next;
    if (!s->dead_first) s->dead_last = NULL;
    s->dead_count--;
    free(d);
}

/* Newest first in a bucket, so that an id that died twice answers with its last death. */
static void remember(struct sessions *s, const struct session *x, const char *reason)
{
    if (!s->options.remember_dead || !strcmp(reason, "deleted")) return;
    while (s->dead_count >= s->options.remember_dead) forget_oldest(s);
    struct dead *d = malloc(sizeof *d + strlen(x->id) + 1);
    if (!d) return;
    struct dead **bucket = &s->dead_buckets[x->id_hash & (s->dead_bucket_count - 1)];
    *d = (struct dead){.next_in_bucket = *bucket, .id_hash = x->id_hash, .died = s->now, .reason = reason,
                       .last_step = rnnd_state_step(x->model->handle, x->state)};
    memcpy(d->id, x->id, strlen(x->id) + 1);
    *bucket = d;
    if (s->dead_last) s->dead_last->next = d;
    else s->dead_first = d;
    s->dead_last = d;
    s->dead_count++;
}

/* ---- life and death ------------------------------------------------------------------------------------------- */

struct sessions *sessions_start(const struct sessions_options *options, struct registry *registry, rnnd_error *err)
{
    struct sessions *s = calloc(1, sizeof *s);
    if (!s) {
        engine_fail_memory(err, sizeof *s);
        return NULL;
    }
    s->options = *options;
    if (s->options.kept_states < 1) s->options.kept_states = 1;
    s->registry = registry;
    s->bucket_count = 1024;
    s->dead_bucket_count = 64;
    while (s->dead_bucket_count < options->remember_dead) s->dead_bucket_count *= 2;
    s->buckets = calloc(s->bucket_count, sizeof *s->buckets);
    s->dead_buckets = calloc(s->dead_bucket_count, sizeof *s->dead_buckets);
    if (!s->buckets || !s->dead_buckets) {
        engine_fail_memory(err, (s->bucket_count + s->dead_bucket_count) * sizeof(void *));
        sessions_stop(s);
        return NULL;
    }
    if (getrandom(&s->seed, sizeof s->seed, 0) != sizeof s->seed) { /* ids are the clients' choice: no known hash */
        engine_fail(err, RNND_IO, "", "the system gave no random bytes: %m");
        sessions_stop(s);
        return NULL;
    }
    return s;
}

static void free_session(struct session *x)
{
    for (size_t i = 0; i < x->kept_count; i++) free(x->kept[i].state);
    free(x->spare);
    free(x->state);
    free(x);
}

void sessions_stop(struct sessions *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->count; i++) {
        s->heap[i]->model->sessions--;
        free_session(s->heap[i]);
    }
    while (s->dead_first) forget_oldest(s);
    free(s->heap);
    free(s->buckets);
    free(s->dead_buckets);
    free(s);
}

void session_set_idle(struct sessions *s, struct session *x, bool idle)
{
    if (idle) {
        x->newer = NULL;
        x->older = s->newest;
        if (s->newest) s->newest->newer = x;
        else s->oldest = x;
        s->newest = x;
    } else {
        if (x->newer) x->newer->older = x->older;
        else s->newest = x->older;
        if (x->older) x->older->newer = x->newer;
        else s->oldest = x->newer;
        x->newer = x->older = NULL;
    }
}

bool session_busy(const struct session *x)
{
    return x->holder || x->handing;
}

void session_touch(struct sessions *s, struct session *x)
{
    x->expires = s->now + x->ttl_s;
    if (session_busy(x)) return;
    session_set_idle(s, x, false);
    session_set_idle(s, x, true);
}

void session_count_bytes(struct sessions *s, struct session *x, ptrdiff_t change)
{
    x->bytes += (size_t)change;
    s->totals.bytes += (size_t)change;
}

/* x is idle and nobody holds its turn; whoever waits is refused. */
void session_die(struct sessions *s, struct session *x, const char *reason)
{
    struct refusal refusal = {x->waiting, s->refusals};
    uint64_t last_step = rnnd_state_step(x->model->handle, x->state);

    remember(s, x, reason);
    take_out(s, x);
    s->totals.bytes -= x->bytes;
    x->model->sessions--;
    if (!strcmp(reason, "idle")) s->totals.ended_idle++;
    else if (!strcmp(reason, "lru")) s->totals.ended_lru++;
    else if (!strcmp(reason, "limit")) s->totals.ended_limit++;
    else s->totals.ended_deleted++;
    free_session(x);
    for (struct session_turn *turn = refusal.first; turn; turn = turn->next) turn->session = NULL;
    s->refusals = &refusal;
    while (refusal.first) {
        struct session_turn *turn = refusal.first;
        refusal.first = turn->next;
        turn->next = NULL;
        turn->refused(turn, reason, last_step);
    }
    s->refusals = refusal.outer;
}

void sessions_delete(struct sessions *s, struct session *x, const char *reason)
{
    if (session_busy(x)) {
        if (!x->doomed) x->doomed = reason;
        return;
    }
    session_set_idle(s, x, false);
    session_die(s, x, reason);
}

bool sessions_make_room(struct sessions *s, size_t bytes)
{
    size_t limit = s->options.memory_limit_bytes;
    while (bytes > limit || s->totals.bytes > limit - bytes) {
        if (bytes > limit || !s->oldest) return false;
        sessions_delete(s, s->oldest, "lru");
    }
    return true;
}

void sessions_every_second(struct sessions *s, double now)
{
    if (!s->clock_known) {
        s->clock_known = true;
        s->clock_begin = now - s->now;
    }
    s->now = now - s->clock_begin;
    while (s->count && s->heap[0]->heap_key <= s->now) {
        struct session *x = s->heap[0];
        if (session_busy(x)) x->expires = s->now + x->ttl_s;
        if (x->expires <= s->now) {
            sessions_delete(s, x, "idle");
        } else {
            x->heap_key = x->expires;
            heap_sift(s, x);
        }
    }
    while (s->dead_first && s->dead_first->died + s->options.remember_dead_s <= s->now) forget_oldest(s);
}

static bool random_id(char out[23])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != sizeof random) return false;
    for (size_t i = 0; i < 22; i++) { /* 6 bits at a time; the last digit holds the 2 left over */
        size_t bit = i * 6;
        unsigned two = (unsigned)random[bit / 8] << 8 | (bit / 8 + 1 < 16 ? random[bit / 8 + 1] : 0u);
        out[i] = digits[two >> (10 - bit % 8) & 63];
    }
    out[22] = '\0';
    return true;
}

static bool good_id(const char *id)
{
    size_t n = strspn(id, ID_CHARACTERS);
    return n >= 1 && n <= ID_MAX && !id[n] && strcmp(id, ".") && strcmp(id, "..");
}

rnnd_code sessions_create(struct sessions *s, const char *id, struct model *model, double ttl_s, const void *state,
                          struct session **out, rnnd_error *err)
{
    char fresh[23];
    size_t state_bytes = rnnd_state_bytes(model->handle), kept_bytes = s->options.kept_states * sizeof(struct kept);

    *out = NULL;
    if (!id) {
        if (!random_id(fresh)) return engine_fail(err, RNND_IO, "", "the system gave no random bytes: %m");
        id = fresh;
    } else if (!good_id(id)) {
        return engine_fail(err, RNND_INVALID, "id",
                           "'%.140s' cannot be a session's id: wanted 1 to 128 of [A-Za-z0-9._~:-]", id);
    }
    uint64_t hash = hash_id(s, id);
    if (find_live(s, id, hash)) return engine_fail(err, RNND_CONFLICT, "id", "the session %s exists already", id);

    size_t id_bytes = (strlen(id) / sizeof(uint64_t) + 1) * sizeof(uint64_t); /* kept stands behind it */
    size_t own_bytes = sizeof(struct session) + id_bytes;
    struct session *x = calloc(1, own_bytes + kept_bytes);
    if (!x) return engine_fail_memory(err, own_bytes + kept_bytes);
    memcpy(x->id, id, strlen(id) + 1);
    x->kept = (struct kept *)((char *)x + own_bytes);
    x->owner = s;
    x->model = model;
    x->id_hash = hash;
    x->ttl_s = ttl_s > 0 ? ttl_s : s->options.ttl_s;
    if (x->ttl_s < TTL_LEAST_S) x->ttl_s = TTL_LEAST_S;
    x->heap_key = x->expires = s->now + x->ttl_s;
    x->state_bytes = state_bytes;
    x->state = malloc(state_bytes ? state_bytes : 1);
    x->spare = malloc(state_bytes ? state_bytes : 1);
    if (!x->state || !x->spare) {
        free_session(x);
        return engine_fail_memory(err, 2 * state_bytes);
    }
    if (state) memcpy(x->state, state, state_bytes);
    else rnnd_state_reset(model->handle, x->state);
    size_t bytes = own_bytes + kept_bytes + 2 * state_bytes;
    if (!sessions_make_room(s, bytes)) {
        free_session(x);
        return engine_fail(err, RNND_BUSY, "", "no room for a session of %zu bytes: %zu of %zu bytes are taken by busy "
                           "sessions", bytes, s->totals.bytes, s->options.memory_limit_bytes);
    }
    if (!grow(s)) {
        free_session(x);
        return engine_fail_memory(err, s->bucket_count * 2 * sizeof(void *));
    }
    struct dead *past = *find_dead(s, id, hash);
    if (past) past->reason = NULL; /* that life is over and answered for */
    insert(s, x);
    session_count_bytes(s, x, (ptrdiff_t)bytes);
    session_set_idle(s, x, true);
    model->sessions++;
    *out = x;
    return RNND_OK;
}

rnnd_code sessions_find(struct sessions *s, const char *id, struct session **out, const char **reason,
                        uint64_t *last_step, rnnd_error *err)
{
    uint64_t hash = hash_id(s, id), step = 0;
    struct session *x = find_live(s, id, hash);
    const char *why = NULL;

    *out = NULL;
    if (x && !x->doomed) {
        *out = x;
        return RNND_OK;
    }
    if (x && strcmp(x->doomed, "deleted")) {
        why = x->doomed;
        step = rnnd_state_step(x->model->handle, x->state);
    } else if (!x) {
        const struct dead *d = *find_dead(s, id, hash);
        if (d) {
            why = d->reason;
            step = d->last_step;
        }
    }
    if (!why) return engine_fail(err, RNND_NOT_FOUND, "session", "there is no session '%.128s'", id);
    if (reason) *reason = why;
    if (last_step) *last_step = step;
    return engine_fail(err, RNND_GONE, "session", "the session %s ended (%s) at step %llu", id, why,
                       (unsigned long long)step);
}

void sessions_view(const struct session *x, struct session_view *view)
{
    *view = (struct session_view){.id = x->id, .model = x->model, .mode = x->model->info->mode,
                                  .step = rnnd_state_step(x->model->handle, x->state),
                                  .state_digest = rnnd_state_digest(x->model->handle, x->state),
                                  .state_bytes = x->state_bytes};
    view->expires_unix = (int64_t)time(NULL) + (int64_t)(x->owner->now < x->expires ? x->expires - x->owner->now : 0);
}

/* Lines of [p, p + bytes), but of no more than a few kilobytes. */
static void prefetch(const void *p, size_t bytes)
{
    const size_t line = 64, most = 4096;
    for (size_t at = 0; at < bytes && at < most; at += line) __builtin_prefetch((const char *)p + at, 1);
}

void sessions_prefetch(const struct sessions *s, const char *id)
{
    const struct session *x = find_live(s, id, hash_id(s, id));
    if (!x) return;
    __builtin_prefetch(&x->owner); /* the struct's end, and what kept begins with */
    prefetch(x->state, x->state_bytes);
    if (x->newer) __builtin_prefetch(&x->newer->newer, 1);
    if (x->older) __builtin_prefetch(&x->older->newer, 1);
    prefetch(x->spare || !x->kept_count ? x->spare : x->kept[0].state, x->state_bytes);
    prefetch(x->kept, s->options.kept_states * sizeof *x->kept);
}

struct model *session_model(const struct session *x)
{
    return x->model;
}

/* Sinks the root of a heap of ids, greatest first. */
static void sink_greatest(const struct session **heap, size_t n)
{
    const struct session *x = heap[0];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= n) break;
        if (child + 1 < n && strcmp(heap[child + 1]->id, heap[child]->id) > 0) child++;
        if (strcmp(heap[child]->id, x->id) <= 0) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = x;
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(struct session *const *)a)->id, (*(struct session *const *)b)->id);
}

size_t sessions_list(const struct sessions *s, const char *model, const char *after, size_t limit,
                     struct session_view *views)
{
    size_t n = 0;
    if (limit > s->count) limit = s->count;
    if (!limit) return 0;
    const struct session **found = malloc(limit * sizeof *found);
    if (!found) return 0;
    for (size_t i = 0; i < s->count; i++) { /* the `limit` smallest ids: the greatest of them on top */
        const struct session *x = s->heap[i];
        if (x->doomed || (model && strcmp(x->model->name, model)) || (after && strcmp(x->id, after) <= 0)) continue;
        if (n < limit) {
            found[n++] = x;
            if (n == limit) qsort(found, n, sizeof *found, by_id);
            if (n == limit)
                for (size_t k = 0; k < n / 2; k++) { /* descending order is a heap */
                    const struct session *swap = found[k];
                    found[k] = found[n - 1 - k];
                    found[n - 1 - k] = swap;
                }
        } else if (strcmp(x->id, found[0]->id) < 0) {
            found[0] = x;
            sink_greatest(found, n);
        }
    }
    qsort(found, n, sizeof *found, by_id);
    for (size_t i = 0; i < n; i++) sessions_view(found[i], &views[i]);
    free(found);
    return n;
}

void sessions_totals(const struct sessions *s, struct sessions_totals *t)
{
    *t = s->totals;
    t->live = s->count;
}
