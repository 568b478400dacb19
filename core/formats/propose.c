/* propose.c -- proposing a configuration: find the layers, order them, decide the rest and say so, write it down. */
#include "core/formats/propose.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/propose_parts.h"

const char *propose_type(const struct item *i)
{
    static const char *const types[] = {
        [ITEM_EMBEDDING] = "embedding",   [ITEM_DENSE] = "dense",     [ITEM_LAYER_NORM] = "layer_norm",
        [ITEM_BATCH_NORM] = "batch_norm", [ITEM_SOFTMAX] = "softmax", [ITEM_ACTIVATION] = "activation",
        [ITEM_DROPOUT] = "dropout",       [ITEM_LOG_SOFTMAX] = "log_softmax"};
    if (i->kind == ITEM_RECURRENT) return i->gates == 4 ? "lstm" : i->gates == 3 ? "gru" : "rnn";
    return types[i->kind];
}

const char *propose_name(const struct item *i)
{
    return i->path[0] ? i->path : propose_type(i);
}

rnnd_code propose_say(struct proposing *p, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p->assumption_count == PROPOSE_MAX_ASSUMPTIONS) return RNND_OK; /* long before that nobody reads on */
    size_t length = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    for (size_t i = 0; i < length; i++) /* a name cut within a character would be no text for JSON */
        if ((unsigned char)text[i] >= 0x80) text[i] = '?';
    const char *copy = arena_string(p->arena, text, length);
    if (!copy) return fail_memory(p->err, length);
    p->assumptions[p->assumption_count++] = copy;
    return RNND_OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct checkpoint_tensor *x = *(const struct checkpoint_tensor *const *)a;
    const struct checkpoint_tensor *y = *(const struct checkpoint_tensor *const *)b;
    if (x->raw != y->raw) return (uintptr_t)x->raw < (uintptr_t)y->raw ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The file's order: PyTorch's object says it, elsewhere it is that of the bytes. */
static rnnd_code order_tensors(struct proposing *p)
{
    size_t n = p->ck->count;
    p->tensors = arena_alloc(p->arena, n + 1, sizeof *p->tensors);
    if (!p->tensors) return fail_memory(p->err, n * sizeof *p->tensors);
    for (size_t i = 0; i < n; i++)
        p->tensors[i] = p->torch ? checkpoint_find(p->ck, p->torch->order[i]) : &p->ck->tensors[i];
    if (!p->torch && n) qsort(p->tensors, n, sizeof *p->tensors, compare_places);
    return RNND_OK;
}

rnnd_code propose_config(const struct checkpoint *ck, const char *name, struct arena *arena, struct proposal *out,
                         rnnd_error *err)
{
    memset(out, 0, sizeof *out);
    struct proposing *p = mem_alloc(1, sizeof *p);
    if (!p) return fail_memory(err, sizeof *p);
    *p = (struct proposing){.ck = ck, .name = name, .torch = torch_of(ck), .arena = arena, .err = err};
    p->classes = p->torch && p->torch->form != TORCH_STATE;
    p->assumptions = arena_alloc(arena, PROPOSE_MAX_ASSUMPTIONS, sizeof *p->assumptions);
    rnnd_code code = p->assumptions ? order_tensors(p) : fail_memory(err, PROPOSE_MAX_ASSUMPTIONS * sizeof(char *));
    if (!code) code = propose_find(p);
    if (!code) code = propose_order(p);
    if (!code) code = propose_assume(p);
    if (!code) code = propose_write(p, out);
    mem_free(p);
    return code;
}
