/* rng.c -- PCG32, variant XSH-RR 64/32 of M. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good
 * Algorithms for Random Number Generation", 2014. */
#include "core/base/rng.h"

#define MULTIPLIER 6364136223846793005u

uint32_t rng_u32(struct rng *r)
{
    uint64_t old = r->state;
    r->state = old * MULTIPLIER + r->increment;
    uint32_t shifted = (uint32_t)((old >> 18 ^ old) >> 27);
    unsigned rotation = (unsigned)(old >> 59);
    return shifted >> rotation | shifted << (-rotation & 31);
}

void rng_seed(struct rng *r, uint64_t seed, uint64_t stream)
{
    r->state = 0;
    r->increment = stream << 1 | 1; /* odd: the full period of 2^64 */
    rng_u32(r);
    r->state += seed;
    rng_u32(r);
}

double rng_unit(struct rng *r)
{
    uint64_t high = rng_u32(r) >> 5, low = rng_u32(r) >> 6; /* 27 and 26 bits, drawn in this order */
    return (double)(high << 26 | low) * 0x1p-53;
}
