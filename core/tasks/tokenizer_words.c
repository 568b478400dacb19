/* tokenizer_words.c -- words, as Keras' Tokenizer cuts them.
 *
 * The text in lower case; every character of `filters` becomes `split`; what stands between two of `split` is a word.
 * A word that is not in the vocabulary becomes `unknown`, or is left out where there is none. Put out, a word has
 * `split` before it. */
#include <string.h>

#include "core/base/error.h"
#include "core/tasks/tokenizer.h"
#include "core/tasks/unicode.h"
#include "core/tasks/utf8.h"

#define SIGMA 0x3A3
#define FINAL_SIGMA 0x3C2

struct words {
    struct token_table table;
    const char **texts; /* [vocabulary] split and word; "" where an id has none */
    size_t *lengths;
    bool lower, ascii[128]; /* ascii: separates */
    uint32_t *filters;      /* the other characters that separate */
    size_t filter_count;
    uint32_t split;
};

static rnnd_code read_filters(struct words *w, const struct text_config *c, struct arena *arena, rnnd_error *err)
{
    size_t n = strlen(c->filters), split = strlen(c->split);
    uint32_t code;
    if (split == 0 || utf8_decode(c->split, split, &w->split) != split)
        return fail_at(err, RNND_UNSUPPORTED, "split", "words are split at one character, found \"%.40s\"", c->split);
    w->filters = arena_alloc(arena, n + 1, sizeof *w->filters);
    if (!w->filters) return fail_memory(err, n * sizeof *w->filters);
    for (size_t at = 0, length; at < n; at += length) {
        if ((length = utf8_decode(c->filters + at, n - at, &code)) == 0)
            return fail_at(err, RNND_CORRUPT, "filters", "the filters are not UTF-8 at byte %zu", at);
        if (code < 128)
            w->ascii[code] = true;
        else
            w->filters[w->filter_count++] = code;
    }
    if (w->split < 128)
        w->ascii[w->split] = true;
    else
        w->filters[w->filter_count++] = w->split;
    return RNND_OK;
}

static rnnd_code make_texts(struct tokenizer *t, struct words *w, const struct text_config *c, struct arena *arena,
                            rnnd_error *err)
{
    size_t n = c->symbol_count, lead = strlen(c->split);
    w->texts = arena_alloc(arena, n, sizeof *w->texts);
    w->lengths = arena_alloc(arena, n, sizeof *w->lengths);
    if (!w->texts || !w->lengths) return fail_memory(err, n * sizeof *w->texts);
    for (size_t i = 0; i < n; i++) {
        w->texts[i] = "";
        if (!c->symbols[i]) continue;
        size_t bytes = strlen(c->symbols[i]);
        char *text = arena_alloc(arena, lead + bytes + 1, 1);
        if (!text) return fail_memory(err, bytes);
        memcpy(text, c->split, lead);
        memcpy(text + lead, c->symbols[i], bytes);
        w->texts[i] = text;
        w->lengths[i] = lead + bytes;
        if (lead + bytes > t->longest) t->longest = lead + bytes;
    }
    return RNND_OK;
}

static rnnd_code prepare(struct tokenizer *t, const struct text_config *c, struct arena *arena, rnnd_error *err)
{
    if (c->symbol_count == 0)
        return fail_at(err, RNND_CORRUPT, "vocabulary", "the words tokenizer needs a vocabulary; it has 0 words");
    if (c->unknown < -1 || (c->unknown >= 0 && (size_t)c->unknown >= c->symbol_count))
        return fail_at(err, RNND_CORRUPT, "unknown", "the unknown word is %d; the vocabulary has %zu words",
                       (int)c->unknown, c->symbol_count);
    struct words *w = arena_alloc(arena, 1, sizeof *w);
    if (!w) return fail_memory(err, sizeof *w);
    t->vocabulary = c->symbol_count;
    t->unknown = c->unknown;
    t->table = w;
    w->lower = c->lower;
    rnnd_code code = token_table_init(&w->table, c->symbols, c->symbol_count, false, arena, err);
    if (code == RNND_OK) code = read_filters(w, c, arena, err);
    return code == RNND_OK ? make_texts(t, w, c, arena, err) : code;
}

static bool separates(const struct words *w, uint32_t code)
{
    if (code < 128) return w->ascii[code];
    for (size_t i = 0; i < w->filter_count; i++)
        if (w->filters[i] == code) return true;
    return false;
}

/* Whether the next character that is no mark is a letter. */
static bool letter_follows(const char *text, size_t bytes)
{
    uint32_t code;
    for (size_t at = 0, n; at < bytes && (n = utf8_decode(text + at, bytes - at, &code)) > 0; at += n)
        if (!unicode_mark(code)) return unicode_letter(code);
    return false;
}

/* A character in lower case, at most 4 bytes: a capital sigma at the end of a word has its own, U+0130 becomes two. */
static size_t put_lower(uint32_t code, bool after_letter, const char *rest, size_t left, char out[4])
{
    if (code == 0x130) {
        memcpy(out, "i\xCC\x87", 3);
        return 3;
    }
    if (code == SIGMA && after_letter && !letter_follows(rest, left)) return unicode_utf8(FINAL_SIGMA, out);
    return unicode_utf8(unicode_lower(code), out);
}

struct writer {
    int32_t *ids;
    size_t cap, count;
};

static void end_word(const struct tokenizer *t, const char *word, size_t bytes, struct writer *out)
{
    const struct words *w = t->table;
    int32_t id = bytes ? token_find(&w->table, word, bytes) : -1;
    if (bytes == 0 || (id < 0 && (id = t->unknown) < 0)) return;
    if (out->count < out->cap) out->ids[out->count] = id;
    out->count++;
}

static rnnd_code encode(const struct tokenizer *t, const char *text, size_t bytes, int32_t *ids, size_t cap,
                        size_t *count, rnnd_error *err)
{
    const struct words *w = t->table;
    struct writer out = {ids, cap, 0};
    size_t length, size = 0, place = 0;
    bool after_letter = false;
    uint32_t code;
    *count = 0;
    if (!size_mul(bytes, 2, &size)) return fail_memory(err, bytes);
    char *word = mem_alloc(size + 4, 1); /* no lower case has more than 3 bytes for 2 */
    if (!word) return fail_memory(err, size);
    size = 0;
    for (size_t at = 0; at < bytes; at += length, place++) {
        length = utf8_decode(text + at, bytes - at, &code);
        if (length == 0) {
            mem_free(word);
            return token_refuse(t, text + at, 0, 0, place, at, err);
        }
        if (separates(w, w->lower ? unicode_lower(code) : code)) {
            end_word(t, word, size, &out);
            size = 0;
        } else if (w->lower) {
            size += put_lower(code, after_letter, text + at + length, bytes - at - length, word + size);
        } else {
            memcpy(word + size, text + at, length);
            size += length;
        }
        after_letter = unicode_letter(code) || (after_letter && unicode_mark(code));
    }
    end_word(t, word, size, &out);
    mem_free(word);
    *count = out.count;
    return RNND_OK;
}

static const char *decode(const struct tokenizer *t, int32_t id, size_t *bytes)
{
    const struct words *w = t->table;
    *bytes = w->lengths[id];
    return w->texts[id];
}

const struct tokenizer_kind tokenizer_words = {"words", prepare, encode, decode};
