/* onnx_writer.h -- writes recurrent layers, given in PyTorch's layout, as an ONNX file in memory. */
#ifndef TESTS_BENCH_PEERS_ONNX_WRITER_H
#define TESTS_BENCH_PEERS_ONNX_WRITER_H

#include <stdbool.h>
#include <stddef.h>

struct onnx_layer {           /* rows of gates i f g o (LSTM) or r z n (GRU), each [hidden]; borrowed */
    const float *w_ih;        /* [gates * hidden][inputs, of the second layer on hidden] */
    const float *w_hh;        /* [gates * hidden][hidden] */
    const float *b_ih, *b_hh; /* [gates * hidden] */
};

#define ONNX_MAX_LAYERS 4

struct onnx_net {
    bool gru;
    size_t inputs, hidden, layers;
    struct onnx_layer layer[ONNX_MAX_LAYERS];
    bool states;        /* h0, c0, h1 .. are inputs and hn0, cn0, hn1 .. outputs; else zeros */
    bool int8;          /* LSTM only: DynamicQuantizeLSTM of ONNX Runtime, symmetric, a scale per row */
    size_t outputs;     /* of a dense layer at the end; 0: none */
    const float *w_out; /* [outputs][hidden] */
    const float *b_out; /* [outputs] */
};

/* Inputs: "x" [T][B][inputs] and the states, each [1][B][hidden]. Outputs: the states, as "hn0" .., and "y"
 * [T][B][hidden or outputs]. T and B are free. Returns the file's bytes, freed with free(); NULL: no memory. */
unsigned char *onnx_write(const struct onnx_net *net, size_t *bytes);

#endif
