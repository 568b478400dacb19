/* log.h -- what the server says on stderr: lines for people at start and end, one line per request. Loop thread */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include "server/config.h"
#include "server/http/http.h"

void log_start(enum log_format format);
/* A sentence; at once. */
void log_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A finished request; with the next log_flush(), or when the buffer is full. */
void log_request(const struct http_record *record);
void log_flush(void);

#endif
