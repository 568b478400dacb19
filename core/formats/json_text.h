/* json_text.h -- writing JSON, or any text, into memory that grows. */
#ifndef RNND_JSON_TEXT_H
#define RNND_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct json_text { /* begins as {0}; `data` is terminated, the caller's to mem_free() */
    char *data;
    size_t size, cap;
    bool failed; /* there was no memory: nothing is added from then on */
};

void json_text_bytes(struct json_text *t, const char *s, size_t bytes);
/* printf, at most 1000 bytes a call */
void json_text_add(struct json_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The string in quotation marks, escaped. */
void json_text_string(struct json_text *t, const char *s);

#endif
