/* onnx_emit.c -- nodes and constants of an ONNX document into a graph. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/onnx_private.h"
#include "core/ops/op.h"

/* ---- constants ---- */

int lower_tensor(struct lowering *l, const struct checkpoint_tensor *t)
{
    size_t bytes = t->count * dtype_bytes(stored_dtype(t->stored));
    if (t->count > l->constant_limit || bytes > l->constant_limit - l->constant_bytes) {
        fail_at(l->err, RNND_TOO_LARGE, t->name, "tensor \"%.80s\": with it the constants take more than %zu bytes",
                t->name, l->constant_limit);
        return -1;
    }
    l->constant_bytes += bytes;
    int v = checkpoint_constant(l->g, t);
    if (v < 0) fail_memory(l->err, bytes);
    return v;
}

int lower_ints(struct lowering *l, const char *name, const int64_t *v, size_t count, int rank)
{
    struct checkpoint_tensor t = {.name = name, .stored = STORED_I64, .rank = rank, .dim = {count}, .count = count,
                                  .raw = (const uint8_t *)v};
    return lower_tensor(l, &t);
}

int lower_float(struct lowering *l, const char *name, float v)
{
    struct checkpoint_tensor t = {.name = name, .stored = STORED_F32, .count = 1, .raw = (const uint8_t *)&v};
    return lower_tensor(l, &t);
}

/* ---- nodes ---- */

static rnnd_code unknown(struct lowering *l, const struct onnx_scope *s, const struct onnx_node *n)
{
    bool ours = n->domain[0] == 0 || strcmp(n->domain, "ai.onnx") == 0;
    if (!ours)
        return fail_at(l->err, RNND_UNSUPPORTED, n->name,
                       "node \"%.80s\": operator \"%.80s\" is of the domain \"%.80s\"; those of ONNX itself are read",
                       n->name, n->op, n->domain);
    return fail_at(l->err, RNND_UNSUPPORTED, n->name, "node \"%.80s\": there is no operator \"%.80s\" (opset %lld)",
                   n->name, n->op, (long long)s->opset);
}

static const struct op *find_op(const char *name)
{
    return name[0] >= 'A' && name[0] <= 'Z' ? op_find(name) : NULL; /* the others are those of sequence graphs */
}

int lower_extra(struct lowering *l, const struct onnx_scope *s, const char *op, const char *node, const char *what,
                const int *inputs, int input_count, const char *attr, int64_t attr_value)
{
    char name[128];
    const struct op *found = find_op(op);
    snprintf(name, sizeof name, "%.100s:%s", node, what);
    struct graph_node *n = NULL;
    int v = -1;
    if (!found)
        fail_at(l->err, RNND_UNSUPPORTED, node, "node \"%.80s\": there is no operator \"%s\"", node, op);
    else if ((v = graph_value(l->g, name)) < 0 || !(n = graph_node_in(l->g, s->body, found, name, input_count, 1)) ||
             (attr && graph_attr_int(l->g, n, attr, attr_value)))
        fail_memory(l->err, sizeof *n);
    else {
        memcpy(n->inputs, inputs, (size_t)input_count * sizeof *inputs);
        n->outputs[0] = v;
        return v;
    }
    return -1;
}

static rnnd_code copy_attribute(struct lowering *l, struct graph_node *n, const struct onnx_attribute *a)
{
    rnnd_code code = RNND_OK;
    switch (a->kind) {
    case ONNX_FLOAT:
        code = graph_attr_float(l->g, n, a->name, a->f);
        break;
    case ONNX_INT:
        code = graph_attr_int(l->g, n, a->name, a->i);
        break;
    case ONNX_STRING:
        code = graph_attr_string(l->g, n, a->name, a->s);
        break;
    case ONNX_FLOATS:
        code = graph_attr_floats(l->g, n, a->name, a->floats, a->count);
        break;
    case ONNX_INTS:
        code = graph_attr_ints(l->g, n, a->name, a->ints, a->count);
        break;
    case ONNX_STRINGS:
        code = graph_attr_strings(l->g, n, a->name, a->strings, a->count);
        break;
    default:
        return fail_at(l->err, RNND_UNSUPPORTED, n->name, "node \"%.80s\": its attribute \"%.80s\" is of a kind that "
                       "%s does not take", n->name, a->name, n->op->name);
    }
    return code ? fail_memory(l->err, a->count) : RNND_OK;
}

static rnnd_code lower_body(struct lowering *l, const struct onnx_scope *s, struct graph_node *n,
                            const struct onnx_node *node, const char *which)
{
    const struct onnx_attribute *a = onnx_attribute(node, which);
    if (!a || a->kind != ONNX_GRAPH)
        return fail_at(l->err, RNND_CORRUPT, node->name, "node \"%.80s\": its %s is missing", node->name, which);
    struct graph_body *body = graph_add_body(l->g, n);
    if (!body) return fail_memory(l->err, sizeof *body);
    struct onnx_scope inner = {s, 0, body, s->caller, s->opset, s->depth + 1};
    return lower_graph(l, a->span, &inner);
}

static rnnd_code lower_bodies(struct lowering *l, const struct onnx_scope *s, struct graph_node *n,
                              const struct onnx_node *node)
{
    bool two = strcmp(node->op, "If") == 0;
    if (!two && strcmp(node->op, "Loop") != 0 && strcmp(node->op, "Scan") != 0) return RNND_OK;
    rnnd_code code = lower_body(l, s, n, node, two ? "then_branch" : "body");
    return code || !two ? code : lower_body(l, s, n, node, "else_branch");
}

static rnnd_code emit(struct lowering *l, const struct onnx_scope *s, const struct draft *d)
{
    const struct op *op = find_op(d->op);
    const struct onnx_node *node = d->node;
    if (!op) return unknown(l, s, node);
    struct graph_node *n = graph_node_in(l->g, s->body, op, node->name, d->input_count, (int)node->output_count);
    if (!n) return fail_memory(l->err, sizeof *n);
    memcpy(n->inputs, d->inputs, (size_t)d->input_count * sizeof *d->inputs);
    for (size_t i = 0; i < node->attribute_count; i++) {
        const struct onnx_attribute *a = &node->attributes[i];
        const char *const *known = op->attributes;
        while (known && *known && strcmp(*known, a->name) != 0)
            known++;
        if ((!known || !*known) && (a->kind == ONNX_GRAPH || onnx_harmless(d->op, a))) continue;
        rnnd_code code = copy_attribute(l, n, a);
        if (code) return code;
    }
    rnnd_code code = lower_bodies(l, s, n, node); /* adds to other lists than the one n stands in */
    for (size_t i = 0; i < node->output_count && !code; i++) {
        struct proto_field f = {.wire = PROTO_SPAN, .span = node->outputs[i]};
        const char *name;
        if (f.span.size == 0) continue;
        code = onnx_text(&f, "the name of a value", d->scratch, &name, l->err);
        if (!code && (n->outputs[i] = graph_value(l->g, name)) < 0) code = fail_memory(l->err, f.span.size);
        if (!code) code = lower_name(l, s, f.span, n->outputs[i]);
    }
    return code;
}

/* Constant: value, value_int(s), value_float(s) */
static rnnd_code lower_constant(struct lowering *l, const struct onnx_scope *s, const struct onnx_node *n,
                                struct arena *scratch)
{
    const struct onnx_attribute *a = n->attribute_count ? &n->attributes[0] : NULL;
    struct checkpoint_tensor t = {.name = n->name, .count = 1};
    for (size_t i = 1; i < n->attribute_count; i++)
        if (strncmp(n->attributes[i].name, "value", 5) == 0) a = &n->attributes[i];
    if (!a || n->output_count != 1)
        return fail_at(l->err, RNND_CORRUPT, n->name, "node \"%.80s\": a Constant without a value", n->name);
    if (a->kind == ONNX_TENSOR) {
        rnnd_code code = onnx_tensor_read(a->span.data, a->span.size, scratch, &t, l->err);
        if (code) return code;
    } else if (a->kind == ONNX_INT || a->kind == ONNX_INTS) {
        t.stored = STORED_I64;
        t.raw = (const uint8_t *)(a->kind == ONNX_INT ? &a->i : a->ints);
    } else if (a->kind == ONNX_FLOAT || a->kind == ONNX_FLOATS) {
        t.stored = STORED_F32;
        t.raw = (const uint8_t *)(a->kind == ONNX_FLOAT ? &a->f : a->floats);
    } else {
        return fail_at(l->err, RNND_UNSUPPORTED, n->name, "node \"%.80s\": a constant of text or a sparse one",
                       n->name);
    }
    if (a->kind == ONNX_INTS || a->kind == ONNX_FLOATS) {
        t.rank = 1;
        t.dim[0] = t.count = a->count;
    }
    struct proto_field f = {.wire = PROTO_SPAN, .span = n->outputs[0]};
    rnnd_code code = onnx_text(&f, "the name of a value", scratch, &t.name, l->err);
    if (code) return code;
    int v = lower_tensor(l, &t);
    return v < 0 ? l->err->code : lower_name(l, s, n->outputs[0], v);
}

static rnnd_code lower_operator(struct lowering *l, const struct onnx_scope *s, struct onnx_node *n,
                                struct arena *scratch)
{
    struct draft d = {.op = n->op, .node = n, .input_count = (int)n->input_count, .scratch = scratch};
    d.inputs = arena_alloc(scratch, n->input_count + 8, sizeof *d.inputs);
    if (!d.inputs) return fail_memory(l->err, n->input_count * sizeof *d.inputs);
    for (size_t i = 0; i < n->input_count; i++) {
        d.inputs[i] = -1;
        if (n->inputs[i].size == 0) continue;
        rnnd_code code = lower_value(l, s, n->inputs[i], n->name, &d.inputs[i]);
        if (code) return code;
    }
    rnnd_code code = onnx_upgrade(l, s, &d);
    return code ? code : emit(l, s, &d);
}

rnnd_code lower_node(struct lowering *l, const struct onnx_scope *s, struct bytes span)
{
    struct arena scratch;
    struct onnx_node n;
    const struct onnx_function *function = NULL;
    arena_init(&scratch, l->constant_limit);
    rnnd_code code = onnx_node_read(span, s->caller, &scratch, &n, l->err);
    if (!code) function = onnx_function(l->model, &n);
    if (!code && function)
        code = lower_call(l, s, &n, function->span);
    else if (!code && n.domain[0] && strcmp(n.domain, "ai.onnx") != 0)
        code = unknown(l, s, &n);
    else if (!code && n.output_count == 0)
        code = fail_at(l->err, RNND_CORRUPT, n.name, "node \"%.80s\" (%.80s) makes nothing", n.name, n.op);
    else if (!code && strcmp(n.op, "Constant") == 0)
        code = lower_constant(l, s, &n, &scratch);
    else if (!code)
        code = lower_operator(l, s, &n, &scratch);
    arena_free(&scratch);
    return code;
}
