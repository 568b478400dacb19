/* json_scan.c -- strict JSON into a document: grammar, depth, UTF-8, duplicate keys, ranges; json_cut.c: arrays. */
#include "server/http/json_scan_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_LIMIT = 1000000, FEW_KEYS = 12 };

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

/* Room for one more of `size` bytes in an array that holds n. Capacities double, from little: of thousands of rows each
 * has a document. */
bool scan_room(struct scan *s, void **array, size_t n, size_t *cap, size_t size)
{
    size_t more = *cap ? *cap * 2 : size < 64 ? 512 / size : 4;
    void *p;

    if (n < *cap) return true;
    if (more > SIZE_MAX / 2 / size || !(p = realloc(*array, more * size)))
        return scan_fail(s, s->p, "no memory for %zu values", more);
    *array = p;
    *cap = more;
    return true;
}

struct json *scan_value(struct scan *s, enum json_type type)
{
    struct json_doc *doc = s->doc;
    struct json *v;

    if (!scan_room(s, (void **)&doc->values, doc->count, &doc->values_cap, sizeof *doc->values)) return NULL;
    v = &doc->values[doc->count++];
    *v = (struct json){.type = type, .skip = 1};
    return v;
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

/* One more byte of the string being decoded; there is room, for the text has as much as the body. */
static void put_byte(struct scan *s, unsigned c)
{
    s->doc->text[s->doc->text_used++] = (char)c;
}

static void put_character(struct scan *s, unsigned c)
{
    if (c < 0x80) {
        put_byte(s, c);
        return;
    }
    if (c < 0x800) {
        put_byte(s, 0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            put_byte(s, 0xE0 | c >> 12);
        } else {
            put_byte(s, 0xF0 | c >> 18);
            put_byte(s, 0x80 | (c >> 12 & 63));
        }
        put_byte(s, 0x80 | (c >> 6 & 63));
    }
    put_byte(s, 0x80 | (c & 63));
}

/* The escape at s->p (a backslash). */
static bool escape(struct scan *s)
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
        put_character(s, (unsigned)c);
        return true;
    }
    which = s->p < s->end && *s->p ? strchr(from, *s->p) : NULL;
    if (!which) return scan_expected(s, s->p, "one of \"\\/bfnrtu after a backslash");
    s->p++;
    put_byte(s, (unsigned char)to[which - from]);
    return true;
}

/* Plain characters from s->p on are copied; where they end. */
static const char *plain(struct scan *s)
{
    const char *p = s->p;
    char *out = s->doc->text + s->doc->text_used;

    while (p < s->end && *p != '"' && *p != '\\' && (unsigned char)(*p - 0x20) < 0x60) *out++ = *p++;
    s->doc->text_used += (size_t)(p - s->p);
    return p;
}

/* The string at s->p (a quote), decoded to the end of the text; *from: where. */
static bool string(struct scan *s, const char **from, size_t *bytes)
{
    struct json_doc *doc = s->doc;
    const char *start = s->p++;
    size_t begin = doc->text_used;

    for (;;) {
        s->p = plain(s);
        if (s->p == s->end) return scan_fail(s, start, "a string that never ends");
        unsigned char c = (unsigned char)*s->p;
        if (c == '"') break;
        if (c == '\\') {
            if (!escape(s)) return false;
        } else if (c < 0x20) {
            return scan_fail(s, s->p, "control byte 0x%02x in a string; write it as \\u%04x", c, c);
        } else {
            size_t n = json_utf8(s->p, s->end);
            if (!n) return scan_fail(s, s->p, "byte 0x%02x does not begin a valid UTF-8 character", c);
            memcpy(doc->text + doc->text_used, s->p, n);
            doc->text_used += n;
            s->p += n;
        }
    }
    s->p++;
    *from = doc->text + begin;
    *bytes = doc->text_used - begin;
    put_byte(s, 0);
    return true;
}

static bool string_value(struct scan *s)
{
    struct json *v = scan_value(s, JSON_STRING);

    return v && string(s, &v->as.string, &v->bytes);
}

/* ---- numbers and words --------------------------------------------------------------------------------------- */
bool scan_number_failed(struct scan *s, const struct decimal *d)
{
    if (d->end > d->text && d->end[-1] == '0' && d->end < s->end && *d->end >= '0' && *d->end <= '9')
        return scan_fail(s, d->text, "a number with a leading zero");
    return scan_expected(s, d->end, "a digit");
}

/* As a double: exactly where one multiplication or division of exact doubles is (Clinger 1990), by strtod() else. */
static double double_of(struct scan *s, const struct decimal *d)
{
    static const double powers[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    char *copy = s->doc->text + s->doc->text_used; /* terminated, which the body need not be */
    size_t bytes = (size_t)(d->end - d->text);
    double v = (double)d->digits;

    if (!d->truncated && d->digits <= UINT64_C(1) << 53 && d->exponent >= -22 && d->exponent <= 22) {
        v = d->exponent < 0 ? v / powers[-d->exponent] : v * powers[d->exponent];
        return d->negative ? -v : v;
    }
    memcpy(copy, d->text, bytes);
    copy[bytes] = 0;
    return strtod(copy, NULL);
}

static bool number(struct scan *s)
{
    struct decimal d;
    const char *start = s->p;
    struct json *v = scan_value(s, JSON_NUMBER);

    if (!v) return false;
    s->p = number_scan(start, s->end, &d);
    if (!s->p) return scan_number_failed(s, &d);
    if (number_overflows_double(&d)) return scan_fail(s, start, "a number too large for a double");
    v->as.number = double_of(s, &d);
    v->is_whole = d.whole && !d.truncated && d.exponent == 0 && d.digits <= (uint64_t)INT64_MAX + d.negative;
    if (v->is_whole) v->whole = (int64_t)(d.negative ? -d.digits : d.digits);
    return true;
}

static bool word(struct scan *s, const char *text, enum json_type type)
{
    size_t n = strlen(text);
    struct json *v = scan_value(s, type);

    if (!v) return false;
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0) return scan_expected(s, s->p, "a JSON value");
    s->p += n;
    v->as.truth = *text == 't';
    return true;
}

/* ---- objects ------------------------------------------------------------------------------------------------- */
static int compare_keys(const void *a, const void *b)
{
    const struct json_key *x = a, *y = b;
    int order;

    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    order = memcmp(x->name, y->name, x->bytes);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static bool same_key(const struct json_key *x, const struct json_key *y)
{
    return x->bytes == y->bytes && memcmp(x->name, y->name, x->bytes) == 0;
}

/* Keys [first, key_count) belong to one object: a few are compared each with each, many are sorted, which puts equal
 * ones side by side. */
static bool unique_keys(struct scan *s, size_t first)
{
    size_t n = s->doc->key_count - first;
    struct json_key *k = s->doc->keys + first, *twice = NULL;

    if (n > FEW_KEYS) qsort(k, n, sizeof *k, compare_keys);
    for (size_t i = 1; i < n && !twice; i++)
        for (size_t j = n > FEW_KEYS ? i - 1 : 0; j < i && !twice; j++)
            if (same_key(&k[i], &k[j])) twice = &k[i];
    if (!twice) return true;
    return scan_fail(s, twice->at, "the key \"%.*s\" appears twice in one object",
                     (int)(twice->bytes < 60 ? twice->bytes : 60), twice->name);
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
    struct json_doc *doc = s->doc;
    struct json_key key = {.at = s->p};
    size_t index = doc->count;

    if (s->p >= s->end || *s->p != '"') return scan_expected(s, s->p, "a key in quotes");
    if (!string(s, &key.name, &key.bytes) ||
        !scan_room(s, (void **)&doc->keys, doc->key_count, &doc->keys_cap, sizeof *doc->keys))
        return false;
    doc->keys[doc->key_count++] = key;
    numeric = numeric || numeric_key(key.name, key.bytes);
    scan_space(s);
    if (s->p >= s->end || *s->p != ':') return scan_expected(s, s->p, "':' after a key");
    s->p++;
    scan_space(s);
    if (!value(s, depth, numeric)) return false;
    doc->values[index].key = key.name;
    return true;
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

/* From the bracket at s->p to its partner. */
static bool container(struct scan *s, size_t depth, bool numeric)
{
    struct json_doc *doc = s->doc;
    bool is_object = *s->p == '{', more = true;
    char close = is_object ? '}' : ']';
    size_t index = doc->count, first = doc->key_count, last = 0, n = 0;

    if (!scan_value(s, is_object ? JSON_OBJECT : JSON_ARRAY)) return false;
    s->p++;
    scan_space(s);
    if (s->p < s->end && *s->p == close) {
        s->p++;
        return true;
    }
    for (; more; n++) {
        last = doc->count;
        if (is_object ? !member(s, depth, numeric) : !value(s, depth, false)) return false;
        if (!separator(s, close, &more)) return false;
    }
    if (is_object && !unique_keys(s, first)) return false;
    doc->key_count = first;
    doc->values[last].last = true;
    doc->values[index].bytes = n;
    doc->values[index].skip = doc->count - index;
    return true;
}

/* numeric: arrays of numbers found here are cut out; it holds for the members of an object too, not within arrays. */
static bool value(struct scan *s, size_t depth, bool numeric)
{
    if (s->doc->count >= VALUES_LIMIT)
        return scan_fail(s, s->p, "too many values: at most %d outside numeric arrays", VALUES_LIMIT);
    if (s->p >= s->end) return scan_expected(s, s->p, "a JSON value");
    switch (*s->p) {
    case '{':
    case '[':
        if (depth >= s->depth_limit)
            return scan_fail(s, s->p, "nested deeper than %zu levels", s->depth_limit);
        if (*s->p == '[' && numeric) {
            enum cut cut = scan_cut(s, depth);
            if (cut != CUT_OTHER) return cut == CUT_DONE;
        }
        return container(s, depth + 1, numeric);
    case '"': return string_value(s);
    case 't': return word(s, "true", JSON_BOOL);
    case 'f': return word(s, "false", JSON_BOOL);
    case 'n': return word(s, "null", JSON_NULL);
    default:
        if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9')) return number(s);
        return scan_expected(s, s->p, "a JSON value");
    }
}

bool scan_run(struct scan *s)
{
    struct json_doc *doc = s->doc;
    size_t bytes = (size_t)(s->end - s->text);

    if (bytes >= 3 && memcmp(s->text, "\xEF\xBB\xBF", 3) == 0)
        return scan_fail(s, s->text, "a byte order mark; JSON begins without one");
    if (bytes >= doc->text_cap) { /* a string's quotes make room for its terminator; one more for a number's copy */
        char *text = realloc(doc->text, bytes + 1);
        if (!text) return scan_fail(s, s->text, "no memory for %zu bytes", bytes + 1);
        doc->text = text;
        doc->text_cap = bytes + 1;
    }
    scan_space(s);
    if (s->p == s->end) return scan_fail(s, s->p, "wanted a JSON value, found nothing");
    if (!value(s, 0, false)) return false;
    doc->values[0].last = true;
    scan_space(s);
    return s->p == s->end || scan_expected(s, s->p, "nothing after the JSON value");
}
