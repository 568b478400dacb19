/* predict.h -- one :predict request, read and run by predict.c or through states by predict_states.c, ended by
 * predict_write.c. */
#ifndef SERVER_PREDICT_H
#define SERVER_PREDICT_H

#include "server/api/app.h"
#include "server/api/inputs.h"
#include "server/api/stepping.h"

enum predict_format { PREDICT_JSON, PREDICT_NPY, PREDICT_CSV };
enum { PREDICT_MOST_ENDS = 64 };    /* inputs of one network, its states among them */

struct predict_series {             /* the series way: predict_states.c */
    struct series_lane *lanes;
    void *states;                   /* [lanes][state_bytes] */
    size_t lane_count, next, running;
    bool failed;
};

struct predict_call {               /* whole tensors: predict_call.c */
    rnnd_call *call;                /* opened by the job, closed when the answer is written */
    rnnd_tensor in[PREDICT_MOST_ENDS];
    size_t count;
    float scalars[PREDICT_MOST_ENDS];
    struct inputs_tensor npy;
};

struct predict {
    struct app *app;
    struct http_request *r;         /* NULL once the client is gone */
    struct json_doc *doc;
    struct model *model;
    enum predict_format format;
    bool want_outputs, want_h, want_c;
    struct inputs_want want;
    struct inputs in;               /* [batch][steps][width] */
    const float *h0, *c0;           /* [layers][batch][hidden], borrowed from doc, or NULL */
    size_t layers, hidden;
    size_t out_steps, out_width;
    float *outputs;                 /* [batch][out_steps][out_width] */
    float *hn, *cn;                 /* [layers][batch][hidden], where wanted */
    size_t taken_bytes;             /* by app_take_outputs() */
    size_t output_left_bytes;       /* what outputs, h and c may still have together */
    rnnd_error error;
    /* the window job */
    struct job job;
    rnnd_window_run *window;
    size_t slice_rows;              /* that the next slice does */
    bool begun;                     /* a slice was done */
    struct predict_series *series;  /* the series way */
    struct predict_call *whole;     /* the way of whole tensors */
};

/* predict_states.c */
/* Windows of a series model: each through a fresh state. Answers and frees p in the end. */
void predict_series(struct predict *p);
/* "session": the one window goes through that session, by the step rule. Answers and frees p in the end. */
void predict_session(struct predict *p);

/* predict_call.c */
/* A network without rows: its inputs by name, shaped as its file says, in one run. Answers and frees p in the end.
 * p->doc is the JSON body, or NULL where body is a NumPy array. */
void predict_whole(struct predict *p, const char *body, size_t bytes);
void predict_whole_free(struct predict_call *c); /* may be NULL */

/* predict_write.c */
/* "predictions" as a member of an open object: [window][step] or, where last, [window] of answers in their port's
 * shape, {"name":..} where a model has several outputs. data: [batch][steps][width]. */
void predict_put(struct json_out *o, const struct model *m, const float *data, size_t batch, size_t steps, bool last,
                 size_t width);
/* What every answer ends with: "mode","model_version","assumed"? as members. */
void predict_put_end(struct json_out *o, const struct model *m);
/* A header for this shape and then the numbers; rank at most 6. */
void predict_answer_npy(struct predict *p, const float *data, int rank, const size_t *dim);
void predict_answer(struct predict *p);                         /* and frees p */
void predict_fail(struct predict *p, const char *wire_code);    /* p->error; and frees p */
void predict_free(struct predict *p);

#endif
