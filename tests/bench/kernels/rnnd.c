/* rnnd.c -- backends: librnnd through its public interface, in each precision of weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rnnd.h"
#include "tests/bench/bench.h"
#include "tests/bench/kernels/backend.h"

struct network {
    const struct problem *p;
    rnnd_model *model;
    rnnd_workspace *ws;
    rnnd_step_row *rows;     /* one step: [batch] */
    unsigned char *states;   /* [batch] of them */
    float *inputs, *outputs; /* [batch][steps][inputs], [batch][steps][hidden] */
    float *hc[2];            /* windows: h then c [layers][batch][hidden] before and after a run, in turns */
    int flip;
};

static bool load(char *text, size_t cap)
{
    snprintf(text, cap, "rnnd %s, kernels %s", rnnd_version(),
             getenv("RNND_ISA") ? getenv("RNND_ISA") : rnnd_kernel_row());
    return true;
}

static void close_network(void *self)
{
    struct network *n = self;
    rnnd_workspace_close(n->ws);
    rnnd_model_close(n->model);
    free(n->rows);
    free(n->states);
    free(n->inputs);
    free(n->outputs);
    free(n->hc[0]);
    free(n->hc[1]);
    free(n);
}

static bool open_model(struct network *n, const char *precision)
{
    rnnd_options options = {.kernel_row = getenv("RNND_ISA"), .precision = precision, .force_precision = true};
    const struct shape *s = &n->p->shape;
    size_t bytes;
    rnnd_error err;
    void *image = network_image(s->gru ? "gru" : "lstm", s->inputs, s->hidden, s->layers, n->p->layer, &bytes);
    rnnd_code code = rnnd_model_open_memory(image, bytes, "bench", &options, &n->model, &err);
    free(image);
    if (!code) code = rnnd_workspace_open(n->model, s->batch, &n->ws, &err);
    if (!code) code = rnnd_workspace_threads(n->ws, (size_t)s->threads, &err);
    if (code) fprintf(stderr, "bench: rnnd: %s\n", err.message);
    return !code;
}

static void *open_network(const struct problem *p, const char *precision)
{
    const struct shape *s = &p->shape;
    struct network *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    n->p = p;
    if (!open_model(n, precision)) {
        close_network(n);
        return NULL;
    }
    size_t bytes = rnnd_state_bytes(n->model);
    n->rows = calloc(s->batch, sizeof *n->rows);
    n->states = calloc(s->batch, bytes);
    n->inputs = calloc(s->batch * s->steps * s->inputs, sizeof(float));
    n->outputs = calloc(s->batch * s->steps * s->hidden, sizeof(float));
    for (int i = 0; i < 2; i++)
        n->hc[i] = calloc(2 * s->layers * s->batch * s->hidden, sizeof(float));
    if (!n->rows || !n->states || !n->inputs || !n->outputs || !n->hc[0] || !n->hc[1]) die("no memory for rnnd");
    for (size_t b = 0; b < s->batch; b++) {
        for (size_t t = 0; t < s->steps; t++)
            memcpy(n->inputs + (b * s->steps + t) * s->inputs, p->x + (t * s->batch + b) * s->inputs,
                   s->inputs * sizeof(float));
        rnnd_state_reset(n->model, n->states + b * bytes);
        n->rows[b] = (rnnd_step_row){
            .state = n->states + b * bytes, .input = n->inputs + b * s->inputs, .output = n->outputs + b * s->hidden};
    }
    return n;
}

static void *open_fp32(const struct problem *p)
{
    return open_network(p, "fp32");
}

static void *open_bf16(const struct problem *p)
{
    return open_network(p, "bf16");
}

static void *open_int8(const struct problem *p)
{
    return open_network(p, "int8");
}

static bool run(void *self)
{
    struct network *n = self;
    const struct shape *s = &n->p->shape;
    rnnd_error err;
    if (s->steps == 1) return rnnd_step(n->ws, n->rows, s->batch, &err) == RNND_OK;
    size_t half = s->layers * s->batch * s->hidden;
    float *from = n->hc[n->flip], *to = n->hc[!n->flip];
    rnnd_window w = {.batch = s->batch,
                     .steps = s->steps,
                     .inputs = n->inputs,
                     .h0 = from,
                     .c0 = s->gru ? NULL : from + half,
                     .outputs = n->outputs,
                     .hn = to,
                     .cn = s->gru ? NULL : to + half};
    n->flip = !n->flip;
    return rnnd_run_window(n->ws, &w, &err) == RNND_OK;
}

static void row(void *self, size_t b, float *h)
{
    struct network *n = self;
    const struct shape *s = &n->p->shape;
    memcpy(h, n->outputs + ((b + 1) * s->steps - 1) * s->hidden, s->hidden * sizeof *h);
}

#define BACKEND(text, bits, opener)                                                                                    \
    {                                                                                                                  \
        .name = (text), .precision = (bits), .ours = true, .load = load, .open = (opener), .run = run, .row = row,     \
        .close = close_network                                                                                         \
    }
const struct backend rnnd_backends[3] = {BACKEND("rnnd", FP32, open_fp32), BACKEND("rnnd_bf16", BF16, open_bf16),
                                         BACKEND("rnnd_int8", INT8, open_int8)};
