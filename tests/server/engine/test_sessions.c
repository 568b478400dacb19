/* test_sessions.c -- the step rule, replays, kept states, turns, and every way a session ends; time is the test's. */
#include "server/engine/sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/tiny_model.h"

static struct registry *registry;
static struct model *model;
static rnnd_workspace *ws;
static size_t state_bytes;

static int make_world(void **unused)
{
    char path[] = "/tmp/rnnd-sessions-XXXXXX.safetensors", source[80];
    rnnd_error err = {0};
    int fd = mkstemps(path, 12);
    (void)unused;
    if (fd < 0) return -1;
    close(fd);
    snprintf(source, sizeof source, "tiny=%s", path);
    registry = registry_start();
    if (!tiny_model_write(path, 3) || registry_add(registry, source, &err) != RNND_OK) return -1;
    unlink(path);
    model = registry_find(registry, "tiny");
    if (!model->handle) {
        print_error("%s\n", model->failure);
        return -1;
    }
    state_bytes = rnnd_state_bytes(model->handle);
    return rnnd_workspace_open(model->handle, 1, &ws, &err) == RNND_OK ? 0 : -1;
}

static int end_world(void **unused)
{
    (void)unused;
    rnnd_workspace_close(ws);
    registry_stop(registry);
    return 0;
}

static struct sessions *start(size_t memory, size_t kept)
{
    struct sessions_options o = {.memory_limit_bytes = memory, .ttl_s = 100, .kept_states = kept,
                                 .remember_dead_s = 1000, .remember_dead = 50};
    struct sessions *s = sessions_start(&o, registry, NULL);
    assert_non_null(s);
    sessions_every_second(s, 5000);
    return s;
}

static struct session *create(struct sessions *s, const char *id)
{
    struct session *x = NULL;
    rnnd_error err = {0};
    rnnd_code code = sessions_create(s, id, model, 0, NULL, &x, &err);
    if (code != RNND_OK) print_error("%s\n", err.message);
    assert_int_equal(code, RNND_OK);
    return x;
}

/* ---- requests: n steps whose input is the body's number ------------------------------------------------------*/

static void nothing(struct session_turn *turn)
{
    (void)turn;
}

static void advance(void *state, uint64_t body, int steps)
{
    for (int i = 0; i < steps; i++) {
        float input[TINY_INPUTS] = {(float)body * 0.1f, (float)i, 1}, output[TINY_OUTPUTS];
        rnnd_step_row row = {.state = state, .input = input, .output = output};
        assert_int_equal(rnnd_step(ws, &row, 1, NULL), RNND_OK);
    }
}

struct outcome {
    rnnd_code code;
    bool replayed;
    rnnd_error err;
    uint64_t digest; /* of the state that the request computed */
};

static struct outcome request(struct sessions *s, struct session *x, const struct session_request *r, int steps)
{
    struct session_turn turn = {.ready = nothing};
    struct outcome o = {0};
    void *state = malloc(state_bytes);
    session_wait(s, x, &turn);
    assert_true(turn.has_turn);
    o.code = session_begin(&turn, r, state, &o.replayed, &o.err);
    if (o.code == RNND_OK) {
        advance(state, r->body_hash, steps);
        o.digest = rnnd_state_digest(model->handle, state);
        session_commit(&turn, r, state, o.replayed);
    }
    session_leave(s, &turn);
    free(state);
    return o;
}

static struct session_request plain(uint64_t body)
{
    return (struct session_request){.body_hash = body};
}

static struct session_request at_step(uint64_t step, uint64_t body)
{
    return (struct session_request){.has_step = true, .step = step, .body_hash = body};
}

static uint64_t step_of(const struct session *x)
{
    struct session_view v;
    sessions_view(x, &v);
    return v.step;
}

static uint64_t digest_of(const struct session *x)
{
    return rnnd_state_digest(model->handle, session_state(x));
}

static void expect(struct outcome o, rnnd_code code, bool replayed)
{
    if (o.code != code) print_error("found: %s\n", o.err.message);
    assert_int_equal(o.code, code);
    assert_int_equal(o.replayed, replayed);
}

static void the_step_rule(void **unused)
{
    (void)unused;
    struct sessions *s = start(1 << 20, 8);
    struct session *x = create(s, "a");
    struct session_request r;
    struct outcome first, again;

    r = at_step(1, 11);
    expect(request(s, x, &r, 1), RNND_CONFLICT, false); /* not there yet */
    r = at_step(0, 11);
    first = request(s, x, &r, 3);
    expect(first, RNND_OK, false);
    assert_int_equal(step_of(x), 3);
    again = request(s, x, &r, 3); /* the step before the last request, same body */
    expect(again, RNND_OK, true);
    assert_true(again.digest == first.digest && digest_of(x) == first.digest);
    assert_int_equal(step_of(x), 3);
    r = at_step(0, 12);
    again = request(s, x, &r, 3);
    expect(again, RNND_CONFLICT, false);
    assert_non_null(strstr(again.err.message, "is at step 3"));
    assert_non_null(strstr(again.err.message, "another body"));
    assert_string_equal(again.err.param, "step");
    r = at_step(3, 11); /* the same body once more is a new request */
    expect(request(s, x, &r, 1), RNND_OK, false);
    assert_int_equal(step_of(x), 4);
    r = at_step(0, 11);
    expect(request(s, x, &r, 3), RNND_CONFLICT, false); /* no longer the last one */
    r = at_step(2, 11);
    expect(request(s, x, &r, 1), RNND_CONFLICT, false); /* in the middle of a request */
    r = at_step(3, 11);
    expect(request(s, x, &r, 1), RNND_OK, true);
    r = at_step(5, 11);
    expect(request(s, x, &r, 1), RNND_CONFLICT, false);
    struct sessions_totals t;
    sessions_totals(s, &t);
    assert_int_equal(t.replays, 2);
    sessions_stop(s);
}

static void keys_and_retries(void **unused)
{
    (void)unused;
    struct sessions *s = start(1 << 20, 8);
    struct session *x = create(s, "a");
    struct session_request r = plain(5), key;

    expect(request(s, x, &r, 1), RNND_OK, false);
    expect(request(s, x, &r, 1), RNND_OK, false); /* without a step the same body runs again */
    assert_int_equal(step_of(x), 2);
    r.is_retry = true;
    expect(request(s, x, &r, 1), RNND_OK, true);
    assert_int_equal(step_of(x), 2);
    r = plain(6);
    r.is_retry = true; /* a retry of what never arrived */
    expect(request(s, x, &r, 1), RNND_OK, false);
    assert_int_equal(step_of(x), 3);

    key = plain(7);
    key.idempotency_key = "k1";
    expect(request(s, x, &key, 1), RNND_OK, false);
    expect(request(s, x, &key, 1), RNND_OK, true);
    assert_int_equal(step_of(x), 4);
    key.body_hash = 8;
    expect(request(s, x, &key, 1), RNND_MISMATCH, false);
    key.has_step = true;
    key.step = 4;
    expect(request(s, x, &key, 1), RNND_MISMATCH, false);
    key.has_step = false;
    key.idempotency_key = "k2";
    key.body_hash = 7;
    expect(request(s, x, &key, 1), RNND_OK, false); /* another key is another request */
    assert_int_equal(step_of(x), 5);
    key.idempotency_key = "k1"; /* only the last key is remembered */
    expect(request(s, x, &key, 1), RNND_OK, false);
    assert_int_equal(step_of(x), 6);
    sessions_stop(s);
}

static void a_failed_request_changes_nothing(void **unused)
{
    (void)unused;
    struct sessions *s = start(1 << 20, 2);
    struct session *x = create(s, "a");
    struct session_request r = at_step(0, 1);
    expect(request(s, x, &r, 2), RNND_OK, false);
    uint64_t before = digest_of(x);
    struct session_turn turn = {.ready = nothing};
    void *state = malloc(state_bytes);
    bool replayed;
    session_wait(s, x, &turn);
    struct session_request next = at_step(2, 9);
    assert_int_equal(session_begin(&turn, &next, state, &replayed, NULL), RNND_OK);
    advance(state, 9, 1);
    session_leave(s, &turn); /* no commit */
    assert_true(digest_of(x) == before);
    expect(request(s, x, &r, 2), RNND_OK, true); /* the last request is still the last */
    free(state);
    sessions_stop(s);
}

static void kept_states_rewind_and_fork(void **unused)
{
    (void)unused;
    struct sessions *s = start(1 << 20, 3);
    struct session *x = create(s, "a"), *fork;
    uint64_t digest[8];
    const void *state;
    rnnd_error err;
    for (uint64_t i = 0; i < 6; i++) {
        struct session_request r = plain(i);
        digest[i] = digest_of(x);
        expect(request(s, x, &r, 2), RNND_OK, false);
    }
    digest[6] = digest_of(x); /* steps 0 2 4 6 8 10 and now 12; kept are 6 8 10 */
    for (uint64_t step = 0; step <= 14; step++) {
        rnnd_code code = session_state_at(x, step, &state, &err);
        bool kept = step >= 6 && step <= 12 && step % 2 == 0;
        assert_int_equal(code, kept ? RNND_OK : RNND_CONFLICT);
        if (kept) assert_true(rnnd_state_digest(model->handle, state) == digest[step / 2]);
        else assert_non_null(strstr(err.message, "6, 8, 10 and the current one, 12"));
    }
    assert_int_equal(session_state_at(x, 8, &state, &err), RNND_OK);
    assert_int_equal(sessions_create(s, NULL, model, 0, state, &fork, &err), RNND_OK);
    assert_true(digest_of(fork) == digest[4]);
    assert_int_equal(session_rewind(s, x, 7, &err), RNND_CONFLICT);
    assert_true(digest_of(x) == digest[6]);
    assert_int_equal(session_rewind(s, x, 8, &err), RNND_OK);
    assert_true(digest_of(x) == digest[4]);
    assert_int_equal(session_state_at(x, 10, &state, &err), RNND_CONFLICT); /* what was later is gone */
    assert_int_equal(session_state_at(x, 6, &state, &err), RNND_OK);
    struct session_request r = at_step(10, 5);
    expect(request(s, x, &r, 2), RNND_CONFLICT, false); /* and so is the memory of the last request */
    for (uint64_t i = 4; i < 6; i++) { /* the same requests lead to the same states */
        r = plain(i);
        expect(request(s, x, &r, 2), RNND_OK, false);
        assert_true(digest_of(x) == digest[i + 1]);
        expect(request(s, fork, &r, 2), RNND_OK, false);
    }
    assert_true(digest_of(fork) == digest[6]);

    void *other = malloc(state_bytes);
    rnnd_state_reset(model->handle, other);
    session_replace(s, x, other);
    assert_int_equal(step_of(x), 0);
    assert_int_equal(session_state_at(x, 10, &state, &err), RNND_CONFLICT);
    assert_null(strstr(err.message, " and "));
    free(other);
    sessions_stop(s);
}

static void one_kept_state_is_enough_for_replays(void **unused)
{
    (void)unused;
    struct sessions *s = start(1 << 20, 1);
    struct session *x = create(s, "a");
    for (uint64_t i = 0; i < 20; i++) {
        struct session_request r = at_step(i, i);
        struct outcome first = request(s, x, &r, 1), again = request(s, x, &r, 1);
        expect(first, RNND_OK, false);
        expect(again, RNND_OK, true);
        assert_true(first.digest == again.digest);
    }
    sessions_stop(s);
}

/* ---- turns ---------------------------------------------------------------------------------------------------*/

struct waiter {
    struct session_turn turn;
    struct sessions *s;
    int order, refusals;
    bool leaves_at_once;
    char reason[16];
    uint64_t last_step;
    struct waiter *also_leaves; /* when refused */
};
static int turn_count;

static void waiter_ready(struct session_turn *turn)
{
    struct waiter *w = (struct waiter *)turn;
    w->order = ++turn_count;
    if (w->leaves_at_once) session_leave(w->s, turn);
}

static void waiter_refused(struct session_turn *turn, const char *reason, uint64_t last_step)
{
    struct waiter *w = (struct waiter *)turn;
    w->refusals++;
    snprintf(w->reason, sizeof w->reason, "%s", reason);
    w->last_step = last_step;
    if (w->also_leaves) session_leave(w->s, &w->also_leaves->turn);
}

static struct waiter waiter(struct sessions *s, bool leaves_at_once)
{
    return (struct waiter){.turn = {.ready = waiter_ready, .refused = waiter_refused}, .s = s,
                           .leaves_at_once = leaves_at_once};
}

static void turns_come_in_order(void **unused)
{
    (void)unused;
    enum { MANY = 100000 };
    struct sessions *s = start(1 << 20, 2);
    struct session *x = create(s, "a");
    struct waiter *w = calloc(MANY, sizeof *w);
    turn_count = 0;
    for (int i = 0; i < MANY; i++) {
        w[i] = waiter(s, i > 0);
        session_wait(s, x, &w[i].turn);
    }
    assert_int_equal(w[0].order, 1);
    assert_int_equal(w[1].order, 0);
    assert_true(session_busy(x));
    session_leave(s, &w[5].turn); /* out of the middle of the line */
    session_leave(s, &w[MANY - 1].turn);
    session_leave(s, &w[0].turn); /* all others follow, without a stack as deep as the line */
    assert_int_equal(turn_count, MANY - 2);
    assert_int_equal(w[4].order, 5);
    assert_int_equal(w[5].order, 0);
    assert_int_equal(w[6].order, 6);
    assert_int_equal(w[MANY - 1].order, 0);
    assert_false(session_busy(x));
    free(w);
    sessions_stop(s);
}

static void a_busy_session_dies_when_its_request_is_done(void **unused)
{
    (void)unused;
    struct sessions *s = start(1 << 20, 2);
    struct session *x = create(s, "a"), *found;
    struct session_request r = plain(1);
    struct waiter w[4] = {waiter(s, false), waiter(s, false), waiter(s, false), waiter(s, false)};
    uint64_t last = 0;
    const char *reason = NULL;
    rnnd_error err;

    expect(request(s, x, &r, 7), RNND_OK, false);
    for (int i = 0; i < 4; i++) session_wait(s, x, &w[i].turn);
    w[1].also_leaves = &w[2];
    sessions_delete(s, x, "deleted");
    assert_int_equal(sessions_find(s, "a", &found, &reason, &last, &err), RNND_NOT_FOUND);
    assert_int_equal(sessions_create(s, "a", model, 0, NULL, &found, &err), RNND_CONFLICT);
    assert_int_equal(w[1].refusals, 0);
    assert_int_equal(model->sessions, 1);
    session_leave(s, &w[0].turn);
    assert_int_equal(w[0].refusals, 0);
    assert_int_equal(w[1].refusals, 1);
    assert_string_equal(w[1].reason, "deleted");
    assert_int_equal(w[1].last_step, 7);
    assert_int_equal(w[2].refusals, 0); /* it left while the one before was being told */
    assert_int_equal(w[3].refusals, 1);
    assert_int_equal(model->sessions, 0);
    session_leave(s, &w[3].turn); /* harmless */
    create(s, "a");
    sessions_stop(s);
}

/* ---- life and death ------------------------------------------------------------------------------------------*/

static void ids(void **unused)
{
    (void)unused;
    struct sessions *s = start(1 << 20, 1);
    struct session *x;
    struct session_view a, b;
    rnnd_error err;
    char longest[130];
    memset(longest, 'x', 129);
    longest[129] = 0;
    static const char *const bad[] = {"", "a b", "a/b", "\xC3\xA4", ".", "..", "a%20"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sessions_create(s, bad[i], model, 0, NULL, &x, &err), RNND_INVALID);
    assert_int_equal(sessions_create(s, longest, model, 0, NULL, &x, &err), RNND_INVALID);
    create(s, longest + 1);
    create(s, "A.z_9~:-");
    assert_int_equal(sessions_create(s, "A.z_9~:-", model, 0, NULL, &x, &err), RNND_CONFLICT);
    sessions_view(create(s, NULL), &a);
    sessions_view(create(s, NULL), &b);
    assert_int_equal(strlen(a.id), 22);
    assert_string_not_equal(a.id, b.id);
    assert_int_equal(sessions_find(s, "nobody", &x, NULL, NULL, &err), RNND_NOT_FOUND);
    assert_int_equal(sessions_find(s, a.id, &x, NULL, NULL, &err), RNND_OK);
    sessions_stop(s);
}

static void idle_sessions_time_out(void **unused)
{
    (void)unused;
    struct sessions *s = start(1 << 20, 1);
    struct session *a = create(s, "a"), *b = create(s, "b"), *brief, *x;
    struct session_view v;
    rnnd_error err;
    const char *reason;
    uint64_t last;
    assert_int_equal(sessions_create(s, "brief", model, 10, NULL, &brief, &err), RNND_OK);
    sessions_view(b, &v);
    assert_in_range(v.expires_unix, time(NULL) + 98, time(NULL) + 101);
    sessions_every_second(s, 5009);
    assert_int_equal(sessions_find(s, "brief", &x, NULL, NULL, &err), RNND_OK);
    sessions_every_second(s, 5010);
    assert_int_equal(sessions_find(s, "brief", &x, &reason, &last, &err), RNND_GONE);
    assert_string_equal(reason, "idle");
    sessions_every_second(s, 5090);
    struct session_request r = plain(1);
    expect(request(s, a, &r, 4), RNND_OK, false);
    sessions_every_second(s, 5100);
    assert_int_equal(sessions_find(s, "b", &x, NULL, NULL, &err), RNND_GONE);
    assert_int_equal(sessions_find(s, "a", &x, NULL, NULL, &err), RNND_OK);
    sessions_every_second(s, 5189);
    session_touch(s, a);
    struct session_turn turn = {.ready = nothing};
    sessions_every_second(s, 5288);
    session_wait(s, a, &turn);
    sessions_every_second(s, 9000); /* a busy one does not time out */
    assert_int_equal(sessions_find(s, "a", &x, NULL, NULL, &err), RNND_OK);
    session_leave(s, &turn);
    sessions_every_second(s, 9099);
    assert_int_equal(sessions_find(s, "a", &x, NULL, NULL, &err), RNND_OK);
    sessions_every_second(s, 9100);
    assert_int_equal(sessions_find(s, "a", &x, &reason, &last, &err), RNND_GONE);
    assert_int_equal(last, 4);
    assert_non_null(strstr(err.message, "(idle) at step 4"));
    sessions_every_second(s, 10099);
    assert_int_equal(sessions_find(s, "a", &x, NULL, NULL, &err), RNND_GONE);
    sessions_every_second(s, 10100); /* remembered for 1000 s */
    assert_int_equal(sessions_find(s, "a", &x, NULL, NULL, &err), RNND_NOT_FOUND);
    struct sessions_totals t;
    sessions_totals(s, &t);
    assert_int_equal(t.live, 0);
    assert_int_equal(t.bytes, 0);
    assert_int_equal(t.ended_idle, 3);
    sessions_stop(s);
}

static void dead_ids_are_forgotten_and_live_again(void **unused)
{
    (void)unused;
    struct sessions *s = start(1 << 20, 1);
    struct session *x;
    rnnd_error err;
    char id[16];
    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof id, "s%d", i);
        sessions_delete(s, create(s, id), "limit");
    }
    for (int i = 0; i < 60; i++) { /* 50 are remembered */
        snprintf(id, sizeof id, "s%d", i);
        assert_int_equal(sessions_find(s, id, &x, NULL, NULL, &err), i < 10 ? RNND_NOT_FOUND : RNND_GONE);
    }
    create(s, "s59");
    assert_int_equal(sessions_find(s, "s59", &x, NULL, NULL, &err), RNND_OK);
    sessions_delete(s, x, "deleted"); /* asked for: 404, not 410, whatever was before */
    assert_int_equal(sessions_find(s, "s59", &x, NULL, NULL, &err), RNND_NOT_FOUND);
    sessions_delete(s, create(s, "s58"), "lru");
    const char *reason;
    assert_int_equal(sessions_find(s, "s58", &x, &reason, NULL, &err), RNND_GONE);
    assert_string_equal(reason, "lru");
    sessions_stop(s);
}

static size_t bytes_of_one(size_t kept)
{
    struct sessions *s = start(1 << 20, kept);
    struct sessions_totals t;
    create(s, "aa");
    sessions_totals(s, &t);
    sessions_stop(s);
    return t.bytes;
}

static void the_least_recently_used_make_room(void **unused)
{
    (void)unused;
    size_t one = bytes_of_one(2);
    struct sessions *s = start(4 * one, 2);
    struct session *x, *kept[5];
    rnnd_error err;
    char id[16];
    for (int i = 0; i < 4; i++) {
        snprintf(id, sizeof id, "a%d", i);
        kept[i] = create(s, id);
    }
    session_touch(s, kept[0]); /* order of use is now a1 a2 a3 a0 */
    struct waiter busy = waiter(s, false);
    session_wait(s, kept[1], &busy.turn);
    create(s, "b0");
    assert_int_equal(sessions_find(s, "a2", &x, NULL, NULL, &err), RNND_GONE);
    create(s, "b1");
    assert_int_equal(sessions_find(s, "a3", &x, NULL, NULL, &err), RNND_GONE);
    create(s, "b2");
    assert_int_equal(sessions_find(s, "a0", &x, NULL, NULL, &err), RNND_GONE);
    assert_int_equal(sessions_find(s, "a1", &x, NULL, NULL, &err), RNND_OK); /* busy */
    struct sessions_totals t;
    sessions_totals(s, &t);
    assert_int_equal(t.ended_lru, 3);
    assert_int_equal(t.bytes, 4 * one);

    struct waiter all[3] = {waiter(s, false), waiter(s, false), waiter(s, false)};
    static const char *const names[] = {"b0", "b1", "b2"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sessions_find(s, names[i], &x, NULL, NULL, &err), RNND_OK);
        session_wait(s, x, &all[i].turn);
    }
    assert_int_equal(sessions_create(s, "c0", model, 0, NULL, &x, &err), RNND_BUSY);
    assert_non_null(strstr(err.message, "busy"));
    session_leave(s, &all[1].turn);
    create(s, "c0");
    assert_int_equal(sessions_find(s, "b1", &x, NULL, NULL, &err), RNND_GONE);
    sessions_stop(s);
}

static void kept_states_count_and_give_way(void **unused)
{
    (void)unused;
    size_t one = bytes_of_one(8);
    struct sessions *s = start(2 * one + 3 * state_bytes, 8);
    struct session *a = create(s, "aa"), *b = create(s, "bb"), *x;
    struct session_request r;
    struct sessions_totals t;
    rnnd_error err;
    for (uint64_t i = 0; i < 3; i++) { /* the first uses the spare buffer, the next two take room */
        r = plain(i);
        expect(request(s, a, &r, 1), RNND_OK, false);
    }
    sessions_totals(s, &t);
    assert_int_equal(t.bytes, 2 * one + 2 * state_bytes);
    struct waiter busy = waiter(s, false);
    session_wait(s, b, &busy.turn); /* nobody to drop: a keeps fewer instead */
    for (uint64_t i = 3; i < 20; i++) {
        r = at_step(i, i);
        expect(request(s, a, &r, 1), RNND_OK, false);
        expect(request(s, a, &r, 1), RNND_OK, true);
        sessions_totals(s, &t);
        assert_true(t.bytes <= 2 * one + 3 * state_bytes);
    }
    const void *state;
    assert_int_equal(session_state_at(a, 16, &state, &err), RNND_OK);
    assert_int_equal(session_state_at(a, 15, &state, &err), RNND_CONFLICT);
    session_leave(s, &busy.turn);
    for (uint64_t i = 20; i < 40; i++) {
        r = at_step(i, i);
        expect(request(s, a, &r, 1), RNND_OK, false);
    }
    assert_int_equal(sessions_find(s, "bb", &x, NULL, NULL, &err), RNND_GONE); /* idle: dropped for a's kept states */
    sessions_stop(s);
    s = start(one - 1, 8);
    assert_int_equal(sessions_create(s, "aa", model, 0, NULL, &x, &err), RNND_BUSY);
    sessions_stop(s);
}

static void listing_is_sorted_and_continues(void **unused)
{
    (void)unused;
    enum { COUNT = 500 };
    struct sessions *s = start(64 << 20, 1);
    struct session_view views[64];
    char id[16], after[16] = "";
    size_t seen = 0, n;
    for (int i = 0; i < COUNT; i++) { /* 7 and 500 have no common factor: every number once, out of order */
        snprintf(id, sizeof id, "s%04d", i * 7 % COUNT);
        create(s, id);
    }
    while ((n = sessions_list(s, NULL, *after ? after : NULL, 64, views))) {
        for (size_t i = 0; i < n; i++) {
            snprintf(id, sizeof id, "s%04zu", seen++);
            assert_string_equal(views[i].id, id);
        }
        snprintf(after, sizeof after, "%s", views[n - 1].id);
    }
    assert_int_equal(seen, COUNT);
    assert_int_equal(sessions_list(s, "tiny", "s0490", 64, views), 9);
    assert_int_equal(sessions_list(s, "other", NULL, 64, views), 0);
    sessions_stop(s);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Against a plain array: which of many sessions live, in what order they go. */
static void a_hundred_thousand_sessions(void **unused)
{
    (void)unused;
    enum { COUNT = 100000 };
    struct sessions *s = start((size_t)4 << 30, 1);
    double *expires = calloc(COUNT, sizeof *expires), begin = seconds_now();
    struct session *x;
    char id[16];
    uint32_t noise = 1;
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "s%d", i);
        create(s, id);
        expires[i] = 5100;
    }
    double created = seconds_now();
    for (int now = 5001; now < 5150; now++) {
        sessions_every_second(s, now);
        for (int k = 0; k < 1000; k++) {
            noise = noise * 1664525u + 1013904223u;
            int i = (int)((noise >> 8) % COUNT);
            snprintf(id, sizeof id, "s%d", i);
            rnnd_code code = sessions_find(s, id, &x, NULL, NULL, NULL);
            assert_int_equal(code == RNND_OK, expires[i] > now);
            if (code != RNND_OK) continue;
            session_touch(s, x);
            expires[i] = now + 100;
        }
    }
    size_t living = 0;
    struct sessions_totals t;
    for (int i = 0; i < COUNT; i++) living += expires[i] > 5149;
    sessions_totals(s, &t);
    assert_int_equal(t.live, living);
    print_message("created in %.3f s, 149 seconds and 149,000 uses in %.3f s\n", created - begin,
                  seconds_now() - created);
    free(expires);
    sessions_stop(s);
    assert_int_equal(model->sessions, 0);
}

/* A life shorter than the clock can tell, of a session that is busy when its time comes: the sweep has to end. */
static void the_shortest_life_ends_too(void **unused)
{
    struct sessions *s = start(1 << 20, 8);
    struct session_turn turn = {.ready = nothing};
    struct session *x;
    (void)unused;
    assert_int_equal(sessions_create(s, "short", model, 1e-30, NULL, &x, NULL), RNND_OK);
    session_wait(s, x, &turn);
    alarm(20);
    for (double now = 5000; now < 5003; now++) sessions_every_second(s, now);
    alarm(0);
    assert_int_equal(sessions_find(s, "short", &x, NULL, NULL, NULL), RNND_OK);
    session_leave(s, &turn);
    sessions_every_second(s, 5004);
    assert_int_equal(sessions_find(s, "short", &x, NULL, NULL, NULL), RNND_GONE);
    sessions_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_step_rule),
        cmocka_unit_test(keys_and_retries),
        cmocka_unit_test(a_failed_request_changes_nothing),
        cmocka_unit_test(kept_states_rewind_and_fork),
        cmocka_unit_test(one_kept_state_is_enough_for_replays),
        cmocka_unit_test(turns_come_in_order),
        cmocka_unit_test(a_busy_session_dies_when_its_request_is_done),
        cmocka_unit_test(ids),
        cmocka_unit_test(idle_sessions_time_out),
        cmocka_unit_test(the_shortest_life_ends_too),
        cmocka_unit_test(dead_ids_are_forgotten_and_live_again),
        cmocka_unit_test(the_least_recently_used_make_room),
        cmocka_unit_test(kept_states_count_and_give_way),
        cmocka_unit_test(listing_is_sorted_and_continues),
        cmocka_unit_test(a_hundred_thousand_sessions),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
