/* url.c -- a request target taken apart: authority, decoded path, query.
 *
 * The target is decoded from the bytes as sent: MHD's own decoding would end a path at %00 and leaves ".." in it. */
#include "server/http/http_private.h"

#include <string.h>
#include <strings.h>

enum { QUERY_MOST = 64 };

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
    return -1;
}

/* Decodes [from, from + bytes) into out, terminated; NULL or what is wrong. Not longer than the source. */
static const char *decode(char *out, const char *from, size_t bytes, bool form)
{
    for (size_t i = 0; i < bytes; i++) {
        char c = from[i];
        if (c == '%') {
            int high = bytes - i > 2 ? hex(from[i + 1]) : -1, low = bytes - i > 2 ? hex(from[i + 2]) : -1;
            if (high < 0 || low < 0) return "'%' without two hexadecimal digits";
            c = (char)(high << 4 | low);
            if (c == 0) return "%00";
            i += 2;
        } else if (form && c == '+') {
            c = ' ';
        } else if ((unsigned char)c <= 0x20 || c == 0x7f) {
            return "a space or control byte";
        }
        *out++ = c;
    }
    *out = 0;
    return NULL;
}

static bool has_dot_segment(const char *path)
{
    if (!strstr(path, "/.")) return false;
    for (const char *p = path; *p; p++) {
        if (*p != '/') continue;
        size_t dots = strspn(p + 1, ".");
        if ((dots == 1 || dots == 2) && (p[1 + dots] == '/' || p[1 + dots] == 0)) return true;
    }
    return false;
}

/* The query's pairs, all in one block; NULL or what is wrong. Pairs beyond QUERY_MOST are left out. */
static const char *parse_query(struct http_request *r, const char *p)
{
    const char *wrong = NULL;
    size_t n = 1;
    char *text;

    if (!*p) return NULL;
    for (const char *q = p; *q && n < QUERY_MOST; q++) n += *q == '&';
    r->query = recycle_room(r, n * sizeof *r->query);
    text = recycle_room(r, strlen(p) + n + 2); /* each '=' or '&' makes room for a terminator, n more for bare names */
    if (!r->query || !text) return "more than the memory left";
    while (!wrong && r->query_count < n) {
        size_t bytes = strcspn(p, "&"), name = strcspn(p, "=&");
        struct pair *pair = &r->query[r->query_count++];
        pair->name = text;
        wrong = decode(text, p, name, true);
        if (wrong) break;
        text += strlen(text) + 1;
        pair->value = text;
        *text = 0;
        if (name < bytes) wrong = decode(text, p + name + 1, bytes - name - 1, true);
        if (wrong || !p[bytes]) break;
        text += strlen(text) + 1;
        p += bytes + 1;
    }
    return wrong;
}

void url_parse(struct http_request *r)
{
    const char *path = r->target, *end;

    if (strncasecmp(path, "http://", 7) == 0 || strncasecmp(path, "https://", 8) == 0) {
        r->authority = strstr(path, "//") + 2;
        r->authority_bytes = strcspn(r->authority, "/?");
        path = r->authority + r->authority_bytes;
    }
    end = strchrnul(path, '?');
    r->path = recycle_room(r, (size_t)(end - path) + 2);
    if (!r->path) {
        r->target_error = "more than the memory left";
        return;
    }
    if (end == path && r->authority) memcpy(r->path, "/", 2); /* http://host */
    else r->target_error = decode(r->path, path, (size_t)(end - path), false);
    if (r->target_error) memcpy(r->path, "/", 2);
    else if (*r->path != '/' && strcmp(r->path, "*") != 0) r->target_error = "a path that does not begin with '/'";
    else if (strchr(path, '#')) r->target_error = "'#'";
    else if (has_dot_segment(r->path)) r->target_error = "a '.' or '..' segment";
    else if (*end) r->target_error = parse_query(r, end + 1);
}

const char *http_query(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->query_count; i++)
        if (strcmp(r->query[i].name, name) == 0) return r->query[i].value;
    return NULL;
}
