/* test_cases.c -- runs the .http files of tests/server/cases: requests and what their answers must be, as data.
 *
 * A file is one server; a group ("== title") is one test; its requests run in order.
 *     ! flags and models of `rnnd serve`          (before the first group)
 *     # a comment
 *     == title
 *     > METHOD path
 *     Header: value                                (until an empty line)
 *                                                  then the body, until the line that begins with "<":
 *     text lines, joined by newlines, or
 *     @f32 1 2 | @u32 1 | @u64 1 | @hex 00 ff | @text no newline after this | @repeat N text (\n at its end is a
 * newline) | @saved name < status                                     then expectations, a line each:
 *     $.path = JSON          $.path ~ substring of the string there      $.path exists|absent      $.path length N
 *     line N $.path ...      the same for line N (from 0) of an NDJSON body
 *     header Name = value    header Name ~ part    header Name absent
 *     body ~ part            body !~ part          body = name (saved)    body bytes N
 *     set name $.path        set name header Name  save name (the body)
 * ${name} stands for what was set, everywhere; ${id} is fresh in every group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <dirent.h>
#include <math.h>

#include "tests/lib/server.h"

#define FOLDER "tests/server/cases"
#define MAX_GROUPS 400
#define MAX_NAMES 64
#define MAX_HEADERS 16

struct bytes { char *data; size_t bytes, cap; };

struct names { struct { char name[32]; struct bytes value; } list[MAX_NAMES]; size_t count; };

struct group {
    char title[160];
    char **lines; /* borrowed */
    size_t first, end;
};

static struct file {
    char path[300], arguments[1000];
    char *text, **lines;
    size_t line_count, group_count;
    struct group groups[MAX_GROUPS];
    struct test_server *server;
} file;
static size_t fresh;

static void add(struct bytes *b, const void *data, size_t n)
{
    if (b->cap - b->bytes < n + 1) {
        b->cap = (b->bytes + n + 1) * 2;
        b->data = realloc(b->data, b->cap);
        assert_non_null(b->data);
    }
    memcpy(b->data + b->bytes, data, n);
    b->bytes += n;
    b->data[b->bytes] = 0;
}

static struct bytes *name_of(struct names *names, const char *name, size_t n)
{
    for (size_t i = 0; i < names->count; i++)
        if (strlen(names->list[i].name) == n && !memcmp(names->list[i].name, name, n)) return &names->list[i].value;
    return NULL;
}

static void set(struct names *names, const char *name, const void *data, size_t n)
{
    struct bytes *b = name_of(names, name, strlen(name));
    if (!b) {
        assert_true(names->count < MAX_NAMES);
        snprintf(names->list[names->count].name, sizeof names->list[0].name, "%s", name);
        b = &names->list[names->count++].value;
        memset(b, 0, sizeof *b);
    }
    b->bytes = 0;
    add(b, data, n);
}

/* the line with every ${name} replaced; to be freed */
static char *expand(struct names *names, const char *line)
{
    struct bytes out = {0};
    add(&out, "", 0);
    while (*line) {
        const char *open = strstr(line, "${"), *close = open ? strchr(open, '}') : NULL;
        size_t plain = close ? (size_t)(open - line) : strlen(line);
        add(&out, line, plain);
        line += plain;
        if (!close) break;
        struct bytes *value = name_of(names, open + 2, (size_t)(close - open - 2));
        if (!value) fail_msg("%s: ${%.*s} is not set", file.path, (int)(close - open - 2), open + 2);
        add(&out, value->data, value->bytes);
        line = close + 1;
    }
    return out.data;
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static void add_numbers(struct bytes *body, const char *kind, const char *p)
{
    char *end;
    for (; *p; p = end + strspn(end, " ")) {
        if (!strcmp(kind, "hex")) {
            unsigned char v = (unsigned char)strtoul(p, &end, 16);
            add(body, &v, 1);
        } else if (!strcmp(kind, "u32")) {
            uint32_t v = (uint32_t)strtoul(p, &end, 0);
            add(body, &v, 4);
        } else if (!strcmp(kind, "u64")) {
            uint64_t v = strtoull(p, &end, 0);
            add(body, &v, 8);
        } else {
            float v = strtof(p, &end);
            add(body, &v, 4);
        }
        if (end == p) fail_msg("%s: no number: %s", file.path, p);
    }
}

static void add_base64(struct bytes *body, const struct bytes *in)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)in->data;
    for (size_t i = 0; i < in->bytes; i += 3) {
        size_t n = in->bytes - i < 3 ? in->bytes - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0u);
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], n > 1 ? digits[bits >> 6 & 63] : '=',
                        n > 2 ? digits[bits & 63] : '='};
        add(body, four, 4);
    }
}

/* an "@kind .." line; true if it was one */
static bool add_special(struct names *names, struct bytes *body, const char *line)
{
    char kind[16];
    int skip = 0;
    if (sscanf(line, "@%15s%n", kind, &skip) != 1) return false;
    const char *rest = line + skip + (line[skip] == ' ');
    if (!strcmp(kind, "text")) add(body, rest, strlen(rest));
    else if (!strcmp(kind, "saved") || !strcmp(kind, "base64")) {
        struct bytes *saved = name_of(names, rest, strlen(rest));
        if (!saved) fail_msg("%s: nothing saved as %s", file.path, rest);
        if (*kind == 'b') add_base64(body, saved);
        else add(body, saved->data, saved->bytes);
    } else if (!strcmp(kind, "repeat")) {
        char *text;
        size_t n = strtoul(rest, &text, 10);
        text += *text == ' ';
        size_t length = strlen(text);
        bool newline = length > 2 && !strcmp(text + length - 2, "\\n");
        while (n--) {
            add(body, text, length - (newline ? 2 : 0));
            if (newline) add(body, "\n", 1);
        }
    } else if (!strcmp(kind, "f32") || !strcmp(kind, "hex") || !strcmp(kind, "u32") || !strcmp(kind, "u64")) {
        add_numbers(body, kind, rest);
    } else return false;
    return true;
}

/* sends the request at line *at; leaves *at at the "<" line */
static void send(struct test_client *client, struct names *names, size_t *at, size_t end, struct test_reply *reply)
{
    char method[16] = "", *headers[MAX_HEADERS + 1] = {0};
    struct bytes body = {0};
    size_t header_count = 0, i = *at;
    char *first = expand(names, file.lines[i++]);
    assert_int_equal(sscanf(first, "> %15s", method), 1);
    char *path = strchr(first + 2, ' ');
    assert_non_null(path);
    for (; i < end && *file.lines[i] && *file.lines[i] != '<'; i++) {
        assert_true(header_count < MAX_HEADERS);
        headers[header_count++] = expand(names, file.lines[i]);
    }
    if (i < end && !*file.lines[i]) i++;
    bool given = false, newline = false;
    for (; i < end && *file.lines[i] != '<'; i++) {
        char *line = expand(names, file.lines[i]);
        if (add_special(names, &body, line)) newline = false;
        else {
            if (newline) add(&body, "\n", 1);
            add(&body, line, strlen(line));
            newline = true;
        }
        given = true;
        free(line);
    }
    while (newline && body.bytes && body.data[body.bytes - 1] == '\n') body.bytes--;
    bool answered = test_request(client, method, path + 1, (const char *const *)headers, given ? body.data : NULL,
                                 body.bytes, reply);
    if (!answered) fail_msg("%s: %s: no answer", file.path, first);
    for (size_t k = 0; k < header_count; k++) free(headers[k]);
    free(body.data);
    free(first);
    *at = i;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

/* "$.a[0].b": the value there, NULL if none; *rest stands behind the path */
static const cJSON *look(const cJSON *v, const char *path, const char **rest)
{
    const char *p = path + 1;
    while (*p == '.' || *p == '[') {
        if (*p == '[') {
            char *end;
            v = v ? cJSON_GetArrayItem(v, (int)strtol(p + 1, &end, 10)) : NULL;
            p = end + 1;
        } else {
            char key[128];
            size_t n = strcspn(++p, ".[ ");
            snprintf(key, sizeof key, "%.*s", (int)n, p);
            v = v ? cJSON_GetObjectItemCaseSensitive(v, key) : NULL;
            p += n;
        }
    }
    *rest = p + strspn(p, " ");
    return v;
}

static bool same_json(const cJSON *a, const cJSON *b)
{
    if (cJSON_IsNumber(a) && cJSON_IsNumber(b))
        return fabs(a->valuedouble - b->valuedouble) <= 1e-6 * fabs(b->valuedouble);
    return cJSON_Compare(a, b, true);
}

static const char *check_json(const cJSON *root, const char *line)
{
    const char *rest;
    const cJSON *v = look(root, line, &rest);
    if (!strcmp(rest, "absent")) return v ? "it is there" : NULL;
    if (!v) return "it is not there";
    if (!strcmp(rest, "exists")) return NULL;
    if (!strncmp(rest, "length ", 7))
        return cJSON_GetArraySize(v) == strtol(rest + 7, NULL, 10) ? NULL : "another length";
    if (!strncmp(rest, "~ ", 2))
        return cJSON_IsString(v) && strstr(v->valuestring, rest + 2) ? NULL : "the string lacks it";
    if (strncmp(rest, "= ", 2)) return "no such expectation";
    cJSON *wanted = cJSON_Parse(rest + 2);
    bool same = wanted && same_json(v, wanted);
    cJSON_Delete(wanted);
    return same ? NULL : "another value";
}

static const char *check_header(const struct test_reply *reply, const char *line)
{
    char name[64], value[1024];
    int skip = 0;
    if (sscanf(line, "header %63s %n", name, &skip) != 1) return "no header named";
    bool there = test_reply_header(reply, name, value, sizeof value);
    const char *rest = line + skip;
    if (!strcmp(rest, "absent")) return there ? "it is there" : NULL;
    if (!there) return "it is not there";
    if (!strncmp(rest, "= ", 2)) return strcmp(value, rest + 2) ? "another value" : NULL;
    if (!strncmp(rest, "~ ", 2)) return strstr(value, rest + 2) ? NULL : "the value lacks it";
    return "no such expectation";
}

static const char *check_body(struct names *names, const struct test_reply *reply, const char *rest)
{
    if (!strncmp(rest, "bytes ", 6)) return reply->bytes == strtoul(rest + 6, NULL, 10) ? NULL : "another length";
    if (!strncmp(rest, "~ ", 2)) return strstr(reply->body, rest + 2) ? NULL : "the body lacks it";
    if (!strncmp(rest, "!~ ", 3)) return strstr(reply->body, rest + 3) ? "the body has it" : NULL;
    struct bytes *saved = strncmp(rest, "= ", 2) ? NULL : name_of(names, rest + 2, strlen(rest + 2));
    if (!saved) return "nothing saved under that name";
    return saved->bytes == reply->bytes && !memcmp(saved->data, reply->body, saved->bytes) ? NULL : "other bytes";
}

static const char *do_set(struct names *names, const struct test_reply *reply, const cJSON *root, const char *line)
{
    char name[32], value[1024];
    int skip = 0;
    const char *rest;
    if (sscanf(line, "set %31s %n", name, &skip) != 1) return "no name";
    line += skip;
    if (!strncmp(line, "header ", 7)) {
        if (!test_reply_header(reply, line + 7, value, sizeof value)) return "no such header";
        set(names, name, value, strlen(value));
        return NULL;
    }
    const cJSON *v = look(root, line, &rest);
    if (!v) return "it is not there";
    char *text = cJSON_IsString(v) ? strdup(v->valuestring) : cJSON_PrintUnformatted(v);
    set(names, name, text, strlen(text));
    free(text);
    return NULL;
}

static const char *check_line(const struct test_reply *reply, const char *line)
{
    char *rest;
    size_t wanted = strtoul(line + 5, &rest, 10);
    const char *p = reply->body;
    while (wanted-- && p) {
        p = strchr(p, '\n');
        if (p) p++;
    }
    if (!p || !*p) return "the body has no such line";
    cJSON *root = cJSON_ParseWithOpts(p, NULL, false);
    const char *wrong = root ? check_json(root, rest + strspn(rest, " ")) : "the line is no JSON";
    cJSON_Delete(root);
    return wrong;
}

static void expect(struct names *names, const struct test_reply *reply, const cJSON *root, size_t number,
                   const char *raw)
{
    char *line = expand(names, raw);
    const char *wrong = "no such expectation";
    if (*line == '$') wrong = check_json(root, line);
    else if (!strncmp(line, "line ", 5)) wrong = check_line(reply, line);
    else if (!strncmp(line, "header ", 7)) wrong = check_header(reply, line);
    else if (!strncmp(line, "body ", 5)) wrong = check_body(names, reply, line + 5);
    else if (!strncmp(line, "set ", 4)) wrong = do_set(names, reply, root, line);
    else if (!strncmp(line, "save ", 5)) {
        set(names, line + 5, reply->body, reply->bytes);
        wrong = NULL;
    }
    if (wrong)
        fail_msg("%s:%zu: %s: %s\n%s%.2000s", file.path, number + 1, line, wrong, reply->headers, reply->body);
    free(line);
}

static void run_group(void **state)
{
    struct group *g = *state;
    struct names names = {.count = 0};
    char id[32];
    struct test_client *client = test_client_open(file.server);
    snprintf(id, sizeof id, "case-%zu", fresh++);
    set(&names, "id", id, strlen(id));
    for (size_t i = g->first; i < g->end; ) {
        struct test_reply reply;
        if (*file.lines[i] != '>') {
            if (*file.lines[i] && *file.lines[i] != '#') fail_msg("%s:%zu: wanted a request", file.path, i + 1);
            i++;
            continue;
        }
        size_t begin = i;
        send(client, &names, &i, g->end, &reply);
        if (i == g->end) fail_msg("%s:%zu: no \"< status\"", file.path, begin + 1);
        int status = (int)strtol(file.lines[i] + 1, NULL, 10);
        if (reply.status != status)
            fail_msg("%s:%zu: status %d, wanted %d\n%s%.2000s", file.path, i + 1, reply.status, status, reply.headers,
                     reply.body);
        cJSON *root = cJSON_Parse(reply.body);
        for (i++; i < g->end && *file.lines[i] && *file.lines[i] != '>'; i++)
            if (*file.lines[i] != '#') expect(&names, &reply, root, i, file.lines[i]);
        cJSON_Delete(root);
        test_reply_free(&reply);
    }
    for (size_t i = 0; i < names.count; i++) free(names.list[i].value.data);
    test_client_close(client);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void read_file(const char *name)
{
    memset(&file, 0, sizeof file);
    snprintf(file.path, sizeof file.path, FOLDER "/%s", name);
    FILE *f = fopen(file.path, "r");
    if (!f) exit(1);
    struct bytes text = {0};
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)); ) add(&text, buffer, n);
    fclose(f);
    file.text = text.data;
    file.lines = calloc(text.bytes + 2, sizeof *file.lines);
    for (char *p = file.text, *end; p && *p; p = end) {
        end = strchr(p, '\n');
        if (end) *end++ = 0;
        file.lines[file.line_count++] = p;
    }
    for (size_t i = 0; i < file.line_count; i++) {
        char *line = file.lines[i];
        if (*line == '!' && !file.group_count) {
            size_t used = strlen(file.arguments);
            snprintf(file.arguments + used, sizeof file.arguments - used, " %s", line + 1);
        } else if (!strncmp(line, "== ", 3) && file.group_count < MAX_GROUPS) {
            struct group *g = &file.groups[file.group_count++];
            if (file.group_count > 1) g[-1].end = i;
            snprintf(g->title, sizeof g->title, "%.60s: %.90s", name, line + 3);
            g->first = i + 1;
            g->end = file.line_count;
        }
    }
}

static int start(void **state)
{
    char *arguments[64] = {0}, *save = NULL;
    size_t n = 0;
    (void)state;
    for (char *p = strtok_r(file.arguments, " ", &save); p && n < 63; p = strtok_r(NULL, " ", &save))
        arguments[n++] = p;
    file.server = test_server_start((const char *const *)arguments);
    return file.server ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    int result = test_server_stop(file.server);
    if (result) fprintf(stderr, "%s: the server ended with %d\n", file.path, result);
    return result;
}

static int run_file(const char *name)
{
    read_file(name);
    struct CMUnitTest *tests = calloc(file.group_count + 1, sizeof *tests);
    for (size_t i = 0; i < file.group_count; i++)
        tests[i] = (struct CMUnitTest){.name = file.groups[i].title, .test_func = run_group,
                                       .initial_state = &file.groups[i]};
    int failed = _cmocka_run_group_tests(name, tests, file.group_count, start, stop);
    free(tests);
    free(file.lines);
    free(file.text);
    return failed;
}

static int is_case(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 5 && !strcmp(d->d_name + n - 5, ".http");
}

/* Arguments: parts of file names; without any, all files. */
int main(int argc, char **argv)
{
    struct dirent **names;
    int failed = 0, count = scandir(FOLDER, &names, is_case, alphasort);
    if (count <= 0) {
        fprintf(stderr, "no cases in " FOLDER "; run this from the repository's root\n");
        return 1;
    }
    for (int i = 0; i < count; i++) {
        if (argc < 2 || strstr(names[i]->d_name, argv[1])) failed += run_file(names[i]->d_name) != 0;
        free(names[i]);
    }
    free(names);
    return failed != 0;
}
