/* guard.c -- what is refused before a handler sees it: bad framing, foreign hosts and origins, oversized bodies.
 *
 * A listener on loopback is not private: any page in a browser can POST to it, and a name the attacker owns can be made
 * to resolve to it. Hence the Host header must name this server and a foreign Origin must be allowed. The framing
 * rules close what libmicrohttpd leaves open to request smuggling, or to hanging. */
#include "server/http/http_private.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct seen { /* headers that matter here, counted in one pass */
    struct http_request *r;
    const char *host, *length, *encoding, *expect, *origin, *request_id, *traceparent;
    unsigned hosts, lengths, encodings;
};

static enum MHD_Result look(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct seen *seen = context;
    struct http_request *r = seen->r;

    (void)kind;
    if (!value) value = "";
    if (r->given_count < GIVEN_MOST) r->given[r->given_count++] = (struct given){name, value};
    else r->given_more = true;
    switch (name[0] | 0x20) {
    case 'h':
        if (strcasecmp(name, "Host") == 0) seen->host = value, seen->hosts++;
        break;
    case 'c':
        if (strcasecmp(name, "Content-Length") == 0) seen->length = value, seen->lengths++;
        break;
    case 't':
        if (strcasecmp(name, "Transfer-Encoding") == 0) seen->encoding = value, seen->encodings++;
        else if (strcasecmp(name, "traceparent") == 0) seen->traceparent = value;
        break;
    case 'e':
        if (strcasecmp(name, "Expect") == 0) seen->expect = value;
        break;
    case 'o':
        if (strcasecmp(name, "Origin") == 0) seen->origin = value;
        break;
    case 'x':
        if (strcasecmp(name, "x-request-id") == 0) seen->request_id = value;
        break;
    }
    return MHD_YES;
}

static bool refuse(struct http_request *r, int status, const char *code, const char *sentence)
{
    answer_error(r, status, code, NULL, sentence);
    return false;
}

/* Where the message ends is in doubt: nothing after its headers may be read as a request. */
static bool refuse_framing(struct http_request *r, int status, const char *code, const char *sentence)
{
    r->close_connection = true;
    return refuse(r, status, code, sentence);
}

/* ---- identity ------------------------------------------------------------------------------------------------ */
static bool sane_id(const char *id)
{
    size_t n = strlen(id);

    for (const char *p = id; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f || *p == '"' || *p == '\\') return false;
    return n > 0 && n <= REQUEST_ID_MOST;
}

static uint64_t next_id(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void put_hex(char out[17], uint64_t v)
{
    for (int i = 16; i-- > 0; v >>= 4) out[i] = "0123456789abcdef"[v & 15];
    out[16] = 0;
}

static void identify(struct http_request *r, const struct seen *seen)
{
    struct http_server *s = r->server;

    if (seen->request_id && sane_id(seen->request_id))
        memcpy(r->id, seen->request_id, strlen(seen->request_id) + 1);
    else
        for (int i = 0; i < 2; i++) put_hex(r->id + 16 * i, next_id(&s->id_state[i]));
    if (seen->traceparent && strlen(seen->traceparent) == 55 &&
        strspn(seen->traceparent, "0123456789abcdef-") == 55)
        memcpy(r->traceparent, seen->traceparent, 56);
}

/* ---- framing ------------------------------------------------------------------------------------------------- */
static bool check_framing(struct http_request *r, const char *version, const struct seen *seen)
{
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        return refuse_framing(r, 505, "http_version", "only HTTP/1.1 and HTTP/1.0 are spoken here");
    if (seen->encodings && seen->lengths)
        return refuse_framing(r, 400, "bad_framing", "the request has Content-Length and Transfer-Encoding both");
    if (seen->lengths > 1)
        return refuse_framing(r, 400, "bad_framing", "the request has more than one Content-Length");
    if (seen->lengths && (!*seen->length || seen->length[strspn(seen->length, "0123456789")]))
        return refuse_framing(r, 400, "bad_framing", "Content-Length must be a number in digits");
    if (seen->encodings && r->old)
        return refuse_framing(r, 400, "bad_framing", "HTTP/1.0 has no Transfer-Encoding");
    if (seen->encodings > 1 || (seen->encodings && strcasecmp(seen->encoding, "chunked") != 0))
        return refuse_framing(r, 501, "bad_framing", "Transfer-Encoding must be chunked and nothing else");
    if (!*r->method) return refuse_framing(r, 501, "bad_method", "the method has more than 23 letters");
    return true;
}

static bool check_size(struct http_request *r, const struct seen *seen)
{
    const size_t readable = 8 << 20; /* that much beyond the limit is read and dropped, so that the reply is seen */
    unsigned long long bytes = seen->lengths ? strtoull(seen->length, NULL, 10) : 0;
    char sentence[160];

    if (bytes <= r->server->body_limit) return true;
    r->close_connection = seen->expect || bytes - r->server->body_limit > readable;
    snprintf(sentence, sizeof sentence, "the body has %s bytes; at most %zu are accepted",
             strlen(seen->length) < 40 ? seen->length : "too many", r->server->body_limit);
    return refuse(r, 413, "body_too_large", sentence);
}

/* ---- host and origin ----------------------------------------------------------------------------------------- */
/* Is host[:port] = [text, text + bytes) the name? A name with a port must match whole. */
static bool same_host(const char *text, size_t bytes, const char *name)
{
    size_t n = strlen(name);

    if (bytes < n || strncasecmp(text, name, n) != 0) return false;
    if (bytes == n) return true;
    if (text[n] != ':' || n + 1 == bytes) return false;
    for (size_t i = n + 1; i < bytes; i++)
        if (text[i] < '0' || text[i] > '9') return false;
    return true;
}

/* 127.0.0.0/8 or [::1], with or without a port. */
static bool is_loopback(const char *text, size_t bytes)
{
    char name[64];
    struct in_addr address;
    size_t n;

    if (bytes >= sizeof name) return false;
    memcpy(name, text, bytes);
    name[bytes] = 0;
    if (same_host(text, bytes, "[::1]")) return true;
    n = strcspn(name, ":");
    name[n] = 0;
    return inet_pton(AF_INET, name, &address) == 1 && (ntohl(address.s_addr) >> 24) == 127 &&
           same_host(text, bytes, name);
}

bool guard_host_allowed(const struct http_server *s, const char *text, size_t bytes)
{
    char bound[128];

    if (same_host(text, bytes, "localhost") || is_loopback(text, bytes)) return true;
    for (char **h = s->hosts; *h; h++)
        if (strcmp(*h, "*") == 0 || same_host(text, bytes, *h)) return true;
    if (strcmp(s->bound_host, "0.0.0.0") == 0 || strcmp(s->bound_host, "::") == 0) return false;
    snprintf(bound, sizeof bound, strchr(s->bound_host, ':') ? "[%s]" : "%s", s->bound_host);
    return same_host(text, bytes, bound); /* the address it was told to listen on */
}

static bool check_host(struct http_request *r, const char *host, size_t bytes)
{
    char sentence[240];

    if (!host) return true; /* HTTP/1.0 */
    if (bytes == 0) return refuse(r, 400, "bad_host", "the Host header is empty");
    if (guard_host_allowed(r->server, host, bytes)) return true;
    snprintf(sentence, sizeof sentence,
             "this server does not answer to the host '%.*s'; wanted localhost, a loopback address or an allowed host",
             (int)(bytes < 80 ? bytes : 80), host);
    return refuse(r, 421, "foreign_host", sentence);
}

static bool check_origin(struct http_request *r, const char *origin, const char *host, size_t host_bytes)
{
    const char *authority = origin ? strstr(origin, "://") : NULL;
    char sentence[240];

    if (!origin) return true;
    for (char **o = r->server->origins; *o; o++)
        if (strcmp(*o, "*") == 0 || strcasecmp(*o, origin) == 0) {
            r->origin = origin;
            return true;
        }
    if (authority && host && strlen(authority + 3) == host_bytes && strncasecmp(authority + 3, host, host_bytes) == 0)
        return true; /* a page of this server */
    snprintf(sentence, sizeof sentence, "pages of the origin '%.80s' may not use this server; only allowed origins may",
             origin);
    return refuse(r, 403, "foreign_origin", sentence);
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */
bool guard_check(struct http_request *r, const char *version)
{
    struct http_server *s = r->server;
    struct seen seen = {.r = r};
    const char *host;
    size_t host_bytes;
    char sentence[160];

    MHD_get_connection_values(r->connection->mhd, MHD_HEADER_KIND, look, &seen);
    identify(r, &seen);
    if (!check_framing(r, version, &seen)) return false;
    if (seen.hosts > 1) return refuse_framing(r, 400, "bad_host", "the request has more than one Host header");
    if (!seen.hosts && !r->old) return refuse_framing(r, 400, "bad_host", "the request has no Host header");
    if (!check_size(r, &seen)) return false;
    if (r->target_error) {
        snprintf(sentence, sizeof sentence, "the request's path or query holds %s", r->target_error);
        return refuse(r, 400, "bad_path", sentence);
    }
    host = r->authority ? r->authority : seen.host; /* an absolute-form target overrides the header */
    host_bytes = r->authority ? r->authority_bytes : seen.host ? strlen(seen.host) : 0;
    if (!check_host(r, host, host_bytes) || !check_origin(r, seen.origin, host, host_bytes)) return false;
    if (s->connection_count > s->connection_limit) {
        r->close_connection = true;
        return refuse(r, 503, "overloaded", "the server has as many connections as it may");
    }
    return true;
}

/* A browser asks before it sends (CORS): only allowed origins come this far. */
bool guard_preflight(struct http_request *r)
{
    const char *headers;

    if (strcmp(r->method, "OPTIONS") != 0) return false;
    if (strcmp(r->path, "*") != 0 && !http_header(r, "Access-Control-Request-Method")) return false;
    http_set_route(r, "preflight", NULL, 0);
    http_add_header(r, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE, OPTIONS");
    headers = http_header(r, "Access-Control-Request-Headers");
    if (headers) http_add_header(r, "Access-Control-Allow-Headers", headers);
    http_add_header(r, "Access-Control-Max-Age", "600");
    http_answer(r, 204, NULL, NULL, 0);
    return true;
}
