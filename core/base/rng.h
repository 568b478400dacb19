/* rng.h -- the random numbers behind sampling: PCG32 (O'Neill 2014), 16 bytes of state that live in a session. */
#ifndef RNND_BASE_RNG_H
#define RNND_BASE_RNG_H
#include <stdint.h>
struct rng { uint64_t state, increment; };
void rng_seed(struct rng *r, uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *r);
double rng_unit(struct rng *r); /* uniform in [0, 1), 53 bits from two draws */
#endif
