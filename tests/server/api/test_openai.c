/* test_openai.c -- the text routes as OpenAI's clients meet them, on the tiny models, against the built server. */
#include <arpa/inet.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/reply.h"

static struct test_server *server;
static struct test_client *client;

static int start(void **state)
{
    static const char *const arguments[] = {"--test-hooks", "models/tiny/text.safetensors",
                                            "models/tiny/chars.safetensors", "models/tiny/lstm.safetensors", NULL};
    (void)state;
    server = test_server_start(arguments);
    client = server ? test_client_open(server) : NULL;
    return client ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    test_client_close(client);
    return test_server_stop(server);
}

static void expect_error(const char *path, const char *json, int status, const char *param)
{
    struct answer a;
    ask(client, path, json, NULL, &a);
    if (a.status != status || strcmp(text_at(&a, "error.param"), param))
        fail_msg("%s %s: wanted %d about '%s', found %d %s", path, json, status, param, a.status,
                 a.raw.body ? a.raw.body : "");
    assert_true(*text_at(&a, "error.message") && *text_at(&a, "error.type") && *text_at(&a, "error.code"));
    answer_free(&a);
}

static char *complete(const char *json)
{
    struct answer a;
    char *text;
    ask(client, "/v1/completions", json, NULL, &a);
    if (a.status != 200) fail_msg("%s: %d %s", json, a.status, a.raw.body);
    text = strdup(text_at(&a, "choices.0.text"));
    answer_free(&a);
    return text;
}

static void test_models(void **state)
{
    struct answer a;
    (void)state;
    ask(client, "/v1/models", NULL, NULL, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(text_at(&a, "object"), "list");
    assert_int_equal(json_count(at(&a, "data")), 3);
    assert_string_equal(text_at(&a, "data.0.id"), "chars");
    assert_string_equal(text_at(&a, "data.0.object"), "model");
    assert_true(number_at(&a, "data.0.created") > 1.6e9);
    assert_true(*text_at(&a, "data.0.owned_by"));
    answer_free(&a);
    ask(client, "/v1/models/text", NULL, NULL, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(text_at(&a, "id"), "text");
    answer_free(&a);
    ask(client, "/v1/models/nobody", NULL, NULL, &a);
    assert_int_equal(a.status, 404);
    assert_string_equal(text_at(&a, "error.code"), "model_not_found");
    answer_free(&a);
    expect_error("/v1/completions", "{\"model\":\"nobody\",\"prompt\":\"a\"}", 404, "model");
}

static void test_completion_shape(void **state)
{
    struct answer a;
    (void)state;
    ask(client, "/v1/completions", "{\"model\":\"text\",\"prompt\":\"Hello\",\"seed\":1,\"user\":\"u\",\"unknown\":{}}",
        NULL, &a);
    assert_int_equal(a.status, 200);
    assert_memory_equal(text_at(&a, "id"), "cmpl-", 5);
    assert_string_equal(text_at(&a, "object"), "text_completion");
    assert_string_equal(text_at(&a, "model"), "text");
    assert_int_equal(json_count(at(&a, "choices")), 1);
    assert_true(number_at(&a, "choices.0.index") == 0);
    assert_true(is_null_at(&a, "choices.0.logprobs"));
    assert_string_equal(text_at(&a, "choices.0.finish_reason"), "length");
    assert_true(number_at(&a, "usage.prompt_tokens") == 5);
    assert_true(number_at(&a, "usage.completion_tokens") == 16);
    assert_true(number_at(&a, "usage.total_tokens") == 21);
    assert_true(number_at(&a, "usage.prompt_tokens_details.cached_tokens") == 0);
    answer_free(&a);
}

static void test_prompt_forms_agree(void **state)
{
    static const char *const forms[] = {"\"abc\"", "[\"abc\"]", "[97,98,99]", "[[97,98,99]]"};
    char json[200], *first = NULL;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        snprintf(json, sizeof json, "{\"model\":\"text\",\"prompt\":%s,\"seed\":7,\"max_tokens\":40}", forms[i]);
        char *text = complete(json);
        if (first) assert_string_equal(text, first);
        else first = strdup(text);
        assert_true(strlen(text) >= 40);
        free(text);
    }
    free(first);
}

static void test_seed_and_temperature(void **state)
{
    char *a = complete("{\"model\":\"text\",\"prompt\":\"x\",\"seed\":-5,\"max_tokens\":60}");
    char *b = complete("{\"model\":\"text\",\"prompt\":\"x\",\"seed\":-5,\"max_tokens\":60}");
    char *c = complete("{\"model\":\"text\",\"prompt\":\"x\",\"max_tokens\":60}");
    char *d = complete("{\"model\":\"text\",\"prompt\":\"x\",\"max_tokens\":60}");
    char *e = complete("{\"model\":\"text\",\"prompt\":\"x\",\"max_tokens\":60,\"temperature\":0}");
    char *f = complete("{\"model\":\"text\",\"prompt\":\"x\",\"max_tokens\":60,\"top_k\":1,\"seed\":9}");
    (void)state;
    assert_string_equal(a, b);
    assert_string_not_equal(c, d);
    assert_string_equal(e, f);
    free(a), free(b), free(c), free(d), free(e), free(f);
}

/* choice k is what it is, whoever stands beside it */
static void test_n_and_many_prompts(void **state)
{
    struct answer many, one;
    char json[200], path[40];
    (void)state;
    ask(client, "/v1/completions",
        "{\"model\":\"text\",\"prompt\":[\"one\",\"two\"],\"n\":3,\"seed\":11,\"max_tokens\":30}", NULL, &many);
    assert_int_equal(many.status, 200);
    assert_int_equal(json_count(at(&many, "choices")), 6);
    for (int p = 0; p < 2; p++) {
        snprintf(json, sizeof json, "{\"model\":\"text\",\"prompt\":\"%s\",\"n\":3,\"seed\":11,\"max_tokens\":30}",
                 p ? "two" : "one");
        ask(client, "/v1/completions", json, NULL, &one);
        for (int k = 0; k < 3; k++) {
            char whole[40];
            snprintf(path, sizeof path, "choices.%d.text", k);
            snprintf(whole, sizeof whole, "choices.%d.text", p * 3 + k);
            assert_string_equal(text_at(&one, path), text_at(&many, whole));
            snprintf(whole, sizeof whole, "choices.%d.index", p * 3 + k);
            assert_true(number_at(&many, whole) == p * 3 + k);
        }
        assert_string_not_equal(text_at(&one, "choices.0.text"), text_at(&one, "choices.1.text"));
        answer_free(&one);
    }
    assert_true(number_at(&many, "usage.completion_tokens") == 180);
    assert_true(number_at(&many, "usage.prompt_tokens") == 6);
    answer_free(&many);
}

static double mean_logprob(const struct answer *a, int choice)
{
    char path[64];
    double sum = 0, v;
    size_t n = 0;
    snprintf(path, sizeof path, "choices.%d.logprobs.token_logprobs", choice);
    for (const struct json *e = json_first(at(a, path)); e; e = json_next(e))
        if (json_number(e, &v)) sum += v, n++;
    return sum / (double)n;
}

static void test_best_of(void **state)
{
    struct answer all, best;
    int top = 0;
    char path[40];
    (void)state;
    ask(client, "/v1/completions",
        "{\"model\":\"text\",\"prompt\":\"q\",\"n\":5,\"seed\":3,\"max_tokens\":20,\"logprobs\":0}", NULL, &all);
    ask(client, "/v1/completions", "{\"model\":\"text\",\"prompt\":\"q\",\"best_of\":5,\"seed\":3,\"max_tokens\":20}",
        NULL, &best);
    assert_int_equal(json_count(at(&best, "choices")), 1);
    for (int k = 1; k < 5; k++)
        if (mean_logprob(&all, k) > mean_logprob(&all, top)) top = k;
    snprintf(path, sizeof path, "choices.%d.text", top);
    assert_string_equal(text_at(&best, "choices.0.text"), text_at(&all, path));
    assert_true(number_at(&best, "usage.completion_tokens") == 100);
    answer_free(&all);
    answer_free(&best);
    expect_error("/v1/completions", "{\"model\":\"text\",\"prompt\":\"q\",\"best_of\":2,\"stream\":true}", 400,
                 "best_of");
    expect_error("/v1/completions", "{\"model\":\"text\",\"prompt\":\"q\",\"best_of\":2,\"n\":3}", 400, "best_of");
}

static void test_stop(void **state)
{
    struct answer a;
    char json[300], cut[8] = "", *whole = complete("{\"model\":\"text\",\"prompt\":\"x\",\"seed\":21,\"max_tokens\":80,"
                                                   "\"logit_bias\":{\"10\":-100}}");
    const char *found;
    (void)state;
    memcpy(cut, whole + 30, 3);
    found = strstr(whole, cut);
    for (const char *p = cut; *p; p++) assert_true(*p >= ' ' && *p < 127 && *p != '"' && *p != '\\');
    snprintf(json, sizeof json, "{\"model\":\"text\",\"prompt\":\"x\",\"seed\":21,\"max_tokens\":80,"
             "\"logit_bias\":{\"10\":-100},\"stop\":[\"never this\",\"%s\"]}", cut);
    ask(client, "/v1/completions", json, NULL, &a);
    assert_string_equal(text_at(&a, "choices.0.finish_reason"), "stop");
    assert_int_equal(strlen(text_at(&a, "choices.0.text")), found - whole);
    assert_memory_equal(text_at(&a, "choices.0.text"), whole, (size_t)(found - whole));
    answer_free(&a);
    free(whole);
}

/* echo with log-probabilities says of the prompt what /v1/score says */
static void test_echo_logprobs_and_score(void **state)
{
    struct answer a, s;
    double sum = 0, v;
    size_t i = 0;
    (void)state;
    ask(client, "/v1/completions", "{\"model\":\"text\",\"prompt\":\"Hello \xc3\xa9!\",\"echo\":true,\"max_tokens\":0,"
        "\"logprobs\":2}", NULL, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(text_at(&a, "choices.0.text"), "Hello \xc3\xa9!");
    assert_int_equal(json_count(at(&a, "choices.0.logprobs.tokens")), 9);
    assert_string_equal(text_at(&a, "choices.0.logprobs.tokens.0"), "H");
    assert_string_equal(text_at(&a, "choices.0.logprobs.tokens.6"), "bytes:\\xc3");
    assert_true(is_null_at(&a, "choices.0.logprobs.token_logprobs.0"));
    assert_true(is_null_at(&a, "choices.0.logprobs.top_logprobs.0"));
    assert_true(json_count(at(&a, "choices.0.logprobs.top_logprobs.1")) >= 2);
    assert_true(json_count(at(&a, "choices.0.logprobs.top_logprobs.1")) <= 3);
    static const double offsets[] = {0, 1, 2, 3, 4, 5, 6, 6, 7};
    for (const struct json *e = json_first(at(&a, "choices.0.logprobs.text_offset")); e; e = json_next(e), i++)
        assert_true(json_number(e, &v) && v == offsets[i]);
    assert_int_equal(i, 9);
    for (const struct json *e = json_first(at(&a, "choices.0.logprobs.token_logprobs")); e; e = json_next(e))
        if (json_number(e, &v)) sum += v;
    ask(client, "/v1/score", "{\"model\":\"text\",\"text\":\"Hello \xc3\xa9!\"}", NULL, &s);
    assert_int_equal(s.status, 200);
    assert_true(fabs(number_at(&s, "nats") + sum) < 1e-4);
    assert_string_equal(text_at(&s, "unit"), "byte");
    assert_true(number_at(&s, "tokens") == 9 && number_at(&s, "scored_tokens") == 8);
    assert_true(fabs(number_at(&s, "bits_per_byte") - number_at(&s, "nats") / log(2) / 8) < 1e-9);
    assert_true(fabs(number_at(&s, "perplexity") / exp(number_at(&s, "nats") / 8) - 1) < 1e-12);
    answer_free(&a);
    answer_free(&s);
}

/* A long prompt is fed in windows, one whose tokens are scored step by step, many at once in company: one answer. */
static void test_long_prompts(void **state)
{
    char prompt[701], json[2][4096];
    struct answer a, b;
    (void)state;
    for (int bytes = 63; bytes <= 700; bytes += bytes < 70 ? 1 : 210) {
        for (int i = 0; i < bytes; i++)
            prompt[i] = (char)('a' + i * i % 23);
        prompt[bytes] = 0;
        for (int echo = 0; echo < 2; echo++)
            snprintf(json[echo], sizeof json[0],
                     "{\"model\":\"text\",\"prompt\":\"%s\",\"max_tokens\":9,\"seed\":4,\"logprobs\":1,\"echo\":%s}",
                     prompt, echo ? "true" : "false");
        ask(client, "/v1/completions", json[0], NULL, &a);
        ask(client, "/v1/completions", json[1], NULL, &b);
        assert_string_equal(text_at(&b, "choices.0.text") + bytes, text_at(&a, "choices.0.text"));
        assert_int_equal(number_at(&a, "usage.prompt_tokens"), bytes);
        for (int i = 0; i < 9; i++) {
            char path[2][64];
            snprintf(path[0], sizeof path[0], "choices.0.logprobs.token_logprobs.%d", i);
            snprintf(path[1], sizeof path[1], "choices.0.logprobs.token_logprobs.%d", bytes + i);
            assert_true(number_at(&a, path[0]) < 0 && number_at(&a, path[0]) == number_at(&b, path[1]));
        }
        answer_free(&b);
        snprintf(json[1], sizeof json[1],
                 "{\"model\":\"text\",\"prompt\":[\"%s\",\"%s\"],\"max_tokens\":9,\"temperature\":0,\"echo\":true}",
                 prompt, prompt); /* the first in windows, the second beside it */
        ask(client, "/v1/completions", json[1], NULL, &b);
        assert_string_equal(text_at(&b, "choices.0.text"), text_at(&b, "choices.1.text"));
        assert_memory_equal(text_at(&b, "choices.0.text"), prompt, (size_t)bytes);
        answer_free(&a);
        answer_free(&b);
    }
}

static void test_tokenize(void **state)
{
    struct answer a;
    (void)state;
    ask(client, "/tokenize", "{\"model\":\"chars\",\"content\":\"a\xe2\x82\xac\xf0\x9f\x98\x80\"}", NULL, &a);
    assert_int_equal(a.status, 200);
    assert_true(number_at(&a, "count") == 3 && number_at(&a, "tokens.1") == 41);
    answer_free(&a);
    ask(client, "/detokenize", "{\"model\":\"chars\",\"tokens\":[2,41,42]}", NULL, &a);
    assert_string_equal(text_at(&a, "text"), "a\xe2\x82\xac\xf0\x9f\x98\x80");
    answer_free(&a);
    expect_error("/detokenize", "{\"model\":\"chars\",\"tokens\":[2,43]}", 400, "tokens");
    ask(client, "/v1/completions", "{\"model\":\"chars\",\"prompt\":\"a%b\"}", NULL, &a);
    assert_int_equal(a.status, 422);
    assert_non_null(strstr(text_at(&a, "error.message"), "%"));
    answer_free(&a);
}

static void test_chat_shape(void **state)
{
    struct answer a;
    (void)state;
    ask(client, "/v1/chat/completions",
        "{\"model\":\"text\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":"
        "[{\"type\":\"text\",\"text\":\"Hi\"},{\"type\":\"text\",\"text\":\" you\"}]}],\"seed\":1,\"logprobs\":true,"
        "\"top_logprobs\":2,\"tools\":[],\"max_completion_tokens\":12,\"max_tokens\":99}", NULL, &a);
    assert_int_equal(a.status, 200);
    assert_memory_equal(text_at(&a, "id"), "chatcmpl-", 9);
    assert_string_equal(text_at(&a, "object"), "chat.completion");
    assert_string_equal(text_at(&a, "choices.0.message.role"), "assistant");
    assert_true(is_null_at(&a, "choices.0.message.refusal"));
    assert_true(number_at(&a, "usage.completion_tokens") <= 12);
    /* "s\n" "U: Hi you\n" "A: " */
    assert_true(number_at(&a, "usage.prompt_tokens") == 2 + 10 + 3);
    assert_true(is_null_at(&a, "choices.0.logprobs.refusal"));
    assert_true(number_at(&a, "choices.0.logprobs.content.0.logprob") < 0);
    assert_int_equal(json_count(at(&a, "choices.0.logprobs.content.0.top_logprobs")), 2);
    assert_int_equal(json_count(at(&a, "choices.0.logprobs.content.0.bytes")), 1);
    answer_free(&a);
}

static void test_stream_is_the_reply_in_pieces(void **state)
{
    static const char body[] = "\"model\":\"text\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"seed\":4,"
                               "\"n\":2,\"max_tokens\":50";
    struct answer a;
    struct events *e = calloc(1, sizeof *e);
    char json[400], path[40];
    size_t finishes = 0;
    (void)state;
    snprintf(json, sizeof json, "{%s}", body);
    ask(client, "/v1/chat/completions", json, NULL, &a);
    snprintf(json, sizeof json, "{%s,\"stream\":true,\"stream_options\":{\"include_usage\":true}}", body);
    ask_stream(client, "/v1/chat/completions", json, NULL, e);
    assert_int_equal(e->status, 200);
    assert_true(e->done && !e->broken);
    for (int k = 0; k < 2; k++) {
        char *text = events_text(e, k);
        snprintf(path, sizeof path, "choices.%d.message.content", k);
        assert_string_equal(text, text_at(&a, path));
        free(text);
        assert_string_equal(json_string(json_at(json_root(e->docs[k]), "choices.0.delta.role"), NULL), "assistant");
    }
    for (size_t i = 0; i + 1 < e->count; i++) {
        const struct json *root = json_root(e->docs[i]);
        assert_string_equal(json_string(json_get(root, "object"), NULL), "chat.completion.chunk");
        assert_true(json_get(root, "usage") && json_type(json_get(root, "usage")) == JSON_NULL);
        assert_string_equal(json_string(json_get(root, "id"), NULL),
                            json_string(json_get(json_root(e->docs[0]), "id"), NULL));
        if (json_type(json_at(root, "choices.0.finish_reason")) == JSON_STRING) {
            assert_int_equal(json_count(json_at(root, "choices.0.delta")), 0);
            finishes++;
        }
    }
    assert_int_equal(finishes, 2);
    const struct json *last = json_root(e->docs[e->count - 1]);
    double total;
    assert_int_equal(json_count(json_get(last, "choices")), 0);
    assert_true(json_number(json_at(last, "usage.total_tokens"), &total) &&
                total == number_at(&a, "usage.total_tokens"));
    events_free(e);
    free(e);
    answer_free(&a);
}

static void test_completion_stream(void **state)
{
    static const char body[] =
        "\"model\":\"chars\",\"prompt\":\"hello\",\"seed\":4,\"max_tokens\":200,\"logprobs\":1,\"echo\":true";
    struct answer a;
    struct events *e = calloc(1, sizeof *e);
    char json[400];
    size_t tokens = 0;
    (void)state;
    snprintf(json, sizeof json, "{%s}", body);
    ask(client, "/v1/completions", json, NULL, &a);
    assert_int_equal(a.status, 200);
    snprintf(json, sizeof json, "{%s,\"stream\":true}", body);
    ask_stream(client, "/v1/completions", json, NULL, e);
    char *text = events_text(e, 0);
    assert_string_equal(text, text_at(&a, "choices.0.text"));
    assert_memory_equal(text, "hello", 5);
    for (size_t i = 0; i < e->count; i++)
        tokens += json_count(json_at(json_root(e->docs[i]), "choices.0.logprobs.tokens"));
    assert_int_equal(tokens, 205);
    assert_true(e->done);
    assert_null(json_get(json_root(e->docs[0]), "usage"));
    free(text);
    events_free(e);
    free(e);
    answer_free(&a);
}

static void test_refusals(void **state)
{
    static const struct { const char *fields, *param; } chat[] = {
        {"\"temperature\":2.1", "temperature"},
        {"\"top_p\":-0.1", "top_p"},
        {"\"top_p\":\"x\"", "top_p"},
        {"\"frequency_penalty\":3", "frequency_penalty"},
        {"\"presence_penalty\":-3", "presence_penalty"},
        {"\"n\":0", "n"},
        {"\"n\":129", "n"},
        {"\"n\":1.5", "n"},
        {"\"max_tokens\":-2", "max_tokens"},
        {"\"max_tokens\":-1", "max_tokens"},
        {"\"max_tokens\":0", "max_tokens"},
        {"\"max_tokens\":100000", "max_tokens"},
        {"\"max_completion_tokens\":-1", "max_completion_tokens"},
        {"\"seed\":1.5", "seed"},
        {"\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop"},
        {"\"stop\":3", "stop"},
        {"\"stop\":\"\"", "stop"},
        {"\"logit_bias\":{\"999\":1}", "logit_bias"},
        {"\"logit_bias\":{\"1\":101}", "logit_bias"},
        {"\"logit_bias\":[]", "logit_bias"},
        {"\"top_logprobs\":3", "top_logprobs"},
        {"\"logprobs\":true,\"top_logprobs\":21", "top_logprobs"},
        {"\"tools\":[{}]", "tools"},
        {"\"functions\":[{}]", "functions"},
        {"\"response_format\":{\"type\":\"json_object\"}", "response_format"},
        {"\"stream\":1", "stream"},
        {"\"stream_options\":{\"include_usage\":true}", "stream_options"},
        {"\"session\":3", "session"},
        {"\"session\":\"s\",\"n\":2", "n"},
        {"\"return_state\":true,\"n\":2", "return_state"},
    };
    static const char *const messages[] = {"[]",
                                           "\"x\"",
                                           "[{\"role\":\"king\",\"content\":\"x\"}]",
                                           "[{\"role\":\"user\"}]",
                                           "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]",
                                           "[{\"role\":\"user\",\"content\":1}]"};
    static const char *const prompts[] = {"{}",   "[1,\"a\"]",   "[\"a\",1]", "[256]",
                                          "[-1]", "[[1],[300]]", "[1.5]",     "[]"};
    char json[400];
    (void)state;
    for (size_t i = 0; i < sizeof chat / sizeof *chat; i++) {
        snprintf(json, sizeof json, "{\"model\":\"text\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],%s}",
                 chat[i].fields);
        expect_error("/v1/chat/completions", json, 400, chat[i].param);
    }
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        snprintf(json, sizeof json, "{\"model\":\"text\",\"messages\":%s}", messages[i]);
        expect_error("/v1/chat/completions", json, 400, "messages");
    }
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        snprintf(json, sizeof json, "{\"model\":\"text\",\"prompt\":%s}", prompts[i]);
        expect_error("/v1/completions", json, 400, "prompt");
    }
    expect_error("/v1/completions", "{\"model\":\"text\",\"prompt\":\"\"}", 400, "prompt");
    expect_error("/v1/completions", "{\"model\":\"text\",\"prompt\":\"a\",\"suffix\":\"b\"}", 400, "suffix");
    expect_error("/v1/completions", "{\"model\":\"text\",\"prompt\":\"a\",\"logprobs\":6}", 400, "logprobs");
    expect_error("/v1/completions", "{\"model\":\"lstm\",\"prompt\":\"a\"}", 422, "model");
    expect_error("/v1/completions", "{\"prompt\":\"a\"}", 400, "model");
}

/* null means the default, everywhere */
static void test_nulls(void **state)
{
    char *a =
        complete("{\"model\":\"text\",\"prompt\":\"n\",\"seed\":2,\"max_tokens\":null,\"n\":null,\"best_of\":null,"
                 "\"echo\":null,\"temperature\":null,\"top_p\":null,\"frequency_penalty\":null,"
                 "\"presence_penalty\":null,\"logit_bias\":null,\"logprobs\":null,\"stop\":null,\"stream\":null,"
                 "\"stream_options\":null,\"suffix\":null,\"user\":null}");
    char *b = complete("{\"model\":\"text\",\"prompt\":\"n\",\"seed\":2}");
    (void)state;
    assert_string_equal(a, b);
    free(a), free(b);
}

static const char chat_turn[] =
    "{\"model\":\"text\",\"session\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],"
    "\"max_tokens\":20%s}";

static void turn(const char *id, const char *said, const char *more, const char *const *headers, struct answer *a)
{
    char json[400];
    snprintf(json, sizeof json, chat_turn, id, said, more);
    ask(client, "/v1/chat/completions", json, headers, a);
}

static void test_session(void **state)
{
    struct answer a, b, c;
    double step;
    char more[40];
    (void)state;
    turn("s1", "Hi", "", NULL, &a);
    assert_int_equal(a.status, 200);
    step = number_at(&a, "session.step");
    assert_string_equal(text_at(&a, "session.id"), "s1");
    assert_true(step >= number_at(&a, "usage.total_tokens") - 1 && step <= number_at(&a, "usage.total_tokens"));
    assert_true(number_at(&a, "usage.prompt_tokens_details.cached_tokens") == 0);
    turn("s1", "More", "", NULL, &b); /* "U: More\nA: " */
    assert_int_equal(b.status, 200);
    assert_true(number_at(&b, "usage.prompt_tokens_details.cached_tokens") == step);
    assert_true(number_at(&b, "usage.prompt_tokens") == step + 11);
    snprintf(more, sizeof more, ",\"step\":%.0f", step); /* no such body before: a conflict */
    turn("s1", "More", more, NULL, &c);
    assert_int_equal(c.status, 409);
    assert_string_equal(text_at(&c, "error.code"), "step_conflict");
    char retry[16];
    assert_true(test_reply_header(&c.raw, "x-should-retry", retry, sizeof retry));
    assert_string_equal(retry, "false");
    answer_free(&a), answer_free(&b), answer_free(&c);
    ask(client, "/v1/completions", "{\"session\":\"s1\",\"prompt\":\"x\",\"max_tokens\":1}", NULL, &a);
    assert_int_equal(a.status, 200); /* two models are loaded: the session's is meant */
    assert_string_equal(text_at(&a, "model"), "text");
    ask(client, "/v1/completions", "{\"session\":\"nobody\",\"prompt\":\"x\",\"max_tokens\":1}", NULL, &b);
    assert_int_equal(b.status, 400);
    answer_free(&a), answer_free(&b);
}

/* What OpenAI's client sends again after a lost reply gives the same text and moves the session once. */
static void test_session_replays(void **state)
{
    static const char *const again[] = {"x-stainless-retry-count: 1", NULL};
    static const char *const key[] = {"Idempotency-Key: k1", NULL};
    struct answer a, b, c, d;
    char more[40];
    (void)state;
    turn("s2", "Hi", "", NULL, &a);
    turn("s2", "Hi", "", again, &b);
    assert_string_equal(text_at(&a, "choices.0.message.content"), text_at(&b, "choices.0.message.content"));
    assert_true(number_at(&a, "session.step") == number_at(&b, "session.step"));
    bool replayed = false;
    assert_true(json_bool(at(&b, "session.replayed"), &replayed) && replayed);
    answer_free(&b);
    turn("s2", "Two", "", key, &b);
    turn("s2", "Two", "", key, &c);
    assert_string_equal(text_at(&b, "choices.0.message.content"), text_at(&c, "choices.0.message.content"));
    turn("s2", "Other", "", key, &d);
    assert_int_equal(d.status, 422);
    answer_free(&d);
    snprintf(more, sizeof more, ",\"step\":%.0f", number_at(&c, "session.step"));
    turn("s2", "Three", more, NULL, &d);
    answer_free(&a);
    turn("s2", "Three", more, NULL, &a);
    assert_int_equal(d.status, 200);
    assert_int_equal(a.status, 200);
    assert_string_equal(text_at(&a, "choices.0.message.content"), text_at(&d, "choices.0.message.content"));
    answer_free(&a), answer_free(&b), answer_free(&c), answer_free(&d);
}

/* A turn in a session is what the whole text would be: a completion cut in two is the completion. */
static void test_session_continues(void **state)
{
    struct answer a, b;
    char *whole = complete("{\"model\":\"text\",\"prompt\":\"go on\",\"temperature\":0,\"max_tokens\":40}");
    char both[200];
    (void)state;
    ask(client, "/v1/completions", "{\"model\":\"text\",\"prompt\":\"go on\",\"temperature\":0,\"max_tokens\":15,"
        "\"session\":\"s3\",\"return_state\":true}", NULL, &a);
    assert_true(strlen(text_at(&a, "state")) > 100);
    ask(client, "/v1/completions", "{\"model\":\"text\",\"prompt\":\"\",\"temperature\":0,\"max_tokens\":25,"
        "\"session\":\"s3\"}", NULL, &b);
    assert_int_equal(b.status, 200);
    snprintf(both, sizeof both, "%s%s", text_at(&a, "choices.0.text"), text_at(&b, "choices.0.text"));
    assert_string_equal(both, whole);
    free(whole);
    answer_free(&a), answer_free(&b);
}

static double session_step(const char *id)
{
    struct answer a;
    char path[80];
    snprintf(path, sizeof path, "/v1/sessions/%s", id);
    ask(client, path, NULL, NULL, &a);
    double step = a.status == 200 ? number_at(&a, "step") : -1;
    answer_free(&a);
    return step;
}

static double quiet_steps(void)
{
    double steps = test_metric(client, "rnnd_steps_total"), later = -1;
    for (int i = 0; i < 900; i++, steps = later) { /* under a sanitizer filling the sockets takes its time */
        usleep(100000);
        later = test_metric(client, "rnnd_steps_total");
        if (steps == later) return later;
    }
    return -1;
}

/* A client that leaves ends its job at that step, and its session is as before. */
static void test_client_leaves(void **state)
{
    struct events *e = calloc(1, sizeof *e);
    struct test_client *other = test_client_open(server);
    struct answer a;
    (void)state;
    turn("s4", "Hi", "", NULL, &a);
    double before = session_step("s4");
    e->hang_up_after = 20000;
    ask_stream(other, "/v1/completions",
               "{\"model\":\"text\",\"session\":\"s4\",\"prompt\":\"on and on\",\"max_tokens\":-1,"
               "\"stream\":true}",
               NULL, e);
    test_client_close(other);
    assert_true(e->bytes >= 20000 && !e->done);
    assert_true(quiet_steps() > 0);
    assert_true(session_step("s4") == before);
    answer_free(&a);
    turn("s4", "Still there?", "", NULL, &a);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    events_free(e);
    free(e);
}

/* A client that does not read stops its own stream, not the server; when it reads again the stream goes on. */
static void test_client_reads_slowly(void **state)
{
    static const char body[] = "{\"model\":\"text\",\"prompt\":\"x\",\"max_tokens\":-1,\"stream\":true}";
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(server->port), .sin_addr.s_addr = htonl(0x7F000001)};
    char request[400], drain[65536];
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    double stalled, later = -1;
    (void)state;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    int n = snprintf(request, sizeof request,
                     "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
                     body);
    assert_int_equal(write(fd, request, (size_t)n), n);
    stalled = quiet_steps();
    assert_true(stalled > 0);
    size_t got = 0;
    for (int i = 0; i < 2000 && later <= stalled; i++) {
        ssize_t k = read(fd, drain, sizeof drain);
        assert_true(k > 0);
        got += (size_t)k;
        if (i % 20 == 19) later = test_metric(client, "rnnd_steps_total");
    }
    assert_true(later > stalled);
    close(fd);
    assert_true(quiet_steps() > 0); /* and it ends with the client */
}

static void test_stream_session(void **state)
{
    struct events *e = calloc(1, sizeof *e);
    double step = -1, here;
    char json[300];
    (void)state;
    snprintf(json, sizeof json, chat_turn, "s5", "Hi", ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    ask_stream(client, "/v1/chat/completions", json, NULL, e);
    assert_true(e->done);
    assert_true(json_number(json_at(json_root(e->docs[e->count - 1]), "session.step"), &step));
    here = session_step("s5");
    assert_true(step == here && step > 0);
    events_free(e);
    free(e);
}

static void test_page(void **state)
{
    static const char *const paths[] = {"/", "/ui/page.js", "/ui/page.css"};
    char policy[300];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct test_reply r = {0};
        assert_true(test_request(client, "GET", paths[i], NULL, NULL, 0, &r));
        assert_int_equal(r.status, 200);
        assert_true(r.bytes > 500);
        assert_true(test_reply_header(&r, "Content-Security-Policy", policy, sizeof policy));
        assert_non_null(strstr(policy, "default-src 'none'"));
        test_reply_free(&r);
    }
    struct answer a;
    ask(client, "/ui/none.js", NULL, NULL, &a);
    assert_int_equal(a.status, 404);
    answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_completion_shape),
        cmocka_unit_test(test_prompt_forms_agree),
        cmocka_unit_test(test_seed_and_temperature),
        cmocka_unit_test(test_n_and_many_prompts),
        cmocka_unit_test(test_best_of),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_echo_logprobs_and_score),
        cmocka_unit_test(test_long_prompts),
        cmocka_unit_test(test_tokenize),
        cmocka_unit_test(test_chat_shape),
        cmocka_unit_test(test_stream_is_the_reply_in_pieces),
        cmocka_unit_test(test_completion_stream),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_session),
        cmocka_unit_test(test_session_replays),
        cmocka_unit_test(test_session_continues),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_client_reads_slowly),
        cmocka_unit_test(test_stream_session),
        cmocka_unit_test(test_page),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
