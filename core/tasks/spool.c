/* spool.c -- text on its way out. A text that may begin a stop string is held back: the longest end of it that is the
 * beginning of one, which each stop's automaton knows. */
#include "core/tasks/spool.h"

#include <string.h>

#include "core/base/error.h"
#include "core/base/mem.h"

/* ---- stop strings ---------------------------------------------------------------------------------------------- */

static rnnd_code stop_init(struct stop *stop, const char *text, rnnd_error *err)
{
    size_t length = text ? strlen(text) : 0;
    if (length == 0)
        return fail_at(err, RNND_INVALID, "stop", "a stop string is empty");
    if (length > UINT32_MAX)
        return fail_at(err, RNND_TOO_LARGE, "stop", "a stop string has %zu bytes", length);
    for (size_t at = 0, n; at < length; at += n) {
        uint32_t code;
        if ((n = utf8_decode(text + at, length - at, &code)) == 0)
            return fail_at(err, RNND_INVALID, "stop", "a stop string is not UTF-8 at byte %zu", at);
    }
    stop->text = mem_copy_string(text);
    stop->border = mem_alloc(length, sizeof *stop->border);
    if (!stop->text || !stop->border)
        return fail_memory(err, length * sizeof *stop->border);
    stop->length = length;
    for (size_t i = 1, k = 0; i < length; i++) {
        while (k > 0 && text[i] != text[k])
            k = stop->border[k - 1];
        if (text[i] == text[k])
            k++;
        stop->border[i] = (uint32_t)k;
    }
    return RNND_OK;
}

/* One more byte of text; true if the stop is complete. */
static bool stop_feed(struct stop *stop, char byte)
{
    while (stop->matched > 0 && stop->text[stop->matched] != byte)
        stop->matched = stop->border[stop->matched - 1];
    if (stop->text[stop->matched] == byte)
        stop->matched++;
    return stop->matched == stop->length;
}

/* Bytes at the end of the text that may begin a stop string. */
static size_t held(const struct spool *s)
{
    size_t most = 0;
    for (size_t i = 0; i < s->stop_count && !s->closed; i++)
        if (s->stops[i].matched > most)
            most = s->stops[i].matched;
    return most;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

rnnd_code spool_init(struct spool *s, const char *const *stops, size_t stop_count, size_t longest,
                     size_t alternative_width, size_t token_limit, rnnd_error *err)
{
    memset(s, 0, sizeof *s);
    size_t longest_stop = 0;
    if (stop_count > 0) {
        s->stops = mem_alloc(stop_count, sizeof *s->stops);
        if (!s->stops)
            return fail_memory(err, stop_count * sizeof *s->stops);
    }
    s->stop_count = stop_count;
    for (size_t i = 0; i < stop_count; i++) {
        rnnd_code code = stop_init(&s->stops[i], stops[i], err);
        if (code != RNND_OK)
            return code;
        if (s->stops[i].length > longest_stop)
            longest_stop = s->stops[i].length;
    }
    /* what is held, what was given out last and one more token, each byte of which may become a U+FFFD */
    s->capacity = 2 * (longest_stop + 3 * (longest + 4)) + 64;
    s->token_capacity = 2 * longest_stop + 16;
    s->alternative_width = alternative_width;
    s->token_limit = token_limit;
    s->watch_from = UINT64_MAX;
    s->text = mem_alloc(s->capacity, 1);
    s->tokens = mem_alloc(s->token_capacity, sizeof *s->tokens);
    if (!s->text || !s->tokens)
        return fail_memory(err, s->capacity);
    size_t n;
    if (alternative_width > 0) {
        if (size_mul(s->token_capacity, alternative_width, &n))
            s->alternatives = mem_alloc(n, sizeof *s->alternatives);
        if (!s->alternatives)
            return fail_memory(err, s->token_capacity);
    }
    return RNND_OK;
}

void spool_free(struct spool *s)
{
    for (size_t i = 0; s->stops && i < s->stop_count; i++) {
        mem_free(s->stops[i].text);
        mem_free(s->stops[i].border);
    }
    mem_free(s->stops);
    mem_free(s->text);
    mem_free(s->tokens);
    mem_free(s->alternatives);
    memset(s, 0, sizeof *s);
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

static void drop_given(struct spool *s)
{
    if (s->given == 0)
        return;
    memmove(s->text, s->text + s->given, s->length - s->given);
    s->base += s->given;
    s->length -= s->given;
    s->given = 0;
}

static bool make_room(struct spool *s, size_t more)
{
    size_t wanted;
    if (s->capacity - s->length >= more)
        return true;
    drop_given(s);
    if (s->capacity - s->length >= more)
        return true;
    char *larger = size_mul(s->capacity, 2, &wanted) ? mem_resize(s->text, wanted) : NULL;
    if (!larger) {
        s->failed = true;
        return false;
    }
    s->text = larger;
    s->capacity = wanted;
    return true;
}

/* Appends a character; true if it completes a stop string: then the text ends before that. Of several that end here the
 * longest counts. */
static bool append(struct spool *s, const char *bytes, size_t count)
{
    if (!make_room(s, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t place = s->base + s->length;
        s->text[s->length++] = bytes[i];
        if (place < s->watch_from)
            continue;
        size_t longest = 0;
        for (size_t k = 0; k < s->stop_count; k++)
            if (stop_feed(&s->stops[k], bytes[i]) && s->stops[k].length > longest)
                longest = s->stops[k].length;
        if (longest > 0) {
            s->length -= longest;
            s->closed = true;
            return true;
        }
    }
    return false;
}

/* Tokens all of whose bytes have become text now know where it ends; one none of whose bytes have, where it starts. */
static void settle_tokens(struct spool *s)
{
    for (size_t i = s->token_count; i-- > 0;) {
        struct spool_token *t = &s->tokens[(s->token_head + i) % s->token_capacity];
        if (t->end != UINT64_MAX)
            break;
        if (t->bytes_end <= s->bytes_in)
            t->end = s->base + s->length;
        else if (t->bytes_start >= s->bytes_in)
            t->start = s->base + s->length;
    }
}

bool spool_push_text(struct spool *s, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count && !s->closed && !s->failed;) {
        enum utf8_event event = utf8_push(&s->utf8, (uint8_t)bytes[i]);
        if (event == UTF8_WHOLE)
            append(s, s->utf8.bytes, s->utf8.have);
        else if (event != UTF8_WAIT)
            append(s, UTF8_REPLACEMENT, 3);
        if (event != UTF8_BAD_BEFORE) {
            s->bytes_in++;
            i++;
        }
        if (event != UTF8_WAIT && !s->closed)
            settle_tokens(s);
    }
    return s->closed;
}

void spool_watch(struct spool *s, uint64_t min_bytes)
{
    uint64_t now = s->base + s->length;
    s->watch_from = min_bytes < UINT64_MAX - now ? now + min_bytes : UINT64_MAX;
}

void spool_close(struct spool *s)
{
    if (s->closed)
        return;
    if (utf8_pending(&s->utf8) > 0 && !s->failed) {
        s->utf8 = (struct utf8){0};
        append(s, UTF8_REPLACEMENT, 3);
    }
    if (!s->closed)
        settle_tokens(s);
    s->closed = true;
}

const char *spool_text(struct spool *s, size_t *bytes)
{
    drop_given(s);
    size_t ready = s->length - held(s);
    s->given = *bytes = ready;
    return ready > 0 ? s->text : NULL;
}

/* ---- tokens ---------------------------------------------------------------------------------------------------- */

static bool more_tokens(struct spool *s)
{
    size_t wanted, n = s->token_capacity, bytes, count;
    rnnd_alternative *alternatives = NULL;
    struct spool_token *tokens = NULL;
    if (!size_mul(n, 2, &wanted) || !size_mul(wanted, sizeof *tokens, &bytes))
        return false;
    tokens = mem_alloc(wanted, sizeof *tokens);
    if (s->alternative_width > 0 && size_mul(wanted, s->alternative_width, &count))
        alternatives = mem_alloc(count, sizeof *alternatives);
    if (!tokens || (s->alternative_width > 0 && !alternatives)) {
        mem_free(tokens);
        mem_free(alternatives);
        return false;
    }
    for (size_t i = 0; i < s->token_count; i++) {
        size_t from = (s->token_head + i) % n;
        tokens[i] = s->tokens[from];
        if (s->alternative_width > 0)
            memcpy(alternatives + i * s->alternative_width, s->alternatives + from * s->alternative_width,
                   s->alternative_width * sizeof *alternatives);
    }
    mem_free(s->tokens);
    mem_free(s->alternatives);
    s->tokens = tokens;
    s->alternatives = alternatives;
    s->token_head = 0;
    s->token_capacity = wanted;
    return true;
}

bool spool_push(struct spool *s, const rnnd_token *token, const rnnd_alternative *alternatives, const char *bytes,
                size_t count)
{
    if (s->token_limit > 0 && s->token_count >= s->token_limit) {
        s->token_head = (s->token_head + 1) % s->token_capacity;
        s->token_count--;
    }
    if (s->token_count == s->token_capacity && !more_tokens(s)) {
        s->failed = true;
        return false;
    }
    size_t at = (s->token_head + s->token_count++) % s->token_capacity;
    struct spool_token *t = &s->tokens[at];
    uint64_t place = s->base + s->length;
    *t = (struct spool_token){*token, s->bytes_in, s->bytes_in + count, place, count ? UINT64_MAX : place};
    if (token->alternative_count > 0)
        memcpy(s->alternatives + at * s->alternative_width, alternatives,
               token->alternative_count * sizeof *alternatives);
    return spool_push_text(s, bytes, count);
}

/* A token is out when all of its text is; at the end of the text, when any of it is, for the rest was a stop string. */
bool spool_token(struct spool *s, rnnd_token *out)
{
    if (s->token_count == 0)
        return false;
    const struct spool_token *t = &s->tokens[s->token_head];
    uint64_t given = s->base + s->given;
    bool all_out = s->closed && s->given == s->length;
    if (t->end > given && !(all_out && t->start < given))
        return false;
    *out = t->token;
    out->alternatives = t->token.alternative_count ? s->alternatives + s->token_head * s->alternative_width : NULL;
    s->token_head = (s->token_head + 1) % s->token_capacity;
    s->token_count--;
    return true;
}
