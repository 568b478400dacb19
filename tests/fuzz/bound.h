/* bound.h -- what every fuzz target is called through: its memory is counted. */
#ifndef TESTS_FUZZ_BOUND_H
#define TESTS_FUZZ_BOUND_H

#include <stddef.h>
#include <stdint.h>

/* The target's own function: any bytes, a broken promise is an abort(). While it runs, all that is allocated together
 * may take 64 MiB and four times the bytes at most; where it takes more, the process ends at that allocation. */
void fuzz_one(const uint8_t *data, size_t bytes);

#endif
