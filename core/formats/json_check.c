/* json_check.c -- the grammar of JSON: RFC 8259 to the letter, UTF-8 as RFC 3629 has it. */
#include "core/formats/json_check.h"

#include <stdbool.h>
#include <string.h>

#include "core/formats/json.h"

struct scan {
    const unsigned char *p, *end;
    const char *wrong; /* what is wrong at p */
};

static bool wrong(struct scan *s, const char *what)
{
    s->wrong = what;
    return false;
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

/* One UTF-8 character of two to four bytes (RFC 3629: shortest form, no surrogates). */
static bool scan_utf8(struct scan *s)
{
    unsigned char a = *s->p;
    size_t n = a >= 0xC2 && a <= 0xDF ? 1 : a >= 0xE0 && a <= 0xEF ? 2 : a >= 0xF0 && a <= 0xF4 ? 3 : 0;
    if (n == 0 || (size_t)(s->end - s->p) <= n) return wrong(s, "a byte that is no UTF-8");
    unsigned char b = s->p[1];
    unsigned char low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
    unsigned char high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
    if (b < low || b > high) return wrong(s, "a byte that is no UTF-8");
    for (size_t i = 2; i <= n; i++)
        if ((s->p[i] & 0xC0) != 0x80) return wrong(s, "a byte that is no UTF-8");
    s->p += n + 1;
    return true;
}

static bool scan_hex4(struct scan *s, unsigned *out)
{
    unsigned v = 0;
    if (s->end - s->p < 4) return wrong(s, "an unfinished \\u escape");
    for (int i = 0; i < 4; i++, s->p++) {
        unsigned char c = *s->p;
        unsigned d = c >= '0' && c <= '9'   ? c - 48u
                     : c >= 'a' && c <= 'f' ? c - 87u
                     : c >= 'A' && c <= 'F' ? c - 55u
                                            : 99u;
        if (d == 99) return wrong(s, "a \\u escape without four hexadecimal digits");
        v = v * 16 + d;
    }
    *out = v;
    return true;
}

static bool scan_escape(struct scan *s)
{
    unsigned u;
    if (++s->p == s->end) return wrong(s, "an unfinished string");
    if (*s->p != 'u') {
        if (!memchr("\"\\/bfnrt", *s->p, 8)) return wrong(s, "an unknown escape");
        s->p++;
        return true;
    }
    s->p++;
    if (!scan_hex4(s, &u)) return false;
    if (u == 0) return wrong(s, "the character U+0000");
    if (u >= 0xDC00 && u <= 0xDFFF) return wrong(s, "half a surrogate pair");
    if (u >= 0xD800 && u <= 0xDBFF) {
        if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u') return wrong(s, "half a surrogate pair");
        s->p += 2;
        if (!scan_hex4(s, &u)) return false;
        if (u < 0xDC00 || u > 0xDFFF) return wrong(s, "half a surrogate pair");
    }
    return true;
}

static bool scan_string(struct scan *s)
{
    if (s->p == s->end || *s->p != '"') return wrong(s, "no string where one must be");
    s->p++;
    while (s->p < s->end) {
        unsigned char c = *s->p;
        if (c == '"') {
            s->p++;
            return true;
        }
        if (c < 0x20) return wrong(s, "a control character in a string");
        if (c == '\\') {
            if (!scan_escape(s)) return false;
        } else if (c < 0x80) {
            s->p++;
        } else if (!scan_utf8(s)) {
            return false;
        }
    }
    return wrong(s, "an unfinished string");
}

static bool scan_digits(struct scan *s)
{
    const unsigned char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return s->p > from ? true : wrong(s, "a number without digits");
}

static bool scan_number(struct scan *s)
{
    if (*s->p == '-') s->p++;
    if (s->p < s->end && *s->p == '0')
        s->p++;
    else if (!scan_digits(s))
        return false;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!scan_digits(s)) return false;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) s->p++;
        if (!scan_digits(s)) return false;
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) return wrong(s, "something that is no JSON");
    s->p += n;
    return true;
}

static bool scan_scalar(struct scan *s)
{
    switch (*s->p) {
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9')) return scan_number(s);
        return wrong(s, "something that is no JSON");
    }
}

static bool scan_member_name(struct scan *s)
{
    skip_space(s);
    if (!scan_string(s)) return false;
    skip_space(s);
    if (s->p == s->end || *s->p != ':') return wrong(s, "a key without a colon");
    s->p++;
    return true;
}

/* A pushdown automaton, so that depth costs no stack. */
static bool scan_document(struct scan *s)
{
    char open[JSON_MAX_DEPTH]; /* '{' or '[' per level */
    size_t depth = 0;
    for (;;) { /* a value begins here */
        skip_space(s);
        if (s->p == s->end) return wrong(s, "the end");
        if (*s->p == '{' || *s->p == '[') {
            char kind = (char)*s->p;
            if (depth == JSON_MAX_DEPTH) return wrong(s, "too deep a nesting");
            open[depth++] = kind;
            s->p++;
            skip_space(s);
            if (s->p < s->end && *s->p == (kind == '{' ? '}' : ']')) {
                s->p++;
                depth--;
            } else {
                if (kind == '{' && !scan_member_name(s)) return false;
                continue;
            }
        } else if (!scan_scalar(s)) {
            return false;
        }
        for (;;) { /* a value ended here */
            skip_space(s);
            if (depth == 0) return s->p == s->end ? true : wrong(s, "more after the end");
            if (s->p == s->end) return wrong(s, "the end");
            if (*s->p == ',') break;
            if (*s->p != (open[depth - 1] == '{' ? '}' : ']')) return wrong(s, "no comma where one must be");
            s->p++;
            depth--;
        }
        s->p++;
        if (open[depth - 1] == '{' && !scan_member_name(s)) return false;
    }
}

const char *json_check(const char *text, size_t bytes, size_t *at)
{
    const unsigned char *from = (const unsigned char *)text;
    struct scan s = {from, from + bytes, NULL};
    if (scan_document(&s)) return NULL;
    *at = (size_t)(s.p - from);
    return s.wrong;
}
