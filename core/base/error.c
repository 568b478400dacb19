/* error.c -- filling an rnnd_error, and what each code is called. */
#include "core/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int http_status;
} codes[] = {
#define ROW(code, text, status) [RNND_##code] = {text, status},
    RNND_CODES(ROW)
#undef ROW
};

#define CODE_COUNT (sizeof codes / sizeof codes[0])

const char *rnnd_code_name(rnnd_code code)
{
    return (size_t)code < CODE_COUNT ? codes[code].name : codes[RNND_INTERNAL].name;
}

int rnnd_code_http_status(rnnd_code code)
{
    return (size_t)code < CODE_COUNT ? codes[code].http_status : codes[RNND_INTERNAL].http_status;
}

const char *rnnd_version(void)
{
    return RNND_VERSION;
}

/* Copies text, cut to fit, never inside a UTF-8 character: messages quote foreign text and end up in JSON. */
static void copy_cut(char *to, size_t room, const char *text)
{
    size_t n = strnlen(text, room);
    if (n == room) {
        n = room - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
    }
    memcpy(to, text, n);
    to[n] = '\0';
}

/* Formats beside *err first, because the arguments may quote err->message itself ("layer 3: " in front of it). */
static rnnd_code fill(rnnd_error *err, rnnd_code code, const char *param, const char *format, va_list args)
{
    char message[sizeof err->message + 1], where[sizeof err->param];

    if (!err) return code;
    if (vsnprintf(message, sizeof message, format, args) < 0) message[0] = '\0';
    copy_cut(where, sizeof where, param);
    err->code = code;
    copy_cut(err->message, sizeof err->message, message);
    memcpy(err->param, where, sizeof where);
    return code;
}

rnnd_code fail(rnnd_error *err, rnnd_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, code, "", format, args);
    va_end(args);
    return code;
}

rnnd_code fail_at(rnnd_error *err, rnnd_code code, const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, code, param, format, args);
    va_end(args);
    return code;
}

void fail_in(rnnd_error *err, const char *where)
{
    if (err) fail_at(err, err->code, err->param, "%.300s: %s", where, err->message);
}

rnnd_code fail_memory(rnnd_error *err, size_t bytes)
{
    return fail(err, RNND_NO_MEMORY, "out of memory: %zu bytes were wanted", bytes);
}
