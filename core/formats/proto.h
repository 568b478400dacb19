/* proto.h -- the protobuf wire format, read field by field where it lies: nothing is copied, nothing generated.
 *
 *   message   field*                       field   key (varint: number << 3 | wire type), then its value
 *   wire 0    varint                       wire 1  8 bytes         wire 5  4 bytes
 *   wire 2    length (varint), so many bytes: text, bytes, a message, or a packed list of numbers
 * Groups (wire 3, 4) are not read: no format of ours has them. */
#ifndef RNND_PROTO_H
#define RNND_PROTO_H

#include "core/base/bytes.h"

enum proto_wire { PROTO_VARINT = 0, PROTO_FIXED64 = 1, PROTO_SPAN = 2, PROTO_FIXED32 = 5 };

struct proto_field {
    uint32_t number;
    enum proto_wire wire;
    uint64_t value;    /* of a varint or a fixed number */
    struct bytes span; /* of wire type 2, borrowed */
};

/* The next field of a message: 1 = there it is, 0 = the message has ended, -1 = these bytes are none. */
int proto_next(struct bytes *message, struct proto_field *out);
bool proto_varint(struct bytes *b, uint64_t *out);

/* Elements of a repeated number, packed or not: `wire` says how one of them is stored. */
struct proto_numbers {
    struct bytes packed;
    enum proto_wire wire;
    bool single; /* one unpacked element, in value */
    uint64_t value;
};
/* How many the field has; false where it does not hold such numbers. */
bool proto_count(const struct proto_field *f, enum proto_wire wire, size_t *count);
struct proto_numbers proto_numbers(const struct proto_field *f, enum proto_wire wire);
bool proto_number(struct proto_numbers *list, uint64_t *out); /* false: no more */

float proto_float(uint64_t bits);
double proto_double(uint64_t bits);

#endif
