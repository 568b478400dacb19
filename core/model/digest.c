/* digest.c -- a model's fingerprint over tensors and configuration. */
#define XXH_STATIC_LINKING_ONLY /* the hash state on the stack: it then needs no memory that could be missing */
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/error.h"
#include "core/formats/format.h"
#include "core/formats/json.h"
#include "core/model/digest.h"

static void add_text(XXH3_state_t *state, const char *s)
{
    if (s)
        XXH3_128bits_update(state, s, strlen(s) + 1);
    else
        XXH3_128bits_update(state, "\xff", 1); /* no text is no UTF-8 either */
}

/* A vocabulary from a file, as it was understood: the file's spaces and order do not count. */
static void add_vocabulary(XXH3_state_t *state, const struct text_config *c)
{
    const struct bpe_config *b = c->bpe;
    int64_t numbers[] = {(int64_t)c->symbol_count, c->unknown, c->lower};
    XXH3_128bits_update(state, numbers, sizeof numbers);
    for (size_t i = 0; i < c->symbol_count; i++)
        add_text(state, c->symbols[i]);
    add_text(state, c->filters);
    add_text(state, c->split);
    if (!b) return;
    int64_t rules[] = {(int64_t)b->merge_count, b->split,       b->byte_level, b->prefix_space,        b->prefix_once,
                       b->byte_fallback,        b->fuse_unknown, b->whole_words, b->lower, (int64_t)b->added_count};
    XXH3_128bits_update(state, rules, sizeof rules);
    for (size_t i = 0; i < 2 * b->merge_count; i++)
        add_text(state, b->merges[i]);
    add_text(state, b->word_end);
    add_text(state, b->continuing);
    if (b->added_count) XXH3_128bits_update(state, b->added, b->added_count * sizeof *b->added);
}

rnnd_code model_digest(struct rnnd_model *m, const struct checkpoint *ck, const void *file, size_t file_bytes,
                       rnnd_error *err)
{
    XXH3_state_t state;
    XXH128_canonical_t canonical;
    char *text = json_print(m->config.json, true), hex[33];
    if (!text) return fail_memory(err, JSON_MAX_BYTES);
    XXH3_128bits_reset(&state);
    for (size_t i = 0; i < ck->count; i++) {
        const struct checkpoint_tensor *t = &ck->tensors[i];
        uint64_t shape[MAX_RANK + 2] = {(uint64_t)t->stored, (uint64_t)t->rank};
        for (int d = 0; d < t->rank; d++)
            shape[d + 2] = t->dim[d];
        XXH3_128bits_update(&state, t->name, strlen(t->name) + 1);
        XXH3_128bits_update(&state, shape, (size_t)(t->rank + 2) * sizeof *shape);
        XXH3_128bits_update(&state, t->raw, t->count * stored_types[t->stored].bytes);
    }
    if (ck->own && ck->format->lower) XXH3_128bits_update(&state, file, file_bytes);
    XXH3_128bits_update(&state, text, strlen(text));
    if (m->config.texts.vocabulary_file) add_vocabulary(&state, &m->config.texts);
    mem_free(text);
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    memcpy(m->digest, canonical.digest, sizeof m->digest);
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", m->digest[i]);
    m->info.digest = arena_string(&m->arena, hex, 32);
    return m->info.digest ? RNND_OK : fail_memory(err, sizeof hex);
}
