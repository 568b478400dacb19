/* hostile.h -- for tests of readers: files that end where readable memory ends, cut or damaged at random. */
#ifndef TESTS_LIB_HOSTILE_H
#define TESTS_LIB_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rng.h"

/* Of random damage: SEED from the environment, else the time. */
extern uint64_t hostile_seed;

/* Once, before the tests: prints the seed and makes room for files of up to `most` bytes. False: there is none. */
bool hostile_begin(size_t most);
/* Where a file of so many bytes begins: its last byte is the last that may be touched. All files share the place. */
uint8_t *hostile_at_end(size_t bytes);
/* A copy that stands there. */
uint8_t *hostile_place(const void *data, size_t bytes);
/* Gives 1 to `most` bytes another value. */
void hostile_damage(struct rng *rng, uint8_t *data, size_t bytes, uint32_t most);

#endif
