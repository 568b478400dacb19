/* workspace.h -- scratch of one thread for one model. Inside core/model only. */
#ifndef RNND_WORKSPACE_H
#define RNND_WORKSPACE_H

#include "core/model/model.h"

struct window_rows { /* scratch of windows: made by the first one, kept, and made again only by a larger one */
    size_t rows, sequences; /* room for */
    const float **in;       /* [rows] */
    float **out;            /* [rows] */
    const float **state_in; /* [sequences] */
    float **state_out;      /* [sequences] */
    float *states;          /* [sequences][network state] */
};
void window_rows_free(struct window_rows *w);

struct feed_scratch {        /* made by the first rnnd_feed() that runs steps together */
    float *inputs, *outputs; /* [steps of a pass][network inputs], [..][network outputs] */
    void *before;            /* the state as it was */
};
void feed_scratch_free(struct feed_scratch *f);

struct rnnd_workspace {
    const rnnd_model *model;
    struct graph_run *run;
    struct team *team;      /* NULL: one thread */
    size_t max_rows;        /* of one pass of a step */
    size_t steps;           /* of such a pass: 1, or a sliding model's window */
    float *inputs;          /* [max_rows][network inputs] */
    float *outputs;         /* [max_rows][network outputs] */
    float *states;          /* [max_rows][network state], sliding only */
    const float **in;       /* [steps * max_rows] */
    float **out;            /* [steps * max_rows] */
    const float **state_in; /* [max_rows] */
    float **state_out;      /* [max_rows] */
    size_t *live;           /* [max_rows] which of the caller's rows are in the pass */
    struct window_rows window;
    struct feed_scratch feed;
};

/* Room in ws->window and the run for passes of `steps` steps of `sequences` windows. */
rnnd_code window_reserve(rnnd_workspace *ws, size_t sequences, size_t steps, rnnd_error *err);
/* Whether steps of one state give the same bits, and the same errors, run as a window: rnnd_info.feeds_together. */
bool model_feeds_together(const rnnd_model *m);

#endif
