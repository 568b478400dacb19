/* layers.c -- the table of layer kinds, and all of them that know one step alone. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/layers.h"
#include "core/ops/op.h"

static const char *const layouts[] = {DIALECT_LAYOUTS, NULL};
enum { LAYOUT_PYTORCH, LAYOUT_ONNX, LAYOUT_KERAS, LAYOUT_TF1, LAYOUT_CONCAT, LAYOUT_KERAS_CUDNN };

/* Only recurrent weights are any different in CuDNN's form. */
static rnnd_code read_layout(struct layer *l, int *layout, rnnd_error *err)
{
    rnnd_code code = option_choice(&l->options, "layout", layouts, 0, layout, err);
    if (!code && *layout == LAYOUT_KERAS_CUDNN) *layout = LAYOUT_KERAS;
    return code;
}

rnnd_code layer_floats(struct stack *s, struct layer *l, const char *role, const char *fallback, int rank, size_t d0,
                       size_t d1, const float **out, rnnd_error *err)
{
    const char *name, *full = stack_text(s->arena, "%s.%s", l->name, fallback);
    if (!full) return fail_memory(err, strlen(fallback));
    struct checkpoint_tensor *t = tensor_named(&l->names, s->checkpoint, role, full, &name);
    return tensor_floats(t, l->name, name, rank, (const size_t[]){d0, d1}, out, err);
}

static rnnd_code find(struct stack *s, struct layer *l, const char *role, const char *fallback,
                      struct checkpoint_tensor **out, const char **name, rnnd_error *err)
{
    const char *full = stack_text(s->arena, "%s.%s", l->name, fallback);
    if (!full) return fail_memory(err, strlen(fallback));
    *out = tensor_named(&l->names, s->checkpoint, role, full, name);
    if (!*out || (*out)->rank != 2 || (*out)->dim[0] < 1 || (*out)->dim[1] < 1) {
        char found[96] = "none";
        if (*out) shape_text(found, (*out)->rank, (*out)->dim);
        return fail_at(err, RNND_MISMATCH, *name, "layer \"%.80s\", tensor \"%.80s\": wanted a matrix, found %s%s",
                       l->name, *name, *out ? "shape " : "", found);
    }
    return RNND_OK;
}

static rnnd_code build_embedding(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    struct checkpoint_tensor *t;
    const char *name;
    const float *table;
    int layout, inputs[2] = {l->inputs[0], -1};
    const struct source *from = &s->sources[l->sources[0]];
    rnnd_code code = read_layout(l, &layout, err);
    if (!code) code = find(s, l, "weight", layout == LAYOUT_KERAS ? "embeddings" : "weight", &t, &name, err);
    if (!code && from->ids == 0)
        code = fail_at(err, RNND_MISMATCH, "inputs", "layer \"%.80s\": wanted an input of ids, \"%.80s\" is none",
                       l->name, from->name);
    if (!code && t->dim[0] < from->ids)
        code = fail_at(err, RNND_MISMATCH, name,
                       "layer \"%.80s\", tensor \"%.80s\": wanted a row for each of %zu ids, found %zu", l->name, name,
                       from->ids, t->dim[0]);
    if (!code) code = checkpoint_floats(t, &table, err);
    if (!code) code = stack_constant(s, l->name, name, 2, t->dim[0], t->dim[1], table, &inputs[1], err);
    return code ? code : stack_node(s, "embedding", l->name, inputs, 2, value, err);
}

rnnd_code layer_act(struct stack *s, struct layer *l, const char *op, const int *inputs, int count, struct act act,
                    int *value, rnnd_error *err)
{
    struct graph_node *n = stack_begin(s, op, l->name, inputs, count, 1, err);
    struct act *copy = arena_alloc(&s->graph->arena, 1, sizeof *copy);
    if (!n) return err ? err->code : RNND_NO_MEMORY;
    if (!copy) return fail_memory(err, sizeof *copy);
    *copy = act;
    if (graph_attr_pointer(s->graph, n, "activation", copy)) return fail_memory(err, sizeof *copy);
    *value = n->outputs[0];
    return stack_infer(s, n, err);
}

/* W [outputs][inputs] of y = W x; Keras and TensorFlow keep it transposed. */
static rnnd_code read_matrix(struct stack *s, struct layer *l, int layout, size_t inputs, size_t *outputs,
                             int *constant, rnnd_error *err)
{
    bool columns = layout == LAYOUT_KERAS || layout == LAYOUT_TF1;
    struct checkpoint_tensor *t;
    const char *name;
    const float *from;
    rnnd_code code = find(s, l, "weight", columns ? "kernel" : "weight", &t, &name, err);
    if (code) return code;
    *outputs = t->dim[columns ? 1 : 0];
    code = tensor_floats(t, l->name, name, 2,
                         columns ? (const size_t[]){inputs, *outputs} : (const size_t[]){*outputs, inputs}, &from, err);
    if (code || !columns)
        return code ? code : stack_constant(s, l->name, name, 2, *outputs, inputs, from, constant, err);
    float *turned = mem_alloc(t->count, sizeof *turned);
    if (!turned) return fail_memory(err, t->count * sizeof *turned);
    for (size_t o = 0; o < *outputs; o++)
        for (size_t k = 0; k < inputs; k++)
            turned[o * inputs + k] = from[k * *outputs + o];
    code = stack_constant(s, l->name, name, 2, *outputs, inputs, turned, constant, err);
    mem_free(turned);
    return code;
}

static rnnd_code build_dense(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    int layout, inputs[3] = {l->inputs[0], -1, -1};
    size_t outputs, units;
    bool bias;
    struct act act;
    const float *b;
    rnnd_code code = read_layout(l, &layout, err);
    if (!code) code = option_bool(&l->options, "bias", true, &bias, err);
    if (!code) code = option_act(&l->options, "activation", (struct act){.kind = ACT_LINEAR}, &act, err);
    if (!code) code = read_matrix(s, l, layout, stack_width(s, l->inputs[0]), &outputs, &inputs[1], err);
    if (!code) code = option_size(&l->options, "units", 1, MAX_WIDTH, (int64_t)outputs, &units, err);
    if (!code && units != outputs)
        code = fail_at(err, RNND_MISMATCH, "units", "layer \"%.80s\": wanted %zu units, its weight has %zu", l->name,
                       units, outputs);
    if (!code && bias) {
        code = layer_floats(s, l, "bias", "bias", 1, outputs, 0, &b, err);
        if (!code) code = stack_constant(s, l->name, "bias", 1, outputs, 0, b, &inputs[2], err);
    }
    return code ? code : layer_act(s, l, "dense", inputs, 3, act, value, err);
}

static rnnd_code build_layer_norm(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    size_t width = stack_width(s, l->inputs[0]);
    int layout, inputs[3] = {l->inputs[0], -1, -1};
    bool affine, bias;
    float epsilon;
    const float *f;
    rnnd_code code = read_layout(l, &layout, err);
    bool keras = layout == LAYOUT_KERAS;
    if (!code) code = option_bool(&l->options, "affine", true, &affine, err);
    if (!code) code = option_bool(&l->options, "bias", affine, &bias, err);
    if (!code) code = option_float(&l->options, "epsilon", keras ? 1e-3f : 1e-5f, &epsilon, err);
    if (!code && affine) {
        code = layer_floats(s, l, "weight", keras ? "gamma" : "weight", 1, width, 0, &f, err);
        if (!code) code = stack_constant(s, l->name, "weight", 1, width, 0, f, &inputs[1], err);
    }
    if (!code && bias) {
        code = layer_floats(s, l, "bias", keras ? "beta" : "bias", 1, width, 0, &f, err);
        if (!code) code = stack_constant(s, l->name, "bias", 1, width, 0, f, &inputs[2], err);
    }
    if (code) return code;
    struct graph_node *n = stack_begin(s, "layer_norm", l->name, inputs, 3, 1, err);
    if (!n) return RNND_NO_MEMORY;
    if (graph_attr_float(s->graph, n, "epsilon", epsilon)) return fail_memory(err, sizeof epsilon);
    *value = n->outputs[0];
    return stack_infer(s, n, err);
}

/* y = weight (x - mean) / sqrt(variance + epsilon) + bias, folded into y = x scale + shift */
static rnnd_code build_batch_norm(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    static const char *const torch_names[] = {"weight", "bias", "running_mean", "running_var"};
    static const char *const keras_names[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    size_t width = stack_width(s, l->inputs[0]);
    int layout, inputs[3] = {l->inputs[0], -1, -1};
    float epsilon;
    bool affine = true;
    const float *part[4] = {NULL};
    rnnd_code code = read_layout(l, &layout, err);
    if (!code) code = option_float(&l->options, "epsilon", layout == LAYOUT_KERAS ? 1e-3f : 1e-5f, &epsilon, err);
    if (!code) code = option_bool(&l->options, "affine", true, &affine, err);
    for (int i = affine ? 0 : 2; i < 4 && !code; i++)
        code = layer_floats(s, l, torch_names[i], (layout == LAYOUT_KERAS ? keras_names : torch_names)[i], 1, width, 0,
                            &part[i], err);
    if (code) return code;
    float *scale = mem_alloc(width, 2 * sizeof *scale), *shift = scale + width;
    if (!scale) return fail_memory(err, width * 2 * sizeof *scale);
    for (size_t i = 0; i < width; i++) {
        double k = (affine ? part[0][i] : 1.0) / sqrt((double)part[3][i] + epsilon);
        scale[i] = (float)k;
        shift[i] = (float)((affine ? part[1][i] : 0.0) - part[2][i] * k);
    }
    code = stack_constant(s, l->name, "scale", 1, width, 0, scale, &inputs[1], err);
    if (!code) code = stack_constant(s, l->name, "shift", 1, width, 0, shift, &inputs[2], err);
    mem_free(scale);
    return code ? code : stack_node(s, "scale_shift", l->name, inputs, 3, value, err);
}

static rnnd_code build_activation(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    struct act act;
    if (!json_get(l->options.object, "activation"))
        return fail_at(err, RNND_MISMATCH, "activation", "layer \"%.80s\": \"activation\" is missing", l->name);
    rnnd_code code = option_act(&l->options, "activation", (struct act){.kind = ACT_LINEAR}, &act, err);
    return code ? code : layer_act(s, l, "activation", l->inputs, 1, act, value, err);
}

/* x where it is positive, else alpha x: relu(x) - alpha relu(-x), of which one half is 0 */
static rnnd_code build_prelu(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    size_t width = stack_width(s, l->inputs[0]);
    const struct act relu = {.kind = ACT_RELU};
    struct checkpoint_tensor *t;
    const char *name, *full = stack_text(s->arena, "%s.weight", l->name);
    const float *alpha;
    if (!full) return fail_memory(err, strlen(l->name));
    t = tensor_named(&l->names, s->checkpoint, "weight", full, &name);
    size_t count = t && t->count == 1 ? 1 : width;
    rnnd_code code = tensor_floats(t, l->name, name, 1, &count, &alpha, err);
    if (code) return code;
    float *parts = mem_alloc(width, 3 * sizeof *parts); /* -1, -alpha, 0 */
    if (!parts) return fail_memory(err, width * 3 * sizeof *parts);
    for (size_t i = 0; i < width; i++) {
        parts[i] = -1.0f;
        parts[width + i] = -alpha[count == 1 ? 0 : i];
    }
    int turn[3] = {l->inputs[0], -1, -1}, half[2], back[3] = {-1, -1, -1};
    code = stack_constant(s, l->name, "minus", 1, width, 0, parts, &turn[1], err);
    if (!code) code = stack_constant(s, l->name, "weight", 1, width, 0, parts + width, &back[1], err);
    if (!code) code = stack_constant(s, l->name, "zero", 1, width, 0, parts + 2 * width, &turn[2], err);
    mem_free(parts);
    back[2] = turn[2];
    if (!code) code = layer_act(s, l, "activation", l->inputs, 1, relu, &half[0], err);
    if (!code) code = stack_node(s, "scale_shift", l->name, turn, 3, &half[1], err);
    if (!code) code = layer_act(s, l, "activation", &half[1], 1, relu, &back[0], err);
    if (!code) code = stack_node(s, "scale_shift", l->name, back, 3, &half[1], err);
    return code ? code : stack_node(s, "add", l->name, half, 2, value, err);
}

static rnnd_code build_dropout(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    float rate; /* trained with, of no effect here */
    rnnd_code code = option_float(&l->options, "rate", 0, &rate, err);
    return code ? code : stack_node(s, "identity", l->name, l->inputs, 1, value, err);
}

static rnnd_code build_slice(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    int64_t start, end, width = (int64_t)stack_width(s, l->inputs[0]);
    rnnd_code code = option_whole(&l->options, "start", 0, width - 1, 0, &start, err);
    if (!code) code = option_whole(&l->options, "end", start + 1, width, width, &end, err);
    struct graph_node *n = code ? NULL : stack_begin(s, "slice", l->name, l->inputs, 1, 1, err);
    if (!n) return code ? code : RNND_NO_MEMORY;
    if (graph_attr_int(s->graph, n, "start", start) || graph_attr_int(s->graph, n, "end", end))
        return fail_memory(err, sizeof end);
    *value = n->outputs[0];
    return stack_infer(s, n, err);
}

/* Layers that are one op of another name and have no options. */
static rnnd_code build_plain(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    static const char *const ops[][2] = {
        {"softmax", "softmax"}, {"log_softmax", "log_softmax"},
        {"concat", "concat"},   {"add", "add"},
        {"residual", "add"},    {"multiply", "mul"},
        {"subtract", "sub"},    {"reverse", "reverse"},
    };
    size_t i = 0;
    while (strcmp(ops[i][0], l->type->name) != 0)
        i++;
    return stack_node(s, ops[i][1], l->name, l->inputs, (int)l->source_count, value, err);
}

static rnnd_code build_attention_average(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    size_t width = stack_width(s, l->inputs[0]);
    const char *name, *full = stack_text(s->arena, "%s.weight", l->name);
    const float *w = NULL;
    int inputs[2] = {l->inputs[0], -1};
    char found[96] = "none";
    if (!full) return fail_memory(err, strlen(l->name));
    struct checkpoint_tensor *t = tensor_named(&l->names, s->checkpoint, "weight", full, &name);
    if (t) shape_text(found, t->rank, t->dim);
    if (!t || t->count != width) /* [F] or [F][1] */
        return fail_at(err, RNND_MISMATCH, name, "layer \"%.80s\", tensor \"%.80s\": wanted %zu weights, found %s",
                       l->name, name, width, found);
    rnnd_code code = checkpoint_floats(t, &w, err);
    if (!code) code = stack_constant(s, l->name, "weight", 1, width, 0, w, &inputs[1], err);
    return code ? code : stack_node(s, "attend", l->name, inputs, 2, value, err);
}

static const char *const no_keys[] = {NULL};
static const char *const embedding_keys[] = {"layout", NULL};
static const char *const dense_keys[] = {"layout", "activation", "bias", "units", NULL};
static const char *const layer_norm_keys[] = {"layout", "epsilon", "affine", "bias", NULL};
static const char *const batch_norm_keys[] = {"layout", "epsilon", "affine", NULL};
static const char *const activation_keys[] = {"activation", NULL};
static const char *const dropout_keys[] = {"rate", NULL};
static const char *const slice_keys[] = {"start", "end", NULL};

static const struct layer_type others[] = {
    {"embedding", embedding_keys, false, 1, 1, build_embedding},
    {"dense", dense_keys, false, 1, 1, build_dense},
    {"layer_norm", layer_norm_keys, false, 1, 1, build_layer_norm},
    {"batch_norm", batch_norm_keys, false, 1, 1, build_batch_norm},
    {"activation", activation_keys, false, 1, 1, build_activation},
    {"prelu", no_keys, false, 1, 1, build_prelu},
    {"dropout", dropout_keys, false, 1, 1, build_dropout},
    {"slice", slice_keys, false, 1, 1, build_slice},
    {"softmax", no_keys, false, 1, 1, build_plain},
    {"log_softmax", no_keys, false, 1, 1, build_plain},
    {"concat", no_keys, false, 1, MAX_INPUTS, build_plain},
    {"add", no_keys, false, 2, MAX_INPUTS, build_plain},
    {"residual", no_keys, false, 2, MAX_INPUTS, build_plain},
    {"multiply", no_keys, false, 2, MAX_INPUTS, build_plain},
    {"subtract", no_keys, false, 2, 2, build_plain},
    {"reverse", no_keys, true, 1, 1, build_plain},
    {"attention_average", no_keys, true, 1, 1, build_attention_average},
};

const struct layer_type *layer_type_find(const char *name)
{
    static const struct layer_type *const in_time[] = {&layer_lstm, &layer_gru, &layer_rnn, &layer_conv1d};
    for (size_t i = 0; i < sizeof in_time / sizeof *in_time; i++)
        if (strcmp(in_time[i]->name, name) == 0) return in_time[i];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i].name, name) == 0) return &others[i];
    return NULL;
}
