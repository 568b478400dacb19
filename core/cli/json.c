/* json.c -- the little JSON the commands read by themselves. */
#include "core/cli/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/array.h"
#include "core/cli/cli.h"

enum { MOST_DEPTH = 64 };

static void skip_blanks(struct json_text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t' || *t->at == '\r'))
        t->at++;
}

bool json_take(struct json_text *t, char c)
{
    skip_blanks(t);
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

bool json_raw_string(struct json_text *t, struct json_text *inside)
{
    if (!json_take(t, '"'))
        return false;
    inside->at = t->at;
    for (; t->at < t->end && *t->at != '"'; t->at++)
        if (*t->at == '\\' && ++t->at == t->end)
            return false;
    inside->end = t->at;
    return json_take(t, '"');
}

/* One value without looking at what is inside its brackets beyond strings and depth. */
bool json_skip(struct json_text *t)
{
    int depth = 0;
    struct json_text inside;
    do {
        skip_blanks(t);
        if (t->at == t->end)
            return false;
        char c = *t->at;
        if (c == '"') {
            if (!json_raw_string(t, &inside))
                return false;
            continue;
        }
        if (strchr(",:]}", c) && depth == 0)
            return false;
        if (!strchr("[]{},:", c)) {
            while (t->at < t->end && !strchr("[]{},: \n\t\r\"", *t->at))
                t->at++;
            continue;
        }
        depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        t->at++;
    } while (depth > 0 && depth <= MOST_DEPTH);
    return depth == 0;
}

bool json_member(struct json_text *t, struct json_text *key, struct json_text *value)
{
    skip_blanks(t);
    json_take(t, ',');
    if (!json_raw_string(t, key) || !json_take(t, ':'))
        return false;
    skip_blanks(t);
    value->at = t->at;
    if (!json_skip(t))
        return false;
    value->end = t->at;
    return true;
}

bool json_key_is(struct json_text key, const char *name)
{
    size_t n = strlen(name);
    return (size_t)(key.end - key.at) == n && memcmp(key.at, name, n) == 0;
}

struct json_text json_find(struct json_text text, const char *key)
{
    struct json_text name, value;
    if (json_take(&text, '{'))
        while (json_member(&text, &name, &value))
            if (json_key_is(name, key))
                return value;
    return (struct json_text){NULL, NULL};
}

/* ---- lists of numbers ------------------------------------------------------------------------------------------ */

struct lists {
    struct json_text text;
    struct array *out;
    size_t count, capacity;
    bool leaf;                        /* a number has been seen, so the rank stands */
    bool sized[ARRAY_MAX_RANK];
    const char *wrong;
};

static bool refuse(struct lists *l, const char *wrong)
{
    l->wrong = l->wrong ? l->wrong : wrong;
    return false;
}

static bool put(struct lists *l, float v)
{
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? l->capacity * 2 : 1024;
        float *larger = realloc(l->out->data, l->capacity * sizeof *larger);
        if (!larger)
            return refuse(l, "it has more numbers than there is memory for");
        l->out->data = larger;
    }
    l->out->data[l->count++] = v;
    return true;
}

static bool read_leaf(struct lists *l, size_t depth)
{
    static const struct { const char *word; float value; } words[] = {{"true", 1}, {"false", 0}, {"null", NAN}};
    struct json_text *t = &l->text;
    size_t left = (size_t)(t->end - t->at), n = 0;
    char number[64], *end;
    if (l->leaf && depth != l->out->rank)
        return refuse(l, "its lists are not equally deep");
    l->leaf = true;
    l->out->rank = depth;
    for (size_t i = 0; i < 3; i++)
        if (left >= strlen(words[i].word) && memcmp(t->at, words[i].word, strlen(words[i].word)) == 0) {
            t->at += strlen(words[i].word);
            return put(l, words[i].value);
        }
    while (n < left && n + 1 < sizeof number && strchr("+-.0123456789eE", t->at[n]) && t->at[n])
        number[n] = t->at[n], n++;
    number[n] = 0;
    double v = strtod(number, &end);
    if (n == 0 || *end || !isfinite((float)v))
        return refuse(l, "something in it is no number that fits float32");
    t->at += n;
    return put(l, (float)v);
}

static bool read_lists(struct lists *l, size_t depth)
{
    size_t n = 0;
    if (!json_take(&l->text, '['))
        return read_leaf(l, depth);
    if (depth == ARRAY_MAX_RANK)
        return refuse(l, "its lists are deeper than 8");
    if (l->leaf && depth >= l->out->rank)
        return refuse(l, "its lists are not equally deep");
    if (!json_take(&l->text, ']')) {
        do {
            skip_blanks(&l->text);
            if (!read_lists(l, depth + 1))
                return false;
            n++;
        } while (json_take(&l->text, ','));
        if (!json_take(&l->text, ']'))
            return refuse(l, "a list is not closed");
    } else if (!l->leaf && l->out->rank < depth + 1) {
        l->out->rank = depth + 1;
    }
    if (l->sized[depth] && l->out->dim[depth] != n)
        return refuse(l, "its lists are not equally long");
    l->sized[depth] = true;
    l->out->dim[depth] = n;
    return true;
}

rnnd_code json_read_array(const char *text, size_t size, struct array *out, rnnd_error *err)
{
    struct lists l = {.text = {text, text + size}, .out = out};
    memset(out, 0, sizeof *out);
    skip_blanks(&l.text);
    bool good = read_lists(&l, 0);
    skip_blanks(&l.text);
    if (good && l.text.at != l.text.end)
        good = refuse(&l, "something stands behind its end");
    if (good && !out->data && !(out->data = malloc(1)))
        good = refuse(&l, "there is no memory");
    if (good && array_count(out) == l.count)
        return RNND_OK;
    array_free(out);
    return cli_error(err, RNND_INVALID, "wanted nested lists of numbers in JSON: %s",
                     l.wrong ? l.wrong : "its lists are not equally long");
}
