/* test_utf8.c -- the assembler against a brute-force reading of the standard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/tasks/utf8.h"

/* ---- an encoder, and from it by search what is a character and what the beginning of one ---- */

static size_t encode(uint32_t c, uint8_t *out)
{
    if (c < 0x80)
        return out[0] = (uint8_t)c, 1;
    if (c < 0x800)
        return out[0] = (uint8_t)(0xC0 | c >> 6), out[1] = 0x80 | (c & 63), 2;
    if (c < 0x10000)
        return out[0] = (uint8_t)(0xE0 | c >> 12), out[1] = 0x80 | (c >> 6 & 63), out[2] = 0x80 | (c & 63), 3;
    out[0] = (uint8_t)(0xF0 | c >> 18), out[1] = 0x80 | (c >> 12 & 63), out[2] = 0x80 | (c >> 6 & 63);
    out[3] = 0x80 | (c & 63);
    return 4;
}

/* one bit per sequence of up to 3 bytes that begins a character; full characters are found by encoding */
static uint8_t begins[3][1 << 21];

static void learn(void)
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xD800 && c < 0xE000)
            continue;
        uint8_t b[4];
        size_t n = encode(c, b);
        uint32_t key = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            key = key << 8 | b[i];
            begins[i][key >> 3] |= (uint8_t)(1 << (key & 7));
        }
    }
}

static size_t begun(const uint8_t *b, size_t n) /* longest incomplete beginning of a character at b */
{
    size_t longest = 0;
    uint32_t key = 0;
    for (size_t i = 0; i < n && i < 3; i++) {
        key = key << 8 | b[i];
        if (begins[i][key >> 3] >> (key & 7) & 1)
            longest = i + 1;
        else
            break;
    }
    return longest;
}

static size_t whole(const uint8_t *b, size_t n) /* length of the character at b, 0 if none */
{
    for (size_t k = 1; k <= 4 && k <= n; k++) {
        uint32_t c = k == 1 ? b[0] : b[0] & (0x7F >> k);
        uint8_t again[4];
        for (size_t i = 1; i < k; i++)
            c = c << 6 | (b[i] & 63);
        if (c < 0x110000 && (c < 0xD800 || c > 0xDFFF) && encode(c, again) == k && memcmp(again, b, k) == 0)
            return k;
    }
    return 0;
}

static size_t naive(const uint8_t *b, size_t n, char *out)
{
    size_t m = 0;
    for (size_t i = 0, k; i < n; i += k) {
        if ((k = whole(b + i, n - i)) > 0) {
            memcpy(out + m, b + i, k);
            m += k;
            continue;
        }
        k = begun(b + i, n - i);
        memcpy(out + m, UTF8_REPLACEMENT, 3);
        m += 3;
        if (k == 0)
            k = 1;
    }
    return m;
}

static size_t assemble(const uint8_t *b, size_t n, char *out)
{
    struct utf8 u = {0};
    size_t m = 0;
    for (size_t i = 0; i < n;) {
        enum utf8_event e = utf8_push(&u, b[i]);
        if (e == UTF8_WHOLE) {
            memcpy(out + m, u.bytes, u.have);
            m += u.have;
        } else if (e != UTF8_WAIT) {
            memcpy(out + m, UTF8_REPLACEMENT, 3);
            m += 3;
        }
        i += e != UTF8_BAD_BEFORE;
    }
    if (utf8_pending(&u) > 0) {
        memcpy(out + m, UTF8_REPLACEMENT, 3);
        m += 3;
    }
    return m;
}

static void every_character_survives(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint8_t b[4];
        char out[16];
        uint32_t back = 0;
        size_t n = encode(c, b);
        bool surrogate = c >= 0xD800 && c < 0xE000;
        assert_int_equal(utf8_decode((char *)b, n, &back), surrogate ? 0 : n);
        if (surrogate)
            continue;
        assert_int_equal(back, c);
        assert_int_equal(assemble(b, n, out), n);
        assert_memory_equal(out, b, n);
        assert_int_equal(utf8_decode((char *)b, n - 1, &back), 0);
    }
}

static void random_bytes_break_as_the_standard_says(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
                                    0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    struct rng r;
    uint64_t seed = 20;
    print_message("seed %llu\n", (unsigned long long)seed);
    rng_seed(&r, seed, 1);
    learn();
    for (int round = 0; round < 200000; round++) {
        uint8_t b[12];
        char ours[48], wanted[48];
        size_t n = rng_u32(&r) % 13;
        for (size_t i = 0; i < n; i++)
            b[i] = rng_u32(&r) % 4 ? edges[rng_u32(&r) % sizeof edges] : (uint8_t)rng_u32(&r);
        size_t m = assemble(b, n, ours);
        assert_int_equal(m, naive(b, n, wanted));
        assert_memory_equal(ours, wanted, m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_survives),
        cmocka_unit_test(random_bytes_break_as_the_standard_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
