/* test_base64.c -- RFC 4648's test vectors, the other alphabet, what is no base64, and random bytes there and back. */
#include "server/api/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void vectors(void **unused)
{
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    char text[20];
    unsigned char bytes[20];
    size_t n;
    (void)unused;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *plain = pairs[i][0], *coded = pairs[i][1];
        assert_int_equal(base64_bytes(strlen(plain)), strlen(coded));
        assert_int_equal(base64_write((const unsigned char *)plain, strlen(plain), text), strlen(coded));
        assert_memory_equal(text, coded, strlen(coded));
        assert_true(base64_read(coded, strlen(coded), bytes, &n));
        assert_int_equal(n, strlen(plain));
        assert_memory_equal(bytes, plain, n);
    }
}

static void the_other_alphabet_and_no_padding(void **unused)
{
    unsigned char a[4], b[4];
    size_t n;
    (void)unused;
    assert_true(base64_read("+/+/", 4, a, &n));
    assert_true(base64_read("-_-_", 4, b, &n));
    assert_int_equal(n, 3);
    assert_memory_equal(a, b, 3);
    assert_true(base64_read("Zg", 2, a, &n));
    assert_int_equal(n, 1);
    assert_int_equal(a[0], 'f');
}

static void what_is_no_base64(void **unused)
{
    static const char *const texts[] = {"Z", "Zm9vY", "Zm 9", "Zm9v\n", "Zg==Zg==", "Zm9*", "\x80mmm"};
    unsigned char out[20];
    size_t n;
    (void)unused;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (base64_read(texts[i], strlen(texts[i]), out, &n)) fail_msg("'%s' is taken", texts[i]);
}

static void there_and_back(void **unused)
{
    unsigned char bytes[100], again[103];
    char text[200];
    uint32_t noise = 7;
    size_t back;
    (void)unused;
    for (size_t n = 0; n <= sizeof bytes; n++) {
        for (size_t i = 0; i < n; i++) bytes[i] = (unsigned char)((noise = noise * 1664525u + 1013904223u) >> 24);
        assert_true(base64_read(text, base64_write(bytes, n, text), again, &back));
        assert_int_equal(back, n);
        assert_memory_equal(again, bytes, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(the_other_alphabet_and_no_padding),
        cmocka_unit_test(what_is_no_base64),
        cmocka_unit_test(there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
