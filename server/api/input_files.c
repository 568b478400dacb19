/* input_files.c -- input rows from NumPy's .npy and from CSV. */
#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/api/inputs.h"
#include "server/engine/fail.h"

/* .npy (NumPy's format description, versions 1 to 3):
 *   0   6  "\x93NUMPY"        6  1  major     7  1  minor
 *   8   2  header bytes (major 1), or 4 (major 2, 3), little-endian
 *   ..     header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } and spaces, then the data */
struct npy {
    char kind;            /* f, i, u, b */
    size_t item;          /* bytes of one number */
    size_t dim[8];
    int rank;
    const unsigned char *data;
};

static const struct { const char *descr; char kind; size_t item; } npy_types[] = {
    {"<f4", 'f', 4}, {"<f8", 'f', 8}, {"<i8", 'i', 8}, {"<i4", 'i', 4}, {"<i2", 'i', 2}, {"|i1", 'i', 1},
    {"<u8", 'u', 8}, {"<u4", 'u', 4}, {"<u2", 'u', 2}, {"|u1", 'u', 1}, {"|b1", 'u', 1},
};

/* The text behind 'key': in the header, NULL if absent. */
static const char *npy_value(const char *header, const char *key)
{
    const char *p = strstr(header, key);
    if (!p) return NULL;
    p += strlen(key);
    p += strspn(p, "'\" :");
    return p;
}

static bool npy_shape(const char *p, struct npy *out)
{
    if (*p++ != '(') return false;
    for (out->rank = 0; ; ) {
        p += strspn(p, " ,");
        if (*p == ')') return true;
        if (!isdigit((unsigned char)*p) || out->rank == 8) return false;
        size_t v = 0;
        for (; isdigit((unsigned char)*p); p++)
            if (!inputs_product(v, 10, &v) || __builtin_add_overflow(v, (size_t)(*p - '0'), &v)) return false;
        out->dim[out->rank++] = v;
    }
}

static rnnd_code npy_read(const char *field, const unsigned char *d, size_t bytes, struct npy *out, rnnd_error *err)
{
    char header[512];
    if (bytes < 12 || memcmp(d, "\x93NUMPY", 6) || d[6] < 1 || d[6] > 3)
        return engine_fail(err, RNND_INVALID, field, "%s is no .npy file of version 1 to 3", field);
    size_t start = d[6] == 1 ? 10 : 12, length = d[8] | (size_t)d[9] << 8;
    if (d[6] > 1) length |= (size_t)d[10] << 16 | (size_t)d[11] << 24;
    if (length > bytes - start || length >= sizeof header)
        return engine_fail(err, RNND_INVALID, field, "%s: the .npy header claims %zu bytes", field, length);
    memcpy(header, d + start, length);
    header[length] = 0;
    const char *descr = npy_value(header, "'descr'"), *order = npy_value(header, "'fortran_order'");
    const char *shape = npy_value(header, "'shape'");
    if (!descr || !order || !shape || !npy_shape(shape, out))
        return engine_fail(err, RNND_INVALID, field, "%s: the .npy header lacks descr, fortran_order or shape", field);
    if (strncmp(order, "False", 5))
        return engine_fail(err, RNND_INVALID, field, "%s: the .npy array is in Fortran order, wanted C order "
                           "(numpy.ascontiguousarray)", field);
    out->kind = 0;
    for (size_t i = 0; i < sizeof npy_types / sizeof *npy_types; i++)
        if (!strncmp(descr, npy_types[i].descr, 3)) {
            out->kind = npy_types[i].kind;
            out->item = npy_types[i].item;
        }
    if (!out->kind)
        return engine_fail(err, RNND_INVALID, field, "%s: the .npy type is %.10s, wanted float32, float64 or a whole "
                           "number, little-endian", field, descr);
    size_t count = out->item;
    for (int i = 0; i < out->rank; i++)
        if (!inputs_product(count, out->dim[i], &count)) count = SIZE_MAX;
    if (count != bytes - start - length)
        return engine_fail(err, RNND_INVALID, field, "%s: the .npy shape does not go with its %zu bytes of data", field,
                           bytes - start - length);
    out->data = d + start + length;
    return RNND_OK;
}

static float npy_number(const struct npy *a, size_t i)
{
    const unsigned char *p = a->data + i * a->item;
    uint64_t bits = 0;
    memcpy(&bits, p, a->item); /* little-endian */
    if (a->kind == 'u') return (float)bits;
    if (a->kind == 'i') {
        int shift = (int)(64 - 8 * a->item);
        return (float)((int64_t)(bits << shift) >> shift);
    }
    if (a->item == 4) {
        float f;
        memcpy(&f, p, sizeof f);
        return f;
    }
    double f;
    memcpy(&f, p, sizeof f);
    return (float)f;
}

rnnd_code inputs_npy(const struct inputs_want *want, const void *data, size_t bytes, struct inputs *out,
                     rnnd_error *err)
{
    struct npy array = {0};
    rnnd_code code = npy_read(want->field, data, bytes, &array, err);
    if (code == RNND_OK) code = inputs_take(want, array.dim, array.rank, NULL, out, err);
    if (code != RNND_OK) return code;
    size_t count = out->batch * out->steps * out->width;
    for (size_t i = 0; i < count; i++) out->memory[i] = npy_number(&array, i);
    return inputs_check(want, out, err);
}

rnnd_code inputs_npy_tensor(const char *field, const void *data, size_t bytes, struct inputs_tensor *out,
                            rnnd_error *err)
{
    struct npy array = {0};
    size_t count = 1;
    memset(out, 0, sizeof *out);
    rnnd_code code = npy_read(field, data, bytes, &array, err);
    if (code != RNND_OK) return code;
    out->rank = array.rank;
    memcpy(out->dim, array.dim, sizeof out->dim);
    for (int k = 0; k < array.rank; k++) count *= array.dim[k]; /* as the bytes are there, it fits */
    out->data = malloc((count + 1) * sizeof *out->data);
    if (!out->data) return engine_fail_memory(err, count * sizeof *out->data);
    for (size_t i = 0; i < count; i++) out->data[i] = npy_number(&array, i);
    return RNND_OK;
}

/* ---- CSV -------------------------------------------------------------------------------------------------------- */

struct csv_field { const char *text; size_t bytes; };

/* The next field of a line; false at the line's end. Quotes around a field are taken off. */
static bool csv_field(const char **p, const char *end, struct csv_field *out)
{
    if (!*p) return false;
    const char *comma = memchr(*p, ',', (size_t)(end - *p)), *stop = comma ? comma : end;
    const char *a = *p, *b = stop;
    while (a < b && (*a == ' ' || *a == '\t' || *a == '"')) a++;
    while (b > a && (b[-1] == ' ' || b[-1] == '\t' || b[-1] == '"' || b[-1] == '\r')) b--;
    *out = (struct csv_field){a, (size_t)(b - a)};
    *p = comma ? comma + 1 : NULL;
    return true;
}

static bool csv_number(const struct csv_field *f, float *out)
{
    *out = NAN;
    if (f->bytes == 0 || (f->bytes == 3 && strncasecmp(f->text, "nan", 3) == 0)) return true;
    return json_read_float(f->text, f->bytes, out);
}

static bool csv_is_header(const char *line, const char *end)
{
    struct csv_field f;
    float v;
    bool words = false;
    for (const char *p = line; csv_field(&p, end, &f); )
        if (!csv_number(&f, &v)) words = true;
    return words;
}

/* One line's numbers into row[width]. number: the line's, from 1, for errors. */
static rnnd_code csv_row(const struct inputs_want *want, const char *line, const char *end, size_t number, float *row,
                         rnnd_error *err)
{
    struct csv_field f;
    size_t columns = 0;
    for (const char *p = line; csv_field(&p, end, &f); columns++) {
        float v;
        if (!csv_number(&f, &v))
            return engine_fail(err, RNND_INVALID, want->field, "row %zu, column %zu is \"%.*s\", which is no number",
                               number, columns + 1, (int)(f.bytes < 40 ? f.bytes : 40), f.text);
        if (columns < want->width) row[columns] = v;
    }
    if (columns != want->width)
        return engine_fail(err, RNND_MISMATCH, want->field, "row %zu has %zu column%s, the model wants %zu", number,
                           columns, columns == 1 ? "" : "s", want->width);
    return RNND_OK;
}

rnnd_code inputs_csv(const struct inputs_want *want, const char *text, size_t bytes, struct inputs *out,
                     rnnd_error *err)
{
    const char *end = text + bytes, *next;
    size_t lines = 0, rows = 0;
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < bytes; i++) lines += text[i] == '\n';
    size_t dim[3] = {1, lines + 1 < want->steps_limit ? lines + 1 : want->steps_limit, want->width};
    struct inputs_want shape = *want;
    code = inputs_take(&shape, want->windows ? dim : dim + 1, want->windows ? 3 : 2, NULL, out, err);
    lines = 0;
    for (const char *line = text; code == RNND_OK && line < end; line = next) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        lines++;
        if (stop == line || (stop == line + 1 && *line == '\r')) continue;
        if (lines == 1 && csv_is_header(line, stop)) continue;
        if (rows == dim[1])
            code = engine_fail(err, RNND_TOO_LARGE, want->field, "%s: at most %zu steps are taken in one request",
                               want->field, want->steps_limit);
        else
            code = csv_row(want, line, stop, lines, out->memory + rows++ * want->width, err);
    }
    if (code == RNND_OK && rows == 0)
        code = engine_fail(err, RNND_MISMATCH, want->field, "%s holds no row of numbers; wanted one at least",
                           want->field);
    if (code != RNND_OK) {
        inputs_free(out);
        return code;
    }
    out->steps = rows;
    return inputs_check(want, out, err);
}
