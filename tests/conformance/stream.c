/* stream.c -- of a case's model: sessions against windows, and whole tensors against windows, bit for bit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/runner.h"

static double number(const rnnd_tensor *t, size_t i)
{
    return t->dtype == RNND_FLOAT32 ? (double)((const float *)t->data)[i]
           : t->dtype == RNND_INT64 ? (double)((const int64_t *)t->data)[i]
                                    : (double)((const uint8_t *)t->data)[i];
}

static size_t count_of(const rnnd_tensor *t)
{
    size_t n = 1;
    for (int k = 0; k < t->rank; k++)
        n *= t->dim[k];
    return n;
}

/* The tensor of an input port: by name, else a single one. */
static const rnnd_tensor *tensor_for(const rnnd_info *info, size_t port, const rnnd_tensor *in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (in[i].name && strcmp(in[i].name, info->inputs[port].name) == 0) return &in[i];
    return count == 1 && info->input_count == 1 ? in : NULL;
}

/* ---- sessions --------------------------------------------------------------------------------------------------- */

/* The case's numbers in a row, cut into rows of a step's width, whatever axes they had, over and over. NULL: an input
 * is not among them. */
static float *cut_rows(const rnnd_model *m, const rnnd_tensor *in, size_t count, size_t steps)
{
    const rnnd_info *info = rnnd_model_info(m);
    float *rows = calloc(steps * info->input_width + 1, sizeof *rows), *at = rows;
    for (size_t s = 0; s < steps && rows; s++)
        for (size_t i = 0; i < info->input_count; i++) {
            const rnnd_tensor *t = tensor_for(info, i, in, count);
            size_t width = info->inputs[i].width, there = t ? count_of(t) / width : 0;
            if (!there) {
                free(rows);
                return NULL;
            }
            for (size_t k = 0; k < width; k++)
                *at++ = (float)number(t, s % there * width + k);
        }
    return rows;
}

/* ---- whole tensors ---------------------------------------------------------------------------------------------- */

static int by_bits(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(float));
}

/* The same numbers, in whatever order the file's axes put them. */
static bool same_numbers(float *a, float *b, size_t count)
{
    qsort(a, count, sizeof *a, by_bits);
    qsort(b, count, sizeof *b, by_bits);
    return memcmp(a, b, count * sizeof *a) == 0;
}

/* All outputs of the last call, as they stand; NULL where one is not of this size. */
static float *called_outputs(struct subject *m, size_t answers)
{
    const rnnd_info *info = rnnd_model_info(m->model);
    float *all = calloc(answers * info->output_width + 1, sizeof *all);
    size_t at = 0;
    for (size_t i = 0; i < info->output_count && all; i++) {
        rnnd_tensor t;
        rnnd_error err;
        size_t want = answers * info->outputs[i].width;
        if (rnnd_call_output(m->call, info->outputs[i].name, &t, &err) != RNND_OK || t.dtype != RNND_FLOAT32 ||
            count_of(&t) != want) {
            free(all);
            return NULL;
        }
        memcpy(all + at, t.data, want * sizeof *all);
        at += want;
    }
    return all;
}

/* Rows [B][T][width] of a tensor whose batch and time are these axes (-1: it has none). */
static float *lay_rows(const rnnd_tensor *t, int batch, int time, size_t width)
{
    size_t count = count_of(t), B = batch < 0 ? 1 : t->dim[batch], T = time < 0 ? 1 : t->dim[time];
    float *rows = B * T * width == count ? calloc(count + 1, sizeof *rows) : NULL;
    for (size_t i = 0; i < count && rows; i++) {
        size_t b = 0, s = 0, f = 0, rest = i, at[RNND_MAX_RANK];
        for (int k = t->rank - 1; k >= 0; k--) {
            at[k] = rest % t->dim[k];
            rest /= t->dim[k];
        }
        for (int k = 0; k < t->rank; k++)
            if (k == batch)
                b = at[k];
            else if (k == time)
                s = at[k];
            else
                f = f * t->dim[k] + at[k];
        rows[(b * T + s) * width + f] = (float)number(t, i);
    }
    return rows;
}

static bool window_says(struct subject *m, const rnnd_tensor *t, int batch, int time)
{
    const rnnd_info *info = rnnd_model_info(m->model);
    size_t B = batch < 0 ? 1 : t->dim[batch], T = time < 0 ? 1 : t->dim[time];
    size_t answers = B * (info->output_last ? 1 : T);
    float *rows = lay_rows(t, batch, time, info->input_width), *called = rows ? called_outputs(m, answers) : NULL;
    float *said = calloc(answers * info->output_width + 1, sizeof *said);
    rnnd_workspace *ws = NULL;
    rnnd_error err;
    rnnd_window w = {.batch = B, .steps = T, .inputs = rows, .outputs = said};
    bool good = called && said && rnnd_workspace_open(m->model, 1, &ws, &err) == RNND_OK &&
                rnnd_run_window(ws, &w, &err) == RNND_OK && same_numbers(called, said, answers * info->output_width);
    rnnd_workspace_close(ws);
    free(rows);
    free(called);
    free(said);
    return good;
}

/* The last call's answer is what windows of rows say; which of the input's axes are batch and time is tried. */
static bool call_is_window(struct subject *m, const rnnd_tensor *in, size_t count)
{
    const rnnd_info *info = rnnd_model_info(m->model);
    const rnnd_tensor *t = tensor_for(info, 0, in, count);
    for (int batch = -1; batch < t->rank; batch++)
        for (int time = -1; time < t->rank; time++)
            if ((batch != time || batch < 0) && window_says(m, t, batch, time)) return true;
    return false;
}

/* ---- both ------------------------------------------------------------------------------------------------------- */

void stream_run(struct subject *m, const rnnd_tensor *in, size_t count, bool called, struct stream_result *r)
{
    const rnnd_info *info = rnnd_model_info(m->model);
    size_t steps = stream_steps(m->model);
    float *rows = cut_rows(m->model, in, count, steps);
    bool one = called && count == 1 && info->input_count == 1 && info->streamable && info->task == RNND_RAW;
    r->kind = stream_check(m->model, rows, rows, rows ? steps : 0, r->why);
    r->steps = steps;
    free(rows);
    if (!one || r->kind == STREAM_WRONG || r->kind == STREAM_NEITHER) return;
    r->whole = call_is_window(m, in, count);
    if (r->whole) return;
    r->kind = STREAM_WRONG;
    snprintf(r->why, sizeof r->why, "the call on whole tensors answered other numbers than windows of their rows");
}

void stream_close(struct suite *s, const char *name, const struct stream_result *r)
{
    static const char *const kinds[] = {"carry", "sliding", "stream", "stream"};
    char label[PATH_BYTES + 16], text[80];
    snprintf(label, sizeof label, "%s (%s)", name, kinds[r->kind]);
    if (r->kind == STREAM_NEITHER) {
        if (r->why[0]) printf("%-56s  neither: %s\n", label, r->why);
        return;
    }
    bool ok = r->kind != STREAM_WRONG;
    s->passed += ok;
    s->failed += !ok;
    snprintf(text, sizeof text, "%zu steps%s, bit for bit", r->steps, r->whole ? " and the call" : "");
    printf("%-56s  %-40s  %s%s%s\n", label, text, ok ? "ok" : "FAILED", ok ? "" : ": ", ok ? "" : r->why);
    fflush(stdout);
}
