/* test_json.c -- a parsed document's values, and JSON written. */
#include "server/http/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void values(void **unused)
{
    (void)unused;
    static const char text[] =
        "{\"s\":\"h\\u00e9\",\"empty\":\"\",\"t\":true,\"f\":false,\"z\":null,\"i\":-42,\"big\":9223372036854775807,"
        "\"low\":-9223372036854775808,\"over\":9223372036854775808,\"x\":1.5,\"whole\":3e2,"
        "\"pi\":3.14159265358979323846,\"A\":1,\"a\":2,\"list\":[1,\"b\",[]],\"long\":1234567890123456789012}";
    struct json_doc *doc;
    char message[100];
    size_t bytes;
    int64_t i;
    double d;
    bool b;

    assert_int_equal(json_parse(text, sizeof text - 1, 32, &doc, message, sizeof message), 0);
    const struct json *root = json_root(doc);
    assert_int_equal(json_type(root), JSON_OBJECT);
    assert_string_equal(json_string(json_get(root, "s"), &bytes), "h\xC3\xA9");
    assert_int_equal(bytes, 3);
    assert_string_equal(json_string(json_get(root, "empty"), &bytes), "");
    assert_int_equal(json_type(json_get(root, "empty")), JSON_STRING);
    assert_true(json_bool(json_get(root, "t"), &b) && b);
    assert_true(json_bool(json_get(root, "f"), &b) && !b);
    assert_int_equal(json_type(json_get(root, "z")), JSON_NULL);
    assert_int_equal(json_type(json_get(root, "absent")), JSON_NULL);
    assert_null(json_get(root, "absent"));
    assert_null(json_get(json_get(root, "s"), "x"));
    assert_true(json_integer(json_get(root, "i"), &i) && i == -42);
    assert_true(json_integer(json_get(root, "big"), &i) && i == INT64_MAX);
    assert_true(json_integer(json_get(root, "low"), &i) && i == INT64_MIN);
    assert_false(json_integer(json_get(root, "over"), &i));
    assert_true(json_number(json_get(root, "over"), &d) && d == 9223372036854775808.0);
    assert_false(json_integer(json_get(root, "x"), &i));
    assert_true(json_number(json_get(root, "x"), &d) && d == 1.5);
    assert_true(json_integer(json_get(root, "whole"), &i) && i == 300);
    assert_int_equal(json_type(json_get(root, "pi")), JSON_NUMBER);
    assert_true(json_number(json_get(root, "pi"), &d) && d == 3.14159265358979323846);
    assert_null(json_string(json_get(root, "pi"), NULL));
    assert_true(json_integer(json_get(root, "A"), &i) && i == 1);
    assert_true(json_integer(json_get(root, "a"), &i) && i == 2);
    assert_true(json_number(json_get(root, "long"), &d) && d == 1234567890123456789012.0);
    const struct json *list = json_get(root, "list");
    assert_int_equal(json_type(list), JSON_ARRAY);
    assert_int_equal(json_count(list), 3);
    assert_int_equal(json_type(json_next(json_first(list))), JSON_STRING);
    assert_string_equal(json_key(json_first(root)), "s");
    json_free(doc);
}

static void writing(void **unused)
{
    (void)unused;
    const float data[] = {1, -0.5f, 0.1f, 1e-7f, NAN, 16777216};
    struct json_out o;

    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "a\"\n");
    json_open(&o, '[');
    json_put_int(&o, INT64_MIN);
    json_put_double(&o, 0.1);
    json_put_double(&o, 1e300);
    json_put_double(&o, -3);
    json_put_double(&o, INFINITY);
    json_put_bool(&o, true);
    json_put_null(&o);
    json_put_text(&o, NULL);
    json_put_string(&o, "\x01\xC3\xA9\xFF\\\x7f", 6);
    json_close(&o, ']');
    json_put_key(&o, "b");
    json_put_floats(&o, data, 2, (const size_t[]){2, 3});
    json_put_key(&o, "c");
    json_put_floats(&o, data, 3, (const size_t[]){2, 0, 3});
    json_put_key(&o, "d");
    json_put_raw(&o, "{\"x\":1}", 7);
    json_put_key(&o, "e");
    json_open(&o, '{');
    json_close(&o, '}');
    json_close(&o, '}');
    json_append(&o, "\n\n", 3); /* with the zero */
    assert_false(o.failed);
    assert_string_equal(o.data, "{\"a\\\"\\n\":[-9223372036854775808,0.1,1e+300,-3,null,true,null,null,"
                                "\"\\u0001\xC3\xA9\xEF\xBF\xBD\\\\\x7f\"],\"b\":[[1,-0.5,0.1],[1e-7,null,16777216]],"
                                "\"c\":[[],[]],\"d\":{\"x\":1},\"e\":{}}\n\n");
    json_out_reset(&o);
    json_append(&o, "data: ", 6);
    json_open(&o, '{');
    json_close(&o, '}');
    json_append(&o, "\n", 1);
    json_open(&o, '[');
    json_close(&o, ']');
    assert_int_equal(o.bytes, 11);
    assert_memory_equal(o.data, "data: {}\n[]", 11);
    json_out_free(&o);
}

static void doubles_come_back(void **unused)
{
    (void)unused;
    uint64_t state = 88172645463325252u;
    struct json_out o;

    json_out_init(&o);
    for (int k = 0; k < 20000; k++) {
        double v;
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        memcpy(&v, &state, sizeof v);
        if (!isfinite(v)) continue;
        json_out_reset(&o);
        json_put_double(&o, v);
        json_append(&o, "", 1);
        assert_true(strtod(o.data, NULL) == v);
    }
    json_out_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(writing),
                                       cmocka_unit_test(doubles_come_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
