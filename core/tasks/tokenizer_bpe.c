/* tokenizer_bpe.c -- byte pair encoding (Sennrich 2016), by bytes (GPT-2) or by characters.
 *
 * Added tokens are cut out of the text first. What is left is cut into words (bpe_split.h); a word begins as its
 * characters, and of all neighbours that have a merge those of the lowest rank, the leftmost first, become one token,
 * until none has. By bytes, a character stands for each: 33..126, 161..172 and 174..255 for themselves, the others for
 * U+0100 and on. */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/tasks/bpe_split.h"
#include "core/tasks/tokenizer.h"
#include "core/tasks/unicode.h"
#include "core/tasks/utf8.h"

#define METASPACE "\xE2\x96\x81"

struct merge {
    uint64_t pair; /* left id << 32 | right id */
    uint32_t rank;
    int32_t id; /* what they become */
};

struct bpe {
    const struct bpe_config *config;
    struct token_table table;
    struct merge *merges; /* by pair */
    size_t merge_count;
    const char **texts; /* [vocabulary] as put out */
    size_t *lengths;
    struct token_table added;                  /* as they stand in texts */
    size_t *added_lengths, added_length_count; /* the different ones, longest first */
    int32_t bytes[256];                        /* byte_fallback: the ids of <0x00> to <0xFF>, or -1 */
};

/* ---- tables ----------------------------------------------------------------------------------------------------- */

/* Bytes that stand for themselves aside, in their order: 0..32 are U+0100.., 127..160 U+0121.., 173 is U+0143. */
static uint32_t char_of_byte(unsigned byte)
{
    return byte < 33 ? 256 + byte : byte >= 127 && byte <= 160 ? 289 + byte - 127 : byte == 173 ? 323 : byte;
}

/* -1 if the character stands for no byte. */
static int byte_of_char(uint32_t code)
{
    if (code < 256) return char_of_byte(code) == code ? (int)code : -1;
    return code < 289 ? (int)code - 256 : code < 323 ? (int)code - 289 + 127 : code == 323 ? 173 : -1;
}

static int by_pair(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;
    return x->pair != y->pair ? (x->pair > y->pair) - (x->pair < y->pair) : (x->rank > y->rank) - (x->rank < y->rank);
}

static rnnd_code read_merge(struct bpe *b, size_t rank, char *scratch, rnnd_error *err)
{
    const char *left = b->config->merges[2 * rank], *right = b->config->merges[2 * rank + 1];
    size_t n = strlen(left), m = strlen(right), skip = strlen(b->config->continuing);
    if (skip > m || memcmp(right, b->config->continuing, skip) != 0) skip = 0;
    memcpy(scratch, left, n);
    memcpy(scratch + n, right + skip, m - skip);
    int32_t l = token_find(&b->table, left, n), r = token_find(&b->table, right, m);
    int32_t id = token_find(&b->table, scratch, n + m - skip);
    if (l < 0 || r < 0 || id < 0)
        return fail_at(err, RNND_CORRUPT, "merges",
                       "merge %zu of the vocabulary, \"%.40s\" and \"%.40s\": wanted tokens "
                       "for both and for what they become",
                       rank, left, right);
    b->merges[b->merge_count++] = (struct merge){(uint64_t)(uint32_t)l << 32 | (uint32_t)r, (uint32_t)rank, id};
    return RNND_OK;
}

static rnnd_code read_merges(struct bpe *b, struct arena *arena, rnnd_error *err)
{
    size_t n = b->config->merge_count, longest = 0;
    for (size_t i = 0; i < 2 * n; i++)
        if (strlen(b->config->merges[i]) > longest) longest = strlen(b->config->merges[i]);
    b->merges = arena_alloc(arena, n + 1, sizeof *b->merges);
    char *scratch = mem_alloc(longest + 1, 2);
    rnnd_code code = b->merges && scratch ? RNND_OK : fail_memory(err, n * sizeof *b->merges);
    for (size_t i = 0; i < n && code == RNND_OK; i++)
        code = read_merge(b, i, scratch, err);
    mem_free(scratch);
    if (code != RNND_OK || n == 0) return code;
    qsort(b->merges, b->merge_count, sizeof *b->merges, by_pair);
    size_t kept = 0; /* of a pair that is there twice the last counts, as in the tokenizers library */
    for (size_t i = 0; i < b->merge_count; i++) {
        if (kept && b->merges[kept - 1].pair == b->merges[i].pair) kept--;
        b->merges[kept++] = b->merges[i];
    }
    b->merge_count = kept;
    return RNND_OK;
}

static const struct merge *find_merge(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t low = 0, high = b->merge_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (b->merges[middle].pair < pair)
            low = middle + 1;
        else
            high = middle;
    }
    return low < b->merge_count && b->merges[low].pair == pair ? &b->merges[low] : NULL;
}

/* ---- what tokens are put out as --------------------------------------------------------------------------------- */

/* The bytes that a token's characters stand for; as it is where one stands for none. */
static size_t put_bytes(const char *text, size_t n, char *out)
{
    size_t size = 0, length;
    uint32_t code;
    for (size_t at = 0; at < n; at += length) {
        length = utf8_decode(text + at, n - at, &code);
        int byte = length ? byte_of_char(code) : -1;
        if (byte < 0) {
            memcpy(out, text, n);
            return n;
        }
        out[size++] = (char)byte;
    }
    return size;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte of "<0xNN>", or -1. */
static int fallback_byte(const char *text, size_t n)
{
    if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' || hex(text[3]) < 0 || hex(text[4]) < 0) return -1;
    return hex(text[3]) * 16 + hex(text[4]);
}

/* A token's text as it is put out; `out` has room for n + 2. */
static size_t put_token(const struct bpe_config *c, const char *text, size_t n, char *out)
{
    size_t end = strlen(c->word_end), skip = strlen(c->continuing), size = 0;
    int byte = c->byte_fallback ? fallback_byte(text, n) : -1;
    if (byte >= 0) {
        out[0] = (char)byte;
        return 1;
    }
    if (c->byte_level) return put_bytes(text, n, out);
    if (c->split == SPLIT_METASPACE) {
        for (size_t at = 0; at < n; size++)
            if (n - at >= 3 && memcmp(text + at, METASPACE, 3) == 0) {
                out[size] = ' ';
                at += 3;
            } else {
                out[size] = text[at++];
            }
        return size;
    }
    bool continues = skip && n > skip && memcmp(text, c->continuing, skip) == 0;
    bool ends = end && n >= end && memcmp(text + n - end, c->word_end, end) == 0;
    if (!end && !continues && c->split != SPLIT_NONE)
        out[size++] = ' '; /* nothing says where words end: the tokenizers library joins all by spaces */
    memcpy(out + size, text + (continues ? skip : 0), n - (continues ? skip : 0));
    size += n - (continues ? skip : 0);
    if (ends) {
        size -= end;
        out[size++] = ' ';
    }
    return size;
}

static rnnd_code make_texts(struct tokenizer *t, struct bpe *b, const struct text_config *c, struct arena *arena,
                            rnnd_error *err)
{
    size_t n = c->symbol_count;
    b->texts = arena_alloc(arena, n, sizeof *b->texts);
    b->lengths = arena_alloc(arena, n, sizeof *b->lengths);
    if (!b->texts || !b->lengths) return fail_memory(err, n * sizeof *b->texts);
    for (size_t i = 0; i < b->config->added_count; i++) /* these are put out as they are */
        b->texts[b->config->added[i]] = c->symbols[b->config->added[i]];
    for (size_t i = 0; i < n; i++) {
        size_t bytes = c->symbols[i] ? strlen(c->symbols[i]) : 0;
        if (b->texts[i]) {
            b->lengths[i] = bytes;
        } else {
            char *text = arena_alloc(arena, bytes + 3, 1);
            if (!text) return fail_memory(err, bytes);
            b->lengths[i] = bytes ? put_token(b->config, c->symbols[i], bytes, text) : 0;
            b->texts[i] = text;
        }
        if (b->lengths[i] > t->longest) t->longest = b->lengths[i];
    }
    return RNND_OK;
}

/* ---- preparing -------------------------------------------------------------------------------------------------- */

static int longer_first(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x < y) - (x > y);
}

static rnnd_code prepare_added(struct bpe *b, const struct text_config *c, struct arena *arena, rnnd_error *err)
{
    size_t n = b->config->added_count, kept = 0;
    const char **texts = arena_alloc(arena, c->symbol_count, sizeof *texts); /* all others NULL */
    b->added_lengths = arena_alloc(arena, n + 1, sizeof *b->added_lengths);
    if (!texts || !b->added_lengths) return fail_memory(err, c->symbol_count * sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        texts[b->config->added[i]] = c->symbols[b->config->added[i]];
        b->added_lengths[i] = strlen(c->symbols[b->config->added[i]]);
    }
    if (n) qsort(b->added_lengths, n, sizeof *b->added_lengths, longer_first);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || b->added_lengths[kept - 1] != b->added_lengths[i])
            b->added_lengths[kept++] = b->added_lengths[i];
    b->added_length_count = kept;
    return token_table_init(&b->added, texts, c->symbol_count, true, arena, err);
}

static rnnd_code prepare(struct tokenizer *t, const struct text_config *c, struct arena *arena, rnnd_error *err)
{
    if (c->symbol_count == 0 || !c->bpe)
        return fail_at(err, RNND_CORRUPT, "vocabulary",
                       "the bpe tokenizer needs a vocabulary with merges; it has none");
    if (c->unknown < -1 || (c->unknown >= 0 && (size_t)c->unknown >= c->symbol_count))
        return fail_at(err, RNND_CORRUPT, "unknown", "the unknown token is %d; the vocabulary has %zu tokens",
                       (int)c->unknown, c->symbol_count);
    struct bpe *b = arena_alloc(arena, 1, sizeof *b);
    if (!b) return fail_memory(err, sizeof *b);
    b->config = c->bpe;
    t->vocabulary = c->symbol_count;
    t->unknown = c->unknown;
    t->table = b;
    rnnd_code code = token_table_init(&b->table, c->symbols, c->symbol_count, true, arena, err);
    for (unsigned i = 0; i < 256 && code == RNND_OK; i++) {
        static const char digits[] = "0123456789ABCDEF";
        char name[] = {'<', '0', 'x', digits[i / 16], digits[i % 16], '>'};
        b->bytes[i] = b->config->byte_fallback ? token_find(&b->table, name, sizeof name) : -1;
    }
    if (code == RNND_OK) code = read_merges(b, arena, err);
    if (code == RNND_OK) code = prepare_added(b, c, arena, err);
    return code == RNND_OK ? make_texts(t, b, c, arena, err) : code;
}

/* ---- a word ----------------------------------------------------------------------------------------------------- */

struct part { /* of a word: a token, in a list of its neighbours; id -1: taken in by the one before */
    int32_t id;
    uint32_t previous, next;
};
#define NONE UINT32_MAX

struct candidate { /* two neighbours that have a merge */
    uint32_t rank, at;
    int32_t left, right; /* as they were then */
};

struct work { /* one text being encoded */
    const struct tokenizer *t;
    const struct bpe *b;
    const char *text; /* all of it, for messages */
    size_t bytes;
    char *word; /* a word as the vocabulary writes it */
    size_t word_size, word_cap;
    struct part *parts;
    size_t part_count, part_cap;
    struct candidate *heap; /* the lowest rank first, then the leftmost */
    size_t heap_count, heap_cap;
    int32_t *ids;
    size_t cap, count;
    rnnd_error *err;
};

static rnnd_code room(void **list, size_t *cap, size_t wanted, size_t size, rnnd_error *err)
{
    size_t bytes, more = wanted + wanted / 2 + 64;
    if (wanted <= *cap) return RNND_OK;
    void *p = size_mul(more, size, &bytes) ? mem_resize(*list, bytes) : NULL;
    if (!p) return fail_memory(err, wanted * size);
    *list = p;
    *cap = more;
    return RNND_OK;
}

static bool earlier(const struct candidate *a, const struct candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static rnnd_code push(struct work *w, uint32_t at)
{
    const struct part *p = &w->parts[at];
    const struct merge *m = p->next == NONE ? NULL : find_merge(w->b, p->id, w->parts[p->next].id);
    if (!m) return RNND_OK;
    rnnd_code code = room((void **)&w->heap, &w->heap_cap, w->heap_count + 1, sizeof *w->heap, w->err);
    if (code != RNND_OK) return code;
    struct candidate c = {m->rank, at, p->id, w->parts[p->next].id};
    size_t i = w->heap_count++;
    for (; i > 0 && earlier(&c, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
    return RNND_OK;
}

static struct candidate pop(struct work *w)
{
    struct candidate top = w->heap[0], last = w->heap[--w->heap_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->heap_count; i = child) {
        if (child + 1 < w->heap_count && earlier(&w->heap[child + 1], &w->heap[child])) child++;
        if (!earlier(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = last;
    return top;
}

static rnnd_code merge_parts(struct work *w)
{
    rnnd_code code = RNND_OK;
    w->heap_count = 0;
    for (uint32_t i = 0; i < w->part_count && code == RNND_OK; i++)
        code = push(w, i);
    while (w->heap_count && code == RNND_OK) {
        struct candidate c = pop(w);
        struct part *p = &w->parts[c.at];
        if (p->id != c.left || p->next == NONE || w->parts[p->next].id != c.right)
            continue; /* one of them has been merged meanwhile */
        struct part *right = &w->parts[p->next];
        p->id = find_merge(w->b, c.left, c.right)->id;
        p->next = right->next;
        right->id = -1;
        if (p->next != NONE) w->parts[p->next].previous = c.at;
        if (p->previous != NONE) code = push(w, p->previous);
        if (code == RNND_OK) code = push(w, c.at);
    }
    return code;
}

static void give(struct work *w, int32_t id)
{
    if (w->count < w->cap) w->ids[w->count] = id;
    w->count++;
}

static rnnd_code add_part(struct work *w, int32_t id)
{
    rnnd_code code = room((void **)&w->parts, &w->part_cap, w->part_count + 1, sizeof *w->parts, w->err);
    if (code != RNND_OK) return code;
    uint32_t at = (uint32_t)w->part_count++;
    w->parts[at] = (struct part){id, at ? at - 1 : NONE, NONE};
    if (at) w->parts[at - 1].next = at;
    return RNND_OK;
}

/* A character that is no token: as its bytes, or unknown. */
static rnnd_code add_outsider(struct work *w, const char *text, size_t length, bool *unknown)
{
    bool fallback = w->b->config->byte_fallback;
    for (size_t i = 0; i < length; i++)
        fallback &= w->b->bytes[(uint8_t)text[i]] >= 0;
    for (size_t i = 0; i < length && fallback; i++) {
        rnnd_code code = add_part(w, w->b->bytes[(uint8_t)text[i]]);
        if (code != RNND_OK) return code;
    }
    bool again = *unknown && w->b->config->fuse_unknown;
    *unknown = !fallback;
    if (fallback || again) return RNND_OK;
    if (w->t->unknown >= 0) return add_part(w, w->t->unknown);
    return fail_at(w->err, RNND_MISMATCH, "text",
                   "the character '%.*s' of the text is not among the model's %zu tokens", (int)length, text,
                   w->t->vocabulary);
}

/* w->word: its characters as parts, then merged. */
static rnnd_code encode_word(struct work *w)
{
    const struct bpe_config *c = w->b->config;
    size_t end = strlen(c->word_end), skip = strlen(c->continuing), length;
    char name[256];
    int32_t whole = c->whole_words ? token_find(&w->b->table, w->word, w->word_size) : -1;
    bool unknown = false;
    if (whole >= 0) {
        give(w, whole);
        return RNND_OK;
    }
    w->part_count = 0;
    for (size_t at = 0; at < w->word_size; at += length) {
        uint32_t code;
        size_t n = 0;
        length = utf8_decode(w->word + at, w->word_size - at, &code);
        if (at && skip < 100) memcpy(name, c->continuing, n = skip);
        memcpy(name + n, w->word + at, length);
        n += length;
        if (at + length == w->word_size && end < 100) {
            memcpy(name + n, c->word_end, end);
            n += end;
        }
        int32_t id = token_find(&w->b->table, name, n);
        rnnd_code result = id >= 0 ? add_part(w, id) : add_outsider(w, w->word + at, length, &unknown);
        if (id >= 0) unknown = false;
        if (result != RNND_OK) return result;
    }
    rnnd_code code = merge_parts(w);
    for (uint32_t i = 0; i < w->part_count && code == RNND_OK; i++)
        if (w->parts[i].id >= 0) give(w, w->parts[i].id);
    return code;
}

/* ---- a text ----------------------------------------------------------------------------------------------------- */

static rnnd_code put_word(struct work *w, const char *text, size_t bytes)
{
    w->word_size = 0;
    rnnd_code code = room((void **)&w->word, &w->word_cap, 2 * bytes + 4, 1, w->err);
    if (code != RNND_OK) return code;
    if (w->b->config->byte_level) {
        for (size_t i = 0; i < bytes; i++)
            w->word_size += unicode_utf8(char_of_byte((uint8_t)text[i]), w->word + w->word_size);
    } else {
        memcpy(w->word, text, bytes);
        w->word_size = bytes;
    }
    return encode_word(w);
}

/* A piece between added tokens, ready to be cut: in lower case, a space before it, spaces as U+2581. mem_free() it. */
static rnnd_code prepare_piece(struct work *w, const char *text, size_t bytes, char **out, size_t *size)
{
    const struct bpe_config *c = w->b->config;
    bool meta = c->split == SPLIT_METASPACE, first = text == w->text;
    uint32_t code;
    size_t most;
    if (!size_mul(bytes, 3, &most) || !(*out = mem_alloc(most + 8, 1))) return fail_memory(w->err, bytes);
    char *p = *out;
    bool begins = text[0] == ' ' || (meta && bytes >= 3 && memcmp(text, METASPACE, 3) == 0);
    if (c->prefix_space && !begins && (first || !c->prefix_once)) {
        memcpy(p, meta ? METASPACE : " ", meta ? 3 : 1);
        p += meta ? 3 : 1;
    }
    for (size_t at = 0, n; at < bytes; at += n) {
        n = utf8_decode(text + at, bytes - at, &code);
        if (n == 0) return token_refuse(w->t, text + at, 0, 0, 0, (size_t)(text + at - w->text), w->err);
        if (meta && code == ' ') code = 0x2581;
        p += unicode_utf8(c->lower ? unicode_lower(code) : code, p);
    }
    *size = (size_t)(p - *out);
    return RNND_OK;
}

static rnnd_code encode_piece(struct work *w, const char *text, size_t bytes)
{
    char *piece = NULL;
    size_t size = 0, skip;
    if (bytes == 0) return RNND_OK;
    rnnd_code code = prepare_piece(w, text, bytes, &piece, &size);
    for (size_t at = 0; at < size && code == RNND_OK;) {
        size_t n = bpe_split(w->b->config->split, piece + at, size - at, &skip);
        at += skip;
        if (n) code = put_word(w, piece + at, n);
        at += n;
    }
    mem_free(piece);
    return code;
}

/* The longest added token at the head of a text. */
static int32_t added_at(const struct bpe *b, const char *text, size_t bytes, size_t *length)
{
    for (size_t i = 0; i < b->added_length_count; i++) {
        if (b->added_lengths[i] > bytes) continue;
        int32_t id = token_find(&b->added, text, b->added_lengths[i]);
        if (id >= 0) {
            *length = b->added_lengths[i];
            return id;
        }
    }
    return -1;
}

static rnnd_code encode(const struct tokenizer *t, const char *text, size_t bytes, int32_t *ids, size_t cap,
                        size_t *count, rnnd_error *err)
{
    struct work w = {.t = t, .b = t->table, .text = text, .bytes = bytes, .ids = ids, .cap = cap, .err = err};
    rnnd_code code = RNND_OK;
    size_t from = 0, at = 0, length = 0;
    *count = 0;
    if (bytes > UINT32_MAX / 4)
        return fail_at(err, RNND_TOO_LARGE, "text", "a text may have at most %u bytes", UINT32_MAX / 4);
    while (at < bytes && code == RNND_OK) {
        int32_t id = added_at(w.b, text + at, bytes - at, &length);
        if (id < 0) {
            at++;
            continue;
        }
        code = encode_piece(&w, text + from, at - from);
        if (code == RNND_OK) give(&w, id);
        from = at += length;
    }
    if (code == RNND_OK) code = encode_piece(&w, text + from, bytes - from);
    mem_free(w.word);
    mem_free(w.parts);
    mem_free(w.heap);
    *count = code == RNND_OK ? w.count : 0;
    return code;
}

static const char *decode(const struct tokenizer *t, int32_t id, size_t *bytes)
{
    const struct bpe *b = t->table;
    *bytes = b->lengths[id];
    return b->texts[id];
}

const struct tokenizer_kind tokenizer_bpe = {"bpe", prepare, encode, decode};
