/* test_foreign.c -- strangers' model files over HTTP: their answers, their shapes, and what their files do not say.
 *
 * The small files and what their frameworks answered are committed beside this (tests/vectors). Where the folder
 * ../shared/real is there, files of other people's repositories are served too. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/http/json.h"
#include "tests/lib/arrays.h"
#include "tests/lib/server.h"

#define VECTORS "tests/vectors/"
#define REAL "../shared/real/"

static struct test_server *server;
static struct test_client *client;

static void serve(const char *const *arguments)
{
    server = test_server_start(arguments);
    assert_non_null(server);
    client = test_client_open(server);
}

static int end_server(void **state)
{
    (void)state;
    if (!server) return 0;
    test_client_close(client);
    int status = test_server_stop(server);
    server = NULL;
    return status;
}

/* The text of a top-level value that is an array or object: from its bracket to the matching one. */
static char *value_of(const char *body, const char *key)
{
    char pattern[64];
    const char *at;
    size_t depth = 0, n = 0;
    bool quoted = false;

    snprintf(pattern, sizeof pattern, "\"%s\":", key);
    at = strstr(body, pattern);
    if (!at) fail_msg("no \"%s\" in %.300s", key, body);
    at += strlen(pattern);
    do {
        if (at[n] == '"' && (n == 0 || at[n - 1] != '\\')) quoted = !quoted;
        if (!quoted) depth += at[n] == '[' || at[n] == '{', depth -= at[n] == ']' || at[n] == '}';
        n++;
    } while (depth > 0 && at[n]);
    return strndup(at, n);
}

static void near(float got, float wanted, float most, const char *what, size_t i)
{
    if (!(fabsf(got - wanted) <= 1e-5f * fmaxf(1, most)))
        fail_msg("%s: number %zu is %.9g, wanted %.9g", what, i, (double)got, (double)wanted);
}

static float largest(const struct array *a)
{
    float most = 0;
    for (size_t i = 0; i < a->count; i++) most = fmaxf(most, fabsf(a->data[i]));
    return most;
}

/* The reply's array of numbers has the shape and the values wanted. */
static void expect_numbers(const char *body, const char *key, const struct array *wanted)
{
    char *value = value_of(body, key), *wrapped = malloc(strlen(value) + 16), message[200] = "";
    struct json_doc *doc;

    sprintf(wrapped, "{\"data\":%s}", value);
    if (json_parse(wrapped, strlen(wrapped), 16, &doc, message, sizeof message)) fail_msg("%s", message);
    const struct json_numbers *got = json_numbers(json_get(json_root(doc), "data"));
    assert_non_null(got);
    assert_int_equal(got->rank, wanted->rank);
    for (int k = 0; k < got->rank; k++) assert_int_equal(got->dim[k], wanted->dim[k]);
    for (size_t i = 0; i < got->count; i++) near(got->data[i], wanted->data[i], largest(wanted), key, i);
    json_free(doc);
    free(wrapped);
    free(value);
}

static char *instances_of(const struct array *x)
{
    struct json_out o;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "instances");
    json_put_floats(&o, x->data, x->rank, x->dim);
    json_close(&o, '}');
    json_append(&o, "", 1);
    assert_false(o.failed);
    return o.data;
}

static void ask(const char *path, const char *json, int status, struct test_reply *reply)
{
    assert_true(test_json(client, "POST", path, json, reply));
    if (reply->status != status) fail_msg("%s: %d, wanted %d: %.600s", path, reply->status, status, reply->body);
}

static void expect(const char *path, const char *json, int status, const char *part)
{
    struct test_reply reply;
    ask(path, json, status, &reply);
    if (!strstr(reply.body, part)) fail_msg("%s: no %s in %.600s", path, part, reply.body);
    test_reply_free(&reply);
}

/* The model answers what its framework answered. */
static void predicts(const char *model, const char *vectors, const char *x_name, const char *y_name, const char *part)
{
    char path[160], file[256];
    struct array x, y;
    struct test_reply reply;

    snprintf(path, sizeof path, "/v1/models/%s:predict", model);
    snprintf(file, sizeof file, VECTORS "%s.safetensors", vectors);
    assert_true(arrays_safetensors(file, x_name, &x));
    assert_true(arrays_safetensors(file, y_name, &y));
    char *body = instances_of(&x);
    ask(path, body, 200, &reply);
    expect_numbers(reply.body, "predictions", &y);
    if (!strstr(reply.body, part)) fail_msg("no %s in %.300s", part, reply.body);
    test_reply_free(&reply);
    free(body);
    arrays_free(&x);
    arrays_free(&y);
}

static void files_that_say_what_they_are(void **state)
{
    (void)state;
    serve((const char *const[]){"keras=" VECTORS "keras/stacked.h5", "zipped=" VECTORS "keras/stacked.keras",
                                "lstm=" VECTORS "onnx_files/torch_lstm.onnx",
                                "last=" VECTORS "onnx_files/torch_gru_bi_last.onnx", "gru=" VECTORS "rtjson/gru.json",
                                "amp=" VECTORS "rtjson/amp.nam", NULL});
    predicts("keras", "keras/stacked", "in_0", "out_0", "\"mode\":\"");
    predicts("zipped", "keras/stacked", "in_0", "out_0", "\"mode\":\"");
    predicts("lstm", "onnx_files/torch_lstm", "in.x", "out.y", "\"mode\":\"carry\"");
    predicts("last", "onnx_files/torch_gru_bi_last", "in.x", "out.y", "\"mode\":\"");
    struct test_reply reply;
    assert_true(test_request(client, "GET", "/v1/models", NULL, NULL, 0, &reply));
    assert_non_null(strstr(reply.body, "\"unconfirmed\":false"));
    assert_null(strstr(reply.body, "\"unconfirmed\":true"));
    assert_non_null(strstr(reply.body, "\"framework\":\"Keras"));
    test_reply_free(&reply);
    expect("/v1/models/lstm:predict", "{\"instances\":[[[1,2,3,4,5]],[[1,2,3,4]]]}", 400, "[1][0]");
    expect("/v1/models/lstm:predict", "{\"instances\":[[[[1,2,3,4,5]]]]}", 422, "found");
    expect("/v1/models/last:predict", "{\"instances\":[[[1,2,3,4,5]]],\"return\":[\"c\"]}", 422, "unsupported");
}

/* Every prediction is {"name":[..],..}, the outputs in the order of out_0, out_1, .. */
static void expect_outputs(const char *body, const char *file, size_t windows)
{
    char message[200] = "", name[16];
    struct json_doc *doc;
    if (json_parse(body, strlen(body), 16, &doc, message, sizeof message)) fail_msg("%s", message);
    const struct json *list = json_get(json_root(doc), "predictions"), *window = json_first(list);
    assert_int_equal(json_count(list), windows);
    for (size_t b = 0; b < windows; b++, window = json_next(window)) {
        size_t output = 0;
        for (const struct json *v = json_first(window); v; v = json_next(v), output++) {
            struct array wanted;
            size_t k = 0;
            double got;
            snprintf(name, sizeof name, "out_%zu", output);
            assert_true(arrays_safetensors(file, name, &wanted));
            assert_int_equal(json_count(v), wanted.dim[1]);
            for (const struct json *n = json_first(v); n; n = json_next(n), k++) {
                assert_true(json_number(n, &got));
                near((float)got, wanted.data[b * wanted.dim[1] + k], largest(&wanted), json_key(v), k);
            }
            arrays_free(&wanted);
        }
        assert_int_equal(output, 8);
    }
    json_free(doc);
}

/* Several inputs by name, several outputs by name, each in its own shape. */
static void several_ends(void **state)
{
    (void)state;
    struct array left, right;
    struct test_reply reply;
    const char *const file = VECTORS "keras/merge.safetensors";
    serve((const char *const[]){"merge=" VECTORS "keras/merge.h5", NULL});
    assert_true(arrays_safetensors(file, "in_0", &left) && arrays_safetensors(file, "in_1", &right));
    struct json_out o;
    size_t dim[3] = {left.dim[0], 1, left.dim[1]};
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "inputs");
    json_open(&o, '{');
    json_put_key(&o, "left");
    json_put_floats(&o, left.data, 3, dim);
    json_put_key(&o, "right");
    json_put_floats(&o, right.data, 3, dim);
    json_close(&o, '}');
    json_close(&o, '}');
    json_append(&o, "", 1);
    ask("/v1/models/merge:predict", o.data, 200, &reply);
    expect_outputs(reply.body, file, left.dim[0]);
    test_reply_free(&reply);
    json_out_free(&o);
    arrays_free(&left), arrays_free(&right);
    expect("/v1/models/merge:predict", "{\"inputs\":{\"left\":[[[1,2,3,4]]]}}", 422, "names 1 inputs");
    expect("/v1/models/merge:predict", "{\"inputs\":{\"left\":[[[1,2,3,4]]],\"right\":[[[1,2,null,4]]]}}", 400,
           "inputs.right[0][0][2]");
    expect("/v1/models/merge:predict", "{\"inputs\":{\"left\":[[[1,2,3,4]]],\"right\":[[[1,2,3,4]],[[1,2,3,4]]]}}",
           422, "the first input");
}

/* Steps of a session are the window's steps. */
static void sessions_step(void **state)
{
    (void)state;
    struct array x, y, row = {.rank = 2};
    struct test_reply reply;
    serve((const char *const[]){"lstm=" VECTORS "onnx_files/torch_lstm.onnx", NULL});
    assert_true(arrays_safetensors(VECTORS "onnx_files/torch_lstm.safetensors", "in.x", &x));
    assert_true(arrays_safetensors(VECTORS "onnx_files/torch_lstm.safetensors", "out.y", &y));
    expect("/v1/sessions", "{\"model\":\"lstm\",\"id\":\"s\"}", 201, "\"mode\":\"carry\"");
    for (size_t t = 0; t < x.dim[1]; t++) {
        struct json_out o;
        size_t one[2] = {1, x.dim[2]};
        json_out_init(&o);
        json_open(&o, '{');
        json_put_key(&o, "inputs");
        json_put_floats(&o, x.data + t * x.dim[2], 2, one);
        json_close(&o, '}');
        json_append(&o, "", 1);
        ask("/v1/sessions/s/steps", o.data, 200, &reply);
        row.dim[0] = 1, row.dim[1] = row.count = y.dim[2];
        row.data = y.data + t * y.dim[2];
        expect_numbers(reply.body, "outputs", &row);
        test_reply_free(&reply);
        json_out_free(&o);
    }
    arrays_free(&x);
    arrays_free(&y);
}

/* ---- what a file does not say ------------------------------------------------------------------------------------ */

static char folder[64];

static const char *at(const char *name)
{
    static char path[3][160];
    static int turn;
    turn = (turn + 1) % 3;
    snprintf(path[turn], sizeof path[0], "%s/%s", folder, name);
    return path[turn];
}

static void copy_file(const char *from, const char *name)
{
    size_t bytes;
    unsigned char *data = arrays_file(from, &bytes);
    FILE *f = fopen(at(name), "wb");
    assert_non_null(data);
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
    free(data);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/rnnd-foreign-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    int status = end_server(state);
    unlink(at("net.pt"));
    unlink(at("net.onnx"));
    unlink(at("net.rnnd.json"));
    rmdir(folder);
    return status;
}

/* Every computing route refuses; the refusal carries what to write. Returns that, owned. */
static char *refused_everywhere(const char *instances)
{
    struct test_reply reply;
    char header[64];
    ask("/v1/models/net:predict", instances, 409, &reply);
    assert_true(test_reply_header(&reply, "x-should-retry", header, sizeof header));
    assert_string_equal(header, "false");
    assert_non_null(strstr(reply.body, "\"code\":\"model_unconfirmed\""));
    assert_non_null(strstr(reply.body, "\"assumptions\":[\""));
    char *side_file = value_of(reply.body, "side_file");
    assert_int_equal(side_file[0], '{');
    test_reply_free(&reply);
    expect("/v1/sessions", "{\"model\":\"net\"}", 409, "\"side_file\":{");
    expect("/v1/sessions/a/steps", "{\"model\":\"net\",\"inputs\":[[1,2,3]]}", 409, "\"side_file\":{");
    static const char line[] = "{\"session\":\"a\",\"model\":\"net\",\"inputs\":[[1,2,3]]}\n";
    expect("/v1/steps", line, 200, "\"status\":409,\"error\":{");
    expect("/v1/steps", line, 200, "\"side_file\":{");
    assert_true(test_request(client, "GET", "/v1/models/net", NULL, NULL, 0, &reply));
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"unconfirmed\":true"));
    assert_non_null(strstr(reply.body, "\"side_file\":{"));
    test_reply_free(&reply);
    assert_true(test_request(client, "GET", "/readyz", NULL, NULL, 0, &reply));
    assert_int_equal(reply.status, 200);
    test_reply_free(&reply);
    return side_file;
}

static void write_side_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void unconfirmed_until_the_side_file_is_there(void **state)
{
    const char *instances = "{\"instances\":[[[1,2,3],[4,5,6]]]}";
    struct test_reply reply;
    copy_file(VECTORS "torch_files/net_module.pt", "net.pt");
    serve((const char *const[]){at("net.pt"), NULL});
    assert_true(test_request(client, "GET", "/v1/models/net", NULL, NULL, 0, &reply));
    assert_int_equal(reply.status, 200);
    test_reply_free(&reply);
    char *side_file = refused_everywhere(instances);
    assert_int_equal(end_server(state), 0);
    write_side_file(at("net.rnnd.json"), side_file);
    free(side_file);
    serve((const char *const[]){folder, NULL});
    ask("/v1/models/net:predict", instances, 200, &reply);
    assert_null(strstr(reply.body, "\"assumed\""));
    test_reply_free(&reply);
    predicts("net", "torch_files/net", "vector.x", "vector.y", "\"mode\":\"carry\"");
    expect("/v1/sessions", "{\"model\":\"net\"}", 201, "\"step\":0");
}

static void accepted_guesses_are_named(void **state)
{
    (void)state;
    static const float rows[] = {1, 2, 3};
    const char *const headers[] = {"Content-Type: application/octet-stream", "Accept: application/octet-stream", NULL};
    struct test_reply reply;
    char header[64];
    serve((const char *const[]){"--accept-guesses", "net=" VECTORS "torch_files/net_module.pt", NULL});
    expect("/v1/models/net:predict", "{\"instances\":[[[1,2,3],[4,5,6]]]}", 200, "\"assumed\":[\"");
    expect("/v1/sessions", "{\"model\":\"net\",\"id\":\"a\"}", 201, "\"assumed\":[\"");
    expect("/v1/sessions/a/steps", "{\"inputs\":[[1,2,3]]}", 200, "\"assumed\":[\"");
    expect("/v1/steps", "{\"session\":\"a\",\"inputs\":[[1,2,3]]}\n", 200, "\"assumed\":[\"");
    assert_true(test_request(client, "POST", "/v1/sessions/a/steps", headers, rows, sizeof rows, &reply));
    assert_int_equal(reply.status, 200);
    assert_true(test_reply_header(&reply, "x-rnnd-assumed", header, sizeof header));
    assert_true(atoi(header) >= 1);
    test_reply_free(&reply);
}

/* ---- other people's files, where they are ------------------------------------------------------------------------ */

static bool is_there(const char *file)
{
    if (access(file, R_OK) == 0) return true;
    printf("skipped: %s\n", file);
    return false;
}

static void real_predicts(const char *model, const char *expected, const char *x_name, const char *y_name)
{
    char path[160], file[160];
    struct array x, y;
    struct test_reply reply;
    snprintf(path, sizeof path, "/v1/models/%s:predict", model);
    snprintf(file, sizeof file, REAL "expected/%s.npz", expected);
    assert_true(arrays_npz(file, x_name, &x));
    assert_true(arrays_npz(file, y_name, &y));
    char *body = instances_of(&x);
    ask(path, body, 200, &reply);
    expect_numbers(reply.body, "predictions", &y);
    test_reply_free(&reply);
    free(body);
    arrays_free(&x);
    arrays_free(&y);
}

static void real_windows(void **state)
{
    static const struct { const char *file, *expected, *x, *y, *side_file; } cases[] = {
        {REAL "weather/lstm_model.h5", "weather_h5", "in_x", "out_y", NULL},
        {REAL "lettuce/sensor_forecast_model.keras", "lettuce_sensor_keras", "in_x", "out_y", NULL},
        {REAL "water/gru_model.onnx", "water_gru_onnx", "in_input", "out_output", NULL},
        {REAL "textgenrnn/textgenrnn_weights.hdf5", "textgenrnn", "in_ids", "out_probs",
         "tests/side/textgenrnn.rnnd.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!is_there(cases[i].file) || (cases[i].side_file && !is_there(cases[i].side_file))) continue;
        copy_file(cases[i].file, "net.pt"); /* what it is, its bytes tell */
        if (cases[i].side_file) copy_file(cases[i].side_file, "net.rnnd.json");
        serve((const char *const[]){at("net.pt"), NULL});
        real_predicts("net", cases[i].expected, cases[i].x, cases[i].y);
        assert_int_equal(end_server(state), 0);
    }
}

/* The side file that the refusal gives makes it answer what PyTorch answered. */
static void real_state_dict(void **state)
{
    struct test_reply reply;
    if (!is_there(REAL "bitcoin/lstm_model.pth")) return;
    copy_file(REAL "bitcoin/lstm_model.pth", "net.pt");
    serve((const char *const[]){at("net.pt"), NULL});
    ask("/v1/models/net:predict", "{\"instances\":[[[1]]]}", 409, &reply);
    char *side_file = value_of(reply.body, "side_file");
    test_reply_free(&reply);
    assert_int_equal(end_server(state), 0);
    write_side_file(at("net.rnnd.json"), side_file);
    free(side_file);
    serve((const char *const[]){at("net.pt"), NULL});
    real_predicts("net", "bitcoin_pth", "in_x", "out_y");
    assert_int_equal(end_server(state), 0);
    if (!is_there(REAL "energy/gru_model.pt")) return;
    serve((const char *const[]){"energy=" REAL "energy/gru_model.pt", NULL});
    expect("/v1/models/energy:predict", "{\"instances\":[[[1,2,3,4,5]]]}", 409, "\"code\":\"model_unconfirmed\"");
}

static void real_streams(void **state)
{
    static const struct { const char *file, *expected, *side_file; } cases[] = {
        {REAL "dtln/model_1.onnx", "dtln_model_1_onnx", NULL},
        {REAL "dtln/model_2.onnx", "dtln_model_2_onnx", NULL},
        {REAL "silero-vad/silero_vad.onnx", "silero_vad", "tests/side/silero_vad.rnnd.json"},
    };
    const char *const headers[] = {"Content-Type: application/octet-stream", "Accept: application/octet-stream", NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[160];
        struct array x, y;
        struct test_reply reply;
        if (!is_there(cases[i].file) || (cases[i].side_file && !is_there(cases[i].side_file))) continue;
        copy_file(cases[i].file, "net.onnx");
        if (cases[i].side_file) copy_file(cases[i].side_file, "net.rnnd.json");
        snprintf(path, sizeof path, REAL "expected/%s.npz", cases[i].expected);
        assert_true(arrays_npz(path, "in_x", &x) && arrays_npz(path, "out_y", &y));
        serve((const char *const[]){at("net.onnx"), NULL});
        expect("/v1/sessions", "{\"model\":\"net\",\"id\":\"s\"}", 201, "\"step\":0");
        size_t row = x.count / x.dim[0], answer = y.count / y.dim[0];
        for (size_t t = 0; t < x.dim[0]; t++) { /* the state goes on in the session */
            assert_true(test_request(client, "POST", "/v1/sessions/s/steps", headers, x.data + t * row,
                                     row * sizeof(float), &reply));
            if (reply.status != 200) fail_msg("%s: %d: %.300s", cases[i].file, reply.status, reply.body);
            assert_int_equal(reply.bytes, answer * sizeof(float));
            for (size_t k = 0; k < answer; k++) {
                float got;
                memcpy(&got, reply.body + k * sizeof got, sizeof got);
                near(got, y.data[t * answer + k], largest(&y), cases[i].file, t * answer + k);
            }
            test_reply_free(&reply);
        }
        arrays_free(&x);
        arrays_free(&y);
        assert_int_equal(end_server(state), 0);
    }
}

/* 20 channels in, one of them out: what Keras says of a window, in the units of the target. */
static void real_forecast(void **state)
{
    struct array x, y;
    struct test_reply reply;
    struct json_out o;
    char side[4096];
    (void)state;
    if (!is_there(REAL "weather/lstm_model.h5")) return;
    copy_file(REAL "weather/lstm_model.h5", "net.pt");
    size_t n = (size_t)sprintf(side, "{\"format\":1,\"task\":\"series\",\"series\":{\"horizon\":1,\"warmup\":36,"
                                     "\"target\":\"c3\",\"channels\":[");
    for (int c = 0; c < 20; c++)
        n += (size_t)sprintf(side + n, "%s{\"name\":\"c%d\",\"scaler\":{\"type\":\"minmax\",\"min\":%d,\"max\":%d}}",
                             c ? "," : "", c, -c, 16 + c);
    sprintf(side + n, "]}}");
    write_side_file(at("net.rnnd.json"), side);
    serve((const char *const[]){at("net.pt"), NULL});
    assert_true(arrays_npz(REAL "expected/weather_h5.npz", "in_x", &x));
    assert_true(arrays_npz(REAL "expected/weather_h5.npz", "out_y", &y));
    for (size_t i = 0; i < x.count; i++) x.data[i] = (float)(i % 20) * -1 + x.data[i] * (float)(16 + 2 * (i % 20));
    for (size_t i = 0; i < y.count; i++) y.data[i] = -3 + y.data[i] * 22;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "series");
    json_put_floats(&o, x.data, x.rank, x.dim);
    json_close(&o, '}');
    json_append(&o, "", 1);
    ask("/v1/forecast", o.data, 200, &reply);
    const char *from = reply.body;
    for (size_t i = 0; i < y.count; i++) {
        from = strstr(from, "\"channels\":[\"c3\"],\"mean\":[");
        assert_non_null(from);
        from += strlen("\"channels\":[\"c3\"],\"mean\":[");
        near(strtof(from, NULL), y.data[i], largest(&y), "mean", i);
    }
    test_reply_free(&reply);
    json_out_free(&o);
    arrays_free(&x), arrays_free(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(files_that_say_what_they_are, end_server),
        cmocka_unit_test_teardown(several_ends, end_server),
        cmocka_unit_test_teardown(sessions_step, end_server),
        cmocka_unit_test_setup_teardown(unconfirmed_until_the_side_file_is_there, make_folder, drop_folder),
        cmocka_unit_test_teardown(accepted_guesses_are_named, end_server),
        cmocka_unit_test_setup_teardown(real_windows, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(real_state_dict, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(real_streams, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(real_forecast, make_folder, drop_folder),
    };
    return cmocka_run_group_tests_name("foreign", tests, NULL, NULL);
}
