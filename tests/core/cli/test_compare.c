/* test_compare.c -- how far arrays are from one another: shapes with axes of 1, types, NaN and infinity. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/cli/array.h"

static void shapes(void **unused)
{
    (void)unused;
    struct array a = {.rank = 3, .dim = {1, 3, 4}}, b = {.rank = 2, .dim = {3, 4}}, c = {.rank = 2, .dim = {4, 3}};
    struct array one = {.rank = 2, .dim = {1, 1}}, number = {.rank = 0};
    assert_true(array_same_shape(&a, &b));
    assert_true(array_same_shape(&b, &a));
    assert_false(array_same_shape(&b, &c));
    assert_true(array_same_shape(&one, &number));
    assert_false(array_same_shape(&one, &b));
    b.rank = 1, b.dim[0] = 12;
    assert_false(array_same_shape(&a, &b)); /* as many numbers, another shape */
}

static struct array_difference floats(float *got, float *want, size_t count)
{
    struct array a = {.rank = 1, .dim = {count}, .data = got}, b = {.rank = 1, .dim = {count}, .data = want};
    return array_compare(&a, &b);
}

static void the_worst_element(void **unused)
{
    (void)unused;
    char text[ARRAY_MAX_RANK * 24];
    float got[] = {1, 2.5f, 3, -9}, want[] = {1, 2, 3.25f, -9};
    struct array_difference d = floats(got, want, 4);
    assert_true(d.at == 1 && d.worst == 0.5 && d.got == 2.5 && d.want == 2 && d.largest == 9);
    struct array shape = {.rank = 2, .dim = {2, 2}};
    assert_string_equal(array_place(&shape, 3, text), "[1][1]");
    d = floats(got, want, 0);
    assert_true(d.worst == 0 && d.largest == 0);
}

static void what_is_no_number(void **unused)
{
    (void)unused;
    float nan_[] = {NAN, 1}, other[] = {NAN, 1}, number[] = {0, 1}, far[] = {INFINITY, 1}, near_[] = {-INFINITY, 1};
    assert_true(floats(nan_, other, 2).worst == 0);
    assert_true(isinf(floats(nan_, number, 2).worst));
    assert_true(isinf(floats(number, nan_, 2).worst));
    assert_true(floats(far, far, 2).worst == 0 && floats(far, far, 2).largest == 1);
    assert_true(isinf(floats(far, near_, 2).worst));
    assert_true(isinf(floats(number, far, 2).worst));
}

static void types(void **unused)
{
    (void)unused;
    int64_t whole[] = {3, -7};
    uint8_t truth[] = {1, 0};
    float f[] = {3, -6.5f};
    struct array a = {.dtype = RNND_INT64, .rank = 1, .dim = {2}, .whole = whole},
                 b = {.rank = 1, .dim = {2}, .data = f};
    assert_true(array_compare(&a, &b).worst == 0.5);
    a = (struct array){.dtype = RNND_BOOL8, .rank = 1, .dim = {2}, .truth = truth};
    assert_true(array_compare(&a, &b).worst == 6.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(the_worst_element),
                                       cmocka_unit_test(what_is_no_number), cmocka_unit_test(types)};
    return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
