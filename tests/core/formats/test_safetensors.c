/* test_safetensors.c -- files of strangers: every type, every lie about ranges, every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/formats/format.h"
#include "core/formats/safetensors.h"
#include "tests/lib/build_model.h"
#include "tests/lib/hostile.h"


/* A file with this header and `data` bytes 0, 1, 2, ... behind it, at the end of readable memory. */
static const uint8_t *file(const char *header, size_t data, size_t *bytes)
{
    size_t n = strlen(header);
    *bytes = 8 + n + data;
    uint8_t *p = hostile_at_end(*bytes);
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(n >> (8 * i));
    memcpy(p + 8, header, n);
    for (size_t i = 0; i < data; i++)
        p[8 + n + i] = (uint8_t)i;
    return p;
}

static rnnd_code read_back(const uint8_t *data, size_t bytes, struct checkpoint *ck, rnnd_error *err)
{
    memset(err, 0, sizeof *err);
    checkpoint_init(ck);
    return format_read(data, bytes, NULL, ck, err);
}

static void lies(void **unused)
{
    (void)unused;
#define ENTRY(dtype, shape, range) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" range "}"
    static const struct {
        const char *header;
        size_t data;
        rnnd_code code;
    } cases[] = {
        {"{\"a\":" ENTRY("F32", "[2]", "[0,8]") "}", 8, RNND_OK},
        {"{\"a\":" ENTRY("F32", "[2]", "[0,8]") "}   ", 8, RNND_OK},
        {"{\"a\":" ENTRY("F32", "[]", "[0,4]") "}", 4, RNND_OK},
        {"{\"a\":" ENTRY("F32", "[0,3]", "[0,0]") "}", 0, RNND_OK},
        {"{\"b\":" ENTRY("F32", "[1]", "[4,8]") ",\"a\":" ENTRY("U8", "[4]", "[0,4]") "}", 8, RNND_OK},
        {"{\"__metadata__\":{\"k\":\"v\"}}", 0, RNND_OK},
        {"{\"a\":" ENTRY("F32", "[2]", "[0,8]") "}", 7, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[2]", "[0,8]") "}", 9, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[2]", "[1,9]") "}", 9, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[3]", "[0,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[2]", "[8,0]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[2]", "[0]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[2]", "[0,8,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[2]", "{\"x\":0,\"y\":8}") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[2]", "[0,1e30]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[-2]", "[0,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[2.5]", "[0,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[\"2\"]", "[0,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "2", "[0,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[281474976710656,281474976710656]", "[0,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[4611686018427387906]", "[0,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F64", "[70368744177664,32768]", "[0,0]") "}", 0, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F8_E4M3", "[8]", "[0,8]") "}", 8, RNND_UNSUPPORTED},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, RNND_CORRUPT},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, RNND_CORRUPT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, RNND_CORRUPT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8, RNND_CORRUPT},
        {"{\"a\":5}", 0, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[2]", "[0,8]") ",\"b\":" ENTRY("F32", "[2]", "[0,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[2]", "[0,8]") ",\"b\":" ENTRY("F32", "[2]", "[4,12]") "}", 12, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[1]", "[8,12]") "}", 12, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"a\":" ENTRY("F32", "[1]", "[4,8]") "}", 8, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[1]", "[0,4]") "} x", 4, RNND_CORRUPT},
        {"{\"__metadata__\":[]}", 0, RNND_CORRUPT},
        {"{\"__metadata__\":{\"k\":1}}", 0, RNND_CORRUPT},
        {"{\"a\":" ENTRY("F32", "[1]", "[0,4]"), 4, RNND_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct checkpoint ck;
        rnnd_error err;
        size_t bytes;
        const uint8_t *data = file(cases[i].header, cases[i].data, &bytes);
        if (read_back(data, bytes, &ck, &err) != cases[i].code)
            fail_msg("%s: %d %s", cases[i].header, err.code, err.message);
        if (cases[i].code) assert_true(strlen(err.message) > 20);
        checkpoint_free(&ck);
    }
    for (uint64_t n = 0; n < 3; n++) { /* header lengths beyond all */
        static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 40};
        uint8_t head[16] = {0};
        struct checkpoint ck;
        rnnd_error err;
        for (int i = 0; i < 8; i++)
            head[i] = (uint8_t)(lengths[n] >> (8 * i));
        head[8] = '{';
        assert_int_equal(read_back(head, sizeof head, &ck, &err), RNND_CORRUPT);
        checkpoint_free(&ck);
        checkpoint_init(&ck);
        assert_int_equal(safetensors_read(head, sizeof head, NULL, &ck, &err), RNND_CORRUPT);
        checkpoint_free(&ck);
    }
}

/* A file cut anywhere is refused; nothing behind its end is read. */
static void cut_everywhere(void **unused)
{
    (void)unused;
    struct model_builder b;
    size_t bytes;
    builder_init(&b, hostile_seed);
    builder_torch(&b, "n", 1, 2, 2, 1, false, 0);
    void *image = builder_image(&b, "{\"format\":1}", &bytes);
    for (size_t n = 0; n <= bytes; n++) {
        struct checkpoint ck;
        rnnd_error err;
        uint8_t *p = hostile_at_end(n);
        memcpy(p, image, n);
        rnnd_code code = read_back(p, n, &ck, &err);
        assert_int_equal(code != RNND_OK, n < bytes);
        checkpoint_free(&ck);
    }
    mem_free(image);
    builder_free(&b);
}

/* Random damage: whatever comes out, it is an answer, and tensors that are read lie within the file. */
static void damaged(void **unused)
{
    (void)unused;
    struct model_builder b;
    struct rng rng;
    size_t bytes, refused = 0;
    rng_seed(&rng, hostile_seed, 3);
    builder_init(&b, hostile_seed);
    builder_torch(&b, "n", 1, 2, 2, 1, false, 0);
    uint8_t *image = builder_image(&b, "{\"format\":1}", &bytes);
    uint8_t *p = hostile_at_end(bytes);
    for (int round = 0; round < 20000; round++) {
        struct checkpoint ck;
        rnnd_error err;
        memcpy(p, image, bytes);
        hostile_damage(&rng, p, bytes - 24, 3);
        if (read_back(p, bytes, &ck, &err)) {
            refused++;
            assert_true(err.message[0]);
        }
        for (size_t i = 0; !err.code && i < ck.count; i++) {
            const float *f;
            assert_int_equal(checkpoint_floats(&ck.tensors[i], &f, &err), RNND_OK);
        }
        checkpoint_free(&ck);
    }
    assert_true(refused > 1000);
    mem_free(image);
    builder_free(&b);
}

static void every_type(void **unused)
{
    (void)unused;
    static const struct {
        const char *type;
        size_t bytes;
        uint8_t raw[8];
        float wanted;
    } cases[] = {
        {"BOOL", 1, {7}, 1},
        {"U8", 1, {200}, 200},
        {"I8", 1, {200}, -56},
        {"I16", 2, {0xfe, 0xff}, -2},
        {"U16", 2, {0xfe, 0xff}, 65534},
        {"F16", 2, {0x00, 0xc1}, -2.5f},
        {"BF16", 2, {0x20, 0xc0}, -2.5f},
        {"I32", 4, {0xfd, 0xff, 0xff, 0xff}, -3},
        {"U32", 4, {0, 0, 0, 0x80}, 2147483648.0f},
        {"F32", 4, {0, 0, 0x20, 0xc0}, -2.5f},
        {"F64", 8, {0, 0, 0, 0, 0, 0, 0x04, 0xc0}, -2.5f},
        {"I64", 8, {0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, -5},
        {"U64", 8, {0, 0, 0, 0, 0, 0, 0, 0x80}, 0x1p63f},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t pad = 0; pad < 4; pad++) { /* at any alignment */
            char header[256] = "";
            struct checkpoint ck;
            rnnd_error err;
            const float *f;
            size_t bytes;
            snprintf(header, sizeof header,
                     "{\"p\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[0,%zu]},\"a\":{\"dtype\":"
                     "\"%s\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}}",
                     pad, pad, cases[i].type, pad, pad + cases[i].bytes);
            uint8_t *p = (uint8_t *)(uintptr_t)file(header, pad + cases[i].bytes, &bytes);
            memcpy(p + bytes - cases[i].bytes, cases[i].raw, cases[i].bytes);
            if (read_back(p, bytes, &ck, &err)) fail_msg("%s", err.message);
            assert_int_equal(checkpoint_floats(checkpoint_find(&ck, "a"), &f, &err), RNND_OK);
            if (*f != cases[i].wanted) fail_msg("%s: %g", cases[i].type, (double)*f);
            checkpoint_free(&ck);
        }
}

static void written_is_read(void **unused)
{
    (void)unused;
    char path[] = "/tmp/rnnd-test-XXXXXX";
    static const float data[6] = {1, -2, 3.5f, 0, 1e-30f, 5};
    struct safetensors_item items[] = {{"x\"\\\n", STORED_F32, 2, {2, 3}, data}, {"a", STORED_F32, 0, {0}, data + 2}};
    struct safetensors_meta meta[] = {{"rnnd", "{\"k\":\"\xc3\xa9\\n\"}"}, {"other", "v"}};
    rnnd_error err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    if (safetensors_write(path, items, 2, meta, 2, &err)) fail_msg("%s", err.message);
    FILE *f = fopen(path, "rb");
    uint8_t bytes[4096];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    unlink(path);
    struct checkpoint ck;
    if (read_back(bytes, n, &ck, &err)) fail_msg("%s", err.message);
    assert_int_equal(ck.count, 2);
    assert_string_equal(ck.config, meta[0].value);
    const struct checkpoint_tensor *t = checkpoint_find(&ck, "x\"\\\n");
    assert_non_null(t);
    assert_int_equal(t->rank, 2);
    assert_memory_equal(t->raw, data, sizeof data);
    assert_int_equal(checkpoint_find(&ck, "a")->rank, 0);
    checkpoint_free(&ck);
    assert_int_equal(safetensors_write("/nowhere/x.safetensors", items, 2, meta, 2, &err), RNND_IO);
}

static void strangers(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        const char *says;
    } cases[] = {
        {"version https://git-lfs.github.com/spec/v1", "LFS"},
        {"\x89HDF\r\n\x1a\n........", "HDF5"},
        {"PK\x03\x04............", "zip"},
        {"hello, hello, hello", "safetensors"},
        {"", "0 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct checkpoint ck;
        rnnd_error err;
        assert_true(read_back((const uint8_t *)cases[i].bytes, strlen(cases[i].bytes), &ck, &err) != RNND_OK);
        assert_non_null(strstr(err.message, cases[i].says));
        checkpoint_free(&ck);
    }
}

int main(void)
{
    if (!hostile_begin(1 << 16)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies),       cmocka_unit_test(cut_everywhere),  cmocka_unit_test(damaged),
        cmocka_unit_test(every_type), cmocka_unit_test(written_is_read), cmocka_unit_test(strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
