/* onnx_tensor.c -- one TensorProto: its shape and type, and its data, borrowed where it can be. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/onnx_private.h"

enum list_field { LIST_FLOAT = 4, LIST_INT32 = 5, LIST_INT64 = 7, LIST_DOUBLE = 10, LIST_UINT64 = 11 };

/* By number in TensorProto.DataType; `list` is the field of elements where they are not raw. */
static const struct {
    const char *name;
    bool ours;
    enum stored stored;
    enum list_field list;
} types[] = {
    {"nothing", false, 0, 0},
    {"float", true, STORED_F32, LIST_FLOAT},
    {"uint8", true, STORED_U8, LIST_INT32},
    {"int8", true, STORED_I8, LIST_INT32},
    {"uint16", true, STORED_U16, LIST_INT32},
    {"int16", true, STORED_I16, LIST_INT32},
    {"int32", true, STORED_I32, LIST_INT32},
    {"int64", true, STORED_I64, LIST_INT64},
    {"string", false, 0, 0},
    {"bool", true, STORED_BOOL, LIST_INT32},
    {"float16", true, STORED_F16, LIST_INT32},
    {"double", true, STORED_F64, LIST_DOUBLE},
    {"uint32", true, STORED_U32, LIST_UINT64},
    {"uint64", true, STORED_U64, LIST_UINT64},
    {"complex64", false, 0, 0},
    {"complex128", false, 0, 0},
    {"bfloat16", true, STORED_BF16, LIST_INT32},
    {"float8e4m3fn", false, 0, 0},
    {"float8e4m3fnuz", false, 0, 0},
    {"float8e5m2", false, 0, 0},
    {"float8e5m2fnuz", false, 0, 0},
    {"uint4", false, 0, 0},
    {"int4", false, 0, 0},
    {"float4e2m1", false, 0, 0},
};
#define TYPE_COUNT (int64_t)(sizeof types / sizeof *types)

bool onnx_stored(int64_t type, enum stored *out)
{
    if (type < 0 || type >= TYPE_COUNT || !types[type].ours) return false;
    *out = types[type].stored;
    return true;
}

const char *onnx_type_name(int64_t type)
{
    return type < 0 || type >= TYPE_COUNT ? "an unknown type" : types[type].name;
}

static rnnd_code read_dims(const struct proto_field *f, struct checkpoint_tensor *t, rnnd_error *err)
{
    size_t n;
    uint64_t v;
    if (!proto_count(f, PROTO_VARINT, &n)) return fail(err, RNND_CORRUPT, "a tensor's dimensions are no numbers");
    struct proto_numbers list = proto_numbers(f, PROTO_VARINT);
    while (proto_number(&list, &v)) {
        if (t->rank == MAX_RANK)
            return fail(err, RNND_UNSUPPORTED, "a tensor has more than %d dimensions", MAX_RANK);
        if (v > (uint64_t)1 << 48) return fail(err, RNND_CORRUPT, "a tensor's dimension is out of range");
        t->dim[t->rank++] = (size_t)v;
    }
    return RNND_OK;
}

static bool read_number(struct bytes text, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9 || *out > (UINT64_MAX - digit) / 10) return false;
        *out = *out * 10 + digit;
    }
    return text.size > 0;
}

/* StringStringEntryProto: key 1, value 2 */
static rnnd_code read_entry(struct bytes entry, struct onnx_external *e, rnnd_error *err)
{
    struct bytes key = {0}, value = {0};
    struct proto_field f;
    rnnd_code code = RNND_OK;
    bool fine = true;
    while (onnx_next(&entry, &f, "an entry of external data", &code, err)) {
        if (f.number == 1) key = f.span;
        if (f.number == 2) value = f.span;
    }
    if (code) return code;
    if (onnx_is(key, "location"))
        e->location = value;
    else if (onnx_is(key, "offset"))
        fine = read_number(value, &e->offset);
    else if (onnx_is(key, "length"))
        fine = e->has_length = read_number(value, &e->length);
    return fine ? RNND_OK : fail(err, RNND_CORRUPT, "external data: an offset or length that is no number");
}

static rnnd_code read_field(const struct proto_field *f, struct arena *arena, struct onnx_tensor *out, rnnd_error *err)
{
    switch (f->number) {
    case 1:
        return read_dims(f, &out->t, err);
    case 2:
        out->type = (int64_t)f->value;
        return RNND_OK;
    case 8:
        return onnx_text(f, "a tensor's name", arena, &out->t.name, err);
    case 9:
        if (f->wire != PROTO_SPAN) return fail(err, RNND_CORRUPT, "a tensor's raw data is a number");
        out->raw = f->span;
        out->has_raw = true;
        return RNND_OK;
    case 13:
        return f->wire == PROTO_SPAN ? read_entry(f->span, &out->external, err)
                                     : fail(err, RNND_CORRUPT, "a tensor's external data is a number");
    case 14:
        out->is_external = f->value == 1;
        return RNND_OK;
    default:
        return RNND_OK;
    }
}

rnnd_code onnx_tensor_head(struct bytes span, struct arena *arena, struct onnx_tensor *out, bool *supported,
                           rnnd_error *err)
{
    struct proto_field f;
    rnnd_code code = RNND_OK;
    *out = (struct onnx_tensor){.t = {.name = "", .count = 1}, .span = span};
    while (onnx_next(&span, &f, "a tensor", &code, err))
        if ((code = read_field(&f, arena, out, err))) return code;
    if (code) return code;
    size_t bytes;
    *supported = onnx_stored(out->type, &out->t.stored);
    for (int i = 0; i < out->t.rank; i++)
        if (!size_mul(out->t.count, out->t.dim[i], &out->t.count))
            return fail_at(err, RNND_CORRUPT, out->t.name, "tensor \"%.80s\": its shape overflows", out->t.name);
    if (*supported && !size_mul(out->t.count, stored_types[out->t.stored].bytes, &bytes))
        return fail_at(err, RNND_CORRUPT, out->t.name, "tensor \"%.80s\": its shape overflows", out->t.name);
    return RNND_OK;
}

static enum proto_wire list_wire(enum list_field list)
{
    return list == LIST_FLOAT ? PROTO_FIXED32 : list == LIST_DOUBLE ? PROTO_FIXED64 : PROTO_VARINT;
}

/* Counts the elements; *whole is the field that has them all, packed and fixed, or empty. */
static rnnd_code count_list(const struct onnx_tensor *x, enum list_field list, size_t *count, struct bytes *whole,
                            rnnd_error *err)
{
    struct bytes b = x->span;
    struct proto_field f;
    rnnd_code code = RNND_OK;
    size_t n;
    *count = 0;
    while (onnx_next(&b, &f, "a tensor", &code, err)) {
        if (f.number != (uint32_t)list) continue;
        if (!proto_count(&f, list_wire(list), &n))
            return fail_at(err, RNND_CORRUPT, x->t.name, "tensor \"%.80s\": its list of elements is damaged",
                           x->t.name);
        *count += n;
        if (n == *count && f.wire == PROTO_SPAN && list_wire(list) != PROTO_VARINT) *whole = f.span;
    }
    return code;
}

static void convert(const struct onnx_tensor *x, enum list_field list, uint8_t *to)
{
    size_t bytes = stored_types[x->t.stored].bytes;
    struct bytes b = x->span;
    struct proto_field f;
    uint64_t v;
    while (proto_next(&b, &f) == 1) {
        if (f.number != (uint32_t)list) continue;
        for (struct proto_numbers each = proto_numbers(&f, list_wire(list)); proto_number(&each, &v); to += bytes)
            memcpy(to, &v, bytes); /* little-endian: the low bytes are the element */
    }
}

static rnnd_code wrong_size(const struct onnx_tensor *x, size_t found, const char *what, rnnd_error *err)
{
    char text[96];
    return fail_at(err, RNND_CORRUPT, x->t.name,
                   "tensor \"%.80s\": its shape %s wants %zu elements of %s, found %zu %s", x->t.name,
                   shape_text(text, x->t.rank, x->t.dim), x->t.count, onnx_type_name(x->type), found, what);
}

rnnd_code onnx_tensor_data(struct onnx_tensor *x, struct arena *arena, rnnd_error *err)
{
    size_t count, bytes = stored_types[x->t.stored].bytes;
    struct bytes whole = {0};
    if (x->has_raw) {
        if (x->raw.size != x->t.count * bytes) return wrong_size(x, x->raw.size, "bytes", err);
        x->t.raw = x->raw.data;
        return RNND_OK;
    }
    enum list_field list = types[x->type].list;
    rnnd_code code = count_list(x, list, &count, &whole, err);
    if (code) return code;
    if (count != x->t.count) return wrong_size(x, count, "of them", err);
    if (whole.size == count * bytes) {
        x->t.raw = whole.data;
        return RNND_OK;
    }
    if (count > (arena->limit - arena->used) / bytes)
        return fail_at(err, RNND_TOO_LARGE, x->t.name,
                       "tensor \"%.80s\": its list of %zu numbers unpacks to more memory than the file may take",
                       x->t.name, count);
    uint8_t *to = arena_alloc(arena, count + 1, bytes);
    if (!to) return fail_memory(err, count * bytes);
    convert(x, list, to);
    x->t.raw = to;
    return RNND_OK;
}

rnnd_code onnx_tensor_read(const void *bytes, size_t n, struct arena *arena, struct checkpoint_tensor *out,
                           rnnd_error *err)
{
    struct onnx_tensor x;
    bool supported;
    rnnd_code code = onnx_tensor_head(bytes_of(bytes, n), arena, &x, &supported, err);
    if (code) return code;
    if (!supported)
        return fail_at(err, RNND_UNSUPPORTED, x.t.name, "tensor \"%.80s\": its elements are %s, which is not read",
                       x.t.name, onnx_type_name(x.type));
    if (x.is_external)
        return fail_at(err, RNND_UNSUPPORTED, x.t.name,
                       "tensor \"%.80s\": its data lies in another file, which is read for a model's initializers only",
                       x.t.name);
    if ((code = onnx_tensor_data(&x, arena, err))) return code;
    *out = x.t;
    return RNND_OK;
}
