/* test_textbook.c -- PyTorch's textbook example over HTTP: nn.LSTM(10, 64, num_layers=2), x[32, 20, 10].
 *
 * The modules were written by models/rnnd_export.py; x, the given states and torch's own answers stand beside the
 * weights (tests/vectors/make_torch.py). Outputs [32, 20, 64], h and c [2, 32, 64] within 1e-5, from zero and from
 * given states. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/http/json.h"
#include "tests/lib/server.h"

#define FOLDER "tests/vectors/torch/"

struct tensor { float *data; size_t dim[3], count; };

/* One tensor out of a safetensors file, F32 with 3 dimensions; the header is searched as text, which suffices for ours.
 */
static struct tensor tensor_of(const char *file, const char *name)
{
    struct tensor t = {0};
    unsigned long long n = 0, begin, end;
    char *header, key[64];
    const char *at;
    FILE *f = fopen(file, "rb");

    assert_non_null(f);
    assert_int_equal(fread(&n, 8, 1, f), 1);
    header = calloc(n + 1, 1);
    assert_int_equal(fread(header, 1, n, f), n);
    snprintf(key, sizeof key, "\"%s\":", name);
    at = strstr(header, key);
    assert_non_null(at);
    assert_int_equal(sscanf(strstr(at, "\"shape\":["), "\"shape\":[%zu,%zu,%zu]", &t.dim[0], &t.dim[1], &t.dim[2]), 3);
    assert_int_equal(sscanf(strstr(at, "\"data_offsets\":["), "\"data_offsets\":[%llu,%llu]", &begin, &end), 2);
    t.count = t.dim[0] * t.dim[1] * t.dim[2];
    assert_int_equal(end - begin, t.count * sizeof(float));
    t.data = malloc(t.count * sizeof(float));
    fseek(f, (long)(8 + n + begin), SEEK_SET);
    assert_int_equal(fread(t.data, sizeof(float), t.count, f), t.count);
    fclose(f);
    free(header);
    return t;
}

static void put(struct json_out *o, const char *key, const struct tensor *t)
{
    json_put_key(o, key);
    json_put_floats(o, t->data, 3, t->dim);
}

/* `text` is an array of the reply; under a numeric key the scan gives it as floats. */
static void near(const char *text, const char *file, const char *name)
{
    const struct json_numbers *got;
    struct tensor want = tensor_of(file, name);
    struct json_doc *doc;
    size_t n = strlen(text) + 16;
    char message[200], *wrapped = malloc(n);

    snprintf(wrapped, n, "{\"data\":%s}", text);
    assert_int_equal(json_parse(wrapped, strlen(wrapped), 8, &doc, message, sizeof message), 0);
    got = json_numbers(json_get(json_root(doc), "data"));
    assert_non_null(got);
    assert_int_equal(got->rank, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(got->dim[i], want.dim[i]);
    for (size_t i = 0; i < want.count; i++)
        if (!(fabsf(got->data[i] - want.data[i]) <= 1e-5f))
            fail_msg("%s[%zu] is %.9g, wanted %.9g", name, i, got->data[i], want.data[i]);
    json_free(doc);
    free(wrapped);
    free(want.data);
}

/* The text of a top-level array value: from its '[' to the matching ']'. */
static char *array_of(const char *body, const char *key)
{
    char pattern[32];
    const char *at;
    size_t depth = 0, n = 0;

    snprintf(pattern, sizeof pattern, "\"%s\":[", key);
    at = strstr(body, pattern);
    assert_non_null(at);
    at += strlen(pattern) - 1;
    do {
        depth += at[n] == '[';
        depth -= at[n] == ']';
        n++;
    } while (depth > 0 && at[n]);
    return strndup(at, n);
}

static void ask(const char *name, bool given)
{
    char file[256], model[300];
    const char *parts[3][2] = {{"predictions", "vector.y"}, {"h", "vector.hn"}, {"c", "vector.cn"}};
    struct test_server *s;
    struct test_client *client;
    struct test_reply reply;
    struct json_out o;
    struct tensor x, h0 = {0}, c0 = {0};

    snprintf(file, sizeof file, FOLDER "%s.safetensors", name);
    snprintf(model, sizeof model, "lstm=%s", file);
    s = test_server_start((const char *const[]){model, NULL});
    assert_non_null(s);
    client = test_client_open(s);
    x = tensor_of(file, "vector.x");
    assert_int_equal(x.dim[0] * 10000 + x.dim[1] * 100 + x.dim[2], 322010);
    json_out_init(&o);
    json_open(&o, '{');
    put(&o, "instances", &x);
    if (given) {
        h0 = tensor_of(file, "vector.h0"), c0 = tensor_of(file, "vector.c0");
        json_put_key(&o, "initial_state");
        json_open(&o, '{');
        put(&o, "h", &h0);
        put(&o, "c", &c0);
        json_close(&o, '}');
    }
    json_put_key(&o, "return");
    json_put_raw(&o, "[\"outputs\",\"h\",\"c\"]", 19);
    json_close(&o, '}');
    assert_false(o.failed);
    assert_true(test_request(client, "POST", "/v1/models/lstm:predict", NULL, o.data, o.bytes, &reply));
    if (reply.status != 200) fail_msg("%d: %.300s", reply.status, reply.body);
    for (int i = 0; i < 3; i++) {
        char *text = array_of(reply.body, parts[i][0]);
        near(text, file, parts[i][1]);
        free(text);
    }
    test_reply_free(&reply);
    json_out_free(&o);
    free(x.data), free(h0.data), free(c0.data);
    test_client_close(client);
    assert_int_equal(test_server_stop(s), 0);
}

static void from_zero(void **state)
{
    (void)state;
    ask("lstm_10x64_numlayers2_B32T20_zero", false);
}

static void from_given(void **state)
{
    (void)state;
    ask("lstm_10x64_numlayers2_B32T20", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(from_zero), cmocka_unit_test(from_given)};
    return cmocka_run_group_tests_name("textbook", tests, NULL, NULL);
}
