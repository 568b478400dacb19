/* test_number.c -- decimal text <-> float32 against the C library, over random bit patterns and hard cases. */
#include "server/http/json.h"
#include "server/http/number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint32_t bits_of(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of_bits(uint32_t u)
{
    float f;

    memcpy(&f, &u, sizeof f);
    return f;
}

/* What we read must be what strtof reads, infinities refused. */
static void same_as_strtof(const char *text)
{
    float want = strtof(text, NULL), got = 0;
    bool ok = json_read_float(text, strlen(text), &got);

    if (isinf(want) ? ok : !ok || bits_of(want) != bits_of(got))
        fail_msg("%.200s: wanted %a, found %s%a", text, (double)want, ok ? "" : "refused ", (double)got);
}

static void hard_cases(void **unused)
{
    (void)unused;
    static const char *const cases[] = {
        "0", "-0", "0.0", "-0.0e5", "1", "-1", "0.1", "3.14159265358979323846", "16777215", "16777216", "16777217",
        "16777219", "16777217.0000000000000000000000000000000001", "16777216.9999999999999999999999999999999999",
        "33554434", "33554435", "33554433.5", "3.4028234663852886e38", "3.4028235e38", "3.40282356779733661637e38",
        "340282356779733661637539395458142568447", "340282356779733661637539395458142568448", "3.5e38", "1e38", "1e39",
        "1e308", "1e999", "1e-999", "1e99999999999999999999", "1e-99999999999999999999", "0e99999999999999999999",
        "1.17549435e-38", "1.1754942e-38", "1.17549421069244107549e-38", "1e-45", "1.4e-45", "7e-46", "7.1e-46",
        "7.006492321624085354618e-46", "7.0064923216240853546186479164495806564013097093825788587853e-46",
        "7.0064923216240853546186479164495806564013097093825788587853414194489554134293030074331909418106079101562"
        "5e-46",
        "7.0064923216240853546186479164495806564013097093825788587853414194489554134293030074331909418106079101562500"
        "01e-46",
        "7.0064923216240853546186479164495806564013097093825788587853414194489554134293030074331909418106079101562499"
        "99e-46",
        "1e-44", "9.9e-45", "123456789012345678901234567890",
        "0.000000000000000000000000000000000000000000001401298464324817",
        "9007199254740993", "9007199791611905", "9007199791611904.5", "18446744073709551615", "18446744073709551616",
        "100000000000000000000000000000000000000", "1.00000017881393421514957253748434595763683319091796875001",
        "1.00000017881393432617187499", "1.000000178813934326171875",
        "1.0000001788139343261718750000000000000000000001",
        "1.00000005960464477539062499999999999999999999", "1.000000059604644775390625", "8.5899346e9", "5e-324",
    };
    char text[400];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        same_as_strtof(cases[i]);
        snprintf(text, sizeof text, "-%s", cases[i][0] == '-' ? cases[i] + 1 : cases[i]);
        same_as_strtof(text);
    }
}

/* Exact midpoints of neighbours, and the same one unit of the 120th digit above and below. */
static void midpoints(void **unused)
{
    (void)unused;
    char text[400];

    for (int i = 0; i < 20000; i++) {
        uint32_t u = (uint32_t)next_random() & 0x7fffffff;
        if (i % 4 == 0) u &= 0x7fffff; /* subnormal */
        if (u >= 0x7f7fffff) continue;
        double middle = ((double)float_of_bits(u) + (double)float_of_bits(u + 1)) / 2;
        int n = snprintf(text, sizeof text, "%.*e", 115, middle);
        same_as_strtof(text);
        char *last = strchr(text, 'e') - 1;
        assert_true(n > 0 && *last == '0');
        *last = '1';
        same_as_strtof(text);
        snprintf(text, sizeof text, "%.*e", 400 - 30, middle);
        last = strchr(text, 'e') - 1;
        *last = '1';
        same_as_strtof(text);
    }
}

static void grammar(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "1.e5", "0x10", "1 ", " 1",
                                      "NaN", "Infinity", "1_0", "1,0", "--1", "1e5.0", "00", "1e1e1"};
    float v;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (json_read_float(bad[i], strlen(bad[i]), &v)) fail_msg("'%s' was read as %g", bad[i], (double)v);
}

static void random_texts(void **unused)
{
    (void)unused;
    char text[128];
    double end = now() + 0.5;
    size_t n = 0;

    do {
        for (int i = 0; i < 1000; i++, n++) {
            int at = 0, digits = 1 + (int)(next_random() % 24), point = (int)(next_random() % 24);
            for (int k = 0; k < digits; k++) {
                text[at++] = (char)('0' + next_random() % 10);
                if (k == 0 && text[0] == '0') text[0] = '1';
                if (k == point && k + 1 < digits) text[at++] = '.';
            }
            snprintf(text + at, sizeof text - (size_t)at, "e%d", (int)(next_random() % 100) - 60);
            same_as_strtof(text);
        }
    } while (now() < end);
    print_message("%zu random texts\n", n);
}

/* No text of one digit less may round to the same float. */
static bool shorter_exists(const char *text, float v)
{
    struct decimal d;
    char shorter[64];

    number_scan(text, text + strlen(text), &d);
    while (d.digits % 10 == 0 && d.digits) d.digits /= 10, d.exponent++;
    if (d.digits < 10) return false;
    for (uint64_t up = 0; up < 2; up++) {
        float read;
        snprintf(shorter, sizeof shorter, "%s%llue%lld", d.negative ? "-" : "",
                 (unsigned long long)(d.digits / 10 + up), (long long)d.exponent + 1);
        if (json_read_float(shorter, strlen(shorter), &read) && read == v) return true;
    }
    return false;
}

static void round_trips(void **unused)
{
    (void)unused;
    double start = now();
    size_t n = 0;
    char text[32];

    while (now() < start + 1.2)
        for (int i = 0; i < 4096; i++, n++) {
            uint32_t u = (uint32_t)next_random();
            if (i == 0) u &= 0xff800000; /* powers of two: the neighbour below is closer */
            float v = float_of_bits(u), back;
            size_t bytes = json_format_float(text, v);
            if (isnan(v) || isinf(v)) {
                assert_string_equal(text, "null");
                continue;
            }
            if (bytes != strlen(text) || !json_read_float(text, bytes, &back) || bits_of(back) != u)
                fail_msg("%08x was written as %s", u, text);
            if (i % 64 == 0 && shorter_exists(text, v) && !(v == truncf(v) && fabsf(v) < 16777216))
                fail_msg("%08x was written as %s; a shorter text would do", u, text);
        }
    print_message("%zu round trips\n", n);
}

static void every_power_of_two(void **unused)
{
    (void)unused;
    char text[32];
    float back;

    for (uint32_t e = 0; e < 255; e++)
        for (int d = -2; d <= 2; d++) {
            uint32_t u = (e << 23) + (uint32_t)d;
            if (u >= 0x7f800000) continue;
            size_t n = json_format_float(text, float_of_bits(u));
            assert_true(json_read_float(text, n, &back));
            assert_int_equal(bits_of(back), u);
            assert_float_equal(strtof(text, NULL), back, 0);
        }
}

static void layouts(void **unused)
{
    (void)unused;
    static const struct { float v; const char *text; } cases[] = {
        {0, "0"}, {-0.0f, "-0"}, {1, "1"}, {-1.5f, "-1.5"}, {0.1f, "0.1"}, {100, "100"}, {1e10f, "10000000000"},
        {1e15f, "1000000000000000"}, {1e16f, "1e16"}, {1.5e20f, "1.5e20"}, {3.4028235e38f, "3.4028235e38"},
        {1e-4f, "0.0001"}, {1e-5f, "0.00001"}, {1e-6f, "1e-6"}, {1.25e-6f, "1.25e-6"}, {1e-45f, "1e-45"},
        {1.1754944e-38f, "1.1754944e-38"}, {0.3333333433f, "0.33333334"}, {16777216, "16777216"}, {123.456f, "123.456"},
    };
    char text[32];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(json_format_float(text, cases[i].v), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

static void doubles_overflow_where_the_library_says(void **unused)
{
    (void)unused;
    static const char *const cases[] = {"1e308", "1.7976931348623157e308", "1.7976931348623158e308",
                                        "1.7976931348623159e308", "1e309", "17976931348623157e292", "0e999",
                                        "1e-999", "9e307", "1e99999999999"};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct decimal d;
        assert_non_null(number_scan(cases[i], cases[i] + strlen(cases[i]), &d));
        assert_int_equal(number_overflows_double(&d), isinf(strtod(cases[i], NULL)) != 0);
    }
}

int main(void)
{
    const char *seed = getenv("SEED");
    random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
    print_message("SEED=%llu\n", (unsigned long long)random_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_cases), cmocka_unit_test(midpoints), cmocka_unit_test(grammar),
        cmocka_unit_test(random_texts), cmocka_unit_test(round_trips), cmocka_unit_test(every_power_of_two),
        cmocka_unit_test(layouts), cmocka_unit_test(doubles_overflow_where_the_library_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
