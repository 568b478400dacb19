/* json_scan_private.h -- a document and the state of its one scan, shared by json.c, json_scan.c and json_cut.c. */
#ifndef SERVER_JSON_SCAN_PRIVATE_H
#define SERVER_JSON_SCAN_PRIVATE_H

#include "server/http/json.h"
#include "server/http/number.h"

/* Values stand in the order of the text, each before those inside it. */
struct json {
    const char *key;     /* of an object's member, else NULL */
    union {
        const char *string;
        double number;
        bool truth;
        size_t index;    /* JSON_NUMBERS during the scan: of doc->numbers */
        const struct json_numbers *numbers;
    } as;
    int64_t whole;       /* JSON_NUMBER with is_whole: written without point and exponent, and it fits */
    size_t bytes;        /* a string's; values inside an array or object */
    size_t skip;         /* the next value beside this one is so many places on, unless this is the last */
    enum json_type type;
    bool last, is_whole;
};

struct json_key {        /* one in an object that is being read */
    const char *name;    /* decoded, in doc->text */
    size_t bytes;
    const char *at;      /* in the body */
};

struct json_doc { /* all arrays grow, and are kept when the document is used again */
    struct json *values;
    size_t count, values_cap;
    char *text;                   /* keys and strings, decoded and terminated: never more bytes than the body has */
    size_t text_used, text_cap;
    struct json_numbers *numbers;
    size_t numbers_count, numbers_cap;
    float *floats;                /* all arrays' numbers, packed */
    size_t floats_used, floats_cap;
    size_t *lengths;              /* all ragged arrays' lengths, packed */
    size_t lengths_used, lengths_cap;
    struct json_key *keys;        /* of all objects that are open, a stack */
    size_t key_count, keys_cap;
};

struct scan {
    const char *text, *p, *end;
    size_t depth_limit;
    struct json_doc *doc;
    char *message;
    size_t message_bytes;
    bool failed;
};

/* Fills s->doc, which must be empty, from the whole text; false with s->message. */
bool scan_run(struct scan *s);

/* All return false, so that a caller can return their value. Only the first failure is kept. */
bool scan_fail(struct scan *s, const char *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool scan_expected(struct scan *s, const char *at, const char *wanted);
bool scan_number_failed(struct scan *s, const struct decimal *d);

const char *scan_found(const struct scan *s, const char *p, char out[16]);
/* Room for one more of `size` bytes in an array that holds n. */
bool scan_room(struct scan *s, void **array, size_t n, size_t *cap, size_t size);
/* One more value of that type; NULL after failing. Those before may have moved. */
struct json *scan_value(struct scan *s, enum json_type type);

static inline void scan_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t')) s->p++;
}

/* The array at s->p, if it holds numbers only: CUT_OTHER leaves s as it was. */
enum cut { CUT_DONE, CUT_OTHER, CUT_FAILED };
enum cut scan_cut(struct scan *s, size_t depth);

#endif
