/* mem.h -- memory: sizes that cannot overflow, one allocator that tests can make fail, arenas. */
#ifndef RNND_BASE_MEM_H
#define RNND_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* *out = a*b or a+b; false on overflow. */
bool size_mul(size_t a, size_t b, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

/* All heap memory of the library comes from here (cJSON's included). NULL when there is none. Zeroed; any size that
 * overflows is NULL too. */
void *mem_alloc(size_t count, size_t size);
void *mem_resize(void *p, size_t bytes); /* like realloc */
void *mem_aligned(size_t bytes);         /* 64-byte aligned, zeroed */
char *mem_copy_string(const char *s);
void mem_free(void *p);                  /* any of the above; NULL is fine */

/* Bytes of a file that is mapped for reading and will not be looked at for a while: the system may take back the memory
 * that holds them, and reads them again when they are. */
void mem_rest(const void *mapped, size_t bytes);

/* Torture tests: the n-th allocation from now fails (0 = none does); returns how many there were since the last
 * call. */
size_t mem_fail_at(size_t n);

/* An arena: many small things with one life. Grows by blocks up to `limit` bytes, freed as a whole. */
struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t used, limit;
};
void arena_init(struct arena *a, size_t limit);
void *arena_alloc(struct arena *a, size_t count, size_t size); /* zeroed, 16-byte aligned; NULL on limit or no memory */
char *arena_string(struct arena *a, const char *s, size_t bytes); /* copies and terminates */
void arena_free(struct arena *a);

#endif
