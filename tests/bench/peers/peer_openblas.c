/* peer_openblas.c -- backends: layers made of OpenBLAS' products and vectorised activations, in a loop over steps.
 *
 * All inputs are multiplied first, as one product; then h of each step. "openblas" keeps the weights [rows][columns] as
 * PyTorch does, "openblas_tr" transposed. One row is a product of matrix and vector. */
#include <cblas.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/bench/kernels/backend.h"
#include "tests/bench/peers/activations.h"

static __typeof__(&cblas_sgemm) sgemm;
static __typeof__(&cblas_sgemv) sgemv;
static __typeof__(&openblas_set_num_threads) set_threads;

struct matrix {
    float *w; /* [rows][columns], or [columns][rows] if transposed */
    size_t rows, columns;
};

struct network {
    const struct problem *p;
    bool transposed;
    struct matrix ih[ONNX_MAX_LAYERS], hh[ONNX_MAX_LAYERS];
    float *bias[ONNX_MAX_LAYERS]; /* LSTM: both; GRU: that of the input */
    float *h[ONNX_MAX_LAYERS], *c[ONNX_MAX_LAYERS];
    float *gates, *h_gates; /* [steps][batch][rows], [batch][rows] */
    float *y[2];            /* [steps][batch][hidden], of even and odd layers */
};

/* A release older than the processor takes it for one without AVX. Its threads wait for work by spinning: for 0.5 ms is
 * enough here, and leaves the cores to whoever is measured next. */
static void set_up(void)
{
    setenv("OPENBLAS_THREAD_TIMEOUT", "20", 0);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
        setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        setenv("OPENBLAS_CORETYPE", "Haswell", 0);
}

static bool load(char *text, size_t cap)
{
    set_up();
    char *(*core)(void) = NULL, *(*config)(void) = NULL;
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library) {
        *(void **)&sgemm = dlsym(library, "cblas_sgemm");
        *(void **)&sgemv = dlsym(library, "cblas_sgemv");
        *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
        *(void **)&core = dlsym(library, "openblas_get_corename");
        *(void **)&config = dlsym(library, "openblas_get_config");
    }
    bool there = sgemm && sgemv && set_threads && core && config;
    if (there)
        snprintf(text, cap, "%.15s, core %s", config(), core());
    else
        snprintf(text, cap, "no libopenblas.so.0");
    return there;
}

static float *room(size_t floats)
{
    size_t bytes = (floats * sizeof(float) + 4095) / 4096 * 4096;
    float *p = aligned_alloc(4096, bytes);
    if (!p) die("no memory for %zu numbers", floats);
    return memset(p, 0, bytes);
}

static struct matrix keep(const struct network *n, const float *w, size_t rows, size_t columns)
{
    struct matrix m = {room(rows * columns), rows, columns};
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < columns; k++)
            m.w[n->transposed ? k * rows + r : r * columns + k] = w[r * columns + k];
    return m;
}

static void *open_network(const struct problem *p, bool transposed)
{
    const struct shape *s = &p->shape;
    size_t rows = (s->gru ? 3 : 4) * s->hidden;
    struct network *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    n->p = p;
    n->transposed = transposed;
    for (size_t l = 0; l < s->layers; l++) {
        const struct onnx_layer *w = &p->layer[l];
        n->ih[l] = keep(n, w->w_ih, rows, l ? s->hidden : s->inputs);
        n->hh[l] = keep(n, w->w_hh, rows, s->hidden);
        n->bias[l] = room(rows);
        for (size_t r = 0; r < rows; r++)
            n->bias[l][r] = w->b_ih[r] + (s->gru ? 0 : w->b_hh[r]);
        n->h[l] = room(s->batch * s->hidden);
        n->c[l] = room(s->batch * s->hidden);
    }
    n->gates = room(s->steps * s->batch * rows);
    n->h_gates = room(s->batch * rows);
    for (int i = 0; i < 2; i++)
        n->y[i] = room(s->steps * s->batch * s->hidden);
    return n;
}

static void *open_plain(const struct problem *p)
{
    return open_network(p, false);
}

static void *open_transposed(const struct problem *p)
{
    return open_network(p, true);
}

/* y [batch][rows] += x [batch][columns] times the matrix */
static void multiply(const struct network *n, const struct matrix *m, size_t batch, const float *x, float *y)
{
    int rows = (int)m->rows, columns = (int)m->columns;
    if (batch > 1)
        sgemm(CblasRowMajor, CblasNoTrans, n->transposed ? CblasNoTrans : CblasTrans, (int)batch, rows, columns, 1, x,
              columns, m->w, n->transposed ? rows : columns, 1, y, rows);
    else if (n->transposed)
        sgemv(CblasColMajor, CblasNoTrans, rows, columns, 1, m->w, rows, x, 1, 1, y, 1);
    else
        sgemv(CblasRowMajor, CblasNoTrans, rows, columns, 1, m->w, columns, x, 1, 1, y, 1);
}

static void spread(float *to, const float *row, size_t width, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memcpy(to + i * width, row, width * sizeof *to);
}

static void step(struct network *n, size_t l, float *gates)
{
    const struct shape *s = &n->p->shape;
    size_t rows = n->hh[l].rows;
    if (s->gru) spread(n->h_gates, n->p->layer[l].b_hh, rows, s->batch);
    multiply(n, &n->hh[l], s->batch, n->h[l], s->gru ? n->h_gates : gates);
    for (size_t b = 0; b < s->batch; b++)
        if (s->gru)
            activate_gru(s->hidden, gates + b * rows, n->h_gates + b * rows, n->h[l] + b * s->hidden);
        else
            activate_lstm(s->hidden, gates + b * rows, n->c[l] + b * s->hidden, n->h[l] + b * s->hidden);
}

static bool run(void *self)
{
    struct network *n = self;
    const struct shape *s = &n->p->shape;
    const float *x = n->p->x;
    set_threads(s->threads);
    for (size_t l = 0; l < s->layers; l++) {
        size_t rows = n->ih[l].rows;
        spread(n->gates, n->bias[l], rows, s->steps * s->batch);
        multiply(n, &n->ih[l], s->steps * s->batch, x, n->gates);
        for (size_t t = 0; t < s->steps; t++) {
            step(n, l, n->gates + t * s->batch * rows);
            memcpy(n->y[l % 2] + t * s->batch * s->hidden, n->h[l], s->batch * s->hidden * sizeof(float));
        }
        x = n->y[l % 2];
    }
    return true;
}

static void row(void *self, size_t b, float *h)
{
    struct network *n = self;
    const struct shape *s = &n->p->shape;
    memcpy(h, n->h[s->layers - 1] + b * s->hidden, s->hidden * sizeof *h);
}

static void close_network(void *self)
{
    struct network *n = self;
    for (size_t l = 0; l < ONNX_MAX_LAYERS; l++) {
        free(n->ih[l].w);
        free(n->hh[l].w);
        free(n->bias[l]);
        free(n->h[l]);
        free(n->c[l]);
    }
    free(n->gates);
    free(n->h_gates);
    free(n->y[0]);
    free(n->y[1]);
    free(n);
}

const struct backend openblas_backends[2] = {
    {.name = "openblas", .load = load, .open = open_plain, .run = run, .row = row, .close = close_network},
    {.name = "openblas_tr", .load = load, .open = open_transposed, .run = run, .row = row, .close = close_network},
};
