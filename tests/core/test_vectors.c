/* test_vectors.c -- models of PyTorch and ONNX Runtime with what those answered: by window, by step, in mixed batches.
 *
 * Every file of tests/vectors/torch and tests/vectors/onnx is a native model with its inputs, given states and expected
 * outputs as tensors (the scripts beside them made them). The window run is held to the framework at
 * 1e-5 x max(1, max |reference|); stepped, batched and restored runs and every kernel row are held to it bit for bit.
 */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/formats/format.h"
#include "core/kernels/kernels.h"
#include "core/rnnd.h"

struct vector { /* one file */
    char path[512];
    unsigned char *file;
    size_t bytes;
    struct checkpoint checkpoint;
    size_t batch, steps, inputs, outputs, out_steps, h_layer, c_layer, layers;
    const float *x, *h0, *c0, *y, *hn, *cn;
};

static const float *tensor(struct vector *v, const char *name, const struct checkpoint_tensor **out)
{
    struct checkpoint_tensor *t = checkpoint_find(&v->checkpoint, name);
    const float *data = NULL;

    if (out) *out = t;
    if (!t) return NULL;
    assert_int_equal(checkpoint_floats(t, &data, NULL), RNND_OK);
    return data;
}

static void vector_open(struct vector *v, const char *folder, const char *name)
{
    const struct checkpoint_tensor *x, *y, *hn, *cn;
    rnnd_error err;
    FILE *f;

    memset(v, 0, sizeof *v);
    snprintf(v->path, sizeof v->path, "%s/%s", folder, name);
    f = fopen(v->path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    v->bytes = (size_t)ftell(f);
    rewind(f);
    v->file = malloc(v->bytes);
    assert_int_equal(fread(v->file, 1, v->bytes, f), v->bytes);
    fclose(f);
    checkpoint_init(&v->checkpoint);
    if (format_read(v->file, v->bytes, NULL, &v->checkpoint, &err) != RNND_OK) fail_msg("%s: %s", v->path, err.message);
    v->x = tensor(v, "vector.x", &x);
    v->y = tensor(v, "vector.y", &y);
    v->hn = tensor(v, "vector.hn", &hn);
    v->cn = tensor(v, "vector.cn", &cn);
    v->h0 = tensor(v, "vector.h0", NULL);
    v->c0 = tensor(v, "vector.c0", NULL);
    assert_non_null(v->x);
    assert_non_null(v->y);
    v->batch = x->dim[0], v->steps = x->dim[1], v->inputs = x->dim[2];
    v->out_steps = y->dim[1], v->outputs = y->dim[2];
    v->layers = hn->dim[0], v->h_layer = hn->dim[2], v->c_layer = cn ? cn->dim[2] : 0;
}

static void vector_close(struct vector *v)
{
    checkpoint_free(&v->checkpoint);
    free(v->file);
}

static void near(const struct vector *v, const char *what, const float *got, const float *want, size_t n, double *worst)
{
    double top = 1, error = 0;
    size_t at = 0;

    for (size_t i = 0; i < n; i++) top = fmax(top, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= error)) error = fabs((double)got[i] - want[i]), at = i;
    if (!(error <= 1e-5 * top))
        fail_msg("%s: %s[%zu] is %.9g, wanted %.9g (error %.2e)", v->path, what, at, got[at], want[at], error);
    if (error / top > *worst) *worst = error / top;
}

struct answer { float *y, *hn, *cn; };

static struct answer run_window(const struct vector *v, rnnd_model *m)
{
    size_t h = v->layers * v->batch * v->h_layer, c = v->layers * v->batch * v->c_layer;
    struct answer a = {calloc(v->batch * v->out_steps * v->outputs, sizeof(float)), calloc(h, sizeof(float)),
                       c ? calloc(c, sizeof(float)) : NULL};
    rnnd_window w = {v->batch, v->steps, v->x, v->h0, v->c0, a.y, a.hn, a.cn};
    rnnd_workspace *ws;
    rnnd_error err = {0};

    assert_int_equal(rnnd_workspace_open(m, v->batch, &ws, &err), RNND_OK);
    if (rnnd_run_window(ws, &w, &err) != RNND_OK) fail_msg("%s: %s", v->path, err.message);
    rnnd_workspace_close(ws);
    return a;
}

static void answer_free(struct answer *a)
{
    free(a->y);
    free(a->hn);
    free(a->cn);
}

/* [layers][batch][width] of sequence b, side by side */
static void gather(const float *from, size_t layers, size_t batch, size_t width, size_t b, float *to)
{
    for (size_t l = 0; l < layers; l++) memcpy(to + l * width, from + (l * batch + b) * width, width * sizeof *to);
}

/* Sequences start at staggered ticks, so that batches differ from step to step; each state is saved and loaded
 * half-way. */
static void steps_equal_window(const struct vector *v, rnnd_model *m, const struct answer *a)
{
    size_t bytes = rnnd_state_bytes(m), B = v->batch, T = v->steps;
    char *states = calloc(B, bytes), *blob = malloc(rnnd_state_blob_bytes(m));
    float *h = calloc(v->layers * v->h_layer + 1, sizeof *h), *c = calloc(v->layers * v->c_layer + 1, sizeof *c);
    float *out = calloc(B * v->outputs, sizeof *out);
    rnnd_workspace *ws;
    rnnd_error err = {0};

    assert_int_equal(rnnd_workspace_open(m, B, &ws, &err), RNND_OK);
    for (size_t b = 0; b < B; b++) {
        rnnd_state_reset(m, states + b * bytes);
        if (!v->h0) continue;
        gather(v->h0, v->layers, B, v->h_layer, b, h);
        if (v->c0) gather(v->c0, v->layers, B, v->c_layer, b, c);
        assert_int_equal(rnnd_state_set_hc(m, states + b * bytes, h, v->c0 ? c : NULL, &err), RNND_OK);
    }
    for (size_t tick = 0; tick < T + B - 1; tick++) {
        rnnd_step_row rows[64];
        size_t n = 0, who[64];
        for (size_t b = 0; b < B; b++) {
            size_t t = tick - b;
            if (tick < b || t >= T) continue;
            if (t == T / 2) {
                rnnd_state_save(m, states + b * bytes, blob);
                memset(states + b * bytes, 0, bytes);
                assert_int_equal(rnnd_state_load(m, blob, rnnd_state_blob_bytes(m), states + b * bytes, &err), RNND_OK);
            }
            who[n] = b;
            rows[n++] =
                (rnnd_step_row){states + b * bytes, v->x + (b * T + t) * v->inputs, out + b * v->outputs, RNND_OK};
        }
        assert_int_equal(rnnd_step(ws, rows, n, &err), RNND_OK);
        for (size_t i = 0; i < n; i++) {
            size_t t = tick - who[i];
            if (v->out_steps != T && t + 1 != T) continue;
            const float *want = a->y + (who[i] * v->out_steps + (v->out_steps == T ? t : 0)) * v->outputs;
            if (memcmp(rows[i].output, want, v->outputs * sizeof *want) != 0)
                fail_msg("%s: sequence %zu step %zu differs from the window", v->path, who[i], t);
        }
    }
    for (size_t b = 0; b < B; b++) {
        float *want = calloc(v->layers * (v->h_layer + v->c_layer), sizeof *want);
        assert_int_equal(rnnd_state_get_hc(m, states + b * bytes, h, v->c_layer ? c : NULL, &err), RNND_OK);
        gather(a->hn, v->layers, B, v->h_layer, b, want);
        assert_memory_equal(h, want, v->layers * v->h_layer * sizeof *h);
        if (a->cn) {
            gather(a->cn, v->layers, B, v->c_layer, b, want);
            assert_memory_equal(c, want, v->layers * v->c_layer * sizeof *c);
        }
        free(want);
    }
    rnnd_workspace_close(ws);
    free(out), free(h), free(c), free(blob), free(states);
}

static void one_file(const char *folder, const char *name, double *worst)
{
    const struct kernels *const *rows;
    size_t row_count = kernels_list(&rows);
    struct answer first = {0};
    struct vector v;

    vector_open(&v, folder, name);
    for (size_t r = 0; r < row_count; r++) {
        rnnd_options options = {.kernel_row = rows[r]->name};
        struct answer a;
        rnnd_model *m;
        rnnd_error err = {0};
        size_t h = v.layers * v.batch * v.h_layer, c = v.layers * v.batch * v.c_layer,
               y = v.batch * v.out_steps * v.outputs;

        if (rnnd_model_open(v.path, &options, &m, &err) != RNND_OK) fail_msg("%s: %s", v.path, err.message);
        a = run_window(&v, m);
        if (r == 0) {
            near(&v, "y", a.y, v.y, y, worst);
            near(&v, "hn", a.hn, v.hn, h, worst);
            if (v.cn) near(&v, "cn", a.cn, v.cn, c, worst);
            first = a;
        } else {
            if (memcmp(a.y, first.y, y * sizeof(float)) || memcmp(a.hn, first.hn, h * sizeof(float)) ||
                (a.cn && memcmp(a.cn, first.cn, c * sizeof(float))))
                fail_msg("%s: kernel row %s differs from %s", v.path, rows[r]->name, rows[0]->name);
        }
        if (rnnd_model_info(m)->streamable && rnnd_model_info(m)->mode == RNND_CARRY) steps_equal_window(&v, m, &a);
        if (r != 0) answer_free(&a);
        rnnd_model_close(m);
    }
    answer_free(&first);
    vector_close(&v);
}

static void folder(const char *path, size_t at_least)
{
    struct dirent *e;
    DIR *d = opendir(path);
    size_t n = 0;
    double worst = 0;

    assert_non_null(d);
    while ((e = readdir(d)))
        if (strstr(e->d_name, ".safetensors")) one_file(path, e->d_name, &worst), n++;
    closedir(d);
    print_message("%s: %zu models, largest error %.1e of the largest value\n", path, n, worst);
    assert_true(n >= at_least);
}

static void torch_vectors(void **state)
{
    (void)state;
    folder("tests/vectors/torch", 20);
}

static void onnx_vectors(void **state)
{
    (void)state;
    folder("tests/vectors/onnx", 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(torch_vectors), cmocka_unit_test(onnx_vectors)};
    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
