/* json.c -- a JSON document: scanned strictly, its numeric arrays apart, the rest in cJSON. */
#include "server/http/json.h"
#include "server/http/json_scan.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

/* A struct json is a cJSON node. A node of the marks of json_scan.h is a cJSON string; in that of an array the mark is
 * followed, once the document stands, by the address of its struct json_numbers. */
struct json_doc {
    cJSON *root;
    struct json_scan scan;
};

enum { DEPTH_MOST = 900 }; /* cJSON gives up at 1000 */

static const cJSON *node(const struct json *v)
{
    return (const cJSON *)v;
}

static bool marked(const struct json *v, unsigned char mark)
{
    return v && cJSON_IsString(node(v)) && (unsigned char)node(v)->valuestring[0] == mark;
}

static void resolve(cJSON *c, struct json_scan *scan)
{
    for (; c; c = c->next) {
        if (marked((struct json *)c, MARK_NUMBERS)) {
            const struct json_numbers *n = scan->numbers + strtoull(c->valuestring + 1, NULL, 10);
            memcpy(c->valuestring + 1, &n, sizeof n);
        }
        if (c->child) resolve(c->child, scan);
    }
}

int json_parse(const char *text, size_t bytes, size_t depth_limit, struct json_doc **out, char *message,
               size_t message_bytes)
{
    struct json_doc *doc = calloc(1, sizeof *doc);

    *out = NULL;
    if (!doc) goto memory;
    if (depth_limit > DEPTH_MOST) depth_limit = DEPTH_MOST;
    if (json_scan(text, bytes, depth_limit, &doc->scan, message, message_bytes) != 0) {
        free(doc);
        return -1;
    }
    doc->root = cJSON_ParseWithLength(doc->scan.text ? doc->scan.text : text,
                                      doc->scan.text ? doc->scan.bytes : bytes);
    if (!doc->root) goto memory;
    free(doc->scan.text);
    doc->scan.text = NULL;
    if (doc->scan.count) resolve(doc->root, &doc->scan);
    *out = doc;
    return 0;
memory:
    json_free(doc);
    if (message_bytes) snprintf(message, message_bytes, "no memory for a JSON document of %zu bytes", bytes);
    return -1;
}

void json_free(struct json_doc *doc)
{
    if (!doc) return;
    cJSON_Delete(doc->root);
    json_scan_free(&doc->scan);
    free(doc);
}

const struct json *json_root(const struct json_doc *doc)
{
    return (const struct json *)doc->root;
}

enum json_type json_type(const struct json *v)
{
    if (!v || cJSON_IsNull(node(v))) return JSON_NULL;
    if (cJSON_IsBool(node(v))) return JSON_BOOL;
    if (cJSON_IsNumber(node(v)) || marked(v, MARK_NUMBER)) return JSON_NUMBER;
    if (marked(v, MARK_NUMBERS)) return JSON_NUMBERS;
    if (cJSON_IsString(node(v))) return JSON_STRING;
    return cJSON_IsArray(node(v)) ? JSON_ARRAY : JSON_OBJECT;
}

const struct json *json_get(const struct json *object, const char *key)
{
    if (json_type(object) != JSON_OBJECT) return NULL;
    return (const struct json *)cJSON_GetObjectItemCaseSensitive(node(object), key);
}

const struct json *json_first(const struct json *v)
{
    return v ? (const struct json *)node(v)->child : NULL;
}

const struct json *json_next(const struct json *v)
{
    return v ? (const struct json *)node(v)->next : NULL;
}

const char *json_key(const struct json *v)
{
    return v ? node(v)->string : NULL;
}

size_t json_count(const struct json *v)
{
    const struct json_numbers *n = json_numbers(v);
    size_t count = 0;

    if (n) return n->dim[0];
    for (v = json_first(v); v; v = json_next(v)) count++;
    return count;
}

const char *json_string(const struct json *v, size_t *bytes)
{
    if (json_type(v) != JSON_STRING) return NULL;
    if (bytes) *bytes = strlen(node(v)->valuestring);
    return node(v)->valuestring;
}

bool json_number(const struct json *v, double *out)
{
    if (json_type(v) != JSON_NUMBER) return false;
    *out = marked(v, MARK_NUMBER) ? strtod(node(v)->valuestring + 1, NULL) : node(v)->valuedouble;
    return true;
}

bool json_integer(const struct json *v, int64_t *out)
{
    const double exact = 9007199254740992.0; /* 2^53: above it a double no longer tells neighbours apart */
    double d;

    if (!json_number(v, &d)) return false;
    if (marked(v, MARK_NUMBER) && !strpbrk(node(v)->valuestring + 1, ".eE")) {
        errno = 0;
        long long whole = strtoll(node(v)->valuestring + 1, NULL, 10);
        if (errno) return false;
        *out = whole;
        return true;
    }
    if (!(fabs(d) <= exact) || d != floor(d)) return false;
    *out = (int64_t)d;
    return true;
}

bool json_bool(const struct json *v, bool *out)
{
    if (json_type(v) != JSON_BOOL) return false;
    *out = cJSON_IsTrue(node(v));
    return true;
}

const struct json_numbers *json_numbers(const struct json *v)
{
    const struct json_numbers *n;

    if (!marked(v, MARK_NUMBERS)) return NULL;
    memcpy(&n, node(v)->valuestring + 1, sizeof n);
    return n;
}
