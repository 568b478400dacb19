/* test_place.c -- where outputs are wanted changes no bit of them: over the inputs, backwards, apart, with gaps, not
 * all; and windows over their own inputs. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "tests/lib/build_model.h"

enum { B = 7, T = 5, W = 35, STEPS = 3 };

#define LAYER(type)                                                                                                    \
    "{\"format\":1,\"inputs\":[{\"width\":35}],\"layers\":[{\"type\":\"" type "\",\"name\":\"n\",\"hidden\":35}]}"

struct rows { /* room for rows at twice their width, and where each one is read and written */
    float memory[4 * B * W];
    float *input[B], *output[B];
};

enum where { APART, OVER, NEXT, BACKWARDS, SPREAD, UNEVEN, MISSING, WAYS };

static void place(struct rows *r, enum where where)
{
    for (size_t b = 0; b < B; b++) {
        float *behind = r->memory + B * W;
        r->input[b] = r->memory + b * W;
        switch (where) {
        case OVER: r->output[b] = r->input[b]; break;
        case NEXT: r->output[b] = r->input[b] + W; break; /* over the input of the row behind */
        case BACKWARDS: r->output[b] = behind + (B - 1 - b) * W; break;
        case SPREAD: r->output[b] = behind + b * (W + 3); break;
        case UNEVEN: r->output[b] = behind + b * W + (b > 2 ? 5 : 0); break;
        default: r->output[b] = where == MISSING && b == 3 ? NULL : behind + b * W;
        }
    }
}

static void steps(const rnnd_model *m, enum where where, float *last, unsigned char *states)
{
    static struct rows r;
    rnnd_step_row rows[B];
    rnnd_workspace *ws;
    rnnd_error err;
    size_t bytes = rnnd_state_bytes(m);
    assert_int_equal(rnnd_workspace_open(m, B, &ws, &err), RNND_OK);
    place(&r, where);
    for (size_t b = 0; b < B; b++) rnnd_state_reset(m, states + b * bytes);
    for (size_t t = 0; t < STEPS; t++) {
        for (size_t i = 0; i < B * W; i++) r.memory[i] = (float)((i * 7 + t * 13) % 19) * 0.1f - 0.9f;
        for (size_t b = 0; b < B; b++)
            rows[b] = (rnnd_step_row){.state = states + b * bytes, .input = r.input[b], .output = r.output[b]};
        if (rnnd_step(ws, rows, B, &err)) fail_msg("%s", err.message);
    }
    for (size_t b = 0; b < B; b++)
        if (r.output[b]) memcpy(last + b * W, r.output[b], W * sizeof *last);
    rnnd_workspace_close(ws);
}

static void window_over_itself(const rnnd_model *m)
{
    static float x[B * T * W], y[B * T * W];
    rnnd_workspace *ws;
    rnnd_error err;
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    for (size_t batch = 1; batch <= B; batch += B - 1) {
        for (size_t i = 0; i < B * T * W; i++) x[i] = (float)(i * 11 % 23) * 0.1f - 1;
        rnnd_window w = {.batch = batch, .steps = T, .inputs = x, .outputs = y};
        if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
        w.outputs = x;
        if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
        assert_memory_equal(x, y, batch * T * W * sizeof *x);
    }
    rnnd_workspace_close(ws);
}

static void no_bit_changes(void **unused)
{
    (void)unused;
    static const struct { const char *config; size_t gates; } nets[] = {{LAYER("lstm"), 4}, {LAYER("gru"), 3},
                                                                       {LAYER("rnn"), 1}};
    static float want[B * W], got[B * W];
    for (size_t k = 0; k < 3; k++) {
        struct model_builder b;
        builder_init(&b, 40 + k);
        builder_torch(&b, "n", nets[k].gates, W, W, 1, false, 0);
        rnnd_model *m = builder_open(&b, nets[k].config, NULL);
        size_t bytes = B * rnnd_state_bytes(m);
        unsigned char *first = mem_alloc(1, bytes), *other = mem_alloc(1, bytes);
        steps(m, APART, want, first);
        for (enum where where = OVER; where < WAYS; where++) {
            memcpy(got, want, sizeof got); /* the row that is not asked for */
            steps(m, where, got, other);
            assert_memory_equal(got, want, sizeof got);
            assert_memory_equal(other, first, bytes);
        }
        window_over_itself(m);
        mem_free(first);
        mem_free(other);
        rnnd_model_close(m);
        builder_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_bit_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
