/* npy.c -- numpy's array files.
 *
 *   bytes  what
 *   6      0x93 "NUMPY"
 *   1, 1   major 1, 2 or 3; minor
 *   2 | 4  length of the header, little-endian (2 bytes in format 1, else 4)
 *   n      a Python dictionary as text, padded with blanks and ended by a line break:
 *          {'descr': '<f4', 'fortran_order': False, 'shape': (10, 3), }
 *   rest   the elements */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/array.h"
#include "core/cli/cli.h"

/* ---- the dictionary -------------------------------------------------------------------------------------------- */

struct text { const char *at, *end; };

static void skip_blanks(struct text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t'))
        t->at++;
}

static bool take(struct text *t, const char *word)
{
    size_t n = strlen(word);
    skip_blanks(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
        return false;
    t->at += n;
    return true;
}

static bool take_string(struct text *t, char *out, size_t cap)
{
    size_t n = 0;
    skip_blanks(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"'))
        return false;
    char quote = *t->at++;
    while (t->at < t->end && *t->at != quote && n + 1 < cap)
        out[n++] = *t->at++;
    out[n] = 0;
    return t->at < t->end && *t->at++ == quote;
}

static bool take_shape(struct text *t, struct array *a)
{
    if (!take(t, "("))
        return false;
    a->rank = 0;
    while (!take(t, ")")) {
        size_t value = 0, digits = 0;
        skip_blanks(t);
        for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; digits++) {
            if (value > (SIZE_MAX - 9) / 10)
                return false;
            value = value * 10 + (size_t)(*t->at++ - '0');
        }
        if (digits == 0 || a->rank == ARRAY_MAX_RANK)
            return false;
        a->dim[a->rank++] = value;
        if (!take(t, ",")) {
            if (!take(t, ")") || a->rank == 1) /* (3) is no tuple, (3,) is */
                return false;
            return true;
        }
    }
    return true;
}

static bool read_header(struct text t, struct array *a, char *descr, size_t descr_cap, bool *fortran)
{
    bool have_descr = false, have_order = false, have_shape = false;
    char key[24];
    if (!take(&t, "{"))
        return false;
    while (!take(&t, "}")) {
        if (!take_string(&t, key, sizeof key) || !take(&t, ":"))
            return false;
        if (strcmp(key, "descr") == 0 && !have_descr) {
            if (!take_string(&t, descr, descr_cap))
                return false;
            have_descr = true;
        } else if (strcmp(key, "fortran_order") == 0 && !have_order) {
            *fortran = take(&t, "True");
            if (!*fortran && !take(&t, "False"))
                return false;
            have_order = true;
        } else if (strcmp(key, "shape") == 0 && !have_shape) {
            if (!take_shape(&t, a))
                return false;
            have_shape = true;
        } else {
            return false;
        }
        if (!take(&t, ",")) {
            if (!take(&t, "}"))
                return false;
            break;
        }
    }
    skip_blanks(&t);
    return have_descr && have_order && have_shape && t.at == t.end;
}

/* ---- elements -------------------------------------------------------------------------------------------------- */

static uint64_t little_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static float half(uint32_t bits)
{
    uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
    float f;
    if (exponent == 0) { /* zero, or a fraction of 2^-24 */
        f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    uint32_t wide = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13;
    memcpy(&f, &wide, sizeof f);
    return f;
}

/* A number of `width` bytes at p, as element `i` of out. */
static void put_element(struct array *out, size_t i, char type, size_t width, const uint8_t *p)
{
    uint64_t bits = little_endian(p, width);
    uint32_t low = (uint32_t)bits;
    double d;
    if (type == 'b')
        out->truth[i] = bits != 0;
    else if (type == 'u')
        out->whole[i] = (int64_t)bits;
    else if (type == 'i')
        out->whole[i] = (int64_t)(bits << (64 - 8 * width)) >> (64 - 8 * width);
    else if (width == 2)
        out->data[i] = half(low);
    else if (width == 4)
        memcpy(&out->data[i], &low, sizeof low);
    else {
        memcpy(&d, &bits, sizeof d);
        out->data[i] = (float)d;
    }
}

/* Where element `i` of a row-major array stands in Fortran order. */
static size_t fortran_place(const struct array *a, size_t i)
{
    size_t place = 0, stride = 1, at[ARRAY_MAX_RANK];
    for (size_t k = a->rank; k-- > 0; i /= a->dim[k])
        at[k] = i % a->dim[k];
    for (size_t k = 0; k < a->rank; stride *= a->dim[k++])
        place += at[k] * stride;
    return place;
}

/* 'f4' and the like: false where it is none that is read. */
static bool read_type(const char *descr, struct array *out, char *type, size_t *width)
{
    static const char *const known[] = {"<f2", "<f4", "<f8", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8",
                                        "|i1", "|u1", "|b1"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(descr, known[i]) == 0) {
            *type = descr[1];
            *width = (size_t)(descr[2] - '0');
            out->dtype = *type == 'f' ? RNND_FLOAT32 : *type == 'b' ? RNND_BOOL8 : RNND_INT64;
            return true;
        }
    return false;
}

rnnd_code npy_read(const void *bytes, size_t size, struct array *out, rnnd_error *err)
{
    const uint8_t *p = bytes;
    char descr[16];
    bool fortran = false;
    memset(out, 0, sizeof *out);
    if (size < 10 || memcmp(p, "\x93NUMPY", 6) != 0 || p[6] < 1 || p[6] > 3)
        return cli_error(err, RNND_CORRUPT, "wanted a .npy file of format 1 to 3, found something else");
    size_t head = p[6] == 1 ? 10 : 12;
    size_t length = size < head ? SIZE_MAX : (size_t)little_endian(p + 8, head - 8);
    if (size < head || length > size - head || length > 65536)
        return cli_error(err, RNND_CORRUPT, "the .npy header is cut off or longer than 65536 bytes");
    struct text text = {(const char *)p + head, (const char *)p + head + length};
    if (!read_header(text, out, descr, sizeof descr, &fortran))
        return cli_error(err, RNND_CORRUPT, "the .npy header is damaged");
    char type;
    size_t width, count = 1;
    if (!read_type(descr, out, &type, &width))
        return cli_error(err, RNND_UNSUPPORTED, "the .npy file holds '%s'; wanted float16, float32, float64, a whole "
                                                "number type or bool, little-endian (<f2, <f4, <f8, <i4, <i8, |b1)",
                         descr);
    size_t room = (size - head - length) / width;
    for (size_t i = 0; i < out->rank; i++) {
        if (out->dim[i] != 0 && count > room / out->dim[i])
            return cli_error(err, RNND_CORRUPT, "the .npy file is cut off: its shape wants more than the %zu elements "
                                                "that are there", room);
        count *= out->dim[i];
    }
    if (size - head - length != count * width)
        return cli_error(err, RNND_CORRUPT, "the .npy file has %zu bytes of elements; its shape wants %zu",
                         size - head - length, count * width);
    out->raw = malloc(count ? count * array_width(out->dtype) : 1);
    if (!out->raw)
        return cli_error(err, RNND_NO_MEMORY, "no memory for %zu numbers", count);
    for (size_t i = 0; i < count; i++)
        put_element(out, i, type, width,
                    p + head + length + (fortran && out->rank > 1 ? fortran_place(out, i) : i) * width);
    return RNND_OK;
}

rnnd_code npy_write(const char *path, const struct array *a, rnnd_error *err)
{
    static const char *const types[] = {[RNND_FLOAT32] = "<f4", [RNND_INT64] = "<i8", [RNND_BOOL8] = "|b1"};
    char header[128 + 24 * ARRAY_MAX_RANK];
    size_t count = array_count(a), width = array_width(a->dtype);
    int n = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (", types[a->dtype]);
    for (size_t i = 0; i < a->rank; i++)
        n += snprintf(header + n, sizeof header - (size_t)n, "%s%zu%s", i ? ", " : "",
                      a->dim[i], a->rank == 1 ? "," : "");
    n += snprintf(header + n, sizeof header - (size_t)n, "), }");
    while ((10 + n + 1) % 64 != 0)
        header[n++] = ' ';
    header[n++] = '\n';
    uint8_t start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)n, (uint8_t)(n >> 8)};
    FILE *f = fopen(path, "wb");
    if (!f)
        return cli_error(err, RNND_IO, "cannot write %s: %s", path, strerror(errno));
    fwrite(start, 1, sizeof start, f);
    fwrite(header, 1, (size_t)n, f);
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = 0;
        uint8_t b[8];
        if (a->dtype == RNND_FLOAT32) {
            uint32_t low;
            memcpy(&low, &a->data[i], sizeof low);
            bits = low;
        } else {
            bits = a->dtype == RNND_INT64 ? (uint64_t)a->whole[i] : a->truth[i];
        }
        for (size_t k = 0; k < width; k++)
            b[k] = (uint8_t)(bits >> 8 * k);
        fwrite(b, 1, width, f);
    }
    bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad)
        return cli_error(err, RNND_IO, "cannot write %s: %s", path, strerror(errno));
    return RNND_OK;
}
