/* proto.c -- the protobuf wire format: keys, varints, fixed numbers, spans, lists packed and unpacked. */
#include <string.h>

#include "core/formats/proto.h"

bool proto_varint(struct bytes *b, uint64_t *out)
{
    uint64_t v = 0;
    uint8_t byte;
    for (int shift = 0; shift < 64; shift += 7) {
        if (!bytes_u8(b, &byte)) return false;
        if (shift == 63 && byte > 1) return false; /* beyond 64 bits */
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *out = v;
            return true;
        }
    }
    return false;
}

static bool take_value(struct bytes *b, struct proto_field *f)
{
    uint32_t u32;
    switch (f->wire) {
    case PROTO_VARINT:
        return proto_varint(b, &f->value);
    case PROTO_FIXED64:
        return bytes_u64(b, &f->value);
    case PROTO_FIXED32:
        if (!bytes_u32(b, &u32)) return false;
        f->value = u32;
        return true;
    case PROTO_SPAN:
        if (!proto_varint(b, &f->value) || f->value > bytes_left(b)) return false;
        if (!bytes_slice(b, b->at, (size_t)f->value, &f->span)) return false;
        return bytes_seek(b, b->at + (size_t)f->value);
    }
    return false;
}

int proto_next(struct bytes *message, struct proto_field *out)
{
    uint64_t key;
    if (bytes_left(message) == 0) return 0;
    if (!proto_varint(message, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff) return -1;
    *out = (struct proto_field){.number = (uint32_t)(key >> 3), .wire = (enum proto_wire)(key & 7)};
    return take_value(message, out) ? 1 : -1;
}

static bool take_one(struct bytes *b, enum proto_wire wire, uint64_t *out)
{
    struct proto_field f = {.wire = wire};
    if (bytes_left(b) == 0 || !take_value(b, &f)) return false;
    *out = f.value;
    return true;
}

bool proto_count(const struct proto_field *f, enum proto_wire wire, size_t *count)
{
    *count = 1;
    if (f->wire == wire) return true;
    if (f->wire != PROTO_SPAN) return false;
    size_t each = wire == PROTO_FIXED32 ? 4 : 8;
    if (wire != PROTO_VARINT) {
        *count = f->span.size / each;
        return f->span.size % each == 0;
    }
    struct bytes b = f->span;
    uint64_t v;
    for (*count = 0; bytes_left(&b) > 0; ++*count)
        if (!proto_varint(&b, &v)) return false;
    return true;
}

struct proto_numbers proto_numbers(const struct proto_field *f, enum proto_wire wire)
{
    return (struct proto_numbers){f->span, wire, f->wire == wire, f->value};
}

bool proto_number(struct proto_numbers *list, uint64_t *out)
{
    if (!list->single) return take_one(&list->packed, list->wire, out);
    list->single = false;
    list->packed = bytes_of(NULL, 0);
    *out = list->value;
    return true;
}

float proto_float(uint64_t bits)
{
    uint32_t u32 = (uint32_t)bits;
    float f;
    memcpy(&f, &u32, sizeof f);
    return f;
}

double proto_double(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}
