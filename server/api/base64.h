/* base64.h -- base64 (RFC 4648, standard or url-safe alphabet, padding optional) to bytes and back. */
#ifndef SERVER_BASE64_H
#define SERVER_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* out has room for bytes / 4 * 3 + 3. false: a character that is none of base64's, or a length that cannot be. */
bool base64_read(const char *text, size_t bytes, unsigned char *out, size_t *out_bytes);
/* Characters of so many bytes in base64, padding included. */
size_t base64_bytes(size_t bytes);
/* Standard alphabet, padded, not terminated; returns the number of characters. */
size_t base64_write(const unsigned char *data, size_t bytes, char *out);

#endif
