/* test_routes.c -- patterns, parameters, and what is said where nothing fits. */
#include "server/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *method, const char *path, const char *pattern, const char *param)
{
    struct route_match m;
    enum route_result result = routes_match(method, path, &m);
    if (result != ROUTE_FOUND) fail_msg("%s %s finds nothing", method, path);
    assert_string_equal(m.route->pattern, pattern);
    assert_string_equal(m.route->method, method);
    assert_int_equal(m.count, param ? 1 : 0);
    if (param) assert_string_equal(m.params[0], param);
}

static void paths_find_their_routes(void **unused)
{
    (void)unused;
    expect("POST", "/v1/sessions", "/v1/sessions", NULL);
    expect("GET", "/v1/sessions/abc", "/v1/sessions/{id}", "abc");
    expect("POST", "/v1/sessions/a:b~c/steps", "/v1/sessions/{id}/steps", "a:b~c");
    expect("PUT", "/v1/sessions/x/state", "/v1/sessions/{id}/state", "x");
    expect("GET", "/v1/sessions/x/state", "/v1/sessions/{id}/state", "x");
    expect("POST", "/v1/models/taxi:predict", "/v1/models/{model}:predict", "taxi");
    expect("POST", "/v1/models/a:predict:predict", "/v1/models/{model}:predict", "a:predict");
    expect("GET", "/v1/models/taxi", "/v1/models/{model}", "taxi");
    expect("GET", "/v1/models/taxi:predict", "/v1/models/{model}", "taxi:predict");
    expect("GET", "/", "/", NULL);
    expect("GET", "/ui/page.js", "/ui/{file}", "page.js");
    expect("POST", "/v1/chat/completions", "/v1/chat/completions", NULL);
}

static void other_paths_find_nothing(void **unused)
{
    static const char *const paths[] = {"", "v1/sessions", "/v1", "/v1/", "/v1/sessions/", "/v1/sessions//steps", "//",
                                        "/v1/sessions/a/steps/", "/v1/sessions/a/b", "/v1/models/", "/ui/", "/ui/a/b",
                                        "/V1/sessions", "/v1/session", "/v1/sessionsx"};
    struct route_match m;
    (void)unused;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (routes_match("GET", paths[i], &m) != ROUTE_UNKNOWN) fail_msg("GET %s finds something", paths[i]);
    char longest[3000];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "/v1/sessions/", 13);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(routes_match("GET", longest, &m), ROUTE_UNKNOWN);
}

static void a_wrong_method_names_the_right_ones(void **unused)
{
    struct route_match m;
    (void)unused;
    assert_int_equal(routes_match("PATCH", "/v1/sessions/a", &m), ROUTE_METHOD);
    assert_string_equal(m.allow, "GET, HEAD, DELETE");
    assert_int_equal(routes_match("DELETE", "/v1/sessions", &m), ROUTE_METHOD);
    assert_string_equal(m.allow, "POST, GET, HEAD");
    assert_int_equal(routes_match("GET", "/v1/sessions/a/steps", &m), ROUTE_METHOD);
    assert_string_equal(m.allow, "POST");
    assert_int_equal(routes_match("POST", "/v1/models/taxi", &m), ROUTE_METHOD);
    assert_string_equal(m.allow, "GET, HEAD");
}

/* Every row is reached by its own pattern with its parameters filled in; none hides another. */
static void every_route_is_reached(void **unused)
{
    const struct route *table;
    size_t count = routes_list(&table);
    (void)unused;
    for (size_t i = 0; i < count; i++) {
        char path[256];
        size_t n = 0;
        for (const char *p = table[i].pattern; *p; p++) {
            if (*p != '{') {
                path[n++] = *p;
                continue;
            }
            path[n++] = 'q';
            p = strchr(p, '}');
        }
        path[n] = '\0';
        struct route_match m;
        assert_int_equal(routes_match(table[i].method, path, &m), ROUTE_FOUND);
        assert_ptr_equal(m.route, &table[i]);
        assert_non_null(table[i].handler);
    }
}

/* The description is JSON and has every route but the page's files and the tests' own, with the parts of its path. */
static void every_route_is_described(void **unused)
{
    const struct route *table;
    size_t count = routes_list(&table);
    struct json_out o;
    struct json_doc *doc;
    char message[200];
    (void)unused;
    json_out_init(&o);
    openapi_write(&o);
    assert_false(o.failed);
    if (json_parse(o.data, o.bytes, 32, &doc, message, sizeof message)) fail_msg("%s", message);
    assert_string_equal(json_string(json_get(json_root(doc), "openapi"), NULL), "3.1.0");
    const struct json *paths = json_get(json_root(doc), "paths");
    for (size_t i = 0; i < count; i++) {
        const struct json *path = json_get(paths, table[i].pattern), *operation;
        char method[16] = "";
        if (!strncmp(table[i].pattern, "/ui/", 4) || !strncmp(table[i].pattern, "/test/", 6)) {
            assert_null(path);
            continue;
        }
        for (size_t k = 0; table[i].method[k]; k++) method[k] = (char)(table[i].method[k] | 0x20);
        operation = json_get(path, method);
        assert_string_equal(json_string(json_get(operation, "summary"), NULL), table[i].summary);
        assert_int_equal(json_type(json_get(operation, "requestBody")) == JSON_OBJECT, table[i].takes != NULL);
        assert_int_equal(json_type(json_get(json_get(operation, "responses"), "2XX")), JSON_OBJECT);
        assert_int_equal(json_count(json_get(path, "parameters")), strchr(table[i].pattern, '{') != NULL);
    }
    json_free(doc);
    json_out_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_their_routes),
        cmocka_unit_test(other_paths_find_nothing),
        cmocka_unit_test(a_wrong_method_names_the_right_ones),
        cmocka_unit_test(every_route_is_reached),
        cmocka_unit_test(every_route_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
