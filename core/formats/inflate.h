/* inflate.h -- deflated bytes into a buffer of known size; the one user of zlib. */
#ifndef RNND_INFLATE_H
#define RNND_INFLATE_H

#include "core/rnnd.h"

enum inflate_form { INFLATE_RAW, INFLATE_ZLIB }; /* as in zip files; with zlib's head and checksum, as in HDF5 */

/* The most bytes that `bytes` of deflated ones can become: whoever claims more lies. */
size_t inflate_bound(size_t bytes);
/* Inflates all of `in` into at most `room` bytes of `out`; *made says how many there were. CORRUPT names `what`. */
rnnd_code inflate_bytes(const uint8_t *in, size_t bytes, enum inflate_form form, uint8_t *out, size_t room,
                        size_t *made, const char *what, rnnd_error *err);
uint32_t inflate_crc(const uint8_t *data, size_t bytes); /* CRC-32 as in zip files */

#endif
