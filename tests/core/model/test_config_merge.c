/* test_config_merge.c -- partial configurations on top of whole ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/model/config_merge.h"
#include "tests/lib/build_model.h"

static rnnd_code merge(const char *base, const char *over, char **out, rnnd_error *err)
{
    memset(err, 0, sizeof *err);
    return config_merge(base, strlen(base), over, strlen(over), out, err);
}

static void whose_key_wins(void **unused)
{
    (void)unused;
    static const char *const cases[][3] = {
        {"{}", "{}", "{}"},
        {"{\"format\":1}", "{}", "{\"format\":1}"},
        {"{}", "{\"task\":\"raw\"}", "{\"task\":\"raw\"}"},
        {"{\"format\":1,\"layers\":[{\"type\":\"lstm\"}]}", "{\"name\":\"n\",\"mode\":\"carry\"}",
         "{\"name\":\"n\",\"mode\":\"carry\",\"format\":1,\"layers\":[{\"type\":\"lstm\"}]}"},
        {"{\"name\":\"a\",\"x_\\u0001\\\"\\\\\":1}", "{\"name\":\"b\"}",
         "{\"name\":\"b\",\"x_\\u0001\\\"\\\\\":1}"},
        {"{\"name\":\"a\",\"format\":1}", "{\"name\":null}", "{\"format\":1}"},
        {"{\"name\":null}", "{\"format\":1}", "{\"format\":1}"},
        {"{\"text\":{\"a\":1}}", "{\"text\":{\"b\":2}}", "{\"text\":{\"b\":2}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rnnd_error err;
        char *out;
        if (merge(cases[i][0], cases[i][1], &out, &err)) fail_msg("%s", err.message);
        assert_string_equal(out, cases[i][2]);
        mem_free(out);
    }
}

static void refusals(void **unused)
{
    (void)unused;
    static const char *const cases[][2] = {
        {"{", "{}"}, {"{}", "{"}, {"[]", "{}"}, {"{}", "[]"}, {"{}", "{\"a\":1,\"a\":2}"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rnnd_error err;
        char *out;
        assert_int_not_equal(merge(cases[i][0], cases[i][1], &out, &err), RNND_OK);
        assert_null(out);
        assert_true(strlen(err.message) > 10);
    }
}

static void who_stands_alone(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        bool has;
    } cases[] = {{"{\"layers\":[]}", true},
                 {"{\"graph\":{}}", true},
                 {"{\"layers\":null}", false},
                 {"{\"task\":\"text\"}", false},
                 {"[]", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rnnd_error err;
        bool has;
        assert_int_equal(config_has_network(cases[i].text, strlen(cases[i].text), &has, &err), RNND_OK);
        assert_int_equal(has, cases[i].has);
    }
}

/* A model's name and output given, its layers inside. */
static void opened(void **unused)
{
    (void)unused;
    struct model_builder b;
    size_t bytes;
    rnnd_error err;
    rnnd_model *m;
    builder_init(&b, 1);
    builder_torch(&b, "n", 4, 3, 4, 1, false, 0);
    void *image = builder_image(&b,
                                "{\"format\":1,\"name\":\"inside\",\"license\":\"MIT\",\"inputs\":[{\"width\":3}],"
                                "\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4}]}",
                                &bytes);
    rnnd_options options = {.config = "{\"name\":\"given\",\"output\":\"last\"}"};
    if (rnnd_model_open_memory(image, bytes, "m", &options, &m, &err)) fail_msg("%s", err.message);
    const rnnd_info *i = rnnd_model_info(m);
    assert_string_equal(i->name, "given");
    assert_string_equal(i->license, "MIT");
    assert_true(i->output_last);
    rnnd_model_close(m);
    options.config = "{\"name\":\"given\",\"modes\":1}";
    assert_int_equal(rnnd_model_open_memory(image, bytes, "m", &options, &m, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "modes"));
    mem_free(image);
    builder_free(&b);
}

static void no_memory(void **unused)
{
    (void)unused;
    for (size_t n = 1;; n++) {
        rnnd_error err;
        char *out;
        mem_fail_at(n);
        rnnd_code code = merge("{\"a\":[1,2],\"b\":{\"c\":\"d\"}}", "{\"b\":1}", &out, &err);
        mem_fail_at(0);
        mem_free(out);
        if (!code) return;
        assert_int_equal(code, RNND_NO_MEMORY);
        assert_true(n < 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whose_key_wins), cmocka_unit_test(refusals),
                                       cmocka_unit_test(who_stands_alone), cmocka_unit_test(opened),
                                       cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests_name("core/model/config_merge", tests, NULL, NULL);
}
