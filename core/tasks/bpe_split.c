/* bpe_split.c -- cuts texts into words without a regular expression engine. */
#include "core/tasks/bpe_split.h"

#include <string.h>

#include "core/tasks/unicode.h"
#include "core/tasks/utf8.h"

enum kind { LETTER, NUMBER, SPACE, OTHER };

static enum kind kind_of(uint32_t code)
{
    return unicode_letter(code) ? LETTER : unicode_number(code) ? NUMBER : unicode_space(code) ? SPACE : OTHER;
}

/* Bytes of the run of characters of one kind at the head. */
static size_t run_of(const char *text, size_t bytes, enum kind kind)
{
    size_t at = 0, n;
    uint32_t code;
    while (at < bytes && (n = utf8_decode(text + at, bytes - at, &code)) > 0 && kind_of(code) == kind)
        at += n;
    return at;
}

static size_t contraction(const char *text, size_t bytes)
{
    static const char *const ends[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (text[0] != '\'') return 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i]);
        if (bytes > n && memcmp(text + 1, ends[i], n) == 0) return n + 1;
    }
    return 0;
}

static size_t split_gpt2(const char *text, size_t bytes)
{
    size_t n = contraction(text, bytes), lead = text[0] == ' ' && bytes > 1;
    uint32_t code;
    if (n) return n;
    if (utf8_decode(text + lead, bytes - lead, &code) && kind_of(code) != SPACE)
        return lead + run_of(text + lead, bytes - lead, kind_of(code));
    n = run_of(text, bytes, SPACE);
    if (n == bytes) return n;
    size_t from = n - 1; /* something follows: the last space is left to it, unless it is the only one */
    while (from > 0 && ((uint8_t)text[from] & 0xC0) == 0x80)
        from--;
    return from > 0 ? from : n;
}

static bool is_word(uint32_t code)
{
    return code == '_' || unicode_letter(code) || unicode_number(code) || unicode_mark(code);
}

/* One run of word characters, or of what is neither these nor space; `spaces`: of all that is no space. */
static size_t split_runs(const char *text, size_t bytes, bool spaces, size_t *skip)
{
    size_t at = *skip = run_of(text, bytes, SPACE), n;
    uint32_t code;
    bool word = false;
    while (at < bytes && (n = utf8_decode(text + at, bytes - at, &code)) > 0 && !unicode_space(code)) {
        if (at == *skip) word = is_word(code);
        if (!spaces && is_word(code) != word) break;
        at += n;
    }
    return at - *skip;
}

static size_t split_metaspace(const char *text, size_t bytes)
{
    const char *next = bytes > 1 ? memmem(text + 1, bytes - 1, "\xE2\x96\x81", 3) : NULL;
    return next ? (size_t)(next - text) : bytes;
}

size_t bpe_split(enum pre_split split, const char *text, size_t bytes, size_t *skip)
{
    *skip = 0;
    switch (split) {
    case SPLIT_GPT2:
        return split_gpt2(text, bytes);
    case SPLIT_WORDS:
    case SPLIT_SPACES:
        return split_runs(text, bytes, split == SPLIT_SPACES, skip);
    case SPLIT_METASPACE:
        return split_metaspace(text, bytes);
    default:
        return bytes;
    }
}
