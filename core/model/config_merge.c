/* config_merge.c -- a partial configuration (a task, a name, a mode) put on top of the one that a file carries. */
#include "core/model/config_merge.h"

#include <string.h>

#include "core/base/error.h"
#include "core/base/mem.h"
#include "core/formats/json_text.h"

static bool given(const struct json *object, const char *key)
{
    const struct json *j = json_get(object, key);
    return j && !json_is_null(j);
}

/* The members of `from` that count, but for those that `winner` has too. */
static void put_members(struct json_text *t, const struct json *from, const struct json *winner)
{
    for (const struct json *e = json_first(from); e; e = json_next(e)) {
        if (json_is_null(e) || json_get(winner, json_key(e))) continue;
        char *value = json_print((struct json *)(uintptr_t)e, false);
        if (!value) {
            t->failed = true;
            return;
        }
        json_text_bytes(t, ",", t->size > 1);
        json_text_string(t, json_key(e));
        json_text_bytes(t, ":", 1);
        json_text_bytes(t, value, strlen(value));
        mem_free(value);
    }
}

static rnnd_code parse_object(const char *text, size_t bytes, struct json **out, rnnd_error *err)
{
    rnnd_code code = json_parse(text, bytes, "configuration", out, err);
    if (!code && !json_is_object(*out))
        code = fail(err, RNND_MISMATCH, "configuration: wanted an object, found %s", json_type_name(*out));
    return code;
}

rnnd_code config_merge(const char *base, size_t base_bytes, const char *over, size_t over_bytes, char **out,
                       rnnd_error *err)
{
    struct json *below = NULL, *above = NULL;
    struct json_text t = {0};
    *out = NULL;
    rnnd_code code = parse_object(base, base_bytes, &below, err);
    if (!code) code = parse_object(over, over_bytes, &above, err);
    if (!code) {
        json_text_bytes(&t, "{", 1);
        put_members(&t, above, NULL);
        put_members(&t, below, above);
        json_text_bytes(&t, "}", 1);
        if (t.failed) code = fail_memory(err, base_bytes + over_bytes);
    }
    json_free(below);
    json_free(above);
    if (code)
        mem_free(t.data);
    else
        *out = t.data;
    return code;
}

rnnd_code config_has_network(const char *text, size_t bytes, bool *has, rnnd_error *err)
{
    struct json *j;
    *has = true;
    rnnd_code code = json_parse(text, bytes, "configuration", &j, err);
    if (code) return code;
    *has = !json_is_object(j) || given(j, "layers") || given(j, "graph");
    json_free(j);
    return RNND_OK;
}
