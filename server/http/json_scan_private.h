/* json_scan_private.h -- the state of one scan, shared by json_scan.c and json_cut.c. */
#ifndef SERVER_JSON_SCAN_PRIVATE_H
#define SERVER_JSON_SCAN_PRIVATE_H

#include "server/http/json_scan.h"
#include "server/http/number.h"

struct key {
    const char *text;  /* where it stands in the body */
    size_t at, bytes;  /* decoded, in key_bytes */
};

struct scan {
    const char *text, *p, *end;
    const char *copied;   /* the body up to here is in out->text */
    size_t depth_limit;
    size_t values;        /* that cJSON will hold */
    struct key *keys;     /* of all open objects, a stack */
    size_t key_count, keys_cap;
    char *key_bytes;
    size_t key_used, key_cap;
    struct json_scan *out;
    size_t out_cap, numbers_cap, floats_used, floats_cap, lengths_used, lengths_cap;
    char *message;
    size_t message_bytes;
    bool failed;
};

/* All return false, so that a caller can return their value. Only the first failure is kept. */
bool scan_fail(struct scan *s, const char *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool scan_expected(struct scan *s, const char *at, const char *wanted);
bool scan_number_failed(struct scan *s, const struct decimal *d);

const char *scan_found(const struct scan *s, const char *p, char out[16]);
bool scan_room(struct scan *s, void **array, size_t n, size_t *cap, size_t size);
/* In the text for cJSON, [from, s->p) becomes a string of `mark` and data. */
bool scan_replace(struct scan *s, const char *from, unsigned char mark, const char *data, size_t bytes);

static inline void scan_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t')) s->p++;
}

/* The array at s->p, if it holds numbers only: CUT_OTHER leaves s as it was. */
enum cut { CUT_DONE, CUT_OTHER, CUT_FAILED };
enum cut scan_cut(struct scan *s, size_t depth);

#endif
