/* hdf5_types.c -- datatypes and dataspaces of HDF5: numbers and strings; the rest is refused by its name.
 *
 *   datatype: class (low half of a byte) and version, 3 bytes of bits, bytes of an element u32, then by class
 *     0 whole numbers: bit offset u16, precision u16           1 floats: offset, precision, 4 bytes of places, bias u32
 *     8 enumerations: the type beneath, then names, values     9 variable length: the type of its elements
 *   dataspace 1: version, rank, flags, 5 x 0, sizes    2: version, rank, flags, kind (0 scalar, 1 simple, 2 null),
 *     sizes; behind the sizes the most they may be, if bit 0 of the flags says so
 */
#include <string.h>

#include "core/formats/hdf5_internal.h"

static rnnd_code damaged(rnnd_error *err)
{
    return fail(err, RNND_CORRUPT, "HDF5: a datatype or a dataspace is damaged");
}

static rnnd_code unsupported(const char *what, rnnd_error *err)
{
    return fail(err, RNND_UNSUPPORTED,
                "HDF5: wanted whole numbers of 8 to 64 bits, floats of 16, 32 or 64, or strings, found %s", what);
}

static rnnd_code read_whole(struct bytes b, uint64_t bits, struct h5_type *t, rnnd_error *err)
{
    static const enum stored types[2][4] = {{STORED_U8, STORED_U16, STORED_U32, STORED_U64},
                                            {STORED_I8, STORED_I16, STORED_I32, STORED_I64}};
    uint64_t offset, precision;
    if (!h5_uint(&b, 2, &offset) || !h5_uint(&b, 2, &precision)) return damaged(err);
    if ((t->bytes != 1 && t->bytes != 2 && t->bytes != 4 && t->bytes != 8) || offset || precision != t->bytes * 8)
        return unsupported("whole numbers of an unusual width", err);
    t->kind = H5_NUMBERS;
    t->stored = types[bits >> 3 & 1][t->bytes == 1 ? 0 : t->bytes == 2 ? 1 : t->bytes == 4 ? 2 : 3];
    t->big = bits & 1;
    return RNND_OK;
}

static rnnd_code read_float(struct bytes b, uint64_t bits, struct h5_type *t, rnnd_error *err)
{
    static const struct {
        uint64_t bytes, sign, exponent, exponent_bits, mantissa_bits, bias;
        enum stored stored;
    } forms[] = {
        {2, 15, 10, 5, 10, 15, STORED_F16},    {2, 15, 7, 8, 7, 127, STORED_BF16},
        {4, 31, 23, 8, 23, 127, STORED_F32},   {8, 63, 52, 11, 52, 1023, STORED_F64},
    };
    uint64_t offset, precision, exponent, exponent_bits, mantissa, mantissa_bits, bias, order = bits & 0x41;
    if (!h5_uint(&b, 2, &offset) || !h5_uint(&b, 2, &precision) || !h5_uint(&b, 1, &exponent) ||
        !h5_uint(&b, 1, &exponent_bits) || !h5_uint(&b, 1, &mantissa) || !h5_uint(&b, 1, &mantissa_bits) ||
        !h5_uint(&b, 4, &bias))
        return damaged(err);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (t->bytes == forms[i].bytes && offset == 0 && precision == t->bytes * 8 && (order == 0 || order == 1) &&
            (bits >> 8 & 0xff) == forms[i].sign && (bits >> 4 & 3) == 2 && exponent == forms[i].exponent &&
            exponent_bits == forms[i].exponent_bits && mantissa == 0 && mantissa_bits == forms[i].mantissa_bits &&
            bias == forms[i].bias) {
            t->kind = H5_NUMBERS;
            t->stored = forms[i].stored;
            t->big = order;
            return RNND_OK;
        }
    return unsupported("floats of an unusual form", err);
}

static rnnd_code read_beneath(struct h5 *f, struct bytes b, struct h5_type *out, bool enumeration, rnnd_error *err);

/* h5py writes bool as an enumeration of int8 whose names are FALSE and TRUE; other enumerations are their numbers. */
static rnnd_code read_enumeration(struct h5 *f, struct bytes b, uint64_t members, struct h5_type *t, rnnd_error *err)
{
    static const uint8_t truth[] = {'F', 'A', 'L', 'S', 'E', 0, 0, 0, 'T', 'R', 'U', 'E', 0, 0, 0, 0, 0, 1};
    static const uint8_t packed[] = {'F', 'A', 'L', 'S', 'E', 0, 'T', 'R', 'U', 'E', 0, 0, 1};
    struct bytes beneath;
    if (!bytes_slice(&b, b.at, bytes_left(&b), &beneath)) return damaged(err);
    rnnd_code code = read_beneath(f, beneath, t, true, err);
    if (code || !h5_skip(&b, 12)) return code ? code : damaged(err); /* a whole number's description */
    const uint8_t *rest = b.data + b.at;
    bool is_truth = (bytes_left(&b) >= sizeof truth && memcmp(rest, truth, sizeof truth) == 0) ||
                    (bytes_left(&b) >= sizeof packed && memcmp(rest, packed, sizeof packed) == 0);
    if (members == 2 && is_truth && t->bytes == 1) t->stored = STORED_BOOL;
    return RNND_OK;
}

static rnnd_code read_beneath(struct h5 *f, struct bytes b, struct h5_type *out, bool enumeration, rnnd_error *err)
{
    static const char *const names[] = {
        [2] = "times", [4] = "bit fields", [5] = "opaque bytes", [6] = "records or complex numbers (a compound type)",
        [7] = "references", [10] = "arrays within elements", [11] = "complex numbers", [12] = "a type of another class",
    };
    uint64_t kind, bits, bytes;
    memset(out, 0, sizeof *out);
    if (!h5_uint(&b, 1, &kind) || !h5_uint(&b, 3, &bits) || !h5_uint(&b, 4, &bytes) || !bytes) return damaged(err);
    out->bytes = (size_t)bytes;
    kind &= 15;
    if (kind == 0) return read_whole(b, bits, out, err);
    if (kind == 1 && !enumeration) return read_float(b, bits, out, err);
    if (kind == 8 && !enumeration) return read_enumeration(f, b, bits & 0xffff, out, err);
    if (kind == 3) {
        out->kind = H5_FIXED;
        out->padding = bits & 15;
        return RNND_OK;
    }
    if (kind == 9 && (bits & 15) == 1) {
        out->kind = H5_VARIABLE;
        return bytes == 8 + f->offset_bytes ? RNND_OK : damaged(err);
    }
    if (kind == 9) return unsupported("lists of variable length", err);
    return unsupported(enumeration ? "an enumeration of something else" : names[kind < 12 ? kind : 12], err);
}

rnnd_code h5_read_type(struct h5 *f, struct bytes b, struct h5_type *out, rnnd_error *err)
{
    return read_beneath(f, b, out, false, err);
}

rnnd_code h5_read_space(struct h5 *f, struct bytes b, struct h5_space *out, rnnd_error *err)
{
    uint64_t version, rank, flags, kind = 1, n;
    memset(out, 0, sizeof *out);
    out->count = 1;
    if (!h5_uint(&b, 1, &version) || version < 1 || version > 2 || !h5_uint(&b, 1, &rank) || !h5_uint(&b, 1, &flags) ||
        (version == 1 ? !h5_skip(&b, 5) : !h5_uint(&b, 1, &kind)) || kind > 2)
        return damaged(err);
    out->null = kind == 2;
    if (out->null) out->count = 0;
    if (kind != 1) return RNND_OK;
    if (rank > MAX_RANK)
        return fail(err, RNND_UNSUPPORTED, "HDF5: %llu dimensions, at most %d are read", (unsigned long long)rank,
                    MAX_RANK);
    for (uint64_t i = 0; i < rank; i++) {
        if (!h5_length(f, &b, &n)) return damaged(err);
        out->most[out->rank] = (size_t)n;
        out->dim[out->rank++] = (size_t)n;
        if (!size_mul(out->count, (size_t)n, &out->count))
            return fail(err, RNND_CORRUPT, "HDF5: the sizes of a dataset overflow");
    }
    for (int i = 0; flags & 1 && i < out->rank; i++) {
        if (!h5_length(f, &b, &n) || n < out->dim[i]) return damaged(err);
        out->most[i] = n == UINT64_MAX >> (64 - 8 * f->length_bytes) ? SIZE_MAX : (size_t)n;
    }
    return RNND_OK;
}
