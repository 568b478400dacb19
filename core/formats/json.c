/* json.c -- JSON from strangers: a strict check of the text, then cJSON, which alone would let too much pass. */
#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/mem.h"
#include "core/formats/json.h"

/* struct json is never defined: its pointers are cJSON's */
static cJSON *c_of(const struct json *j)
{
    return (cJSON *)(void *)(uintptr_t)j;
}
static struct json *j_of(cJSON *c)
{
    return (struct json *)(void *)c;
}

/* ---- the check: a pushdown automaton, so that depth costs no stack ---- */

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

/* ---- keys: none twice ---- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

/* Members in byte order of their keys; *sorted is mem_alloc'd. */
static rnnd_code sorted_members(cJSON *object, cJSON ***sorted, size_t *count, rnnd_error *err)
{
    size_t n = 0;
    for (cJSON *e = object->child; e; e = e->next)
        n++;
    cJSON **list = mem_alloc(n ? n : 1, sizeof *list);
    if (!list) return fail_memory(err, n * sizeof *list);
    n = 0;
    for (cJSON *e = object->child; e; e = e->next)
        list[n++] = e;
    qsort(list, n, sizeof *list, compare_keys);
    *sorted = list;
    *count = n;
    return RNND_OK;
}

static rnnd_code check_keys(cJSON *c, const char *what, rnnd_error *err) /* as deep as JSON_MAX_DEPTH at most */
{
    if (cJSON_IsObject(c)) {
        cJSON **list;
        size_t n;
        rnnd_code code = sorted_members(c, &list, &n, err);
        if (code) return code;
        for (size_t i = 1; i < n && !code; i++)
            if (strcmp(list[i - 1]->string, list[i]->string) == 0)
                code = fail_at(err, RNND_CORRUPT, list[i]->string, "%s: the key \"%.80s\" stands twice in one object",
                               what, list[i]->string);
        mem_free(list);
        if (code) return code;
    }
    for (cJSON *e = c->child; e; e = e->next)
        if (e->child) {
            rnnd_code code = check_keys(e, what, err);
            if (code) return code;
        }
    return RNND_OK;
}

static void *hook_alloc(size_t bytes)
{
    return mem_alloc(1, bytes);
}

static void set_hooks(void)
{
    cJSON_Hooks hooks = {hook_alloc, mem_free};
    cJSON_InitHooks(&hooks);
}

rnnd_code json_parse(const char *text, size_t bytes, const char *what, struct json **out, rnnd_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct scan s = {(const unsigned char *)text, (const unsigned char *)text + bytes, NULL};
    *out = NULL;
    pthread_once(&once, set_hooks);
    if (bytes > JSON_MAX_BYTES)
        return fail(err, RNND_TOO_LARGE, "%s: at most %zu bytes of JSON are read, it has %zu", what, JSON_MAX_BYTES,
                    bytes);
    if (!scan_document(&s))
        return fail(err, RNND_CORRUPT, "%s: wanted JSON, found %s at byte %zu", what, s.wrong,
                    (size_t)(s.p - (const unsigned char *)text));
    cJSON *c = cJSON_ParseWithLength(text, bytes);
    if (!c) return fail_memory(err, bytes); /* the text is good, so only memory can be short */
    rnnd_code code = check_keys(c, what, err);
    if (code)
        cJSON_Delete(c);
    else
        *out = j_of(c);
    return code;
}

void json_free(struct json *j)
{
    cJSON_Delete(c_of(j));
}

/* ---- reading ---- */

bool json_is_object(const struct json *j)
{
    return cJSON_IsObject(c_of(j));
}
bool json_is_array(const struct json *j)
{
    return cJSON_IsArray(c_of(j));
}
bool json_is_string(const struct json *j)
{
    return cJSON_IsString(c_of(j));
}
bool json_is_number(const struct json *j)
{
    return cJSON_IsNumber(c_of(j));
}
bool json_is_bool(const struct json *j)
{
    return cJSON_IsBool(c_of(j));
}
bool json_is_null(const struct json *j)
{
    return cJSON_IsNull(c_of(j));
}

const char *json_type_name(const struct json *j)
{
    return !j                  ? "nothing"
           : json_is_object(j) ? "an object"
           : json_is_array(j)  ? "an array"
           : json_is_string(j) ? "a string"
           : json_is_number(j) ? "a number"
           : json_is_bool(j)   ? "a truth value"
                               : "null";
}

const struct json *json_get(const struct json *object, const char *key)
{
    return json_is_object(object) ? j_of(cJSON_GetObjectItemCaseSensitive(c_of(object), key)) : NULL;
}

size_t json_count(const struct json *j)
{
    size_t n = 0;
    for (const struct json *e = json_first(j); e; e = json_next(e))
        n++;
    return n;
}

const struct json *json_first(const struct json *j)
{
    return j ? j_of(c_of(j)->child) : NULL;
}
const struct json *json_next(const struct json *e)
{
    return j_of(c_of(e)->next);
}
const char *json_key(const struct json *e)
{
    return c_of(e)->string ? c_of(e)->string : "";
}
const char *json_string(const struct json *j)
{
    return json_is_string(j) ? c_of(j)->valuestring : NULL;
}
double json_number(const struct json *j)
{
    return json_is_number(j) ? c_of(j)->valuedouble : 0;
}
bool json_true(const struct json *j)
{
    return cJSON_IsTrue(c_of(j));
}

bool json_whole(const struct json *j, int64_t min, int64_t max, int64_t *out)
{
    if (!json_is_number(j)) return false;
    double v = c_of(j)->valuedouble;
    if (!(v >= -9007199254740992.0 && v <= 9007199254740992.0)) return false; /* beyond, doubles are not exact */
    int64_t i = (int64_t)v;
    if ((double)i != v || i < min || i > max) return false;
    *out = i;
    return true;
}

/* ---- writing ---- */

static bool sort_keys(cJSON *c)
{
    if (cJSON_IsObject(c) && c->child) {
        cJSON **list;
        size_t n;
        if (sorted_members(c, &list, &n, NULL)) return false;
        for (size_t i = 0; i < n; i++) { /* cJSON's list: the first's prev is the last, the last's next is NULL */
            list[i]->next = i + 1 < n ? list[i + 1] : NULL;
            list[i]->prev = list[i ? i - 1 : n - 1];
        }
        c->child = list[0];
        mem_free(list);
    }
    for (cJSON *e = c->child; e; e = e->next)
        if (e->child && !sort_keys(e)) return false;
    return true;
}

char *json_print(struct json *j, bool sorted)
{
    if (sorted && !sort_keys(c_of(j))) return NULL;
    return cJSON_PrintUnformatted(c_of(j));
}
