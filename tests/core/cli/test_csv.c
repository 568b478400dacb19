/* test_csv.c -- tables of numbers: headers, time stamps, separators, missing cells, and hostile text. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/cli/array.h"

static void check(const char *text, size_t rows, size_t columns, bool stamps, const char *names, const float *wanted)
{
    struct csv c;
    rnnd_error err = {0};
    if (csv_read(text, strlen(text), &c, &err) != RNND_OK)
        fail_msg("%s: %s", text, err.message);
    assert_int_equal(c.rows, rows);
    assert_int_equal(c.columns, columns);
    assert_int_equal(c.has_stamps, stamps);
    assert_int_equal(c.names != NULL, names != NULL);
    char joined[200] = "";
    for (size_t i = 0, n = 0; names && i < columns; i++)
        n += (size_t)snprintf(joined + n, sizeof joined - n, "%s|", c.names[i]);
    if (names)
        assert_string_equal(joined, names);
    for (size_t i = 0; i < rows * columns; i++)
        assert_true(isnan(wanted[i]) ? isnan(c.data[i]) : c.data[i] == wanted[i]);
    csv_free(&c);
}

static void forms(void **unused)
{
    (void)unused;
    check("1\n2\n3", 3, 1, false, NULL, (float[]){1, 2, 3});
    check("1,2\r\n3,4\r\n\r\n", 2, 2, false, NULL, (float[]){1, 2, 3, 4});
    check("a,b\n1,-2.5e1\n", 1, 2, false, "a|b|", (float[]){1, -25});
    check("\xEF\xBB\xBF" "value\n7\n", 1, 1, false, "value|", (float[]){7});
    check("timestamp,value\n2014-07-01 00:00:00,10844\n2014-07-01 00:30:00,\n", 2, 1, true, "value|",
          (float[]){10844, NAN});
    check("ds;x;y\n1;2;3\n", 1, 2, true, "x|y|", (float[]){2, 3});
    check("when,x\nmonday,3\n", 1, 1, true, "x|", (float[]){3});
    check("2020-01-01,5\n2020-01-02,6\n", 2, 1, true, NULL, (float[]){5, 6});
    check("2020-01-01,\n2020-01-02,6\n", 2, 1, true, NULL, (float[]){NAN, 6});
    check("1\t2\n nan\tNULL\n", 2, 2, false, NULL, (float[]){1, 2, NAN, NAN});
    check("\"a, b\",\"say \"\"x\"\"\"\n\"1\" , 2 \n", 1, 2, false, "a, b|say \"x\"|", (float[]){1, 2});
    check("1,2\n\n\n3,4", 2, 2, false, NULL, (float[]){1, 2, 3, 4});
}

static void refuse(const char *text, const char *word)
{
    struct csv c;
    rnnd_error err = {0};
    assert_int_not_equal(csv_read(text, strlen(text), &c, &err), RNND_OK);
    if (!strstr(err.message, word))
        fail_msg("'%s' does not say '%s'", err.message, word);
    assert_null(c.data);
    assert_null(c.names);
}

static void errors_name_the_place(void **unused)
{
    (void)unused;
    refuse("", "empty");
    refuse("\n \r\n", "empty");
    refuse("a,b\n", "no rows");
    refuse("a,b\n1,2\n\n1,x\n", "line 4, column 2: 'x'");
    refuse("1,2\n3\n", "line 2 has 1 columns");
    refuse("1,2\n3,4,5\n", "line 2 has more than the 2 columns");
    refuse("1,2\n3,0x10\n", "'0x10'");
    refuse("1,2\n3,inf\n", "'inf'");
    refuse("1,2\n3,1e300\n", "'1e300'");
    refuse("1,\"2\n", "quotes");
    refuse("1,\"2\"x\n", "quotes");
    refuse("time\n1\n", "no values");
    char *long_cell = malloc(1000);
    memset(long_cell, '1', 999);
    long_cell[999] = 0;
    refuse(long_cell, "longer than 255");
    free(long_cell);
    char *wide = malloc(200000);
    memset(wide, ',', 199999);
    wide[199999] = 0;
    refuse(wide, "65536 columns");
    free(wide);
}

/* Random text stays inside its bounds (the copy has the exact size, for ASan). */
static void random_text(void **unused)
{
    (void)unused;
    static const char letters[] = "12.-e,,;\t\n\n\r\"\" aN";
    unsigned seed = 12;
    print_message("seed %u\n", seed);
    for (int round = 0; round < 100000; round++) {
        char *text = malloc(40);
        size_t n = (size_t)rand_r(&seed) % 40;
        struct csv c;
        for (size_t i = 0; i < n; i++)
            text[i] = letters[(size_t)rand_r(&seed) % (sizeof letters - 1)];
        char *exact = malloc(n ? n : 1);
        memcpy(exact, text, n);
        if (csv_read(exact, n, &c, NULL) == RNND_OK) {
            assert_true(c.rows > 0 && c.columns > 0 && c.rows * c.columns <= n + 1);
            csv_free(&c);
        }
        free(exact);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms), cmocka_unit_test(errors_name_the_place),
                                       cmocka_unit_test(random_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
