/* test_attend.c -- the weighted mean over time against its equation in double; a batch as each sequence alone. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/build_model.h"

enum { T = 7, B = 3, F = 5 };

static const char config[] =
    "{\"format\":1,\"output\":\"last\",\"mode\":\"sliding\",\"window\":7,\"inputs\":[{\"name\":\"x\",\"width\":5}],"
    "\"layers\":[{\"type\":\"attention_average\",\"name\":\"a\"}]}";

static void equation(void **unused)
{
    (void)unused;
    struct model_builder b;
    rnnd_workspace *ws;
    rnnd_error err;
    builder_init(&b, 5);
    const float *w = builder_tensor(&b, "a.weight", NULL, 2, 2, F, 1, 0);
    rnnd_model *m = builder_open(&b, config, NULL);
    float x[B * T * F], y[B * F], alone[F];
    for (size_t i = 0; i < B * T * F; i++)
        x[i] = rng_between(&b.rng, -2, 2);
    assert_int_equal(rnnd_workspace_open(m, 4, &ws, &err), RNND_OK);
    rnnd_window window = {.batch = B, .steps = T, .inputs = x, .outputs = y};
    assert_int_equal(rnnd_run_window(ws, &window, &err), RNND_OK);
    for (size_t s = 0; s < B; s++) {
        double logit[T], most = -1e300, sum = 0;
        for (size_t t = 0; t < T; t++) {
            logit[t] = 0;
            for (size_t f = 0; f < F; f++)
                logit[t] += (double)w[f] * x[(s * T + t) * F + f];
            most = fmax(most, logit[t]);
        }
        for (size_t t = 0; t < T; t++)
            sum += exp(logit[t] - most);
        for (size_t f = 0; f < F; f++) {
            double wanted = 0;
            for (size_t t = 0; t < T; t++)
                wanted += exp(logit[t] - most) / sum * x[(s * T + t) * F + f];
            assert_true(fabs(wanted - y[s * F + f]) < 2e-6);
        }
        rnnd_window one = {.batch = 1, .steps = T, .inputs = x + s * T * F, .outputs = alone};
        assert_int_equal(rnnd_run_window(ws, &one, &err), RNND_OK);
        assert_memory_equal(alone, y + s * F, sizeof alone);
    }
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(&b);
}

static void refusals(void **unused)
{
    (void)unused;
    struct model_builder b;
    rnnd_error err;
    builder_init(&b, 5);
    assert_int_equal(builder_refused(&b, config, &err), RNND_MISMATCH); /* no weights */
    builder_tensor(&b, "a.weight", NULL, 1, 1, F + 1, 0, 0);
    assert_int_equal(builder_refused(&b, config, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "wanted 5 weights"));
    builder_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equation), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
