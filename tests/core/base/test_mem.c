/* test_mem.c -- sizes that overflow, the failure hook, alignment, arenas. */
#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool all_zero(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const unsigned char *)p)[i]) return false;
    return true;
}

static void sizes_do_not_wrap(void **unused)
{
    (void)unused;
    size_t out;
    assert_true(size_mul(SIZE_MAX / 3, 3, &out));
    assert_int_equal(out, SIZE_MAX / 3 * 3);
    assert_false(size_mul(SIZE_MAX / 3 + 1, 3, &out));
    assert_true(size_mul(0, SIZE_MAX, &out));
    assert_int_equal(out, 0);
    assert_true(size_add(SIZE_MAX - 1, 1, &out));
    assert_false(size_add(SIZE_MAX, 1, &out));
    assert_null(mem_alloc(SIZE_MAX / 2, 3));
    assert_null(mem_aligned(SIZE_MAX));
    assert_null(mem_aligned(SIZE_MAX - 63));
}

static void memory_is_zeroed_and_aligned(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, (2 << 20) - 1, 2 << 20, (5 << 20) + 3};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *p = mem_aligned(sizes[i]), *q = mem_alloc(sizes[i], 1);
        assert_non_null(p);
        assert_non_null(q);
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_true(all_zero(p, sizes[i]) && all_zero(q, sizes[i]));
        memset(p, 1, sizes[i]);
        mem_free(p);
        mem_free(q);
    }
    char *s = mem_copy_string("abc");
    assert_string_equal(s, "abc");
    s = mem_resize(s, 10000);
    assert_string_equal(s, "abc");
    mem_free(s);
    mem_free(NULL);
}

static void the_nth_allocation_fails_once(void **unused)
{
    (void)unused;
    for (size_t n = 0; n < 6; n++) {
        mem_fail_at(n);
        void *p[5];
        p[0] = mem_alloc(1, 1);
        p[1] = mem_aligned(1);
        p[2] = mem_resize(NULL, 1);
        p[3] = mem_copy_string("x");
        p[4] = mem_alloc(1, 1);
        for (size_t i = 0; i < 5; i++) {
            if (i + 1 == n)
                assert_null(p[i]);
            else
                assert_non_null(p[i]);
            mem_free(p[i]);
        }
        assert_int_equal(mem_fail_at(0), 5);
    }
    char *kept = mem_copy_string("kept");
    mem_fail_at(1);
    assert_null(mem_resize(kept, 100));
    mem_fail_at(0);
    assert_string_equal(kept, "kept");
    mem_free(kept);
}

static void arena_gives_small_and_large(void **unused)
{
    (void)unused;
    struct arena a;
    arena_init(&a, 1 << 20);
    unsigned char *p[300];
    for (size_t i = 0; i < 300; i++) {
        size_t n = i % 50 == 49 ? 9000 : i;
        p[i] = arena_alloc(&a, n, 1);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        assert_true(all_zero(p[i], n));
        memset(p[i], (int)(i & 0xFF), n);
    }
    for (size_t i = 0; i < 300; i++) /* nobody wrote into a neighbour */
        for (size_t k = 0; k < (i % 50 == 49 ? 9000 : i); k++) assert_int_equal(p[i][k], i & 0xFF);
    assert_string_equal(arena_string(&a, "hello", 4), "hell");
    assert_string_equal(arena_string(&a, NULL, 0), "");
    assert_null(arena_alloc(&a, SIZE_MAX, 1));
    assert_null(arena_alloc(&a, SIZE_MAX / 2, 4));
    assert_null(arena_string(&a, "", SIZE_MAX));
    arena_free(&a);
    arena_free(&a);
}

static void arena_keeps_its_limit_and_fails_clean(void **unused)
{
    (void)unused;
    struct arena a;
    arena_init(&a, 1000);
    assert_non_null(arena_alloc(&a, 100, 5));
    assert_null(arena_alloc(&a, 100, 6));
    assert_non_null(arena_alloc(&a, 480, 1));
    assert_null(arena_alloc(&a, 1, 1));
    arena_free(&a);
    arena_init(&a, SIZE_MAX);
    mem_fail_at(1);
    assert_null(arena_alloc(&a, 8, 1));
    mem_fail_at(0);
    assert_non_null(arena_alloc(&a, 8, 1));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(arena_gives_small_and_large),
        cmocka_unit_test(arena_keeps_its_limit_and_fails_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
