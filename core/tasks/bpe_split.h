/* bpe_split.h -- how a text is cut into words before BPE merges within each. */
#ifndef RNND_BPE_SPLIT_H
#define RNND_BPE_SPLIT_H

#include "core/model/config.h"

/* Bytes of the next word of a text that is UTF-8 and not empty; *skip: bytes before it that belong to none.
 *   SPLIT_GPT2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   SPLIT_WORDS   \w+|[^\w\s]+, of which \w is taken as letters, marks, numbers and _
 *   SPLIT_SPACES  what stands between white space
 *   SPLIT_METASPACE  before every U+2581 (spaces have become these)
 *   SPLIT_NONE    the whole text */
size_t bpe_split(enum pre_split split, const char *text, size_t bytes, size_t *skip);

#endif
