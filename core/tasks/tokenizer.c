/* tokenizer.c -- text to token ids and back: the kinds, of them bytes and tables of characters. */
#include "core/tasks/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/tasks/unicode.h"
#include "core/tasks/utf8.h"

/* ---- bytes: id = byte; every text has ids and every id is a byte ----------------------------------------------- */

#define BYTES_4(n) (char)(n), (char)((n) + 1), (char)((n) + 2), (char)((n) + 3)
#define BYTES_16(n) BYTES_4(n), BYTES_4((n) + 4), BYTES_4((n) + 8), BYTES_4((n) + 12)
#define BYTES_64(n) BYTES_16(n), BYTES_16((n) + 16), BYTES_16((n) + 32), BYTES_16((n) + 48)
static const char all_bytes[256] = {BYTES_64(0), BYTES_64(64), BYTES_64(128), BYTES_64(192)};

static rnnd_code bytes_prepare(struct tokenizer *t, const struct text_config *c, struct arena *arena, rnnd_error *err)
{
    (void)c, (void)arena, (void)err;
    t->vocabulary = 256;
    t->longest = 1;
    return RNND_OK;
}

static rnnd_code bytes_encode(const struct tokenizer *t, const char *text, size_t bytes, int32_t *ids, size_t cap,
                              size_t *count, rnnd_error *err)
{
    (void)t, (void)err;
    for (size_t i = 0; i < bytes && i < cap; i++)
        ids[i] = (uint8_t)text[i];
    *count = bytes;
    return RNND_OK;
}

static const char *bytes_decode(const struct tokenizer *t, int32_t id, size_t *bytes)
{
    (void)t;
    *bytes = 1;
    return &all_bytes[id];
}

/* ---- chars: a table of symbols. One of a single character stands for it; a longer one ("<unk>") is only put out, so
 * that nobody can type a special token. ---------------------------------------------------------------------------- */

struct char_entry { uint32_t code; int32_t id; };

struct char_table {
    int32_t ascii[128];         /* id, or -1 */
    struct char_entry *entries; /* all single characters, by code */
    size_t entry_count;
    const char **texts;         /* [vocabulary], borrowed from the configuration */
    size_t *lengths;
    bool lower, holes;
};

static int by_code(const void *a, const void *b)
{
    const struct char_entry *x = a, *y = b;
    return x->code != y->code ? (x->code > y->code) - (x->code < y->code) : (x->id > y->id) - (x->id < y->id);
}

static rnnd_code read_symbol(struct char_table *table, const char *text, size_t i, rnnd_error *err)
{
    size_t length = text ? strlen(text) : 0;
    uint32_t code = 0;
    if (!text && table->holes) { /* an id that stands for nothing */
        table->texts[i] = "";
        return RNND_OK;
    }
    if (length == 0)
        return fail_at(err, RNND_CORRUPT, "symbols", "symbol %zu of the vocabulary is empty", i);
    for (size_t at = 0, n; at < length; at += n)
        if ((n = utf8_decode(text + at, length - at, &code)) == 0)
            return fail_at(err, RNND_CORRUPT, "symbols", "symbol %zu of the vocabulary is not UTF-8 at byte %zu", i,
                           at);
    table->texts[i] = text;
    table->lengths[i] = length;
    if (utf8_decode(text, length, &code) == length)
        table->entries[table->entry_count++] = (struct char_entry){code, (int32_t)i};
    return RNND_OK;
}

static rnnd_code index_symbols(struct char_table *table, rnnd_error *err)
{
    for (size_t i = 0; i < 128; i++)
        table->ascii[i] = -1;
    qsort(table->entries, table->entry_count, sizeof *table->entries, by_code);
    for (size_t i = 0; i < table->entry_count; i++) {
        const struct char_entry *e = &table->entries[i];
        if (i > 0 && e->code == e[-1].code)
            return fail_at(err, RNND_CORRUPT, "symbols", "symbols %d and %d of the vocabulary are both U+%04X",
                           (int)e[-1].id, (int)e->id, (unsigned)e->code);
        if (e->code < 128)
            table->ascii[e->code] = e->id;
    }
    return RNND_OK;
}

static rnnd_code chars_prepare(struct tokenizer *t, const struct text_config *c, struct arena *arena, rnnd_error *err)
{
    size_t n = c->symbol_count;
    if (n == 0 || n > 0x110000)
        return fail_at(err, RNND_CORRUPT, "symbols",
                       "the chars tokenizer needs a table of 1 to 1114112 symbols; it has %zu", n);
    if (c->unknown < -1 || (c->unknown >= 0 && (size_t)c->unknown >= n))
        return fail_at(err, RNND_CORRUPT, "unknown", "the unknown symbol is %d; the vocabulary has %zu symbols",
                       (int)c->unknown, n);
    struct char_table *table = arena_alloc(arena, 1, sizeof *table);
    if (!table)
        return fail_memory(err, sizeof *table);
    table->entries = arena_alloc(arena, n, sizeof *table->entries);
    table->texts = arena_alloc(arena, n, sizeof *table->texts);
    table->lengths = arena_alloc(arena, n, sizeof *table->lengths);
    if (!table->entries || !table->texts || !table->lengths)
        return fail_memory(err, n * sizeof *table->lengths);
    t->vocabulary = n;
    t->unknown = c->unknown;
    t->table = table;
    table->lower = c->lower;
    table->holes = c->holes;
    for (size_t i = 0; i < n; i++) {
        rnnd_code code = read_symbol(table, c->symbols[i], i, err);
        if (code != RNND_OK)
            return code;
        if (table->lengths[i] > t->longest)
            t->longest = table->lengths[i];
    }
    return index_symbols(table, err);
}

static int32_t find_char(const struct char_table *table, uint32_t code)
{
    if (code < 128)
        return table->ascii[code];
    size_t low = 0, high = table->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->entries[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->entry_count && table->entries[low].code == code ? table->entries[low].id : -1;
}

rnnd_code token_refuse(const struct tokenizer *t, const char *text, size_t length, uint32_t code, size_t place,
                       size_t at, rnnd_error *err)
{
    if (length == 0)
        return fail_at(err, RNND_MISMATCH, "text", "byte 0x%02X at offset %zu of the text is not UTF-8",
                       (unsigned)(uint8_t)text[0], at);
    bool control = code < 0x20 || (code >= 0x7F && code < 0xA0);
    return fail_at(err, RNND_MISMATCH, "text",
                   "%s%.*s%sU+%04X at position %zu (byte %zu) of the text is not among the model's %zu symbols",
                   control ? "" : "'", control ? 0 : (int)length, text, control ? "" : "' ", (unsigned)code, place, at,
                   t->vocabulary);
}

static rnnd_code chars_encode(const struct tokenizer *t, const char *text, size_t bytes, int32_t *ids, size_t cap,
                              size_t *count, rnnd_error *err)
{
    const struct char_table *table = t->table;
    size_t n = 0;
    for (size_t at = 0; at < bytes; n++) {
        uint32_t code = 0;
        size_t length = utf8_decode(text + at, bytes - at, &code);
        int32_t id = length ? find_char(table, table->lower ? unicode_lower(code) : code) : -1;
        if (id < 0)
            id = t->unknown;
        if (id < 0)
            return token_refuse(t, text + at, length, code, n, at, err);
        if (n < cap)
            ids[n] = id;
        at += length ? length : 1;
    }
    *count = n;
    return RNND_OK;
}

static const char *chars_decode(const struct tokenizer *t, int32_t id, size_t *bytes)
{
    const struct char_table *table = t->table;
    *bytes = table->lengths[id];
    return table->texts[id];
}

/* ---- texts to be found ----------------------------------------------------------------------------------------- */

static int compare_texts(const char *a, size_t n, const char *b, size_t m)
{
    int order = memcmp(a, b, n < m ? n : m);
    return order ? order : (n > m) - (n < m);
}

static int by_text(const void *a, const void *b)
{
    const struct token_entry *x = a, *y = b;
    int order = compare_texts(x->text, x->bytes, y->text, y->bytes);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

rnnd_code token_table_init(struct token_table *t, const char *const *texts, size_t count, bool first,
                           struct arena *arena, rnnd_error *err)
{
    t->entries = arena_alloc(arena, count + 1, sizeof *t->entries);
    t->count = 0;
    if (!t->entries)
        return fail_memory(err, count * sizeof *t->entries);
    for (size_t i = 0; i < count; i++)
        if (texts[i])
            t->entries[t->count++] = (struct token_entry){texts[i], strlen(texts[i]), (int32_t)i};
    if (t->count)
        qsort(t->entries, t->count, sizeof *t->entries, by_text);
    for (size_t i = 1; i < t->count && !first; i++) {
        const struct token_entry *e = &t->entries[i];
        if (compare_texts(e[-1].text, e[-1].bytes, e->text, e->bytes) == 0)
            return fail_at(err, RNND_CORRUPT, "vocabulary", "tokens %d and %d of the vocabulary are both \"%.40s\"",
                           (int)e[-1].id, (int)e->id, e->text);
    }
    return RNND_OK;
}

int32_t token_find(const struct token_table *t, const char *text, size_t bytes)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_texts(t->entries[middle].text, t->entries[middle].bytes, text, bytes) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    const struct token_entry *e = &t->entries[low];
    return low < t->count && compare_texts(e->text, e->bytes, text, bytes) == 0 ? e->id : -1;
}

/* ---- the kinds ------------------------------------------------------------------------------------------------- */

static const struct tokenizer_kind tokenizer_bytes = {"bytes", bytes_prepare, bytes_encode, bytes_decode};
static const struct tokenizer_kind tokenizer_chars = {"chars", chars_prepare, chars_encode, chars_decode};
static const struct tokenizer_kind *const kinds[] = {&tokenizer_bytes, &tokenizer_chars, &tokenizer_words,
                                                    &tokenizer_bpe};

/* Which ids are never drawn. */
static rnnd_code find_never(struct tokenizer *t, const struct text_config *c, struct arena *arena, rnnd_error *err)
{
    bool any = c->has_padding;
    for (size_t i = 0; i < c->symbol_count; i++)
        any |= !c->symbols[i];
    if (!any)
        return RNND_OK;
    bool *never = arena_alloc(arena, t->vocabulary, sizeof *never);
    if (!never)
        return fail_memory(err, t->vocabulary * sizeof *never);
    for (size_t i = 0; i < t->vocabulary; i++)
        never[i] = (i < c->symbol_count && !c->symbols[i]) || (c->has_padding && c->padding == (int32_t)i);
    t->never = never;
    return RNND_OK;
}

rnnd_code tokenizer_open(const struct text_config *c, struct arena *arena, struct tokenizer **out, rnnd_error *err)
{
    *out = NULL;
    const char *name = c->tokenizer ? c->tokenizer : "";
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i]->name, name) != 0)
            continue;
        struct tokenizer *t = arena_alloc(arena, 1, sizeof *t);
        if (!t)
            return fail_memory(err, sizeof *t);
        t->kind = kinds[i];
        t->unknown = -1;
        rnnd_code code = t->kind->prepare(t, c, arena, err);
        if (code == RNND_OK)
            code = find_never(t, c, arena, err);
        if (code == RNND_OK)
            *out = t;
        return code;
    }
    return fail_at(err, RNND_UNSUPPORTED, "tokenizer", "the tokenizer is '%.40s'; wanted bytes, chars, words or bpe",
                   name);
}
