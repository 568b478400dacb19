/* spool.h -- text on its way out: bytes of tokens in, whole characters out, cut at a stop string; and the tokens, each
 * released when the text it belongs to is. */
#ifndef RNND_SPOOL_H
#define RNND_SPOOL_H

#include "core/rnnd.h"
#include "core/tasks/utf8.h"

struct stop { /* a stop string and how much of it the text ends with (Knuth, Morris, Pratt 1977) */
    char *text;
    uint32_t *border; /* [length] of text[0 .. i]: its longest proper prefix that is also a suffix */
    size_t length, matched;
};

struct spool_token {
    rnnd_token token;                /* .alternatives is set when it is read */
    uint64_t bytes_start, bytes_end; /* its bytes among all that came in */
    uint64_t start, end;             /* its text; end UINT64_MAX while a character is incomplete */
};

/* Places are counted from the first byte of text ever put out, so that a stream may be endless. The buffers are made
 * for a reader that takes text and tokens after every push; they grow only for one that does not. */
struct spool {
    struct utf8 utf8;
    uint64_t bytes_in;           /* taken from tokens */
    char *text;                  /* [capacity]; text[0] stands at place `base` */
    size_t length, capacity, given;
    uint64_t base;
    struct stop *stops;
    size_t stop_count;
    uint64_t watch_from;         /* stops count from this place on; UINT64_MAX = not yet */
    bool closed;                 /* no more text will come, nothing is held back */
    bool failed;                 /* out of memory */
    struct spool_token *tokens;  /* ring */
    rnnd_alternative *alternatives; /* [token_capacity][alternative_width] */
    size_t token_head, token_count, token_capacity, alternative_width;
    size_t token_limit;          /* unread tokens beyond this many are forgotten; 0 = never */
};

/* `longest` is the most bytes a token has. INVALID for a stop string that is empty or not UTF-8. spool_free() is fine
 * after a failure, and on zeros. */
rnnd_code spool_init(struct spool *s, const char *const *stops, size_t stop_count, size_t longest,
                     size_t alternative_width, size_t token_limit, rnnd_error *err);
void spool_free(struct spool *s);
/* From here on stop strings count, where at least min_bytes of text go before them. */
void spool_watch(struct spool *s, uint64_t min_bytes);
/* Puts in a token and its bytes (none: a token without text). True if a stop string is complete: the text is cut before
 * it and closed. */
bool spool_push(struct spool *s, const rnnd_token *token, const rnnd_alternative *alternatives, const char *bytes,
                size_t count);
/* Puts in text that no reader asks tokens of. */
bool spool_push_text(struct spool *s, const char *bytes, size_t count);
/* No more will come: an incomplete character becomes U+FFFD, held text is released. */
void spool_close(struct spool *s);
const char *spool_text(struct spool *s, size_t *bytes);
bool spool_token(struct spool *s, rnnd_token *out);

#endif
