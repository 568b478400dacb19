/* test_pack.c -- weight layouts, element by element, and sizes that overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/kernels/kernels.h"

/* w[row][k] = 1000 row + k + 1, so that every element says where it came from */
static float *numbered(size_t rows, size_t stride)
{
    float *w = mem_alloc(rows * stride, sizeof *w);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < stride; i++) w[r * stride + i] = (float)(1000 * r + i + 1);
    return w;
}

static void gates_layout(void **unused)
{
    (void)unused;
    for (size_t gates = 1; gates <= 4; gates++)
        for (size_t units = 1; units < 50; units += 7) {
            size_t k = 5, stride = 7;
            float *w = numbered(gates * units, stride);
            float *memory = mem_aligned(pack_gates_floats(k, gates, units) * sizeof(float));
            struct packed p;
            pack_gates(&p, memory, w, stride, k, gates, units);
            assert_int_equal(p.k, k);
            assert_int_equal(p.nv, gates);
            assert_int_equal(p.panels, (units + 15) / 16);
            for (size_t i = 0; i < pack_gates_floats(k, gates, units); i++) {
                size_t g = i / 16 % gates, step = i / 16 / gates % k, unit = i / 16 / gates / k * 16 + i % 16;
                float want = unit < units ? (float)(1000 * (g * units + unit) + step + 1) : 0;
                assert_true(memory[i] == want);
            }
            mem_free(memory);
            mem_free(w);
        }
}

static void dense_layout(void **unused)
{
    (void)unused;
    static const struct {
        size_t outputs, nv, panels;
    } shapes[] = {{1, 1, 1}, {16, 1, 1}, {17, 2, 1}, {33, 3, 1}, {64, 4, 1}, {65, 4, 2}, {200, 4, 4}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t k = 3, stride = 3, outputs = shapes[s].outputs, nv = shapes[s].nv;
        float *w = numbered(outputs, stride);
        float *memory = mem_aligned(pack_dense_floats(k, outputs) * sizeof(float));
        struct packed p;
        pack_dense(&p, memory, w, stride, k, outputs);
        assert_int_equal(p.nv, nv);
        assert_int_equal(p.panels, shapes[s].panels);
        assert_int_equal(packed_width(&p), p.panels * nv * 16);
        for (size_t i = 0; i < pack_dense_floats(k, outputs); i++) {
            size_t output = (i / 16 / nv / k * nv + i / 16 % nv) * 16 + i % 16, step = i / 16 / nv % k;
            assert_true(memory[i] == (output < outputs ? (float)(1000 * output + step + 1) : 0));
        }
        mem_free(memory);
        mem_free(w);
    }
}

/* the same matrix, written down the other way round, packs into the same memory */
static void dense_columns(void **unused)
{
    (void)unused;
    for (size_t outputs = 1; outputs < 140; outputs += 23)
        for (size_t k = 1; k < 6; k++) {
            size_t floats = pack_dense_floats(k, outputs), stride = outputs + 3;
            float *w = numbered(outputs, k), *turned = mem_alloc(k * stride, sizeof *turned);
            float *a = mem_aligned(floats * sizeof *a), *b = mem_aligned(floats * sizeof *b);
            struct packed pa, pb;
            for (size_t i = 0; i < floats; i++) b[i] = -1;
            for (size_t o = 0; o < outputs; o++)
                for (size_t i = 0; i < k; i++) turned[i * stride + o] = w[o * k + i];
            pack_dense(&pa, a, w, k, k, outputs);
            pack_dense_columns(&pb, b, turned, stride, k, outputs);
            assert_true(pa.k == pb.k && pa.nv == pb.nv && pa.panels == pb.panels && pb.w == b);
            assert_memory_equal(a, b, floats * sizeof *a);
            mem_free(w);
            mem_free(turned);
            mem_free(a);
            mem_free(b);
        }
}

static void bias_rows(void **unused)
{
    (void)unused;
    for (size_t gates = 1; gates <= 4; gates++)
        for (size_t units = 1; units < 40; units++) {
            size_t width = (units + 15) / 16 * 16 * gates;
            float *row = mem_alloc(width, sizeof *row), *bias = numbered(1, gates * units);
            pack_gates_row(row, bias, gates, units);
            for (size_t i = 0; i < width; i++) {
                size_t g = i / 16 % gates, unit = i / 16 / gates * 16 + i % 16;
                assert_true(row[i] == (unit < units ? bias[g * units + unit] : 0));
            }
            pack_gates_row(row, NULL, gates, units);
            for (size_t i = 0; i < width; i++) assert_true(row[i] == 0);
            mem_free(row);
            mem_free(bias);
        }
}

static void sizes_do_not_wrap(void **unused)
{
    (void)unused;
    assert_int_equal(pack_gates_floats(SIZE_MAX / 8, 4, 64), 0);
    assert_int_equal(pack_gates_floats(1, 4, SIZE_MAX), 0);
    assert_int_equal(pack_gates_floats(SIZE_MAX / 64 / 4 + 1, 4, 1), 0);
    assert_int_equal(pack_dense_floats(SIZE_MAX, 2), 0);
    assert_int_equal(pack_dense_floats(SIZE_MAX / 1000, SIZE_MAX / 1000), 0);
    assert_int_equal(pack_dense_floats(10, 17), 10 * 32);
}

/* Through a file and back: what is packed of the restored weights is what is packed of the weights. */
static void reduced_weights_survive(void **unused)
{
    (void)unused;
    static const float odd[] = {0, -0.0f, 1e-38f, 1e-45f, -3e-31f, 3.4e38f, 1e-30f, 65504, -1e20f};
    struct rng rng;
    rng_seed(&rng, 5, 1);
    for (int round = 0; round < 400; round++) {
        enum precision precision = round % 2 ? PRECISION_INT8 : PRECISION_BF16;
        size_t k = 1 + rng_u32(&rng) % 40, outputs = 1 + rng_u32(&rng) % 40;
        float *w[2], *memory[2], largest = 0;
        int8_t row[2 * 40];
        for (int i = 0; i < 2; i++)
            w[i] = mem_alloc(outputs * k, sizeof **w);
        for (size_t i = 0; i < outputs * k; i++) {
            w[0][i] = ((float)rng_unit(&rng) - 0.5f) * (round % 5 ? 1 : 1e-30f);
            if (round % 3 == 0 && rng_u32(&rng) % 4 == 0) w[0][i] = odd[rng_u32(&rng) % 9];
        }
        for (size_t o = 0; o < outputs; o++) {
            weights_reduce(precision, w[0] + o * k, 1, k, row, 1, &largest);
            weights_restore(precision, row, largest, 1, k, w[1] + o * k);
        }
        struct packed full, reduced[2];
        float *plain = mem_aligned(pack_dense_floats(k, outputs) * sizeof(float));
        for (int i = 0; i < 2; i++) {
            pack_dense(&full, plain, w[i], k, k, outputs);
            memory[i] = mem_aligned(pack_reduced_floats(&full, precision) * sizeof(float));
            pack_reduced(&reduced[i], memory[i], &full, precision);
        }
        assert_memory_equal(memory[0], memory[1], pack_reduced_floats(&full, precision) * sizeof(float));
        for (int i = 0; i < 2; i++)
            mem_free(w[i]), mem_free(memory[i]);
        mem_free(plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gates_layout), cmocka_unit_test(dense_layout),      cmocka_unit_test(dense_columns),
        cmocka_unit_test(bias_rows),    cmocka_unit_test(sizes_do_not_wrap), cmocka_unit_test(reduced_weights_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
