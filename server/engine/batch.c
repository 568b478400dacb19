/* batch.c -- the one queue: who ticks when, what crosses between the loop and the threads that compute.
 *
 * Who owns what. At any moment one thread has the turn on a lane (lane->handed): the loop thread, which ticks inside
 * batch_after_poll(), or the compute thread, from when the loop hands the lane over until nothing is due in it. Whoever
 * has it owns everything of the lane marked [turn]. So steps of a small model go on beside those of a large one. A work
 * job belongs to the worker that took it out of the line, alone or with others like it, for a slice; workers have
 * workspaces of their own. What crosses threads at any time is [lock], or atomic: incoming jobs, the line of work,
 * events, job->cancelled and woken.
 *
 * Lock order: there is one lock, b->lock. No callback runs under it but a kin's most and alike, which only look, and
 * nothing is locked inside it.
 *
 * Nothing is lost between the two: the loop puts jobs in `incoming` under the lock and, if the lane is its own, ticks
 * it; the compute thread gives a lane back under the lock, after seeing that nothing is due. */
#include "server/engine/batch_private.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/engine/fail.h"

/* What a tick may take on the loop thread. A blocked hand-over and back costs about 50 us; meanwhile the loop parses
 * and answers others, where there are as many as CROWD. Measured on two cores, one of them half taken by clients. */
#define CROWD 12
#define LOOP_CROWD_S 30e-6
#define LOOP_ALONE_S 150e-6 /* also where the compute thread is busy with another model */

double batch_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Under the lock. A test may want jobs gathered before any runs. */
static bool held(struct batch *b)
{
    if (b->live < b->hold) return true;
    b->hold = 0;
    return false;
}

/* ---- the threads that compute ------------------------------------------------------------------------------------ */

/* Under the lock, which it gives up meanwhile. */
static void wake_loop(struct batch *b)
{
    if (!b->events || b->wake_pending) return;
    b->wake_pending = true;
    pthread_mutex_unlock(&b->lock);
    b->wake(b->context);
    pthread_mutex_lock(&b->lock);
}

/* Under the lock, which it gives up while it ticks. */
static void tick(struct batch *b, struct lane *lane)
{
    tick_gather(lane);
    pthread_mutex_unlock(&b->lock);
    tick_run(b, lane);
    pthread_mutex_lock(&b->lock);
    tick_publish(b, lane);
}

/* Every lane handed over in turn. */
static void *compute(void *context)
{
    struct batch *b = context;

    pthread_mutex_lock(&b->lock);
    while (!b->stopping) {
        bool any = false;
        for (struct lane *lane = b->lanes; lane && !b->stopping; lane = lane->next) {
            if (!lane->handed) continue;
            if (!tick_due(lane) || held(b)) {
                lane->handed = false;
                continue;
            }
            any = b->computing = true;
            tick(b, lane);
            b->computing = false;
            wake_loop(b);
        }
        if (!any && !b->stopping) pthread_cond_wait(&b->handed, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static void *work(void *context)
{
    const struct worker *me = context;
    struct batch *b = me->batch;
    struct work w;

    pthread_mutex_lock(&b->lock);
    while (!b->stopping) {
        if (held(b) || !b->works.first) {
            b->idle_workers++;
            pthread_cond_wait(&b->work_due, &b->lock);
            b->idle_workers--;
            continue;
        }
        tick_take_work(b, &w);
        pthread_mutex_unlock(&b->lock);
        tick_work(&w, lane_work_workspace(w.jobs[0]->lane, me->number, &w.jobs[0]->error));
        pthread_mutex_lock(&b->lock);
        tick_publish_work(b, &w);
        wake_loop(b);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* ---- the loop thread --------------------------------------------------------------------------------------------- */

/* Those there now. Callbacks may submit, cancel and wake, but not deliver. */
static void deliver(struct batch *b)
{
    struct job *first, *next;

    pthread_mutex_lock(&b->lock);
    first = b->events;
    b->events = b->events_last = NULL;
    for (struct job *j = first; j; j = j->next_event) {
        j->next_due = j->next_event;
        j->progress_now = j->progress_due;
        j->done_now = j->queued_done;
        j->queued = j->progress_due = false;
    }
    pthread_mutex_unlock(&b->lock);
    for (struct job *j = first; j; j = next) {
        bool done = j->done_now;
        next = j->next_due;
        if (j->progress_now) j->type->progress(j);
        if (!done) continue;
        b->inside--;
        j->type->done(j);
    }
}

void batch_events(struct batch *b)
{
    pthread_mutex_lock(&b->lock);
    b->wake_pending = false;
    pthread_mutex_unlock(&b->lock);
    deliver(b);
}

/* Under the lock: does the lane's next tick, which the loop could do now, go to the compute thread? */
static bool goes_over(const struct batch *b, const struct lane *lane, double ticked)
{
    size_t rows = lane->loaded + lane->ready_count + lane->incoming_count;
    double most = b->computing || b->crowd < CROWD ? LOOP_ALONE_S : LOOP_CROWD_S;
    return ticked + lane->row_seconds * (double)(rows < LANE_ROWS ? rows : LANE_ROWS) > most;
}

/* Ticks what is small, hands the rest over. */
void batch_after_poll(struct batch *b)
{
    double ticked = 0;
    bool any, work, handed = false;

    pthread_mutex_lock(&b->lock);
    work = b->idle_workers && b->works.first && !held(b);
    do {
        any = false;
        for (struct lane *lane = b->lanes; lane; lane = lane->next) {
            if (lane->handed || !tick_due(lane) || held(b)) continue;
            if (goes_over(b, lane, ticked)) {
                lane->handed = handed = true;
                continue;
            }
            double begin = batch_seconds();
            tick(b, lane);
            ticked += batch_seconds() - begin;
            any = true;
            if (!b->events) continue;
            pthread_mutex_unlock(&b->lock);
            deliver(b);
            pthread_mutex_lock(&b->lock);
        }
    } while (any);
    pthread_mutex_unlock(&b->lock);
    if (handed) pthread_cond_signal(&b->handed);
    if (work) pthread_cond_broadcast(&b->work_due);
}

/* The loop thread alone changes b->lanes, so it may read it without the lock. */
static struct lane *find_lane(const struct batch *b, const struct model *model)
{
    struct lane *lane = b->lanes;
    while (lane && lane->model != model) lane = lane->next;
    return lane;
}

rnnd_code batch_prepare(struct batch *b, struct model *model, rnnd_error *err)
{
    rnnd_error why = {.code = RNND_INTERNAL};
    if (find_lane(b, model)) return RNND_OK;
    struct lane *lane = lane_open(model, &why);
    if (!lane) {
        if (err) *err = why;
        return why.code;
    }
    pthread_mutex_lock(&b->lock);
    lane->next = b->lanes;
    b->lanes = lane;
    pthread_mutex_unlock(&b->lock);
    return RNND_OK;
}

rnnd_code batch_submit(struct batch *b, struct job *j, rnnd_error *err)
{
    bool handed = false;

    if (b->inside >= b->limit)
        return engine_fail(err, RNND_BUSY, "", "the queue is full: %zu jobs are waiting or running, the limit is %zu",
                           b->inside, b->limit);
    rnnd_code code = batch_prepare(b, j->model, err);
    if (code != RNND_OK) return code;
    j->lane = find_lane(b, j->model);
    j->code = RNND_OK;
    j->error = (rnnd_error){0};
    j->steps_done = 0;
    atomic_init(&j->cancelled, false);
    atomic_init(&j->woken, false);
    j->wants_progress = j->alone = j->progress_due = j->queued_done = j->queued = false;
    j->next_event = NULL;
    j->submitted = batch_seconds();
    j->started = 0;
    b->inside++;
    pthread_mutex_lock(&b->lock);
    b->live++;
    b->crowd -= b->crowd / 128;
    if (b->crowd < (double)b->live) b->crowd = (double)b->live;
    if (j->type->input) {
        jobs_append(&j->lane->incoming, j);
        j->lane->incoming_count++;
        if (!j->lane->handed && goes_over(b, j->lane, 0) && !held(b)) j->lane->handed = handed = true;
    } else {
        jobs_append(&b->works, j);
    }
    pthread_mutex_unlock(&b->lock);
    if (handed) pthread_cond_signal(&b->handed); /* behind the lock: who wakes wants it */
    return RNND_OK;
}

/* Work is not stirred: it looks at every slice. */
static void stir(struct batch *b, struct job *j)
{
    pthread_mutex_lock(&b->lock);
    j->lane->stirred = true;
    pthread_mutex_unlock(&b->lock);
}

void batch_cancel(struct batch *b, struct job *j)
{
    atomic_store(&j->cancelled, true);
    if (j->type->input) stir(b, j);
}

void batch_wake(struct batch *b, struct job *j)
{
    atomic_store(&j->woken, true);
    stir(b, j);
}

void batch_notify(struct job *j)
{
    j->wants_progress = true;
}

size_t batch_depth(const struct batch *b)
{
    return b->inside;
}

void batch_hold(struct batch *b, size_t n)
{
    pthread_mutex_lock(&b->lock);
    b->hold = n;
    pthread_mutex_unlock(&b->lock);
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

static void free_batch(struct batch *b)
{
    while (b->lanes) {
        struct lane *lane = b->lanes;
        b->lanes = lane->next;
        lane_close(lane);
    }
    pthread_cond_destroy(&b->handed);
    pthread_cond_destroy(&b->work_due);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static void stop_threads(struct batch *b)
{
    pthread_mutex_lock(&b->lock);
    b->stopping = true;
    pthread_cond_broadcast(&b->handed);
    pthread_cond_broadcast(&b->work_due);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->compute, NULL);
    for (size_t i = 0; i < b->worker_count; i++) pthread_join(b->workers[i].thread, NULL);
}

static size_t workers_wanted(size_t asked)
{
    cpu_set_t set;
    int processors = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    size_t count = asked ? asked : processors > 1 ? (size_t)processors - 1 : 1;
    return count < WORKERS_MOST ? count : WORKERS_MOST;
}

/* An error number if not all can be had; then none is left. */
static int start_threads(struct batch *b, size_t workers)
{
    int failed = pthread_create(&b->compute, NULL, compute, b);

    if (failed) return failed;
    pthread_setname_np(b->compute, "rnnd-compute");
    for (size_t i = 0; i < workers; i++) {
        b->workers[i] = (struct worker){.batch = b, .number = i};
        failed = pthread_create(&b->workers[i].thread, NULL, work, &b->workers[i]);
        if (failed) break;
        pthread_setname_np(b->workers[i].thread, "rnnd-work");
        b->worker_count++;
    }
    if (failed) stop_threads(b);
    return failed;
}

rnnd_code batch_start(size_t queue_limit, size_t workers, void (*wake)(void *context), void *context,
                      struct batch **out, rnnd_error *err)
{
    struct batch *b = calloc(1, sizeof *b);
    pthread_mutexattr_t attributes;
    sigset_t all, before;

    *out = NULL;
    if (!b) return engine_fail_memory(err, sizeof *b);
    b->limit = queue_limit ? queue_limit : 1;
    b->wake = wake;
    b->context = context;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP); /* it is held for a moment at a time */
    pthread_mutex_init(&b->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    pthread_cond_init(&b->handed, NULL);
    pthread_cond_init(&b->work_due, NULL);
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = start_threads(b, workers_wanted(workers));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free_batch(b);
        return engine_fail(err, RNND_NO_MEMORY, "", "the compute threads could not be started: %s", strerror(failed));
    }
    *out = b;
    return RNND_OK;
}

void batch_stop(struct batch *b)
{
    if (!b) return;
    stop_threads(b);
    free_batch(b);
}
