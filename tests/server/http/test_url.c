/* test_url.c -- request targets taken apart: authority, path, query; what is no target is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/http/http_private.h"

static struct http_server server; /* of no use but to recycle requests */

static struct http_request *parse(const char *target)
{
    struct http_request *r = recycle_take(&server);
    assert_non_null(r);
    r->target = recycle_text(r, target);
    url_parse(r);
    return r;
}

static void expect(const char *target, const char *authority, const char *path)
{
    struct http_request *r = parse(target);
    if (r->target_error) fail_msg("%s: %s", target, r->target_error);
    assert_string_equal(r->path, path);
    assert_int_equal(r->authority_bytes, authority ? strlen(authority) : 0);
    if (authority) assert_memory_equal(r->authority, authority, r->authority_bytes);
    recycle_give(r);
}

static void paths_are_decoded_once(void **unused)
{
    (void)unused;
    expect("/", NULL, "/");
    expect("*", NULL, "*");
    expect("/a%20b+c", NULL, "/a b+c");
    expect("/a%2520b", NULL, "/a%20b");
    expect("/%e2%82%AC", NULL, "/\xe2\x82\xac");
    expect("/a..b/...", NULL, "/a..b/...");
    expect("//x", NULL, "//x");
    expect("http://host:1/p?q", "host:1", "/p");
    expect("HTTPS://host", "host", "/");
    expect("http://host?q=1", "host", "/");
}

static void what_is_no_target_is_said(void **unused)
{
    static const char *const targets[] = {"", "a", "/a%", "/a%4", "/a%g0", "/%00", "/a?b=%00", "/a?b=%", "/a?%zz=1",
                                          "/.", "/..", "/a/./b", "/a/%2e%2E", "/#x", "/a#", "/\x01", "/a?b=\x7f",
                                          "http://host/../x", "**"};
    (void)unused;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct http_request *r = parse(targets[i]);
        if (!r->target_error) fail_msg("'%s' is taken, as %s", targets[i], r->path);
        recycle_give(r);
    }
}

static void query(const struct http_request *r, const char *name, const char *wanted)
{
    const char *found = http_query(r, name);
    if (!wanted && found) fail_msg("%s: %s is '%s'", r->target, name, found);
    if (wanted) {
        assert_non_null(found);
        assert_string_equal(found, wanted);
    }
}

static void queries_are_pairs(void **unused)
{
    (void)unused;
    struct http_request *r = parse("/p?a=1&b&c=&d=x+y%2bz&=v&a=2&e=1=2&%66=%3D");
    assert_null(r->target_error);
    query(r, "a", "1"); /* the first of several */
    query(r, "b", "");
    query(r, "c", "");
    query(r, "d", "x y+z");
    query(r, "", "v");
    query(r, "e", "1=2");
    query(r, "f", "=");
    query(r, "g", NULL);
    recycle_give(r);
    r = parse("/p?");
    query(r, "", NULL);
    recycle_give(r);
    r = parse("/p");
    query(r, "p", NULL);
    recycle_give(r);
}

/* Pairs without a value need room too; the block is as long as the query and the terminators. */
static void many_bare_names(void **unused)
{
    char target[400] = "/p?";
    (void)unused;
    for (int i = 0; i < 100; i++) snprintf(target + 3 + 3 * i, 8, "%02u&", (unsigned)i % 100);
    struct http_request *r = parse(target);
    assert_null(r->target_error);
    query(r, "00", "");
    query(r, "63", "");
    query(r, "64", NULL); /* 64 pairs at most */
    recycle_give(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_decoded_once),
        cmocka_unit_test(what_is_no_target_is_said),
        cmocka_unit_test(queries_are_pairs),
        cmocka_unit_test(many_bare_names),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    recycle_free_all(&server);
    return failed;
}
