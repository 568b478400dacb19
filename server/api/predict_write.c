/* predict_write.c -- how a :predict request ends: its answer as JSON, .npy or CSV, its error, its memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/predict.h"

void predict_free(struct predict *p)
{
    if (p->taken_bytes) p->app->outputs_bytes -= p->taken_bytes;
    inputs_free(&p->in);
    json_free(p->doc);
    free(p->outputs);
    free(p->hn);
    free(p->cn);
    free(p->slice);
    if (p->series) {
        free(p->series->lanes);
        free(p->series->states);
    }
    free(p->series);
    free(p);
}

void predict_fail(struct predict *p, const char *wire_code)
{
    if (p->r) app_error(p->r, &p->error, wire_code);
    predict_free(p);
}

static void put_states(struct json_out *o, const char *key, const struct predict *p, const float *data)
{
    size_t dim[3] = {p->layers, p->in.batch, p->hidden};
    if (!data) return;
    json_put_key(o, key);
    json_put_floats(o, data, 3, dim);
}

static void answer_json(struct predict *p)
{
    struct json_out o;
    bool last = p->model->info->output_last && !p->series;
    size_t all[3] = {p->in.batch, p->out_steps, p->out_width}, one[2] = {p->in.batch, p->out_width};
    json_out_init(&o);
    json_open(&o, '{');
    if (p->want_outputs) {
        json_put_key(&o, "predictions");
        json_put_floats(&o, p->outputs, last ? 2 : 3, last ? one : all);
    }
    put_states(&o, "h", p, p->hn);
    put_states(&o, "c", p, p->cn);
    json_put_key(&o, "model_version");
    json_put_text(&o, p->model->version);
    json_close(&o, '}');
    app_answer_json(p->r, 200, &o);
}

/* .npy version 1: magic, u16 header bytes, a header that ends in a newline at a multiple of 64 (see input_files.c) */
static void answer_npy(struct predict *p)
{
    struct json_out o;
    char head[128], text[118];
    bool last = p->model->info->output_last && !p->series;
    size_t bytes = p->in.batch * p->out_steps * p->out_width * sizeof(float);
    int n = last ? snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }",
                            p->in.batch, p->out_width)
                 : snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu, %zu), }",
                            p->in.batch, p->out_steps, p->out_width);
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(head + 10, text, n > 0 && (size_t)n < sizeof text ? (size_t)n : 0);
    head[127] = '\n';
    json_out_init(&o);
    json_append(&o, head, sizeof head);
    json_append(&o, (const char *)p->outputs, bytes);
    http_add_header(p->r, "X-Model-Version", p->model->version);
    if (o.failed) http_error(p->r, 503, "no_memory", "", "the answer found no memory");
    else http_answer(p->r, 200, "application/x-npy", o.data, o.bytes);
    json_out_free(&o);
}

/* window,step,0,1,..: a row an output step */
static void answer_csv(struct predict *p)
{
    struct json_out o;
    char text[64];
    json_out_init(&o);
    json_append(&o, "window,step", 11);
    for (size_t k = 0; k < p->out_width; k++)
        json_append(&o, text, (size_t)snprintf(text, sizeof text, ",output_%zu", k));
    json_append(&o, "\n", 1);
    for (size_t i = 0; i < p->in.batch * p->out_steps; i++) {
        size_t step = p->out_steps == 1 ? p->in.steps - 1 : i % p->out_steps;
        json_append(&o, text, (size_t)snprintf(text, sizeof text, "%zu,%zu", i / p->out_steps, step));
        for (size_t k = 0; k < p->out_width; k++) {
            json_append(&o, ",", 1);
            json_append(&o, text, json_format_float(text, p->outputs[i * p->out_width + k]));
        }
        json_append(&o, "\n", 1);
    }
    http_add_header(p->r, "X-Model-Version", p->model->version);
    if (o.failed) http_error(p->r, 503, "no_memory", "", "the answer found no memory");
    else http_answer(p->r, 200, "text/csv; charset=utf-8", o.data, o.bytes);
    json_out_free(&o);
}

void predict_answer(struct predict *p)
{
    if (p->r) {
        if (p->format == PREDICT_NPY) answer_npy(p);
        else if (p->format == PREDICT_CSV) answer_csv(p);
        else answer_json(p);
    }
    predict_free(p);
}
