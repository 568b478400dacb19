/* models.c -- models to measure: built in memory, or found in the tree; and stepping many states of one. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"

static float random_float(void) /* in [-1, 1), the same in every run */
{
    static uint32_t x = 1;
    x = x * 1664525u + 1013904223u;
    return (float)(x >> 8) * 0x1p-23f - 1.0f;
}

struct part { /* a tensor of an image; d1 0: a vector; values NULL: random ones */
    char name[32];
    size_t d0, d1;
    const float *values;
};

/* The parts [4 * ONNX_MAX_LAYERS + 2] of a network; returns how many. */
static size_t list_parts(struct part *parts, const char *cell, size_t inputs, size_t hidden, size_t layers,
                         size_t outputs, const struct onnx_layer *weights)
{
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    size_t rows = (strcmp(cell, "lstm") == 0 ? 4 : 3) * hidden, n = 0;
    for (size_t l = 0; l < layers; l++) {
        const size_t columns[] = {l ? hidden : inputs, hidden, 0, 0};
        const struct onnx_layer *w = weights ? &weights[l] : &(struct onnx_layer){0};
        const float *const values[] = {w->w_ih, w->w_hh, w->b_ih, w->b_hh};
        for (size_t i = 0; i < 4; i++, n++) {
            parts[n] = (struct part){.d0 = rows, .d1 = columns[i], .values = values[i]};
            snprintf(parts[n].name, sizeof parts[n].name, "rnn.%s_l%zu", names[i], l);
        }
    }
    if (outputs) parts[n++] = (struct part){"head.weight", outputs, hidden, NULL};
    if (outputs) parts[n++] = (struct part){"head.bias", outputs, 0, NULL};
    return n;
}

static size_t part_floats(const struct part *p)
{
    return p->d0 * (p->d1 ? p->d1 : 1);
}

static void *write_image(const char *header, size_t header_bytes, const struct part *parts, size_t count, float scale,
                         size_t *bytes)
{
    uint64_t length = header_bytes;
    *bytes = 8 + header_bytes;
    for (size_t i = 0; i < count; i++)
        *bytes += part_floats(&parts[i]) * sizeof(float);
    unsigned char *image = malloc(*bytes), *at = image + 8 + header_bytes;
    if (!image) die("no memory for a model of %zu bytes", *bytes);
    memcpy(image, &length, 8);
    memcpy(image + 8, header, header_bytes);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < part_floats(&parts[i]); k++, at += sizeof(float)) {
            float f = parts[i].values ? parts[i].values[k] : random_float() * scale;
            memcpy(at, &f, sizeof f);
        }
    return image;
}

static void *make_image(const char *cell, size_t inputs, size_t hidden, size_t layers, size_t outputs,
                        const struct onnx_layer *weights, size_t *bytes)
{
    struct part parts[4 * ONNX_MAX_LAYERS + 2];
    size_t count = list_parts(parts, cell, inputs, hidden, layers, outputs, weights), at, floats = 0;
    char header[4096];
    at = (size_t)snprintf(header, sizeof header,
                          "{\"__metadata__\":{\"rnnd\":\"{\\\"format\\\":1,\\\"inputs\\\":[{\\\"name\\\":\\\"x\\\","
                          "\\\"width\\\":%zu}],\\\"layers\\\":[{\\\"type\\\":\\\"%s\\\",\\\"name\\\":\\\"rnn\\\","
                          "\\\"hidden\\\":%zu,\\\"layers\\\":%zu}%s]}\"}",
                          inputs, cell, hidden, layers,
                          outputs ? ",{\\\"type\\\":\\\"dense\\\",\\\"name\\\":\\\"head\\\"}" : "");
    for (size_t i = 0; i < count; i++) {
        size_t n = part_floats(&parts[i]);
        char shape[64];
        snprintf(shape, sizeof shape, parts[i].d1 ? "%zu,%zu" : "%zu", parts[i].d0, parts[i].d1);
        at += (size_t)snprintf(header + at, sizeof header - at,
                               ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", parts[i].name,
                               shape, floats * 4, (floats + n) * 4);
        floats += n;
    }
    at += (size_t)snprintf(header + at, sizeof header - at, "}");
    while (at % 8)
        header[at++] = ' ';
    return write_image(header, at, parts, count, 1 / sqrtf((float)hidden), bytes);
}

void *model_image(const char *cell, size_t inputs, size_t hidden, size_t outputs, size_t *bytes)
{
    return make_image(cell, inputs, hidden, 1, outputs, NULL, bytes);
}

void *network_image(const char *cell, size_t inputs, size_t hidden, size_t layers, const struct onnx_layer *weights,
                    size_t *bytes)
{
    return make_image(cell, inputs, hidden, layers, 0, weights, bytes);
}

rnnd_model *open_path(const char *path)
{
    rnnd_model *m;
    rnnd_error err;
    if (rnnd_model_open(path, NULL, &m, &err)) die("%s: %s", path, err.message);
    return m;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

size_t list_models(char (*paths)[256], size_t cap)
{
    static const char *const folders[] = {"models", "models/tiny"};
    size_t count = 0;
    for (size_t i = 0; i < 2 && count == 0; i++) {
        DIR *d = opendir(folders[i]);
        for (struct dirent *e; d && (e = readdir(d));) {
            const char *dot = strrchr(e->d_name, '.');
            if (dot && strcmp(dot, ".safetensors") == 0 && count < cap)
                snprintf(paths[count++], 256, "%s/%.200s", folders[i], e->d_name);
        }
        if (d) closedir(d);
    }
    qsort(paths, count, sizeof *paths, by_name);
    return count;
}

bool find_model(rnnd_task task, char *path, size_t cap)
{
    static const char *const tiny[] = {[RNND_RAW] = "models/tiny/lstm.safetensors",
                                       [RNND_TEXT] = "models/tiny/text.safetensors",
                                       [RNND_SERIES] = "models/tiny/daily.safetensors"};
    char paths[32][256];
    size_t count = list_models(paths, 32);
    snprintf(path, cap, "%s", tiny[task]);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(paths[i], "models/tiny/", 12) == 0) break;
        rnnd_model *m = open_path(paths[i]);
        bool is = rnnd_model_info(m)->task == task;
        rnnd_model_close(m);
        if (!is) continue;
        snprintf(path, cap, "%s", paths[i]);
        break;
    }
    return access(path, R_OK) == 0;
}

void stepper_open(struct stepper *s, rnnd_model *model, size_t batch)
{
    const rnnd_info *info = rnnd_model_info(model);
    rnnd_error err;
    size_t bytes = rnnd_state_bytes(model);
    *s = (struct stepper){.model = model, .batch = batch};
    if (rnnd_workspace_open(model, batch, &s->ws, &err)) die("%s", err.message);
    s->rows = calloc(batch, sizeof *s->rows);
    s->states = calloc(batch, bytes);
    s->inputs = calloc(batch, info->input_width * sizeof *s->inputs);
    s->outputs = calloc(batch, info->output_width * sizeof *s->outputs);
    if (!s->rows || !s->states || !s->inputs || !s->outputs) die("no memory for %zu states", batch);
    for (size_t i = 0; i < batch * info->input_width; i++)
        s->inputs[i] = random_float();
    for (size_t b = 0; b < batch; b++) {
        rnnd_state_reset(model, s->states + b * bytes);
        s->rows[b] = (rnnd_step_row){.state = s->states + b * bytes,
                                     .input = s->inputs + b * info->input_width,
                                     .output = s->outputs + b * info->output_width};
    }
}

void stepper_step(struct stepper *s)
{
    rnnd_error err;
    if (rnnd_step(s->ws, s->rows, s->batch, &err)) die("%s", err.message);
}

void stepper_close(struct stepper *s)
{
    rnnd_workspace_close(s->ws);
    rnnd_model_close(s->model);
    free(s->rows);
    free(s->states);
    free(s->inputs);
    free(s->outputs);
}
