/* fuzz_pickle.c -- any bytes as a pickle: read, and every value looked at to a depth.
 *
 * seeds: *_legacy.pt *.legacy.pt
 * options: -max_len=16384 -malloc_limit_mb=16
 */
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/formats/pickle.h"
#include "tests/fuzz/bound.h"

#define LIMIT ((size_t)4 << 20)

static volatile size_t seen; /* so that all is read */

static void look(const struct pickle_value *v, int depth, size_t *left)
{
    if (!v || depth > 12 || !*left) return;
    --*left;
    if (pickle_class(v)) seen += (size_t)pickle_class(v)[0];
    look(v->kind == PICKLE_DICT || v->kind == PICKLE_OBJECT ? v->state : NULL, depth + 1, left);
    switch (v->kind) {
    case PICKLE_TEXT:
    case PICKLE_BYTES:
    case PICKLE_GLOBAL:
        for (size_t i = 0; i < v->count; i++)
            seen += (size_t)v->text[i];
        break;
    case PICKLE_TUPLE:
    case PICKLE_LIST:
    case PICKLE_DICT:
        for (size_t i = 0; i < v->count * (v->kind == PICKLE_DICT ? 2u : 1u); i++)
            look(v->items[i], depth + 1, left);
        break;
    case PICKLE_OBJECT:
        look(v->object->callable, depth + 1, left);
        look(v->object->args, depth + 1, left);
        look(v->object->items, depth + 1, left);
        break;
    case PICKLE_PERSISTENT:
        look(v->id, depth + 1, left);
        break;
    default:
        seen += (size_t)v->whole;
    }
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
    struct bytes in = bytes_of(data, bytes);
    rnnd_code code = RNND_OK;
    while (!code && bytes_left(&in)) { /* one behind the other, as in PyTorch's old form */
        struct arena arena;
        struct pickle p;
        rnnd_error err = {0};
        size_t left = 20000, count = 0;
        arena_init(&arena, LIMIT);
        code = pickle_read(&in, &arena, &p, &err);
        if (arena.used > LIMIT || (code && !err.message[0])) abort();
        if (!code) look(p.root, 0, &left);
        for (const struct pickle_value *v = code ? NULL : p.persistent; v; v = v->state)
            count++;
        if (!code && count != p.persistent_count) abort();
        arena_free(&arena);
    }
}
