/* shapes.c -- the shapes of the kernel suite, their random weights and inputs, and the right answer. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/bench/kernels/backend.h"

static size_t wanted(const char *name, size_t otherwise)
{
    const char *value = getenv(name);
    return value ? strtoul(value, NULL, 10) : otherwise;
}

static bool passes(const struct shape *s)
{
    const char *cell = getenv("CELL"), *threads = getenv("NTS");
    return (!cell || strcmp(cell, s->gru ? "gru" : "lstm") == 0) && s->hidden <= wanted("HMAX", SIZE_MAX) &&
           s->batch == wanted("ONLYB", s->batch) && s->steps == wanted("ONLYT", s->steps) &&
           (!threads || strchr(threads, '0' + s->threads));
}

/* One layer on 64 inputs for every batch and length; one on as many inputs as units and two layers for some. */
size_t shapes_list(struct shape out[MAX_SHAPES])
{
    static const size_t hidden[] = {64, 128, 256, 512, 1024};
    static const struct {
        size_t batch, steps;
        bool every; /* of the three networks */
    } runs[] = {{1, 1, true}, {8, 1, false}, {32, 1, true}, {128, 1, false}, {1, 128, true}, {32, 128, false}};
    size_t count = 0;
    for (int cell = 0; cell < 2; cell++)
        for (size_t h = 0; h < 5; h++)
            for (int network = 0; network < (getenv("QUICK") ? 1 : 3); network++)
                for (size_t r = 0; r < 6; r++)
                    for (int threads = 1; threads <= 2; threads++) {
                        struct shape s = {.gru = cell,
                                          .inputs = network == 1 ? hidden[h] : 64,
                                          .hidden = hidden[h],
                                          .layers = network == 2 ? 2 : 1,
                                          .batch = runs[r].batch,
                                          .steps = runs[r].steps,
                                          .threads = threads};
                        if ((network && !runs[r].every) || (network == 1 && hidden[h] == 64) || !passes(&s)) continue;
                        out[count++] = s;
                    }
    return count;
}

static size_t layer_inputs(const struct shape *s, size_t layer)
{
    return layer ? s->hidden : s->inputs;
}

double shape_flop(const struct shape *s)
{
    double flop = 0;
    for (size_t l = 0; l < s->layers; l++)
        flop += 2.0 * (s->gru ? 3 : 4) * (double)(s->hidden * (layer_inputs(s, l) + s->hidden));
    return flop * (double)(s->batch * s->steps);
}

/* ---- the right answer ---- */

typedef double doubles __attribute__((vector_size(64)));
typedef float floats __attribute__((vector_size(32)));

static double dot(const float *w, const double *x, size_t n)
{
    doubles sums = {0};
    double sum = 0;
    size_t k = 0;
    for (; k + 8 <= n; k += 8) {
        floats f;
        doubles d;
        memcpy(&f, w + k, sizeof f);
        memcpy(&d, x + k, sizeof d);
        sums += __builtin_convertvector(f, doubles) * d;
    }
    for (size_t i = 0; i < 8; i++)
        sum += sums[i];
    for (; k < n; k++)
        sum += (double)w[k] * x[k];
    return sum;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* One step of one layer, PyTorch's equations; x [inputs]; h, c [hidden] are advanced; gates [8 * hidden] is scratch. */
static void right_step(const struct shape *s, const struct onnx_layer *w, size_t inputs, const double *x, double *h,
                       double *c, double *gates)
{
    size_t n = s->hidden, rows = (s->gru ? 3 : 4) * n;
    double *gx = gates, *gh = gates + 4 * n;
    for (size_t j = 0; j < rows; j++) {
        gx[j] = (double)w->b_ih[j] + dot(w->w_ih + j * inputs, x, inputs);
        gh[j] = (double)w->b_hh[j] + dot(w->w_hh + j * n, h, n);
    }
    for (size_t j = 0; j < n; j++) {
        double first = sigmoid(gx[j] + gh[j]), second = sigmoid(gx[n + j] + gh[n + j]);
        if (s->gru) {
            double candidate = tanh(gx[2 * n + j] + first * gh[2 * n + j]);
            h[j] = (1 - second) * candidate + second * h[j];
        } else {
            c[j] = second * c[j] + first * tanh(gx[2 * n + j] + gh[2 * n + j]);
            h[j] = sigmoid(gx[3 * n + j] + gh[3 * n + j]) * tanh(c[j]);
        }
    }
}

static void right_row(const struct problem *p, size_t b, double *want)
{
    const struct shape *s = &p->shape;
    size_t n = s->hidden, widest = s->inputs > n ? s->inputs : n;
    double *h = calloc(s->layers * n * 2 + widest + 8 * n, sizeof *h);
    if (!h) die("no memory for an answer of %zu units", n);
    double *c = h + s->layers * n, *in = c + s->layers * n, *gates = in + widest;
    for (size_t t = 0; t < 2 * s->steps; t++) {
        const float *x = p->x + (t % s->steps * s->batch + b) * s->inputs;
        for (size_t i = 0; i < s->inputs; i++)
            in[i] = (double)x[i];
        for (size_t l = 0; l < s->layers; l++) {
            right_step(s, &p->layer[l], layer_inputs(s, l), in, h + l * n, c + l * n, gates);
            memcpy(in, h + l * n, n * sizeof *in);
        }
    }
    memcpy(want, h + (s->layers - 1) * n, n * sizeof *want);
    free(h);
}

/* ---- the numbers ---- */

static float drawn(uint32_t *seed) /* in [-1, 1) */
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) * 0x1p-23f - 1.0f;
}

static const float *draw(float **at, size_t count, float scale, uint32_t *seed)
{
    const float *begin = *at;
    for (size_t i = 0; i < count; i++)
        *(*at)++ = scale * drawn(seed);
    return begin;
}

void problem_open(struct problem *p, const struct shape *s, bool with_answer)
{
    size_t n = s->hidden, rows = (s->gru ? 3 : 4) * n, inputs = s->steps * s->batch * s->inputs, total = inputs;
    uint32_t seed = 12345, x_seed = 777;
    float scale = 1 / sqrtf((float)n);
    for (size_t l = 0; l < s->layers; l++)
        total += rows * (layer_inputs(s, l) + n + 2);
    *p = (struct problem){.shape = *s, .memory = malloc(total * sizeof(float))};
    if (!p->memory) die("no memory for %zu weights", total);
    float *at = p->memory + inputs;
    p->x = p->memory;
    for (size_t l = 0; l < s->layers; l++) {
        p->layer[l].w_ih = draw(&at, rows * layer_inputs(s, l), scale, &seed);
        p->layer[l].w_hh = draw(&at, rows * n, scale, &seed);
        p->layer[l].b_ih = draw(&at, rows, scale, &seed);
        p->layer[l].b_hh = draw(&at, rows, scale, &seed);
    }
    for (size_t i = 0; i < inputs; i++)
        p->x[i] = drawn(&x_seed);
    if (!with_answer) return;
    p->want = malloc(2 * n * sizeof *p->want);
    if (!p->want) die("no memory for an answer of %zu units", n);
    right_row(p, 0, p->want);
    if (s->batch > 1)
        right_row(p, s->batch - 1, p->want + n);
    else
        memcpy(p->want + n, p->want, n * sizeof *p->want);
}

void problem_close(struct problem *p)
{
    free(p->memory);
    free(p->want);
}
