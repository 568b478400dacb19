/* base64.h -- base64 (RFC 4648, standard or url-safe alphabet, padding optional) to bytes. */
#ifndef SERVER_BASE64_H
#define SERVER_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* out has room for bytes / 4 * 3 + 3. false: a character that is none of base64's, or a length that cannot be. */
bool base64_read(const char *text, size_t bytes, unsigned char *out, size_t *out_bytes);

#endif
