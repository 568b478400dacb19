/* test_rtjson.c -- models written as JSON: what their frameworks answered (tests/vectors/make_rtjson.py), and lies. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/formats/format.h"
#include "tests/lib/hostile.h"

#define FOLDER "tests/vectors/rtjson/"
#define SHARED "../shared/"


/* ---- answers ---- */

struct case_data {
    size_t steps, inputs, outputs;
    float *x, *y;
};

static void read_case(const char *path, struct case_data *c)
{
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("%s cannot be opened", path);
    assert_int_equal(fscanf(f, "%zu %zu %zu", &c->steps, &c->inputs, &c->outputs), 3);
    c->x = malloc(c->steps * c->inputs * sizeof *c->x);
    c->y = malloc(c->steps * c->outputs * sizeof *c->y);
    for (size_t i = 0; i < c->steps * c->inputs; i++)
        assert_int_equal(fscanf(f, "%f", &c->x[i]), 1);
    for (size_t i = 0; i < c->steps * c->outputs; i++)
        assert_int_equal(fscanf(f, "%f", &c->y[i]), 1);
    fclose(f);
}

static void free_case(struct case_data *c)
{
    free(c->x);
    free(c->y);
}

/* A window of the model, against the reference; and its steps, bit for bit the window's. */
static void compare(const char *path, rnnd_model *m, const struct case_data *c)
{
    const rnnd_info *info = rnnd_model_info(m);
    size_t n = c->steps * c->outputs;
    float *y = malloc(n * sizeof *y), *step = malloc(c->outputs * sizeof *step), top = 1, worst = 0;
    void *state = calloc(1, rnnd_state_bytes(m));
    rnnd_workspace *ws;
    rnnd_error err;
    assert_int_equal(rnnd_window_input_width(m), c->inputs);
    assert_int_equal(rnnd_window_output_width(m), c->outputs);
    if (rnnd_workspace_open(m, 1, &ws, &err)) fail_msg("%s", err.message);
    if (rnnd_run_window(ws, &(rnnd_window){.batch = 1, .steps = c->steps, .inputs = c->x, .outputs = y}, &err))
        fail_msg("%s: %s", path, err.message);
    for (size_t i = 0; i < n; i++) {
        if (fabsf(c->y[i]) > top) top = fabsf(c->y[i]);
        if (!(fabsf(c->y[i] - y[i]) <= worst)) worst = fabsf(c->y[i] - y[i]);
    }
    if (!(worst <= 1e-5f * top)) fail_msg("%s: %g from the reference", path, (double)worst);
    assert_true(info->streamable);
    rnnd_state_reset(m, state);
    for (size_t t = 0; t < c->steps && info->task == RNND_RAW; t++) {
        rnnd_step_row row = {.state = state, .input = c->x + t * c->inputs, .output = step};
        assert_int_equal(rnnd_step(ws, &row, 1, &err), RNND_OK);
        assert_memory_equal(step, y + t * c->outputs, c->outputs * sizeof *step);
    }
    printf("%s: %.1e from the reference\n", path, (double)worst);
    rnnd_workspace_close(ws);
    free(state);
    free(step);
    free(y);
}

static rnnd_model *open_model(const char *path, const char *config)
{
    rnnd_options options = {.config = config};
    rnnd_model *m;
    rnnd_error err;
    if (rnnd_model_open(path, &options, &m, &err)) fail_msg("%s", err.message);
    return m;
}

#define STATE_CONFIG                                                                                                   \
    "{\"format\":1,\"inputs\":[{\"width\":2}],\"layers\":[{\"type\":\"gru\",\"name\":\"gru\",\"hidden\":4},"           \
    "{\"type\":\"dense\",\"name\":\"dense\"}]}"

static void vectors(void **unused)
{
    (void)unused;
    static const char *const names[][3] = {
        {"dense.json", "dense.txt"},
        {"gru.json", "gru.txt"},
        {"lstm.json", "lstm.txt"},
        {"conv.json", "conv.txt"},
        {"norm.json", "norm.txt"},
        {"guitar_lstm.json", "guitar_lstm.txt"},
        {"guitar_gru.json", "guitar_gru.txt"},
        {"guitar_rnn.json", "guitar_rnn.txt"},
        {"amp.nam", "amp.txt"},
        {"state.json", "state.txt", STATE_CONFIG},
        {"ml5/manifest.json", "ml5/expected.txt", "{\"task\":\"raw\",\"text\":null}"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        struct case_data c;
        snprintf(path, sizeof path, FOLDER "%s", names[i][1]);
        read_case(path, &c);
        snprintf(path, sizeof path, FOLDER "%s", names[i][0]);
        rnnd_model *m = open_model(path, names[i][2]);
        compare(path, m, &c);
        rnnd_model_close(m);
        free_case(&c);
    }
}

/* A side file's parts go on top of what the file says. */
static void partial_configuration(void **unused)
{
    (void)unused;
    rnnd_model *m = open_model(FOLDER "gru.json", "{\"name\":\"pedal\",\"output\":\"last\"}");
    const rnnd_info *info = rnnd_model_info(m);
    assert_string_equal(info->name, "pedal");
    assert_true(info->output_last && info->layer_count == 3);
    assert_string_equal(info->layers[0].name, "time-distributed-dense_1");
    rnnd_model_close(m);
}

/* ---- what others have, where it is at hand ---- */

static size_t read_csv(const char *path, float *out, size_t cap)
{
    FILE *f = fopen(path, "r");
    size_t n = 0;
    while (f && n < cap && fscanf(f, "%f", &out[n]) == 1)
        n++;
    if (f) fclose(f);
    return n;
}

#define TORCH_LAYERS(kind)                                                                                             \
    "{\"format\":1,\"inputs\":[{\"width\":1}],\"layers\":[{\"type\":\"" kind "\",\"name\":\"" kind                     \
    "\",\"hidden\":8},{\"type\":\"" kind "\",\"name\":\"" kind "2\",\"hidden\":8,\"layers\":3},"                       \
    "{\"type\":\"dense\",\"name\":\"dense\"}]}"

static void rtneural_project(void **unused)
{
    (void)unused;
    static const char *const names[][2] = {{"dense"},
                                           {"gru"},
                                           {"gru_1d"},
                                           {"lstm"},
                                           {"lstm_1d"},
                                           {"gru_torch", TORCH_LAYERS("gru")},
                                           {"lstm_torch", TORCH_LAYERS("lstm")}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        struct case_data c = {.inputs = 1, .outputs = 1, .x = malloc(8000), .y = malloc(8000)};
        snprintf(path, sizeof path, SHARED "conformance/rtneural/%s_x_python.csv", names[i][0]);
        c.steps = read_csv(path, c.x, 2000);
        snprintf(path, sizeof path, SHARED "conformance/rtneural/%s_y_python.csv", names[i][0]);
        size_t n = read_csv(path, c.y, 2000);
        snprintf(path, sizeof path, SHARED "conformance/rtneural/%s.json", names[i][0]);
        if (c.steps == 0) {
            printf("skipped: %s is not here\n", path);
        } else {
            rnnd_model *m = open_model(path, names[i][1]);
            assert_int_equal(n, c.steps);
            compare(path, m, &c);
            rnnd_model_close(m);
        }
        free_case(&c);
    }
    rnnd_model *m;
    rnnd_error err;
    if (access(SHARED "conformance/rtneural/bad_lstm.json", R_OK) == 0) {
        assert_int_equal(rnnd_model_open(SHARED "conformance/rtneural/bad_lstm.json", NULL, &m, &err), RNND_CORRUPT);
        assert_non_null(strstr(err.message, "wanted numbers of shape [1, 64], found [1, 80]"));
        rnnd_model_close(open_model(SHARED "conformance/rtneural/full_model.json", NULL));
    }
}

/* ---- lies ---- */

static rnnd_code read_back(const void *data, size_t bytes, struct checkpoint *ck, rnnd_error *err)
{
    char *p = (char *)hostile_at_end(bytes);
    memmove(p, data, bytes);
    memset(err, 0, sizeof *err);
    checkpoint_init(ck);
    return format_read((const uint8_t *)p, bytes, NULL, ck, err);
}

static void refusals(void **unused)
{
    (void)unused;
#define RT(layers) "{\"in_shape\":[null,2],\"layers\":[" layers "]}"
#define GUITAR(data) "{\"model_data\":{" data "},\"state_dict\":{}}"
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"layers\":5,\"in_shape\":[1]}", "layers"},
        {RT(""), "layers"},
        {"{\"in_shape\":[null],\"layers\":[{}]}", "in_shape"},
        {"{\"in_shape\":[0],\"layers\":[{}]}", "in_shape"},
        {RT("{}"), "type"},
        {RT("{\"type\":\"conv2d\"}"), "conv2d"},
        {RT("{\"type\":\"batchnorm2d\"}"), "batchnorm2d"},
        {RT("{\"type\":\"dense\"}"), "shape"},
        {RT("{\"type\":\"dense\",\"shape\":[null,0]}"), "shape"},
        {RT("{\"type\":\"dense\",\"shape\":[null,1]}"), "weights"},
        {RT("{\"type\":\"dense\",\"shape\":[null,1],\"weights\":[[[1]],[1]]}"),
         "wanted numbers of shape [2, 1], found"},
        {RT("{\"type\":\"dense\",\"shape\":[null,1],\"weights\":[[[1],[2]],[[1]]]}"), "bias"},
        {RT("{\"type\":\"dense\",\"shape\":[null,1],\"weights\":[[[1],[2]],\"x\"]}"), "found none"},
        {RT("{\"type\":\"dense\",\"activation\":5,\"shape\":[null,1],\"weights\":[[[1],[2]]]}"), "activation"},
        {RT("{\"type\":\"dense\",\"activation\":\"gelu\",\"shape\":[null,1],\"weights\":[[[1],[2]]]}"), "gelu"},
        {RT("{\"type\":\"lstm\",\"shape\":[null,1],\"activation\":\"relu\",\"weights\":[]}"), "tanh only"},
        {RT("{\"type\":\"lstm\",\"shape\":[null,1],\"weights\":[]}"), "weights"},
        {RT("{\"type\":\"gru\",\"shape\":[null,1],\"weights\":[[[1,2,3],[1,2,3]],[[1,2,3]],[1,2,3]]}"), "[2, 3]"},
        {RT("{\"type\":\"conv1d\",\"shape\":[null,1],\"weights\":[]}"), "kernel_size"},
        {RT("{\"type\":\"conv1d\",\"shape\":[null,1],\"kernel_size\":[2],\"dilation\":[0]}"), "dilation"},
        {RT("{\"type\":\"conv1d\",\"shape\":[null,2],\"kernel_size\":[2],\"groups\":2}"), "groups"},
        {RT("{\"type\":\"prelu\",\"shape\":[null,3],\"weights\":[[1]]}"), "shape"},
        {RT("{\"type\":\"prelu\",\"shape\":[null,2],\"weights\":[[1,2,3]]}"), "1 or 2 numbers"},
        {RT("{\"type\":\"batchnorm\",\"shape\":[null,2],\"weights\":[]}"), "epsilon"},
        {RT("{\"type\":\"batchnorm\",\"shape\":[null,2],\"epsilon\":0.1,\"weights\":[[1,2],[1,2],[1,2]]}"), "2 or 4"},
        {"{\"in_shape\":[2],\"in_skip\":1,\"layers\":[{\"type\":\"dense\",\"shape\":[1],\"weights\":[[[1],[2]]]}]}",
         "cannot be added"},
        {GUITAR(""), "model"},
        {GUITAR("\"model\":\"GatedConvNet\""), "GatedConvNet"},
        {GUITAR("\"model\":\"SimpleRNN\",\"unit_type\":\"TCN\""), "TCN"},
        {GUITAR("\"model\":\"SimpleRNN\",\"unit_type\":\"GRU\""), "bias_fl"},
        {GUITAR("\"model\":\"SimpleRNN\",\"unit_type\":\"GRU\",\"bias_fl\":true"), "input_size"},
        {GUITAR("\"model\":\"SimpleRNN\",\"unit_type\":\"GRU\",\"bias_fl\":true,\"input_size\":1,\"output_size\":1,"
                "\"hidden_size\":1,\"num_layers\":1,\"skip\":2"),
         "skip"},
        {"{\"architecture\":\"WaveNet\",\"config\":{},\"weights\":[1]}", "WaveNet"},
        {"{\"architecture\":\"LSTM\",\"config\":{},\"weights\":[1]}", "input_size"},
        {"{\"architecture\":\"LSTM\",\"config\":{\"input_size\":1,\"hidden_size\":1,\"num_layers\":1},"
         "\"weights\":[1,2]}",
         "wanted 14 weights and 2 for each output, found 2"},
        {"{\"architecture\":\"LSTM\",\"config\":{\"input_size\":65536,\"hidden_size\":65536,\"num_layers\":64},"
         "\"weights\":[1,2]}",
         "weights"},
        {"{\"gru.weight_ih_l0\":[[1],[2,3]]}", "one shape"},
        {"{\"e\":{\"filename\":\"x\",\"shape\":[1]}}", "opened as a file"},
        {"{\"x\":[1,2,3]}", "JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct checkpoint ck;
        rnnd_error err;
        if (!read_back(cases[i].text, strlen(cases[i].text), &ck, &err)) fail_msg("%s is read", cases[i].text);
        if (!strstr(err.message, cases[i].says)) fail_msg("%s: %s", cases[i].text, err.message);
        checkpoint_free(&ck);
    }
}

static char *read_whole(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*bytes);
    assert_int_equal(fread(text, 1, *bytes, f), *bytes);
    fclose(f);
    return text;
}

static void damaged(void **unused)
{
    (void)unused;
    static const char *const names[] = {"norm.json", "conv.json", "guitar_rnn.json", "amp.nam", "state.json"};
    static const char signs[] = "[]{},:\"0123456789-.eEnulx";
    struct rng rng;
    rng_seed(&rng, hostile_seed, 5);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        char path[256];
        size_t bytes;
        struct checkpoint ck;
        rnnd_error err;
        snprintf(path, sizeof path, FOLDER "%s", names[k]);
        char *text = read_whole(path, &bytes), *copy = malloc(bytes);
        for (size_t n = 0; n + 1 < bytes; n++) { /* the last byte is the end of the line */
            if (!read_back(text, n, &ck, &err)) fail_msg("%s is read, cut at %zu", path, n);
            checkpoint_free(&ck);
        }
        for (int round = 0; round < 3000; round++) {
            rnnd_model *m;
            memcpy(copy, text, bytes);
            for (uint32_t i = 1 + rng_u32(&rng) % 3; i > 0; i--)
                copy[rng_u32(&rng) % bytes] =
                    round % 2 ? signs[rng_u32(&rng) % (sizeof signs - 1)] : (char)rng_u32(&rng);
            hostile_place(copy, bytes);
            if (!rnnd_model_open_memory(hostile_at_end(bytes), bytes, "m", NULL, &m, &err))
                rnnd_model_close(m);
            else
                assert_true(err.message[0]);
        }
        free(copy);
        free(text);
    }
}

static void manifests(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"e\":{\"filename\":\"../x\",\"shape\":[1]}}", "plain name"},
        {"{\"e\":{\"filename\":\"/etc/passwd\",\"shape\":[1]}}", "plain name"},
        {"{\"e\":{\"filename\":\"..\",\"shape\":[1]}}", "plain name"},
        {"{\"e\":{\"filename\":\"\",\"shape\":[1]}}", "plain name"},
        {"{\"e\":{\"filename\":5,\"shape\":[1]}}", "plain name"},
        {"{\"e\":{\"filename\":\"none\",\"shape\":[1]}}", "cannot be opened"},
        {"{\"e\":{\"filename\":\"link\",\"shape\":[1]}}", "cannot be opened"},
        {"{\"e\":{\"filename\":\"fifo\",\"shape\":[1]}}", "ordinary file"},
        {"{\"e\":{\"filename\":\"f\",\"shape\":[2]}}", "wanted 8 bytes for its shape, found 4"},
        {"{\"e\":{\"filename\":\"f\",\"shape\":[2147483647,2147483647,2147483647]}}", "shape"},
        {"{\"e\":{\"filename\":\"f\",\"shape\":[-1]}}", "shape"},
        {"{\"e\":{\"filename\":\"f\",\"shape\":[1]},\"g\":{\"filename\":\"f\",\"shape\":[1]}}", "twice"},
        {"{\"e\":{\"filename\":\"f\",\"shape\":[1]}}", "charRNN"},
        {"[{\"filename\":\"f\",\"shape\":[1]}]", "wanted"},
    };
    char folder[] = "/tmp/rnnd-test-XXXXXX", path[300], file[300], link[300], fifo[300];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    snprintf(file, sizeof file, "%s/f", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    FILE *f = fopen(file, "wb");
    fwrite("abcd", 1, 4, f);
    fclose(f);
    assert_int_equal(symlink("f", link), 0);
    char command[340];
    snprintf(command, sizeof command, "mkfifo %s", fifo);
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rnnd_model *m;
        rnnd_error err;
        f = fopen(path, "wb");
        fputs(cases[i].text, f);
        fclose(f);
        if (!rnnd_model_open(path, NULL, &m, &err)) fail_msg("%s is read", cases[i].text);
        if (!strstr(err.message, cases[i].says)) fail_msg("%s: %s", cases[i].text, err.message);
    }
    unlink(path), unlink(file), unlink(link), unlink(fifo), rmdir(folder);
}

static void no_memory(void **unused)
{
    (void)unused;
    static const char *const names[] = {"norm.json", "conv.json", "guitar_rnn.json", "amp.nam", "ml5/manifest.json"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        char path[256];
        rnnd_options options = {.config = "{\"name\":\"n\",\"task\":\"raw\",\"text\":null}"};
        rnnd_code code = RNND_NO_MEMORY;
        snprintf(path, sizeof path, FOLDER "%s", names[k]);
        for (size_t n = 1; code; n++) {
            rnnd_model *m;
            rnnd_error err;
            mem_fail_at(n);
            code = rnnd_model_open(path, &options, &m, &err);
            mem_fail_at(0);
            if (!code) rnnd_model_close(m);
            if (code && code != RNND_NO_MEMORY) fail_msg("%s: allocation %zu: %s", path, n, err.message);
            assert_true(n < 5000);
        }
    }
}

int main(void)
{
    if (!hostile_begin(1 << 20)) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors),          cmocka_unit_test(partial_configuration),
                                       cmocka_unit_test(rtneural_project), cmocka_unit_test(refusals),
                                       cmocka_unit_test(damaged),          cmocka_unit_test(manifests),
                                       cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests_name("core/formats/rtjson", tests, NULL, NULL);
}
