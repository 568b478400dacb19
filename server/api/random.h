/* random.h -- random numbers and the ids made of them. */
#ifndef SERVER_RANDOM_H
#define SERVER_RANDOM_H

#include <stddef.h>
#include <stdint.h>

uint64_t random_u64(void);                          /* the system's */
uint64_t random_mix(uint64_t a, uint64_t b);        /* of both, well spread; the same everywhere */
void random_id(char *out, size_t cap, const char *prefix); /* prefix and 24 random hex digits */

#endif
