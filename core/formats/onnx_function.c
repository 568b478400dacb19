/* onnx_function.c -- the functions that an ONNX file defines: their nodes take the place of the call. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/onnx_private.h"

/* ModelProto: functions 25. FunctionProto: name 1, input 4, output 5, node 7, opset_import 9, domain 10,
 * attribute_proto 11. */
enum { MODEL_FUNCTION = 25, FUNCTION_INPUT = 4, FUNCTION_OUTPUT = 5, FUNCTION_NODE = 7, FUNCTION_OPSET = 9 };

rnnd_code onnx_read_functions(struct onnx_model *m, struct arena *arena, rnnd_error *err)
{
    struct bytes b = m->whole;
    struct proto_field f, part;
    rnnd_code code = RNND_OK;
    size_t count = 0;
    while (onnx_next(&b, &f, "the model", &code, err))
        count += f.number == MODEL_FUNCTION && f.wire == PROTO_SPAN;
    if (code || count == 0) return code;
    if (count > ONNX_MAX_FUNCTIONS)
        return fail(err, RNND_TOO_LARGE, "the model defines %zu functions, at most %d are read", count,
                    ONNX_MAX_FUNCTIONS);
    m->functions = arena_alloc(arena, count, sizeof *m->functions);
    if (!m->functions) return fail_memory(err, count * sizeof *m->functions);
    for (b = m->whole; !code && proto_next(&b, &f) == 1;) {
        if (f.number != MODEL_FUNCTION || f.wire != PROTO_SPAN) continue;
        struct onnx_function *to = &m->functions[m->function_count++];
        struct bytes function = to->span = f.span;
        while (onnx_next(&function, &part, "a function", &code, err)) {
            if (part.number == 1) to->name = part.span;
            if (part.number == 10) to->domain = part.span;
        }
    }
    return code;
}

const struct onnx_function *onnx_function(const struct onnx_model *m, const struct onnx_node *n)
{
    for (size_t i = 0; i < m->function_count; i++)
        if (onnx_is(m->functions[i].name, n->op) && onnx_is(m->functions[i].domain, n->domain)) return &m->functions[i];
    return NULL;
}

static rnnd_code bind_input(struct lowering *l, const struct onnx_scope *s, const struct onnx_scope *inner,
                            const struct onnx_node *n, struct bytes name, size_t i)
{
    int v;
    if (i >= n->input_count || n->inputs[i].size == 0)
        return fail_at(l->err, RNND_UNSUPPORTED, n->name,
                       "node \"%.80s\": the function \"%.80s\" is called without its input %zu", n->name, n->op, i);
    rnnd_code code = lower_value(l, s, n->inputs[i], n->name, &v);
    return code ? code : lower_name(l, inner, name, v);
}

static rnnd_code bind_output(struct lowering *l, const struct onnx_scope *s, const struct onnx_scope *inner,
                             const struct onnx_node *n, struct bytes name, size_t i)
{
    int v;
    if (i >= n->output_count || n->outputs[i].size == 0) return RNND_OK;
    rnnd_code code = lower_value(l, inner, name, n->op, &v);
    return code ? code : lower_name(l, s, n->outputs[i], v);
}

rnnd_code lower_call(struct lowering *l, const struct onnx_scope *s, const struct onnx_node *n, struct bytes function)
{
    struct onnx_scope inner = {NULL, ++l->scopes, s->body, n, 0, s->depth + 1};
    struct proto_field f;
    size_t inputs = 0, outputs = 0;
    if (inner.depth > ONNX_MAX_DEPTH)
        return fail_at(l->err, RNND_TOO_LARGE, n->op, "functions within functions, more than %d deep", ONNX_MAX_DEPTH);
    rnnd_code code = onnx_opset(function, FUNCTION_OPSET, &inner.opset, l->err);
    if (!code && inner.opset < 1) inner.opset = s->opset;
    for (struct bytes b = function; !code && onnx_next(&b, &f, "a function", &code, l->err);) {
        if (f.number == 11)
            code = fail_at(l->err, RNND_UNSUPPORTED, n->op, "the function \"%.80s\" has attributes with defaults",
                           n->op);
        if (f.number == FUNCTION_INPUT) code = bind_input(l, s, &inner, n, f.span, inputs++);
    }
    if (!code) code = lower_nodes(l, &inner, function, FUNCTION_NODE);
    for (struct bytes b = function; !code && onnx_next(&b, &f, "a function", &code, l->err);)
        if (f.number == FUNCTION_OUTPUT) code = bind_output(l, s, &inner, n, f.span, outputs++);
    if (!code && outputs < n->output_count)
        code = fail_at(l->err, RNND_CORRUPT, n->name, "node \"%.80s\": the function \"%.80s\" has %zu outputs, %zu are "
                       "named", n->name, n->op, outputs, n->output_count);
    return code;
}
