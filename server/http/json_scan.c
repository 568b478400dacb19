/* json_scan.c -- strict JSON: grammar, depth, UTF-8, duplicate keys, ranges; hands numeric arrays to json_cut.c. */
#include "server/http/json_scan_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_LIMIT = 1000000, LONG_NUMBER = 15 };

/* ---- what went wrong, and where ------------------------------------------------------------------------------ */
bool scan_fail(struct scan *s, const char *at, const char *format, ...)
{
    size_t line = 1, column = 1;
    va_list args;
    int n;

    if (s->failed) return false;
    s->failed = true;
    for (const char *p = s->text; p < at; p++) {
        if (*p == '\n') line++, column = 1;
        else if ((*p & 0xC0) != 0x80) column++;
    }
    if (!s->message_bytes) return false;
    n = snprintf(s->message, s->message_bytes, "line %zu, column %zu: ", line, column);
    if (n < 0 || (size_t)n >= s->message_bytes) return false;
    va_start(args, format);
    vsnprintf(s->message + n, s->message_bytes - (size_t)n, format, args);
    va_end(args);
    return false;
}

/* "'x'", "byte 0x07" or "the end" as found at p. */
const char *scan_found(const struct scan *s, const char *p, char out[16])
{
    unsigned char c;

    if (p >= s->end) return "the end";
    c = (unsigned char)*p;
    if (c >= 0x20 && c < 0x7f) snprintf(out, 16, "'%c'", c);
    else snprintf(out, 16, "byte 0x%02x", c);
    return out;
}

bool scan_expected(struct scan *s, const char *at, const char *wanted)
{
    char found[16];

    return scan_fail(s, at, "wanted %s, found %s", wanted, scan_found(s, at, found));
}

/* Room for one more of `size` bytes in an array that holds n; capacities double. */
bool scan_room(struct scan *s, void **array, size_t n, size_t *cap, size_t size)
{
    size_t more = *cap ? *cap * 2 : 64;
    void *p;

    if (n < *cap) return true;
    if (more > SIZE_MAX / 2 / size || !(p = realloc(*array, more * size)))
        return scan_fail(s, s->p, "no memory for %zu values", more);
    *array = p;
    *cap = more;
    return true;
}

/* ---- the text for cJSON: what lies between the replaced pieces is copied ------------------------------------- */
static bool append(struct scan *s, const char *data, size_t bytes)
{
    if (bytes > s->out_cap - s->out->bytes) {
        size_t cap = (s->out->bytes + bytes) * 2 + 256;
        char *p = realloc(s->out->text, cap);
        if (!p) return scan_fail(s, s->p, "no memory for %zu bytes", cap);
        s->out->text = p;
        s->out_cap = cap;
    }
    if (bytes) memcpy(s->out->text + s->out->bytes, data, bytes);
    s->out->bytes += bytes;
    return true;
}

bool scan_replace(struct scan *s, const char *from, unsigned char mark, const char *data, size_t bytes)
{
    char head[2] = {'"', (char)mark};

    if (!append(s, s->copied, (size_t)(from - s->copied)) || !append(s, head, 2)) return false;
    s->copied = s->p;
    return append(s, data, bytes) && append(s, "\"", 1);
}

/* ---- strings ------------------------------------------------------------------------------------------------- */
/* Well-formed UTF-8 (Unicode 15, table 3-7)
 *   00..7F | C2..DF 80..BF | E0 A0..BF 80..BF | E1..EC,EE,EF 80..BF 80..BF | ED 80..9F 80..BF
 *   F0 90..BF 80..BF 80..BF | F1..F3 80..BF 80..BF 80..BF | F4 80..8F 80..BF 80..BF
 * Bytes of the character at p, 0 where malformed. */
size_t json_utf8(const char *text, const char *end)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t left = (size_t)(end - text), n;
    unsigned char low = 0x80, high = 0xBF;

    if (p[0] < 0x80) return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4) return 0;
    n = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (left < n) return 0;
    if (p[0] == 0xE0) low = 0xA0;
    if (p[0] == 0xED) high = 0x9F;
    if (p[0] == 0xF0) low = 0x90;
    if (p[0] == 0xF4) high = 0x8F;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    return n;
}

static int hex4(const char *p, const char *end)
{
    int v = 0;

    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)p[i], digit;
        if (c >= '0' && c <= '9') digit = c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') digit = (c | 0x20) - 'a' + 10;
        else return -1;
        v = v << 4 | digit;
    }
    return v;
}

static bool key_byte(struct scan *s, unsigned c)
{
    if (!scan_room(s, (void **)&s->key_bytes, s->key_used, &s->key_cap, 1)) return false;
    s->key_bytes[s->key_used++] = (char)c;
    return true;
}

static bool key_character(struct scan *s, unsigned c)
{
    if (c < 0x80) return key_byte(s, c);
    if (c < 0x800) return key_byte(s, 0xC0 | c >> 6) && key_byte(s, 0x80 | (c & 63));
    if (c < 0x10000)
        return key_byte(s, 0xE0 | c >> 12) && key_byte(s, 0x80 | (c >> 6 & 63)) && key_byte(s, 0x80 | (c & 63));
    return key_byte(s, 0xF0 | c >> 18) && key_byte(s, 0x80 | (c >> 12 & 63)) && key_byte(s, 0x80 | (c >> 6 & 63)) &&
           key_byte(s, 0x80 | (c & 63));
}

/* The escape at s->p (a backslash); its character to the key where one is wanted. */
static bool escape(struct scan *s, bool key)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = s->p++, *which;
    int c, low;

    if (s->p < s->end && *s->p == 'u') {
        c = hex4(s->p + 1, s->end);
        if (c < 0) return scan_fail(s, at, "wanted four hexadecimal digits after \\u");
        if (c == 0) return scan_fail(s, at, "\\u0000 is not accepted in a string");
        s->p += 5;
        if (c >= 0xDC00 && c <= 0xDFFF) return scan_fail(s, at, "a low surrogate \\u%04x without a high one", c);
        if (c >= 0xD800 && c <= 0xDBFF) {
            low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2, s->end) : -1;
            if (low < 0xDC00 || low > 0xDFFF)
                return scan_fail(s, at, "a high surrogate \\u%04x without a low one", c);
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            s->p += 6;
        }
        return !key || key_character(s, (unsigned)c);
    }
    which = s->p < s->end && *s->p ? strchr(from, *s->p) : NULL;
    if (!which) return scan_expected(s, s->p, "one of \"\\/bfnrtu after a backslash");
    s->p++;
    return !key || key_byte(s, (unsigned char)to[which - from]);
}

/* The string at s->p (a quote). A key is also decoded to the end of key_bytes. */
static bool string(struct scan *s, bool key)
{
    const char *start = s->p++;

    while (s->p < s->end) {
        unsigned char c = (unsigned char)*s->p;
        if (c == '"') {
            s->p++;
            return true;
        }
        if (c == '\\') {
            if (!escape(s, key)) return false;
        } else if (c < 0x20) {
            return scan_fail(s, s->p, "control byte 0x%02x in a string; write it as \\u%04x", c, c);
        } else {
            size_t n = json_utf8(s->p, s->end);
            if (!n) return scan_fail(s, s->p, "byte 0x%02x does not begin a valid UTF-8 character", c);
            for (size_t i = 0; key && i < n; i++)
                if (!key_byte(s, (unsigned char)s->p[i])) return false;
            s->p += n;
        }
    }
    return scan_fail(s, start, "a string that never ends");
}

/* ---- numbers and words --------------------------------------------------------------------------------------- */
bool scan_number_failed(struct scan *s, const struct decimal *d)
{
    if (d->end > d->text && d->end[-1] == '0' && d->end < s->end && *d->end >= '0' && *d->end <= '9')
        return scan_fail(s, d->text, "a number with a leading zero");
    return scan_expected(s, d->end, "a digit");
}

static bool number(struct scan *s)
{
    struct decimal d;
    const char *start = s->p, *end = number_scan(s->p, s->end, &d);

    if (!end) return scan_number_failed(s, &d);
    if (number_overflows_double(&d)) return scan_fail(s, start, "a number too large for a double");
    s->p = end;
    if (end - start <= LONG_NUMBER) return true;
    return scan_replace(s, start, MARK_NUMBER, start, (size_t)(end - start));
}

static bool word(struct scan *s, const char *text)
{
    size_t n = strlen(text);

    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0) return scan_expected(s, s->p, "a JSON value");
    s->p += n;
    return true;
}

/* ---- objects ------------------------------------------------------------------------------------------------- */
static int compare_keys(const void *a, const void *b, void *bytes)
{
    const struct key *x = a, *y = b;
    int order;

    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    order = memcmp((char *)bytes + x->at, (char *)bytes + y->at, x->bytes);
    return order ? order : (x->text > y->text) - (x->text < y->text);
}

/* Keys [first, key_count) belong to one object: sorted, equal ones stand side by side. */
static bool unique_keys(struct scan *s, size_t first)
{
    size_t n = s->key_count - first;
    struct key *k = s->keys + first;

    if (n < 2) return true;
    qsort_r(k, n, sizeof *k, compare_keys, s->key_bytes);
    for (size_t i = 1; i < n; i++)
        if (k[i].bytes == k[i - 1].bytes && !memcmp(s->key_bytes + k[i].at, s->key_bytes + k[i - 1].at, k[i].bytes))
            return scan_fail(s, k[i].text, "the key \"%.*s\" appears twice in one object",
                             (int)(k[i].bytes < 60 ? k[i].bytes : 60), s->key_bytes + k[i].at);
    return true;
}

static bool numeric_key(const char *key, size_t bytes)
{
    static const char *const names[] = {"inputs", "instances", "series", "future", "data", "h", "c", "initial_state"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == bytes && memcmp(names[i], key, bytes) == 0) return true;
    return false;
}

static bool value(struct scan *s, size_t depth, bool numeric);

static bool member(struct scan *s, size_t depth, bool numeric)
{
    struct key *k;

    if (s->p >= s->end || *s->p != '"') return scan_expected(s, s->p, "a key in quotes");
    if (!scan_room(s, (void **)&s->keys, s->key_count, &s->keys_cap, sizeof *s->keys) ||
        !scan_room(s, (void **)&s->key_bytes, s->key_used, &s->key_cap, 1))
        return false;
    k = &s->keys[s->key_count++];
    *k = (struct key){.text = s->p, .at = s->key_used};
    if (!string(s, true)) return false;
    k->bytes = s->key_used - k->at;
    numeric = numeric || numeric_key(s->key_bytes + k->at, k->bytes);
    scan_space(s);
    if (s->p >= s->end || *s->p != ':') return scan_expected(s, s->p, "':' after a key");
    s->p++;
    scan_space(s);
    return value(s, depth, numeric);
}

/* After an element: true at the closing bracket (taken), *more after a comma. */
static bool separator(struct scan *s, char close, bool *more)
{
    scan_space(s);
    *more = s->p < s->end && *s->p == ',';
    if (!*more && (s->p >= s->end || *s->p != close))
        return scan_expected(s, s->p, close == '}' ? "',' or '}'" : "',' or ']'");
    s->p++;
    if (*more) scan_space(s);
    return true;
}

static bool object(struct scan *s, size_t depth, bool numeric)
{
    size_t first = s->key_count, used = s->key_used;
    bool more = true;

    s->p++;
    scan_space(s);
    if (s->p < s->end && *s->p == '}') {
        s->p++;
        return true;
    }
    while (more)
        if (!member(s, depth, numeric) || !separator(s, '}', &more)) return false;
    if (!unique_keys(s, first)) return false;
    s->key_count = first;
    s->key_used = used;
    return true;
}

static bool array(struct scan *s, size_t depth)
{
    bool more = true;

    s->p++;
    scan_space(s);
    if (s->p < s->end && *s->p == ']') {
        s->p++;
        return true;
    }
    while (more)
        if (!value(s, depth, false) || !separator(s, ']', &more)) return false;
    return true;
}

/* numeric: arrays of numbers found here are cut out; it holds for the members of an object too, not within arrays. */
static bool value(struct scan *s, size_t depth, bool numeric)
{
    if (++s->values > VALUES_LIMIT)
        return scan_fail(s, s->p, "too many values: at most %d outside numeric arrays", VALUES_LIMIT);
    if (s->p >= s->end) return scan_expected(s, s->p, "a JSON value");
    switch (*s->p) {
    case '{':
    case '[':
        if (depth >= s->depth_limit)
            return scan_fail(s, s->p, "nested deeper than %zu levels", s->depth_limit);
        if (*s->p == '{') return object(s, depth + 1, numeric);
        if (numeric) {
            enum cut cut = scan_cut(s, depth);
            if (cut != CUT_OTHER) return cut == CUT_DONE;
        }
        return array(s, depth + 1);
    case '"': return string(s, false);
    case 't': return word(s, "true");
    case 'f': return word(s, "false");
    case 'n': return word(s, "null");
    default:
        if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9')) return number(s);
        return scan_expected(s, s->p, "a JSON value");
    }
}

/* Pointers into the packed buffers can be given only now that these no longer move. */
static void settle_pointers(struct json_scan *out)
{
    size_t at = 0, length = 0;

    for (size_t i = 0; i < out->count; i++) {
        struct json_numbers *n = &out->numbers[i];
        n->data = out->floats ? out->floats + at : NULL;
        at += n->count;
        if (n->ragged) {
            n->lengths = out->lengths + length;
            length += n->dim[0];
        }
    }
}

int json_scan(const char *text, size_t bytes, size_t depth_limit, struct json_scan *out, char *message,
              size_t message_bytes)
{
    struct scan s = {.text = text, .p = text, .end = text + bytes, .copied = text, .depth_limit = depth_limit,
                     .out = out, .message = message, .message_bytes = message_bytes};
    bool ok;

    *out = (struct json_scan){0};
    if (bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        ok = scan_fail(&s, text, "a byte order mark; JSON begins without one");
    } else {
        scan_space(&s);
        if (s.p == s.end) ok = scan_fail(&s, s.p, "wanted a JSON value, found nothing");
        else ok = value(&s, 0, false);
    }
    if (ok) {
        scan_space(&s);
        if (s.p < s.end) ok = scan_expected(&s, s.p, "nothing after the JSON value");
    }
    if (ok && out->text) ok = append(&s, s.copied, (size_t)(s.end - s.copied));
    free(s.keys);
    free(s.key_bytes);
    if (!ok) {
        json_scan_free(out);
        return -1;
    }
    settle_pointers(out);
    return 0;
}

void json_scan_free(struct json_scan *scan)
{
    free(scan->text);
    free(scan->numbers);
    free(scan->floats);
    free(scan->lengths);
    *scan = (struct json_scan){0};
}
