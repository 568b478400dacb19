/* test_keras_files.c -- which tensors Keras files have by which names; files cut short, damaged, and without memory. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <zlib.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/formats/format.h"
#include "tests/lib/hostile.h"

#define FOLDER "tests/vectors/keras/"


static size_t load(const char *name, uint8_t **out)
{
    char path[200];
    struct stat st;
    snprintf(path, sizeof path, FOLDER "%s", name);
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0 || (size_t)st.st_size > (size_t)(1 << 20)) fail_msg("%s", path);
    *out = malloc((size_t)st.st_size);
    assert_int_equal(read(fd, *out, (size_t)st.st_size), st.st_size);
    close(fd);
    return (size_t)st.st_size;
}

/* Reads and lowers; what comes out is an answer, with a sentence where it is no. */
static rnnd_code try(const uint8_t *data, size_t bytes, rnnd_error *err)
{
    struct checkpoint ck;
    struct arena arena;
    struct graph g;
    struct network net;
    memset(err, 0, sizeof *err);
    checkpoint_init(&ck);
    arena_init(&arena, (size_t)64 << 20);
    graph_init(&g, kernels_pick(NULL));
    rnnd_code code = format_read(data, bytes, NULL, &ck, err);
    if (!code && ck.own) code = ck.format->lower(&ck, NULL, &g, &arena, &net, err);
    if (!code && ck.own) code = graph_compile(&g, err);
    graph_free(&g);
    checkpoint_free(&ck);
    arena_free(&arena);
    return code;
}

static void has(const struct checkpoint *ck, const char *name, size_t rows, size_t columns)
{
    const struct checkpoint_tensor *t = checkpoint_find(ck, name);
    if (!t) fail_msg("there is no tensor %s", name);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->dim[0], rows);
    assert_int_equal(t->dim[1], columns);
}

static void names(void **unused)
{
    (void)unused;
    static const struct {
        const char *file, *full, *brief;
        size_t rows, columns;
    } cases[] = {
        {"recurrent.h5", "lstm_hard/lstm_hard/kernel:0", "lstm_hard/kernel", 3, 16},
        {"recurrent.h5", "both/both/backward_lstm_LSTM1/kernel:0", "both/backward/kernel", 3, 8},
        {"text.h5", "first/text/first/lstm_cell/recurrent_kernel", "first/recurrent_kernel", 5, 20},
        {"text.keras", "layers/second/cell/vars/0", "second/kernel", 5, 12},
        {"masked.keras", "layers/bidirectional/forward_layer/cell/vars/1", "both/forward/recurrent_kernel", 2, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct checkpoint ck;
        rnnd_error err = {0};
        uint8_t *data;
        size_t bytes = load(cases[i].file, &data);
        checkpoint_init(&ck);
        if (format_read(data, bytes, NULL, &ck, &err)) fail_msg("%s: %s", cases[i].file, err.message);
        assert_non_null(ck.own);
        has(&ck, cases[i].full, cases[i].rows, cases[i].columns);
        has(&ck, cases[i].brief, cases[i].rows, cases[i].columns);
        checkpoint_free(&ck);
        free(data);
    }
}

/* Without model_config there are tensors, and nothing to lower. */
static void weights_alone(void **unused)
{
    (void)unused;
    struct checkpoint ck;
    rnnd_error err = {0};
    uint8_t *data;
    size_t bytes = load("recurrent.h5", &data);
    uint8_t *at = memmem(data, bytes, "model_config", 12);
    assert_non_null(at);
    *at = 'x';
    checkpoint_init(&ck);
    assert_int_equal(format_read(data, bytes, NULL, &ck, &err), RNND_OK);
    assert_null(ck.own);
    has(&ck, "lstm_hard/kernel", 3, 16);
    checkpoint_free(&ck);
    free(data);
}

/* CuDNN's weights through a configuration: a sequence graph [T][B][width], held to PyTorch (make_keras.py). */
static void cudnn_layout(void **unused)
{
    (void)unused;
    static const struct {
        const char *config, *output;
        size_t width;
    } cases[] = {
        {"{\"format\":1,\"inputs\":[{\"width\":3}],\"layers\":[{\"type\":\"lstm\",\"name\":\"fast\",\"hidden\":4,"
         "\"layout\":\"keras_cudnn\",\"tensors\":{\"kernel\":\"fast/kernel\",\"recurrent_kernel\":\"fast/recurrent_"
         "kernel\",\"bias\":\"fast/bias\"}}]}",
         "out_0", 4},
        {"{\"format\":1,\"inputs\":[{\"width\":3}],\"layers\":[{\"type\":\"gru\",\"name\":\"gates\",\"hidden\":2,"
         "\"layout\":\"keras_cudnn\",\"tensors\":{\"kernel\":\"gates/kernel\",\"recurrent_kernel\":\"gates/recurrent_"
         "kernel\",\"bias\":\"gates/bias\"}}]}",
         "out_1", 2},
    };
    enum { B = 2, T = 5, I = 3 };
    for (size_t i = 0; i < 2; i++) {
        struct checkpoint ck, want;
        struct arena arena;
        struct graph g;
        struct network net;
        struct json *config;
        struct graph_run *run;
        rnnd_error err = {0};
        uint8_t *data, *vectors;
        const float *x, *y;
        float found[B * T * 4], rows[2][16] = {{0}}, *out[T * B], *last[B] = {rows[0], rows[1]};
        const float *in[T * B], *zeros[B] = {rows[0], rows[1]};
        size_t bytes = load("cudnn.h5", &data), vector_bytes = load("cudnn.safetensors", &vectors);
        checkpoint_init(&ck);
        checkpoint_init(&want);
        arena_init(&arena, 1 << 20);
        graph_init(&g, kernels_pick(NULL));
        assert_int_equal(format_read(data, bytes, NULL, &ck, &err), RNND_OK);
        assert_int_equal(format_read(vectors, vector_bytes, NULL, &want, &err), RNND_OK);
        assert_int_equal(json_parse(cases[i].config, strlen(cases[i].config), "it", &config, &err), RNND_OK);
        if (stack_build(config, &ck, &g, &arena, &net, &err)) fail_msg("%s", err.message);
        assert_int_equal(checkpoint_floats(checkpoint_find(&want, "in_0"), &x, &err), RNND_OK);
        assert_int_equal(checkpoint_floats(checkpoint_find(&want, cases[i].output), &y, &err), RNND_OK);
        for (size_t t = 0; t < T; t++)
            for (size_t b = 0; b < B; b++) {
                in[t * B + b] = x + (b * T + t) * I;
                out[t * B + b] = found + (b * T + t) * cases[i].width;
            }
        assert_int_equal(graph_run_open(&g, B, T, &run, &err), RNND_OK);
        if (graph_run(run, T, B, in, out, zeros, last, &err)) fail_msg("%s", err.message);
        for (size_t k = 0; k < B * T * cases[i].width; k++)
            if (!(fabsf(found[k] - y[k]) <= 1e-5f)) fail_msg("case %zu, number %zu", i, k);
        graph_run_close(run);
        json_free(config);
        graph_free(&g);
        checkpoint_free(&ck);
        checkpoint_free(&want);
        arena_free(&arena);
        free(data);
        free(vectors);
    }
}

/* A file cut anywhere is refused; nothing behind its end is read. */
static void cut_everywhere(void **unused)
{
    (void)unused;
    static const char *const files[] = {"stacked.keras", "stacked.h5"};
    for (size_t i = 0; i < 2; i++) {
        uint8_t *data;
        rnnd_error err;
        size_t bytes = load(files[i], &data);
        for (size_t n = 0; n < bytes; n++) {
            uint8_t *p = hostile_at_end(n);
            memcpy(p, data, n);
            if (try(p, n, &err) == RNND_OK) fail_msg("%s cut to %zu bytes passed", files[i], n);
            assert_true(err.message[0]);
        }
        free(data);
    }
}

/* The checksum of a stored config.json at `text` is made right again, so that damage gets past it. */
static void sign(uint8_t *file, size_t bytes, uint8_t *text)
{
    uint8_t *local = text - 11 - 30, *central = file;
    uint32_t size, crc;
    if (memcmp(text - 11, "config.json", 11) != 0 || memcmp(local, "PK\3\4", 4) != 0) return;
    memcpy(&size, local + 18, 4);
    if (size > bytes - (size_t)(text - file)) return;
    crc = (uint32_t)crc32(0, text, size);
    memcpy(local + 14, &crc, 4);
    while ((central = memmem(central, bytes - (size_t)(central - file), "PK\1\2", 4)) != NULL) {
        if (memcmp(central + 46, "config.json", 11) == 0) memcpy(central + 16, &crc, 4);
        central += 4;
    }
}

/* Random damage, to any byte and to the architecture's text alone: an answer comes out. */
static void damaged(void **unused)
{
    (void)unused;
    static const char *const files[] = {"cudnn.h5", "merge.h5", "text.h5", "states.keras", "masked.keras"};
    static const char *const words[] = {"null",    "true", "-1", "0",  "[]",  "{}",
                                        "9999999", "\"\"", "[[", "]]", "1e9", ","};
    struct rng rng;
    rng_seed(&rng, hostile_seed, 4);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        uint8_t *data;
        rnnd_error err;
        size_t bytes = load(files[i], &data), refused = 0;
        uint8_t *p = hostile_at_end(bytes), *text = memmem(data, bytes, "{\"class_name\"", 13);
        size_t from = text ? (size_t)(text - data) : 0, rounds = 1000;
        for (size_t round = 0; round < rounds; round++) {
            memcpy(p, data, bytes);
            for (uint32_t k = 1 + rng_u32(&rng) % 3; k > 0; k--) {
                size_t at = from + rng_u32(&rng) % (bytes - from);
                const char *word = words[rng_u32(&rng) % (sizeof words / sizeof *words)];
                if (round % 3 == 0) at = rng_u32(&rng) % bytes;
                if (round % 3 == 1 && text) {
                    at = from + rng_u32(&rng) % 2500;
                    if (at + strlen(word) < bytes) memcpy(p + at, word, strlen(word));
                } else {
                    p[at] = (uint8_t)rng_u32(&rng);
                }
            }
            if (text && round % 3 == 1) sign(p, bytes, p + from);
            if (try(p, bytes, &err)) {
                refused++;
                assert_true(err.message[0]);
            }
        }
        if (getenv("SHOW")) printf("%s refused %zu of %zu\n", files[i], refused, rounds);
        if (refused < rounds / 20) fail_msg("%s: %zu of %zu refused", files[i], refused, rounds);
        free(data);
    }
}

/* Every allocation fails in turn: no memory is what is said, until there is enough. */
static void no_memory(void **unused)
{
    (void)unused;
    static const char *const files[] = {"masked.keras", "cudnn.h5", "stacked.h5"};
    for (size_t i = 0; i < 3; i++) {
        uint8_t *data;
        rnnd_error err;
        rnnd_code code = RNND_NO_MEMORY;
        size_t bytes = load(files[i], &data), n;
        for (n = 1; code; n++) {
            mem_fail_at(n);
            code = try(data, bytes, &err);
            mem_fail_at(0);
            if (code && code != RNND_NO_MEMORY) fail_msg("%s, allocation %zu: %d %s", files[i], n, code, err.message);
        }
        assert_true(n > 50);
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),   cmocka_unit_test(weights_alone), cmocka_unit_test(cut_everywhere),
        cmocka_unit_test(damaged), cmocka_unit_test(cudnn_layout),  cmocka_unit_test(no_memory),
    };
    if (!hostile_begin(1 << 20)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
