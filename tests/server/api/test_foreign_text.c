/* test_foreign_text.c -- character models of Keras as text models: what they say over HTTP is what their network says.
 *
 * A small model of textgenrnn's kind is committed (tests/vectors/make_text.py, with the answers of its equations in
 * float64); where ../shared/real is there, the published file is held to the same. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/arrays.h"
#include "tests/lib/reply.h"

#define VECTORS "tests/vectors/text/"
#define REAL "../shared/real/"

static struct test_server *server;
static struct test_client *client;
static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void copy_file(const char *from, const char *name)
{
    size_t bytes;
    unsigned char *data = arrays_file(from, &bytes);
    FILE *f = fopen(in_folder(name), "wb");
    if (!data || !f) fail_msg("%s cannot be copied", from);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
    free(data);
}

/* Serves a file with a side file and a vocabulary beside it as "net". */
static void serve(const char *model, const char *side_file, const char *vocabulary)
{
    snprintf(folder, sizeof folder, "/tmp/rnnd-text-XXXXXX");
    assert_non_null(mkdtemp(folder));
    copy_file(model, "net.h5");
    copy_file(side_file, "net.rnnd.json");
    if (vocabulary) copy_file(vocabulary, strrchr(vocabulary, '/') + 1);
    server = test_server_start((const char *const[]){folder, NULL});
    assert_non_null(server);
    client = test_client_open(server);
}

static int end_server(void **state)
{
    static const char *const names[] = {"net.h5", "net.rnnd.json", "characters_vocab.json", "textgenrnn_vocab.json"};
    int status = 0;
    (void)state;
    if (server) {
        test_client_close(client);
        status = test_server_stop(server);
    }
    server = NULL;
    for (size_t i = 0; *folder && i < sizeof names / sizeof *names; i++)
        unlink(in_folder(names[i]));
    if (*folder) rmdir(folder);
    *folder = 0;
    return status;
}

static struct json_doc *read_json(const char *path)
{
    size_t bytes;
    char message[200] = "", *text = (char *)arrays_file(path, &bytes);
    struct json_doc *doc;
    assert_non_null(text);
    if (json_parse(text, bytes, 16, &doc, message, sizeof message)) fail_msg("%s: %s", path, message);
    free(text);
    return doc;
}

/* {"model":"net","prompt":..,REST}, owned. */
static char *request(const struct json *prompt, const char *rest)
{
    struct json_out o;
    size_t bytes;
    const char *text = json_string(prompt, &bytes);
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "model");
    json_put_text(&o, "net");
    json_put_key(&o, "prompt");
    json_put_string(&o, text, bytes);
    json_append(&o, rest, strlen(rest));
    json_close(&o, '}');
    json_append(&o, "", 1);
    assert_false(o.failed);
    return o.data;
}

static void same_text(const struct json *got, const struct json *wanted)
{
    size_t n, m;
    const char *a = json_string(got, &n), *b = json_string(wanted, &m);
    if (!a || !b || n != m || memcmp(a, b, n) != 0) fail_msg("found \"%s\", wanted \"%s\"", a ? a : "", b ? b : "");
}

/* The likeliest symbols and their log-probabilities; the same in pieces; and told by a seed. */
static void says(const struct json *wanted)
{
    struct answer a;
    struct events *e = calloc(1, sizeof *e);
    char *json = request(json_get(wanted, "prompt"), ",\"max_tokens\":40,\"temperature\":0,\"seed\":4,\"logprobs\":2");
    ask(client, "/v1/completions", json, NULL, &a);
    if (a.status != 200) fail_msg("%s: %d %s", json, a.status, a.raw.body);
    same_text(at(&a, "choices.0.text"), json_get(wanted, "text"));
    same_text(at(&a, "choices.0.finish_reason"), json_get(wanted, "finish"));
    const struct json *token = json_first(json_get(wanted, "tokens")),
                      *number = json_first(json_get(wanted, "logprobs"));
    const struct json *got = json_first(at(&a, "choices.0.logprobs.tokens"));
    const struct json *logprob = json_first(at(&a, "choices.0.logprobs.token_logprobs"));
    size_t n = json_count(json_get(wanted, "tokens"));
    assert_int_equal(json_count(at(&a, "choices.0.logprobs.tokens")), n);
    for (; token; token = json_next(token), got = json_next(got)) {
        double x, y;
        same_text(got, token);
        assert_true(json_number(logprob, &x) && json_number(number, &y));
        if (!(fabs(x - y) <= 1e-5 * fmax(1, fabs(y)))) fail_msg("log-probability %.9g, wanted %.9g", x, y);
        logprob = json_next(logprob), number = json_next(number);
    }
    answer_free(&a);
    free(json);
    json = request(json_get(wanted, "prompt"), ",\"max_tokens\":40,\"temperature\":0,\"stream\":true");
    ask_stream(client, "/v1/completions", json, NULL, e);
    char *joined = events_text(e, 0);
    size_t bytes;
    assert_true(e->done);
    assert_string_equal(joined, json_string(json_get(wanted, "text"), &bytes));
    free(joined);
    free(json);
    events_free(e);
    free(e);
}

/* A session goes on where it stopped; what it says in two requests is what it says in one. */
static void goes_on(const struct json *wanted)
{
    struct answer a;
    char *json = request(json_get(wanted, "prompt"), ",\"max_tokens\":7,\"temperature\":0,\"session\":\"s\"");
    size_t bytes, fed = json_count(json_get(wanted, "ids")) - json_count(json_get(wanted, "tokens")) + 7;
    const char *whole = json_string(json_get(wanted, "text"), &bytes);
    ask(client, "/v1/completions", json, NULL, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(text_at(&a, "choices.0.finish_reason"), "length");
    size_t first = strlen(text_at(&a, "choices.0.text"));
    assert_memory_equal(text_at(&a, "choices.0.text"), whole, first);
    assert_true(number_at(&a, "session.step") == (double)fed); /* what begins a text is a step too */
    answer_free(&a);
    free(json);
    ask(client, "/v1/completions",
        "{\"model\":\"net\",\"prompt\":\"\",\"max_tokens\":33,\"temperature\":0,\"session\":\"s\"}", NULL, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(text_at(&a, "choices.0.text"), whole + first);
    same_text(at(&a, "choices.0.finish_reason"), json_get(wanted, "finish"));
    answer_free(&a);
}

/* A seed draws the same text again, and never the placeholder (a symbol without text). */
static void draws(void)
{
    static const char body[] = "{\"model\":\"net\",\"prompt\":\"the\",\"max_tokens\":40,\"seed\":9,\"logprobs\":0}";
    struct answer a, b;
    ask(client, "/v1/completions", body, NULL, &a);
    ask(client, "/v1/completions", body, NULL, &b);
    assert_int_equal(a.status, 200);
    assert_string_equal(text_at(&a, "choices.0.text"), text_at(&b, "choices.0.text"));
    for (const struct json *t = json_first(at(&a, "choices.0.logprobs.tokens")); t; t = json_next(t)) {
        size_t bytes;
        assert_non_null(json_string(t, &bytes));
        assert_true(bytes > 0);
    }
    answer_free(&a);
    answer_free(&b);
}

static void holds_to(const char *cases)
{
    struct json_doc *doc = read_json(cases);
    const struct json *first = json_first(json_get(json_root(doc), "cases"));
    assert_non_null(first);
    for (const struct json *c = first; c; c = json_next(c))
        says(c);
    goes_on(first);
    draws();
    json_free(doc);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* Ids as the steps of a session; its last answer goes to the caller. */
static void steps(const char *session, const char *key, const float *ids, size_t count, const char *rest,
                  struct answer *a)
{
    struct json_out o;
    char path[80];
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "model");
    json_put_text(&o, "net");
    json_put_key(&o, "outputs");
    json_put_text(&o, "last");
    json_put_key(&o, key);
    json_open(&o, '[');
    for (size_t i = 0; i < count; i++)
        json_put_int(&o, (int64_t)ids[i]);
    json_close(&o, ']');
    json_append(&o, rest, strlen(rest));
    json_close(&o, '}');
    json_append(&o, "", 1);
    assert_false(o.failed);
    snprintf(path, sizeof path, "/v1/sessions/%s/steps", session);
    ask(client, path, o.data, NULL, a);
    if (a->status != 200) fail_msg("%s: %d %s", o.data, a->status, a->raw.body);
    assert_true(number_at(a, "step") == (double)count);
    json_out_free(&o);
}

/* The text model, stepped through a window by hand, answers the logarithms of the network's probabilities. */
static void step_through_windows(const char *cases)
{
    struct json_doc *doc = read_json(cases);
    const struct json *windows = json_get(json_root(doc), "windows");
    size_t number = 0;
    assert_true(json_count(windows) > 0);
    for (const struct json *w = json_first(windows); w; w = json_next(w), number++) {
        float ids[64];
        size_t n = 0, k = 0;
        char session[16];
        struct answer a;
        for (const struct json *id = json_first(json_get(w, "ids")); id && n < 64; id = json_next(id)) {
            double value;
            assert_true(json_number(id, &value));
            ids[n++] = (float)value;
        }
        snprintf(session, sizeof session, "w%zu", number);
        steps(session, "ids", ids, n, ",\"logits\":true", &a);
        const struct json *got = json_first(at(&a, "outputs.0.logprobs"));
        for (const struct json *p = json_first(json_get(w, "probabilities")); p; p = json_next(p), k++) {
            double x, y;
            assert_true(json_number(got, &x) && json_number(p, &y));
            if (!(fabs(exp(x) - y) <= 1e-5)) fail_msg("window %zu, id %zu: %.9g, wanted %.9g", number, k, exp(x), y);
            got = json_next(got);
        }
        assert_null(got);
        answer_free(&a);
    }
    json_free(doc);
}

/* The raw model: a session's 40th step is what the framework says of those 40 ids. */
static void real_windows(void)
{
    struct array ids, probs;
    assert_true(arrays_npz(REAL "expected/textgenrnn.npz", "in_ids", &ids));
    assert_true(arrays_npz(REAL "expected/textgenrnn.npz", "out_probs", &probs));
    for (size_t row = 0; row < ids.dim[0]; row += 5) {
        struct answer a;
        char session[24];
        snprintf(session, sizeof session, "r%zu", row);
        steps(session, "inputs", ids.data + row * ids.dim[1], ids.dim[1], "", &a);
        const struct json *got = json_first(at(&a, "outputs.0"));
        for (size_t k = 0; k < probs.dim[1]; k++, got = json_next(got)) {
            double x;
            float wanted = probs.data[row * probs.dim[1] + k];
            assert_true(json_number(got, &x));
            if (!(fabs(x - (double)wanted) <= 1e-5))
                fail_msg("row %zu, id %zu: %.9g, wanted %.9g", row, k, x, (double)wanted);
        }
        answer_free(&a);
    }
    arrays_free(&ids);
    arrays_free(&probs);
}

static void small_model(void **state)
{
    (void)state;
    serve(VECTORS "characters.h5", VECTORS "characters.rnnd.json", VECTORS "characters_vocab.json");
    holds_to(VECTORS "characters.cases.json");
    step_through_windows(VECTORS "characters.cases.json");
}

/* The prompt need not begin with what begins every text, and may; without a session that has heard something, "" is
 * one. */
static void what_begins_a_text(void **state)
{
    struct answer a, b;
    (void)state;
    serve(VECTORS "characters.h5", VECTORS "characters.rnnd.json", VECTORS "characters_vocab.json");
    ask(client, "/v1/completions", "{\"prompt\":\"to\",\"temperature\":0,\"max_tokens\":3,\"echo\":true}", NULL, &a);
    ask(client, "/v1/completions", "{\"prompt\":[36,22,17],\"temperature\":0,\"max_tokens\":3}", NULL, &b);
    assert_int_equal(a.status, 200);
    assert_int_equal(b.status, 200);
    assert_memory_equal(text_at(&a, "choices.0.text"), "to", 2);
    assert_string_equal(text_at(&a, "choices.0.text") + 2, text_at(&b, "choices.0.text"));
    answer_free(&a);
    answer_free(&b);
    ask(client, "/v1/score", "{\"text\":\"to\"}", NULL, &a);
    assert_int_equal(a.status, 200);
    answer_free(&a);
}

static void published_model(void **state)
{
    const char *weights = REAL "textgenrnn/textgenrnn_weights.hdf5";
    if (access(weights, R_OK) != 0) {
        printf("skipped: %s\n", weights);
        return;
    }
    serve(weights, "models/examples/textgenrnn.rnnd.json", REAL "textgenrnn/textgenrnn_vocab.json");
    holds_to(VECTORS "textgenrnn.cases.json");
    assert_int_equal(end_server(state), 0);
    serve(weights, "tests/side/textgenrnn.rnnd.json", NULL);
    real_windows();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(small_model, end_server),
        cmocka_unit_test_teardown(what_begins_a_text, end_server),
        cmocka_unit_test_teardown(published_model, end_server),
    };
    return cmocka_run_group_tests_name("foreign text", tests, NULL, NULL);
}
