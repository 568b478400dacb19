/* test_error.c -- codes, sentences, and messages that are too long or quote themselves. */
#include "core/base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has one of its own; here it is ours */

static void codes_have_names_and_statuses(void **unused)
{
    (void)unused;
    assert_string_equal(rnnd_code_name(RNND_OK), "ok");
    assert_string_equal(rnnd_code_name(RNND_NOT_FOUND), "not_found");
    assert_int_equal(rnnd_code_http_status(RNND_NOT_FOUND), 404);
    assert_int_equal(rnnd_code_http_status(RNND_BUSY), 503);
    assert_string_equal(rnnd_code_name((rnnd_code)999), "internal");
    assert_int_equal(rnnd_code_http_status((rnnd_code)-1), 500);
    assert_string_equal(rnnd_version(), RNND_VERSION);
}

static void fail_fills_and_returns(void **unused)
{
    (void)unused;
    rnnd_error err;
    memset(&err, 0x55, sizeof err);
    assert_int_equal(fail(&err, RNND_MISMATCH, "wanted %d values, found %d", 3, 4), RNND_MISMATCH);
    assert_int_equal(err.code, RNND_MISMATCH);
    assert_string_equal(err.message, "wanted 3 values, found 4");
    assert_string_equal(err.param, "");
    assert_int_equal(fail_at(&err, RNND_INVALID, "inputs[0]", "is not a number"), RNND_INVALID);
    assert_string_equal(err.param, "inputs[0]");
    assert_int_equal(fail_memory(&err, 12), RNND_NO_MEMORY);
    assert_non_null(strstr(err.message, "12"));
    assert_int_equal(fail(NULL, RNND_IO, "nobody %s", "listens"), RNND_IO);
}

static void fail_may_quote_its_own_message(void **unused)
{
    (void)unused;
    rnnd_error err;
    fail_at(&err, RNND_CORRUPT, "weight", "is cut off");
    fail_at(&err, err.code, err.param, "layer 3: %s", err.message);
    assert_string_equal(err.message, "layer 3: is cut off");
    assert_string_equal(err.param, "weight");
}

static void long_text_is_cut_between_characters(void **unused)
{
    (void)unused;
    rnnd_error err;
    char text[1201];
    for (int shift = 0; shift < 3; shift++) { /* 3-byte characters at every phase */
        memset(text, 'x', sizeof text);
        for (size_t i = (size_t)shift; i + 3 < sizeof text; i += 3) memcpy(text + i, "\xE2\x82\xAC", 3);
        text[1200] = '\0';
        fail_at(&err, RNND_INVALID, text, "%s", text);
        size_t n = strlen(err.message), m = strlen(err.param);
        assert_true(n >= sizeof err.message - 4 && n < sizeof err.message);
        assert_int_equal((n - (size_t)shift) % 3, 0);
        assert_true(m >= sizeof err.param - 4 && m < sizeof err.param);
        assert_int_equal((m - (size_t)shift) % 3, 0);
        assert_memory_equal(err.message, text, n);
    }
}

static void fail_in_says_where(void **unused)
{
    (void)unused;
    rnnd_error err;
    fail_at(&err, RNND_CORRUPT, "w", "it is broken");
    fail_in(&err, "a.bin");
    assert_int_equal(err.code, RNND_CORRUPT);
    assert_string_equal(err.message, "a.bin: it is broken");
    assert_string_equal(err.param, "w");
    fail_in(NULL, "a.bin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_names_and_statuses),
        cmocka_unit_test(fail_fills_and_returns),
        cmocka_unit_test(fail_may_quote_its_own_message),
        cmocka_unit_test(fail_in_says_where),
        cmocka_unit_test(long_text_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
