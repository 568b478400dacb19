/* test_kernels_blas.c -- the fast row against the exact ones: near, never picked unasked. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/kernels/kernels.h"

static float *noise(struct rng *r, size_t n)
{
    float *p = mem_aligned(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = (float)(rng_unit(r) * 2 - 1);
    return p;
}

static void near_exact(void **state)
{
    const struct kernels *fast = kernels_pick("fast"), *exact = kernels_pick(NULL);
    struct rng r;

    (void)state;
    if (!fast) skip();
    rng_seed(&r, 5, 1);
    for (int round = 0; round < 40; round++) {
        size_t k = 1 + rng_u32(&r) % 300, gates = 1 + rng_u32(&r) % 4, units = 1 + rng_u32(&r) % 70;
        size_t rows = 1 + rng_u32(&r) % 70, width;
        float *w = noise(&r, k * gates * units), *x = noise(&r, rows * k), *memory, *a, *b;
        const float *xs[70];
        float *as[70], *bs[70];
        struct packed p;

        memory = mem_aligned(pack_gates_floats(k, gates, units) * sizeof *memory);
        pack_gates(&p, memory, w, k, k, gates, units);
        width = packed_width(&p);
        a = noise(&r, rows * width);
        b = mem_aligned(rows * width * sizeof *b);
        memcpy(b, a, rows * width * sizeof *b);
        for (size_t i = 0; i < rows; i++) xs[i] = x + i * k, as[i] = a + i * width, bs[i] = b + i * width;
        exact->matmul(&p, rows, xs, as, NULL);
        fast->matmul(&p, rows, xs, bs, NULL);
        for (size_t i = 0; i < rows * width; i++) assert_true(fabsf(a[i] - b[i]) <= 2e-5f * (1 + fabsf(a[i])));
        mem_free(w), mem_free(x), mem_free(memory), mem_free(a), mem_free(b);
    }
}

static void never_unasked(void **state)
{
    const struct kernels *const *rows;
    size_t n = kernels_list(&rows);

    (void)state;
    for (size_t i = 0; i < n; i++) assert_string_not_equal(rows[i]->name, "fast");
    assert_string_not_equal(kernels_pick(NULL)->name, "fast");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(near_exact), cmocka_unit_test(never_unasked)};
    return cmocka_run_group_tests_name("kernels_blas", tests, NULL, NULL);
}
