/* random.c -- random numbers and the ids made of them. */
#include "server/api/random.h"

#include <stdio.h>
#include <sys/random.h>

uint64_t random_u64(void)
{
    uint64_t v = 0;
    char *to = (char *)&v;
    for (size_t have = 0; have < sizeof v;) {
        ssize_t n = getrandom(to + have, sizeof v - have, 0);
        if (n > 0) have += (size_t)n;
    }
    return v;
}

/* splitmix64's finalizer over both */
uint64_t random_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a + 0x9E3779B97F4A7C15u * (b + 1);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

void random_id(char *out, size_t cap, const char *prefix)
{
    snprintf(out, cap, "%s%016llx%08llx", prefix, (unsigned long long)random_u64(),
             (unsigned long long)(random_u64() & 0xFFFFFFFFu));
}
