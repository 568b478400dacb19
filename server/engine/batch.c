/* batch.c -- the one queue: who ticks when, what crosses between the loop and the compute thread.
 *
 * Who owns what. At any moment at most one thread has the turn (b->turn): the loop thread, inside
 * batch_after_poll(), or the compute thread, from when the loop hands it work until nothing is ready. Whoever has
 * it owns everything marked [turn]: the lanes' lists, the work list, the waiting list. What crosses threads at any
 * time is [lock], or atomic: incoming jobs, events, job->cancelled, job->woken.
 *
 * Lock order: there is one lock, b->lock. No callback (input, output, work, progress, done, wake) runs under it, and
 * nothing is locked inside it.
 *
 * Nothing is lost between the two: the loop puts jobs in `incoming` under the lock and, if the turn is free, takes
 * it; the compute thread gives the turn back under the lock, after seeing that nothing is incoming. */
#include "server/engine/batch_private.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/engine/fail.h"

/* Ready work that takes longer than this leaves the loop thread. A blocked hand-over and back costs about as much, so
 * below it the loop does the work in the time it would wait. */
#define LOOP_BUDGET_S 50e-6
/* The first guess of a model's speed, before it was measured: float operations a second at one row. */
#define GUESSED_FLOPS 2e10

double batch_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the compute thread ------------------------------------------------------------------------------------------ */

static void *compute(void *context)
{
    struct batch *b = context;

    pthread_mutex_lock(&b->lock);
    while (!b->stopping) {
        if (b->turn != TURN_COMPUTE) {
            pthread_cond_wait(&b->handed, &b->lock);
            continue;
        }
        if (!tick_gather(b)) {
            b->turn = TURN_FREE;
            continue;
        }
        pthread_mutex_unlock(&b->lock);
        tick_run(b);
        pthread_mutex_lock(&b->lock);
        tick_publish(b);
        if (b->events && !b->wake_pending) {
            b->wake_pending = true;
            pthread_mutex_unlock(&b->lock);
            b->wake(b->context);
            pthread_mutex_lock(&b->lock);
        }
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

/* Whether what is ready is done sooner here than handed over. */
static bool small(const struct batch *b)
{
    double seconds = 0;
    if (b->works.first) return false;
    for (const struct lane *lane = b->lanes_seen; lane; lane = lane->next)
        seconds += lane->row_seconds * (double)lane->ready_count;
    return seconds < LOOP_BUDGET_S;
}

/* Ticks here while work is small and the budget lasts: a request of one step is finished by the second tick, a long
 * one is begun and goes over. */
void batch_after_poll(struct batch *b)
{
    double begin = 0;

    pthread_mutex_lock(&b->lock);
    if (b->turn == TURN_COMPUTE || (!b->live && !b->hold)) {
        pthread_mutex_unlock(&b->lock);
        return;
    }
    b->turn = TURN_LOOP;
    while (tick_gather(b)) {
        double now = batch_seconds();
        if (begin == 0) begin = now;
        if (!small(b) || now - begin > LOOP_BUDGET_S) {
            b->turn = TURN_COMPUTE;
            pthread_cond_signal(&b->handed);
            break;
        }
        pthread_mutex_unlock(&b->lock);
        tick_run(b);
        pthread_mutex_lock(&b->lock);
        tick_publish(b);
        bool events = b->events != NULL;
        pthread_mutex_unlock(&b->lock);
        if (events) deliver(b);
        pthread_mutex_lock(&b->lock);
    }
    if (b->turn == TURN_LOOP) b->turn = TURN_FREE;
    pthread_mutex_unlock(&b->lock);
}

static void close_lane(struct lane *lane)
{
    if (lane->ws) rnnd_workspace_close(lane->ws);
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
    jobs_append(&b->incoming, j);
    b->live++;
    pthread_mutex_unlock(&b->lock);
    return RNND_OK;
}

static void stir(struct batch *b)
{
    pthread_mutex_lock(&b->lock);
    b->stirred = true;
    pthread_mutex_unlock(&b->lock);
}

void batch_cancel(struct batch *b, struct job *j)
{
    atomic_store(&j->cancelled, true);
    stir(b);
}

void batch_wake(struct batch *b, struct job *j)
{
    atomic_store(&j->woken, true);
    stir(b);
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
    free(b->noted);
    free(b->ended);
    pthread_cond_destroy(&b->handed);
    pthread_mutex_destroy(&b->lock);
    free(b);
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
    b->noted = calloc(b->limit, sizeof *b->noted);
    b->ended = calloc(b->limit, sizeof *b->ended);
    if (!b->noted || !b->ended) {
        free_batch(b);
        return engine_fail_memory(err, 2 * queue_limit * sizeof(struct job *));
    }
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&b->thread, NULL, compute, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free_batch(b);
        return engine_fail(err, RNND_NO_MEMORY, "", "the compute thread could not be started: %s", strerror(failed));
    }
    pthread_setname_np(b->thread, "rnnd-compute");
    *out = b;
    return RNND_OK;
}

void batch_stop(struct batch *b)
{
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->stopping = true;
    pthread_cond_signal(&b->handed);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    free_batch(b);
}
