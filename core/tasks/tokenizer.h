/* tokenizer.h -- text to token ids and back: one struct of functions per kind of vocabulary, one table of kinds. */
#ifndef RNND_TOKENIZER_H
#define RNND_TOKENIZER_H

#include "core/base/mem.h"
#include "core/model/config.h"

struct tokenizer;

struct tokenizer_kind {
    const char *name; /* as in the configuration */
    /* Builds t->table in the arena, sets t->vocabulary and t->longest. CORRUPT names what is wrong with the table. */
    rnnd_code (*prepare)(struct tokenizer *t, const struct text_config *c, struct arena *arena, rnnd_error *err);
    /* As rnnd_tokenize(). */
    rnnd_code (*encode)(const struct tokenizer *t, const char *text, size_t bytes, int32_t *ids, size_t cap,
                        size_t *count, rnnd_error *err);
    /* The bytes of an id inside the vocabulary, borrowed. */
    const char *(*decode)(const struct tokenizer *t, int32_t id, size_t *bytes);
};

struct tokenizer {
    const struct tokenizer_kind *kind;
    size_t vocabulary;
    size_t longest;    /* bytes of the longest token */
    int32_t unknown;   /* id for what is outside, -1 = refuse (words: leave out) */
    const void *table; /* the kind's own */
    const bool *never; /* [vocabulary] ids that are never drawn: padding, and those without a text; NULL = none */
};
extern const struct tokenizer_kind tokenizer_words, tokenizer_bpe; /* in files of their own */

/* Texts of tokens, to be found. */
struct token_table {
    struct token_entry {
        const char *text; /* borrowed */
        size_t bytes;
        int32_t id;
    } *entries; /* in byte order */
    size_t count;
};
/* Of all texts that are not NULL, in the arena. Where two ids have one text: CORRUPT, or, if `first`, the lower one. */
rnnd_code token_table_init(struct token_table *t, const char *const *texts, size_t count, bool first,
                           struct arena *arena, rnnd_error *err);
int32_t token_find(const struct token_table *t, const char *text, size_t bytes); /* -1 = none */
/* MISMATCH naming the character (length 0: the byte) at `at` of a text, its place counted in characters. */
rnnd_code token_refuse(const struct tokenizer *t, const char *text, size_t length, uint32_t code, size_t place,
                       size_t at, rnnd_error *err);

/* The tokenizer that a configuration describes, in the arena. */
rnnd_code tokenizer_open(const struct text_config *c, struct arena *arena, struct tokenizer **out, rnnd_error *err);

#endif
