/* tiny_model.h -- a very small model file for tests: LSTM of 5 units on 3 numbers, two outputs, random weights. */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define TINY_INPUTS 3
#define TINY_OUTPUTS 2

/* Writes PATH; seed chooses the weights. Seed 0 gives a head so large that outputs overflow as soon as the hidden state
 * has grown a little. false if the file cannot be written. */
bool tiny_model_write(const char *path, uint32_t seed);

#endif
