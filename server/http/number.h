/* number.h -- numbers as JSON writes them: grammar, decimal text to float32, float32 to decimal text.
 *
 * Private to server/http. */
#ifndef SERVER_NUMBER_H
#define SERVER_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A scanned number: (-1)^negative * digits * 10^exponent, where digits holds the first 19 significant digits; truncated
 * says that a non-zero digit came after them. */
struct decimal {
    const char *text, *end;
    uint64_t digits;
    int64_t exponent;
    int count; /* significant digits in `digits`, 0 for zero */
    bool negative, truncated;
    bool whole; /* neither point nor exponent was written */
};

/* Reads one JSON number at text; its end, or NULL where the grammar is broken (then d->end is the place). */
const char *number_scan(const char *text, const char *end, struct decimal *d);

/* The float32 nearest to the decimal, ties to even: rounded once. Infinite beyond the range. */
float number_float(const struct decimal *d);

/* Both in one, faster for numbers without exponent; d is filled only where it returns NULL or took the long way. */
const char *number_read(const char *text, const char *end, struct decimal *d, float *out);

/* Would it be infinite as a double? */
bool number_overflows_double(const struct decimal *d);

#endif
