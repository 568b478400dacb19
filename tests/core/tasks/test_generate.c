/* test_generate.c -- the generation loop over a scripted model: what is fed, given out, counted and kept. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/tasks/text.h"
#include "tests/lib/fake_text.h"

static const struct text_config byte_texts = {.tokenizer = "bytes", .unknown = -1};

struct result {
    char text[4096];
    size_t length, pieces, token_count, fed, sampled;
    rnnd_token tokens[512];
    rnnd_alternative alternatives[512][4];
    int32_t ids[512];
    rnnd_finish finish;
    rnnd_code code;
    rnnd_error err;
};

static rnnd_generate_params params(const int32_t *prompt, size_t count, int64_t max_tokens)
{
    return (rnnd_generate_params){.prompt = prompt, .prompt_count = count, .max_tokens = max_tokens,
                                  .sampling = RNND_SAMPLING_DEFAULTS};
}

static void read_out(rnnd_generation *g, struct result *r)
{
    size_t bytes;
    const char *text = rnnd_generation_text(g, &bytes);
    if (text) {
        memcpy(r->text + r->length, text, bytes);
        r->length += bytes;
        r->pieces++;
    }
    rnnd_token *t = &r->tokens[r->token_count];
    while (rnnd_generation_token(g, t)) {
        for (size_t i = 0; i < t->alternative_count && i < 4; i++)
            r->alternatives[r->token_count][i] = t->alternatives[i];
        r->ids[r->token_count] = t->id;
        t = &r->tokens[++r->token_count];
    }
}

/* Runs a generation to its end. */
static void run(struct fake_text *f, const rnnd_generate_params *p, struct result *r)
{
    rnnd_generation *g;
    float row[1], *logits = malloc(f->model.info.vocabulary * sizeof *logits);
    memset(r, 0, sizeof *r);
    f->fed = 0;
    r->code = rnnd_generation_open(&f->model, p, f->state, &g, &r->err);
    if (r->code == RNND_OK) {
        assert_int_equal(rnnd_generation_finish(g), RNND_RUNNING);
        while (rnnd_generation_input(g, row)) {
            assert_int_equal(rnnd_generation_finish(g), RNND_RUNNING);
            read_out(g, r);
            fake_text_step(f, row[0], p->prompt_count ? p->prompt_count - 1 : 0, logits);
            rnnd_generation_output(g, logits);
        }
        read_out(g, r);
        r->finish = rnnd_generation_finish(g);
        r->sampled = rnnd_generation_count(g);
    } else {
        assert_null(g);
    }
    rnnd_generation_close(g);
    r->text[r->length] = 0;
    r->fed = f->fed;
    free(logits);
}

static const int32_t hi[] = {'h', 'i'};

static void stops_and_what_is_fed(void **unused)
{
    (void)unused;
    struct fake_text f;
    struct result r;
    fake_text_open(&f, &byte_texts);
    rnnd_generate_params p = params(hi, 2, 100);
    p.sampling.temperature = 0;
    p.stop = (const char *const[]){"END", "\n"};
    p.stop_count = 2;
    f.script = "abEN cdENDxyz";
    run(&f, &p, &r);
    assert_string_equal(r.text, "abEN cd");
    assert_int_equal(r.finish, RNND_STOP);
    assert_int_equal(r.sampled, 10);     /* the stop's tokens count */
    assert_int_equal(r.fed, 2 + 9);      /* all but the one that completed it */
    assert_int_equal(f.last_fed[10], 'N');
    assert_int_equal(r.token_count, 7);  /* those of the text */

    fake_text_reset(&f);
    p.feed_stop = true;
    run(&f, &p, &r);
    assert_string_equal(r.text, "abEN cd");
    assert_int_equal(r.fed, 2 + 10);
    assert_int_equal(f.last_fed[11], 'D');

    fake_text_reset(&f);
    p.min_bytes = 3;
    f.script = "a\nbc\nd";
    run(&f, &p, &r);
    assert_string_equal(r.text, "a\nbc");
    fake_text_reset(&f);
    p.min_bytes = 0;
    f.script = "\nabc";
    run(&f, &p, &r);
    assert_string_equal(r.text, "");
    assert_int_equal(r.sampled, 1);
    assert_int_equal(r.token_count, 0);
    fake_text_close(&f);
}

static void limits_feed_the_last_token(void **unused)
{
    (void)unused;
    struct fake_text f;
    struct result r;
    fake_text_open(&f, &byte_texts);
    rnnd_generate_params p = params(hi, 2, 0);
    p.sampling.temperature = 0;
    f.script = "xyz";
    run(&f, &p, &r);
    assert_int_equal(r.finish, RNND_LENGTH);
    assert_int_equal(r.fed, 2);
    assert_int_equal(r.sampled + r.length + r.token_count, 0);
    p.max_tokens = 1;
    fake_text_reset(&f);
    run(&f, &p, &r);
    assert_int_equal(r.finish, RNND_LENGTH);
    assert_int_equal(r.fed, 3);
    assert_string_equal(r.text, "x");
    p.stop = (const char *const[]){"yzz"};
    p.stop_count = 1;
    p.max_tokens = 3;
    fake_text_reset(&f);
    run(&f, &p, &r); /* what was held back comes out at the end */
    assert_string_equal(r.text, "xyz");
    assert_int_equal(r.token_count, 3);
    p.prompt_count = 0; /* nothing to feed and nothing to sample */
    p.max_tokens = 0;
    run(&f, &p, &r);
    assert_int_equal(r.finish, RNND_LENGTH);
    assert_int_equal(r.fed, 0);
    fake_text_close(&f);
}

static void only_whole_characters_come_out(void **unused)
{
    (void)unused;
    struct fake_text f;
    struct result r;
    fake_text_open(&f, &byte_texts);
    rnnd_generate_params p = params(hi, 2, 6);
    p.sampling.temperature = 0;
    f.script = "\xE2\x82\xAC\xC3\xA9!";
    run(&f, &p, &r);
    assert_string_equal(r.text, f.script);
    assert_int_equal(r.pieces, 3);
    assert_int_equal(r.token_count, 6);
    fake_text_reset(&f);
    f.script = "a\xE2\x82zz\xFF";
    run(&f, &p, &r);
    assert_string_equal(r.text, "a\xEF\xBF\xBDzz\xEF\xBF\xBD");
    fake_text_reset(&f);
    p.max_tokens = 3;
    run(&f, &p, &r); /* ends inside a character */
    assert_string_equal(r.text, "a\xEF\xBF\xBD");
    assert_int_equal(r.token_count, 3);
    fake_text_close(&f);
}

static void echo_and_scores(void **unused)
{
    (void)unused;
    struct fake_text f;
    struct result r;
    fake_text_open(&f, &byte_texts);
    rnnd_generate_params p = params(hi, 2, 2);
    p.sampling.temperature = 0;
    p.echo = true;
    f.script = "xy";
    run(&f, &p, &r);
    assert_string_equal(r.text, "hixy");
    assert_int_equal(r.token_count, 4);
    assert_true(r.tokens[0].from_prompt && r.tokens[1].from_prompt && !r.tokens[2].from_prompt);
    assert_false(r.tokens[0].has_logprob || r.tokens[1].has_logprob || r.tokens[2].has_logprob);

    fake_text_reset(&f);
    p.score_prompt = true;
    p.sampling.logprobs = 3;
    p.stop = (const char *const[]){"i"}; /* does not count in the prompt */
    p.stop_count = 1;
    run(&f, &p, &r);
    assert_string_equal(r.text, "hixy");
    assert_int_equal(r.token_count, 4);
    assert_false(r.tokens[0].has_logprob); /* a fresh state foretold nothing */
    for (int i = 1; i < 4; i++) {
        assert_true(r.tokens[i].has_logprob && r.tokens[i].logprob <= 0);
        assert_int_equal(r.tokens[i].alternative_count, 3);
        assert_true(r.alternatives[i][0].logprob >= r.alternatives[i][1].logprob);
    }
    assert_int_equal(r.alternatives[2][0].id, 'x');
    assert_true(r.alternatives[2][0].logprob == r.tokens[2].logprob);

    p.echo = false; /* score alone: tokens, no text; now the state holds a last output */
    p.max_tokens = 0;
    run(&f, &p, &r);
    assert_int_equal(r.length, 0);
    assert_int_equal(r.token_count, 2);
    assert_true(r.tokens[0].has_logprob && r.tokens[1].has_logprob);
    fake_text_close(&f);
}

static void logprobs_are_the_models_own(void **unused)
{
    (void)unused;
    struct fake_text f;
    struct result r;
    float logits[256], logprobs[256];
    fake_text_open(&f, &byte_texts);
    rnnd_generate_params p = params(hi, 2, 1);
    p.sampling.logprobs = 0;
    p.sampling.temperature = 0.3f;
    p.sampling.bias = (rnnd_logit_bias[]){{'q', 100}};
    p.sampling.bias_count = 1;
    run(&f, &p, &r);
    assert_string_equal(r.text, "q");
    assert_int_equal(r.tokens[0].alternative_count, 0);
    fake_text_reset(&f);
    f.fed = 0;
    fake_text_step(&f, 'h', 0, logits);
    fake_text_step(&f, 'i', 0, logits);
    rnnd_log_softmax(&f.model, logits, logprobs);
    assert_true(r.tokens[0].logprob == logprobs['q']);
    double sum = 0;
    for (int i = 0; i < 256; i++)
        sum += exp((double)logits[i]);
    assert_true(fabs(logprobs['q'] - (logits['q'] - log(sum))) < 1e-5);
    fake_text_close(&f);
}

/* A session cut into requests says what one long request says, and ends in the same state. */
static void two_requests_equal_one(void **unused)
{
    (void)unused;
    struct fake_text f;
    struct result whole, part;
    fake_text_open(&f, &byte_texts);
    for (uint64_t seed = 1; seed < 40; seed++) {
        rnnd_generate_params p = params(hi, 2, 40);
        p.sampling.temperature = 0.8f;
        p.sampling.top_p = 0.9f;
        p.sampling.seeded = true;
        p.sampling.seed = seed;
        fake_text_reset(&f);
        run(&f, &p, &whole);
        void *end = malloc(f.model.state_bytes);
        memcpy(end, f.state, f.model.state_bytes);

        int32_t ids[40];
        size_t n = 0, cut = seed % 40;
        fake_text_reset(&f);
        for (int request = 0; request < 2; request++) {
            p.max_tokens = request ? 40 - (int64_t)cut : (int64_t)cut;
            run(&f, &p, &part);
            memcpy(ids + n, part.ids, part.token_count * sizeof *ids);
            n += part.token_count;
            p.prompt_count = 0;
            p.sampling.seeded = false;
        }
        assert_int_equal(n, whole.token_count);
        assert_memory_equal(ids, whole.ids, n * sizeof *ids);
        assert_memory_equal(end, f.state, f.model.state_bytes);
        free(end);
    }
    fake_text_close(&f);
}

static void seeds_decide(void **unused)
{
    (void)unused;
    struct fake_text f;
    struct result a, b;
    fake_text_open(&f, &byte_texts);
    rnnd_generate_params p = params(hi, 2, 50);
    p.sampling.seeded = true;
    p.sampling.seed = 5;
    run(&f, &p, &a);
    fake_text_reset(&f);
    run(&f, &p, &b);
    assert_memory_equal(a.ids, b.ids, sizeof a.ids);
    fake_text_reset(&f);
    p.sampling.seed = 6;
    run(&f, &p, &b);
    assert_memory_not_equal(a.ids, b.ids, sizeof a.ids);
    fake_text_close(&f);
}

static void refusals_leave_the_state_alone(void **unused)
{
    (void)unused;
    struct fake_text f;
    struct result r;
    fake_text_open(&f, &byte_texts);
    void *copy = malloc(f.model.state_bytes);
    memcpy(copy, f.state, f.model.state_bytes);
    rnnd_generate_params p = params(NULL, 0, 5);
    p.sampling.seeded = true;
    p.sampling.seed = 99;
    run(&f, &p, &r);
    assert_int_equal(r.code, RNND_INVALID); /* a fresh state and no prompt */
    assert_string_equal(r.err.param, "prompt");
    p = params((const int32_t[]){1, 256}, 2, 5);
    run(&f, &p, &r);
    assert_int_equal(r.code, RNND_MISMATCH);
    assert_non_null(strstr(r.err.message, "token 1 of the prompt is 256"));
    p = params(hi, 2, -2);
    run(&f, &p, &r);
    assert_int_equal(r.code, RNND_INVALID);
    p = params(hi, 2, 5);
    p.sampling.seeded = true;
    p.stop = (const char *const[]){"a", "b"};
    p.stop_count = 2;
    p.sampling.bias = (rnnd_logit_bias[]){{1, 1}};
    p.sampling.bias_count = 1;
    p.sampling.logprobs = 2;
    for (size_t n = 1;; n++) {
        assert_true(n < 50);
        rnnd_generation *g;
        mem_fail_at(n);
        rnnd_code code = rnnd_generation_open(&f.model, &p, f.state, &g, NULL);
        size_t made = mem_fail_at(0);
        assert_int_equal(code, made < n ? RNND_OK : RNND_NO_MEMORY);
        rnnd_generation_close(g);
        if (made < n)
            break;
    }
    assert_memory_equal(copy, f.state, f.model.state_bytes);
    free(copy);
    fake_text_close(&f);
}

static void stepping_does_not_allocate(void **unused)
{
    (void)unused;
    struct fake_text f;
    rnnd_generation *g;
    rnnd_token t;
    float row[1], logits[256];
    size_t bytes, total = 0;
    fake_text_open(&f, &byte_texts);
    rnnd_generate_params p = params(hi, 2, -1);
    p.echo = p.score_prompt = true;
    p.sampling.logprobs = 5;
    p.sampling.top_k = 40;
    p.stop = (const char *const[]){"never is this said"};
    p.stop_count = 1;
    assert_int_equal(rnnd_generation_open(&f.model, &p, f.state, &g, NULL), RNND_OK);
    mem_fail_at(1);
    for (int i = 0; i < 5000; i++) {
        assert_true(rnnd_generation_input(g, row));
        fake_text_step(&f, row[0], 0, logits);
        rnnd_generation_output(g, logits);
        rnnd_generation_text(g, &bytes);
        total += bytes;
        while (rnnd_generation_token(g, &t))
            ;
    }
    assert_int_equal(mem_fail_at(0), 0);
    assert_true(total > 5000);
    rnnd_generation_close(g);

    /* and a text that nobody reads ends in words, not in a crash, whenever memory is out */
    p.max_tokens = 300;
    for (size_t n = 1;; n++) {
        assert_true(n < 50);
        assert_int_equal(rnnd_generation_open(&f.model, &p, f.state, &g, NULL), RNND_OK);
        mem_fail_at(n);
        size_t steps = 0;
        for (; rnnd_generation_input(g, row); steps++) {
            fake_text_step(&f, row[0], 0, logits);
            rnnd_generation_output(g, logits);
        }
        bool failed = mem_fail_at(0) >= n;
        assert_int_equal(rnnd_generation_finish(g), failed ? RNND_FAILED : RNND_LENGTH);
        assert_true(failed ? steps >= 10 && steps < 300 : rnnd_generation_count(g) == 300);
        while (rnnd_generation_text(g, &bytes) || rnnd_generation_token(g, &t)) /* what there was can be read */
            ;
        rnnd_generation_close(g);
        if (!failed)
            break;
    }
    fake_text_close(&f);
}

static void chars_speak_in_symbols(void **unused)
{
    (void)unused;
    static const char *symbols[] = {"a", "\xC3\xA9", "<unk>"};
    struct fake_text f;
    struct result r;
    const struct text_config texts = {.tokenizer = "chars", .symbols = symbols, .symbol_count = 3, .unknown = 2};
    fake_text_open(&f, &texts);
    rnnd_generate_params p = params((const int32_t[]){0}, 1, 3);
    p.sampling.temperature = 0;
    f.script = "\x01\x02\x01";
    run(&f, &p, &r);
    assert_string_equal(r.text, "\xC3\xA9<unk>\xC3\xA9");
    assert_int_equal(r.token_count, 3);
    fake_text_close(&f);
}

/* "^" begins every text, "$" ends it: neither is part of it. */
static void texts_begin_and_end(void **unused)
{
    (void)unused;
    struct fake_text f;
    struct result r;
    struct text_config texts = byte_texts;
    texts.has_begin = texts.has_end = true;
    texts.begin = '^', texts.end = '$';
    fake_text_open(&f, &texts);
    rnnd_generate_params p = params(hi, 2, 100);
    p.sampling.temperature = 0;
    p.sampling.logprobs = 0;
    p.echo = p.score_prompt = true;
    f.script = "?yz$qr"; /* the skipped rows count from the prompt: one is for what begins it */
    run(&f, &p, &r);
    assert_string_equal(r.text, "hiyz");
    assert_int_equal(r.finish, RNND_STOP);
    assert_int_equal(r.sampled, 3);
    assert_int_equal(r.fed, 1 + 2 + 2);
    assert_int_equal(f.last_fed[0], '^');
    assert_int_equal(f.last_fed[4], 'z');
    assert_int_equal(r.token_count, 4);
    assert_true(r.tokens[0].has_logprob && r.tokens[0].from_prompt); /* something stood before it */

    p.feed_stop = true; /* a state that has heard something begins no text; the end is fed on request */
    p.echo = false;
    f.script = "x$";
    run(&f, &p, &r);
    assert_string_equal(r.text, "x");
    assert_int_equal(f.last_fed[0], 'h');
    assert_int_equal(r.fed, 2 + 2);
    assert_int_equal(f.last_fed[3], '$');

    fake_text_reset(&f); /* who begins it himself is believed */
    p = params((const int32_t[]){'^', 'a'}, 2, 1);
    run(&f, &p, &r);
    assert_int_equal(r.fed, 3);
    assert_int_equal(f.last_fed[1], 'a');

    fake_text_reset(&f); /* no prompt at all */
    p = params(NULL, 0, 2);
    p.sampling.temperature = 0;
    f.script = "ab";
    run(&f, &p, &r);
    assert_string_equal(r.text, "ab");
    assert_int_equal(f.last_fed[0], '^');
    fake_text_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_and_what_is_fed),          cmocka_unit_test(limits_feed_the_last_token),
        cmocka_unit_test(only_whole_characters_come_out), cmocka_unit_test(echo_and_scores),
        cmocka_unit_test(logprobs_are_the_models_own),    cmocka_unit_test(two_requests_equal_one),
        cmocka_unit_test(seeds_decide),                   cmocka_unit_test(refusals_leave_the_state_alone),
        cmocka_unit_test(stepping_does_not_allocate),     cmocka_unit_test(chars_speak_in_symbols),
        cmocka_unit_test(texts_begin_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
