/* batch.h -- the one queue and the one place that steps models: every tick takes what is ready, as one batch.
 *
 * A job is one sequence being stepped (a session's request, a prompt being fed and continued, a series) or a piece
 * of work done in slices (a window, a forecast). At each tick of a model its ready step jobs give their next rows; all
 * rows are stepped together; each job gets its output row. Jobs of any length join and leave between any two ticks;
 * there is no padding and no waiting for company. Where a model's next tick runs is decided in batch_after_poll(): what
 * is small on the loop thread itself, the rest on the compute thread, as a blocked hand-over costs more than a small
 * step. Work has threads of its own. So small steps wait neither for a slice nor for another model's large steps.
 *
 * Ownership: from batch_submit() until `done` runs, job and job->state belong to the engine. input and output run on
 * whichever thread ticks, of one model's jobs one at a time; work on a thread of its own; progress and done on the loop
 * thread. After an output a job is asked for its next row at once, before others see that output. */
#ifndef SERVER_BATCH_H
#define SERVER_BATCH_H

#include <stdatomic.h>

#include "core/rnnd.h"
#include "server/engine/registry.h"

/* Bytes that one run of a network of tensors may take: a request's numbers may be sizes, its windows as long as it
 * likes. */
#define RUN_MEMORY_LIMIT ((size_t)512 << 20)

#define WORK_TOGETHER 32

struct batch;
struct job;
struct lane; /* batch_private.h: what a model needs to be stepped */

enum job_next { JOB_READY, JOB_FINISHED, JOB_WAIT }; /* WAIT: a slow client; batch_wake() makes it ready again */

struct job_type {
    const char *name;
    /* step jobs */
    enum job_next (*input)(struct job *j, float *row);        /* the next input row */
    rnnd_code (*output)(struct job *j, const float *row, rnnd_error *err); /* not OK ends the job with that error */
    /* work jobs (input and output NULL): one slice; sets *done */
    rnnd_code (*work)(struct job *j, rnnd_workspace *ws, bool *done, rnnd_error *err);
    /* loop thread */
    void (*progress)(struct job *j);                          /* optional: after ticks that called batch_notify(j) */
    void (*done)(struct job *j);                              /* once, last: look at j->code */
};

/* Work jobs of one model that may be done as one: how many like this, at most WORK_TOGETHER; are two alike; all of n
 * alike ones, n > 1, as a whole. If that is not OK, every one is as it was, and each is done alone. */
struct job_kin {
    size_t (*most)(const struct job *j);
    bool (*alike)(const struct job *a, const struct job *b);
    rnnd_code (*together)(struct job *const *jobs, size_t n, rnnd_workspace *ws);
};

struct job {
    const struct job_type *type;
    const struct job_kin *kin; /* work jobs: NULL, or of that kind */
    struct model *model;
    void *state;              /* step jobs: advanced in place */
    uint64_t tokens;          /* for the metrics: counted by the caller's callbacks */
    rnnd_code code;           /* result */
    rnnd_error error;
    uint64_t steps_done;      /* steps taken so far */
    /* engine's own; batch_submit() sets it all */
    atomic_bool cancelled, woken;
    bool wants_progress, alone;                 /* whoever ticks or works; alone: not together with others again */
    bool progress_due, queued_done, queued;     /* under the batch's lock */
    struct lane *lane;
    double submitted, started;                  /* seconds, monotonic */
    bool progress_now, done_now;                /* the loop's, while it delivers; so is next_due */
    struct job *next, *next_event, *next_due;
};

/* workers: threads for work; 0: one less than there are processors, four at most, so that
 * long work leaves a processor to steps.
 * wake: called on a computing thread once per tick or slice that has events for the loop (it must cause batch_events()
 * to run on the loop thread). */
rnnd_code batch_start(size_t queue_limit, size_t workers, void (*wake)(void *context), void *context,
                      struct batch **out, rnnd_error *err);
void batch_stop(struct batch *b); /* all jobs must be done */

/* Makes ready what stepping a model takes, so that its first request does not wait for it. Else batch_submit() does. */
rnnd_code batch_prepare(struct batch *b, struct model *model, rnnd_error *err);

/* Loop thread. BUSY when the queue is full (the job is not taken). */
rnnd_code batch_submit(struct batch *b, struct job *j, rnnd_error *err);
void batch_cancel(struct batch *b, struct job *j);  /* ends at its next step; done comes with code GONE */
void batch_wake(struct batch *b, struct job *j);    /* a waiting job may go on */
void batch_after_poll(struct batch *b);             /* decides where the next tick runs */
void batch_events(struct batch *b);                 /* delivers progress and done */
size_t batch_depth(const struct batch *b);          /* jobs inside */

/* From output() or work(): progress is wanted. */
void batch_notify(struct job *j);

/* Test hook: no tick runs until n jobs wait (0 = off); then they run as one. */
void batch_hold(struct batch *b, size_t n);

#endif
