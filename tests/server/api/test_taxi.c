/* test_taxi.c -- the bundled forecaster over HTTP: the same bits from JSON, CSV and a session fed in pieces.
 *
 * A window forecast is by definition the forecast of a fresh session stepped through the window, however the rows were
 * cut into requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/lib/reply.h"

#define ROWS 700
#define AHEAD 48

static struct test_server *server;
static struct test_client *client;
static float rows[ROWS];
static char *csv;

static int setup(void **state)
{
    FILE *f = fopen("models/examples/taxi.csv", "rb");
    char *at;
    size_t n;

    (void)state;
    assert_non_null(f);
    csv = calloc(1, 65536);
    n = fread(csv, 1, 65535, f);
    fclose(f);
    assert_true(n > 0 && n < 65535);
    at = strchr(csv, '\n');
    for (size_t i = 0; i < ROWS; i++) {
        assert_non_null(at);
        rows[i] = strtof(at + 1, NULL);
        at = strchr(at + 1, '\n');
    }
    server = test_server_start((const char *const[]){"models/taxi.safetensors", NULL});
    client = server ? test_client_open(server) : NULL;
    return client ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    test_client_close(client);
    free(csv);
    return test_server_stop(server);
}

static void put_rows(struct json_out *o, size_t from, size_t n)
{
    json_put_floats(o, rows + from, 1, (const size_t[]){n});
}

/* [mean][q 0.1][q 0.9] of a JSON forecast, as float32 */
static void read_forecast(const struct answer *a, float out[3][AHEAD])
{
    const struct json *quantiles = at(a, "forecasts.0.quantiles");

    if (a->status != 200) fail_msg("%d: %.300s", a->status, a->raw.body);
    for (int j = 0; j < AHEAD; j++) {
        char path[48];
        double v;
        snprintf(path, sizeof path, "forecasts.0.mean.%d", j);
        out[0][j] = (float)number_at(a, path);
        for (int q = 0; q < 2; q++) {
            const struct json *list = json_get(quantiles, q ? "0.9" : "0.1"), *item = json_first(list);
            for (int i = 0; i < j; i++) item = json_next(item);
            assert_true(json_number(item, &v));
            out[q + 1][j] = (float)v;
        }
        assert_true(out[1][j] <= out[2][j]);
        assert_true(out[1][j] > 100 && out[2][j] < 60000); /* passengers, not scaled units */
    }
}

static void from_window(float out[3][AHEAD])
{
    struct json_out o;
    struct answer a;

    json_out_init(&o);
    json_append(&o, "{\"model\":\"taxi\",\"horizon\":48,\"quantiles\":[0.1,0.9],\"series\":", 60);
    put_rows(&o, 0, ROWS);
    json_append(&o, "}", 1);
    o.data = realloc(o.data, o.bytes + 1);
    o.data[o.bytes] = 0;
    ask(client, "/v1/forecast", o.data, NULL, &a);
    read_forecast(&a, out);
    assert_true(number_at(&a, "forecasts.0.steps_consumed") == ROWS);
    assert_true(json_count(at(&a, "forecasts.0.mean")) == AHEAD);
    answer_free(&a);
    json_out_free(&o);
}

static void from_csv(void **state)
{
    static const char *const headers[] = {"Content-Type: text/csv", "Accept: text/csv", NULL};
    float window[3][AHEAD], v[3];
    struct test_reply reply;
    char *line;
    int step, n = 0;

    (void)state;
    from_window(window);
    assert_true(test_request(client, "POST", "/v1/forecast?model=taxi&horizon=48&quantiles=0.1,0.9", headers, csv,
                             strlen(csv), &reply));
    assert_int_equal(reply.status, 200);
    for (line = strchr(reply.body, '\n'); line && line[1]; line = strchr(line + 1, '\n'), n++) {
        assert_int_equal(sscanf(line + 1, "%*[^,],%d,%*[^,],%f,%f,%f", &step, &v[0], &v[1], &v[2]), 4);
        assert_int_equal(step, n + 1);
        for (int k = 0; k < 3; k++) assert_true(v[k] == window[k][n]);
    }
    assert_int_equal(n, AHEAD);
    test_reply_free(&reply);
}

static void from_pieces(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    float window[3][AHEAD], pieces[3][AHEAD];
    struct json_out o;
    struct answer a;

    (void)state;
    print_message("seed %u\n", seed);
    from_window(window);
    for (size_t from = 0, n; from < ROWS; from += n) {
        n = 1 + (size_t)rand_r(&seed) % 7;
        if (n > ROWS - from) n = ROWS - from;
        json_out_init(&o);
        json_open(&o, '{');
        json_put_key(&o, "model");
        json_put_text(&o, "taxi");
        json_put_key(&o, "step");
        json_put_int(&o, (int64_t)from);
        json_put_key(&o, "inputs");
        put_rows(&o, from, n);
        json_close(&o, '}');
        json_append(&o, "", 1);
        ask(client, "/v1/sessions/pieces/steps", o.data, NULL, &a);
        if (a.status != 200) fail_msg("%d: %.300s", a.status, a.raw.body);
        answer_free(&a);
        json_out_free(&o);
    }
    ask(client, "/v1/forecast", "{\"session\":\"pieces\",\"horizon\":48,\"quantiles\":[0.1,0.9]}", NULL, &a);
    read_forecast(&a, pieces);
    assert_memory_equal(window, pieces, sizeof window);
    answer_free(&a);
    ask(client, "/v1/sessions/pieces", NULL, NULL, &a); /* the forecast came from a copy */
    assert_true(number_at(&a, "step") == ROWS);
    answer_free(&a);
}

static void too_short(void **state)
{
    struct answer a;

    (void)state;
    ask(client, "/v1/forecast", "{\"model\":\"taxi\",\"horizon\":48,\"series\":[1,2,3]}", NULL, &a);
    assert_int_equal(a.status, 422);
    assert_non_null(strstr(a.raw.body, "336"));
    answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(from_csv), cmocka_unit_test(from_pieces),
                                       cmocka_unit_test(too_short)};
    return cmocka_run_group_tests_name("taxi", tests, setup, teardown);
}
