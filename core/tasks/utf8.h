/* utf8.h -- UTF-8 a byte at a time: whole characters out of tokens that may be parts of one. */
#ifndef RNND_UTF8_H
#define RNND_UTF8_H

#include <stddef.h>
#include <stdint.h>

struct utf8 { /* all zero = nothing pending */
    char bytes[4];       /* the character so far */
    uint8_t have, need;  /* bytes of it; 0 = none begun */
    uint8_t low, high;   /* what the next byte may be */
};

enum utf8_event {
    UTF8_WAIT,      /* the byte was taken, the character is not complete */
    UTF8_WHOLE,     /* u->bytes[0 .. u->have) is a character; the next push begins another */
    UTF8_BAD,       /* the byte was taken and is no part of any character */
    UTF8_BAD_BEFORE /* what was pending is broken and dropped; the byte was NOT taken: push it again */
};

#define UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD, put in the place of each broken sequence */

enum utf8_event utf8_push(struct utf8 *u, uint8_t byte);
/* Bytes of an incomplete character. */
size_t utf8_pending(const struct utf8 *u);
/* The character at the head of a text: its length and *code; 0 if it is broken or the text is empty. */
size_t utf8_decode(const char *text, size_t bytes, uint32_t *code);

#endif
