/* test_spool.c -- stop strings, hold-back and the release of tokens against a naive reading of the whole text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/tasks/spool.h"

enum { MOST = 64 };

/* bytes -> characters, and for each byte of the text how many bytes had come in when it was there */
struct reading { char text[MOST * 3 + 8]; size_t length, known_at[MOST * 3 + 8], from[MOST + 1], to[MOST + 1]; };

static void read_all(const char *bytes, size_t n, struct reading *out)
{
    struct utf8 u = {0};
    size_t begun = 0;
    out->length = 0;
    for (size_t i = 0; i <= n;) {
        bool end = i == n;
        if (end && utf8_pending(&u) == 0)
            break;
        enum utf8_event e = end ? UTF8_BAD_BEFORE : utf8_push(&u, (uint8_t)bytes[i]);
        const char *text = e == UTF8_WHOLE ? u.bytes : UTF8_REPLACEMENT;
        size_t count = e == UTF8_WHOLE ? u.have : e == UTF8_WAIT ? 0 : 3;
        size_t done = i + (e != UTF8_BAD_BEFORE);
        for (size_t k = begun; k < done && count; k++) {
            out->from[k] = out->length;
            out->to[k] = out->length + count;
        }
        if (count)
            begun = done;
        for (size_t k = 0; k < count; k++) {
            out->known_at[out->length] = end ? n + 1 : i + 1;
            out->text[out->length++] = text[k];
        }
        i = done;
        if (end)
            break;
    }
}

static void random_texts(void **unused)
{
    (void)unused;
    static const char *const pieces[] = {"a", "b", "ab", "\n", "\xC3\xA9", "\xE2\x82\xAC", "\xC3", "\xFF", "\xA9", "c"};
    static const char stop_pieces[][4] = {"a", "b", "\n", "\xC3\xA9", "\xE2\x82\xAC", "\xEF\xBF\xBD"};
    struct rng r;
    rng_seed(&r, 77, 1);
    print_message("seed 77\n");
    int stopped = 0, held_back = 0;
    for (int round = 0; round < 60000; round++) {
        char bytes[MOST + 8], stops_text[3][40] = {{0}};
        uint32_t letters = rng_u32(&r) % 3 ? 10 : 2, most = letters == 2 ? 9 : 4; /* few letters: borders that matter */
        const char *stops[3] = {stops_text[0], stops_text[1], stops_text[2]};
        size_t n = 0, stop_count = rng_u32(&r) % 4, min_bytes = rng_u32(&r) % 3 ? 0 : rng_u32(&r) % 12;
        while (n < (letters == 2 ? 40 : 20) && rng_u32(&r) % 24) {
            const char *p = pieces[rng_u32(&r) % letters];
            memcpy(bytes + n, p, strlen(p));
            n += strlen(p);
        }
        for (size_t i = 0; i < stop_count; i++)
            for (size_t k = 1 + rng_u32(&r) % most, at = 0; k-- > 0; at = strlen(stops_text[i]))
                memcpy(stops_text[i] + at, stop_pieces[rng_u32(&r) % (letters == 2 ? 2 : 6)], 4);
        struct reading full;
        read_all(bytes, n, &full);

        /* naive: the first end of a stop that starts late enough; the longest of those */
        size_t cut = full.length, stop_end = 0;
        for (size_t e = 1; e <= full.length && !stop_end; e++)
            for (size_t i = 0; i < stop_count; i++) {
                size_t l = strlen(stops[i]);
                if (l <= e && e - l >= min_bytes && memcmp(full.text + e - l, stops[i], l) == 0) {
                    cut = cut < e - l ? cut : e - l;
                    stop_end = e;
                }
            }
        size_t bytes_needed = stop_end ? full.known_at[stop_end - 1] : n;

        struct spool s;
        assert_int_equal(spool_init(&s, stops, stop_count, 8, 0, 0, NULL), RNND_OK);
        spool_watch(&s, min_bytes);
        size_t in = 0, got = 0, released = 0, tokens = 0, token_start[MOST + 1];
        char given[MOST * 3 + 8];
        bool done = false;
        while (!done && in < n) {
            size_t count = 1 + rng_u32(&r) % 3, length;
            if (count > n - in)
                count = n - in;
            rnnd_token token = {.id = (int32_t)tokens};
            token_start[tokens++] = in;
            done = spool_push(&s, &token, NULL, bytes + in, count);
            in += count;
            token_start[tokens] = in;
            if (!done && in == n)
                spool_close(&s);
            if (rng_u32(&r) % 3 == 0 && in < n && !done)
                continue; /* a reader that does not come every time */
            const char *text = spool_text(&s, &length);
            assert_true((text != NULL) == (length > 0));
            if (length)
                memcpy(given + got, text, length);
            got += length;
            if (!done && in < n) { /* exactly what may begin a stop is held back */
                size_t there = 0, hold = 0;
                while (there < full.length && full.known_at[there] <= in)
                    there++;
                for (size_t i = 0; i < stop_count; i++)
                    for (size_t l = strlen(stops[i]) - 1; l > hold; l--)
                        if (l <= there && there - l >= min_bytes && !memcmp(full.text + there - l, stops[i], l))
                            hold = l;
                assert_int_equal(got, there - hold);
                held_back += hold > 0;
            }
            for (rnnd_token t; spool_token(&s, &t); released++) {
                assert_int_equal(t.id, released);
                size_t last = token_start[released + 1] - 1;
                assert_true(full.to[last] <= got || (s.closed && full.from[token_start[released]] < got));
            }
        }
        if (n == 0)
            spool_close(&s);
        if (!done && stop_end > 0)
            assert_true(bytes_needed > n); /* only the replaced end of an incomplete character completes it */
        size_t length;
        const char *text = spool_text(&s, &length);
        if (length)
            memcpy(given + got, text, length);
        got += length;
        assert_int_equal(done, stop_end > 0 && bytes_needed <= n);
        assert_int_equal(got, cut);
        assert_memory_equal(given, full.text, cut);
        if (done)
            assert_true(in >= bytes_needed);
        for (rnnd_token t; spool_token(&s, &t);)
            assert_int_equal(t.id, released++);
        size_t wanted = 0;
        while (wanted < tokens && full.from[token_start[wanted]] < cut)
            wanted++;
        assert_int_equal(released, wanted);
        stopped += done;
        spool_free(&s);
    }
    print_message("%d stopped, %d times text was held back\n", stopped, held_back);
    assert_true(stopped > 10000 && held_back > 3000);
}

static void endless_text_needs_no_more_memory(void **unused)
{
    (void)unused;
    struct spool s;
    size_t length, total = 0, tokens = 0;
    assert_int_equal(spool_init(&s, (const char *const[]){"xyxyz", "\n\n"}, 2, 1, 2, 0, NULL), RNND_OK);
    spool_watch(&s, 0);
    mem_fail_at(1); /* whatever asks from here on is refused */
    rnnd_alternative two[2] = {{1, -1}, {2, -2}};
    for (int i = 0; i < 100000; i++) {
        rnnd_token token = {.id = i, .alternative_count = 2}, out;
        assert_false(spool_push(&s, &token, two, &"xyxyx\nabc"[i % 9], 1));
        spool_text(&s, &length);
        total += length;
        while (spool_token(&s, &out)) {
            assert_int_equal(out.id, tokens++);
            assert_int_equal(out.alternatives[1].id, 2);
        }
    }
    assert_int_equal(mem_fail_at(0), 0);
    assert_false(s.failed);
    assert_true(total > 99990 && tokens == total);
    spool_free(&s);
}

static void unread_text_grows_or_fails(void **unused)
{
    (void)unused;
    for (size_t n = 1; n < 30; n++) {
        struct spool s;
        size_t length;
        assert_int_equal(spool_init(&s, NULL, 0, 1, 1, 0, NULL), RNND_OK);
        rnnd_alternative one = {7, -1};
        mem_fail_at(n);
        int i = 0;
        for (; i < 1000 && !s.failed; i++)
            spool_push(&s, &(rnnd_token){.id = i, .alternative_count = 1}, &one, "q", 1);
        size_t made = mem_fail_at(0);
        assert_int_equal(s.failed, made >= n);
        if (!s.failed) {
            spool_text(&s, &length);
            assert_int_equal(length, 1000);
            rnnd_token t;
            for (i = 0; spool_token(&s, &t); i++)
                assert_true(t.id == i && t.alternatives[0].id == 7);
            assert_int_equal(i, 1000);
        }
        spool_free(&s);
        if (made < n)
            return;
    }
    fail_msg("still failing");
}

static void forgets_beyond_the_limit(void **unused)
{
    (void)unused;
    struct spool s;
    size_t length;
    rnnd_token t;
    assert_int_equal(spool_init(&s, NULL, 0, 1, 0, 100, NULL), RNND_OK);
    for (int i = 0; i < 5000; i++) {
        spool_push(&s, &(rnnd_token){.id = i}, NULL, "q", 1);
        spool_text(&s, &length);
    }
    assert_true(spool_token(&s, &t));
    assert_int_equal(t.id, 4900);
    assert_true(s.token_capacity <= 128);
    spool_free(&s);
}

static void bad_stops_are_refused(void **unused)
{
    (void)unused;
    struct spool s;
    rnnd_error err = {0};
    assert_int_equal(spool_init(&s, (const char *const[]){"ok", ""}, 2, 1, 0, 0, &err), RNND_INVALID);
    assert_string_equal(err.param, "stop");
    spool_free(&s);
    assert_int_equal(spool_init(&s, (const char *const[]){"a\xFF"}, 1, 1, 0, 0, &err), RNND_INVALID);
    assert_non_null(strstr(err.message, "byte 1"));
    spool_free(&s);
    for (size_t n = 1; n < 20; n++) {
        mem_fail_at(n);
        rnnd_code code = spool_init(&s, (const char *const[]){"ab", "c"}, 2, 1, 3, 0, NULL);
        size_t made = mem_fail_at(0);
        spool_free(&s);
        assert_int_equal(code, made < n ? RNND_OK : RNND_NO_MEMORY);
        if (made < n)
            return;
    }
    fail_msg("still failing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_texts),
        cmocka_unit_test(endless_text_needs_no_more_memory),
        cmocka_unit_test(unread_text_grows_or_fails),
        cmocka_unit_test(forgets_beyond_the_limit),
        cmocka_unit_test(bad_stops_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
