/* tokenizer_cases.h -- what the tests of word and BPE tokenizers share: vocabularies of tests/vectors/tokenizers. */
#ifndef TESTS_TOKENIZER_CASES_H
#define TESTS_TOKENIZER_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/formats/json.h"
#include "core/model/config_tasks.h"
#include "core/model/vocabulary.h"
#include "core/tasks/tokenizer.h"

#define CASES_FOLDER "tests/vectors/tokenizers/"

static inline char *cases_file(const char *name, size_t *bytes)
{
    char path[256];
    snprintf(path, sizeof path, CASES_FOLDER "%s", name);
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s cannot be opened", path);
    char *text = malloc(1 << 20);
    *bytes = fread(text, 1, 1 << 20, f);
    fclose(f);
    return text;
}

/* A tokenizer of this kind with the vocabulary inline, in the arena. */
static inline rnnd_code cases_open(const char *kind, const char *vocabulary, size_t bytes, const char *more,
                                   struct arena *arena, struct text_config *config, struct tokenizer **out,
                                   rnnd_error *err)
{
    char *text = malloc(bytes + 512);
    struct json *j = NULL;
    memset(config, 0, sizeof *config);
    memset(err, 0, sizeof *err);
    *out = NULL;
    int n = snprintf(text, bytes + 512, "{\"tokenizer\":\"%s\"%s", kind, more);
    if (vocabulary) {
        n += snprintf(text + n, 512, ",\"vocabulary\":");
        memcpy(text + n, vocabulary, bytes);
        n += (int)bytes;
    }
    text[n++] = '}';
    rnnd_code code = json_parse(text, (size_t)n, "text", &j, err);
    if (!code) code = config_read_text(j, arena, config, err);
    json_free(j);
    free(text);
    return code ? code : tokenizer_open(config, arena, out, err);
}

/* The same with the vocabulary from the file beside a model that would be in the folder. */
static inline rnnd_code cases_open_file(const char *kind, const char *file, struct arena *arena,
                                        struct text_config *config, struct tokenizer **out, rnnd_error *err)
{
    char text[512];
    struct json *j = NULL;
    memset(config, 0, sizeof *config);
    memset(err, 0, sizeof *err);
    *out = NULL;
    snprintf(text, sizeof text, "{\"tokenizer\":\"%s\",\"vocabulary\":\"%s\"}", kind, file);
    rnnd_code code = json_parse(text, strlen(text), "text", &j, err);
    if (!code) code = config_read_text(j, arena, config, err);
    if (!code) code = vocabulary_load(CASES_FOLDER "m.json", arena, config, err);
    if (!code) code = config_end_text(j, arena, config, err);
    json_free(j);
    return code ? code : tokenizer_open(config, arena, out, err);
}

/* Every case of NAME.cases.json; `decoded`: what is put out again, joined, is the text (where the tokenizer keeps it).
 */
static inline void cases_run(const struct tokenizer *t, const char *name, bool decoded)
{
    char file[128];
    size_t bytes, cases = 0;
    struct json *list;
    rnnd_error err;
    snprintf(file, sizeof file, "%s.cases.json", name);
    char *text = cases_file(file, &bytes);
    assert_int_equal(json_parse(text, bytes, "cases", &list, &err), RNND_OK);
    for (const struct json *c = json_first(list); c; c = json_next(c), cases++) {
        const char *s = json_string(json_get(c, "text"));
        const struct json *wanted = json_first(json_get(c, "ids"));
        size_t n = strlen(s), count, at = 0;
        int32_t *ids = malloc((2 * n + 1) * sizeof *ids);
        char *again = calloc(1, n * 4 + 64);
        if (t->kind->encode(t, s, n, ids, 2 * n + 1, &count, &err)) fail_msg("%s: %s", s, err.message);
        assert_int_equal(count, json_count(json_get(c, "ids")));
        assert_true(count <= 2 * n + 1);
        for (size_t i = 0; i < count; i++, wanted = json_next(wanted)) {
            size_t length;
            if (json_number(wanted) != ids[i])
                fail_msg("%s, \"%s\": id %zu is %d, wanted %g", name, s, i, (int)ids[i], json_number(wanted));
            const char *part = t->kind->decode(t, ids[i], &length);
            memcpy(again + at, part, length);
            at += length;
        }
        if (decoded && (at != n || memcmp(again, s, n) != 0))
            fail_msg("%s: \"%s\" comes back as \"%s\"", name, s, again);
        free(again);
        free(ids);
    }
    assert_true(cases > 20);
    json_free(list);
    free(text);
}

/* Random damage to a vocabulary, then texts through whatever it became. */
static inline void cases_damage(const char *kind, const char *name, uint64_t seed, int rounds)
{
    static const char signs[] = "[]{},:\"0123456789-nul</w> #";
    static const char *const texts[] = {"the quick don't", "\xC3\xBC\xE2\x96\x81 1984", "<|end|>a  b"};
    size_t bytes, refused = 0;
    struct rng rng;
    char *text = cases_file(name, &bytes), *copy = malloc(bytes);
    rng_seed(&rng, seed, 9);
    for (int round = 0; round < rounds; round++) {
        struct arena arena;
        struct text_config config;
        struct tokenizer *t;
        rnnd_error err;
        arena_init(&arena, (size_t)64 << 20);
        memcpy(copy, text, bytes);
        for (uint32_t k = 1 + rng_u32(&rng) % 3; k > 0; k--)
            copy[rng_u32(&rng) % bytes] = signs[rng_u32(&rng) % (sizeof signs - 1)];
        if (cases_open(kind, copy, bytes, "", &arena, &config, &t, &err)) {
            assert_true(err.message[0]);
            refused++;
        }
        for (size_t i = 0; t && i < 3; i++) {
            int32_t ids[64];
            size_t count, length;
            if (t->kind->encode(t, texts[i], strlen(texts[i]), ids, 64, &count, &err)) continue;
            for (size_t k = 0; k < count && k < 64; k++) {
                assert_true(ids[k] >= 0 && (size_t)ids[k] < t->vocabulary);
                assert_non_null(t->kind->decode(t, ids[k], &length));
                assert_true(length <= t->longest);
            }
        }
        arena_free(&arena);
    }
    assert_true(refused > (size_t)rounds / 100 && refused < (size_t)rounds);
    free(copy);
    free(text);
}

#endif
