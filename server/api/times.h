/* times.h -- timestamps of a series: read exactly (never through floats), put on a grid, counted on.
 *
 * A time is an int64_t of ticks: microseconds since 1970 for ISO 8601 and epochs, the number itself for an index. */
#ifndef SERVER_TIMES_H
#define SERVER_TIMES_H

#include "core/rnnd.h"

enum time_kind { TIME_NONE, TIME_ISO, TIME_EPOCH_S, TIME_EPOCH_MS, TIME_INDEX };

struct time_format { /* how the client wrote it, so that the answer looks the same */
    enum time_kind kind;
    char separator;      /* 'T' or ' ', 0 = only a date */
    bool seconds, zulu, zone;
    int fraction;        /* digits */
    int64_t offset;      /* of the zone, ticks */
};

struct frequency { int64_t step; bool months; }; /* step 0 = not known; else ticks, or calendar months */

/* ISO 8601 (date, or date and time to the microsecond, zone or none); false if the text is none. */
bool time_read_iso(const char *text, size_t bytes, int64_t *ticks, struct time_format *f);
/* A whole number: kind TIME_NONE lets its size decide (1e11 and more: ms, 1e8 and more: s, else an index). */
bool time_read_number(int64_t value, enum time_kind kind, int64_t *ticks, struct time_format *f);
/* A cell of text: ISO or a whole number, of the kind of *f where that has one. */
bool time_read(const char *text, size_t bytes, int64_t *ticks, struct time_format *f);
size_t time_write(char out[48], int64_t ticks, const struct time_format *f);
bool time_is_text(const struct time_format *f); /* goes in quotes in JSON */

/* "30min", "H", "1D", "W", "MS", "Q", "Y", ...; false if it is none. */
bool frequency_read(const char *text, struct frequency *f);
/* n steps on; false where that leaves the range of years 0 to 9999 or of int64. */
bool time_add(int64_t ticks, const struct frequency *f, const struct time_format *format, int64_t n, int64_t *out);

/* Where each row belongs on a grid that starts at the first row: slots[i]. The frequency is inferred from three rows
 * where f->step is 0. rows: the number each row goes by in messages (a CSV file's line), or NULL: "timestamps[i]". */
rnnd_code times_grid(const int64_t *ticks, size_t count, const struct time_format *format, const size_t *rows,
                     size_t limit, struct frequency *f, size_t *slots, rnnd_error *err);

#endif
