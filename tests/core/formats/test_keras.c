/* test_keras.c -- Keras files of several versions: read, lowered, run, held to TensorFlow.js and PyTorch. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/formats/format.h"
#include "core/formats/keras.h"

#define FOLDER "tests/vectors/keras/"

struct image { /* a file in memory */
    uint8_t *data;
    size_t bytes;
};

static struct image load(const char *path)
{
    struct image f = {0};
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0) return f;
    assert_int_equal(fstat(fd, &st), 0);
    f.bytes = (size_t)st.st_size;
    f.data = malloc(f.bytes + 1);
    assert_int_equal(read(fd, f.data, f.bytes), (ssize_t)f.bytes);
    close(fd);
    return f;
}

struct opened { /* a file as a compiled graph */
    struct checkpoint ck;
    struct arena arena;
    struct graph g;
    struct network net;
};

static rnnd_code open_model(struct opened *m, const uint8_t *data, size_t bytes, bool compile, rnnd_error *err)
{
    memset(m, 0, sizeof *m);
    memset(err, 0, sizeof *err);
    checkpoint_init(&m->ck);
    arena_init(&m->arena, (size_t)64 << 20);
    graph_init(&m->g, kernels_pick(NULL));
    rnnd_code code = format_read(data, bytes, NULL, &m->ck, err);
    if (!code && m->ck.own) code = m->ck.format->lower(&m->ck, NULL, &m->g, &m->arena, &m->net, err);
    if (!code && m->ck.own && compile) code = graph_compile(&m->g, err);
    return code;
}

static void close_model(struct opened *m)
{
    graph_free(&m->g);
    checkpoint_free(&m->ck);
    arena_free(&m->arena);
}

static double difference(const struct tensor *y, const struct checkpoint_tensor *want, const float *w)
{
    double worst = 0, largest = 1;
    const float *f = y->data;
    assert_int_equal(y->dtype, DTYPE_F32);
    assert_int_equal(y->rank, want->rank);
    for (int i = 0; i < want->rank; i++)
        assert_int_equal(y->dim[i], want->dim[i]);
    for (size_t i = 0; i < want->count; i++) {
        assert_true(isfinite(f[i]));
        if (fabs(w[i]) > largest) largest = fabs(w[i]);
        if (fabs((double)f[i] - w[i]) > worst) worst = fabs((double)f[i] - w[i]);
    }
    return worst / largest;
}

/* Runs a file on in_0, in_1, ... of the vectors and compares with out_0, ...; answers how many outputs it has. */
static size_t run_file(const char *path, const char *vectors)
{
    struct image file = load(path), want_file = load(vectors);
    struct opened m;
    struct checkpoint want;
    struct tensor inputs[MAX_INPUTS] = {0};
    struct graph_run *run;
    rnnd_error err = {0};
    assert_non_null(file.data);
    assert_non_null(want_file.data);
    checkpoint_init(&want);
    assert_int_equal(format_read(want_file.data, want_file.bytes, NULL, &want, &err), RNND_OK);
    if (open_model(&m, file.data, file.bytes, true, &err)) fail_msg("%s: %s", path, err.message);
    for (size_t i = 0; i < m.g.input_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "in_%zu", i);
        struct checkpoint_tensor *t = checkpoint_find(&want, name);
        const float *f;
        assert_non_null(t);
        assert_int_equal(checkpoint_floats(t, &f, &err), RNND_OK);
        inputs[i] = (struct tensor){.dtype = m.g.input_ports[i].dtype, .rank = t->rank};
        memcpy(inputs[i].dim, t->dim, sizeof inputs[i].dim);
        int64_t *ids = malloc(t->count * sizeof *ids);
        for (size_t k = 0; k < t->count; k++)
            if (inputs[i].dtype == DTYPE_I64)
                ids[k] = (int64_t)f[k];
            else
                ((float *)ids)[k] = f[k];
        inputs[i].data = ids;
    }
    assert_int_equal(graph_run_open(&m.g, 1, 1, &run, &err), RNND_OK);
    if (graph_run_tensors(run, inputs, &err)) fail_msg("%s: %s", path, err.message);
    for (size_t i = 0; i < m.g.output_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "out_%zu", i);
        struct checkpoint_tensor *t = checkpoint_find(&want, name);
        const float *w;
        assert_non_null(t);
        assert_int_equal(checkpoint_floats(t, &w, &err), RNND_OK);
        double worst = difference(graph_run_value(run, m.g.outputs[i]), t, w);
        if (!(worst <= 1e-5)) fail_msg("%s: output %zu \"%s\" is off by %g", path, i, m.net.outputs[i].name, worst);
    }
    size_t outputs = m.g.output_count;
    graph_run_close(run);
    for (size_t i = 0; i < m.g.input_count; i++)
        free(inputs[i].data);
    close_model(&m);
    checkpoint_free(&want);
    free(file.data);
    free(want_file.data);
    return outputs;
}

static void answers(void **unused)
{
    (void)unused;
    static const struct {
        const char *file, *vectors;
        size_t outputs;
    } cases[] = {
        {"recurrent.h5", "recurrent", 6}, {"stacked.h5", "stacked", 1},    {"text.h5", "text", 1},
        {"text.keras", "text", 1},        {"stacked.keras", "stacked", 1}, {"places.keras", "places", 6},
        {"merge.h5", "merge", 8},         {"merge.keras", "merge", 8},     {"cudnn.h5", "cudnn", 3},
        {"states.keras", "states", 5},    {"masked.keras", "masked", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200], vectors[200];
        snprintf(path, sizeof path, FOLDER "%s", cases[i].file);
        snprintf(vectors, sizeof vectors, FOLDER "%s.safetensors", cases[i].vectors);
        assert_int_equal(run_file(path, vectors), cases[i].outputs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
