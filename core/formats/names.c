/* names.c -- a table from names, each of a scope, to value numbers. */
#include "core/formats/names.h"

#include <string.h>

#include "core/base/error.h"
#include "core/base/mem.h"

static bool same(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Salted with the place of the table's owner, so that no file can be made of names that all meet in one slot. */
static size_t hash_name(const struct names *t, uint32_t scope, struct bytes name)
{
    uint64_t h = 0xcbf29ce484222325u ^ (uintptr_t)t ^ (uint64_t)scope << 32;
    for (size_t i = 0; i < name.size; i++)
        h = (h ^ name.data[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 29);
}

static struct name *slot_of(const struct names *t, uint32_t scope, struct bytes name)
{
    size_t i = hash_name(t, scope, name) & (t->cap - 1);
    while (t->slots[i].scope && !(t->slots[i].scope == scope && same(t->slots[i].name, name)))
        i = (i + 1) & (t->cap - 1);
    return &t->slots[i];
}

struct name *names_find(const struct names *t, uint32_t scope, struct bytes name)
{
    struct name *slot = t->cap ? slot_of(t, scope, name) : NULL;
    return slot && slot->scope ? slot : NULL;
}

rnnd_code names_add(struct names *t, uint32_t scope, struct bytes name, int value, struct bytes tensor, rnnd_error *err)
{
    if (t->count == NAMES_MAX) return fail(err, RNND_TOO_LARGE, "the model has more than %zu values", NAMES_MAX);
    if (t->count * 2 >= t->cap) {
        struct names old = *t;
        t->cap = old.cap ? old.cap * 2 : 64;
        t->slots = mem_alloc(t->cap, sizeof *t->slots);
        if (!t->slots) {
            *t = old;
            return fail_memory(err, old.cap * 2 * sizeof *t->slots);
        }
        for (size_t i = 0; i < old.cap; i++)
            if (old.slots[i].scope) *slot_of(t, old.slots[i].scope, old.slots[i].name) = old.slots[i];
        mem_free(old.slots);
    }
    *slot_of(t, scope, name) = (struct name){scope, name, value, tensor};
    t->count++;
    return RNND_OK;
}

void names_free(struct names *t)
{
    mem_free(t->slots);
    *t = (struct names){0};
}
