/* test_batch.c -- batches form, jobs come and go between ticks with their own bits, nothing is lost between threads. */
#include "server/engine/batch.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/engine/stats.h"
#include "tests/lib/tiny_model.h"

static struct {
    char folder[64];
    struct registry *registry;
    struct model *models[3]; /* the last one overflows */
} world;

static int make_world(void **unused)
{
    char path[128];
    rnnd_error err;
    (void)unused;
    snprintf(world.folder, sizeof world.folder, "/tmp/rnnd-batch-XXXXXX");
    if (!mkdtemp(world.folder) || !(world.registry = registry_start())) return -1;
    for (uint32_t i = 0; i < 3; i++) {
        char name[4] = {'m', (char)('0' + i), 0};
        snprintf(path, sizeof path, "%s/%s.safetensors", world.folder, name);
        if (!tiny_model_write(path, i < 2 ? 7 + i : 0) || registry_add(world.registry, path, &err) != RNND_OK)
            return -1;
        world.models[i] = registry_find(world.registry, name);
        if (!world.models[i]->handle) {
            print_error("%s\n", world.models[i]->failure);
            return -1;
        }
        unlink(path);
    }
    rmdir(world.folder);
    return 0;
}

static int end_world(void **unused)
{
    (void)unused;
    registry_stop(world.registry);
    return 0;
}

/* ---- a loop thread as the server has one: wakes are noticed, then events delivered -------------------------*/

struct loop {
    struct batch *batch;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool wake; /* lock */
    int wakes;
};

static void wake(void *context)
{
    struct loop *l = context;
    pthread_mutex_lock(&l->lock);
    l->wake = true;
    l->wakes++;
    pthread_cond_signal(&l->woken);
    pthread_mutex_unlock(&l->lock);
}

static void loop_start_with(struct loop *l, size_t limit, size_t workers)
{
    rnnd_error err;
    *l = (struct loop){.lock = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER};
    assert_int_equal(batch_start(limit, workers, wake, l, &l->batch, &err), RNND_OK);
}

static void loop_start(struct loop *l, size_t limit)
{
    loop_start_with(l, limit, 0);
}

/* One turn: what is ready is ticked; then waits a moment for the compute thread. */
static void loop_turn(struct loop *l)
{
    struct timespec until;
    batch_after_poll(l->batch);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 2000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&l->lock);
    if (!l->wake && batch_depth(l->batch)) pthread_cond_timedwait(&l->woken, &l->lock, &until);
    bool woken = l->wake;
    l->wake = false;
    pthread_mutex_unlock(&l->lock);
    if (woken) batch_events(l->batch);
}

static void loop_until_idle(struct loop *l)
{
    for (int turns = 0; batch_depth(l->batch); turns++) {
        assert_true(turns < 20000);
        loop_turn(l);
    }
}

/* ---- a job that feeds a fixed random sequence and writes down every output --------------------------------*/

struct sequence {
    struct job job; /* first */
    int steps, fed, got, finished, progressed;
    int wait_at;            /* answers WAIT once before this step; -1 never */
    atomic_bool may_go;
    atomic_int waits;
    bool notify;
    int refuse_at;          /* output() refuses this step; -1 never */
    int poison_at;          /* NaN goes in at this step; -1 never */
    float *inputs, *outputs;
};

static enum job_next sequence_input(struct job *j, float *row)
{
    struct sequence *s = (struct sequence *)j;
    if (s->fed == s->steps) return JOB_FINISHED;
    if (s->fed == s->wait_at && !atomic_load(&s->may_go)) {
        atomic_fetch_add(&s->waits, 1);
        return JOB_WAIT;
    }
    memcpy(row, s->inputs + s->fed * TINY_INPUTS, TINY_INPUTS * sizeof *row);
    if (s->fed == s->poison_at) row[1] = NAN;
    s->fed++;
    return JOB_READY;
}

static rnnd_code sequence_output(struct job *j, const float *row, rnnd_error *err)
{
    struct sequence *s = (struct sequence *)j;
    if (s->got == s->refuse_at) {
        snprintf(err->message, sizeof err->message, "refused here");
        return err->code = RNND_UNSUPPORTED;
    }
    memcpy(s->outputs + s->got++ * TINY_OUTPUTS, row, TINY_OUTPUTS * sizeof *row);
    if (s->notify) batch_notify(j);
    return RNND_OK;
}

static void sequence_progress(struct job *j)
{
    ((struct sequence *)j)->progressed++;
}

static void sequence_done(struct job *j)
{
    ((struct sequence *)j)->finished++;
}

static const struct job_type sequence_type = {"sequence", sequence_input, sequence_output, NULL, sequence_progress,
                                              sequence_done};

static uint32_t noise;
static uint32_t random_below(uint32_t n)
{
    noise = noise * 1664525u + 1013904223u;
    return (noise >> 8) % n;
}

static struct sequence *make_sequence(struct model *model, int steps)
{
    struct sequence *s = calloc(1, sizeof *s);
    s->job.type = &sequence_type;
    s->job.model = model;
    s->job.state = malloc(rnnd_state_bytes(model->handle));
    rnnd_state_reset(model->handle, s->job.state);
    s->steps = steps;
    s->wait_at = s->refuse_at = s->poison_at = -1;
    s->inputs = malloc((size_t)steps * TINY_INPUTS * sizeof(float) + 1);
    s->outputs = malloc((size_t)steps * TINY_OUTPUTS * sizeof(float) + 1);
    for (int i = 0; i < steps * TINY_INPUTS; i++) s->inputs[i] = (float)random_below(2001) / 1000.0f - 1.0f;
    return s;
}

static void free_sequence(struct sequence *s)
{
    free(s->job.state);
    free(s->inputs);
    free(s->outputs);
    free(s);
}

/* The same alone, one row at a time. */
static void assert_own_bits(const struct sequence *s, int steps)
{
    rnnd_model *model = s->job.model->handle;
    rnnd_workspace *ws;
    void *state = malloc(rnnd_state_bytes(model));
    assert_int_equal(rnnd_workspace_open(model, 1, &ws, NULL), RNND_OK);
    rnnd_state_reset(model, state);
    for (int i = 0; i < steps; i++) {
        float output[TINY_OUTPUTS];
        rnnd_step_row row = {.state = state, .input = s->inputs + i * TINY_INPUTS, .output = output};
        assert_int_equal(rnnd_step(ws, &row, 1, NULL), RNND_OK);
        assert_memory_equal(output, s->outputs + i * TINY_OUTPUTS, sizeof output);
    }
    if (s->got == steps && s->job.code == RNND_OK) assert_memory_equal(state, s->job.state, rnnd_state_bytes(model));
    rnnd_workspace_close(ws);
    free(state);
}

/* How many steps the sequence has alone before the model overflows. */
static int finite_steps(const struct sequence *s)
{
    rnnd_model *model = s->job.model->handle;
    rnnd_workspace *ws;
    void *state = malloc(rnnd_state_bytes(model));
    int i = 0;
    assert_int_equal(rnnd_workspace_open(model, 1, &ws, NULL), RNND_OK);
    rnnd_state_reset(model, state);
    for (; i < s->steps; i++) {
        float output[TINY_OUTPUTS];
        rnnd_step_row row = {.state = state, .input = s->inputs + i * TINY_INPUTS, .output = output};
        if (rnnd_step(ws, &row, 1, NULL) != RNND_OK) break;
    }
    rnnd_workspace_close(ws);
    free(state);
    return i;
}

static void submit(struct loop *l, struct sequence *s)
{
    rnnd_error err;
    assert_int_equal(batch_submit(l->batch, &s->job, &err), RNND_OK);
}

/* ---- tests -------------------------------------------------------------------------------------------------*/

static void sixteen_held_jobs_run_as_one_batch(void **unused)
{
    struct sequence *s[16];
    struct loop l;
    (void)unused;
    loop_start(&l, 100);
    batch_hold(l.batch, 16);
    uint64_t batches = stats_get(STAT_STEP_BATCHES), steps = stats_get(STAT_STEPS);
    for (int i = 0; i < 16; i++) {
        s[i] = make_sequence(world.models[0], 1);
        submit(&l, s[i]);
        batch_after_poll(l.batch);
        if (i < 15) assert_int_equal(stats_get(STAT_STEPS), steps);
    }
    loop_until_idle(&l);
    assert_int_equal(stats_get(STAT_STEP_BATCHES) - batches, 1);
    assert_int_equal(stats_get(STAT_STEPS) - steps, 16);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(s[i]->finished, 1);
        assert_int_equal(s[i]->job.code, RNND_OK);
        assert_int_equal(s[i]->job.steps_done, 1);
        assert_own_bits(s[i], 1);
        free_sequence(s[i]);
    }
    batch_stop(l.batch);
}

/* More rows than one batch holds: those behind the first 256 come next, and share a batch with the second steps. */
static void six_hundred_rows_are_stepped_in_parts(void **unused)
{
    static struct sequence *s[600];
    struct loop l;
    (void)unused;
    loop_start(&l, 600);
    batch_hold(l.batch, 600);
    uint64_t batches = stats_get(STAT_STEP_BATCHES);
    for (int i = 0; i < 600; i++) {
        s[i] = make_sequence(world.models[0], 2);
        submit(&l, s[i]);
    }
    loop_until_idle(&l);
    assert_int_equal(stats_get(STAT_STEP_BATCHES) - batches, 5); /* 1200 rows */
    for (int i = 0; i < 600; i++) {
        assert_own_bits(s[i], 2);
        free_sequence(s[i]);
    }
    batch_stop(l.batch);
}

static void random_joins_and_leaves_keep_each_jobs_bits(void **unused)
{
    enum { JOBS = 400 };
    static struct sequence *s[JOBS];
    struct loop l;
    int next = 0;
    (void)unused;
    loop_start(&l, 64);
    while (next < JOBS || batch_depth(l.batch)) {
        for (uint32_t n = random_below(6); n && next < JOBS && batch_depth(l.batch) < 64; n--, next++) {
            s[next] = make_sequence(world.models[random_below(2)],
                                    (int)random_below(40) + (random_below(20) ? 0 : 400));
            s[next]->notify = random_below(2);
            submit(&l, s[next]);
        }
        loop_turn(&l);
    }
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(s[i]->finished, 1);
        assert_int_equal(s[i]->got, s[i]->steps);
        if (s[i]->notify && s[i]->steps) assert_true(s[i]->progressed >= 1);
        else assert_int_equal(s[i]->progressed, 0);
        assert_own_bits(s[i], s[i]->steps);
        free_sequence(s[i]);
    }
    batch_stop(l.batch);
}

static void a_cancelled_job_ends_at_its_next_step(void **unused)
{
    struct loop l;
    (void)unused;
    loop_start(&l, 10);
    struct sequence *running = make_sequence(world.models[0], 5000000), *waiting = make_sequence(world.models[0], 10);
    waiting->wait_at = 4;
    submit(&l, running);
    submit(&l, waiting);
    for (int i = 0; i < 5; i++) loop_turn(&l);
    assert_int_equal(batch_depth(l.batch), 2);
    batch_cancel(l.batch, &running->job);
    batch_cancel(l.batch, &waiting->job);
    loop_until_idle(&l);
    assert_int_equal(running->finished, 1);
    assert_int_equal(running->job.code, RNND_GONE);
    assert_true(running->got > 0 && running->got < running->steps);
    assert_int_equal(waiting->finished, 1);
    assert_int_equal(waiting->job.code, RNND_GONE);
    assert_int_equal(waiting->got, 4);
    assert_own_bits(running, running->got < 1000 ? running->got : 1000);
    free_sequence(running);
    free_sequence(waiting);
    batch_stop(l.batch);
}

static void a_waiting_job_goes_on_when_woken(void **unused)
{
    struct loop l;
    (void)unused;
    loop_start(&l, 100);
    for (int round = 0; round < 50; round++) {
        struct sequence *s = make_sequence(world.models[0], 10), *other = make_sequence(world.models[0], 300);
        s->wait_at = (int)random_below(10);
        submit(&l, s);
        if (round % 2) submit(&l, other); /* the wake then meets a running compute thread */
        for (int turns = 0; !atomic_load(&s->waits); turns++) {
            assert_true(turns < 10000);
            loop_turn(&l);
        }
        assert_int_equal(s->finished, 0);
        atomic_store(&s->may_go, true);
        batch_wake(l.batch, &s->job);
        loop_until_idle(&l);
        assert_int_equal(s->job.code, RNND_OK);
        assert_own_bits(s, 10);
        free_sequence(s);
        free_sequence(other);
    }
    batch_stop(l.batch);
}

static void a_full_queue_says_busy(void **unused)
{
    struct sequence *s[4];
    struct loop l;
    rnnd_error err;
    (void)unused;
    loop_start(&l, 3);
    batch_hold(l.batch, 4);
    for (int i = 0; i < 4; i++) s[i] = make_sequence(world.models[0], 1);
    for (int i = 0; i < 3; i++) submit(&l, s[i]);
    assert_int_equal(batch_submit(l.batch, &s[3]->job, &err), RNND_BUSY);
    assert_non_null(strstr(err.message, "the limit is 3"));
    assert_int_equal(batch_depth(l.batch), 3);
    batch_hold(l.batch, 0);
    loop_until_idle(&l);
    submit(&l, s[3]);
    loop_until_idle(&l);
    for (int i = 0; i < 4; i++) {
        assert_own_bits(s[i], 1);
        free_sequence(s[i]);
    }
    batch_stop(l.batch);
}

static void one_jobs_failure_is_its_own(void **unused)
{
    struct loop l;
    (void)unused;
    loop_start(&l, 10);
    batch_hold(l.batch, 4);
    struct sequence *poisoned = make_sequence(world.models[0], 10), *refused = make_sequence(world.models[0], 10),
                    *good = make_sequence(world.models[0], 10), *overflowing = make_sequence(world.models[2], 10);
    poisoned->poison_at = 6;
    for (int i = 0; i < 30; i++) overflowing->inputs[i] = 0.9f;
    refused->refuse_at = 3;
    submit(&l, poisoned);
    submit(&l, refused);
    submit(&l, good);
    submit(&l, overflowing);
    loop_until_idle(&l);
    char step[32];
    int finite = finite_steps(overflowing);
    assert_in_range(finite, 1, 9);
    snprintf(step, sizeof step, "at step %d of", finite);
    assert_int_equal(overflowing->job.code, RNND_NOT_FINITE);
    assert_int_equal(overflowing->job.error.code, RNND_NOT_FINITE);
    assert_non_null(strstr(overflowing->job.error.message, step));
    assert_int_equal(overflowing->job.steps_done, finite);
    assert_own_bits(overflowing, finite);
    assert_int_equal(poisoned->job.code, RNND_MISMATCH); /* NaN is refused before the step, with the model's sentence */
    assert_int_equal(poisoned->job.error.code, RNND_MISMATCH);
    assert_string_not_equal(poisoned->job.error.message, "");
    assert_int_equal(poisoned->job.steps_done, 6);
    assert_own_bits(poisoned, 6);
    assert_int_equal(refused->job.code, RNND_UNSUPPORTED);
    assert_string_equal(refused->job.error.message, "refused here");
    assert_int_equal(good->job.code, RNND_OK);
    assert_own_bits(good, 10);
    free_sequence(poisoned);
    free_sequence(refused);
    free_sequence(good);
    free_sequence(overflowing);
    batch_stop(l.batch);
}

struct digging {
    struct job job;
    int slices, worked, finished, last_seen;
    bool fails;
    atomic_flag inside;
    struct digging *other; /* must not fall behind by more than a slice */
};

static rnnd_code digging_work(struct job *j, rnnd_workspace *ws, bool *done, rnnd_error *err)
{
    struct digging *d = (struct digging *)j;
    assert_non_null(ws);
    d->worked++;
    if (d->other && d->other->worked < d->other->slices)
        d->last_seen = abs(d->worked - d->other->worked) > d->last_seen ? abs(d->worked - d->other->worked)
                                                                        : d->last_seen;
    *done = d->worked == d->slices;
    if (d->fails && d->worked == 2) {
        snprintf(err->message, sizeof err->message, "dug too deep");
        return err->code = RNND_MISMATCH;
    }
    return RNND_OK;
}

static void digging_done(struct job *j)
{
    ((struct digging *)j)->finished++;
}

static const struct job_type digging_type = {"digging", NULL, NULL, digging_work, NULL, digging_done};

static void slices_of_work_interleave_with_steps_and_each_other(void **unused)
{
    struct digging a = {.job = {.type = &digging_type, .model = world.models[0]}, .slices = 50},
                   b = {.job = {.type = &digging_type, .model = world.models[1]}, .slices = 60},
                   bad = {.job = {.type = &digging_type, .model = world.models[1]}, .slices = 9, .fails = true};
    struct loop l;
    rnnd_error err;
    (void)unused;
    a.other = &b;
    b.other = &a;
    loop_start_with(&l, 10, 1);
    batch_hold(l.batch, 4);
    struct sequence *s = make_sequence(world.models[0], 30);
    assert_int_equal(batch_submit(l.batch, &a.job, &err), RNND_OK);
    assert_int_equal(batch_submit(l.batch, &b.job, &err), RNND_OK);
    assert_int_equal(batch_submit(l.batch, &bad.job, &err), RNND_OK);
    submit(&l, s);
    loop_until_idle(&l);
    assert_int_equal(a.worked, 50);
    assert_int_equal(b.worked, 60);
    assert_true(a.last_seen <= 1 && b.last_seen <= 1);
    assert_int_equal(a.finished + b.finished + bad.finished, 3);
    assert_int_equal(a.job.code, RNND_OK);
    assert_int_equal(bad.job.code, RNND_MISMATCH);
    assert_string_equal(bad.job.error.message, "dug too deep");
    assert_own_bits(s, 30);
    free_sequence(s);
    batch_stop(l.batch);
}

/* A slice that lasts until it is let go. */
struct stuck {
    struct job job;
    atomic_bool begun, release;
    int finished;
};

static rnnd_code stuck_work(struct job *j, rnnd_workspace *ws, bool *done, rnnd_error *err)
{
    struct stuck *s = (struct stuck *)j;
    (void)ws, (void)err;
    atomic_store(&s->begun, true);
    while (!atomic_load(&s->release)) usleep(100);
    *done = true;
    return RNND_OK;
}

static void stuck_done(struct job *j)
{
    ((struct stuck *)j)->finished++;
}

static const struct job_type stuck_type = {"stuck", NULL, NULL, stuck_work, NULL, stuck_done};

static void steps_go_on_beside_a_slice_of_work(void **unused)
{
    struct stuck stuck = {.job = {.type = &stuck_type, .model = world.models[0]}};
    struct loop l;
    rnnd_error err;
    (void)unused;
    loop_start(&l, 10);
    assert_int_equal(batch_submit(l.batch, &stuck.job, &err), RNND_OK);
    while (!atomic_load(&stuck.begun)) loop_turn(&l);
    for (int i = 0; i < 20; i++) { /* few steps, for the loop thread, and many, for the compute thread */
        struct sequence *s = make_sequence(world.models[i % 2], i % 4 ? 1 : 2000);
        submit(&l, s);
        for (int turns = 0; !s->finished; turns++) {
            assert_true(turns < 20000);
            loop_turn(&l);
        }
        assert_int_equal(stuck.finished, 0);
        assert_own_bits(s, s->steps);
        free_sequence(s);
    }
    atomic_store(&stuck.release, true);
    loop_until_idle(&l);
    assert_int_equal(stuck.finished, 1);
    assert_int_equal(stuck.job.code, RNND_OK);
    batch_stop(l.batch);
}

/* Several threads take slices of the same jobs: each job's run one after another, none is lost. */
static rnnd_code counted_work(struct job *j, rnnd_workspace *ws, bool *done, rnnd_error *err)
{
    struct digging *d = (struct digging *)j;
    (void)err;
    assert_non_null(ws);
    assert_false(atomic_flag_test_and_set(&d->inside));
    *done = ++d->worked == d->slices;
    atomic_flag_clear(&d->inside);
    return RNND_OK;
}

static void several_workers_share_the_line(void **unused)
{
    static const struct job_type counted_type = {"counted", NULL, NULL, counted_work, NULL, digging_done};
    enum { JOBS = 20 };
    static struct digging jobs[JOBS];
    struct loop l;
    rnnd_error err;
    (void)unused;
    loop_start_with(&l, JOBS, 4);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct digging){.job = {.type = &counted_type, .model = world.models[i % 2]},
                                   .slices = 1 + (int)random_below(200), .inside = ATOMIC_FLAG_INIT};
        assert_int_equal(batch_submit(l.batch, &jobs[i].job, &err), RNND_OK);
        if (i % 5 == 0) loop_turn(&l);
    }
    loop_until_idle(&l);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(jobs[i].worked, jobs[i].slices);
        assert_int_equal(jobs[i].finished, 1);
        assert_int_equal(jobs[i].job.code, RNND_OK);
    }
    batch_stop(l.batch);
}

/* Jobs with a number are done together with those of the same one, four at most; a bad one has to be done alone. */
struct member {
    struct job job;
    int number, finished, alone, together, with; /* with: how many in that run */
    bool bad;
};

static rnnd_code member_work(struct job *j, rnnd_workspace *ws, bool *done, rnnd_error *err)
{
    struct member *m = (struct member *)j;
    assert_non_null(ws);
    m->alone++;
    *done = true;
    if (!m->bad) return RNND_OK;
    snprintf(err->message, sizeof err->message, "number %d is bad", m->number);
    return err->code = RNND_MISMATCH;
}

static size_t member_most(const struct job *j)
{
    return ((const struct member *)j)->number ? 4 : 1;
}

static bool members_alike(const struct job *a, const struct job *b)
{
    return ((const struct member *)a)->number == ((const struct member *)b)->number;
}

static rnnd_code members_together(struct job *const *jobs, size_t n, rnnd_workspace *ws)
{
    assert_non_null(ws);
    assert_in_range(n, 2, 4);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(jobs[i]->model, jobs[0]->model);
        assert_true(members_alike(jobs[0], jobs[i]));
        if (((struct member *)jobs[i])->bad) return RNND_MISMATCH;
    }
    for (size_t i = 0; i < n; i++) {
        ((struct member *)jobs[i])->together++;
        ((struct member *)jobs[i])->with = (int)n;
    }
    return RNND_OK;
}

static void member_done(struct job *j)
{
    ((struct member *)j)->finished++;
}

static void work_that_is_alike_is_done_together(void **unused)
{
    static const struct job_type type = {.name = "member", .work = member_work, .done = member_done};
    static const struct job_kin kin = {member_most, members_alike, members_together};
    /* of model 0: six of number 1, two of 2, one of them bad, two of 0; of model 1: one of number 1; one cancelled */
    struct member m[13] = {{.number = 1}, {.number = 2}, {.number = 1}, {.number = 0}, {.number = 1}, {.number = 1},
                           {.number = 0}, {.number = 1}, {.number = 2, .bad = true}, {.number = 1}, {.number = 1},
                           {.number = 3}, {.number = 3}};
    struct loop l;
    rnnd_error err;
    (void)unused;
    loop_start_with(&l, 20, 1);
    batch_hold(l.batch, 13);
    for (int i = 0; i < 13; i++) {
        m[i].job.type = &type;
        m[i].job.kin = &kin;
        m[i].job.model = world.models[i == 10];
        if (i == 12) batch_cancel(l.batch, &m[11].job);
        assert_int_equal(batch_submit(l.batch, &m[i].job, &err), RNND_OK);
    }
    loop_until_idle(&l);
    for (int i = 0; i < 13; i++) {
        assert_int_equal(m[i].finished, 1);
        assert_int_equal(m[i].job.code, i == 8 ? RNND_MISMATCH : i == 11 ? RNND_GONE : RNND_OK);
        assert_int_equal(m[i].together + m[i].alone, i == 11 ? 0 : 1);
    }
    assert_string_equal(m[8].job.error.message, "number 2 is bad");
    assert_true(m[0].with == 4 && m[2].with == 4 && m[4].with == 4 && m[5].with == 4);
    assert_true(m[7].with == 2 && m[9].with == 2);
    assert_true(m[1].alone && m[8].alone && m[3].alone && m[6].alone && m[10].alone && m[12].alone);
    batch_stop(l.batch);
}

/* A sequence whose step 1000 lasts until it is let go: by then it has outlived the loop's budget. */
static enum job_next slow_input(struct job *j, float *row)
{
    struct sequence *s = (struct sequence *)j;
    while (s->fed == 1000 && !atomic_load(&s->may_go)) {
        atomic_fetch_add(&s->waits, 1);
        usleep(100);
    }
    return sequence_input(j, row);
}

static void steps_of_a_model_go_on_beside_those_of_another(void **unused)
{
    static const struct job_type slow_type = {"slow", slow_input, sequence_output, NULL, NULL, sequence_done};
    struct loop l;
    (void)unused;
    loop_start(&l, 10);
    struct sequence *slow = make_sequence(world.models[0], 1500);
    slow->job.type = &slow_type;
    submit(&l, slow);
    while (!atomic_load(&slow->waits)) loop_turn(&l);
    for (int i = 0; i < 20; i++) {
        struct sequence *s = make_sequence(world.models[1], 1);
        submit(&l, s);
        while (!s->finished) loop_turn(&l);
        assert_int_equal(slow->finished, 0);
        assert_own_bits(s, 1);
        free_sequence(s);
    }
    struct sequence *same = make_sequence(world.models[0], 3); /* gets in when the slow step is over */
    submit(&l, same);
    loop_turn(&l);
    assert_int_equal(same->got, 0);
    atomic_store(&slow->may_go, true);
    loop_until_idle(&l);
    assert_own_bits(slow, 1500);
    assert_own_bits(same, 3);
    free_sequence(slow);
    free_sequence(same);
    batch_stop(l.batch);
}

/* Rows given ahead of their tick: those cancelled meanwhile leave, the others keep their own. */
static void cancelled_jobs_leave_the_others_their_rows(void **unused)
{
    enum { JOBS = 12 };
    struct sequence *s[JOBS];
    struct loop l;
    (void)unused;
    loop_start(&l, JOBS);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < JOBS; i++) {
            s[i] = make_sequence(world.models[0], 3000);
            submit(&l, s[i]);
        }
        loop_turn(&l);
        for (int i = 0; i < JOBS; i++) {
            if (random_below(2)) batch_cancel(l.batch, &s[i]->job);
            if (!random_below(3)) loop_turn(&l);
        }
        loop_until_idle(&l);
        for (int i = 0; i < JOBS; i++) {
            assert_int_equal(s[i]->finished, 1);
            if (s[i]->job.code == RNND_OK) assert_int_equal(s[i]->got, s[i]->steps);
            else assert_int_equal(s[i]->job.code, RNND_GONE);
            assert_own_bits(s[i], s[i]->got);
            free_sequence(s[i]);
        }
    }
    batch_stop(l.batch);
}

/* A job submitted from done(), as the next request on a session is. */
struct chain {
    struct sequence *sequence;
    struct loop *loop;
    int left;
};
static struct chain chain;

static void chain_done(struct job *j)
{
    rnnd_error err;
    struct sequence *s = (struct sequence *)j;
    s->finished++;
    if (!chain.left--) return;
    s->fed = s->got = 0;
    rnnd_state_reset(j->model->handle, j->state);
    assert_int_equal(batch_submit(chain.loop->batch, j, &err), RNND_OK);
}

static void a_job_may_be_submitted_again_from_done(void **unused)
{
    static const struct job_type chain_type = {"chain", sequence_input, sequence_output, NULL, NULL, chain_done};
    struct loop l;
    (void)unused;
    loop_start(&l, 1);
    struct sequence *s = make_sequence(world.models[0], 3);
    s->job.type = &chain_type;
    chain = (struct chain){s, &l, 100};
    submit(&l, s);
    loop_until_idle(&l);
    assert_int_equal(s->finished, 101);
    assert_own_bits(s, 3);
    free_sequence(s);
    batch_stop(l.batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_held_jobs_run_as_one_batch),
        cmocka_unit_test(six_hundred_rows_are_stepped_in_parts),
        cmocka_unit_test(random_joins_and_leaves_keep_each_jobs_bits),
        cmocka_unit_test(a_cancelled_job_ends_at_its_next_step),
        cmocka_unit_test(a_waiting_job_goes_on_when_woken),
        cmocka_unit_test(a_full_queue_says_busy),
        cmocka_unit_test(one_jobs_failure_is_its_own),
        cmocka_unit_test(slices_of_work_interleave_with_steps_and_each_other),
        cmocka_unit_test(steps_go_on_beside_a_slice_of_work),
        cmocka_unit_test(several_workers_share_the_line),
        cmocka_unit_test(work_that_is_alike_is_done_together),
        cmocka_unit_test(steps_of_a_model_go_on_beside_those_of_another),
        cmocka_unit_test(cancelled_jobs_leave_the_others_their_rows),
        cmocka_unit_test(a_job_may_be_submitted_again_from_done),
    };
    noise = (uint32_t)time(NULL);
    print_message("seed %u\n", noise);
    return cmocka_run_group_tests(tests, make_world, end_world);
}
