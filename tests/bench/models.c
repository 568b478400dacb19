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

void *model_image(const char *cell, size_t inputs, size_t hidden, size_t outputs, size_t *bytes)
{
    size_t rows = (strcmp(cell, "lstm") == 0 ? 4 : 3) * hidden, at = 0, floats = 0;
    const struct {
        const char *name;
        size_t d0, d1;
    } tensors[] = {{"rnn.weight_ih_l0", rows, inputs}, {"rnn.weight_hh_l0", rows, hidden}, {"rnn.bias_ih_l0", rows, 1},
                   {"rnn.bias_hh_l0", rows, 1},        {"head.weight", outputs, hidden},   {"head.bias", outputs, 1}};
    size_t count = outputs ? 6 : 4;
    char header[2048];
    at += (size_t)snprintf(header, sizeof header,
                           "{\"__metadata__\":{\"rnnd\":\"{\\\"format\\\":1,\\\"inputs\\\":[{\\\"name\\\":\\\"x\\\","
                           "\\\"width\\\":%zu}],\\\"layers\\\":[{\\\"type\\\":\\\"%s\\\",\\\"name\\\":\\\"rnn\\\","
                           "\\\"hidden\\\":%zu}%s]}\"}",
                           inputs, cell, hidden,
                           outputs ? ",{\\\"type\\\":\\\"dense\\\",\\\"name\\\":\\\"head\\\"}" : "");
    for (size_t i = 0; i < count; i++) {
        size_t n = tensors[i].d0 * tensors[i].d1, d1 = tensors[i].d1;
        char shape[64];
        snprintf(shape, sizeof shape, d1 == 1 && i != 0 ? "%zu" : "%zu,%zu", tensors[i].d0, d1);
        at += (size_t)snprintf(header + at, sizeof header - at,
                               ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", tensors[i].name,
                               shape, floats * 4, (floats + n) * 4);
        floats += n;
    }
    at += (size_t)snprintf(header + at, sizeof header - at, "}");
    while (at % 8) header[at++] = ' ';
    *bytes = 8 + at + floats * 4;
    unsigned char *image = malloc(*bytes);
    if (!image) die("no memory for a model of %zu bytes", *bytes);
    uint64_t length = at;
    memcpy(image, &length, 8);
    memcpy(image + 8, header, at);
    for (size_t i = 0; i < floats; i++) {
        float f = random_float() / sqrtf((float)hidden);
        memcpy(image + 8 + at + i * 4, &f, 4);
    }
    return image;
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
    for (size_t i = 0; i < batch * info->input_width; i++) s->inputs[i] = random_float();
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
