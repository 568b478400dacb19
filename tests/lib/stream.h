/* stream.h -- a model's sessions against its windows, bit for bit: what steps answer is what windows say. */
#ifndef TESTS_LIB_STREAM_H
#define TESTS_LIB_STREAM_H

#include "core/rnnd.h"

enum stream_kind {
    STREAM_CARRY,   /* each step answered what the window of all rows up to it says of its last step */
    STREAM_SLIDING, /* each step answered what the model's window says that ends with it */
    STREAM_NEITHER, /* no session steps this model, or its task answers otherwise than its network; why says so */
    STREAM_WRONG,   /* a step answered something else; why says which */
};

/* Feeds `steps` rows [steps][input width] to two sessions that began two steps apart and step together, and holds
 * each answer to a window of `windows`, the same rows: a test that they are compared at all gives others. */
enum stream_kind stream_check(const rnnd_model *m, const float *rows, const float *windows, size_t steps,
                              char why[512]);

/* Rows to feed: numbers between -1 and 1, and ids. The same for the same model and count. Owned by the caller. */
float *stream_rows(const rnnd_model *m, size_t steps);
/* How many steps show all there is to see: past a full window, past a piece of a window's run. */
size_t stream_steps(const rnnd_model *m);

#endif
