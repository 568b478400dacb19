/* test_tokenizer.c -- round trips and refusals of bytes and chars. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/tasks/tokenizer.h"

static struct tokenizer *open_or_null(struct arena *a, const struct text_config *c, rnnd_error *err, rnnd_code *code)
{
    struct tokenizer *t;
    arena_init(a, 1 << 26);
    *code = tokenizer_open(c, a, &t, err);
    return t;
}

static void bytes_round_trip(void **state)
{
    (void)state;
    struct arena a;
    rnnd_code code;
    struct tokenizer *t = open_or_null(&a, &(struct text_config){.tokenizer = "bytes", .unknown = -1}, NULL, &code);
    assert_int_equal(code, RNND_OK);
    assert_int_equal(t->vocabulary, 256);
    char text[256];
    int32_t ids[256];
    size_t n;
    for (int i = 0; i < 256; i++)
        text[i] = (char)(255 - i);
    assert_int_equal(t->kind->encode(t, text, 256, ids, 256, &n, NULL), RNND_OK);
    assert_int_equal(n, 256);
    for (int i = 0; i < 256; i++) {
        size_t length;
        const char *b = t->kind->decode(t, ids[i], &length);
        assert_int_equal(length, 1);
        assert_int_equal(ids[i], 255 - i);
        assert_int_equal(b[0], text[i]);
    }
    ids[2] = -7;
    assert_int_equal(t->kind->encode(t, text, 256, ids, 2, &n, NULL), RNND_OK); /* counts all, writes cap */
    assert_int_equal(n, 256);
    assert_int_equal(ids[2], -7);
    arena_free(&a);
}

static const char *symbols[] = {"\n", " ", "a", "b", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "<unk>"};
#define SYMBOLS (sizeof symbols / sizeof symbols[0])

static void chars_round_trip(void **state)
{
    (void)state;
    struct arena a;
    rnnd_code code;
    rnnd_error err = {0};
    struct text_config c = {.tokenizer = "chars", .symbols = symbols, .symbol_count = SYMBOLS, .unknown = -1};
    struct tokenizer *t = open_or_null(&a, &c, &err, &code);
    assert_int_equal(code, RNND_OK);
    assert_int_equal(t->vocabulary, SYMBOLS);
    assert_int_equal(t->longest, 5);
    const char *text = "b a\xC3\xA9\n\xE2\x82\xAC\xF0\x9F\x98\x80";
    static const int32_t wanted[] = {3, 1, 2, 4, 0, 5, 6};
    int32_t ids[16];
    size_t n, at = 0;
    assert_int_equal(t->kind->encode(t, text, strlen(text), ids, 16, &n, &err), RNND_OK);
    assert_int_equal(n, 7);
    assert_memory_equal(ids, wanted, sizeof wanted);
    for (size_t i = 0; i < n; i++) {
        size_t length;
        const char *b = t->kind->decode(t, ids[i], &length);
        assert_memory_equal(b, text + at, length);
        at += length;
    }
    assert_int_equal(at, strlen(text));
    assert_int_equal(t->kind->encode(t, "", 0, ids, 16, &n, &err), RNND_OK);
    assert_int_equal(n, 0);
    arena_free(&a);
}

static void chars_name_what_they_refuse(void **state)
{
    (void)state;
    struct arena a;
    rnnd_code code;
    rnnd_error err = {0};
    struct text_config c = {.tokenizer = "chars", .symbols = symbols, .symbol_count = SYMBOLS, .unknown = -1};
    struct tokenizer *t = open_or_null(&a, &c, &err, &code);
    int32_t ids[16];
    size_t n;
    assert_int_equal(t->kind->encode(t, "a\xC3\xA9\xC3\xBC", 5, ids, 16, &n, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "'\xC3\xBC' U+00FC"));
    assert_non_null(strstr(err.message, "position 2"));
    assert_non_null(strstr(err.message, "byte 3"));
    assert_int_equal(t->kind->encode(t, "a\x01", 2, ids, 16, &n, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "U+0001 at position 1"));
    assert_null(strchr(err.message, 1));
    assert_int_equal(t->kind->encode(t, "ab\xC3", 3, ids, 16, &n, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "0xC3 at offset 2"));
    assert_int_equal(t->kind->encode(t, "<unk>", 5, ids, 16, &n, &err), RNND_MISMATCH); /* cannot be typed */
    arena_free(&a);

    c.unknown = 7;
    t = open_or_null(&a, &c, &err, &code);
    assert_int_equal(code, RNND_OK);
    assert_int_equal(t->kind->encode(t, "a\xC3\xBCz\xFF", 5, ids, 16, &n, &err), RNND_OK);
    assert_int_equal(n, 4);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[1] + ids[2] + ids[3], 21);
    arena_free(&a);
}

static void refuse_table(const char **table, size_t n, int32_t unknown, rnnd_code wanted, const char *word)
{
    struct arena a;
    rnnd_code code;
    rnnd_error err = {0};
    struct text_config c = {.tokenizer = "chars", .symbols = table, .symbol_count = n, .unknown = unknown};
    assert_null(open_or_null(&a, &c, &err, &code));
    assert_int_equal(code, wanted);
    assert_non_null(strstr(err.message, word));
    arena_free(&a);
}

static void bad_tables_are_refused(void **state)
{
    (void)state;
    refuse_table(NULL, 0, -1, RNND_CORRUPT, "it has 0");
    refuse_table((const char *[]){"a", ""}, 2, -1, RNND_CORRUPT, "symbol 1 of the vocabulary is empty");
    refuse_table((const char *[]){"a", "b", "a"}, 3, -1, RNND_CORRUPT,
                 "symbols 0 and 2 of the vocabulary are both U+0061");
    refuse_table((const char *[]){"a", "x\xFF"}, 2, -1, RNND_CORRUPT, "not UTF-8 at byte 1");
    refuse_table((const char *[]){"a", "b"}, 2, 2, RNND_CORRUPT, "unknown symbol is 2");
    struct arena a;
    rnnd_code code;
    rnnd_error err = {0};
    assert_null(open_or_null(&a, &(struct text_config){.tokenizer = "wordpiece"}, &err, &code));
    assert_int_equal(code, RNND_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'wordpiece'"));
    arena_free(&a);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    struct text_config c = {.tokenizer = "chars", .symbols = symbols, .symbol_count = SYMBOLS, .unknown = -1};
    for (size_t n = 1; n < 100; n++) {
        struct arena a;
        rnnd_code code;
        mem_fail_at(n);
        struct tokenizer *t = open_or_null(&a, &c, NULL, &code);
        size_t made = mem_fail_at(0);
        assert_true(made < n ? code == RNND_OK && t : code == RNND_NO_MEMORY && !t);
        arena_free(&a);
        if (made < n)
            return;
    }
    fail_msg("still failing after 100 allocations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_round_trip),           cmocka_unit_test(chars_round_trip),
        cmocka_unit_test(chars_name_what_they_refuse), cmocka_unit_test(bad_tables_are_refused),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
