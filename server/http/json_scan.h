/* json_scan.h -- the strict pass over a JSON body, before cJSON sees it.
 *
 * Private to server/http. The scan checks the whole text and takes out what cJSON must not hold. Each array of numbers
 * below a numeric key becomes a struct json_numbers and, in the text for cJSON, the string "<0xFF>index" (16 digits);
 * each number that a double may not hold exactly becomes the string "<0xFE>number". No valid body holds these bytes. */
#ifndef SERVER_JSON_SCAN_H
#define SERVER_JSON_SCAN_H

#include "server/http/json.h"

enum { MARK_NUMBERS = 0xFF, MARK_NUMBER = 0xFE };

struct json_scan {
    char *text; /* for cJSON; NULL: the body itself will do */
    size_t bytes;
    struct json_numbers *numbers;
    size_t count;
    float *floats;    /* all arrays' values, packed */
    size_t *lengths;  /* all ragged arrays' lengths, packed */
};

/* 0, or -1 with a sentence in message and nothing to free. */
int json_scan(const char *text, size_t bytes, size_t depth_limit, struct json_scan *out, char *message,
              size_t message_bytes);
void json_scan_free(struct json_scan *scan);

#endif
