/* fuzz_vocabulary.c -- any bytes as a vocabulary of each kind of tokenizer; texts there and back.
 *
 * seeds: words*.json gpt2*.json chars_bpe.json metaspace.json *vocab.json
 * options: -max_len=16384 -malloc_limit_mb=128
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/config_tasks.h"
#include "core/model/vocabulary.h"
#include "core/tasks/tokenizer.h"
#include "tests/fuzz/bound.h"

static void use(const struct tokenizer *t, const char *text, size_t bytes)
{
    int32_t ids[256];
    size_t count, length;
    rnnd_error err;
    if (t->kind->encode(t, text, bytes, ids, 256, &count, &err)) return;
    if (count > 2 * bytes + 1) abort(); /* as rnnd.h promises */
    for (size_t i = 0; i < count && i < 256; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= t->vocabulary) abort();
        const char *p = t->kind->decode(t, ids[i], &length);
        if (!p || length > t->longest) abort();
    }
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
    static const char *const kinds[] = {"chars", "words", "bpe"};
    struct json *j;
    rnnd_error err;
    if (json_parse((const char *)data, bytes, "the vocabulary", &j, &err)) return;
    for (size_t i = 0; i < 3; i++) {
        struct text_config c = {.tokenizer = kinds[i], .unknown = -1, .filters = "!., ", .split = " ", .lower = i == 1};
        struct arena arena;
        struct tokenizer *t;
        arena_init(&arena, (size_t)96 << 20);
        if (vocabulary_read(j, &arena, &c, &err) == RNND_OK && config_end_text(NULL, &arena, &c, &err) == RNND_OK &&
            tokenizer_open(&c, &arena, &t, &err) == RNND_OK) {
            use(t, "the quick don't  \xC3\xBC\xC4\xB0 1984<|end|>", 31);
            use(t, (const char *)data, bytes < 100 ? bytes : 100);
        }
        arena_free(&arena);
    }
    json_free(j);
}
