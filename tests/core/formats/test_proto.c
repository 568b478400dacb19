/* test_proto.c -- the wire format: every kind of value, every cut, lists packed and unpacked, keys that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "core/formats/proto.h"

static uint8_t *map;
static const size_t span = 4096;

/* The bytes at the end of readable memory. */
static struct bytes at_end(const void *data, size_t n)
{
    memcpy(map + span - n, data, n);
    return bytes_of(map + span - n, n);
}

static void values(void **unused)
{
    (void)unused;
    /* 1: varint 300; 2: "abc"; 3: float 1.5; 4: double -2; 100: varint -1 */
    static const uint8_t m[] = {0x08, 0xac, 0x02, 0x12, 3,    'a',  'b',  'c',  0x1d, 0,    0,    0xc0,
                                0x3f, 0x21, 0,    0,    0,    0,    0,    0,    0,    0xc0, 0xa0, 0x06,
                                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    struct bytes b = at_end(m, sizeof m);
    struct proto_field f;
    assert_int_equal(proto_next(&b, &f), 1);
    assert_int_equal(f.number, 1);
    assert_int_equal(f.value, 300);
    assert_int_equal(proto_next(&b, &f), 1);
    assert_int_equal(f.number, 2);
    assert_int_equal(f.span.size, 3);
    assert_memory_equal(f.span.data, "abc", 3);
    assert_int_equal(proto_next(&b, &f), 1);
    assert_true(proto_float(f.value) == 1.5f);
    assert_int_equal(proto_next(&b, &f), 1);
    assert_true(proto_double(f.value) == -2.0);
    assert_int_equal(proto_next(&b, &f), 1);
    assert_int_equal(f.number, 100);
    assert_true((int64_t)f.value == -1);
    assert_int_equal(proto_next(&b, &f), 0);

    static const size_t ends[] = {0, 3, 8, 13, 22, sizeof m}; /* where a field ends, a cut goes unseen */
    for (size_t n = 0; n < sizeof m; n++) {
        bool whole = false;
        int got;
        for (size_t k = 0; k < sizeof ends / sizeof *ends; k++)
            whole |= ends[k] == n;
        for (b = at_end(m, n); (got = proto_next(&b, &f)) == 1;)
            ;
        assert_int_equal(got, whole ? 0 : -1);
    }
}

static void no_messages(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
        {"\x00\x01", 2},                                         /* field 0 */
        {"\x0b\x0c", 2},                                         /* a group */
        {"\x0e", 1},                                             /* wire type 6 */
        {"\x12\x05\x61", 3},                                     /* longer than what is left */
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},    /* a length of 2^64 - 1 */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11},    /* 65 bits */
        {"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12} /* 11 bytes */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes b = at_end(cases[i].bytes, cases[i].n);
        struct proto_field f;
        assert_int_equal(proto_next(&b, &f), -1);
    }
}

static void check_list(const char *bytes, size_t n, enum proto_wire wire, const uint64_t *wanted, size_t count)
{
    struct bytes b = at_end(bytes, n);
    struct proto_field f;
    size_t at = 0, found;
    uint64_t v;
    while (proto_next(&b, &f) == 1) {
        size_t before = at;
        assert_true(proto_count(&f, wire, &found));
        for (struct proto_numbers list = proto_numbers(&f, wire); proto_number(&list, &v); at++) {
            assert_true(at < count);
            assert_true(v == wanted[at]);
        }
        assert_int_equal(at - before, found);
    }
    assert_int_equal(at, count);
}

static void lists(void **unused)
{
    (void)unused;
    static const uint64_t numbers[] = {1, 300, 2}, floats[] = {0x3fc00000, 0x40000000};
    check_list("\x0a\x04\x01\xac\x02\x02", 6, PROTO_VARINT, numbers, 3);
    check_list("\x08\x01\x08\xac\x02\x08\x02", 7, PROTO_VARINT, numbers, 3);
    check_list("\x08\x01\x0a\x03\xac\x02\x02", 7, PROTO_VARINT, numbers, 3); /* both in one message */
    check_list("\x0a\x00", 2, PROTO_VARINT, numbers, 0);
    check_list("\x0a\x08\x00\x00\xc0\x3f\x00\x00\x00\x40", 10, PROTO_FIXED32, floats, 2);
    check_list("\x0d\x00\x00\xc0\x3f\x0d\x00\x00\x00\x40", 10, PROTO_FIXED32, floats, 2);
    check_list("\x0a\x08\x02\x00\x00\x00\x00\x00\x00\x00", 10, PROTO_FIXED64, numbers + 2, 1);

    struct proto_field f;
    size_t n;
    struct bytes b = at_end("\x0a\x03\x01\xac\x82", 5); /* the last number is cut */
    assert_int_equal(proto_next(&b, &f), 1);
    assert_false(proto_count(&f, PROTO_VARINT, &n));
    assert_false(proto_count(&f, PROTO_FIXED32, &n)); /* 3 bytes are no floats */
    b = at_end("\x08\x01", 2);
    assert_int_equal(proto_next(&b, &f), 1);
    assert_false(proto_count(&f, PROTO_FIXED32, &n)); /* a varint is no float */
}

int main(void)
{
    map = mmap(NULL, span + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + span, 4096, PROT_NONE)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(no_messages),
        cmocka_unit_test(lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
