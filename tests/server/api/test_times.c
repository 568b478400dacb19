/* test_times.c -- timestamps there and back against the C library, frequencies, months, grids and their gaps. */
#include "server/api/times.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

static int64_t read_iso(const char *text, struct time_format *f)
{
    int64_t ticks = 0;
    if (!time_read_iso(text, strlen(text), &ticks, f)) fail_msg("'%s' is not taken", text);
    return ticks;
}

/* What is read is written the same way again. */
static void texts_come_back(void **unused)
{
    static const struct { const char *text; int64_t ticks; } cases[] = {
        {"1970-01-01", 0},
        {"1969-12-31T23:59:59.5", -SECOND / 2},
        {"2024-02-29T12:30", INT64_C(1709209800) * SECOND},
        {"2024-02-29 12:30:15", INT64_C(1709209815) * SECOND},
        {"2024-02-29T12:30:15.25Z", INT64_C(1709209815250000)},
        {"2024-02-29T12:30:15+05:30", INT64_C(1709190015) * SECOND},
        {"2024-02-29T12:30:15-08:00", INT64_C(1709238615) * SECOND},
        {"9999-12-31T23:59:59", INT64_C(253402300799) * SECOND},
        {"0000-01-01", INT64_C(-62167219200) * SECOND},
    };
    char out[48];
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct time_format f;
        assert_int_equal(read_iso(cases[i].text, &f), cases[i].ticks);
        out[time_write(out, cases[i].ticks, &f)] = '\0';
        assert_string_equal(out, cases[i].text);
    }
}

static void every_day_is_the_librarys(void **unused)
{
    struct time_format f = {.kind = TIME_ISO};
    (void)unused;
    for (int64_t day = -200000; day < 200000; day += 37) {
        time_t seconds = (time_t)(day * 86400);
        struct tm utc;
        char wanted[16], found[48];
        gmtime_r(&seconds, &utc);
        assert_int_not_equal(strftime(wanted, sizeof wanted, "%Y-%m-%d", &utc), 0);
        found[time_write(found, day * 86400 * SECOND, &f)] = '\0';
        assert_string_equal(found, wanted);
        assert_int_equal(read_iso(wanted, &f), day * 86400 * SECOND);
    }
}

static void what_is_no_time(void **unused)
{
    static const char *const texts[] = {"",
                                        "2024",
                                        "2024-13-01",
                                        "2024-00-01",
                                        "2023-02-29",
                                        "2024-04-31",
                                        "2024-01-01T",
                                        "2024-01-01T24:00",
                                        "2024-01-01T12:60",
                                        "2024-01-01T12:00:60",
                                        "24-01-01",
                                        "2024-01-01T12:00+25:00",
                                        "2024-01-01T12:00:00.1234567",
                                        "2024-01-01x12:00",
                                        "2024-01-01T12:00Zx",
                                        "2024/01/01"};
    int64_t ticks;
    (void)unused;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct time_format f;
        if (time_read_iso(texts[i], strlen(texts[i]), &ticks, &f)) fail_msg("'%s' is taken", texts[i]);
    }
}

static void numbers_tell_their_kind_by_size(void **unused)
{
    static const struct { int64_t value; enum time_kind kind; int64_t ticks; } cases[] = {
        {0, TIME_INDEX, 0}, {-7, TIME_INDEX, -7}, {99999999, TIME_INDEX, 99999999},
        {100000000, TIME_EPOCH_S, 100000000 * SECOND}, {1700000000123, TIME_EPOCH_MS, INT64_C(1700000000123000)},
    };
    struct time_format f;
    int64_t ticks;
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(time_read_number(cases[i].value, TIME_NONE, &ticks, &f));
        assert_int_equal(f.kind, cases[i].kind);
        assert_int_equal(ticks, cases[i].ticks);
    }
    assert_false(time_read_number(INT64_MAX, TIME_NONE, &ticks, &f));
    assert_false(time_read_number(INT64_MIN, TIME_NONE, &ticks, &f));
    assert_false(time_read_number(INT64_MAX, TIME_INDEX, &ticks, &f));
    assert_false(time_read_number(5, TIME_ISO, &ticks, &f));
}

static void frequencies(void **unused)
{
    static const struct { const char *text; int64_t step; bool months;
    } good[] = {
        {"30min", 1800 * SECOND, false},
        {"H", 3600 * SECOND, false},
        {"1D", 86400 * SECOND, false},
        {"W", 7 * 86400 * SECOND, false},
        {"MS", 1, true},
        {"2Q", 6, true},
        {"Y", 12, true},
        {"15 s", 15 * SECOND, false},
    };
    static const char *const bad[] = {"", "0min", "-1H", "x", "30", "min30", "1 2H", "99999999D", "minutesminutes"};
    struct frequency f;
    (void)unused;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!frequency_read(good[i].text, &f)) fail_msg("'%s' is not taken", good[i].text);
        assert_int_equal(f.step, good[i].step);
        assert_int_equal(f.months, good[i].months);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (frequency_read(bad[i], &f)) fail_msg("'%s' is taken", bad[i]);
}

/* The last day of a month stays the last day; a 30th does not become one. */
static void months_keep_their_place(void **unused)
{
    static const struct { const char *from; int64_t n; const char *to; } cases[] = {
        {"2024-01-31", 1, "2024-02-29"}, {"2023-01-31", 1, "2023-02-28"}, {"2023-02-28", 1, "2023-03-31"},
        {"2024-01-30", 2, "2024-03-30"}, {"2024-12-15", 1, "2025-01-15"}, {"2024-01-15", -1, "2023-12-15"},
    };
    const struct frequency month = {1, true};
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct time_format f, g;
        int64_t to;
        assert_true(time_add(read_iso(cases[i].from, &f), &month, &f, cases[i].n, &to));
        assert_int_equal(to, read_iso(cases[i].to, &g));
    }
    struct time_format f;
    int64_t last = read_iso("9999-12-31", &f), to;
    const struct frequency day = {86400 * SECOND, false};
    assert_false(time_add(last, &month, &f, 1, &to));
    assert_false(time_add(last, &day, &f, 1, &to));
    assert_false(time_add(0, &day, &f, INT64_MAX, &to));
}

static void grids_show_gaps_and_name_what_does_not_fit(void **unused)
{
    static const int64_t days[] = {0, 1, 3, 6};
    struct time_format f = {.kind = TIME_ISO};
    struct frequency step = {0, false};
    int64_t ticks[4];
    size_t slots[4], numbers[4] = {2, 3, 5, 9};
    rnnd_error err = {0};
    (void)unused;
    for (size_t i = 0; i < 4; i++) ticks[i] = days[i] * 86400 * SECOND;
    assert_int_equal(times_grid(ticks, 4, &f, NULL, 100, &step, slots, &err), RNND_OK);
    assert_int_equal(step.step, 86400 * SECOND);
    for (size_t i = 0; i < 4; i++) assert_int_equal(slots[i], days[i]);
    assert_int_equal(times_grid(ticks, 4, &f, NULL, 6, &step, slots, &err), RNND_MISMATCH);
    ticks[3] += 1;
    assert_int_equal(times_grid(ticks, 4, &f, numbers, 100, &step, slots, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "row 9"));
    ticks[2] = ticks[1];
    assert_int_equal(times_grid(ticks, 4, &f, NULL, 100, &step, slots, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "timestamps[2] repeats"));
    step.step = 0;
    assert_int_equal(times_grid(ticks, 2, &f, NULL, 100, &step, slots, &err), RNND_MISMATCH); /* inferred from three */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(every_day_is_the_librarys),
        cmocka_unit_test(what_is_no_time),
        cmocka_unit_test(numbers_tell_their_kind_by_size),
        cmocka_unit_test(frequencies),
        cmocka_unit_test(months_keep_their_place),
        cmocka_unit_test(grids_show_gaps_and_name_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
