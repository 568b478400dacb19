/* kernels_blas.c -- `--numerics fast`: the best row of kernels with OpenBLAS for products of several rows.
 *
 * Its sums differ with the number of rows and the processor, so it keeps no "one answer" and is never picked unasked.
 * OpenBLAS is loaded when first asked for: it weighs thirty times as much as the rest, and most never need it. A panel
 * [k][nv*16] of the packed layout is a row-major matrix as it stands, so no second copy of the weights is made. */
#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "core/kernels/rows.h"

#define GATHER_FLOATS 16384 /* input rows side by side, per thread */

static __typeof__(&cblas_sgemm) sgemm;
static struct kernels fast;
static const struct kernels *exact;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* acc rows must be equally far apart for one product; those of a graph run are. */
static bool evenly_spaced(size_t rows, float *const *acc)
{
    for (size_t r = 2; r < rows; r++)
        if (acc[r] - acc[r - 1] != acc[1] - acc[0]) return false;
    return rows < 2 || acc[1] > acc[0];
}

static void matmul(const struct packed *w, size_t rows, const float *const *x, float *const *acc, float *scratch)
{
    static _Thread_local float gathered[GATHER_FLOATS];
    size_t width = w->nv * LANES, most = w->k ? GATHER_FLOATS / w->k : 0;

    if (w->precision != PRECISION_FP32 || rows < 2 || most < 2 || w->k * w->panels * width > INT32_MAX ||
        !evenly_spaced(rows, acc)) {
        exact->matmul(w, rows, x, acc, scratch);
        return;
    }
    for (size_t r = 0, n; r < rows; r += n) {
        n = rows - r < most ? rows - r : most;
        for (size_t i = 0; i < n; i++) memcpy(gathered + i * w->k, x[r + i], w->k * sizeof(float));
        for (size_t p = 0; p < w->panels; p++)
            sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)width, (int)w->k, 1.0f, gathered, (int)w->k,
                  (const float *)w->w + p * w->k * width, (int)width, 1.0f, acc[r] + p * width, (int)(acc[1] - acc[0]));
    }
}

static void load(void)
{
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    void (*set_threads)(int);

    if (!library) return;
    *(void **)&sgemm = dlsym(library, "cblas_sgemm");
    *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
    if (!sgemm || !set_threads) {
        sgemm = NULL;
        return;
    }
    set_threads(1);
    exact = kernels_pick(NULL);
    fast = *exact;
    fast.name = "fast";
    fast.matmul = matmul;
}

const struct kernels *kernels_blas(void)
{
    pthread_once(&once, load);
    return sgemm ? &fast : NULL;
}
