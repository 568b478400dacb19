/* test_bytes.c -- the bounded reader against a page that must not be touched. */
#include "core/base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* `size` bytes that end right before a guard page. */
static uint8_t *guarded(size_t size, void **base)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    assert_int_equal(mprotect(p + page, page, PROT_NONE), 0);
    *base = p;
    return p + page - size;
}

static void every_width_at_every_distance_from_the_end(void **unused)
{
    (void)unused;
    void *base;
    uint8_t *data = guarded(16, &base);
    for (size_t i = 0; i < 16; i++) data[i] = (uint8_t)(0x11 * i + 1);
    for (size_t at = 0; at <= 16; at++) {
        struct bytes b = bytes_of(data, 16);
        assert_true(bytes_seek(&b, at));
        assert_int_equal(bytes_left(&b), 16 - at);
        uint8_t v8;
        uint16_t v16;
        uint32_t v32;
        uint64_t v64, want;
        struct bytes saved = b;
#define TRY(type, value, call)                                                                                        \
    do {                                                                                                              \
        b = saved;                                                                                                    \
        bool fits = at + sizeof(type) <= 16;                                                                          \
        assert_int_equal(call(&b, &value), fits);                                                                     \
        assert_int_equal(b.at, fits ? at + sizeof(type) : at);                                                        \
        want = 0;                                                                                                     \
        for (size_t i = 0; fits && i < sizeof(type); i++) want |= (uint64_t)data[at + i] << 8 * i;                    \
        if (fits) assert_true(value == want);                                                                         \
    } while (0)
        TRY(uint8_t, v8, bytes_u8);
        TRY(uint16_t, v16, bytes_u16);
        TRY(uint32_t, v32, bytes_u32);
        TRY(uint64_t, v64, bytes_u64);
    }
    munmap(base, 2 * (size_t)sysconf(_SC_PAGESIZE));
}

static void huge_numbers_do_not_wrap(void **unused)
{
    (void)unused;
    uint8_t data[8] = {0};
    const uint8_t *p;
    struct bytes b = bytes_of(data, 8), part;
    assert_true(bytes_seek(&b, 4));
    assert_false(bytes_take(&b, SIZE_MAX, &p));
    assert_false(bytes_take(&b, SIZE_MAX - 3, &p));
    assert_false(bytes_seek(&b, 9));
    assert_false(bytes_seek(&b, SIZE_MAX));
    assert_int_equal(b.at, 4);
    assert_false(bytes_slice(&b, 4, SIZE_MAX - 3, &part));
    assert_false(bytes_slice(&b, SIZE_MAX, 2, &part));
    assert_false(bytes_slice(&b, 8, 1, &part));
    assert_true(bytes_slice(&b, 8, 0, &part));
    assert_int_equal(bytes_left(&part), 0);
    assert_true(bytes_slice(&b, 2, 6, &part));
    assert_ptr_equal(part.data, data + 2);
    assert_true(bytes_take(&part, 6, &p));
    assert_ptr_equal(p, data + 2);
}

static void nothing_is_a_span_too(void **unused)
{
    (void)unused;
    struct bytes b = bytes_of(NULL, 0), part;
    const uint8_t *p;
    uint8_t v;
    assert_int_equal(bytes_left(&b), 0);
    assert_false(bytes_u8(&b, &v));
    assert_true(bytes_take(&b, 0, &p));
    assert_true(bytes_slice(&b, 0, 0, &part));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_at_every_distance_from_the_end),
        cmocka_unit_test(huge_numbers_do_not_wrap),
        cmocka_unit_test(nothing_is_a_span_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
