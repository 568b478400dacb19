/* test_inputs.c -- rows from JSON, bytes, .npy and CSV: shapes, what is wrong with them, and damaged files. */
#include "server/api/inputs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const rnnd_port ports[] = {{.name = "a", .width = 2}, {.name = "k", .width = 1, .is_ids = true, .limit = 5}};
static const rnnd_info raw = {.task = RNND_RAW, .inputs = ports, .input_count = 2, .input_width = 3};
static const rnnd_info series = {.task = RNND_SERIES, .inputs = ports, .input_count = 1, .input_width = 2};

static struct inputs_want windows(const rnnd_info *info)
{
    struct inputs_want want = inputs_want_steps(info, "inputs", 10);
    want.windows = true;
    return want;
}

static rnnd_code from_json(const struct inputs_want *want, const char *text, struct inputs *out, rnnd_error *err)
{
    char body[300], message[200];
    struct json_doc *doc;
    snprintf(body, sizeof body, "{\"inputs\":%s}", text);
    if (json_parse(body, strlen(body), 32, &doc, message, sizeof message)) fail_msg("%s: %s", text, message);
    rnnd_code code = inputs_json(want, json_get(json_root(doc), "inputs"), out, err);
    json_free(doc);
    return code;
}

static void json_shapes(void **unused)
{
    static const struct { bool windows; const char *text; rnnd_code code; const char *words; } cases[] = {
        {false, "[[1,2,3],[4,5,4]]", RNND_OK, ""},
        {false, "{\"a\":[[1,2],[4,5]],\"k\":[3,4]}", RNND_OK, ""},
        {true, "[[[1,2,3],[4,5,4]]]", RNND_OK, ""},
        {true, "{\"a\":[[[1,2],[4,5]]],\"k\":[[3,4]]}", RNND_OK, ""},
        {false, "[1,2,3]", RNND_MISMATCH, "rank 1"},
        {false, "[[1,2]]", RNND_MISMATCH, "wants 3 numbers a step, found 2"},
        {false, "[[1,2,3],[4,5]]", RNND_MISMATCH, "inputs[1] has 2 numbers"},
        {false, "[]", RNND_MISMATCH, ""},
        {true, "[[]]", RNND_MISMATCH, ""},
        {false, "[[1,2,5]]", RNND_MISMATCH, "inputs[0][2] must be an id"},
        {false, "[[1,2,-1]]", RNND_MISMATCH, "inputs[0][2] must be an id"},
        {false, "[[1,2,0.5]]", RNND_MISMATCH, "inputs[0][2] must be an id"},
        {false, "[[1,null,3]]", RNND_INVALID, "inputs[0][1] is NaN"},
        {false, "\"x\"", RNND_INVALID, "inputs must be"},
        {false, "{\"a\":[[1,2]]}", RNND_MISMATCH, "names 1 inputs"},
        {false, "{\"a\":[[1,2]],\"z\":[1]}", RNND_MISMATCH, "\"k\""},
        {false, "{\"a\":[[1,2]],\"k\":[1,2]}", RNND_MISMATCH, "inputs.k has 1 x 2"},
        {false, "[[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3]]",
         RNND_TOO_LARGE, "at most 10 steps"},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct inputs_want want = cases[i].windows ? windows(&raw) : inputs_want_steps(&raw, "inputs", 10);
        struct inputs in = {0};
        rnnd_error err = {0};
        if (from_json(&want, cases[i].text, &in, &err) != cases[i].code || !strstr(err.message, cases[i].words))
            fail_msg("%s: %d '%s', wanted %d '%s'", cases[i].text, err.code, err.message, cases[i].code,
                     cases[i].words);
        if (cases[i].code == RNND_OK) {
            const float wanted[] = {1, 2, 3, 4, 5, 4};
            assert_int_equal(in.batch, 1);
            assert_int_equal(in.steps, 2);
            assert_memory_equal(in.data, wanted, sizeof wanted);
            inputs_free(&in);
        }
        assert_null(in.data);
    }
}

/* A series model's network takes other widths than its channels, so its inputs' names are nobody's to use. */
static void series_take_no_names(void **unused)
{
    static const rnnd_port features = {.name = "x", .width = 6};
    static const rnnd_info pair = {.task = RNND_SERIES, .inputs = &features, .input_count = 1, .input_width = 2};
    static const char *const steps[] = {"{\"x\":[[1,2,3,4,5,6]]}", "{\"x\":[[1,2]]}",
                                        "{\"load\":[1],\"price\":[2]}", "{}"};
    struct inputs_want rows = inputs_want_steps(&pair, "inputs", 10), whole = windows(&pair);
    (void)unused;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct inputs in = {0};
        rnnd_error err = {0};
        assert_int_equal(from_json(&rows, steps[i], &in, &err), RNND_MISMATCH);
        assert_non_null(strstr(err.message, "must be an array for a series model, 2 channels a step"));
        assert_int_equal(from_json(&whole, "{\"x\":[[[1,2,3,4,5,6]]]}", &in, &err), RNND_MISMATCH);
        assert_null(in.data);
    }
}

/* A port that has a shape of its own: steps nested so or flat, and nothing else. */
static void steps_in_their_own_shape(void **unused)
{
    static const rnnd_port image = {.name = "image", .width = 6, .rank = 2, .dim = {2, 3}};
    static const rnnd_info one = {.task = RNND_RAW, .inputs = &image, .input_count = 1, .input_width = 6};
    static const struct { bool windows; const char *text; rnnd_code code; const char *words; } cases[] = {
        {false, "[[[1,2,3],[4,5,6]]]", RNND_OK, ""},
        {false, "[[1,2,3,4,5,6]]", RNND_OK, ""},
        {true, "[[[[1,2,3],[4,5,6]]]]", RNND_OK, ""},
        {true, "[[[1,2,3,4,5,6]]]", RNND_OK, ""},
        {true, "{\"image\":[[[[1,2,3],[4,5,6]]]]}", RNND_OK, ""},
        {false, "[[[1,2],[3,4],[5,6]]]", RNND_MISMATCH, "steps of 2 x 3, or their 6 numbers in a row; found 3 x 2"},
        {false, "[[[1,2,3],[4,5,null]]]", RNND_INVALID, "inputs[0][1][2] is NaN"},
        {true, "{\"image\":[[[[1,2,3],[4,null,6]]]]}", RNND_INVALID, "inputs.image[0][0][1][1] is NaN"},
        {true, "[[[1,2,3],[4,5,6]]]", RNND_MISMATCH, "found 3"},
        {true, "[[[[[1,2,3],[4,5,6]]]]]", RNND_MISMATCH, "found 1 x 2 x 3"},
        {false, "[[[1,2,3],[4,5,6]],[[1,2,3]]]", RNND_INVALID, "inputs[1] has 1 rows"},
        {true, "[[[[1,2,3],[]]]]", RNND_INVALID, "on level 4, at [0][0][1]"},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct inputs_want want = cases[i].windows ? windows(&one) : inputs_want_steps(&one, "inputs", 10);
        struct inputs in = {0};
        rnnd_error err = {0};
        char body[300];
        struct json_doc *doc;
        rnnd_code code = RNND_INVALID;
        snprintf(body, sizeof body, "{\"inputs\":%s}", cases[i].text);
        if (!json_parse(body, strlen(body), 32, &doc, err.message, sizeof err.message)) {
            code = inputs_json(&want, json_get(json_root(doc), "inputs"), &in, &err);
            json_free(doc);
        }
        if (code != cases[i].code || !strstr(err.message, cases[i].words))
            fail_msg("%s: %d '%s', wanted %d '%s'", cases[i].text, code, err.message, cases[i].code, cases[i].words);
        if (code != RNND_OK) continue;
        assert_int_equal(in.batch * in.steps, 1);
        for (size_t k = 0; k < 6; k++) assert_true(in.data[k] == (float)k + 1);
        inputs_free(&in);
    }
}

static void missing_values_are_for_series(void **unused)
{
    struct inputs_want want = inputs_want_steps(&series, "inputs", 10);
    struct inputs in = {0};
    rnnd_error err;
    (void)unused;
    assert_int_equal(from_json(&want, "[[1,null],[\"NaN\",4]]", &in, &err), RNND_OK);
    assert_true(isnan(in.data[1]) && isnan(in.data[2]));
    inputs_free(&in);
    const float infinite[2] = {1, INFINITY};
    assert_int_equal(inputs_floats(&want, infinite, sizeof infinite, &in, &err), RNND_INVALID);
    assert_int_equal(inputs_floats(&want, infinite, 7, &in, &err), RNND_MISMATCH);
    assert_int_equal(inputs_floats(&want, infinite, 0, &in, &err), RNND_MISMATCH);
    static const char csv[] = "x,y\r\n1,\r\n\r\nnan, 4\n";
    assert_int_equal(inputs_csv(&want, csv, sizeof csv - 1, &in, &err), RNND_OK);
    assert_int_equal(in.steps, 2);
    assert_true(in.data[0] == 1 && isnan(in.data[1]) && isnan(in.data[2]) && in.data[3] == 4);
    inputs_free(&in);
}

/* One window of two steps in each type that is taken. */
static size_t make_npy(unsigned char out[400], const char *descr, const void *data, size_t bytes)
{
    char text[119];
    memset(out, ' ', 128);
    memcpy(out, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (1, 2, 3), }", descr);
    memcpy(out + 10, text, (size_t)n);
    out[127] = '\n';
    memcpy(out + 128, data, bytes);
    return 128 + bytes;
}

static void npy_types(void **unused)
{
    static const float f4[] = {1, 2, 3, 4, 5, 4};
    static const double f8[] = {1, 2, 3, 4, 5, 4};
    static const int64_t i8[] = {1, 2, 3, 4, 5, 4};
    static const uint16_t u2[] = {1, 2, 3, 4, 5, 4};
    static const int8_t i1[] = {1, 2, 3, 4, 5, 4};
    static const struct { const char *descr; const void *data; size_t bytes; } types[] = {
        {"<f4", f4, sizeof f4}, {"<f8", f8, sizeof f8}, {"<i8", i8, sizeof i8}, {"<u2", u2, sizeof u2},
        {"|i1", i1, sizeof i1}};
    struct inputs_want want = windows(&raw);
    unsigned char file[400];
    struct inputs in = {0};
    rnnd_error err = {0};
    (void)unused;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t bytes = make_npy(file, types[i].descr, types[i].data, types[i].bytes);
        if (inputs_npy(&want, file, bytes, &in, &err) != RNND_OK) fail_msg("%s: %s", types[i].descr, err.message);
        assert_memory_equal(in.data, f4, sizeof f4);
        inputs_free(&in);
        assert_int_not_equal(inputs_npy(&want, file, bytes - 1, &in, &err), RNND_OK);
    }
    static const char *const others[] = {">f4", "<c8", "|O", "<f2"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(inputs_npy(&want, file, make_npy(file, others[i], f4, sizeof f4), &in, &err), RNND_INVALID);
}

static uint64_t noise;
static size_t below(size_t n)
{
    noise = noise * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(noise >> 33) % n;
}

/* Damaged copies end where their memory ends: a byte read behind them is seen by the sanitizer. Whatever is taken is of
 * the shape that was wanted. */
static void damaged_files(void **unused)
{
    static const float f4[] = {1, 2, 3, 4, 5, 4};
    static const char csv[] = "a,b,c\n1,2,3\n\"4\", 5,4\r\n";
    static const char bytes[] = "(),:'\"0123456789-+.eE<>f\n\r \xff";
    struct inputs_want want = windows(&raw);
    unsigned char file[400];
    const char *given = getenv("SEED");
    (void)unused;
    noise = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)noise);
    size_t file_bytes = make_npy(file, "<f4", f4, sizeof f4), taken = 0;
    for (size_t round = 0; round < 40000; round++) {
        bool npy = round % 2;
        size_t n = npy ? file_bytes : sizeof csv - 1, keep = below(4) ? n : below(n + 1);
        unsigned char *copy = malloc(keep ? keep : 1);
        struct inputs in = {0};
        rnnd_error err;
        memcpy(copy, npy ? (const void *)file : csv, keep);
        for (size_t k = below(4); keep && k > 0; k--)
            copy[below(keep)] = below(2) ? (unsigned char)bytes[below(sizeof bytes - 1)] : (unsigned char)below(256);
        rnnd_code code =
            npy ? inputs_npy(&want, copy, keep, &in, &err) : inputs_csv(&want, (char *)copy, keep, &in, &err);
        if (code == RNND_OK) {
            taken++;
            assert_int_equal(in.width, 3);
            for (size_t i = 0; i < in.batch * in.steps * in.width; i++) assert_true(isfinite(in.data[i]));
            inputs_free(&in);
        }
        assert_null(in.data);
        free(copy);
    }
    assert_true(taken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_shapes), cmocka_unit_test(series_take_no_names),
        cmocka_unit_test(steps_in_their_own_shape),
        cmocka_unit_test(missing_values_are_for_series),
        cmocka_unit_test(npy_types),
        cmocka_unit_test(damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
