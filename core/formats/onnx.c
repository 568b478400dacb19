/* onnx.c -- ONNX files: told by their bytes, their parts found, initializers made the checkpoint's tensors. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/onnx_private.h"

enum model_field { MODEL_IR = 1, MODEL_PRODUCER = 2, MODEL_PRODUCER_VERSION = 3, MODEL_GRAPH = 7, MODEL_OPSET = 8 };
enum { GRAPH_INITIALIZER = 5, GRAPH_SPARSE_INITIALIZER = 15 };
#define HIGHEST_FIELD 32 /* of a ModelProto, with room for what is to come */

bool onnx_same(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool onnx_is(struct bytes a, const char *text)
{
    return onnx_same(a, bytes_of(text, strlen(text)));
}

bool onnx_next(struct bytes *message, struct proto_field *f, const char *what, rnnd_code *code, rnnd_error *err)
{
    size_t at = message->at;
    int got = proto_next(message, f);
    if (got < 0)
        *code = fail(err, RNND_CORRUPT, "%s: what stands at byte %zu of its %zu is no protobuf field; is the file cut "
                     "short?", what, at, message->size);
    return got > 0;
}

/* Well-formed UTF-8 without zeros: such text goes into replies. */
static bool is_text(struct bytes b)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < b.size;) {
        uint8_t first = b.data[i++];
        int more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : first >> 3 == 30 ? 3 : -1;
        if (more < 0 || first == 0) return false;
        uint32_t c = more ? first & (0x3fu >> more) : first;
        for (int k = 0; k < more; k++, i++) {
            if (i == b.size || b.data[i] >> 6 != 2) return false;
            c = c << 6 | (b.data[i] & 0x3f);
        }
        if (c < least[more] || c > 0x10ffff || c >> 11 == 27) return false;
    }
    return true;
}

rnnd_code onnx_text(const struct proto_field *f, const char *what, struct arena *arena, const char **out,
                    rnnd_error *err)
{
    if (f->wire != PROTO_SPAN || !is_text(f->span)) return fail(err, RNND_CORRUPT, "%s is no text in UTF-8", what);
    *out = arena_string(arena, (const char *)f->span.data, f->span.size);
    return *out ? RNND_OK : fail_memory(err, f->span.size);
}

/* The first fields are those of a model up to a graph that begins as one; what lies behind is the reader's business. */
bool onnx_probe(const uint8_t *data, size_t bytes)
{
    struct bytes b = bytes_of(data, bytes);
    struct proto_field f;
    uint64_t key, length;
    uint8_t first;
    bool ir = false;
    for (;;) {
        size_t at = b.at;
        if (!proto_varint(&b, &key)) return false;
        if (key == (MODEL_GRAPH << 3 | PROTO_SPAN)) break;
        if (key >> 3 == 0 || key >> 3 > HIGHEST_FIELD) return false;
        if (!bytes_seek(&b, at) || proto_next(&b, &f) != 1) return false;
        if (f.number == MODEL_IR) {
            if (f.wire != PROTO_VARINT || f.value < 1 || f.value > 64) return false;
            ir = true;
        }
    }
    if (!ir || !proto_varint(&b, &length)) return false;
    return length == 0 || !bytes_u8(&b, &first) || ((first & 7) == PROTO_SPAN && first >> 3 >= 1 && first >> 3 <= 15);
}

/* OperatorSetIdProto: domain 1, version 2 */
rnnd_code onnx_opset(struct bytes message, uint32_t field, int64_t *out, rnnd_error *err)
{
    struct proto_field f, part;
    rnnd_code code = RNND_OK;
    *out = 0;
    while (onnx_next(&message, &f, "the model", &code, err)) {
        if (f.number != field || f.wire != PROTO_SPAN) continue;
        struct bytes set = f.span, domain = {0};
        int64_t version = 0;
        while (onnx_next(&set, &part, "an operator set", &code, err)) {
            if (part.number == 1) domain = part.span;
            if (part.number == 2) version = (int64_t)part.value;
        }
        if (code) return code;
        if (domain.size == 0 || onnx_is(domain, "ai.onnx")) *out = version;
    }
    return code;
}

static rnnd_code read_model(struct checkpoint *ck, struct onnx_model *m, rnnd_error *err)
{
    struct bytes b = m->whole;
    struct proto_field f;
    rnnd_code code = RNND_OK;
    bool graph = false;
    m->producer = m->producer_version = "";
    while (!code && onnx_next(&b, &f, "the model", &code, err)) {
        if (f.number == MODEL_IR)
            m->ir_version = (int64_t)f.value;
        else if (f.number == MODEL_PRODUCER)
            code = onnx_text(&f, "the producer's name", &ck->arena, &m->producer, err);
        else if (f.number == MODEL_PRODUCER_VERSION)
            code = onnx_text(&f, "the producer's version", &ck->arena, &m->producer_version, err);
        else if (f.number == MODEL_GRAPH && f.wire == PROTO_SPAN && graph)
            code = fail(err, RNND_CORRUPT, "the model has two graphs");
        else if (f.number == MODEL_GRAPH && f.wire == PROTO_SPAN) {
            m->graph = f.span;
            graph = true;
        }
    }
    if (!code && !graph) code = fail(err, RNND_CORRUPT, "the model has no graph; is the file cut short?");
    if (!code) code = onnx_read_functions(m, &ck->arena, err);
    if (!code) code = onnx_opset(m->whole, MODEL_OPSET, &m->opset, err);
    if (!code && m->opset < 1)
        code = fail(err, RNND_CORRUPT, "the model does not say which operator set of ONNX it means; is the file cut "
                    "short?");
    return code;
}

struct outside { /* tensors whose data lies in other files */
    struct onnx_tensor *list;
    size_t *index, count, cap;
};

static rnnd_code add_outside(struct outside *o, const struct onnx_tensor *x, size_t index, rnnd_error *err)
{
    if (o->count == o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 16;
        struct onnx_tensor *list = mem_resize(o->list, cap * sizeof *list);
        if (list) o->list = list;
        size_t *numbers = list ? mem_resize(o->index, cap * sizeof *numbers) : NULL;
        if (!numbers) return fail_memory(err, cap * sizeof *list);
        o->index = numbers;
        o->cap = cap;
    }
    o->list[o->count] = *x;
    o->index[o->count++] = index;
    return RNND_OK;
}

static rnnd_code read_initializer(struct checkpoint *ck, struct bytes span, struct outside *o, rnnd_error *err)
{
    struct onnx_tensor x;
    bool supported;
    rnnd_code code = onnx_tensor_head(span, &ck->arena, &x, &supported, err);
    if (code || !supported || !x.t.name[0]) return code; /* what cannot be read is missed by who reads it */
    if (x.is_external)
        code = add_outside(o, &x, ck->count, err);
    else
        code = onnx_tensor_data(&x, &ck->arena, err);
    return code ? code : checkpoint_add(ck, &x.t, err);
}

rnnd_code onnx_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err)
{
    struct outside outside = {0};
    struct proto_field f;
    size_t limit = ((size_t)24 << 20) + bytes; /* lists of numbers may unpack to more than the file */
    if (out->arena.limit > limit) out->arena.limit = limit;
    struct onnx_model *m = arena_alloc(&out->arena, 1, sizeof *m);
    if (!m) return fail_memory(err, sizeof *m);
    m->whole = bytes_of(data, bytes);
    rnnd_code code = read_model(out, m, err);
    struct bytes graph = m->graph;
    while (!code && onnx_next(&graph, &f, "the graph", &code, err)) {
        if (f.number == GRAPH_INITIALIZER && f.wire == PROTO_SPAN)
            code = read_initializer(out, f.span, &outside, err);
        else if (f.number == GRAPH_SPARSE_INITIALIZER)
            code = fail(err, RNND_UNSUPPORTED, "the graph has a sparse initializer: save the model with dense ones");
    }
    if (!code && outside.count)
        code = onnx_read_external(out, outside.list, outside.index, outside.count, path, err);
    mem_free(outside.list);
    mem_free(outside.index);
    if (!code) code = checkpoint_finish(out, err);
    if (!code) out->own = m;
    return code;
}
