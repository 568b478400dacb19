/* stats.h -- counters and histograms for /metrics; safe from any thread. */
#ifndef SERVER_STATS_H
#define SERVER_STATS_H

#include <stddef.h>
#include <stdint.h>

enum stat_counter { STAT_STEPS, STAT_STEP_BATCHES, STAT_REPLAYS, STAT_TOKENS_PROMPT, STAT_TOKENS_GENERATED,
                    STAT_JOBS_CANCELLED, STAT_FORECASTS, STAT_WINDOWS, STAT_COUNTERS };
enum stat_histogram { STAT_BATCH_ROWS, STAT_QUEUE_WAIT_S, STAT_HISTOGRAMS };

void stats_add(enum stat_counter c, uint64_t n);
uint64_t stats_get(enum stat_counter c);
void stats_observe(enum stat_histogram h, double value);
/* HTTP: by route, method and status class */
void stats_http(const char *route, const char *method, int status, double seconds, double first_output_seconds);

/* Appends the exposition text of everything counted here; calls write(context, text, bytes) repeatedly. */
void stats_write(void (*write)(void *context, const char *text, size_t bytes), void *context);

#endif
