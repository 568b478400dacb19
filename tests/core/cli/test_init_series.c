/* test_init_series.c -- the series block out of a table: channels, scalers as scikit-learn fits them, frequency,
 * shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/cli/init.h"
#include "tests/lib/build_model.h"

/* An LSTM of that many inputs with a head of that many outputs. */
static rnnd_model *open_model(size_t inputs, size_t outputs, const char *more)
{
    struct model_builder b;
    char config[600];
    builder_init(&b, 1);
    builder_torch(&b, "n", 4, inputs, 3, 1, false, 0);
    builder_tensor(&b, "h.weight", NULL, 1, 2, outputs, 3, 0);
    builder_tensor(&b, "h.bias", NULL, 1, 1, outputs, 0, 0);
    snprintf(config, sizeof config,
             "{\"format\":1,\"inputs\":[{\"width\":%zu}],\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":3},"
             "{\"type\":\"dense\",\"name\":\"h\"}]%s}",
             inputs, more);
    rnnd_model *m = builder_open(&b, config, NULL);
    builder_free(&b);
    return m;
}

/* The block's text, owned, without line ends and the spaces behind them; NULL: refused, *err says why. */
static char *block(const rnnd_model *m, const char *table, const char *target, const char *scaler, rnnd_error *err)
{
    struct init_plan p = {.csv = "t.csv", .target = target, .scaler = scaler};
    struct csv csv;
    char *text = NULL;
    size_t bytes, to = 0;
    if (csv_read(table, strlen(table), &csv, err)) fail_msg("%s", err->message);
    FILE *f = open_memstream(&text, &bytes);
    rnnd_code code = init_series(f, m, &p, &csv, err);
    fclose(f);
    csv_free(&csv);
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\n')
            while (text[i + 1] == ' ')
                i++;
        else
            text[to++] = text[i];
    }
    text[to] = 0;
    if (!code) return text;
    assert_int_equal(code, err->code);
    free(text);
    return NULL;
}

static void expect(rnnd_model *m, const char *table, const char *target, const char *scaler, const char *wanted)
{
    rnnd_error err;
    char *text = block(m, table, target, scaler, &err);
    if (!text) fail_msg("%s", err.message);
    assert_string_equal(text, wanted);
    free(text);
}

/* StandardScaler and MinMaxScaler: of 1, 2, 3, 6 the mean is 3, the deviation of the whole sqrt(3.5). */
static void scalers(void **unused)
{
    (void)unused;
    rnnd_model *m = open_model(1, 2, "");
    static const char table[] = "v\n1\n2\n3\n6\n", gaps[] = "v\n1\n\n2\n3\nNaN\n6\n";
#define HEAD ",\"task\": \"series\",\"series\": {\"channels\": [{\"name\": \"v\""
    expect(m, table, NULL, "standard",
           HEAD ", \"scaler\": {\"type\": \"standard\", \"mean\": 3, \"std\": 1.87082869}}],\"horizon\": 2}");
    expect(m, gaps, NULL, "standard",
           HEAD ", \"scaler\": {\"type\": \"standard\", \"mean\": 3, \"std\": 1.87082869}}],\"horizon\": 2}");
    expect(m, table, NULL, "minmax",
           HEAD ", \"scaler\": {\"type\": \"minmax\", \"min\": 1, \"max\": 6}}],\"horizon\": 2}");
    expect(m, table, NULL, "none", HEAD "}],\"horizon\": 2}");
    static const char still[] = "v\n5\n5\n"; /* nothing to divide by */
    expect(m, still, NULL, "standard",
           HEAD ", \"scaler\": {\"type\": \"standard\", \"mean\": 5, \"std\": 1}}],\"horizon\": 2}");
    expect(m, still, NULL, "minmax",
           HEAD ", \"scaler\": {\"type\": \"minmax\", \"min\": 5, \"max\": 6}}],\"horizon\": 2}");
    rnnd_model_close(m);
}

static void channels_and_target(void **unused)
{
    (void)unused;
    static const char table[] = "a,b\n1,10\n2,20\n";
    rnnd_error err;
    rnnd_model *one = open_model(1, 3, ""), *two = open_model(2, 4, ""), *odd = open_model(2, 3, "");
    expect(two, table, NULL, "none",
           ",\"task\": \"series\",\"series\": {\"channels\": [{\"name\": \"a\"},{\"name\": \"b\"}],\"horizon\": 2}");
    expect(odd, table, "b", "none",
           ",\"task\": \"series\",\"series\": {\"channels\": [{\"name\": \"a\"},{\"name\": \"b\"}],\"horizon\": 3,"
           "\"target\": \"b\"}");
    expect(one, table, "b", "minmax",
           ",\"task\": \"series\",\"series\": {\"channels\": [{\"name\": \"b\", \"scaler\": {\"type\": \"minmax\", "
           "\"min\": 10, \"max\": 20}}],\"horizon\": 3}");
    assert_null(block(one, table, NULL, "none", &err));
    assert_string_equal(err.message, "the network takes 1 number a step, t.csv has 2 columns of values");
    assert_null(block(one, table, "z", "none", &err));
    assert_int_equal(err.code, RNND_NOT_FOUND);
    assert_null(block(odd, table, NULL, "none", &err));
    assert_non_null(strstr(err.message, "--target names the one"));
    assert_null(block(one, "v\nNaN\nNaN\n", NULL, "standard", &err));
    assert_string_equal(err.message, "column v of t.csv has no values");
    rnnd_model_close(one), rnnd_model_close(two), rnnd_model_close(odd);
}

static void steps_and_windows(void **unused)
{
    (void)unused;
    static const struct {
        const char *first, *second, *every;
    } cases[] = {{"2024-03-01", "2024-03-02", "1d"},
                 {"2024-03-01 10:00", "2024-03-01T10:30", "30min"},
                 {"2024-02-28 23:00:00", "2024-02-29 01:00:00", "2h"},
                 {"2024-03-01 00:00:00", "2024-03-01 00:00:15", "15s"},
                 {"2024-01-01", "2024-01-15", "2w"},
                 {"1000", "1060", "1min"},
                 {"2024-03-02", "2024-03-01", NULL},
                 {"monday", "tuesday", NULL}};
    rnnd_model *m = open_model(1, 1, ",\"mode\":\"sliding\",\"window\":12");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char table[200], wanted[200], every[60] = "";
        snprintf(table, sizeof table, "time,v\n%s,1\n%s,2\n", cases[i].first, cases[i].second);
        if (cases[i].every) snprintf(every, sizeof every, ",\"frequency\": \"%s\"", cases[i].every);
        snprintf(wanted, sizeof wanted, HEAD "}],\"horizon\": 1,\"warmup\": 12%s}", every);
        expect(m, table, NULL, "none", wanted);
    }
    rnnd_model_close(m);
}

/* A column's name is a string of JSON, whatever is in it. */
static void names(void **unused)
{
    (void)unused;
    rnnd_model *m = open_model(1, 1, "");
    expect(m, "a\"b\\c\n1\n", NULL, "none",
           ",\"task\": \"series\",\"series\": {\"channels\": [{\"name\": \"a\\\"b\\\\c\"}],\"horizon\": 1}");
    expect(m, "1\n2\n", NULL, "none",
           ",\"task\": \"series\",\"series\": {\"channels\": [{\"name\": \"1\"}],\"horizon\": 1}");
    rnnd_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scalers), cmocka_unit_test(channels_and_target),
                                       cmocka_unit_test(steps_and_windows), cmocka_unit_test(names)};
    return cmocka_run_group_tests_name("init_series", tests, NULL, NULL);
}
