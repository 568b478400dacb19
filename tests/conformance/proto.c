/* proto.c -- a TensorProto of ONNX' test data, and the names of a model's inputs in their order.
 *
 * Fields: 1 dims, 2 data_type, 4 float_data, 5 int32_data, 7 int64_data, 8 name, 9 raw_data, 10 double_data,
 * 11 uint64_data. Numbers may be packed or not. */
#include <stdlib.h>
#include <string.h>

#include "core/cli/cli.h"
#include "tests/conformance/runner.h"

struct wire { const uint8_t *at, *end; };
struct field { unsigned number, type; uint64_t value; struct wire bytes; };
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* TensorProto.DataType as .npy calls it */
static const char *const types[] = {[1] = "<f4", [2] = "|u1", [3] = "|i1", [4] = "<u2",  [5] = "<i2", [6] = "<i4",
                                    [7] = "<i8", [9] = "|b1", [10] = "<f2", [11] = "<f8", [12] = "<u4", [13] = "<u8"};

static bool varint(struct wire *w, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && w->at < w->end; shift += 7) {
        uint8_t b = *w->at++;
        *out |= (uint64_t)(b & 127) << shift;
        if (b < 128)
            return true;
    }
    return false;
}

static bool next_field(struct wire *w, struct field *f)
{
    uint64_t key, length;
    if (w->at == w->end || !varint(w, &key))
        return false;
    f->number = (unsigned)(key >> 3);
    f->type = key & 7;
    if (f->type == VARINT)
        return varint(w, &f->value);
    length = f->type == FIXED64 ? 8 : 4;
    if (f->type == BYTES && !varint(w, &length))
        return false;
    if ((f->type != BYTES && f->type != FIXED64 && f->type != FIXED32) || length > (uint64_t)(w->end - w->at))
        return false;
    f->bytes = (struct wire){w->at, w->at + length};
    w->at += length;
    return true;
}

struct message {
    size_t rank, dim[ARRAY_MAX_RANK];
    uint64_t type;
    struct wire raw;
    uint8_t *numbers; /* of the typed fields, little-endian, each `width` bytes */
    size_t bytes;
};

/* Numbers of a typed field, as the bytes a .npy would have. */
static bool add_numbers(struct message *m, const struct field *f, size_t width)
{
    struct wire w = f->bytes;
    uint64_t v = f->value;
    if (f->type == VARINT)
        w = (struct wire){NULL, NULL};
    size_t most = f->type == VARINT ? 1 : (size_t)(w.end - w.at);
    uint8_t *larger = realloc(m->numbers, m->bytes + (most + 1) * 8);
    if (!larger)
        return false;
    m->numbers = larger;
    if (f->number == 4 || f->number == 10) { /* float and double are fixed: their bytes are it */
        memcpy(m->numbers + m->bytes, w.at, most);
        m->bytes += most;
        return true;
    }
    do {
        if (f->type == BYTES && (w.at == w.end || !varint(&w, &v)))
            return w.at == w.end;
        for (size_t i = 0; i < width; i++)
            m->numbers[m->bytes++] = (uint8_t)(v >> 8 * i);
    } while (f->type == BYTES);
    return true;
}

static bool add_dim(struct message *m, uint64_t v)
{
    if (m->rank == ARRAY_MAX_RANK)
        return false;
    m->dim[m->rank++] = (size_t)v;
    return true;
}

static bool read_message(struct wire w, struct message *m, char *name, size_t name_cap)
{
    struct field f;
    struct wire all = w;
    while (next_field(&w, &f))
        if (f.number == 2)
            m->type = f.value;
    const char *type = m->type < sizeof types / sizeof *types ? types[m->type] : NULL;
    bool good = w.at == w.end && type;
    for (w = all; good && next_field(&w, &f);) {
        uint64_t v;
        if (f.number == 1 && f.type == VARINT)
            good = add_dim(m, f.value);
        else if (f.number == 1)
            while (good && f.bytes.at < f.bytes.end)
                good = varint(&f.bytes, &v) && add_dim(m, v);
        else if (f.number == 8 && f.type == BYTES && (size_t)(f.bytes.end - f.bytes.at) < name_cap)
            memcpy(name, f.bytes.at, (size_t)(f.bytes.end - f.bytes.at));
        else if (f.number == 9 && f.type == BYTES)
            m->raw = f.bytes;
        else if (f.number == 4 || f.number == 5 || f.number == 7 || f.number == 10 || f.number == 11)
            good = add_numbers(m, &f, (size_t)(type[2] - '0'));
    }
    return good;
}

/* Through the .npy reader, which knows the types. */
static rnnd_code as_array(const struct message *m, struct array *out, rnnd_error *err)
{
    const uint8_t *data = m->raw.at ? m->raw.at : m->numbers;
    size_t bytes = m->raw.at ? (size_t)(m->raw.end - m->raw.at) : m->bytes, n;
    char shape[ARRAY_MAX_RANK * 24] = "", head[512];
    for (size_t i = 0, at = 0; i < m->rank; i++)
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%zu,", m->dim[i]);
    n = (size_t)snprintf(head + 12, sizeof head - 12, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                         types[m->type], shape);
    memcpy(head, "\x93NUMPY\x02\x00", 8);
    for (size_t i = 0; i < 4; i++)
        head[8 + i] = (char)(n >> 8 * i);
    char *file = malloc(12 + n + bytes);
    if (!file)
        return cli_error(err, RNND_NO_MEMORY, "no memory for a tensor of %zu bytes", bytes);
    memcpy(file, head, 12 + n);
    if (bytes)
        memcpy(file + 12 + n, data, bytes);
    rnnd_code code = npy_read(file, 12 + n + bytes, out, err);
    free(file);
    return code;
}

rnnd_code tensor_read_pb(const char *path, struct named *out, rnnd_error *err)
{
    struct message m = {0};
    rnnd_error why;
    char *bytes;
    size_t size;
    memset(out, 0, sizeof *out);
    rnnd_code code = cli_read_file(path, (size_t)1 << 30, &bytes, &size, err);
    if (code != RNND_OK)
        return code;
    struct wire w = {(const uint8_t *)bytes, (const uint8_t *)bytes + size};
    if (read_message(w, &m, out->name, sizeof out->name))
        code = as_array(&m, &out->array, &why);
    else
        code = cli_error(&why, RNND_UNSUPPORTED, "wanted a tensor of numbers, found type %llu or something else",
                         (unsigned long long)m.type);
    free(m.numbers);
    free(bytes);
    return code == RNND_OK ? code : cli_error(err, code, "%s: %.300s", path, why.message);
}

/* ---- a model's inputs ------------------------------------------------------------------------------------------ */

/* A field of bytes as a string. */
static void copy_name(const struct field *f, char out[128])
{
    snprintf(out, 128, "%.*s", (int)(f->bytes.end - f->bytes.at), (const char *)f->bytes.at);
}

/* ModelProto.graph is 7; GraphProto.input 11 with its name 1, initializer 5 with its name 8. */
static void read_graph(struct wire graph, struct names *out)
{
    struct field f, g;
    char name[128];
    for (struct wire w = graph; next_field(&w, &f);)
        if (f.number == 11 && f.type == BYTES && out->count < MOST_ARRAYS)
            for (struct wire in = f.bytes; next_field(&in, &g);)
                if (g.number == 1 && g.type == BYTES)
                    copy_name(&g, out->names[out->count++]);
    for (struct wire w = graph; next_field(&w, &f);) { /* what has a value in the file is none */
        if (f.number != 5 || f.type != BYTES)
            continue;
        for (struct wire in = f.bytes; next_field(&in, &g);) {
            if (g.number != 8 || g.type != BYTES)
                continue;
            copy_name(&g, name);
            for (size_t i = 0; i < out->count; i++)
                if (strcmp(out->names[i], name) == 0)
                    memmove(out->names[i], out->names[i + 1], (--out->count - i) * sizeof *out->names);
        }
    }
}

void onnx_inputs(const char *path, struct names *out)
{
    char *bytes;
    size_t size;
    struct field f;
    out->count = 0;
    if (cli_read_file(path, (size_t)1 << 31, &bytes, &size, NULL) != RNND_OK)
        return;
    for (struct wire w = {(const uint8_t *)bytes, (const uint8_t *)bytes + size}; next_field(&w, &f);)
        if (f.number == 7 && f.type == BYTES)
            read_graph(f.bytes, out);
    free(bytes);
}
