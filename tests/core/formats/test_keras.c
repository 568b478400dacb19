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
        {"recurrent.h5", "recurrent", 6}, {"stacked.h5", "stacked", 1},       {"text.h5", "text", 1},
        {"text.keras", "text", 1},        {"masking.h5", "masking", 1},       {"stacked.keras", "stacked", 1},
        {"places.keras", "places", 6},    {"merge.h5", "merge", 8},           {"merge.keras", "merge", 8},
        {"cudnn.h5", "cudnn", 3},         {"states.keras", "states", 5},      {"masked.keras", "masked", 2},
        {"text_2.13.keras", "text", 1},   {"operations.h5", "operations", 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200], vectors[200];
        snprintf(path, sizeof path, FOLDER "%s", cases[i].file);
        snprintf(vectors, sizeof vectors, FOLDER "%s.safetensors", cases[i].vectors);
        assert_int_equal(run_file(path, vectors), cases[i].outputs);
    }
}

/* ---- what the network says of itself ---- */

static void says(void **unused)
{
    (void)unused;
    struct image file = load(FOLDER "text.h5");
    struct opened m;
    rnnd_error err;
    assert_non_null(file.data);
    assert_int_equal(open_model(&m, file.data, file.bytes, false, &err), RNND_OK);
    assert_string_equal(m.net.framework, "Keras 3.3.3");
    assert_int_equal(m.net.input_count, 1);
    assert_string_equal(m.net.inputs[0].name, "table_input");
    assert_true(m.net.inputs[0].is_ids);
    assert_int_equal(m.net.inputs[0].limit, 9);
    assert_int_equal(m.net.inputs[0].width, 1);
    assert_int_equal(m.g.input_ports[0].dtype, DTYPE_I64);
    assert_int_equal(m.g.input_ports[0].batch_axis, 0);
    assert_int_equal(m.g.input_ports[0].time_axis, 1);
    assert_string_equal(m.net.outputs[0].name, "out");
    assert_int_equal(m.net.outputs[0].width, 6);
    assert_int_equal(m.g.output_ports[0].time_axis, -1);
    assert_int_equal(m.net.window, 0);
    assert_int_equal(m.net.layer_count, 5);
    assert_string_equal(m.net.layers[1].type, "LSTM");
    assert_int_equal(m.net.layers[1].parameters, 4 * 20 + 5 * 20 + 20);
    assert_string_equal(m.net.layers[3].detail, "reset before");
    close_model(&m);
    free(file.data);

    file = load(FOLDER "recurrent.h5");
    assert_int_equal(open_model(&m, file.data, file.bytes, false, &err), RNND_OK);
    assert_int_equal(m.net.window, 6);
    assert_string_equal(m.net.inputs[0].name, "series");
    assert_int_equal(m.net.inputs[0].width, 3);
    assert_int_equal(m.g.output_ports[1].time_axis, 1);
    assert_string_equal(m.net.outputs[3].name, "both");
    assert_false(m.net.stateful);
    close_model(&m);
    free(file.data);
}

/* ---- what is refused ---- */

/* Every place of the text becomes another of the same length. */
static size_t replace(struct image *f, const char *text, const char *with)
{
    size_t n = strlen(text), count = 0;
    assert_int_equal(strlen(with), n);
    for (uint8_t *at = f->data; (at = memmem(at, f->bytes - (size_t)(at - f->data), text, n)); at += n, count++)
        memcpy(at, with, n);
    return count;
}

static void refusals(void **unused)
{
    (void)unused;
    static const struct {
        const char *file, *text, *with;
        rnnd_code code;
        const char *says;
    } cases[] = {
        {"text.h5", "\"Dropout\"", "\"Lambda\" ", RNND_UNSUPPORTED, "layer \"drop\" (Lambda): it runs Python code"},
        {"text.h5", "\"Dropout\"", "\"Mystery\"", RNND_UNSUPPORTED, "models/rnnd_export.py, or to ONNX"},
        {"text.h5", "\"Dropout\"", "\"My>Odd\" ", RNND_UNSUPPORTED, "layer \"drop\" (Odd)"},
        {"text.h5", "\"softmax\"", "\"hottest\"", RNND_UNSUPPORTED, "the activation \"hottest\""},
        {"recurrent.h5", "\"hard_sigmoid\"", "\"soft_sigmoid\"", RNND_UNSUPPORTED,
         "\"soft_sigmoid\" inside a recurrent"},
        {"text.h5", "\"units\": 5", "\"units\": 0", RNND_CORRUPT, "\"units\": wanted a whole number from 1"},
        {"text.h5", "\"units\": 5", "\"units\": 4", RNND_MISMATCH, "wanted shape [4, 16], found [4, 20]"},
        {"text.h5", "\"units\": 5", "\"wants\": 5", RNND_CORRUPT, "its configuration has no \"units\""},
        {"text.h5", "\"units\": 5", "\"units\":[]", RNND_CORRUPT, "found an array"},
        {"text.h5", "\"Sequential\"", "\"Subclassed\"", RNND_UNSUPPORTED, "wanted a Sequential or Functional model"},
        {"text.h5", "\"GRU\"", "\"gru\"", RNND_UNSUPPORTED, "layer \"second\" (gru)"},
        {"text.h5", "\"layers\"", "\"layer_\"", RNND_CORRUPT, "wanted a list of 1 to"},
        {"text.h5", "\"name\": \"drop\"", "\"name\": \"\"    ", RNND_CORRUPT, "a name of 1 to"},
        {"text.h5", "\"name\": \"second\"", "\"name\": \"first\" ", RNND_CORRUPT,
         "two of its layers are named \"first\""},
        {"text.h5", "weight_names", "weight_namez", RNND_CORRUPT, "no weights"},
        {"merge.h5", "[\"cat\", 0, 0", "[\"dog\", 0, 0", RNND_CORRUPT, "its input \"dog\" is no layer"},
        {"merge.h5", "[\"cat\", 0, 0", "[\"cat\", 3, 0", RNND_CORRUPT, "its call 3 is read, it has 1"},
        {"merge.h5", "[\"cat\", 0, 0", "[\"cat\", 0, 7", RNND_CORRUPT, "its output 7 is read, it has 1"},
        {"merge.h5", "\"inbound_nodes\"", "\"outbound_nods\"", RNND_CORRUPT, "is read, it has 0"},
        {"merge.h5", "\"output_layers\"", "\"outwards_layr\"", RNND_CORRUPT, "wanted lists [layer, node, tensor]"},
        {"merge.h5", "tower_norm/gamma", "tower_nork/gamma", RNND_MISMATCH, "found nothing of the name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200];
        struct opened m;
        rnnd_error err;
        snprintf(path, sizeof path, FOLDER "%s", cases[i].file);
        struct image file = load(path);
        assert_non_null(file.data);
        if (!replace(&file, cases[i].text, cases[i].with)) fail_msg("%s has no %s", cases[i].file, cases[i].text);
        rnnd_code code = open_model(&m, file.data, file.bytes, false, &err);
        if (code != cases[i].code || !strstr(err.message, cases[i].says))
            fail_msg("%s, %s: code %d, %s", cases[i].file, cases[i].with, code, err.message);
        close_model(&m);
        free(file.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers), cmocka_unit_test(says), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
