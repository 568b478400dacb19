/* layers_conv.c -- causal convolutions over time.
 *
 *   y_t = act(b + sum over k of W_k x_(t - (K - 1 - k) dilation)),  x before the first step 0
 *
 * The inputs of the last (K - 1) dilation steps are a state, so that a step answers what a window answers. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/layers.h"
#include "core/ops/op.h"

#define MAX_TAIL ((size_t)1 << 22) /* floats of such a state */
#define MAX_KERNEL 4096
#define MAX_DILATION 65536
#define JOINED 15 /* taps that one concat takes beside those before */

static const char *const layouts[] = {DIALECT_LAYOUTS, NULL};
enum { LAYOUT_PYTORCH, LAYOUT_KERAS = 2 };

struct conv {
    size_t kernel, dilation, inputs, outputs, tail; /* tail: floats of the state */
    int layout;
    bool bias;
    struct act act;
};

bool layers_stepwise(const struct json *config)
{
    for (const struct json *j = json_first(json_get(config, "layers")); j; j = json_next(j)) {
        const char *type = json_string(json_get(j, "type"));
        if (type && strcmp(type, "conv1d") == 0 && json_number(json_get(j, "kernel")) != 1) return true;
    }
    return false;
}

static rnnd_code read_options(struct stack *s, struct layer *l, struct conv *c, rnnd_error *err)
{
    const struct options *o = &l->options;
    rnnd_code code = option_choice(o, "layout", layouts, 0, &c->layout, err);
    if (!code && c->layout != LAYOUT_PYTORCH && c->layout != LAYOUT_KERAS)
        code = fail_at(err, RNND_UNSUPPORTED, "layout", "layer \"%.80s\": conv1d has the layouts pytorch and keras",
                       l->name);
    if (!code) code = option_size(o, "kernel", 1, MAX_KERNEL, OPTION_REQUIRED, &c->kernel, err);
    if (!code) code = option_size(o, "dilation", 1, MAX_DILATION, 1, &c->dilation, err);
    if (!code) code = option_bool(o, "bias", true, &c->bias, err);
    if (!code) code = option_act(o, "activation", (struct act){.kind = ACT_LINEAR}, &c->act, err);
    if (code) return code;
    c->inputs = stack_width(s, l->inputs[0]);
    c->tail = (c->kernel - 1) * c->dilation * c->inputs; /* below 2^12 * 2^16 * 2^20 */
    if (c->tail > MAX_TAIL)
        return fail_at(err, RNND_TOO_LARGE, "kernel", "layer \"%.80s\": a state of %zu floats, at most %zu are kept",
                       l->name, c->tail, MAX_TAIL);
    return RNND_OK;
}

/* W as [outputs][kernel * inputs], the oldest step first. Keras has [kernel][inputs][outputs], PyTorch
 * [outputs][inputs] [kernel]. */
static rnnd_code read_weight(struct stack *s, struct layer *l, struct conv *c, int *constant, rnnd_error *err)
{
    bool keras = c->layout == LAYOUT_KERAS;
    const char *name, *full = stack_text(s->arena, "%s.%s", l->name, keras ? "kernel" : "weight");
    const float *from;
    if (!full) return fail_memory(err, strlen(l->name));
    struct checkpoint_tensor *t = tensor_named(&l->names, s->checkpoint, "weight", full, &name);
    size_t dim[3] = {c->kernel, c->inputs, 1};
    c->outputs = t && t->rank == 3 && t->dim[keras ? 2 : 0] ? t->dim[keras ? 2 : 0] : 1;
    if (keras)
        dim[2] = c->outputs;
    else
        memcpy(dim, (const size_t[]){c->outputs, c->inputs, c->kernel}, sizeof dim);
    rnnd_code code = tensor_floats(t, l->name, name, 3, dim, &from, err);
    if (code) return code;
    float *turned = mem_alloc(t->count, sizeof *turned);
    if (!turned) return fail_memory(err, t->count * sizeof *turned);
    for (size_t o = 0; o < c->outputs; o++)
        for (size_t k = 0; k < c->kernel; k++)
            for (size_t i = 0; i < c->inputs; i++)
                turned[(o * c->kernel + k) * c->inputs + i] =
                    keras ? from[(k * c->inputs + i) * c->outputs + o] : from[(o * c->inputs + i) * c->kernel + k];
    code = stack_constant(s, l->name, "weight", 2, c->outputs, c->kernel * c->inputs, turned, constant, err);
    mem_free(turned);
    return code;
}

static rnnd_code part(struct stack *s, struct layer *l, int from, size_t start, size_t end, int *value, rnnd_error *err)
{
    struct graph_node *n = stack_begin(s, "slice", l->name, &from, 1, 1, err);
    if (!n) return RNND_NO_MEMORY;
    if (graph_attr_int(s->graph, n, "start", (int64_t)start) || graph_attr_int(s->graph, n, "end", (int64_t)end))
        return fail_memory(err, sizeof end);
    *value = n->outputs[0];
    return stack_infer(s, n, err);
}

/* The steps that the kernel meets, side by side, of a row that holds all of the last ones. */
static rnnd_code gather(struct stack *s, struct layer *l, const struct conv *c, int row, int *taps, rnnd_error *err)
{
    int parts[JOINED + 1], count = 0;
    rnnd_code code = RNND_OK;
    *taps = row;
    if (c->dilation == 1) return RNND_OK;
    for (size_t k = 0; k < c->kernel && !code; k++) {
        size_t at = k * c->dilation * c->inputs;
        code = part(s, l, row, at, at + c->inputs, &parts[count++], err);
        if (code || (count <= JOINED && k + 1 < c->kernel)) continue;
        code = stack_node(s, "concat", l->name, parts, count, taps, err);
        parts[0] = *taps;
        count = 1;
    }
    return code;
}

/* The state and this step's input in one row, and the state's successor out of it. */
static rnnd_code keep_tail(struct stack *s, struct layer *l, const struct conv *c, int *row, rnnd_error *err)
{
    const char *name = stack_text(s->arena, "%s.x", l->name);
    int in = name ? graph_value(s->graph, name) : -1, both[2] = {-1, l->inputs[0]}, out;
    if (in < 0) return fail_memory(err, sizeof(struct graph_value));
    graph_shape(s->graph, in, 2, (const int64_t[]){-1, (int64_t)c->tail});
    rnnd_code code = stack_node(s, "as_step", l->name, &in, 1, &both[0], err);
    if (!code) code = stack_node(s, "concat", l->name, both, 2, row, err);
    if (!code) code = part(s, l, *row, c->inputs, c->inputs + c->tail, &out, err);
    return code ? code : stack_state(s, name, 'x', in, out, c->tail, NULL, err);
}

static rnnd_code build(struct stack *s, struct layer *l, int *value, rnnd_error *err)
{
    struct conv c = {0};
    int inputs[3] = {l->inputs[0], -1, -1}, row;
    const float *bias;
    rnnd_code code = read_options(s, l, &c, err);
    if (!code) code = read_weight(s, l, &c, &inputs[1], err);
    if (!code && c.bias) {
        code = layer_floats(s, l, "bias", "bias", 1, c.outputs, 0, &bias, err);
        if (!code) code = stack_constant(s, l->name, "bias", 1, c.outputs, 0, bias, &inputs[2], err);
    }
    if (!code && c.tail) {
        code = keep_tail(s, l, &c, &row, err);
        if (!code) code = gather(s, l, &c, row, &inputs[0], err);
    }
    l->detail = code ? NULL : stack_text(s->arena, "causal, kernel %zu, dilation %zu", c.kernel, c.dilation);
    if (!code && !l->detail) code = fail_memory(err, 64);
    return code ? code : layer_act(s, l, "dense", inputs, 3, c.act, value, err);
}

static const char *const keys[] = {"layout", "kernel", "dilation", "bias", "activation", NULL};
const struct layer_type layer_conv1d = {"conv1d", keys, true, 1, 1, build};
