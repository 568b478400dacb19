/* checkpoint.c -- named tensors: finding them, and any element type as float32. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/formats/checkpoint.h"
#include "core/formats/reduced.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors and states are little-endian, like the host");

const struct stored_type stored_types[STORED_COUNT] = {
    [STORED_BOOL] = {"BOOL", 1}, [STORED_U8] = {"U8", 1},   [STORED_I8] = {"I8", 1},     [STORED_I16] = {"I16", 2},
    [STORED_U16] = {"U16", 2},   [STORED_F16] = {"F16", 2}, [STORED_BF16] = {"BF16", 2}, [STORED_I32] = {"I32", 4},
    [STORED_U32] = {"U32", 4},   [STORED_F32] = {"F32", 4}, [STORED_F64] = {"F64", 8},   [STORED_I64] = {"I64", 8},
    [STORED_U64] = {"U64", 8},
};

void checkpoint_init(struct checkpoint *ck)
{
    memset(ck, 0, sizeof *ck);
    arena_init(&ck->arena, (size_t)256 << 20);
}

void checkpoint_free(struct checkpoint *ck)
{
    for (size_t i = 0; i < ck->count; i++)
        mem_free(ck->tensors[i].floats);
    if (ck->release) ck->release(ck->own);
    for (size_t i = 0; i < sizeof ck->memory / sizeof *ck->memory; i++)
        mem_free(ck->memory[i]);
    arena_free(&ck->arena);
    memset(ck, 0, sizeof *ck);
}

void checkpoint_forget(struct checkpoint *ck)
{
    for (size_t i = 0; i < ck->count && ck->precision; i++) {
        if (!ck->tensors[i].reduced) continue;
        mem_free(ck->tensors[i].floats);
        ck->tensors[i].floats = NULL;
    }
}

void checkpoint_rest(const struct checkpoint *ck)
{
    mem_rest(ck->mapped, ck->mapped_bytes);
}

rnnd_code checkpoint_add(struct checkpoint *ck, const struct checkpoint_tensor *t, rnnd_error *err)
{
    if (ck->count == CHECKPOINT_MAX_TENSORS)
        return fail(err, RNND_CORRUPT, "the file names more than %zu tensors", CHECKPOINT_MAX_TENSORS);
    if (ck->count == ck->cap) { /* the old table stays in the arena: doubling keeps that below the new one's size */
        size_t cap = ck->cap ? ck->cap * 2 : 64;
        struct checkpoint_tensor *list = arena_alloc(&ck->arena, cap, sizeof *list);
        if (!list) return fail_memory(err, cap * sizeof *list);
        if (ck->count) memcpy(list, ck->tensors, ck->count * sizeof *list);
        ck->tensors = list;
        ck->cap = cap;
    }
    char *name = arena_string(&ck->arena, t->name, strlen(t->name));
    if (!name) return fail_memory(err, strlen(t->name));
    ck->tensors[ck->count] = *t;
    ck->tensors[ck->count].name = name;
    ck->tensors[ck->count++].floats = NULL;
    return RNND_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct checkpoint_tensor *)a)->name, ((const struct checkpoint_tensor *)b)->name);
}

rnnd_code checkpoint_finish(struct checkpoint *ck, rnnd_error *err)
{
    if (ck->count) qsort(ck->tensors, ck->count, sizeof *ck->tensors, compare_names);
    for (size_t i = 1; i < ck->count; i++)
        if (strcmp(ck->tensors[i - 1].name, ck->tensors[i].name) == 0)
            return fail_at(err, RNND_CORRUPT, ck->tensors[i].name, "the file has two tensors named \"%.80s\"",
                           ck->tensors[i].name);
    return RNND_OK;
}

struct checkpoint_tensor *checkpoint_find(const struct checkpoint *ck, const char *name)
{
    struct checkpoint_tensor key = {.name = name};
    struct checkpoint_tensor *t =
        ck->count ? bsearch(&key, ck->tensors, ck->count, sizeof key, compare_names) : NULL;
    if (t) t->found = true;
    return t;
}

static float element(enum stored stored, const uint8_t *p)
{
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    float f;
    double d;
    switch (stored) {
    case STORED_BOOL:
        return *p ? 1.0f : 0.0f;
    case STORED_U8:
        return (float)*p;
    case STORED_I8:
        return (float)(int8_t)*p;
    case STORED_I16:
        return memcpy(&u16, p, 2), (float)(int16_t)u16;
    case STORED_U16:
        return memcpy(&u16, p, 2), (float)u16;
    case STORED_F16:
        return memcpy(&u16, p, 2), half_to_float(u16);
    case STORED_BF16:
        return memcpy(&u16, p, 2), bf16_to_float(u16);
    case STORED_I32:
        return memcpy(&u32, p, 4), (float)(int32_t)u32;
    case STORED_U32:
        return memcpy(&u32, p, 4), (float)u32;
    case STORED_F32:
        return memcpy(&f, p, 4), f;
    case STORED_F64:
        return memcpy(&d, p, 8), (float)d;
    case STORED_I64:
        return memcpy(&u64, p, 8), (float)(int64_t)u64;
    default:
        return memcpy(&u64, p, 8), (float)u64;
    }
}

rnnd_code checkpoint_floats(struct checkpoint_tensor *t, const float **out, rnnd_error *err)
{
    if (!t->floats && t->stored == STORED_F32 && t->count && (uintptr_t)t->raw % sizeof(float) == 0) {
        *out = (const float *)(const void *)t->raw; /* as they lie in the file */
        return RNND_OK;
    }
    if (!t->floats) {
        float *f = mem_alloc(t->count ? t->count : 1, sizeof *f);
        if (!f) return fail_memory(err, t->count * sizeof *f);
        if (t->reduced)
            reduced_floats(t, f);
        else if (t->stored == STORED_F32 && t->count)
            memcpy(f, t->raw, t->count * sizeof *f);
        else
            for (size_t i = 0; i < t->count; i++)
                f[i] = element(t->stored, t->raw + i * stored_types[t->stored].bytes);
        t->floats = f;
    }
    *out = t->floats;
    return RNND_OK;
}

enum dtype stored_dtype(enum stored stored)
{
    if (stored == STORED_BOOL) return DTYPE_BOOL;
    bool floats = stored == STORED_F32 || stored == STORED_F64 || stored == STORED_F16 || stored == STORED_BF16;
    return floats ? DTYPE_F32 : DTYPE_I64;
}

static int64_t whole_element(enum stored stored, const uint8_t *p)
{
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (stored) {
    case STORED_U8:
        return *p;
    case STORED_I8:
        return (int8_t)*p;
    case STORED_I16:
        return memcpy(&u16, p, 2), (int16_t)u16;
    case STORED_U16:
        return memcpy(&u16, p, 2), u16;
    case STORED_I32:
        return memcpy(&u32, p, 4), (int32_t)u32;
    case STORED_U32:
        return memcpy(&u32, p, 4), u32;
    default: /* beyond int64: the largest there is */
        memcpy(&u64, p, 8);
        return stored == STORED_U64 && u64 > INT64_MAX ? INT64_MAX : (int64_t)u64;
    }
}

int checkpoint_constant(struct graph *g, const struct checkpoint_tensor *t)
{
    enum dtype dtype = t->reduced ? DTYPE_F32 : stored_dtype(t->stored);
    size_t each = stored_types[t->stored].bytes;
    int v = graph_constant(g, t->name, dtype, t->rank, t->dim, NULL);
    if (v < 0) return -1;
    void *data = g->values[v].constant.data;
    if (t->reduced)
        reduced_floats(t, data);
    else if ((t->stored == STORED_F32 || t->stored == STORED_I64) && t->count)
        memcpy(data, t->raw, t->count * each);
    else if (dtype == DTYPE_F32)
        for (size_t i = 0; i < t->count; i++)
            ((float *)data)[i] = element(t->stored, t->raw + i * each);
    else if (dtype == DTYPE_I64)
        for (size_t i = 0; i < t->count; i++)
            ((int64_t *)data)[i] = whole_element(t->stored, t->raw + i * each);
    else
        for (size_t i = 0; i < t->count; i++)
            ((uint8_t *)data)[i] = t->raw[i] != 0;
    return v;
}

const char *shape_text(char text[96], int rank, const size_t *dim)
{
    size_t at = 1;
    text[0] = '[';
    for (int i = 0; i < rank && at < 80; i++)
        at += (size_t)snprintf(text + at, 96 - at, i ? ", %zu" : "%zu", dim[i]);
    if (at > 92) at = 92;
    text[at] = ']';
    text[at + 1] = 0;
    return text;
}
