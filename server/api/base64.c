/* base64.c -- base64 to bytes and back. */
#include "server/api/base64.h"

#include <stdint.h>

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool base64_read(const char *text, size_t bytes, unsigned char *out, size_t *out_bytes)
{
    uint32_t bits = 0;
    size_t n = 0;
    while (bytes && text[bytes - 1] == '=') bytes--;
    for (size_t i = 0; i < bytes; i++) {
        int v = digit(text[i]);
        if (v < 0) return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 != 0) out[n++] = (unsigned char)(bits >> (6 - i % 4 * 2));
    }
    *out_bytes = n;
    return bytes % 4 != 1;
}

size_t base64_bytes(size_t bytes)
{
    return (bytes + 2) / 3 * 4;
}

size_t base64_write(const unsigned char *data, size_t bytes, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        uint32_t v = (uint32_t)data[i] << 16;
        if (left > 1) v |= (uint32_t)data[i + 1] << 8;
        if (left > 2) v |= data[i + 2];
        out[n++] = digits[v >> 18];
        out[n++] = digits[v >> 12 & 63];
        out[n++] = left > 1 ? digits[v >> 6 & 63] : '=';
        out[n++] = left > 2 ? digits[v & 63] : '=';
    }
    return n;
}
