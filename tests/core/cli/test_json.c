/* test_json.c -- nested lists as JSON: read, written, refused; the members of an object. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/cli/array.h"
#include "core/cli/cli.h"
#include "core/cli/json.h"

static void lists(void **unused)
{
    (void)unused;
    struct array a;
    static const char text[] = " [ [1, 2.5e0,-3], [true , false, null] ]\n";
    assert_int_equal(json_read_array(text, sizeof text - 1, &a, NULL), RNND_OK);
    assert_true(a.rank == 2 && a.dim[0] == 2 && a.dim[1] == 3);
    assert_true(a.data[0] == 1 && a.data[1] == 2.5f && a.data[2] == -3 && a.data[3] == 1 && a.data[4] == 0);
    assert_true(isnan(a.data[5]));
    array_free(&a);
    assert_int_equal(json_read_array("7", 1, &a, NULL), RNND_OK);
    assert_true(a.rank == 0 && a.data[0] == 7);
    array_free(&a);
    assert_int_equal(json_read_array("[[],[]]", 7, &a, NULL), RNND_OK);
    assert_true(a.rank == 2 && a.dim[0] == 2 && a.dim[1] == 0);
    array_free(&a);
}

static void refusals(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {"", "[", "[1", "[1,]", "[1,2", "[[1,2],[3]]", "[[1],2]", "[1,[2]]", "[1]x",
                                        "{}", "[\"a\"]", "[1e99]", "[nan]", "[[[[[[[[[1]]]]]]]]]", "[[],[1]]",
                                        "[1 2]", "[-]"};
    struct array a;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        rnnd_error err = {0};
        if (json_read_array(wrong[i], strlen(wrong[i]), &a, &err) != RNND_INVALID)
            fail_msg("read: %s", wrong[i]);
        assert_null(a.data);
        assert_true(strlen(err.message) > 20);
    }
    char deep[4096];
    memset(deep, '[', sizeof deep);
    assert_int_equal(json_read_array(deep, sizeof deep, &a, NULL), RNND_INVALID);
}

/* Any cut and any changed byte stays inside its bounds (under ASan: the copy has the exact size). */
static void damaged(void **unused)
{
    (void)unused;
    static const char text[] = "[[1.5, -2e3], [true, null], [0, 7]]";
    size_t n = sizeof text - 1;
    struct array a;
    for (size_t cut = 0; cut < n; cut++) {
        char *copy = malloc(cut ? cut : 1);
        memcpy(copy, text, cut);
        assert_int_not_equal(json_read_array(copy, cut, &a, NULL), RNND_OK);
        free(copy);
    }
    for (size_t at = 0; at < n; at++)
        for (int value = 0; value < 256; value++) {
            char *copy = malloc(n);
            memcpy(copy, text, n);
            copy[at] = (char)value;
            if (json_read_array(copy, n, &a, NULL) == RNND_OK)
                array_free(&a);
            struct json_text t = {copy, copy + n};
            json_skip(&t);
            free(copy);
        }
}

static void round_trip(void **unused)
{
    (void)unused;
    char path[] = "/tmp/rnnd-json-XXXXXX.json";
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    close(fd);
    for (size_t rank = 0; rank <= 3; rank++) {
        float numbers[12];
        struct array a = {.rank = rank, .dim = {rank == 1 ? 12 : 2, rank == 2 ? 6 : 3, 2}, .data = numbers}, b;
        for (int i = 0; i < 12; i++)
            numbers[i] = (float)i / 7;
        assert_int_equal(array_save(path, &a, NULL), RNND_OK);
        assert_int_equal(array_load(path, &b, NULL), RNND_OK);
        assert_int_equal(b.rank, rank);
        assert_memory_equal(a.dim, b.dim, rank * sizeof *a.dim);
        assert_memory_equal(b.data, numbers, (rank ? 12 : 1) * sizeof *numbers);
        array_free(&b);
    }
    unlink(path);
}

static void members(void **unused)
{
    (void)unused;
    static const char text[] = "{ \"a\" : [1, {\"b\": \"}\"}], \"b\\\"\": 2, \"c\":\"x\" }";
    struct json_text whole = {text, text + sizeof text - 1};
    struct json_text v = json_find(whole, "a");
    assert_true(v.at && (size_t)(v.end - v.at) == strlen("[1, {\"b\": \"}\"}]"));
    v = json_find(whole, "c");
    assert_true(v.at && strncmp(v.at, "\"x\"", 3) == 0);
    assert_null(json_find(whole, "b").at);
    assert_null(json_find((struct json_text){text + 1, text + 9}, "a").at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists), cmocka_unit_test(refusals), cmocka_unit_test(damaged),
                                       cmocka_unit_test(round_trip), cmocka_unit_test(members)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
