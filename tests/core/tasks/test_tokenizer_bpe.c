/* test_tokenizer_bpe.c -- BPE against the published algorithm (tests/vectors/make_tokenizers.py), and hostile files. */
#include <time.h>

#include "tests/core/tasks/tokenizer_cases.h"

static uint64_t seed;

static void as_published(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        bool keeps; /* texts come back as they were */
    } cases[] = {{"gpt2", true}, {"gpt2_prefix", false}, {"chars_bpe", false}, {"metaspace", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a;
        struct text_config c;
        struct tokenizer *t;
        rnnd_error err;
        char file[64];
        arena_init(&a, (size_t)64 << 20);
        snprintf(file, sizeof file, "%s.json", cases[i].name);
        if (cases_open_file("bpe", file, &a, &c, &t, &err)) fail_msg("%s", err.message);
        cases_run(t, cases[i].name, cases[i].keeps);
        arena_free(&a);
    }
}

/* Random texts: by bytes nothing is lost, whatever the merges do; and a text cut short anywhere still goes through. */
static void nothing_is_lost(void **unused)
{
    (void)unused;
    static const char *const pieces[] = {"the",
                                         " ",
                                         "  ",
                                         "\n",
                                         "'s",
                                         "'",
                                         "fox",
                                         "1984",
                                         "\xC3\xBC",
                                         "\xE6\x97\xA5",
                                         "\xF0\x9F\x98\x80",
                                         "!",
                                         "<|end|>",
                                         "<|",
                                         "\xC2\xA0",
                                         "\xCC\x81",
                                         "_",
                                         "ll"};
    struct arena a;
    struct text_config c;
    struct tokenizer *t;
    rnnd_error err;
    struct rng rng;
    rng_seed(&rng, seed, 3);
    arena_init(&a, (size_t)64 << 20);
    if (cases_open_file("bpe", "gpt2.json", &a, &c, &t, &err)) fail_msg("%s", err.message);
    for (int round = 0; round < 3000; round++) {
        char text[512] = "", again[2048];
        int32_t ids[1025];
        size_t count, at = 0;
        for (uint32_t k = rng_u32(&rng) % 24; k > 0; k--)
            strcat(text, pieces[rng_u32(&rng) % (sizeof pieces / sizeof *pieces)]);
        assert_int_equal(t->kind->encode(t, text, strlen(text), ids, 1025, &count, &err), RNND_OK);
        for (size_t i = 0, n; i < count; i++, at += n) {
            const char *part = t->kind->decode(t, ids[i], &n);
            memcpy(again + at, part, n);
        }
        if (at != strlen(text) || memcmp(again, text, at) != 0) fail_msg("\"%s\" comes back as another text", text);
    }
    arena_free(&a);
}

/* A long word without a border takes n log n, not its square. */
static void long_words(void **unused)
{
    (void)unused;
    struct arena a;
    struct text_config c;
    struct tokenizer *t;
    rnnd_error err;
    size_t n = 1 << 20, count;
    char *text = malloc(n);
    int32_t *ids = malloc((2 * n + 1) * sizeof *ids);
    arena_init(&a, (size_t)64 << 20);
    if (cases_open_file("bpe", "gpt2.json", &a, &c, &t, &err)) fail_msg("%s", err.message);
    for (size_t i = 0; i < n; i++)
        text[i] = "theanof"[i * i % 7];
    assert_int_equal(t->kind->encode(t, text, n, ids, 2 * n + 1, &count, &err), RNND_OK);
    assert_true(count > 1000 && count <= n);
    free(ids);
    free(text);
    arena_free(&a);
}

static void refusals(void **unused)
{
    (void)unused;
#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
    static const struct {
        const char *vocabulary, *says;
    } cases[] = {
        {"{" MODEL "}", NULL},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "model \"WordPiece\" is not supported"},
        {"{\"model\":{\"type\":\"BPE\"}}", "vocab"},
        {"{\"model\":{\"vocab\":{\"a\":0}}}", "merges"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", "two tokens"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", "two tokens"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\",5]]}}", "two tokens"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", "merge 0 of the vocabulary"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"x\"}}", "unk_token"},
        {"{" MODEL ",\"normalizer\":{\"type\":\"NFC\"}}", "normalizer \"NFC\" is not supported"},
        {"{" MODEL ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"}]}}", "NFKC"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Punctuation\"}}", "pre_tokenizer \"Punctuation\""},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\"}}", "Metaspace"},
        {"{" MODEL ",\"post_processor\":{\"type\":\"BertProcessing\"}}", "BertProcessing"},
        {"{" MODEL ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{}}]}}",
         "TemplateProcessing"},
        {"{" MODEL ",\"decoder\":{\"type\":\"WordPiece\"}}", "decoder"},
        {"{" MODEL ",\"added_tokens\":[{\"id\":3}]}", "added tokens"},
        {"{" MODEL ",\"added_tokens\":[{\"id\":0,\"content\":\"x\"}]}", "have the same id 0"},
        {"{" MODEL ",\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"lstrip\":true}]}", "lstrip"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a;
        struct text_config c;
        struct tokenizer *t;
        rnnd_error err;
        arena_init(&a, 1 << 20);
        rnnd_code code = cases_open("bpe", cases[i].vocabulary, strlen(cases[i].vocabulary), "", &a, &c, &t, &err);
        if (!code != !cases[i].says || (code && !strstr(err.message, cases[i].says)))
            fail_msg("%s: %s", cases[i].vocabulary, err.message);
        int32_t ids[8];
        size_t count;
        if (!code) { /* there is no unknown token: what is outside is named */
            assert_int_equal(t->kind->encode(t, "abc", 3, ids, 8, &count, &err), RNND_MISMATCH);
            assert_non_null(strstr(err.message, "'c'"));
            assert_int_equal(t->kind->encode(t, "ab\xFF", 3, ids, 8, &count, &err), RNND_MISMATCH);
            assert_non_null(strstr(err.message, "0xFF at offset 2"));
        }
        arena_free(&a);
    }
}

static void damaged(void **unused)
{
    (void)unused;
    static const char *const names[] = {"gpt2.json", "chars_bpe.json", "metaspace.json"};
    for (size_t i = 0; i < 3; i++)
        cases_damage("bpe", names[i], seed + i, 1000);
}

static void no_memory(void **unused)
{
    (void)unused;
    static const char small[] = "{" MODEL ",\"added_tokens\":[{\"id\":3,\"content\":\"x\"}]}";
    for (size_t n = 1;; n++) {
        struct arena a;
        struct text_config c;
        struct tokenizer *t;
        rnnd_error err;
        int32_t ids[16];
        size_t count;
        arena_init(&a, 1 << 20);
        mem_fail_at(n);
        rnnd_code code = cases_open("bpe", small, strlen(small), "", &a, &c, &t, &err);
        if (!code) code = t->kind->encode(t, "abxba", 5, ids, 16, &count, &err);
        mem_fail_at(0);
        arena_free(&a);
        if (!code) return;
        assert_int_equal(code, RNND_NO_MEMORY);
        assert_true(n < 5000);
    }
}

int main(void)
{
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_published), cmocka_unit_test(nothing_is_lost),
                                       cmocka_unit_test(long_words),   cmocka_unit_test(refusals),
                                       cmocka_unit_test(damaged),      cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests_name("core/tasks/tokenizer_bpe", tests, NULL, NULL);
}
