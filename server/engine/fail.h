/* fail.h -- filling an rnnd_error inside the engine (the library's own helper does not cross the line of rnnd.h). */
#ifndef SERVER_ENGINE_FAIL_H
#define SERVER_ENGINE_FAIL_H

#include <stdarg.h>
#include <stdio.h>

#include "core/rnnd.h"

/* Fills *err (may be NULL) and returns code. param: the field or argument it is about, or "". */
static inline rnnd_code __attribute__((format(printf, 4, 5)))
engine_fail(rnnd_error *err, rnnd_code code, const char *param, const char *format, ...)
{
    char message[sizeof err->message];
    va_list args;

    if (!err) return code;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    snprintf(err->param, sizeof err->param, "%s", param);
    snprintf(err->message, sizeof err->message, "%s", message);
    err->code = code;
    return code;
}

static inline rnnd_code engine_fail_memory(rnnd_error *err, size_t bytes)
{
    return engine_fail(err, RNND_NO_MEMORY, "", "out of memory: %zu bytes were wanted", bytes);
}

#endif
