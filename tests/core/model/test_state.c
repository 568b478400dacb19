/* test_state.c -- states: reset, h and c in and out, blobs and everything that can be wrong with one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xxhash.h>

#include "core/base/mem.h"
#include "tests/lib/build_model.h"

static rnnd_model *open_lstm(const char *mode)
{
    struct model_builder b;
    char config[TEXT] = "";
    builder_init(&b, 3);
    builder_torch(&b, "n", 4, 3, 4, 2, false, 2);
    float c0[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    builder_tensor(&b, "c0", c0, 0, 3, 2, 1, 4);
    text_add(config,
             "{\"format\":1,\"inputs\":[{\"width\":3}],\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,"
             "\"layers\":2,"
             "\"projection\":2,\"initial\":{\"c\":\"c0\"}}]%s}",
             mode);
    rnnd_model *m = builder_open(&b, config, NULL);
    builder_free(&b);
    return m;
}

static void *stepped(const rnnd_model *m, int steps)
{
    void *state = malloc(rnnd_state_bytes(m));
    rnnd_workspace *ws;
    rnnd_error err;
    float x[3] = {0.5f, -1, 2};
    rnnd_step_row row = {state, x, NULL, RNND_OK};
    rnnd_state_reset(m, state);
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    for (int i = 0; i < steps; i++, x[0] += 0.1f)
        assert_int_equal(rnnd_step(ws, &row, 1, &err), RNND_OK);
    rnnd_workspace_close(ws);
    return state;
}

static void h_and_c(void **unused)
{
    (void)unused;
    rnnd_model *m = open_lstm("");
    void *s = stepped(m, 0);
    float h[4], c[8], h2[4] = {9, 8, 7, 6}, c2[8] = {1, 1, 2, 2, 3, 3, 4, 4};
    rnnd_error err;
    assert_int_equal(rnnd_state_get_hc(m, s, h, c, &err), RNND_OK);
    for (int i = 0; i < 4; i++)
        assert_true(h[i] == 0);
    for (int i = 0; i < 8; i++)
        assert_true(c[i] == (float)(i + 1));
    assert_int_equal(rnnd_state_set_hc(m, s, h2, c2, &err), RNND_OK);
    assert_int_equal(rnnd_state_get_hc(m, s, h, c, &err), RNND_OK);
    assert_memory_equal(h, h2, sizeof h);
    assert_memory_equal(c, c2, sizeof c);
    h2[1] = NAN;
    assert_int_equal(rnnd_state_set_hc(m, s, h2, NULL, &err), RNND_MISMATCH);
    assert_int_equal(rnnd_state_get_hc(m, s, h, NULL, &err), RNND_OK);
    assert_true(h[1] == 8);
    free(s);
    rnnd_model_close(m);
    m = open_lstm(",\"mode\":\"sliding\",\"window\":4");
    s = stepped(m, 0);
    assert_int_equal(rnnd_state_get_hc(m, s, h, c, &err), RNND_UNSUPPORTED);
    free(s);
    rnnd_model_close(m);
}

static void reseal(uint8_t *blob, size_t bytes) /* a stranger who knows how checksums work */
{
    uint64_t sum = XXH64(blob, bytes - 8, 0);
    memcpy(blob + bytes - 8, &sum, 8);
}

static void blobs(void **unused)
{
    (void)unused;
    static const char *const modes[] = {"", ",\"mode\":\"sliding\",\"window\":3"};
    for (int mode = 0; mode < 2; mode++) {
        rnnd_model *m = open_lstm(modes[mode]);
        void *s = stepped(m, 7), *t = stepped(m, 0), *fresh = stepped(m, 0);
        size_t n = rnnd_state_blob_bytes(m), state_bytes = rnnd_state_bytes(m);
        uint8_t *blob = malloc(n + 1), *bad = malloc(n + 1);
        rnnd_error err;
        rnnd_state_save(m, s, blob + 1); /* at any address */
        memmove(blob, blob + 1, n);
        assert_int_equal(rnnd_state_load(m, blob, n, t, &err), RNND_OK);
        assert_memory_equal(s, t, state_bytes);
        assert_int_equal(rnnd_state_digest(m, s), rnnd_state_digest(m, t));
        assert_int_equal(rnnd_state_step(m, t), 7);
        rnnd_state_reset(m, t);
        assert_memory_equal(t, fresh, state_bytes);
        for (size_t k = 0; k < n; k++) { /* every cut, every changed byte */
            assert_int_equal(rnnd_state_load(m, blob, k, t, &err), RNND_CORRUPT);
            memcpy(bad, blob, n);
            bad[k] ^= 0x10;
            rnnd_code code = rnnd_state_load(m, bad, n, t, &err);
            assert_true(code == RNND_CORRUPT || (code == RNND_CONFLICT && k >= 12 && k < 32) ||
                        (code == RNND_UNSUPPORTED && k >= 8 && k < 12));
            assert_memory_equal(t, fresh, state_bytes);
        }
        assert_int_equal(rnnd_state_load(m, blob, n + 1, t, &err), RNND_CORRUPT);
        for (size_t k = 32; k < n - 8; k += 4) { /* sealed anew: numbers that are none, counters that lie */
            float nan = NAN;
            memcpy(bad, blob, n);
            memcpy(bad + k, &nan, 4);
            reseal(bad, n);
            assert_int_equal(rnnd_state_load(m, bad, n, t, &err), RNND_CORRUPT);
            assert_memory_equal(t, fresh, state_bytes);
        }
        free(s);
        free(t);
        free(fresh);
        free(blob);
        free(bad);
        rnnd_model_close(m);
    }
}

static void ids_in_a_ring(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, 3);
    builder_tensor(&b, "e.weight", NULL, 1, 2, 5, 3, 0);
    rnnd_model *m =
        builder_open(&b,
                     "{\"format\":1,\"inputs\":[{\"ids\":5}],\"layers\":[{\"type\":\"embedding\",\"name\":\"e\"}],"
                     "\"mode\":\"sliding\",\"window\":2}",
                     NULL);
    size_t n = rnnd_state_blob_bytes(m);
    void *s = malloc(rnnd_state_bytes(m));
    uint8_t *blob = malloc(n);
    rnnd_error err;
    uint64_t one = 1;
    float id = 5;
    rnnd_state_reset(m, s);
    memcpy(s, &one, 8);
    rnnd_state_save(m, s, blob);
    assert_int_equal(rnnd_state_load(m, blob, n, s, &err), RNND_OK);
    memcpy(blob + 64 + 8, &id, 4);
    reseal(blob, n);
    assert_int_equal(rnnd_state_load(m, blob, n, s, &err), RNND_CORRUPT);
    free(s);
    free(blob);
    rnnd_model_close(m);
    builder_free(&b);
}

static void other_models(void **unused)
{
    (void)unused;
    rnnd_model *a = open_lstm(""), *b = open_lstm(",\"description\":\"another\"");
    void *s = stepped(a, 3), *t = stepped(b, 0);
    uint8_t *blob = malloc(rnnd_state_blob_bytes(a));
    rnnd_error err;
    rnnd_state_save(a, s, blob);
    assert_int_equal(rnnd_state_load(b, blob, rnnd_state_blob_bytes(a), t, &err), RNND_CONFLICT);
    free(s);
    free(t);
    free(blob);
    rnnd_model_close(a);
    rnnd_model_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(h_and_c),
        cmocka_unit_test(blobs),
        cmocka_unit_test(ids_in_a_ring),
        cmocka_unit_test(other_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
