/* onnx_upgrade.c -- raises nodes of older operator sets to the forms of opset 18: what was an attribute becomes an
 * input, what was said otherwise is said anew. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/onnx_private.h"

static const char *const no_meaning[] = {/* an operator that does not know them loses nothing */
    "seed", "saturate", "momentum", "is_test", "consumed_inputs", "stash_type", "output_sequence", "cubic_coeff_a",
    "extrapolation_value", "antialias", "keep_aspect_ratio_policy", "__torch_scope", "doc_string"};
static const char *const no_meaning_if_0[] = {"allowzero", "select_last_index", "noop_with_empty_axes", "storage_order",
    "ceil_mode", "training_mode", "batch_dims", "exclude_outside", "layout", "count_include_pad", "input_forget",
    "broadcast", "exclusive", "reverse"};

bool onnx_harmless(const char *op, const struct onnx_attribute *a)
{
    if (a->name[0] == '_' || strcmp(a->name, "to") == 0) return a->name[0] == '_';
    for (size_t i = 0; i < sizeof no_meaning / sizeof *no_meaning; i++)
        if (strcmp(no_meaning[i], a->name) == 0) return true;
    for (size_t i = 0; i < sizeof no_meaning_if_0 / sizeof *no_meaning_if_0; i++)
        if (strcmp(no_meaning_if_0[i], a->name) == 0) return a->kind == ONNX_INT && a->i == 0;
    return strcmp(op, "BatchNormalization") == 0 && strcmp(a->name, "spatial") == 0;
}

/* ---- the tools ---- */

static void drop(struct draft *d, const char *name)
{
    struct onnx_attribute *a = onnx_attribute(d->node, name);
    if (a) *a = d->node->attributes[--d->node->attribute_count];
}

/* There is room for three more than the file has. */
static void add_attribute(struct draft *d, struct onnx_attribute a)
{
    if (!onnx_attribute(d->node, a.name)) d->node->attributes[d->node->attribute_count++] = a;
}

static void set_input(struct draft *d, int slot, int value)
{
    while (d->input_count <= slot)
        d->inputs[d->input_count++] = -1;
    d->inputs[slot] = value;
}

static rnnd_code refuse(struct lowering *l, const struct draft *d, const char *what)
{
    return fail_at(l->err, RNND_UNSUPPORTED, d->node->name, "node \"%.80s\": %s %s is not read", d->node->name, d->op,
                   what);
}

static rnnd_code ints_to_input(struct lowering *l, struct draft *d, const char *name, int slot)
{
    const struct onnx_attribute *a = onnx_attribute(d->node, name);
    if (!a) return RNND_OK;
    if (a->kind != ONNX_INTS && a->kind != ONNX_INT) return refuse(l, d, "with such a list");
    int v = lower_ints(l, name, a->kind == ONNX_INT ? &a->i : a->ints, a->kind == ONNX_INT ? 1 : a->count, 1);
    if (v < 0) return l->err->code;
    set_input(d, slot, v);
    drop(d, name);
    return RNND_OK;
}

static rnnd_code float_to_input(struct lowering *l, struct draft *d, const char *name, int slot)
{
    const struct onnx_attribute *a = onnx_attribute(d->node, name);
    if (!a) return RNND_OK;
    int v = lower_float(l, name, a->f);
    if (v < 0) return l->err->code;
    set_input(d, slot, v);
    drop(d, name);
    return RNND_OK;
}

/* ---- the operators ---- */

static rnnd_code up_axes(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    (void)s;
    return ints_to_input(l, d, "axes", 1);
}

static rnnd_code up_slice(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    (void)s;
    rnnd_code code = ints_to_input(l, d, "starts", 1);
    if (!code) code = ints_to_input(l, d, "ends", 2);
    return code ? code : ints_to_input(l, d, "axes", 3);
}

static rnnd_code up_split(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    (void)s;
    rnnd_code code = ints_to_input(l, d, "split", 1);
    if (d->input_count < 2)
        add_attribute(d, (struct onnx_attribute){
                             .name = "num_outputs", .kind = ONNX_INT, .i = (int64_t)d->node->output_count});
    return code;
}

static rnnd_code up_pad(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    (void)s;
    rnnd_code code = ints_to_input(l, d, "paddings", 1);
    if (!code) code = ints_to_input(l, d, "pads", 1);
    return code ? code : float_to_input(l, d, "value", 2);
}

static rnnd_code up_clip(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    (void)s;
    rnnd_code code = float_to_input(l, d, "min", 1);
    return code ? code : float_to_input(l, d, "max", 2);
}

static rnnd_code up_reshape(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    (void)s;
    return ints_to_input(l, d, "shape", 1);
}

static rnnd_code up_topk(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    (void)s;
    return ints_to_input(l, d, "k", 1);
}

/* At run time it passes its input on; its mask is true everywhere. */
static rnnd_code up_dropout(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    struct onnx_node *n = d->node;
    const struct graph_value *training = d->input_count > 2 && d->inputs[2] >= 0 ? &l->g->values[d->inputs[2]] : NULL;
    if (training && (!training->is_constant || training->dtype != DTYPE_BOOL || *(uint8_t *)training->constant.data))
        return refuse(l, d, "in training");
    if (n->output_count > 1 && n->outputs[1].size) {
        const uint8_t yes = 1;
        const struct checkpoint_tensor t = {.name = "true", .stored = STORED_BOOL, .count = 1, .raw = &yes};
        int inputs[2] = {lower_tensor(l, &t), -1};
        if (inputs[0] < 0) return l->err->code;
        inputs[1] = lower_extra(l, s, "Shape", n->name, "shape", d->inputs, 1, NULL, 0);
        int mask = inputs[1] < 0 ? -1 : lower_extra(l, s, "Expand", n->name, "mask", inputs, 2, NULL, 0);
        rnnd_code code = mask < 0 ? l->err->code : lower_name(l, s, n->outputs[1], mask);
        if (code) return code;
    }
    d->op = "Identity";
    d->input_count = 1;
    n->output_count = 1;
    n->attribute_count = 0;
    return RNND_OK;
}

/* Before opset 13 the axes from `axis` on (default 1) were one: over the last axis alone it is the same. */
static rnnd_code up_softmax(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    if (s->opset >= 13 || d->input_count != 1) return RNND_OK;
    struct onnx_node *n = d->node;
    const struct onnx_attribute *a = onnx_attribute(n, "axis");
    const struct name *rank = names_find(&l->ranks, s->id, n->inputs[0]);
    if (!rank && n->output_count) rank = names_find(&l->ranks, s->id, n->outputs[0]);
    int64_t axis = a ? a->i : 1;
    bool last = axis == -1 || (rank && axis == rank->value - 1);
    drop(d, "axis");
    if (last) {
        add_attribute(d, (struct onnx_attribute){.name = "axis", .kind = ONNX_INT, .i = -1});
        return RNND_OK;
    }
    int flat = lower_extra(l, s, "Flatten", n->name, "flat", d->inputs, 1, "axis", axis);
    int soft = flat < 0 ? -1 : lower_extra(l, s, d->op, n->name, "rows", &flat, 1, "axis", -1);
    int shape = soft < 0 ? -1 : lower_extra(l, s, "Shape", n->name, "shape", d->inputs, 1, NULL, 0);
    if (shape < 0) return l->err->code;
    d->op = "Reshape";
    d->inputs[0] = soft;
    set_input(d, 1, shape);
    n->attribute_count = 0;
    return RNND_OK;
}

static rnnd_code up_batch_norm(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    const struct onnx_attribute *training = onnx_attribute(d->node, "training_mode");
    const struct onnx_attribute *spatial = onnx_attribute(d->node, "spatial");
    (void)s;
    if (training && training->i) return refuse(l, d, "in training");
    if (spatial && !spatial->i && s->opset < 9) return refuse(l, d, "that is not spatial");
    d->node->output_count = d->node->output_count ? 1 : 0; /* the others are for training */
    return RNND_OK;
}

/* Upsample and the first Resize: asymmetric, nearest by rounding down. */
static rnnd_code up_resize(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    if (strcmp(d->op, "Resize") == 0 && s->opset > 10) return RNND_OK;
    struct onnx_attribute *scales = onnx_attribute(d->node, "scales");
    int v = d->input_count > 1 ? d->inputs[1] : -1;
    if (scales) {
        struct checkpoint_tensor t = {.name = "scales", .stored = STORED_F32, .rank = 1, .dim = {scales->count},
                                      .count = scales->count, .raw = (const uint8_t *)scales->floats};
        if (scales->kind != ONNX_FLOATS) return refuse(l, d, "with such scales");
        if ((v = lower_tensor(l, &t)) < 0) return l->err->code;
        drop(d, "scales");
    }
    d->op = "Resize";
    set_input(d, 2, v);
    d->inputs[1] = -1;
    add_attribute(d, (struct onnx_attribute){
                         .name = "coordinate_transformation_mode", .kind = ONNX_STRING, .s = "asymmetric"});
    add_attribute(d, (struct onnx_attribute){.name = "nearest_mode", .kind = ONNX_STRING, .s = "floor"});
    return RNND_OK;
}

/* Before opset 7 a broadcast had to be asked for; where it was over the last axes, as now, it need not be. */
static rnnd_code up_broadcast(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    if (s->opset < 7 && onnx_attribute(d->node, "axis")) return refuse(l, d, "with a broadcast axis (opset < 7)");
    if (s->opset < 7) drop(d, "broadcast");
    return RNND_OK;
}

static rnnd_code up_scan(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    return s->opset < 9 ? refuse(l, d, "of opset 8") : RNND_OK;
}

static rnnd_code up_cast(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    struct onnx_attribute *to = onnx_attribute(d->node, "to");
    enum stored stored;
    (void)s;
    if (!to) return refuse(l, d, "without a type");
    if (to->kind == ONNX_STRING) { /* before opset 6: "FLOAT" */
        char lower[16] = "";
        for (size_t i = 0; i + 1 < sizeof lower && to->s[i]; i++)
            lower[i] = (char)(to->s[i] >= 'A' && to->s[i] <= 'Z' ? to->s[i] + 32 : to->s[i]);
        to->kind = ONNX_INT;
        for (to->i = 1; to->i < 17 && strcmp(onnx_type_name(to->i), lower) != 0;)
            to->i++;
    }
    if (!onnx_stored(to->i, &stored))
        return fail_at(l->err, RNND_UNSUPPORTED, d->node->name, "node \"%.80s\": a cast to %s is not read",
                       d->node->name, onnx_type_name(to->i));
    return RNND_OK;
}

/* A constant of one element spread over the shape: what Expand does. */
static rnnd_code up_constant_of_shape(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    const struct onnx_attribute *a = onnx_attribute(d->node, "value");
    struct checkpoint_tensor t;
    int v;
    (void)s;
    if (a && a->kind != ONNX_TENSOR) return refuse(l, d, "with such a value");
    if (a) {
        rnnd_code code = onnx_tensor_read(a->span.data, a->span.size, d->scratch, &t, l->err);
        if (code) return code;
        if (t.count != 1) return refuse(l, d, "with more than one value");
        t.rank = 0;
        t.name = "value";
        v = lower_tensor(l, &t);
    } else {
        v = lower_float(l, "value", 0);
    }
    if (v < 0) return l->err->code;
    if (d->input_count < 1) return refuse(l, d, "without a shape");
    d->op = "Expand";
    set_input(d, 1, d->inputs[0]);
    d->inputs[0] = v;
    d->node->attribute_count = 0;
    return RNND_OK;
}

static rnnd_code up_concat(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    (void)l;
    if (s->opset < 4) add_attribute(d, (struct onnx_attribute){.name = "axis", .kind = ONNX_INT, .i = 1});
    return RNND_OK;
}

static const struct {
    const char *op;
    rnnd_code (*up)(struct lowering *l, const struct onnx_scope *s, struct draft *d);
} upgrades[] = {
    {"Squeeze", up_axes},         {"Unsqueeze", up_axes},     {"ReduceSum", up_axes},       {"ReduceMean", up_axes},
    {"ReduceMax", up_axes},       {"ReduceMin", up_axes},     {"ReduceProd", up_axes},      {"ReduceL1", up_axes},
    {"ReduceL2", up_axes},        {"ReduceLogSum", up_axes},  {"ReduceLogSumExp", up_axes},
    {"ReduceSumSquare", up_axes},
    {"Slice", up_slice},          {"Split", up_split},        {"Pad", up_pad},              {"Clip", up_clip},
    {"Dropout", up_dropout},      {"Softmax", up_softmax},    {"LogSoftmax", up_softmax},   {"Hardmax", up_softmax},
    {"Upsample", up_resize},      {"Resize", up_resize},      {"TopK", up_topk},            {"Reshape", up_reshape},
    {"Scan", up_scan},            {"Cast", up_cast},          {"Concat", up_concat},        {"Gemm", up_broadcast},
    {"Add", up_broadcast},        {"Sub", up_broadcast},      {"Mul", up_broadcast},        {"Div", up_broadcast},
    {"Pow", up_broadcast},        {"And", up_broadcast},      {"Or", up_broadcast},         {"Xor", up_broadcast},
    {"Equal", up_broadcast},      {"Less", up_broadcast},     {"Greater", up_broadcast},
    {"BatchNormalization", up_batch_norm},                    {"ConstantOfShape", up_constant_of_shape},
};

rnnd_code onnx_upgrade(struct lowering *l, const struct onnx_scope *s, struct draft *d)
{
    for (size_t i = 0; i < sizeof upgrades / sizeof *upgrades; i++)
        if (strcmp(upgrades[i].op, d->op) == 0) return upgrades[i].up(l, s, d);
    return RNND_OK;
}
