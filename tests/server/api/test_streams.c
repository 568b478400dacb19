/* test_streams.c -- over HTTP: a session's steps answer the bits of :predict, for strangers' files of every format.
 *
 * Of ../shared/real, where it is, every case of cases.tsv is served, with its side file of tests/side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/arrays.h"
#include "tests/lib/server.h"
#include "tests/lib/stream.h"

#define VECTORS "tests/vectors/"
#define REAL "../shared/real/"
enum { MOST = 40, CARRIED = 80 };

static struct test_server *server;
static struct test_client *client;
static char folder[64];

struct subject {
    char path[400];
    rnnd_model *model; /* the same file, opened here: what is told of it */
    const rnnd_info *info;
    size_t steps;
    float *rows, *stepped; /* [steps][inputs], [steps][outputs] */
};
static struct subject subjects[MOST];
static size_t count;

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void copy(const char *from, const char *to)
{
    size_t bytes;
    unsigned char *data = arrays_file(from, &bytes);
    FILE *f = fopen(to, "wb");
    assert_non_null(data);
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
    free(data);
}

/* A copy in a folder of its own, NUMBER/net.EXTENSION, with the side file if there is one. */
static void add(const char *file, const char *side_file)
{
    struct subject *s = &subjects[count];
    char path[400];
    rnnd_options options = {.accept_guesses = true};
    rnnd_error err;
    assert_true(count < MOST);
    snprintf(path, sizeof path, "%s/%zu", folder, count);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(s->path, sizeof s->path, "%s/%zu/net%.40s", folder, count, strrchr(file, '.'));
    copy(file, s->path);
    snprintf(path, sizeof path, "%s/%zu/net.rnnd.json", folder, count);
    if (side_file && access(side_file, R_OK) == 0) copy(side_file, path);
    if (rnnd_model_open(s->path, &options, &s->model, &err)) fail_msg("%s: %s", file, err.message);
    s->info = rnnd_model_info(s->model);
    count++;
}

static int begin(void **state)
{
    (void)state;
    count = 0;
    snprintf(folder, sizeof folder, "/tmp/rnnd-streams-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    char path[400];
    int status = 0;
    if (server) {
        test_client_close(client);
        status = test_server_stop(server);
        server = NULL;
    }
    for (size_t i = 0; i < count; i++) {
        unlink(subjects[i].path);
        snprintf(path, sizeof path, "%s/%zu/net.rnnd.json", folder, i);
        unlink(path);
        snprintf(path, sizeof path, "%s/%zu", folder, i);
        rmdir(path);
        free(subjects[i].rows);
        free(subjects[i].stepped);
        rnnd_model_close(subjects[i].model);
        subjects[i] = (struct subject){.model = NULL};
    }
    return rmdir(folder) ? -1 : status;
}

static void serve(void)
{
    static char names[MOST][500];
    const char *arguments[MOST + 2] = {"--accept-guesses"};
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "m%zu=%.400s", i, subjects[i].path);
        arguments[i + 1] = names[i];
    }
    server = test_server_start(arguments);
    assert_non_null(server);
    client = test_client_open(server);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static void ask(const char *path, const char *type, const void *body, size_t bytes, int status, struct test_reply *r)
{
    char content[80], accept[80];
    snprintf(content, sizeof content, "Content-Type: %s", type);
    snprintf(accept, sizeof accept, "Accept: %s", type);
    assert_true(test_request(client, "POST", path, (const char *const[]){content, accept, NULL}, body, bytes, r));
    if (r->status != status) fail_msg("%s: %d, wanted %d: %.600s", path, r->status, status, r->body);
}

/* Steps [from, from + n) of the session, as one request. */
static void step(struct subject *s, size_t i, size_t from, size_t n)
{
    char path[80];
    struct test_reply r;
    size_t in = s->info->input_width, out = s->info->output_width;
    snprintf(path, sizeof path, "/v1/sessions/s%zu/steps", i);
    ask(path, "application/octet-stream", s->rows + from * in, n * in * sizeof(float), 200, &r);
    assert_int_equal(r.bytes, n * out * sizeof(float));
    memcpy(s->stepped + from * out, r.body, r.bytes);
    test_reply_free(&r);
}

/* Windows [batch][steps][width] as a NumPy array; the answers [batch][answers][width], owned. */
static float *predict(struct subject *s, size_t i, const float *rows, size_t batch, size_t steps)
{
    char path[80], head[129];
    struct test_reply r;
    size_t in = s->info->input_width, out = s->info->output_width, answers = batch * (s->info->output_last ? 1 : steps);
    size_t bytes = batch * steps * in * sizeof(float);
    char *body = malloc(128 + bytes);
    int n = snprintf(head, sizeof head,
                     "%cNUMPY%c%c%c%c{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu, %zu), }", 0x93, 1, 0,
                     118, 0, batch, steps, in);
    memset(body, ' ', 128);
    memcpy(body, head, (size_t)n);
    body[127] = '\n';
    memcpy(body + 128, rows, bytes);
    snprintf(path, sizeof path, "/v1/models/m%zu:predict", i);
    ask(path, "application/x-npy", body, 128 + bytes, 200, &r);
    free(body);
    assert_true(r.bytes > answers * out * sizeof(float));
    float *said = malloc(answers * out * sizeof *said);
    memcpy(said, r.body + r.bytes - answers * out * sizeof *said, answers * out * sizeof *said);
    test_reply_free(&r);
    return said;
}

static void same(struct subject *s, size_t t, const float *said)
{
    size_t out = s->info->output_width;
    for (size_t k = 0; k < out; k++)
        if (memcmp(&s->stepped[t * out + k], &said[k], sizeof *said) != 0)
            fail_msg("%s: step %zu, output %zu: the session answered %.9g, :predict %.9g", s->path, t, k,
                     (double)s->stepped[t * out + k], (double)said[k]);
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static void carried(struct subject *s, size_t i)
{
    size_t out = s->info->output_width;
    static const size_t lengths[] = {1, 2, 3, 17, CARRIED};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        size_t n = lengths[k];
        float *said = predict(s, i, s->rows, 1, n);
        same(s, n - 1, said + (s->info->output_last ? 0 : n - 1) * out);
        for (size_t t = 0; t < n && !s->info->output_last; t++)
            same(s, t, said + t * out);
        free(said);
    }
}

/* Every window that a step stood at the end of: young ones too, with zeros in front or shorter. */
static void slid(struct subject *s, size_t i)
{
    size_t W = s->info->window, in = s->info->input_width, out = s->info->output_width;
    float *windows = calloc(s->steps * W * in + 1, sizeof *windows);
    for (size_t t = 0; t < s->steps; t++) {
        size_t n = t + 1 < W ? t + 1 : W;
        float *to = windows + (t * W + W - n) * in;
        memcpy(to, s->rows + (t + 1 - n) * in, n * in * sizeof *to);
        if (n == W || s->info->pad_zeros) continue;
        float *said = predict(s, i, to, 1, n);
        same(s, t, said + (s->info->output_last ? 0 : n - 1) * out);
        free(said);
    }
    size_t first = s->info->pad_zeros ? 0 : W - 1;
    float *said = predict(s, i, windows + first * W * in, s->steps - first, W);
    for (size_t t = first; t < s->steps; t++)
        same(s, t, said + (s->info->output_last ? t - first : (t - first) * W + W - 1) * out);
    free(said);
    free(windows);
}

static void compare(struct subject *s, size_t i)
{
    char body[120];
    struct test_reply r;
    bool sliding = s->info->mode == RNND_SLIDING;
    s->steps = sliding ? stream_steps(s->model) : CARRIED;
    s->rows = stream_rows(s->model, s->steps);
    s->stepped = calloc(s->steps * s->info->output_width + 1, sizeof *s->stepped);
    snprintf(body, sizeof body, "{\"model\":\"m%zu\",\"id\":\"s%zu\"}", i, i);
    assert_true(test_json(client, "POST", "/v1/sessions", body, &r));
    if (r.status != 201) fail_msg("%s: %d %.300s", s->path, r.status, r.body);
    assert_non_null(strstr(r.body, sliding ? "\"mode\":\"sliding\"" : "\"mode\":\"carry\""));
    test_reply_free(&r);
    for (size_t t = 0, n; t < s->steps; t += n) { /* one at a time, then the rest at once */
        n = t < 12 ? 1 : s->steps - t;
        step(s, i, t, n);
    }
    if (sliding)
        slid(s, i);
    else
        carried(s, i);
}

static void compare_all(size_t carry, size_t sliding)
{
    size_t found[2] = {0, 0};
    serve();
    for (size_t i = 0; i < count; i++) {
        struct subject *s = &subjects[i];
        if (!s->info->streamable || s->info->task != RNND_RAW) fail_msg("%s: %s", s->path, s->info->not_streamable);
        compare(s, i);
        found[s->info->mode == RNND_SLIDING]++;
    }
    printf("%zu carried, %zu slid\n", found[0], found[1]);
    assert_true(found[0] >= carry && found[1] >= sliding);
}

static void files_beside_this(void **state)
{
    (void)state;
    add(VECTORS "keras/stacked.h5", NULL);
    add(VECTORS "keras/cudnn.h5", NULL);
    add(VECTORS "keras/recurrent.h5", NULL);
    add(VECTORS "keras/operations.h5", NULL);
    add(VECTORS "onnx_files/torch_lstm.onnx", NULL);
    add(VECTORS "onnx_files/torch_rnn_last.onnx", NULL);
    add(VECTORS "onnx_files/torch_state.onnx", NULL);
    add(VECTORS "onnx_files/scan_weights.onnx", NULL);
    add(VECTORS "rtjson/gru.json", NULL);
    add(VECTORS "rtjson/amp.nam", NULL);
    add(VECTORS "torch_files/lstm_module.pt", NULL);
    compare_all(7, 3);
}

static void files_of_others(void **state)
{
    (void)state;
    char line[1024], file[600], side_file[300];
    FILE *f = fopen(REAL "cases.tsv", "r");
    if (!f) {
        printf("skipped: %scases.tsv\n", REAL);
        return;
    }
    for (bool head = true; fgets(line, sizeof line, f); head = false) {
        char *rest = line, *name = strsep(&rest, "\t"), *model = strsep(&rest, "\t");
        if (head || !model) continue;
        snprintf(file, sizeof file, REAL "%.400s", model);
        snprintf(side_file, sizeof side_file, "tests/side/%.200s.rnnd.json", name);
        add(file, side_file);
    }
    fclose(f);
    compare_all(10, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(files_beside_this, begin, end),
                                       cmocka_unit_test_setup_teardown(files_of_others, begin, end)};
    return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
