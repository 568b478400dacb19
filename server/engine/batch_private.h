/* batch_private.h -- what the queue is inside: shared by batch.c (who ticks, and when), tick.c (one tick) and
 * lane.c (a model's memory). */
#ifndef SERVER_ENGINE_BATCH_PRIVATE_H
#define SERVER_ENGINE_BATCH_PRIVATE_H

#include <pthread.h>

#include "server/engine/batch.h"

#define LANE_ROWS 256
#define WORKERS_MOST 4

struct job_list {
    struct job *first, *last;
};

struct lane {                    /* one model's place in the engine */
    struct lane *next;           /* new ones go in front, under the lock */
    struct model *model;
    rnnd_workspace *work_ws[WORKERS_MOST]; /* each its worker's own, opened when first needed */

    bool handed;                 /* [lock]: the compute thread has the turn, else the loop thread */
    bool stirred;                /* [lock]: a waiting job was woken or cancelled */
    struct job_list incoming;    /* [lock] */
    size_t incoming_count;       /* [lock] */

    rnnd_workspace *ws;          /* [turn], as all below */
    struct job_list ready, waiting, ended; /* ended: in this tick */
    size_t ready_count;
    size_t loaded;               /* jobs that have given their next row already: rows[0 .. loaded) */
    double row_seconds;          /* what a row takes: guessed, then a moving average */
    size_t input_width, output_width;
    float *inputs, *outputs;     /* [LANE_ROWS][width] */
    rnnd_step_row rows[LANE_ROWS];
    struct job *jobs[LANE_ROWS], *noted[LANE_ROWS];
    size_t noted_count;          /* progress wanted after this tick */
};

struct worker {                  /* a thread that does work jobs */
    struct batch *batch;
    size_t number;               /* of its workspaces */
    pthread_t thread;
};

struct batch {
    size_t limit, inside;        /* loop thread: jobs from submit to done */
    void (*wake)(void *context);
    void *context;
    pthread_t compute;
    struct worker workers[WORKERS_MOST];
    size_t worker_count;

    pthread_mutex_t lock;
    pthread_cond_t handed;       /* a lane is handed over, or stopping */
    pthread_cond_t work_due;     /* there is work, or stopping */
    bool stopping, wake_pending; /* [lock], as all below */
    double crowd;                /* the most jobs inside at once, of late */
    bool computing;              /* the compute thread is in a tick */
    struct lane *lanes;
    struct job_list works;
    size_t idle_workers;
    struct job *events, *events_last;
    size_t live, hold;
};

double batch_seconds(void); /* monotonic */

static inline void jobs_append(struct job_list *list, struct job *j)
{
    j->next = NULL;
    if (list->last) list->last->next = j;
    else list->first = j;
    list->last = j;
}

static inline void jobs_append_all(struct job_list *list, struct job_list *more)
{
    if (!more->first) return;
    if (list->last) list->last->next = more->first;
    else list->first = more->first;
    list->last = more->last;
    *more = (struct job_list){0};
}

static inline struct job *jobs_take_first(struct job_list *list)
{
    struct job *j = list->first;
    if (!j) return NULL;
    list->first = j->next;
    if (!list->first) list->last = NULL;
    j->next = NULL;
    return j;
}

/* lane.c */
struct lane *lane_open(struct model *model, rnnd_error *err); /* NULL: no memory */
void lane_close(struct lane *lane);
/* The worker's own, opened when first needed; NULL: no memory. */
rnnd_workspace *lane_work_workspace(struct lane *lane, size_t worker, rnnd_error *err);

/* tick.c, by whoever has the lane's turn. */
/* Under the lock: is there something to do? */
bool tick_due(const struct lane *lane);
/* Under the lock: takes in what has come. */
void tick_gather(struct lane *lane);
/* One step of the ready jobs, at most LANE_ROWS. Calls input and output. */
void tick_run(struct batch *b, struct lane *lane);
/* Under the lock: the tick's outcome becomes events. */
void tick_publish(struct batch *b, struct lane *lane);

/* tick.c, by the worker that took the jobs out of the line. */
struct work {
    struct job *jobs[WORK_TOGETHER];
    bool ended[WORK_TOGETHER];
    size_t count;
};
/* Under the lock: the first job of the line and those that may be done with it; count 0: there is none. */
void tick_take_work(struct batch *b, struct work *w);
/* All of them together, or one slice of the first. */
void tick_work(struct work *w, rnnd_workspace *ws);
/* Under the lock: what has ended becomes an event, the rest goes to the end of the line. */
void tick_publish_work(struct batch *b, struct work *w);

#endif
