/* onnx_case.c -- ONNX files in tests: read, lowered, folded, compiled, run, compared. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/graph/fold.h"
#include "core/ops/op.h"
#include "tests/lib/onnx_case.h"

uint8_t *read_whole(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*bytes + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *bytes, f), *bytes);
    fclose(f);
    return data;
}

rnnd_code onnx_case_lower(struct onnx_case *c, const uint8_t *data, size_t bytes, const char *path, bool fold,
                          rnnd_error *err)
{
    memset(c, 0, sizeof *c);
    memset(err, 0, sizeof *err);
    checkpoint_init(&c->ck);
    graph_init(&c->graph, kernels_pick(NULL));
    arena_init(&c->arena, (size_t)64 << 20);
    rnnd_code code = format_read(data, bytes, path, &c->ck, err);
    if (!code && strcmp(c->ck.format->name, "onnx") != 0) fail_msg("read as %s", c->ck.format->name);
    if (!code) code = c->ck.format->lower(&c->ck, NULL, &c->graph, &c->arena, &c->network, err);
    if (!code && fold) code = graph_fold(&c->graph, (size_t)4 << 20, err);
    return code;
}

rnnd_code onnx_case_compile(struct onnx_case *c, rnnd_error *err)
{
    rnnd_code code = graph_compile(&c->graph, err);
    return code ? code : graph_run_open(&c->graph, 1, 1, &c->run, err);
}

rnnd_code onnx_case_open_memory(struct onnx_case *c, const uint8_t *data, size_t bytes, const char *path, bool fold,
                                rnnd_error *err)
{
    rnnd_code code = onnx_case_lower(c, data, bytes, path, fold, err);
    return code ? code : onnx_case_compile(c, err);
}

rnnd_code onnx_case_open(struct onnx_case *c, const char *path, bool fold, rnnd_error *err)
{
    size_t bytes;
    uint8_t *file = read_whole(path, &bytes);
    if (!file) fail_msg("%s is not there", path);
    rnnd_code code = onnx_case_open_memory(c, file, bytes, path, fold, err);
    c->file = file;
    return code;
}

void onnx_case_close(struct onnx_case *c)
{
    graph_run_close(c->run);
    graph_free(&c->graph);
    arena_free(&c->arena);
    checkpoint_free(&c->ck);
    free(c->file);
}

static int64_t whole(enum stored stored, const uint8_t *p)
{
    int32_t i32;
    int64_t i64;
    if (stored == STORED_I32) return memcpy(&i32, p, sizeof i32), i32;
    return memcpy(&i64, p, sizeof i64), i64;
}

struct tensor tensor_of(const struct checkpoint_tensor *t)
{
    struct tensor out = {.rank = t->rank};
    memcpy(out.dim, t->dim, sizeof out.dim);
    out.dtype = t->stored == STORED_F32 ? DTYPE_F32 : t->stored == STORED_BOOL ? DTYPE_BOOL : DTYPE_I64;
    out.data = malloc(t->count * dtype_bytes(out.dtype) + 1);
    assert_non_null(out.data);
    if (out.dtype == DTYPE_I64)
        for (size_t i = 0; i < t->count; i++)
            ((int64_t *)out.data)[i] = whole(t->stored, t->raw + i * stored_types[t->stored].bytes);
    else if (t->count)
        memcpy(out.data, t->raw, t->count * dtype_bytes(out.dtype));
    return out;
}

void onnx_case_run(struct onnx_case *c, struct checkpoint *io)
{
    struct tensor inputs[MAX_INPUTS];
    rnnd_error err = {0};
    for (size_t i = 0; i < c->graph.input_count; i++) {
        char name[200];
        snprintf(name, sizeof name, "in.%s", c->network.inputs[i].name);
        const struct checkpoint_tensor *t = checkpoint_find(io, name);
        if (!t) fail_msg("no input %s", name);
        inputs[i] = tensor_of(t);
    }
    rnnd_code code = graph_run_tensors(c->run, inputs, &err);
    if (code) fail_msg("%s", err.message);
    for (size_t i = 0; i < c->graph.input_count; i++) { /* outputs may be inputs: those are kept */
        bool shown = false;
        for (size_t o = 0; o < c->graph.output_count; o++)
            shown |= graph_run_value(c->run, c->graph.outputs[o])->data == inputs[i].data;
        if (!shown) free(inputs[i].data);
    }
}

void onnx_case_compare(const struct onnx_case *c, size_t i, const struct checkpoint_tensor *want, const char *what)
{
    const struct tensor *got = graph_run_value(c->run, c->graph.outputs[i]);
    struct tensor w = tensor_of(want);
    double largest = 1, worst = 0;
    char a[96], b[96];
    if (got->rank != w.rank || memcmp(got->dim, w.dim, sizeof *w.dim * (size_t)w.rank) != 0 || got->dtype != w.dtype)
        fail_msg("%s, output %zu: wanted %s, got %s", what, i, shape_text(a, w.rank, w.dim),
                 shape_text(b, got->rank, got->dim));
    size_t count = tensor_count(&w);
    if (w.dtype != DTYPE_F32) {
        assert_memory_equal(got->data, w.data, count * dtype_bytes(w.dtype));
        free(w.data);
        return;
    }
    const float *x = got->data, *y = w.data;
    for (size_t k = 0; k < count; k++)
        largest = fmax(largest, fabs((double)y[k]));
    for (size_t k = 0; k < count; k++) {
        double error = fabs((double)x[k] - (double)y[k]);
        if (!(error <= worst)) worst = error; /* NaN too */
    }
    if (!(worst <= 1e-5 * largest)) fail_msg("%s, output %zu: off by %g of %g", what, i, worst, largest);
    free(w.data);
}
