/* utf8.c -- UTF-8 a byte at a time.
 *
 * Well-formed sequences (The Unicode Standard, table 3-7); a broken one ends before the first byte that cannot go on,
 * so that every maximal part becomes one U+FFFD, as in browsers.
 *
 *   first        second      third    fourth
 *   00..7F
 *   C2..DF       80..BF
 *   E0           A0..BF      80..BF
 *   E1..EC       80..BF      80..BF
 *   ED           80..9F      80..BF            no surrogates
 *   EE..EF       80..BF      80..BF
 *   F0           90..BF      80..BF   80..BF
 *   F1..F3       80..BF      80..BF   80..BF
 *   F4           80..8F      80..BF   80..BF   up to U+10FFFF */
#include "core/tasks/utf8.h"

static uint8_t sequence_length(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xC2)
        return 0;
    if (first < 0xE0)
        return 2;
    if (first < 0xF0)
        return 3;
    return first < 0xF5 ? 4 : 0;
}

enum utf8_event utf8_push(struct utf8 *u, uint8_t byte)
{
    if (u->have >= u->need) { /* nothing begun, or the last character is complete */
        u->have = 0;
        u->need = sequence_length(byte);
        if (u->need == 0)
            return UTF8_BAD;
        u->bytes[u->have++] = (char)byte;
        u->low = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
        u->high = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
        return u->need == 1 ? UTF8_WHOLE : UTF8_WAIT;
    }
    if (byte < u->low || byte > u->high) {
        u->have = u->need = 0;
        return UTF8_BAD_BEFORE;
    }
    u->bytes[u->have++] = (char)byte;
    u->low = 0x80;
    u->high = 0xBF;
    return u->have == u->need ? UTF8_WHOLE : UTF8_WAIT;
}

size_t utf8_pending(const struct utf8 *u)
{
    return u->have < u->need ? u->have : 0;
}

size_t utf8_decode(const char *text, size_t bytes, uint32_t *code)
{
    static const uint8_t first_bits[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    struct utf8 u = {0};
    for (size_t i = 0; i < bytes; i++) {
        enum utf8_event event = utf8_push(&u, (uint8_t)text[i]);
        if (event == UTF8_WAIT)
            continue;
        if (event != UTF8_WHOLE)
            return 0;
        uint32_t c = (uint8_t)u.bytes[0] & first_bits[u.have];
        for (size_t k = 1; k < u.have; k++)
            c = c << 6 | ((uint8_t)u.bytes[k] & 0x3F);
        *code = c;
        return u.have;
    }
    return 0;
}
