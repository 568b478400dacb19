/* test_json_scan.c -- what the strict scan accepts and refuses, and where; shapes; sizes; mutants at a guard page. */
#include "server/http/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct json_doc *parse(const char *text)
{
    struct json_doc *doc;
    char message[200];

    if (json_parse(text, strlen(text), 32, &doc, message, sizeof message) != 0) fail_msg("%s: %s", text, message);
    return doc;
}

static void accepted(void **unused)
{
    (void)unused;
    static const char *const cases[] = {
        "{}", "[]", "null", " true\n", "\"\"", "0", "-0", "-0.0e-1", "1e308", "1E+2", "[1,2]", "[ ]", "{ }", "{\"\":1}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\"", "\"\x7f\"", "[[[[[]]]]]",
        "{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}",
        "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
        "{\"inputs\":[]}", "{\"inputs\":[[],[]]}", "{\"inputs\":[[1,2],[3]]}",
        "{\"inputs\":\"text\"}", "{\"inputs\":[1,\"a\",{\"data\":[1,2]}]}", "{\"inputs\":{\"a\":[1],\"b\":[[2]]}}",
        "{\"h\":null,\"c\":1}", "\t[\r\n1 , 2 ]\n", "{\"data\":[true,false]}", "{\"inputs\":[[[1],[2]],[[3]]]}",
        "{\"inputs\":[[],[[1,2]]]}", "1e-999", "{\"data\":[1e-999,-0]}", "[\"\\u0001\"]",
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[200];
        struct json_doc *doc = NULL;
        int code = json_parse(cases[i], strlen(cases[i]), 32, &doc, message, sizeof message);
        if (code != 0) fail_msg("%s: %s", cases[i], message);
        json_free(doc);
    }
}

static void refused(void **unused)
{
    (void)unused;
    static const struct { const char *text, *message; } cases[] = {
        {"", "line 1, column 1: wanted a JSON value, found nothing"},
        {" \n ", "line 2, column 2: wanted a JSON value, found nothing"},
        {"\xEF\xBB\xBF{}", "line 1, column 1: a byte order mark"},
        {"{", "line 1, column 2: wanted a key in quotes, found the end"},
        {"{\"a\"}", "line 1, column 5: wanted ':' after a key, found '}'"},
        {"{\"a\":}", "line 1, column 6: wanted a JSON value, found '}'"},
        {"{\"a\":1,}", "line 1, column 8: wanted a key in quotes, found '}'"},
        {"{\"a\":1 \"b\":2}", "line 1, column 8: wanted ',' or '}', found '\"'"},
        {"{a:1}", "line 1, column 2: wanted a key in quotes, found 'a'"},
        {"[1,2", "line 1, column 5: wanted ',' or ']', found the end"},
        {"[1,]", "line 1, column 4: wanted a JSON value, found ']'"},
        {"[,1]", "line 1, column 2: wanted a JSON value, found ','"},
        {"[1 2]", "line 1, column 4: wanted ',' or ']', found '2'"},
        {"{} x", "line 1, column 4: wanted nothing after the JSON value, found 'x'"},
        {"{}{}", "line 1, column 3: wanted nothing after"},
        {"[01]", "line 1, column 2: a number with a leading zero"},
        {"[-]", "line 1, column 3: wanted a digit, found ']'"},
        {"[1.]", "line 1, column 4: wanted a digit, found ']'"},
        {"[.5]", "line 1, column 2: wanted a JSON value, found '.'"},
        {"[+1]", "line 1, column 2: wanted a JSON value, found '+'"},
        {"[1e]", "line 1, column 4: wanted a digit"},
        {"[0x10]", "line 1, column 3: wanted ',' or ']', found 'x'"},
        {"1e999", "line 1, column 1: a number too large for a double"},
        {"{\"a\":-1e309}", "line 1, column 6: a number too large for a double"},
        {"[NaN]", "line 1, column 2: wanted a JSON value, found 'N'"},
        {"[nul]", "line 1, column 2: wanted a JSON value, found 'n'"},
        {"[truex]", "line 1, column 6: wanted ',' or ']', found 'x'"},
        {"['a']", "line 1, column 2: wanted a JSON value, found '''"},
        {"[1] // c", "line 1, column 5: wanted nothing after"},
        {"\"abc", "line 1, column 1: a string that never ends"},
        {"\"a\nb\"", "line 1, column 3: control byte 0x0a in a string"},
        {"\"\\x\"", "line 1, column 3: wanted one of"},
        {"\"\\", "line 1, column 3: wanted one of \"\\/bfnrtu after a backslash, found the end"},
        {"\"\\u12g4\"", "line 1, column 2: wanted four hexadecimal digits"},
        {"\"\\u0000\"", "line 1, column 2: \\u0000 is not accepted"},
        {"{\"a\\u0000\":1}", "line 1, column 4: \\u0000 is not accepted"},
        {"\"\\ud800\"", "line 1, column 2: a high surrogate \\ud800 without a low one"},
        {"\"\\ud800\\u0041\"", "line 1, column 2: a high surrogate"},
        {"\"\\udc00\"", "line 1, column 2: a low surrogate"},
        {"\"\xC3\xA9\xFF\"", "line 1, column 3: byte 0xff does not begin a valid UTF-8 character"},
        {"\"\xC0\x80\"", "line 1, column 2: byte 0xc0"},
        {"\"\xED\xA0\x80\"", "line 1, column 2: byte 0xed"},
        {"\"\xF4\x90\x80\x80\"", "line 1, column 2: byte 0xf4"},
        {"\"\xE2\x82\"", "line 1, column 2: byte 0xe2"},
        {"\"\xE2\x82", "line 1, column 2: byte 0xe2"},
        {"{\"a\":1,\"b\":2,\n \"a\":3}", "line 2, column 2: the key \"a\" appears twice in one object"},
        {"{\"a\":1,\"\\u0061\":3}", "line 1, column 8: the key \"a\" appears twice"},
        {"{\"\":1,\"\":2}", "line 1, column 7: the key \"\" appears twice"},
        {"[[[[[1]]]]]", "line 1, column 5: nested deeper than 4 levels"},
        {"{\"inputs\":[[[[1]]]]}", "line 1, column 14: nested deeper than 4 levels"},
        {"{\"inputs\":[1,[2]]}", "line 1, column 14: an array where a number was wanted"},
        {"{\"inputs\":[[1],2]}", "line 1, column 16: a value where an array was wanted"},
        {"{\"inputs\":[[],2]}", "line 1, column 15: a value where an array was wanted"},
        {"{\"inputs\":[1,1e39]}", "line 1, column 14: a number too large for float32"},
        {"{\"inputs\":[1,01]}", "line 1, column 14: a number with a leading zero"},
        {"{\"inputs\":[1,]}", "line 1, column 14: wanted a JSON value, found ']'"},
        {"{\"inputs\":[1}", "line 1, column 13: wanted ',' or ']', found '}'"},
        {"{\"inputs\":[1,2", "line 1, column 15: wanted ',' or ']', found the end"},
        {"{\"inputs\":[[1,2],[3,4]", "line 1, column 23: wanted ',' or ']', found the end"},
        {"{\"inputs\":[nan]}", "line 1, column 12: wanted a JSON value, found 'n'"},
        {"{\"series\":[[[1,2],[3]]]}",
         "line 1, column 21: an array of length 1 on level 3, at [0][1], where the ones before have 2"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_doc *doc;
        char message[200] = "";
        int code = json_parse(cases[i].text, strlen(cases[i].text), strstr(cases[i].message, "4 levels") ? 4 : 32, &doc,
                              message, sizeof message);
        if (code == 0) fail_msg("accepted: %s", cases[i].text);
        if (strncmp(message, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s\n  wanted: %s\n  found:  %s", cases[i].text, cases[i].message, message);
        assert_null(doc);
    }
}

static const struct json_numbers *numbers_at(struct json_doc *doc, const char *key)
{
    return json_numbers(json_get(json_root(doc), key));
}

static void shapes(void **unused)
{
    (void)unused;
    struct json_doc *doc = parse("{\"a\":[1,2],\"inputs\":[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[11,-12.5]]],"
                                 "\"series\":[1.5,null,\"NaN\",2],\"h\":[[1],[2,3],[]],"
                                 "\"c\":[[[1,2]],[],[[3,4],[5,6]]],\"data\":[],\"future\":[[],[]],"
                                 "\"instances\":[[null,1],[2,null]]}");
    const struct json_numbers *n = numbers_at(doc, "inputs");
    assert_non_null(n);
    assert_int_equal(n->rank, 3);
    assert_true(n->dim[0] == 2 && n->dim[1] == 3 && n->dim[2] == 2 && n->count == 12 && !n->ragged && n->missing == 0);
    assert_float_equal(n->data[11], -12.5, 0);
    assert_int_equal(json_type(json_get(json_root(doc), "inputs")), JSON_NUMBERS);
    assert_int_equal(json_count(json_get(json_root(doc), "inputs")), 2);
    assert_int_equal(json_type(json_get(json_root(doc), "a")), JSON_ARRAY);
    assert_null(numbers_at(doc, "a"));

    n = numbers_at(doc, "series");
    assert_true(n->rank == 1 && n->dim[0] == 4 && n->missing == 2 && n->first_missing == 1);
    assert_string_equal(n->first_missing_path, "[1]");
    assert_true(n->data[0] == 1.5f && isnan(n->data[1]) && isnan(n->data[2]) && n->data[3] == 2);

    n = numbers_at(doc, "h");
    assert_true(n->rank == 2 && n->ragged && n->dim[0] == 3 && n->dim[1] == 2 && n->count == 3);
    assert_true(n->lengths[0] == 1 && n->lengths[1] == 2 && n->lengths[2] == 0);
    n = numbers_at(doc, "c");
    assert_true(n->rank == 3 && n->ragged && n->dim[0] == 3 && n->dim[2] == 2 && n->count == 6);
    assert_true(n->lengths[0] == 1 && n->lengths[1] == 0 && n->lengths[2] == 2 && n->data[5] == 6);
    n = numbers_at(doc, "data");
    assert_true(n->rank == 1 && n->dim[0] == 0 && n->count == 0);
    n = numbers_at(doc, "future");
    assert_true(n->rank == 2 && n->dim[0] == 2 && n->dim[1] == 0 && !n->ragged);
    n = numbers_at(doc, "instances");
    assert_true(n->missing == 2 && n->first_missing == 0);
    assert_string_equal(n->first_missing_path, "[0][0]");
    json_free(doc);
}

static void objects_below_a_numeric_key(void **unused)
{
    (void)unused;
    struct json_doc *doc = parse("{\"inputs\":{\"x\":[[1,2]],\"y\":[3]},\"instances\":[{\"t\":[1,2]},{\"t\":[3]}],"
                                 "\"data\":[\"a\",\"b\"],\"prompt\":[1,2]}");
    const struct json *x = json_get(json_get(json_root(doc), "inputs"), "x");
    assert_non_null(json_numbers(x));
    assert_true(json_numbers(x)->dim[1] == 2);
    assert_true(json_numbers(json_next(x))->data[0] == 3);
    assert_int_equal(json_type(json_get(json_root(doc), "instances")), JSON_ARRAY);
    assert_int_equal(json_type(json_get(json_root(doc), "data")), JSON_ARRAY);
    assert_string_equal(json_string(json_first(json_get(json_root(doc), "data")), NULL), "a");
    assert_int_equal(json_count(json_get(json_root(doc), "prompt")), 2);
    json_free(doc);
}

/* head, then `piece` repeated up to 16 MiB, then tail */
static int parse_bulk(const char *head, const char *piece, const char *tail, struct json_doc **doc, char message[200])
{
    size_t bytes = 16u << 20, at = strlen(head), n = strlen(piece), end = bytes - strlen(tail);
    char *text = malloc(bytes + 1);

    assert_non_null(text);
    memcpy(text, head, at);
    while (at + n <= end) memcpy(text + at, piece, n), at += n;
    memcpy(text + at, tail, strlen(tail));
    int code = json_parse(text, at + strlen(tail), 32, doc, message, 200);
    free(text);
    return code;
}

static double cpu(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void sixteen_mebibytes(void **unused)
{
    (void)unused;
    struct json_doc *doc;
    char message[200];
    double start = cpu();

    assert_int_equal(parse_bulk("{\"inputs\":[", "0,", "0]}", &doc, message), 0);
    assert_int_equal(numbers_at(doc, "inputs")->count, 8388602);
    json_free(doc);
    assert_int_equal(parse_bulk("{\"inputs\":[", "[],", "[]]}", &doc, message), 0);
    json_free(doc);
    assert_int_equal(parse_bulk("{\"inputs\":[", "16777217,", "0]}", &doc, message), 0);
    json_free(doc);
    assert_int_equal(parse_bulk("[", "0,", "0]", &doc, message), -1);
    assert_non_null(strstr(message, "too many values"));
    assert_int_equal(parse_bulk("{\"a\":[", "[],", "0]}", &doc, message), -1);
    assert_non_null(strstr(message, "too many values"));
    assert_int_equal(parse_bulk("{\"inputs\":[", "0,", "\"a\"]}", &doc, message), -1);
    assert_int_equal(parse_bulk("\"", "a", "\"", &doc, message), 0);
    json_free(doc);
    assert_int_equal(parse_bulk("[0.", "1", "]", &doc, message), 0);
    json_free(doc);
    assert_int_equal(parse_bulk("{\"inputs\":[0.", "1", "]}", &doc, message), 0);
    json_free(doc);
    assert_int_equal(parse_bulk("", "[", "", &doc, message), -1);
    assert_int_equal(parse_bulk("{\"inputs\":", "[", "", &doc, message), -1);
    assert_int_equal(parse_bulk("{\"a\":1", ",\"a\":1", "}", &doc, message), -1);
    print_message("%.2f s of CPU for twelve bodies of 16 MiB\n", cpu() - start);
    assert_true(cpu() - start < 60); /* quadratic would be hours */
}

static void many_different_keys(void **unused)
{
    (void)unused;
    size_t count = 400000, at = 0, room = count * 24 + 64;
    char *text = malloc(room), message[200];
    struct json_doc *doc;

    assert_non_null(text);
    text[at++] = '{';
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, room - at, "\"key %zu\":1,", (i * 7919) % count);
    size_t before = at;
    at += (size_t)snprintf(text + at, room - at, "\"last\":1}");
    double start = cpu();
    assert_int_equal(json_parse(text, at, 32, &doc, message, sizeof message), 0);
    json_free(doc);
    at = before + (size_t)snprintf(text + before, room - before, "\"key 7\":1}");
    assert_int_equal(json_parse(text, at, 32, &doc, message, sizeof message), -1);
    assert_non_null(strstr(message, "the key \"key 7\" appears twice"));
    assert_true(cpu() - start < 20);
    free(text);
}

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Every value the document shows is looked at. */
static size_t visit(const struct json *v)
{
    size_t seen = 1, bytes;
    double d;
    int64_t i;
    const struct json_numbers *n = json_numbers(v);

    if (n)
        for (size_t k = 0; k < n->count; k++) seen += n->data[k] == 1;
    if (n && n->ragged)
        for (size_t k = 0; k < n->dim[0]; k++) seen += n->lengths[k];
    if (json_string(v, &bytes)) seen += bytes;
    json_number(v, &d);
    json_integer(v, &i);
    for (const struct json *c = json_first(v); c; c = json_next(c)) seen += visit(c);
    return seen;
}

static void mutated_bodies_at_a_guard_page(void **unused)
{
    (void)unused;
    static const char *const corpus[] = {
        "{\"model\":\"m\",\"inputs\":[[[1,2.5e-3],[3,null]],[[\"NaN\",-0.25],[1e10,7]]],\"step\":12345678901234567}",
        "{\"series\":{\"load\":[1,2,3],\"t\\u00e9mp\":[[],[4.5]]},\"horizon\":24,\"quantiles\":[0.1,0.5,0.9]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"h\xC3\xA9 \\ud83d\\ude00\"}],\"stream\":true,\"seed\":null}",
        "[[[[1]]],{\"a\":{\"b\":{\"data\":[0.1,0.2,[3]]}}},-12.75e+2,123456789012345678901234567890]",
    };
    static const char odd[] = "[]{}\",:\\0123456789.-+eEnulltrueNaNu \n\x80\xC3\xED\xF0\xFF\xFE";
    size_t page = (size_t)sysconf(_SC_PAGESIZE), accepted_count = 0;
    char *area = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), message[160];

    assert_ptr_not_equal(area, MAP_FAILED);
    assert_int_equal(mprotect(area + page, page, PROT_NONE), 0);
    for (int round = 0; round < 60000; round++) {
        const char *base = corpus[next_random() % 4];
        size_t n = strlen(base);
        if (next_random() % 3 == 0) n = next_random() % (n + 1);
        char *text = area + page - n;
        memcpy(text, base, n);
        for (size_t k = next_random() % 4; n && k > 0; k--)
            text[next_random() % n] = odd[next_random() % (sizeof odd - 1)];
        struct json_doc *doc;
        if (json_parse(text, n, 1 + next_random() % 12, &doc, message, sizeof message) == 0) {
            accepted_count++;
            assert_true(visit(json_root(doc)) > 0);
            json_free(doc);
        } else {
            assert_memory_equal(message, "line ", 5);
        }
    }
    print_message("%zu of 60000 mutants accepted\n", accepted_count);
    munmap(area, 2 * page);
}

int main(void)
{
    const char *seed = getenv("SEED");
    random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
    print_message("SEED=%llu\n", (unsigned long long)random_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted), cmocka_unit_test(refused), cmocka_unit_test(shapes),
        cmocka_unit_test(objects_below_a_numeric_key), cmocka_unit_test(sixteen_mebibytes),
        cmocka_unit_test(many_different_keys), cmocka_unit_test(mutated_bodies_at_a_guard_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
