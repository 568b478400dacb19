/* batch_private.h -- what the queue is inside: shared by batch.c (who ticks, and when) and tick.c (one tick). */
#ifndef SERVER_ENGINE_BATCH_PRIVATE_H
#define SERVER_ENGINE_BATCH_PRIVATE_H

#include <pthread.h>

#include "server/engine/batch.h"

#define LANE_ROWS 256

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

double batch_seconds(void); /* monotonic */

static inline void jobs_append(struct job_list *list, struct job *j)
{
    j->next = NULL;
    if (list->last) list->last->next = j;
    else list->first = j;
    list->last = j;
}

/* tick.c: all by whoever has the turn. */
/* Under the lock: takes in what has come; true if there is something to do. */
bool tick_gather(struct batch *b);
/* One step of every ready job, one slice of one work job. Calls input, output and work. */
void tick_run(struct batch *b);
/* Under the lock: the tick's outcome becomes events. */
void tick_publish(struct batch *b);

#endif
