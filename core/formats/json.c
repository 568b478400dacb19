/* json.c -- JSON from strangers: the text is checked strictly, then cJSON reads it, which alone lets too much pass. */
#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/mem.h"
#include "core/formats/json.h"
#include "core/formats/json_check.h"

/* struct json is never defined: its pointers are cJSON's */
static cJSON *c_of(const struct json *j)
{
    return (cJSON *)(void *)(uintptr_t)j;
}
static struct json *j_of(cJSON *c)
{
    return (struct json *)(void *)c;
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
    size_t at;
    *out = NULL;
    pthread_once(&once, set_hooks);
    if (bytes > JSON_MAX_BYTES)
        return fail(err, RNND_TOO_LARGE, "%s: at most %zu bytes of JSON are read, it has %zu", what, JSON_MAX_BYTES,
                    bytes);
    const char *wrong = json_check(text, bytes, &at);
    if (wrong) return fail(err, RNND_CORRUPT, "%s: wanted JSON, found %s at byte %zu", what, wrong, at);
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
