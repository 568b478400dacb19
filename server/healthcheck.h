/* healthcheck.h -- asking the server that runs on this machine whether it lives (for containers). */
#ifndef SERVER_HEALTHCHECK_H
#define SERVER_HEALTHCHECK_H

#include "server/config.h"

/* GET /livez at the configured address. 0 if it answered 200, else 1 with a sentence in message. */
int healthcheck(const struct config *config, char *message, size_t message_bytes);

#endif
