/* batch.c -- the one queue and the one place that steps models.
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
#include "server/engine/batch.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/engine/fail.h"
#include "server/engine/stats.h"

#define LANE_ROWS 256

/* Ready work that takes longer than this leaves the loop thread. A blocked hand-over and back costs about as much, so
 * below it the loop does the work in the time it would wait. */
#define LOOP_BUDGET_S 50e-6
/* The first guess of a model's speed, before it was measured: float operations a second at one row. */
#define GUESSED_FLOPS 2e10

enum turn { TURN_FREE, TURN_LOOP, TURN_COMPUTE };

struct job_list {
    struct job *first, *last;
};

struct lane {                    /* one model's place in the engine */
    struct lane *next;           /* new ones go in front, under the lock */
    struct model *model;
    rnnd_workspace *ws;          /* [turn], as all below */
    struct job_list ready;
    size_t ready_count;
    double row_seconds;          /* what a row takes: guessed, then a moving average */
    size_t input_width, output_width;
    float *inputs, *outputs;     /* [LANE_ROWS][width] */
    rnnd_step_row rows[LANE_ROWS];
    struct job *jobs[LANE_ROWS];
};

struct batch {
    size_t limit, inside;        /* loop thread: jobs from submit to done */
    void (*wake)(void *context);
    void *context;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t handed;       /* TURN_COMPUTE or stopping */
    enum turn turn;              /* [lock], as all below */
    bool stopping, stirred, wake_pending;
    struct lane *lanes;
    struct job_list incoming;
    struct job *events, *events_last;
    size_t event_count, live, hold;

    struct lane *lanes_seen;     /* [turn], as all below: b->lanes as of the last gathering */
    struct job_list works, waiting;
    struct job **noted, **ended; /* [limit]: progress wanted, finished in this tick */
    size_t noted_count, ended_count;
};

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void append(struct job_list *list, struct job *j)
{
    j->next = NULL;
    if (list->last) list->last->next = j;
    else list->first = j;
    list->last = j;
}

static struct job *take_first(struct job_list *list)
{
    struct job *j = list->first;
    if (!j) return NULL;
    list->first = j->next;
    if (!list->first) list->last = NULL;
    j->next = NULL;
    return j;
}

/* ---- one tick, by whoever has the turn --------------------------------------------------------------------------- */

static void end_job(struct batch *b, struct job *j, rnnd_code code)
{
    j->code = code;
    if (code == RNND_OK) j->error = (rnnd_error){0};
    else if (j->error.code != code)
        engine_fail(&j->error, code, "", "%s failed: %s", j->type->name, rnnd_code_name(code));
    b->ended[b->ended_count++] = j;
}

static bool end_if_cancelled(struct batch *b, struct job *j)
{
    if (!atomic_load(&j->cancelled)) return false;
    stats_add(STAT_JOBS_CANCELLED, 1);
    engine_fail(&j->error, RNND_GONE, "", "%s was cancelled after %llu steps", j->type->name,
                (unsigned long long)j->steps_done);
    end_job(b, j, RNND_GONE);
    return true;
}

static void mark_started(struct job *j, double now)
{
    if (j->started > 0) return;
    j->started = now;
    stats_observe(STAT_QUEUE_WAIT_S, now - j->submitted);
}

static void note_progress(struct batch *b, struct job *j)
{
    if (!j->wants_progress) return;
    j->wants_progress = false;
    if (j->type->progress) b->noted[b->noted_count++] = j;
}

static void fail_row(struct batch *b, struct lane *lane, struct job *j, rnnd_step_row *row)
{
    rnnd_code code = row->code;
    if (code == RNND_NOT_FINITE) {
        engine_fail(&j->error, code, "", "the model %s computed a value that is not finite at step %llu of the request",
                    lane->model->name, (unsigned long long)j->steps_done);
    } else { /* the state is untouched: alone again, for the sentence about this row */
        code = rnnd_step(lane->ws, row, 1, &j->error);
        if (code == RNND_OK) code = RNND_INTERNAL;
    }
    end_job(b, j, code);
}

/* Steps the lane's first n gathered rows as one batch. */
static void step_rows(struct batch *b, struct lane *lane, size_t n, double begin)
{
    rnnd_error why = {0};
    bool some_failed = false;
    rnnd_code code = rnnd_step(lane->ws, lane->rows, n, &why);
    double measured = (seconds_now() - begin) / (double)n;

    if (measured > 4 * lane->row_seconds) measured = 4 * lane->row_seconds; /* the thread was put aside meanwhile */
    lane->row_seconds += 0.1 * (measured - lane->row_seconds);
    stats_add(STAT_STEPS, n);
    stats_add(STAT_STEP_BATCHES, 1);
    stats_observe(STAT_BATCH_ROWS, (double)n);
    for (size_t i = 0; i < n; i++) some_failed |= lane->rows[i].code != RNND_OK;
    for (size_t i = 0; i < n; i++) {
        struct job *j = lane->jobs[i];
        rnnd_step_row *row = &lane->rows[i];
        if (row->code != RNND_OK) {
            fail_row(b, lane, j, row);
            continue;
        }
        if (code != RNND_OK && !some_failed) { /* about the batch, not about a row */
            j->error = why;
            end_job(b, j, code);
            continue;
        }
        j->steps_done++;
        rnnd_code mine = j->type->output(j, row->output, &j->error);
        note_progress(b, j);
        if (mine != RNND_OK) {
            end_job(b, j, mine);
        } else {
            append(&lane->ready, j);
            lane->ready_count++;
        }
    }
}

/* One step of every ready job of a model. */
static void tick_lane(struct batch *b, struct lane *lane)
{
    struct job_list list = lane->ready;
    struct job *j;
    double now = seconds_now();
    size_t n = 0;

    lane->ready = (struct job_list){0};
    lane->ready_count = 0;
    while ((j = take_first(&list))) {
        float *input = lane->inputs + n * lane->input_width;
        if (end_if_cancelled(b, j)) continue;
        atomic_store(&j->woken, false); /* before asking: a wake from here on counts for the next answer */
        enum job_next next = j->type->input(j, input);
        if (next == JOB_FINISHED) {
            end_job(b, j, RNND_OK);
        } else if (next == JOB_WAIT) {
            append(&b->waiting, j);
            if (!atomic_load(&j->woken)) continue;
            pthread_mutex_lock(&b->lock);
            b->stirred = true;
            pthread_mutex_unlock(&b->lock);
        } else {
            mark_started(j, now);
            lane->jobs[n] = j;
            lane->rows[n] = (rnnd_step_row){.state = j->state, .input = input,
                                            .output = lane->outputs + n * lane->output_width, .code = RNND_OK};
            if (++n < LANE_ROWS) continue;
            step_rows(b, lane, n, now);
            n = 0;
            now = seconds_now();
        }
    }
    if (n) step_rows(b, lane, n, now);
}

/* One slice of the work job whose turn it is; it then goes to the end of the line. */
static void tick_work(struct batch *b)
{
    struct job *j = take_first(&b->works);
    bool done = false;

    if (!j || end_if_cancelled(b, j)) return;
    mark_started(j, seconds_now());
    rnnd_code code = j->type->work(j, j->lane->ws, &done, &j->error);
    note_progress(b, j);
    if (code != RNND_OK || done) end_job(b, j, code);
    else append(&b->works, j);
}

static void queue_event(struct batch *b, struct job *j)
{
    if (j->queued) return;
    j->queued = true;
    j->next_event = NULL;
    if (b->events_last) b->events_last->next_event = j;
    else b->events = j;
    b->events_last = j;
    b->event_count++;
}

static void tick(struct batch *b)
{
    for (struct lane *lane = b->lanes_seen; lane; lane = lane->next)
        if (lane->ready.first) tick_lane(b, lane);
    tick_work(b);
}

/* Under the lock: the tick's outcome becomes events. */
static void publish(struct batch *b)
{
    for (size_t i = 0; i < b->noted_count; i++) {
        b->noted[i]->progress_due = true;
        queue_event(b, b->noted[i]);
    }
    for (size_t i = 0; i < b->ended_count; i++) {
        b->ended[i]->queued_done = true;
        queue_event(b, b->ended[i]);
    }
    b->live -= b->ended_count;
    b->noted_count = b->ended_count = 0;
}

static void make_ready(struct batch *b, struct job *j)
{
    if (j->type->input) {
        append(&j->lane->ready, j);
        j->lane->ready_count++;
    } else {
        append(&b->works, j);
    }
}

/* Under the lock, with the turn: takes in what has come; true if there is something to do. */
static bool gather(struct batch *b)
{
    struct job *j;

    b->lanes_seen = b->lanes;
    if (b->hold) {
        if (b->live < b->hold) return false;
        b->hold = 0;
    }
    while ((j = take_first(&b->incoming))) make_ready(b, j);
    if (b->stirred) {
        struct job_list waiting = b->waiting;
        b->stirred = false;
        b->waiting = (struct job_list){0};
        while ((j = take_first(&waiting))) {
            if (atomic_load(&j->woken) || atomic_load(&j->cancelled)) make_ready(b, j);
            else append(&b->waiting, j);
        }
    }
    if (b->works.first) return true;
    for (struct lane *lane = b->lanes_seen; lane; lane = lane->next)
        if (lane->ready.first) return true;
    return false;
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
        if (!gather(b)) {
            b->turn = TURN_FREE;
            continue;
        }
        pthread_mutex_unlock(&b->lock);
        tick(b);
        pthread_mutex_lock(&b->lock);
        publish(b);
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
    while (gather(b)) {
        double now = seconds_now();
        if (begin == 0) begin = now;
        if (!small(b) || now - begin > LOOP_BUDGET_S) {
            b->turn = TURN_COMPUTE;
            pthread_cond_signal(&b->handed);
            break;
        }
        pthread_mutex_unlock(&b->lock);
        tick(b);
        pthread_mutex_lock(&b->lock);
        publish(b);
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
    else if (rnnd_workspace_open(model->handle, LANE_ROWS, &lane->ws, err) == RNND_OK) return lane;
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
    j->submitted = seconds_now();
    j->started = 0;
    b->inside++;
    pthread_mutex_lock(&b->lock);
    append(&b->incoming, j);
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
