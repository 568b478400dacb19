/* activations.h -- the cells' activations as loops that the compiler vectorises, for peers that have products alone. */
#ifndef TESTS_BENCH_PEERS_ACTIVATIONS_H
#define TESTS_BENCH_PEERS_ACTIVATIONS_H

#include <stddef.h>

/* gates [4][hidden]: i f g o, summed; c, h [hidden] become the next */
void activate_lstm(size_t hidden, const float *gates, float *c, float *h);
/* x_gates, h_gates [3][hidden]: r z n of either side; h [hidden] becomes the next */
void activate_gru(size_t hidden, const float *x_gates, const float *h_gates, float *h);

#endif
