/* test_sessions.c -- many sessions at once over HTTP: isolation to the bit, batches, replays, hang-ups, the end of ids.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/server.h"

#define SESSIONS 200
#define THREADS 32
#define REQUESTS 12
#define MAX_STEPS 5
#define MAX_OUTPUT (MAX_STEPS * 256)

static struct test_server *server;
static uint64_t seed;

static const struct { const char *name; size_t inputs, outputs; } models[] = {{"lstm", 3, 2}, {"bigru", 2, 1},
                                                                                {"text", 1, 256}};

/* SplitMix64 (Steele et al. 2014) */
static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Request k of session i: how many steps, and their inputs. */
static size_t make_inputs(size_t i, size_t k, float *out)
{
    uint64_t state = seed + i * 1000 + k;
    size_t model = i % 3, steps = 1 + mix(&state) % MAX_STEPS;
    for (size_t n = 0; n < steps * models[model].inputs; n++)
        out[n] = model == 2 ? (float)(mix(&state) % 256) : (float)(mix(&state) % 2001) / 1000 - 1;
    return steps;
}

/* One request of steps, float32 both ways; returns the floats answered, 0 on any failure. */
static size_t step(struct test_client *client, const char *prefix, size_t i, size_t k, float *out)
{
    char path[120];
    float in[MAX_STEPS * 3];
    struct test_reply reply;
    size_t steps = make_inputs(i, k, in), n = 0;
    const char *headers[] = {"Content-Type: application/octet-stream", "Accept: application/octet-stream", NULL};
    snprintf(path, sizeof path, "/v1/sessions/%s-%zu/steps?model=%s", prefix, i, models[i % 3].name);
    if (!test_request(client, "POST", path, headers, in, steps * models[i % 3].inputs * sizeof *in, &reply)) return 0;
    if (reply.status == 200 && reply.bytes == steps * models[i % 3].outputs * sizeof *out) {
        memcpy(out, reply.body, reply.bytes);
        n = reply.bytes / sizeof *out;
    } else {
        fprintf(stderr, "session %zu, request %zu: %d %s\n", i, k, reply.status, reply.body);
    }
    test_reply_free(&reply);
    return n;
}

static int begin(void **state)
{
    static const char *const arguments[] = {"--test-hooks", "--steps-limit", "1000000", "models/tiny/lstm.safetensors",
                                            "models/tiny/bigru.safetensors", "models/tiny/text.safetensors", NULL};
    const char *given = getenv("SEED");
    (void)state;
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    server = test_server_start(arguments);
    return server ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return test_server_stop(server);
}

/* ---- isolation --------------------------------------------------------------------------------------------------- */

static float *alone[SESSIONS][REQUESTS]; /* what each session answers by itself */
static size_t alone_count[SESSIONS][REQUESTS];

struct worker { pthread_t thread; size_t number; size_t wrong; };

/* Sessions number, number + THREADS, ...: always the next request of one picked at random. */
static void *interleave(void *argument)
{
    struct worker *w = argument;
    struct test_client *client = test_client_open(server);
    float *out = malloc(MAX_OUTPUT * sizeof *out);
    size_t next[SESSIONS] = {0}, left = 0;
    uint64_t state = seed ^ (w->number + 1) * 7919;
    for (size_t i = w->number; i < SESSIONS; i += THREADS) left += REQUESTS;
    while (left) {
        size_t mine = (SESSIONS - w->number + THREADS - 1) / THREADS, i = w->number + mix(&state) % mine * THREADS;
        if (next[i] == REQUESTS) continue;
        size_t k = next[i]++, n = step(client, "crowd", i, k, out);
        if (n != alone_count[i][k] || memcmp(out, alone[i][k], n * sizeof *out)) w->wrong++;
        left--;
    }
    free(out);
    test_client_close(client);
    return NULL;
}

static void interleaved_sessions_answer_as_alone(void **unused)
{
    (void)unused;
    struct worker workers[THREADS];
    struct test_client *client = test_client_open(server);
    float *out = malloc(MAX_OUTPUT * sizeof *out);
    for (size_t i = 0; i < SESSIONS; i++)
        for (size_t k = 0; k < REQUESTS; k++) {
            size_t n = step(client, "alone", i, k, out);
            assert_int_not_equal(n, 0);
            alone[i][k] = malloc(n * sizeof *out);
            memcpy(alone[i][k], out, n * sizeof *out);
            alone_count[i][k] = n;
        }
    for (size_t t = 0; t < THREADS; t++) {
        workers[t] = (struct worker){.number = t};
        assert_int_equal(pthread_create(&workers[t].thread, NULL, interleave, &workers[t]), 0);
    }
    size_t wrong = 0;
    for (size_t t = 0; t < THREADS; t++) {
        pthread_join(workers[t].thread, NULL);
        wrong += workers[t].wrong;
    }
    assert_int_equal(wrong, 0);
    for (size_t i = 0; i < SESSIONS; i++)
        for (size_t k = 0; k < REQUESTS; k++) free(alone[i][k]);
    free(out);
    test_client_close(client);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

static void *one_step(void *argument)
{
    struct worker *w = argument;
    struct test_client *client = test_client_open(server);
    struct test_reply reply;
    char path[80];
    snprintf(path, sizeof path, "/v1/sessions/held-%zu/steps", w->number);
    if (!test_json(client, "POST", path, "{\"model\":\"lstm\",\"inputs\":[[1,2,3]]}", &reply)) w->wrong = 1;
    else {
        w->wrong = reply.status != 200;
        test_reply_free(&reply);
    }
    test_client_close(client);
    return NULL;
}

static void jobs_that_wait_together_are_one_batch(void **unused)
{
    (void)unused;
    struct worker workers[16];
    struct test_reply reply;
    struct test_client *client = test_client_open(server);
    double batches = test_metric(client, "rnnd_step_batches_total"), steps = test_metric(client, "rnnd_steps_total");
    double at8 = test_metric(client, "rnnd_step_batch_rows_bucket{le=\"8\"}");
    double at16 = test_metric(client, "rnnd_step_batch_rows_bucket{le=\"16\"}");
    assert_true(test_json(client, "POST", "/test/hold", "{\"jobs\":16}", &reply));
    assert_int_equal(reply.status, 200);
    test_reply_free(&reply);
    for (size_t t = 0; t < 16; t++) {
        workers[t] = (struct worker){.number = t};
        assert_int_equal(pthread_create(&workers[t].thread, NULL, one_step, &workers[t]), 0);
    }
    for (size_t t = 0; t < 16; t++) {
        pthread_join(workers[t].thread, NULL);
        assert_int_equal(workers[t].wrong, 0);
    }
    assert_true(test_metric(client, "rnnd_steps_total") == steps + 16);
    assert_true(test_metric(client, "rnnd_step_batches_total") == batches + 1);
    assert_true(test_metric(client, "rnnd_step_batch_rows_bucket{le=\"8\"}") == at8);
    assert_true(test_metric(client, "rnnd_step_batch_rows_bucket{le=\"16\"}") == at16 + 1);
    test_client_close(client);
}

static const char *line_at(const char *text, size_t n)
{
    while (n-- && text) {
        text = strchr(text, '\n');
        if (text) text++;
    }
    return text;
}

/* 1,000 rows: 10 rows for each of 100 sessions; every row's outputs are those of the same request alone. */
static void a_thousand_rows_in_one_request(void **unused)
{
    (void)unused;
    enum { ROWS = 1000, OWN = 100 };
    struct test_client *client = test_client_open(server);
    struct test_reply many, single;
    char *body = malloc(ROWS * 160), *at = body;
    const char *headers[] = {"Content-Type: application/x-ndjson", NULL};
    assert_true(test_json(client, "POST", "/test/hold", "{\"jobs\":100}", &single)); /* a row of every session */
    test_reply_free(&single);
    double at64 = test_metric(client, "rnnd_step_batch_rows_bucket{le=\"64\"}");
    double at128 = test_metric(client, "rnnd_step_batch_rows_bucket{le=\"128\"}");
    for (size_t i = 0; i < ROWS; i++)
        at += snprintf(at, 160, "{\"session\":\"many-%zu\",\"model\":\"lstm\",\"inputs\":[[%zu,%zu,1]]}\n", i % OWN,
                       i % OWN, i / OWN);
    assert_true(test_request(client, "POST", "/v1/steps", headers, body, (size_t)(at - body), &many));
    assert_int_equal(many.status, 200);
    at64 = test_metric(client, "rnnd_step_batch_rows_bucket{le=\"64\"}") - at64;
    assert_true(test_metric(client, "rnnd_step_batch_rows_bucket{le=\"128\"}") - at128 > at64);
    for (size_t i = 0; i < ROWS; i += 37) {
        char text[160], path[60];
        const char *line = line_at(many.body, i), *outputs = line ? strstr(line, "\"outputs\"") : NULL;
        assert_non_null(outputs);
        snprintf(text, sizeof text, "{\"session\":\"many-%zu\",\"step\":%zu,", i % OWN, i / OWN + 1);
        assert_memory_equal(line, text, strlen(text));
        snprintf(path, sizeof path, "/v1/sessions/single-%zu/steps", i);
        for (size_t k = 0; k <= i / OWN; k++) {
            snprintf(text, sizeof text, "{\"model\":\"lstm\",\"inputs\":[[%zu,%zu,1]]}", i % OWN, k);
            assert_true(test_json(client, "POST", path, text, &single));
            assert_int_equal(single.status, 200);
            if (k < i / OWN) test_reply_free(&single);
        }
        const char *own = strstr(single.body, "\"outputs\"");
        assert_non_null(own);
        assert_memory_equal(own, outputs, strcspn(own, "}"));
        test_reply_free(&single);
    }
    assert_null(strstr(line_at(many.body, ROWS - 1), "\"error\""));
    test_reply_free(&many);
    free(body);
    test_client_close(client);
}

/* ---- replays and hang-ups ---------------------------------------------------------------------------------------- */

static void a_repeated_step_gives_the_same_bytes(void **unused)
{
    (void)unused;
    static const char *const accepts[] = {"Accept: application/json", "Accept: text/event-stream",
                                          "Accept: application/x-ndjson", "Accept: application/octet-stream"};
    struct test_client *client = test_client_open(server);
    for (size_t a = 0; a < 4; a++) {
        struct test_reply first, again;
        char path[64];
        const char *headers[] = {accepts[a], NULL},
                   *body = "{\"model\":\"text\",\"step\":0,\"text\":\"To be, or not\"}";
        snprintf(path, sizeof path, "/v1/sessions/again-%zu/steps", a);
        assert_true(test_request(client, "POST", path, headers, body, strlen(body), &first));
        assert_int_equal(first.status, 200);
        for (size_t tries = 0; tries < 3; tries++) {
            assert_true(test_request(client, "POST", path, headers, body, strlen(body), &again));
            assert_int_equal(again.status, 200);
            char *yes = strstr(again.body, "\"replayed\":true"), *no = strstr(first.body, "\"replayed\":false");
            if (a < 3) {
                assert_non_null(yes);
                assert_non_null(no);
                assert_int_equal(again.bytes + 1, first.bytes);
                assert_memory_equal(first.body, again.body, (size_t)(no - first.body));
                assert_string_equal(yes + 15, no + 16);
            } else {
                assert_int_equal(again.bytes, first.bytes);
                assert_memory_equal(again.body, first.body, first.bytes);
            }
            test_reply_free(&again);
        }
        test_reply_free(&first);
    }
    test_client_close(client);
}

static bool hang_up(void *context, const char *data, size_t n)
{
    (void)data, (void)n;
    return ++*(size_t *)context < 2;
}

/* The stream's half a million steps, which take seconds, are not done when its client leaves after two pieces: nothing
 * of them remains. */
static void a_client_that_hangs_up_leaves_the_session_as_it_was(void **unused)
{
    (void)unused;
    enum { STEPS = 500000 };
    struct test_client *client = test_client_open(server);
    struct test_reply reply;
    size_t pieces = 0;
    const char *headers[] = {"Accept: text/event-stream", NULL};
    char *body = malloc(STEPS + 100), *at = body + snprintf(body, 100, "{\"model\":\"text\",\"text\":\"");
    memset(at, 'a', STEPS);
    memcpy(at + STEPS, "\"}", 2);
    test_stream(client, "POST", "/v1/sessions/leaver/steps", headers, body, (size_t)(at + STEPS + 2 - body), hang_up,
                &pieces, &reply);
    assert_true(reply.broken);
    test_reply_free(&reply);
    assert_true(test_json(client, "POST", "/v1/sessions/leaver/steps", "{\"text\":\"a\"}", &reply));
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "{\"step\":1,"));
    test_reply_free(&reply);
    free(body);
    test_client_close(client);
}

static void *add_steps(void *argument)
{
    struct worker *w = argument;
    struct test_client *client = test_client_open(server);
    struct test_reply reply;
    for (int k = 0; k < 20; k++) {
        if (!test_json(client, "POST", "/v1/sessions/shared/steps", "{\"model\":\"lstm\",\"inputs\":[[1,2,3],[1,2,3]]}",
                       &reply)) w->wrong++;
        else {
            w->wrong += reply.status != 200;
            test_reply_free(&reply);
        }
    }
    test_client_close(client);
    return NULL;
}

static void requests_on_one_session_run_one_after_another(void **unused)
{
    (void)unused;
    struct worker workers[8];
    struct test_reply one, other;
    struct test_client *client = test_client_open(server);
    for (size_t t = 0; t < 8; t++) {
        workers[t] = (struct worker){.number = t};
        assert_int_equal(pthread_create(&workers[t].thread, NULL, add_steps, &workers[t]), 0);
    }
    for (size_t t = 0; t < 8; t++) {
        pthread_join(workers[t].thread, NULL);
        assert_int_equal(workers[t].wrong, 0);
    }
    char *body = malloc(320 * 10 + 100), *at = body + snprintf(body, 100, "{\"model\":\"lstm\",\"inputs\":[[1,2,3]");
    for (int k = 1; k < 320; k++) at += snprintf(at, 10, ",[1,2,3]");
    memcpy(at, "]}", 3);
    assert_true(test_json(client, "POST", "/v1/sessions/shared-alone/steps", body, &other));
    assert_int_equal(other.status, 200);
    test_reply_free(&other);
    free(body);
    assert_true(test_request(client, "GET", "/v1/sessions/shared", NULL, NULL, 0, &one));
    assert_true(test_request(client, "GET", "/v1/sessions/shared-alone", NULL, NULL, 0, &other));
    assert_non_null(strstr(one.body, "\"step\":320"));
    const char *digest = strstr(one.body, "\"state_digest\""), *same = strstr(other.body, "\"state_digest\"");
    assert_memory_equal(digest, same, 34);
    test_reply_free(&one);
    test_reply_free(&other);
    test_client_close(client);
}

/* ---- the end of ids ---------------------------------------------------------------------------------------------- */

/* Asks until the answer is no longer 200; the last answer. */
static void wait_for_end(struct test_client *client, const char *path, struct test_reply *reply)
{
    for (int tries = 0; tries < 100; tries++) {
        assert_true(test_request(client, "GET", path, NULL, NULL, 0, reply));
        if (reply->status != 200) return;
        test_reply_free(reply);
        usleep(100000);
    }
    fail_msg("%s never ended", path);
}

static void ids_that_ended_say_why(void **unused)
{
    (void)unused;
    static const char *const arguments[] = {"--ttl", "1", "--session-memory", "65536", "models/tiny/lstm.safetensors",
                                            NULL};
    struct test_reply reply;
    struct test_server *small = test_server_start(arguments);
    assert_non_null(small);
    struct test_client *client = test_client_open(small);
    assert_true(
        test_json(client, "POST", "/v1/sessions/first/steps", "{\"inputs\":[[1,2,3]],\"model\":\"lstm\"}", &reply));
    assert_int_equal(reply.status, 200);
    test_reply_free(&reply);
    for (size_t i = 0; i < 200; i++) {
        assert_true(test_json(client, "POST", "/v1/sessions", "{\"model\":\"lstm\"}", &reply));
        assert_int_equal(reply.status, 201);
        test_reply_free(&reply);
    }
    assert_true(
        test_json(client, "POST", "/v1/sessions/first/steps", "{\"inputs\":[[1,2,3]],\"model\":\"lstm\"}", &reply));
    assert_int_equal(reply.status, 410);
    assert_non_null(strstr(reply.body, "\"code\":\"session_expired\""));
    assert_non_null(strstr(reply.body, "\"reason\":\"lru\""));
    assert_non_null(strstr(reply.body, "\"last_step\":1"));
    char value[16];
    assert_true(test_reply_header(&reply, "x-should-retry", value, sizeof value));
    assert_string_equal(value, "false");
    test_reply_free(&reply);
    assert_true(test_json(client, "POST", "/v1/sessions", "{\"model\":\"lstm\",\"id\":\"idler\"}", &reply));
    assert_int_equal(reply.status, 201);
    test_reply_free(&reply);
    wait_for_end(client, "/v1/sessions/idler", &reply);
    assert_int_equal(reply.status, 410);
    assert_non_null(strstr(reply.body, "\"reason\":\"idle\""));
    assert_non_null(strstr(reply.body, "\"last_step\":0"));
    test_reply_free(&reply);
    assert_true(test_json(client, "POST", "/v1/sessions", "{\"model\":\"lstm\",\"id\":\"idler\"}", &reply));
    assert_int_equal(reply.status, 201);
    test_reply_free(&reply);
    test_client_close(client);
    assert_int_equal(test_server_stop(small), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interleaved_sessions_answer_as_alone),
        cmocka_unit_test(jobs_that_wait_together_are_one_batch),
        cmocka_unit_test(a_thousand_rows_in_one_request),
        cmocka_unit_test(a_repeated_step_gives_the_same_bytes),
        cmocka_unit_test(a_client_that_hangs_up_leaves_the_session_as_it_was),
        cmocka_unit_test(requests_on_one_session_run_one_after_another),
        cmocka_unit_test(ids_that_ended_say_why),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
