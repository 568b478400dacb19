/* test_json.c -- JSON from strangers: what is refused, what is read, and that keys sort. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/formats/json.h"

static rnnd_code parse(const char *text, struct json **j, rnnd_error *err)
{
    return json_parse(text, strlen(text), "test", j, err);
}

static void good_documents(void **unused)
{
    (void)unused;
    static const char *const good[] = {
        "{}",
        " [ ] ",
        "0",
        "-0.5e+10",
        "1E5",
        "\"\"",
        "true",
        "null",
        "[1,[2,{\"a\":[]}],\"x\"]",
        "{\"a\":{\"b\":1},\"c\":[true,false,null]}",
        "\"\\u0041\\n\\\"\\\\\\/\"",
        "\"\\ud83d\\ude00\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "\t{\r\n\"a\" : 1 , \"b\" : 2 }\n",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct json *j;
        rnnd_error err = {0};
        if (parse(good[i], &j, &err)) fail_msg("%s: %s", good[i], err.message);
        json_free(j);
    }
}

static void bad_documents(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "1e+",
        "0x10",
        "NaN",
        "Infinity",
        "tru",
        "nul",
        "True",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"a\nb\"",
        "\"\x01\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"",
        "1 2",
        "{} {}",
        "[1}",
        "{\"a\":1]",
        "[]]",
        "// x\n1",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "[{\"x\":{\"k\":1,\"j\":2,\"k\":3}}]",
        "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json *j;
        rnnd_error err = {0};
        if (parse(bad[i], &j, &err) != RNND_CORRUPT) fail_msg("number %zu, %s: %d", i, bad[i], err.code);
        assert_null(j);
        assert_non_null(strstr(err.message, "test"));
    }
}

static void depth_and_size(void **unused)
{
    (void)unused;
    struct json *j;
    rnnd_error err;
    char text[3 * JSON_MAX_DEPTH] = "";
    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    assert_int_equal(parse(text, &j, &err), RNND_OK);
    json_free(j);
    memset(text, '[', JSON_MAX_DEPTH + 1);
    memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
    assert_int_equal(parse(text, &j, &err), RNND_CORRUPT);
    assert_int_equal(json_parse(text, JSON_MAX_BYTES + 1, "test", &j, &err), RNND_TOO_LARGE);
}

/* Every beginning of a document ends where memory ends: nothing is read behind it. */
static void cut_at_a_guard_page(void **unused)
{
    (void)unused;
    static const char text[] = "{\"a\":[1,-2.5e-3,\"x\\u00e9\xc3\xa9\\n\",true,null],\"b\":{\"c\":{}}}";
    size_t page = 4096, n = sizeof text - 1;
    char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
    for (size_t k = 0; k <= n; k++) {
        struct json *j;
        rnnd_error err;
        memcpy(map + page - k, text, k);
        assert_int_equal(json_parse(map + page - k, k, "test", &j, &err), k == n ? RNND_OK : RNND_CORRUPT);
        json_free(j);
    }
    munmap(map, 2 * page);
}

static void reading(void **unused)
{
    (void)unused;
    struct json *j;
    int64_t v;
    rnnd_error err;
    assert_int_equal(parse("{\"b\":[1,2.5,1e300],\"a\":\"x\",\"B\":true}", &j, &err), RNND_OK);
    assert_string_equal(json_string(json_get(j, "a")), "x");
    assert_null(json_get(j, "A"));
    assert_true(json_true(json_get(j, "B")));
    const struct json *e = json_first(json_get(j, "b"));
    assert_int_equal(json_count(json_get(j, "b")), 3);
    assert_true(json_whole(e, 0, 5, &v) && v == 1);
    assert_false(json_whole(e, 2, 5, &v));
    assert_false(json_whole(json_next(e), 0, 5, &v));
    assert_false(json_whole(json_next(json_next(e)), 0, INT64_MAX, &v));
    assert_false(json_whole(NULL, 0, 5, &v));
    char *text = json_print(j, true);
    assert_string_equal(text, "{\"B\":true,\"a\":\"x\",\"b\":[1,2.5,1e+300]}");
    mem_free(text);
    json_free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_documents),      cmocka_unit_test(bad_documents), cmocka_unit_test(depth_and_size),
        cmocka_unit_test(cut_at_a_guard_page), cmocka_unit_test(reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
