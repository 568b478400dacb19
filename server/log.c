/* log.c -- lines on stderr, as text or as JSON. Request lines are gathered and written once a second: a system call per
 * request would cost the loop more than the line is worth. */
#include "server/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/http/json.h"

static struct {
    enum log_format format;
    char text[64 * 1024];
    size_t used;
    struct json_out line; /* kept, so that lines do not allocate */
    time_t second;        /* that `day` tells */
    char day[24];         /* "2026-01-31T12:00:00" */
} logging;

void log_start(enum log_format format)
{
    logging.format = format;
}

void log_flush(void)
{
    size_t at = 0;
    while (at < logging.used) {
        ssize_t n = write(STDERR_FILENO, logging.text + at, logging.used - at);
        if (n <= 0) break;
        at += (size_t)n;
    }
    logging.used = 0;
}

static void put(const char *text, size_t bytes)
{
    if (bytes > sizeof logging.text - logging.used) log_flush();
    if (bytes > sizeof logging.text) bytes = sizeof logging.text;
    memcpy(logging.text + logging.used, text, bytes);
    logging.used += bytes;
}

/* v in at least so many digits; where it ends. */
static char *put_digits(char *out, uint64_t v, int least)
{
    char text[24], *p = text + sizeof text;
    for (; v || least > 0; v /= 10, least--) *--p = (char)('0' + v % 10);
    size_t n = (size_t)(text + sizeof text - p);
    memcpy(out, p, n);
    return out + n;
}

/* "2026-01-31T12:00:00.123Z" */
static void format_time(char out[40])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != logging.second || !*logging.day) {
        gmtime_r(&now.tv_sec, &utc);
        strftime(logging.day, sizeof logging.day, "%Y-%m-%dT%H:%M:%S", &utc);
        logging.second = now.tv_sec;
    }
    size_t n = strlen(logging.day);
    memcpy(out, logging.day, n);
    out[n] = '.';
    memcpy(put_digits(out + n + 1, (uint64_t)now.tv_nsec / 1000000, 3), "Z", 2);
}

static void put_field(const char *key, const char *text)
{
    if (!text || !*text) return;
    json_put_key(&logging.line, key);
    json_put_string(&logging.line, text, strlen(text));
}

static void begin_json(void)
{
    char now[40];
    format_time(now);
    json_out_reset(&logging.line);
    json_open(&logging.line, '{');
    put_field("time", now);
}

static void end_json(void)
{
    json_close(&logging.line, '}');
    json_append(&logging.line, "\n", 1);
    if (!logging.line.failed) put(logging.line.data, logging.line.bytes);
}

void log_say(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text - 1, format, args);
    va_end(args);
    if (n < 0) return;
    if ((size_t)n > sizeof text - 2) n = (int)sizeof text - 2;
    if (logging.format == LOG_JSON) {
        begin_json();
        put_field("message", text);
        end_json();
    } else {
        text[n] = '\n';
        put(text, (size_t)n + 1);
    }
    log_flush();
}

/* Foreign text on one line: what is not printable ASCII becomes \xNN. */
static size_t put_safe(char *out, size_t room, const char *text)
{
    size_t n = 0;
    for (; *text && n + 5 < room; text++) {
        unsigned char c = (unsigned char)*text;
        if (c > 0x20 && c < 0x7F && c != '\\') out[n++] = (char)c;
        else n += (size_t)snprintf(out + n, room - n, "\\x%02x", c);
    }
    out[n] = '\0';
    return n;
}

static char *put_literal(char *out, const char *text)
{
    size_t n = strlen(text);
    memcpy(out, text, n);
    return out + n;
}

/* "TIME METHOD PATH STATUS 1.234 ms 56 B ID"; without printf, which takes longer than the answer's own JSON. */
static void request_text(const struct http_record *r)
{
    char line[1024], *p = line; /* 40 + 64 + 512 + 160 and numbers */
    uint64_t us = (uint64_t)(r->seconds * 1e6 + 0.5);
    format_time(p);
    p += strlen(p);
    *p++ = ' ';
    p += put_safe(p, 64, r->method ? r->method : "-");
    *p++ = ' ';
    p += put_safe(p, 512, r->path ? r->path : "-");
    *p++ = ' ';
    p = put_digits(p, (uint64_t)(r->status > 0 ? r->status : 0), 3);
    *p++ = ' ';
    p = put_digits(p, us / 1000, 1);
    *p++ = '.';
    p = put_digits(p, us % 1000, 3);
    p = put_literal(p, " ms ");
    p = put_digits(p, r->bytes_out, 1);
    p = put_literal(p, " B ");
    p += put_safe(p, 160, r->request_id ? r->request_id : "-");
    p = put_literal(p, r->client_gone ? " client gone\n" : "\n");
    put(line, (size_t)(p - line));
}

static void request_json(const struct http_record *r)
{
    struct json_out *o = &logging.line;
    begin_json();
    put_field("method", r->method);
    put_field("path", r->path);
    put_field("route", r->route);
    json_put_key(o, "status");
    json_put_int(o, r->status);
    json_put_key(o, "ms");
    json_put_float(o, (float)(r->seconds * 1e3));
    json_put_key(o, "first_output_ms");
    json_put_float(o, (float)(r->first_output_seconds * 1e3));
    json_put_key(o, "bytes_in");
    json_put_int(o, (int64_t)r->bytes_in);
    json_put_key(o, "bytes_out");
    json_put_int(o, (int64_t)r->bytes_out);
    put_field("client", r->client);
    put_field("request_id", r->request_id);
    put_field("traceparent", r->traceparent);
    if (r->client_gone) {
        json_put_key(o, "client_gone");
        json_put_bool(o, true);
    }
    end_json();
}

void log_request(const struct http_record *record)
{
    if (logging.format == LOG_TEXT) request_text(record);
    else if (logging.format == LOG_JSON) request_json(record);
}
