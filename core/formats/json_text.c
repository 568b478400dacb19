/* json_text.c -- writing JSON into memory that grows. */
#include "core/formats/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"

void json_text_bytes(struct json_text *t, const char *s, size_t bytes)
{
    size_t need;
    if (t->failed) return;
    if (!size_add(t->size, bytes, &need) || !size_add(need, 1, &need)) {
        t->failed = true;
        return;
    }
    if (need > t->cap) {
        size_t cap = need + need / 2 + 64;
        char *p = mem_resize(t->data, cap);
        if (!p) {
            t->failed = true;
            return;
        }
        t->data = p;
        t->cap = cap;
    }
    memcpy(t->data + t->size, s, bytes);
    t->size += bytes;
    t->data[t->size] = 0;
}

void json_text_add(struct json_text *t, const char *format, ...)
{
    char text[1001];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0) json_text_bytes(t, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void json_text_string(struct json_text *t, const char *s)
{
    json_text_bytes(t, "\"", 1);
    while (*s) {
        size_t plain = 0;
        while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
            plain++;
        json_text_bytes(t, s, plain);
        s += plain;
        if (!*s) break;
        json_text_add(t, *s == '"' || *s == '\\' ? "\\%c" : "\\u%04x", *s);
        s++;
    }
    json_text_bytes(t, "\"", 1);
}
