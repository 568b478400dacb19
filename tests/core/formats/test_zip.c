/* test_zip.c -- zip archives: as Python writes them, cut, damaged, lying. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/formats/inflate.h"
#include "core/formats/zip.h"
#include "tests/lib/hostile.h"

static const char *const names[] = {"root/data.pkl", "root/data/0", "root/data/1", "\xc3\xa9t\xc3\xa9/ name",
                                    "root/version"};
static const char *const files[] = {"stored", "deflated", "streamed", "zip64"};

/* A file of tests/vectors/zip at the end of readable memory. */
static uint8_t *file(const char *name, size_t *bytes)
{
    static uint8_t buffer[1 << 16];
    char path[256];
    snprintf(path, sizeof path, "tests/vectors/zip/%s.zip", name);
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s is not there", path);
    *bytes = fread(buffer, 1, sizeof buffer, f);
    fclose(f);
    return hostile_place(buffer, *bytes);
}

/* Opens and reads every entry; the first error, if any. Entries that are read have their CRC right. */
static rnnd_code read_all(const uint8_t *data, size_t bytes, size_t *entries, rnnd_error *err)
{
    struct arena arena;
    struct zip z;
    memset(err, 0, sizeof *err);
    arena_init(&arena, (size_t)64 << 20);
    rnnd_code code = zip_read(data, bytes, &arena, &z, err);
    *entries = z.count;
    for (size_t i = 0; i < z.count && !code; i++) {
        const uint8_t *p;
        uint8_t *owned;
        code = zip_bytes(&z.entries[i], 1 << 20, &p, &owned, err);
        if (!code && z.entries[i].bytes) assert_int_equal(inflate_crc(p, z.entries[i].bytes), z.entries[i].crc);
        mem_free(owned);
    }
    arena_free(&arena);
    return code;
}

static void as_python_writes_them(void **unused)
{
    (void)unused;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        struct arena arena;
        struct zip z;
        rnnd_error err;
        size_t bytes;
        const uint8_t *data = file(files[f], &bytes);
        arena_init(&arena, (size_t)1 << 20);
        assert_true(zip_probe(data, bytes));
        if (zip_read(data, bytes, &arena, &z, &err)) fail_msg("%s: %s", files[f], err.message);
        assert_int_equal(z.count, 5);
        for (size_t k = 0; k < 5; k++) {
            const struct zip_entry *e = zip_find(&z, names[k]);
            const uint8_t *p;
            uint8_t *owned;
            assert_ptr_equal(e, &z.entries[k]);
            if (zip_bytes(e, 400, &p, &owned, &err)) fail_msg("%s: %s", files[f], err.message);
            assert_int_equal(e->bytes, 100 * k);
            assert_int_equal(owned != NULL, e->method == 8);
            for (size_t i = 0; i < e->bytes; i++)
                assert_int_equal(p[i], (7 * i + k) % 251);
            mem_free(owned);
            if (k) assert_int_equal(zip_bytes(e, 100 * k - 1, &p, &owned, &err), RNND_TOO_LARGE);
        }
        assert_ptr_equal(zip_find_ending(&z, "/data.pkl"), &z.entries[0]);
        assert_null(zip_find_ending(&z, "data"));
        assert_null(zip_find(&z, "root"));
        arena_free(&arena);
    }
}

static void other_methods(void **unused)
{
    (void)unused;
    rnnd_error err;
    size_t bytes, entries;
    const uint8_t *data = file("bzip2", &bytes);
    assert_int_equal(read_all(data, bytes, &entries, &err), RNND_UNSUPPORTED);
    assert_non_null(strstr(err.message, "method 12"));
    assert_int_equal(entries, 5); /* listed all the same */
}

/* ---- archives with one lie: stored entries "a" and "b" of 4 bytes each, heads at 0 and 35, directory at 70 ---- */

enum { A = 0, B = 35, CD = 70, CD_B = CD + 47, END = CD + 94, SIZE = END + 22 };

static void put(uint8_t *p, size_t n, uint64_t v)
{
    while (n--) {
        *p++ = (uint8_t)v;
        v >>= 8;
    }
}

static void small(uint8_t p[SIZE])
{
    memset(p, 0, SIZE);
    for (size_t i = 0; i < 2; i++) {
        uint8_t *local = p + (i ? B : A), *central = p + (i ? CD_B : CD);
        memcpy(local + 31, "data", 4);
        put(local, 4, 0x04034b50);
        put(local + 26, 2, 1);
        put(central, 4, 0x02014b50);
        put(central + 16, 4, inflate_crc(local + 31, 4));
        put(central + 20, 4, 4);
        put(central + 24, 4, 4);
        put(central + 28, 2, 1);
        put(central + 42, 4, i ? B : A);
        local[30] = central[46] = (uint8_t)('a' + i);
    }
    put(p + END, 4, 0x06054b50);
    put(p + END + 8, 2, 2);
    put(p + END + 10, 2, 2);
    put(p + END + 12, 4, END - CD);
    put(p + END + 16, 4, CD);
}

static void lies(void **unused)
{
    (void)unused;
    static const struct {
        const char *what;
        size_t at, bytes;
        uint64_t value;
        rnnd_code code;
    } cases[] = {
        {"no lie", 0, 0, 0, RNND_OK},
        {"checksum", CD + 16, 4, 1, RNND_CORRUPT},
        {"data changed", A + 31, 1, 'D', RNND_CORRUPT},
        {"encrypted", CD + 8, 2, 1, RNND_UNSUPPORTED},
        {"masked", CD + 8, 2, 0x2000, RNND_UNSUPPORTED},
        {"longer inside", CD + 24, 4, 5, RNND_CORRUPT},
        {"reaches into the next", CD + 20, 4, 5, RNND_CORRUPT},
        {"reaches into the directory", CD_B + 20, 4, 5, RNND_CORRUPT},
        {"reaches beyond everything", CD_B + 20, 4, 0xfffffffe, RNND_CORRUPT},
        {"a zip64 size without its field", CD_B + 20, 4, 0xffffffff, RNND_CORRUPT},
        {"the same data twice", CD_B + 42, 4, A, RNND_CORRUPT},
        {"no head there", CD_B + 42, 4, B + 1, RNND_CORRUPT},
        {"head in the directory", CD_B + 42, 4, CD, RNND_CORRUPT},
        {"head beyond the file", CD_B + 42, 4, 0x7fffffff, RNND_CORRUPT},
        {"another name at the data", B + 30, 1, 'x', RNND_CORRUPT},
        {"a name with a zero byte", CD + 46, 1, 0, RNND_CORRUPT},
        {"a long name", CD_B + 28, 2, 0xffff, RNND_CORRUPT},
        {"a long extra field", CD_B + 30, 2, 0xffff, RNND_CORRUPT},
        {"a long extra field at the data", B + 28, 2, 0xffff, RNND_CORRUPT},
        {"a long comment", CD_B + 32, 2, 1, RNND_CORRUPT},
        {"no record", CD, 4, 0, RNND_CORRUPT},
        {"more entries", END + 10, 2, 3, RNND_CORRUPT},
        {"far more entries", END + 10, 2, 0xffff, RNND_CORRUPT},
        {"fewer entries", END + 10, 2, 1, RNND_CORRUPT},
        {"directory elsewhere", END + 16, 4, CD + 1, RNND_CORRUPT},
        {"directory outside", END + 16, 4, 0xffffffff, RNND_CORRUPT},
        {"directory too long", END + 12, 4, 0xffffffff, RNND_CORRUPT},
        {"several disks", END + 4, 2, 1, RNND_UNSUPPORTED},
        {"a comment that is not there", END + 20, 2, 1, RNND_CORRUPT},
        {"deflated that is not", CD + 10, 2, 8, RNND_CORRUPT},
        {"unknown method", CD + 10, 2, 99, RNND_UNSUPPORTED},
        {"an unneeded bit of the flags", CD + 8, 2, 8, RNND_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rnnd_error err;
        size_t entries;
        uint8_t *p = hostile_at_end(SIZE);
        small(p);
        put(p + cases[i].at, cases[i].bytes, cases[i].value);
        rnnd_code code = read_all(p, SIZE, &entries, &err);
        if (code != cases[i].code) fail_msg("%s: %d %s", cases[i].what, code, err.message);
        if (code) assert_true(strlen(err.message) > 20);
    }
    uint8_t *p = hostile_at_end(SIZE); /* one name twice */
    rnnd_error err;
    size_t entries;
    small(p);
    p[B + 30] = p[CD_B + 46] = 'a';
    assert_int_equal(read_all(p, SIZE, &entries, &err), RNND_CORRUPT);
    assert_non_null(strstr(err.message, "twice"));
}

/* Claims of size are not believed: 4 deflated bytes never become a gigabyte, so no gigabyte is asked for. */
static void bombs(void **unused)
{
    (void)unused;
    uint8_t p[SIZE];
    struct arena arena;
    struct zip z;
    rnnd_error err;
    const uint8_t *out;
    uint8_t *owned;
    arena_init(&arena, 1 << 20);
    small(p);
    put(p + CD + 10, 2, 8);
    put(p + CD + 24, 4, 1 << 30);
    assert_int_equal(zip_read(p, SIZE, &arena, &z, &err), RNND_OK);
    mem_fail_at(0);
    assert_int_equal(zip_bytes(&z.entries[0], SIZE_MAX, &out, &owned, &err), RNND_CORRUPT);
    assert_int_equal(mem_fail_at(0), 0); /* nothing was allocated */
    arena_free(&arena);
}

static void cut_everywhere(void **unused)
{
    (void)unused;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        rnnd_error err;
        size_t bytes, entries;
        uint8_t whole[4096], *p = file(files[f], &bytes);
        assert_true(bytes <= sizeof whole);
        memcpy(whole, p, bytes);
        for (size_t n = 0; n < bytes; n++) {
            rnnd_code code = read_all(hostile_place(whole, n), n, &entries, &err);
            if (code != RNND_CORRUPT) fail_msg("%s cut at %zu: %d", files[f], n, code);
        }
    }
}

static void damaged(void **unused)
{
    (void)unused;
    struct rng rng;
    size_t refused = 0;
    rng_seed(&rng, hostile_seed, 3);
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        size_t bytes, entries;
        uint8_t whole[4096], *p = file(files[f], &bytes);
        rnnd_error err;
        memcpy(whole, p, bytes);
        for (int round = 0; round < 5000; round++) {
            memcpy(p, whole, bytes);
            for (uint32_t k = 1 + rng_u32(&rng) % 3; k > 0; k--) {
                size_t back = rng_u32(&rng) % 4 ? bytes / 2 : bytes; /* mostly the directory */
                p[bytes - 1 - rng_u32(&rng) % back] = (uint8_t)rng_u32(&rng);
            }
            if (read_all(p, bytes, &entries, &err)) {
                refused++;
                assert_true(err.message[0]);
            }
        }
    }
    assert_true(refused > 5000);
}

static void every_allocation_fails(void **unused)
{
    (void)unused;
    rnnd_error err;
    size_t bytes, entries, n;
    const uint8_t *data = file("deflated", &bytes);
    for (n = 1; n < 1000; n++) {
        mem_fail_at(n);
        rnnd_code code = read_all(data, bytes, &entries, &err);
        mem_fail_at(0);
        if (!code) break;
        if (code != RNND_NO_MEMORY) fail_msg("allocation %zu: %d %s", n, code, err.message);
    }
    assert_in_range(n, 5, 999);
}

int main(void)
{
    if (!hostile_begin(1 << 16)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_python_writes_them), cmocka_unit_test(other_methods),  cmocka_unit_test(lies),
        cmocka_unit_test(bombs),                 cmocka_unit_test(cut_everywhere), cmocka_unit_test(damaged),
        cmocka_unit_test(every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
