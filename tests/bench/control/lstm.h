/* lstm.h -- the LSTM that every server of the suite steps, for ONNX Runtime: as model_image() lays out its weights. */
#ifndef TESTS_BENCH_CONTROL_LSTM_H
#define TESTS_BENCH_CONTROL_LSTM_H

#include "tests/bench/peers/onnx_writer.h"

enum {
    LSTM_INPUTS = 8,
    LSTM_HIDDEN = 256,
    LSTM_OUTPUTS = 1,
    LSTM_GATES = 4 * LSTM_HIDDEN,
    LSTM_FLOATS = LSTM_GATES * (LSTM_INPUTS + LSTM_HIDDEN + 2) + LSTM_OUTPUTS * (LSTM_HIDDEN + 1)
};

/* w [LSTM_FLOATS]: the tensors one behind the other, borrowed. */
static inline struct onnx_net lstm_net(const float *w)
{
    const float *w_hh = w + LSTM_GATES * LSTM_INPUTS, *b_ih = w_hh + LSTM_GATES * LSTM_HIDDEN;
    const float *w_out = b_ih + 2 * LSTM_GATES;
    return (struct onnx_net){.inputs = LSTM_INPUTS,
                             .hidden = LSTM_HIDDEN,
                             .layers = 1,
                             .layer = {{w, w_hh, b_ih, b_ih + LSTM_GATES}},
                             .states = true,
                             .outputs = LSTM_OUTPUTS,
                             .w_out = w_out,
                             .b_out = w_out + LSTM_OUTPUTS * LSTM_HIDDEN};
}

#endif
