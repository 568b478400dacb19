/* test_onnx_writer.c -- ONNX files that `make bench` writes for its peers answer as the equations in double precision.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/rnnd.h"
#include "tests/bench/kernels/backend.h"

enum { INPUTS = 5, HIDDEN = 19, BATCH = 3, STEPS = 4, OUTPUTS = 2 };

/* Random numbers for the head: the first of the recurrent weights do. */
static struct onnx_net net_of(const struct problem *p, bool states, bool head)
{
    struct onnx_net net = {.gru = p->shape.gru,
                           .inputs = INPUTS,
                           .hidden = HIDDEN,
                           .layers = p->shape.layers,
                           .states = states,
                           .outputs = head ? OUTPUTS : 0,
                           .w_out = p->layer[0].w_hh,
                           .b_out = p->layer[0].b_ih};
    memcpy(net.layer, p->layer, sizeof net.layer);
    return net;
}

static rnnd_model *open_net(const struct onnx_net *net)
{
    rnnd_model *m;
    rnnd_error err;
    size_t bytes;
    unsigned char *file = onnx_write(net, &bytes);
    assert_non_null(file);
    rnnd_code code = rnnd_model_open_memory(file, bytes, "written", &(rnnd_options){.accept_guesses = true}, &m, &err);
    free(file);
    if (code) fail_msg("%s", err.message);
    return m;
}

/* y [BATCH][width] of the last step, beside the answer for the first and the last row. */
static void compare(const struct onnx_net *net, const struct problem *p, const float *y)
{
    size_t width = net->outputs ? net->outputs : HIDDEN;
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < width; j++) {
            const double *h = p->want + i * HIDDEN;
            double want = net->outputs ? (double)net->b_out[j] : h[j];
            for (size_t k = 0; net->outputs && k < HIDDEN; k++)
                want += (double)net->w_out[j * HIDDEN + k] * h[k];
            assert_true(fabs((double)y[i * (BATCH - 1) * width + j] - want) <= 1e-5);
        }
}

/* As many state tensors as the network has, from what the last run answered or zeros. */
static size_t list_states(const struct onnx_net *net, rnnd_tensor *tensors, char (*names)[8], float *memory)
{
    size_t n = 0;
    for (size_t l = 0; l < net->layers; l++)
        for (int k = 0; k < (net->gru ? 1 : 2); k++, n++) {
            snprintf(names[n], sizeof *names, "%c%u", "hc"[k], (unsigned)l % 10);
            tensors[n] = (rnnd_tensor){
                .name = names[n], .rank = 3, .dim = {1, BATCH, HIDDEN}, .data = memory + n * BATCH * HIDDEN};
        }
    return n;
}

static void keep_states(rnnd_call *call, const rnnd_tensor *states, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[8];
        rnnd_tensor after;
        rnnd_error err;
        snprintf(name, sizeof name, "%cn%s", states[i].name[0], states[i].name + 1);
        if (rnnd_call_output(call, name, &after, &err)) fail_msg("%s", err.message);
        memcpy(states[i].data, after.data, BATCH * HIDDEN * sizeof(float));
    }
}

/* The inputs twice: in two runs whose states are carried, or in one of twice as many steps. */
static void run_net(const struct onnx_net *net, const struct problem *p)
{
    static float states[2 * ONNX_MAX_LAYERS * BATCH * HIDDEN], x[2 * STEPS * BATCH * INPUTS];
    rnnd_model *m = open_net(net);
    rnnd_tensor tensors[1 + 2 * ONNX_MAX_LAYERS], y;
    rnnd_call *call;
    rnnd_error err;
    char names[2 * ONNX_MAX_LAYERS][8];
    size_t steps = net->states ? STEPS : 2 * STEPS, count = 0;
    memset(states, 0, sizeof states);
    for (size_t i = 0; i < 2; i++)
        memcpy(x + i * STEPS * BATCH * INPUTS, p->x, sizeof x / 2);
    tensors[0] = (rnnd_tensor){.name = "x", .rank = 3, .dim = {steps, BATCH, INPUTS}, .data = x};
    if (net->states) count = list_states(net, tensors + 1, names, states);
    assert_int_equal(rnnd_call_open(m, &call, &err), RNND_OK);
    for (size_t done = 0; done < 2 * STEPS; done += steps) {
        if (rnnd_call_run(call, tensors, 1 + count, &err)) fail_msg("%s", err.message);
        keep_states(call, tensors + 1, count);
    }
    if (rnnd_call_output(call, "y", &y, &err)) fail_msg("%s", err.message);
    assert_int_equal(y.dim[0] * y.dim[1], steps * BATCH);
    compare(net, p, (const float *)y.data + (steps - 1) * BATCH * y.dim[2]);
    rnnd_call_close(call);
    rnnd_model_close(m);
}

static void test_written_networks(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++) {
        struct shape shape = {.gru = i & 1,
                              .inputs = INPUTS,
                              .hidden = HIDDEN,
                              .layers = i & 2 ? 2 : 1,
                              .batch = BATCH,
                              .steps = STEPS,
                              .threads = 1};
        struct problem p;
        problem_open(&p, &shape, true);
        struct onnx_net net = net_of(&p, i & 4, i & 8);
        run_net(&net, &p);
        problem_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_written_networks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
