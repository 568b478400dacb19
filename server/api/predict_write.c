/* predict_write.c -- how a :predict request ends: its answer as JSON, .npy or CSV, its error, its memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/confirm.h"
#include "server/api/predict.h"

void predict_free(struct predict *p)
{
    if (p->taken_bytes) p->app->outputs_bytes -= p->taken_bytes;
    inputs_free(&p->in);
    json_free(p->doc);
    free(p->outputs);
    free(p->hn);
    free(p->cn);
    rnnd_window_close(p->window);
    if (p->series) {
        free(p->series->lanes);
        free(p->series->states);
    }
    free(p->series);
    predict_whole_free(p->whole);
    free(p);
}

void predict_fail(struct predict *p, const char *wire_code)
{
    if (p->r) app_error(p->r, &p->error, wire_code);
    predict_free(p);
}

/* Shape of one answer of a port; of rows that are no port's own, their width. */
static int answer_shape(const rnnd_port *port, size_t width, size_t *dim)
{
    int rank = port && port->rank > 0 ? port->rank : 1;
    for (int k = 0; k < rank; k++) dim[k] = port && port->rank > 0 ? port->dim[k] : width;
    return rank;
}

/* The outputs that rows of this width are made of; 0: they are no ports', but the task's own rows. */
static size_t port_count(const rnnd_info *info, size_t width)
{
    size_t sum = 0;
    for (size_t i = 0; i < info->output_count; i++) sum += info->outputs[i].width;
    return info->task == RNND_RAW && sum == width ? info->output_count : 0;
}

/* One port's answers of one window, cut out of the rows. */
static void put_port(struct json_out *o, const rnnd_port *port, const float *rows, size_t steps, bool last,
                     size_t width)
{
    size_t dim[RNND_MAX_RANK];
    int rank = answer_shape(port, port->width, dim);
    if (!last) json_open(o, '[');
    for (size_t t = 0; t < steps && !o->failed; t++) json_put_floats(o, rows + t * width, rank, dim);
    if (!last) json_close(o, ']');
}

void predict_put(struct json_out *o, const struct model *m, const float *data, size_t batch, size_t steps, bool last,
                 size_t width)
{
    const rnnd_info *info = m->info;
    size_t count = port_count(info, width), dim[RNND_MAX_RANK + 2] = {batch, steps};
    int lead = last ? 1 : 2, rank = answer_shape(count == 1 ? info->outputs : NULL, width, dim + lead);
    json_put_key(o, "predictions");
    if (count < 2) json_put_floats(o, data, lead + rank, dim);
    else json_open(o, '[');
    for (size_t b = 0; count > 1 && b < batch && !o->failed; b++) {
        json_open(o, '{');
        for (size_t i = 0, at = 0; i < count; at += info->outputs[i++].width) {
            json_put_key(o, info->outputs[i].name);
            put_port(o, &info->outputs[i], data + b * steps * width + at, steps, last, width);
        }
        json_close(o, '}');
    }
    if (count > 1) json_close(o, ']');
}

void predict_put_end(struct json_out *o, const struct model *m)
{
    json_put_key(o, "mode");
    json_put_text(o, app_mode_name(m->info->mode));
    json_put_key(o, "model_version");
    json_put_text(o, m->version);
    confirm_put_assumed(o, m);
}

/* The same of an answer that is no JSON. */
static void add_headers(struct predict *p)
{
    http_add_header(p->r, "X-Mode", app_mode_name(p->model->info->mode));
    http_add_header(p->r, "X-Model-Version", p->model->version);
    confirm_add_header(p->r, p->model);
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
    json_out_init(&o);
    json_open(&o, '{');
    if (p->want_outputs) predict_put(&o, p->model, p->outputs, p->in.batch, p->out_steps, last, p->out_width);
    put_states(&o, "h", p, p->hn);
    put_states(&o, "c", p, p->cn);
    predict_put_end(&o, p->model);
    json_close(&o, '}');
    app_answer_json(p->r, 200, &o);
}

/* Windows, steps, and an answer's own shape as far as the header has room for it, else its numbers in a row. */
static int npy_shape(const struct predict *p, bool last, size_t *dim)
{
    const rnnd_info *info = p->model->info;
    int lead = last ? 1 : 2, rank;
    dim[0] = p->in.batch;
    dim[1] = p->out_steps;
    rank = answer_shape(port_count(info, p->out_width) == 1 ? info->outputs : NULL, p->out_width, dim + lead);
    if (rank > 4) rank = answer_shape(NULL, p->out_width, dim + lead);
    return lead + rank;
}

/* .npy version 1: magic, u16 header bytes, a header that ends in a newline at a multiple of 64 (see input_files.c) */
void predict_answer_npy(struct predict *p, const float *data, int rank, const size_t *dim)
{
    struct json_out o;
    char head[128], text[118];
    size_t bytes = sizeof(float);
    size_t n = (size_t)snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int k = 0; k < rank && n < sizeof text; bytes *= dim[k++])
        n += (size_t)snprintf(text + n, sizeof text - n, k ? ", %zu" : rank == 1 ? "%zu," : "%zu", dim[k]);
    if (n < sizeof text) n += (size_t)snprintf(text + n, sizeof text - n, "), }");
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(head + 10, text, n < sizeof text ? n : 0);
    head[127] = '\n';
    json_out_init(&o);
    json_append(&o, head, sizeof head);
    json_append(&o, (const char *)data, bytes);
    add_headers(p);
    if (o.failed) http_error(p->r, 503, "no_memory", "", "the answer found no memory");
    else http_answer(p->r, 200, "application/x-npy", o.data, o.bytes);
    json_out_free(&o);
}

static void answer_npy(struct predict *p)
{
    size_t dim[RNND_MAX_RANK + 2];
    int rank = npy_shape(p, p->model->info->output_last && !p->series, dim);
    predict_answer_npy(p, p->outputs, rank, dim);
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
    add_headers(p);
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
