/* onnx_writer.c -- recurrent layers as the protobuf messages of onnx.proto (ONNX 1.10, IR version 8, opset 14). */
#include "tests/bench/peers/onnx_writer.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ModelProto:  1 ir_version, 2 producer_name, 7 graph, 8 opset_import {1 domain, 2 version}
 * GraphProto:  1 node, 2 name, 5 initializer, 11 input, 12 output
 * NodeProto:   1 input, 2 output, 4 op_type, 5 attribute {1 name, 3 i, 20 type}, 7 domain
 * TensorProto: 1 dims, 2 data_type, 8 name, 9 raw_data
 * ValueInfoProto: 1 name, 2 type {1 tensor_type {1 elem_type, 2 shape {1 dim {1 dim_value, 2 dim_param}}}} */
enum { TYPE_FLOAT = 1, TYPE_INT8 = 3, TYPE_INT64 = 7, ATTRIBUTE_INT = 2 };

struct buffer {
    unsigned char *data;
    size_t bytes, cap;
    bool failed; /* no memory: nothing is written any more */
};

static unsigned char *grow(struct buffer *b, size_t n)
{
    if (b->cap - b->bytes < n) {
        size_t cap = b->bytes + n > 2 * b->cap ? b->bytes + n : 2 * b->cap;
        unsigned char *data = b->failed ? NULL : realloc(b->data, cap);
        if (!data) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    b->bytes += n;
    return b->data + b->bytes - n;
}

static void put_varint(struct buffer *b, uint64_t v)
{
    do {
        unsigned char *at = grow(b, 1);
        if (at) *at = (unsigned char)((v & 127) | (v > 127 ? 128 : 0));
        v >>= 7;
    } while (v);
}

static void put_int(struct buffer *b, unsigned field, uint64_t v)
{
    put_varint(b, field << 3);
    put_varint(b, v);
}

/* A field of n bytes, to be filled in; NULL: no memory. */
static unsigned char *put_space(struct buffer *b, unsigned field, size_t n)
{
    put_varint(b, field << 3 | 2);
    put_varint(b, n);
    return grow(b, n);
}

static void put_text(struct buffer *b, unsigned field, const char *text)
{
    unsigned char *at = put_space(b, field, strlen(text));
    if (at) memcpy(at, text, strlen(text));
}

/* A message as a field of another, and it is done with. */
static void put_message(struct buffer *b, unsigned field, struct buffer *m)
{
    unsigned char *at = put_space(b, field, m->bytes);
    if (at && m->bytes) memcpy(at, m->data, m->bytes);
    b->failed |= m->failed;
    free(m->data);
}

/* ---- parts of a graph ---- */

/* An initializer of the graph of rank up to 3, whose bytes the caller fills in; NULL: no memory. */
static void *put_tensor(struct buffer *graph, const char *name, int type, const size_t dim[3], size_t bytes)
{
    struct buffer head = {0};
    for (int i = 0; i < 3 && dim[i]; i++)
        put_int(&head, 1, dim[i]);
    put_int(&head, 2, (uint64_t)type);
    put_text(&head, 8, name);
    struct buffer size = {0}; /* of the last field's head, to know the whole length before */
    put_varint(&size, 9 << 3 | 2);
    put_varint(&size, bytes);
    unsigned char *at = put_space(graph, 5, head.bytes + size.bytes + bytes);
    if (at && !head.failed && !size.failed) {
        memcpy(at, head.data, head.bytes);
        memcpy(at + head.bytes, size.data, size.bytes);
        at += head.bytes + size.bytes;
    } else {
        graph->failed = true;
        at = NULL;
    }
    free(head.data);
    free(size.data);
    return at;
}

static void put_value(struct buffer *graph, unsigned field, const char *name, const char *first, const char *second,
                      size_t width)
{
    const char *const params[] = {first, second, NULL};
    struct buffer shape = {0}, tensor = {0}, type = {0}, value = {0};
    for (int i = 0; i < 3; i++) {
        struct buffer dim = {0};
        if (params[i])
            put_text(&dim, 2, params[i]);
        else
            put_int(&dim, 1, i == 0 ? 1 : width);
        put_message(&shape, 1, &dim);
    }
    put_int(&tensor, 1, TYPE_FLOAT);
    put_message(&tensor, 2, &shape);
    put_message(&type, 1, &tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, &type);
    put_message(graph, field, &value);
}

/* Names are separated by spaces; "-" is one left out. `attribute` may be NULL. */
static void put_node(struct buffer *graph, const char *op, const char *domain, const char *ins, const char *outs,
                     const char *const *attributes, const uint64_t *values)
{
    struct buffer node = {0};
    const char *const lists[] = {ins, outs};
    for (unsigned i = 0; i < 2; i++)
        for (const char *at = lists[i]; *at; at += *at == ' ') {
            size_t n = strcspn(at, " ");
            bool none = n == 1 && *at == '-';
            unsigned char *to = put_space(&node, i + 1, none ? 0 : n);
            if (to && !none) memcpy(to, at, n);
            at += n;
        }
    put_text(&node, 4, op);
    for (size_t i = 0; attributes && attributes[i]; i++) {
        struct buffer a = {0};
        put_text(&a, 1, attributes[i]);
        put_int(&a, 3, values[i]);
        put_int(&a, 20, ATTRIBUTE_INT);
        put_message(&node, 5, &a);
    }
    if (*domain) put_text(&node, 7, domain);
    put_message(graph, 1, &node);
}

/* ---- weights: ONNX has gates i o f c and z r h ---- */

static const size_t lstm_order[] = {0, 3, 1, 2}, gru_order[] = {1, 0, 2};

static const float *gate_row(const struct onnx_net *net, const float *w, size_t row, size_t columns)
{
    size_t gate = row / net->hidden, from = net->gru ? gru_order[gate] : lstm_order[gate];
    return w + (from * net->hidden + row % net->hidden) * columns;
}

/* [1][rows][columns] in ONNX' order. */
static void put_weights(struct buffer *graph, const struct onnx_net *net, const char *name, const float *w,
                        size_t columns)
{
    size_t rows = (net->gru ? 3 : 4) * net->hidden;
    unsigned char *at = put_tensor(graph, name, TYPE_FLOAT, (size_t[]){1, rows, columns}, rows * columns * 4);
    for (size_t r = 0; at && r < rows; r++)
        memcpy(at + r * columns * 4, gate_row(net, w, r, columns), columns * 4);
}

/* NAME [1][columns][rows] in int8, NAMEs its scales and NAMEz its zero points, both [1][rows]. */
static void put_quantized(struct buffer *graph, const struct onnx_net *net, const char *name, const float *w,
                          size_t columns)
{
    size_t rows = 4 * net->hidden;
    float *scale = malloc(rows * sizeof *scale);
    char part[40];
    if (!scale) {
        graph->failed = true;
        return;
    }
    int8_t *q = put_tensor(graph, name, TYPE_INT8, (size_t[]){1, columns, rows}, columns * rows);
    for (size_t r = 0; r < rows; r++) {
        const float *row = gate_row(net, w, r, columns);
        float largest = 0;
        for (size_t k = 0; k < columns; k++)
            largest = fmaxf(largest, fabsf(row[k]));
        scale[r] = largest > 0 ? largest / 127 : 1;
        for (size_t k = 0; q && k < columns; k++)
            q[k * rows + r] = (int8_t)lrintf(row[k] / scale[r]);
    }
    snprintf(part, sizeof part, "%ss", name);
    void *at = put_tensor(graph, part, TYPE_FLOAT, (size_t[]){1, rows, 0}, rows * 4);
    if (at) memcpy(at, scale, rows * 4);
    snprintf(part, sizeof part, "%sz", name);
    at = put_tensor(graph, part, TYPE_INT8, (size_t[]){1, rows, 0}, rows);
    if (at) memset(at, 0, rows);
    free(scale);
}

static void put_biases(struct buffer *graph, const struct onnx_net *net, const char *name, const struct onnx_layer *l)
{
    size_t rows = (net->gru ? 3 : 4) * net->hidden;
    unsigned char *at = put_tensor(graph, name, TYPE_FLOAT, (size_t[]){1, 2 * rows, 0}, 2 * rows * 4);
    for (size_t r = 0; at && r < rows; r++) {
        memcpy(at + r * 4, gate_row(net, l->b_ih, r, 1), 4);
        memcpy(at + (rows + r) * 4, gate_row(net, l->b_hh, r, 1), 4);
    }
}

static void put_layer(struct buffer *graph, const struct onnx_net *net, size_t n)
{
    static const char *const names[] = {"hidden_size", "linear_before_reset", NULL};
    const struct onnx_layer *l = &net->layer[n];
    size_t columns = n ? net->hidden : net->inputs;
    bool last = n + 1 == net->layers;
    char x[32] = "x", w[32], r[32], b[32], ins[256], outs[96], y[32];
    if (n) snprintf(x, sizeof x, "layer%zu", n);
    snprintf(w, sizeof w, "W%zu", n);
    snprintf(r, sizeof r, "R%zu", n);
    snprintf(b, sizeof b, "B%zu", n);
    int at = snprintf(ins, sizeof ins, "%s %s %s %s -", x, w, r, b);
    if (net->states) at += snprintf(ins + at, sizeof ins - (size_t)at, net->gru ? " h%zu" : " h%zu c%zu", n, n);
    if (net->int8)
        snprintf(ins + at, sizeof ins - (size_t)at, "%s - W%zus W%zuz R%zus R%zuz", net->states ? "" : " - -", n, n, n,
                 n);
    snprintf(outs, sizeof outs, net->states ? net->gru ? "Y%zu hn%zu" : "Y%zu hn%zu cn%zu" : "Y%zu", n, n, n);
    (net->int8 ? put_quantized : put_weights)(graph, net, w, l->w_ih, columns);
    (net->int8 ? put_quantized : put_weights)(graph, net, r, l->w_hh, net->hidden);
    put_biases(graph, net, b, l);
    const char *op = net->int8 ? "DynamicQuantizeLSTM" : net->gru ? "GRU" : "LSTM";
    put_node(graph, op, net->int8 ? "com.microsoft" : "", ins, outs,
             net->gru ? names : (const char *const[]){"hidden_size", NULL}, (uint64_t[]){net->hidden, 1});
    snprintf(ins, sizeof ins, "Y%zu axis", n); /* [T][1][B][hidden] -> [T][B][hidden] */
    snprintf(y, sizeof y, "layer%zu", n + 1);
    put_node(graph, "Squeeze", "", ins, !last ? y : net->outputs ? "top" : "y", NULL, NULL);
}

static void put_head(struct buffer *graph, const struct onnx_net *net)
{
    size_t rows = net->outputs, columns = net->hidden;
    unsigned char *at = put_tensor(graph, "W", TYPE_FLOAT, (size_t[]){columns, rows, 0}, rows * columns * 4);
    for (size_t k = 0; at && k < columns; k++)
        for (size_t r = 0; r < rows; r++)
            memcpy(at + (k * rows + r) * 4, &net->w_out[r * columns + k], 4);
    at = put_tensor(graph, "B", TYPE_FLOAT, (size_t[]){rows, 0, 0}, rows * 4);
    if (at) memcpy(at, net->b_out, rows * 4);
    put_node(graph, "MatMul", "", "top W", "product", NULL, NULL);
    put_node(graph, "Add", "", "product B", "y", NULL, NULL);
}

static void put_ends(struct buffer *graph, const struct onnx_net *net)
{
    put_value(graph, 11, "x", "T", "B", net->inputs);
    for (size_t n = 0; net->states && n < net->layers; n++)
        for (int k = 0; k < (net->gru ? 1 : 2); k++) {
            char name[32];
            snprintf(name, sizeof name, "%c%zu", "hc"[k], n);
            put_value(graph, 11, name, NULL, "B", net->hidden);
            snprintf(name, sizeof name, "%cn%zu", "hc"[k], n);
            put_value(graph, 12, name, NULL, "B", net->hidden);
        }
    put_value(graph, 12, "y", "T", "B", net->outputs ? net->outputs : net->hidden);
}

unsigned char *onnx_write(const struct onnx_net *net, size_t *bytes)
{
    struct buffer model = {0}, graph = {0};
    const char *const domains[] = {"", "com.microsoft"};
    put_text(&graph, 2, "recurrent");
    int64_t axis = 1;
    void *at = put_tensor(&graph, "axis", TYPE_INT64, (size_t[]){1, 0, 0}, sizeof axis);
    if (at) memcpy(at, &axis, sizeof axis);
    for (size_t n = 0; n < net->layers; n++)
        put_layer(&graph, net, n);
    if (net->outputs) put_head(&graph, net);
    put_ends(&graph, net);
    put_int(&model, 1, 8);
    put_message(&model, 7, &graph);
    for (int i = 0; i < (net->int8 ? 2 : 1); i++) {
        struct buffer opset = {0};
        put_text(&opset, 1, domains[i]);
        put_int(&opset, 2, i ? 1 : 14);
        put_message(&model, 8, &opset);
    }
    if (model.failed) {
        free(model.data);
        return NULL;
    }
    *bytes = model.bytes;
    return model.data;
}
