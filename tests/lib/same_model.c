/* same_model.c -- whether two models are the same: what is told of them, and every run, bit for bit. */
#include "tests/lib/same_model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/rng.h"
#include "core/model/model.h"
#include "core/ops/op.h"

#define STEPS 9 /* where no window says otherwise */

static char text[1024];

static const char *differ(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *differ(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

/* ---- what is told ---- */

static const char *same_ports(const char *what, const rnnd_port *a, size_t n, const rnnd_port *b, size_t m)
{
    if (n != m) return differ("%zu %s, %zu", n, what, m);
    for (size_t i = 0; i < n; i++)
        if (strcmp(a[i].name, b[i].name) != 0 || a[i].width != b[i].width || a[i].is_ids != b[i].is_ids ||
            a[i].limit != b[i].limit || a[i].rank != b[i].rank ||
            (a[i].rank > 0 && memcmp(a[i].dim, b[i].dim, (size_t)a[i].rank * sizeof *a[i].dim) != 0))
            return differ("%s %zu: \"%s\" of %zu, \"%s\" of %zu", what, i, a[i].name, a[i].width, b[i].name,
                          b[i].width);
    return NULL;
}

static const char *same_layers(const rnnd_info *a, const rnnd_info *b)
{
    if (a->layer_count != b->layer_count) return differ("%zu layers, %zu", a->layer_count, b->layer_count);
    for (size_t i = 0; i < a->layer_count; i++) {
        const rnnd_layer *x = &a->layers[i], *y = &b->layers[i];
        if (strcmp(x->type, y->type) != 0 || strcmp(x->name, y->name) != 0 || strcmp(x->detail, y->detail) != 0 ||
            x->inputs != y->inputs || x->outputs != y->outputs || x->parameters != y->parameters)
            return differ("layer %zu: %s \"%s\", %s \"%s\"", i, x->type, x->name, y->type, y->name);
    }
    return NULL;
}

static const char *same_info(const rnnd_info *a, const rnnd_info *b)
{
    const char *words[][3] = {{"not streamable", a->not_streamable, b->not_streamable},
                              {"description", a->description, b->description},
                              {"metrics", a->metrics, b->metrics},
                              {"tokenizer", a->tokenizer, b->tokenizer},
                              {"frequency", a->frequency, b->frequency}};
    size_t numbers[][2] = {{a->task, b->task},
                           {a->mode, b->mode},
                           {a->window, b->window},
                           {a->output_last, b->output_last},
                           {a->streamable, b->streamable},
                           {a->input_width, b->input_width},
                           {a->output_width, b->output_width},
                           {a->parameters, b->parameters},
                           {a->weight_bytes, b->weight_bytes},
                           {a->state_bytes, b->state_bytes},
                           {a->state_layers, b->state_layers},
                           {a->state_hidden, b->state_hidden},
                           {a->h_width, b->h_width},
                           {a->c_width, b->c_width},
                           {a->vocabulary, b->vocabulary},
                           {a->chat, b->chat},
                           {a->channel_count, b->channel_count},
                           {a->horizon, b->horizon}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i][1], words[i][2]) != 0)
            return differ("%s: \"%s\", \"%s\"", words[i][0], words[i][1], words[i][2]);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i][0] != numbers[i][1])
            return differ("number %zu of the description: %zu, %zu", i, numbers[i][0], numbers[i][1]);
    const char *why = same_ports("inputs", a->inputs, a->input_count, b->inputs, b->input_count);
    if (!why) why = same_ports("outputs", a->outputs, a->output_count, b->outputs, b->output_count);
    return why ? why : same_layers(a, b);
}

static const char *same_tokens(const rnnd_model *a, const rnnd_model *b)
{
    for (size_t i = 0; i < rnnd_model_info(a)->vocabulary; i++) {
        size_t n = 0, m = 0;
        const char *x = rnnd_token_bytes(a, (int32_t)i, &n), *y = rnnd_token_bytes(b, (int32_t)i, &m);
        if (n != m || !x != !y || (n && memcmp(x, y, n) != 0)) return differ("token %zu", i);
    }
    return NULL;
}

/* ---- runs ---- */

static const char *same_end(const char *what, rnnd_code a, const rnnd_error *x, rnnd_code b, const rnnd_error *y)
{
    if (a == b && (!a || strcmp(x->message, y->message) == 0)) return NULL;
    return differ("%s: %s, %s", what, a ? x->message : "done", b ? y->message : "done");
}

static float draw(struct rng *rng, float low, float high)
{
    return low + (high - low) * (float)rng_unit(rng) * 0.9999f; /* never high itself, so that it does for ids */
}

/* A row of the network's inputs: whole numbers where it takes ids. */
static void draw_row(struct rng *rng, const rnnd_info *info, size_t width, float *row)
{
    size_t at = 0;
    for (size_t i = 0; i < info->input_count; i++)
        for (size_t k = 0; k < info->inputs[i].width && at < width; k++, at++)
            row[at] =
                info->inputs[i].is_ids ? floorf(draw(rng, 0, 1) * (float)info->inputs[i].limit) : draw(rng, -1, 1);
    while (at < width)
        row[at++] = draw(rng, -1, 1);
}

static const char *same_windows(const rnnd_model *a, const rnnd_model *b, struct rng *rng, size_t *runs)
{
    const rnnd_info *info = rnnd_model_info(a);
    const size_t width = rnnd_window_input_width(a), out_width = rnnd_window_output_width(a), batch = 2;
    const size_t steps = info->window ? info->window : a->network.window ? a->network.window : STEPS;
    float *in = calloc(batch * steps * width + 1, sizeof *in), *out[2];
    rnnd_code code[2];
    rnnd_error err[2];
    for (size_t i = 0; i < batch * steps; i++)
        draw_row(rng, info, width, in + i * width);
    for (int k = 0; k < 2; k++) {
        rnnd_workspace *ws = NULL;
        out[k] = calloc(batch * steps * out_width + 1, sizeof(float));
        struct rnnd_window w = {.batch = batch, .steps = steps, .inputs = in, .outputs = out[k]};
        code[k] = rnnd_workspace_open(k ? b : a, 1, &ws, &err[k]);
        if (!code[k]) code[k] = rnnd_run_window(ws, &w, &err[k]);
        rnnd_workspace_close(ws);
    }
    const char *why = same_end("a window", code[0], &err[0], code[1], &err[1]);
    if (!why && memcmp(out[0], out[1], batch * steps * out_width * sizeof(float)) != 0)
        why = differ("a window's outputs");
    *runs += !code[0];
    free(in), free(out[0]), free(out[1]);
    return why;
}

static const char *same_steps(const rnnd_model *a, const rnnd_model *b, struct rng *rng, size_t *runs)
{
    const rnnd_info *info = rnnd_model_info(a);
    const size_t width = info->input_width, out_width = info->output_width, bytes = rnnd_state_bytes(a);
    float *in = calloc(width + 1, sizeof *in), *out[2];
    void *state[2];
    rnnd_workspace *ws[2];
    rnnd_code code[2];
    rnnd_error err[2];
    for (int k = 0; k < 2; k++) {
        out[k] = calloc(out_width + 1, sizeof(float));
        state[k] = calloc(1, bytes + 1);
        rnnd_state_reset(k ? b : a, state[k]);
        code[k] = rnnd_workspace_open(k ? b : a, 1, &ws[k], &err[k]);
    }
    const char *why = same_end("a workspace", code[0], &err[0], code[1], &err[1]);
    for (size_t t = 0; t < info->window + STEPS && !why && !code[0]; t++) {
        draw_row(rng, info, width, in);
        for (int k = 0; k < 2; k++) {
            rnnd_step_row row = {.state = state[k], .input = in, .output = out[k]};
            code[k] = rnnd_step(ws[k], &row, 1, &err[k]);
        }
        why = same_end("a step", code[0], &err[0], code[1], &err[1]);
        if (!why && memcmp(out[0], out[1], out_width * sizeof(float)) != 0) why = differ("outputs of step %zu", t);
        if (!why && memcmp(state[0], state[1], bytes) != 0) why = differ("the state of step %zu", t);
        *runs += !code[0];
    }
    for (int k = 0; k < 2; k++) {
        rnnd_workspace_close(ws[k]);
        free(out[k]), free(state[k]);
    }
    free(in);
    return why;
}

/* ---- whole tensors ---- */

static const char *same_names(const char *what, size_t n, const char *const *a, size_t m, const char *const *b)
{
    if (n != m) return differ("%zu names of %s, %zu", n, what, m);
    for (size_t i = 0; i < n; i++)
        if (strcmp(a[i], b[i]) != 0) return differ("name %zu of %s: \"%s\", \"%s\"", i, what, a[i], b[i]);
    return NULL;
}

/* One of an input's shape: free axes of a length each, batch and time as they are. */
static rnnd_tensor draw_tensor(struct rng *rng, const rnnd_model *m, size_t i, const char *name)
{
    const struct graph_port *p = &m->graph.input_ports[i];
    const size_t limit = m->network.inputs[i].limit ? m->network.inputs[i].limit : 4;
    rnnd_tensor t = {.name = name, .rank = p->rank < 0 ? 0 : p->rank};
    size_t count = 1;
    for (int k = 0; k < t.rank; k++) {
        t.dim[k] = p->dim[k] > 0 ? (size_t)p->dim[k] : k == p->batch_axis ? 4 : STEPS;
        count *= t.dim[k];
    }
    t.dtype = p->dtype == DTYPE_F32 ? RNND_FLOAT32 : p->dtype == DTYPE_I64 ? RNND_INT64 : RNND_BOOL8;
    t.data = calloc(count + 1, 8);
    for (size_t k = 0; k < count; k++)
        if (p->dtype == DTYPE_F32)
            ((float *)t.data)[k] = draw(rng, -1, 1);
        else if (p->dtype == DTYPE_I64)
            ((int64_t *)t.data)[k] = (int64_t)(draw(rng, 0, 1) * (float)limit);
        else
            ((bool *)t.data)[k] = draw(rng, 0, 1) > 0.5f;
    return t;
}

static size_t bytes_of_tensor(const rnnd_tensor *t)
{
    size_t n = t->dtype == RNND_FLOAT32 ? 4 : t->dtype == RNND_INT64 ? 8 : 1;
    for (int k = 0; k < t->rank; k++)
        n *= t->dim[k];
    return n;
}

static const char *same_values(rnnd_call *a, rnnd_call *b, size_t *runs)
{
    const char *const *names;
    for (size_t i = 0, n = rnnd_call_taps(a, &names); i < n; i++) {
        rnnd_tensor x, y;
        rnnd_error err[2];
        rnnd_code first = rnnd_call_output(a, names[i], &x, &err[0]),
                  second = rnnd_call_output(b, names[i], &y, &err[1]);
        const char *why = same_end(names[i], first, &err[0], second, &err[1]);
        if (why) return why;
        if (first) continue;
        if (x.dtype != y.dtype || x.rank != y.rank || memcmp(x.dim, y.dim, (size_t)x.rank * sizeof *x.dim) != 0 ||
            memcmp(x.data, y.data, bytes_of_tensor(&x)) != 0)
            return differ("the value \"%s\"", names[i]);
        *runs += 1;
    }
    return NULL;
}

static const char *same_calls(const rnnd_model *a, const rnnd_model *b, struct rng *rng, size_t *runs)
{
    rnnd_call *call[2];
    rnnd_error err[2];
    rnnd_tensor in[MAX_INPUTS];
    const char *const *x, *const *y;
    const size_t count = a->graph.input_ports ? a->network.input_count : 0;
    rnnd_code code[2] = {rnnd_call_open(a, &call[0], &err[0]), rnnd_call_open(b, &call[1], &err[1])};
    const char *why = same_end("a call", code[0], &err[0], code[1], &err[1]);
    if (why || code[0]) return why;
    size_t n = rnnd_call_inputs(call[0], &x), m = rnnd_call_inputs(call[1], &y);
    why = same_names("inputs", n, x, m, y);
    for (size_t i = 0; i < count && !why; i++)
        in[i] = draw_tensor(rng, a, i, x[i]);
    size_t drawn = why ? 0 : count;
    for (int k = 0; k < 2 && drawn; k++)
        code[k] = rnnd_call_run(call[k], in, count, &err[k]);
    if (drawn) why = same_end("a call", code[0], &err[0], code[1], &err[1]);
    n = rnnd_call_taps(call[0], &x), m = rnnd_call_taps(call[1], &y);
    if (!why) why = same_names("values", n, x, m, y);
    if (!why && drawn && !code[0]) why = same_values(call[0], call[1], runs);
    for (size_t i = 0; i < drawn; i++)
        free(in[i].data);
    rnnd_call_close(call[0]);
    rnnd_call_close(call[1]);
    return why;
}

const char *model_difference(const rnnd_model *a, const rnnd_model *b, uint64_t seed, size_t *runs)
{
    const rnnd_info *info = rnnd_model_info(a);
    struct rng rng;
    rng_seed(&rng, seed, 1);
    *runs = 0;
    const char *why = same_info(info, rnnd_model_info(b));
    if (!why && a->graph.input_ports && strcmp(info->framework, rnnd_model_info(b)->framework) != 0)
        why = differ("framework: \"%s\", \"%s\"", info->framework, rnnd_model_info(b)->framework);
    if (!why) why = same_tokens(a, b);
    if (!why && !a->no_rows) why = same_windows(a, b, &rng, runs);
    if (!why && info->streamable) why = same_steps(a, b, &rng, runs);
    return why ? why : same_calls(a, b, &rng, runs);
}
