/* openapi.c -- the routes as an OpenAPI 3.1 document, made from their one table. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server/routes.h"

static void put_pair(struct json_out *o, const char *key, const char *text)
{
    json_put_key(o, key);
    json_put_text(o, text);
}

/* "content":{"application/json":{..}, ..}; schema NULL: any. */
static void put_content(struct json_out *o, const char *types, const char *schema)
{
    char type[64];
    json_put_key(o, "content");
    json_open(o, '{');
    for (const char *p = types; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        snprintf(type, sizeof type, "%.*s", (int)n, p);
        json_put_key(o, type);
        json_open(o, '{');
        if (schema) {
            json_put_key(o, "schema");
            json_open(o, '{');
            put_pair(o, "$ref", schema);
            json_close(o, '}');
        }
        json_close(o, '}');
        p += n;
    }
    json_close(o, '}');
}

/* The {..} of a pattern, all of them in the path. */
static void put_parameters(struct json_out *o, const char *pattern)
{
    char name[32];
    if (!strchr(pattern, '{')) return;
    json_put_key(o, "parameters");
    json_open(o, '[');
    for (const char *p = pattern; (p = strchr(p, '{')); p = strchr(p, '}')) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 1, "}"), p + 1);
        json_open(o, '{');
        put_pair(o, "name", name);
        put_pair(o, "in", "path");
        json_put_key(o, "required");
        json_put_bool(o, true);
        json_put_key(o, "schema");
        json_open(o, '{');
        put_pair(o, "type", "string");
        json_close(o, '}');
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void put_operation(struct json_out *o, const struct route *route)
{
    char method[16];
    size_t n = 0;
    for (; route->method[n] && n + 1 < sizeof method; n++) method[n] = (char)(route->method[n] | 0x20);
    method[n] = '\0';
    json_put_key(o, method);
    json_open(o, '{');
    put_pair(o, "summary", route->summary);
    if (route->takes) {
        json_put_key(o, "requestBody");
        json_open(o, '{');
        put_content(o, route->takes, NULL);
        json_close(o, '}');
    }
    json_put_key(o, "responses");
    json_open(o, '{');
    json_put_key(o, "2XX");
    json_open(o, '{');
    put_pair(o, "description", "done");
    put_content(o, route->gives, NULL);
    json_close(o, '}');
    json_put_key(o, "default");
    json_open(o, '{');
    put_pair(o, "description", "what was wrong, in one sentence");
    put_content(o, "application/json", "#/components/schemas/Error");
    json_close(o, '}');
    json_close(o, '}');
    json_close(o, '}');
}

/* One pattern with all its methods; nothing where an earlier row has the same pattern. */
static void put_path(struct json_out *o, const struct route *table, size_t count, size_t at)
{
    const char *pattern = table[at].pattern;
    for (size_t i = 0; i < at; i++)
        if (!strcmp(table[i].pattern, pattern)) return;
    json_put_key(o, pattern);
    json_open(o, '{');
    put_parameters(o, pattern);
    for (size_t i = at; i < count; i++)
        if (!strcmp(table[i].pattern, pattern)) put_operation(o, &table[i]);
    json_close(o, '}');
}

void openapi_write(struct json_out *o)
{
    static const char error[] =
        "{\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
        "\"required\":[\"message\",\"type\",\"param\",\"code\"],\"properties\":{\"message\":{\"type\":\"string\"},"
        "\"type\":{\"type\":\"string\"},\"param\":{\"type\":[\"string\",\"null\"]},\"code\":{\"type\":\"string\"}}}}}}";
    const struct route *table;
    size_t count = routes_list(&table);

    json_open(o, '{');
    put_pair(o, "openapi", "3.1.0");
    json_put_key(o, "info");
    json_open(o, '{');
    put_pair(o, "title", "rnnd");
    put_pair(o, "version", rnnd_version());
    json_close(o, '}');
    json_put_key(o, "paths");
    json_open(o, '{');
    for (size_t i = 0; i < count; i++)
        if (table[i].summary) put_path(o, table, count, i);
    json_close(o, '}');
    json_put_key(o, "components");
    json_open(o, '{');
    json_put_key(o, "schemas");
    json_put_raw(o, error, sizeof error - 1);
    json_close(o, '}');
    json_close(o, '}');
}
