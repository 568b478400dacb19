/* json_cut.c -- arrays of numbers taken straight from the text into float32: values, shape, missing values. */
#include "server/http/json_scan_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { RANK_LIMIT = 8, ARRAYS_LIMIT = 65536 };

struct cutting {
    struct json_numbers n;
    int level;                        /* index of the innermost open array, -1 before the first */
    int leaf, deepest;                /* level on which the numbers stand (-1: none seen), and the deepest array's */
    size_t index[RANK_LIMIT];         /* elements so far, of each open array */
    bool seen[RANK_LIMIT];            /* an array of this level has closed, with dim elements */
    const char *uneven[RANK_LIMIT];   /* the first closing bracket of one that differed */
    size_t uneven_count[RANK_LIMIT];
    char uneven_path[RANK_LIMIT][48];
    size_t longest;                   /* on level 1 */
};

/* "[0][3][1]" of the element being read on the innermost open level. */
static void write_path(const struct cutting *c, char *out, size_t room)
{
    size_t at = 0;

    for (int i = 0; i <= c->level && at < room; i++) {
        int n = snprintf(out + at, room - at, "[%zu]", c->index[i]);
        if (n < 0) return;
        at += (size_t)n;
    }
}

/* May a number stand here, on the innermost open level? */
static bool on_leaf(struct scan *s, struct cutting *c, const char *at)
{
    if (c->leaf < 0 && c->deepest <= c->level) c->leaf = c->level;
    if (c->level == c->leaf) return true;
    return scan_fail(s, at, "a value where an array was wanted, as in the ones before");
}

static bool put_missing(struct scan *s, struct cutting *c, const char *at)
{
    struct json_doc *doc = s->doc;

    if (!on_leaf(s, c, at)) return false;
    if (!scan_room(s, (void **)&doc->floats, doc->floats_used, &doc->floats_cap, sizeof(float))) return false;
    if (c->n.missing++ == 0) {
        c->n.first_missing = c->n.count;
        write_path(c, c->n.first_missing_path, sizeof c->n.first_missing_path);
    }
    doc->floats[doc->floats_used++] = NAN;
    c->n.count++;
    c->index[c->level]++;
    return true;
}

static bool starts_number(const char *p, const char *end)
{
    return p < end && (*p == '-' || (unsigned)(*p - '0') < 10);
}

/* Numbers and the commas between them, from the number at s->p to behind the last of a row of them. */
static bool put_numbers(struct scan *s, struct cutting *c)
{
    struct json_doc *doc = s->doc;
    struct decimal d;
    const char *p = s->p, *at;
    size_t n = doc->floats_used;
    float v;

    if (!on_leaf(s, c, p)) return false;
    for (;;) {
        at = p;
        p = number_read(at, s->end, &d, &v);
        if (!p) return scan_number_failed(s, &d);
        if (v - v != 0) return scan_fail(s, at, "a number too large for float32");
        if (n == doc->floats_cap && !scan_room(s, (void **)&doc->floats, n, &doc->floats_cap, sizeof(float)))
            return false;
        doc->floats[n++] = v;
        s->p = p;
        scan_space(s);
        if (s->p >= s->end || *s->p != ',') break;
        at = s->p++;
        scan_space(s);
        if (!starts_number(s->p, s->end)) {
            s->p = at;
            break;
        }
        p = s->p;
    }
    c->n.count += n - doc->floats_used;
    c->index[c->level] += n - doc->floats_used;
    doc->floats_used = n;
    return true;
}

static bool open_level(struct scan *s, struct cutting *c, size_t depth)
{
    if (c->level + 1 >= RANK_LIMIT)
        return scan_fail(s, s->p, "an array of numbers with more than %d dimensions", RANK_LIMIT);
    if (depth + (size_t)(c->level + 1) >= s->depth_limit)
        return scan_fail(s, s->p, "nested deeper than %zu levels", s->depth_limit);
    if (c->leaf >= 0 && c->level + 1 > c->leaf)
        return scan_fail(s, s->p, "an array where a number was wanted, as in the ones before");
    c->index[++c->level] = 0;
    if (c->level > c->deepest) c->deepest = c->level;
    s->p++;
    return true;
}

static bool close_level(struct scan *s, struct cutting *c)
{
    int level = c->level--;
    size_t n = c->index[level];

    if (!c->seen[level]) {
        c->seen[level] = true;
        c->n.dim[level] = n;
    } else if (n != c->n.dim[level] && !c->uneven[level]) {
        c->uneven[level] = s->p;
        c->uneven_count[level] = n;
        write_path(c, c->uneven_path[level], sizeof c->uneven_path[level]);
    }
    if (level == 1) { /* kept only if the array turns out to be ragged */
        struct json_doc *doc = s->doc;
        size_t at = doc->lengths_used + c->index[0];
        if (!scan_room(s, (void **)&doc->lengths, at, &doc->lengths_cap, sizeof(size_t))) return false;
        doc->lengths[at] = n;
        if (n > c->longest) c->longest = n;
    }
    if (level > 0) c->index[level - 1]++;
    s->p++;
    return true;
}

/* The next thing where a value may stand: a number, null, "NaN", or an array's beginning. */
static enum cut element(struct scan *s, struct cutting *c, size_t depth)
{
    const char *at = s->p;

    if (at >= s->end) return CUT_OTHER; /* the ordinary scan says what is wrong */
    if (*at == '[') return open_level(s, c, depth) ? CUT_DONE : CUT_FAILED;
    if (starts_number(at, s->end)) return put_numbers(s, c) ? CUT_DONE : CUT_FAILED;
    if (s->end - at >= 4 && memcmp(at, "null", 4) == 0) s->p = at + 4;
    else if (s->end - at >= 5 && memcmp(at, "\"NaN\"", 5) == 0) s->p = at + 5;
    else return CUT_OTHER;
    return put_missing(s, c, at) ? CUT_DONE : CUT_FAILED;
}

/* Reads from '[' to its ']'. */
static enum cut elements(struct scan *s, struct cutting *c, size_t depth)
{
    bool fresh = true; /* a value may come, after '[' or ',' */

    do {
        int level = c->level;
        scan_space(s);
        if (fresh && !(s->p < s->end && *s->p == ']' && level >= 0 && c->index[level] == 0)) {
            enum cut cut = element(s, c, depth);
            if (cut != CUT_DONE) return cut;
            fresh = c->level > level; /* an array was opened */
        } else if (s->p < s->end && *s->p == ']') {
            if (!close_level(s, c)) return CUT_FAILED;
            fresh = false;
        } else if (s->p < s->end && *s->p == ',') {
            s->p++;
            scan_space(s);
            if (s->p < s->end && *s->p == ']') return CUT_OTHER; /* [1,]: the ordinary scan says what is wrong */
            fresh = true;
        } else {
            return CUT_OTHER;
        }
    } while (c->level >= 0);
    return CUT_DONE;
}

/* Regular, or ragged in the one way that has a meaning: sequences of different length. */
static bool settle_shape(struct scan *s, struct cutting *c)
{
    struct json_numbers *n = &c->n;

    n->rank = (c->leaf >= 0 ? c->leaf : c->deepest) + 1;
    for (int level = n->rank - 1; level >= 1; level--) {
        if (!c->uneven[level]) continue;
        if (level == 1 && n->rank <= 3) {
            n->ragged = true;
            n->dim[1] = c->longest;
        } else {
            return scan_fail(s, c->uneven[level],
                             "an array of length %zu on level %d, at %s, where the ones before have %zu",
                             c->uneven_count[level], level + 1, c->uneven_path[level], n->dim[level]);
        }
    }
    if (n->ragged) s->doc->lengths_used += n->dim[0];
    return true;
}

enum cut scan_cut(struct scan *s, size_t depth)
{
    struct cutting c = {.level = -1, .leaf = -1};
    struct json_doc *doc = s->doc;
    struct json *v;
    const char *start = s->p;
    size_t floats = doc->floats_used;
    enum cut cut = elements(s, &c, depth);

    if (cut == CUT_OTHER) {
        s->p = start;
        doc->floats_used = floats;
        return CUT_OTHER;
    }
    if (cut == CUT_FAILED || !settle_shape(s, &c)) return CUT_FAILED;
    if (doc->numbers_count >= ARRAYS_LIMIT) {
        scan_fail(s, start, "too many numeric arrays: at most %d", ARRAYS_LIMIT);
        return CUT_FAILED;
    }
    if (!scan_room(s, (void **)&doc->numbers, doc->numbers_count, &doc->numbers_cap, sizeof *doc->numbers) ||
        !(v = scan_value(s, JSON_NUMBERS)))
        return CUT_FAILED;
    v->as.index = doc->numbers_count;
    doc->numbers[doc->numbers_count++] = c.n;
    return CUT_DONE;
}
