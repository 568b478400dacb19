/* unicode.h -- what tokenizers ask of a character: letter, number, space, its lower case. */
#ifndef RNND_UNICODE_H
#define RNND_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool unicode_letter(uint32_t code); /* the general categories L, N, M */
bool unicode_number(uint32_t code);
bool unicode_mark(uint32_t code);
bool unicode_space(uint32_t code); /* the property White_Space */
/* The lower case of a character, itself where it has none; U+0130 becomes i (its dot is left out). */
uint32_t unicode_lower(uint32_t code);
/* UTF-8 of a character into out[4]; returns its length. */
size_t unicode_utf8(uint32_t code, char out[4]);

#endif
