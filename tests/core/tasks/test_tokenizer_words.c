/* test_tokenizer_words.c -- Keras' words (tests/vectors/make_tokenizers.py), vocabularies from files of any form. */
#include <time.h>

#include "tests/core/tasks/tokenizer_cases.h"

static uint64_t seed;

static void as_keras(void **unused)
{
    (void)unused;
    static const char *const names[] = {"words", "words_oov", "words_twice"};
    for (size_t i = 0; i < 3; i++) {
        struct arena a;
        struct text_config c;
        struct tokenizer *t;
        rnnd_error err;
        char file[64];
        arena_init(&a, (size_t)64 << 20);
        snprintf(file, sizeof file, "%s.json", names[i]);
        if (cases_open_file("words", file, &a, &c, &t, &err)) fail_msg("%s", err.message);
        cases_run(t, names[i], false);
        assert_true(t->never && t->never[0] && !t->never[1]); /* 0 is padding */
        arena_free(&a);
    }
}

static void put_out(void **unused)
{
    (void)unused;
    struct arena a;
    struct text_config c;
    struct tokenizer *t;
    rnnd_error err;
    size_t n, count;
    int32_t ids[8];
    static const char map[] = "{\"the\":1,\"fox\":2,\"<oov>\":3}";
    arena_init(&a, 1 << 20);
    if (cases_open("words", map, strlen(map), ",\"unknown\":\"<oov>\"", &a, &c, &t, &err)) fail_msg("%s", err.message);
    assert_int_equal(t->vocabulary, 4);
    assert_string_equal(t->kind->decode(t, 2, &n), " fox");
    assert_int_equal(n, 4);
    assert_string_equal(t->kind->decode(t, 0, &n), "");
    assert_int_equal(n, 0);
    assert_int_equal(t->kind->encode(t, "The Cat, the", 12, ids, 8, &count, &err), RNND_OK);
    assert_true(count == 3 && ids[0] == 1 && ids[1] == 3 && ids[2] == 1);
    assert_int_equal(t->kind->encode(t, "The Cat, the", 12, ids, 1, &count, &err), RNND_OK); /* count goes on */
    assert_int_equal(count, 3);
    assert_int_equal(t->kind->encode(t, "a\xFF", 2, ids, 8, &count, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "0xFF at offset 1"));
    arena_free(&a);
}

/* The forms of vocabularies, seen through chars and words. */
static void forms(void **unused)
{
    (void)unused;
    static const struct {
        const char *kind, *vocabulary, *more, *text;
        int count, ids[3];
    } cases[] = {
        {"chars", "[\"a\",\"b\",null,\"c\"]", "", "cab", 3, {3, 0, 1}},
        {"chars",
         "{\"a\":1,\"b\":2,\"\\u00fc\":3}",
         "",
         "\xC3\xBC"
         "b",
         2,
         {3, 2}},
        {"chars", "{\"0\":\"a\",\"1\":\"b\"}", "", "ba", 2, {1, 0}},
        {"chars", "{\"a\":1,\"b\":2}", ",\"unknown\":0", "xb", 2, {0, 2}},
        {"chars", "{\"word_index\":{\"a\":1,\"b\":2},\"char_level\":true,\"lower\":true}", "", "Ab", 2, {1, 2}},
        {"words", "{\"word_index\":1,\"config\":2,\"model\":3}", "", "model config", 2, {3, 2}},
        {"words", "{\"A\":1,\"b\":2}", ",\"lower\":false", "a A b", 2, {1, 2}},
        {"words", "{\"a\":1,\"b\":2}", ",\"num_words\":2", "a b", 1, {1}},
        {"words", "{\"a,\":1,\"b\":2}", ",\"filters\":\"\"", "a, b", 2, {1, 2}},
        {"words",
         "{\"a b\":1,\"c\":2}",
         ",\"filters\":\"\xE2\x80\x94\",\"split\":\"|\"",
         "a b\xE2\x80\x94"
         "c",
         2,
         {1, 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a;
        struct text_config c;
        struct tokenizer *t;
        rnnd_error err;
        int32_t ids[8];
        size_t count;
        arena_init(&a, 1 << 20);
        if (cases_open(cases[i].kind, cases[i].vocabulary, strlen(cases[i].vocabulary), cases[i].more, &a, &c, &t,
                       &err) ||
            t->kind->encode(t, cases[i].text, strlen(cases[i].text), ids, 8, &count, &err))
            fail_msg("%s: %s", cases[i].vocabulary, err.message);
        assert_int_equal(count, cases[i].count);
        for (size_t k = 0; k < count; k++)
            if (ids[k] != cases[i].ids[k]) fail_msg("%s: id %zu is %d", cases[i].vocabulary, k, (int)ids[k]);
        arena_free(&a);
    }
}

static void refusals(void **unused)
{
    (void)unused;
    static const struct {
        const char *kind, *vocabulary, *more, *says;
    } cases[] = {
        {"words", NULL, "", "needs a \"vocabulary\" or \"symbols\""},
        {"bytes", "[\"a\"]", "", "has no \"vocabulary\""},
        {"words", "[\"a\"]", ",\"symbols\":[\"a\"]", "what has \"symbols\" has no \"vocabulary\""},
        {"words", "[]", "", "1 to 1048576 tokens, found 0"},
        {"words", "{}", "", "wanted tokens, found none"},
        {"words", "5", "", "a list or an object"},
        {"words", "[\"a\",5]", "", "number 1 is a number"},
        {"words", "{\"a\":-1}", "", "ids below"},
        {"words", "{\"a\":1048576}", "", "ids below"},
        {"words", "{\"a\":1.5}", "", "ids below"},
        {"words", "{\"a\":1,\"b\":1}", "", "have the same id 1"},
        {"words", "{\"0\":\"a\",\"x\":\"b\"}", "", "first entry"},
        {"words", "{\"0\":\"a\",\"01\":\"b\"}", "", "first entry"},
        {"words", "[\"a\",\"a\"]", "", "tokens 0 and 1 of the vocabulary are both \"a\""},
        {"words", "{\"word_index\":\"[]\"}", "", "wanted an object"},
        {"words", "{\"word_index\":\"{\"}", "", "JSON"},
        {"words", "{\"word_index\":{\"a\":1},\"num_words\":0}", "", "num_words"},
        {"words", "{\"word_index\":{\"a\":1},\"char_level\":true}", "", "wanted the tokenizer chars"},
        {"words", "{\"a\":1}", ",\"split\":\"\"", "split at one character"},
        {"words", "{\"a\":1}", ",\"split\":\"ab\"", "split at one character"},
        {"words", "{\"a\":1}", ",\"unknown\":\"b\"", "one of the symbols"},
        {"words", "{\"a\":1}", ",\"unknown\":2", "unknown"},
        {"words", "{\"a\":1}", ",\"padding\":2", "padding"},
        {"words", "{\"a\":1}", ",\"outputs\":\"odds\"", "outputs"},
        {"words", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "", "needs another vocabulary"},
        {"bpe", "{\"a\":1}", "", "without merges"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a;
        struct text_config c;
        struct tokenizer *t;
        rnnd_error err;
        size_t n = cases[i].vocabulary ? strlen(cases[i].vocabulary) : 0;
        arena_init(&a, (size_t)64 << 20);
        if (!cases_open(cases[i].kind, cases[i].vocabulary, n, cases[i].more, &a, &c, &t, &err))
            fail_msg("%s is read", cases[i].vocabulary);
        if (!strstr(err.message, cases[i].says))
            fail_msg("%s%s: %s", cases[i].vocabulary ? cases[i].vocabulary : "", cases[i].more, err.message);
        arena_free(&a);
    }
    static const char *const names[][2] = {{"../words.json", "plain name"},
                                           {"/etc/passwd", "plain name"},
                                           {".hidden", "plain name"},
                                           {"none.json", "cannot be opened"}};
    for (size_t i = 0; i < 4; i++) {
        struct arena a;
        struct text_config c;
        struct tokenizer *t;
        rnnd_error err;
        arena_init(&a, 1 << 20);
        assert_int_not_equal(cases_open_file("words", names[i][0], &a, &c, &t, &err), RNND_OK);
        if (!strstr(err.message, names[i][1])) fail_msg("%s: %s", names[i][0], err.message);
        arena_free(&a);
    }
}

static void damaged(void **unused)
{
    (void)unused;
    cases_damage("words", "words.json", seed, 3000);
}

static void no_memory(void **unused)
{
    (void)unused;
    for (size_t n = 1;; n++) {
        struct arena a;
        struct text_config c;
        struct tokenizer *t;
        rnnd_error err;
        int32_t ids[4];
        size_t count;
        arena_init(&a, 1 << 20);
        mem_fail_at(n);
        rnnd_code code = cases_open_file("words", "words_oov.json", &a, &c, &t, &err);
        if (!code) code = t->kind->encode(t, "the fox", 7, ids, 4, &count, &err);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_keras), cmocka_unit_test(put_out),
                                       cmocka_unit_test(forms),    cmocka_unit_test(refusals),
                                       cmocka_unit_test(damaged),  cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests_name("core/tasks/tokenizer_words", tests, NULL, NULL);
}
