/* call.h -- the insides of a call: one network on whole tensors. call.c opens and runs it, call_inputs.c lays tensors
 * in, call_outputs.c reads them out. */
#ifndef RNND_MODEL_CALL_H
#define RNND_MODEL_CALL_H

#include "core/model/model.h"

struct buffer { /* an output laid out in the file's axes; kept between runs of the call */
    void *data;
    size_t bytes;
};

struct rnnd_call {
    const struct rnnd_model *m;
    struct graph_run *run;
    const char **names; /* inputs, then states as inputs, then everything that can be read */
    size_t input_count, tap_count;
    bool *made;             /* by value: a run computes it */
    struct buffer *buffers; /* by tap */
    bool by_rows;           /* the outputs stand in `answers` [T][B][output width], other values of all steps nowhere */
    struct buffer answers, rows, state_in, state_out, zeros[MAX_INPUTS * 2];
    size_t T, B; /* of the last run; 0 = none */
};

/* Where the element (t, b, f) of rows lies in a tensor with these axes; features in their order. */
struct strides {
    size_t time, batch, count; /* count of features */
    int rank;
    size_t dim[MAX_RANK], step[MAX_RANK];
    int time_axis, batch_axis;
};
struct strides call_strides(int rank, const size_t *dim, int batch_axis, int time_axis);
size_t call_feature_at(const struct strides *s, size_t f);

/* Room for so many bytes; what was there is lost. */
rnnd_code call_reserve(struct buffer *b, size_t bytes, rnnd_error *err);

/* Runs the graph on inputs by name: of a tensor graph as they are, else as rows. Sets T and B. */
rnnd_code call_run_tensors(rnnd_call *c, const rnnd_tensor *inputs, size_t count, rnnd_error *err);
rnnd_code call_run_rows(rnnd_call *c, const rnnd_tensor *inputs, size_t count, rnnd_error *err);

#endif
