/* peer_ort.c -- backends: ONNX Runtime, fp32 and dynamically quantised. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/kernels/backend.h"
#include "tests/bench/peers/ort.h"

struct network {
    const struct problem *p;
    struct ort_session *session;
    struct ort_rows *rows;
    const float *y;
};

static bool load(char *text, size_t cap)
{
    bool there = ort_load();
    snprintf(text, cap, there ? "ONNX Runtime %s" : "%s", there ? ort_version() : ort_error());
    return there;
}

static bool takes_int8(const struct shape *s)
{
    return !s->gru; /* there is no such operator for a GRU */
}

static void close_network(void *self)
{
    struct network *n = self;
    ort_rows_close(n->rows);
    ort_session_close(n->session);
    free(n);
}

static void *open_network(const struct problem *p, bool int8)
{
    const struct shape *s = &p->shape;
    struct onnx_net net = {
        .gru = s->gru, .inputs = s->inputs, .hidden = s->hidden, .layers = s->layers, .states = true, .int8 = int8};
    struct network *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    n->p = p;
    memcpy(net.layer, p->layer, sizeof net.layer);
    n->session = ort_session_open(&net, s->threads);
    if (n->session) n->rows = ort_rows_open(n->session, s->steps, s->batch);
    if (!n->rows) {
        fprintf(stderr, "bench: ONNX Runtime: %s\n", ort_error());
        close_network(n);
        return NULL;
    }
    memcpy(ort_rows_x(n->rows), p->x, s->steps * s->batch * s->inputs * sizeof(float));
    return n;
}

static void *open_fp32(const struct problem *p)
{
    return open_network(p, false);
}

static void *open_int8(const struct problem *p)
{
    return open_network(p, true);
}

static bool run(void *self)
{
    struct network *n = self;
    n->y = ort_rows_run(n->rows);
    return n->y;
}

static void row(void *self, size_t b, float *h)
{
    struct network *n = self;
    const struct shape *s = &n->p->shape;
    memcpy(h, n->y + ((s->steps - 1) * s->batch + b) * s->hidden, s->hidden * sizeof *h);
}

const struct backend ort_backends[2] = {
    {.name = "ort", .load = load, .open = open_fp32, .run = run, .row = row, .close = close_network},
    {.name = "ort_int8",
     .precision = INT8,
     .load = load,
     .takes = takes_int8,
     .open = open_int8,
     .run = run,
     .row = row,
     .close = close_network},
};
