/* test_chat.c -- the dialogue template, cut at any room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/fake_text.h"

static const char *stops[] = {"\n\n", "<end>"};
static const struct text_config chat = {.tokenizer = "bytes",
                                        .unknown = -1,
                                        .chat = true,
                                        .user_prefix = "U:",
                                        .user_suffix = "\n",
                                        .assistant_prefix = "A:",
                                        .assistant_suffix = ".\n",
                                        .system_suffix = "|",
                                        .opening = "#",
                                        .turn_stops = stops,
                                        .turn_stop_count = 2,
                                        .turn_min_bytes = 2};

#define TEXT(role, s) {role, s, sizeof s - 1}

static void check(struct fake_text *f, const rnnd_message *m, size_t n, bool continues, const char *wanted)
{
    char out[100];
    size_t bytes, length = strlen(wanted);
    for (size_t cap = 0; cap < sizeof out; cap++) {
        memset(out, '~', sizeof out);
        assert_int_equal(rnnd_chat_prompt(&f->model, m, n, continues, cap ? out : NULL, cap, &bytes, NULL), RNND_OK);
        assert_int_equal(bytes, length);
        size_t written = cap < length ? cap : length;
        assert_memory_equal(out, wanted, written);
        assert_true(written == sizeof out || out[written] == '~');
    }
}

static void dialogues(void **unused)
{
    (void)unused;
    struct fake_text f;
    fake_text_open(&f, &chat);
    const rnnd_message m[] = {TEXT(RNND_SYSTEM, "be kind"), TEXT(RNND_USER, "hi"), TEXT(RNND_ASSISTANT, "oh"),
                              TEXT(RNND_SYSTEM, "now"), {RNND_USER, NULL, 0}};
    check(&f, m, 5, false, "be kind|#U:hi\nA:oh.\nnow|U:\nA:");
    check(&f, m, 5, true, "U:hi\nA:oh.\nU:\nA:");
    check(&f, m + 1, 1, false, "#U:hi\nA:");
    check(&f, m + 1, 1, true, "U:hi\nA:");
    const char *const *list;
    size_t least, bytes;
    assert_int_equal(rnnd_chat_stops(&f.model, &list, &least), 2);
    assert_string_equal(list[1], "<end>");
    assert_int_equal(least, 2);
    rnnd_error err = {0};
    assert_int_equal(rnnd_chat_prompt(&f.model, m, 0, false, NULL, 0, &bytes, &err), RNND_INVALID);
    assert_string_equal(err.param, "messages");
    fake_text_close(&f);
}

static void models_without_a_template(void **unused)
{
    (void)unused;
    struct fake_text f;
    rnnd_error err = {0};
    const rnnd_message m[] = {TEXT(RNND_USER, "hi")};
    const char *const *list;
    size_t least, bytes;
    fake_text_open(&f, &(struct text_config){.tokenizer = "bytes", .unknown = -1});
    assert_int_equal(rnnd_chat_prompt(&f.model, m, 1, false, NULL, 0, &bytes, &err), RNND_UNSUPPORTED);
    assert_non_null(strstr(err.message, "no chat template"));
    assert_int_equal(rnnd_chat_stops(&f.model, &list, &least), 0);
    f.model.info.task = RNND_RAW;
    assert_int_equal(rnnd_chat_prompt(&f.model, m, 1, false, NULL, 0, &bytes, &err), RNND_UNSUPPORTED);
    assert_non_null(strstr(err.message, "not a text model"));
    fake_text_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dialogues), cmocka_unit_test(models_without_a_template)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
