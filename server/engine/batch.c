/* batch.c -- the one queue: who ticks when, what crosses between the loop and the threads that compute.
 *
 * Who owns what. At any moment one thread has the turn on a lane (lane->handed): the loop thread, which ticks inside
 * batch_after_poll(), or the compute thread, from when the loop hands the lane over until nothing is due in it. Whoever
 * has it owns everything of the lane marked [turn]. So steps of a small model go on beside those of a large one. A work
 * job belongs to the worker that took it out of the line, for a slice; workers have workspaces of their own. What
 * crosses threads at any time is [lock], or atomic: incoming jobs, the line of work, events, job->cancelled and woken.
 *
 * Lock order: there is one lock, b->lock. No callback (input, output, work, progress, done, wake) runs under it, and
 * nothing is locked inside it.
 *
 * Nothing is lost between the two: the loop puts jobs in `incoming` under the lock and, if the lane is its own, ticks
 * it; the compute thread gives a lane back under the lock, after seeing that nothing is due. */
#include "server/engine/batch_private.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/engine/fail.h"

/* Ready work that takes longer than this leaves the loop thread. A blocked hand-over and back costs about as much, so
 * below it the loop does the work in the time it would wait. */
#define LOOP_BUDGET_S 50e-6
#define WORKERS 1
/* The first guess of a model's speed, before it was measured: float operations a second at one row. */
#define GUESSED_FLOPS 2e10

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
            any = true;
            tick(b, lane);
            wake_loop(b);
        }
        if (!any && !b->stopping) pthread_cond_wait(&b->handed, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* A worker's own workspace of the lane, or NULL with a sentence. */
static rnnd_workspace *workspace_of(struct lane *lane, size_t worker, rnnd_error *err)
{
    rnnd_workspace **ws = &lane->work_ws[worker];
    if (!*ws && rnnd_workspace_open(lane->model->handle, LANE_ROWS, ws, err) == RNND_OK)
        rnnd_workspace_limit(*ws, RUN_MEMORY_LIMIT);
    return *ws;
}

static void *work(void *context)
{
    const struct worker *w = context;
    struct batch *b = w->batch;

    pthread_mutex_lock(&b->lock);
    while (!b->stopping) {
        struct job *j = held(b) ? NULL : jobs_take_first(&b->works);
        if (!j) {
            b->idle_workers++;
            pthread_cond_wait(&b->work_due, &b->lock);
            b->idle_workers--;
            continue;
        }
        pthread_mutex_unlock(&b->lock);
        rnnd_workspace *ws = workspace_of(j->lane, w->number, &j->error);
        bool ended = tick_work(j, ws);
        pthread_mutex_lock(&b->lock);
        tick_publish_work(b, j, ended);
        wake_loop(b);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* ---- the loop thread --------------------------------------------------------------------------------------------- */

static void deliver(struct batch *b)
{
    pthread_mutex_lock(&b->lock);
    size_t count = b->event_count; /* those there now: a busy compute thread must not keep the loop in here */
    while (count--) {
        struct job *j = b->events;
        b->events = j->next_event;
        if (!b->events) b->events_last = NULL;
        b->event_count--;
        j->queued = false;
        bool progress = j->progress_due, done = j->queued_done;
        j->progress_due = false;
        pthread_mutex_unlock(&b->lock);
        if (progress) j->type->progress(j);
        if (done) {
            b->inside--;
            j->type->done(j);
        }
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
}

void batch_events(struct batch *b)
{
    pthread_mutex_lock(&b->lock);
    b->wake_pending = false;
    pthread_mutex_unlock(&b->lock);
    deliver(b);
}

/* Under the lock: how long the lane's next tick will take. */
static double tick_seconds(const struct lane *lane)
{
    size_t rows = lane->loaded + lane->ready_count + lane->incoming_count;
    return lane->row_seconds * (double)(rows < LANE_ROWS ? rows : LANE_ROWS);
}

/* Ticks what is small while the budget lasts; hands the rest over. */
void batch_after_poll(struct batch *b)
{
    double left = LOOP_BUDGET_S;
    bool ticked;

    pthread_mutex_lock(&b->lock);
    if (b->idle_workers && b->works.first && !held(b)) pthread_cond_broadcast(&b->work_due);
    do {
        ticked = false;
        for (struct lane *lane = b->lanes; lane; lane = lane->next) {
            if (lane->handed || !tick_due(lane) || held(b)) continue;
            if (tick_seconds(lane) > left) {
                lane->handed = true;
                pthread_cond_signal(&b->handed);
                continue;
            }
            double begin = batch_seconds();
            tick(b, lane);
            left -= batch_seconds() - begin;
            ticked = true;
            if (!b->events) continue;
            pthread_mutex_unlock(&b->lock);
            deliver(b);
            pthread_mutex_lock(&b->lock);
        }
    } while (ticked);
    pthread_mutex_unlock(&b->lock);
}

static void close_lane(struct lane *lane)
{
    if (lane->ws) rnnd_workspace_close(lane->ws);
    for (size_t i = 0; i < WORKERS_MOST; i++)
        if (lane->work_ws[i]) rnnd_workspace_close(lane->work_ws[i]);
    free(lane->inputs);
    free(lane->outputs);
    free(lane);
}

static struct lane *open_lane(struct model *model, rnnd_error *err)
{
    const rnnd_info *info = model->info;
    size_t inputs = info->input_width ? info->input_width : 1, outputs = info->output_width ? info->output_width : 1;
    struct lane *lane = calloc(1, sizeof *lane);

    if (!lane) {
        engine_fail_memory(err, sizeof *lane);
        return NULL;
    }
    lane->model = model;
    lane->input_width = inputs;
    lane->output_width = outputs;
    lane->row_seconds = 1e-6 + 2.0 * (double)info->parameters / GUESSED_FLOPS;
    lane->inputs = calloc(inputs, LANE_ROWS * sizeof(float));
    lane->outputs = calloc(outputs, LANE_ROWS * sizeof(float));
    if (!lane->inputs || !lane->outputs) engine_fail_memory(err, LANE_ROWS * (inputs + outputs) * sizeof(float));
    else if (rnnd_workspace_open(model->handle, LANE_ROWS, &lane->ws, err) == RNND_OK) {
        rnnd_workspace_limit(lane->ws, RUN_MEMORY_LIMIT);
        return lane;
    }
    close_lane(lane);
    return NULL;
}

/* The loop thread alone changes b->lanes, so it may read it without the lock. */
static struct lane *lane_of(struct batch *b, struct model *model, rnnd_error *err)
{
    struct lane *lane = b->lanes;
    while (lane && lane->model != model) lane = lane->next;
    if (lane) return lane;
    lane = open_lane(model, err);
    if (!lane) return NULL;
    pthread_mutex_lock(&b->lock);
    lane->next = b->lanes;
    b->lanes = lane;
    pthread_mutex_unlock(&b->lock);
    return lane;
}

rnnd_code batch_prepare(struct batch *b, struct model *model, rnnd_error *err)
{
    rnnd_error why = {.code = RNND_INTERNAL};
    if (lane_of(b, model, &why)) return RNND_OK;
    if (err) *err = why;
    return why.code;
}

rnnd_code batch_submit(struct batch *b, struct job *j, rnnd_error *err)
{
    if (b->inside >= b->limit)
        return engine_fail(err, RNND_BUSY, "", "the queue is full: %zu jobs are waiting or running, the limit is %zu",
                           b->inside, b->limit);
    rnnd_code code = batch_prepare(b, j->model, err);
    if (code != RNND_OK) return code;
    j->lane = lane_of(b, j->model, err);
    j->code = RNND_OK;
    j->error = (rnnd_error){0};
    j->steps_done = 0;
    atomic_init(&j->cancelled, false);
    atomic_init(&j->woken, false);
    j->wants_progress = j->progress_due = j->queued_done = j->queued = false;
    j->next_event = NULL;
    j->submitted = batch_seconds();
    j->started = 0;
    b->inside++;
    pthread_mutex_lock(&b->lock);
    if (j->type->input) {
        jobs_append(&j->lane->incoming, j);
        j->lane->incoming_count++;
    } else {
        jobs_append(&b->works, j);
    }
    b->live++;
    pthread_mutex_unlock(&b->lock);
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
        close_lane(lane);
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

/* An error number if not all can be had; then none is left. */
static int start_threads(struct batch *b)
{
    int failed = pthread_create(&b->compute, NULL, compute, b);

    if (failed) return failed;
    pthread_setname_np(b->compute, "rnnd-compute");
    for (size_t i = 0; i < WORKERS && !failed; i++) {
        b->workers[i] = (struct worker){.batch = b, .number = i};
        failed = pthread_create(&b->workers[i].thread, NULL, work, &b->workers[i]);
        if (failed) break;
        pthread_setname_np(b->workers[i].thread, "rnnd-work");
        b->worker_count++;
    }
    if (failed) stop_threads(b);
    return failed;
}

rnnd_code batch_start(size_t queue_limit, void (*wake)(void *context), void *context, struct batch **out,
                      rnnd_error *err)
{
    struct batch *b = calloc(1, sizeof *b);
    sigset_t all, before;

    *out = NULL;
    if (!b) return engine_fail_memory(err, sizeof *b);
    b->limit = queue_limit ? queue_limit : 1;
    b->wake = wake;
    b->context = context;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->handed, NULL);
    pthread_cond_init(&b->work_due, NULL);
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = start_threads(b);
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
