/* test_npy.c -- .npy files: what numpy writes, what comes back, and hostile bytes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/cli/array.h"
#include "core/cli/cli.h"

/* A .npy file with this dictionary and elements; returns its size. */
static size_t make(char *out, int major, const char *dictionary, const void *elements, size_t bytes)
{
    size_t n = strlen(dictionary), head = major == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (char)major;
    out[7] = 0;
    memset(out + 8, 0, head - 8);
    out[8] = (char)n;
    out[9] = (char)(n >> 8);
    memcpy(out + head, dictionary, n);
    if (bytes)
        memcpy(out + head + n, elements, bytes);
    return head + n + bytes;
}

static void types_and_shapes(void **unused)
{
    (void)unused;
    char file[512];
    struct array a;
    static const float f4[] = {1.5f, -2, 1e-30f, NAN, INFINITY, 0};
    static const double f8[] = {1.5, 1e300};
    static const int32_t i4[] = {-7, 1 << 30};
    static const int64_t i8[] = {-7, (int64_t)1 << 40};
    size_t n = make(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }     \n", f4, sizeof f4);
    assert_int_equal(npy_read(file, n, &a, NULL), RNND_OK);
    assert_int_equal(a.rank, 2);
    assert_true(a.dim[0] == 2 && a.dim[1] == 3);
    assert_memory_equal(a.data, f4, sizeof f4);
    array_free(&a);
    n = make(file, 2, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", f8, sizeof f8);
    assert_int_equal(npy_read(file, n, &a, NULL), RNND_OK);
    assert_true(a.rank == 1 && a.data[0] == 1.5f && isinf(a.data[1]));
    array_free(&a);
    n = make(file, 3, "{\"shape\": (1, 2, 1), \"descr\": \"<i4\", \"fortran_order\": False}", i4, sizeof i4);
    assert_int_equal(npy_read(file, n, &a, NULL), RNND_OK);
    assert_true(a.rank == 3 && a.dtype == RNND_INT64 && a.whole[0] == -7 && a.whole[1] == 1 << 30);
    array_free(&a);
    n = make(file, 1, "{'descr': '<i8', 'fortran_order': True, 'shape': (2,), }", i8, sizeof i8);
    assert_int_equal(npy_read(file, n, &a, NULL), RNND_OK);
    assert_true(a.whole[0] == -7 && a.whole[1] == (int64_t)1 << 40);
    array_free(&a);
    n = make(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", f4, 4);
    assert_int_equal(npy_read(file, n, &a, NULL), RNND_OK);
    assert_true(a.rank == 0 && a.data[0] == 1.5f);
    array_free(&a);
    n = make(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 99999999999), }", f4, 0);
    assert_int_equal(npy_read(file, n, &a, NULL), RNND_OK);
    array_free(&a);
}

/* Halves as IEEE 754 has them, whole numbers of every width, bool, and the other order of axes. */
static void more_types(void **unused)
{
    (void)unused;
    char file[512];
    struct array a;
    rnnd_error err;
    static const uint16_t f2[] = {0x3C00, 0xC000, 0x0001, 0x7BFF, 0xFC00, 0x7E00, 0x8000, 0x03FF};
    static const float halves[] = {1, -2, 0x1p-24f, 65504, -INFINITY};
    size_t n = make(file, 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (8,), }", f2, sizeof f2);
    assert_int_equal(npy_read(file, n, &a, &err), RNND_OK);
    assert_memory_equal(a.data, halves, sizeof halves);
    assert_true(isnan(a.data[5]) && a.data[6] == 0 && signbit(a.data[6]) && a.data[7] == 1023 * 0x1p-24f);
    array_free(&a);
    static const uint8_t bytes[] = {0x80, 1, 0xFF, 0};
    static const struct { const char *descr; int64_t first; size_t count; } wholes[] = {
        {"|i1", -128, 4}, {"|u1", 128, 4}, {"<i2", 0x180, 2}, {"<u2", 0x180, 2}, {"<i4", 0xFF0180, 1},
        {"<u4", 0xFF0180, 1}, {"|b1", 1, 4}};
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
        char text[128];
        snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu,), }", wholes[i].descr,
                 wholes[i].count);
        n = make(file, 1, text, bytes, 4);
        assert_int_equal(npy_read(file, n, &a, &err), RNND_OK);
        assert_int_equal(a.dtype, i == 6 ? RNND_BOOL8 : RNND_INT64);
        assert_true((i == 6 ? a.truth[0] : a.whole[0]) == wholes[i].first);
        assert_int_equal(array_convert(&a, RNND_FLOAT32, &err), RNND_OK);
        assert_true(a.data[0] == (float)wholes[i].first);
        assert_int_equal(array_convert(&a, RNND_INT64, &err), RNND_OK);
        assert_true(a.whole[0] == wholes[i].first);
        array_free(&a);
    }
    static const float columns[] = {0, 3, 1, 4, 2, 5}; /* [2][3] with the first axis fastest */
    n = make(file, 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", columns, sizeof columns);
    assert_int_equal(npy_read(file, n, &a, &err), RNND_OK);
    for (int i = 0; i < 6; i++)
        assert_true(a.data[i] == (float)i);
    a.data[5] = 0.5f;
    assert_int_equal(array_convert(&a, RNND_INT64, &err), RNND_MISMATCH);
    assert_true(a.dtype == RNND_FLOAT32 && a.data[5] == 0.5f);
    array_free(&a);
}

static void refusals(void **unused)
{
    (void)unused;
    static const struct { const char *dictionary; size_t bytes; rnnd_code code; } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7, RNND_CORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, RNND_CORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 8, RNND_CORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }", 8, RNND_CORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2), }", 8, RNND_CORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2), }", 8, RNND_CORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", 8, RNND_CORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, }", 8, RNND_CORRUPT},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 8, RNND_CORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", 8, RNND_CORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x", 8, RNND_CORRUPT},
        {"{'descr': '<f4", 8, RNND_CORRUPT},
        {"", 8, RNND_CORRUPT},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8, RNND_UNSUPPORTED},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", 8, RNND_UNSUPPORTED},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", 8, RNND_UNSUPPORTED},
        {"{'descr': '<b1', 'fortran_order': False, 'shape': (8,), }", 8, RNND_UNSUPPORTED},
    };
    char file[512], zeros[16] = {0};
    struct array a;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rnnd_error err = {0};
        size_t n = make(file, 1, cases[i].dictionary, zeros, cases[i].bytes);
        rnnd_code code = npy_read(file, n, &a, &err);
        if (code != cases[i].code)
            fail_msg("case %zu: %s", i, err.message);
        assert_null(a.data);
        assert_true(strlen(err.message) > 10);
    }
}

/* Any cut and any changed byte is read or refused inside its bounds (run under ASan: the copy has the exact size). */
static void damaged_files(void **unused)
{
    (void)unused;
    char file[512], numbers[24] = {0};
    struct array a;
    size_t n = make(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", numbers, sizeof numbers);
    for (size_t cut = 0; cut < n; cut++) {
        char *copy = malloc(cut ? cut : 1);
        memcpy(copy, file, cut);
        assert_int_not_equal(npy_read(copy, cut, &a, NULL), RNND_OK);
        free(copy);
    }
    for (size_t at = 0; at < n; at++)
        for (int value = 0; value < 256; value++) {
            char *copy = malloc(n);
            memcpy(copy, file, n);
            copy[at] = (char)value;
            if (npy_read(copy, n, &a, NULL) == RNND_OK)
                array_free(&a);
            free(copy);
        }
}

static void round_trip(void **unused)
{
    (void)unused;
    char path[] = "/tmp/rnnd-npy-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t rank = 0; rank <= 4; rank++) {
        float numbers[24];
        struct array a = {.rank = rank, .dim = {rank == 1 ? 24 : 2, rank == 2 ? 12 : 3, rank == 3 ? 4 : 2, 2}}, b;
        a.data = numbers;
        for (int i = 0; i < 24; i++)
            numbers[i] = (float)i / 7;
        assert_int_equal(npy_write(path, &a, NULL), RNND_OK);
        char *bytes;
        size_t size;
        assert_int_equal(cli_read_file(path, 1 << 20, &bytes, &size, NULL), RNND_OK);
        size_t count = rank ? 24 : 1;
        assert_int_equal((size - count * 4) % 64, 0);
        assert_int_equal(npy_read(bytes, size, &b, NULL), RNND_OK);
        assert_int_equal(b.rank, rank);
        assert_memory_equal(a.dim, b.dim, rank * sizeof *a.dim);
        assert_memory_equal(b.data, numbers, count * sizeof *numbers);
        array_free(&b);
        free(bytes);
    }
    rnnd_error err;
    char *bytes;
    size_t size;
    assert_int_equal(cli_read_file(path, 10, &bytes, &size, &err), RNND_TOO_LARGE);
    unlink(path);
    assert_int_equal(cli_read_file(path, 10, &bytes, &size, &err), RNND_NOT_FOUND);
    assert_int_equal(npy_write("/no/such/folder/x.npy", &(struct array){0}, &err), RNND_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(types_and_shapes), cmocka_unit_test(more_types),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(damaged_files), cmocka_unit_test(round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
