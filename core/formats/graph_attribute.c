/* graph_attribute.c -- attributes of tensor operators in JSON, both ways. */
#include "core/formats/graph_attribute.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/graph_read.h"

#define MAX_LIST ((size_t)1 << 16)

/* ---- reading ---- */

static rnnd_code wrong(const struct graph_node *n, const char *name, const char *wanted, const struct json *j,
                       rnnd_error *err)
{
    return fail_at(err, RNND_MISMATCH, name, "node \"%.80s\", attribute \"%.60s\": wanted %s, found %s", n->name, name,
                   wanted, json_type_name(j));
}

static bool is_whole(const struct json *j)
{
    int64_t v;
    return json_whole(j, -GRAPH_MAX_WHOLE, GRAPH_MAX_WHOLE, &v) && !(v == 0 && signbit(json_number(j)));
}

/* Whether every element is such; true of none. */
static bool all(const struct json *list, bool (*is)(const struct json *))
{
    for (const struct json *j = json_first(list); j; j = json_next(j))
        if (!is(j)) return false;
    return true;
}

static bool is_float(const struct json *j)
{
    return json_is_number(j) && isfinite((float)json_number(j));
}

static rnnd_code read_ints(struct graph *g, struct graph_node *n, const char *name, const struct json *list,
                           rnnd_error *err)
{
    size_t at = 0;
    int64_t *v = mem_alloc(json_count(list) + 1, sizeof *v);
    if (!v) return fail_memory(err, json_count(list) * sizeof *v);
    for (const struct json *j = json_first(list); j; j = json_next(j))
        json_whole(j, -GRAPH_MAX_WHOLE, GRAPH_MAX_WHOLE, &v[at++]);
    rnnd_code code = graph_attr_ints(g, n, name, v, at);
    mem_free(v);
    return code ? fail_memory(err, at * sizeof *v) : RNND_OK;
}

static rnnd_code read_floats(struct graph *g, struct graph_node *n, const char *name, const struct json *list,
                             rnnd_error *err)
{
    size_t at = 0;
    float *v = mem_alloc(json_count(list) + 1, sizeof *v);
    if (!v) return fail_memory(err, json_count(list) * sizeof *v);
    for (const struct json *j = json_first(list); j; j = json_next(j))
        v[at++] = (float)json_number(j);
    rnnd_code code = graph_attr_floats(g, n, name, v, at);
    mem_free(v);
    return code ? fail_memory(err, at * sizeof *v) : RNND_OK;
}

static rnnd_code read_strings(struct graph *g, struct graph_node *n, const char *name, const struct json *list,
                              rnnd_error *err)
{
    size_t at = 0;
    const char **v = mem_alloc(json_count(list) + 1, sizeof *v);
    if (!v) return fail_memory(err, json_count(list) * sizeof *v);
    for (const struct json *j = json_first(list); j; j = json_next(j))
        v[at++] = json_string(j);
    rnnd_code code = graph_attr_strings(g, n, name, v, at);
    mem_free(v);
    return code ? fail_memory(err, at * sizeof *v) : RNND_OK;
}

/* kind: what was said of it, "float", "floats", "strings", or NULL. */
static rnnd_code read_value(struct graph *g, struct graph_node *n, const char *name, const char *kind,
                            const struct json *j, rnnd_error *err)
{
    bool list = json_is_array(j), plain = !kind;
    rnnd_code code;
    if (list && json_count(j) > MAX_LIST) return wrong(n, name, "at most 65536 elements", j, err);
    if (list && plain && all(j, is_whole)) return read_ints(g, n, name, j, err);
    if (list && all(j, is_float) && (plain || strcmp(kind, "floats") == 0)) return read_floats(g, n, name, j, err);
    if (list && all(j, json_is_string) && (plain || strcmp(kind, "strings") == 0))
        return read_strings(g, n, name, j, err);
    if (json_is_bool(j) && plain)
        code = graph_attr_int(g, n, name, json_true(j));
    else if (is_whole(j) && plain)
        code = graph_attr_int(g, n, name, (int64_t)json_number(j));
    else if (is_float(j) && (plain || strcmp(kind, "float") == 0))
        code = graph_attr_float(g, n, name, (float)json_number(j));
    else if (json_is_string(j) && plain)
        code = graph_attr_string(g, n, name, json_string(j));
    else
        return wrong(n, name,
                     plain ? "a number, a string or a list of either"
                           : "what {\"float\": 1}, {\"floats\": [1]} or {\"strings\": []} says",
                     j, err);
    return code ? fail_memory(err, sizeof(struct attr)) : RNND_OK;
}

rnnd_code graph_read_attributes(struct graph *g, struct graph_node *n, const struct json *object, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    if (object && !json_is_object(object)) return wrong(n, "attributes", "an object", object, err);
    for (const struct json *j = json_first(object); j && !code; j = json_next(j)) {
        const struct json *typed = json_is_object(j) && json_count(j) == 1 ? json_first(j) : NULL;
        code = read_value(g, n, json_key(j), typed ? json_key(typed) : NULL, typed ? typed : j, err);
    }
    return code;
}

/* ---- writing ---- */

static rnnd_code cannot(const struct graph_node *n, const struct attr *a, rnnd_error *err)
{
    return fail_at(err, RNND_UNSUPPORTED, a->name,
                   "node \"%.80s\": its attribute \"%.60s\" is a number that JSON cannot hold", n->name, a->name);
}

/* Reads as a whole number where nothing else is said. */
static bool looks_whole(float f)
{
    return f == floorf(f) && fabsf(f) <= (float)GRAPH_MAX_WHOLE && !(f == 0 && signbit(f));
}

static rnnd_code write_ints(struct json_text *t, const struct graph_node *n, const struct attr *a, rnnd_error *err)
{
    const int64_t *v = a->p;
    for (size_t i = 0; i < a->count; i++) {
        if (v[i] > GRAPH_MAX_WHOLE || v[i] < -GRAPH_MAX_WHOLE) return cannot(n, a, err);
        json_text_add(t, "%s%lld", i ? "," : "[", (long long)v[i]);
    }
    json_text_add(t, a->count ? "]" : "[]");
    return RNND_OK;
}

static rnnd_code write_floats(struct json_text *t, const struct graph_node *n, const struct attr *a, rnnd_error *err)
{
    const float *v = a->p;
    bool whole = true;
    for (size_t i = 0; i < a->count; i++) {
        whole = whole && looks_whole(v[i]);
        if (!isfinite(v[i])) return cannot(n, a, err);
    }
    json_text_add(t, whole ? "{\"floats\":[" : "[");
    for (size_t i = 0; i < a->count; i++)
        json_text_add(t, i ? ",%.9g" : "%.9g", (double)v[i]);
    json_text_add(t, whole ? "]}" : "]");
    return RNND_OK;
}

static void write_strings(struct json_text *t, const struct attr *a)
{
    const char *const *v = a->p;
    json_text_add(t, a->count ? "[" : "{\"strings\":[");
    for (size_t i = 0; i < a->count; i++) {
        json_text_bytes(t, ",", i != 0);
        json_text_string(t, v[i]);
    }
    json_text_add(t, a->count ? "]" : "]}");
}

rnnd_code graph_write_attributes(struct json_text *t, const struct graph_node *n, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < n->attr_count && !code; i++) {
        const struct attr *a = &n->attrs[i];
        const bool out_of_reach = a->kind == ATTR_INT && (a->i > GRAPH_MAX_WHOLE || a->i < -GRAPH_MAX_WHOLE);
        json_text_add(t, i ? "," : ",\"attributes\":{");
        json_text_string(t, a->name);
        json_text_bytes(t, ":", 1);
        if (out_of_reach || a->kind == ATTR_POINTER || (a->kind == ATTR_FLOAT && !isfinite(a->f)))
            code = cannot(n, a, err);
        else if (a->kind == ATTR_INT)
            json_text_add(t, "%lld", (long long)a->i);
        else if (a->kind == ATTR_FLOAT)
            json_text_add(t, looks_whole(a->f) ? "{\"float\":%.9g}" : "%.9g", (double)a->f);
        else if (a->kind == ATTR_STRING)
            json_text_string(t, a->s);
        else if (a->kind == ATTR_INTS)
            code = write_ints(t, n, a, err);
        else if (a->kind == ATTR_FLOATS)
            code = write_floats(t, n, a, err);
        else
            write_strings(t, a);
    }
    if (n->attr_count) json_text_bytes(t, "}", 1);
    return code;
}
