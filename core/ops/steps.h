/* steps.h -- a cell over sequences, forward or backward in time. Shared by the recurrent nodes of both kinds of graph,
 * which so answer the same bits. */
#ifndef RNND_OPS_STEPS_H
#define RNND_OPS_STEPS_H

#include "core/cells/cell.h"
#include "core/ops/op.h"

struct steps {
    /* the caller's */
    const struct cell *cell;
    size_t T, B;
    const float *x;       /* row of step t, sequence b: x + t*x_t + b*x_b */
    size_t x_t, x_b;
    const float *projected, *ids; /* or the row of step t, sequence b is projected row ids[t*B + b]; NULL: x alone */
    float *y;             /* likewise; NULL: only the last states are wanted */
    size_t y_t, y_b;
    bool reverse;
    const int64_t *lens;  /* [B], 0 .. T: steps of each sequence, later y are zeros; NULL = T */
    const uint8_t *mask;  /* [B][T]: where it is 0 the state stands still and y is the last one again (zeros before the
                           * first); NULL = none */
    bool holds;           /* masked y are h as it stands, before the first step too, so that it is known step by step */
    /* from steps_start(); the caller sets h, c to the first states and c_next to where c may be kept. Afterwards h, c
     * are the last states. Nothing reads c of a cell without one. */
    const float **h, **c; /* [B] */
    float **c_next;       /* [B] */
    /* its own */
    size_t turn;          /* run_context's, as team */
    struct team *team;
    size_t block;         /* rows projected at a time, 0 = steps read x themselves */
    const float *zeros;   /* one row, wide enough for h and c */
    struct steps_rows { const float **x, **used, **h, **c; float **projected, **h_next, **c_next; } rows;
    size_t *active;
    float *h_own, *scratch; /* h_own: [2][B][recurrent] */
};

/* Takes scratch, also while the run is planned. */
rnnd_code steps_start(struct steps *s, struct run_context *rc, rnnd_error *err);
void steps_run(struct steps *s);

#endif
