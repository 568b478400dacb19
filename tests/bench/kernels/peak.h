/* peak.h -- how fast this processor multiplies, adds and reads when nothing else holds it up. */
#ifndef TESTS_BENCH_KERNELS_PEAK_H
#define TESTS_BENCH_KERNELS_PEAK_H

#include "tests/bench/kernels/backend.h"

/* Measured in this call, in 10^9 operations per second, a multiplication and an addition each counting one: of fp32
 * FMAs, of the dot products of bf16, of those of int8. 0: the processor has no such instruction. */
double peak_gops(enum precision precision, int threads);
/* How fast one thread reads `bytes` again and again, in 10^9 bytes per second, from large pages where they can be had;
 * 0: the processor has no AVX2. */
double read_gbs(size_t bytes);

#endif
