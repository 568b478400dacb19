/* onednn.c -- backends: oneDNN's LSTM and GRU primitives in fp32, bf16 and int8; built as a plugin where it is there.
 *
 * A network is one primitive per layer over all steps. Inputs are brought to the primitive's type in every run, as a
 * caller would have to; answers of int8 are scaled back when read. */
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/kernels/backend.h"

#define SCALE 127.0f /* of int8 inputs and states, which are in [-1, 1]: q = x * SCALE + SHIFT */
#define SHIFT 128.0f
#define MAX_ARGUMENTS 10

struct layer {
    dnnl_primitive_t primitive;
    dnnl_memory_t x, y, h[2], c[2], w_ih, w_hh,
        bias; /* h and c before and after, in turns; y of a layer is the next's x */
    dnnl_exec_arg_t args[2][MAX_ARGUMENTS];
    int arg_count;
};

struct network {
    const struct problem *p;
    enum precision precision;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct layer layer[ONNX_MAX_LAYERS];
    bool failed;
    int flip;
};

struct layouts {
    dnnl_memory_desc_t x, y, h, c, w_ih, w_hh, bias;
};

static void try(struct network *n, dnnl_status_t status)
{
    if (status != dnnl_success) n->failed = true;
}

static bool load(char *text, size_t cap)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, cap, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return true;
}

static bool takes_int8(const struct shape *s)
{
    return !s->gru; /* there is no such primitive for a GRU */
}

static dnnl_memory_t make(struct network *n, const dnnl_memory_desc_t *layout)
{
    dnnl_memory_t m = NULL;
    if (!n->failed) try(n, dnnl_memory_create(&m, layout, n->engine, DNNL_MEMORY_ALLOCATE));
    return m;
}

static void *data(struct network *n, dnnl_memory_t m)
{
    void *p = NULL;
    if (!n->failed) try(n, dnnl_memory_get_data_handle(m, &p));
    return p;
}

static void describe(struct network *n, dnnl_memory_desc_t *d, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                     dnnl_format_tag_t tag)
{
    try(n, dnnl_memory_desc_init_by_tag(d, rank, dims, type, tag));
}

static void describe_layer(struct network *n, struct layouts *l, dnnl_dim_t columns)
{
    static const dnnl_data_type_t data_types[] = {[FP32] = dnnl_f32, [BF16] = dnnl_bf16, [INT8] = dnnl_u8},
                                  weight_types[] = {[FP32] = dnnl_f32, [BF16] = dnnl_bf16, [INT8] = dnnl_s8};
    const struct shape *s = &n->p->shape;
    dnnl_data_type_t type = data_types[n->precision], weights = weight_types[n->precision];
    dnnl_dim_t steps = (dnnl_dim_t)s->steps, batch = (dnnl_dim_t)s->batch, hidden = (dnnl_dim_t)s->hidden,
               gates = s->gru ? 3 : 4;
    describe(n, &l->x, 3, (dnnl_dims_t){steps, batch, columns}, type, dnnl_tnc);
    describe(n, &l->y, 3, (dnnl_dims_t){steps, batch, hidden}, type, dnnl_tnc);
    describe(n, &l->h, 4, (dnnl_dims_t){1, 1, batch, hidden}, type, dnnl_ldnc);
    describe(n, &l->c, 4, (dnnl_dims_t){1, 1, batch, hidden}, dnnl_f32, dnnl_ldnc);
    describe(n, &l->w_ih, 5, (dnnl_dims_t){1, 1, columns, gates, hidden}, weights, dnnl_format_tag_any);
    describe(n, &l->w_hh, 5, (dnnl_dims_t){1, 1, hidden, gates, hidden}, weights, dnnl_format_tag_any);
    describe(n, &l->bias, 4, (dnnl_dims_t){1, 1, 4, hidden}, dnnl_f32, dnnl_ldgo);
}

/* oneDNN has LSTM gates i f g o, as PyTorch, and GRU gates z r n. */
static size_t gate_of(const struct shape *s, size_t gate)
{
    static const size_t gru[] = {1, 0, 2};
    return s->gru ? gru[gate] : gate;
}

/* Weights from PyTorch's layout to the one the primitive wants. */
static void fill_weights(struct network *n, dnnl_memory_t to, const dnnl_memory_desc_t *layout, const float *w,
                         size_t columns, const_dnnl_primitive_attr_t attributes)
{
    const struct shape *s = &n->p->shape;
    size_t hidden = s->hidden, gates = s->gru ? 3 : 4;
    dnnl_memory_desc_t plain;
    dnnl_primitive_desc_t d = NULL;
    dnnl_primitive_t reorder = NULL;
    describe(n, &plain, 5, (dnnl_dims_t){1, 1, (dnnl_dim_t)columns, (dnnl_dim_t)gates, (dnnl_dim_t)hidden}, dnnl_f32,
             dnnl_ldigo);
    dnnl_memory_t from = make(n, &plain);
    float *at = data(n, from);
    if (!at) return;
    for (size_t k = 0; k < columns; k++)
        for (size_t g = 0; g < gates; g++)
            for (size_t j = 0; j < hidden; j++)
                *at++ = w[(gate_of(s, g) * hidden + j) * columns + k];
    try(n, dnnl_reorder_primitive_desc_create(&d, &plain, n->engine, layout, n->engine, attributes));
    if (!n->failed) try(n, dnnl_primitive_create(&reorder, d));
    if (!n->failed)
        try(n, dnnl_primitive_execute(reorder, n->stream, 2,
                                      (dnnl_exec_arg_t[]){{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}));
    try(n, dnnl_stream_wait(n->stream));
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(d);
    dnnl_memory_destroy(from);
}

static void fill_bias(struct network *n, dnnl_memory_t bias, const struct onnx_layer *w)
{
    const struct shape *s = &n->p->shape;
    size_t hidden = s->hidden;
    float *at = data(n, bias);
    if (!at) return;
    memset(at, 0, 4 * hidden * sizeof *at);
    for (size_t g = 0; g < (s->gru ? 3 : 4); g++)
        for (size_t j = 0, from = gate_of(s, g) * hidden; j < hidden; j++)
            at[g * hidden + j] = w->b_ih[from + j] + (s->gru && g == 2 ? 0 : w->b_hh[from + j]);
    if (s->gru) memcpy(at + 3 * hidden, w->b_hh + 2 * hidden, hidden * sizeof *at);
}

/* Scales per row of int8, one list for both matrices. */
static dnnl_primitive_attr_t make_attributes(struct network *n, const struct onnx_layer *w, size_t columns)
{
    size_t hidden = n->p->shape.hidden, rows = 4 * hidden;
    dnnl_primitive_attr_t attributes = NULL;
    float *scales = malloc(rows * sizeof *scales);
    if (!scales || dnnl_primitive_attr_create(&attributes) != dnnl_success) n->failed = true;
    for (size_t r = 0; r < rows && n->precision == INT8 && !n->failed; r++) {
        float largest = 0;
        for (size_t k = 0; k < columns; k++)
            largest = fmaxf(largest, fabsf(w->w_ih[r * columns + k]));
        for (size_t k = 0; k < hidden; k++)
            largest = fmaxf(largest, fabsf(w->w_hh[r * hidden + k]));
        scales[r] = 127 / largest;
    }
    if (n->precision == INT8 && !n->failed) {
        try(n, dnnl_primitive_attr_set_rnn_data_qparams(attributes, SCALE, SHIFT));
        try(n, dnnl_primitive_attr_set_rnn_weights_qparams(attributes, (dnnl_dim_t)rows, 1 << 3 | 1 << 4, scales));
    }
    free(scales);
    return attributes;
}

static dnnl_primitive_desc_t choose(struct network *n, const struct layouts *l, const_dnnl_primitive_attr_t attributes)
{
    dnnl_rnn_desc_t d;
    dnnl_primitive_desc_t chosen = NULL;
    dnnl_rnn_direction_t direction = dnnl_unidirectional_left2right;
    if (n->p->shape.gru)
        try(n, dnnl_lbr_gru_forward_desc_init(&d, dnnl_forward_inference, direction, &l->x, &l->h, &l->w_ih, &l->w_hh,
                                              &l->bias, &l->y, &l->h, 0));
    else
        try(n, dnnl_lstm_forward_desc_init(&d, dnnl_forward_inference, direction, &l->x, &l->h, &l->c, &l->w_ih,
                                           &l->w_hh, &l->bias, &l->y, &l->h, &l->c, 0));
    if (!n->failed) try(n, dnnl_primitive_desc_create(&chosen, &d, attributes, n->engine, NULL));
    return chosen;
}

static void list_arguments(const struct network *n, struct layer *y)
{
    for (int f = 0; f < 2; f++) {
        const dnnl_exec_arg_t args[MAX_ARGUMENTS] = {
            {DNNL_ARG_SRC_LAYER, y->x},    {DNNL_ARG_SRC_ITER, y->h[f]},      {DNNL_ARG_DST_LAYER, y->y},
            {DNNL_ARG_DST_ITER, y->h[!f]}, {DNNL_ARG_WEIGHTS_LAYER, y->w_ih}, {DNNL_ARG_WEIGHTS_ITER, y->w_hh},
            {DNNL_ARG_BIAS, y->bias},      {DNNL_ARG_SRC_ITER_C, y->c[f]},    {DNNL_ARG_DST_ITER_C, y->c[!f]}};
        memcpy(y->args[f], args, sizeof args);
    }
    y->arg_count = n->p->shape.gru ? 7 : 9;
}

static void open_layer(struct network *n, size_t number)
{
    const struct shape *s = &n->p->shape;
    const struct onnx_layer *w = &n->p->layer[number];
    struct layer *y = &n->layer[number];
    size_t columns = number ? s->hidden : s->inputs;
    struct layouts l;
    describe_layer(n, &l, (dnnl_dim_t)columns);
    dnnl_primitive_attr_t attributes = make_attributes(n, w, columns);
    dnnl_primitive_desc_t chosen = choose(n, &l, attributes);
    if (n->failed) return;
    const dnnl_memory_desc_t *w_ih = dnnl_primitive_desc_query_md(chosen, dnnl_query_weights_md, 0),
                             *w_hh = dnnl_primitive_desc_query_md(chosen, dnnl_query_weights_md, 1);
    try(n, dnnl_primitive_create(&y->primitive, chosen));
    y->w_ih = make(n, w_ih);
    y->w_hh = make(n, w_hh);
    y->bias = make(n, &l.bias);
    fill_weights(n, y->w_ih, w_ih, w->w_ih, columns, attributes);
    fill_weights(n, y->w_hh, w_hh, w->w_hh, s->hidden, attributes);
    fill_bias(n, y->bias, w);
    y->x = number ? n->layer[number - 1].y : make(n, &l.x);
    y->y = make(n, &l.y);
    for (int f = 0; f < 2; f++) {
        y->h[f] = make(n, &l.h);
        y->c[f] = make(n, &l.c);
        void *h = data(n, y->h[f]), *c = data(n, y->c[f]);
        if (h && c) memset(h, n->precision == INT8 ? (int)SHIFT : 0, dnnl_memory_desc_get_size(&l.h));
        if (h && c) memset(c, 0, dnnl_memory_desc_get_size(&l.c));
    }
    list_arguments(n, y);
    dnnl_primitive_desc_destroy(chosen);
    dnnl_primitive_attr_destroy(attributes);
}

static void close_network(void *self)
{
    struct network *n = self;
    for (size_t i = 0; i < n->p->shape.layers; i++) {
        struct layer *y = &n->layer[i];
        dnnl_primitive_destroy(y->primitive);
        dnnl_memory_t all[] = {i ? NULL : y->x, y->y, y->h[0], y->h[1], y->c[0], y->c[1], y->w_ih, y->w_hh, y->bias};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            dnnl_memory_destroy(all[k]);
    }
    dnnl_stream_destroy(n->stream);
    dnnl_engine_destroy(n->engine);
    free(n);
}

static void *open_network(const struct problem *p, enum precision precision)
{
    struct network *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    n->p = p;
    n->precision = precision;
    omp_set_num_threads(p->shape.threads);
    try(n, dnnl_engine_create(&n->engine, dnnl_cpu, 0));
    if (!n->failed) try(n, dnnl_stream_create(&n->stream, n->engine, dnnl_stream_default_flags));
    for (size_t i = 0; i < p->shape.layers && !n->failed; i++)
        open_layer(n, i);
    if (!n->failed) return n;
    close_network(n);
    return NULL;
}

static void *open_fp32(const struct problem *p)
{
    return open_network(p, FP32);
}

static void *open_bf16(const struct problem *p)
{
    return open_network(p, BF16);
}

static void *open_int8(const struct problem *p)
{
    return open_network(p, INT8);
}

/* Rounded to nearest, ties to even. */
static void to_bf16(const float *x, uint16_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        to[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

static void to_u8(const float *x, uint8_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float q = x[i] * SCALE + (SHIFT + 0.5f);
        to[i] = (uint8_t)(q < 0 ? 0 : q > 255 ? 255 : q);
    }
}

static bool run(void *self)
{
    struct network *n = self;
    const struct shape *s = &n->p->shape;
    size_t count = s->steps * s->batch * s->inputs;
    void *x = data(n, n->layer[0].x);
    omp_set_num_threads(s->threads);
    if (n->precision == FP32)
        try(n, dnnl_memory_set_data_handle(n->layer[0].x, n->p->x));
    else if (n->precision == BF16)
        to_bf16(n->p->x, x, count);
    else
        to_u8(n->p->x, x, count);
    for (size_t i = 0; i < s->layers; i++)
        try(n,
            dnnl_primitive_execute(n->layer[i].primitive, n->stream, n->layer[i].arg_count, n->layer[i].args[n->flip]));
    try(n, dnnl_stream_wait(n->stream));
    n->flip = !n->flip;
    return !n->failed;
}

static void row(void *self, size_t b, float *h)
{
    struct network *n = self;
    const struct shape *s = &n->p->shape;
    size_t at = ((s->steps - 1) * s->batch + b) * s->hidden;
    const void *y = data(n, n->layer[s->layers - 1].y);
    for (size_t j = 0; j < s->hidden; j++, at++)
        if (n->precision == FP32) {
            h[j] = ((const float *)y)[at];
        } else if (n->precision == BF16) {
            uint32_t bits = (uint32_t)((const uint16_t *)y)[at] << 16;
            memcpy(h + j, &bits, sizeof bits);
        } else {
            h[j] = ((float)((const uint8_t *)y)[at] - SHIFT) / SCALE;
        }
}

#define BACKEND(text, bits, opener, taker)                                                                             \
    {                                                                                                                  \
        .name = (text), .precision = (bits), .load = load, .takes = (taker), .open = (opener), .run = run, .row = row, \
        .close = close_network                                                                                         \
    }
__attribute__((visibility("default"))) extern const struct backend onednn_backends[ONEDNN_BACKENDS];
const struct backend onednn_backends[ONEDNN_BACKENDS] = {BACKEND("onednn", FP32, open_fp32, NULL),
                                                         BACKEND("onednn_bf16", BF16, open_bf16, NULL),
                                                         BACKEND("onednn_int8", INT8, open_int8, takes_int8)};
