/* test_stats.c -- the exposition text, read back line by line by the rules that promtool checks. */
#include "server/engine/stats.h"

#include <ctype.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char text[4 << 20];
static size_t used;

static void append(void *context, const char *piece, size_t bytes)
{
    (void)context;
    assert_true(used + bytes < sizeof text);
    memcpy(text + used, piece, bytes);
    text[used += bytes] = '\0';
}

static void write_all(void)
{
    used = 0;
    text[0] = '\0';
    stats_write(append, NULL);
}

static double value_of(const char *sample)
{
    char line[256];
    snprintf(line, sizeof line, "\n%s ", sample);
    const char *found = strstr(text, line);
    if (!found) fail_msg("no sample %s", sample);
    return strtod(found + strlen(line), NULL);
}

static bool ends_with(const char *s, const char *end)
{
    return strlen(s) >= strlen(end) && !strcmp(s + strlen(s) - strlen(end), end);
}

/* HELP, then TYPE, then only that family's samples; each family once; counters end in _total, others do not; buckets do
 * not fall and end with +Inf, which equals _count. */
static void check_format(void)
{
    static char seen[64][80];
    char family[80] = "", type[16] = "", *save = NULL, *copy = strdup(text);
    size_t families = 0;
    double bucket = 0;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char name[80], help[8];
        if (sscanf(line, "# HELP %79s %7s", name, help) == 2) {
            for (size_t i = 0; i < families; i++) assert_string_not_equal(seen[i], name);
            snprintf(seen[families++], sizeof seen[0], "%s", name);
            snprintf(family, sizeof family, "%s", name);
            type[0] = '\0';
            continue;
        }
        if (line[0] == '#') {
            assert_int_equal(sscanf(line, "# TYPE %79s %15s", name, type), 2);
            assert_string_equal(name, family);
            assert_int_equal(ends_with(name, "_total"), !strcmp(type, "counter"));
            continue;
        }
        assert_string_not_equal(type, "");
        size_t n = strcspn(line, "{ ");
        assert_memory_equal(line, family, strlen(family));
        const char *suffix = line + strlen(family);
        char *end;
        double v = strtod(strrchr(line, ' '), &end);
        assert_int_equal(*end, 0);
        if (strcmp(type, "histogram")) {
            assert_int_equal(n, strlen(family));
        } else if (!strncmp(suffix, "_bucket", 7)) {
            assert_non_null(strstr(line, "le=\""));
            if (strstr(line, "le=\"1\"") || strstr(line, "le=\"2.5e-05\"")) bucket = 0;
            assert_true(v >= bucket);
            bucket = v;
        } else if (!strncmp(suffix, "_count", 6)) {
            assert_true(v == bucket);
            bucket = 0;
        } else {
            assert_memory_equal(suffix, "_sum", 4);
        }
    }
    assert_true(families >= 10);
    free(copy);
}

static void counters_and_histograms(void **unused)
{
    (void)unused;
    stats_add(STAT_STEPS, 40);
    stats_add(STAT_STEPS, 2);
    stats_add(STAT_TOKENS_GENERATED, 7);
    assert_int_equal(stats_get(STAT_STEPS), 42);
    stats_observe(STAT_BATCH_ROWS, 1);
    stats_observe(STAT_BATCH_ROWS, 3);
    stats_observe(STAT_BATCH_ROWS, 4);
    stats_observe(STAT_BATCH_ROWS, 9999);
    write_all();
    check_format();
    assert_true(value_of("rnnd_steps_total") == 42);
    assert_true(value_of("rnnd_tokens_total{kind=\"generated\"}") == 7);
    assert_true(value_of("rnnd_tokens_total{kind=\"prompt\"}") == 0);
    assert_true(value_of("rnnd_step_batch_rows_bucket{le=\"1\"}") == 1);
    assert_true(value_of("rnnd_step_batch_rows_bucket{le=\"2\"}") == 1);
    assert_true(value_of("rnnd_step_batch_rows_bucket{le=\"4\"}") == 3); /* a bound is inside its bucket */
    assert_true(value_of("rnnd_step_batch_rows_bucket{le=\"512\"}") == 3);
    assert_true(value_of("rnnd_step_batch_rows_bucket{le=\"+Inf\"}") == 4);
    assert_true(value_of("rnnd_step_batch_rows_sum") == 10007);
}

static void requests_by_route(void **unused)
{
    (void)unused;
    stats_http("/v1/sessions/{id}", "GET", 200, 0.0002, 0.0001);
    stats_http("/v1/sessions/{id}", "GET", 200, 0.0003, 0.0001);
    stats_http("/v1/sessions/{id}", "GET", 404, 2.0, 2.0);
    stats_http(NULL, "BREW", 418, 60, 60);
    for (int i = 0; i < 2000; i++) { /* more than there is room for: counted all the same */
        char route[32];
        snprintf(route, sizeof route, "/many/%d", i);
        stats_http(route, "GET", 200, 0.001, 0.001);
    }
    write_all();
    check_format();
    assert_true(value_of("rnnd_http_requests_total{route=\"/v1/sessions/{id}\",method=\"GET\",code=\"200\"}") == 2);
    assert_true(value_of("rnnd_http_requests_total{route=\"/v1/sessions/{id}\",method=\"GET\",code=\"404\"}") == 1);
    assert_true(value_of("rnnd_http_requests_total{route=\"other\",method=\"other\",code=\"418\"}") == 1);
    assert_true(value_of("rnnd_http_requests_total{route=\"other\",method=\"other\",code=\"0\"}") > 1000);
    assert_true(value_of("rnnd_http_request_duration_seconds_bucket{route=\"/v1/sessions/{id}\",le=\"0.00025\"}") == 1);
    assert_true(value_of("rnnd_http_request_duration_seconds_count{route=\"/v1/sessions/{id}\"}") == 3);
    assert_true(value_of("rnnd_time_to_first_output_seconds_bucket{route=\"/v1/sessions/{id}\",le=\"0.0001\"}") == 2);
}

static void *many(void *unused)
{
    for (int i = 0; i < 20000; i++) {
        stats_add(STAT_WINDOWS, 1);
        stats_observe(STAT_QUEUE_WAIT_S, 0.001);
    }
    return unused;
}

static void threads_lose_nothing(void **unused)
{
    (void)unused;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, many, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    write_all();
    assert_true(value_of("rnnd_windows_total") == 80000);
    assert_true(value_of("rnnd_queue_wait_seconds_count") == 80000);
    double sum = value_of("rnnd_queue_wait_seconds_sum");
    assert_true(sum > 79.999 && sum < 80.001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_histograms),
        cmocka_unit_test(requests_by_route),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
