/* test_forecast.c -- POST /v1/forecast, JSON and CSV, against the built server.
 *
 * The models are made here so that their answers are known: a GRU whose head has no weights, over the last value as
 * baseline. Quantile q of channel c, j steps ahead, is then: last value + offset[j][q][c]. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/reply.h"

#define HORIZON 4

static struct test_server *server;
static struct test_client *client;
static char folder[64], one_path[96], two_path[96];

static float offset(size_t ahead, size_t quantile, size_t channel)
{
    return ((float)quantile - 1) * (float)(ahead + 1) * (channel ? 10.0f : 1.0f);
}

/* A safetensors file: 8 bytes of header length, the header, the tensors. */
static bool write_model(const char *path, size_t channels, const char *channel_list)
{
    enum { HIDDEN = 4 };
    static const char *const names[] = {"rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0",
                                        "head.weight", "head.bias"};
    size_t outputs = HORIZON * 3 * channels;
    size_t rows[] = {3 * HIDDEN, 3 * HIDDEN, 3 * HIDDEN, 3 * HIDDEN, outputs, outputs};
    size_t columns[] = {channels, HIDDEN, 0, 0, HIDDEN, 0};
    char header[4096], config[1500], escaped[3000];
    size_t n = 0, at = 0, e = 0;
    float values[1024];
    FILE *f = fopen(path, "wb");

    if (!f) return false;
    snprintf(
        config, sizeof config,
        "{\"format\":1,\"task\":\"series\",\"mode\":\"carry\",\"output\":\"all\",\"name\":\"x\",\"inputs\":[{\"name\":"
        "\"x\","
        "\"width\":%zu}],\"layers\":[{\"type\":\"gru\",\"name\":\"rnn\",\"hidden\":%d},{\"type\":\"dense\",\"name\":"
        "\"head\"}],\"series\":{\"channels\":%s,\"baseline\":{\"type\":\"last\"},\"residual\":true,\"horizon\":%d,"
        "\"quantiles\":[0.1,0.5,0.9],\"warmup\":3,\"missing\":{\"policy\":\"last\"}}}",
        channels, HIDDEN, channel_list, HORIZON);
    for (const char *p = config; *p; p++) {
        if (*p == '"') escaped[e++] = '\\';
        escaped[e++] = *p;
    }
    escaped[e] = '\0';
    n = (size_t)snprintf(header, sizeof header, "{\"__metadata__\":{\"rnnd\":\"%s\"}", escaped);
    for (size_t i = 0; i < 6; i++) {
        size_t bytes = rows[i] * (columns[i] ? columns[i] : 1) * sizeof(float);
        char shape[40];
        if (columns[i]) snprintf(shape, sizeof shape, "%zu,%zu", rows[i], columns[i]);
        else snprintf(shape, sizeof shape, "%zu", rows[i]);
        n += (size_t)snprintf(header + n, sizeof header - n,
                              ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", names[i], shape,
                              at, at + bytes);
        at += bytes;
    }
    n += (size_t)snprintf(header + n, sizeof header - n, "}");
    while (n % 8) header[n++] = ' ';
    uint64_t length = n;
    fwrite(&length, 8, 1, f);
    fwrite(header, 1, n, f);
    for (size_t i = 0; i < 6; i++) {
        size_t count = rows[i] * (columns[i] ? columns[i] : 1);
        for (size_t k = 0; k < count; k++)
            values[k] = i == 4 ? 0 : i == 5 ? offset(k / (3 * channels), k / channels % 3, k % channels)
                                            : 0.3f * sinf((float)(k * 7 + i));
        fwrite(values, sizeof *values, count, f);
    }
    return fclose(f) == 0;
}

static int start(void **state)
{
    char one[120], two[120];
    const char *arguments[] = {"--test-hooks", one, two, "models/tiny/text.safetensors", NULL};
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/rnnd_forecast_XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(one_path, sizeof one_path, "%s/one.safetensors", folder);
    snprintf(two_path, sizeof two_path, "%s/two.safetensors", folder);
    if (!write_model(one_path, 1, "[{\"name\":\"value\"}]")) return -1;
    if (!write_model(two_path, 2, "[{\"name\":\"north\"},{\"name\":\"south\"}]")) return -1;
    snprintf(one, sizeof one, "one=%s", one_path);
    snprintf(two, sizeof two, "two=%s", two_path);
    server = test_server_start(arguments);
    client = server ? test_client_open(server) : NULL;
    return client ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    test_client_close(client);
    unlink(one_path);
    unlink(two_path);
    rmdir(folder);
    return test_server_stop(server);
}

static void forecast(const char *json, struct answer *a)
{
    ask(client, "/v1/forecast", json, NULL, a);
    if (a->status != 200) fail_msg("%s: %d %s", json, a->status, a->raw.body ? a->raw.body : "");
}

static void expect_error(const char *json, int status, const char *param, const char *words)
{
    struct answer a;
    ask(client, "/v1/forecast", json, NULL, &a);
    if (a.status != status || strcmp(text_at(&a, "error.param"), param) || !strstr(text_at(&a, "error.message"), words))
        fail_msg("%s: wanted %d about '%s' with '%s', found %d %s", json, status, param, words, a.status,
                 a.raw.body ? a.raw.body : "");
    answer_free(&a);
}

/* list[i] at the path */
static double item(const struct answer *a, const char *path, size_t i)
{
    char full[120];
    snprintf(full, sizeof full, "forecasts.%s.%zu", path, i);
    return number_at(a, full);
}

/* "0.1" has a dot of its own */
static double quantile(const struct answer *a, size_t series, const char *name, size_t ahead, int channel)
{
    char path[40];
    double v = -1e300;
    snprintf(path, sizeof path, "forecasts.%zu.quantiles", series);
    const struct json *list = json_get(at(a, path), name);
    snprintf(path, sizeof path, channel < 0 ? "%zu" : "%zu.%d", ahead, channel);
    json_number(json_at(list, path), &v);
    return v;
}

static void test_shape(void **state)
{
    struct answer a;
    (void)state;
    forecast("{\"model\":\"one\",\"series\":[1,2,3,10],\"horizon\":4}", &a);
    assert_true(*text_at(&a, "id") && *text_at(&a, "model_version"));
    assert_string_equal(text_at(&a, "model"), "one");
    assert_int_equal(json_count(at(&a, "forecasts")), 1);
    assert_string_equal(text_at(&a, "forecasts.0.channels.0"), "value");
    assert_int_equal(json_count(at(&a, "forecasts.0.mean")), 4);
    for (size_t j = 0; j < 4; j++) {
        assert_true(quantile(&a, 0, "0.1", j, -1) == 10 + (double)offset(j, 0, 0));
        assert_true(quantile(&a, 0, "0.5", j, -1) == 10);
        assert_true(quantile(&a, 0, "0.9", j, -1) == 10 + (double)offset(j, 2, 0));
        assert_true(item(&a, "0.mean", j) > 10 - 5 && item(&a, "0.mean", j) < 10 + 5);
    }
    assert_true(number_at(&a, "forecasts.0.steps_consumed") == 4);
    assert_true(number_at(&a, "forecasts.0.imputed") == 0);
    bool beyond = true;
    assert_true(json_bool(at(&a, "forecasts.0.beyond_trained_horizon"), &beyond) && !beyond);
    assert_null(at(&a, "forecasts.0.timestamps"));
    assert_null(at(&a, "forecasts.0.samples"));
    answer_free(&a);
}

static void test_series_forms(void **state)
{
    struct answer a;
    (void)state;
    forecast("{\"model\":\"one\",\"series\":[[1,2,3],[4,5,6,7]],\"horizon\":1}", &a);
    assert_int_equal(json_count(at(&a, "forecasts")), 2);
    assert_true(quantile(&a, 0, "0.5", 0, -1) == 3 && quantile(&a, 1, "0.5", 0, -1) == 7);
    answer_free(&a);
    forecast("{\"model\":\"one\",\"series\":{\"value\":[1,2,3]},\"horizon\":1}", &a);
    assert_true(quantile(&a, 0, "0.5", 0, -1) == 3);
    answer_free(&a);
    forecast("{\"model\":\"two\",\"series\":[[1,100],[2,200],[3,300]],\"horizon\":2}", &a);
    assert_int_equal(json_count(at(&a, "forecasts")), 1);
    assert_true(quantile(&a, 0, "0.5", 1, 0) == 3 && quantile(&a, 0, "0.9", 1, 1) == 300 + (double)offset(1, 2, 1));
    assert_int_equal(json_count(at(&a, "forecasts.0.mean.0")), 2);
    answer_free(&a);
    forecast("{\"model\":\"two\",\"series\":[[[1,100],[2,200],[3,300]],[[4,5],[6,7],[8,9],[10,11]]],\"horizon\":2}",
             &a);
    assert_int_equal(json_count(at(&a, "forecasts")), 2);
    assert_true(quantile(&a, 1, "0.5", 0, 1) == 11);
    answer_free(&a);
    forecast("{\"model\":\"two\",\"series\":{\"south\":[100,200,300],\"north\":[1,2,3]},\"horizon\":1}", &a);
    assert_true(quantile(&a, 0, "0.5", 0, 0) == 3 && quantile(&a, 0, "0.5", 0, 1) == 300);
    answer_free(&a);
}

static void test_missing_values(void **state)
{
    struct answer a;
    (void)state;
    forecast("{\"model\":\"one\",\"series\":[1,2,3,null,\"NaN\"],\"horizon\":1}", &a);
    assert_true(number_at(&a, "forecasts.0.imputed") == 2);
    assert_true(quantile(&a, 0, "0.5", 0, -1) == 3);
    answer_free(&a);
}

static void test_levels_and_quantiles(void **state)
{
    struct answer a;
    (void)state;
    forecast("{\"model\":\"one\",\"series\":[1,2,3],\"horizon\":2,\"level\":[80]}", &a);
    assert_int_equal(json_count(at(&a, "forecasts.0.quantiles")), 2);
    assert_true(quantile(&a, 0, "0.1", 1, -1) == 1 && quantile(&a, 0, "0.9", 1, -1) == 5);
    answer_free(&a);
    forecast("{\"model\":\"one\",\"series\":[1,2,3],\"horizon\":2,\"quantiles\":[0.7,0.3,0.05,0.3]}", &a);
    assert_int_equal(json_count(at(&a, "forecasts.0.quantiles")), 3);
    assert_true(quantile(&a, 0, "0.05", 0, -1) <= quantile(&a, 0, "0.3", 0, -1));
    assert_true(quantile(&a, 0, "0.3", 0, -1) <= quantile(&a, 0, "0.7", 0, -1));
    answer_free(&a);
    forecast("{\"model\":\"one\",\"series\":[1,2,3],\"quantiles\":[]}", &a);
    assert_int_equal(json_count(at(&a, "forecasts.0.quantiles")), 0);
    assert_int_equal(json_count(at(&a, "forecasts.0.mean")), HORIZON);
    answer_free(&a);
}

static void test_samples(void **state)
{
    static const char body[] = "{\"model\":\"one\",\"series\":[1,2,3],\"horizon\":6,\"num_samples\":5,\"seed\":%d}";
    struct answer a, b, c;
    char json[200];
    bool beyond = false;
    (void)state;
    snprintf(json, sizeof json, body, 1);
    forecast(json, &a);
    forecast(json, &b);
    snprintf(json, sizeof json, body, 2);
    forecast(json, &c);
    assert_int_equal(json_count(at(&a, "forecasts.0.samples")), 5);
    assert_int_equal(json_count(at(&a, "forecasts.0.samples.0")), 6);
    assert_true(json_bool(at(&a, "forecasts.0.beyond_trained_horizon"), &beyond) && beyond);
    assert_true(item(&a, "0.samples.3", 5) == item(&b, "0.samples.3", 5));
    assert_true(item(&a, "0.samples.3", 5) != item(&c, "0.samples.3", 5));
    answer_free(&a), answer_free(&b), answer_free(&c);
}

static void test_refusals(void **state)
{
    (void)state;
    expect_error("{\"model\":\"one\",\"series\":[1,2]}", 422, "series", "3");
    expect_error("{\"model\":\"one\",\"series\":[]}", 422, "series", "3");
    expect_error("{\"model\":\"one\"}", 400, "series", "missing");
    expect_error("{\"model\":\"one\",\"series\":\"x\"}", 400, "series", "array");
    expect_error("{\"model\":\"two\",\"series\":[1,2,3]}", 422, "series", "2 channels");
    expect_error("{\"model\":\"two\",\"series\":[[1,2,3]]}", 422, "series", "3 values");
    expect_error("{\"model\":\"two\",\"series\":{\"north\":[1,2,3]}}", 422, "series", "south");
    expect_error("{\"model\":\"two\",\"series\":{\"north\":[1],\"south\":[1],\"east\":[1]}}", 422, "series", "east");
    expect_error("{\"model\":\"two\",\"series\":{\"north\":[1,2],\"south\":[1,2,3]}}", 422, "series", "steps");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"horizon\":0}", 400, "horizon", "horizon");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"horizon\":41}", 400, "horizon", "40");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"level\":[101]}", 400, "level", "percentage");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"level\":[0]}", 400, "level", "percentage");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"quantiles\":[1]}", 400, "quantiles", "quantile");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"quantiles\":[\"a\"]}", 400, "quantiles", "numbers");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"num_samples\":1001}", 400, "num_samples", "1000");
    expect_error("{\"model\":\"text\",\"series\":[1,2,3]}", 422, "model", "series model");
    expect_error("{\"model\":\"none\",\"series\":[1,2,3]}", 404, "model", "none");
    expect_error("{\"series\":[1,2,3]}", 400, "model", "one");
}

/* of many series each has its own error */
static void test_error_per_series(void **state)
{
    struct answer a;
    (void)state;
    forecast("{\"model\":\"one\",\"series\":[[1,2,3],[1],[4,5,6]],\"horizon\":1}", &a);
    assert_int_equal(json_count(at(&a, "forecasts")), 3);
    assert_true(quantile(&a, 0, "0.5", 0, -1) == 3 && quantile(&a, 2, "0.5", 0, -1) == 6);
    assert_non_null(strstr(text_at(&a, "forecasts.1.error.message"), "3"));
    assert_null(at(&a, "forecasts.1.mean"));
    answer_free(&a);
}

static void test_timestamps(void **state)
{
    struct answer a;
    (void)state;
    forecast(
        "{\"model\":\"one\",\"series\":[1,2,3],\"horizon\":2,"
        "\"timestamps\":[\"2024-02-28T23:00:00+01:00\",\"2024-02-28T23:30:00+01:00\",\"2024-02-29T00:00:00+01:00\"]}",
        &a);
    assert_string_equal(text_at(&a, "forecasts.0.timestamps.0"), "2024-02-29T00:30:00+01:00");
    assert_string_equal(text_at(&a, "forecasts.0.timestamps.1"), "2024-02-29T01:00:00+01:00");
    answer_free(&a);
    /* a gap of two steps, epoch milliseconds, months, integers */
    forecast("{\"model\":\"one\",\"series\":[1,2,3],\"horizon\":1,\"timestamps\":[1700000000123,1700000001123,"
             "1700000004123]}",
             &a);
    assert_true(number_at(&a, "forecasts.0.steps_consumed") == 5 && number_at(&a, "forecasts.0.imputed") == 2);
    assert_true(number_at(&a, "forecasts.0.timestamps.0") == 1700000005123);
    answer_free(&a);
    forecast("{\"model\":\"one\",\"series\":[1,2,3],\"horizon\":2,\"timestamps\":[\"2023-11-30\",\"2023-12-31\",\"2024-"
             "01-31\"]}",
             &a);
    assert_string_equal(text_at(&a, "forecasts.0.timestamps.0"), "2024-02-29");
    assert_string_equal(text_at(&a, "forecasts.0.timestamps.1"), "2024-03-31");
    answer_free(&a);
    forecast("{\"model\":\"one\",\"series\":[[1,2,3],[4,5,6]],\"horizon\":1,\"timestamps\":[[7,9,11],[1,2,3]]}", &a);
    assert_true(number_at(&a, "forecasts.0.timestamps.0") == 13 && number_at(&a, "forecasts.1.timestamps.0") == 4);
    answer_free(&a);
    forecast(
        "{\"model\":\"one\",\"series\":[1,2,3],\"horizon\":1,\"start\":\"2024-01-01 00:00\",\"frequency\":\"30min\"}",
        &a);
    assert_string_equal(text_at(&a, "forecasts.0.timestamps.0"), "2024-01-01 01:30");
    answer_free(&a);
    expect_error("{\"model\":\"one\",\"series\":[1,2,3,4],\"timestamps\":[1,2,2,3]}", 422, "timestamps",
                 "timestamps[2] repeats");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3,4],\"timestamps\":[1,3,2,4]}", 422, "timestamps",
                 "timestamps[2] is 2");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3,4],\"timestamps\":[1,4,6,9]}", 422, "timestamps",
                 "timestamps[1] is 4");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"timestamps\":[1,2]}", 422, "timestamps", "2 entries");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"timestamps\":[1,2,\"x\"]}", 400, "timestamps",
                 "timestamps[2]");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"timestamps\":[1,2,200000]}", 422, "timestamps", "100000");
    expect_error("{\"model\":\"one\",\"series\":[1,2],\"timestamps\":[\"2024-01-01\",\"2024-01-02\"]}", 422,
                 "timestamps", "three");
    expect_error("{\"model\":\"one\",\"series\":[1,2,3],\"start\":\"2024-01-01\"}", 400, "frequency", "frequency");
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

/* However the history is cut into requests, the forecast is that of the whole; and forecasting moves nothing. */
static void test_session(void **state)
{
    static const char more[] =
        "{\"model\":\"one\",\"session\":\"f1\",\"series\":[5,null,7],\"horizon\":6,\"num_samples\":3,"
        "\"seed\":1,\"step\":4}";
    struct answer whole, part, again, bare;
    (void)state;
    forecast("{\"model\":\"one\",\"series\":[1,2,3,4,5,null,7],\"horizon\":6,\"num_samples\":3,\"seed\":1}", &whole);
    forecast("{\"model\":\"one\",\"session\":\"f1\",\"series\":[1,2,3,4],\"horizon\":1}", &part);
    assert_true(number_at(&part, "session.step") == 4);
    answer_free(&part);
    forecast(more, &part);
    assert_true(number_at(&part, "session.step") == 7 && session_step("f1") == 7);
    forecast(more, &again);
    bool replayed = false;
    assert_true(json_bool(at(&again, "session.replayed"), &replayed) && replayed);
    forecast("{\"session\":\"f1\",\"horizon\":6,\"num_samples\":3,\"seed\":1}", &bare); /* of the session's model */
    assert_true(session_step("f1") == 7);
    const char *piece = strstr(whole.raw.body, "\"forecasts\"");
    size_t bytes = (size_t)(strstr(piece, "}]") - piece);
    const char *others[] = {part.raw.body, again.raw.body, bare.raw.body};
    for (size_t i = 0; i < 3; i++) assert_memory_equal(strstr(others[i], "\"forecasts\""), piece, bytes);
    answer_free(&whole), answer_free(&part), answer_free(&again), answer_free(&bare);
    expect_error("{\"model\":\"one\",\"session\":\"f1\",\"series\":[1],\"step\":3}", 409, "step", "7");
    expect_error("{\"model\":\"one\",\"session\":\"f2\",\"series\":[1,2]}", 422, "series", "3");
    assert_true(session_step("f2") == 0); /* all or nothing */
    expect_error("{\"model\":\"two\",\"session\":\"f1\",\"series\":[[1,2]]}", 422, "model", "one");
    expect_error("{\"model\":\"one\",\"session\":\"f1\",\"series\":[[1],[2]]}", 400, "series", "one series");
}

static void csv(const char *query, const char *body, const char *accept, struct answer *a)
{
    const char *headers[] = {"Content-Type: text/csv", accept, NULL};
    char path[200], message[200];
    memset(a, 0, sizeof *a);
    snprintf(path, sizeof path, "/v1/forecast?%s", query);
    test_request(client, "POST", path, headers, body, strlen(body), &a->raw);
    a->status = a->raw.status;
    if (a->raw.bytes && a->raw.body[0] == '{')
        json_parse(a->raw.body, a->raw.bytes, 32, &a->doc, message, sizeof message);
}

static void csv_error(const char *query, const char *body, int status, const char *words)
{
    struct answer a;
    csv(query, body, NULL, &a);
    if (a.status != status || !strstr(text_at(&a, "error.message"), words))
        fail_msg("?%s\n%s\nwanted %d '%s', found %d %s", query, body, status, words, a.status,
                 a.raw.body ? a.raw.body : "");
    answer_free(&a);
}

static bool begins(const struct answer *a, const char *text)
{
    return !strncmp(a->raw.body, text, strlen(text));
}

static void test_csv(void **state)
{
    static const char with_gap[] =
        "date,value\r\n2024-01-01,1\r\n2024-01-02,\r\n\r\n2024-01-03,3\r\n2024-01-05,\"5\"\r\n";
    struct answer a;
    (void)state;
    csv("model=one&horizon=2&quantiles=0.1,0.9", with_gap, NULL, &a);
    if (a.status != 200) fail_msg("%d %s", a.status, a.raw.body);
    assert_true(number_at(&a, "forecasts.0.steps_consumed") == 5 && number_at(&a, "forecasts.0.imputed") == 2);
    assert_string_equal(text_at(&a, "forecasts.0.timestamps.0"), "2024-01-06");
    assert_true(quantile(&a, 0, "0.9", 1, -1) == 5 + (double)offset(1, 2, 0));
    answer_free(&a);
    csv("model=one&horizon=2&quantiles=0.1,0.5", with_gap, "Accept: text/csv", &a);
    assert_int_equal(a.status, 200);
    assert_true(begins(&a, "series,timestamp,channel,mean,q0.1,q0.5\n0,2024-01-06,value,"));
    assert_non_null(strstr(a.raw.body, ",4,5\n"));
    assert_non_null(strstr(a.raw.body, "\n0,2024-01-07,value,"));
    answer_free(&a);
    csv("model=one&horizon=1", "1\n2\n3\n", "Accept: text/csv", &a); /* no header, no time */
    assert_true(begins(&a, "series,step,channel,mean,q0.1,q0.5,q0.9\n0,1,value,"));
    answer_free(&a);
    csv("model=two&horizon=1", "south;north\n100;1\n200;2\n300;3\n", NULL, &a); /* by name */
    assert_true(quantile(&a, 0, "0.5", 0, 0) == 3 && quantile(&a, 0, "0.5", 0, 1) == 300);
    answer_free(&a);
    csv("model=one&horizon=1&target=b", "a,b\n1,4\n2,5\n3,6\n", NULL, &a);
    assert_true(quantile(&a, 0, "0.5", 0, -1) == 6);
    answer_free(&a);
    csv_error("model=one", "a,b\n1,4\n2,5\n3,6\n", 422, "target");
    csv_error("model=one", "value\n1\n2\nabc\n4\n", 400, "row 4, column 'value'");
    csv_error("model=one", "t,value\n2024-01-01,1\n2024-01-03,2\n2024-01-02,3\n", 422, "row 4");
    csv_error("model=one", "time,value\n2024-01-01,1\nlater,2\n", 400, "row 3, column 'time'");
    csv_error("model=one", "value\n1\n2,3\n", 400, "row 3 has 2 columns");
    csv_error("model=one", "value\n\"1\n", 400, "quote");
    csv_error("model=one", "value\n", 400, "no row");
    csv_error("model=one&horizon=x", "1\n2\n3\n", 400, "horizon");
    csv_error("model=none", "1\n2\n3\n", 404, "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),          cmocka_unit_test(test_series_forms),
        cmocka_unit_test(test_missing_values), cmocka_unit_test(test_levels_and_quantiles),
        cmocka_unit_test(test_samples),        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_error_per_series), cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_session),        cmocka_unit_test(test_csv),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
