/* test_text.c -- the task around the network: widths, ids, the kept row. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/tasks/text.h"
#include "tests/lib/fake_text.h"

static const struct text_config byte_texts = {.tokenizer = "bytes", .unknown = -1};

static void ids_are_whole_and_inside(void **unused)
{
    (void)unused;
    struct fake_text f;
    float row[256];
    rnnd_error err = {0};
    fake_text_open(&f, &byte_texts);
    static const float bad[] = {-1, 256, 0.5f, 254.99f, NAN, INFINITY, -INFINITY, 1e30f};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(task_text.before(&f.model, f.state + 1, &bad[i], row, &err), RNND_MISMATCH);
    for (int i = 0; i < 256; i++) {
        float id = (float)i;
        assert_int_equal(task_text.before(&f.model, f.state + 1, &id, row, &err), RNND_OK);
        assert_true(row[0] == id);
    }
    f.model.network_inputs = 256; /* one-hot */
    float id = 65;
    assert_int_equal(task_text.before(&f.model, f.state + 1, &id, row, &err), RNND_OK);
    for (int i = 0; i < 256; i++)
        assert_true(row[i] == (i == 65));
    fake_text_close(&f);
}

static void info_and_state(void **unused)
{
    (void)unused;
    struct fake_text f;
    float logits[256];
    fake_text_open(&f, &byte_texts);
    assert_int_equal(f.model.info.vocabulary, 256);
    assert_int_equal(f.model.info.input_width, 1);
    assert_int_equal(f.model.info.output_width, 256);
    assert_int_equal(f.model.info.inputs[0].limit, 256);
    assert_string_equal(f.model.info.tokenizer, "bytes");
    assert_int_equal(f.model.task_bytes, 24 + 4 * 256);
    const struct text_state *s = (const void *)(f.state + 1);
    assert_int_equal(s->has_last, 0);
    fake_text_step(&f, 7, 0, logits);
    assert_int_equal(s->has_last, 1);
    assert_memory_equal(s->last, logits, sizeof logits);
    fake_text_reset(&f);
    assert_int_equal(s->has_last, 0);
    for (int i = 0; i < 256; i++)
        assert_true(s->last[i] == 0);
    size_t n;
    assert_null(rnnd_token_bytes(&f.model, 256, &n));
    assert_null(rnnd_token_bytes(&f.model, -1, &n));
    assert_memory_equal(rnnd_token_bytes(&f.model, 0, &n), "", 1);
    assert_int_equal(n, 1);
    f.model.info.task = RNND_SERIES;
    rnnd_error err = {0};
    int32_t id;
    assert_int_equal(rnnd_tokenize(&f.model, "a", 1, &id, 1, &n, &err), RNND_UNSUPPORTED);
    assert_null(rnnd_token_bytes(&f.model, 0, &n));
    fake_text_close(&f);
}

static void networks_that_do_not_fit_are_refused(void **unused)
{
    (void)unused;
    struct fake_text f;
    rnnd_error err = {0};
    fake_text_open(&f, &byte_texts);
    static const rnnd_port narrow = {.name = "ids", .width = 1, .is_ids = true, .limit = 200};
    f.model.network_outputs = 255;
    assert_int_equal(task_text.attach(&f.model, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "255 outputs"));
    f.model.network_outputs = 256;
    f.model.network_inputs = 3;
    assert_int_equal(task_text.attach(&f.model, &err), RNND_MISMATCH);
    f.model.network_inputs = 1;
    f.model.info.inputs = &narrow;
    assert_int_equal(task_text.attach(&f.model, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "ids below 200"));
    fake_text_close(&f);
}

/* Parts that no text leaves in a state. */
static void strange_states(void **unused)
{
    (void)unused;
    struct fake_text f;
    rnnd_error err = {0};
    float logits[256];
    fake_text_open(&f, &byte_texts);
    struct text_state *s = (struct text_state *)model_task_state(&f.model, f.state), kept = *s;
    assert_int_equal(task_text.verify(&f.model, 0, s, &err), RNND_OK);
    s->last[255] = 1e-9f;
    assert_int_equal(task_text.verify(&f.model, 0, s, &err), RNND_CORRUPT);
    s->last[255] = 0;
    fake_text_step(&f, 7, 0, logits);
    assert_int_equal(task_text.verify(&f.model, 1, s, &err), RNND_OK);
    s->has_last = 2;
    assert_int_equal(task_text.verify(&f.model, 1, s, &err), RNND_CORRUPT);
    s->has_last = 1;
    s->rng.increment = kept.rng.increment + 1;
    assert_int_equal(task_text.verify(&f.model, 1, s, &err), RNND_CORRUPT);
    s->rng = kept.rng;
    s->last[3] = NAN;
    assert_int_equal(task_text.verify(&f.model, 1, s, &err), RNND_CORRUPT);
    assert_non_null(strstr(err.message, "logit 3"));
    fake_text_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ids_are_whole_and_inside), cmocka_unit_test(info_and_state),
                                       cmocka_unit_test(networks_that_do_not_fit_are_refused),
                                       cmocka_unit_test(strange_states)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
