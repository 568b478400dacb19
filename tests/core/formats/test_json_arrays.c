/* test_json_arrays.c -- arrays of numbers out of JSON: which are taken, what is left, lies and damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/formats/json_arrays.h"

static uint64_t seed;
static char *map;
static const size_t span = 1 << 16;

/* At the end of readable memory: nothing behind the text may be looked at. */
static rnnd_code read_text(const char *text, size_t bytes, struct json_arrays *a, rnnd_error *err)
{
    char *p = map + span - bytes;
    memmove(p, text, bytes);
    memset(err, 0, sizeof *err);
    return json_arrays_read(p, bytes, "the text", a, err);
}

static void what_is_taken(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *rest;
        size_t arrays;
    } cases[] = {
        {"{\"a\":[1,2,3]}", "{\"a\":[0]}", 1},
        {" { \"a\" : [ 1 , 2 ] , \"b\" : [ [ 1 ] , [ 2 ] ] } ", "{\"a\":[0],\"b\":[1]}", 2},
        {"[[1,2],[3]]", "[[0],[1]]", 2},
        {"[[[1,2],[3,4]],[5,6]]", "[[0],[1]]", 2},
        {"[1,[2]]", "[1,[0]]", 1},
        {"[[1],2]", "[[0],2]", 1},
        {"[null,null,8]", "[null,null,8]", 0},
        {"[]", "[]", 0},
        {"[[],[]]", "[[],[]]", 0},
        {"[\"]\",\"[1]\\\"[\",[0]]", "[\"]\",\"[1]\\\"[\",[0]]", 1},
        {"7", "7", 0},
        {"[[[[[[[[[1]]]]]]]]]", "[[0]]", 1},
        {"[[[[[[[[1]]]]]]]]", "[0]", 1},
        {"{\"w\":[[1,2],[3,\"x\"]]}", "{\"w\":[[0],[3,\"x\"]]}", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_arrays a;
        rnnd_error err;
        if (read_text(cases[i].text, strlen(cases[i].text), &a, &err)) fail_msg("%s: %s", cases[i].text, err.message);
        char *rest = json_print(a.root, false);
        assert_string_equal(rest, cases[i].rest);
        assert_int_equal(a.count, cases[i].arrays);
        mem_free(rest);
        json_arrays_free(&a);
    }
}

static void numbers_and_shapes(void **unused)
{
    (void)unused;
    static const char text[] =
        "{\"m\":[[1,-2.5,3e2],[0.1,-0,1E-3]],\"l\":[[1,2],[[3],[4]]],\"s\":[null,8],\"t\":[3,1,4],"
        "\"x\":[0.5],\"n\":5}";
    static const float wanted[] = {1, -2.5f, 300, 0.1f, -0.0f, 1e-3f};
    struct json_arrays a;
    struct json_array got;
    rnnd_error err;
    int64_t v;
    if (read_text(text, strlen(text), &a, &err)) fail_msg("%s", err.message);
    const struct json *m = json_get(a.root, "m"), *l = json_get(a.root, "l");
    assert_true(json_arrays_get(&a, m, &got));
    assert_true(got.rank == 2 && got.dim[0] == 2 && got.dim[1] == 3 && got.count == 6);
    assert_memory_equal(a.floats + got.at, wanted, sizeof wanted);
    assert_int_equal(json_arrays_count(&a, m), 2);
    assert_true(json_arrays_item(&a, m, 1, &got));
    assert_true(got.rank == 1 && got.dim[0] == 3);
    assert_memory_equal(a.floats + got.at, wanted + 3, 12);
    assert_false(json_arrays_item(&a, m, 2, &got));
    assert_int_equal(json_arrays_count(&a, l), 2);
    assert_true(json_arrays_item(&a, l, 1, &got));
    assert_true(got.rank == 2 && got.dim[0] == 2 && got.dim[1] == 1 && a.floats[got.at + 1] == 4);
    assert_false(json_arrays_item(&a, l, 2, &got));
    assert_false(json_arrays_get(&a, l, &got));
    assert_true(json_arrays_last(&a, json_get(a.root, "s"), 1, 100, &v) && v == 8);
    assert_true(json_arrays_last(&a, json_get(a.root, "t"), 1, 100, &v) && v == 4);
    assert_false(json_arrays_last(&a, json_get(a.root, "t"), 1, 3, &v));
    assert_false(json_arrays_last(&a, json_get(a.root, "x"), 0, 3, &v));
    assert_false(json_arrays_last(&a, json_get(a.root, "n"), 0, 9, &v));
    assert_false(json_arrays_last(&a, m, 0, 9, &v));
    assert_int_equal(json_arrays_count(&a, json_get(a.root, "n")), 0);
    assert_int_equal(json_arrays_count(&a, NULL), 0);
    json_arrays_free(&a);
}

static void refusals(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        rnnd_code code;
        const char *says;
    } cases[] = {
        {"", RNND_CORRUPT, "JSON"},
        {"[1,2", RNND_CORRUPT, "JSON"},
        {"[1,]", RNND_CORRUPT, "JSON"},
        {"[1e39]", RNND_CORRUPT, "beyond single precision"},
        {"[[1],[-1e999]]", RNND_CORRUPT, "beyond single precision"},
        {"[0.000000000000000000000000000000000000000000000000000000000000001]", RNND_CORRUPT, "characters"},
        {"{\"a\":[1],\"a\":[2]}", RNND_CORRUPT, "twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_arrays a;
        rnnd_error err;
        assert_int_equal(read_text(cases[i].text, strlen(cases[i].text), &a, &err), cases[i].code);
        if (!strstr(err.message, cases[i].says)) fail_msg("%s: %s", cases[i].text, err.message);
        assert_true(!a.root && !a.floats && !a.list);
    }
}

/* Much text beside the numbers, and many arrays, cost too much. */
static void too_much(void **unused)
{
    (void)unused;
    size_t n = JSON_ARRAYS_REST + 100;
    char *text = malloc(n + 2);
    struct json_arrays a;
    rnnd_error err = {0};
    memset(text, 'x', n);
    memcpy(text, "[\"", 2);
    memcpy(text + n - 2, "\"]", 2);
    assert_int_equal(json_arrays_read(text, n, "the text", &a, &err), RNND_TOO_LARGE);
    size_t many = JSON_ARRAYS_MAX + 1; /* arrays of two numbers and of three in turn */
    char *list = malloc(many * 8 + 8), *p = list;
    *p++ = '[';
    for (size_t i = 0; i < many; i++)
        p += snprintf(p, 9, "%s%s", i ? "," : "", i % 2 ? "[1]" : "[1,1]");
    *p++ = ']';
    assert_int_equal(json_arrays_read(list, (size_t)(p - list), "the text", &a, &err), RNND_TOO_LARGE);
    free(list);
    free(text);
}

static void damaged(void **unused)
{
    (void)unused;
    static const char text[] =
        "{\"layers\":[{\"w\":[[[1,2.5],[3,-4e1]],[5,6]],\"s\":[null,2]},{\"w\":[]}],\"k\":\"[1]\"}";
    static const char signs[] = "[]{},:\"0123456789-.eE\\n ulx";
    char copy[sizeof text];
    struct rng rng;
    rng_seed(&rng, seed, 1);
    for (size_t n = 0; n < sizeof text - 1; n++) { /* cut anywhere */
        struct json_arrays a;
        rnnd_error err;
        assert_int_equal(read_text(text, n, &a, &err), RNND_CORRUPT);
    }
    for (int round = 0; round < 20000; round++) {
        struct json_arrays a;
        rnnd_error err;
        memcpy(copy, text, sizeof text);
        for (uint32_t k = 1 + rng_u32(&rng) % 4; k > 0; k--)
            copy[rng_u32(&rng) % (sizeof text - 1)] = signs[rng_u32(&rng) % (sizeof signs - 1)];
        if (read_text(copy, sizeof text - 1, &a, &err)) continue;
        for (size_t i = 0; i < a.count; i++) {
            size_t count = 1;
            for (int d = 0; d < a.list[i].rank; d++)
                count *= a.list[i].dim[d];
            if (count != a.list[i].count) fail_msg("%s", copy);
        }
        json_arrays_free(&a);
    }
}

static void no_memory(void **unused)
{
    (void)unused;
    for (size_t n = 1;; n++) {
        struct json_arrays a;
        rnnd_error err;
        mem_fail_at(n);
        rnnd_code code = json_arrays_read("{\"a\":[[1],[2]],\"b\":[1,2]}", 25, "the text", &a, &err);
        mem_fail_at(0);
        if (!code) {
            json_arrays_free(&a);
            return;
        }
        assert_int_equal(code, RNND_NO_MEMORY);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_taken), cmocka_unit_test(numbers_and_shapes),
                                       cmocka_unit_test(refusals),      cmocka_unit_test(too_much),
                                       cmocka_unit_test(damaged),       cmocka_unit_test(no_memory)};
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    map = mmap(NULL, span + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED && mprotect(map + span, page, PROT_NONE) == 0);
    return cmocka_run_group_tests_name("core/formats/json_arrays", tests, NULL, NULL);
}
