/* mem.c -- checked sizes, the allocator with its failure hook, arenas. */
#include "core/base/mem.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CACHE_LINE 64
#define HUGE_PAGE ((size_t)2 << 20)
#define ARENA_ALIGN 16
#define ARENA_BLOCK ((size_t)16 << 10)

bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Allocations until the failing one (<= 0: none will fail), and allocations counted since the last mem_fail_at(). */
static atomic_long countdown;
static atomic_size_t counted;

/* True if this allocation has to fail. The common case, no torture, touches `countdown` only to read it. */
static bool must_fail(void)
{
    atomic_fetch_add_explicit(&counted, 1, memory_order_relaxed);
    if (atomic_load_explicit(&countdown, memory_order_relaxed) <= 0) return false;
    return atomic_fetch_sub_explicit(&countdown, 1, memory_order_relaxed) == 1;
}

size_t mem_fail_at(size_t n)
{
    atomic_store(&countdown, n > LONG_MAX ? LONG_MAX : (long)n);
    return atomic_exchange(&counted, 0);
}

/* Nothing is as good a place as something: a request for 0 bytes must not look like an empty heap. */
void *mem_alloc(size_t count, size_t size)
{
    size_t bytes;

    if (must_fail() || !size_mul(count, size, &bytes) || bytes > PTRDIFF_MAX) return NULL;
    return calloc(1, bytes ? bytes : 1);
}

void *mem_resize(void *p, size_t bytes)
{
    if (must_fail() || bytes > PTRDIFF_MAX) return NULL;
    return realloc(p, bytes ? bytes : 1);
}

/* Large blocks are weights, read from end to end at every step: huge pages save their address translation. */
void *mem_aligned(size_t bytes)
{
    size_t rounded, align = bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
    void *p;

    if (must_fail() || bytes > PTRDIFF_MAX - CACHE_LINE) return NULL;
    rounded = (bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
    if (rounded == 0) rounded = CACHE_LINE;
    if (posix_memalign(&p, align, rounded) != 0) return NULL;
    if (align == HUGE_PAGE) (void)madvise(p, rounded & ~(HUGE_PAGE - 1), MADV_HUGEPAGE); /* advice: may be refused */
    memset(p, 0, rounded);
    return p;
}

char *mem_copy_string(const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *copy = mem_alloc(bytes, 1);

    if (copy) memcpy(copy, s, bytes);
    return copy;
}

void mem_free(void *p)
{
    free(p);
}

void mem_rest(const void *mapped, size_t bytes)
{
    if (mapped && bytes) (void)madvise((void *)(uintptr_t)mapped, bytes, MADV_DONTNEED); /* advice: may be refused */
}

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(ARENA_ALIGN) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t limit)
{
    *a = (struct arena){NULL, 0, limit};
}

/* A large thing gets a block of its own behind the first one, whose rest stays usable. */
static struct arena_block *add_block(struct arena *a, size_t bytes)
{
    bool large = bytes > ARENA_BLOCK / 4;
    size_t size = large ? bytes : ARENA_BLOCK, total;
    struct arena_block *block;

    if (!size_add(size, sizeof *block, &total) || !(block = mem_alloc(total, 1))) return NULL;
    block->size = size;
    if (large && a->blocks) {
        block->next = a->blocks->next;
        a->blocks->next = block;
    } else {
        block->next = a->blocks;
        a->blocks = block;
    }
    return block;
}

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
    size_t bytes;
    struct arena_block *block = a->blocks;
    void *p;

    if (!size_mul(count, size, &bytes) || !size_add(bytes, ARENA_ALIGN - 1, &bytes)) return NULL;
    bytes &= ~(size_t)(ARENA_ALIGN - 1);
    if (bytes == 0) bytes = ARENA_ALIGN;
    if (bytes > a->limit - a->used) return NULL;
    if ((!block || block->size - block->used < bytes) && !(block = add_block(a, bytes))) return NULL;
    p = block->bytes + block->used;
    block->used += bytes;
    a->used += bytes;
    return p;
}

char *arena_string(struct arena *a, const char *s, size_t bytes)
{
    size_t total;
    char *copy;

    if (!size_add(bytes, 1, &total) || !(copy = arena_alloc(a, total, 1))) return NULL;
    if (bytes) memcpy(copy, s, bytes);
    return copy;
}

void arena_free(struct arena *a)
{
    struct arena_block *block = a->blocks;

    while (block) {
        struct arena_block *next = block->next;
        mem_free(block);
        block = next;
    }
    a->blocks = NULL;
    a->used = 0;
}
