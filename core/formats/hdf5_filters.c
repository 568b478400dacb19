/* hdf5_filters.c -- what HDF5 did to a chunk before writing it, undone: deflate, shuffle, a checksum.
 *
 *   filters 1: version, count, 6 x 0; each: id u16, bytes of its name u16, flags u16, count of values u16, name padded
 *     to 8, values u32, padded to an even count
 *   filters 2: version, count; each: id, [bytes of the name if id >= 256], flags, count, [name], values
 */
#include <string.h>

#include "core/formats/hdf5_internal.h"
#include "core/formats/inflate.h"

enum { DEFLATE = 1, SHUFFLE = 2, FLETCHER32 = 3 };

static rnnd_code check_id(unsigned id, const uint8_t *name, size_t bytes, rnnd_error *err)
{
    static const struct {
        unsigned id;
        const char *name;
    } known[] = {
        {4, "szip"}, {5, "nbit"}, {6, "scale-offset"}, {307, "bzip2"}, {32000, "lzf"}, {32001, "blosc"}, {32004, "lz4"},
        {32008, "bitshuffle"}, {32013, "zfp"}, {32015, "zstd"}, {32026, "blosc2"},
    };
    if (id >= DEFLATE && id <= FLETCHER32) return RNND_OK;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].id == id)
            return fail(err, RNND_UNSUPPORTED,
                        "HDF5: a dataset is packed with %s; deflate (gzip), shuffle and none are read", known[i].name);
    return fail(err, RNND_UNSUPPORTED, "HDF5: a dataset is packed with filter %u \"%.*s\"; deflate (gzip), shuffle and "
                "none are read", id, (int)(bytes < 40 ? bytes : 40), name ? (const char *)name : "");
}

rnnd_code h5_read_filters(struct bytes b, struct h5_filters *out, rnnd_error *err)
{
    uint64_t version, count, id, flags, values, value = 0, named = 0;
    memset(out, 0, sizeof *out);
    bool good = h5_uint(&b, 1, &version) && (version == 1 || version == 2) && h5_uint(&b, 1, &count) &&
                count <= H5_MAX_FILTERS && h5_skip(&b, version == 1 ? 6 : 0);
    for (uint64_t i = 0; good && i < count; i++) {
        const uint8_t *name = NULL;
        named = 0;
        good = h5_uint(&b, 2, &id) && ((version == 2 && id < 256) || h5_uint(&b, 2, &named)) &&
               h5_uint(&b, 2, &flags) && h5_uint(&b, 2, &values) &&
               bytes_take(&b, (size_t)(version == 1 ? (named + 7) & ~UINT64_C(7) : named), &name);
        if (!good) break;
        rnnd_code code = check_id((unsigned)id, name, (size_t)named, err);
        if (code) return code;
        for (uint64_t k = 0; good && k < values; k++) {
            uint64_t v;
            good = h5_uint(&b, 4, &v);
            if (good && k == 0) value = v;
        }
        if (good && version == 1 && values % 2) good = h5_skip(&b, 4);
        out->list[i].id = (unsigned)id;
        out->list[i].element = values ? (size_t)value : 1;
        if (id == SHUFFLE && out->list[i].element == 0) good = false;
        out->count++;
    }
    return good ? RNND_OK : fail(err, RNND_CORRUPT, "HDF5: a list of filters is damaged");
}

/* Bytes of the same place in their elements stand together; what is left over at the end stands as it was. The element
 * is what the file says, and may be larger than all there is. */
static void unshuffle(const uint8_t *in, size_t bytes, size_t element, uint8_t *out)
{
    size_t count = bytes / element;
    for (size_t k = 0; count > 0 && k < element; k++)
        for (size_t i = 0; i < count; i++)
            out[i * element + k] = in[k * count + i];
    memcpy(out + count * element, in + count * element, bytes - count * element);
}

/* Fletcher's checksum over big-endian words of 16 bits, sums folded to 16 bits. */
static uint32_t fletcher32(const uint8_t *p, size_t bytes)
{
    uint32_t a = 0, b = 0;
    for (size_t words = bytes / 2; words;) {
        size_t n = words < 360 ? words : 360; /* until sums could overflow */
        words -= n;
        for (; n; n--, p += 2) {
            a += (uint32_t)p[0] << 8 | p[1];
            b += a;
        }
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    if (bytes % 2) {
        a += (uint32_t)*p << 8;
        b += a;
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    a = (a & 0xffff) + (a >> 16);
    b = (b & 0xffff) + (b >> 16);
    return b << 16 | a;
}

rnnd_code h5_unfilter(const struct h5_filters *p, uint32_t mask, struct bytes in, uint8_t *const work[2], size_t room,
                      struct bytes *out, rnnd_error *err)
{
    int next = 0;
    for (size_t i = p->count; i-- > 0;) {
        if (mask >> i & 1) continue;
        if (p->list[i].id == FLETCHER32) {
            struct bytes sum;
            uint64_t wanted;
            if (in.size < 4 || !bytes_slice(&in, in.size - 4, 4, &sum) || !h5_uint(&sum, 4, &wanted) ||
                fletcher32(in.data, in.size - 4) != wanted)
                return fail(err, RNND_CORRUPT, "HDF5: the checksum of a chunk does not match");
            in = bytes_of(in.data, in.size - 4);
            continue;
        }
        size_t made = in.size;
        rnnd_code code = RNND_OK;
        if (p->list[i].id == DEFLATE)
            code = inflate_bytes(in.data, in.size, INFLATE_ZLIB, work[next], room, &made, "a chunk", err);
        else if (in.size > room)
            code = fail(err, RNND_CORRUPT, "HDF5: a chunk has %zu bytes, wanted %zu", in.size, room);
        else
            unshuffle(in.data, in.size, p->list[i].element, work[next]);
        if (code) return code;
        in = bytes_of(work[next], made);
        next = !next;
    }
    *out = in;
    return RNND_OK;
}
