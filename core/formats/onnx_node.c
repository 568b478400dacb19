/* onnx_node.c -- reads nodes with their attributes, and the declarations of values. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/onnx_private.h"

/* AttributeProto: name 1, f 2, i 3, s 4, t 5, g 6, floats 7, ints 8, strings 9, type 20, ref_attr_name 21 */
enum { ATTRIBUTE_FLOATS = 7, ATTRIBUTE_INTS = 8, ATTRIBUTE_STRINGS = 9 };

struct onnx_attribute *onnx_attribute(const struct onnx_node *n, const char *name)
{
    for (size_t i = 0; i < n->attribute_count; i++)
        if (strcmp(n->attributes[i].name, name) == 0) return &n->attributes[i];
    return NULL;
}

struct counts { size_t floats, ints, strings; };

static rnnd_code count_lists(struct bytes b, struct counts *c, rnnd_error *err)
{
    struct proto_field f;
    rnnd_code code = RNND_OK;
    size_t n = 0;
    while (onnx_next(&b, &f, "an attribute", &code, err)) {
        bool fine = true;
        if (f.number == ATTRIBUTE_FLOATS && (fine = proto_count(&f, PROTO_FIXED32, &n))) c->floats += n;
        if (f.number == ATTRIBUTE_INTS && (fine = proto_count(&f, PROTO_VARINT, &n))) c->ints += n;
        if (f.number == ATTRIBUTE_STRINGS) c->strings++;
        if (!fine) return fail(err, RNND_CORRUPT, "an attribute's list of numbers is damaged");
        if (c->floats > ONNX_MAX_LIST || c->ints > ONNX_MAX_LIST || c->strings > ONNX_MAX_LIST)
            return fail(err, RNND_TOO_LARGE, "an attribute lists more than %zu elements", ONNX_MAX_LIST);
    }
    return code;
}

static rnnd_code fill_lists(struct bytes b, const struct counts *c, struct arena *scratch, struct onnx_attribute *out,
                            rnnd_error *err)
{
    float *floats = arena_alloc(scratch, c->floats + 1, sizeof *floats);
    int64_t *ints = arena_alloc(scratch, c->ints + 1, sizeof *ints);
    const char **strings = arena_alloc(scratch, c->strings + 1, sizeof *strings);
    struct counts at = {0};
    struct proto_field f;
    uint64_t v;
    rnnd_code code = RNND_OK;
    if (!floats || !ints || !strings) return fail_memory(err, c->ints * sizeof *ints);
    while (!code && onnx_next(&b, &f, "an attribute", &code, err)) {
        struct proto_numbers list;
        if (f.number == ATTRIBUTE_FLOATS)
            for (list = proto_numbers(&f, PROTO_FIXED32); proto_number(&list, &v);)
                floats[at.floats++] = proto_float(v);
        if (f.number == ATTRIBUTE_INTS)
            for (list = proto_numbers(&f, PROTO_VARINT); proto_number(&list, &v);)
                ints[at.ints++] = (int64_t)v;
        if (f.number == ATTRIBUTE_STRINGS)
            code = onnx_text(&f, "an attribute's text", scratch, &strings[at.strings++], err);
    }
    out->floats = floats;
    out->ints = ints;
    out->strings = strings;
    return code;
}

/* Older files do not say which kind an attribute is: what is there tells. */
static int64_t guess_kind(const struct counts *c, uint32_t last)
{
    static const int64_t by_field[] = {[2] = ONNX_FLOAT, [3] = ONNX_INT, [4] = ONNX_STRING, [5] = ONNX_TENSOR,
                                       [6] = ONNX_GRAPH};
    if (c->floats) return ONNX_FLOATS;
    if (c->strings) return ONNX_STRINGS;
    return c->ints || last < 2 ? ONNX_INTS : by_field[last];
}

static rnnd_code read_attribute(struct bytes b, const struct onnx_node *caller, struct arena *scratch,
                                struct onnx_attribute *out, bool *absent, rnnd_error *err)
{
    struct counts counts = {0};
    struct proto_field f;
    struct bytes all = b;
    const char *ref = NULL;
    uint32_t last = 0;
    rnnd_code code = count_lists(b, &counts, err);
    *out = (struct onnx_attribute){.name = "", .s = ""};
    while (!code && onnx_next(&b, &f, "an attribute", &code, err)) {
        if (f.number == 1) code = onnx_text(&f, "an attribute's name", scratch, &out->name, err);
        if (f.number == 2) out->f = proto_float(f.value);
        if (f.number == 3) out->i = (int64_t)f.value;
        if (f.number == 4 && f.wire == PROTO_SPAN) /* bytes: text only where an operator reads it */
            if (onnx_text(&f, "an attribute", scratch, &out->s, NULL)) out->s = "";
        if (f.number == 5 || f.number == 6) out->span = f.span;
        if (f.number == 20) out->kind = (int64_t)f.value;
        if (f.number == 21) code = onnx_text(&f, "an attribute's reference", scratch, &ref, err);
        if (f.number >= 2 && f.number <= 6) last = f.number;
    }
    if (!code) code = fill_lists(all, &counts, scratch, out, err);
    if (code) return code;
    if (ref && ref[0]) { /* in a function: what the call says */
        const struct onnx_attribute *given = caller ? onnx_attribute(caller, ref) : NULL;
        const char *name = out->name;
        *absent = !given;
        if (given) *out = *given;
        out->name = name;
        return RNND_OK;
    }
    if (out->kind == 0) out->kind = guess_kind(&counts, last);
    out->count = out->kind == ONNX_FLOATS ? counts.floats : out->kind == ONNX_INTS ? counts.ints : counts.strings;
    return RNND_OK;
}

static rnnd_code count_parts(struct bytes b, struct onnx_node *n, rnnd_error *err)
{
    struct proto_field f;
    rnnd_code code = RNND_OK;
    while (onnx_next(&b, &f, "a node", &code, err)) {
        n->input_count += f.number == 1;
        n->output_count += f.number == 2;
        n->attribute_count += f.number == 5;
        if ((f.number <= 5 || f.number == 7) && f.wire != PROTO_SPAN)
            return fail(err, RNND_CORRUPT, "a node's field %u is a number", (unsigned)f.number);
    }
    if (!code && (n->input_count > ONNX_MAX_PORTS || n->output_count > ONNX_MAX_PORTS))
        code = fail(err, RNND_TOO_LARGE, "a node has %zu inputs and %zu outputs, at most %d are read", n->input_count,
                    n->output_count, ONNX_MAX_PORTS);
    if (!code && n->attribute_count > ONNX_MAX_ATTRIBUTES)
        code = fail(err, RNND_TOO_LARGE, "a node has %zu attributes, at most %d are read", n->attribute_count,
                    ONNX_MAX_ATTRIBUTES);
    return code;
}

rnnd_code onnx_node_read(struct bytes b, const struct onnx_node *caller, struct arena *scratch, struct onnx_node *out,
                         rnnd_error *err)
{
    struct proto_field f;
    *out = (struct onnx_node){.op = "", .domain = "", .name = ""};
    rnnd_code code = count_parts(b, out, err);
    if (code) return code;
    out->inputs = arena_alloc(scratch, out->input_count + 1, sizeof *out->inputs);
    out->outputs = arena_alloc(scratch, out->output_count + 1, sizeof *out->outputs);
    out->attributes = arena_alloc(scratch, out->attribute_count + 4, sizeof *out->attributes);
    if (!out->inputs || !out->outputs || !out->attributes) return fail_memory(err, out->input_count);
    out->input_count = out->output_count = out->attribute_count = 0;
    while (!code && onnx_next(&b, &f, "a node", &code, err)) {
        bool absent = false;
        if (f.number == 1) out->inputs[out->input_count++] = f.span;
        if (f.number == 2) out->outputs[out->output_count++] = f.span;
        if (f.number == 3) code = onnx_text(&f, "a node's name", scratch, &out->name, err);
        if (f.number == 4) code = onnx_text(&f, "a node's operator", scratch, &out->op, err);
        if (f.number == 7) code = onnx_text(&f, "a node's domain", scratch, &out->domain, err);
        if (f.number != 5) continue;
        code = read_attribute(f.span, caller, scratch, &out->attributes[out->attribute_count], &absent, err);
        if (!absent) out->attribute_count++;
    }
    while (out->input_count && out->inputs[out->input_count - 1].size == 0)
        out->input_count--; /* absent at the end: not there */
    while (out->output_count && out->outputs[out->output_count - 1].size == 0)
        out->output_count--;
    struct proto_field first = {.wire = PROTO_SPAN, .span = out->output_count ? out->outputs[0] : bytes_of("", 0)};
    if (!code && !out->name[0]) code = onnx_text(&first, "the name of a value", scratch, &out->name, err);
    return code;
}

/* TensorShapeProto: dim 1 (dim_value 1, dim_param 2) */
static rnnd_code read_shape(struct bytes b, struct onnx_port *out, rnnd_error *err)
{
    struct proto_field f, part;
    rnnd_code code = RNND_OK;
    out->port.rank = 0;
    while (!code && onnx_next(&b, &f, "a declared shape", &code, err)) {
        if (f.number != 1 || f.wire != PROTO_SPAN) continue;
        if (out->port.rank == MAX_RANK)
            return fail(err, RNND_UNSUPPORTED, "\"%.*s\" is declared with more than %d dimensions",
                        (int)(out->name.size < 80 ? out->name.size : 80), (const char *)out->name.data, MAX_RANK);
        struct bytes dim = f.span;
        int64_t size = -1;
        while (onnx_next(&dim, &part, "a declared dimension", &code, err))
            if (part.number == 1 && part.value >= 1 && part.value <= (uint64_t)1 << 48) size = (int64_t)part.value;
        out->port.dim[out->port.rank++] = size;
    }
    return code;
}

static rnnd_code read_type(struct bytes b, struct onnx_port *out, rnnd_error *err)
{
    struct proto_field f, part;
    rnnd_code code = RNND_OK;
    while (!code && onnx_next(&b, &f, "a declared type", &code, err)) {
        if (f.wire != PROTO_SPAN) continue;
        if (f.number != 1) {
            if (f.number == 4 || f.number == 5 || f.number == 8 || f.number == 9) out->no_tensor = true;
            continue;
        }
        struct bytes tensor = f.span;
        while (!code && onnx_next(&tensor, &part, "a declared type", &code, err)) {
            if (part.number == 1) out->type = (int64_t)part.value;
            if (part.number == 2 && part.wire == PROTO_SPAN) code = read_shape(part.span, out, err);
        }
    }
    return code;
}

rnnd_code onnx_port_read(struct bytes b, struct onnx_port *out, rnnd_error *err)
{
    struct proto_field f;
    struct bytes type = {0};
    enum stored stored;
    rnnd_code code = RNND_OK;
    *out = (struct onnx_port){.port = {.rank = -1, .batch_axis = -1, .time_axis = -1}};
    while (onnx_next(&b, &f, "a declared value", &code, err)) {
        if (f.number == 1 && f.wire == PROTO_SPAN) out->name = f.span;
        if (f.number == 2 && f.wire == PROTO_SPAN) type = f.span;
    }
    if (!code) code = read_type(type, out, err);
    if (!code && onnx_stored(out->type, &stored))
        out->port.dtype = stored_dtype(stored);
    return code;
}
