/* test_whole.c -- :predict of networks whose ends are no rows of steps: whole tensors by name, as their frameworks
 * answered them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/arrays.h"
#include "tests/lib/reply.h"

#define VECTORS "tests/vectors/"

static struct test_server *server;
static struct test_client *client;

static int begin(void **state)
{
    (void)state;
    server = test_server_start((const char *const[]){"conv=" VECTORS "onnx_files/torch_conv.onnx",
                                                     "loop=" VECTORS "onnx_files/loop_weights.onnx",
                                                     "places=" VECTORS "keras/places.keras",
                                                     "states=" VECTORS "keras/states.keras", NULL});
    if (!server) return -1;
    client = test_client_open(server);
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_client_close(client);
    return test_server_stop(server);
}

static struct array vector(const char *file, const char *name)
{
    struct array a;
    char path[160];
    snprintf(path, sizeof path, VECTORS "%s.safetensors", file);
    if (!arrays_safetensors(path, name, &a)) fail_msg("no %s in %s", name, path);
    return a;
}

static void put_input(struct json_out *o, const char *name, const char *file, const char *tensor)
{
    struct array a = vector(file, tensor);
    json_put_key(o, name);
    json_put_floats(o, a.data, a.rank, a.dim);
    arrays_free(&a);
}

/* Nested arrays of the wanted shape and numbers. */
static void walk(const struct json *v, const struct array *wanted, int depth, size_t *i, float allowed)
{
    double got;
    if (depth == wanted->rank) {
        assert_true(json_number(v, &got));
        if (!(fabs(got - (double)wanted->data[*i]) <= (double)allowed))
            fail_msg("number %zu is %.9g, wanted %.9g", *i, got, (double)wanted->data[*i]);
        ++*i;
        return;
    }
    assert_int_equal(json_type(v), JSON_ARRAY);
    assert_int_equal(json_count(v), wanted->dim[depth]);
    for (const struct json *child = json_first(v); child; child = json_next(child))
        walk(child, wanted, depth + 1, i, allowed);
}

static void expect(const struct answer *a, const char *path, const char *file, const char *tensor)
{
    struct array wanted = vector(file, tensor);
    float most = 1;
    size_t i = 0;
    if (a->status != 200) fail_msg("%d: %.400s", a->status, a->raw.body);
    for (size_t k = 0; k < wanted.count; k++)
        most = fmaxf(most, fabsf(wanted.data[k]));
    walk(at(a, path), &wanted, 0, &i, 1e-5f * most);
    assert_int_equal(i, wanted.count);
    arrays_free(&wanted);
}

static void send(const char *path, struct json_out *o, struct answer *a)
{
    json_append(o, "", 1);
    assert_false(o->failed);
    ask(client, path, o->data, NULL, a);
    json_out_free(o);
}

/* One input and one output: "instances", "inputs", by name or not. */
static void one_input(void **state)
{
    (void)state;
    static const char *const keys[] = {"instances", "inputs", "x"};
    for (size_t k = 0; k < 3; k++) {
        struct json_out o;
        struct answer a;
        json_out_init(&o);
        json_open(&o, '{');
        if (k == 2) {
            json_put_key(&o, "inputs");
            json_open(&o, '{');
        }
        put_input(&o, keys[k], "onnx_files/torch_conv", "in.x");
        if (k == 2) json_close(&o, '}');
        json_close(&o, '}');
        send("/v1/models/conv:predict", &o, &a);
        expect(&a, "predictions", "onnx_files/torch_conv", "out.y");
        assert_int_equal(strlen(text_at(&a, "model_version")), 12);
        answer_free(&a);
    }
}

static void several_outputs(void **state)
{
    (void)state;
    struct json_out o;
    struct answer a;
    json_out_init(&o);
    json_open(&o, '{');
    put_input(&o, "instances", "onnx_files/loop_weights", "in.x");
    json_close(&o, '}');
    send("/v1/models/loop:predict", &o, &a);
    expect(&a, "predictions.last", "onnx_files/loop_weights", "out.last");
    expect(&a, "predictions.wlast", "onnx_files/loop_weights", "out.wlast");
    expect(&a, "predictions.rall", "onnx_files/loop_weights", "out.rall");
    answer_free(&a);
}

static void several_inputs(void **state)
{
    (void)state;
    static const char *const outputs[] = {"after", "mean", "most", "flat", "whole", "turned"};
    struct json_out o;
    struct answer a;
    json_out_init(&o);
    json_open(&o, '{');
    json_put_key(&o, "inputs");
    json_open(&o, '{');
    put_input(&o, "image", "keras/places", "in_1");
    put_input(&o, "signal", "keras/places", "in_0");
    json_close(&o, '}');
    json_close(&o, '}');
    send("/v1/models/places:predict", &o, &a);
    for (size_t i = 0; i < 6; i++) {
        char path[64], tensor[16];
        snprintf(path, sizeof path, "predictions.%s", outputs[i]);
        snprintf(tensor, sizeof tensor, "out_%zu", i);
        expect(&a, path, "keras/places", tensor);
    }
    answer_free(&a);
}

/* A NumPy array in, one out. */
static void arrays(void **state)
{
    (void)state;
    const char *const headers[] = {"Content-Type: application/x-npy", "Accept: application/x-npy", NULL};
    struct array x = vector("onnx_files/torch_conv", "in.x"), y = vector("onnx_files/torch_conv", "out.y");
    struct test_reply r;
    char *body = malloc(128 + x.count * sizeof *x.data);
    memset(body, ' ', 128);
    memcpy(body, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 9), }", 73);
    body[127] = '\n';
    memcpy(body + 128, x.data, x.count * sizeof *x.data);
    assert_true(
        test_request(client, "POST", "/v1/models/conv:predict", headers, body, 128 + x.count * sizeof *x.data, &r));
    if (r.status != 200) fail_msg("%d: %.300s", r.status, r.body);
    assert_int_equal(r.bytes, 128 + y.count * sizeof *y.data);
    assert_non_null(strstr(r.body + 10, "'shape': (2, 5), }"));
    for (size_t i = 0; i < y.count; i++) {
        float got;
        memcpy(&got, r.body + 128 + i * sizeof got, sizeof got);
        assert_true(fabsf(got - y.data[i]) <= 1e-5f);
    }
    test_reply_free(&r);
    free(body);
    arrays_free(&x), arrays_free(&y);
}

static void refused(const char *model, const char *json, int status, const char *part)
{
    char path[80];
    struct answer a;
    snprintf(path, sizeof path, "/v1/models/%s:predict", model);
    ask(client, path, json, NULL, &a);
    if (a.status != status || !strstr(a.raw.body, part))
        fail_msg("%s: %d, wanted %d and \"%s\": %.400s", json, a.status, status, part, a.raw.body);
    answer_free(&a);
}

/* Attention over a long window takes the square of its length: refused before it is computed, and short ones go on. */
static void long_windows_are_bounded(void **state)
{
    static const char begin_json[] = "{\"instances\":[[", step[] = "[1,0,1,0],";
    const size_t steps = 12000, head = sizeof begin_json - 1, row = sizeof step - 1;
    char *json = malloc(head + steps * row + 8);
    struct answer a;
    (void)state;
    assert_non_null(json);
    memcpy(json, begin_json, head);
    for (size_t t = 0; t < steps; t++)
        memcpy(json + head + t * row, step, row);
    strcpy(json + head + steps * row - 1, "]]}");
    refused("states", json, 413, "beyond the memory of a run");
    strcpy(json + head + 9 * row - 1, "]]}");
    ask(client, "/v1/models/states:predict", json, NULL, &a);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    free(json);
}

static void what_does_not_fit(void **state)
{
    (void)state;
    static const char x[] = "[[[1,2,3],[1,2,3],[1,2,3]]]";
    char json[400];
    refused("conv", "{}", 400, "the body needs");
    refused("conv", "{\"inputs\":{}}", 422, "the network's input \\\"x\\\" is missing");
    refused("conv", "{\"inputs\":{\"z\":[[[1]]]}}", 422, "no input \\\"z\\\"");
    refused("conv", "{\"instances\":[[1,2],[3]]}", 400, "equally long");
    refused("conv", "{\"instances\":[[[1,null,3],[1,2,3],[1,2,3]]]}", 400, "instances[0][0][1] is null");
    refused("conv", "{\"instances\":\"word\"}", 400, "must be a number or nested arrays");
    refused("conv", "{\"instances\":[[1,2,3]]}", 422, "rank 3, found 2");
    refused("conv", "{\"instances\":[[[1,2,3],[1,2,3]]]}", 422, "Conv");
    refused("conv", "{\"instances\":1}", 422, "rank 3, found 0");
    snprintf(json, sizeof json, "{\"instances\":%s,\"session\":\"s\"}", x);
    refused("conv", json, 422, "session does not go with conv");
    snprintf(json, sizeof json, "{\"instances\":%s,\"return\":[\"h\"]}", x);
    refused("conv", json, 422, "return does not go with conv");
    snprintf(json, sizeof json, "{\"instances\":%s,\"inputs\":{\"x\":%s}}", x, x);
    refused("conv", json, 400, "not both");
    refused("places", "{\"inputs\":{\"image\":[[[[1,2]]]]}}", 422, "signal");
    const char *const csv[] = {"Content-Type: text/csv", NULL};
    struct test_reply r;
    assert_true(test_request(client, "POST", "/v1/models/conv:predict", csv, "1\n2\n", 4, &r));
    assert_int_equal(r.status, 422);
    test_reply_free(&r);
}

/* Their shapes are listed as the file tells them. */
static void listed(void **state)
{
    (void)state;
    struct answer a;
    ask(client, "/v1/models/conv", NULL, NULL, &a);
    assert_non_null(strstr(a.raw.body, "\"input_ports\":[{\"name\":\"x\",\"shape\":[-1,3,-1]}]"));
    assert_non_null(strstr(a.raw.body, "\"output_ports\":[{\"name\":\"y\",\"shape\":null}]"));
    assert_non_null(strstr(a.raw.body, "\"streamable\":false"));
    answer_free(&a);
    ask(client, "/v1/sessions", "{\"model\":\"conv\"}", NULL, &a);
    assert_int_equal(a.status, 422);
    answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_input),         cmocka_unit_test(several_outputs),
                                       cmocka_unit_test(several_inputs),    cmocka_unit_test(arrays),
                                       cmocka_unit_test(what_does_not_fit), cmocka_unit_test(long_windows_are_bounded),
                                       cmocka_unit_test(listed)};
    return cmocka_run_group_tests_name("whole", tests, begin, end);
}
