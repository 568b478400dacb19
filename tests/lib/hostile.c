/* hostile.c -- files that end where readable memory ends. */
#include "tests/lib/hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { PAGE = 4096 };

uint64_t hostile_seed;
static uint8_t *end; /* the page here is nobody's */
static size_t room;

bool hostile_begin(size_t most)
{
    const char *given = getenv("SEED");
    hostile_seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu (set SEED to repeat)\n", (unsigned long long)hostile_seed);
    room = (most + PAGE - 1) / PAGE * PAGE;
    uint8_t *map = mmap(NULL, room + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    end = map + room;
    return map != MAP_FAILED && mprotect(end, PAGE, PROT_NONE) == 0;
}

uint8_t *hostile_at_end(size_t bytes)
{
    if (bytes > room) {
        fprintf(stderr, "hostile_begin() made room for %zu bytes, %zu are wanted\n", room, bytes);
        abort();
    }
    return end - bytes;
}

uint8_t *hostile_place(const void *data, size_t bytes)
{
    return memcpy(hostile_at_end(bytes), data, bytes);
}

void hostile_damage(struct rng *rng, uint8_t *data, size_t bytes, uint32_t most)
{
    for (uint32_t k = rng_u32(rng) % most + 1; k > 0; k--)
        data[rng_u32(rng) % bytes] = (uint8_t)rng_u32(rng);
}
