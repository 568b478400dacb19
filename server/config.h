/* config.h -- the settings of `rnnd serve`: defaults < file < environment < flags, from one table. */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct text_list {
    char **items; /* NULL-terminated, owned; never NULL after config_read() */
    size_t count;
};

enum numerics { NUMERICS_EXACT, NUMERICS_FAST };
enum log_format { LOG_TEXT, LOG_JSON, LOG_OFF };

struct config {
    /* where */
    char *listen;
    char host[108];         /* of listen: "127.0.0.1", "::1", "unix:/path" */
    uint16_t port;
    bool allow_remote;
    struct text_list models, hosts, cors;
    int log_format;         /* enum log_format */
    char *isa;              /* a kernel row, or "auto" */
    int numerics;           /* enum numerics */
    int precision;          /* "fp32", "bf16", "int8" */
    bool force_precision, accept_guesses;
    /* sessions */
    double ttl_s, remember_dead_s;
    size_t session_memory_bytes, kept_states, remember_dead_ids;
    /* limits of a request */
    size_t body_limit_bytes, json_depth, steps_limit, many_limit, samples_limit, horizon_factor, tokens_limit;
    double request_deadline_s;
    /* the server's */
    size_t queue_limit, connection_limit, stream_buffer_bytes;
    double header_deadline_s, idle_timeout_s, drain_grace_s, drain_deadline_s;
    bool test_hooks;
    /* what the command line asks for instead of serving */
    bool help, healthcheck;
};

/* Reads defaults, the file of --config or RNND_CONFIG, the environment, and argv[1..]. environment: NULL-terminated
 * "NAME=value" entries. 0, or -1 with one sentence naming the setting, its source, what was wanted and what was found.
 * Free it in both cases. */
int config_read(struct config *c, int argc, char *const *argv, char *const *environment, char *message,
                size_t message_bytes);
void config_free(struct config *c);
void config_help(FILE *to);

#endif
