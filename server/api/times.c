/* times.c -- timestamps of a series: read exactly (never through floats), put on a grid, counted on. */
#include "server/api/times.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define LAST_TICK (INT64_C(253402300799) * SECOND) /* 9999-12-31T23:59:59Z */
#define FIRST_TICK (INT64_C(-62167219200) * SECOND) /* 0000-01-01T00:00:00Z */

/* ---- the calendar: days since 1970-01-01, proleptic Gregorian, counted in eras of 400 years from 1 March --------- */

static int64_t days_from_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

struct local { int64_t year, of_day; int month, day; }; /* a time on the client's own clock */

static struct local to_local(int64_t ticks, const struct time_format *f)
{
    struct local l;
    int64_t t = ticks + f->offset, days = floor_div(t, DAY);
    l.of_day = t - days * DAY;
    date_from_days(days, &l.year, &l.month, &l.day);
    return l;
}

static bool is_month_end(const struct local *l)
{
    return l->day == days_in_month(l->year, l->month);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool digits(const char **p, const char *end, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (*p >= end || **p < '0' || **p > '9') return false;
        *out = *out * 10 + (**p - '0');
    }
    return true;
}

static bool take(const char **p, const char *end, char c)
{
    if (*p >= end || **p != c) return false;
    (*p)++;
    return true;
}

static bool read_zone(const char **p, const char *end, struct time_format *f)
{
    int hours, minutes = 0;
    if (*p == end) return true;
    f->zone = true;
    if (take(p, end, 'Z') || take(p, end, 'z')) {
        f->zulu = true;
        return true;
    }
    bool west = **p == '-';
    if (!west && **p != '+') return false;
    (*p)++;
    if (!digits(p, end, 2, &hours)) return false;
    bool colon = take(p, end, ':');
    if ((colon || *p < end) && !digits(p, end, 2, &minutes)) return false;
    if (hours > 23 || minutes > 59) return false;
    f->offset = (hours * 3600 + minutes * 60) * SECOND * (west ? -1 : 1);
    return true;
}

static bool read_clock(const char **p, const char *end, int64_t *ticks, struct time_format *f)
{
    int hour, minute = 0, second = 0, digit;
    int64_t unit = SECOND;

    if (!digits(p, end, 2, &hour)) return false;
    if (take(p, end, ':') && !digits(p, end, 2, &minute)) return false;
    if (take(p, end, ':')) {
        if (!digits(p, end, 2, &second)) return false;
        f->seconds = true;
        if (take(p, end, '.') || take(p, end, ','))
            while (f->fraction < 6 && digits(p, end, 1, &digit)) {
                unit /= 10;
                *ticks += digit * unit;
                f->fraction++;
            }
        while (f->fraction == 6 && *p < end && **p == '0') (*p)++; /* finer than a microsecond only if zero */
    }
    *ticks += ((int64_t)hour * 3600 + minute * 60 + second) * SECOND;
    return hour < 24 && minute < 60 && second < 60;
}

bool time_read_iso(const char *text, size_t bytes, int64_t *ticks, struct time_format *out)
{
    const char *p = text, *end = text + bytes;
    int year, month, day = 1;
    struct time_format f = {.kind = TIME_ISO};
    int64_t of_day = 0;

    if (!digits(&p, end, 4, &year) || !take(&p, end, '-') || !digits(&p, end, 2, &month)) return false;
    if (take(&p, end, '-') && !digits(&p, end, 2, &day)) return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return false;
    if (p < end) {
        f.separator = *p++;
        if (f.separator == 't') f.separator = 'T';
        if (f.separator != 'T' && f.separator != ' ') return false;
        if (!read_clock(&p, end, &of_day, &f) || !read_zone(&p, end, &f)) return false;
    }
    *ticks = days_from_date(year, month, day) * DAY + of_day - f.offset;
    *out = f;
    return p == end;
}

bool time_read_number(int64_t value, enum time_kind kind, int64_t *ticks, struct time_format *f)
{
    int64_t size = value < 0 ? -(value + 1) : value, unit;
    if (kind == TIME_ISO) return false;
    if (kind == TIME_NONE)
        kind = size >= INT64_C(100000000000) ? TIME_EPOCH_MS : size >= 100000000 ? TIME_EPOCH_S : TIME_INDEX;
    unit = kind == TIME_EPOCH_S ? SECOND : kind == TIME_EPOCH_MS ? 1000 : 1;
    if (kind == TIME_INDEX && size >= INT64_C(1000000000000000)) return false;
    if (unit > 1 && (value > LAST_TICK / unit || value < FIRST_TICK / unit)) return false;
    memset(f, 0, sizeof *f);
    f->kind = kind;
    *ticks = value * unit;
    return true;
}

bool time_read(const char *text, size_t bytes, int64_t *ticks, struct time_format *f)
{
    char number[24], *end;
    enum time_kind kind = f->kind;
    if (time_read_iso(text, bytes, ticks, f)) return kind == TIME_NONE || kind == TIME_ISO;
    if (!bytes || bytes > 19) return false;
    memcpy(number, text, bytes);
    number[bytes] = '\0';
    if (strspn(number + (number[0] == '-'), "0123456789") != bytes - (number[0] == '-')) return false;
    int64_t value = strtoll(number, &end, 10);
    return end != number && !*end && time_read_number(value, kind, ticks, f);
}

bool time_is_text(const struct time_format *f)
{
    return f->kind == TIME_ISO;
}

size_t time_write(char out[48], int64_t ticks, const struct time_format *f)
{
    size_t n;
    if (f->kind != TIME_ISO) {
        int64_t unit = f->kind == TIME_EPOCH_S ? SECOND : f->kind == TIME_EPOCH_MS ? 1000 : 1;
        return (size_t)snprintf(out, 48, "%lld", (long long)floor_div(ticks, unit));
    }
    struct local l = to_local(ticks, f);
    int second = (int)(l.of_day / SECOND % 60), fraction = (int)(l.of_day % SECOND), shown = f->fraction;
    n = (size_t)snprintf(out, 48, "%04d-%02d-%02d", (int)l.year, l.month, l.day);
    if (!f->separator && !l.of_day) return n;
    n += (size_t)snprintf(out + n, 48 - n, "%c%02d:%02d", f->separator ? f->separator : 'T',
                          (int)(l.of_day / (3600 * SECOND)), (int)(l.of_day / (60 * SECOND) % 60));
    if (fraction && !shown) shown = 6;
    if (f->seconds || !f->separator || second || shown) n += (size_t)snprintf(out + n, 48 - n, ":%02d", second);
    if (shown) {
        char all[8];
        snprintf(all, sizeof all, "%06d", fraction);
        n += (size_t)snprintf(out + n, 48 - n, ".%.*s", shown, all);
    }
    if (f->zulu) return n + (size_t)snprintf(out + n, 48 - n, "Z");
    if (!f->zone) return n;
    int64_t minutes = (f->offset < 0 ? -f->offset : f->offset) / (60 * SECOND);
    return n + (size_t)snprintf(out + n, 48 - n, "%c%02d:%02d", f->offset < 0 ? '-' : '+', (int)(minutes / 60),
                                (int)(minutes % 60));
}

/* ---- frequencies ------------------------------------------------------------------------------------------------- */

bool frequency_read(const char *text, struct frequency *f)
{
    static const struct { const char *names; int64_t step; bool months; } units[] = {
        {" us microsecond microseconds ", 1, false},
        {" ms L millisecond milliseconds ", 1000, false},
        {" s S sec second seconds ", SECOND, false},
        {" min T m minute minutes ", 60 * SECOND, false},
        {" h H hour hours hourly ", 3600 * SECOND, false},
        {" d D day days daily ", DAY, false},
        {" w W week weeks weekly ", 7 * DAY, false},
        {" M MS ME mo month months monthly ", 1, true},
        {" Q QS QE quarter quarters quarterly ", 3, true},
        {" y Y YS YE A AS year years yearly ", 12, true},
    };
    char *end, name[24];
    long long count = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : (end = (char *)(uintptr_t)text, 1);

    while (*end == ' ') end++;
    size_t n = (size_t)snprintf(name, sizeof name, " %.20s ", end);
    if (n >= sizeof name || n < 3 || strchr(end, ' ') || count < 1 || count > 1000000) return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!strstr(units[i].names, name)) continue;
        f->step = units[i].step * count;
        f->months = units[i].months;
        return true;
    }
    return false;
}

bool time_add(int64_t ticks, const struct frequency *f, const struct time_format *format, int64_t n, int64_t *out)
{
    int64_t way;
    if (f->months) {
        struct local l = to_local(ticks, format);
        bool last_day = is_month_end(&l) && l.day > 27;
        if (__builtin_mul_overflow(f->step, n, &way) || way > 120000 || way < -120000) return false;
        int64_t month = l.year * 12 + (l.month - 1) + way, year = floor_div(month, 12);
        if (year < 0 || year > 9999) return false;
        int days = days_in_month(year, (int)(month - year * 12) + 1);
        *out = days_from_date(year, (int)(month - year * 12) + 1, last_day || l.day > days ? days : l.day) * DAY +
               l.of_day - format->offset;
        return true;
    }
    if (__builtin_mul_overflow(f->step, n, &way) || __builtin_add_overflow(ticks, way, out)) return false;
    return format->kind == TIME_INDEX || (*out >= FIRST_TICK && *out <= LAST_TICK);
}

/* ---- the grid ---------------------------------------------------------------------------------------------------- */

struct rows { const size_t *numbers; rnnd_error *err; };

static rnnd_code fail_row(const struct rows *rows, size_t i, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static rnnd_code fail_row(const struct rows *rows, size_t i, const char *format, ...)
{
    rnnd_error *err = rows->err;
    char where[40];
    size_t n;
    va_list args;

    if (rows->numbers) snprintf(where, sizeof where, "row %zu", rows->numbers[i]);
    else snprintf(where, sizeof where, "timestamps[%zu]", i);
    err->code = RNND_MISMATCH;
    snprintf(err->param, sizeof err->param, "timestamps");
    n = (size_t)snprintf(err->message, sizeof err->message, "%s ", where);
    va_start(args, format);
    vsnprintf(err->message + n, sizeof err->message - n, format, args);
    va_end(args);
    return RNND_MISMATCH;
}

/* Whole months between the first row and row i, where both stand at the same place of their month; -1 otherwise. */
static int64_t months_between(const struct local *a, const struct local *b)
{
    bool same_day = a->day == b->day || (is_month_end(a) && is_month_end(b));
    if (!same_day || a->of_day != b->of_day) return -1;
    return (b->year - a->year) * 12 + b->month - a->month;
}

/* The smallest distance of two rows, as time or (28 days and more, at the same day of the month) in months. */
static void infer(const int64_t *ticks, size_t count, const struct time_format *format, struct frequency *f)
{
    struct local before = to_local(ticks[0], format);
    int64_t least = INT64_MAX, months = INT64_MAX;

    for (size_t i = 1; i < count; i++) {
        struct local now = to_local(ticks[i], format);
        int64_t m = format->kind == TIME_INDEX ? -1 : months_between(&before, &now);
        if (ticks[i] - ticks[i - 1] < least) least = ticks[i] - ticks[i - 1];
        if (m <= 0) months = 0;
        else if (m < months) months = m;
        before = now;
    }
    *f = months > 0 ? (struct frequency){months, true} : (struct frequency){least, false};
}

rnnd_code times_grid(const int64_t *ticks, size_t count, const struct time_format *format, const size_t *row_numbers,
                     size_t limit, struct frequency *f, size_t *slots, rnnd_error *err)
{
    struct rows rows = {row_numbers, err};
    struct local first;

    if (!count) return RNND_OK;
    for (size_t i = 1; i < count; i++) {
        char now[48], before[48];
        if (ticks[i] > ticks[i - 1]) continue;
        time_write(now, ticks[i], format);
        time_write(before, ticks[i - 1], format);
        return fail_row(&rows, i, ticks[i] == ticks[i - 1] ? "repeats %s of the row before it%.0s"
                                                           : "is %s, before %s of the row above it", now, before);
    }
    if (!f->step) {
        if (count < 3)
            return fail_row(&rows, count - 1, "is the last of %zu; a frequency can be inferred from three, or given as "
                            "\"frequency\":\"30min\"", count);
        infer(ticks, count, format, f);
    }
    first = to_local(ticks[0], format);
    for (size_t i = 0; i < count; i++) {
        int64_t way = ticks[i] - ticks[0], slot = -1;
        if (f->months) {
            struct local l = to_local(ticks[i], format);
            int64_t m = months_between(&first, &l);
            if (m >= 0 && m % f->step == 0) slot = m / f->step;
        } else if (way % f->step == 0) {
            slot = way / f->step;
        }
        if (slot < 0 || (i && (size_t)slot <= slots[i - 1])) {
            char now[48];
            time_write(now, ticks[i], format);
            return fail_row(&rows, i, "is %s, which is no whole number of steps after the first row", now);
        }
        if ((size_t)slot >= limit)
            return fail_row(&rows, i, "lies %lld steps after the first row; a request may feed %zu", (long long)slot,
                            limit);
        slots[i] = (size_t)slot;
    }
    return RNND_OK;
}
